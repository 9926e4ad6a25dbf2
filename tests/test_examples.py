"""Every example runs as a user would run it, in a process of its own, on both engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.states import Databases

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted(
    path.stem
    for path in (ROOT / "examples").glob("[!_]*.py")
    if path.stem not in ("quickstart", "migrate_existing")
    if not path.stem.endswith("_service")  # see test_services.py
)

#: A line that each example prints, and that depends on what it shows.
SAYS = {
    "accounts": "The owner is now Ivan, OWNER",
    "asyncio_calls": "Messages in the end: 22",
    "blocking": "Unblocked. Unread for Anna now: 2",
    "calls": "Phone has it: True; tablet has it: False; declined: False",
    "chat_settings": "The third is deleted: 0 unread",
    "chats": "  * Anna's news: 0 unread; no messages yet",
    "contacts": "  Masha (Maria)",
    "folders": "  The office: Office (1 unread)",
    "forwarding": "  Ivan: Flour, eggs, #salt",
    "history": "Back at the newest: True",
    "importing": "Unread for Ivan: 1",
    "media": "Voices: ['95 s']",
    "members": "Anna leaves; the owner is now Ivan",
    "messages": "  Anna: Who waters the #cucumbers? (edited)",
    "messenger": "☎ Anna called: talked",
    "notifications": "  At seven, sorry. -> ['Oleg']",
    "pins": "After Ivan deleted one: 2",
    "privacy": "  Maria: photo None, status None, last seen None",
    "reactions": "  🎉 2 with mine",
    "roles": "Ivan owns the chess club now",
    "scheduled_messages": "Sent when it was time: ['Happy birthday!']",
    "search": "Only files, in one chat: ['Trips: map.pdf']",
    "users": "Found by name in any case: True",
}


def run(example: str, *arguments: str, url: str | None, directory: Path) -> str:
    """What the example prints; it must not fail, warn or write an error."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "STOGRAM_DATABASE_URL")
    }
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    if url is not None:
        environment["DATABASE_URL"] = url
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / f"{example}.py", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    # In Python's development mode asyncio notes whatever takes a busy machine 0.1 s.
    written = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, written) == (0, [])
    return done.stdout


def test_each_example_is_tested() -> None:
    assert sorted(SAYS) == EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: str, database_url: str, tmp_path: Path) -> None:
    printed = run(example, url=database_url, directory=tmp_path)
    assert SAYS[example] in printed.splitlines()


def test_quickstart_can_be_run_again(database_url: str, tmp_path: Path) -> None:
    first = run("quickstart", url=database_url, directory=tmp_path)
    second = run("quickstart", url=database_url, directory=tmp_path)
    assert "Their private chat is new." in first
    assert "Their private chat is the one that they had." in second
    assert len(first.splitlines()) == len(second.splitlines())


def test_examples_make_a_database_where_they_are_run(tmp_path: Path) -> None:
    run("users", url=None, directory=tmp_path)
    assert (tmp_path / "stogram.db").exists()


def test_migrate_existing(databases: Databases, name: str, tmp_path: Path) -> None:
    databases.filled(name)
    url = databases.server.url_of(name)
    first = run("migrate_existing", url, "ivan", url=None, directory=tmp_path)
    second = run("migrate_existing", url, url=None, directory=tmp_path)
    nobody = run("migrate_existing", url, "no_one", url=None, directory=tmp_path)
    assert "Migrations applied: 001_server_tables, 002_guide_features" in first
    assert "User: Иван (@ivan)" in first
    assert "Hashtags: #" in first
    assert "none; it was up to date" in second
    assert "No such user." in nobody

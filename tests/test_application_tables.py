"""Tables and migrations of an application's own, beside those of this package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.check import check
from stogram_sdk.schema import migration
from tests.support.states import PROJECT, environment, migrate_here, pw_migrate, stogram

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

DOCUMENT = (PROJECT / "docs" / "migrations.md").read_text("utf-8")


def documented(file: str) -> str:
    """The contents of a file that the document shows."""
    found = re.search(rf"```python\n# {re.escape(file)}\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    assert found is not None, file
    return found[1]


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """The directory of an application, as the document has it."""
    for file in ("notes/models.py", "notes/migrations/conf.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(documented(file))
    (tmp_path / "notes" / "__init__.py").touch()
    return tmp_path


def run(application: Path, url: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "peewee_migrate", *arguments, "--directory", "notes/migrations"],
        cwd=application,
        env=environment(url, PYTHONPATH=f"{PROJECT}:{application}"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_live_in_one_database(application: Path, database_url: str) -> None:
    migrate_here(database_url)
    # As the document says it: made by the stock command from the application's models.
    run(application, database_url, "create", "--auto", "--auto-source", "notes.models", "notes")
    (made,) = (application / "notes" / "migrations").glob("001_*.py")
    assert "class Note(" in made.read_text()
    assert "class User(" not in made.read_text()
    run(application, database_url, "migrate")
    assert "Done: 1, Pending: 0" in run(application, database_url, "list")
    assert "Done: 3, Pending: 0" in pw_migrate(database_url, "list").stdout
    write = """
import stogram_sdk as sdk
from notes.models import Note
sdk.connect()
user = sdk.create_user("ann@example.com", "ann", password_hash="x")
with sdk.session():
    Note.create(user_id=user.id, text="buy milk")
    print([note.text for note in Note.select()])
"""
    done = subprocess.run(
        [sys.executable, "-c", write],
        cwd=application,
        env=environment(database_url, PYTHONPATH=f"{PROJECT}:{application}"),
        capture_output=True,
        text=True,
    )
    assert done.stdout == "['buy milk']\n", done.stderr
    assert check(database_url).is_right
    run(application, database_url, "rollback")
    assert check(database_url).is_right
    assert migrate_here(database_url) == []


def test_a_foreign_file_among_ours_is_named(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(migration.migrations_directory(), tmp_path / "migrations")
    file = tmp_path / "migrations" / "004_notes.py"
    file.write_text("def migrate(migrator, database, *, fake=False): pass\n")
    monkeypatch.setattr(migration, "migrations_directory", lambda: tmp_path / "migrations")
    sdk.connect(database_url)
    with pytest.raises(sdk.MigrationError, match=f"{file} is no migration of this package"):
        sdk.migrate()
    sdk.close()


def test_so_does_every_command(tmp_path: Path, sqlite_url: str) -> None:
    """In an installed package: a copy of it, with a file that `pw_migrate create` put there."""
    for part in ("stogram_sdk", "migrations"):
        shutil.copytree(PROJECT / part, tmp_path / part)
    migrate_here(sqlite_url)
    made = subprocess.run(
        [sys.executable, "-m", "peewee_migrate", "create", "notes"],
        cwd=tmp_path,
        env=environment(sqlite_url, PYTHONPATH=str(tmp_path)),
    )
    assert made.returncode == 0
    for command in (["migrate"], ["rollback"], ["status"], ["check"], ["sql"], ["prisma"]):
        done = subprocess.run(
            [sys.executable, "-m", "stogram_sdk", *command],
            cwd=tmp_path,
            env=environment(sqlite_url, PYTHONPATH=str(tmp_path)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, command
        assert "004_notes.py is no migration of this package" in done.stderr, command
        assert len(done.stderr.splitlines()) == 1, command
    assert stogram(sqlite_url, "check").returncode == 0

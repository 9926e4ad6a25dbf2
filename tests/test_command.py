"""The command `stogram`: one voice, one line for what goes wrong, bars for people alone."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click
import psycopg2
import pytest
from click.shell_completion import ShellComplete

from stogram_sdk.__main__ import main
from stogram_sdk.command import progress
from stogram_sdk.command.check import check
from tests.support.states import PROJECT, Databases, environment, migrate_here, stogram

COMMAND = f"{sys.executable} -m stogram_sdk"
PLACE = "names it: its directory must be there, and this user be allowed to write in it"


def test_one_voice() -> None:
    """Each command begins with what it does, in one whole sentence that fits into the list."""
    assert isinstance(main, click.Group)
    listed = main.get_help(click.Context(main, info_name="stogram"))
    for name, command in main.commands.items():
        summary = (command.help or "").partition("\n")[0]
        assert re.fullmatch(r"[A-Z][a-z]+ .*[a-z]\.", summary), name
        assert summary in listed, name
        assert click.Context(command).help_option_names == ["--help"]


def test_the_shell_completes_commands_and_migrations() -> None:
    completion = ShellComplete(main, {}, "stogram", "_STOGRAM_COMPLETE")

    def completed(*words: str) -> list[str]:
        return [found.value for found in completion.get_completions(list(words[:-1]), words[-1])]

    assert completed("mig") == ["migrate", "migrations"]
    assert completed("sql", "00") == completed("migrate", "--name", "")
    assert completed("sql", "002") == ["002_guide_features"]


def test_json_for_scripts(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate_here(database_url)
    monkeypatch.setenv("STOGRAM_DATABASE_URL", database_url)

    def said(*arguments: str) -> object:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code in (0, None)
        return json.loads(capsys.readouterr().out)

    status = said("status", "--json")
    assert isinstance(status, dict) and status.keys() == {"done", "pending"}
    assert (len(status["done"]), status["pending"]) == (3, [])
    assert said("backfill", "--json") == {"looked_at": 0, "changed": 0, "dry_run": False}
    checked = said("check", "--json")
    assert isinstance(checked, dict) and checked["ok"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["migrate", "rollback", "status", "check", "backfill", "search-index"]
)
@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("mysql://u:s3cr3t@h/d", r"a database url begins with .* \(in \$STOGRAM_DATABASE_URL\)"),
        ("postgresql://u:s3cr3t@h:x/d", r"port must be a number from 1 to 65535.*"),
        ("postgresql://u:s3cr3t@/d?host=/nowhere", r".* nobody listens .* says where it is.*"),
        ("sqlite:////proc/none.db", rf".*({re.escape(PLACE)}|run `stogram migrate` first)"),
        ("sqlite:////proc", rf".*({re.escape(PLACE)}|run `stogram migrate` first)"),
        ("sqlite:////nowhere/none.db", rf".*({re.escape(PLACE)}|run `stogram migrate` first)"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_what_to_do(
    command: str, url: str, line: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stogram_sdk", command],
        cwd=tmp_path,
        env=environment(url, PYTHONPATH=str(PROJECT)),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"Error: {line}\n", done.stderr)
    assert "s3cr3t" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def shell(script: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        cwd=PROJECT,
        env=environment(url),
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_pipe_that_was_closed_ends_it_without_a_word(sqlite_url: str) -> None:
    # Whether all of it went into the pipe first is not ours to say.
    done = shell(f"{COMMAND} sql | head -1", sqlite_url)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    for command in ("sql", "migrate"):
        # Late, so that nobody holds the other end any more.
        done = shell(f"(sleep 0.5; {COMMAND} {command}) | true", sqlite_url)
        assert (done.returncode, done.stderr) == (1, "")
    assert stogram(sqlite_url, "migrate").returncode == 0
    assert check(sqlite_url).is_right


@pytest.mark.slow
def test_an_output_that_is_full_is_one_line(sqlite_url: str, tmp_path: Path) -> None:
    done = shell(f"ulimit -f 0; {COMMAND} sql > {tmp_path}/script.sql", sqlite_url)
    line = "Error: cannot write the output: File too large\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_a_look_at_a_file_on_a_read_only_disk(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers share a file beside it, which nobody can make there."""
    migrate_here(sqlite_url)
    before = sorted(tmp_path.iterdir())
    (tmp_path / "stogram.db-shm").mkdir()  # so it cannot be made
    assert not list(tmp_path.glob("*-wal"))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert check(sqlite_url).is_right
    (tmp_path / "stogram.db-shm").rmdir()
    assert sorted(tmp_path.iterdir()) == before


def on_a_terminal(url: str, *arguments: str, look: Callable[[str], object]) -> str:
    """What the command writes to a terminal that shows its errors and bars.

    `look` sees it grow.
    """
    leader, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stogram_sdk", *arguments],
        cwd=PROJECT,
        env=environment(url),
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
            look(shown.decode(errors="replace"))
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0, shown
    return shown.decode()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["migrate"], ["search-index"]])
def test_a_step_that_lasts_has_a_bar(databases: Databases, name: str, arguments: list[str]) -> None:
    """CREATE INDEX CONCURRENTLY waits for every older snapshot, and the bar says so."""
    url = databases.server.url_of(name)
    databases.before(name)
    if arguments != ["migrate"]:
        migrate_here(url)
        databases.server.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm", name)
    holder = psycopg2.connect(url)
    holder.cursor().execute(
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_am"
    )
    waiting = "0:03 waiting for old snapshots"
    give_up = threading.Timer(60, holder.close)
    give_up.start()
    shown = on_a_terminal(
        url, *arguments, look=lambda shown: holder.close() if waiting in shown else None
    )
    give_up.cancel()
    assert waiting in shown


def test_a_bar_of_work_that_nobody_can_measure_shows_the_time(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOGRAM_DATABASE_URL", sqlite_url)
    monkeypatch.setattr(progress, "_BEFORE_A_BAR", 0.0)
    monkeypatch.setattr(progress, "_BETWEEN_LOOKS", 0.05)
    leader, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with progress.running("the search index"):
            threading.Event().wait(0.3)
    shown = os.read(leader, 4096).decode()
    os.close(leader)
    assert "the search index" in shown and "0:00" in shown

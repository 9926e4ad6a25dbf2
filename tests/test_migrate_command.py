"""`stogram migrate`, `rollback` and `status`: what they print, and their exit statuses."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import stogram_sdk as sdk
from stogram_sdk.engine.database_url import read_database_url
from tests.support.states import PROJECT, Databases, migrate_here, pw_migrate, stogram

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

NAMES = ["001_server_tables", "002_guide_features", "003_searches_and_lists"]
NOWHERE = "postgresql://u:s3cr3t@/x?host=/nowhere"


def said(url: str, *arguments: str, code: int = 0, **variables: str) -> list[str]:
    """The lines of a run; a run that is refused says one thing, and not on stdout."""
    done = stogram(url, *arguments, **variables)
    assert done.returncode == code, done.stderr
    if code == 0:
        assert done.stderr == ""
        return done.stdout.splitlines()
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: ")
    return done.stderr.splitlines()


def marks(done: int) -> list[str]:
    return [f"[{'x' if place < done else ' '}] {name}" for place, name in enumerate(NAMES)]


def test_a_step_that_is_undone_is_named_once_and_as_it_was_done(database_url: str) -> None:
    done = said(database_url, "migrate")
    back = said(database_url, "rollback", "--count", "2")
    assert len(back) == len(set(back)) > 10
    undone = {line.removeprefix("    undo ") for line in back if line.startswith("    undo ")}
    assert "triggers that keep MessageTag" in undone
    assert undone <= {line.strip() for line in done}


def test_the_document_counts_the_indexes(database_url: str) -> None:
    said(database_url, "migrate", "--name", "002")
    made = [line for line in said(database_url, "migrate") if line.startswith("    index ")]
    counted = (
        f"SQLite {len(made)} |" if database_url.startswith("sqlite") else f"| {len(made)} index"
    )
    assert counted in (PROJECT / "docs" / "migrations.md").read_text("utf-8")


def test_what_is_refused_has_not_begun(databases: Databases, name: str) -> None:
    """So no line says that it has."""
    url = databases.server.url_of(name)
    databases.orphans(name)
    refused = stogram(url, "migrate")
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr
    orphaned = "BlockedUser", "ChatSettings", "PinnedMessage"
    databases.strictly(name, ";".join(f'DELETE FROM "{table}"' for table in orphaned))
    said(url, "migrate")
    with_data = """INSERT INTO "User" (id, email, username, password, "updatedAt", "showLastSeen")
        VALUES ('u', 'e', 'n', 'p', now(), false)"""
    databases.strictly(name, with_data)
    said(url, "rollback")
    refused = stogram(url, "rollback")
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr


def ended_in(url: str, what: str) -> str:
    """The last line of a command."""
    return f"{what}, in {read_database_url(url).place}"


def test_the_way_there_and_back(database_url: str) -> None:
    """Each migration is a line, and below it each step; the last line names the database."""
    ended = partial(ended_in, database_url)
    first = said(database_url, "migrate", "--name", "001")
    assert first[0] == NAMES[0]
    assert "    table User" in first
    assert first[-1] == ended("1 migration applied")
    assert said(database_url, "status") == [*marks(1), ended("1 migration done, 2 pending")]
    assert said(database_url, "migrate", "--name", NAMES[0]) == [
        ended("nothing to do: no migration is pending")
    ]
    others = said(database_url, "migrate")
    assert [line for line in others if line[0] != " "] == [
        *NAMES[1:],
        ended("2 migrations applied"),
    ]
    assert "    column Message.hashtags" in others
    assert "    triggers that keep MessageTag" in others
    assert said(database_url, "status") == [*marks(3), ended("3 migrations done, 0 pending")]
    assert said(database_url, "migrate") == [ended("nothing to do: no migration is pending")]
    back = said(database_url, "rollback", "--count", "2")
    assert [line for line in back if line[0] != " "] == [
        *(NAMES[2], NAMES[1]),
        ended("2 migrations undone"),
    ]
    assert said(database_url, "rollback", "--count", "2", code=1) == [
        "Error: cannot undo 2 migrations: 1 done"
    ]
    assert said(database_url, "rollback")[-1] == ended("1 migration undone")
    assert said(database_url, "rollback") == [ended("nothing to do: no migration is done")]


def test_the_stock_command_goes_on_where_it_was(database_url: str) -> None:
    said(database_url, "migrate", "--name", NAMES[0])
    assert "Done: 1, Pending: 2" in pw_migrate(database_url, "list").stdout
    assert pw_migrate(database_url, "migrate").returncode == 0
    assert said(database_url, "status")[:3] == marks(3)
    assert stogram(database_url, "check").returncode == 0


def test_fake_changes_no_table(databases: Databases, name: str) -> None:
    databases.prisma(name)
    before = databases.dump(name)
    url = databases.server.url_of(name)
    assert said(url, "migrate", "--fake", "--name", "002") == [
        *NAMES[:2],
        ended_in(url, "2 migrations noted as done"),
    ]
    assert databases.dump(name) == before
    assert said(url, "status")[:3] == marks(2)


def test_status_changes_nothing(databases: Databases, name: str, tmp_path: Path) -> None:
    databases.before(name)
    assert said(databases.server.url_of(name), "status")[:3] == marks(0)
    assert databases.server.execute("SELECT to_regclass('migratehistory')", name) == [(None,)]
    file = f"sqlite:///{tmp_path}/none.db"
    for command in ("status", "rollback"):
        assert "there is no file" in said(file, command, code=1)[0]
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_the_message_alone(databases: Databases, name: str) -> None:
    databases.orphans(name)
    lines = said(databases.server.url_of(name), "migrate", code=1)
    assert lines[0] == "Error: the migration has not begun; see to this, then migrate again:"
    assert len(lines) == 8
    assert all(line.startswith("- foreign key ") for line in lines[1:])


def test_a_rollback_that_would_lose_data_is_refused(database_url: str) -> None:
    migrate_here(database_url)
    sdk.connect(database_url)
    user = sdk.create_user("anna@example.com", "anna", password_hash="x")
    sdk.create_folder(user.id, "work")
    sdk.close()
    refused = said(database_url, "rollback", "--count", "2", code=1)
    assert refused[0].startswith("Error: this would lose 1 rows of Folder. Make a backup")
    assert len(refused) == 1
    assert said(database_url, "rollback", STOGRAM_ALLOW_DATA_LOSS="1")[0] == NAMES[1]


@pytest.mark.parametrize("command", ["migrate", "rollback", "status"])
def test_a_server_that_is_not_there_is_one_line(command: str) -> None:
    line = (
        "Error: the database cannot be reached: nobody listens at this address. "
        "$STOGRAM_DATABASE_URL says where it is, and as whom to enter it"
    )
    assert said(NOWHERE, command, code=1) == [line]


@pytest.mark.parametrize("command", ["migrate", "rollback", "list"])
def test_so_it_is_with_the_stock_command(command: str) -> None:
    done = pw_migrate(NOWHERE, command)
    line = "Error: the database cannot be reached: nobody listens at this address"
    assert (done.returncode, done.stderr.splitlines()) == (1, [line])


def test_a_migration_of_a_later_version(databases: Databases, name: str) -> None:
    url = databases.server.url_of(name)
    migrate_here(url)
    databases.strictly(
        name, "INSERT INTO migratehistory (name, migrated_at) VALUES ('009_later', now())"
    )
    assert "does not have 009_later" in said(url, "rollback", code=1)[0]
    assert said(url, "status")[3] == "[x] 009_later"


@pytest.mark.parametrize(
    "arguments", [["migrate", "--name", "007"], ["rollback", "--count", "0"], ["migrate", "now"]]
)
def test_what_is_not_understood_is_usage(arguments: list[str]) -> None:
    done = stogram(NOWHERE, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: " in done.stderr


def test_version_and_help() -> None:
    assert stogram("", "--version").stdout == f"stogram_sdk {sdk.__version__}\n"
    assert "Exit status: 0" in stogram("", "-h").stdout
    assert "--fake" in stogram("", "migrate", "-h").stdout


MAKE_NOTHING = ("migrations", "sql", "prisma")
NEED_A_DATABASE = ("status", "check", "rollback", "backfill", "search-index")


@pytest.mark.parametrize("command", [*MAKE_NOTHING, *NEED_A_DATABASE])
def test_no_command_makes_a_file_that_nobody_asked_for(tmp_path: Path, command: str) -> None:
    """Without a URL the database would be stogram.db where one is."""
    done = subprocess.run(
        [sys.executable, "-m", "stogram_sdk", command],
        cwd=tmp_path,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert list(tmp_path.iterdir()) == []
    if command in NEED_A_DATABASE:
        assert (done.returncode, done.stderr) == (
            1,
            "Error: there is no file stogram.db: run `stogram migrate` first\n",
        )


@pytest.mark.parametrize("variable", ["STOGRAM_MIGRATE_LOCK_TIMEOUT", "STOGRAM_MIGRATE_PATIENCE"])
@pytest.mark.parametrize("given", ["abc", "-1", "nan", "inf"])
def test_a_variable_that_is_no_time_is_one_line(
    databases: Databases, name: str, variable: str, given: str
) -> None:
    databases.before(name)
    url = databases.server.url_of(name)
    line = f"Error: {variable} must be a number of seconds, not {given!r}"
    assert said(url, "migrate", code=1, **{variable: given}) == [line]
    stock = pw_migrate(url, "migrate", **{variable: given})
    assert (stock.returncode, stock.stderr.splitlines()[-1]) == (1, line)


def test_a_rollback_says_what_is_lost_with_the_moment(database_url: str) -> None:
    migrate_here(database_url)
    back = said(database_url, "rollback")
    assert any("the moment of the migration goes: the next one takes its own" in x for x in back)

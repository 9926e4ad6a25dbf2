"""What PostgreSQL's own tools do with a migrated database, and what it does under a publication."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.backfill import backfill
from stogram_sdk.command.check import check
from stogram_sdk.command.search_index import drop_search_index, make_search_index
from stogram_sdk.database import db, session
from tests.support.contract import CALLS, build_world, outcome, undone
from tests.support.postgres import PostgresServer
from tests.support.states import PROJECT, Databases, migrate_here, pw_migrate, stogram

#: Databases of their own.
pytestmark = pytest.mark.slow


@pytest.fixture
def filled(databases: Databases) -> Iterator[str]:
    """The sample of a server, migrated, with its tags found."""
    with databases.server.database() as name:
        databases.filled(name)
        url = databases.server.url_of(name)
        migrate_here(url)
        backfill(url)
        yield name


def tool(server: PostgresServer, name: str, *arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run(
        [server.bin / arguments[0], *arguments[1:], f"--dbname={server.url_of(name)}"],
        input=given,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def contents(url: str) -> list[Any]:
    sdk.connect(url)
    with session():
        found = [
            sorted(db.execute_sql(f"SELECT {columns} FROM {table}").fetchall())
            for columns, table in (
                ("*", '"MessageTag"'),
                ("*", '"UnreadSince"'),
                ("id, content, hashtags", '"Message"'),
            )
        ]
    sdk.close()
    return found


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_dump_and_restore_of_everything(
    databases: Databases, filled: str, name: str, form: str
) -> None:
    server = databases.server
    dump = tool(server, filled, "pg_dump", f"--format={form}")
    if form == "plain":
        tool(server, name, "psql", "-qX", "-v", "ON_ERROR_STOP=1", given=dump)
    else:
        tool(server, name, "pg_restore", "--exit-on-error", given=dump)
    old, new = server.url_of(filled), server.url_of(name)
    assert check(new).is_right
    assert migrate_here(new) == []
    assert contents(new) == contents(old)
    assert len(contents(new)[0]) > 100


def documented() -> list[str]:
    """The commands of the document for the data alone, each in a line."""
    text = (PROJECT / "docs" / "migrations.md").read_text("utf-8")
    found = re.search(r"## Dump and restore\n.*?```sh\n(.*?)```", text, flags=re.DOTALL)
    assert found is not None
    return found[1].replace("\\\n", " ").splitlines()


def test_data_alone_into_a_migrated_database(databases: Databases, filled: str, name: str) -> None:
    """The commands of the document, as they are."""
    server = databases.server
    old, new = server.url_of(filled), server.url_of(name)
    migrate_here(new)
    for command in documented():
        done = subprocess.run(
            command,
            shell=True,
            env={"PATH": f"{server.bin}:/usr/bin:/bin", "OLD": old, "NEW": new},
            cwd="/tmp",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (command, done.stderr)
        assert "error" not in done.stderr.lower(), (command, done.stderr)
    assert check(new).is_right
    assert contents(new) == contents(old)


@pytest.fixture
def published(databases: Databases, name: str) -> str:
    """The URL of a server's database of which every table is published."""
    databases.filled(name)
    databases.server.execute("CREATE PUBLICATION everything FOR ALL TABLES", name)
    return databases.server.url_of(name)


def test_all_commands_work_in_a_database_that_is_published(
    databases: Databases, published: str, name: str
) -> None:
    """PostgreSQL refuses UPDATE and DELETE of a published table without a key (55000)."""
    migrate_here(published)
    assert backfill(published).changed > 0
    assert backfill(published).changed == 0
    databases.server.execute("""UPDATE "Message" SET content = '#new', hashtags = '{new}'""", name)
    databases.server.execute('DROP TRIGGER "Message_tags_insert" ON "Message"', name)
    assert migrate_here(published) == []
    assert check(published).is_right
    make_search_index(published)
    drop_search_index(published)
    for command in ("migrate", "rollback"):
        assert pw_migrate(published, command).returncode == 0
    assert stogram(published, "migrate").returncode == 0
    allowed = stogram(published, "rollback", "--count", "2", STOGRAM_ALLOW_DATA_LOSS="1")
    assert allowed.returncode == 0, allowed.stderr


def test_every_function_works_in_a_database_that_is_published(
    databases: Databases, name: str
) -> None:
    url = databases.server.url_of(name)
    migrate_here(url)
    databases.server.execute("CREATE PUBLICATION everything FOR ALL TABLES", name)
    without_key = databases.server.execute(
        """SELECT c.relname FROM pg_class AS c WHERE relkind = 'r'
            AND relnamespace = 'public'::regnamespace AND relreplident = 'd' AND NOT EXISTS (
                SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)""",
        name,
    )
    assert without_key == []
    sdk.connect(url)
    scene = build_world(extra=1).scene
    for label, call in CALLS.items():
        with undone():
            assert outcome(label, scene) == call.gives, label
    with session():
        assert db.execute_sql("SELECT count(*) FROM pg_publication_tables").fetchone()[0] >= 15
    sdk.close()

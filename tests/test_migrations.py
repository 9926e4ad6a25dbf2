"""`pw_migrate` in every state: one schema at the end, or a stop that loses nothing."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stogram_sdk as sdk
from stogram_sdk.command.backfill import backfill
from stogram_sdk.command.check import check
from stogram_sdk.command.search_index import drop_search_index, make_search_index
from stogram_sdk.database import db, session
from stogram_sdk.engine.database_url import read_database_url
from stogram_sdk.migrating import migrate
from stogram_sdk.schema.turns import seconds_to_wait
from tests.support.postgres import PostgresServer
from tests.support.states import PROJECT, Databases, environment, migrate_here, pw_migrate, stogram
from tests.support.threads import wait_until

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

NAMES = ["001_server_tables", "002_guide_features", "003_searches_and_lists"]
GOOD_STATES = ["empty", "before", "filled", "half", "prisma", "ours"]


@pytest.fixture(scope="module")
def filled(databases: Databases) -> Iterator[str]:
    """A template: a server's database before the migration, with rows."""
    with databases.server.database() as new:
        databases.filled(new)
        yield new


def done(databases: Databases, name: str) -> list[str]:
    rows = databases.server.execute("SELECT name FROM migratehistory ORDER BY id", name)
    return [row[0] for row in rows]


def begin_migration(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "peewee_migrate", "migrate"],
        cwd=PROJECT,
        env=environment(url),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended_well(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


def stopped(url: str, *arguments: str, **variables: str) -> str:
    """What a run says that must stop: its message, and after it nothing."""
    run = pw_migrate(url, *(arguments or ("migrate",)), **variables)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    return run.stderr[run.stderr.index("\nError: " if "\nError: " in run.stderr else "Error: ") :]


# --- PostgreSQL: the states ---


@pytest.mark.parametrize("state", GOOD_STATES)
def test_every_good_state_ends_in_one_schema(
    databases: Databases, name: str, target: str, state: str
) -> None:
    databases.make(state, name)
    url = databases.server.url_of(name)
    assert pw_migrate(url, "migrate").returncode == 0
    assert databases.dump(name) == target
    assert done(databases, name) == NAMES
    keys = databases.server.execute(
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated", name
    )
    assert keys == [(13 + 9,)]
    arrays = databases.server.execute(
        "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%USING gin%' ORDER BY 1", name
    )
    assert arrays == [("Message_hashtags_idx",), ("Message_mentions_idx",)]
    objects = "SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_constraint ORDER BY 1"
    before = databases.server.execute(objects, name)
    assert migrate_here(url) == []
    assert databases.server.execute(objects, name) == before


def test_every_row_is_kept(databases: Databases, name: str) -> None:
    databases.filled(name)
    counts = 'SELECT (SELECT count(*) FROM "User"), (SELECT count(*) FROM "Message")'
    content = "SELECT md5(string_agg(content, '' ORDER BY id)) FROM \"Message\""
    before = [databases.server.execute(sql, name) for sql in (counts, content)]
    migrate_here(databases.server.url_of(name))
    assert [databases.server.execute(sql, name) for sql in (counts, content)] == before
    assert before[0] == [(120, 6000)]


PRISMA_VARIANTS = {
    "empty array as Prisma writes it": """
        ALTER TABLE "Message" ALTER mentions SET DEFAULT ARRAY[]::text[]""",
    "array without default": 'ALTER TABLE "Message" ALTER hashtags DROP DEFAULT',
    "unique index where we have a constraint": """
        ALTER TABLE "BlockedUser" DROP CONSTRAINT "BlockedUser_userId_blockedId_key";
        CREATE UNIQUE INDEX "BlockedUser_userId_blockedId_key"
            ON "BlockedUser"("userId", "blockedId")""",
    "invalid index": """UPDATE pg_index SET indisvalid = false
        WHERE indexrelid = '"ChatSettings_chatId_idx"'::regclass""",
    "invalid unique index": """
        ALTER TABLE "ChatSettings" DROP CONSTRAINT "ChatSettings_userId_chatId_key";
        CREATE UNIQUE INDEX "ChatSettings_userId_chatId_key" ON "ChatSettings"("userId", "chatId");
        UPDATE pg_index SET indisvalid = false
            WHERE indexrelid = '"ChatSettings_userId_chatId_key"'::regclass""",
    "index of another column": """DROP INDEX "Folder_order_idx";
        CREATE INDEX "Folder_order_idx" ON "Folder"(name)""",
    "partial index": """DROP INDEX "Chat_isSecret_idx";
        CREATE INDEX "Chat_isSecret_idx" ON "Chat"("isSecret") WHERE "isSecret\"""",
    "foreign key not validated": """
        ALTER TABLE "Folder" DROP CONSTRAINT "Folder_userId_fkey";
        ALTER TABLE "Folder" ADD CONSTRAINT "Folder_userId_fkey" FOREIGN KEY ("userId")
            REFERENCES "User"(id) ON DELETE CASCADE ON UPDATE CASCADE NOT VALID""",
    "some tables and columns missing": """DROP TABLE "PinnedMessage", "ChatSettings";
        ALTER TABLE "User" DROP "showLastSeen"; ALTER TABLE "Message" DROP hashtags""",
}


@pytest.mark.parametrize("variant", PRISMA_VARIANTS)
def test_what_can_be_put_right_is(
    databases: Databases, name: str, target: str, variant: str
) -> None:
    databases.prisma(name)
    databases.strictly(name, PRISMA_VARIANTS[variant])
    migrate_here(databases.server.url_of(name))
    # Columns that come later stand in another place, and an empty array can be written in two
    # ways: everything else must be the same.
    assert lines(databases.dump(name)) == lines(target)


def lines(dump: str) -> list[str]:
    text = dump.replace("ARRAY[]::text[]", "'{}'::text[]").replace(",\n", "\n")
    return sorted(text.splitlines())


def test_orphans_stop_it_and_are_kept(databases: Databases, name: str, target: str) -> None:
    databases.orphans(name)
    before = databases.dump(name)
    url = databases.server.url_of(name)
    said = stopped(url)
    for key, rows in [
        ("BlockedUser_userId_fkey", 1),
        ("BlockedUser_blockedId_fkey", 1),
        ("ChatSettings_userId_fkey", 2),
        ("ChatSettings_chatId_fkey", 2),
        ("PinnedMessage_userId_fkey", 1),
        ("PinnedMessage_messageId_fkey", 1),
        ("PinnedMessage_chatId_fkey", 1),
    ]:
        line = next(line for line in said.splitlines() if key in line)
        assert f": {rows}. " in line
        shown = re.search(r"to see them: (SELECT .*)", line)
        assert shown is not None
        assert len(databases.server.execute(shown[1], name)) == rows
    assert databases.dump(name) == before
    assert done(databases, name) == []
    databases.strictly(name, 'DELETE FROM "BlockedUser"; DELETE FROM "ChatSettings"')
    databases.strictly(name, 'DELETE FROM "PinnedMessage"')
    migrate_here(url)
    assert databases.dump(name) == target


STOPS = {
    "a table of the server is missing": (
        "before",
        'DROP TABLE "Reaction"',
        ["table Reaction: is missing"],
    ),
    "a column of the server is missing": (
        "before",
        'ALTER TABLE "Message" DROP "replyToId"',
        ["column Message.replyToId: is missing", 'ADD COLUMN "replyToId" TEXT'],
    ),
    "a column of the server has another type": (
        "before",
        'ALTER TABLE "User" ALTER id TYPE varchar(36)',
        ["column User.id: is character varying(36), and must be TEXT"],
    ),
    "an enum type lacks a label": (
        "before",
        """ALTER TYPE "CallType" RENAME VALUE 'VIDEO' TO 'FILM'""",
        ["enum type CallType: has no label 'VIDEO'", "ADD VALUE 'VIDEO'"],
    ),
    "a table of the guide lacks a column": (
        "prisma",
        'ALTER TABLE "Folder" DROP icon',
        ["column Folder.icon: is missing", 'ADD COLUMN "icon" TEXT'],
    ),
    "a flag may be NULL": (
        "prisma",
        'ALTER TABLE "Chat" ALTER "isSecret" DROP NOT NULL',
        ["column Chat.isSecret: may be NULL", "SET NOT NULL"],
    ),
    "a foreign key is another": (
        "prisma",
        """ALTER TABLE "Folder" DROP CONSTRAINT "Folder_userId_fkey", ADD CONSTRAINT
        "Folder_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"(id) ON DELETE RESTRICT""",
        [
            "foreign key Folder_userId_fkey: is userId to User, ON DELETE RESTRICT",
            "DROP CONSTRAINT",
        ],
    ),
    "rows are there twice": (
        "half",
        """ALTER TABLE "BlockedUser" DROP CONSTRAINT "BlockedUser_userId_blockedId_key";
        INSERT INTO "User" (id, email, username, password, "updatedAt")
            VALUES ('u', 'e', 'n', 'p', '2024-01-01');
        INSERT INTO "BlockedUser" (id, "userId", "blockedId")
            SELECT number, 'u', 'u' FROM generate_series(1, 3) AS number""",
        ["BlockedUser_userId_blockedId_key", "another: 2. ", "HAVING count(*) > 1"],
    ),
    "a tag is too long for an index": (
        "prisma",
        """INSERT INTO "User" (id, email, username, password, "updatedAt")
            VALUES ('u', 'e', 'n', 'p', '2024-01-01');
        INSERT INTO "Chat" (id, type, "updatedAt") VALUES ('c', 'GROUP', '2024-01-01');
        DROP INDEX "Message_hashtags_idx";
        INSERT INTO "Message" (id, "senderId", "chatId", "updatedAt", hashtags)
            VALUES ('m', 'u', 'c', '2024-01-01', ARRAY['short', repeat('x', 2701)])""",
        ["index Message_hashtags_idx", '"hashtags" of more than 2700 bytes', ": 1. "],
    ),
    "something else has the name of a table": (
        "before",
        """CREATE VIEW "Folder" AS SELECT 1 AS id; CREATE SEQUENCE "MessageTag";
        CREATE DOMAIN "ChatSettings" AS text""",
        [
            "table Folder: cannot be made: the name is that of the view Folder. Rename that",
            "table MessageTag: cannot be made: the name is that of the sequence MessageTag",
            "table ChatSettings: cannot be made: the name is that of the type ChatSettings",
        ],
    ),
    "something else has the name of a type": (
        "empty",
        """CREATE DOMAIN "ChatType" AS text; CREATE TABLE "CallType" ()""",
        [
            "enum type ChatType: cannot be made: the name is that of the type ChatType",
            "enum type CallType: cannot be made: the name is that of the table CallType",
        ],
    ),
    "something else has the name of an index": (
        "before",
        """CREATE TABLE "Folder_userId_idx" ();
        CREATE VIEW "BlockedUser_userId_blockedId_key" AS SELECT 1""",
        [
            "index Folder_userId_idx: cannot be made: the name is that of the table",
            "BlockedUser_userId_blockedId_key: cannot be made: the name is that of the view",
        ],
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_it_stops_before_anything_is_touched(databases: Databases, name: str, case: str) -> None:
    state, sql, expected = STOPS[case]
    databases.make(state, name)
    databases.strictly(name, sql)
    before = databases.dump(name)
    with pytest.raises(sdk.MigrationError) as caught:
        migrate_here(databases.server.url_of(name))
    for part in expected:
        assert part in str(caught.value)
    assert databases.dump(name) == before
    assert done(databases, name) == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_another_encoding_than_utf8_stops_it(databases: Databases, encoding: str) -> None:
    with databases.server.database(options=f"ENCODING '{encoding}' LOCALE 'C'") as name:
        url = databases.server.url_of(name)
        before = databases.dump(name)
        said = stopped(url)
        assert f"database: is encoded in {encoding}, and must be in UTF8. Dump it" in said
        assert done(databases, name) == []
        by_hand = databases.psql(name, stogram(url, "sql").stdout, "-v", "ON_ERROR_STOP=1")
        assert f"the database is encoded in {encoding}" in by_hand.stderr
        assert databases.dump(name) == before
        found = stogram(url, "check").stdout
        assert f"database: is encoded in {encoding}, and must be in UTF8" in found


def test_faking_the_first_on_an_empty_database_is_noticed(databases: Databases, name: str) -> None:
    url = databases.server.url_of(name)
    assert pw_migrate(url, "migrate", "--fake", "--name", NAMES[0]).returncode == 0
    assert "table User: is missing" in stopped(url)


# --- The stock command ---


def test_list_name_and_fake(database_url: str) -> None:
    assert "Pending: 3" in pw_migrate(database_url, "list").stdout
    assert pw_migrate(database_url, "migrate", "--name", NAMES[0]).returncode == 0
    assert "Done: 1, Pending: 2" in pw_migrate(database_url, "list").stdout
    assert pw_migrate(database_url, "migrate", "--fake").returncode == 0
    assert "Done: 3, Pending: 0" in pw_migrate(database_url, "list").stdout
    assert not check(database_url).is_right  # it was only said to be done


def test_rollback_undoes_the_guide(database_url: str, databases: Databases) -> None:
    migrate_here(database_url)
    assert pw_migrate(database_url, "rollback", "--count", "2").returncode == 0
    assert migrate_here(database_url) == NAMES[1:]
    assert check(database_url).is_right
    assert pw_migrate(database_url, "rollback", "--count", "3").returncode == 0
    if database_url.startswith("sqlite"):
        file = sqlite3.connect(database_url.removeprefix("sqlite:///"))
        left = {name for (name,) in file.execute("SELECT tbl_name FROM sqlite_master")}
        file.close()
        assert left - {"sqlite_sequence"} == {"migratehistory"}
    else:
        dump = databases.dump(database_url.split("?")[0].rsplit("/", 1)[1])
        assert "CREATE" not in dump
    assert migrate_here(database_url) == NAMES


def test_rollback_leaves_what_was_there_before(databases: Databases, name: str) -> None:
    databases.filled(name)
    before = databases.dump(name)
    url = databases.server.url_of(name)
    migrate_here(url)
    assert pw_migrate(url, "rollback", "--count", "2").returncode == 0
    assert databases.dump(name) == before
    assert databases.server.execute('SELECT count(*) FROM "Message"', name) == [(6000,)]
    assert "does not drop what the server made" in stopped(url, "rollback")
    assert databases.dump(name) == before


def test_rollback_of_the_first_never_drops_rows(database_url: str) -> None:
    assert pw_migrate(database_url, "migrate", "--name", NAMES[0]).returncode == 0
    sdk.connect(database_url)
    with session():
        db.execute_sql(
            """INSERT INTO "Chat" (id, type, "updatedAt") VALUES ('c', 'GROUP', '2024-01-01')"""
        )
    sdk.close()
    assert "1 rows of Chat" in stopped(database_url, "rollback", STOGRAM_ALLOW_DATA_LOSS="1")
    assert migrate_here(database_url) == NAMES[1:]


def test_empty_tables_that_the_server_made_are_not_dropped(databases: Databases, name: str) -> None:
    """Also if an older run of ours had made, and dropped, such tables there."""
    url = databases.server.url_of(name)
    assert pw_migrate(url, "migrate", "--name", NAMES[0]).returncode == 0
    databases.strictly(name, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    databases.before(name)
    assert pw_migrate(url, "migrate", "--name", NAMES[0]).returncode == 0
    assert "does not drop what the server made" in stopped(url, "rollback")


def test_rollback_that_would_lose_data_wants_to_be_told(database_url: str) -> None:
    migrate_here(database_url)
    fill(database_url)
    said = stopped(database_url, "rollback", "--count", "2")
    for part in (
        "1 rows of Folder",
        "User.showLastSeen of 1 rows",
        "Message.hashtags of 1 rows",
        "STOGRAM_ALLOW_DATA_LOSS=1",
        "backup",
    ):
        assert part in said
    for part in ("BlockedUser", "mentions", "isSilent", "isSecret"):
        assert part not in said
    # What can be made again is no loss.
    migrate_here(database_url)
    assert check(database_url).is_right
    allowed = pw_migrate(database_url, "rollback", "--count", "2", STOGRAM_ALLOW_DATA_LOSS="1")
    assert allowed.returncode == 0
    assert counts(database_url, "User", "Message") == [1, 1]


@pytest.mark.parametrize(
    ("number", "kind", "made", "named"),
    [
        (2, "VIEW", 'AS SELECT id, hashtags FROM "Message"', "view report"),
        (
            2,
            "MATERIALIZED VIEW",
            'AS SELECT "userId" FROM "Folder"',
            "materialized view report",
        ),
        (
            2,
            "TABLE",
            '(folder text, CONSTRAINT its_folder FOREIGN KEY (folder) REFERENCES "Folder")',
            "constraint its_folder on table report",
        ),
        (1, "VIEW", 'AS SELECT id FROM "User"', "view report"),
    ],
)
def test_rollback_stops_where_others_have_built_on_what_it_drops(
    databases: Databases, name: str, number: int, kind: str, made: str, named: str
) -> None:
    """It would stop on its way else, with a part of the tables gone."""
    url = databases.server.url_of(name)
    assert pw_migrate(url, "migrate", "--name", NAMES[number - 1]).returncode == 0
    databases.strictly(name, f"CREATE {kind} report {made}")
    before = databases.dump(name)
    script = stogram(url, "sql", NAMES[number - 1], "--rollback").stdout
    by_script = databases.psql(name, script, "-v", "ON_ERROR_STOP=1").stderr
    for said in (by_script, stopped(url, "rollback")):
        assert f"others have built on what would be dropped: {named}" in said.replace("public.", "")
        assert databases.dump(name) == before
    databases.strictly(name, f"DROP {kind} report")
    assert pw_migrate(url, "rollback").returncode == 0


def fill(url: str) -> None:
    """One user who hides when they were last seen, a folder, a chat, a message with a tag."""
    sdk.connect(url)
    with session():
        user = sdk.User.create(email="e", username="n", password="p", show_last_seen=False)
        sdk.Folder.create(user=user, name="work")
        chat = sdk.Chat.create(type=sdk.ChatType.GROUP)
        sdk.Message.create(sender=user, chat=chat, hashtags=["tag"])
    sdk.close()


def counts(url: str, *tables: str) -> list[int]:
    sdk.connect(url)
    with session():
        found = [
            db.execute_sql(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables
        ]
    sdk.close()
    return found


def test_no_password_is_ever_shown(postgres_server: PostgresServer, name: str) -> None:
    secret = "s3cr3t%40word"
    url = postgres_server.url_of(name).replace("postgres@", f"postgres:{secret}@", 1)
    wrong_host = f"postgresql://u:{secret}@/{name}?host=/nowhere"
    wrong_parameter = f"{url}&colour=red"
    said = {}
    for tried, code in [(url, 0), (wrong_host, 1), (wrong_parameter, 1)]:
        for command in (["list"], ["migrate", "-v", "-v"]):
            run = pw_migrate(tried, *command)
            assert run.returncode == code
            said[tried] = run.stdout + run.stderr
            assert "s3cr3t" not in said[tried]
    assert "unknown parameter 'colour'" in said[wrong_parameter]
    assert name in said[url]


# --- Beside a live server ---


@contextmanager
def open_transaction(url: str, sql: str) -> Iterator[None]:
    """A transaction of somebody else, for as long as the block."""
    connection = psycopg2.connect(url, application_name="a long report")
    connection.cursor().execute(sql)
    try:
        yield
    finally:
        connection.close()


@pytest.mark.slow
def test_a_locked_table_is_waited_for(databases: Databases, name: str, target: str) -> None:
    databases.before(name)
    url = databases.server.url_of(name)
    with open_transaction(url, 'SELECT * FROM "User"'):
        process = begin_migration(url)
        assert process.stdout
        assert any("locked; attempt 2 failed" in line for line in process.stdout)
    ended_well(process)
    assert databases.dump(name) == target


def test_it_gives_up_and_says_who_holds_the_lock(databases: Databases, name: str) -> None:
    databases.before(name)
    url = databases.server.url_of(name)
    with open_transaction(url, 'SELECT * FROM "User"'):
        said = stopped(url, STOGRAM_MIGRATE_PATIENCE="0.5")
    assert '"User" is locked by pid' in said
    assert "'a long report'" in said
    assert migrate_here(url) == NAMES[1:]


@pytest.mark.slow
def test_others_wait_no_longer_than_a_lock_takes(databases: Databases, name: str) -> None:
    """A reader is behind the migration's lock request for 200 ms at most."""
    databases.before(name)
    url = databases.server.url_of(name)
    waits: list[float] = []
    reader = psycopg2.connect(url)
    reader.autocommit = True
    with open_transaction(url, 'SELECT * FROM "User"'):
        process = begin_migration(url)
        while len(waits) < 3 and process.poll() is None:
            began = time.monotonic()
            reader.cursor().execute('SELECT * FROM "User" LIMIT 1')
            if time.monotonic() - began > 0.1:
                waits.append(time.monotonic() - began)
            time.sleep(0.005)
    reader.close()
    ended_well(process)
    assert len(waits) == 3
    assert max(waits) < 1.5  # 0.2, and what a busy machine adds


def test_an_orphan_that_comes_in_between_is_named(
    databases: Databases, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's own message would hold the values of the row."""
    databases.half(name)
    url = databases.server.url_of(name)
    assert pw_migrate(url, "migrate", "--name", NAMES[0]).returncode == 0

    def orphan_comes(*arguments: Any) -> list[Any]:
        monkeypatch.undo()
        databases.strictly(
            name,
            """INSERT INTO "BlockedUser" (id, "userId", "blockedId") VALUES ('b', 'secret', 'x')""",
        )
        return []

    sdk.connect(url)
    monkeypatch.setattr("stogram_sdk.schema.migration.rows_in_the_way", orphan_comes)
    with pytest.raises(sdk.MigrationError, match="BlockedUser_userId_fkey") as caught:
        migrate()
    sdk.close()
    assert "secret" not in str(caught.value)
    databases.strictly(name, 'DELETE FROM "BlockedUser"')
    assert migrate_here(url) == NAMES[1:]


# --- One at a time ---


TIMES = 2


def at_once(url: str, runs: int = 2) -> None:
    for process in [begin_migration(url) for _ in range(runs)]:
        ended_well(process)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["empty", "filled"])
def test_two_runs_at_once(databases: Databases, filled: str, target: str, state: str) -> None:
    template = filled if state == "filled" else "template0"
    for _ in range(TIMES):
        with databases.server.database(template) as new:
            at_once(databases.server.url_of(new))
            assert done(databases, new) == NAMES
            assert databases.dump(new) == target


@pytest.mark.slow
def test_three_runs_at_once_on_sqlite(tmp_path: Path) -> None:
    for number in range(TIMES):
        url = f"sqlite:///{tmp_path}/{number}.db"
        at_once(url, runs=3)
        file = sqlite3.connect(tmp_path / f"{number}.db")
        assert [name for (name,) in file.execute("SELECT name FROM migratehistory")] == NAMES
        file.close()


def test_the_second_run_says_who_is_at_work(databases: Databases, name: str) -> None:
    url = databases.server.url_of(name)
    sdk.connect(url, application_name="the first run")
    from stogram_sdk.schema.turns import turn

    with session(), turn(sdk.db.obj, None):
        said = stopped(url, STOGRAM_MIGRATE_LOCK_TIMEOUT="0.3")
    sdk.close()
    assert "another migration of this database is running (pid" in said
    assert "'the first run'" in said
    assert "waited 0.3 s" in said
    assert migrate_here(url) == NAMES


def test_the_second_run_on_sqlite_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/stogram.db"
    lock = sqlite3.connect(tmp_path / "stogram.db-migrating", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    said = stopped(url, STOGRAM_MIGRATE_LOCK_TIMEOUT="0.3")
    assert "another migration of this file is running" in said
    lock.close()
    assert migrate_here(url) == NAMES


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_a_time_to_wait_that_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("STOGRAM_MIGRATE_LOCK_TIMEOUT", value)
    with pytest.raises(sdk.InvalidInput, match="STOGRAM_MIGRATE_LOCK_TIMEOUT"):
        seconds_to_wait()


# --- Broken off ---


#: What can be seen of a migration from outside while it is on its way.
ON_THE_WAY = {
    "a column is there": """EXISTS (SELECT FROM information_schema.columns
        WHERE column_name = 'hashtags')""",
    "a foreign key is not validated": "EXISTS (SELECT FROM pg_constraint WHERE NOT convalidated)",
    "an index is being built": "EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)",
    "a table of the guide is there": """to_regclass('"PinnedMessage"') IS NOT NULL""",
    "a table of ours is there": """to_regclass('"UnreadSince"') IS NOT NULL""",
}


#: Each change of the schema begins a moment later, so that what was before can be seen.
SLOWED = """
CREATE FUNCTION pause() RETURNS event_trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_catalog.pg_sleep(0.02); END';
CREATE EVENT TRIGGER pause ON ddl_command_start EXECUTE FUNCTION pause()
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ON_THE_WAY)
def test_killed_on_the_way(databases: Databases, filled: str, target: str, moment: str) -> None:
    with databases.server.database(filled) as new:
        url = databases.server.url_of(new)
        databases.server.execute(SLOWED, new)
        process = begin_migration(url)
        wait_until(url, ON_THE_WAY[moment])
        process.kill()
        process.communicate()
        databases.server.execute("DROP EVENT TRIGGER pause; DROP FUNCTION pause()", new)
        assert process.returncode == -signal.SIGKILL
        assert pw_migrate(url, "migrate").returncode == 0
        assert databases.dump(new) == target
        assert done(databases, new) == NAMES


class BrokenOff(Exception):
    pass


def test_broken_off_after_each_statement(
    databases: Databases, filled: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same without luck: after no statement, after one more, after two more, ..."""
    from stogram_sdk.schema import online

    run_online: Callable[..., None] = online.run_online
    left: list[int] = []

    def run_while_it_lasts(database: Any, statement: Any, table: str) -> None:
        if not left:
            raise BrokenOff
        left.pop()
        run_online(database, statement, table)

    with databases.server.database(filled) as new:
        url = databases.server.url_of(new)
        assert pw_migrate(url, "migrate", "--name", NAMES[0]).returncode == 0
        monkeypatch.setattr(online, "run_online", run_while_it_lasts)
        sdk.connect(url)
        for statements in range(100):
            left[:] = range(statements)
            try:
                migrate()
                break
            except BrokenOff:
                continue
        sdk.close()
        assert statements > 5
        assert databases.dump(new) == target


# --- SQLite ---


def test_sqlite_keeps_every_row(sqlite_url: str) -> None:
    assert pw_migrate(sqlite_url, "migrate", "--name", NAMES[0]).returncode == 0
    path = sqlite_url.removeprefix("sqlite:///")
    file = sqlite3.connect(path)
    time_ = "2024-01-01 00:00:00.000"
    file.execute(
        'INSERT INTO "User" (id, email, username, password, "updatedAt") VALUES (?, ?, ?, ?, ?)',
        ("u", "e", "n", "p", time_),
    )
    file.execute(
        'INSERT INTO "Chat" (id, type, "updatedAt") VALUES (?, ?, ?)', ("c", "GROUP", time_)
    )
    file.execute(
        'INSERT INTO "Message" (id, "senderId", "chatId", "updatedAt") VALUES (?, ?, ?, ?)',
        ("m", "u", "c", time_),
    )
    file.execute(
        'INSERT INTO "Reaction" (id, "messageId", "userId", emoji) VALUES (?, ?, ?, ?)',
        ("r", "m", "u", "+"),
    )
    file.commit()
    file.close()
    tables = ("User", "Chat", "Message", "Reaction")
    for command in ("migrate", "rollback", "migrate"):
        assert pw_migrate(sqlite_url, command).returncode == 0
        assert counts(sqlite_url, *tables) == [1, 1, 1, 1]
    file = sqlite3.connect(path)
    assert file.execute("PRAGMA foreign_key_check").fetchall() == []
    assert file.execute('SELECT mentions, "isSilent" FROM "Message"').fetchall() == [("[]", 0)]
    file.close()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE {} (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE VIEW {} AS SELECT 'a' AS name",
        "CREATE INDEX {} ON other (name)",
    ],
)
@pytest.mark.parametrize("table", ["User", "Folder", "MessageTag"])
def test_sqlite_leaves_alone_what_has_the_name_of_a_table(
    sqlite_url: str, made: str, table: str
) -> None:
    """To SQLite an application's own table `user` is "User": it would put indexes on that."""
    file = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    file.execute("CREATE TABLE other (name TEXT)")
    file.execute(made.format(table.lower()))
    everything = "SELECT name FROM sqlite_master WHERE name <> 'migratehistory'"
    before = file.execute(everything).fetchall()
    what = made.split()[1].lower()
    expected = f"table {table}: cannot be made: the name is that of the {what} {table.lower()}"
    sdk.connect(sqlite_url)
    with pytest.raises(sdk.MigrationError, match=expected):
        migrate()
    sdk.close()
    assert file.execute(everything).fetchall() == before
    file.close()
    (found,) = [each for each in check(sqlite_url).wrong if each.stops_migration]
    assert f"{found.name}: {found.what}" == expected


# --- For programs ---


def test_migrate_returns_what_it_applied(database_url: str) -> None:
    sdk.connect(database_url)
    assert migrate() == NAMES
    assert migrate() == []
    sdk.close()
    assert check(database_url).is_right


def test_migrate_in_memory() -> None:
    sdk.connect("sqlite:///:memory:")
    assert migrate() == NAMES
    with session():
        assert db.execute_sql('SELECT count(*) FROM "User"').fetchone() == (0,)
    sdk.close()


def test_migrate_is_quiet_and_leaves_the_session_as_it_was(
    postgres_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sdk.connect(postgres_url)
    with session():
        db.execute_sql("SET search_path = public, other")
        db.execute_sql("SET lock_timeout = '1234ms'")
        migrate()
        settings = "current_setting('search_path'), current_setting('lock_timeout')"
        after = db.execute_sql(f"SELECT {settings}").fetchone()
        locks = db.execute_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert (after, locks.fetchone()) == (("public, other", "1234ms"), (0,))
    sdk.close()
    assert capfd.readouterr() == ("", "")


def test_migrate_in_a_transaction_is_refused(database_url: str) -> None:
    sdk.connect(database_url)
    with pytest.raises(sdk.MigrationError, match="inside a transaction"), sdk.transaction():
        migrate()
    sdk.close()


def test_migrate_raises_what_stops_it(
    databases: Databases, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    databases.orphans(name)
    sdk.connect(databases.server.url_of(name))
    with pytest.raises(sdk.MigrationError, match="BlockedUser_userId_fkey: rows"):
        migrate()
    sdk.close()
    assert capfd.readouterr() == ("", "")


def test_a_schema_of_its_own(databases: Databases, name: str) -> None:
    url = databases.server.url_of(name, schema="stogram")
    before = databases.dump(name)
    assert pw_migrate(url, "migrate").returncode == 0
    assert check(url).is_right
    assert databases.dump(name, "--exclude-schema=stogram") == before
    # The same by the SQL, and by a program.
    assert stogram(url, "sql").stdout.count('"stogram"."Message"') > 10
    fill(url)
    sdk.connect(url)
    assert migrate() == []
    sdk.close()
    assert backfill(url).looked_at == 0
    assert "1 rows of Folder" in stopped(url, "rollback", "--count", "2")
    loss = {"STOGRAM_ALLOW_DATA_LOSS": "1"}
    assert pw_migrate(url, "rollback", **loss).returncode == 0
    databases.strictly(name, 'TRUNCATE stogram."User", stogram."Chat" CASCADE')
    assert pw_migrate(url, "rollback").returncode == 0
    assert 'TABLE stogram."' not in databases.dump(name)


def test_a_server_in_a_schema_of_its_own(databases: Databases, name: str) -> None:
    databases.strictly(name, "CREATE SCHEMA stogram")
    databases.server.execute(f'ALTER DATABASE "{name}" SET search_path = stogram', name)
    databases.orphans(name)
    databases.server.execute(f'ALTER DATABASE "{name}" RESET search_path', name)
    url = databases.server.url_of(name, schema="stogram")
    said = stopped(url)
    shown = re.search(r"to see them: (SELECT .*)", said)
    assert shown is not None
    assert len(databases.server.execute(shown[1], name)) == 1
    databases.strictly(name, 'TRUNCATE stogram."BlockedUser", stogram."ChatSettings"')
    databases.strictly(name, 'TRUNCATE stogram."PinnedMessage"')
    assert migrate_here(url) == NAMES
    assert check(url).is_right


HOSTILE = [
    "o'brien",
    "100%",
    "a$block$b",
    'a"b',
    "a\\b",
    "a;b",
    "a:b",
    "a\nb",
    "pg_x",
    "ё" * 32,
]


@pytest.mark.parametrize("schema", HOSTILE)
def test_a_name_of_a_schema_that_can_be_misread_is_refused(schema: str) -> None:
    with pytest.raises(sdk.InvalidInput, match="schema must be a name of"):
        read_database_url("postgresql://u@h/d", schema=schema)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=70))
def test_any_name_of_a_schema_is_plain_or_refused(schema: str) -> None:
    try:
        settings = read_database_url("postgresql://u@h/d", schema=schema)
    except sdk.InvalidInput:
        return
    assert settings.schema_name == schema
    assert len(schema.encode()) <= 63
    assert not set(schema) & set("\"'%$\\;:/@{}()\t\n")


@pytest.mark.parametrize("schema", ["1 SELECT -- Команда.1", "ß" * 31])
def test_a_schema_of_any_name_that_is_taken_works(
    databases: Databases, name: str, schema: str
) -> None:
    url = databases.server.url_of(name, schema=quote(schema))
    assert migrate_here(url) == NAMES
    fill(url)
    assert check(url).is_right
    assert backfill(url).looked_at == 0
    make_search_index(url)
    drop_search_index(url)
    sdk.connect(url)
    user = sdk.create_user("ann@example.com", "ann", password_hash="x")
    chat = sdk.create_chat(user.id, sdk.ChatType.GROUP, name="all")
    sent = sdk.send_message(user.id, chat.id, "#One")
    assert [found.id for found in sdk.find_by_hashtag(user.id, "one")] == [sent.id]
    sdk.close()
    script = stogram(url, "sql").stdout
    databases.strictly(name, script)
    assert check(url).is_right
    assert stogram(url, "rollback").returncode == 0
    assert stogram(url, "migrate").returncode == 0


@pytest.mark.parametrize("path", ["o'brien", "a$block$b", "100%"])
def test_a_default_schema_whose_name_a_url_may_not_have_is_refused(
    databases: Databases, name: str, path: str
) -> None:
    databases.server.execute(f'''CREATE SCHEMA "{path}"''', name)
    databases.server.execute(f'''ALTER DATABASE "{name}" SET search_path = "{path}"''', name)
    url = databases.server.url_of(name)
    for refuse in (migrate_here, check, backfill, make_search_index):
        with pytest.raises(sdk.MigrationError, match="Name another schema in the URL"):
            refuse(url)
    assert migrate_here(databases.server.url_of(name, schema="other")) == NAMES


def test_where_the_path_leads_to_no_schema(databases: Databases, name: str) -> None:
    databases.server.execute(f'ALTER DATABASE "{name}" SET search_path = nowhere', name)
    url = databases.server.url_of(name)
    for refuse in (migrate_here, check, backfill, make_search_index):
        with pytest.raises(sdk.MigrationError, match="the search_path names no schema"):
            refuse(url)
    assert "the search_path names no schema" in pw_migrate(url, "migrate").stderr


@pytest.mark.parametrize("path", ["anna-maria", "my схема 1.2"])
def test_the_default_schema_of_a_role(databases: Databases, name: str, path: str) -> None:
    databases.server.execute(f'''CREATE SCHEMA "{path}"''', name)
    databases.server.execute(f'''ALTER DATABASE "{name}" SET search_path = "{path}"''', name)
    url = databases.server.url_of(name)
    assert migrate_here(url) == NAMES
    fill(url)
    assert check(url).is_right
    databases.strictly(name, stogram(url, "sql").stdout)
    assert check(url).is_right


@pytest.mark.parametrize(
    ("isolation", "by_hand"), [("repeatable read", False), ("serializable", True)]
)
def test_beside_writers_under_a_stricter_isolation(
    databases: Databases, filled: str, isolation: str, by_hand: bool
) -> None:
    """By the command, and by its SQL: rows with tags change all the time while 003 lists them."""
    with databases.server.database(filled) as new:
        url = databases.server.url_of(new)
        level = f"SET default_transaction_isolation = '{isolation}'"
        databases.server.execute(f'ALTER DATABASE "{new}" {level}')
        sdk.connect(url)
        assert stogram(url, "migrate", "--name", "002").returncode == 0
        databases.server.execute("""UPDATE "Message" SET hashtags = ARRAY['one']""", new)
        stop = threading.Event()
        writers = [threading.Thread(target=edit_until, args=(url, stop)) for _ in range(2)]
        for writer in writers:
            writer.start()
        try:
            if by_hand:
                databases.strictly(new, stogram(url, "sql", "003").stdout)
            assert stogram(url, "migrate").returncode == 0
        finally:
            stop.set()
            for writer in writers:
                writer.join()
            sdk.close()
        assert check(url).is_right


def edit_until(url: str, stop: threading.Event) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    edit = """UPDATE "Message" SET hashtags = ARRAY[md5(random()::text)]
        WHERE id IN (SELECT id FROM "Message" ORDER BY random() LIMIT 20)"""
    while not stop.is_set():
        with suppress(psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected):
            connection.cursor().execute(edit)
    connection.close()

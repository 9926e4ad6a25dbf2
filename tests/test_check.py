"""`stogram check`: what it says of each state, before and after the migration."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.check import check
from stogram_sdk.command.existing import read_only
from tests.support.states import Databases, migrate_here, pw_migrate, stogram

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

AREAS = {
    "schema",
    "right to read",
    "encoding",
    "migration",
    "enum type",
    "table",
    "column",
    "primary key",
    "unique constraint",
    "index",
    "foreign key",
    "orphan rows",
    "duplicate rows",
    "values too long for an index",
    "triggers",
    "rows made from others",
    "settings",
    "times",
}


def report(url: str, code: int) -> Any:
    done = stogram(url, "check", "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def problems(found: Any, area: str) -> list[str]:
    return [problem["name"] for problem in found["problems"] if problem["area"] == area]


# For each state: what is wrong in it, by area.
BEFORE_MIGRATION: dict[str, dict[str, int]] = {
    "empty": {"enum type": 6, "table": 15, "unique constraint": 3, "index": 56, "foreign key": 22},
    "before": {"column": 7, "table": 7, "unique constraint": 3, "index": 33, "foreign key": 9},
    "filled": {"column": 7, "table": 7, "unique constraint": 3, "index": 33, "foreign key": 9},
    "half": {"table": 3, "index": 21, "foreign key": 9},
    "prisma": {"table": 3, "index": 21},
    "orphans": {"table": 3, "index": 21, "foreign key": 9, "orphan rows": 7},
    "later": {"table": 3, "index": 19},
}


@pytest.mark.parametrize("state", BEFORE_MIGRATION)
def test_before_the_migration(databases: Databases, name: str, state: str) -> None:
    databases.make(state, name)
    before = databases.dump(name)
    found = check(databases.server.url_of(name)).as_dict()
    assert found["pending_migrations"] == [
        "001_server_tables",
        "002_guide_features",
        "003_searches_and_lists",
    ]
    wrong = {area: counts["wrong"] for area, counts in found["looked_at"].items()}
    assert {area: number for area, number in wrong.items() if number} == {
        "migration": 3,
        "triggers": 1,
        "rows made from others": 2,
        "settings": 1,
        **BEFORE_MIGRATION[state],
    }
    assert found["stops_migration"] == (state == "orphans")
    assert databases.dump(name) == before
    assert databases.server.execute("SELECT to_regclass('migratehistory')", name) == [(None,)]


def test_what_stops_the_migration_is_said_with_the_remedy(databases: Databases, name: str) -> None:
    databases.orphans(name)
    text = stogram(databases.server.url_of(name), "check").stdout
    assert 'foreign key ChatSettings_userId_fkey: rows of "ChatSettings" whose "userId"' in text
    assert 'no "User": 2 (this stops the migration)' in text
    assert "to see them: SELECT child.*" in text
    assert "The migration would stop before anything is touched." in text


def test_rows_that_no_step_meets_are_wrong_and_stop_nothing(
    databases: Databases, name: str
) -> None:
    """A key of the server's own is not made again, so its orphans are in nobody's way."""
    databases.filled(name)
    databases.server.execute(
        """ALTER TABLE "Message" DROP CONSTRAINT "Message_senderId_fkey";
        UPDATE "Message" SET "senderId" = 'nobody' WHERE id = (SELECT min(id) FROM "Message")""",
        name,
    )
    url = databases.server.url_of(name)
    found = check(url).as_dict()
    assert problems(found, "orphan rows") == ["foreign key Message_senderId_fkey"]
    assert not found["stops_migration"]
    assert migrate_here(url)


def test_another_column_is_said_with_what_puts_it_right(databases: Databases, name: str) -> None:
    """A table that is there is not made again, so no script of a migration would do it."""
    databases.ours(name)
    url, folder = databases.server.url_of(name), 'ALTER TABLE "Folder" ALTER COLUMN'
    changes = "icon SET DEFAULT 'x'", "icon SET NOT NULL", '"order" DROP DEFAULT'
    databases.server.execute("; ".join(f"{folder} {change}" for change in changes), name)
    wrong = check(url).wrong
    assert [finding.name for finding in wrong] == ["column Folder.icon", "column Folder.order"]
    for finding in wrong:
        databases.server.execute(finding.remedy, name)
    assert check(url).is_right


def test_all_that_is_wrong_with_a_column_is_said_at_once(databases: Databases, name: str) -> None:
    databases.before(name)
    databases.server.execute('ALTER TABLE "Chat" ADD "isSecret" text', name)
    found = check(databases.server.url_of(name))
    wrong = [finding for finding in found.wrong if finding.name == "column Chat.isSecret"]
    assert [finding.what for finding in wrong] == [
        "is TEXT, and must be BOOLEAN",
        "may be NULL, and must not be",
    ]
    assert all(finding.stops_migration for finding in wrong)
    assert found.areas()["column"] == {"looked_at": 74, "wrong": 7}


def test_after_the_migration(database_url: str) -> None:
    migrate_here(database_url)
    found = report(database_url, 0)
    assert found["ok"]
    assert found["problems"] == found["pending_migrations"] == []
    on_sqlite = database_url.startswith("sqlite")
    assert set(found["looked_at"]) == AREAS - (
        {"schema", "enum type", "right to read", "encoding", "settings"} if on_sqlite else set()
    )
    assert found["looked_at"]["column"]["looked_at"] == 109
    assert "The database is what the models say." in stogram(database_url, "check").stdout


DAMAGE = {
    "times": (
        """INSERT INTO "User" (id, email, username, password, "updatedAt")
            VALUES ('u', 'e', 'n', 'p', now());
        INSERT INTO "Chat" (id, type, "updatedAt") VALUES ('c', 'GROUP', now());
        INSERT INTO "Message" (id, "senderId", "chatId", "createdAt", "updatedAt")
            VALUES ('m', 'u', 'c', '9999-12-31', now()),
                ('n', 'u', 'c', timezone('utc', now()), now())""",
        "times of messages",
        "1 are more than 60 s ahead of the clock",
    ),
    "table": ('DROP TABLE "Folder" CASCADE', "table Folder", "is missing"),
    "column": ('ALTER TABLE "Chat" DROP "isSecret"', "column Chat.isSecret", "is missing"),
    "column, its type": (
        'ALTER TABLE "Folder" ALTER "order" TYPE bigint',
        "column Folder.order",
        "is bigint, and must be INTEGER",
    ),
    "column, its default": (
        'ALTER TABLE "User" ALTER "showLastSeen" SET DEFAULT false',
        "column User.showLastSeen",
        "is BOOLEAN NOT NULL DEFAULT false, and must be BOOLEAN NOT NULL DEFAULT true",
    ),
    "column, its NULL": (
        'ALTER TABLE "Folder" ALTER name DROP NOT NULL',
        "column Folder.name",
        "is TEXT NULL, and must be TEXT NOT NULL",
    ),
    "enum type": (
        """ALTER TYPE "CallType" RENAME VALUE 'VIDEO' TO 'HOLOGRAM'""",
        "enum type CallType",
        "has no label 'VIDEO'",
    ),
    "primary key": (
        'ALTER TABLE "Reaction" DROP CONSTRAINT "Reaction_pkey"',
        "primary key Reaction_pkey",
        "is missing",
    ),
    "unique constraint": (
        'ALTER TABLE "BlockedUser" DROP CONSTRAINT "BlockedUser_userId_blockedId_key"',
        "unique constraint BlockedUser_userId_blockedId_key",
        "is missing",
    ),
    "index": ('DROP INDEX "Message_chatId_idx"', "index Message_chatId_idx", "is missing"),
    "index, its method": (
        """DROP INDEX "Message_hashtags_idx";
        CREATE INDEX "Message_hashtags_idx" ON "Message"(hashtags)""",
        "index Message_hashtags_idx",
        "is btree (hashtags), and must be gin (hashtags)",
    ),
    "index, invalid": (
        """UPDATE pg_index SET indisvalid = false
        WHERE indexrelid = '"Chat_isSecret_idx"'::regclass""",
        "index Chat_isSecret_idx",
        "is btree (isSecret), invalid, and must be btree (isSecret)",
    ),
    "foreign key": (
        'ALTER TABLE "Folder" DROP CONSTRAINT "Folder_userId_fkey"',
        "foreign key Folder_userId_fkey",
        "is missing",
    ),
    "foreign key, its validity": (
        """ALTER TABLE "Folder" DROP CONSTRAINT "Folder_userId_fkey";
        ALTER TABLE "Folder" ADD CONSTRAINT "Folder_userId_fkey" FOREIGN KEY ("userId")
            REFERENCES "User"(id) ON DELETE CASCADE ON UPDATE CASCADE NOT VALID""",
        "foreign key Folder_userId_fkey",
        "not validated, and must be userId to User",
    ),
    "foreign key, its action": (
        """ALTER TABLE "Call" DROP CONSTRAINT "Call_chatId_fkey";
        ALTER TABLE "Call" ADD CONSTRAINT "Call_chatId_fkey" FOREIGN KEY ("chatId")
            REFERENCES "Chat"(id) ON DELETE RESTRICT ON UPDATE CASCADE""",
        "foreign key Call_chatId_fkey",
        "ON DELETE RESTRICT",
    ),
    "orphan rows": (
        """ALTER TABLE "BlockedUser" DROP CONSTRAINT "BlockedUser_userId_fkey",
            DROP CONSTRAINT "BlockedUser_blockedId_fkey";
        INSERT INTO "BlockedUser" (id, "userId", "blockedId") VALUES ('b', 'x', 'y')""",
        "foreign key BlockedUser_userId_fkey",
        'rows of "BlockedUser" whose "userId" is no "User": 1',
    ),
    "values too long for an index": (
        """INSERT INTO "User" (id, email, username, password, "updatedAt")
            VALUES ('u', 'e', 'n', 'p', '2024-01-01');
        INSERT INTO "Chat" (id, type, "updatedAt") VALUES ('c', 'GROUP', '2024-01-01');
        DROP INDEX "Message_hashtags_idx";
        INSERT INTO "Message" (id, "senderId", "chatId", "updatedAt", hashtags)
            VALUES ('m', 'u', 'c', '2024-01-01', ARRAY[repeat('x', 2701)])""",
        "index Message_hashtags_idx",
        'have a value in "hashtags" of more than 2700 bytes',
    ),
    "duplicate rows": (
        """ALTER TABLE "BlockedUser" DROP CONSTRAINT "BlockedUser_userId_blockedId_key";
        INSERT INTO "User" (id, email, username, password, "updatedAt")
            VALUES ('u', 'e', 'n', 'p', '2024-01-01');
        INSERT INTO "BlockedUser" (id, "userId", "blockedId")
            VALUES ('1', 'u', 'u'), ('2', 'u', 'u')""",
        "unique constraint BlockedUser_userId_blockedId_key",
        'have the same "userId", "blockedId" as another: 1',
    ),
    "rows made from others": (
        'DELETE FROM "UnreadSince"',
        "moment of the migration",
        "is missing",
    ),
    "settings": (
        'ALTER TABLE "Message" ALTER COLUMN "chatId" RESET (n_distinct)',
        "estimate of the messages of a chat",
        "is missing",
    ),
    "migration": (
        "DELETE FROM migratehistory WHERE name LIKE '002%'",
        "002_guide_features",
        "is pending",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_of_each_kind_is_found(
    databases: Databases, migrated_postgres: str, damage: str
) -> None:
    sql, what, expected = DAMAGE[damage]
    template = migrated_postgres.split("?")[0].rsplit("/", 1)[1]
    with databases.server.database(template) as name:
        assert check(databases.server.url_of(name)).is_right
        databases.strictly(name, sql)
        found = check(databases.server.url_of(name)).as_dict()
    area = damage.split(",")[0]
    (problem,) = [
        problem
        for problem in found["problems"]
        if (problem["area"], problem["name"]) == (area, what)
    ]
    assert expected in problem["what"]
    assert problem["remedy"]


def test_what_the_sql_of_a_migration_can_repair_it_does(
    databases: Databases, migrated_postgres: str
) -> None:
    template = migrated_postgres.split("?")[0].rsplit("/", 1)[1]
    with databases.server.database(template) as name:
        url = databases.server.url_of(name)
        databases.strictly(name, 'DROP INDEX "Chat_isSecret_idx"; DROP TABLE "PinnedMessage"')
        found = report(url, 1)
        assert all("`stogram sql 002" in problem["remedy"] for problem in found["problems"])
        databases.strictly(name, stogram(url, "sql", "002").stdout)
        assert report(url, 0)["ok"]


def test_orphans_in_a_sqlite_file_are_found(sqlite_url: str) -> None:
    migrate_here(sqlite_url)
    file = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    file.execute("""INSERT INTO "BlockedUser" (id, "userId", "blockedId") VALUES ('b', 'x', 'y')""")
    file.commit()
    file.close()
    found = report(sqlite_url, 1)
    assert problems(found, "orphan rows") == [
        "foreign key BlockedUser_userId_fkey",
        "foreign key BlockedUser_blockedId_fkey",
    ]


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = stogram(f"sqlite:///{tmp_path}/none.db", "check")
    assert done.returncode == 1
    assert "there is no file" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_sqlite_file_is_not_changed(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    sqlite3.connect(path).execute("CREATE TABLE other (id)").connection.close()
    before = path.read_bytes()
    assert stogram(sqlite_url, "check").returncode == 1
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_its_connection_cannot_write(database_url: str) -> None:
    migrate_here(database_url)
    with (
        pytest.raises(sdk.StogramError, match=r"25006|read-only"),
        read_only(database_url) as (database, schema),
    ):
        database.execute_sql(f"DELETE FROM {schema.quoted('User')}")


def test_an_error_is_one_line() -> None:
    done = stogram("postgresql://u:s3cr3t@/x?host=/nowhere", "check")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert "s3cr3t" not in done.stderr


def test_migrations_prints_a_directory_that_pw_migrate_takes(database_url: str) -> None:
    directory = stogram(database_url, "migrations").stdout.strip()
    assert {"conf.py", "001_server_tables.py"} <= {file.name for file in Path(directory).iterdir()}
    assert pw_migrate(database_url, "migrate", "--directory", directory).returncode == 0


def test_what_the_server_has_lost_is_made_again_by_the_sql_that_is_named(
    databases: Databases, name: str
) -> None:
    """The orphans of a key that no migration makes any more are not told to be migrated."""
    databases.ours(name)
    url = databases.server.url_of(name)
    key = "foreign key Message_senderId_fkey"
    databases.server.execute(
        """ALTER TABLE "Message" DROP CONSTRAINT "Message_senderId_fkey";
        INSERT INTO "Chat" (id, type, "updatedAt") VALUES ('c', 'GROUP', now());
        INSERT INTO "Message" (id, "chatId", "senderId", "updatedAt")
            VALUES ('m', 'c', 'nobody', now())""",
        name,
    )
    remedies = {finding.remedy for finding in check(url).wrong if finding.name == key}
    assert remedies and not any("migrate" in remedy for remedy in remedies)
    script = stogram(url, "sql", "001").stdout
    said = databases.psql(name, script, "-v", "ON_ERROR_STOP=1").stderr
    assert 'whose "senderId" is no "User": 1' in said
    databases.server.execute("""DELETE FROM "Message" WHERE id = 'm'""", name)
    (finding,) = check(url).wrong
    assert "`stogram sql 001_server_tables`" in finding.remedy
    databases.strictly(name, script)
    assert check(url).is_right


def test_a_schema_that_is_not_there_is_said(databases: Databases, name: str) -> None:
    url = databases.server.url_of(name, schema="pubic")
    (finding, *_) = [each for each in check(url).wrong if "schema" in each.name]
    assert (finding.name, finding.what) == ("schema pubic", "is not there")
    assert "?schema=" in finding.remedy and not finding.stops_migration


def test_that_nothing_is_in_the_way_is_said(databases: Databases, name: str) -> None:
    databases.filled(name)
    text = stogram(databases.server.url_of(name), "check").stdout
    assert text.endswith("Nothing stands in the way of `stogram migrate`.\n")


def test_now_is_the_current_timestamp(databases: Databases, name: str) -> None:
    databases.ours(name)
    databases.server.execute('ALTER TABLE "Chat" ALTER "createdAt" SET DEFAULT now()', name)
    assert check(databases.server.url_of(name)).is_right

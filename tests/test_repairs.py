"""What keeps "MessageTag" is found if it is not as the package makes it, and `migrate` mends it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.check import check
from stogram_sdk.database import db, session
from stogram_sdk.models import MessageTag
from stogram_sdk.schema import postgres
from tests.support.postgres import PostgresServer
from tests.support.states import migrate_here, pw_migrate, stogram

#: Databases of their own.
pytestmark = pytest.mark.slow

ON_POSTGRES = {
    "a body is replaced": """CREATE OR REPLACE FUNCTION stogram_keep_message_tags() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        SET enable_seqscan = off AS 'BEGIN RETURN NULL; END'""",
    "a body that makes the rows is replaced": """CREATE OR REPLACE FUNCTION
        stogram_tag_key(tag text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS 'SELECT reverse(tag)'""",
    "a body that only raises": """CREATE OR REPLACE FUNCTION
        stogram_message_tags(message "Message") RETURNS SETOF "MessageTag" LANGUAGE plpgsql STABLE
        ROWS 2 AS 'BEGIN RAISE EXCEPTION ''no''; END'""",
    "a function is dropped": "DROP FUNCTION stogram_keep_message_tags() CASCADE",
    "a function of the functions is dropped": "DROP FUNCTION stogram_tag_key(text)",
    "not with the owner's rights": "ALTER FUNCTION stogram_keep_message_tags() SECURITY INVOKER",
    "without its settings": "ALTER FUNCTION stogram_keep_message_tags() RESET search_path",
    "any role may use it": "GRANT EXECUTE ON FUNCTION stogram_keep_message_tags() TO PUBLIC",
    "a trigger is dropped": 'DROP TRIGGER "Message_tags_update" ON "Message"',
    "a trigger is disabled": 'ALTER TABLE "Message" DISABLE TRIGGER "Message_tags_insert"',
    "a trigger fires in a replica alone": """ALTER TABLE "Message"
        ENABLE REPLICA TRIGGER "Message_tags_insert\"""",
    "a trigger looks at other rows": """DROP TRIGGER "Message_tags_insert" ON "Message";
        CREATE TRIGGER "Message_tags_insert" AFTER INSERT ON "Message" FOR EACH ROW
        WHEN (NEW.hashtags IS NULL) EXECUTE FUNCTION stogram_keep_message_tags()""",
}
ON_SQLITE = {
    "a trigger is dropped": 'DROP TRIGGER "Message_tags_delete"',
    "a trigger does something else": """DROP TRIGGER "Message_tags_insert";
        CREATE TRIGGER "Message_tags_insert" AFTER INSERT ON "Message" BEGIN SELECT 1; END""",
}
ON_BOTH = {
    "nothing is listed": 'DELETE FROM "MessageTag"',
    "nothing is listed, though it says so": """DELETE FROM "MessageTag" WHERE tag <> ''""",
    "what no message has is listed": """INSERT INTO "MessageTag"
        VALUES ('#stale', 'c', '2020-01-01 00:00:00', 'gone')""",
}
EVERY_DAMAGE = [
    *(("postgresql", damage, sql) for damage, sql in (ON_POSTGRES | ON_BOTH).items()),
    *(("sqlite", damage, sql) for damage, sql in (ON_SQLITE | ON_BOTH).items()),
]


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database with one tagged message, on the engine that is asked for."""
    if request.param == "sqlite":
        new = f"sqlite:///{tmp_path}/stogram.db"
        yield from _with_a_message(new)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as name:
        yield from _with_a_message(server.url_of(name))


def _with_a_message(url: str) -> Iterator[str]:
    migrate_here(url)
    sdk.connect(url)
    ann = sdk.create_user("ann@example.com", "ann", password_hash="x")
    chat = sdk.create_chat(ann.id, sdk.ChatType.GROUP, name="all")
    sdk.send_message(ann.id, chat.id, "#One #two")
    sdk.close()
    yield url


def damaged(url: str, sql: str, *, sent: bool = True) -> None:
    """Do the damage, as another program; then somebody writes a message, if that works at all."""
    message = """INSERT INTO "Message"
            (id, "senderId", "chatId", "createdAt", "updatedAt", hashtags)
        SELECT 'later', u.id, c.id, u."updatedAt", u."updatedAt", {}
        FROM "User" AS u, "Chat" AS c"""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        file.executescript(sql)
        file.execute(message.format("""'["three"]'"""))
        file.commit()
        file.close()
        return
    sdk.connect(url)
    with session():
        db.execute_sql(sql)
    try:
        with session():
            db.execute_sql(message.format("ARRAY['three']"))
    except sdk.DatabaseError:
        assert "RAISE" in sql or "stogram_tag_key" in sql
    sdk.close()


def wrong_with_tags(url: str) -> list[tuple[str, str]]:
    """What check finds wrong of triggers and rows, each with its remedy; nothing else is."""
    wrong = check(url).wrong
    assert {finding.area for finding in wrong} <= {"triggers", "rows made from others"}
    return [(finding.name, finding.remedy) for finding in wrong]


def listed(url: str) -> list[str]:
    sdk.connect(url)
    with session():
        rows = sorted(row.tag for row in MessageTag.select().where(MessageTag.tag != ""))
    sdk.close()
    return rows


def stored(url: str) -> list[str]:
    sdk.connect(url)
    with session():
        tags = sorted(f"#{tag.lower()}" for m in sdk.Message.select() for tag in m.hashtags)
    sdk.close()
    return tags


@pytest.mark.parametrize(
    ("url", "damage", "sql"), EVERY_DAMAGE, indirect=["url"], ids=lambda value: str(value)[:40]
)
def test_damage_is_found_and_mended(url: str, damage: str, sql: str) -> None:
    assert wrong_with_tags(url) == []
    damaged(url, sql)
    found = wrong_with_tags(url)
    assert found
    assert all("`stogram migrate`" in remedy for _, remedy in found)
    assert migrate_here(url) == []  # no migration was pending
    assert wrong_with_tags(url) == []
    assert listed(url) == stored(url)


@pytest.mark.parametrize("url", ["postgresql", "sqlite"], indirect=True)
def test_the_command_says_what_it_mends(url: str) -> None:
    trigger = '"Message_tags_insert"'
    on = "" if url.startswith("sqlite") else ' ON "Message"'
    damaged(url, f"DROP TRIGGER {trigger}{on}")
    refused = stogram(url, "check")
    assert refused.returncode == 1
    assert "Message_tags_insert" in refused.stdout
    done = stogram(url, "migrate")
    *steps, end = done.stdout.splitlines()
    assert steps == ["    triggers that keep MessageTag", "    rows of MessageTag"]
    assert end.startswith("no migration was pending; 2 steps of earlier ones were done anew, in ")
    assert stogram(url, "check").returncode == 0
    assert "nothing to do" in stogram(url, "migrate").stdout


MADE = {
    "postgresql": """SELECT oid::text, xmin::text FROM pg_proc WHERE proname ~ '^stogram_'
        UNION ALL SELECT oid::text, xmin::text FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT tag, xmin::text FROM "MessageTag" ORDER BY 1, 2""",
    "sqlite": """SELECT rootpage, sql FROM sqlite_master UNION ALL
        SELECT rowid, tag FROM "MessageTag" ORDER BY 1, 2""",
}


@pytest.mark.parametrize("url", ["postgresql", "sqlite"], indirect=True)
def test_nothing_is_rewritten_when_nothing_differs(url: str) -> None:
    def made() -> Any:
        sdk.connect(url)
        with session():
            rows = db.execute_sql(MADE[db.obj.dialect.name]).fetchall()
        sdk.close()
        return rows

    before = made()
    assert len(before) > 4
    migrate_here(url)
    assert stogram(url, "migrate").returncode == 0
    assert made() == before


def release_with_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later version of this package would ship: a tag is kept without its vowels."""
    files = postgres._file
    monkeypatch.setattr(
        postgres,
        "_file",
        lambda name: files(name).replace(
            'pg_catalog."left"(@folded, 256)',
            "pg_catalog.translate(pg_catalog.\"left\"(@folded, 256), 'aeiou', '')",
        ),
    )


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_function_of_a_later_version_comes_with_migrate(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_with_a_change(monkeypatch)
    assert [name for name, _ in wrong_with_tags(url)] == ["triggers that keep MessageTag"]
    assert migrate_here(url) == []
    assert wrong_with_tags(url) == []
    assert listed(url) == ["#n", "#tw"]
    monkeypatch.undo()
    assert migrate_here(url) == []
    assert listed(url) == ["#one", "#two"]


@pytest.mark.parametrize("url", ["postgresql", "sqlite"], indirect=True)
def test_the_stock_command_mends_with_the_next_migration(url: str) -> None:
    """Where none is pending it does nothing at all; as the documents say."""
    trigger = '"Message_tags_insert"'
    on = "" if url.startswith("sqlite") else ' ON "Message"'
    damaged(url, f"DROP TRIGGER {trigger}{on}")
    assert pw_migrate(url, "migrate").returncode == 0
    assert wrong_with_tags(url)
    sdk.connect(url)
    with session():
        db.execute_sql("DELETE FROM migratehistory WHERE substr(name, 1, 3) = '002'")
    sdk.close()
    assert pw_migrate(url, "migrate").returncode == 0
    assert wrong_with_tags(url) == []
    assert listed(url) == ["#one", "#three", "#two"]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_so_does_the_sql_of_the_migration(url: str, postgres_server: PostgresServer) -> None:
    from tests.support.states import Databases

    for damage in ("a body is replaced", "a trigger is dropped"):
        damaged(url, ON_POSTGRES[damage] + """; DELETE FROM "Message" WHERE id = 'later'""")
        name = url.split("?")[0].rsplit("/", 1)[1]
        Databases(postgres_server).strictly(name, stogram(url, "sql", "003").stdout)
        assert wrong_with_tags(url) == []
        assert listed(url) == ["#one", "#three", "#two"]

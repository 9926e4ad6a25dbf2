"""The index for `search_messages`: the operator makes and drops it, and every search uses it.

No migration makes it: it costs every write, and PostgreSQL must have the extension pg_trgm. It
holds the trigrams of texts and file names: any three characters in a row. On PostgreSQL it is a GIN
index. On SQLite it is a table of FTS5 that keeps no text, beside a table of the messages' numbers:
VACUUM changes their rowids, but not these. Both find too many messages, never too few: a search
looks at each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peewee

from stogram_sdk.command.existing import at_its_turn
from stogram_sdk.engine.dialects import ODD_CHARACTERS, SEARCH_INDEXES
from stogram_sdk.engine.failures import sqlstate_of
from stogram_sdk.engine.sqlite_triggers import trigger_head
from stogram_sdk.errors import MigrationError
from stogram_sdk.schema.objects import Catalog
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.online import run_online
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.steps import StepSql


def make_search_index(url: str | None = None) -> bool:
    """Make the index beside a live server; returns whether it had to be made.

    It can be stopped at any time and run again. Raises `MigrationError` if the database cannot
    have the index, with the reason.
    """
    return _carried_out(url, _make_on_postgres, _make_on_sqlite)


def drop_search_index(url: str | None = None) -> bool:
    """Drop the index beside a live server; returns whether it was there. pg_trgm stays."""
    return _carried_out(url, _drop_on_postgres, _drop_on_sqlite)


def parts_of_search_index(schema: Schema, catalog: Catalog) -> dict[str, str]:
    """Its parts, each with its fault: is missing, is invalid, or none."""
    if isinstance(schema, PostgresSchema):
        indexes = {name: catalog.indexes.get(name) for name in SEARCH_INDEXES}
        return {
            name: "is missing" if index is None else "" if index.valid else "is invalid"
            for name, index in indexes.items()
        }
    there = catalog.tables.keys() | catalog.triggers.keys()
    return {name: "" if name in there else "is missing" for name in _SQLITE_PARTS}


def _carried_out(
    url: str | None,
    on_postgres: Callable[[Any, PostgresSchema], bool],
    on_sqlite: Callable[[Any, dict[str, str]], bool],
) -> bool:
    with at_its_turn(url) as (database, schema):
        catalog = schema.catalog(database)
        if "Message" not in catalog.tables:
            raise MigrationError('there is no table "Message": run `stogram migrate` first')
        if isinstance(schema, PostgresSchema):
            return on_postgres(database, schema)
        with database.atomic():
            return on_sqlite(database, parts_of_search_index(schema, catalog))


# --- PostgreSQL ---

_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
_EXTENSION = """
SELECT (SELECT quote_ident(n.nspname) FROM pg_extension AS e
        JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'),
    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')
"""


def _make_on_postgres(database: Any, schema: PostgresSchema) -> bool:
    contents = postgres_indexes(f"{_extension(database)}.gin_trgm_ops")
    # Not `all(...)` of a generator: each is made.
    return any([_made(database, schema, name, what) for name, what in contents.items()])


def postgres_indexes(operators: str) -> dict[str, str]:
    """What stands behind `ON "Message"` for each of its indexes."""
    usual, odd = SEARCH_INDEXES
    text = """(coalesce(content, '') || coalesce("fileName", ''))"""
    # fastupdate: its list of new rows, which are not in the index yet, would slow searches down.
    return {
        usual: f'USING gin (content {operators}, "fileName" {operators}) WITH (fastupdate = off)',
        odd: f"(\"chatId\") WHERE {text} ~ '{ODD_CHARACTERS}'",
    }


def _made(database: Any, schema: PostgresSchema, name: str, contents: str) -> bool:
    """Whether the index had to be made, or made again after a build that was broken off."""
    quoted = schema.quoted(name)
    is_valid = database.execute_sql(_IS_VALID, (quoted,)).fetchone()
    if is_valid == (True,):
        return False
    _run(database, schema, f"DROP INDEX CONCURRENTLY IF EXISTS {quoted}")
    table = schema.quoted("Message")
    _run(database, schema, f'CREATE INDEX CONCURRENTLY "{name}" ON {table} {contents}')
    return True


def _drop_on_postgres(database: Any, schema: PostgresSchema) -> bool:
    names = [schema.quoted(name) for name in SEARCH_INDEXES]
    there = [name for name in names if database.execute_sql(_IS_VALID, (name,)).fetchone()]
    for name in there:
        _run(database, schema, f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    return bool(there)


def _run(database: Any, schema: PostgresSchema, sql: str) -> None:
    run_online(database, StepSql(sql, brief=False), schema.quoted("Message"))


def _extension(database: Any) -> str:
    """The schema of the extension pg_trgm, which is made if need be."""
    (home, is_available) = database.execute_sql(_EXTENSION).fetchone()
    if home is None:
        if not is_available:
            raise MigrationError(
                "this server does not have the extension pg_trgm: install it (on Debian it comes "
                "with postgresql, elsewhere often as postgresql-contrib). Searches do without"
            )
        try:
            with database.atomic():
                # Its place is where the session makes what is not named with a schema.
                database.execute_sql("SET LOCAL search_path TO DEFAULT")
                database.execute_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except peewee.PeeweeException as error:
            if sqlstate_of(error) != "42501":
                raise
            raise MigrationError(
                "this role may not make the extension: let the owner of the database "
                "CREATE EXTENSION pg_trgm, then run it again"
            ) from error
        (home, _) = database.execute_sql(_EXTENSION).fetchone()
    return str(home)


# --- SQLite ---


def _make_on_sqlite(database: Any, parts: dict[str, str]) -> bool:
    if not any(parts.values()):
        return False
    forgets = [_SQLITE_FORGETS] if database.server_version >= (3, 42) else []
    try:
        for sql in (*_SQLITE_DROP, *_SQLITE_TABLES, *forgets, *_SQLITE_CONTENTS):
            database.execute_sql(sql)
    except peewee.OperationalError as error:
        if "no such module: fts5" in str(error) or "no such tokenizer: trigram" in str(error):
            raise MigrationError("this SQLite was built without FTS5 and its trigrams") from error
        raise
    return True


def _drop_on_sqlite(database: Any, parts: dict[str, str]) -> bool:
    for sql in _SQLITE_DROP:
        database.execute_sql(sql)
    return not all(parts.values())


def _text(row: str) -> str:
    return f"""coalesce({row}.content, '') || char(10) || coalesce({row}."fileName", '')"""


_NUMBER = """SELECT number FROM "MessageText" WHERE "messageId" ="""
_ADD = f"""
    INSERT INTO "MessageText" ("messageId") VALUES (NEW.id);
    INSERT INTO "MessageTrigram" (rowid, text) VALUES (({_NUMBER} NEW.id), {_text("NEW")});
"""
_REMOVE = f"""
    INSERT INTO "MessageTrigram" ("MessageTrigram", rowid, text)
    VALUES ('delete', ({_NUMBER} OLD.id), {_text("OLD")});
    DELETE FROM "MessageText" WHERE "messageId" = OLD.id;
"""
_TRIGGERS = {
    "insert": ("AFTER INSERT", _ADD),
    "update": ('AFTER UPDATE OF id, content, "fileName"', _REMOVE + _ADD),
    "delete": ("AFTER DELETE", _REMOVE),
}
_SQLITE_PARTS = (
    "MessageText",
    "MessageTrigram",
    *(f"Message_search_{name}" for name in _TRIGGERS),
)
_SQLITE_TABLES = (
    'CREATE TABLE "MessageText" (number INTEGER PRIMARY KEY, "messageId" TEXT NOT NULL UNIQUE)',
    'CREATE VIRTUAL TABLE "MessageTrigram" USING '
    "fts5(text, content='', columnsize=0, detail=none, tokenize='trigram')",
)
# Otherwise the trigrams of a deleted text stay there until they are merged with others.
_SQLITE_FORGETS = """INSERT INTO "MessageTrigram" ("MessageTrigram", rank)
    VALUES ('secure-delete', 1)"""
_SQLITE_CONTENTS = (
    'INSERT INTO "MessageText" ("messageId") SELECT id FROM "Message" ORDER BY "createdAt"',
    f"""INSERT INTO "MessageTrigram" (rowid, text) SELECT number, {_text("message")}
    FROM "MessageText" JOIN "Message" AS message ON id = "messageId" ORDER BY number""",
    *(
        f"{trigger_head(f'Message_search_{name}', event, 'Message')} BEGIN{body}END"
        for name, (event, body) in _TRIGGERS.items()
    ),
)
_SQLITE_DROP = (
    *(f'DROP TRIGGER IF EXISTS "Message_search_{name}"' for name in _TRIGGERS),
    'DROP TABLE IF EXISTS "MessageTrigram"',
    'DROP TABLE IF EXISTS "MessageText"',
)

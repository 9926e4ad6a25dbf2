"""A database that is there: to look at without changing it, or to change at its turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee

from stogram_sdk.database import open_database
from stogram_sdk.engine.database_url import DatabaseSettings
from stogram_sdk.engine.failures import translated_errors
from stogram_sdk.errors import Unavailable
from stogram_sdk.schema.migration import HISTORY, schema_of
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.postgres import SAFE_PATH, PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema
from stogram_sdk.schema.turns import home_of, turn


def open_existing(url: str | None) -> tuple[Any, DatabaseSettings]:
    """The database that the URL names, for statements without a limit of time.

    Raises `Unavailable` if it is a file that is not there: SQLite would make it.
    """
    database, settings = open_database(url, statement_timeout=0)
    if settings.engine == "sqlite" and not Path(settings.database).is_file():
        raise Unavailable(f"there is no file {settings.database}: run `stogram migrate` first")
    return database, settings


def schema_by_name(database: Any, settings: DatabaseSettings) -> Schema:
    """The schema of the tables; every transaction from now on finds no name of others.

    The path is that of the transaction, not of the session: PgBouncer may lend that to others.
    """
    if settings.engine == "sqlite":
        return SqliteSchema()
    database.begin_with(f"SET LOCAL search_path = {SAFE_PATH}")
    return PostgresSchema(home_of(database.connection(), settings.schema_name))


@contextmanager
def connected(database: Any) -> Iterator[None]:
    """A connection for as long as the context lasts, without a limit of time for a statement.

    Errors inside are raised as a `StogramError`.
    """
    try:
        with translated_errors(), database.connection_context(), database.limited_to(0):
            yield
    finally:
        database.close_all()


@contextmanager
def read_only(url: str | None) -> Iterator[tuple[Any, Schema]]:
    """A connection that cannot write, and its schema: not even SQLite's journal mode is changed.

    Errors inside are raised as a `StogramError`.
    """
    database, settings = open_existing(url)
    if settings.engine == "sqlite":
        path = Path(settings.database).resolve()
        # Readers share a file beside it, which they could not make on a read-only disk. What nobody
        # can write needs none.
        is_frozen = not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()
        options = "immutable=1" if is_frozen else "mode=ro"
        database = peewee.SqliteDatabase(f"{path.as_uri()}?{options}", uri=True)
        with translated_errors(), database.connection_context():
            yield database, SqliteSchema()
        return
    with connected(database):
        schema = schema_by_name(database, settings)
        with database.atomic():
            database.execute_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            database.execute_sql("SET LOCAL statement_timeout = 0")  # the role may have one
            yield database, schema


@contextmanager
def at_its_turn(url: str | None) -> Iterator[tuple[Any, Schema]]:
    """A connection that changes the database while no other command does, and its schema."""
    database, settings = open_existing(url)
    with connected(database), turn(database, settings.schema_name) as home:
        yield database, schema_of(database, home)


def applied_migrations(database: Any, schema: Schema) -> list[str]:
    """What the table of the history names, in the order in which it was done."""
    rows = database.execute_sql(f"SELECT name FROM {schema.quoted(HISTORY)} ORDER BY id")
    return [name for (name,) in rows.fetchall()]

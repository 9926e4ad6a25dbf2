"""`migrate()`: what `pw_migrate migrate` does, for programs; and what its `conf.py` needs."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stogram_sdk.database import (
    PostgresDatabase,
    SqliteDatabase,
    current_database,
    session,
)
from stogram_sdk.errors import MigrationError

if TYPE_CHECKING:
    from pathlib import Path


def migrate() -> list[str]:
    """Apply the shipped migrations to the connected database, as `pw_migrate migrate` does.

    Returns the names of those that were applied, in order; none if there was nothing to do.
    Raises `MigrationError`, before anything is touched, if the schema is not one that they can
    start from, if another run is at work for longer than 30 s (`STOGRAM_MIGRATE_LOCK_TIMEOUT`), or
    inside a transaction; `Unavailable` if the database cannot be reached.
    """
    from peewee_migrate import Router

    from stogram_sdk.models import User

    database = current_database()
    if database.in_transaction():
        raise MigrationError("migrate() cannot run inside a transaction")
    schema = User._meta.schema
    with session(statement_timeout=0), turn(database, schema):
        router = Router(
            database, migrate_dir=migrations_directory(), schema=schema, logger=_silent()
        )
        done: list[str] = list(router.run())
        if isinstance(database, SqliteDatabase):
            connection: Any = database.connection()  # type: ignore[no-untyped-call]
            database.keep_tags(connection)
        return done


def migrations_directory() -> Path:
    """Where the shipped migrations are: inside the package, in a checkout beside it."""
    from pathlib import Path

    package = Path(__file__).resolve().parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def database_to_migrate() -> tuple[Any, str | None]:
    """The database that `connect()` would open, and its schema, for `pw_migrate`.

    Its first connection waits for its turn. Raises `InvalidInput` for a URL that cannot be right.
    """
    from stogram_sdk.database_url import read_database_url

    settings = read_database_url(statement_timeout=0)  # an index may take hours
    if settings.engine == "sqlite":
        return _SqliteToMigrate(settings), None
    database = _PostgresToMigrate(settings)
    database.schema_to_migrate = settings.schema
    return database, settings.schema


class _PostgresToMigrate(PostgresDatabase):
    schema_to_migrate: str | None = None

    def _connect(self) -> Any:
        from stogram_sdk.schema.turns import take_turn

        connection = super()._connect()
        connection.time_limit = math.inf
        connection.is_pinned = True
        take_turn(connection, self.schema_to_migrate)
        _create_schema(connection, self.schema_to_migrate)
        return connection


class _SqliteToMigrate(SqliteDatabase):
    _file_turn: Any = None

    def _connect(self) -> Any:
        from stogram_sdk.schema.turns import take_file_turn

        if self._file_turn is None and self.database != ":memory:":
            self._file_turn = take_file_turn(self.database)
        return super()._connect()

    def keep_tags(self, connection: Any) -> None:
        """Nothing: no trigger may stand in the way of a change of the tables."""


@contextmanager
def turn(database: Any, schema: str | None) -> Iterator[None]:
    from stogram_sdk.schema.turns import end_turn, take_file_turn, take_turn

    if database.dialect.name == "postgresql":
        with database.pinned() as connection:
            take_turn(connection, schema)
            try:
                _create_schema(connection, schema)
                yield
            finally:
                end_turn(connection, schema)
    elif database.database == ":memory:":
        yield
    else:
        lock = take_file_turn(database.database)
        try:
            yield
        finally:
            lock.close()


def _create_schema(connection: Any, schema: str | None) -> None:
    """Make the schema that the URL names, as the server's own migrations would."""
    if schema is None:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,))
        if cursor.fetchone() is None:
            cursor.execute(f'CREATE SCHEMA "{schema}"')


def _silent() -> logging.Logger:
    """A logger for the router, whose errors also leave it as exceptions."""
    return logging.Logger("stogram_sdk.migrating", logging.CRITICAL + 1)

"""The database that is migrated: it waits for its turn. `migrations/conf.py` gives it to the stock
`pw_migrate`, which it then ends with one message in place of tracebacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stogram_sdk.engine.database_url import DatabaseSettings, read_database_url
from stogram_sdk.engine.failures import translated_errors
from stogram_sdk.engine.postgres import PostgresDatabase
from stogram_sdk.engine.sqlite import SqliteDatabase
from stogram_sdk.errors import StogramError
from stogram_sdk.schema.turns import home_of, set_up, take_file_turn, take_turn


def database_to_migrate() -> Any:
    """The database that `connect()` would open.

    Its first connection waits for its turn, and then knows the schema of the tables. Raises
    `InvalidInput` for a URL that cannot be right.
    """
    settings = _settings()
    if settings.engine == "sqlite":
        return _SqliteToMigrate(settings)
    return _PostgresToMigrate(settings)


def database_of_pw_migrate(*, is_ours: bool = False) -> tuple[Any, str | None]:
    """The same for the stock command, and its schema: an error ends the process with its message.

    `is_ours`: it is for the migrations of this package, which name the schema everywhere. Those of
    an application find its tables by the path of the session.
    """
    with _ended_by_errors():
        settings = _settings()
    if settings.engine == "sqlite":
        return _SqliteOfPwMigrate(settings), None
    database = _PostgresOfPwMigrate(settings)
    database.connect()  # to know the schema
    if not is_ours:
        database.execute_sql("RESET search_path")
    return database, database.schema_name


def _settings() -> DatabaseSettings:
    return read_database_url(statement_timeout=0)  # an index may take hours


class _PostgresToMigrate(PostgresDatabase):
    def _connect(self) -> Any:
        connection = super()._connect()
        connection.time_limit = math.inf
        connection.is_pinned = True
        self.schema_name = home_of(connection, self.schema_name)
        set_up(connection)
        take_turn(connection, self.schema_name)
        return connection


class _SqliteToMigrate(SqliteDatabase):
    _file_turn: Any = None

    def _connect(self) -> Any:
        if self._file_turn is None and self.database != ":memory:":
            self._file_turn = take_file_turn(self.database)
        return super()._connect()

    def make_triggers(self, connection: Any) -> bool:
        """None: no trigger may stand in the way of a change of the tables."""
        return True

    def close_all(self) -> None:
        super().close_all()
        if self._file_turn is not None:
            self._file_turn.close()


@contextmanager
def _ended_by_errors() -> Iterator[None]:
    """SystemExit is no `Exception`: the router does not log it, and Python prints its text."""
    try:
        with translated_errors():
            yield
    except StogramError as error:
        raise SystemExit(f"Error: {error}") from None


class _EndedByErrors:
    """Where the router opens a connection, begins a migration or asks for its history."""

    _is_migrating = False

    def connect(self, reuse_if_open: bool = False) -> Any:
        with _ended_by_errors():
            return super().connect(reuse_if_open)  # type: ignore[misc]  # Peewee's

    def connection(self) -> Any:
        # The process ends with the router: nobody waits for its connection.
        self.connect(reuse_if_open=True)
        return super().connection()  # type: ignore[misc]  # Peewee's

    def execute(self, query: Any, **options: Any) -> Any:
        if self._is_migrating:
            return super().execute(query, **options)  # type: ignore[misc]  # Peewee's
        with _ended_by_errors():
            return super().execute(query, **options)  # type: ignore[misc]  # Peewee's

    @contextmanager
    def transaction(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """The outermost one is the router's; inside it, a migration may try again after errors."""
        inner = super().transaction(*arguments, **options)  # type: ignore[misc]  # Peewee's
        if self._is_migrating:
            with inner as transaction:
                yield transaction
            return
        self._is_migrating = True
        try:
            with _ended_by_errors(), inner as transaction:
                yield transaction
        finally:
            self._is_migrating = False


class _PostgresOfPwMigrate(_EndedByErrors, _PostgresToMigrate):  # type: ignore[misc]  # stubs
    pass


class _SqliteOfPwMigrate(_EndedByErrors, _SqliteToMigrate):  # type: ignore[misc]  # stubs
    pass

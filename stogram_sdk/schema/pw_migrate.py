"""The database that `migrations/conf.py` gives to the stock `pw_migrate`: it waits for its turn."""

from __future__ import annotations

import math
from typing import Any

from stogram_sdk.engine.database_url import read_database_url
from stogram_sdk.engine.postgres import PostgresDatabase
from stogram_sdk.engine.sqlite import SqliteDatabase
from stogram_sdk.schema.turns import create_schema, take_file_turn, take_turn


def database_to_migrate() -> tuple[Any, str | None]:
    """The database that `connect()` would open, and its schema.

    Its first connection waits for its turn. Raises `InvalidInput` for a URL that cannot be right.
    """
    settings = read_database_url(statement_timeout=0)  # an index may take hours
    if settings.engine == "sqlite":
        return _SqliteToMigrate(settings), None
    return _PostgresToMigrate(settings), settings.schema_name


class _PostgresToMigrate(PostgresDatabase):
    def _connect(self) -> Any:
        connection = super()._connect()
        connection.time_limit = math.inf
        connection.is_pinned = True
        take_turn(connection, self.schema_name)
        create_schema(connection, self.schema_name)
        return connection


class _SqliteToMigrate(SqliteDatabase):
    _file_turn: Any = None

    def _connect(self) -> Any:
        if self._file_turn is None and self.database != ":memory:":
            self._file_turn = take_file_turn(self.database)
        return super()._connect()

    def keep_tags(self, connection: Any) -> None:
        """Nothing: no trigger may stand in the way of a change of the tables."""

"""The limit: psycopg2 with the same SQL by hand, and dataclasses made of the rows.

A call of the SDK is recorded once, with what it sends, and then sent again by psycopg2 alone: the
same texts and values, but for ids, which are new each time; the same transactions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import make_dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from psycopg2.pool import ThreadedConnectionPool

import stogram_sdk
from stogram_sdk import models
from stogram_sdk.database import current_database, session

_MARK = "<new id {}>"


class _Pool(ThreadedConnectionPool):
    def __init__(self, smallest: int, largest: int, url: str, *, is_autocommit: bool) -> None:
        self._is_autocommit = is_autocommit
        super().__init__(smallest, largest, url)

    def _connect(self, key: Any = None) -> Any:
        connection = super()._connect(key)
        connection.autocommit = self._is_autocommit
        return connection


class ByHand:
    """What a call sends, to be sent by psycopg2."""

    def __init__(self, call: Callable[[], Any], url: str) -> None:
        self.statements: list[tuple[str, list[Any], list[Any]]] = []
        self.is_transaction = False
        self._record(call)
        self._pool = _Pool(1, 1, url, is_autocommit=not self.is_transaction)

    def __call__(self) -> Any:
        """Send it over a connection of psycopg2's own pool: no service opens one for each call."""
        connection = self._pool.getconn()
        ids: dict[str, str] = {}
        result: list[Any] = []
        with connection.cursor() as cursor:
            for sql, parameters, readers in self.statements:
                cursor.execute(sql, [_renewed(value, ids) for value in parameters])
                if cursor.description is not None:
                    rows = cursor.fetchall()
                    result = [[read(row) for read in readers] for row in rows]
        if self.is_transaction:
            connection.commit()
        self._pool.putconn(connection)
        return result

    def close(self) -> None:
        self._pool.closeall()

    def _record(self, call: Callable[[], Any]) -> None:
        # The first call builds the statements, and may have to wait for the disk.
        with session(statement_timeout=0), ExitStack() as stack:
            database = current_database()
            call()
            count = iter(range(1_000))
            for name, module in list(sys.modules.items()):
                if name.startswith("stogram_sdk.") and hasattr(module, "new_id"):
                    stack.enter_context(
                        patch.object(module, "new_id", lambda: _MARK.format(next(count)))
                    )
            stack.enter_context(self._noting(database))
            with database.atomic() as transaction:
                call()
                transaction.rollback()
        shapes = {compiled.sql: compiled.parts for compiled in database.statements.values()}
        self.statements = [
            (sql, parameters, [_reader(part) for part in shapes.get(sql, ())])
            for sql, parameters, _ in self.statements
        ]

    @contextmanager
    def _noting(self, database: Any) -> Any:
        execute = database.execute_sql

        def noting(sql: str, parameters: Any = None, *rest: Any, **options: Any) -> Any:
            word = sql.split()[0]
            if word in ("SAVEPOINT", "RELEASE"):
                self.is_transaction = True
            elif word not in ("BEGIN", "COMMIT", "ROLLBACK"):
                self.statements.append((sql, list(parameters or ()), []))
            return execute(sql, parameters, *rest, **options)

        database.execute_sql = noting
        try:
            yield
        finally:
            del database.execute_sql


def _renewed(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("<new id"):
        if value not in ids:
            ids[value] = models.new_id()
        return ids[value]
    if isinstance(value, list):
        return [_renewed(item, ids) for item in value]
    return value


def _reader(part: Any) -> Callable[[tuple[Any, ...]], Any]:
    start, stop = part.start, part.stop
    if part.model is None:
        return lambda row: row[start]
    kind: Any = make_dataclass(f"{part.model.__name__}Row", part.names, slots=True)
    times = [
        place
        for place, name in enumerate(part.names)
        if isinstance(part.model._meta.fields[name], stogram_sdk.fields.UtcDateTimeField)
    ]

    def read(row: tuple[Any, ...]) -> Any:
        if row[start] is None:
            return None
        values = list(row[start:stop])
        for place in times:
            moment: datetime | None = values[place]
            if moment is not None:
                values[place] = moment.replace(tzinfo=UTC)
        return kind(*values)

    return read

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

import stogram_sdk
from stogram_sdk import models
from stogram_sdk.database import current_database, session

_MARK = "<new id {}>"


class ByHand:
    """What a call sends, to be sent by psycopg2; `transactional` if it is more than a statement."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.statements: list[tuple[str, list[Any], list[Any]]] = []
        self.transactional = False
        self._record(call)

    def __call__(self, autocommit: Any, manual: Any) -> Any:
        """Send it; over the connection without autocommit if it is a transaction."""
        connection = manual if self.transactional else autocommit
        ids: dict[str, str] = {}
        result: list[Any] = []
        with connection.cursor() as cursor:
            for sql, parameters, readers in self.statements:
                cursor.execute(sql, [_renewed(value, ids) for value in parameters])
                if cursor.description is not None:
                    rows = cursor.fetchall()
                    result = [[read(row) for read in readers] for row in rows]
        if self.transactional:
            connection.commit()
        return result

    def _record(self, call: Callable[[], Any]) -> None:
        with session(), ExitStack() as stack:
            database = current_database()
            call()  # builds the statements
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
                self.transactional = True
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

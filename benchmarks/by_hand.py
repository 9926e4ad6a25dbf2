"""The limit: psycopg2 with the same SQL by hand, and dataclasses made of the rows.

A call of the SDK is recorded once, with what it sends, and then sent again by psycopg2 alone: the
same texts and values in the same transactions, but for ids and names, which are new each time. A
transaction begins with a message of its own, as psycopg2 begins one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import make_dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from unittest.mock import patch

from psycopg2.pool import ThreadedConnectionPool

import stogram_sdk
from stogram_sdk.database import current_database, session
from stogram_sdk.fields import TextArray

#: The functions that make what must be new at each call, by their names in any module.
_MAKERS = ("new_id", "new_name")

#: What takes the place of a savepoint: the recording is inside a transaction, and a call is not.
_TRANSACTION = {"SAVEPOINT": "BEGIN", "RELEASE": "COMMIT"}


class _Sent(NamedTuple):
    """A statement of psycopg2: its values, with the number of what is new in them, and readers."""

    sql: str
    values: list[Any]
    renewed: list[tuple[int, Callable[[dict[str, str]], Any]]]
    readers: list[Callable[[tuple[Any, ...]], Any]]


class ByHand:
    """What a call sends, to be sent by psycopg2."""

    def __init__(self, call: Callable[[], Any], url: str) -> None:
        self._makers: dict[str, Callable[[], str]] = {}
        self._statements = self._recorded(call)
        self._pool = ThreadedConnectionPool(1, 1, url)
        connection = self._pool.getconn()
        connection.autocommit = True
        self._pool.putconn(connection)

    def __call__(self) -> Any:
        """Send it over a connection of psycopg2's own pool: no service opens one for each call."""
        fresh = {number: make() for number, make in self._makers.items()}
        connection = self._pool.getconn()
        result: list[Any] = []
        with connection.cursor() as cursor:
            for sql, values, renewed, readers in self._statements:
                for place, renew in renewed:
                    values[place] = renew(fresh)
                cursor.execute(sql, values)
                if readers:
                    rows = cursor.fetchall()
                    result = [[read(row) for read in readers] for row in rows]
        self._pool.putconn(connection)
        return result

    def close(self) -> None:
        self._pool.closeall()

    def _recorded(self, call: Callable[[], Any]) -> list[_Sent]:
        # The first call builds the statements, and may have to wait for the disk.
        with session(statement_timeout=0), ExitStack() as stack:
            database = current_database()
            call()
            made = stack.enter_context(_noting_what_is_made())
            sent = stack.enter_context(_noting_what_is_sent(database))
            # Some calls send less inside a transaction of their caller.
            alone = patch.object(database, "in_transaction", lambda: False)
            plain = patch.object(database, "has_prepared", lambda statements: False)
            with database.atomic() as transaction, alone, plain:
                call()
                transaction.rollback()
        self._makers = {str(number): make for number, (_, make) in enumerate(made)}
        numbers = {value: str(number) for number, (value, _) in enumerate(made)}
        compiled = database.statements.values()
        parts = {each.plain.sql: each.parts for each in compiled}
        without_settings = {each.plain.alone: each.plain.sql for each in compiled}
        statements = []
        for text, values in sent:
            sql = without_settings.get(text, text)
            renewals = [(place, _renewal(value, numbers)) for place, value in enumerate(values)]
            renewed = [(place, renew) for place, renew in renewals if renew is not None]
            readers = [_reader(part) for part in parts.get(sql, ())]
            statements.append(_Sent(sql, values, renewed, readers))
        return statements


@contextmanager
def _noting_what_is_made() -> Iterator[list[tuple[str, Callable[[], str]]]]:
    """Each new id or name that is made inside, and what makes one."""
    noted: list[tuple[str, Callable[[], str]]] = []

    def noting(make: Callable[[], str]) -> Callable[[], str]:
        def noting_maker() -> str:
            noted.append((make(), make))
            return noted[-1][0]

        return noting_maker

    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith(("stogram_sdk.", "benchmarks.")):
                for maker in _MAKERS:
                    if hasattr(module, maker):
                        patched = noting(getattr(module, maker))
                        stack.enter_context(patch.object(module, maker, patched))
        yield noted


@contextmanager
def _noting_what_is_sent(database: Any) -> Iterator[list[tuple[str, list[Any]]]]:
    """Each statement inside, with its values."""
    noted: list[tuple[str, list[Any]]] = []
    execute = database.execute_sql

    def noting(sql: str, values: Any = None, *rest: Any, **options: Any) -> Any:
        word = sql.split()[0]
        if word not in ("BEGIN", "COMMIT", "ROLLBACK"):
            noted.append((_TRANSACTION.get(word, sql), list(values or ())))
        return execute(sql, values, *rest, **options)

    database.execute_sql = noting
    try:
        yield noted
    finally:
        del database.execute_sql


def _renewal(value: Any, numbers: dict[str, str]) -> Callable[[dict[str, str]], Any] | None:
    """What puts new ids and names into the value; None if there are none in it."""
    if isinstance(value, list):
        texts = [_template(each, numbers) for each in value]
        if texts != [each.replace("%", "%%") for each in value]:
            return lambda fresh: TextArray(text % fresh for text in texts)
    elif isinstance(value, str):
        text = _template(value, numbers)
        if text != value.replace("%", "%%"):
            return text.__mod__
    return None


def _template(text: str, numbers: dict[str, str]) -> str:
    text = text.replace("%", "%%")
    for value, number in numbers.items():
        text = text.replace(value, f"%({number})s")
    return text


def _reader(part: Any) -> Callable[[tuple[Any, ...]], Any]:
    start, stop = part.start, part.start + len(part.fields)
    if not part.fields:
        return lambda row: row[start]
    names = [field.name for field in part.fields]
    kind: Any = make_dataclass(f"{part.fields[0].model.__name__}Row", names, slots=True)
    times = [
        place
        for place, field in enumerate(part.fields)
        if isinstance(field, stogram_sdk.fields.UtcDateTimeField)
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

"""Filling a database with the rows of `data`, by COPY."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from benchmarks.data import MESSAGE_COLUMNS, World, message_rows, other_rows


class _Lines:
    """What COPY reads: rows as lines, made when they are asked for."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._chunks = _chunks(rows)

    def read(self, _size: int = -1) -> str:
        return next(self._chunks, "")


def _chunks(rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    rows = iter(rows)
    while chunk := list(islice(rows, 500)):
        yield "".join("\t".join(map(_text, row)) + "\n" for row in chunk)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "{" + ",".join(value) + "}"
    return str(value)


def load_postgres(connection: Any, world: World) -> None:
    """Copy everything into a migrated, empty database."""
    message = [("Message", MESSAGE_COLUMNS, message_rows(world))]
    with connection.cursor() as cursor:
        for table, columns, rows in chain(other_rows(world), message):
            names = ", ".join(f'"{name}"' for name in columns)
            cursor.copy_expert(f'COPY "{table}" ({names}) FROM STDIN', _Lines(rows))
    connection.commit()


def load_sqlite(connection: Any, world: World) -> None:
    """Insert everything into a migrated, empty file."""
    message = [("Message", MESSAGE_COLUMNS, message_rows(world))]
    connection.execute("BEGIN")  # else each row would wait for the disk
    for table, columns, rows in chain(other_rows(world), message):
        names = ", ".join(f'"{name}"' for name in columns)
        marks = ", ".join("?" * len(columns))
        values = (
            [json.dumps(value) if isinstance(value, list) else value for value in row]
            for row in rows
        )
        connection.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', values)
    connection.commit()

"""Filling a database with the rows of `data`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import stogram_sdk
from benchmarks.data import FEW, MANY, MESSAGE_COLUMNS, World, message_rows, other_rows
from stogram_sdk.database import current_database, session


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


def leave_unread(user_id: str, number: int, *conditions: str) -> None:
    """Let the user have read all but so many messages of others, in each chat; at least the first.

    In those of their rows that fulfil the conditions.
    """
    theirs = f"""SELECT id FROM "Message" WHERE "chatId" = "ChatSettings"."chatId"
        AND NOT "isDeleted" AND ("isSent" OR "scheduledFor" IS NULL) AND "senderId" <> '{user_id}'
        ORDER BY "createdAt" """
    rows = " AND ".join([f""" "userId" = '{user_id}' """, *conditions])
    with session(statement_timeout=0):
        current_database().execute_sql(
            f"""UPDATE "ChatSettings" SET "lastReadMessageId" = coalesce(
                ({theirs} DESC, id DESC LIMIT 1 OFFSET {number}), ({theirs}, id LIMIT 1)
            ) WHERE {rows}"""
        )


def read_as_counted() -> None:
    """Let the users who look have read so far that their rows' counts are right."""
    for user_id in (MANY, FEW):
        for number in range(3):
            leave_unread(user_id, number, f'"unreadCount" = {number}')
        stogram_sdk.recount_unread(user_id)

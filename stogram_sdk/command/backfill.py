"""Mentions and hashtags of messages that were sent before the migration, or by the server.

What the server has stored stays as it is; what is missing is added. Only messages with the sign of
a tag are looked at, from the newest to the oldest, in batches of at most 1,000 rows. Each batch is
one transaction, which also keeps the place that was reached. So a run can be stopped at any time
and goes on there, and two runs at once take turns. A message is written only if tags are missing.
It is locked first, and read again: no edit is ever overwritten.

A run with `since` looks at the messages that were sent or changed of late, and keeps no place: it
is for what the server edits and sends by socket. It reads the table once, since no index knows
when a message was changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import peewee

from stogram_sdk.command.existing import connected, open_existing, schema_by_name
from stogram_sdk.engine.failures import sqlstate_of
from stogram_sdk.errors import MigrationError
from stogram_sdk.fields import tags_to_json, texts_from_json, time_to_text
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.online import PATIENCE_VARIABLE, StillLocked, patience, retry_while_locked
from stogram_sdk.schema.postgres import PostgresSchema, may_create
from stogram_sdk.text import extract_hashtags, extract_mentions, key_of

BATCH = 1000
PLACE = "stogram_backfill"
#: Times are told as the database writes them: it has more of them than Python.
_START = ("infinity", "")


@dataclass(frozen=True)
class Backfilled:
    """How many messages were looked at, and how many of them changed (or would)."""

    looked_at: int
    changed: int


def backfill(
    url: str | None = None,
    *,
    dry_run: bool = False,
    since: timedelta | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Backfilled:
    """Store the mentions and hashtags that `stogram_sdk.text` finds in each message's content.

    With `since` only of messages that were sent or changed in that time, by the database's clock.
    `advance` is called after each batch: (how many messages were looked at, of how many).
    Returns the counts of this run. Raises `MigrationError` if the columns are not there yet.
    """
    database, settings = open_existing(url)
    with connected(database):
        schema = schema_by_name(database, settings)
        with _reading(database):
            kind = _type_of_tags(database, schema)
        if dry_run:
            return _Reader(database, schema, kind, since).run(advance)
        if since is not None:
            return _Writer(database, schema, kind, since).run(advance)
        return _ResumableWriter(database, schema, kind).run(advance)


def _reading(database: Any) -> AbstractContextManager[Any]:
    """A transaction around queries, for its path; on SQLite it would only keep writers out."""
    on_sqlite = database.dialect.name == "sqlite"
    return nullcontext() if on_sqlite else database.atomic()


def _type_of_tags(database: Any, schema: Schema) -> str:
    """TEXT[], or TEXT where tags are kept as JSON."""
    column = schema.catalog(database).column("Message", "hashtags")
    if column is None or column.type not in ("TEXT", "TEXT[]"):
        raise MigrationError(
            f"Message.hashtags is {'missing' if column is None else column.type}: "
            "run `stogram migrate` first"
        )
    return column.type


@dataclass(frozen=True)
class _Message:
    id: str
    content: str | None
    mentions: list[str]
    hashtags: list[str]

    @cached_property
    def found(self) -> tuple[list[str], list[str]]:
        text = self.content or ""
        return (
            _with_missing(self.mentions, extract_mentions(text)),
            _with_missing(self.hashtags, extract_hashtags(text)),
        )

    @property
    def differs(self) -> bool:
        return (self.mentions, self.hashtags) != self.found


def _with_missing(stored: list[str], found: list[str]) -> list[str]:
    """What is stored, and what was found and is not stored in any form."""
    keys = {key_of(tag) for tag in stored}
    return stored + [tag for tag in found if key_of(tag) not in keys]


#: Whether a message can have a tag at all.
_HAS_SIGN = {
    "postgresql": "content ~ '[#@＃]'",
    "sqlite": "(instr(content, '#') OR instr(content, '@') OR instr(content, '＃'))",
}


class _Reader:
    """Reads every message, and counts those that would change: a dry run."""

    def __init__(
        self, database: Any, schema: Schema, type_of_tags: str, since: timedelta | None = None
    ) -> None:
        self.database = database
        self.schema = schema
        self.type_of_tags = type_of_tags
        self.since = since
        self.conditions = [_HAS_SIGN[schema.name]]
        self.values: list[str] = []
        if since is not None:
            self.conditions.append('("createdAt" >= %s OR "updatedAt" >= %s)')
            self.values += [time_to_text(database.current_time() - since)] * 2
        self.messages = schema.quoted("Message")
        self.place_table = schema.quoted(PLACE)

    def run(self, advance: Callable[[int, int], None]) -> Backfilled:
        # To count what a time leaves over takes as long as to look at it.
        total = 0 if self.since else self._count(_START)
        place, looked_at, changed = _START, 0, 0
        while batch := self._read_batch(place):
            place = batch[-1][0]
            looked_at += len(batch)
            changed += self._look_at([message for _, message in batch])
            advance(looked_at, max(total, looked_at))
        return Backfilled(looked_at, changed)

    def _look_at(self, messages: list[_Message]) -> int:
        """How many of them change."""
        return sum(message.differs for message in messages)

    def _where(self, place: tuple[str, str]) -> tuple[str, list[str]]:
        """The condition of the messages from a place on, and its values."""
        conditions = [*self.conditions, '("createdAt", id) < (%s, %s)']
        return " AND ".join(conditions), [*self.values, *place]

    def _count(self, place: tuple[str, str]) -> int:
        with _reading(self.database):
            if self.schema.name == "postgresql":
                self._execute("SET LOCAL statement_timeout = 0")
            where, values = self._where(place)
            (total,) = self._execute(
                f"SELECT count(*) FROM {self.messages} WHERE {where}", *values
            ).fetchone()
        return int(total)

    def _read_batch(self, place: tuple[str, str]) -> list[tuple[tuple[str, str], _Message]]:
        with _reading(self.database):
            return self._batch(place)

    def _batch(self, place: tuple[str, str]) -> list[tuple[tuple[str, str], _Message]]:
        """The next messages in order, each with its place."""
        where, values = self._where(place)
        rows = self._execute(
            'SELECT CAST("createdAt" AS TEXT) AS created, id, content, mentions, hashtags '
            f'FROM {self.messages} WHERE {where} ORDER BY "createdAt" DESC, id DESC LIMIT {BATCH}',
            *values,
        ).fetchall()
        return [((created, id), _message(id, *rest)) for created, id, *rest in rows]

    def _execute(self, sql: str, *parameters: Any) -> Any:
        if self.schema.name == "sqlite":
            sql = sql.replace("%s", "?")
        return self.database.execute_sql(sql, parameters)


class _Writer(_Reader):
    """Writes the messages that differ, each batch in a transaction."""

    def _look_at(self, messages: list[_Message]) -> int:
        changed: int = self._unit(lambda: self._change(messages))
        return changed

    def _change(self, messages: list[_Message]) -> int:
        # They are locked in one order, and read again: the content may be newer.
        read = {message.id: message for message in messages if message.differs}
        locked = self._lock(sorted(read)) if read else []
        current = (read[row.id] if read[row.id] == row else row for row in locked)
        changed = [message for message in current if message.differs]
        self._write(changed)
        return len(changed)

    def _lock(self, ids: list[str]) -> list[_Message]:
        if self.schema.name == "sqlite":  # no other transaction can write now
            where = "IN (SELECT value FROM json_each(%s))"
        else:
            where = "IN (SELECT json_array_elements_text(%s)) ORDER BY id FOR NO KEY UPDATE"
        rows = self._execute(
            f"SELECT id, content, mentions, hashtags FROM {self.messages} WHERE id {where}",
            json.dumps(ids),
        ).fetchall()
        return [_message(*row) for row in rows]

    def _write(self, messages: Iterable[_Message]) -> None:
        given = [
            {"id": message.id, "mentions": message.found[0], "hashtags": message.found[1]}
            for message in messages
        ]
        if self.schema.name == "postgresql":
            kind = self.type_of_tags
            self._execute(
                f"UPDATE {self.messages} AS message SET mentions = given.mentions, "
                "hashtags = given.hashtags FROM json_to_recordset(%s) AS given"
                f"(id TEXT, mentions {kind}, hashtags {kind}) WHERE message.id = given.id",
                tags_to_json(given),
            )
            return
        for row in given:
            self._execute(
                f"UPDATE {self.messages} SET mentions = %s, hashtags = %s WHERE id = %s",
                tags_to_json(row["mentions"]),
                tags_to_json(row["hashtags"]),
                row["id"],
            )

    def _unit(self, unit: Callable[[], Any]) -> Any:
        """Run the unit in a transaction of its own, again while its rows are locked.

        Returns None if the place is gone: another run has come to the end.
        """
        try:
            return retry_while_locked(self.database, unit)
        except peewee.PeeweeException as error:
            if sqlstate_of(error) == "42P01" or f"no such table: {PLACE}" in str(error):
                return None
            raise
        except StillLocked:
            raise MigrationError(
                f"messages were locked for {patience():g} s ({PATIENCE_VARIABLE}); what is done "
                "stays, run it again"
            ) from None


class _ResumableWriter(_Writer):
    """Keeps the place that was reached in a table, which it drops at the end."""

    def run(self, advance: Callable[[int, int], None]) -> Backfilled:
        self._begin()
        place = self._unit(self._place)
        if place is None:
            return Backfilled(0, 0)
        total, looked_at, changed = self._count(place), 0, 0
        while batch := self._unit(self._do_batch):
            looked_at += batch.looked_at
            changed += batch.changed
            advance(looked_at, max(total, looked_at))
        self._unit(self._end)
        return Backfilled(looked_at, changed)

    def _begin(self) -> None:
        with self.database.atomic():
            if isinstance(self.schema, PostgresSchema):
                if not may_create(self.database, self.schema):
                    raise MigrationError(
                        "the backfill keeps its place in a table of its own, and this role may not "
                        "create one: run it as the owner of the tables"
                    )
                # CREATE TABLE IF NOT EXISTS fails if two runs do it at the same moment.
                self._execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", PLACE)
            self._execute(
                f"CREATE TABLE IF NOT EXISTS {self.place_table} "
                '("createdAt" TEXT, id TEXT PRIMARY KEY)'
            )
            self._execute(
                f"INSERT INTO {self.place_table} SELECT %s, %s "
                f"WHERE NOT EXISTS (SELECT 1 FROM {self.place_table})",
                *_START,
            )

    def _place(self, lock: str = "") -> tuple[str, str]:
        created, id = self._execute(
            f'SELECT "createdAt", id FROM {self.place_table}{lock}'
        ).fetchone()
        return created, id

    def _do_batch(self) -> Backfilled | None:
        """One batch, from the place where the last one ended; None if no message is left."""
        place = self._place(self._for_update)
        batch = self._batch(place)
        if not batch:
            return None
        changed = self._change([message for _, message in batch])
        self._execute(f'UPDATE {self.place_table} SET "createdAt" = %s, id = %s', *batch[-1][0])
        return Backfilled(len(batch), changed)

    @property
    def _for_update(self) -> str:
        return "" if self.schema.name == "sqlite" else " FOR UPDATE"

    def _end(self) -> None:
        self._execute(f"DROP TABLE IF EXISTS {self.place_table}")


def _message(id: str, content: str | None, mentions: Any, hashtags: Any) -> _Message:
    return _Message(id, content, _list(mentions), _list(hashtags))


def _list(value: Any) -> list[str]:
    """An array of PostgreSQL, or SQLite's JSON of one; NULL is an empty one."""
    if isinstance(value, str):
        return texts_from_json(value)
    return list(value or ())

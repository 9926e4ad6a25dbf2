"""Mentions and hashtags of messages that were sent before the migration, or by the server.

It goes from the newest message to the oldest, in batches of at most 1,000 rows. Each batch is one
transaction, which also keeps the place that was reached. So a run can be stopped at any time and
goes on there, and two runs at once take turns. A message is written only if its tags differ. It is
locked first, and its tags are those of the content at that moment: no edit is ever overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import peewee

from stogram_sdk.database import open_database
from stogram_sdk.engine.failures import sqlstate_of, translated_errors
from stogram_sdk.errors import MigrationError
from stogram_sdk.schema.migration import schema_of
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.online import PATIENCE_VARIABLE, StillLocked, patience, retry_while_locked
from stogram_sdk.schema.postgres import PostgresSchema, may_create
from stogram_sdk.text import extract_hashtags, extract_mentions

BATCH = 1000
PLACE = "stogram_backfill"
_START = ("9999-12-31 23:59:59.999", "")


@dataclass(frozen=True)
class Backfilled:
    """How many messages were looked at, and how many of them changed (or would)."""

    looked_at: int
    changed: int


def backfill(
    url: str | None = None,
    *,
    dry_run: bool = False,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Backfilled:
    """Store the mentions and hashtags that `stogram_sdk.text` finds in each message's content.

    `advance` is called after each batch: (how many messages were looked at, of how many).
    Returns the counts of this run. Raises `MigrationError` if the columns are not there yet.
    """
    database, settings = open_database(url, statement_timeout=0)
    try:
        with translated_errors(), database.connection_context(), database.limited_to(0):
            schema = schema_of(database, settings.schema_name)
            _require_columns(database, schema)
            work = (_DryRun if dry_run else _Run)(database, schema)
            return work.run(advance)
    finally:
        database.close_all()


def _require_columns(database: Any, schema: Schema) -> None:
    catalog = schema.catalog(database)
    for name in ("mentions", "hashtags"):
        column = catalog.column("Message", name)
        wanted = "TEXT" if schema.name == "sqlite" else "TEXT[]"
        if column is None or column.type != wanted:
            raise MigrationError(
                f"Message.{name} is {'missing' if column is None else column.type}: "
                "run `pw_migrate migrate` first"
            )


@dataclass(frozen=True)
class _Message:
    id: str
    content: str | None
    mentions: list[str]
    hashtags: list[str]

    @cached_property
    def found(self) -> tuple[list[str], list[str]]:
        text = self.content or ""
        return extract_mentions(text), extract_hashtags(text)

    @property
    def differs(self) -> bool:
        return (self.mentions, self.hashtags) != self.found


class _DryRun:
    """Reads every message and writes none."""

    def __init__(self, database: Any, schema: Schema) -> None:
        self.database = database
        self.schema = schema
        self.messages = schema.quoted("Message")
        self.place_table = schema.quoted(PLACE)

    def run(self, advance: Callable[[int, int], None]) -> Backfilled:
        total = self._count(_START)
        place, looked_at, changed = _START, 0, 0
        while batch := self._batch(place):
            place = batch[-1][0]
            looked_at += len(batch)
            changed += sum(message.differs for _, message in batch)
            advance(looked_at, total)
        return Backfilled(looked_at, changed)

    def _count(self, place: tuple[str, str]) -> int:
        with self.database.atomic():
            if self.schema.name == "postgresql":
                self._execute("SET LOCAL statement_timeout = 0")
            (total,) = self._execute(
                f'SELECT count(*) FROM {self.messages} WHERE ("createdAt", id) < (%s, %s)', *place
            ).fetchone()
        return int(total)

    def _batch(self, place: tuple[str, str]) -> list[tuple[tuple[str, str], _Message]]:
        """The next messages in order, each with its place."""
        rows = self._execute(
            f'SELECT "createdAt", id, content, mentions, hashtags FROM {self.messages} '
            'WHERE ("createdAt", id) < (%s, %s) ORDER BY "createdAt" DESC, id DESC '
            f"LIMIT {BATCH}",
            *place,
        ).fetchall()
        return [((str(created), id), _message(id, *rest)) for created, id, *rest in rows]

    def _execute(self, sql: str, *parameters: Any) -> Any:
        if self.schema.name == "sqlite":
            sql = sql.replace("%s", "?")
        return self.database.execute_sql(sql, parameters)


class _Run(_DryRun):
    """Writes the messages that differ; keeps the place in a table, which it drops at the end."""

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
        if isinstance(self.schema, PostgresSchema) and not may_create(self.database, self.schema):
            raise MigrationError(
                "the backfill keeps its place in a table of its own, and this role may not create "
                "one: run it as the owner of the tables"
            )
        with self.database.atomic():
            if self.schema.name == "postgresql":
                # CREATE TABLE IF NOT EXISTS fails if two runs do it at the same moment.
                self._execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", PLACE)
            self._execute(
                f'CREATE TABLE IF NOT EXISTS {self.place_table} ("createdAt" TEXT, id TEXT)'
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
        # They are locked in one order, and read again: the content may be newer.
        read = {message.id: message for _, message in batch if message.differs}
        locked = self._lock(sorted(read)) if read else []
        current = (read[row.id] if read[row.id] == row else row for row in locked)
        changed = [message for message in current if message.differs]
        self._write(changed)
        self._execute(f'UPDATE {self.place_table} SET "createdAt" = %s, id = %s', *batch[-1][0])
        return Backfilled(len(batch), len(changed))

    @property
    def _for_update(self) -> str:
        return "" if self.schema.name == "sqlite" else " FOR UPDATE"

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
            self._execute(
                f"UPDATE {self.messages} AS message SET mentions = given.mentions, "
                "hashtags = given.hashtags FROM json_to_recordset(%s) AS given"
                "(id text, mentions text[], hashtags text[]) WHERE message.id = given.id",
                json.dumps(given),
            )
            return
        for row in given:
            self._execute(
                f"UPDATE {self.messages} SET mentions = %s, hashtags = %s WHERE id = %s",
                json.dumps(row["mentions"], ensure_ascii=False),
                json.dumps(row["hashtags"], ensure_ascii=False),
                row["id"],
            )

    def _end(self) -> None:
        self._execute(f"DROP TABLE IF EXISTS {self.place_table}")

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


def _message(id: str, content: str | None, mentions: Any, hashtags: Any) -> _Message:
    return _Message(id, content, _list(mentions), _list(hashtags))


def _list(value: Any) -> list[str]:
    """An array of PostgreSQL, or SQLite's JSON of one; NULL is an empty one."""
    if isinstance(value, str):
        return list(json.loads(value))
    return list(value or ())

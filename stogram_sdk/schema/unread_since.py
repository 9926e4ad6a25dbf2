"""The step that keeps the moment of the migration: see `stogram_sdk/unread.py`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stogram_sdk.schema.objects import Catalog
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema
from stogram_sdk.schema.steps import Step

_NOW = {
    "postgresql": "pg_catalog.date_trunc("
    "'milliseconds', pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
}
#: Where there is no message yet, nothing is from before the migration.
_ALWAYS = {"postgresql": "'0001-01-01'", "sqlite": "'0001-01-01 00:00:00.000'"}


@dataclass(frozen=True)
class KeepMoment(Step):
    """The one row of "UnreadSince": the time by the database's clock when this step is done.

    It is kept once: done again, it changes nothing.
    """

    table = "UnreadSince"
    loses = (
        "the moment of the migration goes: the next one takes its own. What is unread until then "
        "for members who have read nothing yet counts as read"
    )

    def __str__(self) -> str:
        return "moment of the migration"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return catalog.has_moment

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return [_insert(schema)]

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        return [_insert(schema)]


def _insert(schema: Schema) -> str:
    messages = f"EXISTS (SELECT 1 FROM {schema.quoted('Message')})"
    moment = f"CASE WHEN {messages} THEN {_NOW[schema.name]} ELSE {_ALWAYS[schema.name]} END"
    return (
        f"INSERT INTO {schema.quoted('UnreadSince')} (id, since)\n"
        f"    SELECT 'migration', {moment}\n    WHERE true ON CONFLICT DO NOTHING"
    )

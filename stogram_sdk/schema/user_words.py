"""The step that lets SQLite find people by a word: see `engine/sqlite_words.py`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stogram_sdk.engine.sqlite_words import PARTS, write_words
from stogram_sdk.schema.objects import Catalog
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema
from stogram_sdk.schema.steps import Step


@dataclass(frozen=True)
class KeepUserWords(Step):
    """The table of words and its triggers; PostgreSQL has indexes instead."""

    table = "User"
    is_renewed = True

    def __str__(self) -> str:
        return "words of names"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return catalog.keeps_words or isinstance(schema, PostgresSchema)

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return []

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        fill = write_words("person", '"User" AS person, ')
        return [*self.undo(schema, siblings), *PARTS.values(), fill]

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        if isinstance(schema, PostgresSchema):
            return []
        triggers = [name for name, sql in PARTS.items() if sql.startswith("CREATE TRIGGER")]
        drop = [f'DROP TRIGGER IF EXISTS main."{name}"' for name in triggers]
        return [*drop, 'DROP TABLE IF EXISTS "UserWord"']

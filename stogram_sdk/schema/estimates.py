"""The step that tells PostgreSQL how many messages a chat has.

A plan that serves every chat is made for the average one. Where nearly all messages are in one chat
of a few, that average is so large that the index of all messages by their time looks cheaper than
the chat's own: each chat of a list would be looked for among all messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stogram_sdk.schema.objects import Catalog
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema
from stogram_sdk.schema.steps import Step


@dataclass(frozen=True)
class EstimateMessages(Step):
    """A setting of the column, which counts from the next ANALYZE on."""

    table = "Message"
    is_renewed = True

    def __str__(self) -> str:
        return "estimate of the messages of a chat"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return catalog.estimates_messages or isinstance(schema, SqliteSchema)

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return [_alter(schema, f"SET ({schema.ESTIMATE})")]

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        if isinstance(schema, SqliteSchema):
            return []
        return [_alter(schema, "RESET (n_distinct)")]


def _alter(schema: PostgresSchema, change: str) -> str:
    return f'ALTER TABLE {schema.quoted("Message")} ALTER COLUMN "chatId" {change}'

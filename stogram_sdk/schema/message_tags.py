"""The table "MessageTag", which lists the visible messages of each tag: the database keeps it.

The server writes "Message" too, so triggers keep the table, in the transaction of the writer. The
SQL function `stogram_message_tags` gives the rows that belong to a message. The triggers use it,
and so does the step that fills the table. Where the chats are on several servers (see
`distribution.py`), the triggers are on the shards of "Message": each writes the shard of the table
that is beside it, and each server fills its own.

Where the functions and triggers are not those of this package, `stogram migrate` makes them anew.
It then fills the table from its beginning, for rows may be missing. On PostgreSQL the comment on
the trigger function notes what was made: a checksum of the files in `sql/`, and one of the catalog.
SQLite keeps the text of a trigger.

A tag is kept with its sign, under the key that the function `stogram_tag_key` makes of it. A search
makes the same key of the tag that it looks for, so case and width never matter. The function uses
the best that the server has:

* from PostgreSQL 18 on `casefold`, which agrees with `text.key_of` letter by letter;
* before, upper and lower case by ICU, by the collation "pg_c_utf8" or by one of the system's;
* without any of these, by the database's own collation, of which "C" knows the case of A-Z only.

The triggers of SQLite are in `engine/sqlite_tags.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stogram_sdk.engine.sqlite_tags import FILE_TRIGGERS, insert_tags
from stogram_sdk.schema.objects import HAS_ALL_TAGS, Catalog
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema
from stogram_sdk.schema.steps import Step, StepSql


def trigger_names(schema: Schema) -> list[str]:
    """The triggers on "Message"; on SQLite "update" removes old tags, "updated" adds new ones."""
    if isinstance(schema, SqliteSchema):
        return list(FILE_TRIGGERS)
    return [f"Message_tags_{event}" for event in ("insert", "update", "delete", "truncate")]


@dataclass(frozen=True)
class KeepMessageTags(Step):
    """The triggers, and on PostgreSQL the functions that they use."""

    table = "Message"
    is_renewed = True

    def __str__(self) -> str:
        return "triggers that keep MessageTag"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return catalog.keeps_tags

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return [schema.sql(f"tag_{part}") for part in ("changes", "functions", "triggers")]

    def in_transaction(self, schema: PostgresSchema) -> list[str]:
        # Both are made on a search_path of their own, which lasts until the commit.
        changes, functions, triggers = self.at_once(schema)
        keep = (
            "SELECT pg_catalog.set_config('stogram.search_path', "
            "pg_catalog.current_setting('search_path'), true)"
        )
        restore = (
            "SELECT pg_catalog.set_config('search_path', "
            "pg_catalog.current_setting('stogram.search_path'), true)"
        )
        return [changes, keep, functions, triggers, restore]

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        return [*self.undo(schema, siblings), *FILE_TRIGGERS.values(), _NOT_COMPLETE]

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        if isinstance(schema, SqliteSchema):
            return [f'DROP TRIGGER IF EXISTS main."{name}"' for name in trigger_names(schema)]
        triggers = "; ".join(
            f'DROP TRIGGER IF EXISTS "{name}" ON {schema.quoted("Message")}'
            for name in trigger_names(schema)
        )
        functions = (
            *("stogram_keep_message_tags()", "stogram_message_tags"),
            *("stogram_tag_key(text)", "stogram_json_texts(text)"),
            "stogram_word(text, integer)",
        )
        return [
            triggers,
            *(f"DROP FUNCTION IF EXISTS {schema.prefix}{each}" for each in functions),
        ]


@dataclass(frozen=True)
class FillMessageTags(Step):
    """The tags of the messages that are older than the triggers.

    On PostgreSQL they are written in batches of up to 1,000 messages with tags. Each batch is one
    transaction. It waits for a lock for at most 200 ms, so no other writer stands still, and it
    keeps the place that it has reached, so a run that was broken off goes on there. Searches by tag
    raise `Unavailable` until the table is complete.
    """

    table = "Message"
    is_renewed = True

    def __str__(self) -> str:
        return "rows of MessageTag"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return catalog.has_all_tags

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return [schema.sql("fill_tags")]

    def in_transaction(self, schema: PostgresSchema) -> list[str]:
        table, messages = schema.quoted("MessageTag"), schema.quoted("Message")
        return [
            f"INSERT INTO {table}\n"
            f"    SELECT tag.* FROM {messages} AS message,\n"
            f"        {schema.prefix}stogram_message_tags(message) AS tag\n"
            "    WHERE (message.hashtags OPERATOR(pg_catalog.<>) '{}'\n"
            "        OR message.mentions OPERATOR(pg_catalog.<>) '{}') AND NOT EXISTS (\n"
            f"        SELECT FROM {table} WHERE {HAS_ALL_TAGS})\n"
            "    ON CONFLICT DO NOTHING",
            f"DELETE FROM {table} WHERE tag = '' AND \"chatId\" = 'filling'",
            f"INSERT INTO {table} VALUES ('', 'complete', 'epoch', '') ON CONFLICT DO NOTHING",
        ]

    def online(self, schema: PostgresSchema) -> list[StepSql]:
        return [StepSql(sql, brief=False) for sql in self.at_once(schema)]

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        return list(_SQLITE_FILL)


_NOT_COMPLETE = """DELETE FROM "MessageTag" WHERE tag = ''"""

_SQLITE_FILL = (
    'DELETE FROM "MessageTag"',
    insert_tags("message", "stogram_tag_key", '"Message" AS message, '),
    """INSERT INTO "MessageTag" VALUES ('', 'complete', '1970-01-01', '')""",
)

""" "MessageTag": which visible messages carry a tag, kept in step by the database itself.

The server writes "Message" too, so triggers do it, in the transaction of whoever writes. What
belongs into the table for a message is said in one place, the SQL function `stogram_message_tags`:
the triggers use it, the filling uses it, and where a database has no triggers (a distributed one)
whoever writes messages sends `INSERT INTO "MessageTag" SELECT t.* FROM "Message" AS m,
stogram_message_tags(m) AS t WHERE ... ON CONFLICT DO NOTHING` with the write.

A tag is kept with its sign under the key that `stogram_tag_key` makes of it, so case and width do
not matter whoever wrote it; a search sends what it looks for through the same function. The
function is made with what the server has: from PostgreSQL 18 on it is `text.normalize_tag`, letter
by letter; before, upper and lower case by ICU, by the collation "pg_c_utf8" or by one of the
system's. Where there is none of these, it knows the case of what the database's own collation
knows, with "C" of A-Z only; the SDK's own tags are keys already, and found all the same.

What SQLite has instead is in `engine/sqlite_tags.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import dedent

from stogram_sdk.engine.sqlite_tags import UPDATE_OF_TAGS, insert_tags, tag_trigger
from stogram_sdk.schema.objects import HAS_ALL_TAGS, Catalog
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema
from stogram_sdk.schema.steps import PlainStep, Statement, Step


def trigger_names(schema: Schema) -> list[str]:
    """The triggers on "Message"; on SQLite "update" forgets old tags, "updated" adds the new."""
    events = ["insert", "update", "delete"]
    events.append("updated" if isinstance(schema, SqliteSchema) else "truncate")
    return [f"Message_tags_{event}" for event in events]


@dataclass(frozen=True)
class KeepMessageTags(PlainStep):
    """The triggers, and on PostgreSQL the functions that they use."""

    table = "Message"

    def __str__(self) -> str:
        return "triggers that keep MessageTag"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return all(name in catalog.triggers for name in trigger_names(schema))

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return [_in_schema(schema, _FUNCTIONS), _in_schema(schema, _TRIGGERS)]

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        return [*self.undo(schema, siblings), *_SQLITE_TRIGGERS]

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        if isinstance(schema, SqliteSchema):
            return [f'DROP TRIGGER IF EXISTS "{name}"' for name in trigger_names(schema)]
        triggers = "; ".join(
            f'DROP TRIGGER IF EXISTS "{name}" ON {schema.quoted("Message")}'
            for name in trigger_names(schema)
        )
        functions = ("stogram_keep_message_tags()", "stogram_message_tags", "stogram_tag_key(text)")
        return [
            triggers,
            *(f"DROP FUNCTION IF EXISTS {_function(schema, each)}" for each in functions),
        ]


@dataclass(frozen=True)
class FillMessageTags(PlainStep):
    """The tags of the messages that were there before the triggers.

    On PostgreSQL in batches of 1,000 messages with tags, each a transaction that waits 200 ms for a
    lock at most and keeps the place it has reached: nobody stands still, and it goes on where it
    was broken off. Searches do without the table until it is done.
    """

    table = "Message"

    def __str__(self) -> str:
        return "rows of MessageTag"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return catalog.has_all_tags

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return [_in_schema(schema, _FILL)]

    def online(self, schema: PostgresSchema) -> list[Statement]:
        return [Statement(sql, brief=False) for sql in self.at_once(schema)]

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        return list(_SQLITE_FILL)


def _function(schema: PostgresSchema, call: str) -> str:
    return f'"{schema.schema}".{call}' if schema.schema else call


def _in_schema(schema: PostgresSchema, block: str) -> str:
    """The block for the tables of the schema."""
    name = "current_schema()" if schema.schema is None else f"'{schema.schema}'"
    return dedent(block).strip().replace("@schema", name)


# No "%" in these, which psycopg2 would take for a parameter.
_FUNCTIONS = """
DO $block$
DECLARE
    home text := quote_ident(@schema);
    by_collation text;
    key text;
BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        key := 'normalize(casefold(normalize(tag, NFKC) COLLATE "pg_unicode_fast"), NFC)';
    ELSE
        SELECT ' COLLATE pg_catalog.' || quote_ident(c.collname) INTO by_collation
        FROM pg_collation AS c
        WHERE c.collnamespace = 'pg_catalog'::regnamespace
            AND c.collname IN ('und-x-icu', 'pg_c_utf8', 'C.utf8', 'C.UTF-8', 'en_US.utf8')
            AND c.collencoding IN (-1, pg_char_to_encoding('UTF8'))
        ORDER BY array_position(
            ARRAY['und-x-icu', 'pg_c_utf8', 'C.utf8', 'C.UTF-8', 'en_US.utf8'], c.collname::text)
        LIMIT 1;
        -- Sigma at the end of a word, and sharp s in both cases, become what casefold() makes.
        key := replace(
            'normalize(replace(replace(lower(upper(replace(normalize(tag, NFKC), chr(7838), '
            'chr(223))@by)@by), chr(962), chr(963)), chr(223), ''ss''), NFC)',
            '@by', coalesce(by_collation, ''));
    END IF;
    PERFORM set_config('search_path', home, true);
    EXECUTE 'CREATE OR REPLACE FUNCTION stogram_tag_key(tag text) RETURNS text '
        'LANGUAGE sql IMMUTABLE PARALLEL SAFE AS ' || quote_literal('SELECT ' || key);
    -- A longer key would not fit into the index; a search cuts at 256 too.
    CREATE OR REPLACE FUNCTION stogram_message_tags(message "Message")
    RETURNS SETOF "MessageTag" LANGUAGE sql STABLE ROWS 2 AS $body$
        SELECT given.sign || left(stogram_tag_key(given.tag), 256),
            message."chatId", message."createdAt", message.id
        FROM (
            SELECT '#', unnest(message.hashtags)
            UNION ALL SELECT '@', unnest(message.mentions)
        ) AS given(sign, tag)
        WHERE given.tag IS NOT NULL AND NOT message."isDeleted"
            AND (message."isSent" OR message."scheduledFor" IS NULL)
    $body$;
    -- SECURITY DEFINER: whoever may write messages keeps their tags, without a right of their own.
    -- enable_seqscan: a session that planned this while the table was small would go on so.
    CREATE OR REPLACE FUNCTION stogram_keep_message_tags() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $body$
    DECLARE
        past record;
    BEGIN
        -- For this call: the schema may be renamed, and whoever writes may be in another.
        PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);
        IF TG_OP = 'TRUNCATE' THEN
            DELETE FROM "MessageTag" WHERE tag <> '';
            RETURN NULL;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            -- One by one: a join would be planned anew each time, which takes longer than this.
            FOR past IN SELECT * FROM stogram_message_tags(OLD) LOOP
                DELETE FROM "MessageTag" AS kept
                WHERE kept.tag = past.tag AND kept."chatId" = past."chatId"
                    AND kept."createdAt" = past."createdAt" AND kept."messageId" = past."messageId";
            END LOOP;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO "MessageTag" SELECT * FROM stogram_message_tags(NEW)
            ON CONFLICT DO NOTHING;
        END IF;
        RETURN NULL;
    END $body$;
    -- Nobody else may hang it on a table of theirs: it runs with the rights of the owner.
    REVOKE EXECUTE ON FUNCTION stogram_keep_message_tags() FROM PUBLIC;
END $block$
"""

_TRIGGERS = """
DO $block$
DECLARE
    old_has text := $$(OLD.hashtags <> '{}' OR OLD.mentions <> '{}')$$;
    new_has text := $$(NEW.hashtags <> '{}' OR NEW.mentions <> '{}')$$;
    of_old text := '(OLD.id, OLD."chatId", OLD."createdAt", OLD."isDeleted", OLD."isSent", '
        'OLD."scheduledFor", OLD.hashtags, OLD.mentions)';
    make record;
BEGIN
    PERFORM set_config('search_path', quote_ident(@schema), true);
    FOR make IN SELECT * FROM (VALUES
        ('insert', 'FOR EACH ROW WHEN (' || new_has || ')'),
        ('update', 'FOR EACH ROW WHEN ((' || old_has || ' OR ' || new_has || ') AND '
            || of_old || ' IS DISTINCT FROM ' || replace(of_old, 'OLD.', 'NEW.') || ')'),
        ('delete', 'FOR EACH ROW WHEN (' || old_has || ')'),
        ('truncate', 'FOR EACH STATEMENT')
    ) AS given(event, which) LOOP
        EXECUTE 'DROP TRIGGER IF EXISTS "Message_tags_' || make.event || '" ON "Message"';
        EXECUTE 'CREATE TRIGGER "Message_tags_' || make.event || '" AFTER ' || make.event
            || ' ON "Message" ' || make.which || ' EXECUTE FUNCTION stogram_keep_message_tags()';
    END LOOP;
END $block$
"""

_FILL = f"""
DO $block$
DECLARE
    home text := quote_ident(@schema);
    place text;
    next text;
    attempts int := 0;
BEGIN
    LOOP
        BEGIN
            PERFORM set_config('search_path', home, true);
            SET LOCAL lock_timeout = '200ms';
            EXIT WHEN EXISTS (SELECT FROM "MessageTag" WHERE {HAS_ALL_TAGS});
            SELECT "messageId" INTO place FROM "MessageTag" WHERE tag = '';
            WITH batch AS MATERIALIZED (
                SELECT message FROM "Message" AS message
                WHERE id > coalesce(place, '') AND (hashtags <> '{{}}' OR mentions <> '{{}}')
                ORDER BY id LIMIT 1000 FOR SHARE
            ), filled AS (
                INSERT INTO "MessageTag"
                SELECT tag.* FROM batch, stogram_message_tags(batch.message) AS tag
                ON CONFLICT DO NOTHING
            )
            SELECT max((batch.message).id) INTO next FROM batch;
            DELETE FROM "MessageTag" WHERE tag = '';
            INSERT INTO "MessageTag" VALUES (
                '', CASE WHEN next IS NULL THEN 'complete' ELSE 'filling' END,
                'epoch', coalesce(next, ''));
            attempts := 0;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            attempts := attempts + 1;
            IF attempts > 1000 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.1 + random() * 0.4);
        END;
        COMMIT;
    END LOOP;
END $block$
"""


_SQLITE_FORGET = 'DELETE FROM "MessageTag" WHERE "messageId" = OLD.id'

_SQLITE_TRIGGERS = (
    tag_trigger("INSERT", insert_tags("NEW")),
    # Before: what the triggers of a connection add must stay.
    tag_trigger(UPDATE_OF_TAGS, _SQLITE_FORGET, timing="BEFORE"),
    tag_trigger(UPDATE_OF_TAGS, insert_tags("NEW")),
    tag_trigger("DELETE", _SQLITE_FORGET),
)

_SQLITE_FILL = (
    insert_tags("message", "stogram_tag_key", '"Message" AS message, '),
    """INSERT OR IGNORE INTO "MessageTag" VALUES ('', 'complete', '1970-01-01', '')""",
)

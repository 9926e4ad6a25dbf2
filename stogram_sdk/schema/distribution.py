"""How a live database becomes one whose chats are on several servers, in steps.

Citus can distribute one table after the other, beside those who write it. But a query that joins
tables of which some are distributed fails, and so would a service for as long as that takes. So all
tables are made a second time, in a schema of their own, and distributed while they are empty.
Triggers write to both, the rows are copied, and then, in one transaction, the new tables take the
place of the old ones.

Each step asks the database whether it is done, so a run that was broken off goes on. To give it up,
drop the schema of the copies: the triggers go with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stogram_sdk.schema.chat_keys import (
    OF_A_CHAT,
    OF_ALL_CHATS,
    WITHOUT_CHAT,
    expect_chat_keys,
    has_chat_keys,
    shards_sql,
    with_chat,
)
from stogram_sdk.schema.expected import as_later_servers_have_it, expected_catalog
from stogram_sdk.schema.message_tags import KeepMessageTags
from stogram_sdk.schema.objects import Catalog, ForeignKey, listed
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.steps import foreign_key_sql

#: For the functions of the copies, these two come first; others may refer to what is before them.
TABLES = (
    "Message",
    "MessageTag",
    *OF_ALL_CHATS,
    *(table for table in OF_A_CHAT if table not in ("Message", "MessageTag")),
)
_FUNCTIONS = (
    "stogram_word(text, integer)",
    "stogram_tag_key(text)",
    "stogram_json_texts(text)",
    "stogram_keep_message_tags()",
    'stogram_message_tags({prefix}"Message")',
)


@dataclass(frozen=True)
class Part:
    """Statements of one transaction; a brief one needs a strong lock, for a moment only."""

    statements: tuple[str, ...]
    brief: bool = True


@dataclass(frozen=True)
class DistributionStep:
    """A step, and whether the database shows it as done."""

    name: str
    is_done: bool
    parts: tuple[Part, ...]
    #: The table that it may have to wait for.
    table: str = "Message"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class _Columns:
    """How the columns of a copy are written."""

    names: tuple[str, ...]
    #: The column by which the table is distributed, if it is not whole everywhere.
    chat: str | None
    key: str

    def all(self, row: str, chat: str | None = None) -> str:
        """The columns of a row, separated by commas; `chat` in place of that of the chat."""
        return ", ".join(
            chat if chat and name == self.chat else f'{row}"{name}"' for name in self.names
        )


class Distribution:
    """The steps for one schema; without `shards` on a server without Citus, for tests."""

    def __init__(self, database: Any, home: str, *, shards: bool) -> None:
        self.database = database
        self.shards = shards
        self.home = PostgresSchema(home)
        self.copies = PostgresSchema(f"{home}_distributed")
        self.before = PostgresSchema(f"{home}_before")
        self.catalog = self.home.catalog(database)
        self.copied = self.copies.catalog(database)

    @property
    def is_in_place(self) -> bool:
        """Whether the tables that everybody uses are the distributed ones."""
        return "Message" in self.catalog.shards if self.shards else self.has_keys_of_chats

    @cached_property
    def marks(self) -> dict[str | None, str | None]:
        """What says of each of the two schemas that it was made here; nothing if there is none."""
        names = [self.copies.schema_name, self.before.schema_name]
        found = self.database.execute_sql(_MARKS, (names,)).fetchall()
        return {**dict.fromkeys(names), **dict(found)}

    @property
    def has_keys_of_chats(self) -> bool:
        return has_chat_keys(self.catalog)

    def steps(self) -> Iterator[DistributionStep]:
        """All of them, in their order."""
        yield self._columns()
        if self.shards:
            yield self._settings()
        if not self.is_in_place:
            yield self._schema()
            yield from map(self._table, TABLES[:2])
            yield self._functions()
            yield from map(self._table, TABLES[2:])
            if self.shards:
                yield from map(self._shards, (*OF_ALL_CHATS, *OF_A_CHAT))
            yield self._triggers()
            for table in (*OF_ALL_CHATS, *OF_A_CHAT):
                if table != "MessageTag":
                    yield self._follow(table)
            yield from map(self._rows, (*OF_ALL_CHATS, *OF_A_CHAT))
            yield from map(self._foreign_key, self._foreign_keys())
        yield self._exchange()
        yield self._old_tables()

    @cached_property
    def has_settings(self) -> bool:
        return self._has_citus and self.copies.ask(self.database, f"({_HAS_SETTINGS})")

    # --- What the server is told of, before anything else ---

    def _columns(self) -> DistributionStep:
        """May be NULL: the server fills them only once it knows them."""
        missing = [t for t in WITHOUT_CHAT if self.catalog.column(t, "chatId") is None]
        return DistributionStep(
            "columns Reaction.chatId and CallParticipant.chatId",
            not missing,
            tuple(
                Part((f'ALTER TABLE {self.home.quoted(t)} ADD COLUMN IF NOT EXISTS "chatId" TEXT',))
                for t in missing
            ),
            "Reaction",
        )

    # --- The copies ---

    def _schema(self) -> DistributionStep:
        return DistributionStep(
            f"schema {self.copies.schema_name}",
            "Copied" in self.copied.tables,
            (
                Part(
                    (
                        *_schema_sql(self.copies),
                        f"CREATE TABLE {self.copies.quoted('Copied')} (name TEXT PRIMARY KEY, "
                        "place TEXT NOT NULL DEFAULT '', is_complete BOOLEAN NOT NULL "
                        "DEFAULT false)",
                    )
                ),
            ),
        )

    def _table(self, table: str) -> DistributionStep:
        is_there = table in self.copied.tables
        statements = () if is_there else tuple(self._definition(table))
        return DistributionStep(f"table {table}", is_there, (Part(statements),), table)

    def _definition(self, table: str) -> Iterator[str]:
        """The table as it is, with all that others have added, but for the keys."""
        here, copy = self.home.quoted(table), self.copies.quoted(table)
        yield (
            f"CREATE TABLE {copy} (LIKE {here} INCLUDING COMMENTS INCLUDING CONSTRAINTS "
            "INCLUDING DEFAULTS INCLUDING STORAGE)"
        )
        # A vacuum of a shard would stand in the way of the exchange.
        options = self._options(table, self.home)
        options = [each for each in options if not each.startswith(_VACUUM)]
        yield f"ALTER TABLE {copy} SET ({', '.join([*options, f'{_VACUUM}=false'])})"
        for column, its_options in self.database.execute_sql(_COLUMN_OPTIONS, (here,)).fetchall():
            yield f'ALTER TABLE {copy} ALTER COLUMN "{column}" SET ({its_options})'
        if table in WITHOUT_CHAT:
            # A dry run comes before the column.
            yield f'ALTER TABLE {copy} ADD COLUMN IF NOT EXISTS "chatId" TEXT'
            yield f'ALTER TABLE {copy} ALTER COLUMN "chatId" SET NOT NULL'
        expected = self._expected
        for keys, kind in (
            (expected.primary_keys, "PRIMARY KEY"),
            (self.catalog.uniques, "UNIQUE"),
        ):
            for key in keys.values():
                if key.table == table:
                    columns = listed(with_chat(table, key.columns))
                    yield f'ALTER TABLE {copy} ADD CONSTRAINT "{key.name}" {kind} ({columns})'
        yield from self._indexes(table, expected)
        yield from self._rights(table)

    @cached_property
    def _expected(self) -> Catalog:
        expected = expected_catalog(self.home)
        as_later_servers_have_it(expected, self.catalog)
        expect_chat_keys(expected)
        return expected

    def _indexes(self, table: str, expected: Catalog) -> Iterator[str]:
        """Those of the table, and the one by which ids are found without their chat."""
        copy = self.copies.quoted(table)
        there = self.database.execute_sql(_INDEXES, (self.home.quoted(table),)).fetchall()
        for name, is_unique, definition in there:
            unique, (_, contents) = "UNIQUE " * is_unique, definition.split(" USING ", 1)
            contents = _WORD.sub(f"{self.copies.prefix}stogram_word(", contents)
            columns = self.catalog.indexes[name].columns
            if is_unique and with_chat(table, columns) != columns:
                contents = contents.replace("(", f'("{OF_A_CHAT[table]}", ', 1)
            yield f'CREATE {unique}INDEX "{name}" ON {copy} USING {contents}'
        if f"{table}_id_idx" in expected.indexes and f"{table}_id_idx" not in self.catalog.indexes:
            yield f'CREATE INDEX "{table}_id_idx" ON {copy} ("id")'

    def _options(self, table: str, schema: PostgresSchema) -> list[str]:
        """The storage parameters of the table, such as fillfactor=80."""
        (options,) = self.database.execute_sql(
            "SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = to_regclass(%s)",
            (schema.quoted(table),),
        ).fetchone()
        return list(options)

    def _vacuumed(self, table: str) -> Iterator[Part]:
        """What gives the table that took the place its autovacuum back, as the old one has it."""
        old = self.before if self.is_in_place else self.home
        wanted, there = (
            [each for each in self._options(table, schema) if each.startswith(_VACUUM)]
            for schema in (old, self.home)
        )
        if wanted != there or not self.is_in_place:
            change = f"SET ({wanted[0]})" if wanted else f"RESET ({_VACUUM})"
            yield Part((f"ALTER TABLE {self.home.quoted(table)} {change}",))

    def _rights(self, table: str) -> Iterator[str]:
        values = (self.home.quoted(table), self.copies.quoted(table))
        for (statement,) in self.database.execute_sql(_RIGHTS, values).fetchall():
            yield statement

    def _functions(self) -> DistributionStep:
        _, functions, _ = KeepMessageTags().at_once(self.copies)
        parts = [Part((functions,))]
        if self.shards:
            parts += [Part((self._distributed(function),)) for function in _FUNCTIONS[:-1]]
        is_done = self._has_functions()
        return DistributionStep("functions that keep MessageTag", is_done, tuple(parts))

    def _triggers(self) -> DistributionStep:
        *_, triggers = KeepMessageTags().at_once(self.copies)
        # This function knows the type of the table, which the others have from now on.
        known = [Part((self._distributed(_FUNCTIONS[-1]),))] if self.shards else []
        return DistributionStep(
            str(KeepMessageTags()), self.copied.keeps_tags, (*known, Part((triggers,)))
        )

    def _distributed(self, function: str) -> str:
        name = f"{self.copies.prefix}{function.format(prefix=self.copies.prefix)}"
        return f"SELECT create_distributed_function('{name}')"

    def _has_functions(self) -> bool:
        """Whether they are there, and also on the other servers: the last of them tells."""
        name = f"to_regprocedure('{self.copies.prefix}{_FUNCTIONS[-2]}')"
        if not self.shards:
            return self.copies.ask(self.database, f"{name} IS NOT NULL")
        is_distributed = f"EXISTS (SELECT FROM pg_dist_object WHERE objid = {name}::oid)"
        return self._has_citus and self.copies.ask(self.database, is_distributed)

    @cached_property
    def _has_citus(self) -> bool:
        """Not where a dry run comes before the extension."""
        return self.home.ask(self.database, "to_regclass('pg_catalog.pg_dist_object') IS NOT NULL")

    def _shards(self, table: str) -> DistributionStep:
        sql = shards_sql(table, self.copies)
        return DistributionStep(
            f"shards of {table}", table in self.copied.shards, (Part((sql,)),), table
        )

    # --- The rows ---

    def _names(self, table: str) -> _Columns:
        names = [*self.catalog.tables[table]]
        if table in WITHOUT_CHAT and "chatId" not in names:  # a dry run comes before the column
            names.append("chatId")
        return _Columns(tuple(names), OF_A_CHAT.get(table), self._key(table))

    def _key(self, table: str) -> str:
        """The column by which the rows are told apart, and copied in their order."""
        return "messageId" if table == "PublishedMessage" else "id"

    def _follow(self, table: str) -> DistributionStep:
        """Whoever writes the table writes the copy too."""
        name = f"{table}_followed"
        follower = f"{self.copies.prefix}{name.lower()}"
        trigger = (
            f'CREATE TRIGGER "{name}{{}}" AFTER {{}} ON {self.home.quoted(table)} FOR EACH {{}} '
            f"EXECUTE FUNCTION {follower}()"
        )
        statements = (
            self._follower(table).replace(f"{self.copies.prefix}follow_rows", follower),
            f"REVOKE EXECUTE ON FUNCTION {follower}() FROM PUBLIC",
            trigger.format("", "INSERT OR UPDATE OR DELETE", "ROW"),
            trigger.format("_truncated", "TRUNCATE", "STATEMENT"),
            f"INSERT INTO {self.copies.quoted('Copied')} (name) VALUES ('{table}') "
            "ON CONFLICT DO NOTHING",
        )
        is_done = self.catalog.triggers.get(name) == table
        return DistributionStep(
            f"writes to {table} reach its copy", is_done, (Part(statements),), table
        )

    def _follower(self, table: str) -> str:
        """The function `follow_rows` of `sql/` for the table."""
        columns = self._names(table)
        # The column that says of which chat a row is, and those by which its copy is found.
        of_chat, found_by = columns.chat, [columns.key]
        # When a message goes with its reactions, nobody knows their chat any more.
        if table in WITHOUT_CHAT:
            of_chat, _ = WITHOUT_CHAT[table]
        elif columns.chat not in (None, columns.key):
            found_by = [columns.chat, columns.key]
        return self.copies.sql(
            "follow_rows",
            to=self.copies.quoted(table),
            stays=f'NEW."{of_chat}" = OLD."{of_chat}"' if of_chat else "true",
            assignments=", ".join(f'"{n}" = NEW."{n}"' for n in columns.names if n != columns.chat),
            old_row=" AND ".join(f'"{name}" = OLD."{name}"' for name in found_by),
            chat=self._chat_of("NEW", table),
            old_chat=self._chat_of("OLD", table),
            has_no_chat=str(columns.chat is None).lower(),
            columns=columns.all(""),
            new_values=columns.all("NEW.", "chat"),
            old_values=columns.all("OLD.", "chat"),
            batch=_batch(table),
            copied=self.copies.quoted("Copied"),
            table=table,
        )

    def _chat_of(self, row: str, table: str) -> str:
        """The chat of a row, as SQL; NULL for a table that every server has whole."""
        if table in WITHOUT_CHAT:
            column, parent = WITHOUT_CHAT[table]
            return f'(SELECT "chatId" FROM {self.home.quoted(parent)} WHERE id = {row}."{column}")'
        return f'{row}."{OF_A_CHAT[table]}"' if table in OF_A_CHAT else "NULL"

    def _rows(self, table: str) -> DistributionStep:
        here, copy = self.home.quoted(table), self.copies.quoted(table)
        copied = self.copies.quoted("Copied")
        if table == "MessageTag":  # the triggers of the shards have made its rows
            sql = f"INSERT INTO {copy} VALUES ('', 'complete', 'epoch', '') ON CONFLICT DO NOTHING"
            is_done = self.copies.has_row(
                self.database, self.copied, table, """tag = '' AND "chatId" = 'complete'"""
            )
        else:
            columns = self._names(table)
            rows, chat = f"{here} AS here", None
            if table in WITHOUT_CHAT:
                column, parent = WITHOUT_CHAT[table]
                rows += f' JOIN {self.home.quoted(parent)} AS parent ON parent.id = here."{column}"'
                chat = 'parent."chatId"'
            sql = self.copies.sql(
                "copy_rows",
                **{"from": here, "to": copy, "copied": copied, "table": table},
                columns=columns.all(""),
                values=columns.all("here.", chat),
                rows=rows,
                key=f'here."{columns.key}"',
                batch=_batch(table),
            )
            is_done = self.copies.has_row(
                self.database, self.copied, "Copied", f"name = '{table}' AND is_complete"
            )
        parts = (Part((sql,), brief=False), Part((f"ANALYZE {copy}",), brief=False))
        return DistributionStep(f"rows of {table}", is_done, parts, table)

    def _foreign_keys(self) -> Iterable[ForeignKey]:
        return self._expected.foreign_keys.values()

    def _foreign_key(self, key: ForeignKey) -> DistributionStep:
        copy = self.copies.quoted(key.table)
        statement = f"ALTER TABLE {copy} ADD {foreign_key_sql(key, self.copies)} NOT VALID"
        there = self.copied.foreign_keys.get(key.name)
        add = [] if there else [Part((statement,))]
        validate = f'ALTER TABLE {copy} VALIDATE CONSTRAINT "{key.name}"'
        return DistributionStep(
            f"foreign key {key.name}",
            there == key,
            (*add, Part((validate,), brief=False)),
            key.table,
        )

    # --- The exchange ---

    def of_others(self) -> str:
        """The query that finds what refers to the tables and is not theirs."""
        return self.home.sql("of_others", tables=_array(self.home))

    def _settings(self) -> DistributionStep:
        """Of the database: for every session from now on, and for the workers."""
        (name,) = self.database.execute_sql(
            "SELECT quote_ident(pg_catalog.current_database())"
        ).fetchone()
        everywhere = tuple(f"ALTER DATABASE {name} SET {each}" for each in _SETTINGS)
        # A lock_timeout of a session here is not known there.
        on_workers = (
            "SELECT run_command_on_workers($$SET LOCAL citus.enable_ddl_propagation = off; "
            f"ALTER DATABASE {name} SET lock_timeout = '5s'$$)"
        )
        parts = (Part(everywhere), Part((on_workers,)))
        return DistributionStep("settings of the database", self.has_settings, parts)

    def _exchange(self) -> DistributionStep:
        """In one transaction: whoever waits for the old tables finds the new ones."""
        statements = [
            *_schema_sql(self.before),
            # One after the other they may be waited for so long, while others wait for the first.
            "SET LOCAL lock_timeout = '100ms'",
            f"LOCK TABLE {', '.join(map(self.home.quoted, TABLES))} IN ACCESS EXCLUSIVE MODE",
            self.home.sql(
                "came_meanwhile",
                others=self.of_others(),
                tables=_array(self.home),
                copies=_array(self.copies),
            ),
        ]
        for source, target in ((self.home, self.before), (self.copies, self.home)):
            to = f'SET SCHEMA "{target.schema_name}"'
            statements += [f"ALTER TABLE {source.quoted(table)} {to}" for table in TABLES]
            statements += [
                f"ALTER FUNCTION {source.prefix}{each.format(prefix=target.prefix)} {to}"
                for each in _FUNCTIONS
            ]
        return DistributionStep(
            "the copies take the place of the tables",
            self.is_in_place,
            (Part(tuple(statements)),),
        )

    def _old_tables(self) -> DistributionStep:
        if self.is_in_place and MARK not in self.marks.values():
            return DistributionStep("the old tables go", True, ())
        # Not in the exchange, for which everybody waits.
        vacuumed = [part for table in TABLES for part in self._vacuumed(table)]
        drops = [
            Part((f'DROP SCHEMA IF EXISTS "{name}" CASCADE',))
            for name, mark in self.marks.items()
            if mark in (None, MARK)
        ]
        return DistributionStep("the old tables go", False, (*vacuumed, *drops))


#: The comment on a schema that is made here.
MARK = "made by stogram distribute, and dropped when it is done"


def _array(schema: PostgresSchema) -> str:
    """The names of all tables there, as an array in SQL."""
    names = [schema.quoted(table).replace("'", "''") for table in TABLES]
    return "ARRAY['" + "', '".join(names) + "']"


_MARKS = """
SELECT nspname, coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace
WHERE nspname = ANY (%s)
"""

_VACUUM = "autovacuum_enabled"
_WORD = re.compile(r'(?:"[^"]+"|\w+)\.stogram_word\(')


def _schema_sql(schema: PostgresSchema) -> tuple[str, str]:
    """The schema, with a mark: at the end it goes, with all that is in it."""
    return (
        f'CREATE SCHEMA IF NOT EXISTS "{schema.schema_name}"',
        f"COMMENT ON SCHEMA \"{schema.schema_name}\" IS '{MARK}'",
    )


def _batch(table: str) -> str:
    """The number of the lock that a batch of the table's rows has while it is committed."""
    return f"pg_catalog.hashtextextended('stogram_sdk copies {table}', 0)"


#: Tables of users are on every server, and go with what refers to them: one after the other.
_SETTINGS = (
    "citus.multi_shard_modify_mode = 'sequential'",
    "citus.enable_unsafe_triggers = on",
)
_HAS_SETTINGS = """
SELECT (SELECT bool_and(result = '5s') FROM run_command_on_workers('SHOW lock_timeout'))
    AND count(*) = 2
FROM pg_db_role_setting AS s, pg_catalog.unnest(s.setconfig) AS given(setting)
WHERE s.setrole = 0 AND s.setdatabase = (
        SELECT oid FROM pg_database WHERE datname = pg_catalog.current_database())
    AND setting IN ('citus.multi_shard_modify_mode=sequential', 'citus.enable_unsafe_triggers=on')
"""

_INDEXES = """
SELECT i.relname, x.indisunique, pg_get_indexdef(i.oid)
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE x.indrelid = to_regclass(%s) AND x.indisvalid
  AND NOT EXISTS (SELECT FROM pg_constraint AS k
                  WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY 1
"""

_COLUMN_OPTIONS = """
SELECT attname, pg_catalog.array_to_string(attoptions, ', ')
FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attoptions IS NOT NULL
"""

# The owner and the rights of a table, for its copy.
_RIGHTS = """
WITH given(here, copy) AS (VALUES (to_regclass(%s), %s)), granted AS (
    SELECT copy, NULL AS name, acl.* FROM given JOIN pg_class AS c ON c.oid = here,
        pg_catalog.aclexplode(c.relacl) AS acl WHERE acl.grantee <> c.relowner
    UNION ALL
    SELECT copy, a.attname, acl.* FROM given JOIN pg_attribute AS a ON a.attrelid = here,
        pg_catalog.aclexplode(a.attacl) AS acl
)
SELECT pg_catalog.format('ALTER TABLE %%s OWNER TO %%I', copy, pg_get_userbyid(c.relowner))
FROM given JOIN pg_class AS c ON c.oid = here WHERE pg_get_userbyid(c.relowner) <> current_user
UNION ALL
SELECT pg_catalog.format('GRANT %%s%%s ON %%s TO %%s%%s', privilege_type,
    ' (' || quote_ident(name) || ')', copy,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)
FROM granted
"""

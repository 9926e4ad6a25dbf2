"""A PostgreSQL schema: its catalog as objects, and its names as SQL."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from stogram_sdk.schema.objects import (
    HAS_ALL_TAGS,
    Catalog,
    Column,
    ForeignKey,
    Index,
    PrimaryKey,
    SchemaWords,
    UniqueConstraint,
    bare_column,
)

# format_type() says it at length where DDL has a short word.
_TYPES = {
    "text": "TEXT",
    "text[]": "TEXT[]",
    "boolean": "BOOLEAN",
    "integer": "INTEGER",
    "timestamp(3) without time zone": "TIMESTAMP(3)",
}
_CAST = re.compile(r'::("[^"]+"|[\w.() ])+(\[\])?$')

#: The search_path of whoever owns the tables: a schema may hold what others have made, and an
#: operator of theirs may fit better than that of the catalog. Tables are named with their schema.
SAFE_PATH = "pg_catalog, pg_temp"

_OID = "(SELECT oid FROM pg_namespace WHERE nspname = %s)"

_COLUMNS = f"""
SELECT c.relname, a.attname,
       CASE t.typtype WHEN 'e' THEN t.typname ELSE format_type(a.atttypid, a.atttypmod) END,
       NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = {_OID}
  AND c.relkind IN ('r', 'p')
ORDER BY c.relname, a.attnum
"""

# A table has a type of its name too.
_NAMES = """
SELECT taken.name, concat(taken.kind, ' ', taken.name)
FROM pg_namespace AS n, LATERAL (
    SELECT c.relname AS name, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
        WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'c' THEN 'type'
        WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind
    FROM pg_class AS c WHERE c.relnamespace = n.oid
    UNION ALL
    SELECT t.typname, 'type' FROM pg_type AS t
    WHERE t.typnamespace = n.oid AND t.typrelid = 0 AND t.typcategory <> 'A'
) AS taken
WHERE n.nspname = %s
"""

_CONSTRAINTS = f"""
SELECT k.contype, k.conname, c.relname,
       ARRAY(SELECT a.attname::text
             FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS of_key(number, place)
             JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = of_key.number
             ORDER BY of_key.place),
       other.relname, k.confdeltype, k.confupdtype, k.convalidated
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
LEFT JOIN pg_class AS other ON other.oid = k.confrelid
WHERE c.relnamespace = {_OID}
  AND k.contype IN ('p', 'u', 'f')
"""

_INDEXES = f"""
SELECT i.relname, c.relname,
       ARRAY(SELECT coalesce(a.attname::text, pg_get_indexdef(i.oid, of_key.place::int, true))
             FROM pg_catalog.unnest(x.indkey::smallint[]) WITH ORDINALITY AS of_key(number, place)
             LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = of_key.number
                 AND a.attnum > 0
             ORDER BY of_key.place),
       x.indisunique, am.amname, x.indisvalid, pg_get_expr(x.indpred, x.indrelid)
FROM pg_index AS x
JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_class AS c ON c.oid = x.indrelid
JOIN pg_am AS am ON am.oid = i.relam
WHERE c.relnamespace = {_OID}
  AND NOT EXISTS (SELECT FROM pg_constraint AS k
                  WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
"""

_ENUMS = f"""
SELECT t.typname, pg_catalog.array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
FROM pg_type AS t JOIN pg_enum AS e ON e.enumtypid = t.oid
WHERE t.typnamespace = {_OID}
GROUP BY t.typname
"""

_TRIGGERS = f"""
SELECT t.tgname, c.relname
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = {_OID}
  AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
"""

# Citus keeps what it has distributed in a table that is there with the extension alone.
_HAS_SHARDS = "to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL"
_SHARDS = f"""
SELECT c.relname, coalesce(column_to_column_name(p.logicalrelid, p.partkey), '')
FROM pg_dist_partition AS p JOIN pg_class AS c ON c.oid = p.logicalrelid
WHERE c.relnamespace = {_OID}
  AND (p.partmethod = 'h' OR p.repmodel = 't')
"""

_ACTIONS = {
    "a": "NO ACTION",
    "r": "RESTRICT",
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
}


class PostgresSchema(SchemaWords):
    """One schema of a PostgreSQL database; in a script without a name, that of its session."""

    name = "postgresql"
    #: The option of "Message"."chatId" by which there is a chat to every hundred messages.
    ESTIMATE = "n_distinct=-0.01"

    def __init__(self, schema_name: str | None = None) -> None:
        self.schema_name = schema_name
        #: What stands before a name as SQL: the schema, if one was named.
        self.prefix = f'"{schema_name}".' if schema_name else ""
        self._home = f"'{schema_name}'" if schema_name else "current_schema()"

    def indexed(self, column: str) -> str:
        """The same, or `stogram_word(column, number)`."""
        if not column.startswith("stogram_word("):
            return super().indexed(column)
        bare = bare_column(column)
        return self.prefix + column.replace(bare, f'"{bare}" COLLATE "C"')

    def quoted(self, name: str) -> str:
        """A table, type or index as SQL, with its schema if one was named."""
        return f'{self.prefix}"{name}"'

    def type(self, name: str) -> str:
        """A column's type as SQL; an enum type belongs to the schema."""
        return name if name in _TYPES.values() else self.quoted(name)

    def column(self, column: Column) -> Column:
        """The column as this database's catalog shows it."""
        return column

    def has_index(self, index: Index) -> bool:
        """Whether such an index exists on this engine at all."""
        return not index.only_sqlite

    def default(self, value: str) -> str:
        return value

    def lower(self, column: str) -> str:
        return f'lower("{column}" COLLATE "C")'

    def sql(self, name: str, **others: str) -> str:
        """A file of `sql/` for this schema; a word with an `@` stands for one of its parts.

        The driver takes a percent sign for a parameter, so there is none in these files.
        """
        parts = {
            # The function that @schema may be would find another schema on the path of a block.
            "installed": _file("tag_installed").replace("@schema", "named"),
            "sampled": _file("tag_sampled"),
            "shards": self._sampled_on_shards(),
            "shipped": _shipped(),
            "schema": self._home,
            "prefix": self.prefix,
            **others,
        }
        text = _file(name)
        for word, part in parts.items():
            text = text.replace(f"@{word}", part)
        return text

    def _sampled_on_shards(self) -> str:
        """Each server compares the shards that it has."""
        sample = _file("tag_sampled")
        for word, on_shard in (
            ('@prefix"MessageTag"', "@a2$s"),
            ('@prefix"Message"', "@a1$s"),
            ("_tags(message)", '_tags(ROW(message.*)::@prefix"Message")'),
        ):
            sample = sample.replace(word, on_shard)
        sample = f"pg_catalog.replace($sample${sample}$sample$, '@a', pg_catalog.chr(37))"
        return (
            "SELECT pg_catalog.bool_and(success AND result OPERATOR(pg_catalog.=) 't') "
            "FROM pg_catalog.run_command_on_colocated_placements("
            f"'{self.quoted('Message')}', '{self.quoted('MessageTag')}', {sample})"
        )

    def catalog(self, database: Any) -> Catalog:
        """The contents of the schema now."""
        (encoding,) = database.execute_sql("SHOW server_encoding").fetchone()
        catalog = Catalog(encoding)
        for table, name, kind, nullable, default in self._rows(database, _COLUMNS):
            column = Column(name, _TYPES.get(kind, kind), nullable, _without_cast(default))
            catalog.tables.setdefault(table, {})[name] = column
        self._read_constraints(database, catalog)
        for name, table, columns, unique, method, valid, where in self._rows(database, _INDEXES):
            bare = tuple(_bare_expression(column) for column in columns)
            catalog.indexes[name] = Index(name, table, bare, unique, method, valid, where)
        catalog.names = dict(self._rows(database, _NAMES))
        catalog.enums = {name: tuple(labels) for name, labels in self._rows(database, _ENUMS)}
        catalog.triggers = dict(self._rows(database, _TRIGGERS))
        if self.ask(database, _HAS_SHARDS):
            catalog.shards = dict(self._rows(database, _SHARDS))
        catalog.keeps_tags = self._keeps_tags(database)
        catalog.has_all_tags = self.has_row(database, catalog, "MessageTag", HAS_ALL_TAGS) and (
            not catalog.keeps_tags or self._sample_agrees(database, catalog)
        )
        catalog.has_moment = self.has_row(database, catalog, "UnreadSince", "true")
        catalog.estimates_messages = self.ask(database, self._estimates_messages())
        return catalog

    def _read_constraints(self, database: Any, catalog: Catalog) -> None:
        for kind, name, table, columns, *key in self._rows(database, _CONSTRAINTS):
            if kind == "p":
                catalog.primary_keys[name] = PrimaryKey(name, table, tuple(columns))
            elif kind == "u":
                catalog.uniques[name] = UniqueConstraint(name, table, tuple(columns))
            else:
                other, on_delete, on_update, valid = key
                actions = _ACTIONS[on_delete], _ACTIONS[on_update]
                catalog.foreign_keys[name] = ForeignKey(
                    name, table, ", ".join(columns), other, *actions, valid
                )

    def _rows(self, database: Any, sql: str) -> list[Any]:
        return list(database.execute_sql(sql, (self.schema_name,)).fetchall())

    def is_there(self, database: Any) -> bool:
        return self.ask(database, f"to_regnamespace(quote_ident({self._home})) IS NOT NULL")

    def may_read(self, database: Any, table: str) -> bool:
        return self.ask(database, f"has_table_privilege('{self.quoted(table)}', 'SELECT')")

    def _estimates_messages(self) -> str:
        messages = f"to_regclass('{self.quoted('Message')}')"
        return (
            f"EXISTS (SELECT FROM pg_attribute WHERE attrelid = {messages} "
            f"AND attname = 'chatId' AND '{self.ESTIMATE}' = ANY (attoptions))"
        )

    def _keeps_tags(self, database: Any) -> bool:
        """Whether the comment notes that this package made what is installed."""
        keeper = f"to_regprocedure('{self.prefix}stogram_keep_message_tags()')"
        note = f"'{_shipped()} ' || ({self.sql('tag_installed')})"
        return self.ask(database, f"coalesce(obj_description({keeper}, 'pg_proc') = {note}, false)")

    def _sample_agrees(self, database: Any, catalog: Catalog) -> bool:
        """Whether "MessageTag" agrees with the messages; also if they may not be read."""
        if not self.may_read(database, "Message"):
            return True
        with database.atomic():  # the functions find each other on the path
            database.execute_sql(
                f'SET LOCAL search_path = pg_catalog, "{self.schema_name}", pg_temp'
            )
            on_shards = "Message" in catalog.shards
            sample = self._sampled_on_shards() if on_shards else _file("tag_sampled")
            agrees = self.ask(database, f"({sample.replace('@prefix', self.prefix)})")
            database.execute_sql(f"SET LOCAL search_path = {SAFE_PATH}")
            return agrees


@cache
def _file(name: str) -> str:
    return (Path(__file__).with_name("sql") / f"{name}.sql").read_text("utf-8").rstrip(";\n")


def _shipped() -> str:
    """The checksum of what makes the functions and triggers of this package."""
    made = _file("tag_functions") + _file("tag_triggers")
    return hashlib.sha256(made.encode()).hexdigest()[:32]


def may_create(database: Any, schema: PostgresSchema) -> bool:
    """Whether this role may create in the schema; if there is none, whether it may make one."""
    if not schema.is_there(database):
        return schema.ask(database, "has_database_privilege(current_database(), 'CREATE')")
    (may,) = database.execute_sql(
        "SELECT has_schema_privilege(%s, 'CREATE')", (schema.schema_name,)
    ).fetchone()
    return bool(may)


def _bare_expression(indexed: str) -> str:
    """`stogram_word(name, 1)` of `public.stogram_word("name" COLLATE "C", 1)`."""
    found = re.fullmatch(r'(?:.*\.)?(\w+)\("?(\w+)"?(?: COLLATE "C")?(.*)\)', indexed)
    return f"{found[1]}({found[2]}{found[3]})" if found else indexed


def _without_cast(default: str | None) -> str | None:
    """A default as it was written: the catalog adds the type, Prisma writes `ARRAY[]` for none.

    Who makes a column by hand may write `now()`, which is the same.
    """
    if default is None:
        return None
    bare = _CAST.sub("", default)
    return {"ARRAY[]": "'{}'", "NULL": None, "now()": "CURRENT_TIMESTAMP"}.get(bare, bare)

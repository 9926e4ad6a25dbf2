"""A SQLite file: its catalog as objects, and columns as SQL.

Times, enums and arrays are TEXT there, booleans INTEGER; an array is JSON. There is no GIN, so the
two array columns have no index: SQLite reads them row by row. Nor has an index functions of ours,
which another program that writes the file would not have.
"""

from __future__ import annotations

import re
from typing import Any

from stogram_sdk.engine import sqlite_words
from stogram_sdk.engine.sqlite_tags import FILE_TRIGGERS, tags_of
from stogram_sdk.fields import SQLITE_DEFAULTS
from stogram_sdk.schema.objects import (
    HAS_ALL_TAGS,
    Catalog,
    Column,
    ForeignKey,
    Index,
    PrimaryKey,
    SchemaWords,
    UniqueConstraint,
)

_TYPES = {"BOOLEAN": "INTEGER", "INTEGER": "INTEGER"}

# PRAGMAs do not tell the names of constraints.
_UNIQUE = re.compile(r'CONSTRAINT "([^"]+)" UNIQUE \(([^)]+)\)')
_FOREIGN_KEY = re.compile(r'CONSTRAINT "([^"]+)" FOREIGN KEY \("([^"]+)"\)')


# Whether "MessageTag" holds what the messages say, as far as 10,000 rows of each table tell. Keys
# are not compared: another program writes them without the case of letters other than A-Z.
_SAMPLED = f"""
WITH made (tag, chat, created, message) AS ({
    tags_of("m", source='(SELECT * FROM "Message" ORDER BY "createdAt" DESC LIMIT 10000) AS m, ')
})
SELECT NOT EXISTS (SELECT 1 FROM made WHERE message NOT IN (SELECT "messageId" FROM "MessageTag"))
    AND NOT EXISTS (SELECT 1 FROM (SELECT * FROM "MessageTag" WHERE tag <> '' LIMIT 10000)
        WHERE "messageId" NOT IN (SELECT id FROM "Message"))
"""


class SqliteSchema(SchemaWords):
    """A SQLite file."""

    name = "sqlite"

    def quoted(self, name: str) -> str:
        """A table or index as SQL."""
        return f'"{name}"'

    def compared(self, name: str) -> str:
        return name.lower()

    def column(self, column: Column) -> Column:
        """The column as this database's catalog shows it."""
        default = SQLITE_DEFAULTS.get(column.default or "", column.default)
        return Column(
            column.name,
            _TYPES.get(column.type, "TEXT"),
            column.nullable,
            default and default.removeprefix("(").removesuffix(")"),
        )

    def has_index(self, index: Index) -> bool:
        """Whether such an index exists on this engine at all."""
        return index.method == "btree" and "stogram_word" not in index.columns[0]

    def type(self, name: str) -> str:
        return _TYPES.get(name, "TEXT")

    def default(self, value: str) -> str:
        return SQLITE_DEFAULTS.get(value, value)

    def lower(self, column: str) -> str:
        return f'lower("{column}")'

    def may_read(self, database: Any, table: str) -> bool:
        return True

    def catalog(self, database: Any) -> Catalog:
        """The contents of the file now."""
        catalog = Catalog()
        there = database.execute_sql(
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        ).fetchall()
        made = {name: sql for _, name, _, sql in there}
        catalog.keeps_tags = FILE_TRIGGERS.items() <= made.items()
        catalog.keeps_words = sqlite_words.PARTS.items() <= made.items()
        catalog.names = {
            self.compared(name): f"{kind} {name}"
            for kind, name, _, _ in there
            if kind != "trigger"  # Triggers have names of their own.
        }
        for kind, name, table, sql in there:
            if name in sqlite_words.PARTS:
                continue
            if kind == "trigger":
                catalog.triggers[name] = table
            elif kind == "table":
                self._read_table(database, catalog, table, sql)
        catalog.has_all_tags = self.has_row(database, catalog, "MessageTag", HAS_ALL_TAGS) and (
            not catalog.keeps_tags or self.ask(database, f"({_SAMPLED})")
        )
        catalog.has_moment = self.has_row(database, catalog, "UnreadSince", "true")
        return catalog

    def _read_table(self, database: Any, catalog: Catalog, table: str, sql: str) -> None:
        self._read_columns(database, catalog, table)
        self._read_indexes(database, catalog, table)
        self._read_foreign_keys(database, catalog, table, sql)
        for name, columns in _UNIQUE.findall(sql):
            names = tuple(column.strip(' "') for column in columns.split(","))
            catalog.uniques[name] = UniqueConstraint(name, table, names)

    def _read_columns(self, database: Any, catalog: Catalog, table: str) -> None:
        columns: dict[str, Column] = {}
        key: list[tuple[int, str]] = []
        for _, name, kind, not_null, default, place in _pragma(database, "table_info", table):
            columns[name] = Column(name, kind, not not_null, default)
            if place:
                key.append((place, name))
        catalog.tables[table] = columns
        if key:
            name = f"{table}_pkey"
            catalog.primary_keys[name] = PrimaryKey(name, table, tuple(n for _, n in sorted(key)))

    def _read_indexes(self, database: Any, catalog: Catalog, table: str) -> None:
        for _, name, unique, origin, _ in _pragma(database, "index_list", table):
            if origin == "c":
                columns, where = _index_contents(database, name)
                catalog.indexes[name] = Index(name, table, columns, bool(unique), where=where)

    def _read_foreign_keys(self, database: Any, catalog: Catalog, table: str, sql: str) -> None:
        names = {column: name for name, column in _FOREIGN_KEY.findall(sql)}
        for row in _pragma(database, "foreign_key_list", table):
            _, _, references, column, _, on_update, on_delete, _ = row
            name = names.get(column, f"{table}.{column}, unnamed")
            catalog.foreign_keys[name] = ForeignKey(
                name, table, column, references, on_delete, on_update
            )


def _index_contents(database: Any, name: str) -> tuple[tuple[str, ...], str | None]:
    """Columns and condition: PRAGMAs tell neither expressions nor conditions."""
    (sql,) = database.execute_sql(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", (name,)
    ).fetchone()
    _, _, contents = sql.partition(" ON ")
    columns, _, where = contents.partition(" WHERE ")
    names = columns[columns.index("(") + 1 : columns.rindex(")")].split(",")
    return tuple(_bare(column) for column in names), where or None


def _bare(column: str) -> str:
    """`lower("username")` as `lower(username)`."""
    return column.strip().replace('"', "").replace("LOWER(", "lower(")


def _pragma(database: Any, pragma: str, argument: str) -> list[Any]:
    return list(database.execute_sql(f'PRAGMA {pragma}("{argument}")').fetchall())

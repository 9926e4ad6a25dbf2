"""What can stand in the way of a migration, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from stogram_sdk.schema.objects import Catalog, Column, ForeignKey, UniqueConstraint
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema

Schema = PostgresSchema | SqliteSchema

#: A longer text does not fit into a GIN index (SQLSTATE 54000).
LONGEST_INDEXED_BYTES = 2700


@dataclass(frozen=True)
class Obstacle:
    """Something that is wrong, and what to do about it."""

    name: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}. {self.remedy}"


@dataclass(frozen=True)
class RowObstacle:
    """Rows that would be in the way; `count_sql` counts them, `show_sql` shows them."""

    name: str
    what: str
    remedy: str
    count_sql: str
    show_sql: str

    def found(self, rows: int) -> Obstacle:
        return Obstacle(
            self.name,
            f"rows of {self.what}: {rows}",
            f"{self.remedy}; to see them: {self.show_sql}",
        )


def wrong_encoding(catalog: Catalog) -> list[Obstacle]:
    """Messages hold every script, which no other encoding of PostgreSQL does."""
    if catalog.encoding == "UTF8":
        return []
    return [
        Obstacle(
            "database",
            f"is encoded in {catalog.encoding}, and must be in UTF8",
            "Dump it (pg_dump), and restore it into a database made with CREATE DATABASE ... "
            "TEMPLATE template0 ENCODING 'UTF8'",
        )
    ]


def missing_table(table: str) -> Obstacle:
    return Obstacle(
        f"table {table}",
        "is missing",
        "Is this the database, and the schema (?schema=...), of a Stogram server?",
    )


def other_constraint(
    what: str,
    wanted: UniqueConstraint | ForeignKey,
    there: UniqueConstraint | ForeignKey,
    schema: Schema,
) -> Obstacle:
    return Obstacle(
        what,
        f"is {there}, and must be {wanted}",
        f"Drop it, and the migration adds it: ALTER TABLE {schema.quoted(wanted.table)} "
        f'DROP CONSTRAINT "{wanted.name}"',
    )


def type_obstacle(table: str, wanted: Column, there: Column, schema: Schema) -> list[Obstacle]:
    expected = schema.column(wanted).type
    if there.type == expected:
        return []
    name = f"column {table}.{wanted.name}"
    if wanted.type == "TEXT[]" and there.type == "TEXT":
        remedy = _text_to_array(table, wanted, schema)
        return [Obstacle(name, "is TEXT, and must be TEXT[]", remedy)]
    return [
        Obstacle(
            name,
            f"is {there.type}, and must be {expected}",
            "Change its type, or use the version of the server that this package is for",
        )
    ]


def _text_to_array(table: str, wanted: Column, schema: Schema) -> str:
    return (
        f"This version of the server keeps JSON there. Set the field to String[] in its "
        f"schema.prisma, and with the server stopped: ALTER TABLE {schema.quoted(table)} RENAME "
        f'COLUMN "{wanted.name}" TO "{wanted.name}_json"; migrate again; `stogram backfill` then '
        f"finds the values again"
    )

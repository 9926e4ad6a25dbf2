"""The things that can stop a migration, and the remedy for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stogram_sdk.schema.objects import Catalog, Column, ForeignKey, UniqueConstraint
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema

Schema = PostgresSchema | SqliteSchema

#: A longer text does not fit into a GIN index (SQLSTATE 54000).
LONGEST_INDEXED_BYTES = 2700


@dataclass(frozen=True)
class Obstacle:
    """Something that is wrong, and its remedy."""

    name: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}. {self.remedy}"


@dataclass(frozen=True)
class RowCount:
    """A question: how many rows of a kind are there? None, if one of the columns is missing.

    A migration asks it itself; the script of a migration asks it in PL/pgSQL.
    """

    #: The kind of the rows; "%" stands for their number.
    what: str
    #: The columns, each with its table, that the count reads.
    columns: tuple[tuple[str, str], ...]
    sql: str

    def ask(self, database: Any, catalog: Catalog) -> str | None:
        """The kind of the rows with their number; None if there are no such rows."""
        if not all(catalog.column(table, column) for table, column in self.columns):
            return None
        (rows,) = database.execute_sql(self.sql).fetchone()
        return self.what.replace("%", str(rows)) if rows else None

    def guard(self, schema: PostgresSchema, says: str) -> str:
        """PL/pgSQL that raises an error if there are such rows; its text begins with `says`."""
        these = " OR ".join(
            f"attrelid = to_regclass('{schema.quoted(table)}') AND attname = '{column}'"
            for table, column in self.columns
        )
        return (
            "IF (SELECT count(*) FROM pg_attribute "
            f"WHERE NOT attisdropped AND ({these})) = {len(self.columns)} THEN\n"
            f"    {self.sql} INTO found;\n"
            f"    IF found > 0 THEN RAISE EXCEPTION '{says} {self.what}', found; END IF;\n"
            "END IF;"
        )


@dataclass(frozen=True)
class RowObstacle:
    """Rows that stop a step; `show_sql` shows them."""

    name: str
    rows: RowCount
    remedy: str
    show_sql: str

    def found(self, what: str) -> Obstacle:
        return Obstacle(self.name, what, f"{self.remedy}; to see them: {self.show_sql}")


def wrong_encoding(catalog: Catalog) -> list[Obstacle]:
    """An obstacle, if it is not UTF-8: no other encoding of PostgreSQL holds every script."""
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


def taken_name(
    what: str, name: str, catalog: Catalog, schema: Schema, *, beside: tuple[str, ...] = ()
) -> list[Obstacle]:
    """An obstacle, if something else has the name; unless it is of a kind that can stand beside."""
    there = catalog.names.get(schema.compared(name), "")
    if not there or there.startswith(beside):
        return []
    return [
        Obstacle(
            what,
            f"cannot be made: the name is that of the {there}",
            "Rename that, or migrate another schema or file",
        )
    ]


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


def is_json_of(wanted: Column, there: Column | None) -> bool:
    """Whether a later server keeps as JSON in TEXT what the guide keeps in an array of texts."""
    return wanted.type == "TEXT[]" and there is not None and there.type == "TEXT"


def type_obstacle(table: str, wanted: Column, there: Column, schema: Schema) -> list[Obstacle]:
    expected = schema.column(wanted).type
    if there.type == expected or is_json_of(wanted, there):
        return []
    return [
        Obstacle(
            f"column {table}.{wanted.name}",
            f"is {there.type}, and must be {expected}",
            "Change its type, or use the version of the server that this package is for",
        )
    ]

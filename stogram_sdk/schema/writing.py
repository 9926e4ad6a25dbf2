"""The words in which a migration file writes its steps.

A constraint or index has the name that the server's Prisma gives it, if none is given.
"""

from __future__ import annotations

from stogram_sdk.schema.objects import Column, ForeignKey, Index, UniqueConstraint
from stogram_sdk.schema.steps import (
    AddColumn,
    AddForeignKey,
    AddIndex,
    AddUnique,
    CreateEnum,
    CreateTable,
)


def column(name: str, type: str, *, null: bool = False, default: str | None = None) -> Column:
    return Column(name, type, null, default)


def text(name: str, *, null: bool = False, default: str | None = None) -> Column:
    return Column(name, "TEXT", null, default)


def number(name: str, *, null: bool = False, default: str | None = None) -> Column:
    return Column(name, "INTEGER", null, default)


def flag(name: str, *, default: str = "false") -> Column:
    return Column(name, "BOOLEAN", False, default)


def tags(name: str) -> Column:
    return Column(name, "TEXT[]", True, "'{}'")


def moment(name: str, *, null: bool = False, default: str | None = "CURRENT_TIMESTAMP") -> Column:
    return Column(name, "TIMESTAMP(3)", null, None if null else default)


def updated_at() -> Column:
    """The time of the last write; it has no default, the writer sets it."""
    return moment("updatedAt", default=None)


def create_enum(name: str, *labels: str) -> CreateEnum:
    return CreateEnum(name, labels)


def create_table(
    table: str, *columns: Column, key: tuple[str, ...] = (), is_derived: bool = False
) -> CreateTable:
    """A table whose primary key is its first column, if no others are named."""
    return CreateTable(table, columns, key, is_derived)


def add_column(table: str, added: Column) -> AddColumn:
    return AddColumn(table, added)


def add_unique(table: str, *columns: str) -> AddUnique:
    return AddUnique(UniqueConstraint("_".join([table, *columns, "key"]), table, columns))


def add_index(
    table: str,
    *columns: str,
    unique: bool = False,
    method: str = "btree",
    name: str | None = None,
    where: str | None = None,
    only_sqlite: bool = False,
) -> AddIndex:
    name = name or "_".join([table, *columns, "key" if unique else "idx"])
    made = Index(name, table, columns, unique, method, where=where, only_sqlite=only_sqlite)
    return AddIndex(made)


def add_foreign_key(
    table: str, column: str, references: str, *, on_delete: str = "CASCADE"
) -> AddForeignKey:
    name = f"{table}_{column}_fkey"
    return AddForeignKey(ForeignKey(name, table, column, references, on_delete))

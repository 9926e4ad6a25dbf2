"""The parts of a database, as data that can be compared.

Types and defaults are written as PostgreSQL's DDL has them (`TIMESTAMP(3)`, `TEXT[]`, `'{}'`); the
type of an enum column is the name of its enum type.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    nullable: bool = False
    default: str | None = None

    def __str__(self) -> str:
        default = "" if self.default is None else f" DEFAULT {self.default}"
        return f"{self.type} {'NULL' if self.nullable else 'NOT NULL'}{default}"


@dataclass(frozen=True)
class PrimaryKey:
    name: str
    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class UniqueConstraint:
    name: str
    table: str
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"unique ({', '.join(self.columns)})"


#: As a regular expression of Python and of PostgreSQL; a type may have its schema before it.
BRACKETS_AND_CASTS = """[()]|::("[^"]*"|[^ ()"])+"""


@dataclass(frozen=True)
class Index:
    name: str
    table: str
    #: Each is a column, `lower(column)`, which knows A-Z only, or `stogram_word(column, number)`.
    columns: tuple[str, ...]
    unique: bool = False
    method: str = "btree"
    #: False while the index is built, and for ever if the build was broken off.
    valid: bool = True
    #: The condition of the rows that it holds; all if None.
    where: str | None = field(default=None, compare=False)
    #: The same without brackets and casts, which each engine sets in its own way.
    bare_where: str | None = field(init=False)
    #: Whether PostgreSQL does without it.
    only_sqlite: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        bare = self.where and re.sub(BRACKETS_AND_CASTS, "", self.where).strip()
        object.__setattr__(self, "bare_where", bare)

    def __str__(self) -> str:
        kind = f"{'unique ' if self.unique else ''}{self.method} ({', '.join(self.columns)})"
        where = "" if self.where is None else f" where {self.where}"
        return f"{kind}{where}{'' if self.valid else ', invalid'}"


@dataclass(frozen=True)
class ForeignKey:
    name: str
    table: str
    column: str
    references: str
    on_delete: str = "CASCADE"
    on_update: str = "CASCADE"
    #: False if the rows that are older than the key have not been looked at.
    valid: bool = True

    def __str__(self) -> str:
        actions = f"ON DELETE {self.on_delete} ON UPDATE {self.on_update}"
        valid = "" if self.valid else ", not validated"
        return f"{self.column} to {self.references}, {actions}{valid}"


#: The row of "MessageTag" that says that the table is complete; `sql/fill_tags.sql` writes it.
HAS_ALL_TAGS = """tag = '' AND "chatId" = 'complete'"""


@dataclass
class Catalog:
    """Everything in one schema of a database; indexes of constraints are not listed again."""

    #: The encoding in which the database keeps text.
    encoding: str = "UTF8"
    tables: dict[str, dict[str, Column]] = field(default_factory=dict)
    #: By each name that is taken, as the engine compares names, what has it: such as "view Folder".
    names: dict[str, str] = field(default_factory=dict, compare=False)
    primary_keys: dict[str, PrimaryKey] = field(default_factory=dict)
    uniques: dict[str, UniqueConstraint] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    foreign_keys: dict[str, ForeignKey] = field(default_factory=dict)
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: The table of each trigger.
    triggers: dict[str, str] = field(default_factory=dict)
    #: Of each table that Citus has distributed the column by which; none if each server has it all.
    shards: dict[str, str] = field(default_factory=dict)
    #: Whether the functions and triggers that keep "MessageTag" are those of this package.
    keeps_tags: bool = False
    #: Whether "MessageTag" says that it holds every tag, and a sample of both tables agrees.
    has_all_tags: bool = False
    #: Whether SQLite's table of words, and its triggers, are those of this package.
    keeps_words: bool = False
    #: Whether "UnreadSince" holds the moment of the migration.
    has_moment: bool = False
    #: Whether PostgreSQL is told how many messages a chat has.
    estimates_messages: bool = False

    def column(self, table: str, column: str) -> Column | None:
        return self.tables.get(table, {}).get(column)


def bare_column(indexed: str) -> str:
    """The column of an index, without the function around it."""
    return re.sub(r"^\w+\((\w+).*\)$", r"\1", indexed)


def listed(names: Iterable[str]) -> str:
    """Columns as SQL, separated by commas."""
    return ", ".join(f'"{name}"' for name in names)


class SchemaWords(ABC):
    """What the engines have in common: their words for a column, and questions to a table."""

    @abstractmethod
    def quoted(self, name: str) -> str:
        """A table or index as SQL."""

    @abstractmethod
    def type(self, name: str) -> str:
        """A column's type as SQL."""

    @abstractmethod
    def default(self, value: str) -> str:
        """A column's default as SQL."""

    @abstractmethod
    def lower(self, column: str) -> str:
        """The column in lower case, of A-Z alone."""

    @abstractmethod
    def may_read(self, database: Any, table: str) -> bool:
        """Whether this role may read the table."""

    def compared(self, name: str) -> str:
        """A name as the engine compares it with others."""
        return name

    def indexed(self, column: str) -> str:
        """A column, or `lower(column)`, as `CREATE INDEX` has it."""
        bare = bare_column(column)
        return f'"{column}"' if bare == column else self.lower(bare)

    def definition(self, column: Column) -> str:
        """The column as `CREATE TABLE` and `ADD COLUMN` have it."""
        null = "" if column.nullable else " NOT NULL"
        default = "" if column.default is None else f" DEFAULT {self.default(column.default)}"
        return f'"{column.name}" {self.type(column.type)}{null}{default}'

    def has_row(self, database: Any, catalog: Catalog, table: str, condition: str) -> bool:
        """Whether the table has such a row; not if it is not there or may not be read."""
        if table not in catalog.tables or not self.may_read(database, table):
            return False
        rows = f"SELECT 1 FROM {self.quoted(table)} WHERE {condition}"
        return self.ask(database, f"EXISTS ({rows})")

    def ask(self, database: Any, condition: str) -> bool:
        return bool(database.execute_sql(f"SELECT {condition}").fetchone()[0])

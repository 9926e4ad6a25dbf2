"""The steps of a migration. They are data, so that they never change once released.

A step sees in the catalog whether it is done and which obstacles it has, and it knows its SQL. The
SQL can run any number of times: it does the part that is not done yet. On PostgreSQL it can be
broken off at any moment and run again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stogram_sdk.schema.objects import (
    BRACKETS_AND_CASTS,
    Catalog,
    Column,
    ForeignKey,
    Index,
    UniqueConstraint,
    bare_column,
    listed,
)
from stogram_sdk.schema.obstacles import (
    LONGEST_INDEXED_BYTES,
    Obstacle,
    RowCount,
    RowObstacle,
    Schema,
    is_json_of,
    missing_table,
    other_constraint,
    taken_name,
    type_obstacle,
)
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.sqlite import SqliteSchema


@dataclass(frozen=True)
class StepSql:
    """A part of a step, carried out by itself.

    A `brief` one needs a strong lock, and holds it for a moment only. Any other can take long,
    blocks no other client, and must not run inside a transaction.
    """

    sql: str
    brief: bool = True


class Step(ABC):
    """One change of the schema."""

    if TYPE_CHECKING:  # a property here would be the default of the fields of that name

        @property
        def table(self) -> str | None:
            """The table that it changes; a table that is there must belong to who migrates."""

    #: Whether `stogram migrate` does it again where it is not as this package makes it any more.
    is_renewed = False
    #: What is lost with the step, though no rows are that somebody wrote; none if empty.
    loses = ""

    @abstractmethod
    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        """Whether the schema is as it should be after this step."""

    def obstacles(self, catalog: Catalog, schema: Schema) -> list[Obstacle]:
        """The things that stop the step, and that it does not put right."""
        return []

    def row_obstacles(self, schema: Schema) -> list[RowObstacle]:
        """The rows that can stop the step, as long as it is not done."""
        return []

    def losses(self, schema: Schema) -> list[RowCount]:
        """The rows whose data would be lost if the step was taken back."""
        return []

    @abstractmethod
    def at_once(self, schema: PostgresSchema) -> list[str]:
        """Its SQL inside one transaction, for tables that no client uses yet."""

    def in_transaction(self, schema: PostgresSchema) -> list[str]:
        """Its SQL inside one transaction, whatever is there: for tools that know no other way."""
        return self.at_once(schema)

    def online(self, schema: PostgresSchema) -> list[StepSql]:
        """Its SQL beside a live server."""
        return [StepSql(sql) for sql in self.at_once(schema)]

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        """Its SQL on SQLite, where the constraints of a table are part of `CREATE TABLE`."""
        return []

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        """The SQL that takes the step back; none if its table is taken back with it."""
        return []


@dataclass(frozen=True)
class CreateEnum(Step):
    name: str
    labels: tuple[str, ...]
    table = None

    def __str__(self) -> str:
        return f"enum type {self.name}"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return isinstance(schema, SqliteSchema) or self.name in catalog.enums

    def obstacles(self, catalog: Catalog, schema: Schema) -> list[Obstacle]:
        if not self.is_done(catalog, schema):
            beside = ("index", "sequence")
            return taken_name(str(self), self.name, catalog, schema, beside=beside)
        missing = [x for x in self.labels if x not in catalog.enums.get(self.name, self.labels)]
        return [
            Obstacle(
                str(self),
                f"has no label '{label}'",
                f"Add it: ALTER TYPE {schema.quoted(self.name)} ADD VALUE '{label}'",
            )
            for label in missing
        ]

    def at_once(self, schema: PostgresSchema) -> list[str]:
        labels = ", ".join(f"'{label}'" for label in self.labels)
        name = schema.quoted(self.name)
        return [_if(f"to_regtype('{name}') IS NULL", f"CREATE TYPE {name} AS ENUM ({labels})")]

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        if isinstance(schema, SqliteSchema):
            return []
        return [f"DROP TYPE IF EXISTS {schema.quoted(self.name)}"]


@dataclass(frozen=True)
class CreateTable(Step):
    table: str
    contents: tuple[Column, ...]
    #: The columns of its primary key; the first one if none are named.
    key: tuple[str, ...] = ()
    #: Whether it is this package's own: nothing that the server knows is lost with it.
    is_derived: bool = False

    def __str__(self) -> str:
        return f"table {self.table}"

    @property
    def key_columns(self) -> tuple[str, ...]:
        return self.key or (self.contents[0].name,)

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return self.table in catalog.tables

    def obstacles(self, catalog: Catalog, schema: Schema) -> list[Obstacle]:
        if self.table not in catalog.tables:
            return taken_name(str(self), self.table, catalog, schema)
        found: list[Obstacle] = []
        for column in self.contents:
            there = catalog.column(self.table, column.name)
            if there is None:
                definition = schema.definition(column)
                found.append(
                    Obstacle(
                        f"column {self.table}.{column.name}",
                        "is missing, though the table exists",
                        f"Add it: ALTER TABLE {schema.quoted(self.table)} ADD COLUMN {definition}",
                    )
                )
            else:
                found += type_obstacle(self.table, column, there, schema)
        return found

    def losses(self, schema: Schema) -> list[RowCount]:
        if self.is_derived:
            return []
        rows = f"SELECT count(*) FROM {schema.quoted(self.table)}"
        return [RowCount(f"% rows of {self.table}", ((self.table, self.key_columns[0]),), rows)]

    def at_once(self, schema: PostgresSchema) -> list[str]:
        key = f'CONSTRAINT "{self.table}_pkey" PRIMARY KEY ({listed(self.key_columns)})'
        lines = [*(schema.definition(column) for column in self.contents), key]
        return [_create_table(schema, self.table, lines)]

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        lines = [schema.definition(column) for column in self.contents]
        if self.key:
            lines.append(f"PRIMARY KEY ({listed(self.key)})")
        else:
            lines[0] += " PRIMARY KEY"
        for step in siblings:
            if isinstance(step, AddForeignKey | AddUnique) and step.table == self.table:
                lines.append(step.constraint(schema))
        return [_create_table(schema, self.table, lines)]

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        return [f"DROP TABLE IF EXISTS {schema.quoted(self.table)}"]


@dataclass(frozen=True)
class AddColumn(Step):
    table: str
    column: Column

    def __str__(self) -> str:
        return f"column {self.table}.{self.column.name}"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        there = catalog.column(self.table, self.column.name)
        if isinstance(schema, SqliteSchema):
            return there is not None
        return there == self.column or is_json_of(self.column, there)

    def obstacles(self, catalog: Catalog, schema: Schema) -> list[Obstacle]:
        there = catalog.column(self.table, self.column.name)
        if self.table not in catalog.tables:
            return [missing_table(self.table)]
        if there is None:
            return []
        found = type_obstacle(self.table, self.column, there, schema)
        if there.nullable and not self.column.nullable:
            table = schema.quoted(self.table)
            name = self.column.name
            found.append(
                Obstacle(
                    str(self),
                    "may be NULL, and must not be",
                    f'Fill the rows without a value (UPDATE {table} SET "{name}" = '
                    f'{self.column.default} WHERE "{name}" IS NULL), then ALTER TABLE {table} '
                    f'ALTER COLUMN "{name}" SET NOT NULL',
                )
            )
        return found

    def losses(self, schema: Schema) -> list[RowCount]:
        """The rows that hold another value than the default."""
        name = self.column.name
        *_, default = schema.definition(self.column).split("DEFAULT ")
        rows = (
            f"SELECT count(*) FROM {schema.quoted(self.table)} "
            f'WHERE coalesce("{name}", {default}) <> {default}'
        )
        return [RowCount(f"{self.table}.{name} of % rows", ((self.table, name),), rows)]

    def at_once(self, schema: PostgresSchema) -> list[str]:
        # SET DEFAULT: a column that is there already may have another default, or none.
        return [
            f"ALTER TABLE {schema.quoted(self.table)}\n"
            f"    ADD COLUMN IF NOT EXISTS {schema.definition(self.column)},\n"
            f'    ALTER COLUMN "{self.column.name}" SET DEFAULT {self.column.default}'
        ]

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        definition = schema.definition(self.column)
        return [f"ALTER TABLE {schema.quoted(self.table)} ADD COLUMN {definition}"]

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        if isinstance(schema, SqliteSchema):
            return [f'ALTER TABLE {schema.quoted(self.table)} DROP COLUMN "{self.column.name}"']
        return [
            f"ALTER TABLE IF EXISTS {schema.quoted(self.table)}\n"
            f'    DROP COLUMN IF EXISTS "{self.column.name}"'
        ]


@dataclass(frozen=True)
class AddUnique(Step):
    unique: UniqueConstraint

    @property
    def table(self) -> str:
        return self.unique.table

    def __str__(self) -> str:
        return f"unique constraint {self.unique.name}"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return catalog.uniques.get(self.unique.name) == self.unique

    def obstacles(self, catalog: Catalog, schema: Schema) -> list[Obstacle]:
        there = catalog.uniques.get(self.unique.name)
        if there is None:
            beside = ("index", "type")
            return taken_name(str(self), self.unique.name, catalog, schema, beside=beside)
        if there == self.unique:
            return []
        return [other_constraint(str(self), self.unique, there, schema)]

    def row_obstacles(self, schema: Schema) -> list[RowObstacle]:
        table, columns = schema.quoted(self.table), listed(self.unique.columns)
        return [
            RowObstacle(
                str(self),
                RowCount(
                    f'rows of "{self.table}" that have the same {columns} as another: %',
                    tuple((self.table, column) for column in self.unique.columns),
                    f"SELECT coalesce(sum(copies - 1), 0) FROM (SELECT count(*) AS copies "
                    f"FROM {table} GROUP BY {columns} HAVING count(*) > 1) AS doubles",
                ),
                "Keep one of each",
                f"SELECT {columns}, count(*) FROM {table} GROUP BY {columns} HAVING count(*) > 1",
            )
        ]

    def constraint(self, schema: Schema) -> str:
        return f'CONSTRAINT "{self.unique.name}" UNIQUE ({listed(self.unique.columns)})'

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return [_add_constraint(self.unique, self.constraint(schema), schema)]

    def in_transaction(self, schema: PostgresSchema) -> list[str]:
        return [part.sql for part in self._with_its_index(schema, concurrently=False)]

    def online(self, schema: PostgresSchema) -> list[StepSql]:
        return self._with_its_index(schema)

    def _with_its_index(self, schema: PostgresSchema, concurrently: bool = True) -> list[StepSql]:
        unique = Index(self.unique.name, self.table, self.unique.columns, unique=True)
        table = schema.quoted(self.table)
        return [
            *_build_index(unique, schema, concurrently),
            StepSql(
                _if(
                    _no_constraint(self.unique.name, table),
                    f'ALTER TABLE {table}\n    ADD CONSTRAINT "{self.unique.name}" '
                    f'UNIQUE USING INDEX "{self.unique.name}"',
                )
            ),
        ]


@dataclass(frozen=True)
class AddIndex(Step):
    index: Index

    @property
    def table(self) -> str:
        return self.index.table

    def __str__(self) -> str:
        return f"index {self.index.name}"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        if not schema.has_index(self.index) or self._is_on_json(catalog):
            return True
        return catalog.indexes.get(self.index.name) == self.index

    def _is_on_json(self, catalog: Catalog) -> bool:
        """Whether it would be an index of arrays, on a column in which the server keeps JSON."""
        column = catalog.column(self.table, self.index.columns[0])
        return self.index.method == "gin" and column is not None and column.type == "TEXT"

    def obstacles(self, catalog: Catalog, schema: Schema) -> list[Obstacle]:
        if self.is_done(catalog, schema):
            return []
        beside = ("index", "type")
        return taken_name(str(self), self.index.name, catalog, schema, beside=beside)

    def row_obstacles(self, schema: Schema) -> list[RowObstacle]:
        if self.index.method != "gin":
            return []
        (column,) = self.index.columns
        rows = (
            f'FROM {schema.quoted(self.table)}, pg_catalog.unnest("{column}") AS value '
            f"WHERE octet_length(value) > {LONGEST_INDEXED_BYTES}"
        )
        return [
            RowObstacle(
                str(self),
                RowCount(
                    f'rows of "{self.table}" that have a value in "{column}" of more than '
                    f"{LONGEST_INDEXED_BYTES} bytes, which no index can hold: %",
                    ((self.table, column),),
                    f"SELECT count(*) {rows}",
                ),
                "Shorten or remove these values",
                f"SELECT id, left(value, 60) {rows}",
            )
        ]

    def at_once(self, schema: PostgresSchema) -> list[str]:
        if not schema.has_index(self.index):
            return []
        return [index_sql(self.index, schema, "IF NOT EXISTS ")]

    def in_transaction(self, schema: PostgresSchema) -> list[str]:
        if not schema.has_index(self.index):
            return []
        return [part.sql for part in _build_index(self.index, schema, concurrently=False)]

    def online(self, schema: PostgresSchema) -> list[StepSql]:
        return _build_index(self.index, schema) if schema.has_index(self.index) else []

    def on_sqlite(self, schema: SqliteSchema, siblings: Iterable[Step]) -> list[str]:
        # An index of that name may differ; it is built again.
        return [
            f"DROP INDEX IF EXISTS {schema.quoted(self.index.name)}",
            index_sql(self.index, schema),
        ]

    def undo(self, schema: Schema, siblings: Iterable[Step]) -> list[str]:
        if not schema.has_index(self.index):
            return []
        columns = {bare_column(column) for column in self.index.columns}
        for step in siblings:
            if not isinstance(step, CreateTable | AddColumn) or step.table != self.table:
                continue
            if isinstance(step, CreateTable):
                return []
            # SQLite does not drop a column that an index is on.
            if isinstance(schema, PostgresSchema) and step.column.name in columns:
                return []
        return [f"DROP INDEX IF EXISTS {schema.quoted(self.index.name)}"]


@dataclass(frozen=True)
class AddForeignKey(Step):
    key: ForeignKey

    @property
    def table(self) -> str:
        return self.key.table

    def __str__(self) -> str:
        return f"foreign key {self.key.name}"

    def is_done(self, catalog: Catalog, schema: Schema) -> bool:
        return catalog.foreign_keys.get(self.key.name) == self.key

    def obstacles(self, catalog: Catalog, schema: Schema) -> list[Obstacle]:
        there = catalog.foreign_keys.get(self.key.name)
        if there is not None and replace(there, valid=True) != self.key:
            return [other_constraint(str(self), self.key, there, schema)]
        if (
            isinstance(schema, SqliteSchema)
            and self.table in catalog.tables
            and self.key not in catalog.foreign_keys.values()
        ):
            return [
                Obstacle(
                    str(self),
                    f"is missing, and SQLite cannot add it to the table {self.table} that exists",
                    "Move the rows into a new, migrated file",
                )
            ]
        return []

    def row_obstacles(self, schema: Schema) -> list[RowObstacle]:
        table, other = schema.quoted(self.table), schema.quoted(self.key.references)
        column = self.key.column
        rows = (
            f'FROM {table} AS child WHERE child."{column}" IS NOT NULL AND NOT EXISTS '
            f'(SELECT 1 FROM {other} AS parent WHERE parent."id" = child."{column}")'
        )
        return [
            RowObstacle(
                str(self),
                RowCount(
                    f'rows of "{self.table}" whose "{column}" is no "{self.key.references}": %',
                    ((self.table, column), (self.key.references, "id")),
                    f"SELECT count(*) {rows}",
                ),
                "Correct or delete them",
                f"SELECT child.* {rows}",
            )
        ]

    def constraint(self, schema: Schema) -> str:
        return foreign_key_sql(self.key, schema)

    def at_once(self, schema: PostgresSchema) -> list[str]:
        return [_add_constraint(self.key, self.constraint(schema), schema)]

    def online(self, schema: PostgresSchema) -> list[StepSql]:
        table = schema.quoted(self.table)
        return [
            StepSql(
                _if(
                    _no_constraint(self.key.name, table),
                    f"ALTER TABLE {table}\n    ADD {self.constraint(schema)} NOT VALID",
                )
            ),
            StepSql(f'ALTER TABLE {table} VALIDATE CONSTRAINT "{self.key.name}"', brief=False),
        ]


# --- SQL ---


def _create_table(schema: Schema, table: str, lines: list[str]) -> str:
    body = ",\n    ".join(lines)
    return f"CREATE TABLE IF NOT EXISTS {schema.quoted(table)} (\n    {body}\n)"


def foreign_key_sql(key: ForeignKey, schema: Schema) -> str:
    """The constraint, as `CREATE TABLE` and `ALTER TABLE` have it; a key of two has the chat."""
    columns = key.column.split(", ")
    others = ["chatId", "id"] if len(columns) > 1 else ["id"]
    return (
        f'CONSTRAINT "{key.name}" FOREIGN KEY ({listed(columns)}) REFERENCES '
        f"{schema.quoted(key.references)} ({listed(others)}) "
        f"ON DELETE {key.on_delete} ON UPDATE {key.on_update}"
    )


def index_sql(wanted: Index, schema: Schema, options: str = "") -> str:
    unique = "UNIQUE " if wanted.unique else ""
    using = "" if wanted.method == "btree" else f" USING {wanted.method}"
    columns = ", ".join(schema.indexed(column) for column in wanted.columns)
    where = "" if wanted.where is None else f" WHERE {wanted.where}"
    return (
        f'CREATE {unique}INDEX {options}"{wanted.name}" '
        f"ON {schema.quoted(wanted.table)}{using} ({columns}){where}"
    )


def _build_index(wanted: Index, schema: PostgresSchema, concurrently: bool = True) -> list[StepSql]:
    """Make the index, if `concurrently` without blocking a writer; an invalid or other one goes.

    A build that was broken off leaves an invalid index, which `IF NOT EXISTS` would keep for ever.
    A B-tree on an array is never used, though it can make an INSERT fail.
    """
    name, old = wanted.name, f"{wanted.name}_replaced"
    manner = "CONCURRENTLY " if concurrently else ""
    quoted = schema.quoted(name)
    expected = ", ".join(
        "'" + schema.indexed(column).replace('"', "") + "'" for column in wanted.columns
    )
    where = "NULL" if wanted.bare_where is None else f"$where${wanted.bare_where}$where$"
    is_other = (
        "SELECT FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid "
        "JOIN pg_am AS am ON am.oid = i.relam\n"
        f"        WHERE x.indexrelid = to_regclass('{quoted}')\n"
        "        AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.oid)\n"
        f"        AND NOT (x.indisvalid AND am.amname = '{wanted.method}' "
        f"AND x.indisunique = {str(wanted.unique).lower()}\n"
        "            AND regexp_replace("
        f"pg_get_expr(x.indpred, x.indrelid), '{BRACKETS_AND_CASTS}', '', 'g') "
        f"IS NOT DISTINCT FROM {where}\n"
        f"            AND x.indrelid = to_regclass('{schema.quoted(wanted.table)}')\n"
        f"            AND ARRAY[{expected}] = ARRAY(\n"
        "                SELECT replace(pg_get_indexdef(i.oid, place, true), '\"', '')\n"
        "                FROM generate_series(1, x.indnkeyatts) AS place ORDER BY place))"
    )
    return [
        StepSql(_if(f"EXISTS ({is_other})", f'ALTER INDEX {quoted} RENAME TO "{old}"')),
        StepSql(f"DROP INDEX {manner}IF EXISTS {schema.quoted(old)}", brief=False),
        StepSql(index_sql(wanted, schema, f"{manner}IF NOT EXISTS "), brief=False),
    ]


def _add_constraint(
    wanted: UniqueConstraint | ForeignKey, definition: str, schema: PostgresSchema
) -> str:
    table = schema.quoted(wanted.table)
    return _if(_no_constraint(wanted.name, table), f"ALTER TABLE {table} ADD {definition}")


def _no_constraint(name: str, table: str) -> str:
    return (
        f"NOT EXISTS (SELECT FROM pg_constraint WHERE conname = '{name}' "
        f"AND conrelid = to_regclass('{table}'))"
    )


def _if(condition: str, statement: str) -> str:
    return f"DO $$ BEGIN IF {condition} THEN\n    {statement};\nEND IF; END $$"

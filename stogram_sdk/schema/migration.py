"""The steps of a migration, carried out or undone by the stock `pw_migrate`.

A migration file is a list of steps and two functions of one line. All obstacles are looked for
before anything is touched. A step that is done already is left alone. At the end the catalog must
show every step as done.
"""

from __future__ import annotations

import logging
import os
import runpy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peewee

from stogram_sdk.errors import MigrationError
from stogram_sdk.schema import online
from stogram_sdk.schema.chat_keys import has_chat_keys
from stogram_sdk.schema.objects import Catalog
from stogram_sdk.schema.obstacles import Obstacle, Schema, wrong_encoding
from stogram_sdk.schema.postgres import PostgresSchema, may_create
from stogram_sdk.schema.sqlite import SqliteSchema
from stogram_sdk.schema.steps import AddColumn, CreateTable, Step, StepSql

ALLOW_DATA_LOSS = "STOGRAM_ALLOW_DATA_LOSS"
BUILT_ON = "others have built on what would be dropped:"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Migration:
    """Steps that belong together.

    The steps of the `foundation` make the tables of the server. They are carried out in one
    transaction; where a server has made the tables already, these are taken as they are.
    """

    steps: tuple[Step, ...]
    foundation: bool = False

    def apply(self, migrator: Any, database: Any, *, fake: bool = False) -> None:
        """Carry out the steps that are not done; with `fake`, only tell `migrator` of the models.

        Raises `MigrationError` before anything is touched if there is an obstacle to this migration
        or to a later one: a database is not left between two migrations.
        """
        from stogram_sdk.schema.snapshot import register

        register(migrator.orm, self.steps)
        if fake:  # the database answers nothing now
            return
        schema = schema_of(database, history_schema_name())
        catalog = schema.catalog(database)
        done, pending = _done_and_pending()
        coming = [self, *(each for each in pending if each != self)]
        stop_for(obstacles_of(coming, database, schema, catalog))
        to_do = self.to_do(schema, catalog)
        if self.foundation and isinstance(schema, PostgresSchema):
            self._lay_foundation(database, schema, to_do)
        else:
            with online.outside_transaction(database):
                self._carry_out(database, schema, to_do)
                _renew(done, database, schema)
        self._verify(schema, schema.catalog(database))

    def to_do(self, schema: Schema, catalog: Catalog) -> list[Step]:
        """The steps that are not done yet: none of a foundation that a server has made."""
        if self.foundation and self.tables & catalog.tables.keys():
            return []
        return [step for step in self.steps if not step.is_done(catalog, schema)]

    def unfit(self, schema: Schema, catalog: Catalog) -> list[Obstacle]:
        """The things that are missing, or are there and differ, and that no step puts right."""
        found = wrong_encoding(catalog)
        missing = self.tables - catalog.tables.keys()
        if self.foundation and missing != self.tables:
            found += [
                Obstacle(
                    f"table {table}",
                    "is missing, though other tables of a Stogram server are there",
                    "Is this the database, and the schema (?schema=...), of the server? Let the "
                    "server's own migrations make it",
                )
                for table in sorted(missing)
            ]
        for step in self.steps:
            found += step.obstacles(catalog, schema)
        return list(dict.fromkeys(found))

    @property
    def tables(self) -> set[str]:
        """The tables that the steps make."""
        return {step.table for step in self.steps if isinstance(step, CreateTable)}

    def undo(self, migrator: Any, database: Any, *, fake: bool = False) -> None:
        """Take the steps back.

        Raises `MigrationError` if data would be lost and `STOGRAM_ALLOW_DATA_LOSS` is not 1. For a
        foundation it is raised also then, and if the server made the tables; and for any if others
        have built on what would be dropped, or the keys are those of `stogram distribute`.
        """
        if fake:
            return
        schema = schema_of(database, history_schema_name())
        catalog = schema.catalog(database)
        if has_chat_keys(catalog):
            raise MigrationError(
                "the keys of this database begin with the chat (`stogram distribute`): its "
                "migrations cannot be taken back"
            )
        if self.foundation:
            self._remove_foundation(database, schema, catalog)
            return
        self._stop_for_dependents(database, schema)
        losses = self.losses(database, schema, catalog)
        if losses and os.environ.get(ALLOW_DATA_LOSS) != "1":
            raise MigrationError(
                f"this would lose {', '.join(losses)}. Make a backup (pg_dump), then set "
                f"{ALLOW_DATA_LOSS}=1 to go on"
            )
        for step in self.steps:
            if step.loses and step.is_done(catalog, schema):
                log.info("%s", step.loses)
        if isinstance(schema, SqliteSchema):
            for step in self._undoable(schema, catalog):
                for sql in self._undoing(schema, step):
                    database.execute_sql(sql)
            return
        self._undo_online(database, schema)

    def dependents(self, schema: PostgresSchema) -> str:
        """A query for what others have built on what is dropped if the steps are taken back."""
        gone = [step for step in self.steps if isinstance(step, AddColumn | CreateTable)]
        names = [f"'{schema.quoted(step.table)}'" for step in gone]
        columns = [f"'{s.column.name}'" if isinstance(s, AddColumn) else "NULL" for s in gone]
        return schema.sql(
            "dependents",
            names=f"ARRAY[{', '.join(names)}]",
            columns=f"ARRAY[{', '.join(columns)}]::text[]",
        )

    def _stop_for_dependents(self, database: Any, schema: Schema) -> None:
        if isinstance(schema, PostgresSchema):
            (others,) = database.execute_sql(self.dependents(schema)).fetchone()
            if others:
                raise MigrationError(f"{BUILT_ON} {others}. Drop that first")

    def losses(self, database: Any, schema: Schema, catalog: Catalog) -> list[str]:
        """The data that would be lost with the steps, such as "12 rows of Folder"."""
        counts = [rows for step in self.steps for rows in step.losses(schema)]
        return [lost for rows in counts if (lost := rows.ask(database, catalog))]

    def _carry_out(self, database: Any, schema: Schema, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(schema, PostgresSchema):
                self._do_online(database, schema, step)
                continue
            statements = step.on_sqlite(schema, self.steps)
            if statements:  # none for a constraint: it comes with its table
                log.info("%s", step)
            with database.atomic():
                for sql in statements:
                    database.execute_sql(_marked(sql) if self.foundation else sql)

    def _lay_foundation(self, database: Any, schema: PostgresSchema, to_do: list[Step]) -> None:
        for step in to_do:
            log.info("%s", step)
            for sql in step.at_once(schema):
                database.execute_sql(sql)
        comment = f"'{MADE_HERE}'" if to_do else "NULL"
        history = schema.quoted(history_table())
        database.execute_sql(f"COMMENT ON TABLE {history} IS {comment}")

    def _do_online(self, database: Any, schema: PostgresSchema, step: Step) -> None:
        log.info("%s", step)
        for part in step.online(schema):
            try:
                online.run_online(database, part, schema.quoted(step.table or ""))
            except peewee.IntegrityError:
                # The rows came after the look at the start. The driver's text holds their values,
                # which no error of this package may show.
                catalog = schema.catalog(database)
                stop_for(rows_in_the_way(database, schema, catalog, [step], []))
                raise

    def _verify(self, schema: Schema, catalog: Catalog) -> None:
        left = [str(step) for step in self.to_do(schema, catalog)]
        if left:
            raise MigrationError(
                f"not as it should be after the migration: {', '.join(left)}. Something of that "
                "name is in the way, or another program changed it; `stogram check` says more"
            )

    def _undoable(self, schema: Schema, catalog: Catalog) -> list[Step]:
        return [step for step in reversed(self.steps) if step.is_done(catalog, schema)]

    def _undoing(self, schema: Schema, step: Step) -> list[str]:
        """The SQL that takes the step back, which is about to be done."""
        statements = step.undo(schema, self.steps)
        if statements:
            log.info("undo %s", step)
        return statements

    def _undo_online(self, database: Any, schema: PostgresSchema) -> None:
        with online.outside_transaction(database):
            for step in reversed(self.steps):
                for sql in self._undoing(schema, step):
                    online.run_online(database, StepSql(sql), schema.quoted(step.table or ""))

    def _remove_foundation(self, database: Any, schema: Schema, catalog: Catalog) -> None:
        tables = [step.table for step in self.steps if isinstance(step, CreateTable)]
        there = [table for table in tables if table in catalog.tables]
        if not there:
            return
        if not made_here(database, schema, there[0]):
            raise MigrationError(
                f"the tables {', '.join(there)} were there before this migration: it does not "
                "drop what the server made"
            )
        self._stop_for_dependents(database, schema)
        if isinstance(schema, PostgresSchema):
            database.execute_sql("SET LOCAL lock_timeout = '5s'")
            names = ", ".join(schema.quoted(table) for table in there)
            database.execute_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        losses = self.losses(database, schema, catalog)
        if losses:
            raise MigrationError(
                f"the tables hold {', '.join(losses)}: this migration never drops rows. Delete "
                "them first, or drop the database"
            )
        for step in reversed(self.steps):
            for sql in self._undoing(schema, step):
                database.execute_sql(sql)
        if isinstance(schema, PostgresSchema):
            database.execute_sql(f"COMMENT ON TABLE {schema.quoted(history_table())} IS NULL")


def renew(database: Any) -> list[str]:
    """Do those steps of done migrations again that are not as this package makes them any more.

    Returns their names; nothing is written if there are none. Raises `MigrationError` if this role
    may not.
    """
    done, _ = _done_and_pending()
    return _renew(done, database, schema_of(database, history_schema_name()))


def _renew(migrations: list[Migration], database: Any, schema: Schema) -> list[str]:
    renewed = []
    for migration in migrations:
        for step in migration.steps:
            # Each is asked after the one before it was done: that may have undone it.
            if step.is_renewed and not step.is_done(catalog := schema.catalog(database), schema):
                if isinstance(schema, PostgresSchema):
                    stop_for(missing_rights(database, schema, catalog, [step]))
                migration._carry_out(database, schema, [step])
                renewed.append(str(step))
    return renewed


def _done_and_pending() -> tuple[list[Migration], list[Migration]]:
    """The shipped migrations that the history of the running router names, and the others."""
    from peewee_migrate.models import MigrateHistory

    names = {row.name for row in MigrateHistory.select()}
    shipped = shipped_migrations().items()
    done = [migration for name, migration in shipped if name in names]
    return done, [migration for name, migration in shipped if name not in names]


def migrations_directory() -> Path:
    """The directory of the shipped migrations: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def shipped_migrations() -> dict[str, Migration]:
    """Each migration of this package by its name, in the order in which they are applied.

    Raises `MigrationError` for a file that is none of them.
    """
    shipped: dict[str, Any] = {}
    for file in sorted(migrations_directory().glob("[0-9][0-9][0-9]_*.py")):
        shipped[file.stem] = runpy.run_path(str(file)).get("MIGRATION")
        if shipped[file.stem] is None:
            raise MigrationError(
                f"{file} is no migration of this package: move it to a directory of your "
                "application (docs/migrations.md, Tables of your own)"
            )
    return shipped


def obstacles_of(
    migrations: list[Migration], database: Any, schema: Schema, catalog: Catalog
) -> list[Obstacle]:
    """Everything that would stop these migrations, carried out in this order."""
    found = unfit_together(migrations, schema, catalog)
    for migration in migrations:
        to_do = migration.to_do(schema, catalog)
        found += rows_in_the_way(database, schema, catalog, to_do, found)
        if isinstance(schema, PostgresSchema):
            found += missing_rights(database, schema, catalog, to_do)
    return list(dict.fromkeys(found))


def unfit_together(
    migrations: Iterable[Migration], schema: Schema, catalog: Catalog
) -> list[Obstacle]:
    """The unfit things of all of them, without the tables that an earlier one makes."""
    found: list[Obstacle] = []
    coming: set[str] = set()
    for migration in migrations:
        found += [each for each in migration.unfit(schema, catalog) if each.name not in coming]
        coming |= {f"table {table}" for table in migration.tables}
    return found


def stop_for(obstacles: list[Obstacle]) -> None:
    """Raise a `MigrationError` that names all obstacles, if there are any."""
    if obstacles:
        lines = "".join(f"\n- {obstacle}" for obstacle in obstacles)
        raise MigrationError(
            f"the migration has not begun; see to this, then migrate again:{lines}"
        )


def rows_in_the_way(
    database: Any,
    schema: Schema,
    catalog: Catalog,
    steps: list[Step],
    known: list[Obstacle],
) -> list[Obstacle]:
    """The rows that would stop these steps; a column of a wrong type is not read."""
    unfit = {obstacle.name for obstacle in known}
    found: list[Obstacle] = []
    for obstacle in (each for step in steps for each in step.row_obstacles(schema)):
        if unfit.isdisjoint(f"column {table}.{column}" for table, column in obstacle.rows.columns):
            what = obstacle.rows.ask(database, catalog)
            if what is not None:
                found.append(obstacle.found(what))
    return found


def missing_rights(
    database: Any, schema: PostgresSchema, catalog: Catalog, steps: list[Step]
) -> list[Obstacle]:
    """The rights that this role lacks for the steps."""
    if not steps:
        return []
    standby, role = database.execute_sql("SELECT pg_is_in_recovery(), current_user").fetchone()
    if standby:
        return [Obstacle("server", "is a standby, which cannot be written", "Use the primary")]
    found: list[Obstacle] = []
    if not may_create(database, schema):
        found.append(
            Obstacle(
                f"role {role}",
                "may not create in the schema",
                f"GRANT CREATE ON SCHEMA ... TO {role}",
            )
        )
    tables = sorted({step.table for step in steps if step.table} & catalog.tables.keys())
    return found + missing_owner(database, schema, tables)


def missing_owner(database: Any, schema: PostgresSchema, tables: list[str]) -> list[Obstacle]:
    """The tables that this role may not change."""
    rows = database.execute_sql(
        "SELECT c.relname, current_user, pg_get_userbyid(c.relowner) FROM pg_class AS c "
        "WHERE c.oid IN "
        "(SELECT to_regclass(name) FROM pg_catalog.unnest(%s::text[]) AS name) AND NOT "
        "pg_has_role(c.relowner, 'USAGE') ORDER BY 1",
        ([schema.quoted(table) for table in tables],),
    ).fetchall()
    return [
        Obstacle(f"table {table}", f"does not belong to {role}", f"Migrate as its owner, {owner}")
        for table, role, owner in rows
    ]


#: The table that the stock `pw_migrate` keeps its history in.
HISTORY = "migratehistory"

# The mark of tables that the first migration made, and not the server: on PostgreSQL a comment on
# the history table, on SQLite one in the text that the file keeps of `CREATE TABLE`.
MADE_HERE = "stogram_sdk made the tables of migration 001"


def made_here(database: Any, schema: Schema, table: str) -> bool:
    """Whether the first migration made the table; otherwise the server did."""
    if isinstance(schema, SqliteSchema):
        (sql,) = database.execute_sql(
            "SELECT sql FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        return MADE_HERE in sql
    history = schema.quoted(history_table())
    (found,) = database.execute_sql(f"SELECT NOT {was_found(history)}").fetchone()
    return bool(found)


def was_found(history: str) -> str:
    """A condition in SQL: the `history` has no mark that the first migration made the tables."""
    return f"obj_description(to_regclass('{history}'), 'pg_class') IS DISTINCT FROM '{MADE_HERE}'"


def _marked(sql: str) -> str:
    if not sql.startswith("CREATE TABLE"):
        return sql
    return sql.replace("(\n", f"(\n    /* {MADE_HERE} */\n", 1)


def schema_of(database: Any, schema_name: str | None) -> Schema:
    """The schema of the database, of the engine that it has."""
    if isinstance(database, peewee.SqliteDatabase):
        return SqliteSchema()
    return PostgresSchema(schema_name)


def history_schema_name() -> str | None:
    """The name of the schema in which the running router keeps its history."""
    from peewee_migrate.models import MigrateHistory

    name: str | None = MigrateHistory._meta.schema
    return name


def history_table() -> str:
    """The name of the table in which the running router keeps its history."""
    from peewee_migrate.models import MigrateHistory

    name: str = MigrateHistory._meta.table_name
    return name

"""The chats of a live database on several servers, with Citus: see `schema/distribution.py`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peewee

from stogram_sdk.command.existing import applied_migrations, at_its_turn, read_only
from stogram_sdk.engine.failures import sqlstate_of
from stogram_sdk.errors import MigrationError
from stogram_sdk.schema.distribution import MARK, TABLES, Distribution, DistributionStep, Part
from stogram_sdk.schema.expected import as_later_servers_have_it, expected_catalog
from stogram_sdk.schema.migration import (
    HISTORY,
    missing_owner,
    shipped_migrations,
    stop_for,
)
from stogram_sdk.schema.obstacles import Obstacle, Schema
from stogram_sdk.schema.online import run_brief
from stogram_sdk.schema.postgres import SAFE_PATH, PostgresSchema

log = logging.getLogger("stogram_sdk.schema.distribute")


def distribute(url: str | None = None, *, prepare: bool = False, shards: bool = True) -> list[str]:
    """Carry out the steps that are not done; returns their names.

    With `prepare` only the first one: the columns that the server must write from the exchange on.
    Without `shards` the database gets the keys, and stays on its server.
    Raises `MigrationError` before anything is touched if something is in the way.
    """
    with at_its_turn(url) as (database, schema):
        home = _home(schema)
        distribution = _distribution(database, home, shards=shards and not prepare)
        steps = _steps(distribution, prepare)
        for step in steps:
            log.info("%s", step)
            with _told_of_what_came(distribution):
                for part in step.parts:
                    _carry_out(database, part, distribution.home.quoted(step.table))
        left = _steps(_distribution(database, home, shards=shards and not prepare), prepare)
        if left:
            raise MigrationError(
                f"not as it should be afterwards: {', '.join(map(str, left))}. Another program "
                "changed it; `stogram check` says more"
            )
        return [str(step) for step in steps]


def distribution_script(url: str | None = None, *, prepare: bool = False) -> str:
    """The SQL of the steps that are not done, also where Citus is not yet; empty if there are none.

    Nothing is changed. Raises `MigrationError` if the database is not migrated.
    """
    with read_only(url) as (database, schema):
        distribution = Distribution(database, _home(schema), shards=True)
        _require_migrated(distribution)
        steps = _steps(distribution, prepare)
    lines = [line for step in steps for line in _lines(step)]
    return "\n".join([*(_SESSION_OF_SCRIPT if lines else ()), *lines])


_SESSION_OF_SCRIPT = (
    f"SET search_path = {SAFE_PATH};",
    "SET citus.enable_unsafe_triggers = on;",
)


def _steps(distribution: Distribution, prepare: bool) -> list[DistributionStep]:
    steps = list(distribution.steps())
    return [step for step in (steps[:1] if prepare else steps) if not step.is_done]


def _lines(step: DistributionStep) -> Iterator[str]:
    yield f"\n-- {step}"
    for part in step.parts:
        together = len(part.statements) > 1
        yield from ["BEGIN;"] * together
        yield from (f"{statement.rstrip(';')};" for statement in part.statements)
        yield from ["COMMIT;"] * together


def _home(schema: Schema) -> str:
    """The name of the schema of the tables."""
    if isinstance(schema, PostgresSchema):
        assert schema.schema_name is not None  # whoever has looked for the tables knows it
        return schema.schema_name
    raise MigrationError(
        "this is SQLite, which is one file: chats are distributed over servers of PostgreSQL, "
        "with Citus"
    )


def _distribution(database: Any, home: str, *, shards: bool) -> Distribution:
    """The steps of a database in whose way there is nothing."""
    distribution = Distribution(database, home, shards=shards)
    _require_migrated(distribution)
    if shards:
        _require_citus(database)
        for setting in _OF_THE_SESSION:
            database.execute_sql(setting)
    if shards and not (distribution.is_in_place and distribution.has_settings):
        _require_rights(database, home, is_owner=not distribution.has_settings)
    if not distribution.is_in_place:
        stop_for(list(_in_the_way(distribution)))
    return distribution


# A copy is written by triggers, on other servers too; and a lock is waited for no longer there.
# Whoever is gone does not keep the turn: the server looks every second.
_OF_THE_SESSION = (
    "SET citus.enable_unsafe_triggers = on",
    "SET citus.propagate_set_commands = 'local'",
    "SET client_connection_check_interval = '1s'",
)


def _carry_out(database: Any, part: Part, table: str) -> None:
    def statements() -> None:
        for statement in part.statements:
            database.execute_sql(statement)

    if part.brief:
        run_brief(database, statements, table)
    else:
        statements()


# --- What is refused ---


@contextmanager
def _told_of_what_came(distribution: Distribution) -> Iterator[None]:
    """The exchange itself refuses to lose what others have added since the copies were made."""
    try:
        yield
    except peewee.InternalError as error:
        if sqlstate_of(error) != "P0001":
            raise
        said = str(error).partition("\n")[0]
        raise MigrationError(
            f"{said}. Nothing is exchanged. Drop it and run this again; or, to keep it, "
            f'DROP SCHEMA "{distribution.copies.schema_name}" CASCADE, and begin anew'
        ) from error


def _require_migrated(distribution: Distribution) -> None:
    done: set[str] = set()
    if HISTORY in distribution.catalog.tables:
        done = set(applied_migrations(distribution.database, distribution.home))
    pending = [name for name in shipped_migrations() if name not in done]
    if pending:
        raise MigrationError(
            f"the database is not migrated: run `stogram migrate` first ({', '.join(pending)})"
        )


_CLUSTER = """
SELECT (SELECT count(*) FROM pg_dist_node WHERE groupid = 0),
    (SELECT count(*) FROM pg_dist_node WHERE groupid <> 0 AND isactive AND shouldhaveshards)
"""


def _require_citus(database: Any) -> None:
    (is_there,) = database.execute_sql(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"
    ).fetchone()
    if not is_there:
        raise MigrationError(
            "this database does not have the extension citus: install it on every server, and "
            "CREATE EXTENSION citus in this database on each (docs/distribute.md)"
        )
    coordinators, workers = database.execute_sql(_CLUSTER).fetchone()
    if not workers:
        raise MigrationError(
            "Citus has no workers here: SELECT citus_add_node('host', 5432) for each of them"
        )
    if not coordinators:
        raise MigrationError(
            "the workers do not know this server: SELECT citus_set_coordinator_host('host', 5432)"
        )


def _require_rights(database: Any, home: str, *, is_owner: bool) -> None:
    """The role may make a schema, change that of the tables and, as owner, set up the database."""
    rights = _LACKING.format(home=home.replace("'", "''"), is_owner=is_owner)
    asked = database.execute_sql(_EVERYWHERE, {"rights": rights}).fetchall()
    for server, could_be_asked, said in asked:
        if not could_be_asked:
            raise MigrationError(f"the server {server} cannot be asked with this role: {said}")
        if said:
            raise MigrationError(
                f"this role lacks rights on the server {server}: {said}. What it needs on every "
                "server is in docs/distribute.md, Before"
            )


# Of the one server that is asked.
_LACKING = """
SELECT concat_ws(', ',
    CASE WHEN NOT has_database_privilege(current_database(), 'CREATE')
        THEN 'CREATE on the database' END,
    CASE WHEN NOT has_schema_privilege(to_regnamespace(quote_ident('{home}'))::oid, 'CREATE')
        THEN 'CREATE in the schema {home}' END,
    CASE WHEN {is_owner} AND NOT pg_has_role(datdba, 'USAGE') THEN 'to own the database' END)
FROM pg_database WHERE datname = current_database()
"""
_EVERYWHERE = """
SELECT concat(nodename, ':', nodeport), success, result
FROM run_command_on_all_nodes(%(rights)s) JOIN pg_dist_node USING (nodeid)
"""


def _in_the_way(distribution: Distribution) -> Iterator[Obstacle]:
    """Everything that would be lost, or stop a later step."""
    database, home = distribution.database, distribution.home
    expected = expected_catalog(home)
    as_later_servers_have_it(expected, distribution.catalog)
    if not distribution.has_keys_of_chats:
        for name, key in expected.foreign_keys.items():
            if distribution.catalog.foreign_keys.get(name) != key:
                yield Obstacle(
                    f"foreign key {name}", "is not as it should be", "See `stogram check`"
                )
    for schema, mark in distribution.marks.items():
        if mark not in (None, MARK):
            yield Obstacle(
                f"schema {schema}", "is there, and was not made by this command", "Rename it"
            )
    yield from missing_owner(database, home, list(TABLES))
    for what, table in database.execute_sql(distribution.of_others()).fetchall():
        yield Obstacle(
            what,
            f"belongs to {table}, and would be lost",
            "Drop it, and make it again afterwards if Citus can have it",
        )
    for table, columns in distribution.copied.tables.items():
        here = distribution.catalog.tables.get(table)
        if here is not None and columns.keys() - {"chatId"} != here.keys() - {"chatId"}:
            yield Obstacle(
                f"table {table}",
                "has other columns than its copy, which an earlier run has made",
                f'DROP SCHEMA "{distribution.copies.schema_name}" CASCADE, and begin anew',
            )

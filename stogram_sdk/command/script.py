"""A migration as one SQL script for `psql`, from the same steps that `pw_migrate` carries out.

It may run any number of times, and stops before anything is touched if something is in the way.
"""

from __future__ import annotations

from collections.abc import Iterator

from stogram_sdk.schema.migration import MADE_HERE, Migration
from stogram_sdk.schema.obstacles import RowObstacle
from stogram_sdk.schema.online import LOCK_TIMEOUT
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.steps import (
    AddColumn,
    CreateTable,
    Step,
    StepSql,
)

_ALLOW = "stogram.allow_data_loss"
_HISTORY = "migratehistory"

# What the role may set for a service does not fit a migration: an index may take hours.
_LIMITS = ("SET statement_timeout = 0;", f"SET lock_timeout = '{LOCK_TIMEOUT}';")


def migration_script(name: str, migration: Migration, schema: PostgresSchema) -> str:
    """The SQL that applies the migration, and at its end how to mark it as done."""
    lines = [
        f"-- {name}: apply with psql -v ON_ERROR_STOP=1. If a lock cannot be had in time it stops;",
        "-- run it again then: what is done already is left alone.",
        *_LIMITS,
        *_guard(_obstacles(migration, schema)),
    ]
    if migration.foundation:
        lines += ["", "BEGIN;", ""]
        for step in migration.steps:
            lines += [f"-- {step}", *(f"{sql};" for sql in step.at_once(schema)), ""]
        lines += ["COMMIT;", ""]
    else:
        lines += _with_timeouts(
            (step, part) for step in migration.steps for part in step.online(schema)
        )
    lines += [
        "-- Mark it as done:",
        f"--   pw_migrate migrate --fake --name {name}",
    ]
    return "\n".join(lines) + "\n"


def rollback_script(name: str, migration: Migration, schema: PostgresSchema) -> str:
    """The SQL that takes the migration back, and its row out of the history."""
    history = schema.quoted(_HISTORY)
    lines = [
        f"-- Takes back {name}: apply with psql -v ON_ERROR_STOP=1.",
        *_LIMITS,
        *(["", "BEGIN;"] if migration.foundation else []),
        *_guard([*_later_ones(name, history), *_losses(migration, schema)]),
    ]
    undo = (
        (step, StepSql(sql))
        for step in reversed(migration.steps)
        for sql in step.undo(schema, migration.steps)
    )
    lines += _with_timeouts(undo)
    lines += [
        "-- It is no longer done:",
        f"DO $$ BEGIN IF to_regclass('{history}') IS NOT NULL THEN",
        f"    DELETE FROM {history} WHERE name = '{name}';",
        *([f"    COMMENT ON TABLE {history} IS NULL;"] if migration.foundation else []),
        "END IF; END $$;",
        *(["", "COMMIT;"] if migration.foundation else []),
    ]
    return "\n".join(lines) + "\n"


def _later_ones(name: str, history: str) -> list[str]:
    """What is built on this migration goes first."""
    return [
        f"IF to_regclass('{history}') IS NOT NULL THEN",
        f"    FOR later IN EXECUTE $q$SELECT name FROM {history} WHERE name > '{name}'"
        " AND name ~ '^[0-9]{3}_' ORDER BY name DESC$q$ LOOP",
        "        RAISE EXCEPTION 'first take back %, which came later', later;",
        "    END LOOP;",
        "END IF;",
    ]


def _with_timeouts(parts: Iterator[tuple[Step, StepSql]]) -> list[str]:
    """The statements, the brief ones with a limit on how long they wait for a lock."""
    lines: list[str] = []
    limited = True
    described: Step | None = None
    for step, part in parts:
        if step is not described:
            lines += ["", f"-- {step}"]
            described = step
        if part.brief is not limited:
            limited = part.brief
            lines.append(f"SET lock_timeout = '{LOCK_TIMEOUT if limited else 0}';")
        lines.append(f"{part.sql};")
    return [*lines, "", "RESET lock_timeout;", ""]


def _guard(checks: list[str]) -> list[str]:
    if not checks:
        return []
    return [
        "",
        "-- Nothing is touched if one of these is so.",
        "DO $$ DECLARE found bigint; later text; BEGIN",
        *checks,
        "END $$;",
        "",
    ]


def _obstacles(migration: Migration, schema: PostgresSchema) -> list[str]:
    checks = [
        "IF current_setting('server_encoding') <> 'UTF8' THEN",
        "    RAISE EXCEPTION 'the database is encoded in %, and must be in UTF8: see "
        "`stogram check`', current_setting('server_encoding');",
        "END IF;",
    ]
    for step in migration.steps:
        if isinstance(step, AddColumn):
            checks += _wrong_type(step, schema)
    for step in migration.steps:
        if not migration.foundation:
            exist = _exist(step.columns(), schema)
            checks += [_rows(obstacle, exist) for obstacle in step.row_obstacles(schema)]
    return checks


def _wrong_type(step: AddColumn, schema: PostgresSchema) -> list[str]:
    """It is the one way in which servers are known to differ: JSON in a TEXT column."""
    if step.column.type != "TEXT[]":
        return []
    table, name = schema.quoted(step.table), step.column.name
    return [
        f"IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('{table}')",
        f"    AND attname = '{name}' AND NOT attisdropped AND atttypid <> 'text[]'::regtype) THEN",
        f"    RAISE EXCEPTION '{step.table}.{name} is not TEXT[]: see `stogram check`';",
        "END IF;",
    ]


def _rows(obstacle: RowObstacle, exist: str) -> str:
    return (
        f"IF {exist} THEN\n"
        f"    {obstacle.count_sql} INTO found;\n"
        f"    IF found > 0 THEN RAISE EXCEPTION '{obstacle.name}: rows of {obstacle.what}: %', "
        f"found;\n    END IF;\nEND IF;"
    )


def _exist(columns: tuple[tuple[str, str], ...], schema: PostgresSchema) -> str:
    wanted = " OR ".join(
        f"attrelid = to_regclass('{schema.quoted(table)}') AND attname = '{column}'"
        for table, column in columns
    )
    return (
        f"(SELECT count(*) FROM pg_attribute WHERE NOT attisdropped AND ({wanted})) "
        f"= {len(columns)}"
    )


def _losses(migration: Migration, schema: PostgresSchema) -> list[str]:
    counts: list[str] = []
    for step in migration.steps:
        if isinstance(step, CreateTable):
            if step.is_derived:
                continue
            exist, rows = f"to_regclass('{schema.quoted(step.table)}') IS NOT NULL", ""
        elif isinstance(step, AddColumn):
            exist = _exist(((step.table, step.column.name),), schema)
            rows = f" WHERE {step.is_set(schema)}"
        else:
            continue
        counts.append(
            f"IF {exist} THEN\n"
            f"    SELECT count(*) FROM {schema.quoted(step.table)}{rows} INTO found;\n"
            f"    IF found > 0 THEN RAISE EXCEPTION '{step} would lose % rows with data', found;\n"
            f"    END IF;\nEND IF;"
        )
    if not migration.foundation:
        return [
            f"-- To lose the data: SET {_ALLOW} = 1, in the same session.",
            f"IF current_setting('{_ALLOW}', true) IS DISTINCT FROM '1' THEN",
            *counts,
            "END IF;",
        ]
    first = min(migration.tables)
    return [
        f"IF to_regclass('{schema.quoted(first)}') IS NOT NULL AND obj_description(",
        f"    to_regclass('{schema.quoted(_HISTORY)}'), 'pg_class')",
        f"    IS DISTINCT FROM '{MADE_HERE}' THEN",
        "    RAISE EXCEPTION 'the tables were there before this migration: it does not drop what "
        "the server made';",
        "END IF;",
        *counts,
    ]

"""A migration as one SQL script for `psql`, from the same steps that `stogram migrate` carries out.

It can run any number of times. If there is an obstacle, it stops before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterator

from stogram_sdk.schema.migration import BUILT_ON, HISTORY, Migration, was_found
from stogram_sdk.schema.online import LOCK_TIMEOUT
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.steps import AddColumn, Step, StepSql

_ALLOW = "stogram.allow_data_loss"

# What a role or a database sets for a service does not fit a migration: see `schema/turns.py`.
_SETTINGS = (
    "SET statement_timeout = 0;",
    # Without a NOTICE for each thing that is there already, or is not there any more.
    "SET client_min_messages = warning;",
    "SET default_transaction_isolation = 'read committed';",
    f"SET lock_timeout = '{LOCK_TIMEOUT}';",
)


def migration_script(name: str, migration: Migration, schema: PostgresSchema) -> str:
    """The SQL that applies the migration; its last line tells how to mark it as done."""
    lines = [
        f"-- {name}: apply with psql -v ON_ERROR_STOP=1. If a lock cannot be had in time it stops;",
        "-- run it again then: what is done already is left alone.",
        *_SETTINGS,
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
        f"--   stogram migrate --fake --name {name}",
    ]
    return "\n".join(lines) + "\n"


def rollback_script(name: str, migration: Migration, schema: PostgresSchema) -> str:
    """The SQL that takes the migration back, and its row out of the history."""
    history = schema.quoted(HISTORY)
    lines = [
        f"-- Undoes {name}: apply with psql -v ON_ERROR_STOP=1.",
        *_SETTINGS,
        *(["", "BEGIN;"] if migration.foundation else []),
        *_guard(
            [
                *_chat_keys(schema),
                *_later_ones(name, history),
                *_dependents(migration, schema),
                *_losses(migration, schema),
            ]
        ),
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


def _chat_keys(schema: PostgresSchema) -> list[str]:
    """A guard: the steps know the keys of the server, not those of `stogram distribute`."""
    messages = schema.quoted("Message")
    return [
        f"IF EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass('{messages}')",
        "    AND indisprimary AND indnatts = 2) THEN",
        "    RAISE EXCEPTION 'the keys begin with the chat: no migration can be taken back';",
        "END IF;",
    ]


def _later_ones(name: str, history: str) -> list[str]:
    """A guard: the migrations that are built on this one must be taken back before it."""
    return [
        f"IF to_regclass('{history}') IS NOT NULL THEN",
        f"    FOR later IN EXECUTE $q$SELECT name FROM {history} WHERE name > '{name}'"
        " AND name ~ '^[0-9]{3}_' ORDER BY name DESC$q$ LOOP",
        "        RAISE EXCEPTION 'first take back %, which came later', later;",
        "    END LOOP;",
        "END IF;",
    ]


def _dependents(migration: Migration, schema: PostgresSchema) -> list[str]:
    return [
        f"{migration.dependents(schema)} INTO later;",
        "IF later IS NOT NULL THEN",
        f"    RAISE EXCEPTION '{BUILT_ON} %', later;",
        "END IF;",
    ]


def _with_timeouts(parts: Iterator[tuple[Step, StepSql]]) -> list[str]:
    """The parts; a brief one waits for a lock for a limited time only."""
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
    return [
        "",
        "-- Nothing is touched if one of these is so.",
        "DO $$ DECLARE found bigint; later text; BEGIN",
        *checks,
        "END $$;",
        "",
    ]


def _obstacles(migration: Migration, schema: PostgresSchema) -> list[str]:
    guards = [
        "IF current_setting('server_encoding') <> 'UTF8' THEN",
        "    RAISE EXCEPTION 'the database is encoded in %, and must be in UTF8: see "
        "`stogram check`', current_setting('server_encoding');",
        "END IF;",
    ]
    for step in migration.steps:
        if isinstance(step, AddColumn) and step.column.type == "TEXT[]":
            guards += _wrong_type(step, schema)
    for step in migration.steps:
        for obstacle in step.row_obstacles(schema):
            guards.append(obstacle.rows.guard(schema, f"{obstacle.name}:"))
    return guards


def _wrong_type(step: AddColumn, schema: PostgresSchema) -> list[str]:
    """Servers are known to differ in one way only: JSON in a TEXT column."""
    table, name = schema.quoted(step.table), step.column.name
    return [
        f"IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('{table}')",
        f"    AND attname = '{name}' AND NOT attisdropped AND atttypid <> 'text[]'::regtype) THEN",
        f"    RAISE EXCEPTION '{step.table}.{name} is not TEXT[]: see `stogram check`';",
        "END IF;",
    ]


def _losses(migration: Migration, schema: PostgresSchema) -> list[str]:
    counts = [rows for step in migration.steps for rows in step.losses(schema)]
    guards = [rows.guard(schema, "this would lose") for rows in counts]
    if not migration.foundation:
        return [
            f"-- To lose the data: SET {_ALLOW} = 1, in the same session.",
            f"IF current_setting('{_ALLOW}', true) IS DISTINCT FROM '1' THEN",
            *guards,
            "END IF;",
        ]
    first = schema.quoted(min(migration.tables))
    return [
        f"IF to_regclass('{first}') IS NOT NULL AND {was_found(schema.quoted(HISTORY))} THEN",
        "    RAISE EXCEPTION 'the tables were there before this migration: it does not drop what "
        "the server made';",
        "END IF;",
        *guards,
    ]

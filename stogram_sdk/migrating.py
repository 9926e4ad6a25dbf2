"""`migrate()`: what `pw_migrate migrate` does, for programs."""

from __future__ import annotations

import logging
from typing import Any

from stogram_sdk.database import current_database, session
from stogram_sdk.errors import MigrationError


def migrate() -> list[str]:
    """Apply the shipped migrations to the connected database, as `pw_migrate migrate` does.

    Returns the names of those that were applied, in order; none if there was nothing to do.
    Raises `MigrationError`, before anything is touched, if the schema is not one that they can
    start from, if another run is at work for longer than 30 s (`STOGRAM_MIGRATE_LOCK_TIMEOUT`), or
    inside a transaction; `Unavailable` if the database cannot be reached.
    """
    from peewee_migrate import Router

    from stogram_sdk.schema.migration import migrations_directory
    from stogram_sdk.schema.turns import turn

    database = current_database()
    if database.in_transaction():
        raise MigrationError("migrate() cannot run inside a transaction")
    schema_name = database.schema_name
    with session(statement_timeout=0), turn(database, schema_name):
        router = Router(
            database, migrate_dir=migrations_directory(), schema=schema_name, logger=_silent()
        )
        done: list[str] = list(router.run())
        if database.dialect.name == "sqlite":
            connection: Any = database.connection()
            database.keep_tags(connection)
        return done


def _silent() -> logging.Logger:
    """A logger for the router, whose errors also leave it as exceptions."""
    return logging.Logger("stogram_sdk.migrating", logging.CRITICAL + 1)

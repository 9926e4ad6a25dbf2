"""`migrate()`: what `stogram migrate` does, for programs."""

from __future__ import annotations

from typing import Any

from stogram_sdk.database import current_database, session
from stogram_sdk.errors import MigrationError


def migrate() -> list[str]:
    """Apply the shipped migrations to the connected database, as `stogram migrate` does.

    The functions and triggers of earlier ones are made anew where they are not those of this
    package. Returns the names of the migrations that were applied, in order; none if there was
    nothing to do. Raises `MigrationError` before anything is touched: if they cannot start from
    this schema, if another run is at work for longer than 30 s (`STOGRAM_MIGRATE_LOCK_TIMEOUT`), or
    inside a transaction. Raises `Unavailable` if the database cannot be reached.

    >>> migrate()  # nothing is left to do
    []
    """
    from stogram_sdk.schema.migration import renew
    from stogram_sdk.schema.router import router_of
    from stogram_sdk.schema.turns import turn

    database = current_database()
    if database.in_transaction():
        raise MigrationError("migrate() cannot run inside a transaction")
    with session(statement_timeout=0, read="primary"), turn(database, database.schema_name) as home:
        done: list[str] = list(router_of(database, home).run())
        renew(database)
        if database.dialect.name == "sqlite":
            connection: Any = database.connection()
            database.keep_in_step(connection)
        return done

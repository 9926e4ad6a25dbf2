"""One migration at a time: a second run waits, and then finds nothing left to do.

On PostgreSQL the turn is an advisory lock of the session, on SQLite a lock on a file beside the
database. Either ends with its process, however that ends.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stogram_sdk.engine.database_url import is_plain
from stogram_sdk.errors import InvalidInput, MigrationError
from stogram_sdk.schema.postgres import SAFE_PATH

WAIT_VARIABLE = "STOGRAM_MIGRATE_LOCK_TIMEOUT"
_PAUSE = 0.1

# A role, a database or a URL sets these for the statements of a service. But an index may take
# hours; and a step that commits on its way goes on in a transaction of the default isolation.
_SETTINGS = {
    "search_path": SAFE_PATH,
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "default_transaction_isolation": "read committed",
}

# Sent before the path is safe, so they name the catalog.
_NOW = """
SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings WHERE name = ANY (%s)
"""
_SET = """
SELECT pg_catalog.set_config(name, value, false)
FROM pg_catalog.json_each_text(%s) AS given(name, value)
"""
#: Where Citus keeps the number of a server; the coordinator has 0.
_GROUP = "pg_catalog.pg_dist_local_group"
_KEY = "hashtextextended('stogram_sdk migrates ' || %s, 0)"

_HOLDER = f"""
SELECT a.pid, a.usename, a.application_name, a.client_addr, now() - a.backend_start
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid, (SELECT {_KEY} AS key) AS k
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = (k.key >> 32) & 4294967295 AND l.objid::bigint = k.key & 4294967295
"""

# Whoever finds the history there may still be stopped, but by the migration, which says more.
_MAY_KEEP_HISTORY = """
SELECT has_schema_privilege(home, 'CREATE') OR EXISTS (
    SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = home AND c.relname = 'migratehistory'), current_user
FROM (SELECT %s) AS given(home)
"""


def seconds_to_wait() -> float:
    """How long to wait for another run: `STOGRAM_MIGRATE_LOCK_TIMEOUT` of the environment."""
    return seconds_from(WAIT_VARIABLE, 30)


def seconds_from(variable: str, default: float) -> float:
    """What the variable of the environment says. Raises `InvalidInput` if that is no time."""
    given = os.environ.get(variable, default)
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise InvalidInput(f"{variable} must be a number of seconds, not {given!r}")
    return seconds


@contextmanager
def turn(database: Any, schema_name: str | None) -> Iterator[str | None]:
    """The turn of this process to migrate the connected database; the schema of its tables."""
    if database.dialect.name == "postgresql":
        with database.pinned() as connection:
            home = home_of(connection, schema_name)
            connection.is_unfit = True  # if this is interrupted where it sets or resets
            before = set_up(connection)
            try:
                take_turn(connection, home)
                yield home
            finally:
                _end_turn(connection, home, before)
    elif database.database == ":memory:":
        yield None
    else:
        lock = take_file_turn(database.database)
        try:
            yield None
        finally:
            lock.close()


def home_of(connection: Any, schema_name: str | None) -> str:
    """The schema of the tables: the one that is named, or else the default one of the session.

    Raises `MigrationError` if there is none, or its name is none that a URL may have; and on a
    worker of Citus, which has the tables without their history.
    """
    with connection.cursor() as cursor:
        _require_coordinator(cursor)
        if schema_name is not None:
            return schema_name
        cursor.execute("SELECT pg_catalog.current_schema()")
        (home,) = cursor.fetchone()
    if home is None:
        raise MigrationError(
            "the search_path names no schema that is there: name one in the URL (?schema=...)"
        )
    if not is_plain(home):
        raise MigrationError(
            f"the default schema is {home!r}: its name must be of letters, digits, spaces, _ - and "
            ". alone. Name another schema in the URL (?schema=...)"
        )
    return str(home)


def _require_coordinator(cursor: Any) -> None:
    cursor.execute(f"SELECT pg_catalog.to_regclass('{_GROUP}')")
    if cursor.fetchone() == (None,):
        return
    cursor.execute(f"SELECT 1 FROM {_GROUP} WHERE groupid OPERATOR(pg_catalog.<>) 0")
    if cursor.fetchone() is not None:
        raise MigrationError("this is a worker of Citus: name the coordinator in the URL")


def set_up(connection: Any) -> dict[str, str]:
    """Give the session the settings that a migration needs; returns those that it had."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW, (list(_SETTINGS),))
        before = dict(cursor.fetchall())
        _set(cursor, {name: _SETTINGS[name] for name in before})
    return before


def _set(cursor: Any, settings: dict[str, str]) -> None:
    cursor.execute(_SET, (json.dumps(settings),))


def take_turn(connection: Any, home: str) -> None:
    """Wait until this PostgreSQL session has the turn to migrate the schema, and prepare that.

    It polls. A statement that waited for the lock would be an open transaction; `CREATE INDEX
    CONCURRENTLY` of the other session would wait for it, and neither would ever end.
    Raises `MigrationError`, which names the session that holds the lock.
    """
    deadline = time.monotonic() + seconds_to_wait()
    with connection.cursor() as cursor:
        while True:
            cursor.execute(f"SELECT pg_try_advisory_lock({_KEY})", (home,))
            if cursor.fetchone()[0]:
                break
            if time.monotonic() >= deadline:
                cursor.execute(_HOLDER, (home,))
                raise MigrationError(
                    f"another migration of this database is running{_described(cursor.fetchone())}"
                    f"; waited {seconds_to_wait():g} s ({WAIT_VARIABLE}). Run it again when that "
                    "one is done"
                )
            time.sleep(_PAUSE)
        _prepare_schema(cursor, home)


def _prepare_schema(cursor: Any, home: str) -> None:
    """Make the schema, if it is not there, as the server's own migrations would.

    Raises `MigrationError` if this role cannot make the table of the history, which comes first.
    """
    cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (home,))
    if cursor.fetchone() is None:
        cursor.execute(f'CREATE SCHEMA "{home}"')
    cursor.execute(_MAY_KEEP_HISTORY, (home,))
    may, role = cursor.fetchone()
    if not may:
        raise MigrationError(
            f"role {role} may not create in the schema {home}: migrate as the owner of the "
            f"tables, or GRANT CREATE ON SCHEMA {home} TO {role}"
        )


def _end_turn(connection: Any, home: str, before: dict[str, str]) -> None:
    """Give the turn back, if it was had, and the session its settings."""
    if connection.closed:  # Both have ended with it.
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_unlock({_KEY})", (home,))
        _set(cursor, before)
    connection.is_unfit = False


def take_file_turn(path: str) -> sqlite3.Connection:
    """Wait until this process has the turn; it ends when the returned connection is closed.

    Raises `MigrationError` if another process still has the turn when the time is up.
    """
    seconds = seconds_to_wait()
    lock = sqlite3.connect(
        f"{path}-migrating", timeout=seconds, isolation_level=None, check_same_thread=False
    )
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise MigrationError(
                f"{path}-migrating cannot be written, which holds the turn to migrate: its "
                "directory must be there, and this user be allowed to write in it"
            ) from error
        raise MigrationError(
            f"another migration of this file is running; waited {seconds:g} s ({WAIT_VARIABLE}). "
            "Run it again when that one is done"
        ) from error
    return lock


def _described(holder: Any) -> str:
    if holder is None:
        return ""
    pid, user, application, address, since = holder
    place = f" from {address}" if address else ""
    return f" (pid {pid}, {user} with {application!r}{place}, for {int(since.total_seconds())} s)"

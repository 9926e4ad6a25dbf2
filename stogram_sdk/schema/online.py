"""Statements beside a live server: no other client waits for longer than a short lock takes.

A session that waits for a strong lock makes all sessions after it wait too. So a statement that
needs one gives up after 200 ms and lets the others through. It tries again after a growing, random
pause.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import peewee

from stogram_sdk.engine.failures import sqlstate_of
from stogram_sdk.errors import MigrationError
from stogram_sdk.schema.steps import StepSql
from stogram_sdk.schema.turns import seconds_from

LOCK_TIMEOUT = "200ms"
# Seconds: the longest pause before the second attempt, and before any attempt.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
PATIENCE_VARIABLE = "STOGRAM_MIGRATE_PATIENCE"

T = TypeVar("T")

log = logging.getLogger(__name__)

# The SQLSTATEs of a lock that could not be had in time, and of a deadlock.
_LOCKED = ("55P03", "40P01")

_HOLDERS = """
SELECT a.pid, a.usename, a.application_name, a.state, now() - a.xact_start
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.relation = to_regclass(%s) AND l.granted AND l.pid <> pg_backend_pid()
ORDER BY a.xact_start LIMIT 1
"""


@contextmanager
def outside_transaction(database: Any) -> Iterator[None]:
    """Leave the transaction that peewee-migrate has opened, and be back in one at the end.

    SQLite makes all of a migration in that transaction.
    """
    if database.dialect.name == "sqlite" or not database.in_transaction():
        yield
        return
    transaction = database.pop_transaction()
    database.commit()
    try:
        yield
        database.begin()
    finally:
        database.push_transaction(transaction)


def run_online(database: Any, part: StepSql, table: str) -> None:
    """Carry out a part of a step, which concerns the (quoted) table.

    Raises `MigrationError` if a lock could not be had for `STOGRAM_MIGRATE_PATIENCE` seconds (600).
    """
    if part.brief:
        run_brief(database, lambda: database.execute_sql(part.sql), table)
    else:
        database.execute_sql(part.sql)


def run_brief(database: Any, unit: Callable[[], Any], table: str) -> None:
    """Run the unit, which needs a strong lock on the (quoted) table, in a transaction.

    Raises `MigrationError` as `run_online` does.
    """
    try:
        retry_while_locked(database, unit)
    except StillLocked:
        raise MigrationError(
            f"{table} is locked{_holder(database, table)}: no moment without that for "
            f"{patience():g} s ({PATIENCE_VARIABLE}). What is done so far stays; end that "
            "transaction and run it again"
        ) from None


class StillLocked(Exception):
    """Another transaction held a lock for longer than the patience lasts."""


def retry_while_locked(database: Any, unit: Callable[[], T]) -> T:
    """Run the unit in a transaction that waits for a lock for at most 200 ms; return its result.

    It is run again until the patience is over; then `StillLocked` is raised.
    """
    deadline = time.monotonic() + patience()
    pause = _FIRST_PAUSE
    attempt = 1
    while True:
        try:
            with database.atomic():
                if database.dialect.name == "postgresql":
                    database.execute_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                return unit()
        except peewee.PeeweeException as error:
            if sqlstate_of(error) not in _LOCKED:
                raise
            if time.monotonic() >= deadline:
                raise StillLocked from error
        log.info("locked; attempt %d failed", attempt)
        # Two runs that met pause for different times, or they would meet again.
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(_LONGEST_PAUSE, pause * 2)
        attempt += 1


def patience() -> float:
    """How many seconds to go on trying, from the environment: `STOGRAM_MIGRATE_PATIENCE`."""
    return seconds_from(PATIENCE_VARIABLE, 600)


def _holder(database: Any, table: str) -> str:
    holder = database.execute_sql(_HOLDERS, (table,)).fetchone()
    if holder is None:
        return ""
    pid, user, application, state, since = holder
    seconds = f" for {int(since.total_seconds())} s" if since else ""
    return f" by pid {pid} ({user} with {application!r}, {state}{seconds})"

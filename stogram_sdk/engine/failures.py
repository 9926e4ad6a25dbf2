"""Errors of the database: the `StogramError` that each becomes, and whether the call runs again.

A call runs again up to five times if it conflicted with another transaction (SQLSTATE 40001,
40P01), or if a row that it needs was deleted at that moment (23503: the next run does not find
it). It runs again once, over a new connection, if its connection was lost and nothing was written
or the call can be repeated. The logger `stogram_sdk` notes each such run at INFO. It names
SQLSTATEs and seconds, never a value, a statement or where the database is.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import peewee
import psycopg2

from stogram_sdk.errors import DatabaseError, InvalidInput, StogramError, Unavailable

T = TypeVar("T")

logger = logging.getLogger("stogram_sdk")
logger.addHandler(logging.NullHandler())

_CONFLICTS = ("40001", "40P01")
# Statements look for the rows that they refer to, so these were there at their beginning.
_ROW_IS_GONE = "23503"
_TRIES_OF_A_CONFLICT = 5
_TRIES_OF_A_LOSS = 2

# Seconds: how long to wait before the next try, at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0

# After a longer silence the network is to blame, and a second try would only double the wait.
_SOON = 2.0

# SQLSTATE classes and codes after which the same call may well succeed: connection exceptions,
# too many connections, lock timeout, query canceled, shutdown and recovery, idle in transaction.
_UNAVAILABLE = ("08", "53300", "55P03", "57", "25P03", "25P04")

# The same of SQLite: the file is busy or locked, or cannot be read, written or opened now.
_SQLITE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SQLITE_UNAVAILABLE = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
)


class ConnectionLost(peewee.OperationalError):
    """The connection ended while a statement waited for its answer.

    `in_doubt`: the statement may have been carried out all the same.
    `silent`: the connection was given up, because no answer came in time.
    """

    def __init__(self, cause: peewee.PeeweeException, *, in_doubt: bool, silent: bool) -> None:
        super().__init__(*cause.args)
        self.orig = _original(cause)
        self.in_doubt = in_doubt
        self.silent = silent


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of driver, Peewee and pool into a `StogramError`, chained to its cause."""
    try:
        yield
    except peewee.PeeweeException as error:
        raise translate(error) from error


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of a Peewee error from PostgreSQL."""
    return getattr(_original(error), "pgcode", None)


def is_conflict(error: BaseException) -> bool:
    """Whether two transactions were in each other's way and this one should run again."""
    return sqlstate_of(error) in (*_CONFLICTS, _ROW_IS_GONE)


def translate(error: peewee.PeeweeException, *, repeatable: bool = False) -> StogramError:
    """The `StogramError` for an error of Peewee; its text never repeats the driver's.

    `repeatable`: the whole call can be made again, whatever the outcome of this one.
    """
    original = _original(error)
    if isinstance(error, ConnectionLost):
        return _lost(error, repeatable)
    if isinstance(original, sqlite3.Error):
        return _translate_sqlite(error, original)
    sqlstate = sqlstate_of(error)
    if sqlstate is not None and (sqlstate in _CONFLICTS or sqlstate.startswith(_UNAVAILABLE)):
        return Unavailable(
            f"the database did not do it in time or is not ready (SQLSTATE {sqlstate})",
            sqlstate=sqlstate,
        )
    if sqlstate is None and isinstance(original, psycopg2.OperationalError):
        return Unavailable("the database cannot be reached, or does not let this user in")
    if sqlstate is None and isinstance(original, psycopg2.InterfaceError):
        return Unavailable("the connection to the database was lost; nothing was written")
    if sqlstate == "42P01":
        return _table_is_missing(sqlstate)
    constraint = getattr(getattr(original, "diag", None), "constraint_name", None)
    about = f" by {constraint}" if constraint else ""
    code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
    return DatabaseError(f"the database refused a statement{about}{code}", sqlstate=sqlstate)


def unwritable(error: Exception) -> InvalidInput:
    """The error for a value that a driver cannot send."""
    return InvalidInput(f"the database cannot hold a value ({type(error).__name__})")


def run_again(unit: Callable[[], T], *, repeatable: bool) -> T:
    """Run a whole unit of work, again if it may (see above); raises the error of its last run."""
    began = time.monotonic()
    run = 1
    while True:
        try:
            return unit()
        except (peewee.PeeweeException, Unavailable, DatabaseError) as error:
            if run >= _tries(error, repeatable, began):
                raise
            reason = sqlstate_of(_of_peewee(error))
        run += 1
        logger.info(
            "%s: running the call again, try %d",
            f"SQLSTATE {reason}" if reason else "the connection was lost",
            run,
        )
        # Calls that conflicted wait for different times, or they would conflict again.
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**run)))


def _tries(error: BaseException, repeatable: bool, began: float) -> int:
    """How often a unit that ended with this error may be run, in all."""
    error = _of_peewee(error)
    if is_conflict(error):
        return _TRIES_OF_A_CONFLICT
    if isinstance(error, ConnectionLost) and (repeatable or not error.in_doubt):
        soon = not error.silent and time.monotonic() - began < _SOON
        return _TRIES_OF_A_LOSS if soon else 1
    return 1


def _lost(error: ConnectionLost, repeatable: bool) -> Unavailable:
    what = "the database did not answer in time" if error.silent else "the connection was lost"
    if not error.in_doubt:
        so = "nothing was written"
    elif repeatable:
        so = "make the call again, it can be repeated"
    else:
        so = "whether it was carried out is not known"
    return Unavailable(
        f"{what}: {so}",
        safe_to_retry=repeatable or not error.in_doubt,
        sqlstate=sqlstate_of(error),
    )


def _translate_sqlite(error: peewee.PeeweeException, original: sqlite3.Error) -> StogramError:
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF  # without the extension
    if code in _SQLITE_BUSY:
        return Unavailable("another writer holds the database for too long; nothing was written")
    if code in _SQLITE_UNAVAILABLE:
        return Unavailable("the database file cannot be opened, read or written; nothing was")
    if "no such table" in str(original):
        return _table_is_missing(None)
    return DatabaseError("the database refused a statement")


def _table_is_missing(sqlstate: str | None) -> DatabaseError:
    return DatabaseError("a table of Stogram is missing: run `stogram migrate`", sqlstate=sqlstate)


def _of_peewee(error: BaseException) -> BaseException:
    """Peewee's error, also if a call inside the unit has translated it already."""
    if isinstance(error, Unavailable | DatabaseError) and error.__cause__:
        return error.__cause__
    return error


def _original(error: BaseException | None) -> Any:
    """The driver's error, around which Peewee wraps its own, sometimes twice."""
    original = getattr(error, "orig", None)
    return _original(original) if isinstance(original, peewee.PeeweeException) else original

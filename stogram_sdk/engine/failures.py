"""Errors of the database: the `StogramError` that each becomes, and whether the call runs again.

A call runs again up to five times if it conflicted with another transaction (SQLSTATE 40001,
40P01), or if a row that it needs was deleted at that moment (23503: the next run does not find
it). It runs again once, over a new connection, if its connection was lost and nothing was written
or the call can be repeated, and if the server has become read-only (25006). The logger
`stogram_sdk` notes each such run at INFO. It names SQLSTATEs and seconds, never a value, a
statement or where the database is.
"""

from __future__ import annotations

import logging
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import peewee
import psycopg2

from stogram_sdk.engine.unreachable import unreachable
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

#: What was prepared on the connection is gone (DISCARD ALL), has other types than a column now, or
#: is there though nobody knew it; or it lacks the chat of a row, on a database that has just been
#: distributed (22004).
OUTDATED = "26000", "0A000", "42P05", "22004"
#: The server became a standby, or was told to take no writes.
READ_ONLY = "25006"

# SQLSTATE classes and codes after which the same call may well succeed later. The longest that
# fits says what is the matter.
_UNAVAILABLE = {
    **dict.fromkeys(OUTDATED, "what the connection had prepared does not hold any more"),
    **dict.fromkeys(_CONFLICTS, "another transaction was in the way of this one"),
    "08": "the connection to the database failed",
    READ_ONLY: "the server only reads now, as a standby does after a failover",
    "25P03": "the transaction was idle for too long (idle_in_transaction_session_timeout)",
    "25P04": "the transaction took too long (transaction_timeout)",
    "53": "the server is short of something",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "53300": "the server has too many connections",
    "55P03": "another transaction holds a lock for too long (lock_timeout)",
    "57": "the server is shutting down, starting, or had to break off",
    "57014": "the statement was canceled, or took too long (statement_timeout)",
    "58": "the server cannot read or write its files",
}
# Errors whose first sentence quotes a value, or a part of the statement.
_QUOTING = "22", "42601"
# Whether the statement was carried out is not known: transaction resolution unknown.
_IN_DOUBT = ("08007", "40003")

# The same of SQLite, by its primary codes.
_SQLITE_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "another writer holds the database for too long",
    sqlite3.SQLITE_LOCKED: "another writer holds the database for too long",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_INTERRUPT: "the statement was canceled, or took too long (statement_timeout)",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_READONLY: "the database file is read-only",
}


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


#: Raises errors of a driver inside as Peewee's.
peewee_errors: Any = peewee.__exception_wrapper__  # type: ignore[attr-defined]  # not in the stubs


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


def is_about_the_connection(error: BaseException) -> bool:
    """Whether it is no answer of the server, but the driver that could not get or read one."""
    original = _original(error)
    nameless = psycopg2.OperationalError, psycopg2.DatabaseError
    return type(original) in nameless and original.pgcode is None


def is_conflict(error: BaseException) -> bool:
    """Whether two transactions were in each other's way and this one should run again."""
    return sqlstate_of(error) in (*_CONFLICTS, *OUTDATED, _ROW_IS_GONE)


def is_locked(error: BaseException) -> bool:
    """Whether another connection holds the lock of the SQLite file."""
    return getattr(_original(error), "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def translate(error: peewee.PeeweeException, *, repeatable: bool = False) -> StogramError:
    """The `StogramError` for an error of Peewee; its text never repeats the driver's.

    `repeatable`: the whole call can be made again, whatever the outcome of this one.
    """
    original = _original(error)
    if isinstance(error, ConnectionLost):
        return _lost(error, repeatable)
    if isinstance(original, sqlite3.Error):
        return _translate_sqlite(original, repeatable)
    sqlstate = sqlstate_of(error)
    if sqlstate in _IN_DOUBT:
        return _in_doubt(f"the connection failed (SQLSTATE {sqlstate})", repeatable, sqlstate)
    if reason := _longest_that_fits(sqlstate or ""):
        return Unavailable(f"{reason} (SQLSTATE {sqlstate})", sqlstate=sqlstate)
    if is_about_the_connection(error):
        return unreachable(original)
    if sqlstate is None and isinstance(original, psycopg2.InterfaceError):
        return Unavailable("the connection to the database was lost; nothing was written")
    if sqlstate == "42P01":
        return _table_is_missing(sqlstate)
    if sqlstate == "42501":
        return DatabaseError(
            "the role lacks a right (SQLSTATE 42501): docs/guide.md, The roles of the database, "
            "says what each role needs",
            sqlstate=sqlstate,
        )
    constraint = getattr(getattr(original, "diag", None), "constraint_name", None)
    about = f" by {constraint}" if constraint else ""
    code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
    return DatabaseError(f"the database refused a statement{about}{code}", sqlstate=sqlstate)


def forget_values(error: psycopg2.Error) -> None:
    """Leave of the server's words what is about tables and constraints.

    Its first sentence is that; the others repeat the row that it refused, or the statement with its
    values. A sentence about a value (class 22) quotes it, and so does one about wrong syntax.
    """
    sentence = error.diag.message_primary
    if sentence is not None:
        quotes = (error.pgcode or "").startswith(_QUOTING)
        error.args = (re.sub('".*"', '"..."', sentence, flags=re.DOTALL) if quotes else sentence,)


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
        except FAILURES as error:
            pause = pause_before_next(error, run, repeatable, began)
            if pause is None:
                raise
        run += 1
        time.sleep(pause)


#: The errors after which a unit may run again.
FAILURES = peewee.PeeweeException, Unavailable, DatabaseError


def pause_before_next(error: Exception, run: int, repeatable: bool, began: float) -> float | None:
    """The seconds until the next run of a unit, after one that ended with this error.

    `run` is the number of that one, `began` when the first began. None if that was the last one.
    """
    if run >= _tries(error, repeatable, began):
        return None
    reason = sqlstate_of(of_peewee(error))
    logger.info(
        "%s: running the call again, try %d",
        f"SQLSTATE {reason}" if reason else "the connection was lost",
        run + 1,
    )
    # Calls that conflicted wait for different times, or they would conflict again.
    return random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (run + 1)))


def _tries(error: BaseException, repeatable: bool, began: float) -> int:
    """How often a unit that ended with this error may be run, in all."""
    error = of_peewee(error)
    if is_conflict(error):
        return _TRIES_OF_A_CONFLICT
    if sqlstate_of(error) == READ_ONLY:
        return _TRIES_OF_A_LOSS
    if isinstance(error, ConnectionLost) and (repeatable or not error.in_doubt):
        soon = not error.silent and time.monotonic() - began < _SOON
        return _TRIES_OF_A_LOSS if soon else 1
    return 1


def _longest_that_fits(sqlstate: str) -> str | None:
    """What is the matter, if the same call may well succeed later."""
    starts = (sqlstate[:length] for length in (5, 2))
    return next((_UNAVAILABLE[start] for start in starts if start in _UNAVAILABLE), None)


def _lost(error: ConnectionLost, repeatable: bool) -> Unavailable:
    what = "the database did not answer in time" if error.silent else "the connection was lost"
    sqlstate = sqlstate_of(error)
    if error.in_doubt:
        return _in_doubt(what, repeatable, sqlstate)
    return Unavailable(f"{what}: nothing was written", sqlstate=sqlstate)


def _in_doubt(what: str, repeatable: bool, sqlstate: str | None = None) -> Unavailable:
    so = "make the call again, it can be repeated"
    if not repeatable:
        so = "whether it was carried out is not known"
    return Unavailable(f"{what}: {so}", safe_to_retry=repeatable, sqlstate=sqlstate)


def _translate_sqlite(original: sqlite3.Error, repeatable: bool) -> StogramError:
    extended = getattr(original, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if extended == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return Unavailable(
            "a query of this thread is half read, and others have written since: read all its "
            "rows or close its cursor, then write; nothing was written"
        )
    if code in _SQLITE_UNAVAILABLE:
        return Unavailable(f"{_SQLITE_UNAVAILABLE[code]}; nothing was written")
    if code == sqlite3.SQLITE_IOERR:
        return _in_doubt("the database file cannot be read or written", repeatable)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DatabaseError("the file is damaged, or no SQLite database")
    if "no such table" in str(original):
        return _table_is_missing(None)
    return DatabaseError("the database refused a statement")


def _table_is_missing(sqlstate: str | None) -> DatabaseError:
    return DatabaseError(
        "a table is missing: call migrate(), or run `stogram migrate`", sqlstate=sqlstate
    )


def of_peewee(error: BaseException) -> BaseException:
    """Peewee's error, also if a call inside the unit has translated it already."""
    if isinstance(error, Unavailable | DatabaseError) and error.__cause__:
        return error.__cause__
    return error


def _original(error: BaseException | None) -> Any:
    """The driver's error, around which Peewee wraps its own, sometimes twice."""
    original = getattr(error, "orig", None)
    return _original(original) if isinstance(original, peewee.PeeweeException) else original

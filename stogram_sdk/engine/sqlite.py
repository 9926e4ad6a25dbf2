"""An embedded database: SQLite, in one file or in memory."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import ReferenceType, ref

import peewee

from stogram_sdk.any_case import any_case_trigrams, matches
from stogram_sdk.engine.dialects import HAS_SEARCH_INDEX, Dialect, SqliteDialect
from stogram_sdk.engine.failures import is_locked, peewee_errors, unwritable
from stogram_sdk.engine.pool import PooledConnections
from stogram_sdk.engine.prepared import Prepared, only_reads
from stogram_sdk.engine.sqlite_tags import keep_tags
from stogram_sdk.engine.sqlite_words import keep_words, words_as_json
from stogram_sdk.fields import utc_now
from stogram_sdk.text import found_word, key_of

if TYPE_CHECKING:
    from stogram_sdk.engine.database_url import DatabaseSettings


T = TypeVar("T")

_WRITES = "INSERT", "UPDATE", "DELETE", "REPLACE"
# Milliseconds that SQLite asks for the lock of the file at a time: within them it asks every few,
# but after a quarter of a second only ten times a second.
_BRIEF = 25
# The same where there is no limit: a day.
_LONGEST = 86_400_000


class Connection(sqlite3.Connection):
    """Knows the last cursor that returns what it writes: the write ends with the last row read."""

    returning: ReferenceType[sqlite3.Cursor] | None = None
    #: Whether it has its triggers; not if the file was not migrated when it was opened.
    is_in_step = False
    #: When the statement that runs is to be over; math.inf between two.
    due = math.inf
    _time_limit = math.inf
    #: For how many milliseconds it asks for the lock of the file; None if that is not known.
    _patience: int | None = None

    @property
    def time_limit(self) -> float:
        """For how many seconds a statement may run, and wait for the lock of the file."""
        return self._time_limit

    @time_limit.setter
    def time_limit(self, seconds: float) -> None:
        if seconds != self._time_limit:
            self._time_limit = seconds
            self.ask_until_the_limit()

    def ask_until_the_limit(self) -> None:
        self.ask_for(round(min(1000 * self._time_limit, _LONGEST)))

    def ask_for(self, milliseconds: int) -> None:
        """Ask for the lock of the file for so long from now on."""
        if self._patience != milliseconds:
            self._patience = None  # Whatever interrupts this, the next one sets it anew.
            self._finish(partial(self.execute, f"PRAGMA busy_timeout = {milliseconds}"))
            self._patience = milliseconds

    def returning_cursor(self) -> sqlite3.Cursor | None:
        return None if self.returning is None else self.returning()

    def leave_transaction(self) -> None:
        """Roll back, if there is something."""
        if self.in_transaction:
            self._finish(self.rollback)

    def _finish(self, work: Callable[[], Any]) -> None:
        """Do what must be done, also when a call is called off: what runs then is interrupted."""
        while True:
            try:
                work()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise


class Cursor(sqlite3.Cursor):
    """Notes on its connection when the statement is to be over, and closes itself if that fails.

    An error keeps its cursor until the garbage collector comes. That may be in any thread, which
    would stand still until the connection has carried out what it is doing then.
    """

    connection: Connection
    _due = math.inf

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        connection = self.connection
        connection.due = self._due = time.monotonic() + connection.time_limit
        try:
            return super().execute(sql, parameters)
        except BaseException:
            self._end()
            raise
        finally:
            connection.due = math.inf

    def fetchall(self) -> list[Any]:
        connection = self.connection
        connection.due = self._due  # SQLite finds most rows when they are fetched.
        try:
            return super().fetchall()
        except BaseException:
            self._end()
            raise
        finally:
            connection.due = math.inf

    def _end(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # Its connection has been closed.
            self.close()


class SqliteDatabase(PooledConnections, peewee.SqliteDatabase):
    """An embedded database; writers take turns.

    SQLite has no queue for the lock of its file: whoever waits asks for it now and then, and a
    writer who comes at the right moment goes first, again and again. So of the threads of a process
    only one asks. The others wait behind it.
    """

    dialect: Dialect = SqliteDialect()
    schema_name = None
    #: Of Python's own driver, whose connections these are. Peewee tells that of another, where one
    #: is installed.
    server_version = sqlite3.sqlite_version_info
    #: The driver itself keeps the statements that it has sent, ready to run again.
    prepares = False
    field_types = peewee.SqliteDatabase.field_types | {
        "ENUM": "TEXT",
        "TEXT[]": "TEXT",
        "TIMESTAMP(3)": "TEXT",
    }

    def __init__(self, settings: DatabaseSettings) -> None:
        in_memory = settings.database == ":memory:"
        # A database in memory is its one connection.
        self.is_one_connection = in_memory
        super().__init__(
            settings.database,
            connection_limit=1 if in_memory else settings.connection_limit,
            max_idle_connection_lifetime=0 if in_memory else settings.max_idle_connection_lifetime,
            pool_timeout=settings.pool_timeout,
            # Up to 16 MB for each connection. By default it keeps 2 MB of the file, and the list
            # of a user in 500 chats needs more each time.
            pragmas={
                "foreign_keys": 1,
                "journal_mode": "wal",
                "cache_size": -16_000,
                # What is deleted is overwritten. Not every SQLite is built to do so by itself.
                "secure_delete": 1,
            },
            timeout=settings.statement_timeout or _LONGEST / 1000,
            # Otherwise a transaction that reads first could not wait for another writer later.
            lock_type="IMMEDIATE",
            returning_clause=True,
            check_same_thread=False,
            # All that there are, in all their variants; by default it forgets them beyond 128.
            cached_statements=1_000,
            factory=Connection,
        )
        self.statements: dict[Any, Any] = {}
        self.time_limit = settings.statement_timeout or math.inf
        self.register_function(matches, "stogram_matches", 2, deterministic=True)
        self.register_function(_tag_key, "stogram_tag_key", 1, deterministic=True)
        self.register_function(found_word, "stogram_found_word", 3, deterministic=True)
        self.register_function(words_as_json, "stogram_searched_words", 2, deterministic=True)

    def current_time(self) -> datetime:
        """This process and the file have one clock."""
        return utc_now()

    def before_write(self) -> str:
        """The text to send before a write that is a transaction by itself."""
        return ""

    def unit(self) -> Any:
        """A transaction of statements of this package."""
        return self.atomic()

    def cursor(self, named_cursor: Any = None) -> Any:
        cursor = self.connection().cursor(Cursor)
        if self._state.returning:
            self._state.conn.returning, self._state.returning = ref(cursor), False
        return cursor

    def begin(self, lock_type: str | None = None) -> None:
        self._in_turn(lambda: super(SqliteDatabase, self).begin(lock_type))
        if not self._state.conn.is_in_step:
            # Now nobody can migrate the file until this transaction ends.
            with peewee_errors:
                self.make_triggers(self._state.conn)

    def _in_turn(self, take_lock: Callable[[], T]) -> T:
        """Do what takes the lock of the file, after the threads that came before.

        The limit of time is for both: to wait for them, and for other processes.
        """
        limit = self.connection().time_limit
        deadline = time.monotonic() + limit
        try:
            # Who waits in vain, behind a thread that may wait for longer, still asks once.
            is_first = self._turnstile.acquire(timeout=min(max(0, limit), threading.TIMEOUT_MAX))
            result = self._ask_until(deadline, take_lock)
            self._state.conn.ask_until_the_limit()
            if is_first:
                self._turnstile.release()
            return result
        except BaseException:
            self._leave_turnstile()
            if not self._state.closed:
                self._state.conn.ask_until_the_limit()
            raise

    def _ask_until(self, deadline: float, take_lock: Callable[[], T]) -> T:
        while True:
            asked = time.monotonic()
            patience = round(min(_BRIEF, max(0, 1000 * (deadline - asked))))
            self.connection().ask_for(patience)
            try:
                return take_lock()
            except peewee.OperationalError as error:
                # What is refused at once, as a half-read query of this thread has it, stays so.
                was_at_once = 1000 * (time.monotonic() - asked) < patience
                if not is_locked(error) or was_at_once or patience < _BRIEF:
                    raise

    def _leave_turnstile(self) -> None:
        with suppress(RuntimeError):  # Raised when this thread holds it no more.
            while True:
                self._turnstile.release()

    def _leave_books(self) -> None:
        super()._leave_books()
        self._leave_turnstile()

    def rollback(self) -> None:
        # Peewee also rolls back when what interrupted a commit let it finish.
        with peewee_errors:
            self._state.conn.leave_transaction()

    def search_terms(self, text: str) -> str | None:
        """The terms for the search index; None if there is no index, or it cannot find the text."""
        with peewee_errors:
            is_there = self.connection().execute(HAS_SEARCH_INDEX).fetchone()
        return any_case_trigrams(text) if is_there else None

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc]  # not in Peewee's stubs
        connection.time_limit = self.time_limit
        self.keep_in_step(connection)
        return connection

    def keep_in_step(self, connection: Any) -> None:
        """Let the connection keep "MessageTag" and "UserWord", if the file is migrated."""
        connection.is_in_step = self.make_triggers(connection)

    def make_triggers(self, connection: Any) -> bool:
        """Make the triggers of a connection; whether the file is migrated.

        Made in a transaction, they are gone when that is rolled back.
        """
        has_tags, has_words = keep_tags(connection), keep_words(connection)
        return has_tags and has_words

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        if self._state.closed:
            return self._execute_alone(sql, params)
        return self.carry_out(sql, params)

    def has_prepared(self, statements: Iterable[Prepared]) -> bool:
        return False

    def carry_out(self, sql: str, params: Any) -> Any:
        takes_lock = self._takes_lock(sql)
        if takes_lock and not self._state.conn.is_in_step:
            with self.atomic():  # Its beginning looks whether the file has been migrated since.
                return self.fetched(self.carry_out(sql, params))
        self._state.returning = " RETURNING " in sql
        execute = partial(super().execute_sql, sql, params)
        try:
            return self._in_turn(execute) if takes_lock else execute()
        except (ValueError, OverflowError) as error:
            raise unwritable(error) from error

    def _takes_lock(self, sql: str) -> bool:
        """Whether the statement is a write, and this connection does not have the lock yet."""
        if not sql.startswith(_WRITES) and (not sql.startswith("WITH") or only_reads(sql)):
            return False
        connection = self.connection()
        with peewee_errors:
            return not (connection.in_transaction or connection.returning_cursor())

    def fetch(self, cursor: Any) -> list[tuple[Any, ...]]:
        with peewee_errors:
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def _cancel(self, connections: Iterable[Any]) -> None:
        for connection in connections:
            if isinstance(connection, Connection):
                connection.interrupt()

    def _look_after(self, connections: Iterable[Any]) -> None:
        now = time.monotonic()
        self._cancel(connection for connection in connections if connection.due <= now)

    def _end_transaction(self, connection: Any) -> None:
        # It is not closed, because a database in memory is its one connection.
        cursor = connection.returning_cursor()
        if cursor is not None:
            cursor.close()
        with suppress(sqlite3.ProgrammingError):  # The program has closed it.
            connection.leave_transaction()
            connection.ask_until_the_limit()

    def _can_reuse(self, connection: Any) -> bool:
        try:
            connection.leave_transaction()
            connection.time_limit = self.time_limit
        except sqlite3.ProgrammingError:  # The program has closed it.
            return False
        # The next one looks anew whether the file is migrated.
        return connection.is_in_step or self.is_one_connection

    def _close_connection(self, connection: Any) -> None:
        connection.close()

    def _reset(self) -> None:
        super()._reset()
        self._turnstile = threading.RLock()

    def _abandon(self, connection: Any) -> None:
        # After a fork, SQLite must not even close a connection of the parent.
        _of_the_parent.append(connection)


_of_the_parent: list[sqlite3.Connection] = []


def _tag_key(tag: object) -> object:
    """SQLite's side of the function `stogram_tag_key` of PostgreSQL."""
    return key_of(tag) if isinstance(tag, str) else tag

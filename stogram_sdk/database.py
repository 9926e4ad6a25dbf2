"""The connection to the database: `db`, `connect()`, `session()`, `close()`, `transaction()`.

The models are bound to `db`, which stands for whatever `connect()` opened last. A call takes a
connection from the pool for as long as it runs; `session()` keeps one for many calls.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import peewee
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from stogram_sdk.dialects import (
    HAS_SEARCH_INDEX,
    Dialect,
    PostgresDialect,
    SqliteDialect,
    any_case_like,
    any_case_trigrams,
    matches,
)
from stogram_sdk.errors import DatabaseError, InvalidInput, StogramError, Unavailable
from stogram_sdk.failures import ConnectionLost, logger
from stogram_sdk.failures import translated_errors as translated_errors
from stogram_sdk.pool import PooledConnections
from stogram_sdk.time_limits import Connection, TimeLimits

if TYPE_CHECKING:
    import sqlite3

    from stogram_sdk.database_url import DatabaseSettings


class Database(peewee.DatabaseProxy):
    """Stands for the database that `connect()` opened last."""

    def atomic(self, *args: Any, **options: Any) -> Any:
        """Peewee's own; a connection that was opened for it goes back to the pool at the end."""
        return self._atomic(*args, **options)

    @contextmanager
    def _atomic(self, *args: Any, **options: Any) -> Iterator[Any]:
        opened = self.connect(reuse_if_open=True)
        try:
            with super().atomic(*args, **options) as unit:
                yield unit
        finally:
            if opened:
                self.close()


db = Database()


class SqliteDatabase(PooledConnections, peewee.SqliteDatabase):
    """An embedded database in one file; writers take turns."""

    dialect: Dialect = SqliteDialect()
    field_types = peewee.SqliteDatabase.field_types | {
        "ENUM": "TEXT",
        "TEXT[]": "TEXT",
        "TIMESTAMP(3)": "TEXT",
    }

    def __init__(self, settings: DatabaseSettings) -> None:
        in_memory = settings.database == ":memory:"
        super().__init__(
            settings.database,
            # A database in memory is its one connection.
            connection_limit=1 if in_memory else settings.connection_limit,
            max_idle_connection_lifetime=0 if in_memory else settings.max_idle_connection_lifetime,
            pool_timeout=settings.pool_timeout,
            # 16 MB for each connection that needs them: by default it keeps 2 MB of the file, and
            # a user in 500 chats needs more at each look at their list.
            pragmas={"foreign_keys": 1, "journal_mode": "wal", "cache_size": -16_000},
            timeout=settings.statement_timeout or 3600,
            # A transaction that reads first and writes later cannot wait for another writer.
            lock_type="IMMEDIATE",
            returning_clause=True,
            check_same_thread=False,
        )
        self.statements: dict[Any, Any] = {}
        self.register_function(matches, "stogram_matches", 2, deterministic=True)
        self.register_function(_tag_key, "stogram_tag_key", 1, deterministic=True)

    def before_write(self) -> str:
        """What goes before a write that is a transaction by itself."""
        return ""

    def unit(self) -> Any:
        """A transaction of statements of this package."""
        return self.atomic()

    def search_terms(self, text: str) -> str | None:
        """What the search index is asked for; None where there is none, or it cannot know."""
        connection: Any = self.connection()  # type: ignore[no-untyped-call]  # not in the stubs
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # likewise
            is_there = connection.execute(HAS_SEARCH_INDEX).fetchone()
        return any_case_trigrams(text) if is_there else None

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc]  # not in Peewee's stubs
        self.keep_tags(connection)
        return connection

    def keep_tags(self, connection: Any) -> None:
        """Let the connection keep "MessageTag" as PostgreSQL does, if the file is migrated."""
        from stogram_sdk.schema.message_tags import know_all_letters

        know_all_letters(connection)

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        try:
            return super().execute_sql(sql, params)  # type: ignore[no-untyped-call]  # stubs
        except (ValueError, OverflowError) as error:
            raise _unwritable(error) from error

    @contextmanager
    def limited_to(self, seconds: float | None) -> Iterator[None]:
        """A statement works in this process: it is done when it is done."""
        yield

    def _look_after(self, connections: Iterable[Any]) -> None:
        """A statement works in this process: nobody is silent."""

    def _can_reuse(self, connection: Any) -> bool:
        if connection.in_transaction:
            connection.rollback()
        return True

    def _discard(self, connection: Any) -> None:
        connection.close()

    def _abandon(self, connection: Any) -> None:
        # SQLite must not even close what was opened before a fork.
        _of_the_parent.append(connection)


_of_the_parent: list[sqlite3.Connection] = []


def _tag_key(tag: object) -> object:
    """SQLite's side of the function `stogram_tag_key` of PostgreSQL."""
    from stogram_sdk.text import normalize_tag

    return normalize_tag(tag) if isinstance(tag, str) else tag


#: What `PostgresDatabase.begin` says too, for a transaction that is sent as one.
READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "


class PostgresDatabase(PooledConnections, peewee.PostgresqlDatabase):
    """A PostgreSQL server, or PgBouncer in front of one: nothing depends on session state."""

    dialect: Dialect = PostgresDialect()
    _adapter: Any  # Peewee's psycopg2, which its stubs leave out

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(
            settings.database,
            connection_limit=settings.connection_limit,
            pool_timeout=settings.pool_timeout,
            max_idle_connection_lifetime=settings.max_idle_connection_lifetime,
            **_LIBPQ_DEFAULTS | dict(settings.libpq),
        )
        self.statements: dict[Any, Any] = {}
        self.time_limit = settings.statement_timeout or math.inf
        self._connect_timeout: int = self.connect_params["connect_timeout"]
        self.lock_limit = _set_local("lock_timeout", settings.lock_timeout)
        self._limits_of_transaction = self.lock_limit + _set_local(
            "idle_in_transaction_session_timeout", settings.idle_in_transaction_session_timeout
        )
        self._time_limits = TimeLimits()
        self._before_write: str | None = None

    def before_write(self) -> str:
        """What goes before a write that is a transaction by itself, for this thread's connection.

        Where the database's default isolation is another than READ COMMITTED, the write would be
        right too, but have to run again where it meets another.
        """
        if self._before_write is None:
            self._heal()
            try:
                with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
                    cursor = self.cursor()  # type: ignore[no-untyped-call]  # likewise
                    cursor.execute("SHOW default_transaction_isolation")
                    (level,) = cursor.fetchone()
            except peewee.PeeweeException as error:
                self._raise_if_lost(error, in_doubt=False)
                raise
            self._before_write = "" if level == "read committed" else READ_COMMITTED
        return self._before_write

    def unit(self) -> Any:
        """A transaction that begins together with its first statement: one round trip less.

        For the functions of this package alone: what does not pass through `execute_sql`, such as
        a cursor of one's own, would be outside of it.
        """
        return self.atomic(together=True)

    def execute_sql(self, sql: Any, params: Any = None) -> Any:
        self._heal()
        connection = self._state.conn
        opening = connection.opening if connection is not None else ""
        text = opening + sql if opening else sql  # one's own may be composed by psycopg2
        try:
            return super().execute_sql(text, params)  # type: ignore[no-untyped-call]  # stubs
        except peewee.PeeweeException as error:
            self._raise_if_lost(error, in_doubt=not (self._state.transactions or _only_reads(sql)))
            raise
        except (ValueError, OverflowError) as error:
            raise _unwritable(error) from error
        finally:
            # A value that cannot be sent leaves the opening to the next statement.
            if opening and connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
                connection.opening = ""

    def search_terms(self, text: str) -> str | None:
        """What the search index is asked for: the statement sees whether there is one."""
        return any_case_like(text)

    def begin(self, isolation_level: Any = None, *, together: bool = False) -> None:
        """`together`: with the first statement, see `unit`."""
        # Each statement has to see what others committed while it waited for a lock.
        level = self._adapter.isolation_level_str(isolation_level or "READ COMMITTED")
        opening = f"BEGIN ISOLATION LEVEL {level}; {self._limits_of_transaction}"
        if together:
            connection = self.connection()  # type: ignore[no-untyped-call]  # not in the stubs
            connection.opening = opening
            return
        self._heal()
        try:
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
                cursor = self.cursor()  # type: ignore[no-untyped-call]  # likewise
                cursor.execute(opening)
        except peewee.PeeweeException as error:
            self._raise_if_lost(error, in_doubt=False)
            raise

    def commit(self) -> None:
        # Not through `cursor()`: another connection would commit nothing, and say that all is well.
        connection = self._state.conn
        if connection.opening:
            connection.opening = ""
            return
        try:
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
                cursor = connection.cursor()
                cursor.execute("COMMIT")
        except peewee.PeeweeException as error:
            self._raise_if_lost(error, in_doubt=True)
            raise
        if cursor.statusmessage == "ROLLBACK":
            raise DatabaseError(
                "nothing of the transaction was written, because a statement in it had failed",
                sqlstate="25P02",
            )

    def rollback(self) -> None:
        connection = self._state.conn
        if connection.opening:
            connection.opening = ""
            return
        try:
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
                connection.cursor().execute("ROLLBACK")
        except peewee.PeeweeException:
            # With the connection the transaction has ended as well; what went wrong before says
            # more than this.
            if not connection.closed:
                raise

    @contextmanager
    def limited_to(self, seconds: float | None) -> Iterator[None]:
        """Give each statement of this thread so much time, inside; None: as much as before."""
        before = self._state.conn.time_limit
        if seconds is not None:
            self._state.conn.time_limit = seconds or math.inf
        try:
            yield
        finally:
            if not self._state.closed:
                self._state.conn.time_limit = before

    @contextmanager
    def pinned(self) -> Iterator[Any]:
        """This thread's connection, with session state, inside: lost once, it stays lost."""
        connection = self.connection()  # type: ignore[no-untyped-call]  # likewise
        connection.is_pinned = True
        try:
            yield connection
        finally:
            connection.is_pinned = False

    def _raise_if_lost(self, error: peewee.PeeweeException, *, in_doubt: bool) -> None:
        connection = self._state.conn
        if connection is not None and connection.closed:
            raise ConnectionLost(error, in_doubt=in_doubt, silent=connection.is_silent) from error

    def _heal(self) -> None:
        """Put a new connection in the place of one that has ended, before a statement is sent.

        Not once a transaction has begun, which is lost with its connection: nothing may hide that.
        """
        state = self._state
        lost = state.conn
        if state.closed or (state.transactions and not lost.opening):
            return
        if lost.is_usable() or lost.is_pinned:
            return
        connection = self._open(0)
        connection.time_limit = lost.time_limit
        connection.opening = lost.opening
        self._exchange(lost, connection)
        state.conn = connection
        self._discard(lost)
        logger.info("a connection had ended: replaced by a new one")

    def _open(self, waited: float) -> Any:
        # Who has waited for others to give up a silent server does not wait as long again.
        # libpq counts whole seconds: rounded up, the last of them would come too late.
        patience = int(max(self._pool_timeout, self._connect_timeout) - waited + 0.1)
        if patience < 1:
            raise Unavailable(f"waited {waited:g} s for a connection, and none could be opened")
        self._state.connect_timeout = min(self._connect_timeout, patience)
        return super()._open(waited)

    def _connect(self) -> Any:
        within = {"connect_timeout": self._state.connect_timeout}
        connection = self._adapter.connect(
            self, connection_factory=Connection, **self.connect_params | within
        )
        connection.autocommit = True
        connection.time_limit = self.time_limit
        return connection

    def _look_after(self, connections: Iterable[Any]) -> None:
        silent = self._time_limits.enforce(connections)
        if silent:
            # What is idle has probably been forgotten by the same network.
            self.close_idle()
        for connection in silent:
            connection.cut()

    def _can_reuse(self, connection: Any) -> bool:
        return not connection.was_canceled() and self._adapter.is_connection_reusable(connection)

    def _discard(self, connection: Any) -> None:
        connection.close()

    def _abandon(self, connection: Any) -> None:
        connection.abandon()


_LIBPQ_DEFAULTS = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
    "application_name": "stogram_sdk",
}


def _set_local(name: str, seconds: float) -> str:
    """The statement that sets a limit until the transaction ends; of 0 seconds nothing."""
    return f"SET LOCAL {name} = {max(1, round(seconds * 1000))}; " if seconds else ""


def _only_reads(sql: Any) -> bool:
    return isinstance(sql, str) and sql.startswith("SELECT") and ";" not in sql


def _unwritable(error: Exception) -> InvalidInput:
    return InvalidInput(f"the database cannot hold a value ({type(error).__name__})")


def open_database(url: str | None = None, **options: Any) -> tuple[Any, DatabaseSettings]:
    """A database as `connect()` makes it, not yet bound to the models."""
    from stogram_sdk.database_url import read_database_url

    settings = read_database_url(url, **options)
    kind = SqliteDatabase if settings.engine == "sqlite" else PostgresDatabase
    return kind(settings), settings


def connect(url: str | None = None, **options: Any) -> None:
    """Bind the models to a database; connections are opened when they are needed.

    `url` defaults to `$STOGRAM_DATABASE_URL`, then `$DATABASE_URL`, then `sqlite:///stogram.db`;
    the server's own URL works as it is. Options, which go before the URL's, are those of
    `stogram_sdk.database_url`. The limits of time, in seconds (0: none):

    * `connect_timeout=5`: until the server has accepted a connection, for each of its addresses;
    * `pool_timeout=10`: until one of the `connection_limit=10` connections is free;
    * `statement_timeout=8`: until a statement is answered. A slow server is then asked to cancel
      it; a silent one is given up half a second later, so that no call waits for longer than 10;
    * `lock_timeout=5`: until another transaction releases a row or table, in a transaction;
    * `idle_in_transaction_session_timeout=60`: between two statements of a transaction, after
      which the server ends it;
    * `max_idle_connection_lifetime=300`: after which an unused connection is not used again.

    They work through PgBouncer; but the system's resolver takes its own time to find the server's
    name: `hostaddr` gives the address. On SQLite, `statement_timeout` is how long to wait for
    another writer.

    Raises `InvalidInput` for a URL or option that cannot be right, `Unavailable` if the database
    cannot be reached.
    """
    _require_no_transaction()
    database, settings = open_database(url, **options)
    with translated_errors():
        database.connect()
        database.close()
    close()
    db.initialize(database)
    _use_schema(settings.schema)


def _use_schema(schema: str | None) -> None:
    from stogram_sdk.models import (
        MODELS,
        SIDE_TABLES,
    )  # the models are bound to `db`, defined above

    for model in (*MODELS, *SIDE_TABLES):
        model._meta.schema = schema


def current_database() -> Any:
    """The database that `connect()` opened."""
    if db.obj is None:
        raise StogramError("no database: call stogram_sdk.connect() first")
    return db.obj


@contextmanager
def session(*, statement_timeout: float | None = None) -> Iterator[None]:
    """Keep one connection of the pool for everything inside; hand it back at the end.

    With `statement_timeout` (seconds, 0: without end) each statement inside has so much time
    instead of what `connect()` was told. Sessions nest: an inner one uses the connection of the
    outer one. Between transactions, a connection that has ended is replaced.
    Raises `Unavailable` if no connection can be had in time; errors of one's own queries with
    Peewee leave as a `StogramError` too.
    """
    database = current_database()
    with translated_errors():
        opened = database.connect(reuse_if_open=True)
        try:
            with database.limited_to(statement_timeout):
                yield
        finally:
            if opened:
                database.close()


def close() -> None:
    """Close all connections; those at work in other threads close when they are done."""
    _require_no_transaction()
    if db.obj is not None:
        db.obj.close_all()
        db.initialize(None)


def _require_no_transaction() -> None:
    if db.obj is not None and db.obj.in_transaction():
        raise StogramError("this thread is in a transaction: end it before the connection")


@contextmanager
def transaction() -> Iterator[None]:
    """Make what is inside one unit: all of it happens, or nothing.

    Inside another transaction it is a savepoint. Raises `Unavailable`; if the connection was lost
    at the commit, whether it happened is not known and `safe_to_retry` is False. See `retrying`
    for a unit that is tried again when it meets another.
    """
    with session(), current_database().atomic():
        yield


def _forget_connections() -> None:
    if db.obj is not None:
        db.obj.forget_connections()


os.register_at_fork(after_in_child=_forget_connections)

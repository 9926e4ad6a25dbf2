"""A PostgreSQL server, or PgBouncer in front of one.

How a transaction begins together with its first statement, which saves a round trip: `begin` keeps
the text that begins it in `connection.opening`, and `execute_sql` sends it in front of the first
statement. As long as it is kept nothing has begun: the connection may still be replaced, and
commit and rollback have nothing to end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import peewee
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from stogram_sdk.any_case import any_case_like
from stogram_sdk.engine.dialects import Dialect, PostgresDialect
from stogram_sdk.engine.failures import ConnectionLost, logger, unwritable
from stogram_sdk.engine.pool import PooledConnections
from stogram_sdk.engine.time_limits import Connection, TimeLimits
from stogram_sdk.errors import DatabaseError, Unavailable

if TYPE_CHECKING:
    from stogram_sdk.engine.database_url import DatabaseSettings


#: What `PostgresDatabase.begin` says too, for a transaction that is sent as one.
READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "


class PostgresDatabase(PooledConnections, peewee.PostgresqlDatabase):
    """Nothing here depends on the state of a session, so PgBouncer may stand in between."""

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
        self.schema_name = settings.schema_name
        self.statements: dict[Any, Any] = {}
        self.time_limit = settings.statement_timeout or math.inf
        self._connect_timeout: int = self.connect_params["connect_timeout"]
        lock_limit = _set_local("lock_timeout", settings.lock_timeout)
        #: What goes before a lock and the statement that needs it, sent as one transaction.
        self.before_locking = READ_COMMITTED + lock_limit
        self._limits_of_transaction = lock_limit + _set_local(
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
            cursor = self._send("SHOW default_transaction_isolation")
            (level,) = cursor.fetchone()
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
        in_doubt = not (self._state.transactions or _only_reads(sql))
        try:
            with self._told_of_loss(in_doubt=in_doubt):
                return super().execute_sql(text, params)  # type: ignore[no-untyped-call]  # stubs
        except (ValueError, OverflowError) as error:
            raise unwritable(error) from error
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
        else:
            self._send(opening)

    def commit(self) -> None:
        if self._end("COMMIT", in_doubt=True) == "ROLLBACK":
            raise DatabaseError(
                "nothing of the transaction was written, because a statement in it had failed",
                sqlstate="25P02",
            )

    def rollback(self) -> None:
        # With the connection the transaction has ended as well; what went wrong before says more.
        with suppress(ConnectionLost):
            self._end("ROLLBACK", in_doubt=False)

    def _end(self, command: str, *, in_doubt: bool) -> str | None:
        """End the transaction; what the server says it did, None if nothing had begun."""
        # Not through `cursor()`: another connection would commit nothing, and say that all is well.
        connection = self._state.conn
        if connection.opening:
            connection.opening = ""
            return None
        with self._told_of_loss(in_doubt=in_doubt):
            cursor = connection.cursor()
            cursor.execute(command)
        status: str | None = cursor.statusmessage
        return status

    def _send(self, sql: str) -> Any:
        """The cursor of a statement that is about the session or the transaction alone."""
        self._heal()
        with self._told_of_loss(in_doubt=False):
            cursor = self.cursor()  # type: ignore[no-untyped-call]  # not in the stubs
            cursor.execute(sql)
        return cursor

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

    @contextmanager
    def _told_of_loss(self, *, in_doubt: bool) -> Iterator[None]:
        """Raise what is sent inside and fails as Peewee's error: `ConnectionLost` if it ended."""
        try:
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
                yield
        except peewee.PeeweeException as error:
            connection = self._state.conn
            if connection is None or not connection.closed:
                raise
            silent = connection.is_silent
            raise ConnectionLost(error, in_doubt=in_doubt, silent=silent) from error

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

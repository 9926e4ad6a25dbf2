"""A PostgreSQL server, or PgBouncer in front of one.

A transaction begins together with its first statement, which saves a round trip. `begin` keeps its
opening text in `connection.opening`, and the cursor sends that in front of the first statement.
Until then nothing has begun: the connection may still be replaced, and commit and rollback have
nothing to end.

Inside a transaction of the caller each call has a savepoint, which its first statement brings along
and the next statement after the call releases. So a call that fails leaves the transaction usable,
and one that succeeds sends nothing more.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import peewee
import psycopg2
from psycopg2.extensions import (
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    QuotedString,
    new_type,
    register_adapter,
    register_type,
)

from stogram_sdk.any_case import any_case_like
from stogram_sdk.engine import server_clock
from stogram_sdk.engine.dialects import (
    CHAT_OF_SEARCH_INDEX,
    SEARCH_INDEXES,
    Dialect,
    PostgresDialect,
)
from stogram_sdk.engine.failures import (
    OUTDATED,
    READ_ONLY,
    ConnectionLost,
    is_about_the_connection,
    logger,
    peewee_errors,
    sqlstate_of,
    unwritable,
)
from stogram_sdk.engine.pool import PooledConnections
from stogram_sdk.engine.prepared import MOST_PREPARED, READING, Prepared, only_reads
from stogram_sdk.engine.standbys import end_of_last_record, read_position
from stogram_sdk.engine.time_limits import Connection, Cursor, Probe, TimeLimits
from stogram_sdk.engine.units import on_connection, require_here
from stogram_sdk.errors import DatabaseError, Unavailable
from stogram_sdk.fields import TextArray, cut_to_milliseconds, time_from_postgres

if TYPE_CHECKING:
    from stogram_sdk.engine.database_url import DatabaseSettings


_TIMESTAMP = 1114
_TIMES = new_type((_TIMESTAMP,), "TIMES", time_from_postgres)

#: The isolation level of `PostgresDatabase.begin`, for a transaction that is sent as one.
READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "


class PostgresDatabase(PooledConnections, peewee.PostgresqlDatabase):
    """A database without session state, so that PgBouncer may stand in between."""

    _adapter: Any  # Peewee's psycopg2, which its stubs leave out

    def __init__(self, settings: DatabaseSettings, *, is_standby: bool = False) -> None:
        """`is_standby`: what is asked for are standbys of another one."""
        super().__init__(
            settings.database,
            connection_limit=settings.connection_limit,
            pool_timeout=settings.pool_timeout,
            max_idle_connection_lifetime=settings.max_idle_connection_lifetime,
            **_libpq_defaults(settings, is_standby) | dict(settings.libpq),
        )
        self.schema_name = settings.schema_name
        self.dialect: Dialect = PostgresDialect()
        self.prepares = settings.prepare
        self.statements: dict[Any, Any] = {}
        self.time_limit = settings.statement_timeout or math.inf
        self._connect_timeout: int = self.connect_params["connect_timeout"]
        lock_limit = _set_local("lock_timeout", settings.lock_timeout)
        #: Sent before a lock and the statement that needs it, with them as one transaction.
        self.before_locking = READ_COMMITTED + lock_limit
        self._limits_of_transaction = lock_limit + _set_local(
            "idle_in_transaction_session_timeout", settings.idle_in_transaction_session_timeout
        )
        #: Where there is another server to go to.
        self._probe = Probe(self._connect_beside) if settings.has_several_hosts() else None
        self._before_write: str | None = None

    def _reset(self) -> None:
        super()._reset()
        self._time_limits = TimeLimits()
        #: Connections that are not in the pool's books yet, since they are being opened. They too
        #: are looked at and changed under the lock.
        self._new: WeakSet[Connection] = WeakSet()

    def current_time(self) -> datetime:
        """The time by the server's clock, which is asked for only now and then."""
        connection = self.connection()
        if not connection.clock.is_fresh():
            asked = server_clock.seconds()
            cursor = self._send("SELECT pg_catalog.clock_timestamp()")
            connection = self._state.conn
            with self._noticing_loss(in_doubt=False):
                connection.clock = server_clock.measured(asked, *cursor.fetchone())
        return cut_to_milliseconds(connection.clock.now())

    def begin_with(self, command: str) -> None:
        """Let every transaction from now on begin with this command too."""
        self._limits_of_transaction += f"{command}; "

    def before_write(self) -> str:
        """The text to send before a write that is a transaction by itself.

        With a stricter default isolation the write would be right too, but would have to run again
        after a conflict.
        """
        if self._before_write is None:
            cursor = self._send("SHOW default_transaction_isolation")
            with self._noticing_loss(in_doubt=False):
                (level,) = cursor.fetchone()
            self._before_write = "" if level == "read committed" else READ_COMMITTED
        return self._before_write

    def unit(self) -> Any:
        """A transaction or a savepoint that begins together with its first statement."""
        return self._savepoint() if self.in_transaction() else self.atomic(together=True)

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        if self._state.conn.get_transaction_status() == TRANSACTION_STATUS_INERROR:
            yield
            return
        transaction = self._state.transactions[-1]
        self._state.conn.depth += 1
        name = f"stogram_{self._state.conn.depth}"
        self._state.conn.savepoints += f"SAVEPOINT {name}; "
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            if self._state.transactions[-1:] == [transaction]:  # Otherwise it was discarded.
                self._end_savepoint(name, succeeded)

    def _end_savepoint(self, name: str, succeeded: bool) -> None:
        connection = self._state.conn
        connection.depth -= 1
        unsent = connection.savepoints.removesuffix(f"SAVEPOINT {name}; ")
        if unsent != connection.savepoints:  # Nothing was sent that could be undone.
            connection.savepoints = unsent
        elif succeeded:
            connection.savepoints += f"RELEASE SAVEPOINT {name}; "
        else:
            # What is inside of it goes with it.
            connection.savepoints = ""
            with suppress(ConnectionLost):
                self._send(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")

    def execute_sql(self, sql: Any, params: Any = None) -> Any:
        if self._state.closed:
            if self.standbys is None or not _only_reads(sql):
                return self._execute_alone(sql, params)
            require_here(self)
            return self.standbys.read(
                lambda standby: standby._execute_alone(sql, params),
                partial(self._execute_alone, sql, params),
            )
        self._heal()
        return self.carry_out(sql, params, times_as_text=False)

    def carry_out(self, sql: Any, params: Any, *, times_as_text: bool = True) -> Any:
        """Send a statement over this thread's connection, which has just been healed."""
        try:
            send: Any = self._execute_cursor  # type: ignore[attr-defined]  # not in the stubs
            cursor = send(sql, params, times_as_text=times_as_text)
        except peewee.PeeweeException:
            in_doubt = not (self._state.transactions or _only_reads(sql))
            with self._noticing_loss(in_doubt=in_doubt):
                raise
        except (ValueError, OverflowError) as error:
            raise unwritable(error) from error
        if self.standbys is not None and not _only_reads(sql):
            self.standbys.note_write()
        return cursor

    def cursor(self, named_cursor: Any = None, *, times_as_text: bool = False) -> Any:
        cursor = self.connection().cursor()
        if times_as_text:
            cursor.string_types = _TIMES_AS_TEXT
        return cursor

    def log_position(self) -> int:
        """The end of all that was written so far, in the log of the server."""
        (said,) = self.execute_sql("SELECT pg_current_wal_insert_lsn()").fetchone()
        return end_of_last_record(read_position(said))

    def position(self) -> int:
        if self.standbys is None:
            return on_connection(self, self.log_position)
        return max(self.standbys.written(), self.standbys.reads().after)

    def has_prepared(self, statements: Iterable[Prepared]) -> bool:
        """Whether this thread's connection can execute them; it prepares those that it lacks."""
        connection = self._heal()
        known = connection.prepared
        if known is None:
            return False
        for statement in statements:
            if statement.name in known:
                known.move_to_end(statement.name)
            else:
                self._prepare(connection, statement)
        return True

    def _prepare(self, connection: Connection, statement: Prepared) -> None:
        """Prepare it; if there are many, in the place of the one that was used the longest ago."""
        known: Any = connection.prepared
        # If this is interrupted, nobody knows what the server has prepared.
        was_unfit, connection.is_unfit = connection.is_unfit, True
        with self._noticing_loss(in_doubt=False):
            try:
                if len(known) >= MOST_PREPARED:
                    unused = next(iter(known))
                    connection.cursor().execute(f"DEALLOCATE {unused}")
                    del known[unused]
                connection.cursor().execute(statement.prepare, statement.constants)
                known[statement.name] = None
            except psycopg2.Error:
                connection.is_unfit = was_unfit
                raise
        connection.is_unfit = was_unfit

    def fetch(self, cursor: Any) -> list[tuple[Any, ...]]:
        try:
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        except psycopg2.Error:
            with self._noticing_loss(in_doubt=True):
                raise
        return rows

    def search_terms(self, text: str) -> str | None:
        """The terms for the search index.

        The statement itself sees whether there is one. On a distributed database it would have to
        ask elsewhere for that; there a new connection has seen it, and without one it is None.
        """
        is_there = CHAT_OF_SEARCH_INDEX in self.dialect.server_columns
        return any_case_like(text) if is_there or not self.dialect.is_distributed else None

    def begin(self, isolation_level: Any = None, *, together: bool = False) -> None:
        """`together`: with the first statement, see `unit`."""
        # Each statement has to see the rows that others committed while it waited for a lock.
        level = self._adapter.isolation_level_str(isolation_level or "READ COMMITTED")
        opening = f"BEGIN ISOLATION LEVEL {level}; {self._limits_of_transaction}"
        if together:
            connection = self.connection()
            connection.opening = opening
        else:
            self._send(opening)

    def commit(self) -> None:
        self.require_wanted()
        if self._end("COMMIT", in_doubt=True) == "ROLLBACK":
            raise DatabaseError(
                "nothing of the transaction was written, because a statement in it had failed",
                sqlstate="25P02",
            )
        if self.standbys is not None:
            self.standbys.note_write()

    def rollback(self) -> None:
        # The transaction has ended with the connection; the earlier error explains more.
        with suppress(ConnectionLost):
            self._end("ROLLBACK", in_doubt=False)

    def _end(self, command: str, *, in_doubt: bool) -> str | None:
        """End the transaction. Returns the server's word for it, None if nothing had begun."""
        # Not through `cursor()`: a new connection would commit nothing, and report success.
        connection = self._state.conn
        connection.savepoints = ""
        if connection.opening:
            connection.opening = ""
            return None
        with self._noticing_loss(in_doubt=in_doubt):
            cursor = connection.cursor()
            cursor.execute(command)
        status: str | None = cursor.statusmessage
        return status

    def _send(self, sql: str) -> Any:
        """Send a statement that is about the session or transaction; returns its cursor."""
        self._heal()
        with self._noticing_loss(in_doubt=False):
            cursor = self.cursor()
            cursor.execute(sql)
        return cursor

    @contextmanager
    def pinned(self) -> Iterator[Any]:
        """This thread's connection, which is not replaced inside, since it holds session state."""
        connection = self.connection()
        connection.is_pinned = True
        try:
            yield connection
        finally:
            connection.is_pinned = False

    @contextmanager
    def _noticing_loss(self, *, in_doubt: bool) -> Iterator[None]:
        """Raise errors inside as Peewee's; as `ConnectionLost` if the connection has ended."""
        try:
            with peewee_errors:
                yield
        except peewee.PeeweeException as error:
            connection = self._state.conn
            sqlstate = sqlstate_of(error)
            if sqlstate == READ_ONLY or sqlstate in OUTDATED:
                connection.is_unfit = True
            if sqlstate == READ_ONLY:
                self.close_idle()  # They lead to the same server.
            if connection is not None and is_about_the_connection(error):
                # libpq may take it for a good one, but nobody knows what else is on its way.
                connection.close()
            if connection is None or not connection.closed:
                raise
            silent = connection.is_silent
            if in_doubt and self.standbys is not None:
                self.standbys.note_write()  # Whoever now looks for it must not look too early.
            raise ConnectionLost(error, in_doubt=in_doubt, silent=silent) from error

    def _heal(self) -> Any:
        """This thread's connection; a new one in the place of one that has ended.

        Once a transaction has begun it is lost with its connection, and nothing may hide that.
        """
        state = self._state
        lost = self.connection()
        if state.transactions and not lost.opening:
            return lost
        if lost.is_usable() or lost.is_pinned:
            return lost
        connection = self._open(0)
        connection.time_limit = lost.time_limit
        connection.opening, connection.savepoints = lost.opening, lost.savepoints
        connection.depth = lost.depth
        self._exchange(lost, connection)
        state.conn = connection
        self._close_connection(lost)
        logger.info("a connection had ended: replaced by a new one")
        return connection

    def _open(self, waited: float) -> Any:
        # A thread that has waited for a silent server already does not wait as long again.
        # libpq counts whole seconds: rounded up, the last of them would come too late.
        patience = int(max(self._pool_timeout, self._connect_timeout) - waited + 0.1)
        if patience < 1:
            raise Unavailable(f"waited {waited:g} s for a connection, and none could be opened")
        self._state.connect_timeout = min(self._connect_timeout, patience)
        return super()._open(waited)

    def _connect(self) -> Any:
        within = {"connect_timeout": self._state.connect_timeout}
        connection = self._adapter.connect(
            self,
            connection_factory=Connection,
            cursor_factory=Cursor,
            **self.connect_params | within,
        )
        connection.autocommit = True
        register_type(_TIMES, connection)
        # PgBouncer accepts a client also while it has no server for it.
        connection.time_limit = self._state.connect_timeout or math.inf
        with self._bookkeeping:
            self._new.add(connection)
        try:
            self._learn(connection)
        except BaseException:
            connection.close()
            raise
        with self._bookkeeping:
            self._new.discard(connection)
        connection.time_limit = self.time_limit
        return connection

    def _connect_beside(self, connection: Any, within: int) -> Any:
        """Another connection to the same server."""
        to_it = {"host": connection.info.host, "port": connection.info.port, "hostaddr": None}
        limits = {"connect_timeout": within, "target_session_attrs": "any"}
        return self._adapter.connect(self, **self.connect_params | to_it | limits)

    def _learn(self, connection: Any) -> None:
        """Ask once for what calls would ask each time: the server's clock and its later columns."""
        home = "" if self.schema_name is None else f'"{self.schema_name}".'
        tables = [f'{home}"{table}"' for table in _CHANGING]
        with connection.cursor() as cursor:
            asked = server_clock.seconds()
            cursor.execute(_LEARN, (tables,))
            said, backend, columns = cursor.fetchone()
            connection.clock = server_clock.measured(asked, said)
        # A pooler tells its clients another number, and lends each statement another connection.
        if self.prepares and backend == connection.info.backend_pid:
            connection.prepared = OrderedDict()
        if frozenset(columns) != self.dialect.server_columns:
            self.dialect = PostgresDialect(frozenset(columns))
            # Not cleared: another thread may be building one for the columns that were there.
            self.statements = {}

    def close_all(self) -> None:
        super().close_all()
        if self.standbys is not None:
            self.standbys.close()

    def abandon_all(self) -> None:
        super().abandon_all()
        if self.standbys is not None:
            self.standbys.reset()

    def cut_all(self) -> None:
        """End the waits of all who wait for the server, which is silent."""
        self.close_idle()
        with self._bookkeeping:
            lent = [held for held in self._lent() if isinstance(held, Connection)]
        for connection in lent:
            connection.cut()

    def _cancel(self, connections: Iterable[Any]) -> None:
        for connection in connections:
            if isinstance(connection, Connection):
                connection.expire()

    def _look_after(self, connections: Iterable[Any]) -> None:
        with self._bookkeeping:
            opening = list(self._new)
        silent = self._time_limits.enforce([*connections, *opening])
        if silent:
            # The same network has probably dropped the idle connections too.
            self.close_idle()
        for connection in silent:
            connection.cut()
        if self._probe is not None:
            self._probe.look_at(connections)

    def _end_transaction(self, connection: Any) -> None:
        is_idle = connection.get_transaction_status() == TRANSACTION_STATUS_IDLE
        if not is_idle or connection.opening or connection.savepoints:
            connection.close()

    def _can_reuse(self, connection: Any) -> bool:
        # What was changed for a while may not have been changed back, if that was interrupted.
        connection.time_limit, connection.is_pinned = self.time_limit, False
        return not connection.is_spent() and self._adapter.is_connection_reusable(connection)

    def _close_connection(self, connection: Any) -> None:
        connection.close()

    def _abandon(self, connection: Any) -> None:
        connection.abandon()


_CHANGING = "Message", "ChatSettings", "Reaction", "CallParticipant", SEARCH_INDEXES[1]
# The owner of the tables sends it too: nothing of it is found by a path that others may write to.
_LEARN = """
SELECT pg_catalog.clock_timestamp(), pg_catalog.pg_backend_pid(), ARRAY(
    SELECT pg_catalog.concat(c.relname, '.', a.attname)
    FROM pg_catalog.unnest(%s::pg_catalog.text[]) AS name
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(name)
    JOIN pg_catalog.pg_attribute AS a
        ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT a.attisdropped
    WHERE a.attname OPERATOR(pg_catalog.=) ANY (
            '{expiresAt,isArchived,notificationLevel,
            isForwarded,forwardedFromId,forwardedFromChatId,forwardedFromUserId}')
        OR a.attname OPERATOR(pg_catalog.=) 'chatId'
            AND c.relname OPERATOR(pg_catalog.=) ANY ('{Reaction,CallParticipant}') AND a.attnotnull
        OR EXISTS (
            SELECT FROM pg_catalog.pg_index AS x
            WHERE x.indexrelid OPERATOR(pg_catalog.=) c.oid AND x.indisvalid)
        OR a.attname OPERATOR(pg_catalog.=) 'hashtags'
            AND a.atttypid OPERATOR(pg_catalog.=) 'pg_catalog.text'::pg_catalog.regtype)
"""

_LIBPQ_DEFAULTS = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
    "application_name": "stogram_sdk",
}


# Each host is tried in turn, so one that is silent may not take long.
_SEVERAL_HOSTS = {"connect_timeout": 1, "target_session_attrs": "read-write"}
_SEVERAL_STANDBYS = {"target_session_attrs": "standby", "load_balance_hosts": "random"}


def _libpq_defaults(settings: DatabaseSettings, is_standby: bool) -> dict[str, Any]:
    several = settings.has_several_hosts()
    if is_standby:
        # There is always the primary to go to.
        return _LIBPQ_DEFAULTS | {"connect_timeout": 1} | (_SEVERAL_STANDBYS if several else {})
    return _LIBPQ_DEFAULTS | (_SEVERAL_HOSTS if several else {})


def _set_local(name: str, seconds: float) -> str:
    """The statement that sets a limit until the transaction ends; empty for 0 seconds."""
    return f"SET LOCAL {name} = {max(1, round(seconds * 1000))}; " if seconds else ""


def _array(texts: TextArray) -> QuotedString:
    """The array as one text, in place of a constructor with a value for each of them.

    So psycopg2 writes it, and the server reads it, in a fraction of the time.
    """
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return QuotedString("{" + ",".join([f'"{text}"' for text in escaped]) + "}")


register_adapter(TextArray, _array)

_READ = f"EXECUTE {READING}"

#: `fields` makes an aware time of a text in a fifth of the time that it takes of a naive one.
_TIMES_AS_TEXT = {_TIMESTAMP: psycopg2.extensions.UNICODE}


def _only_reads(sql: Any) -> bool:
    return isinstance(sql, str) and ";" not in sql and (sql.startswith(_READ) or only_reads(sql))

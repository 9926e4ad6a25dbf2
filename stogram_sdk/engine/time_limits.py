"""Connections to PostgreSQL that know when the answer to their statement is due.

A server's own `statement_timeout` does not end the wait for a server that has gone, and it cannot
be set through PgBouncer; TCP notices only a peer that acknowledges nothing. So the limit is kept
here: a statement notes when its answer is due, which costs two assignments, and the thread that
watches over the pool calls `enforce` on every connection at work a few times a second.
"""

from __future__ import annotations

import math
import os
import select
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import psycopg2.extensions
from psycopg2.sql import Composable

from stogram_sdk.engine.failures import forget_values, logger
from stogram_sdk.engine.server_clock import ServerClock

#: How long a server that was asked to cancel a statement may take to do it, in seconds, and after
#: how many it is asked again.
GRACE, _AGAIN = 0.5, 0.2

# Seconds without an answer after which a server may be silent, and that it has then to accept
# another connection.
_SLOW = 1


class Connection(psycopg2.extensions.connection):
    """`time_limit` (seconds) is what each statement has; `answer_due` is math.inf between them."""

    _ours: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.time_limit = math.inf
        self.answer_due = math.inf
        #: When to cut it off, once the server was asked to cancel. That request may reach it late,
        #: when another statement runs; so this is the connection's last.
        self.cut_due = math.inf
        #: When to ask again: a request that gets there before the statement does is lost.
        self.ask_due = -math.inf
        #: Was cut off, because the server was silent.
        self.is_silent = False
        self.clock: ServerClock | None = None
        #: Holds session state, such as a lock: no other connection can take its place.
        self.is_pinned = False
        #: Its server only reads, as a standby does, or has forgotten what was prepared: a new
        #: connection is better.
        self.is_unfit = False
        #: How far in the log of the primary its server is, if that is a standby, and since when.
        self.replayed = 0
        self.replayed_at = -math.inf
        #: What begins the transaction that this connection is in, as long as nothing was sent.
        self.opening = ""
        #: What sets or releases savepoints, and is sent with the next statement.
        self.savepoints = ""
        self.depth = 0
        #: The names of the statements that are prepared on it, the one used last at the end; None
        #: where none may be.
        self.prepared: OrderedDict[str, None] | None = None
        # Reentrant, because whoever is interrupted in `close` closes it again.
        self._closing = threading.RLock()
        # libpq may close its own descriptor at any moment, and another file get the same number.
        try:
            self._ours = socket.socket(fileno=os.dup(self.fileno()))
        except OSError as error:
            raise psycopg2.OperationalError(error.strerror) from error
        self._poll = select.poll()
        self._poll.register(self._ours, select.POLLIN)

    def is_usable(self) -> bool:
        """Whether a statement may be sent; asks the kernel, not the server."""
        # Between statements a server has nothing to say: what can be read is the end.
        return not (self.closed or self.is_spent() or self._poll.poll(0))

    def is_spent(self) -> bool:
        """Whether nobody may have it after this transaction."""
        return self.is_unfit or self.cut_due < math.inf

    def was_canceled(self) -> bool:
        """Whether a statement of it took too long."""
        return self.cut_due < math.inf

    def cut(self) -> None:
        """End the wait of whoever waits for an answer; from any thread."""
        logger.warning("no answer in %g s: a connection is cut off", self.time_limit)
        self.is_silent = True
        with suppress(OSError):  # It has ended by itself.
            self._ours.shutdown(socket.SHUT_RDWR)

    def expire(self) -> None:
        """Have the time of the statement that runs be over, if one does; from any thread."""
        if self.answer_due < math.inf:
            self.answer_due = 0.0

    def ask_to_cancel(self) -> None:
        """Ask the server to end the statement that runs; from any thread.

        Not psycopg2's `cancel()`: it keeps every thread of the process from running until the
        server has answered, and a silent one never does.
        """
        libpq = _libpq()
        with self._closing:
            pointer = self.pgconn_ptr
            request = pointer and libpq.PQgetCancel(pointer)
        if request:
            libpq.PQcancel(request, bytes(256), 256)
            libpq.PQfreeCancel(request)

    def close(self) -> None:
        with self._closing:
            super().close()
        self._ours.close()

    def abandon(self) -> None:
        """Close it in this process alone: a parent process goes on using it."""
        with suppress(psycopg2.InterfaceError):  # It has ended.
            os.close(self.fileno())
        self._ours.close()

    def __del__(self) -> None:
        if self._ours is not None:  # It was never open.
            self._ours.close()


class Cursor(psycopg2.extensions.cursor):
    """Sends what is to be sent first, and notes on its connection when the answer is due."""

    __slots__ = ()
    connection: Connection

    def execute(self, sql: Any, parameters: Any = None) -> None:
        connection = self.connection
        before = connection.opening + connection.savepoints
        if before:
            if isinstance(sql, Composable):
                sql = sql.as_string(self)
            sql = before.encode() + sql if isinstance(sql, bytes) else before + sql
        connection.answer_due = time.monotonic() + connection.time_limit
        try:
            super().execute(sql, parameters)
        except psycopg2.Error as error:
            # Here, because whoever watches the cursor tells of the error before it is translated.
            forget_values(error)
            raise
        finally:
            connection.answer_due = math.inf
            # A value that cannot be sent leaves no query: the next statement sends it all.
            if before and self.query is not None:
                connection.opening = connection.savepoints = ""


class TimeLimits:
    """Ends the statements whose time is over.

    A server that is only slow is asked to cancel the statement, which keeps its work from going
    on without anybody waiting for it; one that does not answer is cut off.
    """

    def __init__(self) -> None:
        self._canceling: threading.Thread | None = None
        self._to_cancel: deque[Connection] = deque()

    def enforce(self, connections: Iterable[Connection]) -> list[Connection]:
        """Have what is overdue canceled; returns the connections that are to be cut off."""
        now = time.monotonic()
        overdue = [connection for connection in connections if connection.answer_due <= now]
        for connection in overdue:
            if not connection.was_canceled():
                connection.cut_due = now + GRACE
                if connection.answer_due > 0:
                    logger.warning(
                        "no answer in %g s: canceling a statement", connection.time_limit
                    )
            if connection.ask_due <= now:
                connection.ask_due = now + _AGAIN
                self._to_cancel.append(connection)
        # libpq waits for the server to take the request, without end if the network is silent:
        # that is left to one thread, and until it returns there is no other.
        if self._to_cancel and not _is_alive(self._canceling):
            self._canceling = _started("stogram_sdk cancels", _cancel_all, self._to_cancel)
        return [connection for connection in overdue if connection.cut_due <= now]


class Probe:
    """Finds the servers that are silent, before the time of the statements sent to them is over.

    A statement that has no answer for a second may be a slow one. So another connection to its
    server is opened, with `connect`: a silent one does not accept it either.
    """

    def __init__(self, connect: Callable[[Connection, int], Any]) -> None:
        self._connect = connect
        self._asking: threading.Thread | None = None

    def look_at(self, connections: Iterable[Connection]) -> None:
        """Cut off those that wait for a silent server, once that is known."""
        now = time.monotonic()
        late = [each for each in connections if each.answer_due - each.time_limit + _SLOW < now]
        if late and not _is_alive(self._asking):
            self._asking = _started("stogram_sdk probes", self._cut_silent, late)

    def _cut_silent(self, late: list[Connection]) -> None:
        silent: dict[tuple[str, int], bool] = {}
        for connection in late:
            place = connection.info.host, connection.info.port
            if place not in silent:
                silent[place] = self._is_silent(connection)
            if silent[place] and connection.answer_due < math.inf:
                connection.cut()

    def _is_silent(self, connection: Connection) -> bool:
        began = time.monotonic()
        try:
            self._connect(connection, _SLOW).close()
        except psycopg2.Error:  # It may refuse at once, which is an answer.
            return time.monotonic() - began >= _SLOW
        return False


def _cancel_all(connections: deque[Connection]) -> None:
    while connections:
        connection = connections.popleft()
        if connection.answer_due <= time.monotonic():  # Otherwise another statement runs by now.
            connection.ask_to_cancel()


def _is_alive(thread: threading.Thread | None) -> bool:
    return thread is not None and thread.is_alive()


def _started(name: str, work: Callable[[Any], None], argument: Any) -> threading.Thread | None:
    """A thread that does the work; None if none can be had, and the next look tries again."""
    thread = threading.Thread(target=work, args=(argument,), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        logger.warning("no thread can be started: %s later", name)
        return None
    return thread


@lru_cache
def _libpq() -> Any:
    """The libpq that psycopg2 is linked with."""
    import ctypes

    libpq = ctypes.CDLL(psycopg2._psycopg.__file__)
    libpq.PQgetCancel.argtypes = [ctypes.c_void_p]
    libpq.PQgetCancel.restype = ctypes.c_void_p
    libpq.PQcancel.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    libpq.PQfreeCancel.argtypes = [ctypes.c_void_p]
    libpq.PQfreeCancel.restype = None
    return libpq

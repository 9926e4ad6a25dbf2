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
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psycopg2.extensions

from stogram_sdk.failures import logger

#: How long a server that was asked to cancel a statement may take to do it, in seconds.
GRACE = 0.5


class Connection(psycopg2.extensions.connection):
    """`time_limit` (seconds) is what each statement has; `answer_due` is math.inf between them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cursor_factory = Cursor
        self.time_limit = math.inf
        self.answer_due = math.inf
        #: When to cut it off, once the server was asked to cancel. That request may reach it late,
        #: when another statement runs; so this is the connection's last.
        self.cut_due = math.inf
        #: Was cut off, because the server was silent.
        self.is_silent = False
        #: Holds session state, such as a lock: no other connection can take its place.
        self.is_pinned = False
        # libpq may close its own descriptor at any moment, and another file get the same number.
        self._socket = socket.socket(fileno=os.dup(self.fileno()))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def is_usable(self) -> bool:
        """Whether a statement may be sent; asks the kernel, not the server."""
        # Between statements a server has nothing to say: what can be read is the end.
        return not (self.closed or self.was_canceled() or self._poll.poll(0))

    def was_canceled(self) -> bool:
        """Whether a statement of it took too long."""
        return self.cut_due < math.inf

    def cut(self) -> None:
        """End the wait of whoever waits for an answer; from any thread."""
        self.is_silent = True
        with suppress(OSError):  # It has ended by itself.
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        self._socket.close()

    def abandon(self) -> None:
        """Close it in this process alone: a parent process goes on using it."""
        for descriptor in (self.fileno(), self._socket.detach()):
            os.close(descriptor)

    def __del__(self) -> None:
        self._socket.close()


class Cursor(psycopg2.extensions.cursor):
    """Notes on its connection when the answer is due."""

    connection: Connection

    def execute(self, *args: Any) -> None:
        connection = self.connection
        connection.answer_due = time.monotonic() + connection.time_limit
        try:
            super().execute(*args)
        finally:
            connection.answer_due = math.inf


class TimeLimits:
    """Ends the statements whose time is over.

    A server that is only slow is asked to cancel the statement, which keeps its work from going
    on without anybody waiting for it; one that does not answer is cut off.
    """

    def __init__(self) -> None:
        self._canceling: threading.Thread | None = None

    def enforce(self, connections: Iterable[Connection]) -> bool:
        """Do so for these; whether one was cut off."""
        now = time.monotonic()
        overdue = [connection for connection in connections if connection.answer_due <= now]
        silent = [connection for connection in overdue if connection.cut_due <= now]
        for connection in silent:
            logger.warning("no answer in %g s: a connection is cut off", connection.time_limit)
            connection.cut()
        self._cancel([connection for connection in overdue if not connection.was_canceled()])
        return bool(silent)

    def _cancel(self, connections: list[Connection]) -> None:
        for connection in connections:
            connection.cut_due = time.monotonic() + GRACE
        # libpq waits for the server to take the request, without end if the network is silent:
        # that is left to one thread, and until it returns there is no other.
        if connections and not (self._canceling and self._canceling.is_alive()):
            self._canceling = threading.Thread(
                target=_cancel_all, args=(connections,), name="stogram_sdk cancels", daemon=True
            )
            self._canceling.start()


def _cancel_all(connections: list[Connection]) -> None:
    for connection in connections:
        if connection.answer_due < math.inf:
            logger.warning("no answer in %g s: canceling a statement", connection.time_limit)
            with suppress(psycopg2.Error):  # Who cannot be reached is cut off instead.
                connection.cancel()

"""A pool of connections, one for each thread that is at work.

Peewee's own pool checks and opens connections while it holds the lock that every thread needs, so
one that gets no answer stops all threads. Here the lock is only held to keep the books.

While connections are in use, a thread of the pool looks after them a few times a second. It takes
back the connections of threads that have ended, and lets the database enforce its time limits.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import peewee

from stogram_sdk.errors import StogramError, Unavailable

# Seconds between two looks at connections in use, and without any before the thread ends.
_TICK = 0.25
_LINGER = 10.0


class _Opening:
    """Holds the place of a connection that is being opened."""


class _OfTheParent:
    """In a forked child, the place of a connection whose transaction goes on in the parent.

    A new connection would write outside that transaction.
    """

    def __getattr__(self, name: str) -> Any:
        raise StogramError("this process was forked inside a transaction, which is its parent's")


class PooledConnections(ABC):
    """A mixin for a `peewee.Database`: `connect()` takes from the pool, `close()` gives back."""

    _state: Any
    deferred: bool
    server_version: Any

    def __init__(
        self,
        *args: Any,
        connection_limit: int,
        pool_timeout: float,
        max_idle_connection_lifetime: float,
        **options: Any,
    ) -> None:
        self._connection_limit = connection_limit
        self._pool_timeout = pool_timeout or threading.TIMEOUT_MAX
        self._max_idle = max_idle_connection_lifetime or float("inf")
        self._forget()
        super().__init__(*args, **options)

    def _forget(self) -> None:
        self._bookkeeping = threading.RLock()
        self._returned = threading.Condition(self._bookkeeping)
        self._idle: list[tuple[float, Any]] = []
        self._holders: dict[Any, threading.Thread] = {}
        self._watcher: threading.Thread | None = None
        self._wake_watcher = threading.Event()
        self._is_closed = False

    def connect(self, reuse_if_open: bool = False) -> bool:
        if not self._state.closed:
            if reuse_if_open:
                return False
            raise peewee.OperationalError("Connection already opened.")
        self._state.conn, self._state.closed = self._take(), False
        return True

    def close(self) -> bool:
        if self._state.closed:
            return False
        if self._state.transactions:
            raise peewee.OperationalError("Attempting to close database while transaction is open.")
        connection = self._state.conn
        # The rest of Peewee's `reset()` is about a transaction, and there is none here.
        self._state.conn, self._state.closed = None, True
        self._give_back(connection)
        return True

    def close_all(self) -> None:
        """Close this thread's connection and all idle ones; others close when they come back."""
        self.close()
        with self._bookkeeping:
            self._is_closed = True
            watcher = None if self._holders else self._watcher
        self.close_idle()
        self._wake_watcher.set()
        if watcher is not None:
            watcher.join()

    def close_idle(self) -> None:
        """Close the connections that no thread holds."""
        with self._bookkeeping:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            self._discard(connection)

    def forget_connections(self) -> None:
        """Drop all connections without telling the server, because the parent still uses them."""
        for connection in (*self._holders, *(connection for _, connection in self._idle)):
            if not isinstance(connection, _Opening):
                self._abandon(connection)
        self._forget()
        if self._state.transactions:
            self._state.conn = _OfTheParent()
        else:
            self._state.reset()

    def connections_in_use(self) -> int:
        """How many connections are with a thread right now."""
        with self._bookkeeping:
            self._reap()
            return len(self._holders)

    def connections_idle(self) -> int:
        """How many connections are open and with no thread."""
        with self._bookkeeping:
            return len(self._idle)

    def _take(self) -> Any:
        began = time.monotonic()
        found = self._reserve(began)
        if not isinstance(found, _Opening):
            return found
        try:
            connection = self._open(time.monotonic() - began)
        except BaseException:
            with self._bookkeeping:
                self._holders.pop(found, None)
                self._returned.notify()
            raise
        self._exchange(found, connection)
        return connection

    def _reserve(self, began: float) -> Any:
        """An idle connection, or the right to open one."""
        now = began
        with self._bookkeeping:
            while True:
                while self._idle:
                    since, connection = self._idle.pop()
                    if now - since <= self._max_idle:
                        self._lend(connection)
                        return connection
                    self._discard(connection)
                if len(self._holders) < self._connection_limit or self._reap():
                    place = _Opening()
                    self._lend(place)
                    return place
                left = began + self._pool_timeout - now
                is_returned = self._returned.wait(min(left, 1.0))
                now = time.monotonic()
                if not is_returned and now >= began + self._pool_timeout:
                    raise Unavailable(
                        f"all {self._connection_limit} connections are in use; waited "
                        f"{self._pool_timeout:g} s for one (connection_limit, pool_timeout)"
                    )

    def _lend(self, connection: Any) -> None:
        self._holders[connection] = threading.current_thread()
        if self._watcher is None:
            watcher = threading.Thread(target=self._watch, name="stogram_sdk watches", daemon=True)
            with suppress(RuntimeError):  # The interpreter is shutting down.
                watcher.start()
                self._watcher = watcher

    def _exchange(self, old: Any, new: Any) -> None:
        """Note that the thread that holds the one now holds the other."""
        with self._bookkeeping:
            self._holders[new] = self._holders.pop(old, threading.current_thread())

    def _reap(self) -> bool:
        """Take back the connections of threads that ended without returning them."""
        ended = [held for held, thread in self._holders.items() if not thread.is_alive()]
        for held in ended:
            del self._holders[held]
            if not isinstance(held, _Opening):
                self._discard(held)
            self._returned.notify()
        return bool(ended)

    def _give_back(self, connection: Any) -> None:
        reusable = self._can_reuse(connection)
        with self._bookkeeping:
            reusable = reusable and not self._is_closed
            if self._holders.pop(connection, None) is not None and reusable:
                self._idle.append((time.monotonic(), connection))
            else:
                self._discard(connection)
            self._returned.notify()

    def _watch(self) -> None:
        last_busy = time.monotonic()
        while True:
            self._wake_watcher.wait(_TICK)
            self._wake_watcher.clear()
            with self._bookkeeping:
                self._reap()
                held = [held for held in self._holders if not isinstance(held, _Opening)]
                if self._holders:
                    last_busy = time.monotonic()
                elif self._is_closed or time.monotonic() - last_busy > _LINGER:
                    self._watcher = None
                    return
            self._look_after(held)

    def _open(self, waited: float) -> Any:
        """A new connection, for a thread that has waited for so many seconds already."""
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
            connection = self._connect()  # type: ignore[attr-defined]  # of peewee.Database
            if self.server_version is None:
                self._set_server_version(connection)  # type: ignore[attr-defined]  # likewise
        return connection

    @abstractmethod
    def _look_after(self, connections: Iterable[Any]) -> None:
        """Called a few times a second with the connections that are out."""

    @abstractmethod
    def _can_reuse(self, connection: Any) -> bool:
        """Whether another thread may have the connection, with no transaction in it."""

    @abstractmethod
    def _discard(self, connection: Any) -> None:
        """Close a connection that no thread holds."""

    @abstractmethod
    def _abandon(self, connection: Any) -> None:
        """Drop a connection in a forked child."""

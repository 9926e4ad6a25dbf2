"""A pool of connections, one for each thread that is at work.

Peewee's own pool checks and opens connections while it holds the lock that every thread needs,
so one connection into the void stops them all; here only the bookkeeping is done under the lock.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import peewee

from stogram_sdk.errors import Unavailable


class PooledConnections:
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
        self._returned = threading.Condition()
        self._idle: list[tuple[float, Any]] = []
        self._holders: dict[object, threading.Thread] = {}
        super().__init__(*args, **options)

    def connect(self, reuse_if_open: bool = False) -> bool:
        if not self._state.closed:
            if reuse_if_open:
                return False
            raise peewee.OperationalError("Connection already opened.")
        self._state.set_connection(self._take())
        return True

    def close(self) -> bool:
        if self._state.closed:
            return False
        if self._state.transactions:
            raise peewee.OperationalError("Attempting to close database while transaction is open.")
        connection = self._state.conn
        self._state.reset()
        self._give_back(connection)
        return True

    def close_all(self) -> None:
        """Close this thread's connection and every idle one; those at work close when returned."""
        self.close()
        with self._returned:
            idle, self._idle = self._idle, []
            self._max_idle = -1
        for _, connection in idle:
            self._discard(connection)

    def forget_connections(self) -> None:
        """Let go of all connections without a word to the server: the parent still has them."""
        self._returned = threading.Condition()
        self._idle = []
        self._holders = {}
        self._state.reset()

    def connections_in_use(self) -> int:
        """How many connections are with a thread right now."""
        with self._returned:
            return len(self._holders)

    def _take(self) -> Any:
        deadline = time.monotonic() + self._pool_timeout
        slot = object()
        while True:
            connection = self._reserve(slot, deadline)
            try:
                if connection is None:
                    connection = self._open()
                elif not self._is_alive(connection):
                    self._discard(connection)
                    connection = None
            except BaseException:
                self._release(slot)
                raise
            if connection is not None:
                with self._returned:
                    self._holders[id(connection)] = self._holders.pop(slot)
                return connection
            self._release(slot)

    def _reserve(self, slot: object, deadline: float) -> Any:
        """An idle connection, or None for the right to open one."""
        with self._returned:
            while True:
                while self._idle:
                    since, connection = self._idle.pop()
                    if time.monotonic() - since > self._max_idle:
                        self._discard(connection)
                        continue
                    self._holders[slot] = threading.current_thread()
                    return connection
                if len(self._holders) < self._connection_limit or self._reap():
                    self._holders[slot] = threading.current_thread()
                    return None
                if not self._returned.wait(min(deadline - time.monotonic(), 1.0)) and (
                    time.monotonic() >= deadline
                ):
                    raise Unavailable(
                        f"all {self._connection_limit} connections are in use; waited "
                        f"{self._pool_timeout:g} s for one (connection_limit, pool_timeout)"
                    )

    def _reap(self) -> bool:
        """Take back the slots of threads that ended without giving theirs back."""
        ended = [slot for slot, thread in self._holders.items() if not thread.is_alive()]
        for slot in ended:
            del self._holders[slot]
        return bool(ended)

    def _release(self, slot: object) -> None:
        with self._returned:
            self._holders.pop(slot, None)
            self._returned.notify()

    def _give_back(self, connection: Any) -> None:
        reusable = self._max_idle >= 0 and self._can_reuse(connection)
        if not reusable:
            self._discard(connection)
        with self._returned:
            held = self._holders.pop(id(connection), None)
            if held is not None and reusable:
                self._idle.append((time.monotonic(), connection))
            self._returned.notify()

    def _open(self) -> Any:
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
            connection = self._connect()  # type: ignore[attr-defined]  # of peewee.Database
            if self.server_version is None:
                self._set_server_version(connection)  # type: ignore[attr-defined]  # likewise
        return connection

    def _is_alive(self, connection: Any) -> bool:
        raise NotImplementedError

    def _can_reuse(self, connection: Any) -> bool:
        raise NotImplementedError

    def _discard(self, connection: Any) -> None:
        raise NotImplementedError

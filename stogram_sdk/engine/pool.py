"""A pool of connections, one for each thread that is at work.

Peewee's own pool checks and opens connections while it holds the lock that every thread needs, so
one that gets no answer stops all threads. Here the lock is only held to keep the books.

While connections are in use, a thread of the pool looks after them a few times a second. It takes
back the connections of threads that have ended, and lets the database enforce its time limits.

What is left of a thread's connection and of the transaction in it:

| event | in a session | in a transaction |
| --- | --- | --- |
| `close()`, of Peewee | goes back to the pool | an error, and both stay |
| `return_connection()` | goes back | goes back, rolled back |
| `clear_transaction()` | stays | stays, rolled back |
| `clear_thread()` | goes back, reset | goes back, rolled back |
| the thread ends | is closed | is closed |
| `close_all()`, of another thread | stays, is closed when it goes back | the same |
| a fork, in the child (`abandon_all()`) | the child opens its own | an error: it is the parent's |

PostgreSQL's are closed where a transaction is rolled back: its server might not answer.
"""

from __future__ import annotations

import math
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import peewee

from stogram_sdk.engine.failures import logger, peewee_errors, translated_errors
from stogram_sdk.engine.units import CalledOff, Place, on_connection, require_here
from stogram_sdk.errors import StogramError, Unavailable

if TYPE_CHECKING:
    from stogram_sdk.engine.standbys import Standbys
    from stogram_sdk.engine.workers import Worker, Workers

# Seconds between two looks at connections in use, and without any before the thread ends.
_TICK = 0.25
_LINGER = 10.0


class PoolStatus(NamedTuple):
    """How busy the pool is: connections `in_use` and `idle`, calls that are `waiting` for one, and
    the `limit` of connections (`connection_limit`).
    """

    in_use: int
    idle: int
    waiting: int
    limit: int


class _Opening:
    """Holds the place of a connection that is being opened."""


class _OfTheParent:
    """In a forked child, the place of a connection whose transaction goes on in the parent.

    A new connection would write outside that transaction.
    """

    def __getattr__(self, name: str) -> Any:
        raise StogramError("this process was forked inside a transaction, which is its parent's")


class _State(peewee._ConnectionLocal):
    """Peewee's state of each thread, and where its session or transaction was entered."""

    place: Place | None
    #: Whether the statement that this thread is about to send returns what it writes.
    returning = False
    #: This thread, if it works for asyncio.
    worker: Worker | None = None
    #: Seconds that its call has waited for a worker, as if for the first connection that it takes.
    waited = 0.0

    def reset(self) -> None:
        super().reset()
        self.place = None


class _Transaction(peewee._transaction):
    """Peewee's own, which does not end another one when it has been discarded itself."""

    def __exit__(self, *raised: Any) -> None:
        if self.db.top_transaction() is self:
            super().__exit__(*raised)


class _Savepoint(peewee._savepoint):
    """Peewee's own, which after an interruption would also roll back what it has released."""

    def __enter__(self) -> Any:
        self._transaction = self.db.top_transaction()
        return super().__enter__()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if self.db.top_transaction() is not self._transaction:
            return
        if kind is not None:
            self.rollback(begin=False)
            return
        try:
            self.commit(begin=False)
        except peewee.PeeweeException:
            self.rollback(begin=False)
            raise


_pools: WeakSet[PooledConnections] = WeakSet()


class PooledConnections(ABC):
    """A mixin for a `peewee.Database`: `connect()` takes from the pool, `close()` gives back."""

    _state: Any
    server_version: Any
    #: How many seconds a statement has, if no session says otherwise.
    time_limit: float
    #: The servers that follow this one, if there are any to read from.
    standbys: Standbys | None = None
    #: Whether the database is gone when its connection is closed.
    is_one_connection = False

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
        self._reset()
        super().__init__(*args, **options)
        self._state = _State()
        _pools.add(self)

    def _reset(self) -> None:
        """Begin without connections and threads."""
        self._bookkeeping = threading.RLock()
        # Every connection with the thread that holds it, or since when nobody does. Each step of
        # one is a single assignment: whatever interrupts a thread, the books are right.
        self._books: dict[Any, threading.Thread | float] = {}
        # Not empty when a connection may have come back; a `Condition` cannot be interrupted.
        self._returned: SimpleQueue[None] = SimpleQueue()
        #: The threads that wait for a connection.
        self._waiting: set[threading.Thread] = set()
        #: Made by the first call of asyncio.
        self.workers: Workers | None = None
        self._question: Question | None = None
        self._watcher: threading.Thread | None = None
        self._wake_watcher = threading.Event()
        self._is_closed = False

    def state(self) -> dict[str, Any]:
        """Peewee's state of this thread, which other threads cannot look up."""
        found: dict[str, Any] = vars(self._state)
        return found

    def place(self) -> Place | None:
        """Where this thread entered the session or transaction that it is in."""
        found: Place | None = self._state.place
        return found

    def connect(self, reuse_if_open: bool = False) -> bool:
        state = self._state
        if not state.closed:
            if reuse_if_open:
                return False
            raise peewee.OperationalError("Connection already opened.")
        state.conn, state.closed = self._take(), False
        if self.standbys is not None:
            self.standbys.limit(state.conn)
        if state.worker is not None:
            # In this order: who calls it off asks afterwards whether it has begun.
            state.worker.begin()
            self.require_wanted()
        return True

    def connection(self) -> Any:
        state = self._state
        if state.closed:
            raise StogramError("this thread has no connection: do it inside `with session():`")
        if state.worker is not None:
            self.require_wanted()
        return state.conn

    def require_wanted(self) -> None:
        """Go no further with a call whose task was cancelled; asked before all that is sent."""
        worker = self._state.worker
        if worker is not None and _is_called_off(worker):
            raise CalledOff

    def call_off(self) -> None:
        """Soon end the statements of all calls that are called off; from any thread."""
        self._wake_watcher.set()

    @contextmanager
    def limited_to(self, seconds: float | None) -> Iterator[None]:
        """Inside, limit each statement of this thread to so many seconds; None: as before."""
        before = self._state.conn.time_limit
        if seconds is not None:
            self._state.conn.time_limit = seconds or math.inf
        try:
            yield
        finally:
            if not self._state.closed:
                self._state.conn.time_limit = before

    def cursor(self, named_cursor: Any = None) -> Any:
        return self.connection().cursor()

    def close(self) -> bool:
        if self._state.transactions:
            raise peewee.OperationalError("Attempting to close database while transaction is open.")
        return self.return_connection()

    def return_connection(self) -> bool:
        """Give this thread's connection back, without a transaction that is still open in it."""
        state = self._state
        if state.closed:
            return False
        if state.transactions:
            self.clear_thread()
            return True
        connection = state.conn
        # The rest of Peewee's `reset()` is about a transaction, and there is none here.
        state.conn, state.closed = None, True
        self._put_back(connection)
        return True

    def clear_thread(
        self, thread: threading.Thread | None = None, state: dict[str, Any] | None = None
    ) -> None:
        """Leave no connection and no transaction with a thread; by default this one.

        It can be repeated when it is interrupted itself.
        """
        self._leave_books()
        thread = thread or threading.current_thread()
        for held in self._held_by(thread):
            self._revoke(held)
        state = self.state() if state is None else state
        state.update(closed=True, conn=None, ctx=[], transactions=[], commit_callbacks=[])

    def clear_transaction(self) -> None:
        """Leave no transaction with this thread, whose session goes on; can be repeated too."""
        self._leave_books()
        for held in self._held_by(threading.current_thread()):
            if held is not self._state.conn:
                self._revoke(held)
        self._end_transaction(self._state.conn)
        self._state.transactions.clear()
        self._state.commit_callbacks.clear()

    def _leave_books(self) -> None:
        with suppress(RuntimeError):  # Raised when this thread holds the lock no more.
            while True:
                self._bookkeeping.release()

    def _held_by(self, thread: threading.Thread) -> list[Any]:
        return [held for held, holder in self._books.copy().items() if holder is thread]

    def _revoke(self, held: Any) -> None:
        """Take from a thread what it holds."""
        if isinstance(held, _Opening):
            self._books.pop(held, None)
            self._tell_of_return()
        else:
            self._end_transaction(held)
            self._put_back(held)

    def transaction(self, *args: Any, **options: Any) -> Any:
        return _Transaction(self, *args, **options)

    def savepoint(self) -> Any:
        return _Savepoint(self)

    def close_all(self) -> None:
        """Close this thread's connection and all idle ones; others close when they come back."""
        self.close()
        with self._bookkeeping:
            self._is_closed = True
            watcher = None if self._lent() else self._watcher
        if self.workers is not None:
            self.workers.close()
        self.close_idle()
        self._wake_watcher.set()
        if watcher is not None:
            # A call may have taken a connection since: the thread ends after that one.
            watcher.join(_TICK)

    def close_idle(self) -> None:
        """Close the connections that no thread holds."""
        with self._bookkeeping:
            idle = self._idle()
            for connection in idle:
                del self._books[connection]
        for connection in idle:
            self._close_connection(connection)

    def abandon_all(self) -> None:
        """Drop all connections without telling the server, because the parent still uses them."""
        for connection in self._books:
            if not isinstance(connection, _Opening):
                self._abandon(connection)
        self._reset()
        if self._state.transactions:
            self._state.conn = _OfTheParent()
        else:
            self._state.conn, self._state.closed = None, True

    def position(self) -> int:
        """The position in the log that a standby must have reached to see this thread's writes."""
        return 0

    def make_workers(self, kind: type[Workers]) -> Workers:
        with self._bookkeeping:
            if self.workers is None:
                self.workers = kind(self, self._connection_limit, self._pool_timeout)
            return self.workers

    def question(self) -> Question:
        """The question whether the database answers: the one that is being asked, or another."""
        with self._bookkeeping:
            if self._question is None or not self._question.is_alive():
                question = Question(self)
                question.start()
                self._question = question
            return self._question

    def status(self) -> PoolStatus:
        with self._bookkeeping:
            self._reap()
            in_use, idle = len(self._lent()), len(self._idle())
        waiting = len(self._waiting) + (len(self.workers.waiting) if self.workers else 0)
        return PoolStatus(in_use, idle, waiting, self._connection_limit)

    def _idle(self) -> dict[Any, float]:
        held = self._books.copy().items()
        return {each: since for each, since in held if isinstance(since, float)}

    def _lent(self) -> dict[Any, threading.Thread]:
        held = self._books.copy().items()
        return {each: by for each, by in held if isinstance(by, threading.Thread)}

    def _take(self) -> Any:
        began, self._state.waited = time.monotonic() - self._state.waited, 0.0
        found = self._reserve()
        if found is not None and not isinstance(found, _Opening):
            return found
        if found is None:
            self._waiting.add(threading.current_thread())
            try:
                found = self._wait_for_place(began)
            finally:
                self._waiting.discard(threading.current_thread())
                # Several may have come back, and only this thread was told.
                self._tell_of_return()
        if not isinstance(found, _Opening):
            return found
        try:
            connection = self._open(time.monotonic() - began)
        except BaseException:
            self._revoke(found)
            raise
        self._exchange(found, connection)
        return connection

    def _wait_for_place(self, began: float) -> Any:
        while (found := self._reserve()) is None:
            left = began + self._pool_timeout - time.monotonic()
            if left <= 0:
                raise self.exhausted()
            self.require_wanted()
            with suppress(Empty):
                self._returned.get(timeout=min(left, 1.0))
        return found

    def exhausted(self) -> Unavailable:
        """The error of a call that has waited too long for a connection."""
        return Unavailable(
            f"all {self._connection_limit} connections are in use; waited "
            f"{self._pool_timeout:g} s for one (connection_limit, pool_timeout)"
        )

    def _reserve(self) -> Any:
        """An idle connection, or the right to open one; None if there is neither."""
        with self._bookkeeping:
            found = self._reusable()
            if found is None and len(self._books) >= self._connection_limit and self._reap():
                found = self._reusable()
            if found is None and len(self._books) < self._connection_limit:
                found = _Opening()
            if found is not None:
                self._lend(found)
            return found

    def _reusable(self) -> Any:
        """An idle connection; None if there is none. Those that nobody used for long are closed."""
        now = time.monotonic()
        # Not `_idle()`, which looks at all of them: each call comes here.
        for connection, since in self._books.copy().items():
            if not isinstance(since, float):
                continue
            if now - since <= self._max_idle:
                return connection
            del self._books[connection]
            self._close_connection(connection)
        return None

    def _lend(self, connection: Any) -> None:
        self._books[connection] = threading.current_thread()
        if self._watcher is None:
            watcher = threading.Thread(target=self._watch, name="stogram_sdk watches", daemon=True)
            with suppress(RuntimeError):  # No thread can be had: the next call tries again.
                watcher.start()
                self._watcher = watcher

    def _exchange(self, old: Any, new: Any) -> None:
        """Note that this thread, which held the one, now holds the other."""
        with self._bookkeeping:
            self._books[new] = threading.current_thread()
            self._books.pop(old, None)

    def _reap(self) -> bool:
        """Take back the connections of threads that ended without returning them."""
        ended = [held for held, thread in self._lent().items() if not thread.is_alive()]
        for held in ended:
            if self.is_one_connection or isinstance(held, _Opening):
                self._revoke(held)
                continue
            # Nobody knows what else the thread has left in it.
            del self._books[held]
            self._close_connection(held)
            self._tell_of_return()
        return bool(ended)

    def _put_back(self, connection: Any) -> None:
        """Let other threads have the connection, or close it."""
        reusable = self._can_reuse(connection)
        with self._bookkeeping:
            if reusable and not self._is_closed and connection in self._books:
                self._books[connection] = time.monotonic()
            else:
                self._books.pop(connection, None)
                self._close_connection(connection)
        self._tell_of_return()

    def _tell_of_return(self) -> None:
        """Wake one of those who wait; nobody has to be waiting."""
        if self._returned.empty():
            self._returned.put(None)

    def _watch(self) -> None:
        self._last_lent = time.monotonic()
        is_over = False
        try:
            while not is_over:
                self._wake_watcher.wait(_TICK)
                self._wake_watcher.clear()
                try:
                    is_over = self._look()
                except Exception as error:  # The next look may succeed.
                    logger.error("connections were not looked after (%s)", type(error).__name__)
        finally:
            with self._bookkeeping:
                if self._watcher is threading.current_thread():
                    self._watcher = None

    def _look(self) -> bool:
        """Look after the connections that are out; whether there were none for some time."""
        with self._bookkeeping:
            self._reap()
            lent = self._lent()
            # Meanwhile none of them can become another call's.
            self._cancel([held for held, by in lent.items() if _is_called_off(by)])
            if lent:
                self._last_lent = time.monotonic()
            elif self._is_closed or time.monotonic() - self._last_lent > _LINGER:
                self._watcher = None  # Whoever takes one from now on starts another.
                return True
        self._look_after([held for held in lent if not isinstance(held, _Opening)])
        return False

    def _execute_alone(self, sql: Any, params: Any) -> FetchedRows:
        """Carry out a statement of a thread that has no connection, as a call does."""
        require_here(self)

        execute: Any = self.execute_sql  # type: ignore[attr-defined]  # of peewee.Database
        return on_connection(self, lambda: self.fetched(execute(sql, params)))

    def fetched(self, cursor: Any) -> FetchedRows:
        """What a statement has answered, all of it."""
        return FetchedRows(cursor, self.fetch(cursor) if cursor.description else [])

    def _open(self, waited: float) -> Any:
        """A new connection, for a thread that has waited for so many seconds already."""
        with peewee_errors:
            connection = self._connect()  # type: ignore[attr-defined]  # of peewee.Database
            if self.server_version is None:
                self._set_server_version(connection)  # type: ignore[attr-defined]  # likewise
        return connection

    @abstractmethod
    def fetch(self, cursor: Any) -> list[tuple[Any, ...]]:
        """All rows of the answer to a statement."""

    @abstractmethod
    def _cancel(self, connections: Iterable[Any]) -> None:
        """End the statements of connections whose calls are called off; may be called again."""

    @abstractmethod
    def _look_after(self, connections: Iterable[Any]) -> None:
        """Called a few times a second with the connections that are out."""

    @abstractmethod
    def _can_reuse(self, connection: Any) -> bool:
        """Whether another thread may have the connection, with no transaction in it."""

    @abstractmethod
    def _end_transaction(self, connection: Any) -> None:
        """End the transaction that an interrupted call may have left in the connection."""

    @abstractmethod
    def _close_connection(self, connection: Any) -> None:
        """Close a connection that no thread holds."""

    @abstractmethod
    def _abandon(self, connection: Any) -> None:
        """Drop a connection in a forked child."""


def _abandon_all() -> None:
    for pool in list(_pools):
        pool.abandon_all()


os.register_at_fork(after_in_child=_abandon_all)


def _is_called_off(thread: threading.Thread) -> bool:
    # The thread may be any of the service's, and its `call` something else.
    return getattr(getattr(thread, "call", None), "is_called_off", False) is True


class Question(threading.Thread):
    """Asks a database, as a call does, for all who want to know meanwhile."""

    #: Why there was no answer.
    error: StogramError | None = None

    def __init__(self, database: Any) -> None:
        super().__init__(name="stogram_sdk asks", daemon=True)
        self._database = database

    def run(self) -> None:
        try:
            with translated_errors():
                on_connection(self._database, self._database.execute_sql, "SELECT 1")
        except StogramError as error:
            self.error = error


class FetchedRows:
    """The cursor of a statement whose connection has been given back."""

    def __init__(self, cursor: Any, rows: list[Any]) -> None:
        self.description = cursor.description
        self._rows = iter(rows)
        self.rowcount = cursor.rowcount
        self.lastrowid = cursor.lastrowid
        cursor.close()

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return list(islice(self._rows, size))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def close(self) -> None:
        """There is nothing left to close."""

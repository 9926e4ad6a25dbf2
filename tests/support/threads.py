"""Calls that run at the same moment, and calls that arrive while another is half done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg2

import stogram_sdk as sdk
from tests.support.factories import does_something, told_of_queries

T = TypeVar("T")


def at_once(*calls: Callable[[], T]) -> list[T]:
    """The results of the calls, each from a thread of its own, released at the same moment."""
    ready = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        with sdk.session():
            ready.wait()
            return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(run, call) for call in calls]
        return [future.result() for future in futures]


def eight(call: Callable[[], T]) -> list[T]:
    """The results of the call in eight threads at once."""
    return at_once(*[call] * 8)


#: Where a server without Citus says what its sessions do.
_ALONE = ["pg_stat_activity"]


class Arrivals:
    """Other threads, for calls that arrive while the test's own thread is half done.

    PostgreSQL itself says whether a call waits for a lock; on Citus it may be at a worker.
    """

    def __init__(self, pool: ThreadPoolExecutor, watcher: Any) -> None:
        self._pool = pool
        self._watcher = watcher
        with watcher.cursor() as cursor:
            cursor.execute("SELECT coalesce(to_regclass('citus_stat_activity')::text, %s)", _ALONE)
            (self._activity,) = cursor.fetchone()

    def start(self, call: Callable[[], T]) -> Future[T]:
        """Begin the call; returns when it is done, or waits for a lock."""
        waiting = self._waiting()
        future = self._pool.submit(call)
        deadline = time.monotonic() + 10
        while not (future.done() or self._waiting() > waiting):
            assert time.monotonic() < deadline, "neither done nor waiting for a lock"
        return future

    def after_statement(
        self, number: int, first: Callable[[], Any], second: Callable[[], T]
    ) -> Future[T] | None:
        """Run `first` in a transaction; `second` arrives after its statement of that number.

        Returns None if `first` sends fewer statements.
        """
        arrived: list[Future[T]] = []
        with (
            _after_statement(number, lambda: arrived.append(self.start(second))),
            suppress(sdk.NotFound, sdk.NotAllowed, sdk.Blocked),
            sdk.transaction(),
        ):
            first()
        return arrived[0] if arrived else None

    def _waiting(self) -> int:
        """How many wait for a lock."""
        with self._watcher.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM {self._activity}"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return int(cursor.fetchone()[0])


@contextmanager
def arrivals(url: str) -> Iterator[Arrivals]:
    watcher = psycopg2.connect(url)
    watcher.autocommit = True
    try:
        with ThreadPoolExecutor(2) as pool:
            yield Arrivals(pool, watcher)
    finally:
        watcher.close()


@contextmanager
def _after_statement(number: int, arrive: Callable[[], None]) -> Iterator[None]:
    """Call `arrive` once this thread has sent so many statements."""
    own, sent = threading.get_ident(), 0

    def note(event: Any) -> None:
        nonlocal sent
        if threading.get_ident() == own and does_something(event.sql):
            sent += 1
            if sent == number:
                arrive()

    with told_of_queries(note):
        yield


def wait_until(url: str, condition: str, *, within: float = 60) -> None:
    """Until the server says that the condition is true, for so many seconds at most."""
    watcher = psycopg2.connect(url)
    watcher.autocommit = True
    cursor = watcher.cursor()
    end = time.monotonic() + within
    while True:
        cursor.execute(f"SELECT {condition}")
        if cursor.fetchone() == (True,):
            break
        assert time.monotonic() < end, condition
        time.sleep(0.0001)  # What is waited for may be there for a millisecond only.
    watcher.close()

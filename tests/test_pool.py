"""The pool of connections: who waits for one, and what looks after those that are out."""

from __future__ import annotations

import asyncio
import math
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import pytest

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database, open_database
from stogram_sdk.engine.time_limits import Connection, Probe
from tests.support.factories import make_user
from tests.support.site import eventually

pytestmark = pytest.mark.usefixtures("closed_at_the_end")


@contextmanager
def switching_after(seconds: float) -> Iterator[None]:
    """How long a thread runs before another does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def leave_connection() -> None:
    """A thread ends without giving back its connection."""
    thread = threading.Thread(target=sdk.db.connect)
    thread.start()
    thread.join()


# --- What looks after connections ---


def failing(times: int, error: BaseException) -> Callable[..., None]:
    left = [error] * times

    def fail(*args: Any) -> None:
        if left:
            raise left.pop()

    return fail


def test_a_look_that_fails_is_told_of_and_the_next_one_is_made(
    engine: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = current_database()
    monkeypatch.setattr(database, "_look_after", failing(2, OSError("host of the database")))
    with sdk.session():
        watcher = database._watcher
        eventually(lambda: len(caplog.records) == 2)
    assert "connections were not looked after (OSError)" in caplog.text
    assert "host" not in caplog.text
    leave_connection()
    eventually(lambda: not database._lent())
    assert database._watcher is watcher


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_the_thread_that_looks_the_next_call_starts_another(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = current_database()
    with sdk.session():
        watcher = database._watcher
        monkeypatch.setattr(database, "_look_after", failing(1, KeyboardInterrupt()))
        watcher.join(5)
        assert not watcher.is_alive()
    leave_connection()
    eventually(lambda: not database._lent())


def test_a_look_is_made_while_others_open_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is really opened, which would take most of the time."""
    database, _ = open_database("postgresql:///db?host=/nowhere")
    database._state.connect_timeout = 1

    class Opened:
        answer_due = float("inf")

    monkeypatch.setattr(database._adapter, "connect", lambda *args, **options: Opened())
    monkeypatch.setattr("stogram_sdk.engine.postgres.register_type", lambda *arguments: None)
    monkeypatch.setattr(database, "_learn", lambda connection: None)
    is_over = threading.Event()

    def open_many() -> None:
        database._state.connect_timeout = 1
        while not is_over.is_set():
            database._connect()

    threads = [threading.Thread(target=open_many) for _ in range(2)]
    with switching_after(1e-6):
        for thread in threads:
            thread.start()
        end = time.monotonic() + 1
        try:
            while time.monotonic() < end:
                database._look_after([])
        finally:
            is_over.set()
            for thread in threads:
                thread.join()


# --- Limits of time ---


@contextmanager
def no_thread(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system has none to spare for what has this name."""
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        yield


def sleep_beyond_the_limit() -> sdk.Unavailable:
    with pytest.raises(sdk.Unavailable) as error, sdk.session(statement_timeout=0.3):
        current_database().execute_sql("SELECT pg_sleep(5)")
    return error.value


def test_a_limit_holds_while_no_thread_can_be_started(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    with no_thread("stogram_sdk cancels", monkeypatch):
        assert "did not answer in time" in str(sleep_beyond_the_limit())
    assert time.monotonic() - began < 2
    assert "no thread can be started" in caplog.text
    assert sleep_beyond_the_limit().sqlstate == "57014"


def test_a_silent_server_is_looked_for_once_a_thread_can_be_started(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def connect(connection: Connection, within: int) -> Any:
        asked.set()
        raise psycopg2.OperationalError

    probe = Probe(connect)
    with sdk.session():
        connection = current_database().connection()
        connection.time_limit, connection.answer_due = 5, time.monotonic() + 1
        try:
            with no_thread("stogram_sdk probes", monkeypatch):
                probe.look_at([connection])
                assert not asked.wait(0.1)
            probe.look_at([connection])
            assert asked.wait(5)
        finally:
            connection.answer_due = math.inf


def test_health_says_that_no_thread_can_be_started(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        no_thread("stogram_sdk asks", monkeypatch),
        pytest.raises(sdk.Unavailable, match="no thread could be started"),
    ):
        sdk.check_health()


def lose_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request to cancel gets to the server before the statement does."""
    ask = Connection.ask_to_cancel
    lost: list[Connection] = []

    def ask_again(connection: Connection) -> None:
        if lost:
            ask(connection)
        lost.append(connection)

    monkeypatch.setattr(Connection, "ask_to_cancel", ask_again)


def test_a_request_to_cancel_that_is_lost_is_made_again(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lose_the_first(monkeypatch)
    assert sleep_beyond_the_limit().sqlstate == "57014"
    assert [record.getMessage() for record in caplog.records] == [
        "no answer in 0.3 s: canceling a statement"
    ]


def test_a_task_is_cancelled_though_the_first_request_is_lost(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lose_the_first(monkeypatch)
    began = threading.Event()

    def sleep() -> None:
        with sdk.session():
            began.set()
            sdk.db.execute_sql("SELECT pg_sleep(5)")

    async def main() -> None:
        call = asyncio.create_task(aio.run(sleep))
        await asyncio.to_thread(began.wait)
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    assert not caplog.records, "it was cut off"


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_ends_no_connection_that_its_parent_is_opening(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = current_database()
    database.close_idle()
    opened: list[Connection] = []

    def learn_slowly(connection: Connection) -> None:
        opened.append(connection)
        connection.cursor().execute("SELECT pg_sleep(1.5)")

    monkeypatch.setattr(database, "_learn", learn_slowly)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(database.connect)
        eventually(lambda: bool(opened) and opened[0].answer_due < math.inf)
        child = os.fork()
        if not child:
            opened[0].answer_due = 0.0
            for _ in range(8):
                database._look_after([])
                time.sleep(0.1)
            os._exit(0)
        assert opening.result()
        pool.submit(database.close).result()
        os.waitpid(child, 0)


def test_without_a_file_to_spare_the_database_is_unavailable(on_postgres: None) -> None:
    """However many are missing: libpq needs some, and the SDK one more."""
    sdk.find_user("nobody")
    current_database().close_idle()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = []
    refusals: list[str] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        with suppress(OSError):
            while True:
                files.append(os.open(os.devnull, os.O_RDONLY))
        while True:
            try:
                sdk.find_user("nobody")
                break
            except sdk.Unavailable as error:
                refusals.append(str(error))
            os.close(files.pop())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in files:
            os.close(file)
    assert len(refusals) > 1
    assert {"too many files open" in refusal for refusal in refusals} == {True}, refusals


# --- Who waits ---


def test_everybody_who_waits_is_told_when_several_come_back(engine: str) -> None:
    database = current_database()
    database.close_idle()
    places = [database._reserve() for _ in range(20)]
    passed = threading.Barrier(6)

    def wait() -> None:
        with sdk.session():
            passed.wait(10)

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    eventually(lambda: sdk.pool_status().waiting == len(threads))
    began = time.monotonic()
    with switching_after(10):  # Nobody has woken up before the last one is back.
        for place in places:
            database._revoke(place)
    passed.wait(10)
    assert time.monotonic() - began < 0.9, "nobody was told, and looked after a second"
    for thread in threads:
        thread.join()


def test_a_connection_that_the_program_has_closed_is_replaced(engine: str) -> None:
    with sdk.session():
        sdk.db.connection().close()
    with pytest.raises(sdk.StogramError), sdk.transaction():
        make_user("ann")
        sdk.db.connection().close()
        make_user("ben")
    assert sdk.pool_status().in_use == 0
    make_user("carl")
    assert [sdk.find_user(name) is None for name in ("ann", "ben", "carl")] == [True, True, False]

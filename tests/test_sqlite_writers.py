"""The threads of a process write to an SQLite file in the order in which they come."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database
from stogram_sdk.engine.sqlite import Connection, SqliteDatabase
from tests.support.factories import make_chat, make_user
from tests.support.states import migrate_here

#: Seconds that a call may wait for other writers.
LIMIT = 0.5


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A migrated file, connected to."""
    migrate_here(f"sqlite:///{tmp_path}/stogram.db")
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db", statement_timeout=LIMIT)
    yield tmp_path / "stogram.db"
    sdk.close()


@pytest.fixture
def transactions(file: Path) -> Iterator[list[int]]:
    """The numbers of the transactions that a thread has ended, one at once after the other."""
    ended = [0]
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            with sdk.transaction():
                make_user()
                time.sleep(0.03)
            ended.append(len(ended))

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(write)
        yield ended
        is_over.set()
    future.result()


def block(user: sdk.User, _: sdk.Chat, other: sdk.User) -> None:
    """One statement."""
    sdk.block_user(user.id, other.id)


def send(user: sdk.User, chat: sdk.Chat, _: sdk.User) -> None:
    """A transaction of several."""
    sdk.send_message(user.id, chat.id, "hello")


@pytest.mark.parametrize("call", [block, send])
def test_whoever_writes_all_the_time_lets_others_write_in_between(
    transactions: list[int], call: Callable[[sdk.User, sdk.Chat, sdk.User], None]
) -> None:
    user, other = make_user(), make_user()
    chat = make_chat(user, other)
    passed = []
    for _ in range(11):
        before = transactions[-1]
        call(user, chat, other)
        passed.append(transactions[-1] - before)
    # The one that was at work, and those that began before this thread came to run, which a busy
    # machine may let wait for long.
    assert median(passed) <= 3, passed


def test_who_waits_behind_others_waits_no_longer_than_the_limit(file: Path) -> None:
    user, others = make_user(), [make_user() for _ in range(8)]
    somebody = sqlite3.connect(file, isolation_level=None)
    somebody.execute("BEGIN IMMEDIATE")

    def refused(other: sdk.User) -> float:
        began = time.monotonic()
        with pytest.raises(sdk.Unavailable, match="another writer holds the database"):
            sdk.block_user(user.id, other.id)
        return time.monotonic() - began

    with ThreadPoolExecutor(len(others)) as pool:
        waited = list(pool.map(refused, others))
    somebody.close()
    assert LIMIT * 0.9 < min(waited) <= max(waited) < LIMIT * 4  # one after the other: 8 times
    with sdk.session():
        assert sdk.block_user(user.id, others[0].id)[1]
        limit = current_database().execute_sql("PRAGMA busy_timeout").fetchone()
        assert limit == (LIMIT * 1000,)


def waits(call: Callable[[], Any]) -> float:
    """For how many seconds the call waits, until it is refused."""
    began = time.monotonic()
    with pytest.raises(sdk.Unavailable, match="another writer holds the database"):
        call()
    return time.monotonic() - began


def test_a_session_limits_how_long_its_calls_wait_for_another_writer(file: Path) -> None:
    user, other = make_user(), make_user()
    chat = make_chat(user, other)
    somebody = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    somebody.execute("BEGIN IMMEDIATE")
    with sdk.session(statement_timeout=LIMIT / 5), sdk.session():
        for call in block, send:
            assert LIMIT / 6 < waits(lambda: call(user, chat, other)) < LIMIT * 0.8  # noqa: B023
        limit = current_database().execute_sql("PRAGMA busy_timeout").fetchone()
        assert limit == (LIMIT * 1000 / 5,)
        with sdk.session(statement_timeout=0):
            threading.Timer(LIMIT * 1.5, somebody.execute, ["COMMIT"]).start()
            send(user, chat, other)
    limit = current_database().execute_sql("PRAGMA busy_timeout").fetchone()
    assert limit == (LIMIT * 1000,)
    somebody.close()
    sdk.connect(f"sqlite:///{file}", statement_timeout=0)
    limit = current_database().execute_sql("PRAGMA busy_timeout").fetchone()
    assert limit > (1000 * 3600,)


def test_who_waits_behind_one_that_may_wait_for_longer_does_not(file: Path) -> None:
    user, others = make_user(), [make_user() for _ in range(2)]
    somebody = sqlite3.connect(file, isolation_level=None)
    somebody.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(waits, lambda: sdk.block_user(user.id, others[0].id))
        time.sleep(LIMIT / 10)
        with sdk.session(statement_timeout=LIMIT / 5):
            waited = waits(lambda: sdk.block_user(user.id, others[1].id))
        assert LIMIT / 6 < waited < LIMIT * 0.7
        assert ahead.result() > LIMIT * 0.9
    somebody.close()


class CtrlC(BaseException):
    pass


@contextmanager
def interrupted_at(number: int) -> Iterator[None]:
    """An interruption at so many lines, of those that set how long SQLite asks for the lock."""
    codes = [f.__code__ for f in (SqliteDatabase._in_turn, SqliteDatabase._ask_until)]
    codes.append(Connection.ask_for.__code__)
    left = number

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if frame.f_code not in codes:
            return trace if event == "call" else None
        if event == "line":
            left -= 1
            if not left:
                raise CtrlC
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


def test_who_is_interrupted_has_the_whole_limit_for_the_next_call(file: Path) -> None:
    """In a session, whose connection stays."""
    make_user()
    number = 0
    is_interrupted = True
    with sdk.session():
        database = current_database()
        while is_interrupted:
            number += 1
            is_interrupted = False
            try:
                with interrupted_at(number):
                    database.execute_sql('UPDATE "User" SET theme = theme')
            except CtrlC:
                is_interrupted = True
            limit = database.execute_sql("PRAGMA busy_timeout").fetchone()
            assert limit == (LIMIT * 1000,), number
    assert number > 10


def block_one(user: sdk.User, other: sdk.User) -> None:
    assert sdk.block_user(user.id, other.id)[1]


def write_with(user: sdk.User, other: sdk.User) -> None:
    """A write that begins with WITH."""
    sdk.db.execute_sql(
        "WITH named AS (SELECT ? AS id) UPDATE \"User\" SET theme = 'dark'"
        " WHERE id = (SELECT id FROM named)",
        (other.id,),
    )


@pytest.mark.parametrize("write", [block_one, write_with])
def test_who_waits_has_the_lock_as_soon_as_it_is_free(
    file: Path, write: Callable[[sdk.User, sdk.User], None]
) -> None:
    """SQLite itself would look again after a tenth of a second."""
    user, others = make_user(), [make_user() for _ in range(5)]
    somebody = sqlite3.connect(file, isolation_level=None, check_same_thread=False)

    def lateness(other: sdk.User) -> float:
        somebody.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(write, user, other)
            time.sleep(0.24)
            somebody.execute("COMMIT")
            freed = time.monotonic()
            waiting.result()
            return time.monotonic() - freed

    assert min(map(lateness, others)) < 0.03
    somebody.close()


def test_a_cancelled_task_does_not_wait_for_the_lock(file: Path) -> None:
    ivan = make_user("ivan")
    somebody = sqlite3.connect(file, isolation_level=None)
    somebody.execute("BEGIN IMMEDIATE")

    async def main() -> None:
        call = asyncio.create_task(aio.update_privacy(ivan.id, show_last_seen=False))
        await asyncio.sleep(LIMIT / 5)
        began = time.monotonic()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert time.monotonic() - began < LIMIT / 2

    asyncio.run(main())
    somebody.close()
    assert sdk.get_privacy(ivan.id).show_last_seen
    for connection in current_database()._idle():
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (LIMIT * 1000,)


def test_who_has_the_lock_needs_no_turn(file: Path) -> None:
    """A statement that returns what it writes holds the lock until its last row is read."""
    user, other = make_user(), make_user()
    with ThreadPoolExecutor(1) as pool, sdk.session():
        insert = """INSERT INTO "MessageTag" VALUES (?, 'c', '2024-01-01', 'm') RETURNING tag"""
        half_read = current_database().execute_sql(insert, ("#a",))
        waiting = pool.submit(sdk.block_user, user.id, other.id)
        time.sleep(LIMIT / 5)
        began = time.monotonic()
        current_database().execute_sql(insert, ("#b",)).fetchall()
        assert time.monotonic() - began < LIMIT / 2
        half_read.close()
        assert waiting.result()[1]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT missing",
        'SELECT json(value) FROM json_each(\'["1", "x"]\')',  # fails at its second row
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n) SELECT max(i) FROM n",
    ],
)
def test_what_an_error_keeps_of_a_statement_stands_in_nobodys_way(file: Path, query: str) -> None:
    """A cursor that is open waits for its connection when the garbage collector finds it."""
    sent: list[Any] = []

    def send() -> None:
        sent.append(sdk.db.execute_sql(query))
        current_database().fetch(sent[-1])

    async def main() -> None:
        with pytest.raises((sdk.StogramError, TimeoutError)):
            await asyncio.wait_for(aio.run(sdk.retrying(send)), 0.1)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
        for cursor in [each for each in gc.get_objects() if isinstance(each, sqlite3.Cursor)]:
            with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
                cursor.fetchone()
    finally:
        gc.enable()


_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000) "


@pytest.mark.parametrize(
    "query", ["SELECT count(*) FROM n", "SELECT i FROM n WHERE i % 100000 = 0"]
)
def test_a_statement_takes_no_longer_than_the_limit(file: Path, query: str) -> None:
    """Also one that finds its rows one by one."""
    began = time.monotonic()
    with sdk.transaction(), pytest.raises(sdk.Unavailable, match="statement_timeout"):
        sdk.retrying(lambda: current_database().fetched(sdk.db.execute_sql(_NUMBERS + query)))()
    assert LIMIT <= time.monotonic() - began < LIMIT + 2
    assert sdk.find_user("ivan") is None


def test_a_session_without_a_limit_lets_a_statement_run(file: Path) -> None:
    with sdk.session(statement_timeout=0):
        began = time.monotonic()
        sdk.db.execute_sql(_NUMBERS.replace("1000000000", "8000000") + "SELECT count(*) FROM n")
        assert time.monotonic() - began > LIMIT

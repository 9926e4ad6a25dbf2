"""`stogram_sdk.aio`: its functions, whose the connections are, and what is left of it: nothing.

What is cancelled is in test_cancelled; the contract of every function in test_contract_asyncio.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, nullcontext, suppress
from contextvars import copy_context
from typing import Any
from unittest.mock import patch

import pytest
import uvloop

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database
from stogram_sdk.engine.workers import Worker, _Inbox
from tests.support.factories import make_chat, make_user
from tests.support.site import eventually

#: What asks no database, and what only a thread has.
NOT_AWAITED = {"extract_hashtags", "extract_mentions", "pool_status", "tag_key", "to_dict"}
UNITS = {"retrying", "session", "transaction"}

FUNCTIONS = sorted(
    name
    for name in sdk.__all__
    if inspect.isfunction(getattr(sdk, name)) and name not in NOT_AWAITED
)


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    for connected in {"engine", "on_postgres", "url"} & set(request.fixturenames):
        request.getfixturevalue(connected)
    yield
    with suppress(sdk.StogramError):  # The test has closed it.
        assert sdk.pool_status().in_use == 0
        sdk.close()
    eventually(lambda: not workers())


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if isinstance(thread, Worker)]


async def waiting(number: int) -> None:
    """Until so many calls wait for a connection."""
    while sdk.pool_status().waiting < number:
        await asyncio.sleep(0.001)


def nap() -> str:
    """Holds its worker."""
    time.sleep(0.1)
    return threading.current_thread().name


# --- The functions ---


def test_every_function_that_asks_the_database_is_there() -> None:
    assert aio.__all__ == sorted([*FUNCTIONS, "run"])


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"retrying"}))
def test_a_function_takes_returns_and_says_the_same(name: str) -> None:
    plain, awaited = getattr(sdk, name), getattr(aio, name)
    ours, theirs = inspect.signature(plain), inspect.signature(awaited)
    assert list(ours.parameters.values()) == list(theirs.parameters.values())
    assert awaited.__doc__
    if name not in UNITS:
        assert inspect.iscoroutinefunction(awaited)
        assert ours.return_annotation == theirs.return_annotation


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_calls_run_in_any_loop(
    engine: str, run: Callable[[Coroutine[Any, Any, None]], Any]
) -> None:
    async def main() -> None:
        ivan = await aio.create_user("ivan@example.com", "ivan", password_hash="x")
        olga = await aio.create_user("olga@example.com", "olga", password_hash="x")
        chat, is_new = await aio.open_private_chat(ivan.id, olga.id)
        sent = [aio.send_message(ivan.id, chat.id, str(number)) for number in range(50)]
        assert is_new and len(await asyncio.gather(*sent)) == 50
        assert len(await aio.list_messages(olga.id, chat.id)) == 50
        with pytest.raises(sdk.NotFound):
            await aio.get_user("nobody")

    run(main())


def test_a_service_connects_migrates_and_closes(database_url: str) -> None:
    async def main() -> None:
        with pytest.raises(sdk.StogramError, match="connect"):
            await aio.find_user("ivan")
        await aio.connect(database_url)
        assert "002_guide_features" in await aio.migrate()
        assert await aio.find_user("ivan") is None
        async with aio.transaction():
            for refused in (aio.close(), aio.connect(database_url)):
                with pytest.raises(sdk.StogramError, match="in a transaction"):
                    await refused
        await aio.close()
        with pytest.raises(sdk.StogramError, match="connect"):
            await aio.find_user("ivan")

    asyncio.run(main())
    eventually(lambda: not workers(), within=0.5)


def test_a_function_of_ones_own(engine: str) -> None:
    async def main() -> None:
        await aio.run(make_user, "ivan")
        assert await aio.run(sdk.User.select().count) == 1
        assert await aio.run(sdk.User.get_or_none, sdk.User.username == "ivan")
        with pytest.raises(RuntimeError, match="StopIteration"):
            await aio.run(next, iter(()))
        with pytest.raises(SystemExit):
            await aio.run(sys.exit, 1)
        late: list[Callable[[], Any]] = [main, lambda: main()]
        for function in late:
            with pytest.raises(sdk.StogramError, match="decorate a plain function"):
                await aio.run(function)
        with pytest.raises(sdk.DatabaseError):
            async with aio.session():
                await aio.run(sdk.db.execute_sql, "SELECT nothing FROM nowhere")

    asyncio.run(main())


# --- Sessions and transactions ---


def test_a_transaction_is_all_or_nothing_and_nests(engine: str) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with aio.transaction():
                await aio.run(make_user, "lost")
                _ = 1 / 0
        async with aio.session(), aio.transaction():
            await aio.run(make_user, "kept")
            with pytest.raises(ZeroDivisionError):
                async with aio.transaction():
                    await aio.run(make_user, "also_lost")
                    _ = 1 / 0
            async with aio.transaction():
                await aio.run(make_user, "kept_too")
            with pytest.raises(sdk.NotFound):
                await aio.get_user("nobody")
            assert sdk.pool_status().in_use == 1

    asyncio.run(main())
    assert sorted(user.username for user in sdk.User.select()) == ["kept", "kept_too"]


def test_a_session_keeps_its_connection_and_its_limit(on_postgres: None) -> None:
    def backend() -> Any:
        return sdk.db.execute_sql("SELECT pg_backend_pid()").fetchone()

    async def main() -> None:
        async with aio.session(statement_timeout=0.2):
            first = await aio.run(backend)
            async with aio.session():
                assert await aio.run(backend) == first
            with pytest.raises(sdk.Unavailable, match="took too long"):
                await aio.run(sdk.session()(sdk.db.execute_sql), "SELECT pg_sleep(5)")

    asyncio.run(main())


def test_children_of_a_task_are_outside_its_transaction(engine: str) -> None:
    make_user("there")

    async def child(name: str) -> Any:
        async with aio.session():
            return await aio.find_user(name)

    async def main() -> None:
        async with aio.transaction():
            await aio.run(make_user, "ivan") if engine == "postgresql" else None
            found = await asyncio.gather(*[child(name) for name in ("ivan", "there")])
            assert [user and user.username for user in found] == [None, "there"]
            async with asyncio.TaskGroup() as tasks:
                nobody = tasks.create_task(aio.find_user("ivan"))
            assert nobody.result() is None
            assert sdk.pool_status().in_use == 1

    asyncio.run(main())


def test_a_retrying_function_starts_over(on_postgres: None) -> None:
    runs: list[str] = []

    def conflict() -> None:
        sdk.db.execute_sql("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$")

    @aio.retrying
    async def unit(name: str, *, times: int) -> str:
        """Conflicts so many times."""
        runs.append(name)
        await aio.run(make_user, name)
        if len(runs) <= times:
            await aio.run(conflict)
        return name

    async def main() -> None:
        assert await unit("ivan", times=4) == "ivan"
        assert len(runs) == 5
        runs.clear()
        with pytest.raises(sdk.Unavailable):
            await unit("olga", times=9)
        assert len(runs) == 5
        runs.clear()
        with pytest.raises(sdk.Unavailable):
            async with aio.transaction():
                await unit("olga", times=1)
        assert len(runs) == 1

    asyncio.run(main())
    assert [user.username for user in sdk.User.select()] == ["ivan"]
    assert unit.__doc__ == "Conflicts so many times."
    with pytest.raises(sdk.StogramError, match="coroutine function"):
        aio.retrying(make_user)  # type: ignore[arg-type]  # it is wrong


# --- Taking turns ---


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A migrated database, to connect to with options."""
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")
        return str(request.getfixturevalue("migrated_postgres"))
    url: str = request.getfixturevalue("sqlite_url")
    sdk.connect(url)
    sdk.migrate()
    return url


def test_who_comes_first_is_served_first(url: str) -> None:
    sdk.connect(url, connection_limit=1)
    done: list[int] = []

    async def call(number: int) -> None:
        if number % 3:
            await aio.find_user("ivan")
            done.append(number)
        else:
            async with aio.session():
                done.append(number)

    async def main() -> None:
        async with aio.session():
            tasks = []
            for number in range(20):
                tasks.append(asyncio.create_task(call(number)))
                await waiting(number + 1)
            assert sdk.pool_status() == sdk.PoolStatus(in_use=1, idle=0, waiting=20, limit=1)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert done == list(range(20))


def test_a_call_waits_for_a_connection_for_so_long(url: str) -> None:
    sdk.connect(url, connection_limit=1, pool_timeout=0.3)

    async def main() -> None:
        async with aio.session():
            began = time.monotonic()
            late = [aio.find_user("ivan"), aio.session().__aenter__()]
            errors = await asyncio.gather(*late, return_exceptions=True)
            assert 0.25 < time.monotonic() - began < 2
            assert {type(error) for error in errors} == {sdk.Unavailable}
            assert "all 1 connections are in use; waited 0.3 s" in str(errors[0])
        assert await aio.find_user("ivan") is None

    asyncio.run(main())


def test_each_call_waits_for_so_long_whenever_it_comes(url: str) -> None:
    sdk.connect(url, connection_limit=1, pool_timeout=0.4)

    async def waited(seconds: float) -> float:
        await asyncio.sleep(seconds)
        began = time.monotonic()
        with pytest.raises(sdk.Unavailable, match=r"waited 0\.4 s"):
            await aio.find_user("ivan")
        return time.monotonic() - began

    async def main() -> None:
        async with aio.session():
            # The second waits beside the first, the third comes when all that waited have gone.
            calls = [waited(seconds) for seconds in (0, 0.2, 1)]
            assert all(0.35 < seconds < 2 for seconds in await asyncio.gather(*calls))

    async def main_of_two_loops() -> None:
        async with aio.session():
            await asyncio.gather(waited(0), asyncio.to_thread(asyncio.run, waited(0.1)))

    asyncio.run(main())
    asyncio.run(main_of_two_loops())


def test_a_loop_that_is_behind_gets_its_turn(url: str) -> None:
    """Workers that go on and on would keep the interpreter from it: then all answers come late."""
    sdk.connect(url, connection_limit=10)
    unanswered: list[int] = []
    deliver = _Inbox._deliver

    def counted(self: _Inbox) -> None:
        unanswered.append(len(self._answers))
        deliver(self)

    async def call() -> None:
        for _ in range(3):
            await aio.find_user("ivan")
            sum(range(5_000))  # What the service does with it.

    async def main() -> None:
        await asyncio.gather(*[call() for _ in range(1_000)])

    with patch.object(_Inbox, "_deliver", counted):
        asyncio.run(main())
    assert max(unanswered) < 50


def test_a_loop_that_stands_still_holds_up_no_other(url: str) -> None:
    sdk.connect(url, connection_limit=2)
    stands_still, goes_on = threading.Event(), threading.Event()

    async def other() -> None:
        stands_still.wait(10)
        for _ in range(100):
            await aio.find_user("ivan")
        goes_on.set()

    async def main() -> None:
        thread = threading.Thread(target=asyncio.run, args=(other(),))
        thread.start()
        calls = [asyncio.create_task(aio.find_user("ivan")) for _ in range(20)]
        await asyncio.sleep(0)
        stands_still.set()
        assert goes_on.wait(10)
        thread.join()
        await asyncio.gather(*calls)

    asyncio.run(main())


def test_waiting_for_a_worker_counts_as_waiting_for_a_connection(url: str) -> None:
    """Threads of the program hold all connections, so the workers wait too."""
    sdk.connect(url, connection_limit=1, pool_timeout=0.5)

    async def main() -> None:
        began = time.monotonic()
        calls = [asyncio.create_task(aio.find_user("ivan")) for _ in range(3)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in errors} == {sdk.Unavailable}
        assert time.monotonic() - began < 0.9

    with sdk.session():
        run_in_thread(main)


def run_in_thread(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def hold_for(seconds: float) -> None:
    """Have another thread hold a connection for so long."""
    held = threading.Event()

    @sdk.session()
    def hold() -> None:
        held.set()
        time.sleep(seconds)

    threading.Thread(target=hold).start()
    assert held.wait(10)


def test_working_does_not_count_as_waiting_for_a_connection(url: str) -> None:
    sdk.connect(url, connection_limit=1, pool_timeout=0.5)

    def work() -> int:
        time.sleep(0.6)
        hold_for(0.15)
        return sdk.User.select().count()

    assert asyncio.run(aio.run(work)) == 0


def test_waiting_for_a_worker_counts_once(url: str) -> None:
    sdk.connect(url, connection_limit=1, pool_timeout=1)

    def work() -> int:
        assert sdk.find_user("ivan") is None
        hold_for(0.6)
        return sdk.User.select().count()

    async def main() -> None:
        await asyncio.gather(aio.run(time.sleep, 0.7), aio.run(work))

    asyncio.run(main())


def test_the_age_of_a_session_does_not_count_as_waiting_for_a_connection(
    on_postgres: None, migrated_postgres: str
) -> None:
    ivan = make_user("ivan")
    sdk.connect(migrated_postgres, read_url=migrated_postgres, connection_limit=1, pool_timeout=0.5)

    async def main() -> None:
        async with aio.session(read="standby"):
            await asyncio.sleep(0.6)
            hold_for(0.15)
            await aio.set_theme(ivan.id, "dark")

    asyncio.run(main())


def test_plain_calls_and_awaited_ones_share_the_connections(engine: str) -> None:
    ivan, olga = make_user("ivan"), make_user("olga")
    chat = make_chat(ivan, olga)
    stop = threading.Event()
    sent: list[str] = []

    def send() -> None:
        while not stop.is_set():
            sent.append(sdk.send_message(ivan.id, chat.id, "plain").id)
            time.sleep(0.005)  # SQLite lets one write at a time, and not in turn.

    async def main() -> None:
        for _ in range(20):
            await aio.send_message(olga.id, chat.id, "awaited")

    thread = threading.Thread(target=send)
    thread.start()
    loops = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    stop.set()
    thread.join()
    assert sdk.Message.select().count() == len(sent) + 60


def test_a_database_in_memory_is_one_for_all_tasks() -> None:
    async def work(number: int) -> None:
        async with aio.transaction():
            ivan = await aio.run(make_user, f"user_of_{number}")
            await aio.create_chat(ivan.id, sdk.ChatType.GROUP, name="chat")

    async def main() -> None:
        await aio.connect("sqlite:///:memory:")
        await aio.migrate()
        await asyncio.gather(*[work(number) for number in range(8)])
        assert await aio.find_user("user_of_1")

    asyncio.run(main())
    assert sdk.Chat.select().count() == 8


# --- Misuse ---


def test_a_plain_call_inside_a_transaction_of_a_task_is_refused(engine: str) -> None:
    async def main() -> None:
        async with aio.transaction():
            for refused in (make_user, sdk.db.atomic().__enter__):
                with pytest.raises(sdk.StogramError, match=r"stogram_sdk\.aio"):
                    refused()
            with pytest.raises(sdk.StogramError, match=r"stogram_sdk\.aio"):
                await asyncio.to_thread(make_user)
        make_user("after")

    asyncio.run(main())
    assert [user.username for user in sdk.User.select()] == ["after"]


def test_an_awaited_call_inside_a_plain_transaction_is_refused(engine: str) -> None:
    async def main() -> None:
        with sdk.transaction():
            with pytest.raises(sdk.StogramError, match="outside its caller's transaction"):
                await aio.run(make_user, "lost")
            with pytest.raises(sdk.StogramError, match="outside its caller's transaction"):
                await aio.transaction().__aenter__()

    asyncio.run(main())


@pytest.mark.parametrize("unit", [aio.session, aio.transaction])
def test_what_is_left_in_another_task_is_rolled_back(engine: str, unit: Callable[[], Any]) -> None:
    async def main() -> None:
        entered = unit()
        opened, left = asyncio.Event(), asyncio.Event()

        async def open_it() -> None:
            await entered.__aenter__()
            await aio.run(make_user, "ivan")
            opened.set()
            await left.wait()
            await aio.run(make_user, "after")
            with pytest.raises(sdk.StogramError, match="left"):
                await entered.__aexit__(None, None, None)

        task = asyncio.create_task(open_it())
        await opened.wait()
        with pytest.raises(sdk.StogramError, match="another task"):
            await entered.__aexit__(None, None, None)
        assert sdk.pool_status().in_use == 0
        left.set()
        await task

    run_in_thread(main)
    assert bool(sdk.find_user("ivan")) == (unit is aio.session)
    assert sdk.find_user("after")


def test_a_unit_is_entered_once_and_by_a_task(engine: str) -> None:
    async def main() -> None:
        unit = aio.transaction()
        with pytest.raises(sdk.StogramError, match="before it was entered"):
            await unit.__aexit__(None, None, None)
        async with unit:
            with pytest.raises(sdk.StogramError, match="entered once"):
                await unit.__aenter__()
        refused = asyncio.get_running_loop().create_future()

        def enter() -> None:
            try:
                aio.session().__aenter__().send(None)
            except sdk.StogramError as error:
                refused.set_result(str(error))

        asyncio.get_running_loop().call_soon(enter)
        assert "only a task" in await refused

    run_in_thread(main)


async def numbers(unit: Callable[[], Any]) -> AsyncGenerator[int]:
    async with unit():
        for number in range(3):
            yield number


async def leave(unit: Any) -> None:
    await unit.__aexit__(None, None, None)


async def leave_in_another_task(unit: Any) -> None:
    await asyncio.create_task(leave(unit))


async def close_generator(unit: Any) -> None:
    """Close a generator that is in the unit."""
    await unit.aclose()


@pytest.mark.parametrize("way", [leave, leave_in_another_task, close_generator])
@pytest.mark.parametrize("make_outer", [aio.session, aio.transaction])
def test_what_is_left_before_one_inside_is_rolled_back_with_it(
    engine: str, way: Callable[[Any], Any], make_outer: Callable[[], Any]
) -> None:
    """The code inside is still there, and none of its calls is made outside."""

    async def main() -> None:
        outer: Any = make_outer()
        if way is close_generator:
            outer = numbers(lambda: make_outer())
            await anext(outer)
        else:
            await outer.__aenter__()
        with pytest.raises(sdk.StogramError, match="it was rolled back"):
            async with aio.transaction():
                await aio.run(make_user, "lost")
                with pytest.raises(sdk.StogramError, match="left"):
                    await way(outer)
                for refused in (aio.run(make_user, "lost"), aio.session().__aenter__()):
                    with pytest.raises(sdk.StogramError, match="it was rolled back"):
                        await refused
        await aio.run(make_user, "kept")

    run_in_thread(main)
    assert [user.username for user in sdk.User.select()] == ["kept"]


def test_what_is_left_while_its_task_enters_one_inside_takes_that_along(engine: str) -> None:
    async def main() -> None:
        outer = aio.session()
        await outer.__aenter__()
        leaving = asyncio.create_task(leave(outer))  # It begins while this task waits.
        with pytest.raises(sdk.StogramError, match="it was rolled back"):
            async with aio.transaction():
                with pytest.raises(sdk.StogramError, match="left"):
                    await leaving
                with pytest.raises(sdk.StogramError, match="it was rolled back"):
                    await aio.run(make_user, "lost")

    run_in_thread(main)
    assert sdk.find_user("lost") is None


def test_a_task_that_is_cancelled_while_that_happens_hears_of_it(engine: str) -> None:
    async def main() -> None:
        outer = aio.session()
        await outer.__aenter__()
        task = asyncio.current_task()
        assert task is not None

        async def leave_and_cancel() -> None:
            time.sleep(0.05)  # The inner one has been entered, which this loop does not know yet.
            task.cancel()
            await leave(outer)

        leaving = asyncio.create_task(leave_and_cancel())
        with pytest.raises(asyncio.CancelledError):
            await aio.transaction().__aenter__()
        task.uncancel()
        with pytest.raises(sdk.StogramError, match="left"):
            await leaving
        await aio.run(make_user, "after")

    run_in_thread(main)
    assert sdk.find_user("after")


def test_what_is_closed_while_it_enters_keeps_no_worker(url: str) -> None:
    sdk.connect(url, connection_limit=1, pool_timeout=1)

    async def main() -> None:
        for pause in (0, 0.1):
            entering = aio.transaction().__aenter__()
            entering.send(None)
            await asyncio.sleep(pause)
            entering.close()
            assert await aio.find_user("ivan") is None

    run_in_thread(main)


async def break_off(generator: AsyncGenerator[int]) -> None:
    async for _ in generator:
        break


async def close_at_once(generator: AsyncGenerator[int]) -> None:
    async with aclosing(generator):
        await anext(generator)


async def finish_in_another_task(generator: AsyncGenerator[int]) -> None:
    async def finish() -> None:
        async for _ in generator:
            pass

    await anext(generator)
    with pytest.raises(sdk.StogramError, match="another task"):
        await asyncio.create_task(finish())


@pytest.mark.parametrize("way", [break_off, close_at_once, finish_in_another_task])
@pytest.mark.parametrize("unit", [aio.session, aio.transaction])
def test_after_a_generator_its_task_is_in_nothing(
    url: str, way: Callable[[Any], Any], unit: Callable[[], Any]
) -> None:
    sdk.connect(url, connection_limit=1)  # The next session has the same worker.
    left = asyncio.Event()

    async def other() -> None:
        await left.wait()
        with pytest.raises(ZeroDivisionError):
            async with aio.transaction():
                await aio.run(make_user, "lost")
                _ = 1 / 0

    async def main() -> None:
        task = asyncio.create_task(other())
        await way(numbers(lambda: unit()))
        while sdk.pool_status().in_use:
            await asyncio.sleep(0.01)
        left.set()
        async with asyncio.timeout(5):
            await aio.run(make_user, "kept")
        await task

    run_in_thread(main)
    assert [user.username for user in sdk.User.select()] == ["kept"]


def test_a_generator_that_is_dropped_in_a_transaction_says_what_was_lost(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        await break_off(numbers(aio.transaction))
        await aio.run(make_user, "lost")  # The loop has not closed the generator yet.
        while sdk.pool_status().in_use:
            await asyncio.sleep(0.01)

    run_in_thread(main)
    assert sdk.find_user("lost") is None
    assert "was left open by its task" in caplog.text


def test_a_generator_that_is_closed_after_its_task_ends_nothing_of_others(url: str) -> None:
    sdk.connect(url, connection_limit=1)
    generator = numbers(aio.session)

    async def begin() -> None:
        await anext(generator)

    async def main() -> None:
        await asyncio.create_task(begin())
        while sdk.pool_status().in_use:
            await asyncio.sleep(0.05)
        await generator.aclose()
        async with aio.transaction():
            await aio.run(make_user, "kept")

    run_in_thread(main)
    assert sdk.find_user("kept")


def test_tasks_of_one_context_are_each_in_their_own(engine: str) -> None:
    make_user("ivan")

    async def first(all_of_them: asyncio.Barrier) -> None:
        with pytest.raises(ZeroDivisionError):
            async with aio.session(), aio.transaction():
                await all_of_them.wait()
                await all_of_them.wait()  # Here the second one is in its session too.
                await aio.run(make_user, "lost")
                await all_of_them.wait()
                await all_of_them.wait()
                _ = 1 / 0

    async def second(all_of_them: asyncio.Barrier) -> None:
        await all_of_them.wait()
        async with aio.session():
            await all_of_them.wait()
            await all_of_them.wait()
            assert await aio.find_user("ivan")
            assert await aio.find_user("lost") is None
            await all_of_them.wait()

    async def third(all_of_them: asyncio.Barrier) -> None:
        for _ in range(3):
            await all_of_them.wait()
        assert await aio.find_user("lost") is None
        await all_of_them.wait()

    async def main() -> None:
        all_of_them, context = asyncio.Barrier(3), copy_context()
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(f(all_of_them), context=context) for f in (first, second, third)]
        await asyncio.gather(*tasks)

    run_in_thread(main)
    assert [user.username for user in sdk.User.select()] == ["ivan"]


def test_a_transaction_that_its_task_forgets_is_rolled_back(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def forget() -> None:
        await aio.transaction().__aenter__()
        await aio.run(make_user, "lost")

    async def main() -> None:
        await asyncio.create_task(forget())
        while sdk.pool_status().in_use:
            await asyncio.sleep(0.05)

    asyncio.run(main())
    assert sdk.find_user("lost") is None
    assert "was left open by its task" in caplog.text


# --- Ends ---


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("unit", [None, aio.transaction])
def test_a_worker_whose_connection_cannot_be_cleaned_up_makes_room_for_another(
    url: str, unit: Callable[[], Any] | None
) -> None:
    """SQLite refuses all that is asked of a connection which the program has closed itself."""
    sdk.connect(url, connection_limit=1, pool_timeout=2)

    def close_connection() -> None:
        if unit is None:
            sdk.db.connect()
        sdk.db.connection().close()
        time.sleep(0.2)

    async def main() -> None:
        for limit in (None, 0.1):
            with suppress(sdk.StogramError, sqlite3.ProgrammingError, TimeoutError):
                async with unit() if unit else nullcontext(), asyncio.timeout(limit):
                    await aio.run(close_connection)
            assert await aio.find_user("ivan") is None

    run_in_thread(main)


def test_a_loop_that_is_closed_in_the_middle_leaves_nothing(engine: str) -> None:
    make_user("there")

    async def in_transaction() -> None:
        async with aio.transaction():
            await aio.run(make_user, "lost")
            await asyncio.Event().wait()

    async def in_call() -> None:
        await aio.run(nap)

    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(work()) for work in (in_transaction, in_call)]
    loop.run_until_complete(asyncio.sleep(0.3))
    assert sdk.pool_status().in_use == 1
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as it is meant here
    tasks.clear()
    eventually(lambda: sdk.pool_status().in_use == 0)
    eventually(lambda: not workers())
    assert sdk.find_user("lost") is None
    asyncio.run(aio.find_user("there"))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_has_workers_of_its_own_and_no_part_in_a_transaction(engine: str) -> None:
    async def in_child() -> None:
        await aio.run(make_user, "child")

    async def main() -> int:
        await aio.find_user("nobody")
        async with aio.transaction():
            child = os.fork()
            if not child:
                status = 1
                try:
                    await aio.find_user("ivan")
                except RuntimeError as error:  # asyncio itself says so.
                    status = "no running event loop" not in str(error)
                finally:
                    os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert asyncio.run(main()) == 0
    child = os.fork()
    if not child:
        try:
            asyncio.run(in_child())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert sdk.find_user("child")


@pytest.mark.parametrize("end", ["return", "sys.exit(0)", "raise KeyboardInterrupt"])
def test_the_interpreter_ends_at_once(url: str, end: str) -> None:
    code = f"""
        import asyncio, sys, time
        import stogram_sdk as sdk
        from stogram_sdk import aio

        async def hold():
            async with aio.transaction():
                await aio.find_user("nobody")
                await asyncio.Event().wait()

        async def main():
            await aio.connect({url!r})
            tasks = [asyncio.create_task(hold()) for _ in range(3)]
            tasks.append(asyncio.create_task(aio.run(time.sleep, 60)))
            await asyncio.sleep(0.3)
            {end}

        asyncio.run(main())
    """
    # Much less than the worker that sleeps would take.
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=20)


# --- To be watched ---


def test_a_healthy_database_is_healthy(engine: str) -> None:
    sdk.check_health()
    with sdk.transaction():
        sdk.check_health(timeout=5)
    asyncio.run(aio.check_health())
    for wrong in (0, -1, "1", True, float("nan")):
        with pytest.raises(sdk.InvalidInput) as error:
            sdk.check_health(timeout=wrong)  # type: ignore[arg-type]  # it is wrong
        assert error.value.field == "timeout"


def test_a_database_without_a_free_connection_is_not_healthy(url: str) -> None:
    sdk.connect(url, connection_limit=1, pool_timeout=1)
    with sdk.session():
        for check in (sdk.check_health, lambda **limit: asyncio.run(aio.check_health(**limit))):
            began = time.monotonic()
            with pytest.raises(sdk.Unavailable, match=r"did not answer within 0\.2 s"):
                check(timeout=0.2)
            assert time.monotonic() - began < 0.9
    # Those that asked get their answer now, which nobody waits for any more.
    eventually(lambda: sdk.pool_status() == (0, 1, 0, 1))


def test_whoever_asks_again_joins_the_question_that_waits(url: str) -> None:
    sdk.connect(url, connection_limit=1, pool_timeout=5)
    with ThreadPoolExecutor(1) as other, sdk.session():
        before = threading.active_count()
        for _ in range(10):
            with pytest.raises(sdk.Unavailable, match="did not answer"):
                sdk.check_health(timeout=0.05)
        assert sdk.pool_status().waiting == 1
        assert threading.active_count() <= before + 1
        later = other.submit(sdk.check_health, timeout=5)
        time.sleep(0.1)
    later.result()
    sdk.check_health()


def test_a_database_in_memory_is_healthy_in_ones_own_session() -> None:
    sdk.connect("sqlite:///:memory:")

    async def check() -> None:
        await aio.check_health()
        async with aio.session():
            await aio.check_health()

    for unit in sdk.session, sdk.transaction:
        with unit():
            sdk.check_health()
    asyncio.run(check())
    asyncio.run(aio.close())


def test_a_database_that_nobody_serves_says_why(on_postgres: None) -> None:
    current_database().connect_params["host"] = "/nowhere"
    current_database().close_idle()
    with pytest.raises(sdk.Unavailable, match="nobody listens"):
        sdk.check_health(timeout=5)


def test_the_pool_says_how_busy_it_is(url: str) -> None:
    sdk.connect(url, connection_limit=2, pool_timeout=5)
    assert sdk.pool_status() == (0, 1, 0, 2)
    with sdk.session():
        assert sdk.pool_status() == (1, 0, 0, 2)
        threads = [threading.Thread(target=nap_on_connection) for _ in range(3)]
        for thread in threads:
            thread.start()
        eventually(lambda: sdk.pool_status() == (2, 0, 2, 2))
        for thread in threads:
            thread.join()
    assert sdk.pool_status() == (0, 2, 0, 2)


@sdk.session()
def nap_on_connection() -> None:
    time.sleep(0.2)

"""What would silently do something else than it looks like says so, and leaves everything clean."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.operations import operation
from tests.support.factories import make_user

UNITS: list[Callable[[], AbstractContextManager[Any]]] = [
    sdk.session,
    sdk.transaction,
    lambda: sdk.db.atomic(),
    lambda: sdk.db.connection_context(),
]
unit = pytest.mark.parametrize("unit", UNITS, ids=["session", "transaction", "atomic", "context"])


def assert_clean() -> None:
    database = current_database()
    assert not database.in_transaction()
    assert database.is_closed()
    assert database.status().in_use == 0


@unit
def test_a_unit_that_is_left_in_another_thread_is_rolled_back(
    engine: str, unit: Callable[[], AbstractContextManager[Any]]
) -> None:
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        entered = unit()
        first.submit(entered.__enter__).result()
        if unit is not sdk.session and unit is not UNITS[3]:
            first.submit(make_user, "lost").result()
        with pytest.raises(sdk.StogramError, match="another thread"):
            second.submit(entered.__exit__, None, None, None).result()
        first.submit(assert_clean).result()
        second.submit(assert_clean).result()
        first.submit(make_user, "kept").result()
    assert [user.username for user in sdk.User.select()] == ["kept"]


@unit
def test_a_task_does_not_call_inside_the_unit_of_another(
    engine: str, unit: Callable[[], AbstractContextManager[Any]]
) -> None:
    async def first(entered: asyncio.Event, refused: asyncio.Event) -> None:
        with unit():
            make_user("first")
            entered.set()
            await refused.wait()
            make_user("second")

    async def other(entered: asyncio.Event, refused: asyncio.Event) -> None:
        await entered.wait()
        try:
            for call in (make_user, lambda: sdk.transaction().__enter__()):
                with pytest.raises(sdk.StogramError, match=r"another (task|context)"):
                    call()
        finally:
            refused.set()

    async def both() -> None:
        events = asyncio.Event(), asyncio.Event()
        await asyncio.gather(first(*events), other(*events))
        make_user("third")

    asyncio.run(both())
    assert_clean()
    assert sorted(user.username for user in sdk.User.select()) == ["first", "second", "third"]


def test_a_child_of_a_task_does_not_call_inside_its_transaction(engine: str) -> None:
    async def child() -> None:
        make_user()

    async def parent() -> None:
        with sdk.transaction():
            with pytest.raises(sdk.StogramError, match="another task"):
                await asyncio.create_task(child())
            make_user("parent")

    asyncio.run(parent())
    assert sdk.find_user("parent")


def test_a_thread_does_not_call_beside_the_transaction_of_its_caller(engine: str) -> None:
    async def caller() -> None:
        with sdk.transaction():
            make_user("inside")
            with pytest.raises(sdk.StogramError, match="outside its caller's transaction"):
                await asyncio.to_thread(make_user, "outside")
        await asyncio.to_thread(make_user, "after")

    asyncio.run(caller())
    assert sorted(user.username for user in sdk.User.select()) == ["after", "inside"]


def test_a_session_around_a_loop_is_of_all_its_tasks(engine: str) -> None:
    async def main() -> None:
        make_user("ivan")

    with sdk.session():
        asyncio.run(main())
    assert sdk.find_user("ivan")


async def coroutine() -> None: ...


def generator() -> Iterator[None]:
    yield


async def both_of_them() -> AsyncIterator[None]:
    yield


class CallsACoroutine:
    async def __call__(self) -> None: ...


DECORATORS: list[Callable[[Any], Any]] = [
    sdk.retrying,
    lambda function: sdk.session()(function),
    lambda function: sdk.transaction()(function),
    lambda function: sdk.db.atomic()(function),
    lambda function: sdk.db.connection_context()(function),
    operation,
]
LATE = [coroutine, generator, both_of_them, functools.partial(coroutine), CallsACoroutine()]


@pytest.mark.parametrize("decorate", DECORATORS)
@pytest.mark.parametrize("function", LATE)
def test_what_runs_later_is_not_decorated(
    decorate: Callable[[Any], Any], function: Callable[[], Any]
) -> None:
    with pytest.raises(sdk.StogramError, match="decorate a plain function"):
        decorate(function)


@pytest.mark.parametrize("decorate", DECORATORS[:-1])
@pytest.mark.parametrize("function", LATE[:3])
def test_a_function_that_hides_what_runs_later_says_so_when_it_is_called(
    engine: str, decorate: Callable[[Any], Any], function: Callable[[], Any]
) -> None:
    with pytest.raises(sdk.StogramError, match="decorate a plain function"):
        decorate(lambda: function())()
    assert_clean()


def test_a_unit_is_entered_once_at_a_time(engine: str) -> None:
    with sdk.transaction() as nothing, pytest.raises(sdk.StogramError, match="entered once"):
        assert nothing is None
        entered = sdk.session()
        with entered, entered:
            pass
    assert_clean()


def test_a_query_outside_of_a_session_keeps_no_connection(engine: str) -> None:
    ivan = make_user("ivan")
    assert [user.id for user in sdk.User.select()] == [ivan.id]
    assert_clean()
    assert sdk.User.get(sdk.User.username == "ivan").id == ivan.id
    assert sdk.User.update(bio="bio").where(sdk.User.id == ivan.id).execute() == 1
    assert sdk.db.execute_sql('SELECT bio FROM "User"').fetchmany(5) == [("bio",)]
    assert_clean()
    for refused in (sdk.db.connection, sdk.db.cursor, sdk.db.begin):
        with pytest.raises(sdk.StogramError, match="with session"):
            refused()
    assert_clean()


def test_the_database_as_a_context_is_a_transaction(engine: str) -> None:
    with pytest.raises(ZeroDivisionError), sdk.db:
        make_user("lost")
        _ = 1 / 0
    with sdk.db:
        make_user("kept")
    assert_clean()
    assert [user.username for user in sdk.User.select()] == ["kept"]

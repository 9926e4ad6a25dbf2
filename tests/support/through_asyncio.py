"""The public functions as those of `stogram_sdk.aio`, for tests that know only plain ones.

One task makes all calls of a test, as a coroutine of a service does. It runs whenever the test
waits for one. So a transaction of the test is one of the task.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database
from stogram_sdk.engine.workers import Worker

UNITS = ("session", "transaction")


class Bridge:
    """A loop and the task in it that makes the calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._calls: asyncio.Queue[Any] = asyncio.Queue()
        self._task = self._loop.create_task(self._make_calls())
        self._execute = current_database().execute_sql
        self.calls = 0

    async def _make_calls(self) -> None:
        while True:
            function, arguments, options, done = await self._calls.get()
            try:
                done.set_result(await function(*arguments, **options))
            except BaseException as error:
                done.set_exception(error)

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Await the coroutine function in the task; what it returns or raises."""
        self.calls += 1
        done = self._loop.create_future()
        self._calls.put_nowait((function, arguments, options, done))
        return self._loop.run_until_complete(done)

    def awaited(self, name: str) -> Callable[..., Any]:
        def function(*arguments: Any, **options: Any) -> Any:
            return self.call(getattr(aio, name), *arguments, **options)

        function.__wrapped__ = getattr(aio, name)  # type: ignore[attr-defined]  # for its signature
        function.__doc__ = getattr(aio, name).__doc__
        return function

    def entered(self, name: str) -> Callable[..., Any]:
        @contextmanager
        def unit(**options: Any) -> Iterator[None]:
            entered = getattr(aio, name)(**options)
            self.call(entered.__aenter__)
            try:
                yield
            except BaseException as error:
                self.call(entered.__aexit__, type(error), error, error.__traceback__)
                raise
            self.call(entered.__aexit__, None, None, None)

        return unit

    def execute_sql(self, sql: Any, params: Any = None) -> Any:
        """A query of the test's own, from its thread, or of a call, from a worker."""
        if isinstance(threading.current_thread(), Worker):
            return self._execute(sql, params)
        return self.call(aio.run, self._execute, sql, params)

    def close(self) -> None:
        self._task.cancel()
        self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))
        self._loop.close()


@contextmanager
def through_asyncio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bridge]:
    """Inside, what is called from `stogram_sdk` is awaited from `stogram_sdk.aio`."""
    bridge = Bridge()
    monkeypatch.setattr(current_database(), "execute_sql", bridge.execute_sql)
    for name in set(aio.__all__) & set(sdk.__all__) - {"connect", "close", "retrying"}:
        make = bridge.entered if name in UNITS else bridge.awaited
        monkeypatch.setattr(sdk, name, make(name))
    try:
        yield bridge
    finally:
        monkeypatch.undo()
        bridge.close()

"""Units of work: a connection, a session or a transaction, of which nothing is left at the end.

A signal handler, a time limit or Ctrl-C may raise between any two bytecodes, also in the code that
cleans up. So a clean-up can be repeated, and two guards run it, one around the other: the outer one
heals what interrupts the inner one.

A session or transaction belongs to one thread, one task and one context: calls from elsewhere would
be outside it, or in somebody else's.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from stogram_sdk.errors import StogramError

A = ParamSpec("A")
R = TypeVar("R")
T = TypeVar("T")

_IN_ANOTHER_TASK = (
    "this thread is in a session or transaction of another task: end that before its next await, "
    "or run each as one function in a thread, as with asyncio.to_thread()"
)
_IN_ANOTHER_CONTEXT = (
    "this thread is in a session or transaction that was entered in another context, as by a "
    "dependency with `yield`: decorate the function that makes the calls with @session()"
)
_IN_A_DEPENDENCY = (
    "a dependency with `yield` is entered in one thread and left in another, and its endpoint runs "
    "in a third: decorate the endpoint with @session() or @transaction() instead"
)
_OUTSIDE = (
    "this call would be outside its caller's transaction, which is in another thread: "
    "run the whole transaction as one function in that thread; inside `aio.transaction()` await "
    "the function of stogram_sdk.aio"
)
_LEFT_ELSEWHERE = (
    "a session or transaction was left in another thread, task or context than it was entered in: "
    "it was rolled back; decorate one function with @session() or @transaction() instead"
)
_NOT_A_PLAIN_FUNCTION = (
    "a coroutine or generator would run outside, after this has ended: decorate a plain function; "
    "for coroutines there is stogram_sdk.aio; in a generator, write `with session():` around what "
    "does not yield"
)


class CalledOff(BaseException):
    """The task that waits for this call was cancelled: as Ctrl-C, it leaves nothing of the call."""


class _AtWork(threading.local):
    #: That of the call, session or transaction which this thread is in.
    database: Any = None
    #: That to which this thread has opened a connection by itself.
    connected: Any = None

    def found(self) -> Any:
        """The database that this thread is at work with, in one way or the other; or None."""
        if self.database is None and self.connected is not None and self.connected.is_closed():
            self.connected = None
        return self.database or self.connected


#: `connect()` binds the models for what begins after it: what is at work stays where it began.
at_work = _AtWork()


class Place:
    """Where the outermost session or transaction of a thread was entered."""

    __slots__ = ("at_work", "state", "task", "thread")

    def __init__(self, state: dict[str, Any]) -> None:
        self.thread = threading.current_thread()
        self.task = current_task()
        #: Peewee's state of this thread, which another thread cannot look up; and what is at work.
        self.state, self.at_work = state, vars(at_work)

    def is_open(self) -> bool:
        return self.state["place"] is self


# In a copy of a context, as in `asyncio.to_thread()`, it names the place of another thread.
place_of_context: ContextVar[Place | None] = ContextVar("stogram_sdk", default=None)


def current_task() -> Any:
    """The task of asyncio that this thread runs; None if it runs none."""
    asyncio = sys.modules.get("asyncio.tasks")  # Whoever runs a loop has imported it.
    if asyncio is None or asyncio.events._get_running_loop() is None:
        return None
    return asyncio.current_task()


def require_here(database: Any) -> None:
    """Refuse a call inside a session or transaction that is somebody else's, or elsewhere."""
    place, entered = database._state.place, place_of_context.get()
    if place is entered:
        if place is None or place.task is None:
            return
        if place.task is not current_task():
            raise StogramError(_IN_ANOTHER_TASK)
    elif place is not None:
        raise StogramError(_IN_ANOTHER_CONTEXT)
    elif entered is not None and entered.is_open() and entered.state["transactions"]:
        raise StogramError(_OUTSIDE)


def _require_own_thread() -> None:
    """Refuse what is entered as the whole work of a worker thread: it is left in any other."""
    frame: Any = sys._getframe(2)  # Of whoever enters it.
    while frame is not None and frame.f_code.co_flags & inspect.CO_GENERATOR:
        frame = frame.f_back and frame.f_back.f_back  # Past `contextlib`, which runs generators.
    if frame is not None and frame.f_globals.get("__name__", "").startswith("anyio."):
        raise StogramError(_IN_A_DEPENDENCY)


def require_plain_function(function: Callable[..., Any]) -> None:
    """Refuse what only makes a coroutine or generator, whose body runs after the unit."""
    for called in (function, type(function).__call__):
        if (
            inspect.iscoroutinefunction(called)
            or inspect.isgeneratorfunction(called)
            or inspect.isasyncgenfunction(called)
        ):
            raise StogramError(_NOT_A_PLAIN_FUNCTION)


def require_result(result: R) -> R:
    """The result of a function, unless that has only made a coroutine or generator."""
    if isinstance(result, CoroutineType | GeneratorType | AsyncGeneratorType):
        if not isinstance(result, AsyncGeneratorType):
            result.close()  # Python would warn that it was never awaited.
        raise StogramError(_NOT_A_PLAIN_FUNCTION)
    return result


def on_connection(database: Any, work: Callable[A, R], *args: A.args, **options: A.kwargs) -> R:
    """Do the work on this thread's connection, or on one of the pool that it gives back."""
    was_closed = database._state.closed
    clean_up = database.clear_thread if was_closed else database.clear_transaction
    around = at_work.database
    try:
        try:
            at_work.database = database
            if was_closed:
                database.connect()
            result = work(*args, **options)
            if was_closed:
                database.return_connection()
            at_work.database = around
            return result
        except BaseException:
            clean_up()
            at_work.database = around
            raise
    except BaseException:
        clean_up()
        at_work.database = around
        raise


class Unit(Generic[T]):
    """A session or a transaction: a context manager, and a decorator for plain functions.

    `body` takes a connection and does what it is about. Here is what all have in common: where it
    was entered, and that nothing of it is left.
    """

    _is_entered = False

    def __init__(
        self, database: Callable[[], Any], body: Callable[[], AbstractContextManager[T]]
    ) -> None:
        self._find_database = database
        self._make_body = body

    def __call__(self, function: Callable[A, R]) -> Callable[A, R]:
        require_plain_function(function)

        @wraps(function)
        def inside(*args: A.args, **kwargs: A.kwargs) -> R:
            unit = Unit(self._find_database, self._make_body)
            try:
                with unit:
                    return require_result(function(*args, **kwargs))
            except BaseException:
                unit._clean_up()
                raise

        return inside

    def __enter__(self) -> T:
        if self._is_entered:
            raise StogramError("a session or transaction is entered once: call the function again")
        self._database = database = self._find_database()
        require_here(database)
        _require_own_thread()
        state = database.state()
        self._was_closed, self._depth = state["closed"], len(state["transactions"])
        self._around = place_of_context.get()
        self._reads_around = state.get("reads")
        self._database_around = at_work.database
        self._place = state["place"] or Place(state)
        self._is_outermost = not self._place.is_open()
        try:
            try:
                self._is_entered = True
                place_of_context.set(self._place)
                state["place"] = self._place
                at_work.database = database
                self._body = self._make_body()
                entered = self._body.__enter__()
                self._transactions = state["transactions"][:]
                return entered
            except BaseException:
                self._clean_up()
                raise
        except BaseException:
            self._clean_up()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            try:
                self._require_here()
                self._body.__exit__(kind, error, traceback)
                if self._was_closed:
                    self._database.return_connection()
                self._leave()
            except BaseException:
                self._clean_up()
                raise
        except BaseException:
            self._clean_up()
            raise

    def __del__(self) -> None:
        # Interrupted between two bytecodes of the caller, or before the first one of `__exit__`.
        # By now the thread may be in another transaction.
        if self._is_entered and self._place.state["transactions"] == self._transactions:
            self._clean_up()

    def _require_here(self) -> None:
        try:
            is_here = self._database.place() is self._place
            if is_here:
                require_here(self._database)
        except StogramError:
            is_here = False
        if not is_here:
            raise StogramError(_LEFT_ELSEWHERE)

    def _clean_up(self) -> None:
        """Leave nothing, if there is still something; can be repeated when it is interrupted."""
        if not self._is_entered:
            return
        place = self._place
        if place.is_open():
            if place.thread is not threading.current_thread():
                self._database.clear_thread(place.thread, place.state)
            elif self._was_closed:
                self._database.clear_thread()
            elif not self._depth:
                self._database.clear_transaction()
        self._leave()

    def _leave(self) -> None:
        if self._place.is_open():
            self._place.state["reads"] = self._reads_around
            self._place.at_work["database"] = self._database_around
        if self._is_outermost and self._place.is_open():
            self._place.state["place"] = None
        if place_of_context.get() is self._place:
            place_of_context.set(self._around)
        self._is_entered = False

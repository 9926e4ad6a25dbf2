"""What every public function has around it: a connection, the tree of errors, a second try."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, overload

import peewee

from stogram_sdk.database import current_database
from stogram_sdk.engine.failures import run_again, translate

A = ParamSpec("A")
R = TypeVar("R")


@overload
def operation(function: Callable[A, R]) -> Callable[A, R]: ...


@overload
def operation(*, repeatable: bool | str) -> Callable[[Callable[A, R]], Callable[A, R]]: ...


def operation(function: Callable[A, R] | None = None, *, repeatable: bool | str = True) -> Any:
    """Make a function one unit of work.

    Inside the caller's transaction it is part of that: an error leaves as a `StogramError`, and
    whether to start over is the caller's decision. Outside it has a connection of its own for as
    long as it runs, and may run again, as `failures` says.

    `repeatable`: whether a second run, after a first of which nothing is known, leaves the database
    as one would; or the name of the argument without which it does not.
    """
    if function is None:
        return lambda function: _unit_of_work(function, repeatable)
    return _unit_of_work(function, repeatable)


def _unit_of_work(function: Callable[A, R], repeatable: bool | str) -> Callable[A, R]:
    kinds = map(str, function.__annotations__.values())
    takes_lists = any(kind.startswith("Iterable[") for kind in kinds)

    @wraps(function)
    def unit_of_work(*args: A.args, **kwargs: A.kwargs) -> R:
        database = current_database()
        can_repeat = repeatable
        if isinstance(can_repeat, str):
            can_repeat = kwargs.get(can_repeat) is not None
        try:
            if database.in_transaction():
                return function(*args, **kwargs)
            opened = database.connect(reuse_if_open=True)
            try:
                unit = partial(function, *args, **kwargs)
                if takes_lists:
                    unit = _with_lists(unit)
                return run_again(unit, repeatable=can_repeat)
            finally:
                if opened:
                    database.close()
        except peewee.PeeweeException as error:
            raise translate(error, repeatable=can_repeat) from error

    unit_of_work.repeatable = repeatable  # type: ignore[attr-defined]  # for who asks
    return unit_of_work


def _with_lists(call: partial[R]) -> partial[R]:
    """The call with lists for iterators: these have nothing left for a second run."""

    def kept(value: Any) -> Any:
        return list(value) if isinstance(value, Iterator) else value

    named = {name: kept(value) for name, value in call.keywords.items()}
    return partial(call.func, *map(kept, call.args), **named)


def retrying(function: Callable[A, R]) -> Callable[A, R]:
    """Make a function of your own one unit of work: a transaction that is run again, up to five
    times, when it meets another (SQLSTATE 40001, 40P01, 23503), and once when its connection is
    lost before the commit.

    Inside another transaction it runs once, as part of that: whoever began it starts over.
    """

    @wraps(function)
    def in_transaction(*args: A.args, **kwargs: A.kwargs) -> R:
        with current_database().atomic():
            return function(*args, **kwargs)

    return operation(repeatable=False)(in_transaction)


def atomic() -> AbstractContextManager[None]:
    """A transaction for the statements of one function; a savepoint inside the caller's."""
    unit: AbstractContextManager[None] = current_database().unit()
    return unit

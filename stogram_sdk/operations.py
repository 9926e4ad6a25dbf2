"""What every public function has around it: a connection, the tree of errors, a second try."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import ParamSpec, TypeVar

from stogram_sdk.database import (
    current_database,
    run_again_on_conflict,
    session,
    translated_errors,
)

A = ParamSpec("A")
R = TypeVar("R")


def operation(function: Callable[A, R]) -> Callable[A, R]:
    """Make a function one unit of work.

    Inside the caller's transaction it is part of that: an error leaves as a `StogramError`, and
    whether to start over is the caller's decision. Outside it has a connection of its own for as
    long as it runs, and runs again when it met another transaction (see `retrying`).
    """

    @wraps(function)
    def unit_of_work(*args: A.args, **kwargs: A.kwargs) -> R:
        with translated_errors():
            if current_database().in_transaction():
                return function(*args, **kwargs)
            with session():
                return run_again_on_conflict(lambda: function(*args, **kwargs))

    return unit_of_work


def retrying(function: Callable[A, R]) -> Callable[A, R]:
    """Make a function of your own one unit of work: a transaction that is run again, up to five
    times, when it meets another (SQLSTATE 40001, 40P01).

    Inside another transaction it runs once, as part of that: whoever began it starts over.
    """

    def in_transaction(*args: A.args, **kwargs: A.kwargs) -> R:
        with atomic():
            return function(*args, **kwargs)

    return operation(wraps(function)(in_transaction))


def atomic() -> AbstractContextManager[None]:
    """A transaction for the statements of one function; a savepoint inside the caller's."""
    transaction: AbstractContextManager[None] = current_database().atomic()
    return transaction

"""The frame of every public function: a connection, the tree of errors, a second try."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial, wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import peewee

from stogram_sdk.database import current_database, db
from stogram_sdk.engine.failures import run_again, translate
from stogram_sdk.engine.units import (
    on_connection,
    require_here,
    require_plain_function,
    require_result,
)
from stogram_sdk.models import new_id
from stogram_sdk.validation import plain_text

A = ParamSpec("A")
R = TypeVar("R")


@overload
def operation(function: Callable[A, R]) -> Callable[A, R]: ...


@overload
def operation(
    *, repeatable: bool = True, repeatable_with: str | None = None, reads: bool = False
) -> Callable[[Callable[A, R]], Callable[A, R]]: ...


def operation(
    function: Callable[A, R] | None = None,
    *,
    repeatable: bool = True,
    repeatable_with: str | None = None,
    reads: bool = False,
) -> Any:
    """Make a public function one unit of work.

    `repeatable`: if the outcome of a first run is not known, a second run is safe: the database
    ends up as after one run. `repeatable_with`: only with the keyword argument of this name.
    `reads`: it writes nothing, and its answer may be a moment late: a standby can give it.
    """
    if function is None:
        return partial(
            operation, repeatable=repeatable, repeatable_with=repeatable_with, reads=reads
        )
    unit = _unit_of_work(function, repeatable, repeatable_with, reads)

    @wraps(function)
    def with_lists(*args: Any, **kwargs: Any) -> R:
        return unit(
            [_plain(value) for value in args],
            {name: _plain(value) for name, value in kwargs.items()},
        )

    return with_lists


def operation_with_id(function: Callable[Concatenate[str, A], R]) -> Callable[A, R]:
    """Make a public function one unit of work that is given, before its arguments, an id.

    It is that of the row to make, drawn once a call. So a run after one whose answer was lost finds
    the row, and knows it as its own.
    """
    unit = operation(function)

    @wraps(function)
    def with_id(*args: A.args, **kwargs: A.kwargs) -> R:
        return unit(new_id(), *args, **kwargs)

    of_function = signature(function)
    _, *parameters = of_function.parameters.values()
    with_id.__signature__ = of_function.replace(  # type: ignore[attr-defined]  # for `inspect`
        parameters=parameters
    )
    return with_id


def _plain(value: Any) -> Any:
    """A list in place of an iterator, which the first run would use up; a text without a class.

    A subclass of `str` may join and cut in ways of its own, as those for HTML do.
    """
    # A text is asked for first: it is most of what there is, and `Iterator` is slow to ask for.
    if isinstance(value, str):
        return value if type(value) is str else plain_text(value)
    return list(value) if isinstance(value, Iterator) else value


def _unit_of_work(
    function: Callable[..., R],
    repeatable: bool,
    repeatable_with: str | None = None,
    reads: bool = False,
) -> Callable[[Sequence[Any], dict[str, Any]], R]:
    """Give a function a connection while it runs, and run it again where `failures` says so.

    Inside the caller's transaction it runs once, as a part of that. An error undoes what the call
    did and leaves it as a `StogramError`; the transaction stays usable, and the caller decides
    whether to go on or to start over.
    """

    require_plain_function(function)

    def unit_of_work(args: Sequence[Any], kwargs: dict[str, Any]) -> R:
        database = current_database()
        require_here(database)
        can_repeat = repeatable
        if repeatable_with is not None:
            can_repeat = kwargs.get(repeatable_with) is not None
        try:
            if database.in_transaction():
                with database.unit():
                    return function(*args, **kwargs)
            unit = partial(function, *args, **kwargs)
            if not reads or database.standbys is None:
                return on_connection(database, run_again, unit, repeatable=can_repeat)
            result: R = database.standbys.read(
                lambda standby: unit(),
                lambda: on_connection(database, run_again, unit, repeatable=can_repeat),
            )
            return result
        except peewee.PeeweeException as error:
            raise translate(error, repeatable=can_repeat) from error

    return unit_of_work


def retrying(function: Callable[A, R]) -> Callable[A, R]:
    """Make a function of your own one unit of work: a transaction that is run again if it fails.

    It is run up to five times if it conflicts with another one (SQLSTATE 40001, 40P01, 23503), and
    once more if its connection is lost before the commit.

    Each run gets the same arguments: an iterator among them is used up by the first. Inside another
    transaction the function runs once, as a part of that one: the code that began that one has to
    start over.

    >>> @retrying
    ... def mute_all() -> None:
    ...     mute_chat(anna.id, chat.id)
    >>> mute_all()
    """
    require_plain_function(function)

    def in_transaction(*args: A.args, **kwargs: A.kwargs) -> R:
        with db.atomic():
            return require_result(function(*args, **kwargs))

    unit = _unit_of_work(in_transaction, repeatable=False)

    @wraps(function)
    def as_unit(*args: A.args, **kwargs: A.kwargs) -> R:
        return unit(args, kwargs)

    return as_unit


def atomic() -> AbstractContextManager[None]:
    """A transaction for the statements of one function.

    Inside one of the caller the call has its savepoint, and needs no other.
    """
    database = current_database()
    unit: AbstractContextManager[None]
    unit = nullcontext() if database.in_transaction() else database.unit()
    return unit

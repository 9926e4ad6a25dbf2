"""Checks of arguments: bad input is refused in the same words on both engines.

Each `valid_...` returns the value as it is to be sent, or raises `InvalidInput` for the `field`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Final, TypeVar

from stogram_sdk.errors import InvalidInput
from stogram_sdk.fields import plain_time

E = TypeVar("E", bound=StrEnum)
V = TypeVar("V")


class Unset(Enum):
    """The default of an argument for which None has a meaning of its own."""

    UNSET = "not given"

    def __repr__(self) -> str:
        return "..."


UNSET: Final = Unset.UNSET

MAX_ID_LENGTH = 128
MAX_CONTENT_LENGTH = 65_536
MAX_URL_LENGTH = 4_096
MAX_SHORT_TEXT_LENGTH = 1_024
MAX_IDS = 10_000
#: What the server's columns for numbers hold.
MAX_INTEGER = 2**31 - 1
MAX_MESSAGES = 1_000
MAX_LIMIT = 100


def shown(value: object) -> str:
    """The value in the text of an error: the beginning of its repr, or its type."""
    try:
        text = repr(value)
    except Exception:  # a repr may raise anything, as that of a number of 5,000 digits does
        return type(value).__name__
    return text if len(text) <= 40 else f"{text[:39]}…"


def _is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text, as SQLite can."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return "\0" not in text


def valid_text(value: object, field: str, *, maximum: int, minimum: int = 1) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be a str, not {type(value).__name__}", field=field)
    if not minimum <= len(value) <= maximum:
        raise InvalidInput(
            f"{field} must have {minimum} to {maximum} characters, not {len(value)}", field=field
        )
    if not _is_storable(value):
        raise InvalidInput(
            f"{field} must not hold the NUL character or half of a surrogate pair", field=field
        )
    return plain_text(value)


def plain_text(text: str) -> str:
    """The characters of the text alone: a subclass may have ways of its own to join and cut it."""
    return str.__str__(text)


def valid_id(value: object, field: str) -> str:
    return valid_text(value, field, maximum=MAX_ID_LENGTH)


def valid_named_ids(**ids: object) -> dict[str, str]:
    """The ids by the names of their arguments."""
    return {name: valid_id(value, name) for name, value in ids.items()}


def valid_list(
    values: Iterable[Any], field: str, of: str, valid: Callable[[Any, str], V]
) -> list[V]:
    """Each value as `valid` returns it, in the order given."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidInput(
            f"{field} must be a list of {of}, not {type(values).__name__}", field=field
        )
    return [valid(value, field) for value in values]


def at_most(maximum: int, values: list[V], field: str, of: str) -> list[V]:
    """The values. Raises `InvalidInput` if they are more."""
    if len(values) > maximum:
        raise InvalidInput(
            f"{field} must have at most {maximum} {of}, not {len(values)}", field=field
        )
    return values


def valid_ids(values: Iterable[str], field: str, *, each_once: bool = False) -> list[str]:
    """The ids, each once, in the order given; with `each_once` none may be given twice."""
    given = valid_list(values, field, "ids", valid_id)
    ids = at_most(MAX_IDS, list(dict.fromkeys(given)), field, "ids")
    if each_once and len(ids) < len(given):
        raise InvalidInput(f"{field} must name each id once", field=field)
    return ids


def valid_pairs(values: Iterable[tuple[str, str]], field: str) -> list[tuple[str, str]]:
    """The pairs of ids, each once, in the order given."""
    given = valid_list(values, field, "pairs of ids", _valid_pair)
    return at_most(MAX_LIMIT, list(dict.fromkeys(given)), field, "pairs of ids")


def _valid_pair(value: object, field: str) -> tuple[str, str]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InvalidInput(
            f"{field} must be a list of pairs of ids, not of {shown(value)}", field=field
        )
    return valid_id(value[0], field), valid_id(value[1], field)


def valid_optional_text(value: object, field: str, *, maximum: int) -> str | None:
    return None if value is None else valid_text(value, field, maximum=maximum)


def valid_flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{field} must be True or False, not {shown(value)}", field=field)
    return value


def valid_enum(enum: type[E], value: Any, field: str) -> E:
    try:
        return enum(value)
    except ValueError:
        names = ", ".join(member.value for member in enum)
        raise InvalidInput(
            f"{field} must be one of {names}, not {shown(value)}", field=field
        ) from None


def valid_time(value: object, field: str) -> datetime:
    if not isinstance(value, datetime):
        raise InvalidInput(f"{field} must be a datetime, not {type(value).__name__}", field=field)
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidInput(f"{field} must be an aware time, such as datetime.now(UTC)", field=field)
    try:
        return plain_time(value)
    except OverflowError:
        raise InvalidInput(
            f"{field} must lie between the years 1 and 9999 in UTC", field=field
        ) from None


def valid_count(value: object, field: str, *, maximum: int, minimum: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise InvalidInput(
            f"{field} must be a whole number from {minimum} to {maximum}, not {shown(value)}",
            field=field,
        )
    return value


def valid_limit(value: Any) -> int:
    return valid_count(value, "limit", minimum=1, maximum=MAX_LIMIT)

"""Pages of a list, by a keyset cursor: the place of the last row in the order of the list.

Nothing is skipped or shown twice when rows arrive between two pages, and a page far down costs
what the first one costs.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from stogram_sdk.errors import InvalidInput
from stogram_sdk.fields import EARLIEST, LATEST, time_to_text
from stogram_sdk.validation import valid_id

T = TypeVar("T")

#: Before every row of a list that is newest first, whatever the clocks of others say.
START = (LATEST, "")

#: Before every row of a list that is oldest first. Such a list ends with a page whose last row has
#: the time `LATEST`: all that are later have it too, and would come again.
BEGINNING = (EARLIEST, "")

#: Between the parts of a cursor. None of them has it: `valid_id` refuses it.
_SEPARATOR = "\0"

#: So many rows are in what a page says of itself.
_SHOWN = 3


class Page(list[T]):
    """Rows of a list; `next_cursor` asks for the rows after them, and is None if there are none.

    `previous_cursor` asks for those before them, in a list that can be read in both directions.
    """

    def __init__(
        self,
        rows: Sequence[T] = (),
        next_cursor: str | None = None,
        previous_cursor: str | None = None,
    ) -> None:
        super().__init__(rows)
        self.next_cursor = next_cursor
        self.previous_cursor = previous_cursor

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:_SHOWN])) + (", ..." if len(self) > _SHOWN else "")
        more = ", and more to come" if self.next_cursor else ""
        return f"<Page of {len(self)}{more}{': ' if self else ''}{shown}>"


def make_page(
    rows: Sequence[T], limit: int, name: str, place: Callable[[T], tuple[Any, ...]]
) -> Page[T]:
    """A page of `limit` rows of the `limit + 1` that were asked for.

    `place` is a row's place in the order of the list `name`: times, texts and flags.
    """
    if len(rows) <= limit:
        return Page(rows)
    return Page(rows[:limit], write_cursor(name, place(rows[limit - 1])))


def write_cursor(name: str, place: tuple[Any, ...]) -> str:
    """The cursor for a place in the list `name`, which `read_cursor` reads."""
    parts = [time_to_text(part) if isinstance(part, datetime) else str(part) for part in place]
    text = _SEPARATOR.join([name, *parts])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, name: str, start: tuple[Any, ...] = START) -> tuple[Any, ...]:
    """The place that a cursor of the list `name` stands for; `start` without a cursor.

    Raises `InvalidInput` for anything that is not a cursor of that list. A cursor holds only a
    place: what its holder may see is decided by the statement, whoever made it.
    """
    if cursor is None:
        return start
    wrong = InvalidInput(
        "cursor must be the next_cursor of a page of the same list", field="cursor"
    )
    if not isinstance(cursor, str) or len(cursor) > 4096:
        raise wrong
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        _, *parts = text.decode().split(_SEPARATOR)
        place = tuple(_part(part, kind) for part, kind in zip(parts, start, strict=True))
    except ValueError:
        raise wrong from None
    if write_cursor(name, place) != cursor:
        raise wrong
    return place


def _part(part: str, like: Any) -> Any:
    if isinstance(like, datetime):
        return datetime.strptime(part, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    return part == str(True) if isinstance(like, bool) else valid_id(part, "cursor")

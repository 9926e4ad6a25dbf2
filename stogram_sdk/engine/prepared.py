"""Statements that PostgreSQL plans once for each connection: PREPARE, and EXECUTE at each call.

Planning is most of what a short statement costs. A name tells whoever watches the server which
function has sent it, as in `stogram_read_7_list_messages`. It is never used again in this process,
so a statement that is built anew, for other columns, gets a new one. A PREPARE is not sent together
with the values of a call: the server shows its whole message in "pg_prepared_statements".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

#: How the names begin, of those that only read and of the others.
READING, WRITING = "stogram_read_", "stogram_write_"

#: A connection knows at most so many: each takes some 100 kB of the server's memory.
MOST_PREPARED = 64

_NUMBERS = count(1)


_WRITE = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b")


class Placeholder(str):
    """The place of a value among the parameters of a statement; the text is its name."""

    __slots__ = ()


class Prepared(NamedTuple):
    """`prepare` is sent with the `constants`, then `execute` with the values of the `slots`."""

    name: str
    prepare: str
    constants: tuple[Any, ...]
    execute: str
    slots: tuple[Placeholder, ...]


@lru_cache(maxsize=1_000)  # To search a long one takes longer than to carry it out.
def only_reads(text: str) -> bool:
    """Whether a statement writes nothing, as far as its text tells."""
    return text.startswith("SELECT") or (text.startswith("WITH") and not _WRITE.search(text))


def prepared(text: str, slots: Sequence[Any], function: str) -> Prepared:
    """The two forms of a statement, whose `%s` stand for the slots: placeholders and constants.

    The constants become a part of the text, since they help to plan it.
    """
    numbers: dict[Placeholder, int] = {}
    constants = []
    first, *pieces = text.split("%s")
    planned = [first]
    for slot, piece in zip(slots, pieces, strict=True):
        if type(slot) is Placeholder:
            planned.append(f"${numbers.setdefault(slot, len(numbers) + 1)}")
        else:
            planned.append("%s")
            constants.append(slot)
        planned.append(piece)
    kind = READING if only_reads(text) else WRITING
    name = f"{kind}{next(_NUMBERS)}_{function.strip('_')}"
    values = f"({', '.join(['%s'] * len(numbers))})" if numbers else ""
    return Prepared(
        name,
        f"PREPARE {name} AS {''.join(planned)}",
        tuple(constants),
        f"EXECUTE {name}{values}",
        tuple(numbers),
    )

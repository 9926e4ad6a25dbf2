"""Tables in Markdown, which is also how they are printed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], texts: Container[int] = (0,)
) -> str:
    """`texts`: the columns that hold no numbers."""
    kinds = ["---" if place in texts else "---:" for place in range(len(headings))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, kinds, *rows))


def title(result: dict[str, Any]) -> str:
    """Where it was measured."""
    engine = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[result["engine"]]
    return f"{engine}, {result['messages']:,} messages"

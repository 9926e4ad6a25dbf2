"""Tables in Markdown, which is also how they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """`texts`: how many columns hold no numbers."""
    kinds = ["---"] * texts + ["---:"] * (len(headings) - texts)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, kinds, *rows))

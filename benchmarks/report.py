"""`python -m benchmarks.report`: docs/performance.md and its pictures, from benchmarks/results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bar import bar_in_markdown, others_in_markdown
from benchmarks.growth import draw_growth
from benchmarks.peers import peers_in_markdown
from benchmarks.results import BY_HAND, OURS, read_peers, read_results, read_unread
from benchmarks.tables import table
from benchmarks.unread import unread_in_markdown

DOCS = Path(__file__).parents[1] / "docs"
_HEADINGS = ("median", "p95", "p99", "ratio")


def print_figures(result: dict[str, Any]) -> None:
    print(f"{result['messages']:,} messages on {result['engine']}\n")
    print(_table(result["calls"], _HEADINGS))


def _table(calls: dict[str, Any], headings: Sequence[str]) -> str:
    rows = (
        (f"&nbsp;&nbsp;{name.strip()}" if name.startswith(" ") else f"`{name}`", *numbers)
        for name, *numbers in _rows(calls)
    )
    cut = (row[: 1 + len(headings)] for row in rows)
    return table(["call, ms", *headings], cut)


def _rows(calls: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A line for each call and contestant; the ratio is to the limit."""
    for name, contestants in calls.items():
        limit = contestants.get(BY_HAND)
        for who, times in contestants.items():
            if who == BY_HAND:
                continue
            ratio = f"{times['median'] / limit['median']:.2f}" if limit else ""
            numbers = [f"{times[heading]:.2f}" for heading in _HEADINGS[:3]]
            yield (name if who == OURS else f"    {who}", *numbers, ratio)


def figures_in_markdown(results: Sequence[dict[str, Any]]) -> str:
    """All results as tables, one for each."""
    parts: list[str] = []
    for result in results:
        engine = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[result["engine"]]
        title = f"{engine}, {result['messages']:,} messages"
        parts += ["<details>", f"<summary>{title}</summary>", ""]
        headings = _HEADINGS if result["engine"] == "postgresql" else _HEADINGS[:3]
        parts += [_table(result["calls"], headings), "</details>", ""]
    return "\n".join(parts)


def with_figures(document: str, results: Sequence[dict[str, Any]]) -> str:
    """The document with these figures between its marks."""
    on_postgres = _on_postgres(results)
    small_enough = [each for each in on_postgres if each["messages"] <= 1_000_000]
    document = _with(document, "bar", bar_in_markdown(results))
    document = _with(document, "others", others_in_markdown((small_enough or on_postgres)[-1]))
    peers = "\n".join(map(peers_in_markdown, read_peers()))
    document = _with(document, "peers", peers)
    document = _with(document, "unread", unread_in_markdown(read_unread()))
    return _with(document, "figures", figures_in_markdown(results))


def _on_postgres(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for result in results if result["engine"] == "postgresql"]


def _with(document: str, name: str, text: str) -> str:
    marks = re.compile(rf"(<!-- {name} -->\n).*(<!-- end of {name} -->)", re.DOTALL)
    return marks.sub(lambda match: match[1] + text + match[2], document)


def main() -> None:
    results = read_results()
    document = DOCS / "performance.md"
    document.write_text(with_figures(document.read_text(), results))
    draw_growth(_on_postgres(results), DOCS / "growth.svg")


if __name__ == "__main__":
    main()

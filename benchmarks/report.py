"""`python -m benchmarks.report`: docs/performance.md and its pictures, from benchmarks/results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bar import bar_in_markdown, over_in_markdown
from benchmarks.growth import draw_growth
from benchmarks.results import ASYNCPG, OURS, PSYCOPG, UNREAD, cpu_of, read_results
from benchmarks.tables import table, title
from benchmarks.unread import unread_in_markdown

DOCS = Path(__file__).parents[1] / "docs"
#: What a whole table is of: larger ones are details.
_LARGEST = 1_000_000
#: What details of PostgreSQL are of: what reads more where there is more.
_GROWING = ("list_", "find_by_", "search_", "unread_totals", "get_chat", "send_message")
#: How many calls stand side by side in the tables of details.
_SIDE_BY_SIDE = 3
_TIMES = ("median", "p95")


def calls_in_markdown(result: dict[str, Any]) -> str:
    """A line for each call: what ours costs, in milliseconds, and how many times theirs that is."""
    peers = (ASYNCPG, PSYCOPG) if result["engine"] == "postgresql" else ()
    headings = [*_TIMES, "CPU"]
    headings += [f"{what}, to {_short(peer)}" for peer in peers for what in ("median", "CPU")]
    rows = []
    for name, contestants in result["calls"].items():
        ours = contestants[OURS]
        cells = [f"{cost:.2f}" for cost in (ours["median"], ours["p95"], cpu_of(ours))]
        for peer in peers:
            theirs = contestants.get(peer)
            for cost in (_median, cpu_of):
                cells.append(f"{cost(ours) / cost(theirs):.2f} x" if theirs else "")
        rows.append([f"`{name}`", *cells])
    return table([f"ms, {title(result)}", *headings], rows)


def orms_in_markdown(result: dict[str, Any]) -> str:
    """The medians of those calls that the ORMs make too, side by side."""
    calls = {name: costs for name, costs in result["calls"].items() if "Django" in costs}
    contestants = [who for who in next(iter(calls.values()), {}) if who not in (ASYNCPG, PSYCOPG)]
    rows = (
        [f"`{name}`", *(f"{costs[who]['median']:.2f}" for who in contestants)]
        for name, costs in calls.items()
    )
    return table([f"median, ms, {title(result)}", *contestants], rows)


def details_in_markdown(results: Sequence[dict[str, Any]]) -> str:
    """A table for each result, with several calls in a line."""
    parts: list[str] = []
    for result in results:
        cells = [
            [f"`{name}`", *(f"{contestants[OURS][time]:.2f}" for time in _TIMES)]
            for name, contestants in result["calls"].items()
            if result["engine"] == "sqlite" or name.startswith(_GROWING)
        ]
        lines = -(-len(cells) // _SIDE_BY_SIDE)
        rows = ([cell for each in cells[line::lines] for cell in each] for line in range(lines))
        headings = ["call, ms", *_TIMES] * _SIDE_BY_SIDE
        texts = range(0, len(headings), 1 + len(_TIMES))
        parts += ["<details>", f"<summary>{title(result)}</summary>", ""]
        parts += [table(headings, rows, texts), "</details>", ""]
    return "\n".join(parts)


def _median(costs: dict[str, float]) -> float:
    return costs["median"]


def _short(contestant: str) -> str:
    return contestant.removesuffix(" by hand")


def with_figures(document: str, results: Sequence[dict[str, Any]]) -> str:
    """The document with these figures between its marks."""
    on_postgres = [result for result in results if result["engine"] == "postgresql"]
    whole = [result for result in on_postgres if result["messages"] <= _LARGEST][-1]
    details = [result for result in on_postgres if result["messages"] > _LARGEST]
    details += [result for result in results if result["engine"] == "sqlite"]
    document = _with(document, "bar", bar_in_markdown(results))
    document = _with(document, "over", over_in_markdown(whole["calls"]))
    document = _with(document, "calls", calls_in_markdown(whole))
    document = _with(document, "others", orms_in_markdown(whole))
    document = _with(document, "unread", unread_in_markdown(read_results(UNREAD)))
    return _with(document, "details", details_in_markdown(details))


def _with(document: str, name: str, text: str) -> str:
    marks = re.compile(rf"(<!-- {name} -->\n).*(<!-- end of {name} -->)", re.DOTALL)
    return marks.sub(lambda match: match[1] + text + match[2], document)


def main() -> None:
    results = read_results()
    document = DOCS / "performance.md"
    document.write_text(with_figures(document.read_text(), results))
    on_postgres = [result for result in results if result["engine"] == "postgresql"]
    draw_growth(on_postgres, DOCS / "growth.svg")


if __name__ == "__main__":
    main()

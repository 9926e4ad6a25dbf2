"""`python -m benchmarks.report`: docs/performance.md and its pictures, from benchmarks/results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"
OURS = "stogram_sdk"
#: psycopg2 with the same SQL.
BY_HAND = "psycopg2 by hand"
#: What a message with tags is compared to: the row alone.
GUIDE = "plain INSERT, before 003"
PLAIN = "plain INSERT, with 003 and MessageTag"

_HEADINGS = ("median", "p95", "p99", "ratio")


def print_figures(result: dict[str, Any]) -> None:
    table = Table("call", title=f"{result['messages']:,} messages on {result['engine']}, ms")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    for row in _rows(result["calls"]):
        table.add_row(*row)
    Console(width=110).print(table)


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
        parts += [f"### {engine}, {result['messages']:,} messages", ""]
        headings = _HEADINGS if result["engine"] == "postgresql" else _HEADINGS[:3]
        parts.append(f"| call, ms | {' | '.join(headings)} |")
        parts.append(f"| --- |{' ---: |' * len(headings)}")
        for name, *numbers in _rows(result["calls"]):
            label = f"&nbsp;&nbsp;{name.strip()}" if name.startswith(" ") else f"`{name}`"
            parts.append(f"| {label} | {' | '.join(numbers[: len(headings)])} |")
        parts.append("")
    return "\n".join(parts)


def read_results() -> list[dict[str, Any]]:
    """All of benchmarks/results: PostgreSQL first, and what is larger later."""
    results = [json.loads(path.read_text()) for path in RESULTS.glob("*.json")]
    return sorted(results, key=lambda result: (result["engine"], result["messages"]))


def with_figures(document: str, results: Sequence[dict[str, Any]]) -> str:
    """The document with these figures between its marks."""
    marks = re.compile(r"(<!-- figures -->\n).*(<!-- end of figures -->)", re.DOTALL)
    return marks.sub(lambda match: match[1] + figures_in_markdown(results) + match[2], document)


def main() -> None:
    results = read_results()
    document = DOCS / "performance.md"
    document.write_text(with_figures(document.read_text(), results))
    _draw_growth([result for result in results if result["engine"] == "postgresql"])


def _draw_growth(results: Sequence[dict[str, Any]]) -> None:
    """How the cost grows with messages, members and chats, as docs/growth.svg."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "stogram"
    figure, panes = pyplot.subplots(1, 3, figsize=(14, 4.5), layout="constrained")
    by_messages = {result["messages"]: result["calls"] for result in results}
    for name in (
        "find_by_hashtag, popular, 500 chats",
        "find_by_hashtag, absent, 500 chats",
        "list_chats, 500 chats",
        "list_messages",
        "unread_totals, 500 chats",
    ):
        found = [(size, calls[name]) for size, calls in by_messages.items() if name in calls]
        _draw(panes[0], name, found)
    largest = results[-1]["calls"]
    _draw(panes[1], "send_message", _by_number(largest, r"send_message, ([\d,]+) members"))
    for name in ("list_chats", "find_by_hashtag"):
        _draw(panes[2], name, _by_number(largest, rf"{name}, user in ([\d,]+)"))
    labels = "messages", "members of the chat", "chats of the user"
    for pane, label in zip(panes, labels, strict=True):
        pane.set(xscale="log", xlabel=label, ylabel="ms, median and p95")
        pane.set_ylim(bottom=0)
        pane.legend(fontsize=8)
    figure.savefig(DOCS / "growth.svg", metadata={"Date": None})


def _draw(pane: Any, name: str, found: Iterable[tuple[int, Any]]) -> None:
    sizes, contestants = zip(*found, strict=True)
    (line,) = pane.plot(sizes, [each[OURS]["median"] for each in contestants], "o-", label=name)
    pane.plot(sizes, [each[OURS]["p95"] for each in contestants], ":", color=line.get_color())


def _by_number(calls: dict[str, Any], pattern: str) -> list[tuple[int, Any]]:
    """The calls whose names fit, by the number in them."""
    found = [(re.fullmatch(pattern, name), times) for name, times in calls.items()]
    return [(int(match[1].replace(",", "")), times) for match, times in found if match]


if __name__ == "__main__":
    main()

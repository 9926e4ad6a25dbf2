"""The picture of how the cost grows with messages, members and chats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.results import OURS
from stogram_sdk.unread import MOST_RAISED

#: The lines of the first picture, and whose they are.
GROWING = {
    "list_chats, 500 chats": (OURS,),
    "unread_totals, 500 chats": (OURS,),
    "find_by_hashtag, popular, 500 chats": (OURS,),
    "find_by_hashtag, middling, 500 chats": (OURS, "Peewee"),
    "list_messages": (OURS,),
}


class _Line(NamedTuple):
    """A line of a picture, with what lies between it and p95."""

    label: str
    style: str
    sizes: Sequence[int]
    medians: Sequence[float]
    highest: Sequence[float]


def draw_growth(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw what was measured on PostgreSQL; the results are by size, the largest comes last."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.rcParams |= {"svg.hashsalt": "stogram", "axes.grid": True, "grid.alpha": 0.3}
    matplotlib.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}
    figure, panes = pyplot.subplots(1, 3, figsize=(14, 6), layout="constrained")
    largest = results[-1]
    messages = f"{largest['messages']:,} messages"
    grown = [
        _line(name, [(each["messages"], each["calls"][name]) for each in results], who)
        for name, contestants in GROWING.items()
        for who in contestants
    ]
    sizes = _by_number(largest["calls"], r"send_message, ([\d,]+) members")
    chats = [
        _line(name, _by_number(largest["calls"], rf"{name}, user in ([\d,]+)"))
        for name in ("list_chats", "find_by_hashtag")
    ]
    _draw(panes[0], "messages in all", grown)
    _draw(panes[1], f"members of the chat ({messages})", [_line("send_message", sizes)])
    _draw(panes[2], f"chats of the user ({messages})", chats)
    panes[0].set_ylabel("milliseconds: median, and up to p95")
    panes[1].axvline(MOST_RAISED, color="gray", linestyle=":")
    panes[1].text(MOST_RAISED * 1.2, 0.3, "above, the server's\ncounts are left alone", fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def _line(name: str, found: Iterable[tuple[int, Any]], who: str = OURS) -> _Line:
    label = name if who == OURS else f"{name}, by plain {who}"
    sizes, times = zip(*((size, contestants[who]) for size, contestants in found), strict=True)
    medians, highest = ([each[heading] for each in times] for heading in ("median", "p95"))
    return _Line(label, "o-" if who == OURS else "s--", sizes, medians, highest)


def _draw(pane: Any, label: str, lines: Iterable[_Line]) -> None:
    """The lines, the highest of them named first."""
    for line in sorted(lines, key=lambda line: line.medians[-1], reverse=True):
        (drawn,) = pane.plot(line.sizes, line.medians, line.style, label=line.label)
        color = drawn.get_color()
        pane.fill_between(line.sizes, line.medians, line.highest, color=color, alpha=0.12)
        pane.set_xscale("log")
        pane.set_xticks(line.sizes, [f"{size:,}" for size in line.sizes], fontsize=8)
    pane.minorticks_off()
    pane.set_xlabel(label)
    pane.set_ylim(bottom=0)
    pane.legend(fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _by_number(calls: dict[str, Any], pattern: str) -> list[tuple[int, Any]]:
    """The calls whose names fit, by the number in them."""
    found = [(re.fullmatch(pattern, name), times) for name, times in calls.items()]
    return [(int(match[1].replace(",", "")), times) for match, times in found if match]

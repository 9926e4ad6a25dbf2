"""What a call may cost at most, beside what was measured: on one screen, before all figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from benchmarks.results import BY_HAND, GUIDE, OURS, PLAIN, read_import_times, read_sizes
from benchmarks.tables import table

#: The figures of one result: by call and contestant.
Calls = Mapping[str, Mapping[str, Mapping[str, float]]]

#: The sizes that stand beside each other.
_SIZES = (1_000_000, 10_000_000)
#: How much longer it may take to import the package than what it is made of.
_IMPORT = 1.3
_TAG_SEARCHES = ("find_by_*, 500 chats", "find_by_*, 20 chats")
_INDEXED = ("search_messages, *, search index",)


class _Worst(NamedTuple):
    value: float
    call: str


#: Takes the figures, and those at the smallest size.
_Measure = Callable[[Calls, Calls], Iterable[_Worst]]


class _Bar(NamedTuple):
    what: str
    at_most: float
    unit: str
    measure: _Measure
    engine: str = "postgresql"


def _each(names: Sequence[str], value: Callable[[Mapping[str, Any]], float]) -> _Measure:
    """A value of each call whose name fits."""
    return lambda calls, _: [
        _Worst(value(times), name) for name, times in calls.items() if _fits(name, names)
    ]


def _ratio(*names: str) -> _Measure:
    return _each(names, lambda times: times[OURS]["median"] / times[BY_HAND]["median"])


def _p95(*names: str) -> _Measure:
    return _each(names, lambda times: float(times[OURS]["p95"]))


def _growth(*names: str) -> _Measure:
    """How much more it costs than at the smallest size; the two took turns."""

    def grown(calls: Calls, smallest: Calls) -> Iterator[_Worst]:
        if calls is smallest:
            return
        for name, sizes in read_sizes().items():
            if _fits(name, names):
                small, large = (times["median"] for times in sizes.values())
                yield _Worst(large / small, name)

    return grown


def _large_chat(calls: Calls, _: Calls) -> list[_Worst]:
    large, small = (calls[f"send_message, {size} members"][OURS] for size in ("100,000", "100"))
    return [_Worst(large["median"] / small["median"], "")]


def _to_plain_insert(contestant: str) -> _Measure:
    """A message with tags, to no more than its row in a table with the guide's two GIN indexes."""

    def compared(calls: Calls, _: Calls) -> list[_Worst]:
        messages = calls["send_message, tags"]
        if GUIDE not in messages:
            return []
        return [_Worst(messages[contestant]["median"] / messages[GUIDE]["median"], "")]

    return compared


_BARS = (
    _Bar(
        "`block_user`, `mute_chat`, `set_favorite`, `move_to_folder`, `pin_message`, `mark_read`, "
        "`is_blocked`, `get_chat_settings`",
        1.2,
        "x by hand",
        _ratio(
            *("block_user", "mute_chat", "set_favorite", "move_to_folder"),
            *("pin_message", "mark_read", "is_blocked", "get_chat_settings"),
        ),
    ),
    _Bar("`send_message`, 30 members", 1.35, "x by hand", _ratio("send_message, 30 members")),
    _Bar(
        "50 rows with relations: `find_by_hashtag`, `list_messages`, `list_pinned_messages`, "
        "`list_chats`",
        1.5,
        "x by hand",
        _ratio(
            *("find_by_hashtag, popular, 500 chats", "list_messages"),
            *("list_pinned_messages", "list_chats, 500 chats"),
        ),
    ),
    _Bar("any search by tag, 500 and 20 chats", 10, "ms, p95", _p95(*_TAG_SEARCHES)),
    _Bar("the same, to that at 1,000,000 messages", 1.5, "x", _growth(*_TAG_SEARCHES)),
    _Bar("`list_chats`, 500 chats", 20, "ms, p95", _p95("list_chats, 500 chats")),
    _Bar("the same, to that at 1,000,000 messages", 1.5, "x", _growth("list_chats, 500 chats")),
    _Bar("`send_message`, 100,000 members to 100", 2, "x", _large_chat),
    _Bar("plain INSERT with tags, to that before 003", 1.5, "x", _to_plain_insert(PLAIN)),
    _Bar("`send_message` with tags, to the same", 1.5, "x", _to_plain_insert(OURS)),
    _Bar("`search_messages` with its index, any word", 50, "ms, p95", _p95(*_INDEXED)),
    _Bar(
        "SQLite: any search by tag, any list", 10, "ms, p95", _p95("find_by_*", "list_*"), "sqlite"
    ),
    _Bar(
        "SQLite: `search_messages` with its index, any word",
        50,
        "ms, p95",
        _p95(*_INDEXED),
        "sqlite",
    ),
)


def bar_in_markdown(results: Sequence[dict[str, Any]]) -> str:
    """What each may cost, and the worst that was measured; bold what is above."""
    rows = []
    for bar in _BARS:
        found = {
            each["messages"]: each["calls"] for each in results if each["engine"] == bar.engine
        }
        cells = [_cell(bar, found.get(size), found.get(_SIZES[0])) for size in _SIZES]
        rows.append([bar.what, f"{bar.at_most:g} {bar.unit}", *cells])
    times = read_import_times()
    if times:
        ratio = _shown(times["stogram_sdk"] / times["peewee, psycopg2"], _IMPORT)
        rows.append(["`import stogram_sdk`", f"{_IMPORT:g} x `peewee, psycopg2`", ratio, ""])
    return table(["what", "at most", *(f"{size:,} messages" for size in _SIZES)], rows)


def _cell(bar: _Bar, calls: Calls | None, smallest: Calls | None) -> str:
    measured = [] if calls is None or smallest is None else list(bar.measure(calls, smallest))
    if not measured:
        return ""
    worst = max(measured)
    shown = _shown(worst.value, bar.at_most)
    return f"{shown} (`{worst.call}`)" if len(measured) > 1 else shown


def _shown(value: float, at_most: float) -> str:
    return f"{value:.2f}" if value <= at_most else f"**{value:.2f}**"


def others_in_markdown(result: dict[str, Any]) -> str:
    """The medians of those calls that all contestants make, side by side."""
    calls = {name: times for name, times in result["calls"].items() if "Django" in times}
    contestants = list(next(iter(calls.values())))
    rows = (
        [f"`{name}`", *(f"{times[who]['median']:.2f}" for who in contestants)]
        for name, times in calls.items()
    )
    return table([f"median, ms, {result['messages']:,} messages", *contestants], rows)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

"""What a call may cost at most, beside what was measured: on one screen, before all figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from benchmarks.results import ASYNCPG, GUIDE, OURS, PLAIN, cpu_of, read_import_times
from benchmarks.tables import table

#: What a call costs, by contestant.
_Costs = Mapping[str, dict[str, float]]

#: The sizes that stand beside each other.
_SIZES = (1_000_000, 10_000_000)
#: How much longer it may take to import the package than what it is made of.
_IMPORT = 1.3
#: Calls of one statement, but for those that have a bar of their own.
ONE_STATEMENT = (
    *("is_blocked", "is_blocked_either", "blocked_among", "get_user", "find_user"),
    *("find_user_by_email", "get_privacy", "visible_profiles", "get_chat", "get_message"),
    *("unread_totals, 500 chats", "mute_chat", "unmute_chat", "set_favorite", "toggle_favorite"),
    *("move_to_folder", "update_folder", "pin_message", "unpin_message", "unpin_all_messages"),
    *("unblock_user", "edit_message", "reschedule_message", "set_status, no other"),
    *("update_profile", "set_password_hash", "set_push_subscription", "set_theme"),
    *("update_contact", "update_privacy"),
    *("list_scheduled", "list_message_reactions", "list_folders", "list_blocked_users"),
    *("list_contacts", "list_calls", "find_by_*, rare, *", "find_by_*, absent, *"),
    *("find_by_*, elsewhere, *", "find_by_mention, oneself, *"),
)
#: Those of them that return 50 rows or nearly so.
LISTS = (
    *("list_messages", "list_messages, around", "list_replies", "list_media"),
    *("list_pinned_messages", "list_reactions, 50", "list_chats, 500 chats", "list_members"),
    *("search_users", "users_to_notify", "find_by_*, popular, *", "find_by_*, middling, 500 *"),
)
_TAG_SEARCHES = ("find_by_*, 500 chats", "find_by_*, 20 chats")
_INDEXED = ("search_messages, *, search index",)
_SENT = ("send_message, 30 members", "send_message, tags")


class _Worst(NamedTuple):
    value: float
    call: str


class _Bar(NamedTuple):
    what: str
    at_most: float
    unit: str
    calls: Sequence[str]
    #: Takes the costs of a call, and those of the same call at the smallest size; None if they
    #: do not say it.
    measure: Callable[[_Costs, _Costs], float | None]
    engine: str = "postgresql"


def _wall(costs: dict[str, float]) -> float:
    return costs["median"]


def _to(
    other: str, cost: Callable[[dict[str, float]], float], ours: str = OURS
) -> Callable[[_Costs, _Costs], float | None]:
    """How many times that of the other contestant."""
    return lambda costs, _: cost(costs[ours]) / cost(costs[other]) if other in costs else None


def _median(costs: _Costs, _: _Costs) -> float:
    return costs[OURS]["median"]


def _p95(costs: _Costs, _: _Costs) -> float:
    return costs[OURS]["p95"]


def _growth(costs: _Costs, smallest: _Costs) -> float | None:
    """By the work: what time two runs take is also how busy the machine was."""
    return None if costs is smallest else cpu_of(costs[OURS]) / cpu_of(smallest[OURS])


def _to_asyncpg(what: str, wall: float, cpu: float, *calls: str) -> Iterator[_Bar]:
    yield _Bar(what, wall, "x asyncpg", calls, _to(ASYNCPG, _wall))
    yield _Bar("the same, CPU", cpu, "x asyncpg", calls, _to(ASYNCPG, cpu_of))


BARS = (
    *_to_asyncpg("calls of one statement", 1.15, 1.0, *ONE_STATEMENT),
    *_to_asyncpg("`get_chat_settings`", 1.25, 1.25, "get_chat_settings"),
    *_to_asyncpg("`mark_read`, `block_user`", 0.8, 0.8, "mark_read", "block_user"),
    *_to_asyncpg("`send_message`, 30 members; with tags", 0.85, 0.85, *_SENT),
    *_to_asyncpg("lists of 50 rows", 1.25, 1.25, *LISTS),
    _Bar(
        "`list_chats`, `unread_totals`, user in 6 chats",
        *(1, "ms"),
        ("list_chats, user in 6", "unread_totals, user in 6"),
        _median,
    ),
    _Bar("any search by tag, 500 and 20 chats", 10, "ms, p95", _TAG_SEARCHES, _p95),
    _Bar("`list_chats`, 500 chats", 20, "ms, p95", ("list_chats, 500 chats",), _p95),
    _Bar(
        "both, CPU to that at 1,000,000 messages",
        *(1.5, "x"),
        (*_TAG_SEARCHES, "list_chats, 500 chats"),
        _growth,
    ),
    _Bar("`search_messages` with its index, any word", 50, "ms, p95", _INDEXED, _p95),
    _Bar(
        "plain INSERT with tags, to that before 003",
        *(1.5, "x"),
        ("send_message, tags",),
        _to(GUIDE, _wall, PLAIN),
    ),
    _Bar(
        "SQLite: any search by tag, any list",
        *(10, "ms, p95"),
        ("find_by_*", "list_*", "search_users"),
        *(_p95, "sqlite"),
    ),
    _Bar(
        "SQLite: `search_messages` with its index, any word",
        *(50, "ms, p95"),
        _INDEXED,
        *(_p95, "sqlite"),
    ),
)


def bar_in_markdown(results: Sequence[dict[str, Any]]) -> str:
    """What each may cost, and the worst that was measured; bold what is above."""
    rows = []
    for bar in BARS:
        found = {
            each["messages"]: each["calls"] for each in results if each["engine"] == bar.engine
        }
        smallest = found.get(_SIZES[0], {})
        cells = [_cell(bar, found.get(size, {}), smallest) for size in _SIZES]
        rows.append([bar.what, f"{bar.at_most:g} {bar.unit}", *cells])
    times = read_import_times()
    if times:
        ratio = _shown(times["stogram_sdk"] / times["peewee, psycopg2"], _IMPORT)
        rows.append(["`import stogram_sdk`", f"{_IMPORT:g} x `peewee, psycopg2`", ratio, ""])
    return table(["what", "at most", *(f"{size:,} messages" for size in _SIZES)], rows)


def _cell(bar: _Bar, calls: Mapping[str, _Costs], smallest: Mapping[str, _Costs]) -> str:
    measured = _measured(bar, calls, smallest)
    if not measured:
        return ""
    worst = max(measured)
    shown = _shown(worst.value, bar.at_most)
    return f"{shown} (`{worst.call}`)" if len(measured) > 1 else shown


def _measured(
    bar: _Bar, calls: Mapping[str, _Costs], smallest: Mapping[str, _Costs]
) -> list[_Worst]:
    names = [
        name
        for name in calls
        if name in smallest and any(fnmatchcase(name, pattern) for pattern in bar.calls)
    ]
    values = ((bar.measure(calls[name], smallest[name]), name) for name in names)
    return [_Worst(value, name) for value, name in values if value is not None]


def over_in_markdown(calls: Mapping[str, _Costs]) -> str:
    """The calls over a limit that is set by asyncpg: who is at work for them, for how long."""
    over = {
        each.call
        for bar in BARS
        if bar.unit == "x asyncpg"
        for each in _measured(bar, calls, calls)
        if each.value > bar.at_most
    }
    rows = [
        [f"`{name}`", *_microseconds(costs[OURS]), *_microseconds(costs[ASYNCPG])]
        for name, costs in calls.items()
        if name in over
    ]
    return table(["us of CPU", "client", "server", "asyncpg: client", "server"], rows)


def _microseconds(costs: dict[str, float]) -> list[str]:
    return [f"{costs[whose] * 1_000:,.0f}" for whose in ("CPU of client", "CPU of server")]


def _shown(value: float, at_most: float) -> str:
    return f"{value:.2f}" if value <= at_most else f"**{value:.2f}**"

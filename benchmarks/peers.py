"""`python -m benchmarks.peers`: beside asyncpg and psycopg 3 by hand, which prepare statements too.

Each call in turns, on the same rows. Besides how long it takes, the table says how long client and
server are at work for it, which is what a busy service pays, and steadier on a machine that others
use too. The figures go to benchmarks/results/peers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.calls import calls, prepare
from benchmarks.equality import require_equal
from benchmarks.results import OURS, PEERS
from benchmarks.server import filled_server
from benchmarks.tables import table
from benchmarks.timing import Call, timed, times_in_turns, told
from stogram_sdk.database import current_database, session

#: How often a call is made between two looks at the clock of a process.
_AT_ONCE = 20
#: The calls that are compared: those of one statement, a message, and the lists.
COMPARED = (
    "is_blocked",
    "get_chat_settings",
    "block_user",
    "mute_chat",
    "set_favorite",
    "move_to_folder",
    "pin_message",
    "mark_read",
    "send_message, 30 members",
    "send_message, tags",
    "list_messages",
    "list_pinned_messages",
    "list_chats, 500 chats",
    "unread_totals, 500 chats",
    "find_by_hashtag, popular, 500 chats",
    "find_by_hashtag, rare, 500 chats",
    "find_by_hashtag, popular, 20 chats",
    "get_chat",
    "list_media",
    "list_contacts",
    "search_users",
    "add_reaction, remove_reaction",
    "start_call, answer_call, end_call",
)
_PEERS = ("asyncpg by hand", "psycopg 3 by hand")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2, help="for each call and contestant")
    parser.add_argument("--only", default="", help="calls whose names begin so; writes no results")
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    options = parser.parse_args()
    with filled_server(options.messages, options.keep) as url:
        figures = _measure(url, options.seconds, options.only)
    result = {"messages": options.messages, "calls": figures}
    print(peers_in_markdown(result))
    if not options.only:
        PEERS.mkdir(exist_ok=True)
        path = PEERS / f"{options.messages}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")


def peers_in_markdown(result: Mapping[str, Any]) -> str:
    """A line for each call: what ours takes, in milliseconds, and how many times theirs that is."""
    rows = []
    for name, contestants in result["calls"].items():
        cells = [f"`{name}`"]
        for what in ("median", "CPU"):
            ours = contestants[OURS][what]
            cells.append(f"{ours:.2f}")
            cells += [f"{ours / contestants[peer][what]:.2f} x" for peer in _PEERS]
        rows.append(cells)
    to_theirs = [f"to {peer.removesuffix(' by hand')}" for peer in _PEERS]
    headings = [f"{result['messages']:,} messages", "median, ms", *to_theirs]
    return table([*headings, "CPU of both, ms", *to_theirs], rows)


def _measure(url: str, seconds: float, only: str) -> dict[str, Any]:
    # It needs the extra `bench`. The tests, which only read the results, do without.
    from benchmarks.others.prepared_by_hand import Asyncpg, Psycopg

    prepared = prepare()
    ours = {name: call for name, call in calls(prepared).items() if name.startswith(only)}
    names = [name for name in COMPARED if name in ours]
    loop = asyncio.new_event_loop()
    with (
        closing(loop),
        closing(Asyncpg(loop, url)) as asyncpg,
        closing(Psycopg(loop, url)) as psycopg,
    ):
        theirs: dict[str, dict[str, Call]] = {
            name: {
                who: peer.call(_function(ours[name]), *_arguments(ours[name]))
                for who, peer in zip(_PEERS, (asyncpg, psycopg), strict=True)
            }
            for name in names
        }
        require_equal(url, prepared, ours, theirs)
        return {
            name: _compared({OURS: ours[name], **theirs[name]}, seconds) for name in told(names)
        }


def _function(call: Any) -> str:
    name: str = call.func.__name__
    return name


def _arguments(call: Any) -> tuple[Any, ...]:
    arguments: tuple[Any, ...] = call.args
    return arguments


def _compared(contestants: dict[str, Call], seconds: float) -> dict[str, dict[str, float]]:
    medians = {
        who: statistics.median(taken) for who, taken in times_in_turns(seconds, contestants).items()
    }
    servers = _server_processes()
    work = times_in_turns(seconds, contestants, time_of=lambda call: _work_of(call, servers))
    return {
        who: {"median": round(medians[who], 4), "CPU": round(statistics.median(taken), 4)}
        for who, taken in work.items()
    }


def _work_of(call: Call, servers: Iterable[Path]) -> float:
    """How long client and server are at work for a call, in milliseconds."""
    began = time.process_time() + _at_work(servers)
    for _ in range(_AT_ONCE):
        timed(call)
    return (time.process_time() + _at_work(servers) - began) * 1_000 / _AT_ONCE


def _server_processes() -> list[Path]:
    """The files that know how long each of the server's processes has been at work."""
    with session():
        (own,) = current_database().execute_sql("SELECT pg_backend_pid()").fetchone()
    parent = Path(f"/proc/{own}/stat").read_text().rpartition(")")[2].split()[1]
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [Path(f"/proc/{process}/schedstat") for process in children]


def _at_work(servers: Iterable[Path]) -> float:
    return sum(int(server.read_text().split()[0]) for server in servers) / 1e9


if __name__ == "__main__":
    main()

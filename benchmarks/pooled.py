"""Calls through PgBouncer: `python -m benchmarks.pooled`.

Ours over a direct connection, which prepares its statements; ours through PgBouncer in transaction
mode, which prepares none; psycopg 3 by hand through it, which prepares none either. They take
turns. CPU is that of client and server, without PgBouncer's own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

import stogram_sdk as sdk
from benchmarks.calls import calls, prepare
from benchmarks.others.prepared_by_hand import Psycopg
from benchmarks.server import filled_server
from benchmarks.timing import Call, costs_in_turns, told
from tests.support.postgres import pgbouncer

CALLS = (
    "is_blocked",
    "get_chat_settings",
    "block_user",
    "mute_chat",
    "pin_message",
    "mark_read",
    "list_messages",
    "get_message",
    "get_chat",
    "list_folders",
    "list_chats, user in 6",
    "unread_totals, user in 6",
    "users_to_notify",
    "find_by_hashtag, popular, 20 chats",
    "send_message, 30 members",
    "send_message, tags",
)
_ROUNDS = 7
_SECONDS = 0.1


class Unprepared(Psycopg):
    async def _connect(self, url: str) -> None:
        self._connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, prepare_threshold=None, row_factory=dict_row
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    options = parser.parse_args()
    with filled_server(options.messages, options.keep) as url:
        directory = Path(url.partition("host=")[2])
        with pgbouncer("pgbouncer", directory) as pooled:
            compare(url, pooled)


def compare(url: str, pooled: str) -> None:
    made = calls(prepare())
    with asyncio.Runner() as runner, closing(Unprepared(runner.get_loop(), pooled)) as by_hand:
        print("| us of CPU, both | direct | PgBouncer | to direct | to psycopg 3 by hand |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name in told(CALLS):
            call, hand = made[name], by_hand.call(made[name])
            assert hand is not None, name
            ways = [partial(over, *way) for way in ((url, call), (pooled, call), (pooled, hand))]
            direct, through, others = medians(ways)
            ratios = f"{through / direct:.2f} x | {through / others:.2f} x"
            print(f"| `{name}` | {direct:,.0f} | {through:,.0f} | {ratios} |", flush=True)


def over(url: str, call: Call) -> float:
    """Microseconds of CPU for the call, while the SDK is connected here."""
    sdk.connect(url)
    with sdk.session():
        costs = costs_in_turns(_SECONDS, {"": call})[""]
    return (costs["CPU of client"] + costs["CPU of server"]) * 1000


def medians(ways: Sequence[Callable[[], float]]) -> list[float]:
    rounds = [[way() for way in ways] for _ in range(_ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


if __name__ == "__main__":
    main()

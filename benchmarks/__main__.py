"""`python -m benchmarks`: every call of `calls`, beside psycopg2 with the same SQL by hand.

All on the same rows, in turns, on a PostgreSQL server of its own that keeps what it commits. Only
the ratios of one run mean something: they are taken of medians.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
from peewee_migrate import Router

import stogram_sdk
from benchmarks.by_hand import ByHand
from benchmarks.calls import calls
from benchmarks.data import MANY, make_world
from benchmarks.load import load_postgres
from benchmarks.others import others
from stogram_sdk.database import current_database, session
from stogram_sdk.migrating import migrations_directory
from tests.postgres import _readable_binaries, started_server

DURABLE = (
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
    "max_wal_size=4GB",
    "maintenance_work_mem=256MB",
)
_CHAT, _LARGE = "bench-30", "bench-100000"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2, help="for each call and contestant")
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--only", default="", help="calls whose names begin so")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="stogram-bench-"))
    try:
        with started_server(directory, _readable_binaries(directory), *DURABLE) as url:
            _prepare(url, options.messages, options.members)
            _measure(url, options.seconds, options.only)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _prepare(url: str, messages: int, members: int) -> None:
    stogram_sdk.connect(url)
    with session():
        router = Router(current_database(), migrate_dir=migrations_directory())
        router.run("002_guide_features")
    connection = psycopg2.connect(url)
    began = time.perf_counter()
    load_postgres(connection, make_world(messages))
    loaded = time.perf_counter()
    stogram_sdk.migrate()
    print(
        f"{messages:,} messages: copied in {loaded - began:.0f} s, "
        f"migration 003 on them in {time.perf_counter() - loaded:.0f} s"
    )
    with connection.cursor() as cursor:
        for chat, size in ((_CHAT, 30), (_LARGE, members)):
            _make_chat(cursor, chat, size)
    connection.commit()
    connection.autocommit = True
    connection.cursor().execute("VACUUM ANALYZE")
    connection.close()


def _make_chat(cursor: Any, chat: str, size: int) -> None:
    cursor.execute(
        """INSERT INTO "Chat" (id, type, "updatedAt") VALUES (%s, 'GROUP', '2020-01-01')""", [chat]
    )
    cursor.execute(
        """INSERT INTO "User" (id, email, username, password, "updatedAt")
        SELECT id, id || '@example.com', id, '-', '2020-01-01'
        FROM (SELECT 'member_' || n FROM generate_series(1, %s) AS n) AS given(id)
        ON CONFLICT DO NOTHING""",
        [size],
    )
    cursor.execute(
        """INSERT INTO "ChatMember" (id, "userId", "chatId", "joinedAt")
        SELECT %s || n, CASE n WHEN 1 THEN %s ELSE 'member_' || n END, %s, '2020-01-01'
        FROM generate_series(1, %s) AS n""",
        [f"{chat}/", MANY, chat, size],
    )


def _measure(url: str, seconds: float, only: str) -> None:
    for _ in range(60):
        message = stogram_sdk.send_message(MANY, _CHAT, "hello")
        stogram_sdk.pin_message(MANY, _CHAT, message.id)
    stogram_sdk.send_message(MANY, _LARGE, "hello")
    stogram_sdk.mute_chat(MANY, _CHAT)
    autocommit, manual = psycopg2.connect(url), psycopg2.connect(url)
    autocommit.autocommit = True
    elsewhere = others(url, _CHAT)
    print(f"{'call':45}{'median':>9}{'p95':>9}{'p99':>9}{'by hand':>9}{'ratio':>7}  (ms)")
    for name, call in calls(_CHAT, _LARGE, message.id).items():
        if not name.startswith(only):
            continue
        by_hand = ByHand(call)

        def limit(by_hand: ByHand = by_hand) -> Any:
            return by_hand(autocommit, manual)

        contestants = elsewhere.get(name, {})
        ours, hand, *theirs = _in_turns(seconds, call, limit, *contestants.values())
        print(
            f"{name:45}{_at(ours, 50):9.3f}{_at(ours, 95):9.3f}{_at(ours, 99):9.3f}"
            f"{_at(hand, 50):9.3f}{_at(ours, 50) / _at(hand, 50):7.2f}",
            flush=True,
        )
        for who, taken in zip(contestants, theirs, strict=True):
            ratio = _at(taken, 50) / _at(hand, 50)
            print(f"    {who:41}{_at(taken, 50):9.3f}{'':27}{ratio:7.2f}", flush=True)
    autocommit.close()
    manual.close()
    stogram_sdk.close()


def _in_turns(seconds: float, *contestants: Callable[[], Any]) -> list[list[float]]:
    """The times of each in milliseconds, sorted; one call of each after the other."""
    times: list[list[float]] = [[] for _ in contestants]
    for _ in range(3):
        for call in contestants:
            call()
    end = time.perf_counter() + seconds * len(contestants)
    while time.perf_counter() < end or len(times[0]) < 5:
        for call, taken in zip(contestants, times, strict=True):
            began = time.perf_counter()
            call()
            taken.append((time.perf_counter() - began) * 1_000)
    return [sorted(taken) for taken in times]


def _at(times: list[float], percent: int) -> float:
    return times[min(len(times) - 1, len(times) * percent // 100)]


if __name__ == "__main__":
    main()

"""Awaited calls beside asyncpg: `python -m benchmarks.awaited`.

Ours, asyncpg by hand as in the other tables, and asyncpg with our statements: all prepared, over
ten connections, in turns in one loop. asyncpg's rows stay as they come; ours become models. Client
and server have processors of their own, as on two machines, if there are several. CPU is that of
this process and of the server's: on a busy machine it says more than time does. A pause is how much
later than asked for a task went on.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import asyncpg
import uvloop

import stogram_sdk as sdk
from benchmarks.data import FEW, MANY, sized_chat
from benchmarks.others.prepared_by_hand import AsyncpgOfPool
from benchmarks.server import filled_server
from stogram_sdk import aio, statements
from stogram_sdk.database import current_database
from stogram_sdk.models import new_id

CONNECTIONS = 10
TASKS = (10, 100, 1_000)
ROUNDS = 5
CHAT = sized_chat(30)

Call = Callable[[], Awaitable[Any]]


@dataclass
class Measured:
    """Of one contestant in one round, for each call: seconds, but `pause`, which is the longest."""

    cpu: float
    wall: float
    p99: float
    pause: float


@dataclass
class Step:
    """A statement of a call as asyncpg sends it."""

    text: str
    slots: list[str]
    values: dict[str, Any]

    def arguments(self, fresh_id: str | None) -> list[Any]:
        values = self.values | ({"id": fresh_id} if fresh_id else {})
        return [_plain(values[slot]) for slot in self.slots]


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return list(value) if isinstance(value, list | tuple) else value


def steps_of(call: Callable[[], Any]) -> list[Step]:
    """The statements that a call sends, each by itself."""
    found: list[Step] = []
    execute = statements._execute

    def noting(compiled: Any, values: dict[str, Any], database: Any) -> Any:
        with current_database().connection().cursor() as cursor:
            for each in compiled.prepared:
                text = cursor.mogrify(each.prepare, each.constants).decode()
                _, _, text = text.partition(" AS ")
                found.append(Step(text, [str(slot) for slot in each.slots], values))
        return execute(compiled, values, database)

    with patch.object(statements, "_execute", noting), sdk.session():
        call()
    return found


def by_hand(pool: Any, plain: partial[Any]) -> Call:
    made = AsyncpgOfPool.made(plain)
    assert made is not None

    async def call() -> Any:
        async with pool.acquire() as connection:
            return await made(AsyncpgOfPool(connection))

    return call


def with_our_statements(pool: Any, plain: partial[Any]) -> Call:
    """They are sent as one transaction if there are several."""
    steps = steps_of(plain)
    sends = plain.func is sdk.send_message

    async def call() -> Any:
        async with pool.acquire() as connection:
            fresh = new_id() if sends else None
            if len(steps) == 1:
                return await connection.fetch(steps[0].text, *steps[0].arguments(fresh))
            async with connection.transaction():
                for step in steps:
                    rows = await connection.fetch(step.text, *step.arguments(fresh))
            return rows

    return call


def server_cpu(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        with suppress(FileNotFoundError):
            total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return total / 1e9


async def measure(call: Call, tasks: int, seconds: float, backends: Callable[[], Any]) -> Measured:
    pids = await backends()
    end = time.perf_counter() + seconds
    took: list[float] = []
    pause = 0.0

    async def work() -> None:
        while (began := time.perf_counter()) < end:
            await call()
            took.append(time.perf_counter() - began)

    async def watch() -> None:
        nonlocal pause
        while (before := time.perf_counter()) < end:
            await asyncio.sleep(0.001)
            pause = max(pause, time.perf_counter() - before - 0.001)

    cpu, began = time.process_time() + server_cpu(pids), time.perf_counter()
    await asyncio.gather(watch(), *[work() for _ in range(tasks)])
    wall = time.perf_counter() - began
    cpu = time.process_time() + server_cpu(pids) - cpu
    took.sort()
    return Measured(cpu / len(took), wall / len(took), took[int(len(took) * 0.99)], pause)


async def compare(url: str, seconds: float) -> None:
    pool = await asyncpg.create_pool(
        url, min_size=CONNECTIONS, max_size=CONNECTIONS, max_inactive_connection_lifetime=0
    )

    async def backends() -> list[int]:
        found = await pool.fetch(
            "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'client%'"
        )
        return [row["pid"] for row in found]

    calls: dict[str, tuple[Call, partial[Any]]] = {
        "is_blocked": (partial(aio.is_blocked, MANY, FEW), partial(sdk.is_blocked, MANY, FEW)),
        "list_messages": (
            partial(aio.list_messages, MANY, CHAT),
            partial(sdk.list_messages, MANY, CHAT),
        ),
        "send_message": (
            partial(aio.send_message, MANY, CHAT, "hello"),
            partial(sdk.send_message, MANY, CHAT, "hello"),
        ),
    }
    print("| call | tasks | to | CPU | throughput | p99 | pause, ms | asyncpg's |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (ours, plain) in calls.items():
        plain()
        gc.collect()
        gc.freeze()  # as docs/asyncio.md has it: else its pauses are those of what was imported
        others = {
            "by hand": by_hand(pool, plain),
            "our statements": with_our_statements(pool, plain),
        }
        for tasks in TASKS:
            taken = [
                [await measure(call, tasks, seconds, backends) for call in (ours, *others.values())]
                for _ in range(ROUNDS)
            ]
            for place, other in enumerate(others, 1):
                rounds = [(measured[0], measured[place]) for measured in taken]
                print(f"| {name} | {tasks} | {other} | {row(rounds)} |", flush=True)
    await pool.close()


def row(rounds: list[tuple[Measured, Measured]]) -> str:
    """Ours to theirs, the median of the rounds; pauses as they are."""
    cpu = median(ours.cpu / theirs.cpu for ours, theirs in rounds)
    throughput = median(theirs.wall / ours.wall for ours, theirs in rounds)
    p99 = median(ours.p99 / theirs.p99 for ours, theirs in rounds)
    pauses = (median(each[side].pause for each in rounds) * 1000 for side in (0, 1))
    ours_longest, theirs_longest = pauses
    return " | ".join(
        f"{value:.2f}" if value < 10 else f"{value:.0f}"
        for value in (cpu, throughput, p99, ours_longest, theirs_longest)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--together", action="store_true", help="on the same processors")
    options = parser.parse_args()
    mine, *others = sorted(os.sched_getaffinity(0))
    are_apart = others and not options.together
    if are_apart:
        os.sched_setaffinity(0, others)  # The server inherits them.
    with filled_server(options.messages, options.kept) as url:
        if are_apart:
            os.sched_setaffinity(0, {mine})
        sdk.connect(url, connection_limit=CONNECTIONS, max_idle_connection_lifetime=0)
        for _ in range(60):
            sdk.send_message(MANY, CHAT, "hello")
        (uvloop if options.uvloop else asyncio).run(compare(url, options.seconds))


if __name__ == "__main__":
    main()

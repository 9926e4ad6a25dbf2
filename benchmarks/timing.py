"""What calls cost that are made in turns."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from stogram_sdk.database import current_database, session

Call = Callable[[], Any]
T = TypeVar("T")

#: A turn is so many calls at most, and so many milliseconds.
_CALLS, _TURN = 20, 10
_LEAST_TURNS = 5


class InLoop:
    """A coroutine function as a call. It is timed inside the loop, in which a service would be:
    to start and stop one costs as much as a short call.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, function: Callable[[], Coroutine[Any, Any, Any]]
    ) -> None:
        self._loop, self._function = loop, function

    def __call__(self) -> Any:
        return self._loop.run_until_complete(self._function())

    def times(self, count: int) -> list[float]:
        async def times() -> list[float]:
            took = []
            for _ in range(count):
                began = time.perf_counter()
                await self._function()
                took.append((time.perf_counter() - began) * 1_000)
            return took

        return self._loop.run_until_complete(times())


class _Turn(NamedTuple):
    """Milliseconds: how long each call took, and how long it was worked for one."""

    took: list[float]
    client: float
    server: float


def times_of(call: Call, count: int) -> list[float]:
    """How long each of so many calls took, in milliseconds."""
    if isinstance(call, InLoop):
        return call.times(count)
    took = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1_000)
    return took


def costs_in_turns(seconds: float, contestants: Mapping[str, Call]) -> dict[str, dict[str, float]]:
    """What a call of each costs, in milliseconds; each has so many seconds on average."""
    counts = {who: _warmed_up(call) for who, call in contestants.items()}
    servers = _server_processes()
    turns = in_turns(
        seconds,
        {who: partial(_turn, call, counts[who], servers) for who, call in contestants.items()},
    )
    return {who: _summary(taken) for who, taken in turns.items()}


def in_turns(seconds: float, contestants: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """What each returns, time after time, for so many seconds each on average."""
    returned: dict[str, list[T]] = {who: [] for who in contestants}
    gc.collect()
    end = time.perf_counter() + seconds * len(contestants)
    chance = random.Random(0)
    order = list(contestants.items())
    turn = 0
    while time.perf_counter() < end or turn < _LEAST_TURNS:
        # Who has just run leaves caches warm for its like and cold for others: each follows each.
        chance.shuffle(order)
        for who, contestant in order:
            returned[who].append(contestant())
        turn += 1
    return returned


def told(names: Iterable[str]) -> Iterator[str]:
    """The names; each is printed when its turn comes."""
    for name in names:
        print(name, file=sys.stderr)
        yield name


def _warmed_up(call: Call) -> int:
    """How many calls a turn is, after the first ones: PostgreSQL keeps a plan from the sixth on."""
    took: list[float] = []
    while len(took) < 3 or (len(took) < 7 and sum(took) < 500):
        took += times_of(call, 1)
    return max(1, min(_CALLS, int(_TURN / min(took))))


def _turn(call: Call, count: int, servers: Sequence[Path]) -> _Turn:
    at_server, at_client = _at_work(servers), time.process_time()
    took = times_of(call, count)
    client = (time.process_time() - at_client) * 1_000
    return _Turn(took, client / count, (_at_work(servers) - at_server) / count)


def _server_processes() -> list[Path]:
    """The files that know how long the server has been at work, for each connection."""
    if current_database().dialect.name == "sqlite":
        return []
    sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
    with session():
        found = current_database().execute_sql(sql).fetchall()
    return [Path(f"/proc/{process}/schedstat") for (process,) in found]


def _at_work(servers: Iterable[Path]) -> float:
    total = 0
    for server in servers:
        with suppress(FileNotFoundError):  # A pool may close a connection.
            total += int(server.read_text().split()[0])
    return total / 1e6


def _summary(turns: Sequence[_Turn]) -> dict[str, float]:
    times = sorted(took for turn in turns for took in turn.took)
    return {
        "median": round(statistics.median(times), 4),
        "p95": round(times[len(times) * 95 // 100], 4),
        "CPU of client": round(statistics.median(turn.client for turn in turns), 4),
        "CPU of server": round(statistics.median(turn.server for turn in turns), 4),
    }

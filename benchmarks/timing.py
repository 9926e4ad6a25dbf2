"""Times of calls that are made in turns."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

Call = Callable[[], Any]


class InLoop:
    """A coroutine function as a call. It is timed inside the loop, in which a service would be."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, function: Callable[[], Coroutine[Any, Any, Any]]
    ) -> None:
        self._loop, self._function = loop, function

    def __call__(self) -> Any:
        return self._loop.run_until_complete(self._function())

    def timed(self) -> float:
        async def timed() -> float:
            began = time.perf_counter()
            await self._function()
            return (time.perf_counter() - began) * 1_000

        return self._loop.run_until_complete(timed())


def timed(call: Call) -> float:
    """How long a call took, in milliseconds."""
    if isinstance(call, InLoop):
        return call.timed()
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1_000


def times_in_turns(
    seconds: float, contestants: Mapping[str, Call], time_of: Callable[[Call], float] = timed
) -> dict[str, list[float]]:
    """The times of each, sorted; they take turns, for so many seconds each on average."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for call in contestants.values():
        for _ in range(3):
            call()
    gc.collect()
    end = time.perf_counter() + seconds * len(contestants)
    chance = random.Random(0)
    order = list(contestants.items())
    turn = 0
    while time.perf_counter() < end or turn < 10:
        # Who has just run leaves caches warm for its like and cold for others: each follows each.
        chance.shuffle(order)
        for name, call in order:
            times[name].append(time_of(call))
        turn += 1
    return {name: sorted(taken) for name, taken in times.items()}


def percentiles(times: list[float]) -> dict[str, float]:
    """Of sorted times."""
    at = {"median": 50, "p95": 95, "p99": 99}
    return {
        name: round(times[min(len(times) - 1, len(times) * percent // 100)], 4)
        for name, percent in at.items()
    }


def costs(taken: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    """Of how long calls took, and how long client and server were at work, see `sender.cost_of`."""
    took, client, server = zip(*taken, strict=True)
    times = percentiles(sorted(took))
    return {
        "median": times["median"],
        "p95": times["p95"],
        # The mean: the kernel may count a part of one call to the next.
        "CPU of client": round(sum(client) / len(client), 4),
        "CPU of server": round(sum(server) / len(server), 4),
    }


def told(names: Iterable[str]) -> Iterator[str]:
    """The names; each is printed when its turn comes."""
    for name in names:
        print(name, file=sys.stderr)
        yield name

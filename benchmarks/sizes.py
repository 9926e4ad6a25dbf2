"""`python -m benchmarks.sizes`: the same calls in a small and in a large database, in turns.

What two runs say, one after the other, is also how busy the machine was. Here two processes, each
with a server of its own, take turns within one run. The figures go to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from functools import partial
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.calls import calls, prepare
from benchmarks.results import SIZES
from benchmarks.server import filled_server
from benchmarks.timing import percentiles, timed, times_in_turns, told

#: The calls that must not grow; a name that begins so.
_CALLS = ("find_by_hashtag, ", "find_by_mention, ", "list_chats, 500 chats")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("--messages", type=int, nargs=2, default=[1_000_000, 10_000_000])
    parser.add_argument("--seconds", type=float, default=2, help="for each call and size")
    parser.add_argument("--keep", type=Path, nargs=2, default=[None, None], metavar="DIRECTORY")
    options = parser.parse_args()
    with ExitStack() as stack:
        databases = {
            size: stack.enter_context(_Database(size, kept))
            for size, kept in zip(options.messages, options.keep, strict=True)
        }
        names = next(database.names for database in databases.values())
        figures = {name: _compared(name, databases, options.seconds) for name in told(names)}
    SIZES.write_text(json.dumps({"messages": options.messages, "calls": figures}, indent=1) + "\n")


def _compared(
    name: str, databases: dict[int, _Database], seconds: float
) -> dict[str, dict[str, float]]:
    calls = {str(size): partial(database.time_of, name) for size, database in databases.items()}
    # Each says itself how long it took: the way there and back does not count.
    times = times_in_turns(seconds, calls, time_of=lambda call: call())
    return {size: percentiles(taken) for size, taken in times.items()}


class _Database:
    """A process that makes calls in a database of that size."""

    def __init__(self, messages: int, kept: Path | None) -> None:
        self._here, there = Pipe()
        self._process = Process(target=_answer, args=(there, messages, kept))

    def __enter__(self) -> _Database:
        self._process.start()
        self.names: list[str] = self._here.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._here.send(None)
        self._process.join()

    def time_of(self, name: str) -> float:
        """How long the call took, in milliseconds."""
        self._here.send(name)
        taken: float = self._here.recv()
        return taken


def _answer(asked: Connection, messages: int, kept: Path | None) -> None:
    with filled_server(messages, kept):
        made = {name: call for name, call in calls(prepare()).items() if name.startswith(_CALLS)}
        asked.send([name for name in made if "user in" not in name])
        while (name := asked.recv()) is not None:
            asked.send(timed(made[name]))


if __name__ == "__main__":
    main()

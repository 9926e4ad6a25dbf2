"""Every call of `calls`, beside the same by hand and as others write it.

All on the same rows, in turns, each over one connection that it holds, on a PostgreSQL server that
is there for this alone and keeps what it commits. Ratios of one run mean something, times hardly:
they are those of one machine. Besides how long a call takes, its figures say how long client and
server are at work for it: that is what a busy service pays, and steadier on a machine that others
use too. They go to benchmarks/results, from which `python -m benchmarks.report` makes
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.calls import calls, prepare
from benchmarks.embedded import filled_file
from benchmarks.equality import require_equal
from benchmarks.growth import GROWING
from benchmarks.others import others
from benchmarks.plain_inserts import plain_inserts
from benchmarks.report import calls_in_markdown
from benchmarks.results import OURS, RESULTS
from benchmarks.server import filled_server
from benchmarks.timing import Call, costs_in_turns, told
from stogram_sdk.command.search_index import drop_search_index, make_search_index
from stogram_sdk.database import session

#: Of a table with more rows a copy takes too long.
_LARGEST_COPY = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each call and contestant")
    parser.add_argument("--only", default="", help="calls whose names begin so; writes no results")
    parser.add_argument("--picture", action="store_true", help="what the first pane shows alone")
    parser.add_argument("--keep", type=Path, help="a directory for the database, to be used again")
    options = parser.parse_args()
    filled = {"postgresql": filled_server, "sqlite": filled_file}[options.engine]
    wanted = tuple(GROWING) if options.picture else (options.only,)
    with filled(options.messages, options.keep) as url:
        figures = _measure(url, options.messages, options.seconds, wanted)
    result = {"engine": options.engine, "messages": options.messages, "calls": figures}
    print(calls_in_markdown(result))
    if not options.only:
        path = RESULTS / f"{options.engine}-{options.messages}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")


def _measure(url: str, messages: int, seconds: float, wanted: tuple[str, ...]) -> dict[str, Any]:
    """By call and contestant; on SQLite ours is alone."""
    prepared = prepare()
    made = {name: call for name, call in calls(prepared).items() if name.startswith(wanted)}
    elsewhere: dict[str, dict[str, Call]] = {}
    with ExitStack() as stack:
        if url.startswith("postgresql"):
            elsewhere = stack.enter_context(others(url, made))
            require_equal(url, prepared, made, elsewhere)
            if "send_message, tags" in made and messages <= _LARGEST_COPY:
                elsewhere["send_message, tags"] |= stack.enter_context(plain_inserts(url))
        indexed = _with_search_index(url, made, seconds)
        with session():  # Each contestant holds one connection.
            figures = {
                name: costs_in_turns(seconds, {OURS: made[name], **elsewhere.get(name, {})})
                for name in told(made)
            }
    return figures | indexed


def _with_search_index(url: str, made: Mapping[str, Call], seconds: float) -> dict[str, Any]:
    """What searches and a message cost where the index of texts is; nobody else knows it."""
    names = [
        name for name in made if name.startswith(("search_messages", "send_message, 30 members"))
    ]
    if not names:
        return {}
    make_search_index(url)
    with session():
        figures = {
            f"{name}, search index": costs_in_turns(seconds, {OURS: made[name]})
            for name in told(names)
        }
    drop_search_index(url)
    return figures


if __name__ == "__main__":
    main()

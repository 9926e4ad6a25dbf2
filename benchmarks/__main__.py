"""Every call of `calls`, beside psycopg2 with the same SQL by hand and as others write it.

All on the same rows, in turns, on a PostgreSQL server of its own that keeps what it commits.
Ratios of one run mean something, times hardly: they are those of one machine. The figures go to
benchmarks/results, from which `python -m benchmarks.report` makes docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg2

from benchmarks.by_hand import ByHand
from benchmarks.calls import TAGGED, calls, prepare
from benchmarks.data import MANY, sized_chat
from benchmarks.embedded import filled_file
from benchmarks.equality import require_equal
from benchmarks.others import others
from benchmarks.report import print_figures
from benchmarks.results import BY_HAND, GUIDE, OURS, PLAIN, RESULTS
from benchmarks.server import filled_server
from benchmarks.timing import Call, percentiles, times_in_turns, told
from stogram_sdk.command.search_index import drop_search_index, make_search_index
from stogram_sdk.models import new_id

#: Of a table with more rows a copy takes too long.
_LARGEST_COPY = 1_000_000

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2, help="for each call and contestant")
    parser.add_argument("--only", default="", help="calls whose names begin so; writes no results")
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    options = parser.parse_args()
    filled = {"postgresql": filled_server, "sqlite": filled_file}[options.engine]
    with filled(options.messages, options.keep) as url:
        figures = _measure(url, options.messages, options.seconds, options.only)
    result = {"engine": options.engine, "messages": options.messages, "calls": figures}
    print_figures(result)
    if not options.only:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{options.engine}-{options.messages}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")


def _measure(url: str, messages: int, seconds: float, only: str) -> dict[str, Any]:
    """By call and contestant; on SQLite ours is alone."""
    prepared = prepare()
    made = calls(prepared)
    elsewhere = None
    if url.startswith("postgresql"):
        elsewhere = _beginning(only, others(url, made))
        require_equal(url, prepared, made, elsewhere)

    def measure(calls: dict[str, Call]) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        for name in told(calls):
            contestants: dict[str, Call] = {OURS: calls[name]}
            with ExitStack() as stack:
                if elsewhere is not None:
                    by_hand = stack.enter_context(closing(ByHand(calls[name], url)))
                    contestants |= {BY_HAND: by_hand, **elsewhere.get(name, {})}
                    if name == "send_message, tags" and messages <= _LARGEST_COPY:
                        contestants |= _plain_inserts(url)
                times = times_in_turns(seconds, contestants)
            figures[name] = {who: percentiles(taken) for who, taken in times.items()}
        return figures

    to_measure = _beginning(only, made)
    indexed: dict[str, Any] = {}
    with_index = _beginning(("search_messages", "send_message, 30"), to_measure)
    if with_index:
        make_search_index(url)
        indexed = measure({f"{name}, search index": call for name, call in with_index.items()})
        drop_search_index(url)
    return measure(to_measure) | indexed


def _beginning(start: str | tuple[str, ...], named: Mapping[str, T]) -> dict[str, T]:
    return {name: value for name, value in named.items() if name.startswith(start)}


def _plain_inserts(url: str) -> dict[str, Call]:
    """A message with tags and nothing else, without and with what 003 adds.

    Without it in a copy of the table.
    """
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(_GUIDE_TABLE)

    def insert(table: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO "{table}"
                    (id, "senderId", "chatId", content, "isSent", "updatedAt", hashtags, mentions)
                VALUES (%s, %s, %s, %s, true, now(), %s, '{{}}')""",
                [new_id(), MANY, sized_chat(30), TAGGED, ["popular", "tag40"]],
            )

    return {GUIDE: partial(insert, "guide"), PLAIN: partial(insert, "Message")}


_GUIDE_TABLE = """
DROP TABLE IF EXISTS guide;
CREATE TABLE guide (LIKE "Message" INCLUDING DEFAULTS INCLUDING INDEXES);
DO $$
DECLARE ours text;
BEGIN
    FOR ours IN SELECT indexname FROM pg_indexes WHERE tablename = 'guide'
        AND indexdef ~ '"createdAt", id|"scheduledFor", ' AND indexdef !~ 'UNIQUE'
    LOOP EXECUTE format('DROP INDEX %I', ours); END LOOP;
END $$;
ALTER TABLE guide ADD FOREIGN KEY ("senderId") REFERENCES "User",
    ADD FOREIGN KEY ("chatId") REFERENCES "Chat", ADD FOREIGN KEY ("replyToId") REFERENCES guide;
INSERT INTO guide SELECT * FROM "Message";
"""


if __name__ == "__main__":
    main()

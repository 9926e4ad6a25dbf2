"""Every call of `calls`, beside psycopg2 with the same SQL by hand and as others write it.

All on the same rows, in turns, on a PostgreSQL server of its own that keeps what it commits.
Ratios of one run mean something, times hardly: they are those of one machine. The figures go to
benchmarks/results, from which `python -m benchmarks.report` makes docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import psycopg2
from rich.console import Console
from rich.progress import track

from benchmarks.by_hand import ByHand
from benchmarks.calls import TAGGED, calls, prepare
from benchmarks.data import MANY, sized_chat
from benchmarks.embedded import filled_file
from benchmarks.others import others
from benchmarks.report import BY_HAND, GUIDE, OURS, RESULTS, print_figures
from benchmarks.server import filled_server
from benchmarks.timing import Call, percentiles, times_in_turns
from stogram_sdk.models import new_id


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2, help="for each call and contestant")
    parser.add_argument("--only", default="", help="calls whose names begin so; writes no results")
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    options = parser.parse_args()
    if options.engine == "sqlite":
        with filled_file(options.messages, options.keep):
            figures = _measure(None, options.seconds, options.only)
    else:
        with filled_server(options.messages, options.keep) as url:
            figures = _measure(url, options.seconds, options.only)
    result = {"engine": options.engine, "messages": options.messages, "calls": figures}
    print_figures(result)
    if not options.only:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{options.engine}-{options.messages}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")


def _measure(url: str | None, seconds: float, only: str) -> dict[str, Any]:
    """By call and contestant; on SQLite, where there is no URL, ours is alone."""
    prepare()
    elsewhere = others(url) if url else {}
    measured = {name: call for name, call in calls().items() if name.startswith(only)}
    figures: dict[str, Any] = {}
    console = Console(stderr=True)
    for name, ours in track(measured.items(), "Measuring", len(measured), console=console):
        contestants: dict[str, Call] = {OURS: ours}
        if url:
            contestants |= {BY_HAND: ByHand(ours, url), **elsewhere.get(name, {})}
            if name == "send_message, tags":
                contestants[GUIDE] = _as_the_guide(url)
        figures[name] = {
            who: percentiles(taken) for who, taken in times_in_turns(seconds, contestants).items()
        }
    return figures


def _as_the_guide(url: str) -> Call:
    """A message with tags, inserted where only the server's and the guide's indexes are."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            """DROP TABLE IF EXISTS guide;
            CREATE TABLE guide (LIKE "Message" INCLUDING DEFAULTS);
            INSERT INTO guide SELECT * FROM "Message";
            ALTER TABLE guide ADD PRIMARY KEY (id);
            CREATE INDEX ON guide USING gin (mentions);
            CREATE INDEX ON guide USING gin (hashtags);
            ALTER TABLE guide ADD FOREIGN KEY ("senderId") REFERENCES "User",
                ADD FOREIGN KEY ("chatId") REFERENCES "Chat"
            """
        )

    def insert() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                """INSERT INTO guide
                    (id, "senderId", "chatId", content, "isSent", "updatedAt", hashtags, mentions)
                VALUES (%s, %s, %s, %s, true, now(), %s, '{}')""",
                [new_id(), MANY, sized_chat(30), TAGGED, ["popular", "tag40"]],
            )

    return insert


if __name__ == "__main__":
    main()

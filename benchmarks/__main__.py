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
from rich.table import Table

from benchmarks.by_hand import ByHand
from benchmarks.calls import TAGGED, calls, prepare
from benchmarks.data import MANY, sized_chat
from benchmarks.others import others
from benchmarks.server import CHATS, MEMBERS, filled_server
from benchmarks.timing import Call, percentiles, times_in_turns
from stogram_sdk.models import new_id

RESULTS = Path(__file__).parent / "results"
#: psycopg2 with the same SQL.
BY_HAND = "psycopg2 by hand"
#: What a message with tags is compared to.
GUIDE = "plain INSERT, the guide's indexes"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=2, help="for each call and contestant")
    parser.add_argument("--only", default="", help="calls whose names begin so; writes no results")
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    options = parser.parse_args()
    with filled_server(options.messages, options.keep) as url:
        figures = _measure(url, options.seconds, options.only)
        version = _ask(url, "SHOW server_version")
    result = {"messages": options.messages, "postgresql": version, "calls": figures}
    _print(result)
    if not options.only:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{options.messages}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")


def _measure(url: str, seconds: float, only: str) -> dict[str, Any]:
    autocommit, manual = psycopg2.connect(url), psycopg2.connect(url)
    autocommit.autocommit = True
    prepare()
    elsewhere = others(url)
    measured = {name: call for name, call in calls(MEMBERS, CHATS).items() if name.startswith(only)}
    figures: dict[str, Any] = {}
    console = Console(stderr=True)
    for name, ours in track(measured.items(), "Measuring", len(measured), console=console):
        contestants: dict[str, Call] = {"stogram_sdk": ours}
        by_hand = ByHand(ours)
        contestants[BY_HAND] = lambda by_hand=by_hand: by_hand(autocommit, manual)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        contestants |= elsewhere.get(name, {})
        if name == "send_message, tags":
            contestants[GUIDE] = _as_the_guide(autocommit)
        figures[name] = {
            who: percentiles(taken) for who, taken in times_in_turns(seconds, contestants).items()
        }
    autocommit.close()
    manual.close()
    return figures


def _as_the_guide(connection: Any) -> Call:
    """A message with tags, inserted where only the server's and the guide's indexes are."""
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


def _ask(url: str, query: str) -> Any:
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute(query)
        answer = cursor.fetchone()
    connection.close()
    return answer and answer[0]


def _print(result: dict[str, Any]) -> None:
    table = Table("call", title=f"{result['messages']:,} messages, ms")
    for heading in ("median", "p95", "p99", "ratio to psycopg2 by hand"):
        table.add_column(heading, justify="right")
    for name, contestants in result["calls"].items():
        limit = contestants[BY_HAND]["median"]
        for who, times in contestants.items():
            if who == BY_HAND:
                continue
            table.add_row(
                name if who == "stogram_sdk" else f"    {who}",
                *(f"{times[key]:.3f}" for key in ("median", "p95", "p99")),
                f"{times['median'] / limit:.2f}",
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()

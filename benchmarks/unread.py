"""`python -m benchmarks.unread`: what it costs that unread counts are derived.

`READER` is in 500 chats, with so many unread messages in each; at first, when all has been
vacuumed, and just after 20,000 messages more. The figures go to benchmarks/results/unread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import stogram_sdk as sdk
from benchmarks.data import MANY, READER
from benchmarks.embedded import filled_file
from benchmarks.load import leave_unread
from benchmarks.results import UNREAD
from benchmarks.server import filled_server
from benchmarks.tables import table, title
from benchmarks.timing import Call, costs_in_turns, told
from stogram_sdk.database import current_database, session
from stogram_sdk.fields import time_to_text
from stogram_sdk.models import new_id

#: How many messages are unread in each chat, at most: some have fewer in all.
_UNREAD = (0, 2, 20, 100, 486, 1_000)
_INSERTED = 20_000
_AT_ONCE = 200
_CALLS: dict[str, Call] = {
    "unread_totals": partial(sdk.unread_totals, READER),
    "list_chats": partial(sdk.list_chats, READER),
    "list_chats, unread_only": partial(sdk.list_chats, READER, unread_only=True),
}
_STATES = ("at first", f"{_INSERTED:,} inserts later")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unread", description=__doc__)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each call and number")
    parser.add_argument("--keep", type=Path, help="a directory for the database, to be used again")
    options = parser.parse_args()
    filled = {"postgresql": filled_server, "sqlite": filled_file}[options.engine]
    with filled(options.messages, options.keep), session(statement_timeout=0):
        _settled()
        figures = {_STATES[0]: _read(options.seconds)}
        _insert()
        figures[_STATES[1]] = _read(options.seconds)
    result = {"engine": options.engine, "messages": options.messages, "states": figures}
    print(unread_in_markdown([result]))
    UNREAD.mkdir(parents=True, exist_ok=True)
    path = UNREAD / f"{options.engine}-{options.messages}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


def unread_in_markdown(results: Iterable[dict[str, Any]]) -> str:
    """The medians of each result and call, in both states."""
    headings = ["unread in each, up to"]
    rows = [[f"{number:,}"] for number in _UNREAD]
    for result in results:
        headings += [f"{title(result)}: `{name}`" for name in _CALLS]
        for row, number in zip(rows, _UNREAD, strict=True):
            states = [figures[str(number)] for figures in result["states"].values()]
            for name in _CALLS:
                row.append(" / ".join(f"{costs[name]['median']:.2f}" for costs in states))
    return table(headings, rows)


def _read(seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """By number of unread messages and call."""
    figures = {}
    for number in told(map(str, _UNREAD)):
        leave_unread(READER, int(number))
        _settled('"ChatSettings"')
        figures[number] = costs_in_turns(seconds, _CALLS)
    return figures


def _settled(table: str = "") -> None:
    """As the server leaves the table, or all of them, when nobody writes."""
    if current_database().dialect.name == "postgresql":
        current_database().execute_sql(f"VACUUM ANALYZE {table}")


def _chats() -> list[str]:
    sql = f"""SELECT "chatId" FROM "ChatMember" WHERE "userId" = '{READER}'"""
    return [chat for (chat,) in current_database().execute_sql(sql).fetchall()]


def _insert() -> None:
    """Messages of somebody else in the reader's chats, in turns."""
    database, chats, now = current_database(), _chats(), datetime.now(UTC)
    columns = 'id, "senderId", "chatId", content, "isSent", "createdAt", "updatedAt"'
    row = f"({', '.join([database.param] * 7)})"
    for start in range(0, _INSERTED, _AT_ONCE):
        values: list[Any] = []
        for number in range(start, start + _AT_ONCE):
            time = time_to_text(now + timedelta(milliseconds=number))
            chat = chats[number % len(chats)]
            values += [new_id(), MANY, chat, "hello", True, time, time]
        rows = ", ".join([row] * _AT_ONCE)
        database.execute_sql(f'INSERT INTO "Message" ({columns}) VALUES {rows}', values)


if __name__ == "__main__":
    main()

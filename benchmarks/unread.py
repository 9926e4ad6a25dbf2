"""`python -m benchmarks.unread`: what it costs that unread counts are derived, and what it saves.

Reading: `READER` is in 500 chats, with so many unread messages in each; at first, when all has been
vacuumed, and just after 20,000 messages more. Sending: a message in chats of 2 to 100,000 members,
by this version of the package and, in turns, by another one that stands in a directory:

    python -m benchmarks.unread --against ../other --python ../other/.venv/bin/python

Besides how long a call takes, the table says how long client and server are at work, which is
steadier on a machine that others use too. The figures go to benchmarks/results/unread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import stogram_sdk as sdk
from benchmarks.data import MANY, READER
from benchmarks.embedded import filled_file
from benchmarks.load import leave_unread
from benchmarks.results import UNREAD
from benchmarks.sender import cost_of, server_process
from benchmarks.senders import HERE, Version, sending
from benchmarks.server import filled_server
from benchmarks.tables import table
from benchmarks.timing import Call, costs
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
#: The columns that are texts, of each table, and those that are numbers.
_TEXTS = {"reading": ("state", "unread in each", "call"), "sending": ("members", "by")}
_NUMBERS = ("median", "p95", "CPU of client", "CPU of server")


def main() -> None:
    options = _options()
    path = UNREAD / f"{options.engine}-{options.messages}.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    result |= {"engine": options.engine, "messages": options.messages}
    if options.only != "sending":
        filled = {"postgresql": filled_server, "sqlite": filled_file}[options.engine]
        with filled(options.messages, options.keep):
            result["reading"] = [*_reading(options.turns)]
    if options.only != "reading":
        versions = [HERE]
        if options.against:
            versions.append(Version("the other version", options.against, options.python))
        result["sending"] = sending(options.engine, versions, options.turns)
    UNREAD.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(unread_in_markdown([result]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unread", description=__doc__)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=100, help="how often each call is made")
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    parser.add_argument("--against", type=Path, help="where another version of the package stands")
    parser.add_argument("--python", type=Path, help="and with what it runs", default=HERE.python)
    parser.add_argument("--only", choices=_TEXTS)
    return parser.parse_args()


def unread_in_markdown(results: Iterable[dict[str, Any]]) -> str:
    """A table for each result and kind."""
    parts = []
    for result in results:
        engine = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[result["engine"]]
        for kind, texts in _TEXTS.items():
            size = f", {result['messages']:,} messages" if kind == "reading" else ""
            rows = [
                [*(_shown(row[name]) for name in texts), *(f"{row[name]:.2f}" for name in _NUMBERS)]
                for row in result.get(kind, ())
            ]
            headings = [f"{engine}{size}, ms: {texts[0]}", *texts[1:], *_NUMBERS]
            parts.append(table(headings, rows, texts=len(texts)) if rows else "")
    return "\n".join(filter(None, parts))


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _reading(turns: int) -> Iterator[dict[str, Any]]:
    """A row for each state of the table, number of unread messages, and call."""
    with session(statement_timeout=0):
        _settled()
        yield from _read("at first", turns)
        _insert()
        yield from _read(f"{_INSERTED:,} inserts later", turns)
        _settled()


def _read(state: str, turns: int) -> Iterator[dict[str, Any]]:
    server = server_process()
    for number in _UNREAD:
        leave_unread(READER, number)
        _settled('"ChatSettings"')
        unread = round(sdk.unread_totals(READER).all / len(_chats()))
        for name, call in _CALLS.items():
            for _ in range(3):
                call()
            taken = [cost_of(call, server) for _ in range(turns)]
            yield {"state": state, "unread in each": unread, "call": name, **costs(taken)}


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

"""`python -m benchmarks.ids`: what a message's id costs, of UUID version 4 and of version 7.

The same messages go into two copies of one database in turns; what differs are the ids.
"""

from __future__ import annotations

import argparse
import statistics
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg2

import stogram_sdk
from benchmarks.data import MANY, sized_chat
from benchmarks.server import filled_server
from stogram_sdk.models import new_id

_BATCH = 500
_MAKERS = {"version 4": lambda: str(uuid.uuid4()), "version 7": new_id}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ids", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=40, help=f"of {_BATCH} messages, each")
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    options = parser.parse_args()
    with filled_server(options.messages, options.keep) as url:
        stogram_sdk.close()
        tables = {name: _copy(url, f"ids_{name[-1]}") for name in _MAKERS}
        seconds: dict[str, list[float]] = {name: [] for name in _MAKERS}
        written = dict.fromkeys(_MAKERS, 0)
        for turn in range(options.batches):
            for name in sorted(_MAKERS, reverse=bool(turn % 2)):
                took, wal = _insert(tables[name], [_MAKERS[name]() for _ in range(_BATCH)])
                seconds[name].append(took)
                written[name] += wal
        for connection in tables.values():
            connection.close()
    old, new = (statistics.median(seconds[name]) for name in _MAKERS)
    for name in _MAKERS:
        print(
            f"{name}: {statistics.median(seconds[name]) / _BATCH * 1e6:.0f} us and "
            f"{written[name] / options.batches / _BATCH:,.0f} bytes of WAL a message"
        )
    less_wal = written["version 7"] / written["version 4"]
    print(f"version 7 takes {new / old:.2f} of the time and {less_wal:.2f} of the WAL")


def _copy(url: str, name: str) -> Any:
    """A connection to a copy of the database."""
    main, _, options = url.partition("/postgres?")
    connection = psycopg2.connect(f"{main}/template1?{options}")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
        cursor.execute("CHECKPOINT")
    connection.close()
    return psycopg2.connect(f"{main}/{name}?{options}")


def _insert(connection: Any, ids: list[str]) -> tuple[float, int]:
    """How long it takes, in seconds, and how much is written to the log, in bytes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()")
        start = cursor.fetchone()[0]
        began = time.perf_counter()
        for message_id in ids:
            cursor.execute(
                """INSERT INTO "Message" (id, "senderId", "chatId", content, "isSent", "updatedAt")
                VALUES (%s, %s, %s, 'hello', true, now())""",
                [message_id, MANY, sized_chat(30)],
            )
        connection.commit()
        took = time.perf_counter() - began
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", [start])
        return took, int(cursor.fetchone()[0])


if __name__ == "__main__":
    main()

"""What `benchmarks.unread` runs for each version of the package: it sends, and says what it took.

Of this directory nothing else is imported: another version has its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import stogram_sdk
from stogram_sdk.database import current_database, session


def main() -> None:
    """A line that names a sender and a chat is a message; one with nothing in it is the end."""
    stogram_sdk.connect(sys.argv[1])
    stogram_sdk.migrate()
    print("migrated", flush=True)
    sys.stdin.readline()  # the rows are there
    with session():
        server = server_process()
        print("ready", flush=True)
        while line := sys.stdin.readline().split():
            sender_id, chat_id = line
            call = partial(stogram_sdk.send_message, sender_id, chat_id, "hello")
            print(*cost_of(call, server), flush=True)
    stogram_sdk.close()


def server_process() -> Path | None:
    """The file that knows how long the session's process of the server has been at work."""
    database = current_database()
    if database.dialect.name == "sqlite":
        return None
    ((process,),) = database.execute_sql("SELECT pg_backend_pid()").fetchall()
    return Path(f"/proc/{process}/schedstat")


def cost_of(call: Callable[[], Any], server: Path | None) -> tuple[float, float, float]:
    """Milliseconds: how long a call took, and how long the client and the server were at work."""
    at_server, at_client, began = _at_work(server), time.process_time(), time.perf_counter()
    call()
    took, client = time.perf_counter() - began, time.process_time() - at_client
    return took * 1_000, client * 1_000, _at_work(server) - at_server


def _at_work(server: Path | None) -> float:
    return int(server.read_text().split()[0]) / 1e6 if server else 0.0


if __name__ == "__main__":
    main()

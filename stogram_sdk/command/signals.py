"""Ctrl-C (SIGINT) and SIGTERM end a command within two seconds.

Python carries out a signal between two steps of its own, but a driver may wait in one of them for
hours. While psycopg2 waits it is made to come back to Python, and a signal that comes then has the
server cancel what it is at. Whatever else does not come back in time is left where it is: a command
may be killed at any moment, and the next run goes on.
"""

from __future__ import annotations

import math
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import psycopg2
from psycopg2 import extensions

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Seconds for the statement to be canceled and the connection to be closed.
_TIME_TO_END = 1.5
_BETWEEN_REQUESTS = _BETWEEN_LOOKS = 0.05
_STOPPED = "Stopped. What is done stays done; run it again to go on."


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let a signal end what is inside, with one line and the exit status that shells know."""
    caught: list[int] = []

    def end(number: int, frame: Any) -> None:
        if not caught:  # a second one must not disturb the end
            caught.append(number)
            # Here, because a signal can be carried out before the first line of `_wait` is.
            if frame is not None and frame.f_code is _wait.__code__:
                _cancel(frame.f_locals["connection"])
            raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    threading.Thread(target=_end_for_certain, args=(woken,), daemon=True).start()
    waiting = extensions.get_wait_callback()
    extensions.set_wait_callback(_wait)
    try:
        yield
    except BaseException:
        if not caught:
            raise
        click.echo(_STOPPED, err=True)
        raise SystemExit(128 + caught[0]) from None
    finally:
        extensions.set_wait_callback(waiting)
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)


def _end_for_certain(woken: int) -> None:
    """Wait for a signal, and then end the process if it does not do so by itself."""
    number = os.read(woken, 1)
    os.close(woken)
    if number:
        time.sleep(_TIME_TO_END)
        click.echo(_STOPPED, err=True)
        os._exit(128 + number[0])


def _wait(connection: Any) -> None:
    """Wait for the server as psycopg2 has to, but in Python, where a signal is carried out."""
    limit = math.inf
    if connection.status == extensions.STATUS_SETUP:  # libpq has no limit where others wait
        limit = float(extensions.parse_dsn(connection.dsn).get("connect_timeout", 0)) or limit
    deadline = time.monotonic() + limit
    while (state := connection.poll()) != extensions.POLL_OK:
        reads = [connection] * (state == extensions.POLL_READ)
        writes = [connection] * (state == extensions.POLL_WRITE)
        # In short waits: a signal that came just before one does not interrupt it.
        while select.select(reads, writes, [], _BETWEEN_LOOKS) == ([], [], []):
            if time.monotonic() >= deadline:
                raise psycopg2.OperationalError("timeout expired")


def _cancel(connection: Any) -> None:
    """Have the server end what it is at; a request that overtakes the statement is lost there."""
    while (
        connection.get_transaction_status() == extensions.TRANSACTION_STATUS_ACTIVE
        and connection.poll() != extensions.POLL_OK
    ):
        connection.ask_to_cancel()
        select.select([connection], [], [], _BETWEEN_REQUESTS)

"""Ctrl-C and SIGTERM end every command soon, whatever it waits for; the next run goes on."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import extensions

from stogram_sdk.command.check import check
from stogram_sdk.command.signals import ended_by_signals
from tests.support.states import PROJECT, Databases, environment, migrate_here, stogram
from tests.support.threads import wait_until

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

SIGNALS = [signal.SIGINT, signal.SIGTERM]
#: Two seconds, and what a busy machine adds.
SOON = 4.0


def begin(url: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stogram_sdk", *arguments],
        cwd=PROJECT,
        env=environment(url, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends_soon(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """One signal ends it, with one line."""
    assert process.poll() is None, process.communicate()
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < SOON
    assert process.returncode == 128 + number
    assert said == "Stopped. What is done stays done; run it again to go on.\n"


def wait_for_session(url: str, condition: str) -> None:
    wait_until(
        url,
        f"EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {condition})",
    )


@contextmanager
def held(url: str, sql: str) -> Iterator[None]:
    holder = psycopg2.connect(url)
    holder.cursor().execute(sql)
    try:
        yield
    finally:
        holder.close()


@pytest.mark.parametrize("number", SIGNALS)
def test_while_an_index_is_built(databases: Databases, name: str, number: signal.Signals) -> None:
    """CREATE INDEX CONCURRENTLY waits for every older snapshot."""
    url = databases.server.url_of(name)
    databases.before(name)
    working = "query LIKE 'CREATE%INDEX CONCURRENTLY%' AND state = 'active'"
    with held(url, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_am"):
        process = begin(url, "migrate")
        wait_for_session(url, f"{working} AND datname = '{name}'")
        ends_soon(process, number)
        # Canceled, and not ended by the older snapshot: that is there still.
        busy = f"SELECT FROM pg_stat_activity WHERE datname = '{name}' AND {working}"
        wait_until(url, f"NOT EXISTS ({busy})")
    assert stogram(url, "migrate").returncode == 0
    assert check(url).is_right


#: The signal has come while the statement was sent. Python carries it out at the next moment: as it
#: enters the function that waits.
BEFORE_WAITING = """
import signal, sys
from psycopg2.extensions import cursor
import stogram_sdk as sdk
from stogram_sdk.command.signals import ended_by_signals

def interrupt(frame, event, argument):
    signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)

sdk.connect()
with ended_by_signals(), sdk.session():
    sleeping = cursor(sdk.db.connection())
    sys.settrace(interrupt)
    sleeping.execute("SELECT pg_sleep(60)")
"""


#: The signal has come between the last step of Python and the wait for the server: it interrupts no
#: wait then. Another thread takes it here, which comes to the same.
NOT_INTERRUPTED = """
import signal, threading, time
import stogram_sdk as sdk
from stogram_sdk.command.signals import ended_by_signals

def take_it():
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

sdk.connect()
with ended_by_signals(), sdk.session():
    threading.Thread(target=take_it).start()
    sdk.db.execute_sql("SELECT pg_sleep(60)")
"""


@pytest.mark.parametrize("script", [BEFORE_WAITING, NOT_INTERRUPTED])
def test_as_a_statement_begins_to_be_waited_for(postgres_url: str, script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], env=environment(postgres_url))
    assert done.returncode == 130
    wait_until(
        postgres_url,
        "NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' "
        "AND state = 'active' AND datname = current_database())",
        within=5,
    )


WAITS = {
    "migrate": 'LOCK TABLE "Message" IN ACCESS EXCLUSIVE MODE',
    "check": 'LOCK TABLE "Message" IN ACCESS EXCLUSIVE MODE',
    "status": "LOCK TABLE migratehistory IN ACCESS EXCLUSIVE MODE",
    "rollback": 'LOCK TABLE "MessageTag" IN ACCESS EXCLUSIVE MODE',
    "backfill": 'LOCK TABLE "Message" IN ACCESS EXCLUSIVE MODE',
    "search-index": 'LOCK TABLE "Message" IN ACCESS EXCLUSIVE MODE',
}


@pytest.mark.parametrize("command", WAITS)
def test_while_it_waits_for_a_lock(databases: Databases, name: str, command: str) -> None:
    url = databases.server.url_of(name)
    migrate_here(url)
    if command == "migrate":
        databases.server.execute("DELETE FROM migratehistory WHERE name LIKE '003%'", name)
        databases.server.execute('DROP INDEX "Message_visible_idx"', name)
    with held(url, WAITS[command]):
        process = begin(url, command)
        wait_for_session(url, f"wait_event_type = 'Lock' AND datname = '{name}'")
        ends_soon(process, signal.SIGINT)
    assert stogram(url, command).returncode == 0


def test_while_it_waits_for_its_turn(databases: Databases, name: str, tmp_path: Path) -> None:
    url = databases.server.url_of(name)
    key = "hashtextextended('stogram_sdk migrates ' || current_schema(), 0)"
    with held(url, f"SELECT pg_advisory_lock({key})"):
        process = begin(url, "migrate")
        wait_for_session(url, f"query LIKE '%pg_try_advisory_lock%' AND datname = '{name}'")
        ends_soon(process, signal.SIGTERM)
    lock = sqlite3.connect(tmp_path / "stogram.db-migrating", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    process = begin(f"sqlite:///{tmp_path}/stogram.db", "migrate")
    time.sleep(3)
    ends_soon(process, signal.SIGINT)
    lock.close()


def test_while_a_server_does_not_answer() -> None:
    """It accepts, and says nothing: neither to the connection nor to the wish to cancel."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://u@127.0.0.1:{port}/x?connect_timeout=60"
        process = begin(url, "check")
        connection, _ = silent.accept()
        time.sleep(0.2)
        ends_soon(process, signal.SIGINT)
        connection.close()


def test_the_time_to_connect_is_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        done = stogram(f"postgresql://u@127.0.0.1:{port}/x?connect_timeout=2", "check")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the database cannot be reached")
    assert len(done.stderr.splitlines()) == 1


def test_while_a_server_has_stopped(databases: Databases, name: str) -> None:
    """Its process is frozen in the middle of a statement."""
    url = databases.server.url_of(name)
    migrate_here(url)
    with held(url, 'LOCK TABLE "Message" IN ACCESS EXCLUSIVE MODE'):
        process = begin(url, "check")
        wait_for_session(url, f"wait_event_type = 'Lock' AND datname = '{name}'")
        ((pid,),) = databases.server.execute(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            f"AND datname = '{name}'"
        )
        os.kill(pid, signal.SIGSTOP)
        try:
            ends_soon(process, signal.SIGINT)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert stogram(url, "check").returncode == 0


def test_a_command_of_this_process_leaves_the_driver_as_it_was() -> None:
    """What the driver is told while it runs would keep others from COPY."""
    with ended_by_signals():
        assert extensions.get_wait_callback() is not None
    assert extensions.get_wait_callback() is None

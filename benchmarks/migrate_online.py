"""How long do others wait while a database is migrated? Ours beside the SQL of the guide.

    python -m benchmarks.migrate_online --messages 1000000 --picture docs/migrate_online.svg

Two writers (one inserts messages, one edits them) and a reader are at work all the time; in a
second round somebody else also has a transaction open for eight seconds. The longest that any of
them waited is the standstill. The guide's SQL is taken with its syntax error corrected.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks.large_server import large_server
from benchmarks.tables import table
from tests.support.guide import prisma_sql
from tests.support.postgres import PostgresServer
from tests.support.states import PROJECT, Databases, environment

OPEN_SECONDS = 8.0
QUIET_SECONDS = 2.0


@dataclass
class Run:
    """What was measured: for reads and writes, when each began and how long it took (s)."""

    name: str
    with_open_transaction: bool
    began: float = 0.0
    ended: float = 0.0
    writes: list[tuple[float, float]] = field(default_factory=list)
    reads: list[tuple[float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def longest(self, kind: list[tuple[float, float]], during: bool = True) -> float:
        """The longest wait, in milliseconds, while the migration ran (or before it)."""
        waits = [
            seconds
            for at, seconds in kind
            if (at + seconds >= self.began and at <= self.ended) == during
        ]
        return max(waits, default=0.0) * 1000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=1_000_000)
    arguments.add_argument("--picture", type=Path)
    options = arguments.parse_args()
    runs: list[Run] = []
    with large_server(options.messages) as (server, template):
        for with_open_transaction in (False, True):
            for name, migrate in (("ours", migrate_ours), ("the guide", migrate_as_in_the_guide)):
                with server.database(template) as database:
                    run = Run(name, with_open_transaction)
                    measure(server, database, run, migrate)
                    runs.append(run)
                    print(summary(run))
    print(table_of(runs, options.messages))
    if options.picture:
        draw(runs, options.picture)


def migrate_ours(server: PostgresServer, database: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "peewee_migrate", "migrate"],
        cwd=PROJECT,
        env=environment(server.url_of(database)),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def migrate_as_in_the_guide(server: PostgresServer, database: str) -> None:
    Databases(server).strictly(database, prisma_sql())


def measure(
    server: PostgresServer,
    database: str,
    run: Run,
    migrate: Callable[[PostgresServer, str], None],
) -> None:
    url = server.url_of(database)
    over = threading.Event()
    start = time.monotonic()
    workers = [
        threading.Thread(target=work, args=(url, statements, log, run.failed, start, over))
        for statements, log in (
            (inserts(), run.writes),
            (updates(), run.writes),
            (selects(), run.reads),
        )
    ]
    for worker in workers:
        worker.start()
    time.sleep(QUIET_SECONDS)
    with open_transaction(url) if run.with_open_transaction else no_transaction():
        run.began = time.monotonic() - start
        migrate(server, database)
        run.ended = time.monotonic() - start
    time.sleep(QUIET_SECONDS)
    over.set()
    for worker in workers:
        worker.join()


Statements = Iterator[tuple[str, tuple[Any, ...]]]


def inserts() -> Statements:
    for number in itertools.count():
        yield (
            'INSERT INTO "Message" (id, content, "senderId", "chatId", "isSent", "updatedAt") '
            "VALUES (%s, 'a new message', 'u1', 'c1', true, now())",
            (f"new{number}",),
        )


def updates() -> Statements:
    choice = random.Random(1)
    while True:
        yield (
            """UPDATE "Message" SET content = 'edited', "isEdited" = true WHERE id = %s""",
            (f"m{choice.randrange(1, 10_000)}",),
        )


def selects() -> Statements:
    choice = random.Random(2)
    while True:
        yield (
            'SELECT m.content, u.username FROM "Message" AS m JOIN "User" AS u '
            'ON u.id = m."senderId" JOIN "Chat" AS c ON c.id = m."chatId" WHERE m.id = %s',
            (f"m{choice.randrange(1, 10_000)}",),
        )


def work(
    url: str,
    statements: Statements,
    log: list[tuple[float, float]],
    failed: list[str],
    start: float,
    over: threading.Event,
) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    cursor = connection.cursor()
    while not over.wait(0.002):
        began = time.monotonic()
        try:
            cursor.execute(*next(statements))
        except psycopg2.Error as error:
            failed.append(str(error.pgcode))
        log.append((began - start, time.monotonic() - began))
    connection.close()


@contextmanager
def open_transaction(url: str) -> Iterator[None]:
    """Somebody reads and edits in one transaction, which stays open for eight seconds."""
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    cursor.execute('SELECT 1 FROM "User", "Chat" LIMIT 1')
    cursor.execute("""UPDATE "Message" SET "isEdited" = true WHERE id = 'm10001'""")
    end = threading.Timer(OPEN_SECONDS, connection.commit)
    end.start()
    try:
        yield
    finally:
        end.join()
        connection.close()


@contextmanager
def no_transaction() -> Iterator[None]:
    yield


def summary(run: Run) -> str:
    return (
        f"{run.name}, open transaction {run.with_open_transaction}: {run.ended - run.began:.1f} s, "
        f"longest write {run.longest(run.writes):.0f} ms, read {run.longest(run.reads):.0f} ms "
        f"(before and after: {run.longest(run.writes, during=False):.0f} ms, "
        f"{run.longest(run.reads, during=False):.0f} ms), {len(run.failed)} statements failed"
    )


def table_of(runs: list[Run], messages: int) -> str:
    rows = (
        (
            f"open for {OPEN_SECONDS:.0f} s" if run.with_open_transaction else "none",
            run.name,
            f"{run.ended - run.began:.1f}",
            f"{run.longest(run.writes):,.0f}",
            f"{run.longest(run.reads):,.0f}",
        )
        for run in runs
    )
    headings = f"{messages:,} messages: another transaction", "migration", "takes, s"
    return table([*headings, "longest write, ms", "longest read, ms"], rows, texts=range(2))


def draw(runs: list[Run], picture: Path) -> None:
    """Each statement at the time when it began, as high as it took long."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "stogram"
    from matplotlib import pyplot

    figure, plots = pyplot.subplots(2, 2, figsize=(11, 6.5), sharey=True, sharex="row")
    for plot, run in zip(plots.flat, runs, strict=True):
        for kind, log, color in (
            ("writes", run.writes, "#b35900"),
            ("reads", run.reads, "#1f6feb"),
        ):
            # One dot for the longest in each 50 ms keeps the picture small.
            longest: dict[int, tuple[float, float]] = {}
            for at, seconds in log:
                slot = int(at * 20)
                longest[slot] = max(longest.get(slot, (0, 0)), (seconds * 1000, at))
            points = [(at - run.began, wait) for wait, at in longest.values()]
            plot.plot(
                *zip(*points, strict=True), ".", color=color, markersize=2.5, label=kind, alpha=0.6
            )
            for at, wait in points:
                if wait > 50:  # as long as it took
                    plot.hlines(wait, at, at + wait / 1000, color=color, linewidth=2)
        plot.axvspan(0, run.ended - run.began, color="#57606a", alpha=0.12, label="migration")
        plot.set_yscale("log")
        plot.yaxis.set_major_formatter("{x:g}")
        other = (
            f", a transaction open for {OPEN_SECONDS:.0f} s" if run.with_open_transaction else ""
        )
        plot.set_title(f"{run.name}{other}", fontsize=10)
        plot.grid(axis="y", alpha=0.3)
    for plot in plots[:, 0]:
        plot.set_ylabel("a statement takes (ms)")
    for plot in plots[1]:
        plot.set_xlabel("seconds since the migration began")
    plots[0, 0].legend(loc="upper left", fontsize=8)
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main()

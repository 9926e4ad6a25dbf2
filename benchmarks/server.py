"""A migrated PostgreSQL database full of messages, on a server that keeps what it commits."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

import stogram_sdk
from benchmarks.data import make_world
from benchmarks.load import load_postgres, read_as_counted
from stogram_sdk.database import current_database, session
from stogram_sdk.schema.router import router_of
from stogram_sdk.schema.turns import turn
from tests.support.postgres import Cluster, server_binaries

#: As safe, and as slow, as in production.
_DURABLE = (
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "maintenance_work_mem=512MB",
)


@contextmanager
def started(directory: Path) -> Iterator[str]:
    """The URL of a server that keeps what it commits, in the directory."""
    cluster = Cluster(directory, server_binaries(directory), *_DURABLE)
    cluster.start()
    try:
        yield f"postgresql://postgres@/postgres?host={directory}"
    finally:
        cluster.stop("fast")


@contextmanager
def filled_server(messages: int, kept: Path | None) -> Iterator[str]:
    """The URL of the database; in the directory `kept` it is there for the next run."""
    directory = kept or Path(tempfile.mkdtemp(prefix="stogram-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    is_filled = directory / "filled"
    try:
        with started(directory) as url:
            stogram_sdk.connect(url)
            try:
                if not is_filled.exists():
                    _fill(url, messages)
                    is_filled.touch()
                yield url
            finally:
                stogram_sdk.close()
    finally:
        if kept is None:
            shutil.rmtree(directory, ignore_errors=True)


def _fill(url: str, messages: int) -> None:
    with session(), turn(current_database(), None) as home:
        router_of(current_database(), home).run("002_guide_features")
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        # The rows are right as they are made: no foreign key needs to be looked up.
        cursor.execute("SET session_replication_role = replica")
        began = time.perf_counter()
        load_postgres(connection, make_world(messages))
        loaded = time.perf_counter()
        stogram_sdk.migrate()
        print(
            f"{messages:,} messages: copied in {loaded - began:.0f} s, "
            f"migration 003 on them in {time.perf_counter() - loaded:.0f} s"
        )
        connection.commit()
        read_as_counted()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    connection.close()

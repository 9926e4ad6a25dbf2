"""A migrated PostgreSQL database full of messages, on a server that keeps what it commits."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from peewee_migrate import Router

import stogram_sdk
from benchmarks.data import MANY, make_world, sized_chat, user_in_chats
from benchmarks.load import load_postgres
from stogram_sdk.database import current_database, session
from stogram_sdk.migrating import migrations_directory
from tests.postgres import Cluster, server_binaries

#: As safe, and as slow, as in production.
_DURABLE = (
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "maintenance_work_mem=512MB",
)
#: How many members the chats of `sized_chat` have, and how many chats the users of `user_in_chats`.
MEMBERS = (10, 30, 100, 1_000, 10_000, 100_000)
CHATS = (1, 10, 100, 500, 1_000)


@contextmanager
def filled_server(messages: int, kept: Path | None) -> Iterator[str]:
    """The URL of the database; in the directory `kept` it is there for the next run."""
    directory = kept or Path(tempfile.mkdtemp(prefix="stogram-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    is_filled = directory / "filled"
    try:
        cluster = Cluster(directory, server_binaries(directory), *_DURABLE)
        cluster.start()
        try:
            url = f"postgresql://postgres@/postgres?host={directory}"
            stogram_sdk.connect(url)
            if not is_filled.exists():
                _fill(url, messages)
                is_filled.touch()
            yield url
        finally:
            stogram_sdk.close()
            cluster.stop("fast")
    finally:
        if kept is None:
            shutil.rmtree(directory, ignore_errors=True)


def _fill(url: str, messages: int) -> None:
    with session():
        router = Router(current_database(), migrate_dir=migrations_directory())
        router.run("002_guide_features")
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
        cursor.execute("SET session_replication_role = origin")
        for size in MEMBERS:
            _make_chat(cursor, size)
        for chats in CHATS:
            _make_user(cursor, chats)
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    connection.close()


def _make_chat(cursor: Any, size: int) -> None:
    """A group of `MANY` and others who are nowhere else."""
    cursor.execute(
        """INSERT INTO "Chat" (id, type, "updatedAt") VALUES (%s, 'GROUP', '2020-01-01')""",
        [sized_chat(size)],
    )
    cursor.execute(
        """INSERT INTO "User" (id, email, username, password, "updatedAt")
        SELECT id, id || '@example.com', id, '-', '2020-01-01'
        FROM (SELECT 'member_' || n FROM generate_series(1, %s) AS n) AS given(id)
        ON CONFLICT DO NOTHING""",
        [size],
    )
    cursor.execute(
        """INSERT INTO "ChatMember" (id, "userId", "chatId", "joinedAt")
        SELECT %(chat)s || '/' || n, CASE n WHEN 1 THEN %(user)s ELSE 'member_' || n END,
            %(chat)s, '2020-01-01'
        FROM generate_series(1, %(size)s) AS n""",
        {"chat": sized_chat(size), "user": MANY, "size": size},
    )


def _make_user(cursor: Any, chats: int) -> None:
    """A user in so many of the chats of the world, busy ones and quiet ones."""
    user = user_in_chats(chats)
    cursor.execute(
        """INSERT INTO "User" (id, email, username, password, "updatedAt")
        VALUES (%(user)s, %(user)s || '@example.com', %(user)s, '-', '2020-01-01')""",
        {"user": user},
    )
    cursor.execute(
        """INSERT INTO "ChatMember" (id, "userId", "chatId", "joinedAt")
        SELECT %(user)s || '/' || id, %(user)s, id, '2016-01-01'
        FROM "Chat" WHERE id LIKE 'chat-%%' AND type = 'GROUP' ORDER BY md5(id) LIMIT %(chats)s""",
        {"user": user, "chats": chats},
    )

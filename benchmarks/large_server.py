"""A PostgreSQL server with a Stogram database from before the migration, full of messages."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import PostgresServer, server_binaries, started_server
from tests.support.states import Databases

#: As safe, and as slow, as in production.
_DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_wal_size=4GB")

_MESSAGES = """
INSERT INTO "User" (id, email, username, password, "updatedAt")
    SELECT 'u' || n, 'u' || n || '@example.com', 'user' || n, '-', now()
    FROM generate_series(1, 1000) AS n;
INSERT INTO "Chat" (id, type, "updatedAt")
    SELECT 'c' || n, 'GROUP', now() FROM generate_series(1, 200) AS n;
INSERT INTO "Message" (id, content, "senderId", "chatId", "isSent", "createdAt", "updatedAt")
    SELECT 'm' || n,
        (ARRAY['Привет, #Проект' || n %% 500 || ' готов', 'ok',
            'see you at the #Launch, @user' || n %% 900, '今日の試合 #サッカー',
            'Das #Straßenfest ist am Samstag',
            'a longer message without anything in it to be found'])[1 + n %% 6],
        'u' || 1 + n %% 1000, 'c' || 1 + n %% 200, true,
        timestamp '2024-01-01' + n * interval '2 seconds', now()
    FROM generate_series(1, %d) AS n;
VACUUM ANALYZE;
"""


@contextmanager
def large_server(messages: int) -> Iterator[tuple[PostgresServer, str]]:
    """A server, and the name of a database on it to be used as a template."""
    directory = Path(tempfile.mkdtemp(prefix="stogram-benchmark-"))
    try:
        binaries = server_binaries(directory)
        with started_server(directory, binaries, *_DURABLE) as url:
            server = PostgresServer(url, binaries)
            with server.database() as template:
                databases = Databases(server)
                databases.before(template)
                databases.strictly(template, _MESSAGES % messages)
                yield server, template
    finally:
        shutil.rmtree(directory, ignore_errors=True)

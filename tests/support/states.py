"""The states in which a migration can meet a Stogram database, made on PostgreSQL."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import stogram_sdk as sdk
from stogram_sdk.schema.migration import migrations_directory
from tests.support.guide import LATER_COLUMNS, TAGS_AS_TEXT, guide_sql, prisma_sql
from tests.support.postgres import PostgresServer
from tests.support.server_rows import server_rows_sql
from tests.support.server_schema import server_schema_sql

PROJECT = Path(__file__).resolve().parents[2]

ORPHANS = """
INSERT INTO "BlockedUser" (id, "userId", "blockedId") VALUES ('b1', 'nobody', 'no one');
INSERT INTO "ChatSettings" (id, "userId", "chatId", "updatedAt")
    VALUES ('s1', 'nobody', 'nowhere', '2024-01-01'), ('s2', 'nobody', 'elsewhere', '2024-01-01');
INSERT INTO "PinnedMessage" (id, "userId", "messageId", "chatId")
    VALUES ('p1', 'nobody', 'nothing', 'nowhere');
"""


class Databases:
    """Puts a database of the server into a state."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    def psql(self, database: str, sql: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                self.server.bin / "psql",
                "-X",
                "-q",
                *options,
                "-d",
                self.server.url_of(database),
                "-f",
                "-",
            ],
            input=sql,
            capture_output=True,
            encoding="utf-8",
        )

    def strictly(self, database: str, sql: str) -> None:
        for _ in range(10):
            done = self.psql(database, sql, "-v", "ON_ERROR_STOP=1")
            # A script alone has such a limit, and is run again: a vacuum may hold a table.
            if "lock timeout" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr

    def empty(self, database: str) -> None:
        """A new database."""

    def before(self, database: str) -> None:
        self.strictly(database, server_schema_sql())

    def filled(self, database: str) -> None:
        self.before(database)
        self.strictly(database, server_rows_sql())

    def half(self, database: str) -> None:
        self.before(database)
        assert "syntax error" in self.psql(database, guide_sql()).stderr

    def orphans(self, database: str) -> None:
        self.half(database)
        self.strictly(database, ORPHANS)

    def prisma(self, database: str) -> None:
        self.before(database)
        self.strictly(database, prisma_sql())

    def later(self, database: str) -> None:
        """A later server: tags are JSON, and there are more columns, labels and tables."""
        self.before(database)
        self.strictly(database, prisma_sql(TAGS_AS_TEXT))
        self.strictly(database, LATER_COLUMNS)

    def ours(self, database: str) -> None:
        self.before(database)
        migrate_here(self.server.url_of(database))
        migrate_here(self.server.url_of(database))

    def make(self, state: str, database: str) -> None:
        method: Callable[[str], None] = getattr(self, state)
        method(database)

    def dump(self, database: str, *options: str) -> str:
        """The schema as `pg_dump` writes it, without the history of migrations."""
        done = subprocess.run(
            [
                self.server.bin / "pg_dump",
                "--schema-only",
                "--exclude-table=*.migratehistory*",
                *options,
                self.server.url_of(database),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        # From 17.6 on, these two commands are followed by a random word.
        return re.sub(r"\\(un)?restrict \w+", "", done.stdout)


def environment(url: str, **variables: str) -> dict[str, str]:
    """The environment in which a command finds the database."""
    return {**os.environ, "STOGRAM_DATABASE_URL": url, **variables}


def run(url: str, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of this Python, with the URL in its environment."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env=environment(url, **variables),
        capture_output=True,
        text=True,
    )


def migrate_here(url: str) -> list[str]:
    """Apply the migrations in this process, which is faster than the command.

    It is for tests that are not about the command. They must not be connected meanwhile. Returns
    the names of the migrations that were applied.
    """
    sdk.connect(url)
    try:
        return sdk.migrate()
    finally:
        sdk.close()


def pw_migrate(url: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(url, "peewee_migrate", *arguments, **variables)


def automatic_migration(
    url: str, models: str, directory: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Have the stock command look what else the models want, beside a copy of the migrations."""
    copy_migrations(directory)
    return pw_migrate(
        url,
        *("create", "probe", "--auto", "--auto-source", models, "--directory", str(directory)),
        **variables,
    )


def copy_migrations(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for file in migrations_directory().glob("*.py"):
        shutil.copy(file, directory)


def stogram(url: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(url, "stogram_sdk", *arguments, **variables)

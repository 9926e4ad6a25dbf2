"""Prisma 6.19's own tools on databases that this package has migrated: `make test-prisma`.

    python -m tests.prisma DIRECTORY    (which holds node_modules, with what package.json names)

It prints what they say, and ends with status 1 if they find a drift. It needs Node.js and npm, so
it is not a part of `make test`, and a PostgreSQL before 18, which Prisma 6.19 cannot read:
`STOGRAM_TEST_PG_BIN=/usr/lib/postgresql/15/bin`.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.guide import prisma_sql
from tests.support.postgres import PostgresServer, running_server
from tests.support.server_schema import server_schema_sql
from tests.support.states import Databases, migrate_here, run

HERE = Path(__file__).resolve().parent
GUIDE = "20240201000000_add-new-features"
#: Without a client, which would be installed for it.
DEV = ("migrate", "dev", "--skip-generate")

HEAD = """generator client {
  provider   = "prisma-client-js"
  engineType = "client"
}

datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
"""

# What it says of itself, of the adapter and of what one could do next.
_NOISE = re.compile(
    r"Loaded Prisma config|Prisma config detected|Prisma schema loaded|Datasource \"db\"|WARNING:|"
    r"^- url$|The values from your schema|We recommend you|Prisma Migrate applied|^\W*$|"
    r"schema-engine-wasm|migrations? found in|Run prisma generate"
)
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[⠀-⣿]|\r")


@dataclass
class Repository:
    """A server's directory `prisma`, and the database beside it."""

    directory: Path
    server: PostgresServer
    database: str

    def prisma(self, *arguments: str, code: int = 0) -> str:
        """What a command of Prisma says. `migrate dev` refuses to work without a terminal."""
        said: list[bytes] = []
        status = self._in_terminal(["node_modules/.bin/prisma", *arguments], said)
        text = _TERMINAL.sub("", b"".join(said).decode())
        text = "\n".join(line for line in text.splitlines() if not _NOISE.search(line))
        print(f"$ npx prisma {' '.join(arguments)}\n{text}\n", flush=True)
        if status != code:
            raise SystemExit(f"exit status {status}, and not {code}")
        return text

    def _in_terminal(self, command: list[str], said: list[bytes]) -> int:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.directory)
            os.execvpe(command[0], command, self._environment())
        while True:
            try:
                data = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            said.append(data)
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _environment(self) -> dict[str, str]:
        url = urlsplit(self.server.url_of(self.database))
        return {
            **os.environ,
            "PGHOST": (parse_qs(url.query).get("host") or [url.hostname or ""])[0],
            "PGUSER": url.username or "",
            "PGDATABASE": self.database,
            "DATABASE_URL": "postgresql://not/used",  # the adapter has its own
            "CHECKPOINT_DISABLE": "1",
            "PRISMA_HIDE_UPDATE_MESSAGE": "1",
            "NO_COLOR": "1",
        }

    def pulled(self) -> str:
        """The schema.prisma that `prisma db pull` makes of the database."""
        done = subprocess.run(
            ["node_modules/.bin/prisma", "db", "pull", "--print"],
            cwd=self.directory,
            env=self._environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return re.sub(r"^///.*\n", "", done.stdout[done.stdout.index("generator ") :], flags=re.M)

    def add_migration(self, name: str, sql: str) -> None:
        directory = self.directory / "migrations" / name
        directory.mkdir(parents=True)
        (directory / "migration.sql").write_text(sql)

    def stogram(self, *arguments: str) -> str:
        done = run(self.server.url_of(self.database), "stogram_sdk", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        last = done.stdout.replace(f"{self.directory}/", "").strip().splitlines()[-1].strip()
        print(f"$ stogram {' '.join(arguments)}\n{last}\n".replace(str(self.directory), "prisma"))
        return last

    def agrees(self) -> None:
        """No drift: of the database, of the migrations and of schema.prisma."""
        assert "up to date" in self.prisma("migrate", "status")
        assert "Already in sync" in self.prisma(*DEV)
        (self.directory / "pulled.prisma").write_text(self.pulled())
        for source in ("--from-migrations=migrations", "--from-schema-datamodel=pulled.prisma"):
            diff = ("migrate", "diff", source, "--to-schema-datamodel=schema.prisma", "--exit-code")
            assert "No difference detected" in self.prisma(*diff)


@contextmanager
def repository(modules: Path, databases: Databases) -> Iterator[Repository]:
    """One of a server before the guide: its tables are there, but for those of later states."""
    with (
        tempfile.TemporaryDirectory() as made,
        databases.server.database() as name,
    ):
        directory = Path(made)
        shutil.copy(HERE / "prisma.config.ts", directory)
        (directory / "node_modules").symlink_to(modules / "node_modules")
        (directory / "schema.prisma").write_text(HEAD)
        new = Repository(directory, databases.server, name)
        new.add_migration("20240101000000_init", server_schema_sql())
        lock = directory / "migrations" / "migration_lock.toml"
        lock.write_text('provider = "postgresql"\n')
        yield new


def on_a_server_database(at: Repository, databases: Databases) -> None:
    databases.filled(at.database)
    (at.directory / "schema.prisma").write_text(at.pulled())
    at.prisma("migrate", "resolve", "--applied", "20240101000000_init")
    at.agrees()
    migrate_here(databases.server.url_of(at.database))
    assert "Drift detected" in at.prisma(*DEV, code=130)
    tell(at)
    at.agrees()


def where_the_guide_was_applied_with_prisma(at: Repository, databases: Databases) -> None:
    databases.prisma(at.database)
    (at.directory / "schema.prisma").write_text(at.pulled())
    at.add_migration(GUIDE, prisma_sql())
    at.prisma("migrate", "resolve", "--applied", "20240101000000_init")
    at.prisma("migrate", "resolve", "--applied", GUIDE)
    migrate_here(databases.server.url_of(at.database))
    tell(at)
    at.agrees()


def where_prisma_does_it_alone(at: Repository, databases: Databases) -> None:
    databases.before(at.database)
    (at.directory / "schema.prisma").write_text(at.pulled())
    databases.strictly(at.database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    at.stogram("prisma", "--write", str(at.directory))
    at.prisma("migrate", "deploy")
    at.agrees()
    assert "nothing to do" in at.stogram("migrate")
    at.stogram("check")


def with_the_index_for_searches(at: Repository, databases: Databases) -> None:
    databases.filled(at.database)
    (at.directory / "schema.prisma").write_text(at.pulled())
    at.prisma("migrate", "resolve", "--applied", "20240101000000_init")
    migrate_here(databases.server.url_of(at.database))
    at.stogram("search-index")
    before = databases.dump(at.database)
    at.stogram("prisma", "--write", str(at.directory), "--search-index")
    # Not resolved: applied once more, to what is there, it changes nothing.
    at.prisma("migrate", "deploy")
    assert without_its_table(databases.dump(at.database)) == without_its_table(before)
    at.agrees()


def without_its_table(dump: str) -> list[str]:
    """The lines of a dump without Prisma's own table of migrations."""
    parts = re.split(r"\n\n\n", dump)
    return [part for part in parts if "_prisma_migrations" not in part]


def tell(at: Repository) -> None:
    """As docs/migrations.md says."""
    command = at.stogram("prisma", "--write", str(at.directory))
    at.prisma(*command.split()[2:])


def main() -> None:
    modules = Path(sys.argv[1]).resolve()
    with running_server() as server:
        databases = Databases(server)
        for case in (
            on_a_server_database,
            where_the_guide_was_applied_with_prisma,
            where_prisma_does_it_alone,
            with_the_index_for_searches,
        ):
            print(f"\n--- {case.__name__.replace('_', ' ')} ---\n")
            with repository(modules, databases) as at:
                case(at, databases)
    print("Prisma finds no drift.")


if __name__ == "__main__":
    main()

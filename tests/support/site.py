"""A service's surroundings for the tests of faults: a server, a network, a database with rows."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

import stogram_sdk as sdk
from tests.support.postgres import Cluster, PostgresServer, server_binaries
from tests.support.proxy import Proxy

DATABASE = "stogram"

#: Limits that make a fault short; in seconds.
SHORT: sdk.ConnectOptions = {
    "connect_timeout": 1,
    "pool_timeout": 2,
    "statement_timeout": 1,
    "lock_timeout": 0.5,
}


class Site:
    """`url` leads through the proxy; `administrator` is a session beside it."""

    def __init__(self, cluster: Cluster, proxy: Proxy) -> None:
        self.cluster = cluster
        self.proxy = proxy
        self.url = proxy.url(DATABASE)
        #: What leads to the standby, whichever server that is.
        self.read_url = f"postgresql://postgres@/{DATABASE}?host={cluster.directory}/standby"
        self.standby: Cluster | None = None
        self._home = cluster.directory
        self._copies = 0

    @property
    def direct_url(self) -> str:
        return f"postgresql://postgres@/{DATABASE}?host={self.cluster.directory}"

    @contextmanager
    def administrator(self) -> Iterator[Any]:
        """A cursor of a connection that no fault reaches; its transaction is rolled back."""
        connection = psycopg2.connect(self.direct_url, application_name="administrator")
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def ask(self, sql: str, *values: Any) -> Any:
        """The first column of the first row, in a transaction of its own."""
        with self.administrator() as cursor:
            cursor.execute(sql, values or None)
            row = cursor.fetchone()
            cursor.connection.commit()
            return row and row[0]

    def sessions(self) -> int:
        """How many sessions of the SDK the server has."""
        return int(self.ask(f"SELECT count(*) {_SESSIONS}"))

    def terminate(self, condition: str = "true") -> int:
        """End the sessions of the SDK for which the condition holds; how many there were."""
        return int(
            self.ask(
                f"SELECT count(*) FROM (SELECT pg_terminate_backend(pid) {_SESSIONS} "
                f"AND {condition}) AS ended"
            )
        )

    def restart(self, mode: str) -> None:
        """`mode`: fast, immediate or kill."""
        if mode == "kill":
            self.cluster.kill()
        else:
            self.cluster.stop(mode)
        self.cluster.start()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """The server takes no writes inside, also in the sessions that are there."""
        self._set_read_only("on")
        try:
            yield
        finally:
            self._set_read_only("off")

    def _set_read_only(self, value: str) -> None:
        with self.administrator() as cursor:
            cursor.connection.rollback()
            cursor.connection.autocommit = True
            cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            cursor.execute("SELECT pg_reload_conf()")
        eventually(lambda: self.ask("SHOW default_transaction_read_only") == value)

    def keep_standby(self) -> None:
        """Give the server a standby, for reads; it takes the server's place in a failover."""
        self.standby = self._new_standby()
        link = self._home / "new"
        link.symlink_to(self.standby.directory)
        link.replace(self._home / "standby")

    def _new_standby(self) -> Cluster:
        self._copies += 1
        directory = self._home / f"copy{self._copies}"
        directory.mkdir()
        standby = self.cluster.standby(directory)
        standby.start()
        return standby

    def fail_over(self) -> None:
        """A standby takes the server's place, with everything that was committed."""
        old = self.cluster
        standby = self.standby or self._new_standby()
        # A standby that answers may not follow yet, and nobody would wait for it then.
        followers = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        eventually(lambda: self.ask(followers) == 1)
        old.stop("fast")  # It waits until the standby has it all.
        self.cluster = standby
        self.cluster.promote()
        self.proxy.upstream = self.cluster.socket
        shutil.rmtree(old.directory / "data")
        if self.standby is not None:
            self.keep_standby()


_SESSIONS = "FROM pg_stat_activity WHERE application_name = 'stogram_sdk'"


@contextmanager
def running_site(*options: str) -> Iterator[Site]:
    """A migrated database on a server of its own, where an acknowledged commit survives a crash."""
    directory = Path(tempfile.mkdtemp(prefix="stogram-faults-"))
    try:
        binaries = server_binaries(directory)
        cluster = Cluster(directory, binaries, "synchronous_commit=on", *options)
        cluster.start()
        proxy = Proxy(cluster.socket)
        try:
            server = PostgresServer(f"postgresql://postgres@/postgres?host={directory}", binaries)
            server.execute(f"CREATE DATABASE {DATABASE}")
            site = Site(cluster, proxy)
            sdk.connect(site.direct_url)
            sdk.migrate()
            sdk.close()
            try:
                yield site
            finally:
                site.cluster.stop("immediate")
                if site.standby is not None:
                    site.standby.stop("immediate")
        finally:
            proxy.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def eventually(condition: Callable[[], bool], within: float = 5.0) -> None:
    """Wait for the condition; fails when the seconds are over."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)

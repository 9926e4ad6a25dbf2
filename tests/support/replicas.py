"""A primary with its standby, each a server of its own, which change places in a failover."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

import stogram_sdk as sdk
from stogram_sdk.models import new_id
from tests.support.postgres import Cluster, PostgresServer, server_binaries
from tests.support.site import DATABASE, eventually


class Replicas:
    """`url` names both servers, as a service does that goes on after a failover."""

    def __init__(self, home: Path, primary: Cluster) -> None:
        self._home = home
        self._standbys = 0
        self.primary = primary
        self.standby = self.new_standby()

    @property
    def url(self) -> str:
        return url_of(self.primary, self.standby)

    @property
    def primary_url(self) -> str:
        return url_of(self.primary)

    @property
    def read_url(self) -> str:
        return url_of(self.standby)

    def new_standby(self) -> Cluster:
        self._standbys += 1
        directory = self._home / f"standby{self._standbys}"
        directory.mkdir()
        standby = self.primary.standby(directory)
        standby.start()
        return standby

    def synchronous(self, is_synchronous: bool) -> None:
        """Whether a commit of the primary waits for the standby."""
        names = "*" if is_synchronous else ""
        ask(self.primary, f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        ask(self.primary, "SELECT pg_reload_conf()")
        eventually(lambda: ask(self.primary, "SHOW synchronous_standby_names") == names)

    def wait_for_standby(self) -> None:
        """Until the standby has everything."""
        position = ask(self.primary, "SELECT pg_current_wal_flush_lsn()")
        eventually(
            lambda: bool(ask(self.standby, "SELECT pg_last_wal_replay_lsn() >= %s", position)), 30
        )

    def promote(self) -> None:
        """Let the standby take the place of the primary, which is gone or silent."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Let the old primary come back, with a new copy of what the new one has."""
        self.standby = self.new_standby()
        self.wait_for_standby()


def url_of(*clusters: Cluster) -> str:
    hosts = ",".join(str(cluster.directory) for cluster in clusters)
    return f"postgresql://postgres@/{DATABASE}?host={hosts}"


def ask(cluster: Cluster, sql: str, *values: Any) -> Any:
    """The first column of the first row."""
    connection = psycopg2.connect(url_of(cluster), application_name="administrator")
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]
    finally:
        connection.close()


@contextmanager
def running_replicas(*options: str) -> Iterator[Replicas]:
    """A migrated database, where an acknowledged commit survives a crash, and its standby."""
    home = Path(tempfile.mkdtemp(prefix="stogram-standbys-"))
    clusters: list[Cluster] = []
    try:
        binaries = server_binaries(home)
        primary = Cluster(home, binaries, "synchronous_commit=on", "wal_keep_size=64", *options)
        primary.start()
        clusters.append(primary)
        server = PostgresServer(f"postgresql://postgres@/postgres?host={home}", binaries)
        server.execute(f"CREATE DATABASE {DATABASE}")
        sdk.connect(url_of(primary))
        sdk.migrate()
        sdk.close()
        replicas = Replicas(home, primary)
        clusters = [replicas.primary, replicas.standby]
        yield replicas
        clusters = [replicas.primary, replicas.standby]
    finally:
        for cluster in clusters:
            if cluster.is_running():
                cluster.stop("immediate")
        shutil.rmtree(home, ignore_errors=True)


class Senders:
    """Threads that send messages, each again under its id until it is acknowledged."""

    def __init__(self, sender: str, chat: str, threads: int = 4) -> None:
        self._sender, self._chat = sender, chat
        self._stopped = threading.Event()
        self.acknowledged: list[tuple[float, str]] = []
        self.unsafe = 0
        self._threads = [threading.Thread(target=self._send) for _ in range(threads)]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        message_id = new_id()
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                sdk.send_message(self._sender, self._chat, message_id, message_id=message_id)
            except sdk.Unavailable as error:
                self.unsafe += not error.safe_to_retry
                time.sleep(0.01)
            else:
                self.acknowledged.append((began, message_id))
                message_id = new_id()

    def wait_for(self, number: int, since: float = 0, within: float = 10.0) -> float:
        """Until so many messages were sent since then; the seconds until the first of them."""

        def later() -> list[float]:
            return [began for began, _ in self.acknowledged[:] if began >= since]

        eventually(lambda: len(later()) >= number, within)
        return min(later()) - since


def seconds(call: Callable[[], Any]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began

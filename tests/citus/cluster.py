"""The cluster that `STOGRAM_TEST_CITUS_URL` names, and new databases on it.

It is the URL of a database of the coordinator, as a superuser, in which Citus knows its workers.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from tests.support.distributed import connected


class CitusCluster:
    def __init__(self, url: str) -> None:
        self.url = url
        with connected(url) as cursor:
            cursor.execute("SELECT nodename, nodeport, groupid FROM pg_dist_node ORDER BY groupid")
            (self.coordinator, *self.workers) = [(host, port) for host, port, _ in cursor]

    def url_of(self, database: str, node: tuple[str, int] | None = None) -> str:
        parts = urlsplit(self.url)
        if node:
            user = parts.netloc.rpartition("@")[0]
            parts = parts._replace(netloc=f"{user}@{node[0]}:{node[1]}")
        return urlunsplit(parts._replace(path=f"/{database}"))

    @contextmanager
    def database(self, *, workers: bool = True) -> Iterator[str]:
        """The URL of a new, empty database on every server of the cluster."""
        name = f"test_{uuid.uuid4().hex}"
        nodes = (self.coordinator, *self.workers)
        for node in nodes:
            self._execute(node, "postgres", f'CREATE DATABASE "{name}" TEMPLATE template0')
            self._execute(node, name, "CREATE EXTENSION citus")
        host, port = self.coordinator
        self._execute(
            self.coordinator, name, f"SELECT citus_set_coordinator_host('{host}', {port})"
        )
        for host, port in self.workers if workers else ():
            self._execute(self.coordinator, name, f"SELECT citus_add_node('{host}', {port})")
        try:
            yield self.url_of(name)
        finally:
            for node in nodes:
                with suppress(psycopg2.errors.InvalidCatalogName):
                    self._execute(node, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')

    def on_each(self, url: str, sql: str) -> None:
        """In the database on each server by itself."""
        for node in (self.coordinator, *self.workers):
            there = self.url_of(url.rpartition("/")[2], node)
            execute(there, f"SET citus.enable_ddl_propagation = off; {sql}")

    def _execute(self, node: tuple[str, int], database: str, sql: str) -> None:
        with connected(self.url_of(database, node)) as cursor:
            if "DATABASE" in sql:  # each server has its own
                cursor.execute("SET citus.enable_create_database_propagation = off")
            cursor.execute(sql)


def cluster_of_the_environment() -> CitusCluster:
    url = os.environ.get("STOGRAM_TEST_CITUS_URL")
    assert url, "STOGRAM_TEST_CITUS_URL must name a coordinator of Citus, as a superuser"
    return CitusCluster(url)


def ask(url: str, sql: str) -> list[Any]:
    with connected(url) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def execute(url: str, sql: str) -> None:
    with connected(url) as cursor:
        cursor.execute(sql)

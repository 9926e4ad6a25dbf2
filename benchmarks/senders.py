"""What a message costs in chats of so many members, by one version of the package or by two.

Each version has a process and a database of its own, with the same rows, on the same server; they
take turns.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

from benchmarks import sender
from benchmarks.data import MANY, World, make_world, sized_chat
from benchmarks.load import load_postgres, load_sqlite
from benchmarks.results import OURS
from benchmarks.server import started
from benchmarks.timing import costs

_MEMBERS = (2, 30, 1_000, 100_000)
_MESSAGES = 10_000
#: Also the members of the largest chats have set something.
_SETTINGS = """
INSERT INTO "ChatSettings" (id, "userId", "chatId", "createdAt", "updatedAt")
    SELECT id, "userId", "chatId", "joinedAt", "joinedAt" FROM "ChatMember" WHERE true
    ON CONFLICT DO NOTHING
"""


class Version(NamedTuple):
    """A checkout of the package, and the Python that has what it needs."""

    name: str
    directory: Path
    python: Path


HERE = Version(OURS, Path(__file__).parents[1], Path(sys.executable))


def sending(engine: str, versions: list[Version], turns: int) -> list[dict[str, Any]]:
    """A row for each number of members and version."""
    measured: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(_directory()))
        if engine == "postgresql":
            stack.enter_context(started(directory))
        senders = [
            stack.enter_context(_Sender(version, engine, directory / str(number)))
            for number, version in enumerate(versions)
        ]
        order = [(members, sender) for members in _MEMBERS for sender in senders]
        for turn in range(turns + 3):
            random.Random(turn).shuffle(order)
            for members, sender in order:
                cost = sender.send(members)
                if turn >= 3:
                    measured.setdefault((members, sender.name), []).append(cost)
    return [
        {"members": members, "by": version.name, **costs(measured[members, version.name])}
        for members in _MEMBERS
        for version in versions
    ]


@contextmanager
def _directory() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="stogram-bench-")
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class _Sender:
    """A process that sends messages with that version; `place` is for its database."""

    def __init__(self, version: Version, engine: str, place: Path) -> None:
        self.name = version.name
        url = _new_postgres(place) if engine == "postgresql" else f"sqlite:///{place}.db"
        self._process = subprocess.Popen(
            # -P: what stands beside the file is not to be imported in the place of other modules.
            [version.python, "-P", sender.__file__, url],
            env=os.environ | {"PYTHONPATH": str(version.directory)},
            cwd=version.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear("migrated")
        fill = _fill_postgres if engine == "postgresql" else _fill_sqlite
        fill(url, make_world(_MESSAGES))
        self._tell("")
        self._hear("ready")

    def __enter__(self) -> _Sender:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self._tell("")
        self._process.communicate()

    def send(self, members: int) -> tuple[float, float, float]:
        self._tell(f"{MANY} {sized_chat(members)}")
        took, client, server = map(float, self._said().split())
        return took, client, server

    def _hear(self, expected: str) -> None:
        assert self._said() == f"{expected}\n", f"{self.name} has not {expected}"

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)


def _new_postgres(place: Path) -> str:
    server = f"postgresql://postgres@/{{}}?host={place.parent}"
    name = f"version_{place.name}"
    with closing(psycopg2.connect(server.format("postgres"))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
    return server.format(name)


def _fill_postgres(url: str, world: World) -> None:
    with closing(psycopg2.connect(url)) as connection:
        load_postgres(connection, world)
        connection.autocommit = True
        connection.cursor().execute(_SETTINGS)
        connection.cursor().execute("VACUUM ANALYZE")


def _fill_sqlite(url: str, world: World) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.create_function("stogram_tag_key", 1, str.casefold, deterministic=True)
        load_sqlite(connection, world)
        connection.execute(_SETTINGS)
        connection.execute("ANALYZE")
        connection.commit()

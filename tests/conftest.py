"""Databases and rows for the tests; `engine` runs a test on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

import stogram_sdk as sdk
from stogram_sdk.command.distribute import distribute
from stogram_sdk.testing import delete_all_rows
from tests.citus.cluster import CitusCluster
from tests.support.contract import World, build_world
from tests.support.factories import make_chat, make_user
from tests.support.postgres import PostgresServer, running_server
from tests.support.states import Databases, migrate_here
from tests.support.threads import Arrivals, arrivals

settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer) -> Databases:
    return Databases(postgres_server)


@pytest.fixture
def name(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a new, empty PostgreSQL database."""
    with postgres_server.database() as new:
        yield new


@pytest.fixture(scope="session")
def target(databases: Databases) -> str:
    """The schema at the end of all migrations, as `pg_dump` writes it."""
    with databases.server.database() as new:
        migrate_here(databases.server.url_of(new))
        return databases.dump(new)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, name: str) -> str:
    """A new, empty PostgreSQL database."""
    return postgres_server.url_of(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new, empty SQLite database."""
    return f"sqlite:///{tmp_path}/stogram.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Any:
    """A new, empty database on each engine."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "stogram.db"
    migrate_here(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database; distributed, if the server is the coordinator of a Citus cluster."""
    if postgres_server.has_workers():
        with CitusCluster(postgres_server.url).database() as url:
            migrate_here(url)
            distribute(url)
            yield url
        return
    with postgres_server.database() as name:
        migrate_here(postgres_server.url_of(name))
        yield postgres_server.pooled_url_of(name)


@pytest.fixture
def direct_url(postgres_server: PostgresServer, migrated_postgres: str) -> str:
    """The same past PgBouncer, whose clients share their sessions."""
    return postgres_server.url_of(urlsplit(migrated_postgres).path[1:])


@pytest.fixture(scope="session")
def postgres_by_chat(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database with the keys of a distributed one."""
    with postgres_server.database() as name:
        migrate_here(postgres_server.url_of(name))
        distribute(postgres_server.url_of(name), shards=False)
        yield postgres_server.pooled_url_of(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Connected to a migrated database without rows, on each engine in turn."""
    with connected(request, tmp_path):
        yield request.param


@pytest.fixture
def migrated_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Where the database of `engine` is."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path}/stogram.db"
    return request.getfixturevalue(_fixture_of(engine))


@pytest.fixture
def ivan(engine: str) -> sdk.User:
    return make_user("ivan")


@pytest.fixture
def olga(engine: str) -> sdk.User:
    return make_user("olga")


@pytest.fixture
def chat(olga: sdk.User, ivan: sdk.User) -> sdk.Chat:
    """A group of hers, in which he is a member."""
    return make_chat(olga, ivan)


@pytest.fixture
def closed_at_the_end() -> Iterator[None]:
    """For tests that connect themselves."""
    yield
    sdk.close()


@pytest.fixture
def arriving(migrated_postgres: str) -> Iterator[Arrivals]:
    """Calls in threads of their own, which come to where they wait."""
    with arrivals(migrated_postgres) as found:
        yield found


@pytest.fixture
def on_postgres(migrated_postgres: str) -> Iterator[None]:
    """Connected to a migrated PostgreSQL database without rows."""
    with _connected_to(migrated_postgres):
        yield


@pytest.fixture(scope="module")
def on_distributed_postgres(postgres_by_chat: str) -> Iterator[None]:
    """Connected to a database that is sent the statements for a distributed one."""
    with _connected_to(postgres_by_chat):
        yield


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A world for the tests of a module, on each engine in turn; they leave it as it is.

    Not beside `engine` in one module: each is connected to a database of its own.
    """
    with connected(request, tmp_path_factory.mktemp("world")):
        yield build_world()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The small cast of the studio, for the tests of a module that leave it as it is."""
    from tests.support.studio import make_cast

    with connected(request, tmp_path_factory.mktemp("studio")):
        yield make_cast()


@pytest.fixture(scope="module")
def large_world(world: World) -> World:
    """Another one beside `world`, with more of everything."""
    return build_world(extra=5)


def _fixture_of(engine: str) -> str:
    """The fixture that has the URL of the migrated PostgreSQL database."""
    return "postgres_by_chat" if engine == "distributed" else "migrated_postgres"


@contextmanager
def connected(request: pytest.FixtureRequest, directory: Path) -> Iterator[None]:
    """Connected to the engine that the fixture was asked for."""
    if request.param != "sqlite":
        with _connected_to(request.getfixturevalue(_fixture_of(request.param))):
            yield
        return
    shutil.copy(request.getfixturevalue("migrated_sqlite"), directory / "stogram.db")
    sdk.connect(f"sqlite:///{directory}/stogram.db", connection_limit=20)
    yield
    sdk.close()


@contextmanager
def _connected_to(url: str) -> Iterator[None]:
    """Connected to a database of PostgreSQL, which is left without rows."""
    sdk.connect(url, connection_limit=20)
    connected = sdk.db.obj
    yield
    if sdk.db.obj is not connected:  # The test has closed it, or has gone elsewhere.
        sdk.connect(url)
    delete_all_rows()
    sdk.close()

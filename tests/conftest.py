"""Databases and rows for the tests; `engine` runs a test on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import stogram_sdk
from tests.postgres import PostgresServer, running_server

settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    with postgres_server.database() as name:
        yield postgres_server.url_of(name)


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
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as name:
        url = postgres_server.url_of(name)
        _migrate(url)
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Connected to a migrated database without rows, on each engine in turn."""
    if request.param == "sqlite":
        template = request.getfixturevalue("migrated_sqlite")
        shutil.copy(template, tmp_path / "stogram.db")
        stogram_sdk.connect(f"sqlite:///{tmp_path}/stogram.db")
    else:
        stogram_sdk.connect(request.getfixturevalue("migrated_postgres"), connection_limit=20)
    yield request.param
    with stogram_sdk.session():
        for model in (stogram_sdk.Chat, stogram_sdk.User):  # all other rows go with these
            model.delete().execute()
    stogram_sdk.close()


@pytest.fixture
def on_postgres(migrated_postgres: str) -> Iterator[None]:
    """Connected to a migrated PostgreSQL database without rows."""
    stogram_sdk.connect(migrated_postgres, connection_limit=20)
    yield
    with stogram_sdk.session():
        for model in (stogram_sdk.Chat, stogram_sdk.User):
            model.delete().execute()
    stogram_sdk.close()


def _migrate(url: str) -> None:
    stogram_sdk.connect(url)
    stogram_sdk.migrate()
    stogram_sdk.close()

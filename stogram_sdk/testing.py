"""For the tests of a service: an empty, migrated database for each test, and rows to begin with.

It is a plugin of pytest, which a project names in its `conftest.py`:

    pytest_plugins = ["stogram_sdk.testing"]

The database is SQLite in memory, or a schema of its own on the PostgreSQL server that
`STOGRAM_TEST_DATABASE_URL` names; nothing else there is touched. `docs/testing.md` has recipes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.models import PublishedMessage, new_id

#: The URL of an empty, migrated database, for as long as the context lasts.
Fresh = Callable[[], AbstractContextManager[str]]

_VARIABLE = "STOGRAM_TEST_DATABASE_URL"
_numbers = count(1)


class MakeUser:
    """What the fixture `make_user` gives: makes an account, each time another one."""

    def __call__(
        self,
        username: str | None = None,
        *,
        email: str | None = None,
        password_hash: str = "not the hash of a password",
        display_name: str | None = None,
    ) -> sdk.User:
        username = username or f"user_{next(_numbers)}"
        return sdk.create_user(
            email or f"{username}@example.com",
            username,
            password_hash=password_hash,
            display_name=display_name,
        )


class MakeChat:
    """What the fixture `make_chat` gives: makes a chat of its owner and members."""

    def __call__(
        self,
        owner: sdk.User,
        *members: sdk.User,
        type: sdk.ChatType = sdk.ChatType.GROUP,
        **options: Any,
    ) -> sdk.Chat:
        """The options are those of `create_chat`."""
        ids = [member.id for member in members]
        return sdk.create_chat(owner.id, type, member_ids=ids, **options)


class MakeMessage:
    """What the fixture `make_message` gives: sends a message of a member."""

    def __call__(
        self, sender: sdk.User, chat: sdk.Chat, content: str = "hello", **options: Any
    ) -> sdk.Message:
        """The options are those of `send_message`."""
        return sdk.send_message(sender.id, chat.id, content, **options)


@pytest.fixture
def stogram_database(_stogram_databases: Fresh, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Connected to an empty, migrated database of this test; the URL of it.

    It is in `STOGRAM_DATABASE_URL` too: a service that calls `connect()` itself, in this process or
    another, is on the same database.
    """
    with _stogram_databases() as url:
        monkeypatch.setenv("STOGRAM_DATABASE_URL", url)
        sdk.connect(url)
        yield url
        sdk.close()


@pytest.fixture
def make_user(stogram_database: str) -> MakeUser:
    """`anna = make_user()`, `make_user("anna", display_name="Anna")`."""
    return MakeUser()


@pytest.fixture
def make_chat(stogram_database: str) -> MakeChat:
    """`make_chat(anna, ivan)`, `make_chat(anna, type=ChatType.CHANNEL, name="News")`."""
    return MakeChat()


@pytest.fixture
def make_message(stogram_database: str) -> MakeMessage:
    """`make_message(ivan, chat)`, `make_message(ivan, chat, "Hi, @anna!", is_silent=True)`."""
    return MakeMessage()


@pytest.fixture(scope="session")
def _stogram_databases() -> Iterator[Fresh]:
    """The migrations run once; each test has their result."""
    url = os.environ.get(_VARIABLE)
    with _files_in_memory() if url is None else _schema_on(url) as fresh:
        yield fresh


@contextmanager
def _files_in_memory() -> Iterator[Fresh]:
    # `:memory:` is a database of one connection, so it is lost when a service connects itself.
    # A file on a disk in memory is as quick; where there is none, it is a temporary file.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(prefix="stogram-test-", dir=memory) as directory:
        migrated = f"{directory}/migrated.db"
        _migrate(f"sqlite:///{migrated}")

        @contextmanager
        def copy() -> Iterator[str]:
            with TemporaryDirectory(dir=directory) as place:
                shutil.copy(migrated, f"{place}/stogram.db")
                yield f"sqlite:///{place}/stogram.db"

        yield copy


@contextmanager
def _schema_on(url: str) -> Iterator[Fresh]:
    """A schema of this process, so that several can test on one server at once."""
    if url.startswith("sqlite:"):
        raise sdk.InvalidInput(f"{_VARIABLE} names a PostgreSQL server; for SQLite, unset it")
    schema = f"stogram_test_{new_id().replace('-', '')}"
    its_url = f"{url}{'&' if '?' in url else '?'}schema={schema}"

    @contextmanager
    def emptied() -> Iterator[str]:
        yield its_url
        sdk.connect(its_url)  # the test may have closed it, or have gone elsewhere
        delete_all_rows()
        sdk.close()

    try:
        _migrate(its_url)
        yield emptied
    finally:
        sdk.connect(url)
        sdk.db.execute_sql(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        sdk.close()


def _migrate(url: str) -> None:
    sdk.connect(url)
    sdk.migrate()
    sdk.close()


def delete_all_rows() -> None:
    """Empty the connected database; with few rows that is much quicker than to truncate it."""
    with sdk.session():
        for model in (sdk.Chat, sdk.User, PublishedMessage):  # all other rows go with these
            model.delete().execute()

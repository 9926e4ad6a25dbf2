"""A call takes no more in a large chat: no memory, no time, and no patience of others."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.paging import write_cursor
from tests.support.factories import LONG_AGO, after, insert_chat, make_message, make_user
from tests.support.states import migrate_here

#: Databases of their own, with 100,000 users.
pytestmark = pytest.mark.slow

MANY = 100_000


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """The collector need not look at what pytest holds, which stops all threads for long."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def ann(database_url: str) -> Iterator[sdk.User]:
    migrate_here(database_url)
    sdk.connect(database_url, statement_timeout=300)
    yield make_user()
    sdk.close()


def channel_of(owner: sdk.User, number: int) -> sdk.Chat:
    """A channel with so many members beside the owner: `many-000000` and so on."""
    channel = insert_chat(owner, type=sdk.ChatType.CHANNEL)
    is_sqlite = current_database().dialect.name == "sqlite"
    id = "'many-' || " + ("printf('%06d', n)" if is_sqlite else "lpad(n::text, 6, '0')")
    numbers = (
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 "
        f"FROM numbers WHERE n < {number - 1})"
    )
    moment = "'2024-01-01 12:00:00.000'"
    with sdk.session():
        for sql in (
            f'INSERT INTO "User" (id, email, username, password, "updatedAt") {numbers} '
            f"SELECT {id}, {id}, {id}, '', {moment} FROM numbers WHERE true ON CONFLICT DO NOTHING",
            f'INSERT INTO "ChatMember" (id, "userId", "chatId", "joinedAt") {numbers} '
            f"SELECT '{channel.id}' || {id}, {id}, '{channel.id}', {moment} FROM numbers",
            # Of SQLite's tables the others are empty by now, which it would believe later too.
            *(() if is_sqlite else ("ANALYZE",)),
        ):
            current_database().execute_sql(sql)
    return channel


def taken_by(call: Callable[[], Any]) -> tuple[float, int]:
    """The seconds that a call takes, and the bytes that Python holds at most meanwhile."""
    tracemalloc.start()
    began = time.monotonic()
    call()
    seconds = time.monotonic() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, peak


def test_users_to_notify_of_a_page_of_messages_in_a_large_channel(ann: sdk.User) -> None:
    channel = channel_of(ann, MANY)
    asked = [(channel.id, make_message(ann, channel).id) for _ in range(100)]
    first, last = asked[0][1], f"{channel.id}many-099990"
    cursor = None
    for number in range(5):
        pages: list[sdk.Page[tuple[str, str]]] = []
        seconds, peak = taken_by(
            lambda: pages.append(sdk.users_to_notify_each(asked, cursor=cursor))  # noqa: B023
        )
        page = pages.pop()
        assert page == [(first, f"many-{number * 1_000 + n:06}") for n in range(1_000)]
        assert peak < 5_000_000
        assert seconds < 5
        cursor = page.next_cursor
    cursor = write_cursor("receivers", (*asked[0], LONG_AGO, last))
    assert len(sdk.users_to_notify(*asked[0], cursor=cursor)) == 9
    rest = sdk.users_to_notify_each(asked, cursor=cursor, limit=10)
    assert [id for id, _ in rest] == [first] * 9 + [asked[1][1]]


def history(sender: sdk.User, number: int) -> list[list[sdk.ImportedMessage]]:
    return [
        [
            sdk.ImportedMessage(
                f"{sender.id} {batch} {n}", sender.id, after(batch * 1_000 + n), f"words {n}"
            )
            for n in range(1_000)
        ]
        for batch in range(number)
    ]


def test_an_import_takes_the_same_into_a_chat_of_any_size(ann: sdk.User) -> None:
    """Batch after batch; and nobody waits long to write there meanwhile."""
    seconds: dict[int, list[float]] = {}
    for members in (100, MANY):
        channel = channel_of(ann, members)
        ben = make_user()
        sdk.add_member(ann.id, channel.id, ben.id, role=sdk.MemberRole.ADMIN)
        stop = threading.Event()

        def write(sender: str = ben.id, chat: str = channel.id) -> list[float]:
            waits = []
            sdk.send_message(sender, chat, "first")  # Opens a connection, and plans.
            while not stop.is_set():  # noqa: B023
                began = time.monotonic()
                sdk.send_message(sender, chat, "meanwhile")
                waits.append(time.monotonic() - began)
                time.sleep(0.01)
            return waits

        seconds[members] = []
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(write)
            for batch in history(ben, 10):
                began = time.monotonic()
                assert sdk.import_messages(ann.id, channel.id, batch) == 1_000
                seconds[members].append(time.monotonic() - began)
            stop.set()
            # SQLite has one writer for the whole file: others wait for one batch, and no longer.
            is_sqlite = current_database().dialect.name == "sqlite"
            assert max(waits.result()) < (max(seconds[members]) + 0.05 if is_sqlite else 0.25)
    # Medians: a batch may wait for the one who writes.
    assert median(seconds[MANY]) < 2 * median(seconds[100])
    assert median(seconds[MANY][5:]) < 2 * median(seconds[MANY][:5])

"""Eight threads of everything in few chats, and one that only looks, for some seconds."""

from __future__ import annotations

import logging
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import stogram_sdk as sdk
from tests.support.factories import LONG_AGO, make_chat, make_message, make_users, wrong_counts
from tests.support.threads import at_once

pytestmark = pytest.mark.slow

SECONDS = 3

CALLS = (
    *("send", "send", "send", "send", "read", "read", "read", "delete", "block", "unblock"),
    *("leave", "add", "schedule", "publish", "toggle", "recount"),
)


@pytest.fixture(params=["sqlite", "postgresql", "postgresql, serializable"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "stogram.db")
        sdk.connect(f"sqlite:///{tmp_path}/stogram.db")
    else:
        url = request.getfixturevalue("postgres_url")
        if "serializable" in request.param:
            request.getfixturevalue("postgres_server").execute(
                f'ALTER DATABASE "{urlsplit(url).path[1:]}"'
                " SET default_transaction_isolation = 'serializable'"
            )
        sdk.connect(url, connection_limit=20)
        sdk.migrate()
    yield
    sdk.close()


class Load:
    """Random calls, and what became of them."""

    def __init__(self) -> None:
        self.users = make_users(6)
        self.chats = [make_chat(*self.users) for _ in range(3)]
        self.chats.append(make_chat(*self.users[:2], type=sdk.ChatType.PRIVATE))
        self.sent: list[tuple[str, sdk.Chat]] = []
        self.stop = threading.Event()

    def work(self, seed: int) -> int:
        rng = random.Random(seed)
        calls = 0
        while not self.stop.is_set():
            with suppress(sdk.NotAllowed, sdk.Blocked):
                try:
                    self.call(rng)
                except sdk.NotFound as error:
                    assert error.id
            calls += 1
        return calls

    def call(self, rng: random.Random) -> None:
        user, other = rng.sample(self.users, 2)
        chat = rng.choice(self.chats)
        message_id, its_chat = rng.choice(self.sent) if self.sent else ("none", chat)
        match rng.choice(CALLS):
            case "send":
                self.sent.append((make_message(user, chat).id, chat))
            case "schedule":
                self.sent.append((make_message(user, chat, scheduled_for=LONG_AGO).id, chat))
            case "publish":
                sdk.publish_scheduled(limit=rng.choice([1, 100]))
            case "read":
                sdk.mark_read(user.id, its_chat.id, message_id if rng.random() < 0.7 else None)
            case "delete":
                sdk.delete_message(user.id, its_chat.id, message_id)
            case "block":
                sdk.block_user(user.id, other.id)
            case "unblock":
                sdk.unblock_user(user.id, other.id)
            case "leave":
                sdk.leave_chat(user.id, chat.id)
            case "add":
                sdk.add_member(user.id, chat.id, other.id)
            case "toggle":
                sdk.toggle_favorite(user.id, chat.id)
            case "recount":
                sdk.recount_unread(user.id)

    def watch(self) -> int:
        """Messages become visible in their order: none appears before one that was there."""
        seen: dict[sdk.Chat, set[tuple[Any, str]]] = {chat: set() for chat in self.chats}
        while not self.stop.is_set():
            for chat in self.chats:
                rows = sdk.Message.select().where(sdk.Message.chat == chat, sdk.Message.is_sent)
                newest = rows.order_by(sdk.Message.created_at.desc(), sdk.Message.id.desc()).limit(
                    100
                )
                now = {(row.created_at, row.id) for row in newest}
                last = max(seen[chat], default=None)
                assert last is None or all(place > last for place in now - seen[chat])
                seen[chat] |= now
        return 0


@pytest.mark.usefixtures("anywhere")
def test_after_a_mixed_load_every_count_is_true_and_every_message_there_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "stogram_sdk")
    load = Load()
    timer = threading.Timer(SECONDS, load.stop.set)
    timer.start()
    try:
        calls = at_once(load.watch, *[partial(load.work, seed) for seed in range(8)])
    finally:
        load.stop.set()
        timer.cancel()
    assert sum(calls) > 100
    assert caplog.messages == []  # No call had to be run again.
    assert wrong_counts() == {}
    assert {(row.id, row.chat_id) for row in sdk.Message.select()} == {
        (message_id, chat.id) for message_id, chat in load.sent
    }
    for chat in load.chats:
        times = [row.created_at for row in sdk.Message.select().where(sdk.Message.chat == chat)]
        assert len(set(times)) == len(times)

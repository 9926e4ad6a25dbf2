"""Eight threads of everything in few chats for some seconds; one only looks, or is the server."""

from __future__ import annotations

import logging
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import stogram_sdk as sdk
from tests.support.factories import LONG_AGO, make_chat, make_message, make_users, wrong_counts
from tests.support.second_writer import SecondWriter
from tests.support.threads import at_once

pytestmark = pytest.mark.slow

SECONDS = 3

CALLS = (
    *("send", "send", "send", "send", "read", "read", "read", "delete", "block", "unblock"),
    *("leave", "add", "schedule", "publish", "toggle", "recount"),
)

SERVER_CALLS = (
    *("send", "send", "send", "send late", "socket", "edit", "delete", "remove", "publish"),
    *("block", "unblock", "add", "remove member", "put unread", "read", "mute"),
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
        self.server = SecondWriter()
        #: Messages of which the server has removed the rows.
        self.removed: set[str] = set()
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
                # The first user stays: with the last one the chat would go.
                sdk.leave_chat(rng.choice(self.users[1:]).id, chat.id)
            case "add":
                sdk.add_member(user.id, chat.id, other.id)
            case "toggle":
                sdk.toggle_favorite(user.id, chat.id)
            case "recount":
                sdk.recount_unread(user.id)

    def serve(self, seed: int) -> int:
        """What the server does, for as long as the others work."""
        rng = random.Random(seed)
        calls = 0
        while not self.stop.is_set():
            self.server_call(rng)
            calls += 1
        return calls

    def server_call(self, rng: random.Random) -> None:
        user, other = rng.sample(self.users, 2)
        chat = rng.choice(self.chats)
        message_id, its_chat = rng.choice(self.sent) if self.sent else ("none", chat)
        late = self.server.clock() - timedelta(seconds=rng.choice([0.01, 5]))
        match rng.choice(SERVER_CALLS):
            case "send":
                self.sent.append((self.server.send(user.id, chat.id, "#Load"), chat))
            case "send late":
                self.sent.append((self.server.send(user.id, chat.id, at=late), chat))
            case "socket":
                self.sent.append((self.server.send_by_socket(user.id, chat.id), chat))
            case "edit":
                self.server.edit(message_id, "other")
            case "delete":
                self.server.delete(message_id)
            case "remove":
                self.removed.add(message_id)
                self.server.remove_message(message_id)
            case "publish":
                self.server.publish(message_id)
            case "block":
                self.server.block(user.id, other.id)
            case "unblock":
                self.server.unblock(user.id, other.id)
            case "add":
                self.server.add_member(chat.id, user.id)
            case "remove member":
                self.server.remove_member(chat.id, self.users[-1].id)
            case "put unread":
                self.server.put_unread(user.id, chat.id, rng.randint(-9, 9))
            case "read":
                self.server.mark_read(user.id, its_chat.id, message_id)
            case "mute":
                self.server.mute(user.id, chat.id)

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


def run(load: Load, *calls: Callable[[], int]) -> None:
    """Some seconds of these calls, each in a thread of its own."""
    timer = threading.Timer(SECONDS, load.stop.set)
    timer.start()
    try:
        assert sum(at_once(*calls)) > 100
    finally:
        load.stop.set()
        timer.cancel()


@pytest.mark.usefixtures("anywhere")
def test_after_a_mixed_load_every_count_is_true_and_every_message_there_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "stogram_sdk")
    load = Load()
    run(load, load.watch, *[partial(load.work, seed) for seed in range(8)])
    assert caplog.messages == []  # No call had to be run again.
    assert wrong_counts() == {}
    assert {(row.id, row.chat_id) for row in sdk.Message.select()} == {
        (message_id, chat.id) for message_id, chat in load.sent
    }
    for chat in load.chats:
        sent = sdk.Message.select().where(sdk.Message.chat == chat, sdk.Message.is_sent)
        times = [row.created_at for row in sent]
        assert len(set(times)) == len(times)


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_after_a_mixed_load_beside_the_server_everybody_sees_what_plain_sql_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "stogram_sdk")
    load = Load()
    work = [partial(load.work, seed) for seed in range(4)]
    run(load, *work, *[partial(load.serve, seed) for seed in range(4)])
    assert caplog.messages == []  # No call had to be run again.
    assert wrong_counts() == {}
    left = {(row.id, row.chat_id) for row in sdk.Message.select()}
    assert left == {(id, chat.id) for id, chat in load.sent if id not in load.removed}
    for chat in load.chats:
        visible = list(
            sdk.Message.select()
            .where(sdk.Message.chat == chat, sdk.Message.is_sent, ~sdk.Message.is_deleted)
            .order_by(sdk.Message.created_at.desc(), sdk.Message.id.desc())
        )
        tagged = [row.id for row in visible if "Load" in row.hashtags]
        members = sdk.ChatMember.select().where(sdk.ChatMember.chat == chat)
        for user_id in [row.user_id for row in members]:
            assert pages(sdk.list_messages, user_id, chat.id) == [row.id for row in visible]
            found = pages(sdk.find_by_hashtag, user_id, "load", chat_id=chat.id)
            assert found == tagged


def pages(list_page: Any, *arguments: Any, **options: Any) -> list[str]:
    """The ids on all pages."""
    page = list_page(*arguments, **options)
    ids = [row.id for row in page]
    while page.next_cursor is not None:
        page = list_page(*arguments, **options, cursor=page.next_cursor)
        ids += [row.id for row in page]
    return ids

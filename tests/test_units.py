"""Units of three calls in transactions of the caller, from four threads: no unit gives up."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from functools import partial
from typing import Any

import pytest

import stogram_sdk as sdk
from tests.support.factories import make_chat, make_message, make_users, wrong_counts
from tests.support.threads import at_once

pytestmark = pytest.mark.slow

SECONDS = 10


class Units:
    def __init__(self) -> None:
        self.users = [user.id for user in make_users(4)]
        users = [sdk.get_user(user) for user in self.users]
        self.chats = [make_chat(*users).id for _ in range(3)]
        self.messages = [
            (make_message(users[0], sdk.Chat(id=chat)).id, chat) for chat in self.chats
        ]
        self.folders = {
            user: [sdk.create_folder(user, "folder").id for _ in range(2)] for user in self.users
        }
        self.until = time.monotonic() + SECONDS
        self.outcomes = Counter[str]()
        self._lock = threading.Lock()

    def work(self, seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < self.until:
            calls = [self.call(chance) for _ in range(3)]
            outcome = "done"
            try:
                self.unit(calls)
            except (sdk.NotFound, sdk.NotAllowed, sdk.Blocked, sdk.AlreadyExists):
                outcome = "refused"
            except sdk.Unavailable as error:
                outcome = f"gave up: {error}"
            with self._lock:
                self.outcomes[outcome] += 1

    @staticmethod
    @sdk.retrying
    def unit(calls: list[Any]) -> None:
        for call in calls:
            call()

    def call(self, chance: random.Random) -> Any:
        """One call of those that write, with arguments that are often the same."""
        owner = self.users[0]
        user, other = chance.sample(self.users, 2)
        chat, (message, its_chat) = chance.choice(self.chats), chance.choice(self.messages)
        folders = self.folders[user]
        name = f"u{chance.randrange(10**9)}"
        calls = [
            partial(sdk.send_message, user, chat, "text @olga #tag"),
            partial(sdk.mark_read, user, chat),
            partial(sdk.mark_read, user, its_chat, message),
            partial(sdk.mute_chat, user, chat),
            partial(sdk.unmute_all_chats, user),
            partial(sdk.toggle_favorite, user, chat),
            partial(sdk.recount_unread, user),
            partial(sdk.edit_message, owner, its_chat, message, "other"),
            partial(sdk.block_user, user, other),
            partial(sdk.unblock_user, user, other),
            partial(sdk.pin_message, user, its_chat, message),
            partial(sdk.unpin_all_messages, user, chat),
            partial(sdk.move_to_folder, user, chat, chance.choice(folders)),
            partial(sdk.reorder_folders, user, chance.sample(folders, 2)),
            partial(sdk.update_folder, user, folders[0], name="other"),
            partial(sdk.update_privacy, user, show_last_seen=False),
            partial(sdk.open_private_chat, user, other),
            partial(sdk.add_member, owner, self.chats[2], other),
            partial(sdk.leave_chat, chance.choice(self.users[1:]), self.chats[2]),
            partial(sdk.create_user, f"{name}@example.com", name, password_hash="hash"),
            partial(sdk.publish_scheduled),
        ]
        return chance.choice(calls)


def test_units_of_three_calls_never_give_up(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stogram_sdk")
    units = Units()
    at_once(*[partial(units.work, seed) for seed in range(4)])
    again = Counter(message.split(":")[0] for message in caplog.messages)
    print(f"{engine}: {dict(units.outcomes)}, run again: {dict(again)}")
    assert units.outcomes.keys() <= {"done", "refused"}, units.outcomes
    assert wrong_counts() == {}

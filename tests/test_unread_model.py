"""Random sequences of all functions that change something, and of what the server does beside them.

`World` is the contract once more, in Python: what each call does to plain dictionaries, and what
everybody sees then. After each step the database says the same. The clock is the test's own: it
stands still, runs, and jumps back, as the clocks of many machines do.

`STOGRAM_TEST_EXAMPLES` is the number of sequences on each engine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.ordering import MOST_AHEAD
from tests.support.factories import make_user
from tests.support.second_writer import SecondWriter
from tests.support.through_asyncio import through_asyncio

EXAMPLES = int(os.environ.get("STOGRAM_TEST_EXAMPLES", "10"))
STEPS = 30

#: So few that it is met in the middle of a sequence.
MAX_COUNT = 3
MOST_USERS = 5

MILLISECOND = timedelta(milliseconds=1)
TAGS = ("red", "blau", "синий")
KEEPERS = (sdk.MemberRole.OWNER, sdk.MemberRole.ADMIN)

Error = type[sdk.StogramError]


@dataclass
class Account:
    id: str
    blocks: set[str] = field(default_factory=set)
    #: Ids of folders, in the user's order.
    folders: list[str] = field(default_factory=list)
    #: Messages by the place of their pin in the list: (pinned_at, id).
    pins: dict[tuple[datetime, str], str] = field(default_factory=dict)
    shows_status: bool = True


@dataclass
class Membership:
    role: sdk.MemberRole
    joined_at: datetime


@dataclass
class Room:
    id: str
    type: sdk.ChatType
    is_secret: bool
    created_at: datetime
    members: dict[str, Membership] = field(default_factory=dict)
    #: Whether it went with the last one who has left it.
    is_gone: bool = False


@dataclass
class Letter:
    id: str
    chat_id: str
    sender_id: str
    at: datetime
    #: As it is stored; the text of the message can have another, which the server wrote later.
    tag: str | None
    mentioned: str | None = None
    text: str | None = None
    is_silent: bool = False
    is_system: bool = False
    due: datetime | None = None
    is_sent: bool = True
    is_deleted: bool = False

    @property
    def place(self) -> tuple[datetime, str]:
        return self.at, self.id

    @property
    def is_visible(self) -> bool:
        return self.is_sent and not self.is_deleted


@dataclass
class Settings:
    #: When it was made or read for the last time.
    read_at: datetime
    last_read: str | None = None
    is_muted: bool = False
    is_favorite: bool = False
    folder: str | None = None


@dataclass
class World:
    """What the contract says that there is."""

    users: dict[str, Account] = field(default_factory=dict)
    chats: dict[str, Room] = field(default_factory=dict)
    messages: dict[str, Letter] = field(default_factory=dict)
    settings: dict[tuple[str, str], Settings] = field(default_factory=dict)

    def in_chat(self, chat_id: str) -> list[Letter]:
        """All messages of the chat, the newest first."""
        found = [letter for letter in self.messages.values() if letter.chat_id == chat_id]
        return sorted(found, key=lambda letter: letter.place, reverse=True)

    def visible(self, chat_id: str) -> list[Letter]:
        return [letter for letter in self.in_chat(chat_id) if letter.is_visible]

    def is_member(self, user_id: str, chat_id: str) -> bool:
        return user_id in self.chats[chat_id].members

    def chats_of(self, user_id: str) -> list[Room]:
        return [chat for chat in self.chats.values() if user_id in chat.members]

    def position(self, user_id: str, chat_id: str) -> tuple[datetime, str]:
        """Up to where the user has read."""
        row = self.settings.get((user_id, chat_id))
        if row is None or row.last_read is None:
            return datetime.min.replace(tzinfo=UTC), ""
        letter = self.messages.get(row.last_read)
        return (row.read_at, row.last_read) if letter is None else letter.place

    def unread(self, user_id: str, chat_id: str) -> list[Letter]:
        """The truth for an unread count."""
        position = self.position(user_id, chat_id)
        member = self.chats[chat_id].members.get(user_id)
        if member is None:
            return []
        return [
            letter
            for letter in self.visible(chat_id)
            if letter.place > position
            and letter.at >= member.joined_at
            and letter.sender_id != user_id
            and letter.sender_id not in self.users[user_id].blocks
        ]

    def unread_count(self, user_id: str, chat_id: str) -> int:
        return min(len(self.unread(user_id, chat_id)), MAX_COUNT)

    def mentions(self, user_id: str, chat_id: str) -> list[Letter]:
        return [one for one in self.unread(user_id, chat_id) if one.mentioned == user_id]

    def why_not_write(self, user_id: str, chat_id: str) -> Error | None:
        chat = self.chats[chat_id]
        if user_id not in chat.members:
            return sdk.NotFound
        if chat.type == sdk.ChatType.CHANNEL and chat.members[user_id].role not in KEEPERS:
            return sdk.NotAllowed
        if chat.type == sdk.ChatType.PRIVATE:
            for other in set(chat.members) - {user_id}:
                if other in self.users[user_id].blocks or user_id in self.users[other].blocks:
                    return sdk.Blocked
        return None

    def why_not_see(self, user_id: str, message_id: str) -> Error | None:
        letter = self.messages.get(message_id)
        if letter is None or letter.is_deleted or not self.is_member(user_id, letter.chat_id):
            return sdk.NotFound
        return sdk.NotFound if not letter.is_sent and letter.sender_id != user_id else None

    def notified(self, letter: Letter) -> list[str]:
        """Whom to tell of the message."""
        if not letter.is_visible or letter.is_silent:
            return []
        return sorted(
            user_id
            for user_id, member in self.chats[letter.chat_id].members.items()
            if user_id != letter.sender_id
            and member.joined_at <= letter.at
            and letter.sender_id not in self.users[user_id].blocks
            and not self.is_muted(user_id, letter.chat_id)
        )

    def is_muted(self, user_id: str, chat_id: str) -> bool:
        row = self.settings.get((user_id, chat_id))
        return row is not None and row.is_muted

    def comes_after_all(self, at: datetime, chat_id: str, now: datetime) -> bool:
        """Whether it is a time for something new, of those that the clock can be behind."""
        latest = now + MOST_AHEAD * MILLISECOND
        times = [letter.at for letter in self.visible(chat_id) if letter.at <= latest]
        return at >= now and all(at > time for time in times)

    def remove_message(self, message_id: str) -> None:
        """Out of the world, with its pins."""
        del self.messages[message_id]
        for account in self.users.values():
            account.pins = {place: m for place, m in account.pins.items() if m != message_id}

    def remove_chat(self, chat_id: str) -> None:
        """Out of the world; nobody is in it any more."""
        self.chats[chat_id].is_gone = True
        for letter in self.in_chat(chat_id):
            self.remove_message(letter.id)
        self.settings = {key: row for key, row in self.settings.items() if key[1] != chat_id}

    def remove_user(self, user_id: str) -> None:
        """Out of the world, with all that is theirs."""
        del self.users[user_id]
        for chat in self.chats.values():
            chat.members.pop(user_id, None)
        for letter in [one for one in self.messages.values() if one.sender_id == user_id]:
            self.remove_message(letter.id)
        self.settings = {key: row for key, row in self.settings.items() if key[0] != user_id}


class Surroundings:
    """The time and the new ids that every module of the package is given: each run has the same."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._random = Random(0)

    def current_time(self) -> datetime:
        return self.now

    utc_now = current_time

    def new_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128)))


class Machine(RuleBasedStateMachine):
    users = Bundle("users")
    chats = Bundle("chats")
    messages = Bundle("messages")
    folders = Bundle("folders")

    around: Surroundings

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.around.reset()
        self.server = SecondWriter(self.around.utc_now, self.around.new_id)
        #: Accounts that will go again, with all that is theirs.
        self.guests: list[str] = []
        #: How many calls were refused.
        self.refused = 0
        self.set_out()

    def teardown(self) -> None:
        with sdk.session():
            for model in (sdk.Chat, sdk.User):
                model.delete().execute()

    def call(self, error: Error | None, function: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """What the call returns; None if it raises the error that it should."""
        if error is None:
            return function(*args, **kw)
        with pytest.raises(error) as raised:
            function(*args, **kw)
        assert type(raised.value) is error
        self.refused += 1
        return None

    def settle(self, user_id: str, chat_id: str) -> Settings:
        """The settings row, dated now, as by reading or by the server; made, if there was none."""
        row = self.write(user_id, chat_id)
        row.read_at = self.around.now
        return row

    def write(self, user_id: str, chat_id: str, **values: object) -> Settings:
        """The same row with these values, and with the time that it had."""
        row = self.world.settings.setdefault((user_id, chat_id), Settings(self.around.now))
        vars(row).update(values)
        return row

    # --- what is there at the beginning ---

    def set_out(self) -> None:
        """A chat without messages, and one in which more are unread than are counted."""
        owner, *others = everybody = [self.create_user() for _ in range(4)]
        for members in (others[:-1], others):
            chat = self.create_chat(owner, members, sdk.ChatType.GROUP, is_secret=False)
        for user in (*everybody, owner):
            self.send_message(user, chat, TAGS[0], None, None, False)

    @initialize(target=users)
    def first_users(self) -> Any:
        return multiple(*self.world.users)

    @initialize(target=chats)
    def first_chats(self) -> Any:
        return multiple(*self.world.chats)

    @initialize(target=messages)
    def first_messages(self) -> Any:
        return multiple(*self.world.messages)

    # --- time ---

    @rule(milliseconds=st.sampled_from([1, 1, 2, 1000, -3, -5000]))
    def time_passes(self, milliseconds: int) -> None:
        self.around.now += milliseconds * MILLISECOND

    # --- users ---

    @rule(target=users)
    def another_user(self) -> Any:
        return multiple(*([self.create_user()] if len(self.world.users) < MOST_USERS else []))

    def create_user(self) -> str:
        user = make_user()
        self.world.users[user.id] = Account(user.id)
        return user.id

    @rule(user=users, other=users)
    def block_user(self, user: str, other: str) -> None:
        error = sdk.InvalidInput if user == other else None
        result = self.call(error, sdk.block_user, user, other)
        if result is not None:
            block, is_new = result
            assert (block.user_id, block.blocked_id) == (user, other)
            assert is_new == (other not in self.world.users[user].blocks)
            self.world.users[user].blocks.add(other)

    @rule(user=users, other=users)
    def unblock_user(self, user: str, other: str) -> None:
        was_blocked = other in self.world.users[user].blocks
        assert sdk.unblock_user(user, other) == was_blocked
        self.world.users[user].blocks.discard(other)

    @rule(user=users, shows=st.booleans())
    def update_privacy(self, user: str, shows: bool) -> None:
        sdk.update_privacy(user, show_online_status=shows)
        self.world.users[user].shows_status = shows

    # --- chats and members ---

    @rule(
        target=chats,
        owner=users,
        others=st.lists(users, max_size=3),
        type=st.sampled_from([sdk.ChatType.GROUP, sdk.ChatType.GROUP, sdk.ChatType.CHANNEL]),
        is_secret=st.booleans(),
    )
    def create_chat(
        self, owner: str, others: list[str], type: sdk.ChatType, is_secret: bool
    ) -> Any:
        blockers = [other for other in others if owner in self.world.users[other].blocks]
        error = sdk.Blocked if blockers else None
        options = {"member_ids": others, "is_secret": is_secret}
        chat = self.call(error, sdk.create_chat, owner, type, **options)
        return multiple() if chat is None else self.add_room(chat, owner, *others)

    @rule(target=chats, user=users, other=users, is_secret=st.booleans())
    def open_private_chat(self, user: str, other: str, is_secret: bool) -> Any:
        error = sdk.InvalidInput if user == other else None
        result = self.call(error, sdk.open_private_chat, user, other, is_secret=is_secret)
        if result is None:
            return multiple()
        chat, is_new = result
        known = sorted(
            (room.created_at, room.id)
            for room in self.world.chats.values()
            if room.type == sdk.ChatType.PRIVATE
            and room.is_secret == is_secret
            and set(room.members) == {user, other}
        )
        assert [room for _, room in known[:1]] == ([] if is_new else [chat.id])
        return self.add_room(chat, user, other) if is_new else chat.id

    def add_room(self, chat: sdk.Chat, owner: str, *others: str) -> str:
        room = Room(chat.id, chat.type, chat.is_secret, chat.created_at)
        room.members = {user: Membership(sdk.MemberRole.MEMBER, chat.created_at) for user in others}
        room.members[owner] = Membership(sdk.MemberRole.OWNER, chat.created_at)
        self.world.chats[chat.id] = room
        return chat.id

    def why_not_change_members(self, user: str, chat: str) -> Error | None:
        room = self.world.chats[chat]
        if user not in room.members:
            return sdk.NotFound
        if room.members[user].role not in KEEPERS or room.type == sdk.ChatType.PRIVATE:
            return sdk.NotAllowed
        return None

    @contextmanager
    def succession(self, chat: str) -> Iterator[None]:
        """In a group without owner the heir is one, unless the call inside is refused."""
        room, refused = self.world.chats[chat], self.refused
        roles = {user_id: member.role for user_id, member in room.members.items()}
        if room.type != sdk.ChatType.PRIVATE and sdk.MemberRole.OWNER not in roles.values():
            of_chat = sdk.ChatMember.select().where(sdk.ChatMember.chat == chat)
            rows = list(of_chat.order_by(sdk.ChatMember.joined_at, sdk.ChatMember.id))
            admins = [row for row in rows if row.role == sdk.MemberRole.ADMIN]
            for heir in (admins or rows)[:1]:
                room.members[heir.user_id].role = sdk.MemberRole.OWNER
        yield
        if self.refused > refused:
            for user_id, role in roles.items():
                room.members[user_id].role = role

    @rule(user=users, chat=chats, other=users, role=st.sampled_from(sdk.MemberRole))
    def set_role(self, user: str, chat: str, other: str, role: sdk.MemberRole) -> None:
        members = self.world.chats[chat].members
        with self.succession(chat):
            error = self.why_not_change_members(user, chat)
            if role == sdk.MemberRole.OWNER:
                error = sdk.InvalidInput
            elif error is None and members[user].role != sdk.MemberRole.OWNER:
                error = sdk.NotAllowed
            elif error is None and other not in members:
                error = sdk.NotFound
            elif error is None and other == user:
                error = sdk.NotAllowed
            row = self.call(error, sdk.set_role, user, chat, other, role)
        if row is not None:
            members[other].role = role

    @rule(user=users, chat=chats, other=users)
    def transfer_ownership(self, user: str, chat: str, other: str) -> None:
        members = self.world.chats[chat].members
        with self.succession(chat):
            error = self.why_not_change_members(user, chat)
            if error is None and members[user].role != sdk.MemberRole.OWNER:
                is_owner = other in members and members[other].role == sdk.MemberRole.OWNER
                error = None if is_owner else sdk.NotAllowed
            elif error is None and other not in members:
                error = sdk.NotFound
            row = self.call(error, sdk.transfer_ownership, user, chat, other)
        if row is not None and members[user].role == sdk.MemberRole.OWNER:
            members[user].role = sdk.MemberRole.ADMIN
            members[other].role = sdk.MemberRole.OWNER

    @rule(user=users, chat=chats, other=users, role=st.sampled_from(sdk.MemberRole))
    def add_member(self, user: str, chat: str, other: str, role: sdk.MemberRole) -> None:
        with self.succession(chat):
            self._add_member(user, chat, other, role)

    def _add_member(self, user: str, chat: str, other: str, role: sdk.MemberRole) -> None:
        members = self.world.chats[chat].members
        error = self.why_not_change_members(user, chat)
        if role == sdk.MemberRole.OWNER:
            error = sdk.InvalidInput
        elif error is None and other in members:
            error = None if members[other].role == role else sdk.AlreadyExists
        elif error is None and user in self.world.users[other].blocks:
            error = sdk.Blocked
        elif error is None and role == sdk.MemberRole.ADMIN:
            error = None if members[user].role == sdk.MemberRole.OWNER else sdk.NotAllowed
        row = self.call(error, sdk.add_member, user, chat, other, role=role)
        if row is not None and other not in members:
            assert self.world.comes_after_all(row.joined_at, chat, self.around.now)
            members[other] = Membership(role, row.joined_at)

    @rule(user=users, chat=chats, other=users)
    def remove_member(self, user: str, chat: str, other: str) -> None:
        with self.succession(chat):
            self._remove_member(user, chat, other)

    def _remove_member(self, user: str, chat: str, other: str) -> None:
        members = self.world.chats[chat].members
        error = self.why_not_change_members(user, chat)
        if error is None and other in members:
            ranks = {sdk.MemberRole.OWNER: 2, sdk.MemberRole.ADMIN: 1, sdk.MemberRole.MEMBER: 0}
            error = (
                sdk.NotAllowed if ranks[members[user].role] <= ranks[members[other].role] else None
            )
        removed = self.call(error, sdk.remove_member, user, chat, other)
        if error is None:
            assert removed == (other in members)
            members.pop(other, None)

    @rule(user=users, chat=chats)
    def leave_chat(self, user: str, chat: str) -> None:
        room = self.world.chats[chat]
        is_member = user in room.members
        is_private = room.type == sdk.ChatType.PRIVATE and len(room.members) > 1
        error = sdk.NotAllowed if is_member and is_private else None
        left = self.call(error, sdk.leave_chat, user, chat)
        if error is None:
            assert left == is_member
        if left:
            del room.members[user]
            if not room.members:
                self.world.remove_chat(chat)
        is_owned = sdk.MemberRole.OWNER in (member.role for member in room.members.values())
        if left and room.members and not is_owned:
            admins = [m for m in room.members.values() if m.role == sdk.MemberRole.ADMIN]
            heirs = admins or list(room.members.values())
            first = min(heir.joined_at for heir in heirs)
            row = sdk.ChatMember.get(
                sdk.ChatMember.chat == chat, sdk.ChatMember.role == sdk.MemberRole.OWNER
            )
            heir = room.members[row.user_id]
            assert heir in heirs and heir.joined_at == first
            heir.role = sdk.MemberRole.OWNER

    # --- messages ---

    @rule(
        target=messages,
        user=users,
        chat=chats,
        tag=st.sampled_from(TAGS),
        mentioned=st.none() | users,
        due_in=st.none() | st.none() | st.integers(-2, 4),
        is_silent=st.booleans(),
    )
    def send_message(
        self,
        user: str,
        chat: str,
        tag: str,
        mentioned: str | None,
        due_in: int | None,
        is_silent: bool,
    ) -> Any:
        due = None if due_in is None else self.around.now + due_in * MILLISECOND
        content = f"#{tag}"
        if mentioned is not None:
            content += f" @{sdk.get_user(mentioned).username}"
        error = self.world.why_not_write(user, chat)
        options: dict[str, Any] = {"scheduled_for": due, "is_silent": is_silent}
        row = self.call(error, sdk.send_message, user, chat, content, **options)
        if row is None:
            return multiple()
        assert self.world.comes_after_all(row.created_at, chat, self.around.now)
        letter = Letter(row.id, chat, user, row.created_at, tag, mentioned, tag, is_silent)
        letter.due, letter.is_sent = due, due is None
        self.world.messages[row.id] = letter
        return row.id

    @rule(target=messages, chat=chats, tag=st.sampled_from(TAGS))
    def post_system_message(self, chat: str, tag: str) -> Any:
        members = self.world.chats[chat].members
        error = None if members else sdk.NotFound
        row = self.call(error, sdk.post_system_message, chat, f"#{tag}")
        if row is None:
            return multiple()
        owners = {user for user, place in members.items() if place.role == sdk.MemberRole.OWNER}
        assert row.sender_id in (owners or members)
        assert self.world.comes_after_all(row.created_at, chat, self.around.now)
        letter = Letter(row.id, chat, row.sender_id, row.created_at, tag, text=tag, is_system=True)
        self.world.messages[row.id] = letter
        return row.id

    @rule(message=messages, user=users, chat=chats, is_same=st.booleans())
    def send_message_again(self, message: str, user: str, chat: str, is_same: bool) -> None:
        letter = self.world.messages.get(message)
        if letter is None:
            return
        if is_same:
            user, chat = letter.sender_id, letter.chat_id
        if current_database().dialect.is_distributed:  # Its ids are of one chat.
            chat = letter.chat_id
        error: Error | None = None
        if not self.world.is_member(user, chat):
            error = sdk.NotFound
        elif (user, chat) != (letter.sender_id, letter.chat_id):
            error = self.world.why_not_write(user, chat) or sdk.AlreadyExists
        row = self.call(error, sdk.send_message, user, chat, "again", message_id=message)
        assert row is None or row.created_at == letter.at

    @rule(message=messages, user=users, tag=st.sampled_from(TAGS))
    def edit_message(self, message: str, user: str, tag: str) -> None:
        letter = self.world.messages.get(message)
        if letter is None:
            return
        error = self.world.why_not_see(user, message)
        if error is None and (letter.sender_id != user or letter.is_system):
            error = sdk.NotAllowed
        error = error or self.world.why_not_write(user, letter.chat_id)
        row = self.call(error, sdk.edit_message, user, letter.chat_id, message, f"#{tag}")
        if row is not None:
            letter.tag, letter.mentioned, letter.text = tag, None, tag

    @rule(message=messages, user=users)
    def delete_message(self, message: str, user: str) -> None:
        letter = self.world.messages.get(message)
        if letter is None:
            return
        room = self.world.chats[letter.chat_id]
        error: Error | None = None
        if user not in room.members:
            error = sdk.NotFound
        elif letter.sender_id != user:
            is_keeper = room.members[user].role in KEEPERS and room.type != sdk.ChatType.PRIVATE
            if not (is_keeper and letter.is_sent):
                error = sdk.NotAllowed if letter.is_visible else sdk.NotFound
        deleted = self.call(error, sdk.delete_message, user, room.id, message)
        if error is None:
            assert deleted != letter.is_deleted
            letter.is_deleted = True
            letter.tag = letter.mentioned = letter.text = None

    @rule(later=st.integers(-3, 3), limit=st.sampled_from([1, 2, 100]))
    def publish_scheduled(self, later: int, limit: int) -> None:
        now = self.around.now + later * MILLISECOND
        due = sorted(
            (letter.due, *letter.place)
            for letter in self.world.messages.values()
            if letter.due is not None
            and letter.due <= now
            and not letter.is_sent
            and not letter.is_deleted
        )
        letters = [self.world.messages[message] for _, _, message in due]
        may_write = [
            self.world.why_not_write(letter.sender_id, letter.chat_id) is None for letter in letters
        ]
        # As many as the limit, and as many again until one was sent.
        taken = -(-(may_write.index(True) + 1) // limit) * limit if any(may_write) else None
        letters = letters[:taken]
        rows = sdk.publish_scheduled(now=now, limit=limit)
        stored = {row.id: row for row in sdk.Message.select()}
        for letter in letters:
            at = stored[letter.id].created_at
            assert self.world.comes_after_all(at, letter.chat_id, max(now, self.around.now))
            letter.is_sent = self.world.why_not_write(letter.sender_id, letter.chat_id) is None
            letter.is_deleted = not letter.is_sent
            letter.at = at
            assert (stored[letter.id].content is None) == letter.is_deleted
            if letter.is_deleted:
                letter.tag = letter.mentioned = letter.text = None
        sent = [letter for letter in letters if letter.is_sent]
        assert [row.id for row in rows] == [
            letter.id for letter in sorted(sent, key=lambda letter: letter.place)
        ]

    # --- what the server does meanwhile ---

    @rule(
        target=messages,
        user=users,
        chat=chats,
        tag=st.sampled_from(TAGS),
        mentioned=st.none() | users,
        offset=st.integers(-3, 3),
        by_socket=st.booleans(),
    )
    def server_sends(
        self,
        user: str,
        chat: str,
        tag: str,
        mentioned: str | None,
        offset: int,
        by_socket: bool,
    ) -> Any:
        if not self.world.is_member(user, chat):
            return multiple()
        content = f"#{tag.title()}"
        if mentioned is not None:
            content += f" @{sdk.get_user(mentioned).username.upper()}"
        at = self.around.now + offset * MILLISECOND
        send = self.server.send_by_socket if by_socket else self.server.send
        letter = Letter(send(user, chat, content, at=at), chat, user, at, None, text=tag)
        if not by_socket:
            letter.tag, letter.mentioned = tag, mentioned
        self.world.messages[letter.id] = letter
        return letter.id

    @rule(message=messages, tag=st.sampled_from(TAGS))
    def server_edits(self, message: str, tag: str) -> None:
        letter = self.world.messages.get(message)
        if letter is not None and letter.is_visible:
            self.server.edit(message, f"#{tag.title()}")
            letter.text = tag

    @rule(message=messages)
    def server_deletes(self, message: str) -> None:
        letter = self.world.messages.get(message)
        if letter is not None:
            self.server.delete(message)
            letter.is_deleted, letter.text = True, None

    @rule(message=messages)
    def server_removes_message(self, message: str) -> None:
        if message in self.world.messages:
            self.server.remove_message(message)
            self.world.remove_message(message)

    @rule()
    def server_publishes(self) -> None:
        """With the time at which it was written, so perhaps below what was read."""
        for letter in self.world.messages.values():
            if letter.due is not None and letter.due <= self.around.now and not letter.is_deleted:
                self.server.publish(letter.id)
                letter.is_sent = True

    @rule(target=messages, chat=chats)
    def a_guest_comes_and_writes(self, chat: str) -> Any:
        guest = self.create_user()
        self.guests.append(guest)
        self.server_adds_member(chat, guest)
        if self.world.why_not_write(guest, chat) is not None:
            return multiple()
        return self.send_message(guest, chat, TAGS[0], None, None, False)

    @rule()
    def the_account_of_a_guest_goes(self) -> None:
        if self.guests:
            guest = self.guests.pop(0)
            self.server.remove_account(guest)
            self.world.remove_user(guest)

    @rule(chat=chats, user=users)
    def server_adds_member(self, chat: str, user: str) -> None:
        """Also to a PRIVATE chat."""
        if self.world.chats[chat].is_gone:
            return
        joined_at = self.server.add_member(chat, user)
        members = self.world.chats[chat].members
        members.setdefault(user, Membership(sdk.MemberRole.MEMBER, joined_at))

    @rule(chat=chats, user=users)
    def server_removes_member(self, chat: str, user: str) -> None:
        members = self.world.chats[chat].members
        if user in members and members[user].role != sdk.MemberRole.OWNER:
            self.server.remove_member(chat, user)
            del members[user]

    @rule(user=users, other=users, blocks=st.booleans())
    def server_blocks(self, user: str, other: str, blocks: bool) -> None:
        if user != other:
            (self.server.block if blocks else self.server.unblock)(user, other)
            blocked = self.world.users[user].blocks
            (blocked.add if blocks else blocked.discard)(other)

    @rule(user=users, chat=chats, number=st.sampled_from([0, -5, 7]))
    def server_puts_unread(self, user: str, chat: str, number: int) -> None:
        if self.world.chats[chat].is_gone:
            return
        self.server.put_unread(user, chat, number)
        self.settle(user, chat)

    @rule(user=users, message=messages)
    def server_marks_read(self, user: str, message: str) -> None:
        letter = self.world.messages.get(message)
        if letter is not None:
            self.server.mark_read(user, letter.chat_id, message)
            self.settle(user, letter.chat_id).last_read = message

    @rule(user=users, chat=chats)
    def server_mutes(self, user: str, chat: str) -> None:
        if self.world.chats[chat].is_gone:
            return
        self.server.mute(user, chat)
        self.settle(user, chat).is_muted = True

    @rule(user=users, chat=chats, folder=folders)
    def server_files_away(self, user: str, chat: str, folder: str) -> None:
        """Into a folder of whomever."""
        if self.world.chats[chat].is_gone:
            return
        if any(folder in account.folders for account in self.world.users.values()):
            self.server.file_away(user, chat, folder)
            self.settle(user, chat).folder = folder

    # --- settings ---

    @rule(user=users, chat=chats)
    def mark_all_read(self, user: str, chat: str) -> None:
        error = None if self.world.is_member(user, chat) else sdk.NotFound
        row = self.call(error, sdk.mark_read, user, chat)
        if row is not None:
            newest = next(iter(self.world.visible(chat)), None)
            before = self.world.settings.get((user, chat))
            if newest is None:  # Where there is nothing to read, an old row stays as it is.
                if before is None:
                    self.settle(user, chat)
            elif before is None or before.last_read is None or self.is_later(newest, user):
                self.settle(user, chat).last_read = newest.id
            assert row.unread_count == self.world.unread_count(user, chat) == 0

    @rule(user=users, message=messages)
    def mark_read(self, user: str, message: str) -> None:
        letter = self.world.messages.get(message)
        if letter is None:
            return
        chat = letter.chat_id
        # One that was never sent, or could not be, has no place in the chat.
        error = None if self.world.is_member(user, chat) and letter.is_sent else sdk.NotFound
        row = self.call(error, sdk.mark_read, user, chat, message)
        if row is not None:
            if self.is_later(letter, user):
                self.settle(user, chat).last_read = message
            assert row.unread_count == self.world.unread_count(user, chat)

    def is_later(self, letter: Letter, user: str) -> bool:
        return letter.place > self.world.position(user, letter.chat_id)

    @rule(user=users, chat=chats, what=st.sampled_from(["mute", "unmute", "favor", "toggle"]))
    def change_settings(self, user: str, chat: str, what: str) -> None:
        change: Any = {
            "mute": sdk.mute_chat,
            "unmute": sdk.unmute_chat,
            "favor": sdk.set_favorite,
            "toggle": sdk.toggle_favorite,
        }[what]
        error = None if self.world.is_member(user, chat) else sdk.NotFound
        row = self.call(error, change, user, chat)
        if row is not None:
            before = self.world.settings.get((user, chat))
            if what in ("mute", "unmute"):
                settings = self.write(user, chat, is_muted=what == "mute")
            else:
                is_favorite = what == "favor" or before is None or not before.is_favorite
                settings = self.write(user, chat, is_favorite=is_favorite)
            assert (row.is_muted, row.is_favorite) == (settings.is_muted, settings.is_favorite)
            assert row.unread_count == self.world.unread_count(user, chat)

    @rule(user=users)
    def unmute_all_chats(self, user: str) -> None:
        muted = [key for key, row in self.world.settings.items() if key[0] == user and row.is_muted]
        assert sdk.unmute_all_chats(user) == len(muted)
        for key in muted:
            self.write(*key, is_muted=False)

    @rule(user=users)
    def recount_unread(self, user: str) -> None:
        """What the server's column holds is the truth then; no row is dated anew."""
        before = {key: row.unread_count for key, row in _stored_settings().items()}
        truth = {key: self.world.unread_count(*key) for key in before if key[0] == user}
        wrong = [key for key, count in truth.items() if before[key] != count]
        assert sdk.recount_unread(user) == len(wrong)
        after = {key: row.unread_count for key, row in _stored_settings().items()}
        assert after == before | {key: self.world.unread_count(*key) for key in truth}

    # --- folders ---

    @rule(target=folders, user=users)
    def create_folder(self, user: str) -> str:
        folder = sdk.create_folder(user, "work")
        self.world.users[user].folders.append(folder.id)
        return folder.id

    @rule(user=users, folder=folders)
    def delete_folder(self, user: str, folder: str) -> None:
        own = self.world.users[user].folders
        assert sdk.delete_folder(user, folder) == (folder in own)
        if folder in own:
            own.remove(folder)
            for row in self.world.settings.values():
                row.folder = None if row.folder == folder else row.folder

    @rule(user=users, turn=st.integers(1, 3))
    def reorder_folders(self, user: str, turn: int) -> None:
        own = self.world.users[user].folders
        own[:] = own[-turn:] + own[:-turn]
        sdk.reorder_folders(user, own)

    @rule(user=users, chat=chats, folder=folders | st.none())
    def move_to_folder(self, user: str, chat: str, folder: str | None) -> None:
        is_own = folder is None or folder in self.world.users[user].folders
        error = None if self.world.is_member(user, chat) and is_own else sdk.NotFound
        row = self.call(error, sdk.move_to_folder, user, chat, folder)
        if row is not None:
            self.write(user, chat, folder=folder)
            assert row.unread_count == self.world.unread_count(user, chat)

    # --- pins ---

    @rule(user=users, message=messages)
    def pin_message(self, user: str, message: str) -> None:
        letter = self.world.messages.get(message)
        if letter is None:
            return
        error = self.world.why_not_see(user, message)
        if not letter.is_sent or letter.is_system:
            error = sdk.NotFound
        result = self.call(error, sdk.pin_message, user, letter.chat_id, message)
        if result is not None:
            pin, is_new = result
            pins = self.world.users[user].pins
            assert is_new == (message not in pins.values())
            pins[pin.pinned_at, pin.id] = message

    @rule(user=users, message=messages)
    def unpin_message(self, user: str, message: str) -> None:
        letter = self.world.messages.get(message)
        if letter is None:
            return
        account = self.world.users[user]
        is_pinned = message in account.pins.values()
        assert sdk.unpin_message(user, letter.chat_id, message) == is_pinned
        account.pins = {place: pin for place, pin in account.pins.items() if pin != message}

    @rule(user=users, chat=chats)
    def unpin_all_messages(self, user: str, chat: str) -> None:
        account = self.world.users[user]
        messages = self.world.messages
        kept = {p: m for p, m in account.pins.items() if messages[m].chat_id != chat}
        assert sdk.unpin_all_messages(user, chat) == len(account.pins) - len(kept)
        account.pins = kept

    # --- transactions of the caller ---

    @rule(user=users, other=users, chat=chats)
    def a_transaction_that_is_rolled_back_changes_nothing(
        self, user: str, other: str, chat: str
    ) -> None:
        class Undo(Exception):
            pass

        with pytest.raises(Undo), sdk.transaction():
            for attempt in (
                lambda: sdk.send_message(user, chat, "#red"),
                lambda: sdk.mark_read(other, chat),
                lambda: sdk.block_user(user, other),
                lambda: sdk.leave_chat(other, chat),
                lambda: sdk.publish_scheduled(now=self.around.now),
            ):
                try:
                    attempt()
                except (sdk.NotFound, sdk.NotAllowed, sdk.Blocked, sdk.InvalidInput):
                    continue
            raise Undo

    # --- what everybody sees ---

    @invariant()
    def the_database_holds_what_the_world_says(self) -> None:
        world = self.world
        with sdk.session():
            stored = {
                key: (row.last_read_message_id, row.updated_at, row.is_muted, row.folder_id)
                for key, row in _stored_settings().items()
            }
            assert stored == {
                key: (row.last_read, row.read_at, row.is_muted, row.folder)
                for key, row in world.settings.items()
            }
            assert {(row.chat_id, row.user_id): row.role for row in sdk.ChatMember.select()} == {
                (chat.id, user): member.role
                for chat in world.chats.values()
                for user, member in chat.members.items()
            }
            assert {(row.user_id, row.blocked_id) for row in sdk.BlockedUser.select()} == {
                (user.id, blocked) for user in world.users.values() for blocked in user.blocks
            }
            letters = world.messages.values()
            for letter in letters:
                told = sdk.users_to_notify(letter.chat_id, letter.id)
                assert sorted(told) == world.notified(letter)
            for user in world.users:
                self.everybody_sees_their_own(user)

    def everybody_sees_their_own(self, user: str) -> None:
        world = self.world
        summaries = sdk.list_chats(user)
        assert [
            (item.chat.id, item.unread_count, item.last_message and item.last_message.id)
            for item in summaries
        ] == [
            (chat.id, world.unread_count(user, chat.id), newest)
            for *_, newest, chat in sorted(
                (self.line_of(user, chat) for chat in world.chats_of(user)),
                key=lambda line: line[:3],
                reverse=True,
            )
        ]
        assert [item.chat.id for item in sdk.list_chats(user, unread_only=True)] == [
            item.chat.id for item in summaries if item.unread_count
        ]
        assert {item.chat.id for item in sdk.list_chats(user, folder_id=None)} == {
            chat.id for chat in world.chats_of(user) if not self.is_in_a_folder(user, chat.id)
        }
        for item in summaries:
            if item.peer is not None:
                peer = world.users[item.peer.id]
                assert (item.peer.status is not None) == (
                    peer.shows_status and user not in peer.blocks
                )
        rooms = world.chats_of(user)
        counts = {chat.id: world.unread_count(user, chat.id) for chat in rooms}
        assert counts == {
            chat.id: sdk.get_chat_settings(user, chat.id).unread_count for chat in rooms
        }
        assert sdk.unread_totals(user) == sdk.UnreadTotals(
            all=sum(counts.values()),
            unmuted=sum(
                number for chat, number in counts.items() if not world.is_muted(user, chat)
            ),
            mentions=sum(min(len(world.mentions(user, chat)), MAX_COUNT) for chat in counts),
        )
        assert [pin.message_id for pin in sdk.list_pinned_messages(user)] == [
            message
            for _, message in sorted(world.users[user].pins.items(), reverse=True)
            if world.why_not_see(user, message) is None
        ]
        for chat in rooms:
            page = [row.id for row in sdk.list_messages(user, chat.id)]
            assert page == [letter.id for letter in world.visible(chat.id)[:50]]
        seen = [one for chat in rooms if not chat.is_secret for one in world.visible(chat.id)]
        seen.sort(key=lambda letter: letter.place, reverse=True)
        for tag in TAGS:
            tagged = [letter.id for letter in seen if letter.tag == tag]
            assert [row.id for row in sdk.find_by_hashtag(user, tag.upper())] == tagged[:50]
        written = [letter.id for letter in seen if letter.text == TAGS[-1]]
        assert [row.id for row in sdk.search_messages(user, TAGS[-1].upper())] == written[:50]
        mentioning = [letter.id for letter in seen if letter.mentioned == user]
        assert [row.id for row in sdk.find_by_mention(user)] == mentioning[:50]
        assert [
            (item.folder.id, {chat.id for chat in item.chats}, item.unread_count)
            for item in sdk.list_folders(user)
        ] == [(folder, *self.content_of(user, folder)) for folder in world.users[user].folders]

    def line_of(self, user: str, chat: Room) -> tuple[Any, ...]:
        """A line of the chat list after what it is sorted by."""
        row = self.world.settings.get((user, chat.id))
        visible = self.world.visible(chat.id)
        newest = next(iter(visible), None)
        # What is dated far ahead of the clock moves its chat once its time has come.
        latest = self.around.now + MOST_AHEAD * MILLISECOND
        times = (letter.at for letter in visible if letter.at <= latest)
        last_at = next(times, chat.members[user].joined_at)
        return row is not None and row.is_favorite, last_at, chat.id, newest and newest.id, chat

    def is_in_a_folder(self, user: str, chat: str) -> bool:
        row = self.world.settings.get((user, chat))
        return row is not None and row.folder in self.world.users[user].folders

    def content_of(self, user: str, folder: str) -> tuple[set[str], int]:
        chats = {
            chat
            for (owner, chat), row in self.world.settings.items()
            if owner == user and row.folder == folder and self.world.is_member(user, chat)
        }
        return chats, sum(self.world.unread_count(user, chat) for chat in chats)


def _stored_settings() -> dict[tuple[str, str], sdk.ChatSettings]:
    with sdk.session():
        return {(row.user_id, row.chat_id): row for row in sdk.ChatSettings.select()}


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "distributed"], indirect=True)
def test_whatever_happens_everybody_sees_what_the_contract_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_the_machine(monkeypatch, EXAMPLES)


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_it_is_the_same_when_the_calls_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    with through_asyncio(pytest.MonkeyPatch()):
        run_the_machine(monkeypatch, max(1, EXAMPLES // 5))


def run_the_machine(monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    monkeypatch.setattr(sdk.unread, "MAX_COUNT", MAX_COUNT)
    around = Machine.around = Surroundings()
    for name, module in list(sys.modules.items()):
        for own in ("utc_now", "current_time", "new_id"):
            if name.startswith("stogram_sdk.") and hasattr(module, own):
                monkeypatch.setattr(module, own, getattr(around, own))
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

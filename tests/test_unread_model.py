"""Random sequences of all functions that change something, against plain dictionaries.

`World` is the contract once more, in Python: what each call does to the dictionaries, and what
everybody sees then. After each step the database holds the same. The clock is the test's own: it
stands still, runs, and jumps back, as the clocks of many machines do.

`STOGRAM_TEST_EXAMPLES` is the number of sequences on each engine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Container
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
from stogram_sdk.models import LargeChat
from tests.support.factories import make_user

EXAMPLES = int(os.environ.get("STOGRAM_TEST_EXAMPLES", "25"))
STEPS = 30

#: So few that chats become large in the middle of a sequence.
LARGE_CHAT = 3
MAX_COUNT = 2

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
    #: When the first message was written with which its unread ones are no longer stored.
    large_since: datetime | None = None


@dataclass
class Letter:
    id: str
    chat_id: str
    sender_id: str
    at: datetime
    tag: str
    mentioned: str | None = None
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
    made_at: datetime
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

    def position(self, user_id: str, chat_id: str) -> tuple[datetime, str] | None:
        """Up to where the user has read; None where nothing is unread."""
        row = self.settings.get((user_id, chat_id))
        if row is not None and row.last_read in self.messages:
            return self.messages[row.last_read].place
        starts = (None if row is None else row.made_at), self.chats[chat_id].large_since
        return min(((start, "") for start in starts if start is not None), default=None)

    def unread(self, user_id: str, chat_id: str) -> list[Letter]:
        """The truth for an unread count."""
        position = self.position(user_id, chat_id)
        member = self.chats[chat_id].members.get(user_id)
        if position is None or member is None:
            return []
        return [
            letter
            for letter in self.visible(chat_id)
            if letter.place > position
            and letter.at >= member.joined_at
            and letter.sender_id != user_id
            and letter.sender_id not in self.users[user_id].blocks
        ]

    def count(self, chat_id: str, letters: list[Letter]) -> int:
        """The number that is shown for these messages of the chat."""
        is_large = self.chats[chat_id].large_since is not None
        return min(len(letters), MAX_COUNT) if is_large else len(letters)

    def unread_count(self, user_id: str, chat_id: str) -> int:
        return self.count(chat_id, self.unread(user_id, chat_id))

    def mentions(self, user_id: str, chat_id: str) -> list[Letter]:
        return [one for one in self.unread(user_id, chat_id) if one.mentioned == user_id]

    def why_not_write(self, user_id: str, chat_id: str) -> Error | None:
        chat = self.chats[chat_id]
        if user_id not in chat.members:
            return sdk.NotFound
        if chat.type == sdk.ChatType.CHANNEL and chat.members[user_id].role not in KEEPERS:
            return sdk.NotAllowed
        if chat.type == sdk.ChatType.PRIVATE:
            [other] = set(chat.members) - {user_id}
            if other in self.users[user_id].blocks or user_id in self.users[other].blocks:
                return sdk.Blocked
        return None

    def why_not_see(self, user_id: str, message_id: str) -> Error | None:
        letter = self.messages.get(message_id)
        if letter is None or letter.is_deleted or not self.is_member(user_id, letter.chat_id):
            return sdk.NotFound
        return sdk.NotFound if not letter.is_sent and letter.sender_id != user_id else None

    def arrive(self, *letters: Letter) -> None:
        """What was just sent makes a settings row for each member for whom it counts.

        In a chat with many it does not, and from the first such message on the chat is large.
        """
        for letter in sorted(letters, key=lambda letter: letter.place):
            chat = self.chats[letter.chat_id]
            if chat.large_since is None and len(chat.members) > LARGE_CHAT:
                chat.large_since = letter.at
            if chat.large_since is not None:
                continue
            for user_id, member in chat.members.items():
                counts = (
                    user_id != letter.sender_id
                    and letter.sender_id not in self.users[user_id].blocks
                    and letter.at >= member.joined_at
                )
                if counts:
                    self.settings.setdefault((user_id, letter.chat_id), Settings(letter.at))


class Surroundings:
    """The time and the new ids that every module of the package is given: each run has the same."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._random = Random(0)

    def utc_now(self) -> datetime:
        return self.now

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
        return None

    def settle(self, user_id: str, chat_id: str) -> Settings:
        """The settings row, made now if there was none."""
        after_all = [letter.at + MILLISECOND for letter in self.world.in_chat(chat_id)]
        made_at = max([self.around.now, *after_all])
        return self.world.settings.setdefault((user_id, chat_id), Settings(made_at))

    # --- what is there at the beginning ---

    def set_out(self) -> None:
        """A chat that is large with one member more, and one that is large and full of messages."""
        owner, *others = everybody = [self.create_user() for _ in range(LARGE_CHAT + 1)]
        for members in (others[:-1], others):
            chat = self.create_chat(owner, members, sdk.ChatType.GROUP, is_secret=False)
        for user in everybody:
            self.send_message(user, chat, TAGS[0], None, sdk.MessageType.TEXT, None)

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
        return multiple(*([self.create_user()] if len(self.world.users) < LARGE_CHAT + 2 else []))

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
    ) -> str:
        chat = sdk.create_chat(owner, type, member_ids=others, is_secret=is_secret)
        return self.add_room(chat, owner, *others)

    @rule(target=chats, user=users, other=users, is_secret=st.booleans())
    def open_private_chat(self, user: str, other: str, is_secret: bool) -> Any:
        error = sdk.InvalidInput if user == other else None
        result = self.call(error, sdk.open_private_chat, user, other, is_secret=is_secret)
        if result is None:
            return multiple()
        chat, is_new = result
        known = [
            room.id
            for room in self.world.chats.values()
            if room.type == sdk.ChatType.PRIVATE
            and room.is_secret == is_secret
            and set(room.members) == {user, other}
        ]
        assert known == ([] if is_new else [chat.id])
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

    @rule(user=users, chat=chats, other=users, role=st.sampled_from(sdk.MemberRole))
    def add_member(self, user: str, chat: str, other: str, role: sdk.MemberRole) -> None:
        members = self.world.chats[chat].members
        error = self.why_not_change_members(user, chat)
        if role == sdk.MemberRole.OWNER:
            error = sdk.InvalidInput
        elif error is None and other not in members and role == sdk.MemberRole.ADMIN:
            error = None if members[user].role == sdk.MemberRole.OWNER else sdk.NotAllowed
        row = self.call(error, sdk.add_member, user, chat, other, role=role)
        if row is not None and other not in members:
            assert all(row.joined_at > letter.at for letter in self.world.in_chat(chat))
            members[other] = Membership(role, row.joined_at)

    @rule(user=users, chat=chats, other=users)
    def remove_member(self, user: str, chat: str, other: str) -> None:
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
        error = sdk.NotAllowed if is_member and room.type == sdk.ChatType.PRIVATE else None
        left = self.call(error, sdk.leave_chat, user, chat)
        if error is None:
            assert left == is_member
        if left and room.members.pop(user).role == sdk.MemberRole.OWNER and room.members:
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
        type=st.sampled_from([sdk.MessageType.TEXT, sdk.MessageType.TEXT, sdk.MessageType.SYSTEM]),
        due_in=st.none() | st.none() | st.integers(-2, 4),
    )
    def send_message(
        self,
        user: str,
        chat: str,
        tag: str,
        mentioned: str | None,
        type: sdk.MessageType,
        due_in: int | None,
    ) -> Any:
        due = None if due_in is None else self.around.now + due_in * MILLISECOND
        content = f"#{tag}"
        if mentioned is not None:
            content += f" @{sdk.get_user(mentioned).username}"
        error = self.world.why_not_write(user, chat)
        options: dict[str, Any] = {"type": type, "scheduled_for": due}
        row = self.call(error, sdk.send_message, user, chat, content, **options)
        if row is None:
            return multiple()
        assert all(row.created_at > letter.at for letter in self.world.in_chat(chat))
        letter = Letter(row.id, chat, user, row.created_at, tag, mentioned)
        letter.is_system = type == sdk.MessageType.SYSTEM
        letter.due, letter.is_sent = due, due is None
        self.world.messages[row.id] = letter
        if letter.is_sent:
            self.world.arrive(letter)
        return row.id

    @rule(message=messages, user=users, chat=chats, is_same=st.booleans())
    def send_message_again(self, message: str, user: str, chat: str, is_same: bool) -> None:
        letter = self.world.messages.get(message)
        if letter is None:
            return
        if is_same:
            user, chat = letter.sender_id, letter.chat_id
        error: Error | None = None
        if (user, chat) != (letter.sender_id, letter.chat_id):
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
        row = self.call(error, sdk.edit_message, user, letter.chat_id, message, f"#{tag}")
        if row is not None:
            letter.tag, letter.mentioned = tag, None

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

    @rule(later=st.integers(0, 3), limit=st.sampled_from([1, 2, 100]))
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
        newest = {letter.chat_id: self.world.in_chat(letter.chat_id)[0].at for letter in letters}
        rows = sdk.publish_scheduled(now=now, limit=limit)
        for letter in letters:
            letter.at = sdk.Message.get(sdk.Message.id == letter.id).created_at
            assert letter.at >= now and letter.at > newest[letter.chat_id]
            newest[letter.chat_id] = letter.at
            letter.is_sent = self.world.why_not_write(letter.sender_id, letter.chat_id) is None
            letter.is_deleted = not letter.is_sent
        sent = [letter for letter in letters if letter.is_sent]
        assert [row.id for row in rows] == [
            letter.id for letter in sorted(sent, key=lambda letter: letter.place)
        ]
        self.world.arrive(*sent)

    # --- what the server does without this package ---

    @rule(target=messages, user=users, chat=chats, offset=st.integers(-3, 3))
    def server_writes_message(self, user: str, chat: str, offset: int) -> Any:
        if not self.world.is_member(user, chat):
            return multiple()
        at = self.around.now + offset * MILLISECOND
        row = sdk.Message.create(
            id=self.around.new_id(), sender=user, chat=chat, is_sent=True, created_at=at
        )
        self.world.messages[row.id] = Letter(row.id, chat, user, at, "")
        self.recount_all()
        return row.id

    @rule(message=messages)
    def server_removes_message(self, message: str) -> None:
        if self.world.messages.pop(message, None) is not None:
            sdk.Message.delete().where(sdk.Message.id == message).execute()
            for account in self.world.users.values():
                account.pins = {place: m for place, m in account.pins.items() if m != message}
            self.recount_all()

    def recount_all(self) -> None:
        for user_id in self.world.users:
            sdk.recount_unread(user_id)

    # --- settings ---

    @rule(user=users, chat=chats)
    def mark_all_read(self, user: str, chat: str) -> None:
        error = None if self.world.is_member(user, chat) else sdk.NotFound
        row = self.call(error, sdk.mark_read, user, chat)
        if row is not None:
            settings = self.settle(user, chat)
            newest = self.world.visible(chat)[:1]
            if newest and (settings.last_read is None or self.is_later(newest[0], user)):
                settings.last_read = newest[0].id
            assert row.unread_count == 0

    @rule(user=users, message=messages)
    def mark_read(self, user: str, message: str) -> None:
        letter = self.world.messages.get(message)
        if letter is None:
            return
        chat = letter.chat_id
        error = None if self.world.is_member(user, chat) and letter.is_sent else sdk.NotFound
        if not letter.is_sent and letter.is_deleted:
            # One that was never sent, or could not be: it has no place in the chat.
            error = sdk.NotFound
        row = self.call(error, sdk.mark_read, user, chat, message)
        if row is not None:
            settings = self.world.settings.get((user, chat))
            if settings is None:
                self.settle(user, chat).last_read = message
            elif self.is_later(letter, user):
                settings.last_read = message
            assert row.unread_count == self.world.unread_count(user, chat)

    def is_later(self, letter: Letter, user: str) -> bool:
        position = self.world.position(user, letter.chat_id)
        return position is None or letter.place > position

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
            settings = self.settle(user, chat)
            if what in ("mute", "unmute"):
                settings.is_muted = what == "mute"
            else:
                settings.is_favorite = what == "favor" or not settings.is_favorite
            assert (row.is_muted, row.is_favorite) == (settings.is_muted, settings.is_favorite)
            assert row.unread_count == self.world.unread_count(user, chat)

    @rule(user=users)
    def unmute_all_chats(self, user: str) -> None:
        muted = [row for (owner, _), row in self.world.settings.items() if owner == user]
        muted = [row for row in muted if row.is_muted]
        assert sdk.unmute_all_chats(user) == len(muted)
        for row in muted:
            row.is_muted = False

    @rule(user=users)
    def recount_unread(self, user: str) -> None:
        assert sdk.recount_unread(user) == 0

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
            self.settle(user, chat).folder = folder
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
            large = {chat.id: chat.large_since for chat in world.chats.values() if chat.large_since}
            assert {row.chat_id: row.created_at for row in LargeChat.select()} == large
            assert _stored_settings(large) == {
                (user, chat): (
                    None if chat in large else len(world.unread(user, chat)),
                    row.last_read,
                    row.made_at,
                    row.is_muted,
                    row.is_favorite,
                    row.folder,
                )
                for (user, chat), row in world.settings.items()
            }
            assert {(row.chat_id, row.user_id): row.role for row in sdk.ChatMember.select()} == {
                (chat.id, user): member.role
                for chat in world.chats.values()
                for user, member in chat.members.items()
            }
            assert {(row.user_id, row.blocked_id) for row in sdk.BlockedUser.select()} == {
                (user.id, blocked) for user in world.users.values() for blocked in user.blocks
            }
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
        muted = {
            chat for (owner, chat), row in world.settings.items() if row.is_muted and owner == user
        }
        assert sdk.unread_totals(user) == sdk.UnreadTotals(
            all=sum(counts.values()),
            unmuted=sum(number for chat, number in counts.items() if chat not in muted),
            mentions=sum(world.count(chat, world.mentions(user, chat)) for chat in counts),
        )
        assert [pin.message_id for pin in sdk.list_pinned_messages(user)] == [
            message
            for _, message in sorted(world.users[user].pins.items(), reverse=True)
            if world.why_not_see(user, message) is None
        ]
        open_chats = [chat.id for chat in rooms if not chat.is_secret]
        tagged = [
            letter
            for chat_id in open_chats
            for letter in world.visible(chat_id)
            if letter.tag == TAGS[-1]
        ]
        assert [row.id for row in sdk.find_by_hashtag(user, TAGS[-1].upper())] == [
            letter.id for letter in sorted(tagged, key=lambda letter: letter.place, reverse=True)
        ][:50]
        assert [
            (item.folder.id, {chat.id for chat in item.chats}, item.unread_count)
            for item in sdk.list_folders(user)
        ] == [(folder, *self.content_of(user, folder)) for folder in world.users[user].folders]

    def line_of(self, user: str, chat: Room) -> tuple[Any, ...]:
        """A line of the chat list after what it is sorted by."""
        row = self.world.settings.get((user, chat.id))
        newest = next(iter(self.world.visible(chat.id)), None)
        last_at = chat.members[user].joined_at if newest is None else newest.at
        return row is not None and row.is_favorite, last_at, chat.id, newest and newest.id, chat

    def content_of(self, user: str, folder: str) -> tuple[set[str], int]:
        chats = {
            chat
            for (owner, chat), row in self.world.settings.items()
            if owner == user and row.folder == folder and self.world.is_member(user, chat)
        }
        return chats, sum(self.world.unread_count(user, chat) for chat in chats)


def _stored_settings(large: Container[str]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """The rows by user and chat; without the count in large chats, where nobody reads it."""
    return {
        (row.user_id, row.chat_id): (
            None if row.chat_id in large else row.unread_count,
            row.last_read_message_id,
            row.created_at,
            row.is_muted,
            row.is_favorite,
            row.folder_id,
        )
        for row in sdk.ChatSettings.select()
    }


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_whatever_happens_everybody_sees_what_the_contract_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sdk.unread, "LARGE_CHAT", LARGE_CHAT)
    monkeypatch.setattr(sdk.unread, "MAX_COUNT", MAX_COUNT)
    around = Machine.around = Surroundings()
    for name, module in list(sys.modules.items()):
        for own in ("utc_now", "new_id"):
            if name.startswith("stogram_sdk.") and hasattr(module, own):
                monkeypatch.setattr(module, own, getattr(around, own))
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Rows for tests, and a count of the statements that a call sends.

`make_user`, `make_chat` and `make_message` go through the SDK; `insert_message` and `insert_chat`
write the row as it is given, as the server does: with any time, any state, and no count raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import stogram_sdk as sdk
from stogram_sdk.database import current_database

_numbers = count(1)

#: A moment in the past, for rows that need one.
LONG_AGO = datetime(2024, 1, 1, 12, tzinfo=UTC)


def after(seconds: float, moment: datetime = LONG_AGO) -> datetime:
    return moment + timedelta(seconds=seconds)


def make_user(username: str | None = None, **options: Any) -> sdk.User:
    """An account; without a username under one that no other has."""
    username = username or f"user_{next(_numbers)}"
    options.setdefault("email", f"{username}@example.com")
    return sdk.create_user(username=username, password_hash="hash", **options)


def make_users(number: int) -> list[sdk.User]:
    return [make_user() for _ in range(number)]


def make_chat(
    owner: sdk.User, *members: sdk.User, type: sdk.ChatType = sdk.ChatType.GROUP, **options: Any
) -> sdk.Chat:
    """A group (or a chat of another type) of its owner and members."""
    ids = [member.id for member in members]
    return sdk.create_chat(owner.id, type, member_ids=ids, **options)


def make_message(
    sender: sdk.User, chat: sdk.Chat, content: str = "hello", **options: Any
) -> sdk.Message:
    return sdk.send_message(sender.id, chat.id, content, **options)


def insert_message(
    sender: sdk.User, chat: sdk.Chat, content: str = "hello", **columns: Any
) -> sdk.Message:
    """A message as the server writes it: sent now, unless the columns say otherwise."""
    columns = {"is_sent": True, **columns}
    message: sdk.Message = sdk.Message.create(sender=sender, chat=chat, content=content, **columns)
    return message


def insert_chat(
    *members: sdk.User,
    type: sdk.ChatType = sdk.ChatType.GROUP,
    joined_at: datetime = LONG_AGO,
    **columns: Any,
) -> sdk.Chat:
    """A chat that was there long ago, of an owner and members who joined it then."""
    chat: sdk.Chat = sdk.Chat.create(type=type, created_at=joined_at, **columns)
    for number, user in enumerate(members):
        role = sdk.MemberRole.MEMBER if number else sdk.MemberRole.OWNER
        sdk.ChatMember.create(user=user, chat=chat, role=role, joined_at=joined_at)
    return chat


def roles_in(chat: sdk.Chat) -> dict[str, sdk.MemberRole]:
    """The role of each member, by the id of the user."""
    return {
        row.user_id: row.role for row in sdk.ChatMember.select().where(sdk.ChatMember.chat == chat)
    }


def unread(user: sdk.User, chat: sdk.Chat) -> int:
    """The unread count that the user sees."""
    return sdk.get_chat_settings(user.id, chat.id).unread_count


def wrong_counts() -> dict[str, int]:
    """By user how many of their stored unread counts were not the truth; now they are."""
    users = sdk.User.select(sdk.User.id)
    return {user.id: wrong for user in users if (wrong := sdk.recount_unread(user.id))}


def listed(user: sdk.User, chat: sdk.Chat, **options: Any) -> list[str]:
    """The ids of the messages that the user sees in the chat, the newest first."""
    return [message.id for message in sdk.list_messages(user.id, chat.id, **options)]


@contextmanager
def sent_statements() -> Iterator[list[str]]:
    """The texts of the statements that are sent inside.

    What only begins, ends or divides a transaction does not count. What is sent together with a
    statement, such as a lock, is one with it: one text, one round trip.
    """
    sent: list[str] = []

    def note(event: Any) -> None:
        if does_something(event.sql):
            sent.append(event.sql)

    hooks = current_database().query_hooks
    hooks.append(note)
    try:
        yield sent
    finally:
        hooks.remove(note)


def does_something(sql: str) -> bool:
    """Whether it is not only about the transaction; it may begin one as well."""
    last = sql.rsplit("; ", maxsplit=1)[-1]
    words = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"}
    return last.split(maxsplit=1)[0] not in words


@contextmanager
def statements(number: int) -> Iterator[None]:
    """Fails unless exactly so many statements are sent inside."""
    with sent_statements() as sent:
        yield
    assert len(sent) == number, "\n".join([f"sent {len(sent)}, not {number}:", *sent])

"""Rows for tests, and a count of the statements that a call sends.

`make_user`, `make_chat` and `make_message` are those of `stogram_sdk.testing`, and go through the
SDK. `insert_message` and `insert_chat` write the row as it is given, as the server does: with any
time and any state. `second_writer` has the other things that the server does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.testing import MakeChat, MakeMessage, MakeUser

#: A moment in the past, for rows that need one.
LONG_AGO = datetime(2024, 1, 1, 12, tzinfo=UTC)


def after(seconds: float, moment: datetime = LONG_AGO) -> datetime:
    return moment + timedelta(seconds=seconds)


make_user, make_chat, make_message = MakeUser(), MakeChat(), MakeMessage()


def make_users(number: int) -> list[sdk.User]:
    return [make_user() for _ in range(number)]


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


def set_role(user: sdk.User, chat: sdk.Chat, role: sdk.MemberRole) -> None:
    """Give a member another role, as the server does."""
    is_theirs = (sdk.ChatMember.user == user) & (sdk.ChatMember.chat == chat)
    sdk.ChatMember.update({sdk.ChatMember.role: role}).where(is_theirs).execute()


def unread(user: sdk.User, chat: sdk.Chat) -> int:
    """The unread count that the user sees."""
    return sdk.get_chat_settings(user.id, chat.id).unread_count


#: The unread messages of each member of each chat: the contract once more, in plain SQL.
_TRUE_COUNTS = """
SELECT "member"."userId", "member"."chatId", (
    SELECT count(*) FROM "Message" AS "message"
    WHERE "message"."chatId" = "member"."chatId"
        AND "message"."senderId" <> "member"."userId"
        AND NOT "message"."isDeleted"
        AND ("message"."isSent" OR "message"."scheduledFor" IS NULL)
        AND "message"."createdAt" >= "member"."joinedAt"
        AND NOT EXISTS (
            SELECT 1 FROM "BlockedUser" AS "block"
            WHERE "block"."userId" = "member"."userId"
                AND "block"."blockedId" = "message"."senderId"
        )
        AND CASE
            WHEN "read".id IS NOT NULL THEN "message"."createdAt" > "read"."createdAt"
                OR "message"."createdAt" = "read"."createdAt" AND "message".id > "read".id
            WHEN "settings"."lastReadMessageId" IS NOT NULL
                THEN "message"."createdAt" >= "settings"."updatedAt"
            ELSE "message"."createdAt" >= (SELECT since FROM "UnreadSince")
        END
)
FROM "ChatMember" AS "member"
LEFT JOIN "ChatSettings" AS "settings"
    ON "settings"."userId" = "member"."userId" AND "settings"."chatId" = "member"."chatId"
LEFT JOIN "Message" AS "read"
    ON "read".id = "settings"."lastReadMessageId" AND "read"."chatId" = "member"."chatId"
"""


def true_counts(*users: sdk.User) -> dict[tuple[str, str], int]:
    """The number of unread messages by user and chat, as plain SQL counts them.

    It is of these users, or of everybody if none is named.
    """
    sql = _TRUE_COUNTS
    if users:
        ids = ", ".join(f"'{user.id}'" for user in users)
        sql += f'WHERE "member"."userId" IN ({ids})'
    with sdk.session():
        rows = current_database().execute_sql(sql).fetchall()
    return {(user_id, chat_id): min(number, 1_000) for user_id, chat_id, number in rows}


def wrong_counts(*users: sdk.User) -> dict[tuple[str, str], tuple[int | None, int]]:
    """By user and chat, the count in the chat list and the true one, where they differ.

    Totals that are not the sum of the chats are here too, under no chat. It is of these users, or
    of everybody if none is named.
    """
    truth = true_counts(*users)
    wrong: dict[tuple[str, str], tuple[int | None, int]] = {}
    for user_id in sorted({user_id for user_id, _ in truth}):
        said = {line.chat.id: line.unread_count for line in _whole_list(user_id)}
        of_user = {chat_id: true for (owner, chat_id), true in truth.items() if owner == user_id}
        for chat_id, true in of_user.items():
            if said.get(chat_id) != true:
                wrong[user_id, chat_id] = said.get(chat_id), true
        total = sdk.unread_totals(user_id).all
        if total != sum(of_user.values()):
            wrong[user_id, ""] = total, sum(of_user.values())
    return wrong


def _whole_list(user_id: str) -> list[sdk.ChatSummary]:
    lines: list[sdk.ChatSummary] = []
    page = sdk.list_chats(user_id, limit=100)
    lines += page
    while page.next_cursor is not None:
        page = sdk.list_chats(user_id, limit=100, cursor=page.next_cursor)
        lines += page
    return lines


def server_counts(chat: sdk.Chat) -> dict[str, int]:
    """The numbers in the server's column, by user."""
    with sdk.session():
        rows = list(sdk.ChatSettings.select().where(sdk.ChatSettings.chat == chat))
    return {row.user_id: row.unread_count for row in rows}


def listed(user: sdk.User, chat: sdk.Chat, **options: Any) -> list[str]:
    """The ids of the messages that the user sees in the chat, the newest first."""
    return [message.id for message in sdk.list_messages(user.id, chat.id, **options)]


@contextmanager
def sent_statements() -> Iterator[list[str]]:
    """The texts of the statements that are sent inside.

    Statements that only begin, end or divide a transaction do not count. Statements that are sent
    together, such as a lock and a query, count as one: they are one text and one round trip.
    """
    sent: list[str] = []

    def note(event: Any) -> None:
        if does_something(event.sql):
            sent.append(event.sql)

    with told_of_queries(note):
        yield sent


@contextmanager
def told_of_queries(hook: Callable[[Any], None]) -> Iterator[None]:
    """Inside, the hook is called after each query of the connected database."""
    hooks = current_database().query_hooks
    hooks.append(hook)
    try:
        yield
    finally:
        hooks.remove(hook)


def does_something(sql: str) -> bool:
    """Whether the text does more than begin, end or divide a transaction."""
    last = sql.rsplit("; ", maxsplit=1)[-1]
    words = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"}
    return last.split(maxsplit=1)[0] not in words


@contextmanager
def statements(number: int) -> Iterator[None]:
    """Fails unless exactly so many statements are sent inside."""
    with sent_statements() as sent:
        yield
    assert len(sent) == number, "\n".join([f"sent {len(sent)}, not {number}:", *sent])

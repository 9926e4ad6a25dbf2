"""The Node server beside the SDK: its routes and events, each with its own statements.

It takes no locks, dates by its own clock, and keeps the case of letters in tags. It changes only
the columns that its routes change. Each method is one of its routes or events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.fields import time_to_text, utc_now
from stogram_sdk.models import new_id


class SecondWriter:
    """Ids in, ids out; `clock` is the clock of the machine that the server runs on."""

    def __init__(
        self, clock: Callable[[], datetime] = utc_now, new_id: Callable[[], str] = new_id
    ) -> None:
        self.clock = clock
        self._new_id = new_id

    # --- messages ---

    def send(
        self, sender_id: str, chat_id: str, content: str = "hello", *, at: datetime | None = None
    ) -> str:
        """Send a message with its tags, then date the chat. `at`: by a clock that differs."""
        message_id = self._insert(
            sender_id, chat_id, content, at, re.findall(r"@(\w+)", content), _hashtags(content)
        )
        self._run('UPDATE "Chat" SET "updatedAt" = ? WHERE id = ?', self.clock(), chat_id)
        return message_id

    def send_by_socket(
        self, sender_id: str, chat_id: str, content: str = "hello", *, at: datetime | None = None
    ) -> str:
        """Send a message by an event of the socket, which looks for no tags."""
        message_id = self._insert(sender_id, chat_id, content, at, [], [])
        self._run('UPDATE "Chat" SET "updatedAt" = ? WHERE id = ?', self.clock(), chat_id)
        return message_id

    def edit(self, message_id: str, content: str) -> None:
        """Change the text; the tags stay those of the old one."""
        self._run(
            'UPDATE "Message" SET content = ?, "isEdited" = true, "updatedAt" = ? WHERE id = ?',
            content,
            self.clock(),
            message_id,
        )

    def delete(self, message_id: str) -> None:
        """Empty the row, which stays."""
        self._run(
            'UPDATE "Message" SET "isDeleted" = true, content = ?, "updatedAt" = ? WHERE id = ?',
            None,
            self.clock(),
            message_id,
        )

    def remove_message(self, message_id: str) -> None:
        """Remove the row altogether."""
        self._run('DELETE FROM "Message" WHERE id = ?', message_id)

    def publish(self, message_id: str) -> None:
        """Send a scheduled message, which keeps the time at which it was written."""
        self._run(
            'UPDATE "Message" SET "isSent" = true, "updatedAt" = ? WHERE id = ? AND NOT "isSent"',
            self.clock(),
            message_id,
        )

    def _insert(
        self,
        sender_id: str,
        chat_id: str,
        content: str,
        at: datetime | None,
        mentions: list[str],
        hashtags: list[str],
    ) -> str:
        message_id, now = self._new_id(), self.clock()
        self._run(
            'INSERT INTO "Message" (id, "senderId", "chatId", content, mentions, hashtags,'
            ' "isSent", "createdAt", "updatedAt") VALUES (?, ?, ?, ?, ?, ?, true, ?, ?)',
            *(message_id, sender_id, chat_id, content, mentions, hashtags, at or now, now),
        )
        return message_id

    # --- accounts and members ---

    def remove_account(self, user_id: str) -> None:
        """Remove an account, and everything that belongs to it."""
        self._run('DELETE FROM "User" WHERE id = ?', user_id)

    def block(self, user_id: str, blocked_id: str) -> None:
        self._run(
            'INSERT INTO "BlockedUser" (id, "userId", "blockedId", "createdAt")'
            " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            *(self._new_id(), user_id, blocked_id, self.clock()),
        )

    def unblock(self, user_id: str, blocked_id: str) -> None:
        self._run(
            'DELETE FROM "BlockedUser" WHERE "userId" = ? AND "blockedId" = ?', user_id, blocked_id
        )

    def add_member(self, chat_id: str, user_id: str) -> datetime:
        """Add a member to a chat of any type. Returns the time of joining."""
        now = self.clock()
        self._run(
            'INSERT INTO "ChatMember" (id, "userId", "chatId", "joinedAt")'
            " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            *(self._new_id(), user_id, chat_id, now),
        )
        return now

    def remove_member(self, chat_id: str, user_id: str) -> None:
        self._run('DELETE FROM "ChatMember" WHERE "chatId" = ? AND "userId" = ?', chat_id, user_id)

    def register(self, username: str, display_name: str | None = None) -> str:
        """Make an account: its username may hold any characters."""
        user_id = self._new_id()
        self._run(
            'INSERT INTO "User" (id, email, username, password, "displayName", "updatedAt")'
            " VALUES (?, ?, ?, ?, ?, ?)",
            *(user_id, f"{user_id}@example.com", username, "hash", display_name, self.clock()),
        )
        return user_id

    def show_status(self, user_id: str, status: str) -> None:
        """Say that a socket has been connected, or is no more."""
        self._run(
            'UPDATE "User" SET status = ?, "lastSeen" = ? WHERE id = ?',
            *(status, self.clock(), user_id),
        )

    # --- reactions and calls ---

    def react(self, user_id: str, message_id: str, emoji: str) -> None:
        self._run(
            'INSERT INTO "Reaction" (id, "userId", "messageId", emoji) VALUES (?, ?, ?, ?)'
            " ON CONFLICT DO NOTHING",
            *(self._new_id(), user_id, message_id, emoji),
        )

    def call(self, user_id: str, chat_id: str) -> str:
        """Begin a call, whether one goes on or not."""
        call_id = self._new_id()
        self._run(
            'INSERT INTO "Call" (id, "chatId", "initiatorId", type, "startedAt")'
            " VALUES (?, ?, ?, 'AUDIO', ?)",
            *(call_id, chat_id, user_id, self.clock()),
        )
        return call_id

    def end_call(self, call_id: str) -> None:
        """End a call, whoever asks for it."""
        self._run(
            'UPDATE "Call" SET status = ?, "endedAt" = ? WHERE id = ?',
            *("ENDED", self.clock(), call_id),
        )

    # --- settings ---

    def put_unread(self, user_id: str, chat_id: str, number: int) -> None:
        """Store the number that its client has counted, also one below 0."""
        self._set(user_id, chat_id, "unreadCount", number)

    def mark_read(self, user_id: str, chat_id: str, message_id: str) -> None:
        self._set(user_id, chat_id, "lastReadMessageId", message_id)

    def mute(self, user_id: str, chat_id: str) -> None:
        self._set(user_id, chat_id, "isMuted", True)

    def file_away(self, user_id: str, chat_id: str, folder_id: str) -> None:
        """Put a chat into a folder, whoever owns that."""
        self._set(user_id, chat_id, "folderId", folder_id)

    def _set(self, user_id: str, chat_id: str, column: str, value: object) -> None:
        now = self.clock()
        self._run(
            f'INSERT INTO "ChatSettings" (id, "userId", "chatId", "{column}", "createdAt",'
            ' "updatedAt") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT ("userId", "chatId") DO UPDATE'
            f' SET "{column}" = excluded."{column}", "updatedAt" = excluded."updatedAt"',
            *(self._new_id(), user_id, chat_id, value, now, now),
        )

    def _run(self, sql: str, *values: Any) -> None:
        """Run a statement; again where a stricter isolation than the usual one has refused it."""
        is_sqlite = current_database().dialect.name == "sqlite"
        bound = [_bound(value, is_sqlite) for value in values]
        while True:
            try:
                with sdk.session():
                    current_database().execute_sql(
                        sql if is_sqlite else sql.replace("?", "%s"), bound
                    )
                return
            except sdk.Unavailable as error:
                if error.sqlstate != "40001":
                    raise


def _hashtags(content: str) -> list[str]:
    return re.findall(r"#(\w+)", content)


def _bound(value: Any, is_sqlite: bool) -> Any:
    if isinstance(value, datetime):
        return time_to_text(value)
    if isinstance(value, list) and is_sqlite:
        return json.dumps(value, ensure_ascii=False)
    return value

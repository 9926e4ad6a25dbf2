"""What a good engineer writes without the SDK: asyncpg or psycopg 3, plain SQL, prepared.

One statement where one is enough, with the check whether the user may do it inside; unread counts
are derived, as the SDK derives them. Rows stay what the driver makes of them, and hold what the
SDK's hold: a message its sender, chat, the answered one and sums of reactions, a block both users.
A message is sent in a transaction that holds the chat, since its time must be later than that of
every other one there.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from abc import ABC, abstractmethod
from typing import Any

import asyncpg
import psycopg
from psycopg.rows import dict_row

from benchmarks.others.values import PAGE, hashtags_in, mentions_in, now
from benchmarks.timing import InLoop

_VISIBLE = '{0}."isDeleted" = false AND ({0}."isSent" OR {0}."scheduledFor" IS NULL)'

#: How many messages of the chat of `m` are unread for its user; `s` are the settings, `r` the
#: message that was read last.
_UNREAD = f"""(SELECT count(*) FROM (SELECT 1 FROM "Message" u
    WHERE u."chatId" = m."chatId" AND {_VISIBLE.format("u")} AND u."senderId" <> m."userId"
    AND (u."createdAt", u.id) > (COALESCE(r."createdAt", since.since), COALESCE(r.id, ''))
    AND u."createdAt" >= m."joinedAt"
    AND NOT EXISTS (SELECT 1 FROM "BlockedUser" b
        WHERE b."userId" = m."userId" AND b."blockedId" = u."senderId")
    LIMIT 1000) AS up_to)"""
#: And how many of them mention the user.
_MENTIONS = """(SELECT count(*) FROM "MessageTag" t JOIN "Message" x ON x.id = t."messageId"
    WHERE t.tag = '@' || (SELECT lower(username) FROM "User" WHERE id = $1)
    AND t."chatId" = m."chatId" AND x."senderId" <> m."userId" AND x."createdAt" >= m."joinedAt"
    AND (t."createdAt", t."messageId")
        > (COALESCE(r."createdAt", since.since), COALESCE(r.id, '')))"""
_READ = """LEFT JOIN "ChatSettings" s ON s."userId" = m."userId" AND s."chatId" = m."chatId"
    LEFT JOIN "Message" r ON r.id = s."lastReadMessageId"
    CROSS JOIN "UnreadSince" since"""
_REACTIONS = """(SELECT json_agg(json_build_array(emoji, total, mine)) FROM (
        SELECT emoji, count(*) AS total, count(*) FILTER (WHERE "userId" = $1) AS mine
        FROM "Reaction" WHERE "messageId" = x.id GROUP BY emoji) AS counted)"""
#: `{0}` are the columns of the chat, `{1}` its join, where the rest of the statement has none.
_ANY_MESSAGE = f"""SELECT x.*, sender.username, sender."displayName", to_json(answered) AS answered,
        to_json(its_sender.username) AS answered_username, {_REACTIONS} AS reactions {{0}}
    FROM "Message" x JOIN "User" sender ON sender.id = x."senderId" {{1}}
    LEFT JOIN "Message" answered ON answered.id = x."replyToId"
        AND answered."chatId" = x."chatId" AND {_VISIBLE.format("answered")}
    LEFT JOIN "User" its_sender ON its_sender.id = answered."senderId\""""
_MESSAGE = _ANY_MESSAGE.format("", "")
_SHOWN = _ANY_MESSAGE.format(
    """, chat.name, chat.type AS chat_type, chat.avatar, chat.description, chat."isSecret",
        chat."createdAt" AS chat_created, chat."updatedAt" AS chat_updated""",
    'JOIN "Chat" chat ON chat.id = x."chatId"',
)
#: Username and display name of both users of a block.
_BOTH = """(SELECT ARRAY[username, "displayName"] FROM "User" WHERE id = $1) AS blocker,
    (SELECT ARRAY[username, "displayName"] FROM "User" WHERE id = $2) AS blocked"""
#: A user as the one who asks may see them.
_PROFILE = """u.id, u.username, u."displayName", u.bio,
    CASE WHEN b.id IS NULL AND u."showProfilePhoto" THEN u.avatar END AS avatar,
    CASE WHEN b.id IS NULL AND u."showOnlineStatus" THEN u.status END AS status,
    CASE WHEN b.id IS NULL AND u."showLastSeen" THEN u."lastSeen" END AS seen"""
_HIDES = """LEFT JOIN "BlockedUser" b ON b."userId" = u.id AND b."blockedId" = $1"""
_IS_MEMBER = """EXISTS (SELECT 1 FROM "ChatMember" WHERE "userId" = $1 AND "chatId" = $2)"""

_SETTINGS = """INSERT INTO "ChatSettings" (id, "userId", "chatId", "createdAt", "updatedAt", {0})
    SELECT $3, "userId", "chatId", $4::timestamp, $4, {1} FROM "ChatMember"
    WHERE "userId" = $1 AND "chatId" = $2
    ON CONFLICT ("userId", "chatId") DO UPDATE SET {0} = EXCLUDED.{0}, "updatedAt" = $4
    RETURNING *"""


def _users_with(place: int) -> str:
    """Those of whom the word at this place is the first one that begins so."""
    columns = ("username", 1), *(('"displayName"', number) for number in (1, 2, 3))
    words = [f'stogram_word({name} COLLATE "C", {number})' for name, number in columns]
    begins = [f"coalesce({word} >= $2 AND {word} < $2 || chr(1114111), false)" for word in words]
    word, before = words[place], "".join(f" AND NOT {each}" for each in begins[:place])
    return f"""(SELECT {word} AS word, id FROM "User" u
        WHERE {word} >= $2 AND {word} < $2 || chr(1114111){before} AND id <> $1
        AND NOT EXISTS (SELECT 1 FROM "BlockedUser" b
            WHERE b."userId" = u.id AND b."blockedId" = $1)
        ORDER BY 1, 2 LIMIT $3)"""


_SQL = {
    "is_blocked": 'SELECT 1 FROM "BlockedUser" WHERE "userId" = $1 AND "blockedId" = $2',
    "get_chat_settings": f"""SELECT s.*, {_UNREAD} AS unread FROM "ChatMember" m {_READ}
        WHERE m."userId" = $1 AND m."chatId" = $2""",
    "unread_of": f"""SELECT {_UNREAD} FROM "ChatMember" m {_READ}
        WHERE m."userId" = $1 AND m."chatId" = $2""",
    "block_user": f"""INSERT INTO "BlockedUser" (id, "userId", "blockedId", "createdAt")
        VALUES ($3, $1, $2, $4) ON CONFLICT ("userId", "blockedId") DO NOTHING
        RETURNING *, {_BOTH}""",
    "block_of": f"""SELECT *, {_BOTH} FROM "BlockedUser"
        WHERE "userId" = $1 AND "blockedId" = $2""",
    "mute_chat": _SETTINGS.format('"isMuted"', "true"),
    "set_favorite": _SETTINGS.format('"isFavorite"', "$5::boolean"),
    "move_to_folder": _SETTINGS.format(
        '"folderId"', '(SELECT id FROM "Folder" WHERE id = $5 AND "userId" = $1)'
    ),
    "pin_message": f"""INSERT INTO "PinnedMessage" (id, "userId", "messageId", "chatId", "pinnedAt")
        SELECT $4, $1, x.id, x."chatId", $5::timestamp FROM "Message" x
        WHERE x.id = $3 AND x."chatId" = $2 AND {_VISIBLE.format("x")} AND {_IS_MEMBER}
        ON CONFLICT ("userId", "messageId", "chatId") DO NOTHING RETURNING id""",
    "pin_of": f"""SELECT p."pinnedAt", p.id AS pin, found.*
        FROM "PinnedMessage" p JOIN LATERAL ({_SHOWN} WHERE x.id = p."messageId") AS found ON true
        WHERE p."userId" = $1 AND p."chatId" = $2 AND p."messageId" = $3""",
    "mark_read": f"""INSERT INTO "ChatSettings"
        (id, "userId", "chatId", "createdAt", "updatedAt", "lastReadMessageId", "unreadCount")
        SELECT $3, $1, $2, $4::timestamp, $4, x.id, 0 FROM "Message" x
        WHERE x."chatId" = $2 AND {_VISIBLE.format("x")} AND {_IS_MEMBER}
        ORDER BY x."createdAt" DESC, x.id DESC LIMIT 1
        ON CONFLICT ("userId", "chatId") DO UPDATE SET "updatedAt" = $4, "unreadCount" = 0,
        "lastReadMessageId" = EXCLUDED."lastReadMessageId" RETURNING *""",
    "list_messages": f"""{_SHOWN} WHERE x."chatId" = $2 AND {_VISIBLE.format("x")}
        AND {_IS_MEMBER} ORDER BY x."createdAt" DESC, x.id DESC LIMIT $3""",
    "list_pinned_messages": f"""SELECT p."pinnedAt", p.id AS pin, found.*
        FROM "PinnedMessage" p JOIN LATERAL ({_SHOWN} WHERE x.id = p."messageId"
            AND {_VISIBLE.format("x")}) AS found ON true
        WHERE p."userId" = $1 AND EXISTS (SELECT 1 FROM "ChatMember" m
            WHERE m."userId" = $1 AND m."chatId" = p."chatId")
        ORDER BY p."pinnedAt" DESC, p.id DESC LIMIT $2""",
    "unread_totals": f"""SELECT sum(unread) AS all, sum(unread) FILTER (WHERE NOT muted) AS unmuted,
            sum(mentions) AS mentions
        FROM (SELECT COALESCE(s."isMuted", false) AS muted, {_UNREAD} AS unread,
                {_MENTIONS} AS mentions
            FROM "ChatMember" m {_READ} WHERE m."userId" = $1) AS counted""",
    "list_chats": f"""SELECT c.*, s.*, last.*, {_UNREAD} AS unread, c.id AS chat
        FROM "ChatMember" m JOIN "Chat" c ON c.id = m."chatId" {_READ}
        LEFT JOIN LATERAL ({_MESSAGE} WHERE x."chatId" = m."chatId" AND {_VISIBLE.format("x")}
            ORDER BY x."createdAt" DESC, x.id DESC LIMIT 1) AS last ON true
        WHERE m."userId" = $1
        ORDER BY COALESCE(s."isFavorite", false) DESC,
            COALESCE(last."createdAt", m."joinedAt") DESC, c.id DESC LIMIT $2""",
    "find_by_hashtag": f"""SELECT found.* FROM (
            SELECT t."messageId", t."createdAt" FROM "ChatMember" m CROSS JOIN LATERAL (
                SELECT "messageId", "createdAt" FROM "MessageTag"
                WHERE tag = '#' || $2 AND "chatId" = m."chatId"
                ORDER BY "createdAt" DESC, "messageId" DESC LIMIT $3) AS t
            JOIN "Chat" c ON c.id = m."chatId" AND NOT c."isSecret"
            WHERE m."userId" = $1 ORDER BY t."createdAt" DESC, t."messageId" DESC LIMIT $3) AS t
        JOIN LATERAL ({_SHOWN} WHERE x.id = t."messageId" AND {_VISIBLE.format("x")}) AS found
            ON true ORDER BY t."createdAt" DESC, t."messageId" DESC""",
    "hold": """SELECT c.type FROM "Chat" c JOIN "ChatMember" m ON m."chatId" = c.id
        WHERE c.id = $2 AND m."userId" = $1 FOR NO KEY UPDATE OF c""",
    "send_message": """INSERT INTO "Message" (id, "senderId", "chatId", content, "isSent",
            "createdAt", "updatedAt", hashtags, mentions)
        SELECT $3, $1, $2, $4, true, GREATEST($5::timestamp, (SELECT "createdAt" + interval '1 ms'
            FROM "Message" WHERE "chatId" = $2 AND NOT "isDeleted"
            AND ("isSent" OR "scheduledFor" IS NULL)
            ORDER BY "createdAt" DESC, id DESC LIMIT 1)), $5, $6::text[], $7::text[] RETURNING *""",
    "move_up": 'UPDATE "Chat" SET "updatedAt" = $2 WHERE id = $1',
    "get_chat": f"""SELECT c.*, s.*, last.*, {_UNREAD} AS unread
        FROM "ChatMember" m JOIN "Chat" c ON c.id = m."chatId" {_READ}
        LEFT JOIN LATERAL ({_MESSAGE} WHERE x."chatId" = m."chatId" AND {_VISIBLE.format("x")}
            ORDER BY x."createdAt" DESC, x.id DESC LIMIT 1) AS last ON true
        WHERE m."userId" = $1 AND m."chatId" = $2""",
    "list_media": f"""{_SHOWN} WHERE x."chatId" = $2 AND {_VISIBLE.format("x")}
        AND x."fileUrl" IS NOT NULL AND {_IS_MEMBER}
        ORDER BY x."createdAt" DESC, x.id DESC LIMIT $3""",
    "list_contacts": f"""SELECT c.nickname, c."createdAt", {_PROFILE}
        FROM "Contact" c JOIN "User" u ON u.id = c."contactId" {_HIDES}
        WHERE c."userId" = $1 ORDER BY c."createdAt" DESC, c.id DESC LIMIT $2""",
    "search_users": f"""SELECT {_PROFILE}, found.word FROM (
            SELECT * FROM ({" UNION ALL ".join(map(_users_with, range(4)))}) AS all_of_them
            ORDER BY 1, 2 LIMIT $3) AS found
        JOIN "User" u ON u.id = found.id {_HIDES} ORDER BY found.word, found.id""",
    "hold_name": "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
    "add_reaction": f"""INSERT INTO "Reaction" (id, "userId", "messageId", emoji, "createdAt")
        SELECT $5, $1, x.id, $4, $6::timestamp FROM "Message" x
        WHERE x.id = $3 AND x."chatId" = $2 AND {_VISIBLE.format("x")} AND {_IS_MEMBER}
        AND (SELECT count(*) FROM "Reaction" WHERE "messageId" = $3 AND "userId" = $1) < 3
        ON CONFLICT ("messageId", "userId", emoji) DO NOTHING RETURNING *""",
    "remove_reaction": """DELETE FROM "Reaction"
        WHERE "userId" = $1 AND "messageId" = $2 AND emoji = $3 RETURNING id""",
    "start_call": """INSERT INTO "Call" (id, "initiatorId", "chatId", type, "startedAt")
        SELECT $3, $1, $2, 'AUDIO', $4::timestamp WHERE NOT EXISTS (SELECT 1 FROM "Call"
            WHERE "chatId" = $2 AND status IN ('CALLING', 'ACTIVE')) RETURNING *""",
    "answer_call": """UPDATE "Call" c SET status = 'ACTIVE'
        WHERE id = $2 AND status IN ('CALLING', 'ACTIVE') AND EXISTS (SELECT 1 FROM "ChatMember" m
            WHERE m."userId" = $1 AND m."chatId" = c."chatId") RETURNING *""",
    "join_call": """INSERT INTO "CallParticipant" (id, "userId", "callId", "joinedAt")
        VALUES ($3, $1, $2, $4) ON CONFLICT ("callId", "userId") DO NOTHING RETURNING id""",
    "end_call": """UPDATE "Call" c SET status = 'ENDED', "endedAt" = $3
        WHERE id = $2 AND status = 'ACTIVE' AND EXISTS (SELECT 1 FROM "CallParticipant" p
            WHERE p."callId" = c.id AND p."userId" = $1) RETURNING *""",
    "leave_call": """UPDATE "CallParticipant" SET "leftAt" = $2
        WHERE "callId" = $1 AND "leftAt" IS NULL""",
    "raise_counts": """UPDATE "ChatSettings" SET "unreadCount" = "unreadCount" + 1
        WHERE "chatId" = $2 AND "userId" <> $1""",
}


class Prepared(ABC):
    """The methods have the names of the SDK's functions."""

    _connection: Any

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self._loop = loop
        loop.run_until_complete(self._connect(url))

    def call(self, name: str, *args: Any) -> InLoop:
        return InLoop(self._loop, lambda: getattr(self, name)(*args))

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())

    @abstractmethod
    async def _connect(self, url: str) -> None: ...

    @abstractmethod
    async def _rows(self, name: str, *values: Any) -> list[Any]: ...

    @abstractmethod
    async def _row(self, name: str, *values: Any) -> Any: ...

    async def is_blocked(self, user: str, other: str) -> bool:
        return await self._row("is_blocked", user, other) is not None

    async def get_chat_settings(self, user: str, chat: str) -> Any:
        return await self._row("get_chat_settings", user, chat)

    async def block_user(self, user: str, blocked: str) -> Any:
        row = await self._row("block_user", user, blocked, _new_id(), now())
        return row or await self._row("block_of", user, blocked)

    async def _change(self, name: str, user: str, chat: str, *values: Any) -> Any:
        row = await self._row(name, user, chat, _new_id(), now(), *values)
        return row, await self._row("unread_of", user, chat)

    async def mute_chat(self, user: str, chat: str) -> Any:
        return await self._change("mute_chat", user, chat)

    async def set_favorite(self, user: str, chat: str, is_favorite: bool) -> Any:
        return await self._change("set_favorite", user, chat, is_favorite)

    async def move_to_folder(self, user: str, chat: str, folder: str) -> Any:
        return await self._change("move_to_folder", user, chat, folder)

    async def pin_message(self, user: str, chat: str, message: str) -> Any:
        await self._row("pin_message", user, chat, message, _new_id(), now())
        return await self._row("pin_of", user, chat, message)

    async def mark_read(self, user: str, chat: str) -> Any:
        return await self._row("mark_read", user, chat, _new_id(), now())

    async def list_messages(self, user: str, chat: str) -> list[Any]:
        return _with_ids(await self._rows("list_messages", user, chat, PAGE))

    async def list_pinned_messages(self, user: str) -> list[Any]:
        return _with_ids(await self._rows("list_pinned_messages", user, PAGE), "pin")

    async def list_chats(self, user: str) -> list[Any]:
        return _with_ids(await self._rows("list_chats", user, PAGE), "chat")

    async def unread_totals(self, user: str) -> tuple[int, ...]:
        row = await self._row("unread_totals", user)
        return tuple(int(row[name] or 0) for name in ("all", "unmuted", "mentions"))

    async def find_by_hashtag(self, user: str, tag: str) -> list[Any]:
        return _with_ids(await self._rows("find_by_hashtag", user, tag, PAGE))

    async def get_chat(self, user: str, chat: str) -> Any:
        return await self._row("get_chat", user, chat)

    async def list_media(self, user: str, chat: str) -> list[Any]:
        return _with_ids(await self._rows("list_media", user, chat, PAGE))

    async def list_contacts(self, user: str) -> list[Any]:
        return _with_ids(await self._rows("list_contacts", user, PAGE))

    async def search_users(self, user: str, text: str) -> list[Any]:
        return _with_ids(await self._rows("search_users", user, text, PAGE))

    async def react_and_take_back(self, user: str, chat: str, message: str, emoji: str) -> None:
        async with self._connection.transaction():
            await self._row("hold_name", f"{user} {message}")
            await self._row("add_reaction", user, chat, message, emoji, _new_id(), now())
        await self._row("remove_reaction", user, message, emoji)

    async def call_and_end(self, caller: str, other: str, chat: str) -> None:
        async with self._connection.transaction():
            await self._row("hold", caller, chat)
            call = await self._row("start_call", caller, chat, _new_id(), now())
        async with self._connection.transaction():
            await self._row("answer_call", other, call["id"])
            await self._row("join_call", other, call["id"], _new_id(), now())
        async with self._connection.transaction():
            await self._row("end_call", other, call["id"], now())
            await self._row("leave_call", call["id"], now())

    async def send_message(self, sender: str, chat: str, content: str) -> Any:
        async with self._connection.transaction():
            await self._row("hold", sender, chat)
            tags = hashtags_in(content), mentions_in(content)
            sent = await self._row("send_message", sender, chat, _new_id(), content, now(), *tags)
            await self._row("move_up", chat, sent["createdAt"])
            await self._row("raise_counts", sender, chat)
        return sent


class Asyncpg(Prepared):
    async def _connect(self, url: str) -> None:
        self._connection = await asyncpg.connect(url)

    async def _rows(self, name: str, *values: Any) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(_SQL[name], *values)
        return rows

    async def _row(self, name: str, *values: Any) -> Any:
        return await self._connection.fetchrow(_SQL[name], *values)


class Psycopg(Prepared):
    async def _connect(self, url: str) -> None:
        self._connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, prepare_threshold=0, row_factory=dict_row
        )

    async def _rows(self, name: str, *values: Any) -> list[Any]:
        sql = _IN_PSYCOPG[name]
        given = {f"value_{number}": value for number, value in enumerate(values, 1)}
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, given)
            rows: list[Any] = await cursor.fetchall() if cursor.description else []
            return rows

    async def _row(self, name: str, *values: Any) -> Any:
        return next(iter(await self._rows(name, *values)), None)


_IN_PSYCOPG = {name: re.sub(r"\$(\d+)", r"%(value_\1)s", sql) for name, sql in _SQL.items()}


def _new_id() -> str:
    return str(uuid.uuid4())


def _with_ids(rows: list[Any], name: str = "id") -> list[Any]:
    return [(row[name], row) for row in rows]

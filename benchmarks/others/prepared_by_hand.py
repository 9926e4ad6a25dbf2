"""What a good engineer writes without the SDK: asyncpg or psycopg 3, plain SQL, prepared.

One statement where one is enough, with the check whether the user may do it inside; unread counts
are derived, as the SDK derives them. Rows stay what the driver makes of them, and hold what the
SDK's hold: a message its sender, chat, the answered one and sums of reactions, a block both users,
a chat the other member. What has just been sent has no reactions, and answers nothing. A message is
sent in a transaction that holds the chat, since its time must be later than that of every other one
there.

There is a statement for each function of the SDK that needs no more; its values are the arguments.
The others are methods, under the same names.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Any

import asyncpg
import psycopg
from psycopg.rows import dict_row

from benchmarks.others.values import PAGE, hashtags_in, mentions_in, now
from benchmarks.timing import InLoop

_NOW = "timezone('utc', now())"
_NEWEST = f'ORDER BY x."createdAt" DESC, x.id DESC LIMIT {PAGE}'
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
#: What is answered, by its id alone: by the chat too, a plan reads all the messages of that.
_ANSWER = f"""CASE WHEN answered."chatId" = x."chatId" AND {_VISIBLE.format("answered")}
    THEN {{0}} END"""
#: `{0}` are the columns of the chat, `{1}` its join, where the rest of the statement has none.
_ANY_MESSAGE = f"""SELECT x.*, sender.username, sender."displayName", {_REACTIONS} AS reactions,
        {_ANSWER.format("to_json(answered)")} AS answered,
        {_ANSWER.format("its_sender.username")} AS answered_username {{0}}
    FROM "Message" x JOIN "User" sender ON sender.id = x."senderId" {{1}}
    LEFT JOIN "Message" answered ON answered.id = x."replyToId"
    LEFT JOIN "User" its_sender ON its_sender.id = answered."senderId\""""
_MESSAGE = _ANY_MESSAGE.format("", "")
_CHAT = """chat.name, chat.type AS chat_type, chat.avatar, chat.description, chat."isSecret",
    chat."createdAt" AS chat_created, chat."updatedAt" AS chat_updated"""
_SHOWN = _ANY_MESSAGE.format(f", {_CHAT}", 'JOIN "Chat" chat ON chat.id = x."chatId"')
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
_MAY_WRITE = """EXISTS (SELECT 1 FROM "ChatMember" m JOIN "Chat" c ON c.id = m."chatId"
    WHERE m."userId" = $1 AND m."chatId" = $2
    AND (c.type <> 'CHANNEL' OR m.role IN ('OWNER', 'ADMIN'))
    AND (c.type <> 'PRIVATE' OR NOT EXISTS (SELECT 1 FROM "ChatMember" o JOIN "BlockedUser" b
        ON (b."userId", b."blockedId") IN ((o."userId", $1), ($1, o."userId"))
        WHERE o."chatId" = $2)))"""
#: Whom to tell of the message `x`.
_NOTIFIED = f"""JOIN "ChatMember" m ON m."chatId" = x."chatId" AND m."userId" <> x."senderId"
        AND m."joinedAt" <= x."createdAt"
    LEFT JOIN "ChatSettings" s ON s."userId" = m."userId" AND s."chatId" = m."chatId"
    WHERE {_VISIBLE.format("x")} AND NOT x."isSilent" AND s."isMuted" IS NOT TRUE
    AND NOT EXISTS (SELECT 1 FROM "BlockedUser" b
        WHERE b."userId" = m."userId" AND b."blockedId" = x."senderId")"""

#: The other member of a private chat, as the one who asks may see them.
_PEER = f"""(SELECT to_json(peer) FROM (SELECT {_PROFILE} FROM "ChatMember" o
    JOIN "User" u ON u.id = o."userId" {_HIDES} WHERE c.type = 'PRIVATE' AND o."chatId" = c.id
    AND o."userId" <> m."userId" LIMIT 1) AS peer) AS peer"""

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
        ORDER BY 1, 2 LIMIT {PAGE})"""


def _beside(direction: str, order: str) -> str:
    """The half of a page that is on this side of a message."""
    return f"""(SELECT m.id FROM "Message" m, "Message" a WHERE a.id = $3 AND m."chatId" = $2
        AND {_VISIBLE.format("m")} AND (m."createdAt", m.id) {direction} (a."createdAt", a.id)
        ORDER BY m."createdAt" {order}, m.id {order} LIMIT {PAGE // 2})"""


def _tagged(tag: str) -> str:
    return f"""SELECT found.* FROM (
            SELECT t."messageId", t."createdAt" FROM "ChatMember" m CROSS JOIN LATERAL (
                SELECT "messageId", "createdAt" FROM "MessageTag"
                WHERE tag = {tag} AND "chatId" = m."chatId"
                ORDER BY "createdAt" DESC, "messageId" DESC LIMIT {PAGE}) AS t
            JOIN "Chat" c ON c.id = m."chatId" AND NOT c."isSecret" WHERE m."userId" = $1
            ORDER BY t."createdAt" DESC, t."messageId" DESC LIMIT {PAGE}) AS t
        JOIN LATERAL ({_SHOWN} WHERE x.id = t."messageId" AND {_VISIBLE.format("x")}) AS found
            ON true ORDER BY t."createdAt" DESC, t."messageId" DESC"""


def _changed(changes: str, condition: str) -> str:
    """A message of one's own after changes, with what is shown beside it."""
    return f"""WITH changed AS (UPDATE "Message" SET {changes}, "updatedAt" = {_NOW}
            WHERE id = $3 AND "chatId" = $2 AND "senderId" = $1 AND NOT "isDeleted"
            AND {condition} AND {_MAY_WRITE} RETURNING *)
        {_SHOWN.replace('"Message" x', "changed x")}"""


def _call(change: str) -> str:
    """The call after a change, with its chat and who has begun it."""
    return f"""WITH x AS ({change}) SELECT x.*, u.username, u."displayName", {_CHAT} FROM x
        JOIN "Chat" chat ON chat.id = x."chatId" JOIN "User" u ON u.id = x."initiatorId\""""


def _user_with(column: str) -> str:
    return f"""UPDATE "User" SET "{column}" = $2, "updatedAt" = {_NOW} WHERE id = $1 RETURNING *"""


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
        AND {_IS_MEMBER} {_NEWEST}""",
    "list_messages_around": f"""{_SHOWN} JOIN ({_beside(">", "")} UNION ALL {_beside("<=", "DESC")})
        AS page ON page.id = x.id WHERE {_IS_MEMBER} ORDER BY x."createdAt" DESC, x.id DESC""",
    "list_pinned_messages": f"""SELECT p."pinnedAt", p.id AS pin, found.*
        FROM "PinnedMessage" p JOIN LATERAL ({_SHOWN} WHERE x.id = p."messageId"
            AND {_VISIBLE.format("x")}) AS found ON true
        WHERE p."userId" = $1 AND EXISTS (SELECT 1 FROM "ChatMember" m
            WHERE m."userId" = $1 AND m."chatId" = p."chatId")
        ORDER BY p."pinnedAt" DESC, p.id DESC LIMIT {PAGE}""",
    "unread_totals": f"""SELECT coalesce(sum(unread), 0)::int,
            coalesce(sum(unread) FILTER (WHERE NOT muted), 0)::int AS unmuted,
            coalesce(sum(mentions), 0)::int AS mentions
        FROM (SELECT COALESCE(s."isMuted", false) AS muted, {_UNREAD} AS unread,
                {_MENTIONS} AS mentions
            FROM "ChatMember" m {_READ} WHERE m."userId" = $1) AS counted""",
    "list_chats": f"""SELECT c.*, s.*, last.*, {_UNREAD} AS unread, {_PEER}, c.id AS chat
        FROM "ChatMember" m JOIN "Chat" c ON c.id = m."chatId" {_READ}
        LEFT JOIN LATERAL ({_MESSAGE} WHERE x."chatId" = m."chatId" AND {_VISIBLE.format("x")}
            ORDER BY x."createdAt" DESC, x.id DESC LIMIT 1) AS last ON true
        WHERE m."userId" = $1
        ORDER BY COALESCE(s."isFavorite", false) DESC,
            COALESCE(last."createdAt", m."joinedAt") DESC, c.id DESC LIMIT {PAGE}""",
    "find_by_hashtag": _tagged("'#' || $2"),
    "find_by_mention": _tagged("'@' || $2"),
    "find_own_mentions": _tagged("""(SELECT '@' || lower(username) FROM "User" WHERE id = $1)"""),
    "search_messages": f"""{_SHOWN} WHERE {_VISIBLE.format("x")}
        AND (x.content ILIKE $2 OR x."fileName" ILIKE $2)
        AND x."chatId" IN (SELECT c.id FROM "ChatMember" m JOIN "Chat" c ON c.id = m."chatId"
            WHERE m."userId" = $1 AND NOT c."isSecret") {_NEWEST}""",
    "hold": """SELECT c.type FROM "Chat" c JOIN "ChatMember" m ON m."chatId" = c.id
        WHERE c.id = $2 AND m."userId" = $1 FOR NO KEY UPDATE OF c""",
    "send_message": f"""WITH sent AS (INSERT INTO "Message" (id, "senderId", "chatId", content,
                "isSent", "createdAt", "updatedAt", hashtags, mentions)
            SELECT $3, $1, $2, $4, true, GREATEST($5::timestamp, (
                SELECT "createdAt" + interval '1 ms' FROM "Message" x
                WHERE "chatId" = $2 AND {_VISIBLE.format("x")}
                ORDER BY "createdAt" DESC, id DESC LIMIT 1)), $5, $6::text[], $7::text[]
            WHERE {_MAY_WRITE} RETURNING *)
        SELECT sent.*, sender.username, sender."displayName", {_CHAT} FROM sent
            JOIN "User" sender ON sender.id = sent."senderId"
            JOIN "Chat" chat ON chat.id = sent."chatId\"""",
    "move_up": 'UPDATE "Chat" SET "updatedAt" = $2 WHERE id = $1',
    "get_chat": f"""SELECT c.*, s.*, last.*, {_UNREAD} AS unread, {_PEER}
        FROM "ChatMember" m JOIN "Chat" c ON c.id = m."chatId" {_READ}
        LEFT JOIN LATERAL ({_MESSAGE} WHERE x."chatId" = m."chatId" AND {_VISIBLE.format("x")}
            ORDER BY x."createdAt" DESC, x.id DESC LIMIT 1) AS last ON true
        WHERE m."userId" = $1 AND m."chatId" = $2""",
    "list_media": f"""{_SHOWN} WHERE x."chatId" = $2 AND {_VISIBLE.format("x")}
        AND x."fileUrl" IS NOT NULL AND {_IS_MEMBER} {_NEWEST}""",
    "list_contacts": f"""SELECT c.nickname, c."createdAt", {_PROFILE}
        FROM "Contact" c JOIN "User" u ON u.id = c."contactId" {_HIDES}
        WHERE c."userId" = $1 ORDER BY c."createdAt" DESC, c.id DESC LIMIT {PAGE}""",
    "search_users": f"""SELECT {_PROFILE}, found.word FROM (
            SELECT * FROM ({" UNION ALL ".join(map(_users_with, range(4)))}) AS all_of_them
            ORDER BY 1, 2 LIMIT {PAGE}) AS found
        JOIN "User" u ON u.id = found.id {_HIDES} ORDER BY found.word, found.id""",
    "hold_name": "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
    "add_reaction": f"""INSERT INTO "Reaction" (id, "userId", "messageId", emoji, "createdAt")
        SELECT $5, $1, x.id, $4, $6::timestamp FROM "Message" x
        WHERE x.id = $3 AND x."chatId" = $2 AND {_VISIBLE.format("x")} AND {_IS_MEMBER}
        AND (SELECT count(*) FROM "Reaction" WHERE "messageId" = $3 AND "userId" = $1) < 3
        ON CONFLICT ("messageId", "userId", emoji) DO NOTHING RETURNING *""",
    "remove_reaction": """DELETE FROM "Reaction"
        WHERE "userId" = $1 AND "messageId" = $2 AND emoji = $3 RETURNING id""",
    "start_call": _call("""INSERT INTO "Call" (id, "initiatorId", "chatId", type, "startedAt")
        SELECT $3, $1, $2, 'AUDIO', $4::timestamp WHERE NOT EXISTS (SELECT 1 FROM "Call"
            WHERE "chatId" = $2 AND status IN ('CALLING', 'ACTIVE')) RETURNING *"""),
    "answer_call": _call("""UPDATE "Call" c SET status = 'ACTIVE'
        WHERE id = $2 AND status IN ('CALLING', 'ACTIVE') AND EXISTS (SELECT 1 FROM "ChatMember" m
            WHERE m."userId" = $1 AND m."chatId" = c."chatId") RETURNING *"""),
    "join_call": """INSERT INTO "CallParticipant" (id, "userId", "callId", "joinedAt")
        VALUES ($3, $1, $2, $4) ON CONFLICT ("callId", "userId") DO NOTHING RETURNING id""",
    "end_call": _call("""UPDATE "Call" c SET status = 'ENDED', "endedAt" = $3
        WHERE id = $2 AND status = 'ACTIVE' AND EXISTS (SELECT 1 FROM "CallParticipant" p
            WHERE p."callId" = c.id AND p."userId" = $1) RETURNING *"""),
    "leave_call": """UPDATE "CallParticipant" SET "leftAt" = $2
        WHERE "callId" = $1 AND "leftAt" IS NULL""",
    "raise_counts": """UPDATE "ChatSettings" SET "unreadCount" = "unreadCount" + 1
        WHERE "chatId" = $2 AND "userId" <> $1""",
    "is_blocked_either": """SELECT 1 FROM "BlockedUser" WHERE ("userId" = $1 AND "blockedId" = $2)
        OR ("userId" = $2 AND "blockedId" = $1) LIMIT 1""",
    "blocked_among": """SELECT "blockedId" AS id FROM "BlockedUser"
        WHERE "userId" = $1 AND "blockedId" = ANY($2::text[])""",
    "unblock_user": """DELETE FROM "BlockedUser"
        WHERE "userId" = $1 AND "blockedId" = $2 RETURNING 1""",
    "list_blocked_users": f"""SELECT {_PROFILE}, k."createdAt"
        FROM "BlockedUser" k JOIN "User" u ON u.id = k."blockedId" {_HIDES}
        WHERE k."userId" = $1 ORDER BY k."createdAt" DESC, k.id DESC LIMIT {PAGE}""",
    "unmute_chat": _SETTINGS.format('"isMuted"', "false"),
    "toggle_favorite": _SETTINGS.format('"isFavorite"', "true").replace(
        'EXCLUDED."isFavorite"', 'NOT "ChatSettings"."isFavorite"'
    ),
    "unmute_all_chats": f"""UPDATE "ChatSettings" SET "isMuted" = false, "updatedAt" = {_NOW}
        WHERE "userId" = $1 AND "isMuted" RETURNING 1""",
    "remove_from_folder": f"""UPDATE "ChatSettings" SET "folderId" = NULL, "updatedAt" = {_NOW}
        WHERE "userId" = $1 AND "chatId" = $2 AND "folderId" IS NOT NULL AND {_IS_MEMBER}
        RETURNING 1""",
    "recount_unread": f"""UPDATE "ChatSettings" its SET "unreadCount" = counted.unread
        FROM (SELECT {_UNREAD} AS unread FROM "ChatMember" m {_READ}
            WHERE m."userId" = $1 AND m."chatId" = $2) AS counted
        WHERE its."userId" = $1 AND its."chatId" = $2 AND its."unreadCount" <> counted.unread
        RETURNING 1""",
    "list_folders": f"""SELECT f.*, (SELECT json_agg(
                json_build_array(c, {_UNREAD}) ORDER BY c."createdAt", c.id)
            FROM "ChatSettings" s
            JOIN "ChatMember" m ON m."userId" = s."userId" AND m."chatId" = s."chatId"
            JOIN "Chat" c ON c.id = s."chatId" LEFT JOIN "Message" r ON r.id = s."lastReadMessageId"
            CROSS JOIN "UnreadSince" since
            WHERE s."userId" = $1 AND s."folderId" = f.id) AS chats
        FROM "Folder" f WHERE f."userId" = $1 ORDER BY f."order", f.id""",
    "update_folder": f"""UPDATE "Folder" SET name = $3, "updatedAt" = {_NOW}
        WHERE "userId" = $1 AND id = $2 RETURNING *""",
    "get_message": f"""{_SHOWN} WHERE x.id = $3 AND x."chatId" = $2 AND {_VISIBLE.format("x")}
        AND {_IS_MEMBER}""",
    "list_replies": f"""{_SHOWN} WHERE x."replyToId" = $3 AND x."chatId" = $2
        AND {_VISIBLE.format("x")} AND {_IS_MEMBER} {_NEWEST}""",
    "list_scheduled": f"""{_SHOWN} WHERE x."senderId" = $1 AND x."scheduledFor" IS NOT NULL
        AND NOT x."isSent" AND NOT x."isDeleted" AND EXISTS (SELECT 1 FROM "ChatMember" m
            WHERE m."userId" = $1 AND m."chatId" = x."chatId")
        ORDER BY x."scheduledFor", x.id LIMIT {PAGE}""",
    "edit_message": _changed(
        """content = $4, hashtags = $5::text[], mentions = $6::text[],
            "isEdited" = "isSent" OR "scheduledFor" IS NULL""",
        "type <> 'SYSTEM'",
    ),
    "reschedule_message": _changed(
        '"scheduledFor" = $4::timestamp', '"scheduledFor" IS NOT NULL AND NOT "isSent"'
    ),
    "delete_message": f"""UPDATE "Message" SET content = NULL, "fileUrl" = NULL, "fileName" = NULL,
            "fileSize" = NULL, "thumbnailUrl" = NULL, duration = NULL, waveform = NULL,
            hashtags = '{{}}', mentions = '{{}}', "isDeleted" = true, "updatedAt" = {_NOW}
        WHERE id = $3 AND "chatId" = $2 AND NOT "isDeleted" AND EXISTS (
            SELECT 1 FROM "ChatMember" m WHERE m."userId" = $1 AND m."chatId" = $2
            AND ("senderId" = $1 OR m.role IN ('OWNER', 'ADMIN'))) RETURNING 1""",
    "unpin_message": """DELETE FROM "PinnedMessage"
        WHERE "userId" = $1 AND "chatId" = $2 AND "messageId" = $3 RETURNING 1""",
    "unpin_all_messages": """DELETE FROM "PinnedMessage"
        WHERE "userId" = $1 AND "chatId" = $2 RETURNING 1""",
    "acknowledge_published": """DELETE FROM "PublishedMessage"
        WHERE "messageId" = ANY($1::text[]) RETURNING 1""",
    "list_reactions": f"""SELECT x.id, {_REACTIONS} AS reactions FROM "Message" x
        WHERE x."chatId" = $2 AND x.id = ANY($3::text[]) AND {_VISIBLE.format("x")}
        AND {_IS_MEMBER}""",
    "list_message_reactions": f"""SELECT r.*, u.username, u."displayName" FROM "Message" x
        JOIN "Reaction" r ON r."messageId" = x.id JOIN "User" u ON u.id = r."userId"
        WHERE x.id = $3 AND x."chatId" = $2 AND {_VISIBLE.format("x")} AND {_IS_MEMBER}
        ORDER BY r."createdAt" DESC, r.id DESC LIMIT {PAGE}""",
    "list_members": f"""SELECT {_PROFILE}, m.role, m."joinedAt"
        FROM "ChatMember" m JOIN "User" u ON u.id = m."userId" {_HIDES}
        WHERE m."chatId" = $2 AND {_IS_MEMBER}
        ORDER BY m."joinedAt" DESC, m.id DESC LIMIT {PAGE}""",
    "users_to_notify": f"""SELECT m."userId" AS id FROM "Message" x {_NOTIFIED}
        AND x.id = $2 AND x."chatId" = $1 ORDER BY m."joinedAt", m.id LIMIT 1000""",
    "users_to_notify_each": f"""SELECT given.message AS id, m."userId"
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS given(chat, message, number)
        JOIN "Message" x ON x.id = given.message AND x."chatId" = given.chat {_NOTIFIED}
        ORDER BY given.number, m."joinedAt", m.id LIMIT 1000""",
    "list_calls": f"""SELECT c.*, u.username, u."displayName", {_CHAT}
        FROM "ChatMember" m JOIN "Call" c ON c."chatId" = m."chatId"
        JOIN "Chat" chat ON chat.id = c."chatId" JOIN "User" u ON u.id = c."initiatorId"
        WHERE m."userId" = $1 ORDER BY c."startedAt" DESC, c.id DESC LIMIT {PAGE}""",
    "update_contact": f"""UPDATE "Contact" SET nickname = $3
        WHERE "userId" = $1 AND "contactId" = $2 RETURNING *, {_BOTH}""",
    "get_user": 'SELECT * FROM "User" WHERE id = $1',
    **{
        function: f"""SELECT * FROM "User" WHERE lower({column} COLLATE "C") = lower($1)
            ORDER BY {column} = $1 DESC, "createdAt", id LIMIT 1"""
        for function, column in (("find_user", "username"), ("find_user_by_email", "email"))
    },
    "visible_profiles": f"""SELECT {_PROFILE}
        FROM unnest($2::text[]) WITH ORDINALITY AS given(id, number)
        JOIN "User" u ON u.id = given.id {_HIDES} ORDER BY number""",
    "get_privacy": """SELECT "showOnlineStatus", "showProfilePhoto", "showLastSeen" FROM "User"
        WHERE id = $1""",
    "update_privacy": f"""UPDATE "User" SET "showLastSeen" = $2, "updatedAt" = {_NOW}
        WHERE id = $1 RETURNING "showOnlineStatus", "showProfilePhoto", "showLastSeen\"""",
    "set_status": f"""UPDATE "User" SET status = $2, "updatedAt" = {_NOW}, "lastSeen" =
            CASE WHEN 'ONLINE' IN (status, $2) THEN {_NOW} ELSE "lastSeen" END
        WHERE id = $1 AND status <> $2 RETURNING 1""",
    "update_profile": _user_with("bio"),
    "set_password_hash": _user_with("password"),
    "set_push_subscription": _user_with("pushSubscription"),
    "set_theme": _user_with("theme"),
}

_Rows = list[Any]


def _with_ids(rows: _Rows, name: str = "id") -> _Rows:
    return [(row[name], row) for row in rows]


def _ids(rows: _Rows) -> set[str]:
    return {row["id"] for row in rows}


def _values(rows: _Rows) -> tuple[Any, ...]:
    return tuple(rows[0].values())


#: What becomes of the rows, where it is not the one that there must be or, by the name, a list.
_ANSWERS: Mapping[str, Callable[[_Rows], Any]] = {
    **dict.fromkeys(("is_blocked", "is_blocked_either", "unblock_user"), bool),
    **dict.fromkeys(("unpin_message", "set_status"), bool),
    **dict.fromkeys(("unmute_all_chats", "recount_unread", "unpin_all_messages"), len),
    "acknowledge_published": len,
    **dict.fromkeys(("blocked_among", "list_reactions"), _ids),
    **dict.fromkeys(("unread_totals", "get_privacy", "update_privacy"), _values),
    "list_pinned_messages": partial(_with_ids, name="pin"),
    "list_chats": partial(_with_ids, name="chat"),
}
_LISTS = ("list_", "find_by_", "find_own_", "search_", "users_to_notify", "visible_profiles")
#: What changes one column of the settings of a chat.
_OF_SETTINGS = ("mute_chat", "unmute_chat", "set_favorite", "toggle_favorite", "move_to_folder")


class Prepared(ABC):
    _connection: Any

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self._loop = loop
        loop.run_until_complete(self._connect(url))

    def call(self, called: Any) -> InLoop | None:
        """The same call as that of the SDK; None if it takes more than is written here."""
        made = self.made(called)
        return None if made is None else InLoop(self._loop, partial(made, self))

    @classmethod
    def made(cls, called: Any) -> Callable[[Any], Coroutine[Any, Any, Any]] | None:
        """How any of these makes the call."""
        whole: partial[Any] = called if isinstance(called, partial) else partial(called)
        name, values, keywords = whole.func.__name__, whole.args, whole.keywords
        if name in _OF_SETTINGS:
            return lambda self: self._change(name, *values)
        if hasattr(cls, name):
            method = getattr(cls, name)
            return lambda self: method(self, *values, **keywords)
        if name not in _SQL:
            return None
        plain = [_plain(value) for value in (*values, *keywords.values())]
        return lambda self: self._answer(name, *plain)

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())

    @abstractmethod
    async def _connect(self, url: str) -> None: ...

    @abstractmethod
    async def _rows(self, name: str, *values: Any) -> _Rows: ...

    async def _row(self, name: str, *values: Any) -> Any:
        return next(iter(await self._rows(name, *values)), None)

    async def _answer(self, name: str, *values: Any) -> Any:
        rows = await self._rows(name, *values)
        if name in _ANSWERS:
            return _ANSWERS[name](rows)
        return _with_ids(rows) if name.startswith(_LISTS) else rows[0]

    async def _change(self, name: str, user: str, chat: str, *values: Any) -> Any:
        row = await self._row(name, user, chat, _new_id(), now(), *values)
        return row, await self._row("unread_of", user, chat)

    async def block_user(self, user: str, blocked: str) -> Any:
        row = await self._row("block_user", user, blocked, _new_id(), now())
        return row or await self._row("block_of", user, blocked)

    async def pin_message(self, user: str, chat: str, message: str) -> Any:
        await self._row("pin_message", user, chat, message, _new_id(), now())
        return await self._row("pin_of", user, chat, message)

    async def mark_read(self, user: str, chat: str) -> Any:
        return await self._row("mark_read", user, chat, _new_id(), now())

    async def list_messages(self, user: str, chat: str, *, around: str | None = None) -> Any:
        if around is None:
            return await self._answer("list_messages", user, chat)
        return await self._answer("list_messages_around", user, chat, around)

    async def find_by_mention(self, user: str, name: str | None = None) -> Any:
        if name is None:
            return await self._answer("find_own_mentions", user)
        return await self._answer("find_by_mention", user, name)

    async def search_messages(self, user: str, text: str) -> Any:
        escaped = re.sub(r"([%_\\])", r"\\\1", text)
        return await self._answer("search_messages", user, f"%{escaped}%")

    async def users_to_notify_each(self, messages: list[tuple[str, str]]) -> Any:
        return await self._answer("users_to_notify_each", *map(list, zip(*messages, strict=True)))

    async def edit_message(self, user: str, chat: str, message: str, content: str) -> Any:
        tags = hashtags_in(content), mentions_in(content)
        return await self._answer("edit_message", user, chat, message, content, *tags)

    async def send_and_delete(self, user: str, chat: str, content: str) -> None:
        sent = await self.send_message(user, chat, content)
        await self._row("delete_message", user, chat, sent["id"])

    async def file_and_take_out(self, user: str, chat: str, folder: str) -> None:
        await self._change("move_to_folder", user, chat, folder)
        await self._row("remove_from_folder", user, chat)

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


class AsyncpgOfPool(Asyncpg):
    """The same, over a connection that a pool has lent."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection


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


_IN_PSYCOPG = {name: re.sub(r"\$(\d+)", r"%(value_\1)s", sql) for name, sql in _SQL.items()}


def _new_id() -> str:
    return str(uuid.uuid4())


def _plain(value: Any) -> Any:
    """As a driver takes it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return value.value if isinstance(value, Enum) else value

"""Whether all contestants do the same: a comparison of what is not equal says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg2

from benchmarks.calls import Prepared
from benchmarks.data import BLOCKED, MANY, sized_chat
from benchmarks.timing import Call


def require_equal(
    url: str, prepared: Prepared, calls: Mapping[str, Call], others: Mapping[str, dict[str, Call]]
) -> None:
    """Each call by each contestant returns the same rows and leaves the same behind, or it raises.

    What the others put aside is the SDK's own: no call is refused here.
    """
    names = {"user": MANY, "chat": sized_chat(30), "blocked": BLOCKED}
    names["message"] = prepared.messages[0]
    connection = psycopg2.connect(url)
    connection.autocommit = True

    def outcome(call: Call) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(_RESET, names)
            cursor.execute(_COUNTS, names)
            before = cursor.fetchone()
            answer = _answer(call())
            cursor.execute(_COUNTS, names)
            after = cursor.fetchone()
            cursor.execute(_STATE, names)
            assert before is not None and after is not None
            added = [now - then for now, then in zip(after, before, strict=True)]
            return answer, added, cursor.fetchone()

    try:
        for name, contestants in others.items():
            ours = outcome(calls[name])
            for who, call in contestants.items():
                theirs = outcome(call)
                if theirs != ours:
                    raise AssertionError(f"{name} of {who}: {theirs}, of the SDK: {ours}")
    finally:
        connection.close()


def _answer(found: Any) -> Any:
    """What can be compared: the ids of rows, numbers; None for one row, which may be new."""
    if isinstance(found, list):
        return [_id_of(row) for row in found]
    if isinstance(found, dict) and all(isinstance(value, list) for value in found.values()):
        return set(found)  # lists, by the id of what they are of
    if isinstance(found, set | int):
        return found
    if isinstance(found, tuple) and all(isinstance(value, int) for value in found):
        return tuple(found)
    return None


def _id_of(row: Any) -> Any:
    first = row if isinstance(row, str) or not isinstance(row, Sequence) else row[0]
    return getattr(first, "id", first)


_RESET = """
UPDATE "ChatSettings" SET "isMuted" = false, "isFavorite" = false, "folderId" = NULL,
    "unreadCount" = 0, "lastReadMessageId" = NULL
    WHERE "userId" = %(user)s AND "chatId" = %(chat)s;
DELETE FROM "BlockedUser" WHERE "userId" = %(user)s AND "blockedId" = %(blocked)s;
DELETE FROM "PinnedMessage" WHERE "userId" = %(user)s AND "messageId" = %(message)s;
UPDATE "Message" SET content = 'hello', hashtags = '{}', mentions = '{}', "isEdited" = false
    WHERE id = %(message)s;
"""

#: What a message adds to.
_COUNTS = """
SELECT (SELECT count(*) FROM "Message" WHERE "chatId" = %(chat)s),
    (SELECT sum("unreadCount") FROM "ChatSettings"
        WHERE "chatId" = %(chat)s AND "userId" <> %(user)s)
"""

_STATE = """
SELECT mine."isMuted", mine."isFavorite", mine."folderId", mine."unreadCount",
    mine."lastReadMessageId" = (SELECT id FROM "Message" newest
        WHERE newest."chatId" = %(chat)s AND NOT newest."isDeleted"
        ORDER BY "createdAt" DESC, id DESC LIMIT 1),
    (SELECT count(*) FROM "BlockedUser"
        WHERE "userId" = %(user)s AND "blockedId" = %(blocked)s),
    (SELECT count(*) FROM "PinnedMessage"
        WHERE "userId" = %(user)s AND "messageId" = %(message)s),
    edited.content, edited.hashtags, edited.mentions, edited."isEdited"
FROM "ChatSettings" mine, "Message" edited
WHERE mine."userId" = %(user)s AND mine."chatId" = %(chat)s AND edited.id = %(message)s
"""

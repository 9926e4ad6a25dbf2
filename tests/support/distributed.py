"""A loaded database that is distributed while others write it, and what it must hold at the end."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2

#: Some of everything; of a hundred messages sixty have a tag.
_ROWS = """
INSERT INTO "User" (id, email, username, password, "updatedAt")
    SELECT 'u' || n, 'u' || n || '@example.com', 'user' || n, '-', now()
    FROM generate_series(0, 199) AS n;
INSERT INTO "Chat" (id, type, "updatedAt")
    SELECT 'c' || n, 'GROUP', now() FROM generate_series(0, 99) AS n;
INSERT INTO "ChatMember" (id, "userId", "chatId")
    SELECT 'cm' || n || '-' || m, 'u' || (n * 7 + m) %% 200, 'c' || n
    FROM generate_series(0, 99) AS n, generate_series(0, 9) AS m;
INSERT INTO "Message"
        (id, content, "senderId", "chatId", "isSent", "createdAt", "updatedAt", hashtags, mentions)
    SELECT 'm' || n, 'message ' || n, 'u' || n %% 200, 'c' || n %% 100, true,
        timestamp '2024-01-01' + n * interval '2 seconds', now(),
        CASE WHEN n %% 2 = 0 THEN ARRAY['tag' || n %% 500] ELSE '{}' END,
        CASE WHEN n %% 5 = 0 THEN ARRAY['user' || n %% 90] ELSE '{}' END
    FROM generate_series(0, %(messages)s - 1) AS n;
UPDATE "Message" SET "replyToId" = 'm' || substr(id, 2)::int - 100
    WHERE substr(id, 2)::int %% 10 = 3 AND substr(id, 2)::int >= 100;
INSERT INTO "Reaction" (id, "messageId", "userId", emoji)
    SELECT 'r' || n, 'm' || n, 'u' || n %% 200, '+' FROM generate_series(0, 999) AS n;
INSERT INTO "Call" (id, "chatId", "initiatorId", type)
    SELECT 'call' || n, 'c' || n, 'u' || n, 'AUDIO' FROM generate_series(0, 99) AS n;
INSERT INTO "CallParticipant" (id, "callId", "userId")
    SELECT 'p' || n, 'call' || n, 'u' || n FROM generate_series(0, 99) AS n;
INSERT INTO "Folder" (id, "userId", name, "updatedAt")
    SELECT 'f' || n, 'u' || n, 'work', now() FROM generate_series(0, 199) AS n;
INSERT INTO "ChatSettings" (id, "userId", "chatId", "folderId", "updatedAt")
    SELECT id, "userId", "chatId", replace("userId", 'u', 'f'), now() FROM "ChatMember";
INSERT INTO "PinnedMessage" (id, "userId", "messageId", "chatId")
    SELECT 'pin' || n, 'u' || n %% 200, 'm' || n, 'c' || n %% 100
    FROM generate_series(0, 499) AS n;
INSERT INTO "Contact" (id, "userId", "contactId")
    SELECT 'co' || n, 'u' || n, 'u' || (n + 1) %% 200 FROM generate_series(0, 199) AS n;
INSERT INTO "BlockedUser" (id, "userId", "blockedId")
    SELECT 'b' || n, 'u' || n, 'u' || (n + 2) %% 200 FROM generate_series(0, 99) AS n;
"""

#: Of each table what identifies its rows, and what is compared beside it.
_COMPARED = {
    "User": "id, username",
    "Chat": "id, type::text",
    "ChatMember": 'id, "chatId"',
    "Message": 'id, content, hashtags::text, mentions::text, "replyToId"',
    "Reaction": 'id, "messageId", emoji',
    "Call": 'id, "chatId"',
    "CallParticipant": 'id, "callId"',
    "Folder": "id, name",
    "ChatSettings": 'id, "folderId"',
    "PinnedMessage": 'id, "messageId"',
    "Contact": 'id, "contactId"',
    "BlockedUser": 'id, "blockedId"',
    "UnreadSince": "id, since::text",
}


def fill(url: str, messages: int) -> None:
    """Some of everything, in a migrated database."""
    with connected(url) as cursor:
        cursor.execute(_ROWS % {"messages": messages})
        cursor.execute("ANALYZE")


def rows_of(url: str) -> dict[str, list[Any]]:
    """What is compared of each table, in the order of the ids; of the tags all."""
    with connected(url) as cursor:
        found = {}
        for table, columns in _COMPARED.items():
            cursor.execute(f'SELECT {columns} FROM "{table}"')
            found[table] = sorted(cursor.fetchall(), key=str)
        cursor.execute("""SELECT tag, "messageId" FROM "MessageTag" WHERE tag <> ''""")
        found["MessageTag"] = sorted(cursor.fetchall())
        found["Message"] = _without_lost_replies(found["Message"])
        return found


def _without_lost_replies(messages: list[Any]) -> list[Any]:
    """A reply whose message is gone answers none, or one that nobody finds."""
    ids = {row[0] for row in messages}
    return sorted(
        ((*row[:4], row[4] if row[4] in ids else None) for row in messages), key=lambda row: row[0]
    )


def tags_of(rows: dict[str, list[Any]]) -> list[tuple[str, str]]:
    """The rows of "MessageTag" that belong to the messages."""
    return sorted(
        (sign + tag, message)
        for message, _, hashtags, mentions, _ in rows["Message"]
        for sign, tags in (("#", hashtags), ("@", mentions))
        for tag in tags.strip("{}").split(",")
        if tag
    )


@contextmanager
def connected(url: str) -> Iterator[Any]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        yield connection.cursor()
    finally:
        connection.close()


def _execute(cursor: Any, sql: str, values: tuple[Any, ...]) -> None:
    """Run a statement; again where a stricter isolation than the usual one has refused it."""
    while True:
        try:
            cursor.execute(sql, values)
            return
        except psycopg2.errors.SerializationFailure:
            continue


@dataclass
class Writers:
    """Who writes as the server does, and what they have been told of it.

    `sent` has the messages that they know to be there, `gone` those that they know not to be.
    """

    url: str
    sent: dict[str, tuple[str, str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    reactions: list[tuple[str, str, str]] = field(default_factory=list)
    #: Seconds, of every statement.
    waits: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def at_work(self, pause: float = 0.002) -> Iterator[None]:
        over = threading.Event()
        threads = [
            threading.Thread(target=self._work, args=(work, over, pause))
            for work in (self._send, self._edit, self._delete, self._react)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _work(
        self, work: Callable[[Any, int, random.Random], None], over: threading.Event, pause: float
    ) -> None:
        choice = random.Random(work.__name__)
        with connected(self.url) as cursor:
            for number in itertools.count():
                if over.wait(pause):
                    return
                began = time.monotonic()
                try:
                    work(cursor, number, choice)
                except psycopg2.Error as error:
                    self.failed.append(f"{work.__name__}: {error.pgcode} {error}")
                self.waits.append(time.monotonic() - began)

    def _send(self, cursor: Any, number: int, choice: random.Random) -> None:
        tag = f"{{new{number % 50}}}"
        self._insert(cursor, f"new{number}", f"c{choice.randrange(100)}", tag)
        self.sent[f"new{number}"] = ("new", tag)

    def _edit(self, cursor: Any, number: int, choice: random.Random) -> None:
        """A message and its tags: of those that `fill` has made, the ones whose number is odd."""
        message, tag = f"m{choice.randrange(1001, 5000, 2)}", f"{{edited{number % 50}}}"
        _execute(
            cursor,
            """UPDATE "Message" SET content = 'edited', hashtags = %s WHERE id = %s""",
            (tag, message),
        )
        self.sent[message] = ("edited", tag)

    def _delete(self, cursor: Any, number: int, choice: random.Random) -> None:
        """A message that is new, with its reaction; and now and then an old one."""
        message = f"short{number}"
        self._insert(cursor, message, f"c{choice.randrange(100)}", "{short}")
        if number % 10 == 0:
            self.sent[message] = ("new", "{short}")
            message = f"m{1000 + 2 * choice.randrange(2000)}"
        _execute(cursor, 'DELETE FROM "Message" WHERE id = %s', (message,))
        self.gone.add(message)

    def _react(self, cursor: Any, number: int, choice: random.Random) -> None:
        message, emoji = choice.randrange(1000), f"-{number}"
        _execute(
            cursor,
            'INSERT INTO "Reaction" (id, "messageId", "userId", emoji, "chatId") '
            "VALUES (%s, %s, 'u1', %s, %s)",
            (f"new{number}", f"m{message}", emoji, f"c{message % 100}"),
        )
        self.reactions.append((f"new{number}", f"m{message}", emoji))

    def _insert(self, cursor: Any, message: str, chat: str, tag: str) -> None:
        _execute(
            cursor,
            'INSERT INTO "Message" (id, content, "senderId", "chatId", "isSent", "createdAt", '
            "\"updatedAt\", hashtags) VALUES (%s, 'new', 'u1', %s, true, "
            "timezone('UTC', now()), timezone('UTC', now()), %s)",
            (message, chat, tag),
        )

    def expected(self, before: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """What must be there now, from what was there before they began."""
        after = dict(before)
        messages = {row[0]: row for row in before["Message"] if row[0] not in self.gone}
        for message, (content, tag) in self.sent.items():
            others = messages[message][3:] if message in messages else ("{}", None)
            messages[message] = (message, content, tag, *others)
        after["Message"] = _without_lost_replies(list(messages.values()))
        after["Reaction"] = sorted([*before["Reaction"], *self.reactions])
        after["MessageTag"] = tags_of(after)
        return after

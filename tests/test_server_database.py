"""The server's database that the tests migrate is what they take it for."""

from __future__ import annotations

from random import Random

from tests.support.guide import guide_sql, prisma_sql
from tests.support.server_rows import CHATS, MESSAGES, ServerRows
from tests.support.states import Databases

FOREIGN_KEYS = 9
UNIQUE_CONSTRAINTS = 3


def test_guide_fails_at_its_foreign_keys(databases: Databases, name: str) -> None:
    databases.before(name)
    once = errors(databases, name, guide_sql())
    assert ["syntax error" in error for error in once] == [True] * FOREIGN_KEYS
    again = errors(databases, name, guide_sql())
    assert sum("already exists" in error for error in again) == UNIQUE_CONSTRAINTS
    assert len(again) == UNIQUE_CONSTRAINTS + FOREIGN_KEYS


def test_prisma_makes_the_foreign_keys_too(databases: Databases, name: str) -> None:
    databases.half(name)
    without = databases.dump(name).count("FOREIGN KEY")
    with databases.server.database() as other:
        databases.prisma(other)
        assert databases.dump(other).count("FOREIGN KEY") == without + FOREIGN_KEYS
        assert len(errors(databases, other, prisma_sql())) == UNIQUE_CONSTRAINTS + FOREIGN_KEYS


def test_indexes_on_arrays_are_of_the_wrong_kind(databases: Databases, name: str) -> None:
    databases.prisma(name)
    kinds = databases.server.execute(
        """SELECT indexdef LIKE '%USING btree%' FROM pg_indexes
        WHERE indexname IN ('Message_mentions_idx', 'Message_hashtags_idx')""",
        name,
    )
    assert kinds == [(True,), (True,)]


def test_rows_are_the_same_at_every_run() -> None:
    first, second = ServerRows(Random(1)), ServerRows(Random(1))
    assert (first.users, first.members) == (second.users, second.members)
    assert (first.messages, first.reactions) == (second.messages, second.reactions)
    assert ServerRows(Random(2)).messages != first.messages


def test_rows_are_as_they_went_in(databases: Databases, name: str) -> None:
    """Backslashes, tabs and line ends included."""
    databases.filled(name)
    stored = databases.server.execute('SELECT content FROM "Message" WHERE content <> $$$$', name)
    texts = "".join(content for (content,) in stored)
    for sign in ("\\", "\t", "\n", "'", '"', "%", "\u200d", "🍉"):
        assert sign in texts


def test_rows_are_of_every_kind(databases: Databases, name: str) -> None:
    databases.filled(name)
    for question, wanted in (
        ('SELECT count(*) FROM "Chat"', sum(CHATS.values())),
        ('SELECT count(*) FROM "Message"', MESSAGES),
        ('SELECT count(DISTINCT type) FROM "Message"', 6),
    ):
        assert databases.server.execute(question, name) == [(wanted,)]
    for condition in (
        '"isDeleted"',
        '"isEdited"',
        '"replyToId" IS NOT NULL',
        '"scheduledFor" < now() AND "isSent"',
        '"scheduledFor" < now() AND NOT "isSent"',
        '"scheduledFor" > now()',
        '"scheduledFor" IS NULL AND NOT "isSent"',
        "\"fileName\" LIKE '%.bin'",
        '"createdAt" IN (SELECT "createdAt" FROM "Message" GROUP BY 1 HAVING count(*) > 1)',
    ):
        found = databases.server.execute(f'SELECT count(*) FROM "Message" WHERE {condition}', name)
        assert found > [(5,)], condition


def errors(databases: Databases, name: str, sql: str) -> list[str]:
    """What psql says about each statement that fails."""
    said = databases.psql(name, sql).stderr.splitlines()
    return [line.partition("ERROR:  ")[2] for line in said if "ERROR: " in line]

"""The table behind the searches by tag: however a message changes, it is in step."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import db, session
from stogram_sdk.engine.sqlite_tags import _FORGET
from stogram_sdk.models import MessageTag
from tests.support.factories import (
    LONG_AGO,
    after,
    insert_chat,
    insert_message,
    make_user,
    make_users,
    statements,
)

pytestmark = pytest.mark.usefixtures("engine")


def tags() -> set[tuple[str, str]]:
    """Tag and message of every row."""
    with session():
        rows = MessageTag.select().where(MessageTag.tag != "")
        return {(row.tag, row.message_id) for row in rows}


def expected() -> set[tuple[str, str]]:
    """What the messages say should be there, for tags that are keys already."""
    with session():
        return {
            (sign + tag, message.id)
            for message in sdk.Message.select()
            if not message.is_deleted and (message.is_sent or message.scheduled_for is None)
            for sign, values in (("#", message.hashtags), ("@", message.mentions))
            for tag in values
        }


def execute(sql: str, *values: Any) -> None:
    """A statement as another program sends it."""
    if db.obj.dialect.name == "postgresql":
        sql = sql.replace("?", "%s")
    with session():
        db.execute_sql(sql, values)


def in_chat(user: sdk.User, chat: sdk.Chat, tag: str) -> list[str]:
    return [message.id for message in sdk.find_by_hashtag(user.id, tag, chat_id=chat.id)]


@pytest.fixture
def ann() -> sdk.User:
    return make_user("ann")


@pytest.fixture
def chat(ann: sdk.User) -> sdk.Chat:
    return insert_chat(ann, make_user("ben"))


def test_sending_editing_and_deleting(ann: sdk.User, chat: sdk.Chat) -> None:
    message = sdk.send_message(ann.id, chat.id, "#One and #two for @ben")
    assert tags() == {("#one", message.id), ("#two", message.id), ("@ben", message.id)}
    sdk.edit_message(ann.id, chat.id, message.id, "#two #three")
    assert tags() == {("#two", message.id), ("#three", message.id)}
    sdk.delete_message(ann.id, chat.id, message.id)
    assert tags() == set()


def test_a_scheduled_message_is_there_once_it_is_sent(ann: sdk.User, chat: sdk.Chat) -> None:
    message = sdk.send_message(ann.id, chat.id, "#later", scheduled_for=LONG_AGO)
    assert tags() == set()
    sdk.publish_scheduled()
    assert tags() == {("#later", message.id)} == expected()
    assert [found.id for found in sdk.find_by_hashtag(ann.id, "later")] == [message.id]


CHANGES: dict[str, tuple[str, Callable[[sdk.Message], Iterable[Any]]]] = {
    "deleted for good": ('DELETE FROM "Message" WHERE id = ?', lambda m: [m.id]),
    "marked deleted": ('UPDATE "Message" SET "isDeleted" = true WHERE id = ?', lambda m: [m.id]),
    "waits again": (
        'UPDATE "Message" SET "isSent" = false, "scheduledFor" = "createdAt" WHERE id = ?',
        lambda m: [m.id],
    ),
    "another time": (
        """UPDATE "Message" SET "createdAt" = '2020-02-03 04:05:06.007' WHERE id = ?""",
        lambda m: [m.id],
    ),
    "another id": ("""UPDATE "Message" SET id = 'other' WHERE id = ?""", lambda m: [m.id]),
    "another id of its chat": (
        """UPDATE "Chat" SET id = 'other' WHERE id = ?""",
        lambda m: [m.chat_id],
    ),
    "no tags": (
        'UPDATE "Message" SET hashtags = NULL, mentions = NULL WHERE id = ?',
        lambda m: [m.id],
    ),
    "its chat is gone": ('DELETE FROM "Chat" WHERE id = ?', lambda m: [m.chat_id]),
    "its sender is gone": ('DELETE FROM "User" WHERE id = ?', lambda m: [m.sender_id]),
    "all are gone": ('DELETE FROM "Message"', lambda m: []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_program_does_to_a_message(ann: sdk.User, chat: sdk.Chat, change: str) -> None:
    message = insert_message(ann, chat, hashtags=["one", "two"], mentions=["ben"])
    other = insert_message(make_user("cyd"), insert_chat(ann), hashtags=["one"])
    assert len(tags()) == 4
    sql, values = CHANGES[change]
    execute(sql, *values(message))
    assert tags() == expected()
    if change != "all are gone":
        assert ("#one", other.id) in tags()


def test_what_is_marked_deleted_can_come_back(ann: sdk.User, chat: sdk.Chat) -> None:
    message = insert_message(ann, chat, hashtags=["one"], is_deleted=True)
    assert tags() == set()
    execute('UPDATE "Message" SET "isDeleted" = false WHERE id = ?', message.id)
    assert tags() == {("#one", message.id)}


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_keeping_it_never_reads_through_it(ann: sdk.User, chat: sdk.Chat) -> None:
    """Also where it was empty when a session planned that, and has grown since."""
    read = """SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'MessageTag'"""
    with sdk.transaction():
        # A server tells of its last transactions too, if it has not yet told everybody.
        before = db.execute_sql(read).fetchall()
        for number in range(60):
            sdk.send_message(ann.id, chat.id, f"#tag{number} #other{number}")
        execute("""UPDATE "Message" SET hashtags = hashtags || ARRAY['more']""")
        execute('DELETE FROM "Message"')
        assert db.execute_sql(read).fetchall() == before


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_keeping_it_on_sqlite_never_reads_through_it() -> None:
    """SQLite does not tell the plan of a trigger: this is what it runs."""
    forget = _FORGET.replace("OLD.id", "'message'")
    with session():
        triggers = db.execute_sql("SELECT sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        plan = db.execute_sql(f"EXPLAIN QUERY PLAN {forget}").fetchall()
    assert sum(_FORGET in sql for (sql,) in triggers) == 2
    assert [step for *_, step in plan] == [
        "SEARCH MessageTag USING INDEX MessageTag_messageId_idx (messageId=?)"
    ]


def test_it_goes_with_the_transaction(ann: sdk.User, chat: sdk.Chat) -> None:
    with pytest.raises(ZeroDivisionError), sdk.transaction():
        sdk.send_message(ann.id, chat.id, "#gone")
        assert len(tags()) == 1
        raise ZeroDivisionError
    assert tags() == set()


def test_truncate(ann: sdk.User, chat: sdk.Chat, engine: str) -> None:
    insert_message(ann, chat, hashtags=["one"])
    execute('TRUNCATE "Message" CASCADE' if engine == "postgresql" else 'DELETE FROM "Message"')
    assert tags() == set()
    message = sdk.send_message(ann.id, chat.id, "#one")
    assert in_chat(ann, chat, "one") == [message.id]


@pytest.mark.parametrize(
    ("written", "searched"),
    [
        ("Work", "#WORK"),
        ("Проект", "проЕКТ"),
        ("ＴＡＧ", "tag"),
        ("Straße", "STRASSE"),
        ("ΟΔΟΣ", "οδος"),
        ("Zähler", "ZÄHLER"),
        ("Zähler", "zähler"),
        ("łódź", "ŁÓDŹ"),
        ("ՀԱՅ", "հայ"),
    ],
)
def test_case_and_width_do_not_matter_whoever_wrote(
    ann: sdk.User, chat: sdk.Chat, written: str, searched: str, engine: str
) -> None:
    message = insert_message(ann, chat, hashtags=[written])
    value = '["' + written + '"]' if engine == "sqlite" else "{" + written + "}"
    execute(
        'INSERT INTO "Message" (id, "senderId", "chatId", "updatedAt", "createdAt", hashtags) '
        "VALUES ('raw', ?, ?, '2020-01-01', '2020-01-01', ?)",
        ann.id,
        chat.id,
        value,
    )
    assert in_chat(ann, chat, searched) == [message.id, "raw"]
    execute('DELETE FROM "Message"')
    assert tags() == set()


def test_a_mention_written_in_any_case(ann: sdk.User, chat: sdk.Chat) -> None:
    message = insert_message(ann, chat, mentions=["ANN"])
    assert [found.id for found in sdk.find_by_mention(ann.id)] == [message.id]
    assert [found.id for found in sdk.find_by_mention(ann.id, "Ann")] == [message.id]


def test_tags_that_no_search_can_mean_do_not_stop_a_write(ann: sdk.User, chat: sdk.Chat) -> None:
    long = "x" * 2_000
    insert_message(ann, chat, hashtags=["", long, "one", "ONE", "one"])
    assert {tag for tag, _ in tags()} >= {"#one", "#" + "x" * 256}
    assert len(in_chat(ann, chat, long[:256])) == 1
    assert len(in_chat(ann, chat, "one")) == 1


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_file_is_written_without_this_package_too(
    ann: sdk.User, chat: sdk.Chat, tmp_path: Path
) -> None:
    path = tmp_path / "stogram.db"
    insert_message(ann, chat, hashtags=["Проект"], id="first")
    with sqlite3.connect(path) as plain:
        plain.execute(
            'INSERT INTO "Message" (id, "senderId", "chatId", "updatedAt", "createdAt", hashtags) '
            """VALUES ('second', ?, ?, '2020-01-01', '2020-01-01', '["WORK", "no')""",
            (ann.id, chat.id),
        )
        plain.execute("""UPDATE "Message" SET hashtags = '["WORK", null]' WHERE id = 'second'""")
        plain.execute("""DELETE FROM "Message" WHERE id = 'first'""")
    plain.close()
    assert tags() == {("#work", "second")}


def test_pages_over_many_chats(ann: sdk.User) -> None:
    chats = [insert_chat(ann) for _ in range(4)]
    secret = insert_chat(ann, is_secret=True)
    (cy,) = make_users(1)
    foreign = insert_chat(cy)
    sent = [
        insert_message(
            ann,
            chats[number % 3],
            hashtags=["many"],
            created_at=after(number // 4),
            id=f"m{number:02}",
        ).id
        for number in range(40)
    ]
    insert_message(ann, secret, hashtags=["many"])
    insert_message(cy, foreign, hashtags=["many"])
    found: list[str] = []
    cursor = None
    while True:
        with statements(1):
            page = sdk.find_by_hashtag(ann.id, "many", limit=7, cursor=cursor)
        found += [message.id for message in page]
        assert all(message.chat.id == message.chat_id for message in page)
        assert all(message.sender.username == "ann" for message in page)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == sorted(sent, key=lambda id: (int(id[1:]) // 4, id), reverse=True)
    assert len(in_chat(ann, secret, "many")) == 1
    sdk.leave_chat(ann.id, chats[0].id)
    ids = {chat.id for chat in chats[1:]}
    assert {message.chat_id for message in sdk.find_by_hashtag(ann.id, "many")} <= ids


def test_a_search_is_refused_while_the_table_is_being_filled(ann: sdk.User, chat: sdk.Chat) -> None:
    sdk.send_message(ann.id, chat.id, "#one for @ann")
    with session():
        MessageTag.delete().where(MessageTag.tag == "").execute()
    try:
        for search in (sdk.find_by_mention, partial(sdk.find_by_hashtag, hashtag="absent")):
            with pytest.raises(sdk.Unavailable, match="migration 003 is at work"):
                search(ann.id)
        assert sdk.unread_totals(ann.id) == (0, 0, 0)
    finally:
        with session():
            MessageTag.create(tag="", chat_id="complete", created_at=LONG_AGO, message_id="")
    assert len(in_chat(ann, chat, "one")) == 1


def test_members_only(ann: sdk.User, chat: sdk.Chat) -> None:
    sdk.send_message(ann.id, chat.id, "#one")
    stranger = make_user("stranger")
    assert sdk.find_by_hashtag(stranger.id, "one") == []
    with pytest.raises(sdk.NotFound):
        sdk.find_by_hashtag(stranger.id, "one", chat_id=chat.id)
    with session():
        sdk.ChatMember.create(user=stranger, chat=chat)
    assert len(sdk.find_by_hashtag(stranger.id, "one")) == 1

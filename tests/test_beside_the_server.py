"""What the Node server does beside the SDK in the same database, and what each makes of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database, current_time, session
from stogram_sdk.engine import postgres
from stogram_sdk.fields import utc_now
from stogram_sdk.models import UnreadSince
from tests.support.factories import (
    after,
    insert_chat,
    insert_message,
    listed,
    make_chat,
    make_message,
    make_user,
    make_users,
    server_counts,
    statements,
    unread,
    wrong_counts,
)
from tests.support.second_writer import SecondWriter
from tests.support.states import migrate_here, pw_migrate
from tests.support.threads import Arrivals, at_once

on_both = pytest.mark.usefixtures("engine")

NOON = datetime(2999, 1, 1, 12, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

server = SecondWriter()


# --- the order of chats and the text of what is deleted, as the server shows them ---


@on_both
def test_a_chat_moves_up_in_the_list_of_the_server_when_something_is_sent() -> None:
    ann, ben = make_users(2)
    chats = [make_chat(ann, ben) for _ in range(2)]
    for chat in (*chats, *chats):
        time.sleep(0.002)  # Two chats of one millisecond have no order.
        message = make_message(ann, chat)
        assert newest_at_the_server() == (chat.id, message.created_at)
    waiting = make_message(ann, chats[0], scheduled_for=NOON)
    sdk.import_messages(ann.id, chats[0].id, [sdk.ImportedMessage("m", ann.id, utc_now(), "old")])
    assert newest_at_the_server() == (chats[1].id, message.created_at)
    [sent] = sdk.publish_scheduled(now=NOON)
    assert newest_at_the_server() == (chats[0].id, sent.created_at)
    assert sent.id == waiting.id


def newest_at_the_server() -> tuple[str, datetime]:
    with session():
        chat = sdk.Chat.select().order_by(sdk.Chat.updated_at.desc()).get()
    return chat.id, chat.updated_at


@on_both
def test_of_a_deleted_message_the_server_has_nothing_to_show() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    files: dict[str, Any] = {"file_url": "https://files.example/1", "file_name": "a.pdf"}
    message = make_message(ann, chat, f"#secret @{ben.username}", file_size=7, **files)
    insert_message(ben, chat, reply_to=message)
    sdk.Message.update(thumbnail_url="t", duration=1, waveform="w").where(
        sdk.Message.id == message.id
    ).execute()
    sdk.delete_message(ann.id, chat.id, message.id)
    with session():
        left = sdk.Message.get_by_id(message.id).__data__
    shown = {name: value for name, value in left.items() if value}
    assert shown.keys() == {"id", "type", "sender", "chat", "is_deleted", "is_sent"} | {
        *("created_at", "updated_at")
    }


# --- what the server writes without counting it ---


@on_both
def test_what_the_server_sends_is_unread_though_nobody_has_a_settings_row() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    for number in range(3):
        server.send(ann.id, chat.id)
        assert unread(ben, chat) == number + 1
    assert sdk.ChatSettings.select().count() == 0
    assert wrong_counts() == {}


@on_both
@pytest.mark.parametrize("number", [0, -5, 99])
def test_a_count_that_the_server_is_told_is_not_what_the_sdk_says(number: int) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    server.send(ann.id, chat.id)
    server.put_unread(ben.id, chat.id, number)
    server.send(ann.id, chat.id)
    assert server_counts(chat) == {ben.id: number}
    assert sdk.get_chat_settings(ben.id, chat.id).unread_count == 2
    assert sdk.mute_chat(ben.id, chat.id).unread_count == 2
    [line] = sdk.list_chats(ben.id)
    assert (line.unread_count, line.settings.unread_count) == (2, 2)
    assert sdk.unread_totals(ben.id).all == 2
    assert sdk.recount_unread(ben.id) == 1
    assert server_counts(chat) == {ben.id: 2}


@on_both
def test_a_settings_row_that_the_server_makes_after_the_message_hides_nothing() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    server.send(ann.id, chat.id)
    server.put_unread(ben.id, chat.id, 1)
    server.send(ann.id, chat.id)
    server.put_unread(ben.id, chat.id, 2)
    assert unread(ben, chat) == 2
    assert sdk.recount_unread(ben.id) == 0


@on_both
def test_what_the_server_publishes_is_unread_where_it_stands_and_is_sent_once() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    waiting = make_message(ann, chat, scheduled_for=utc_now())
    later = make_message(ann, chat)
    sdk.mark_read(cid.id, chat.id)
    server.publish(waiting.id)
    assert sdk.publish_scheduled(now=NOON) == []
    assert listed(ben, chat) == [later.id, waiting.id]
    assert [unread(user, chat) for user in (ben, cid)] == [2, 0]
    assert sdk.users_to_notify(chat.id, waiting.id) == sorted([ben.id, cid.id])


@on_both
def test_in_a_chat_of_many_the_count_of_the_server_stands_still_until_it_is_recounted(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk.unread, "MOST_RAISED", 3)
    raised = 1 if engine == "postgresql" else 0
    ann, ben, cid, dan = make_users(4)
    small, large = make_chat(ann, ben, cid), make_chat(ann, ben, cid, dan)
    for chat in (small, large):
        server.put_unread(ben.id, chat.id, 0)
        make_message(ann, chat)
    assert [server_counts(chat)[ben.id] for chat in (small, large)] == [raised, 0]
    assert sdk.recount_unread(ben.id) == 2 - raised
    assert [server_counts(chat)[ben.id] for chat in (small, large)] == [1, 1]


# --- members and folders ---


@on_both
def test_a_private_chat_to_which_the_server_adds_others_is_not_that_of_two_any_more() -> None:
    ann, ben, cid = make_users(3)
    chat, _ = sdk.open_private_chat(ann.id, ben.id)
    server.add_member(chat.id, cid.id)
    with_cid, is_new = sdk.open_private_chat(ann.id, cid.id)
    assert is_new and with_cid.id != chat.id
    with_ben, is_new = sdk.open_private_chat(ben.id, ann.id)
    assert is_new and with_ben.id != chat.id
    sdk.block_user(cid.id, ann.id)
    make_message(ann, with_ben)
    assert unread(ben, with_ben) == 1
    assert sdk.open_private_chat(ann.id, ben.id) == (with_ben, False)
    assert [line.chat.id for line in sdk.list_chats(cid.id)] == [with_cid.id, chat.id]


@on_both
def test_who_has_blocked_themselves_makes_groups_as_before() -> None:
    """The database lets the server write such a row."""
    ann, ben = make_users(2)
    server.block(ann.id, ann.id)
    group = sdk.create_chat(ann.id, sdk.ChatType.GROUP, member_ids=[ben.id])
    assert {line.profile.id for line in sdk.list_members(ann.id, group.id)} == {ann.id, ben.id}
    with pytest.raises(sdk.NotFound, match="nobody"):
        sdk.create_chat(ann.id, sdk.ChatType.GROUP, member_ids=["nobody"])


@on_both
def test_a_chat_that_the_server_puts_into_the_folder_of_somebody_else_is_in_none() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    theirs = sdk.create_folder(ann.id, "theirs")
    own = sdk.create_folder(ben.id, "own")
    server.file_away(ben.id, chat.id, theirs.id)
    assert [line.chat.id for line in sdk.list_chats(ben.id, folder_id=None)] == [chat.id]
    for user in (ann, ben):
        assert [summary.chats for summary in sdk.list_folders(user.id)] == [[]]
    sdk.move_to_folder(ben.id, chat.id, own.id)
    assert [line.chat.id for line in sdk.list_chats(ben.id, folder_id=own.id)] == [chat.id]
    assert sdk.list_chats(ben.id, folder_id=None) == []


# --- clocks ---


@pytest.fixture(params=["9999-12-31", "an hour ahead"])
def ahead(engine: str, request: pytest.FixtureRequest) -> datetime:
    """The time of one row that is far ahead of everybody's clock."""
    if request.param == "9999-12-31":
        return datetime(9999, 12, 31, tzinfo=UTC)
    return utc_now() + timedelta(hours=1)


def is_now(moment: datetime) -> bool:
    return abs(moment - utc_now()) < timedelta(seconds=50)


def test_a_message_from_far_ahead_neither_dates_a_chat_nor_breaks_a_call(ahead: datetime) -> None:
    ann, ben, cid = make_users(3)
    chat = insert_chat(ann, ben)
    there = server.send(ann.id, chat.id, "#ahead", at=ahead)
    first = make_message(ann, chat)
    second = make_message(ben, chat)
    assert is_now(first.created_at) and first.created_at < second.created_at
    assert newest_at_the_server() == (chat.id, second.created_at)
    make_message(ann, chat, scheduled_for=utc_now())
    [published] = sdk.publish_scheduled(now=utc_now() + timedelta(seconds=1))
    assert is_now(published.created_at) and published.created_at > second.created_at
    assert is_now(sdk.add_member(ann.id, chat.id, cid.id).joined_at)
    third = make_message(ann, chat)
    newest_last = [first.id, second.id, published.id, third.id, there]
    assert listed(ann, chat) == newest_last[::-1]
    assert [listed(ann, chat, limit=5), len(listed(ann, chat, limit=2))] == [newest_last[::-1], 2]
    assert [row.id for row in sdk.find_by_hashtag(ann.id, "ahead")] == [there]
    assert [row.id for row in sdk.search_messages(ann.id, "ahead")] == [there]
    assert [unread(user, chat) for user in (ann, ben, cid)] == [1, 4, 2]
    assert sdk.mark_read(ben.id, chat.id, third.id).unread_count == 1
    assert wrong_counts() == {}
    sdk.mute_chat(ben.id, chat.id)
    assert sdk.mark_read(ben.id, chat.id).unread_count == 0
    assert sdk.unread_totals(ben.id).all == 0


def test_a_chat_with_a_message_from_far_ahead_stays_at_its_place_in_the_list(
    ahead: datetime,
) -> None:
    ann, ben = make_users(2)
    chats = [insert_chat(ann, ben, joined_at=after(-number)) for number in range(4)]
    last = [server.send(ann.id, chat.id, at=ahead) for chat in chats[2:]]
    sdk.set_favorite(ben.id, chats[0].id)
    sdk.set_favorite(ben.id, chats[2].id)
    page = sdk.list_chats(ben.id)
    ids = [line.chat.id for line in page]
    assert ids == [chats[number].id for number in (0, 2, 1, 3)]
    assert [line.last_message and line.last_message.id for line in page] == [
        *(None, last[0]),
        *(None, last[1]),
    ]
    first = sdk.list_chats(ben.id, limit=1)
    rest = sdk.list_chats(ben.id, cursor=first.next_cursor)
    assert [line.chat.id for line in (*first, *rest)] == ids


def test_a_member_or_chat_from_far_ahead_dates_nothing(ahead: datetime) -> None:
    ann, ben, cid = make_users(3)
    chat = insert_chat(ann)
    sdk.ChatMember.create(user=ben, chat=chat, joined_at=ahead)
    sdk.Chat.update(updated_at=ahead).where(sdk.Chat.id == chat.id).execute()
    message = make_message(ann, chat)
    assert is_now(message.created_at)
    assert newest_at_the_server() == (chat.id, message.created_at)
    assert is_now(sdk.add_member(ann.id, chat.id, cid.id).joined_at)
    assert sdk.list_members(ann.id, chat.id)[0].profile.id == ben.id


@on_both
def test_a_clock_that_is_a_little_ahead_is_waited_for() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    there = server.send(ann.id, chat.id, at=utc_now() + timedelta(seconds=50))
    message = make_message(ann, chat)
    assert listed(ben, chat) == [message.id, there]


@on_both
def test_what_is_sent_by_a_clock_behind_the_joining_counts_all_the_same() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    ahead = utc_now() + timedelta(seconds=50)
    sdk.ChatMember.update(joined_at=ahead).where(sdk.ChatMember.chat == chat.id).execute()
    sdk.Chat.update(created_at=ahead, updated_at=ahead).where(sdk.Chat.id == chat.id).execute()
    message = make_message(ann, chat)
    assert unread(ben, chat) == 1
    assert sdk.users_to_notify(chat.id, message.id) == [ben.id]


# --- the moment of the migration ---


def migrated_to_002(url: str) -> None:
    assert pw_migrate(url, "migrate", "--name", "002_guide_features").returncode == 0


@pytest.fixture
def before_003(database_url: str) -> Iterator[sdk.Chat]:
    """A group of Ann and Ben with a message, in a database that lacks the third migration."""
    migrated_to_002(database_url)
    sdk.connect(database_url)
    with session():
        chat = insert_chat(make_user("ann"), make_user("ben"))
        server.send(ann_of(chat).id, chat.id, at=after(1))
    yield chat
    sdk.close()


def ann_of(chat: sdk.Chat) -> sdk.User:
    found = sdk.find_user("ann")
    assert found is not None
    return found


def moment_of_the_migration() -> datetime:
    with session():
        [row] = UnreadSince.select()
    moment: datetime = row.since
    return moment


def test_nothing_from_before_the_migration_is_unread_and_everything_after_it_is(
    before_003: sdk.Chat,
) -> None:
    with session():
        began = sdk.database.current_time()
        sdk.migrate()
        ended = sdk.database.current_time()
    moment = moment_of_the_migration()
    assert began <= moment <= ended
    ann, ben = ann_of(before_003), sdk.find_user("ben")
    assert ben is not None
    assert unread(ben, before_003) == 0
    server.send(ann.id, before_003.id, at=moment - MILLISECOND)
    assert unread(ben, before_003) == 0
    server.send(ann.id, before_003.id, at=moment)
    make_message(ann, before_003)
    assert unread(ben, before_003) == 2
    assert wrong_counts() == {}


def test_the_moment_of_the_migration_is_kept_once(before_003: sdk.Chat, database_url: str) -> None:
    sdk.migrate()
    moment = moment_of_the_migration()
    assert sdk.migrate() == []
    assert migrate_here(database_url) == []
    sdk.connect(database_url)
    with session():
        current_database().execute_sql("DELETE FROM migratehistory WHERE name LIKE '003%%'")
    assert sdk.migrate() == ["003_searches_and_lists"]
    assert moment_of_the_migration() == moment


def test_where_there_was_no_message_nothing_is_from_before_the_migration(
    sqlite_url: str, postgres_url: str
) -> None:
    for url in (sqlite_url, postgres_url):
        migrated_to_002(url)
        sdk.connect(url)
        sdk.migrate()
        assert moment_of_the_migration() == datetime(1, 1, 1, tzinfo=UTC)
        sdk.close()


# --- locks ---


@pytest.mark.slow
@on_both
def test_reading_and_sending_in_transactions_of_the_callers_is_no_deadlock(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "stogram_sdk")
    users = make_users(8)
    chats = [make_chat(*users) for _ in range(2)]
    for user in users:
        for chat in chats:
            sdk.mute_chat(user.id, chat.id)

    def read_and_send(user: sdk.User, chat: sdk.Chat) -> None:
        for _ in range(20):
            with sdk.transaction():
                sdk.mark_read(user.id, chat.id)
                make_message(user, chat)
            make_message(user, chat)

    at_once(*[partial(read_and_send, user, chats[number % 2]) for number, user in enumerate(users)])
    assert caplog.messages == []
    assert sdk.Message.select().count() == 8 * 20 * 2
    assert wrong_counts() == {}


@pytest.mark.usefixtures("on_postgres")
def test_sending_waits_for_no_settings_row_that_somebody_holds(arriving: Arrivals) -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    for user in (ben, cid):
        sdk.mark_read(user.id, chat.id)
    with sdk.transaction():
        sdk.mute_chat(ben.id, chat.id)
        sent = arriving.start(partial(make_message, ann, chat))
        assert sent.done()
    assert server_counts(chat) == {ben.id: 0, cid.id: 1}
    assert [unread(user, chat) for user in (ben, cid)] == [1, 1]


# --- clocks, labels and names that only the server knows ---


def test_times_are_those_of_the_clock_of_the_database(
    migrated_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = timedelta(hours=1)
    ahead = postgres._LEARN.replace("clock_timestamp()", "clock_timestamp() + interval '1 hour'")
    monkeypatch.setattr(postgres, "_LEARN", ahead)
    sdk.connect(migrated_postgres)
    try:
        began = utc_now() + hour
        ann, ben = make_users(2)
        chat = make_chat(ann, ben)
        message = make_message(ann, chat, "now")
        member = sdk.add_member(ann.id, chat.id, make_user().id)
        block, _ = sdk.block_user(ben.id, ann.id)
        due = make_message(ann, chat, scheduled_for=began)
        (sent,) = sdk.publish_scheduled()
        settings = sdk.mute_chat(ben.id, chat.id)
        ended = utc_now() + hour
        assert sent.id == due.id
        times = [
            *(ann.created_at, chat.created_at, message.created_at, member.joined_at),
            *(block.created_at, sent.created_at, settings.updated_at),
        ]
        slack = timedelta(milliseconds=50)
        assert all(time and began - slack <= time <= ended + slack for time in times), times
    finally:
        with session():
            for model in (sdk.Chat, sdk.User):
                model.delete().execute()
        sdk.close()


class Late(datetime):
    """The clock of a machine that NTP has not set yet."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return utc_now() - timedelta(minutes=10)


def test_a_clock_that_is_set_dates_nothing_wrong(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, slack = current_database(), timedelta(milliseconds=50)
    monkeypatch.setattr("stogram_sdk.engine.server_clock.datetime", Late)
    database.close_idle()
    with session():
        assert abs(current_time() - utc_now()) < slack
        monkeypatch.undo()
        assert abs(current_time() - utc_now()) < slack


def test_the_clock_of_the_database_is_asked_again_after_some_time(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = postgres._LEARN.replace("clock_timestamp()", "clock_timestamp() + interval '1 hour'")
    monkeypatch.setattr(postgres, "_LEARN", ahead)
    current_database().close_idle()
    with session():
        assert current_time() - utc_now() > timedelta(minutes=59)
        monkeypatch.setattr("stogram_sdk.engine.server_clock._FRESH", 0)
        with sdk.transaction():
            assert abs(current_time() - utc_now()) < timedelta(milliseconds=50)
        monkeypatch.undo()
        assert abs(current_time() - utc_now()) < timedelta(milliseconds=50)


def test_the_difference_of_the_clocks_costs_no_call_anything(engine: str) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    sdk.db.obj.close_idle()
    with session(), statements(1):
        sdk.mute_chat(ben.id, chat.id)


#: For each enum, a column in which the server may write a label that this package does not know.
LABELS = {
    "UserStatus": ('"User"', "status"),
    "ChatType": ('"Chat"', "type"),
    "MemberRole": ('"ChatMember"', "role"),
    "MessageType": ('"Message"', "type"),
}


@on_both
@pytest.mark.parametrize("enum", LABELS)
def test_a_label_that_only_the_server_knows_reads_as_its_text(engine: str, enum: str) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat, "#tag @" + ben.username)
    sdk.pin_message(ben.id, chat.id, message.id)
    table, column = LABELS[enum]
    database = current_database()
    with session():
        if engine == "postgresql":
            database.execute_sql(f"ALTER TYPE \"{enum}\" ADD VALUE IF NOT EXISTS 'LATER'")
        # Not of those who act: a role that nobody knows may do nothing.
        of_ann = ' WHERE "userId" = \'' + ann.id + "'" if enum == "MemberRole" else ""
        database.execute_sql(f"UPDATE {table} SET {column} = 'LATER'{of_ann}")
    found = sdk.list_messages(ben.id, chat.id)[0]
    members = {member.profile.id: member for member in sdk.list_members(ben.id, chat.id)}
    (line,) = sdk.list_chats(ben.id)
    assert line.last_message is not None
    read: dict[str, list[Any]] = {
        "UserStatus": [members[ann.id].profile.status, sdk.get_user(ann.id).status],
        "ChatType": [found.chat.type, line.chat.type],
        "MemberRole": [members[ann.id].role],
        "MessageType": [
            *(found.type, line.last_message.type, sdk.find_by_hashtag(ben.id, "tag")[0].type),
            *(sdk.find_by_mention(ben.id)[0].type, sdk.search_messages(ben.id, "tag")[0].type),
            sdk.list_pinned_messages(ben.id)[0].message.type,
        ],
    }
    assert read[enum] == ["LATER"] * len(read[enum])


@on_both
@pytest.mark.parametrize("username", ["Иван", "ivan-petrov", "ivan petrov", "a", "ＩＶＡＮ"])
def test_a_mention_of_any_username_is_found(username: str) -> None:
    ann = make_user()
    odd = sdk.User.create(email=username, username=username, password="hash")
    chat = insert_chat(ann, odd)
    message = insert_message(ann, chat, mentions=[username])
    for found in (
        sdk.find_by_mention(odd.id),
        sdk.find_by_mention(ann.id, username),
        sdk.find_by_mention(ann.id, "@" + username.upper()),
    ):
        assert [row.id for row in found] == [message.id]
    assert sdk.unread_totals(odd.id).mentions == 1

"""Unread counts: reading, counting, blocking, leaving, and the server's own column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.models import UnreadSince
from tests.support.factories import (
    LONG_AGO,
    after,
    insert_chat,
    insert_message,
    make_chat,
    make_message,
    make_user,
    make_users,
    sent_statements,
    server_counts,
    statements,
    unread,
    wrong_counts,
)

pytestmark = pytest.mark.usefixtures("engine")

TOMORROW = datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def counts_are_true(engine: str) -> Iterator[None]:
    """After each test everybody sees what plain SQL counts."""
    yield
    assert wrong_counts() == {}


# --- mark_read ---


def test_reading_up_to_a_message_leaves_the_later_ones() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    first, second, _ = (make_message(ann, chat) for _ in range(3))
    with statements(1):
        settings = sdk.mark_read(ben.id, chat.id, second.id)
    assert (settings.unread_count, settings.last_read_message_id) == (1, second.id)
    assert sdk.mark_read(ben.id, chat.id, second.id).unread_count == 1
    assert settings == sdk.get_chat_settings(ben.id, chat.id)
    assert server_counts(chat)[ben.id] == 1
    assert sdk.mark_read(ben.id, chat.id, first.id).last_read_message_id == second.id
    assert unread(ben, chat) == 1


def test_reading_to_the_newest_leaves_none() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    newest = [make_message(ann, chat) for _ in range(3)][-1]
    with statements(1):
        settings = sdk.mark_read(ben.id, chat.id)
    assert (settings.unread_count, settings.last_read_message_id) == (0, newest.id)
    assert sdk.mark_read(ben.id, chat.id) == settings
    make_message(ann, chat)
    assert unread(ben, chat) == 1


def test_reading_never_moves_back_when_two_arrive_in_the_wrong_order() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    ids = [make_message(ann, chat).id for _ in range(4)]
    counts = [sdk.mark_read(ben.id, chat.id, ids[place]).unread_count for place in (2, 0, 1, 3, 2)]
    assert counts == [1, 1, 1, 0, 0]


def test_reading_an_empty_chat_is_reading_nothing() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    settings = sdk.mark_read(ben.id, chat.id)
    assert (settings.unread_count, settings.last_read_message_id) == (0, None)
    make_message(ann, chat)
    assert unread(ben, chat) == 1
    assert sdk.mark_read(ben.id, chat.id).unread_count == 0


def test_messages_with_equal_times_are_read_in_the_order_of_their_ids() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    for number in range(5):
        insert_message(ann, chat, id=f"m{number}", created_at=after(1))
    assert sdk.mark_read(ben.id, chat.id, "m2").unread_count == 2
    assert sdk.mark_read(ben.id, chat.id, "m1").unread_count == 2
    assert sdk.mark_read(ben.id, chat.id, "m3").unread_count == 1
    sdk.delete_message(ann.id, chat.id, "m4")
    sdk.delete_message(ann.id, chat.id, "m0")
    assert unread(ben, chat) == 0


def test_own_messages_are_not_unread_and_can_be_read_up_to() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    make_message(ann, chat)
    own = make_message(ben, chat)
    make_message(ann, chat)
    assert unread(ben, chat) == 2
    assert sdk.mark_read(ben.id, chat.id, own.id).unread_count == 1


def test_only_what_is_there_can_be_read() -> None:
    ann, ben, eve = make_users(3)
    chat, of_eve = make_chat(ann, ben), make_chat(eve)
    message, waiting = make_message(ann, chat), make_message(ann, chat, scheduled_for=TOMORROW)
    for user, where, message_id in (
        (eve, chat, message.id),
        (eve, of_eve, message.id),
        (ben, chat, waiting.id),
        (ann, chat, waiting.id),
        (ben, chat, "no-such-message"),
    ):
        with pytest.raises(sdk.NotFound):
            sdk.mark_read(user.id, where.id, message_id)
    with pytest.raises(sdk.NotFound):
        sdk.mark_read(eve.id, chat.id)
    assert sdk.ChatSettings.select().where(sdk.ChatSettings.user == eve).count() == 0
    assert unread(ben, chat) == 1


def test_a_deleted_message_still_marks_its_place() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    first, second, third = (make_message(ann, chat) for _ in range(3))
    sdk.mark_read(ben.id, chat.id, second.id)
    for message in (first, second):
        sdk.delete_message(ann.id, chat.id, message.id)
    assert unread(ben, chat) == 1
    assert sdk.mark_read(ben.id, chat.id, second.id).unread_count == 1
    sdk.delete_message(ann.id, chat.id, third.id)
    assert unread(ben, chat) == 0
    make_message(ann, chat)
    assert unread(ben, chat) == 1


def test_one_can_read_up_to_a_deleted_message() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    _, second, _ = (make_message(ann, chat) for _ in range(3))
    sdk.delete_message(ann.id, chat.id, second.id)
    assert sdk.mark_read(ben.id, chat.id, second.id).unread_count == 1


def test_when_the_last_read_message_is_gone_altogether_the_settings_tell_the_place() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    messages = [insert_message(ann, chat, created_at=after(second)) for second in range(3)]
    sdk.mark_read(ben.id, chat.id, messages[1].id)
    sdk.Message.delete().where(sdk.Message.id == messages[1].id).execute()
    assert unread(ben, chat) == 0
    make_message(ann, chat)
    assert unread(ben, chat) == 1
    # What is older than that place is read already, and leaves the place as it is.
    settings = sdk.mark_read(ben.id, chat.id, messages[0].id)
    assert (settings.unread_count, settings.last_read_message_id) == (1, messages[1].id)
    assert unread(ben, chat) == 1
    assert sdk.mark_read(ben.id, chat.id).unread_count == 0


def test_without_a_row_reading_up_to_an_old_message_leaves_the_later_ones() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    ids = [insert_message(ann, chat, created_at=after(second)).id for second in range(4)]
    assert unread(ben, chat) == 4
    assert sdk.mark_read(ben.id, chat.id, ids[1]).unread_count == 2
    assert sdk.mark_read(ben.id, chat.id, ids[0]).unread_count == 2


def test_settings_made_later_hide_nothing() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    ids = [insert_message(ann, chat, created_at=after(second)).id for second in range(4)]
    assert sdk.mute_chat(ben.id, chat.id).unread_count == 4
    settings = sdk.mark_read(ben.id, chat.id, ids[1])
    assert (settings.unread_count, settings.last_read_message_id) == (2, ids[1])
    assert sdk.mark_read(ben.id, chat.id).last_read_message_id == ids[-1]


def test_a_last_read_message_of_another_chat_is_none_of_this_one() -> None:
    ann, ben = make_users(2)
    chat, other_chat = insert_chat(ann, ben), insert_chat(ann, ben)
    elsewhere = insert_message(ann, other_chat, created_at=after(9))
    for second in (1, 2, 3):
        insert_message(ann, chat, created_at=after(second))
    sdk.ChatSettings.create(
        user=ben, chat=chat, last_read_message_id=elsewhere.id, updated_at=after(2)
    )
    assert unread(ben, chat) == 2


@pytest.mark.parametrize("has_row", [True, False])
def test_whatever_changes_settings_returns_the_count(has_row: bool) -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    folder = sdk.create_folder(ben.id, "work")
    if has_row:
        sdk.mark_read(ben.id, chat.id)
    first = make_message(ann, chat)
    make_message(cid, chat)
    changes: list[Callable[[], sdk.ChatSettings]] = [
        partial(sdk.mute_chat, ben.id, chat.id),
        partial(sdk.unmute_chat, ben.id, chat.id),
        partial(sdk.set_favorite, ben.id, chat.id),
        partial(sdk.toggle_favorite, ben.id, chat.id),
        partial(sdk.move_to_folder, ben.id, chat.id, folder.id),
        partial(sdk.move_to_folder, ben.id, chat.id, None),
    ]
    for change in changes:
        with statements(1):
            assert change().unread_count == 2
    sdk.delete_message(ann.id, chat.id, first.id)
    assert sdk.mute_chat(ben.id, chat.id).unread_count == 1
    assert sdk.mark_read(ben.id, chat.id).unread_count == 0
    assert sdk.mute_chat(ben.id, chat.id).unread_count == 0


def test_reading_keeps_what_else_is_set() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    sdk.set_favorite(ben.id, chat.id)
    sdk.mute_chat(ben.id, chat.id)
    make_message(ann, chat)
    settings = sdk.mark_read(ben.id, chat.id)
    assert settings.is_favorite and settings.is_muted


@pytest.mark.parametrize("message_id", ["", "\x00", "\ud800", 5, "x" * 129], ids=ascii)
def test_what_cannot_be_read_up_to_is_refused(message_id: Any) -> None:
    ann = make_user()
    chat = make_chat(ann)
    with sdk.transaction():
        with statements(0), pytest.raises(sdk.InvalidInput):
            sdk.mark_read(ann.id, chat.id, message_id)
        for nobody in (None, "", "\x00"):
            with pytest.raises(sdk.InvalidInput):
                sdk.mark_read(nobody, chat.id)  # type: ignore[arg-type]
            with pytest.raises(sdk.InvalidInput):
                sdk.mark_read(ann.id, nobody)  # type: ignore[arg-type]
        sdk.mark_read(ann.id, chat.id)


# --- what counts ---


def test_without_a_row_everything_is_unread_and_nothing_is_written() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    for second in range(3):
        insert_message(ann, chat, created_at=after(second))
    assert unread(ben, chat) == 3
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(3, 3, 0)
    assert sdk.list_chats(ben.id)[0].unread_count == 3
    assert sdk.recount_unread(ben.id) == 0
    make_message(ann, chat)
    assert unread(ben, chat) == 4
    assert sdk.ChatSettings.select().count() == 0


def test_what_is_not_visible_does_not_count() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    insert_message(ann, chat, created_at=after(2))
    insert_message(ann, chat, created_at=after(3), is_sent=False)  # never scheduled
    insert_message(ann, chat, created_at=after(4), is_deleted=True)
    insert_message(ann, chat, created_at=after(5), is_sent=False, scheduled_for=TOMORROW)
    insert_message(ben, chat, created_at=after(7))
    assert unread(ben, chat) == 2


def test_a_message_whose_clock_is_behind_the_joining_does_not_count() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    ahead = datetime(2998, 1, 1, tzinfo=UTC)
    sdk.ChatMember.update(joined_at=ahead).where(sdk.ChatMember.user == ben).execute()
    make_message(ann, chat)
    assert unread(ben, chat) == 0


@pytest.fixture
def migrated_at(engine: str) -> Iterator[datetime]:
    """As if the database had been migrated when it had messages already."""
    moment = after(10)
    UnreadSince.update(since=moment).execute()
    yield moment
    UnreadSince.update(since=datetime(1, 1, 1, tzinfo=UTC)).execute()


def test_nothing_from_before_the_migration_is_unread_and_everything_after_it(
    migrated_at: datetime,
) -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    for milliseconds in (-1, 0, 1):
        moment = migrated_at + timedelta(milliseconds=milliseconds)
        insert_message(ann, chat, f"@{ben.username}", created_at=moment, mentions=[ben.username])
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(2, 2, 2)
    for change in (sdk.mute_chat, sdk.get_chat_settings):
        assert change(ben.id, chat.id).unread_count == 2
    assert wrong_counts() == {}


def test_reading_a_message_from_before_the_migration_makes_nothing_unread(
    migrated_at: datetime,
) -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    old, between, new = (insert_message(ann, chat, created_at=after(s)).id for s in (1, 2, 11))
    for message_id in (old, between):
        settings = sdk.mark_read(ben.id, chat.id, message_id)
        assert (settings.unread_count, settings.last_read_message_id) == (1, None)
        assert settings == sdk.get_chat_settings(ben.id, chat.id)
    assert sdk.mark_read(ben.id, chat.id, new).unread_count == 0
    assert sdk.mark_read(ben.id, chat.id, old).last_read_message_id == new


def test_whoever_had_read_before_the_migration_reads_on_from_there(migrated_at: datetime) -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    ids = [insert_message(ann, chat, created_at=after(second)).id for second in (1, 2, 3, 11)]
    # As another program has stored it.
    sdk.ChatSettings.create(user=ben, chat=chat, last_read_message_id=ids[0])
    assert unread(ben, chat) == 3
    for place, left in ((1, 2), (2, 1), (0, 1), (3, 0)):
        assert sdk.mark_read(ben.id, chat.id, ids[place]).unread_count == left
        assert unread(ben, chat) == left


def test_everything_can_be_read_also_where_all_is_from_before_the_migration(
    migrated_at: datetime,
) -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    newest = [insert_message(ann, chat, created_at=after(second)) for second in range(4)][-1]
    settings = sdk.mark_read(ben.id, chat.id)
    assert (settings.unread_count, settings.last_read_message_id) == (0, newest.id)


def test_a_chat_is_counted_up_to_a_thousand() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    history = [
        sdk.ImportedMessage(f"m{number:04}", ann.id, after(number), f"@{ben.username}")
        for number in range(1_003)
    ]
    sdk.import_messages(ann.id, chat.id, history[:1_000])
    sdk.import_messages(ann.id, chat.id, history[1_000:])
    for count, read in ((1_000, None), (1_000, "m0001"), (1_000, "m0002"), (999, "m0003")):
        if read is not None:
            assert sdk.mark_read(ben.id, chat.id, read).unread_count == count
        assert sdk.list_chats(ben.id)[0].unread_count == count
        assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(count, count, count)
    assert sdk.mark_read(ben.id, chat.id, "m0001").unread_count == 999


@pytest.mark.parametrize("members", [3, 300])
def test_counting_and_sending_cost_the_same_in_a_chat_of_any_size(members: int) -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    everybody = [
        {"id": f"u{number:03}", "email": f"u{number}", "username": f"u{number}", "password": ""}
        for number in range(members - 2)
    ]
    sdk.User.insert_many(everybody).execute()
    sdk.ChatMember.insert_many(
        [{"user": user["id"], "chat": chat, "joined_at": LONG_AGO} for user in everybody]
    ).execute()
    with sent_statements() as sent:
        message = make_message(ann, chat)
        assert sdk.get_chat_settings("u000", chat.id).unread_count == 1
        assert sdk.unread_totals("u000").all == 1
        assert sdk.mark_read("u000", chat.id).unread_count == 0
        sdk.delete_message(ann.id, chat.id, message.id)
    assert len(sent) == {"sqlite": 6, "postgresql": 5}[sdk.database.current_database().dialect.name]
    assert [row.user_id for row in sdk.ChatSettings.select()] == ["u000"]


def test_editing_changes_no_count() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat)
    sdk.edit_message(ann.id, chat.id, message.id, "again")
    assert unread(ben, chat) == 1
    sdk.mark_read(ben.id, chat.id)
    sdk.edit_message(ann.id, chat.id, message.id, "and again")
    assert unread(ben, chat) == 0


def test_every_type_of_message_counts() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    sdk.post_system_message(chat.id, "hello")
    for type in set(sdk.MessageType) - {sdk.MessageType.SYSTEM}:
        make_message(ann, chat, type=type, is_silent=True)
    assert unread(ben, chat) == len(sdk.MessageType)


def test_secret_chats_count_like_others() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben, type=sdk.ChatType.PRIVATE, is_secret=True)
    make_message(ann, chat, f"@{ben.username}")
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(1, 1, 1)


# --- blocking ---


def test_blocking_takes_out_what_is_unread_and_unblocking_brings_it_back() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    for sender in (ben, cid, ben):
        make_message(sender, chat)
    sdk.block_user(ann.id, ben.id)
    assert unread(ann, chat) == 1
    make_message(ben, chat)
    assert (unread(ann, chat), unread(cid, chat)) == (1, 3)
    sdk.unblock_user(ann.id, ben.id)
    assert unread(ann, chat) == 4


def test_what_was_read_before_the_block_stays_read() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    read, later = make_message(ben, chat), make_message(ben, chat)
    sdk.mark_read(ann.id, chat.id, read.id)
    sdk.block_user(ann.id, ben.id)
    sdk.delete_message(ben.id, chat.id, later.id)
    sdk.unblock_user(ann.id, ben.id)
    assert unread(ann, chat) == 0


def test_reading_while_blocking_skips_what_the_blocked_wrote() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    sdk.block_user(ann.id, ben.id)
    first = make_message(cid, chat)
    make_message(ben, chat)
    make_message(cid, chat)
    assert sdk.mark_read(ann.id, chat.id, first.id).unread_count == 1
    assert sdk.unblock_user(ann.id, ben.id)
    assert unread(ann, chat) == 2


def test_deleting_what_the_blocked_wrote_changes_no_count() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    by_ben, _ = make_message(ben, chat), make_message(cid, chat)
    sdk.block_user(ann.id, ben.id)
    sdk.delete_message(ben.id, chat.id, by_ben.id)
    assert unread(ann, chat) == 1


def test_what_the_blocked_wrote_first_comes_back_with_unblocking() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    sdk.block_user(ann.id, ben.id)
    make_message(ben, chat)
    assert unread(ann, chat) == 0
    sdk.unblock_user(ann.id, ben.id)
    assert unread(ann, chat) == 1


def test_a_block_holds_in_every_chat_also_in_one_that_the_blocked_has_left() -> None:
    ann, ben = make_users(2)
    chats = [make_chat(ann, ben) for _ in range(3)]
    for chat in chats:
        make_message(ben, chat)
    sdk.leave_chat(ben.id, chats[0].id)
    sdk.block_user(ann.id, ben.id)
    assert [unread(ann, chat) for chat in chats] == [0, 0, 0]
    sdk.unblock_user(ann.id, ben.id)
    assert [unread(ann, chat) for chat in chats] == [1, 1, 1]


# --- leaving and coming back ---


def test_who_leaves_has_nothing_unread_and_who_comes_back_starts_there() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    make_message(ann, chat)
    sdk.leave_chat(ben.id, chat.id)
    make_message(ann, chat)
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(0, 0, 0)
    sdk.add_member(ann.id, chat.id, ben.id)
    assert unread(ben, chat) == 0
    make_message(ann, chat)
    assert unread(ben, chat) == 1
    sdk.remove_member(ann.id, chat.id, ben.id)
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(0, 0, 0)


def test_what_was_written_before_joining_does_not_count_though_it_is_not_read() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    first, _ = make_message(ann, chat), make_message(ann, chat)
    sdk.add_member(ann.id, chat.id, ben.id)
    assert sdk.mark_read(ben.id, chat.id, first.id).unread_count == 0
    make_message(ann, chat)
    assert unread(ben, chat) == 1


# --- the server's column ---


def set_column(number: int, where: Any = True) -> None:
    sdk.ChatSettings.update(unread_count=number).where(where).execute()


def test_recounting_sets_the_column_to_the_truth_and_says_how_many() -> None:
    ann, ben = make_users(2)
    chats = [make_chat(ann, ben) for _ in range(3)]
    for chat in chats:
        sdk.mute_chat(ben.id, chat.id)
        make_message(ann, chat)
    set_column(1)
    set_column(7, sdk.ChatSettings.chat != chats[0])
    assert [unread(ben, chat) for chat in chats] == [1, 1, 1]
    with statements(1):
        assert sdk.recount_unread(ben.id, chats[1].id) == 1
    assert [server_counts(chat)[ben.id] for chat in chats] == [1, 1, 7]
    with statements(1):
        assert sdk.recount_unread(ben.id) == 1
    assert sdk.recount_unread(ben.id) == 0
    assert [server_counts(chat)[ben.id] for chat in chats] == [1, 1, 1]
    sdk.leave_chat(ben.id, chats[0].id)
    assert sdk.recount_unread(ben.id) == 1
    assert server_counts(chats[0]) == {ben.id: 0}


def test_nothing_but_reading_moves_a_place_that_the_time_of_the_settings_marks() -> None:
    ann, ben, eve = make_users(3)
    chat = make_chat(ann, ben, eve)
    make_message(eve, chat)
    read_at = sdk.mark_read(ben.id, chat.id).updated_at
    make_message(ann, chat)
    sdk.delete_user(eve.id)
    folder = sdk.create_folder(ben.id, "work")
    changes: dict[str, Callable[[], object]] = {
        "mute": partial(sdk.mute_chat, ben.id, chat.id),
        "unmute": partial(sdk.unmute_chat, ben.id, chat.id),
        "mute again": partial(sdk.mute_chat, ben.id, chat.id),
        "unmute all": partial(sdk.unmute_all_chats, ben.id),
        "set": partial(sdk.set_favorite, ben.id, chat.id),
        "toggle": partial(sdk.toggle_favorite, ben.id, chat.id),
        "move": partial(sdk.move_to_folder, ben.id, chat.id, folder.id),
        "remove": partial(sdk.remove_from_folder, ben.id, chat.id),
        "move again": partial(sdk.move_to_folder, ben.id, chat.id, folder.id),
        "take out": partial(sdk.move_to_folder, ben.id, chat.id, None),
        "and again": partial(sdk.move_to_folder, ben.id, chat.id, folder.id),
        "delete the folder": partial(sdk.delete_folder, ben.id, folder.id),
        "another column": partial(set_column, 7),
        "recount": partial(sdk.recount_unread, ben.id),
    }
    for name, change in changes.items():
        change()
        settings = sdk.get_chat_settings(ben.id, chat.id)
        assert (settings.unread_count, settings.updated_at) == (1, read_at), name
    make_message(ann, chat)
    assert unread(ben, chat) == 2


def test_only_members_recount_a_chat() -> None:
    ann, eve = make_users(2)
    chat = make_chat(ann)
    with pytest.raises(sdk.NotFound):
        sdk.recount_unread(eve.id, chat.id)
    with pytest.raises(sdk.NotFound):
        sdk.recount_unread(ann.id, "no-such-chat")
    assert sdk.recount_unread("nobody") == 0
    for wrong in ("", None, "\x00"):
        with pytest.raises(sdk.InvalidInput):
            sdk.recount_unread(wrong)  # type: ignore[arg-type]
    with pytest.raises(sdk.InvalidInput):
        sdk.recount_unread(ann.id, "")


@pytest.fixture
def one(engine: str) -> int:
    """By how much a message raises the column: SQLite has no server beside it."""
    return {"sqlite": 0, "postgresql": 1}[engine]


def test_sending_raises_the_column_of_those_for_whom_the_message_counts(one: int) -> None:
    ann, ben, cid, dan, eve = make_users(5)
    chat = make_chat(ann, ben, cid, dan)
    sdk.block_user(cid.id, ann.id)
    for user in (ann, ben, cid, eve):
        sdk.ChatSettings.create(user=user, chat=chat, unread_count=3, updated_at=LONG_AGO)
    with statements(2 - one):
        make_message(ann, chat)
    expected = {ann.id: 3, ben.id: 3 + one, cid.id: 3, eve.id: 3}
    assert server_counts(chat) == expected, "and there is no row for Dan"
    assert {row.updated_at for row in sdk.ChatSettings.select()} == {LONG_AGO}
    make_message(ann, chat, scheduled_for=TOMORROW)
    with sdk.transaction():
        make_message(ann, chat)
    assert server_counts(chat) == expected


def test_the_column_ends_at_what_it_can_hold() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    sdk.mute_chat(ben.id, chat.id)
    set_column(2**31 - 1)
    make_message(ann, chat)
    assert server_counts(chat) == {ben.id: 2**31 - 1}
    assert unread(ben, chat) == 1


def test_in_a_chat_of_many_the_column_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, one: int
) -> None:
    monkeypatch.setattr(sdk.unread, "MOST_RAISED", 3)
    ann, ben, cid, dan = make_users(4)
    chat = make_chat(ann, ben, cid)
    sdk.mute_chat(ben.id, chat.id)
    make_message(ann, chat)
    assert server_counts(chat) == {ben.id: one}
    sdk.add_member(ann.id, chat.id, dan.id)
    make_message(ann, chat)
    assert server_counts(chat) == {ben.id: one}
    assert [unread(user, chat) for user in (ben, cid, dan)] == [2, 2, 1]


# --- unread_totals ---


def test_totals_are_one_statement_over_all_chats() -> None:
    ann, ben = make_users(2)
    one, two, muted = (make_chat(ann, ben) for _ in range(3))
    sdk.mute_chat(ben.id, muted.id)
    make_message(ann, one, f"@{ben.username} twice @{ben.username.upper()}")
    make_message(ann, two, f"@{ben.username}2 and @{ann.username}")
    make_message(ann, muted, f"@{ben.username}")
    make_message(ann, muted)
    with statements(1):
        assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(all=4, unmuted=2, mentions=2)
    sdk.mark_read(ben.id, one.id)
    make_message(ann, one)
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(all=4, unmuted=2, mentions=1)


def test_mentions_by_the_blocked_or_deleted_or_not_sent_do_not_count() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    make_message(cid, chat)
    make_message(ann, chat, f"@{ben.username}")
    make_message(ann, chat, f"@{ben.username}", scheduled_for=TOMORROW)
    deleted = make_message(ann, chat, f"@{ben.username}")
    sdk.delete_message(ann.id, chat.id, deleted.id)
    assert sdk.unread_totals(ben.id).mentions == 1
    sdk.block_user(ben.id, ann.id)
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(1, 1, 0)


def test_nobody_has_nothing_unread() -> None:
    assert sdk.unread_totals("nobody") == sdk.UnreadTotals(0, 0, 0)
    for wrong in ("", None, "\ud800"):
        with pytest.raises(sdk.InvalidInput):
            sdk.unread_totals(wrong)  # type: ignore[arg-type]


def test_lists_show_the_same_counts() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    folder = _folder_of(ben, chat)
    make_message(ann, chat)
    assert sdk.list_chats(ben.id)[0].unread_count == 1
    assert sdk.list_chats(ben.id, unread_only=True)[0].unread_count == 1
    assert [(item.folder.id, item.unread_count) for item in sdk.list_folders(ben.id)] == [
        (folder, 1)
    ]
    sdk.mark_read(ben.id, chat.id)
    assert sdk.list_chats(ben.id, unread_only=True) == []


def _folder_of(user: sdk.User, chat: sdk.Chat) -> str:
    folder = sdk.create_folder(user.id, "work")
    sdk.move_to_folder(user.id, chat.id, folder.id)
    return folder.id

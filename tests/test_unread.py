"""Unread counts: reading, counting, blocking, leaving, and what other programs have written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from tests.support.factories import (
    after,
    insert_chat,
    insert_message,
    make_chat,
    make_message,
    make_user,
    make_users,
    statements,
    unread,
    wrong_counts,
)

pytestmark = pytest.mark.usefixtures("engine")

TOMORROW = datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def counts_are_true(engine: str) -> Iterator[None]:
    """After each test nobody has a count that recounting would correct."""
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


def test_when_the_last_read_message_is_gone_altogether_none_counts_as_read() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    first, second = make_message(ann, chat), make_message(ann, chat)
    sdk.mark_read(ben.id, chat.id, second.id)
    sdk.Message.delete().where(sdk.Message.id == second.id).execute()
    # Ben's row was made with the first message.
    assert sdk.mark_read(ben.id, chat.id, first.id).unread_count == 0
    sdk.Message.delete().where(sdk.Message.id == first.id).execute()
    make_message(ann, chat)
    assert unread(ben, chat) == 1


def test_without_a_row_reading_up_to_an_old_message_leaves_the_later_ones() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    ids = [insert_message(ann, chat, created_at=after(second)).id for second in range(4)]
    assert unread(ben, chat) == 0
    assert sdk.mark_read(ben.id, chat.id, ids[1]).unread_count == 2
    assert sdk.mark_read(ben.id, chat.id, ids[0]).unread_count == 2


def test_with_a_row_made_later_an_old_message_is_read_already() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    ids = [insert_message(ann, chat, created_at=after(second)).id for second in range(4)]
    sdk.mute_chat(ben.id, chat.id)
    settings = sdk.mark_read(ben.id, chat.id, ids[1])
    assert (settings.unread_count, settings.last_read_message_id) == (0, None)


def test_with_a_row_made_later_everything_can_be_read() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    newest = [insert_message(ann, chat, created_at=after(second)) for second in range(4)][-1]
    sdk.mute_chat(ben.id, chat.id)
    assert sdk.mark_read(ben.id, chat.id).last_read_message_id == newest.id


def test_a_last_read_message_of_another_chat_marks_nothing() -> None:
    ann, ben = make_users(2)
    chat, other_chat = make_chat(ann, ben), make_chat(ann, ben)
    make_message(ann, chat)
    elsewhere = make_message(ann, other_chat)
    sdk.ChatSettings.update(last_read_message_id=elsewhere.id).where(
        sdk.ChatSettings.chat == chat
    ).execute()
    assert sdk.recount_unread(ben.id, chat.id) == 0
    assert unread(ben, chat) == 1


def test_a_row_made_in_the_same_millisecond_is_no_reason_to_move_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    ids = [insert_message(ann, chat, created_at=after(second)).id for second in range(4)]
    now = utc_now()
    monkeypatch.setattr("stogram_sdk.chat_settings.utc_now", lambda: now)
    sdk.mute_chat(ben.id, chat.id)
    assert sdk.mark_read(ben.id, chat.id, ids[1]).unread_count == 0


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


def test_without_a_row_nothing_is_unread_and_nothing_is_written() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    for second in range(3):
        insert_message(ann, chat, created_at=after(second))
    assert unread(ben, chat) == 0
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(0, 0, 0)
    assert sdk.recount_unread(ben.id) == 0
    assert sdk.ChatSettings.select().count() == 0


def test_from_the_first_new_message_on_only_new_ones_count() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    for second in range(3):
        insert_message(ann, chat, created_at=after(second))
    message = make_message(ann, chat)
    settings = sdk.get_chat_settings(ben.id, chat.id)
    assert (settings.unread_count, settings.created_at) == (1, message.created_at)


def test_settings_of_today_do_not_make_old_messages_unread() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    old = insert_message(ann, chat, created_at=after(1))
    sdk.set_favorite(ben.id, chat.id)
    assert sdk.recount_unread(ben.id, chat.id) == 0
    make_message(ann, chat)
    sdk.delete_message(ann.id, chat.id, old.id)
    assert unread(ben, chat) == 1


def test_settings_are_later_than_all_that_is_there_whatever_the_clocks_say() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    ahead = insert_message(ann, chat, created_at=datetime(2998, 1, 1, tzinfo=UTC))
    settings = sdk.mute_chat(ben.id, chat.id)
    assert settings.created_at and settings.created_at > ahead.created_at
    assert sdk.recount_unread(ben.id, chat.id) == 0
    make_message(ann, chat)
    assert unread(ben, chat) == 1


def test_a_message_whose_clock_is_behind_the_joining_does_not_count() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    ahead = datetime(2998, 1, 1, tzinfo=UTC)
    sdk.ChatMember.update(joined_at=ahead).where(sdk.ChatMember.user == ben).execute()
    make_message(ann, chat)
    assert (unread(ben, chat), sdk.ChatSettings.select().count()) == (0, 0)


def test_a_message_whose_clock_is_behind_the_settings_row_counts_as_read() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    sdk.mark_read(ben.id, chat.id)
    sdk.ChatSettings.update(created_at=datetime(2998, 1, 1, tzinfo=UTC)).execute()
    make_message(ann, chat)
    assert unread(ben, chat) == 0
    # The same, once something was read and is gone altogether.
    sdk.ChatSettings.update(last_read_message_id="gone").execute()
    make_message(ann, chat)
    assert unread(ben, chat) == 0


def test_of_several_messages_those_count_that_are_later_than_the_settings_row() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    sdk.mark_read(ben.id, chat.id)
    due = utc_now() + timedelta(hours=1)
    for _ in range(3):
        make_message(ann, chat, scheduled_for=due)
    sdk.ChatSettings.update(created_at=due + timedelta(milliseconds=1)).execute()
    first, *later = sdk.publish_scheduled(now=due)
    assert first.created_at == due
    assert unread(ben, chat) == len(later) == 2


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
    for type in sdk.MessageType:
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


def test_a_blocked_first_message_makes_no_row_and_does_not_come_back() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    sdk.block_user(ann.id, ben.id)
    make_message(ben, chat)
    assert sdk.ChatSettings.select().where(sdk.ChatSettings.user == ann).count() == 0
    sdk.unblock_user(ann.id, ben.id)
    assert unread(ann, chat) == 0


def test_blocking_recounts_every_chat_also_one_that_the_blocked_has_left() -> None:
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
    assert sdk.ChatSettings.get(sdk.ChatSettings.user == ben).unread_count == 0
    make_message(ann, chat)
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(0, 0, 0)
    sdk.add_member(ann.id, chat.id, ben.id)
    assert unread(ben, chat) == 0
    make_message(ann, chat)
    assert unread(ben, chat) == 1
    sdk.remove_member(ann.id, chat.id, ben.id)
    assert sdk.ChatSettings.get(sdk.ChatSettings.user == ben).unread_count == 0


def test_who_comes_back_after_the_server_took_them_out_starts_there() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    make_message(ann, chat)
    sdk.ChatMember.delete().where(sdk.ChatMember.user == ben).execute()
    sdk.add_member(ann.id, chat.id, ben.id)
    assert unread(ben, chat) == 0


def test_what_was_written_before_counts_as_read_for_a_new_member_whatever_the_clocks_say() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    insert_message(ann, chat, created_at=datetime(2998, 1, 1, tzinfo=UTC))
    old = make_message(ann, chat)
    sdk.add_member(ann.id, chat.id, ben.id)
    sdk.set_favorite(ben.id, chat.id)
    assert (unread(ben, chat), sdk.recount_unread(ben.id)) == (0, 0)
    make_message(ann, chat)
    assert unread(ben, chat) == 1
    assert sdk.mark_read(ben.id, chat.id, old.id).unread_count == 1


def test_what_was_written_before_joining_does_not_count_though_it_is_not_read() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    first, _ = make_message(ann, chat), make_message(ann, chat)
    sdk.add_member(ann.id, chat.id, ben.id)
    assert sdk.mark_read(ben.id, chat.id, first.id).unread_count == 0
    make_message(ann, chat)
    assert unread(ben, chat) == 1


# --- recount_unread ---


def test_recounting_corrects_what_another_program_wrote_and_says_how_many() -> None:
    ann, ben = make_users(2)
    chats = [make_chat(ann, ben) for _ in range(3)]
    for chat in chats:
        make_message(ann, chat)
    sdk.ChatSettings.update(unread_count=7).where(sdk.ChatSettings.chat != chats[0]).execute()
    with statements(1):
        assert sdk.recount_unread(ben.id, chats[1].id) == 1
    assert [unread(ben, chat) for chat in chats] == [1, 1, 7]
    with statements(1):
        assert sdk.recount_unread(ben.id) == 1
    assert sdk.recount_unread(ben.id) == 0
    assert [unread(ben, chat) for chat in chats] == [1, 1, 1]


def test_recounting_takes_in_what_the_server_wrote() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    insert_message(ann, chat, created_at=after(1))
    sdk.ChatSettings.create(user=ben, chat=chat, created_at=after(2))
    insert_message(ann, chat, created_at=after(2))
    insert_message(ann, chat, created_at=after(3))
    insert_message(ann, chat, created_at=after(4), is_deleted=True)
    insert_message(ann, chat, created_at=after(5), is_sent=False, scheduled_for=TOMORROW)
    insert_message(ann, chat, created_at=after(6), is_sent=False)
    insert_message(ben, chat, created_at=after(7))
    assert sdk.recount_unread(ben.id, chat.id) == 1
    assert unread(ben, chat) == 3


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


def test_a_count_never_falls_below_zero() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat)
    sdk.ChatSettings.update(unread_count=0).execute()
    sdk.delete_message(ann.id, chat.id, message.id)
    assert unread(ben, chat) == 0

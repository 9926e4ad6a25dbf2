"""Chats with so many members that unread messages are counted when they are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import session
from stogram_sdk.models import LargeChat
from tests.support.factories import (
    LONG_AGO,
    insert_chat,
    insert_message,
    make_message,
    make_users,
    sent_statements,
    statements,
)
from tests.support.factories import unread as unread_of

SIZE = 4
MAX = 6


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large from five members on, counted to six; before `engine`, which builds statements anew."""
    monkeypatch.setattr(sdk.unread, "LARGE_CHAT", SIZE)
    monkeypatch.setattr(sdk.unread, "MAX_COUNT", MAX)


pytestmark = pytest.mark.usefixtures("small_numbers", "engine")


@pytest.fixture
def users() -> list[sdk.User]:
    return make_users(SIZE + 1)


@pytest.fixture
def chat(users: list[sdk.User]) -> sdk.Chat:
    """A large chat, before its first message."""
    return insert_chat(*users)


def stored() -> int:
    with session():
        return int(sdk.ChatSettings.select().count())


def is_large(chat: sdk.Chat) -> bool:
    with session():
        return LargeChat.get_or_none(LargeChat.chat == chat) is not None


def assert_unread(user: sdk.User, chat: sdk.Chat, number: int) -> None:
    """Whoever is asked says the same."""
    assert unread_of(user, chat) == number
    listed = {line.chat.id: line for line in sdk.list_chats(user.id)}
    assert listed[chat.id].unread_count == listed[chat.id].settings.unread_count == number
    only = [line.chat.id for line in sdk.list_chats(user.id, unread_only=True)]
    assert (chat.id in only) == (number > 0)
    assert sdk.unread_totals(user.id).all == number
    assert sdk.recount_unread(user.id, chat.id) == 0
    assert unread_of(user, chat) == number


def test_nothing_is_stored_for_the_members(users: list[sdk.User], chat: sdk.Chat) -> None:
    ann, ben, *_ = users
    make_message(ann, chat)
    assert is_large(chat)
    with sent_statements() as sent:
        make_message(ann, chat)
    assert len(sent) == 1
    assert stored() == 0
    assert_unread(ben, chat, 2)
    assert_unread(ann, chat, 0)


def test_a_chat_of_the_size_is_not_large(users: list[sdk.User]) -> None:
    chat = insert_chat(*users[:SIZE])
    make_message(users[0], chat)
    assert not is_large(chat)
    assert stored() == SIZE - 1


def test_it_grows_without_a_wrong_count(users: list[sdk.User]) -> None:
    ann, ben, cyd, dan, eve = users
    chat = insert_chat(ann, ben, cyd, dan)
    first = make_message(ann, chat)
    make_message(ann, chat)
    sdk.mark_read(cyd.id, chat.id)
    sdk.mark_read(dan.id, chat.id, first.id)
    sdk.add_member(ann.id, chat.id, eve.id)
    for user, number in ((ann, 0), (ben, 2), (cyd, 0), (dan, 1), (eve, 0)):
        assert_unread(user, chat, number)
    make_message(ann, chat)
    assert is_large(chat)
    for user, number in ((ann, 0), (ben, 3), (cyd, 1), (dan, 2), (eve, 1)):
        assert_unread(user, chat, number)
    sdk.leave_chat(eve.id, chat.id)
    make_message(ben, chat)
    for user, number in ((ann, 1), (ben, 3), (cyd, 2), (dan, 3)):
        assert_unread(user, chat, number)
    sdk.add_member(ann.id, chat.id, eve.id)
    assert_unread(eve, chat, 0)
    make_message(ben, chat)
    assert_unread(eve, chat, 1)


def test_it_counts_up_to_the_maximum(users: list[sdk.User], chat: sdk.Chat) -> None:
    ann, ben, cyd, *_ = users
    messages = [make_message(ann, chat, f"@{ben.username}") for _ in range(MAX + 3)]
    assert_unread(ben, chat, MAX)
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(MAX, MAX, MAX)
    assert sdk.unread_totals(cyd.id) == sdk.UnreadTotals(MAX, MAX, 0)
    assert sdk.mark_read(ben.id, chat.id, messages[0].id).unread_count == MAX
    assert sdk.mark_read(ben.id, chat.id, messages[-3].id).unread_count == 2
    assert sdk.mark_read(ben.id, chat.id, messages[0].id).unread_count == 2
    assert_unread(ben, chat, 2)
    assert sdk.mark_read(ben.id, chat.id).unread_count == 0
    assert_unread(ben, chat, 0)


def test_settings_made_later_hide_nothing(users: list[sdk.User], chat: sdk.Chat) -> None:
    ann, ben, cyd, *_ = users
    first, second = make_message(ann, chat), make_message(ann, chat)
    sdk.mute_chat(ben.id, chat.id)
    sdk.set_favorite(cyd.id, chat.id)
    assert_unread(ben, chat, 2)
    assert_unread(cyd, chat, 2)
    assert sdk.mark_read(ben.id, chat.id, first.id).unread_count == 1
    assert_unread(ben, chat, 1)
    assert sdk.mark_read(ben.id, chat.id, second.id).unread_count == 0
    assert sdk.unread_totals(cyd.id).unmuted == 2


@pytest.mark.parametrize("has_row", [True, False])
def test_whatever_changes_settings_returns_the_count(
    users: list[sdk.User], chat: sdk.Chat, has_row: bool
) -> None:
    ann, ben, cyd, *_ = users
    folder = sdk.create_folder(ben.id, "work")
    if has_row:
        sdk.mark_read(ben.id, chat.id)
    first = make_message(ann, chat)
    make_message(cyd, chat)
    changes: list[Callable[[], sdk.ChatSettings]] = [
        partial(sdk.mute_chat, ben.id, chat.id),
        partial(sdk.unmute_chat, ben.id, chat.id),
        partial(sdk.set_favorite, ben.id, chat.id),
        partial(sdk.toggle_favorite, ben.id, chat.id),
        partial(sdk.move_to_folder, ben.id, chat.id, folder.id),
        partial(sdk.move_to_folder, ben.id, chat.id, None),
    ]
    for change in changes:
        with statements(2):
            assert change().unread_count == 2
    assert_unread(ben, chat, 2)
    sdk.delete_message(ann.id, chat.id, first.id)
    assert sdk.mute_chat(ben.id, chat.id).unread_count == 1
    for _ in range(MAX):
        make_message(ann, chat)
    assert sdk.mute_chat(ben.id, chat.id).unread_count == MAX
    assert (
        sdk.mark_read(ben.id, chat.id).unread_count
        == sdk.mute_chat(ben.id, chat.id).unread_count
        == 0
    )


def test_deleted_and_blocked_do_not_count(users: list[sdk.User], chat: sdk.Chat) -> None:
    ann, ben, cyd, *_ = users
    message = make_message(ann, chat)
    make_message(cyd, chat)
    sdk.delete_message(ann.id, chat.id, message.id)
    assert_unread(ben, chat, 1)
    sdk.block_user(ben.id, cyd.id)
    assert_unread(ben, chat, 0)
    sdk.unblock_user(ben.id, cyd.id)
    assert_unread(ben, chat, 1)


def test_folders_and_totals(users: list[sdk.User], chat: sdk.Chat) -> None:
    ann, ben, *_ = users
    small = insert_chat(ann, ben)
    folder = sdk.create_folder(ben.id, "both")
    for other in (chat, small):
        make_message(ann, other, f"@{ben.username}")
        sdk.move_to_folder(ben.id, other.id, folder.id)
    make_message(ann, chat)
    with statements(1):
        (summary,) = sdk.list_folders(ben.id)
    assert summary.unread_count == 3
    with statements(1):
        assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(3, 3, 2)
    sdk.mute_chat(ben.id, chat.id)
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(3, 1, 2)
    with statements(1):
        assert len(sdk.list_chats(ben.id, folder_id=folder.id, unread_only=True)) == 2


def test_scheduled_messages(users: list[sdk.User], chat: sdk.Chat) -> None:
    ann, ben, *_ = users
    small = insert_chat(ann, ben)
    for other in (chat, small):
        sdk.send_message(ann.id, other.id, "later", scheduled_for=LONG_AGO)
        sdk.send_message(ann.id, other.id, "later", scheduled_for=LONG_AGO)
    assert sdk.unread_totals(ben.id).all == 0
    assert len(sdk.publish_scheduled()) == 4
    assert unread_of(ben, chat) == unread_of(ben, small) == 2
    assert is_large(chat)
    assert not is_large(small)


def test_it_changes_over_with_the_message(users: list[sdk.User], chat: sdk.Chat) -> None:
    with pytest.raises(ZeroDivisionError), sdk.transaction():
        make_message(users[0], chat)
        raise ZeroDivisionError
    assert not is_large(chat)


def test_what_was_there_before_is_read(users: list[sdk.User], chat: sdk.Chat) -> None:
    ann, ben, *_ = users
    insert_message(ann, chat, created_at=LONG_AGO)
    message = make_message(ann, chat)
    assert_unread(ben, chat, 1)
    assert len(sdk.users_to_notify(chat.id, message.id)) == SIZE

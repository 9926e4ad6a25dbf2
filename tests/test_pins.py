"""Pinned messages: each user's own."""

from __future__ import annotations

from typing import Any

import pytest

import stogram_sdk as sdk
from tests.support.factories import (
    after,
    insert_message,
    make_chat,
    make_message,
    make_user,
    statements,
)

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def message(olga: sdk.User, chat: sdk.Chat) -> sdk.Message:
    return make_message(olga, chat, "read this")


def pinned(user: sdk.User, chat: sdk.Chat | None = None) -> list[str]:
    chat_id = None if chat is None else chat.id
    return [pin.message_id for pin in sdk.list_pinned_messages(user.id, chat_id=chat_id)]


def test_a_message_is_pinned_once(ivan: sdk.User, chat: sdk.Chat, message: sdk.Message) -> None:
    pin, created = sdk.pin_message(ivan.id, chat.id, message.id)
    assert created
    assert (pin.user_id, pin.chat_id, pin.message_id) == (ivan.id, chat.id, message.id)
    again, created = sdk.pin_message(ivan.id, chat.id, message.id)
    assert not created and again.__data__ == pin.__data__
    assert sdk.PinnedMessage.select().count() == 1


def test_pins_are_the_users_own(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    sdk.pin_message(ivan.id, chat.id, message.id)
    assert pinned(olga) == []
    assert sdk.unpin_message(olga.id, chat.id, message.id) is False
    assert sdk.unpin_all_messages(olga.id, chat.id) == 0
    assert pinned(ivan) == [message.id]


def test_a_pin_is_taken_off_once(ivan: sdk.User, chat: sdk.Chat, message: sdk.Message) -> None:
    sdk.pin_message(ivan.id, chat.id, message.id)
    assert sdk.unpin_message(ivan.id, "another chat", message.id) is False
    assert sdk.unpin_message(ivan.id, chat.id, message.id) is True
    assert sdk.unpin_message(ivan.id, chat.id, message.id) is False
    assert sdk.pin_message(ivan.id, chat.id, message.id)[1]


def test_all_pins_of_one_chat_are_taken_off_at_once(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    other = make_chat(ivan)
    for _ in range(3):
        sdk.pin_message(ivan.id, chat.id, make_message(olga, chat).id)
    kept = make_message(ivan, other)
    sdk.pin_message(ivan.id, other.id, kept.id)
    with statements(1):
        assert sdk.unpin_all_messages(ivan.id, chat.id) == 3
    assert sdk.unpin_all_messages(ivan.id, chat.id) == 0
    assert pinned(ivan) == [kept.id]


@pytest.mark.parametrize(
    "columns",
    [
        {"is_deleted": True},
        {"scheduled_for": after(0), "is_sent": False},
        {"type": sdk.MessageType.SYSTEM},
    ],
)
def test_what_cannot_be_pinned_is_not_found(
    ivan: sdk.User, chat: sdk.Chat, columns: dict[str, Any]
) -> None:
    message = insert_message(ivan, chat, **columns)
    with pytest.raises(sdk.NotFound) as error:
        sdk.pin_message(ivan.id, chat.id, message.id)
    assert (error.value.entity, error.value.id) == ("message", message.id)


def test_the_message_must_be_in_that_chat(
    ivan: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    other = make_chat(ivan)
    with pytest.raises(sdk.NotFound, match="no such message"):
        sdk.pin_message(ivan.id, other.id, message.id)
    with pytest.raises(sdk.NotFound, match="no such chat"):
        sdk.pin_message(make_user().id, chat.id, message.id)
    assert sdk.PinnedMessage.select().count() == 0


def test_the_latest_pin_is_listed_first_with_message_sender_and_chat(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    messages = [make_message(olga, chat, f"message {number}") for number in range(3)]
    for message in (messages[1], messages[2], messages[0]):
        sdk.pin_message(ivan.id, chat.id, message.id)
    with statements(1):
        pins = sdk.list_pinned_messages(ivan.id, chat_id=chat.id)
        shown = [
            (pin.message.content, pin.message.sender.username, pin.chat.id, pin.message.chat.id)
            for pin in pins
        ]
    in_order = sorted(pins, key=lambda pin: (pin.pinned_at, pin.id), reverse=True)
    assert pins == in_order
    assert sorted(shown) == [(f"message {n}", olga.username, chat.id, chat.id) for n in range(3)]


def test_a_deleted_message_shows_no_more(ivan: sdk.User, olga: sdk.User, chat: sdk.Chat) -> None:
    deleted, kept = make_message(olga, chat), make_message(olga, chat)
    for message in (deleted, kept):
        sdk.pin_message(ivan.id, chat.id, message.id)
    sdk.delete_message(olga.id, chat.id, deleted.id)
    assert pinned(ivan) == pinned(ivan, chat) == [kept.id]
    with pytest.raises(sdk.NotFound):
        sdk.pin_message(ivan.id, chat.id, deleted.id)


def test_a_chat_that_the_user_has_left_shows_no_more(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    sdk.pin_message(ivan.id, chat.id, message.id)
    sdk.leave_chat(ivan.id, chat.id)
    assert pinned(ivan) == []
    with pytest.raises(sdk.NotFound, match="no such chat"):
        pinned(ivan, chat)
    sdk.add_member(olga.id, chat.id, ivan.id)
    assert pinned(ivan) == pinned(ivan, chat) == [message.id]


def test_pins_of_one_moment_are_each_shown_once_while_others_come(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    pins = [
        sdk.PinnedMessage.create(
            user=ivan, chat=chat, message=make_message(olga, chat), pinned_at=after(number // 4)
        )
        for number in range(10)
    ]
    pins.sort(key=lambda pin: (pin.pinned_at, pin.id), reverse=True)
    first = sdk.list_pinned_messages(ivan.id, limit=5)
    sdk.pin_message(ivan.id, chat.id, make_message(olga, chat).id)
    second = sdk.list_pinned_messages(ivan.id, limit=5, cursor=first.next_cursor)
    assert [*first, *second] == pins
    assert second.next_cursor is None

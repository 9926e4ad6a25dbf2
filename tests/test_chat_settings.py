"""What a user sets for a chat. Unread counts are in test_unread."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import stogram_sdk
from stogram_sdk import Chat, ChatSettings, NotFound, User
from tests.factories import LONG_AGO, make_chat, make_user, statements

pytestmark = pytest.mark.usefixtures("engine")


def test_a_chat_has_defaults_that_are_not_stored(ivan: User, chat: Chat) -> None:
    with statements(1):
        settings = stogram_sdk.get_chat_settings(ivan.id, chat.id)
    assert (settings.user_id, settings.chat_id) == (ivan.id, chat.id)
    assert (settings.is_muted, settings.is_favorite, settings.folder_id) == (False, False, None)
    assert (settings.unread_count, settings.last_read_message_id) == (0, None)
    assert ChatSettings.select().count() == 0


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        (stogram_sdk.mute_chat, "is_muted", True),
        (stogram_sdk.unmute_chat, "is_muted", False),
        (stogram_sdk.set_favorite, "is_favorite", True),
        (stogram_sdk.toggle_favorite, "is_favorite", True),
    ],
)
def test_a_change_returns_the_row_and_touches_nothing_else(
    ivan: User, chat: Chat, change: Callable[[str, str], ChatSettings], field: str, value: bool
) -> None:
    folder = stogram_sdk.create_folder(ivan.id, "folder")
    stogram_sdk.move_to_folder(ivan.id, chat.id, folder.id)
    ChatSettings.update(unread_count=3, last_read_message_id="x", updated_at=LONG_AGO).execute()
    before = ChatSettings.get().__data__
    changed = change(ivan.id, chat.id)
    assert changed.__data__ == ChatSettings.get().__data__
    assert changed.__data__ == before | {field: value, "updated_at": changed.updated_at}
    assert changed.updated_at > LONG_AGO


def test_muting_is_for_oneself_and_can_be_repeated(ivan: User, olga: User, chat: Chat) -> None:
    for _ in range(2):
        assert stogram_sdk.mute_chat(ivan.id, chat.id).is_muted
    assert not stogram_sdk.get_chat_settings(olga.id, chat.id).is_muted
    for _ in range(2):
        assert not stogram_sdk.unmute_chat(ivan.id, chat.id).is_muted


def test_a_favorite_is_set_and_toggled(ivan: User, chat: Chat) -> None:
    assert not stogram_sdk.set_favorite(ivan.id, chat.id, False).is_favorite
    assert stogram_sdk.set_favorite(ivan.id, chat.id).is_favorite
    for expected in (False, True, False):
        assert stogram_sdk.toggle_favorite(ivan.id, chat.id).is_favorite is expected
        assert stogram_sdk.get_chat_settings(ivan.id, chat.id).is_favorite is expected


def test_all_chats_are_unmuted_at_once(ivan: User) -> None:
    chats = [make_chat(ivan) for _ in range(4)]
    for chat in chats[:3]:
        stogram_sdk.mute_chat(ivan.id, chat.id)
    other = make_user()
    stogram_sdk.mute_chat(other.id, make_chat(other).id)
    with statements(1):
        assert stogram_sdk.unmute_all_chats(ivan.id) == 3
    assert stogram_sdk.unmute_all_chats(ivan.id) == 0
    assert [row.user_id for row in ChatSettings.select().where(ChatSettings.is_muted)] == [other.id]


def test_nothing_is_set_for_a_chat_that_the_user_has_left(ivan: User, chat: Chat) -> None:
    stogram_sdk.mute_chat(ivan.id, chat.id)
    stogram_sdk.leave_chat(ivan.id, chat.id)
    for call in (
        stogram_sdk.get_chat_settings,
        stogram_sdk.mute_chat,
        stogram_sdk.unmute_chat,
        stogram_sdk.set_favorite,
        stogram_sdk.toggle_favorite,
    ):
        with pytest.raises(NotFound) as error:
            call(ivan.id, chat.id)
        assert (error.value.entity, error.value.id) == ("chat", chat.id)

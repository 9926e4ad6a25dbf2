"""What a user sets for a chat. Unread counts are in test_unread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from tests.support.contract import undone
from tests.support.factories import LONG_AGO, make_chat, make_message, make_user, statements

pytestmark = pytest.mark.usefixtures("engine")


def test_a_chat_has_defaults_that_are_not_stored(ivan: sdk.User, chat: sdk.Chat) -> None:
    with statements(1):
        settings = sdk.get_chat_settings(ivan.id, chat.id)
    assert (settings.user_id, settings.chat_id) == (ivan.id, chat.id)
    assert (settings.is_muted, settings.is_favorite, settings.folder_id) == (False, False, None)
    assert (settings.unread_count, settings.last_read_message_id) == (0, None)
    assert sdk.ChatSettings.select().count() == 0


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        (sdk.mute_chat, "is_muted", True),
        (sdk.unmute_chat, "is_muted", False),
        (sdk.set_favorite, "is_favorite", True),
        (sdk.toggle_favorite, "is_favorite", True),
    ],
)
def test_a_change_returns_the_row_and_touches_nothing_else(
    ivan: sdk.User,
    chat: sdk.Chat,
    change: Callable[[str, str], sdk.ChatSettings],
    field: str,
    value: bool,
) -> None:
    folder = sdk.create_folder(ivan.id, "folder")
    sdk.move_to_folder(ivan.id, chat.id, folder.id)
    sdk.ChatSettings.update(
        {
            **{"unread_count": 3, "last_read_message_id": "x", "updated_at": LONG_AGO},
            **{field: not value},
        }
    ).execute()
    before = sdk.ChatSettings.get().__data__
    changed = change(ivan.id, chat.id)
    stored = sdk.ChatSettings.get().__data__
    assert stored == before | {field: value}
    assert changed.__data__ == stored | {"unread_count": 0}, "the server's count is not shown"


def test_muting_is_for_oneself_and_can_be_repeated(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    for _ in range(2):
        assert sdk.mute_chat(ivan.id, chat.id).is_muted
    assert not sdk.get_chat_settings(olga.id, chat.id).is_muted
    for _ in range(2):
        assert not sdk.unmute_chat(ivan.id, chat.id).is_muted


def test_a_favorite_is_set_and_toggled(ivan: sdk.User, chat: sdk.Chat) -> None:
    assert not sdk.set_favorite(ivan.id, chat.id, False).is_favorite
    assert sdk.set_favorite(ivan.id, chat.id).is_favorite
    for expected in (False, True, False):
        assert sdk.toggle_favorite(ivan.id, chat.id).is_favorite is expected
        assert sdk.get_chat_settings(ivan.id, chat.id).is_favorite is expected


def test_all_chats_are_unmuted_at_once(ivan: sdk.User) -> None:
    chats = [make_chat(ivan) for _ in range(4)]
    for chat in chats[:3]:
        sdk.mute_chat(ivan.id, chat.id)
    other = make_user()
    sdk.mute_chat(other.id, make_chat(other).id)
    with statements(1):
        assert sdk.unmute_all_chats(ivan.id) == 3
    assert sdk.unmute_all_chats(ivan.id) == 0
    assert [row.user_id for row in sdk.ChatSettings.select().where(sdk.ChatSettings.is_muted)] == [
        other.id
    ]


def test_nothing_is_set_for_a_chat_that_the_user_has_left(ivan: sdk.User, chat: sdk.Chat) -> None:
    sdk.mute_chat(ivan.id, chat.id)
    sdk.leave_chat(ivan.id, chat.id)
    for call in (
        sdk.get_chat_settings,
        sdk.mute_chat,
        sdk.unmute_chat,
        sdk.set_favorite,
        sdk.toggle_favorite,
    ):
        with pytest.raises(sdk.NotFound) as error:
            call(ivan.id, chat.id)
        assert (error.value.entity, error.value.id) == ("chat", chat.id)


_REFUSES_IDS_OF_ROWS = """
CREATE FUNCTION pg_temp.refuse_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM "ChatSettings" WHERE id = NEW.id) THEN
        RAISE EXCEPTION 'the id of a row that is there';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_id BEFORE INSERT ON "ChatSettings"
    FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse_id()
"""


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_no_change_inserts_the_id_of_a_row_that_is_there(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    """ON CONFLICT looks for the chat and user, and may miss a row that is being moved just then."""
    folder = sdk.create_folder(ivan.id, "folder")
    old = make_message(olga, chat)
    changes: list[Callable[[], object]] = [
        partial(sdk.mark_read, ivan.id, chat.id, old.id),
        partial(sdk.mark_read, ivan.id, chat.id),
        partial(sdk.mute_chat, ivan.id, chat.id),
        partial(sdk.unmute_chat, ivan.id, chat.id),
        partial(sdk.toggle_favorite, ivan.id, chat.id),
        partial(sdk.set_favorite, ivan.id, chat.id, False),
        partial(sdk.move_to_folder, ivan.id, chat.id, folder.id),
    ]
    sdk.mute_chat(ivan.id, chat.id)
    with undone():
        current_database().execute_sql(_REFUSES_IDS_OF_ROWS)
        for change in changes:
            make_message(olga, chat)
            change()

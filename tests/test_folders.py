"""Folders: whose they are, their order, and the chats in them."""

from __future__ import annotations

from functools import partial

import pytest

import stogram_sdk
from stogram_sdk import Chat, ChatSettings, Folder, InvalidInput, NotFound, User
from tests.factories import make_chat, make_message, statements

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def folder(ivan: User) -> Folder:
    return stogram_sdk.create_folder(ivan.id, "Работа")


@pytest.fixture
def theirs(olga: User) -> Folder:
    return stogram_sdk.create_folder(olga.id, "hers")


def shape(user: User) -> list[tuple[str, list[str], int]]:
    """The user's folders: name, ids of chats, unread."""
    return [
        (row.folder.name, [chat.id for chat in row.chats], row.unread_count)
        for row in stogram_sdk.list_folders(user.id)
    ]


# --- Making and changing ---


def test_a_folder_has_a_color_and_an_icon_unless_none_is_wanted(ivan: User) -> None:
    made = stogram_sdk.create_folder(ivan.id, "a")
    assert (made.name, made.color, made.icon, made.user_id) == ("a", "#0088cc", "Folder", ivan.id)
    plain = stogram_sdk.create_folder(ivan.id, "b", color=None, icon=None)
    assert (plain.color, plain.icon) == (None, None)
    own = stogram_sdk.create_folder(ivan.id, "c", color="#FFaa00", icon="🏠")
    assert (own.color, own.icon) == ("#FFaa00", "🏠")
    assert [Folder.get_by_id(row.id).__data__ for row in (made, plain, own)] == [
        made.__data__,
        plain.__data__,
        own.__data__,
    ]


def test_a_new_folder_is_the_last_of_its_user(ivan: User, theirs: Folder) -> None:
    made = [stogram_sdk.create_folder(ivan.id, name) for name in "abc"]
    assert [folder.order for folder in made] == [0, 1, 2]
    stogram_sdk.delete_folder(ivan.id, made[0].id)
    assert stogram_sdk.create_folder(ivan.id, "d").order == 3
    assert [name for name, *_ in shape(ivan)] == ["b", "c", "d"]


def test_two_folders_may_have_one_name(ivan: User) -> None:
    one, other = (stogram_sdk.create_folder(ivan.id, "same") for _ in range(2))
    assert one.id != other.id


@pytest.mark.parametrize("name", ["x", "я" * 64, " a ", "👩‍👩‍👧‍👦"])
def test_a_name_has_one_to_64_characters(ivan: User, name: str) -> None:
    assert stogram_sdk.create_folder(ivan.id, name).name == name


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028"])
def test_a_name_is_one_line(ivan: User, folder: Folder, line_break: str) -> None:
    for name in (f"a{line_break}b", f"a{line_break}", f"{line_break}a"):
        with pytest.raises(InvalidInput, match="line"):
            stogram_sdk.create_folder(ivan.id, name)
        with pytest.raises(InvalidInput, match="line"):
            stogram_sdk.update_folder(ivan.id, folder.id, name=name)


def test_a_folder_needs_a_user() -> None:
    with pytest.raises(NotFound, match="no such user"):
        stogram_sdk.create_folder("nobody", "a")


def test_what_is_not_given_stays_and_none_clears(ivan: User, folder: Folder) -> None:
    changed = stogram_sdk.update_folder(ivan.id, folder.id, name="Дом")
    assert (changed.name, changed.color, changed.icon) == ("Дом", "#0088cc", "Folder")
    changed = stogram_sdk.update_folder(ivan.id, folder.id, color=None)
    assert (changed.name, changed.color, changed.icon) == ("Дом", None, "Folder")
    changed = stogram_sdk.update_folder(ivan.id, folder.id, color="#123456", icon=None)
    assert (changed.name, changed.color, changed.icon) == ("Дом", "#123456", None)
    assert stogram_sdk.update_folder(ivan.id, folder.id).__data__ | {"updated_at": 0} == (
        changed.__data__ | {"updated_at": 0}
    )


# --- Order ---


def test_folders_are_put_in_the_order_given(ivan: User, theirs: Folder) -> None:
    ids = [stogram_sdk.create_folder(ivan.id, name).id for name in "abcd"]
    wanted = [ids[2], ids[0], ids[3], ids[1]]
    for _ in range(2):
        folders = stogram_sdk.reorder_folders(ivan.id, wanted)
        assert [folder.id for folder in folders] == wanted
        assert [folder.order for folder in folders] == [0, 1, 2, 3]
        assert [name for name, *_ in shape(ivan)] == ["c", "a", "d", "b"]
    assert Folder.get_by_id(theirs.id).order == 0
    assert stogram_sdk.create_folder(ivan.id, "e").order == 4


def test_an_order_names_exactly_the_folders_of_the_user(ivan: User, theirs: Folder) -> None:
    a, b = (stogram_sdk.create_folder(ivan.id, name).id for name in "ab")
    for ids in ([a], [a, b, theirs.id], [a, b, "nothing"], [a, a], [a, b, b], [], [theirs.id, a]):
        with stogram_sdk.transaction():
            with pytest.raises(InvalidInput) as error:
                stogram_sdk.reorder_folders(ivan.id, ids)
            assert error.value.field == "folder_ids"
            assert theirs.id not in str(error.value)
    assert [name for name, *_ in shape(ivan)] == ["a", "b"]
    assert stogram_sdk.reorder_folders("nobody", []) == []


# --- Chats in folders ---


def test_a_chat_is_in_one_folder_or_none(ivan: User, chat: Chat, folder: Folder) -> None:
    other = stogram_sdk.create_folder(ivan.id, "Дом")
    assert stogram_sdk.move_to_folder(ivan.id, chat.id, folder.id).folder_id == folder.id
    assert stogram_sdk.move_to_folder(ivan.id, chat.id, other.id).folder_id == other.id
    assert shape(ivan) == [("Работа", [], 0), ("Дом", [chat.id], 0)]
    assert stogram_sdk.move_to_folder(ivan.id, chat.id, None).folder_id is None
    assert shape(ivan) == [("Работа", [], 0), ("Дом", [], 0)]


def test_a_chat_is_taken_out_of_its_folder_once(ivan: User, chat: Chat, folder: Folder) -> None:
    assert stogram_sdk.remove_from_folder(ivan.id, chat.id) is False
    stogram_sdk.move_to_folder(ivan.id, chat.id, folder.id)
    assert stogram_sdk.remove_from_folder(ivan.id, chat.id) is True
    assert stogram_sdk.remove_from_folder(ivan.id, chat.id) is False
    assert stogram_sdk.get_chat_settings(ivan.id, chat.id).folder_id is None


def test_the_folders_of_the_two_in_a_chat_are_their_own(
    ivan: User, olga: User, chat: Chat, folder: Folder, theirs: Folder
) -> None:
    stogram_sdk.move_to_folder(ivan.id, chat.id, folder.id)
    stogram_sdk.move_to_folder(olga.id, chat.id, theirs.id)
    assert shape(ivan) == [("Работа", [chat.id], 0)]
    assert shape(olga) == [("hers", [chat.id], 0)]


def test_the_chats_of_a_deleted_folder_stay(ivan: User, chat: Chat, folder: Folder) -> None:
    stogram_sdk.mute_chat(ivan.id, chat.id)
    stogram_sdk.move_to_folder(ivan.id, chat.id, folder.id)
    assert stogram_sdk.delete_folder(ivan.id, folder.id) is True
    assert stogram_sdk.delete_folder(ivan.id, folder.id) is False
    settings = stogram_sdk.get_chat_settings(ivan.id, chat.id)
    assert (settings.folder_id, settings.is_muted) == (None, True)
    assert len(stogram_sdk.list_chats(ivan.id)) == 1


def test_the_folder_of_somebody_else_is_as_one_that_is_not_there(
    ivan: User, chat: Chat, theirs: Folder
) -> None:
    texts = []
    for folder_id in (theirs.id, "nothing"):
        for call in (
            partial(stogram_sdk.move_to_folder, ivan.id, chat.id, folder_id),
            partial(stogram_sdk.update_folder, ivan.id, folder_id, name="mine"),
            partial(stogram_sdk.list_chats, ivan.id, folder_id=folder_id),
        ):
            with pytest.raises(NotFound) as error:
                call()
            assert (error.value.entity, error.value.id) == ("folder", folder_id)
            texts.append(str(error.value).replace(folder_id, "ID"))
        assert stogram_sdk.delete_folder(ivan.id, folder_id) is False
    assert len(set(texts)) == 1
    assert ChatSettings.select().count() == 0
    assert Folder.get_by_id(theirs.id).name == "hers"


def test_a_folder_that_another_program_gave_to_a_stranger_shows_nothing(
    ivan: User, chat: Chat, theirs: Folder
) -> None:
    """The server takes any folder id."""
    stogram_sdk.mute_chat(ivan.id, chat.id)
    ChatSettings.update(folder=theirs).execute()
    assert stogram_sdk.list_folders(theirs.user_id)[0].chats == []
    with pytest.raises(NotFound, match="no such folder"):
        stogram_sdk.list_chats(ivan.id, folder_id=theirs.id)


def test_folders_are_listed_with_chats_and_unread_messages_in_one_statement(
    ivan: User, olga: User, folder: Folder
) -> None:
    stogram_sdk.create_folder(ivan.id, "empty")
    chats = [make_chat(olga, ivan) for _ in range(3)]
    for number, chat in enumerate(chats):
        stogram_sdk.move_to_folder(ivan.id, chat.id, folder.id)
        for _ in range(number):
            make_message(olga, chat)
    with statements(1):
        listed = shape(ivan)
    ids = [chat.id for chat in sorted(chats, key=lambda chat: (chat.created_at, chat.id))]
    assert listed == [("Работа", ids, 3), ("empty", [], 0)]
    stogram_sdk.leave_chat(ivan.id, chats[2].id)
    ids.remove(chats[2].id)
    assert shape(ivan) == [("Работа", ids, 1), ("empty", [], 0)]

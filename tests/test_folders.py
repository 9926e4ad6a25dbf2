"""Folders: whose they are, their order, and the chats in them."""

from __future__ import annotations

from functools import partial

import pytest

import stogram_sdk as sdk
from tests.support.factories import make_chat, make_message, statements

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def folder(ivan: sdk.User) -> sdk.Folder:
    return sdk.create_folder(ivan.id, "Работа")


@pytest.fixture
def theirs(olga: sdk.User) -> sdk.Folder:
    return sdk.create_folder(olga.id, "hers")


def shape(user: sdk.User) -> list[tuple[str, list[str], int]]:
    """The user's folders: name, ids of chats, unread."""
    return [
        (row.folder.name, [chat.id for chat in row.chats], row.unread_count)
        for row in sdk.list_folders(user.id)
    ]


# --- Making and changing ---


def test_a_folder_has_a_color_and_an_icon_unless_none_is_wanted(ivan: sdk.User) -> None:
    made = sdk.create_folder(ivan.id, "a")
    assert (made.name, made.color, made.icon, made.user_id) == ("a", "#0088cc", "Folder", ivan.id)
    plain = sdk.create_folder(ivan.id, "b", color=None, icon=None)
    assert (plain.color, plain.icon) == (None, None)
    own = sdk.create_folder(ivan.id, "c", color="#FFaa00", icon="🏠")
    assert (own.color, own.icon) == ("#FFaa00", "🏠")
    assert [sdk.Folder.get_by_id(row.id).__data__ for row in (made, plain, own)] == [
        made.__data__,
        plain.__data__,
        own.__data__,
    ]


def test_a_new_folder_is_the_last_of_its_user(ivan: sdk.User, theirs: sdk.Folder) -> None:
    made = [sdk.create_folder(ivan.id, name) for name in "abc"]
    assert [folder.order for folder in made] == [0, 1, 2]
    sdk.delete_folder(ivan.id, made[0].id)
    assert sdk.create_folder(ivan.id, "d").order == 3
    assert [name for name, *_ in shape(ivan)] == ["b", "c", "d"]


def test_after_the_highest_number_that_there_is_come_others(ivan: sdk.User) -> None:
    """Another program may have set it."""
    first = sdk.create_folder(ivan.id, "First")
    sdk.Folder.update(order=2**31 - 1).where(sdk.Folder.id == first.id).execute()
    second = sdk.create_folder(ivan.id, "Second")
    assert second.order == 2**31 - 1
    assert [row.order for row in sdk.reorder_folders(ivan.id, [first.id, second.id])] == [0, 1]
    assert sdk.create_folder(ivan.id, "Third").order == 2


def test_two_folders_may_have_one_name(ivan: sdk.User) -> None:
    one, other = (sdk.create_folder(ivan.id, "same") for _ in range(2))
    assert one.id != other.id


@pytest.mark.parametrize("name", ["x", "я" * 64, " a ", "👩‍👩‍👧‍👦"])
def test_a_name_has_one_to_64_characters(ivan: sdk.User, name: str) -> None:
    assert sdk.create_folder(ivan.id, name).name == name


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028"])
def test_a_name_is_one_line(ivan: sdk.User, folder: sdk.Folder, line_break: str) -> None:
    for name in (f"a{line_break}b", f"a{line_break}", f"{line_break}a"):
        with pytest.raises(sdk.InvalidInput, match="line"):
            sdk.create_folder(ivan.id, name)
        with pytest.raises(sdk.InvalidInput, match="line"):
            sdk.update_folder(ivan.id, folder.id, name=name)


def test_a_folder_needs_a_user() -> None:
    with pytest.raises(sdk.NotFound, match="no such user"):
        sdk.create_folder("nobody", "a")


def test_what_is_not_given_stays_and_none_clears(ivan: sdk.User, folder: sdk.Folder) -> None:
    changed = sdk.update_folder(ivan.id, folder.id, name="Дом")
    assert (changed.name, changed.color, changed.icon) == ("Дом", "#0088cc", "Folder")
    changed = sdk.update_folder(ivan.id, folder.id, color=None)
    assert (changed.name, changed.color, changed.icon) == ("Дом", None, "Folder")
    changed = sdk.update_folder(ivan.id, folder.id, color="#123456", icon=None)
    assert (changed.name, changed.color, changed.icon) == ("Дом", "#123456", None)
    assert sdk.update_folder(ivan.id, folder.id).__data__ | {"updated_at": 0} == (
        changed.__data__ | {"updated_at": 0}
    )


# --- Order ---


def test_folders_are_put_in_the_order_given(ivan: sdk.User, theirs: sdk.Folder) -> None:
    ids = [sdk.create_folder(ivan.id, name).id for name in "abcd"]
    wanted = [ids[2], ids[0], ids[3], ids[1]]
    for _ in range(2):
        folders = sdk.reorder_folders(ivan.id, wanted)
        assert [folder.id for folder in folders] == wanted
        assert [folder.order for folder in folders] == [0, 1, 2, 3]
        assert [name for name, *_ in shape(ivan)] == ["c", "a", "d", "b"]
    assert sdk.Folder.get_by_id(theirs.id).order == 0
    assert sdk.create_folder(ivan.id, "e").order == 4


def test_an_order_names_exactly_the_folders_of_the_user(ivan: sdk.User, theirs: sdk.Folder) -> None:
    a, b = (sdk.create_folder(ivan.id, name).id for name in "ab")
    for ids in ([a], [a, b, theirs.id], [a, b, "nothing"], [a, a], [a, b, b], [], [theirs.id, a]):
        with sdk.transaction():
            with pytest.raises(sdk.InvalidInput) as error:
                sdk.reorder_folders(ivan.id, ids)
            assert error.value.field == "folder_ids"
            assert theirs.id not in str(error.value)
    assert [name for name, *_ in shape(ivan)] == ["a", "b"]
    assert sdk.reorder_folders("nobody", []) == []


# --- Chats in folders ---


def test_a_chat_is_in_one_folder_or_none(
    ivan: sdk.User, chat: sdk.Chat, folder: sdk.Folder
) -> None:
    other = sdk.create_folder(ivan.id, "Дом")
    assert sdk.move_to_folder(ivan.id, chat.id, folder.id).folder_id == folder.id
    assert sdk.move_to_folder(ivan.id, chat.id, other.id).folder_id == other.id
    assert shape(ivan) == [("Работа", [], 0), ("Дом", [chat.id], 0)]
    assert sdk.move_to_folder(ivan.id, chat.id, None).folder_id is None
    assert shape(ivan) == [("Работа", [], 0), ("Дом", [], 0)]


def test_a_chat_is_taken_out_of_its_folder_once(
    ivan: sdk.User, chat: sdk.Chat, folder: sdk.Folder
) -> None:
    assert sdk.remove_from_folder(ivan.id, chat.id) is False
    sdk.move_to_folder(ivan.id, chat.id, folder.id)
    assert sdk.remove_from_folder(ivan.id, chat.id) is True
    assert sdk.remove_from_folder(ivan.id, chat.id) is False
    assert sdk.get_chat_settings(ivan.id, chat.id).folder_id is None


def test_the_folders_of_the_two_in_a_chat_are_their_own(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, folder: sdk.Folder, theirs: sdk.Folder
) -> None:
    sdk.move_to_folder(ivan.id, chat.id, folder.id)
    sdk.move_to_folder(olga.id, chat.id, theirs.id)
    assert shape(ivan) == [("Работа", [chat.id], 0)]
    assert shape(olga) == [("hers", [chat.id], 0)]


def test_the_chats_of_a_deleted_folder_stay(
    ivan: sdk.User, chat: sdk.Chat, folder: sdk.Folder
) -> None:
    sdk.mute_chat(ivan.id, chat.id)
    sdk.move_to_folder(ivan.id, chat.id, folder.id)
    assert sdk.delete_folder(ivan.id, folder.id) is True
    assert sdk.delete_folder(ivan.id, folder.id) is False
    settings = sdk.get_chat_settings(ivan.id, chat.id)
    assert (settings.folder_id, settings.is_muted) == (None, True)
    assert len(sdk.list_chats(ivan.id)) == 1


def test_the_folder_of_somebody_else_is_as_one_that_is_not_there(
    ivan: sdk.User, chat: sdk.Chat, theirs: sdk.Folder
) -> None:
    texts = []
    for folder_id in (theirs.id, "nothing"):
        for call in (
            partial(sdk.move_to_folder, ivan.id, chat.id, folder_id),
            partial(sdk.update_folder, ivan.id, folder_id, name="mine"),
            partial(sdk.list_chats, ivan.id, folder_id=folder_id),
        ):
            with pytest.raises(sdk.NotFound) as error:
                call()
            assert (error.value.entity, error.value.id) == ("folder", folder_id)
            texts.append(str(error.value).replace(folder_id, "ID"))
        assert sdk.delete_folder(ivan.id, folder_id) is False
    assert len(set(texts)) == 1
    assert sdk.ChatSettings.select().count() == 0
    assert sdk.Folder.get_by_id(theirs.id).name == "hers"


def test_a_folder_that_another_program_gave_to_a_stranger_shows_nothing(
    ivan: sdk.User, chat: sdk.Chat, theirs: sdk.Folder
) -> None:
    """The server takes any folder id."""
    sdk.mute_chat(ivan.id, chat.id)
    sdk.ChatSettings.update(folder=theirs).execute()
    assert sdk.list_folders(theirs.user_id)[0].chats == []
    with pytest.raises(sdk.NotFound, match="no such folder"):
        sdk.list_chats(ivan.id, folder_id=theirs.id)


def test_folders_are_listed_with_chats_and_unread_messages_in_one_statement(
    ivan: sdk.User, olga: sdk.User, folder: sdk.Folder
) -> None:
    sdk.create_folder(ivan.id, "empty")
    chats = [make_chat(olga, ivan) for _ in range(3)]
    for number, chat in enumerate(chats):
        sdk.move_to_folder(ivan.id, chat.id, folder.id)
        for _ in range(number):
            make_message(olga, chat)
    with statements(1):
        listed = shape(ivan)
    ids = [chat.id for chat in sorted(chats, key=lambda chat: (chat.created_at, chat.id))]
    assert listed == [("Работа", ids, 3), ("empty", [], 0)]
    sdk.leave_chat(ivan.id, chats[2].id)
    ids.remove(chats[2].id)
    assert shape(ivan) == [("Работа", ids, 1), ("empty", [], 0)]

"""Folders, in which each user keeps their own chats in order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from peewee import JOIN, SQL, Case, ModelSelect, Query, fn

from stogram_sdk.chat_settings import change_settings, own_settings, set_settings
from stogram_sdk.database import current_time
from stogram_sdk.errors import InvalidInput, NotFound
from stogram_sdk.lookups import look_up
from stogram_sdk.membership import require_member
from stogram_sdk.models import Chat, ChatMember, ChatSettings, Folder, User, new_id
from stogram_sdk.operations import operation
from stogram_sdk.ordering import folder_lock, settings_lock, user_lock
from stogram_sdk.rows import all_of
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.unread import read_place, unread_after
from stogram_sdk.validation import (
    MAX_INTEGER,
    UNSET,
    Unset,
    valid_id,
    valid_ids,
    valid_named_ids,
    valid_optional_text,
    valid_text,
)
from stogram_sdk.visibility import is_member

MAX_NAME_LENGTH = 64
_COLOR = r"#[0-9a-fA-F]{6}"


class FolderSummary(NamedTuple):
    """A folder with its chats, and the number of unread messages in them."""

    folder: Folder
    chats: list[Chat]
    unread_count: int


def _owner_lock() -> Any:
    """The lock on the user's row, so that two calls do not give two folders the same place."""
    return user_lock(User.id == P.user_id)


def own_folder() -> ModelSelect[Folder]:
    """The folder, if it is the user's."""
    return Folder.select(Folder.id).where(*_is_own_folder())


def _is_own_folder() -> tuple[Any, Any]:
    return Folder.id == P.folder_id, Folder.user == P.user_id


@statement
def _create_folder() -> Any:
    own = Folder.alias()
    last = fn.COALESCE(fn.MAX(own.order), -1)
    # Where another program has given out the last number, two folders have it.
    following = Case(None, [(last < MAX_INTEGER, last + 1)], MAX_INTEGER)
    columns = {
        Folder.id: P.id,
        Folder.user: User.id,
        Folder.name: P.name,
        Folder.color: P.color,
        Folder.icon: P.icon,
        Folder.order: own.select(following).where(own.user == User.id),
        Folder.created_at: P.now,
        Folder.updated_at: P.now,
    }
    new = User.select(*columns.values()).where(User.id == P.user_id)
    return after_locking(Folder.insert_from(new, list(columns)).returning(Folder), _owner_lock())


@statement
def _update_folder(name: bool = False, color: bool = False, icon: bool = False) -> Query:
    given: dict[Any, bool] = {Folder.name: name, Folder.color: color, Folder.icon: icon}
    changes = {column: getattr(P, column.name) for column, is_given in given.items() if is_given}
    return (
        Folder.update(changes | {Folder.updated_at: P.now})
        .where(Folder.id == P.folder_id, Folder.user == P.user_id)
        .returning(Folder)
    )


@statement
def _folders() -> Query:
    return Folder.select().where(Folder.user == P.user_id)


@statement
def _reorder_folders() -> Any:
    """Write the order of all folders of the user, or nothing if the ids are not those of all."""
    given = dialect().given(id=P.folder_ids, order=P.orders)
    own = Folder.alias()
    unnamed = own.select(own.id).where(
        own.user == P.user_id, ~dialect().is_one_of(own.id, P.folder_ids)
    )
    named = own.select(fn.COUNT(own.id)).where(
        own.user == P.user_id, dialect().is_one_of(own.id, P.folder_ids)
    )
    reorder = (
        Folder.update(
            {Folder.order: SQL('given."order"').cast("INTEGER"), Folder.updated_at: P.now}
        )
        .from_(given)
        .where(
            Folder.id == SQL('given."id"'),
            Folder.user == P.user_id,
            ~fn.EXISTS(unnamed),
            named == P.count,
        )
        .returning(Folder)
    )
    return after_locking(reorder, _owner_lock())


@statement
def _delete_folder() -> Any:
    # The server may have put a chat of somebody else into it.
    chats = settings_lock(ChatSettings.folder.in_(own_folder()), in_one_chat=False)
    delete = Folder.delete().where(*_is_own_folder())
    return after_locking(delete, folder_lock(*_is_own_folder()), chats)


@statement
def _has_folder() -> Query:
    return own_folder()


@statement
def _list_folders() -> Any:
    filed = ChatSettings.select().where(
        ChatSettings.user == P.user_id, ChatSettings.folder.is_null(False)
    )
    filed, member = look_up(filed, ChatSettings, ChatMember)
    unread = unread_after(
        read_place(ChatSettings, ChatSettings.chat), P.user_id, ChatSettings.chat, member.joined_at
    )
    filed = (
        filed.join_from(ChatSettings, Chat, on=(Chat.id == ChatSettings.chat))
        .select(*Chat._meta.sorted_fields, ChatSettings.folder, unread.alias("unread"))
        .where(member.id.is_null(False))
        .cte("filed", materialized=True)
    )
    chat = Chat.alias("filed")
    return (
        Folder.select(*Folder._meta.sorted_fields, *all_of(Chat, chat), filed.c.unread)
        .join(filed, JOIN.LEFT_OUTER, on=(filed.c.folderId == Folder.id))
        .where(Folder.user == P.user_id)
        .order_by(Folder.order, Folder.id, chat.created_at, chat.id)
        .with_cte(filed)
    )


@statement
def _move_to_folder() -> Any:
    change = set_settings({ChatSettings.folder: P.folder_id}, fn.EXISTS(own_folder()))
    is_there = own_settings().where(ChatSettings.folder == P.folder_id)
    return after_locking(change, folder_lock(*_is_own_folder(), ~fn.EXISTS(is_there)))


@statement
def _take_out_of_folder() -> Any:
    return set_settings({ChatSettings.folder: None})


@statement
def _remove_from_folder() -> Query:
    return ChatSettings.update({ChatSettings.folder: None}).where(
        ChatSettings.user == P.user_id,
        ChatSettings.chat == P.chat_id,
        ChatSettings.folder.is_null(False),
        is_member(P.user_id, P.chat_id),
    )


@operation(repeatable=False)
def create_folder(
    user_id: str, name: str, *, color: str | None = "#0088cc", icon: str | None = "Folder"
) -> Folder:
    """Make a folder, the last in the user's order. Returns the row.

    A name has 1 to 64 characters without line breaks, a color is `#rrggbb`. Raises `NotFound` for
    an unknown user, `InvalidInput`.

    >>> folder = create_folder(anna.id, "Work", color="#22aa55")
    >>> folder.name, folder.order
    ('Work', 0)
    """
    folder: Folder | None = _create_folder.first(
        id=new_id(),
        user_id=valid_id(user_id, "user_id"),
        name=valid_folder_name(name),
        color=_valid_color(color),
        icon=_valid_icon(icon),
        now=current_time(),
    )
    if folder is None:
        raise NotFound("user", user_id)
    return folder


@operation
def update_folder(
    user_id: str,
    folder_id: str,
    *,
    name: str | Unset = UNSET,
    color: str | Unset | None = UNSET,
    icon: str | Unset | None = UNSET,
) -> Folder:
    """Change a folder; what is not given stays, None clears color and icon. Returns the row.

    Raises `NotFound` for a folder that is not the user's, `InvalidInput`.

    >>> folder = create_folder(anna.id, "Work")
    >>> update_folder(anna.id, folder.id, name="Office").name
    'Office'
    """
    valid_id(user_id, "user_id")
    valid_id(folder_id, "folder_id")
    given: dict[str, str | None] = {}
    if name is not UNSET:
        given["name"] = valid_folder_name(name)
    if color is not UNSET:
        given["color"] = _valid_color(color)
    if icon is not UNSET:
        given["icon"] = _valid_icon(icon)
    folder: Folder | None = _update_folder.variant(**dict.fromkeys(given, True)).first(
        user_id=user_id, folder_id=folder_id, now=current_time(), **given
    )
    if folder is None:
        raise NotFound("folder", folder_id)
    return folder


@operation
def reorder_folders(user_id: str, folder_ids: Iterable[str]) -> list[Folder]:
    """Put the user's folders in this order, which names each of them once.

    Returns the rows in the new order. Raises `InvalidInput`, also if a folder is missing, twice
    or not the user's.

    >>> first, second = create_folder(anna.id, "Home"), create_folder(anna.id, "Work")
    >>> [folder.name for folder in reorder_folders(anna.id, [second.id, first.id])]
    ['Work', 'Home']
    """
    valid_id(user_id, "user_id")
    ids = valid_ids(folder_ids, "folder_ids", each_once=True)
    values = {
        "user_id": user_id,
        "folder_ids": ids,
        "orders": [str(order) for order in range(len(ids))],
        "count": len(ids),
    }
    while True:
        if changed := _reorder_folders.all(now=current_time(), **values):
            return sorted(changed, key=lambda folder: folder.order)
        folders = _folders.all(user_id=user_id)
        if set(ids) != {folder.id for folder in folders}:
            raise InvalidInput(
                f"folder_ids must name each of the user's {len(folders)} folders",
                field="folder_ids",
            )
        if not ids:
            return []


@operation
def delete_folder(user_id: str, folder_id: str) -> bool:
    """Delete a folder; its chats stay, and are in no folder then.

    Returns whether the user had it. Raises `InvalidInput`.

    >>> folder = create_folder(anna.id, "Work")
    >>> delete_folder(anna.id, folder.id)
    True
    """
    return bool(_delete_folder.run(**valid_named_ids(user_id=user_id, folder_id=folder_id)))


@operation(reads=True)
def list_folders(user_id: str) -> list[FolderSummary]:
    """The user's folders in their order, each with its chats, the oldest first, and its unread
    count.

    Raises `InvalidInput`.

    >>> folder = create_folder(anna.id, "Work")
    >>> [(line.folder.name, line.unread_count) for line in list_folders(anna.id)]
    [('Work', 0)]
    """
    found: dict[str, tuple[Folder, list[Chat], list[int]]] = {}
    for folder, chat, unread in _list_folders.all(user_id=valid_id(user_id, "user_id")):
        _, chats, counts = found.setdefault(folder.id, (folder, [], []))
        if chat is not None:
            chats.append(chat)
            counts.append(unread)
    return [FolderSummary(folder, chats, sum(counts)) for folder, chats, counts in found.values()]


@operation
def move_to_folder(user_id: str, chat_id: str, folder_id: str | None) -> ChatSettings:
    """Move a chat into a folder from the one it was in; None takes it out of its folder.

    Returns the chat's settings. Raises `NotFound` for a chat the user is not in and for a folder
    that is not theirs, `InvalidInput`.

    >>> folder = create_folder(anna.id, "Work")
    >>> move_to_folder(anna.id, chat.id, folder.id).folder_id == folder.id
    True
    """
    pair = valid_named_ids(user_id=user_id, chat_id=chat_id)
    move = _take_out_of_folder
    values: dict[str, str] = {}
    if folder_id is not None:
        move = _move_to_folder
        values["folder_id"] = valid_id(folder_id, "folder_id")
    settings = change_settings(move, **pair, **values)
    if settings is None:
        require_member(**pair)
        raise NotFound("folder", folder_id or "")
    return settings


@operation
def remove_from_folder(user_id: str, chat_id: str) -> bool:
    """Take a chat out of its folder. Returns whether it was in one.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> remove_from_folder(anna.id, chat.id)
    False
    """
    pair = valid_named_ids(user_id=user_id, chat_id=chat_id)
    if _remove_from_folder.run(**pair):
        return True
    require_member(**pair)
    return False


def require_folder(user_id: str, folder_id: str) -> None:
    """Raises `NotFound` for a folder that is not the user's."""
    if _has_folder.first(user_id=user_id, folder_id=folder_id) is None:
        raise NotFound("folder", folder_id)


def valid_folder_name(name: object, field: str = "name") -> str:
    """The name of a folder. Raises `InvalidInput` if it is too long or no single line."""
    text = valid_text(name, field, maximum=MAX_NAME_LENGTH)
    if text.splitlines() != [text] or text.isspace():
        raise InvalidInput(
            f"{field} must be one line that is not blank: no line breaks", field=field
        )
    return text


def _valid_color(color: str | None) -> str | None:
    if color is not None and not re.fullmatch(_COLOR, valid_text(color, "color", maximum=7)):
        raise InvalidInput("color must look like #0088cc", field="color")
    return color


def _valid_icon(icon: str | None) -> str | None:
    return valid_optional_text(icon, "icon", maximum=MAX_NAME_LENGTH)

"""What is measured: the public functions, as the user in many chats or few calls them."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

import stogram_sdk as sdk
from benchmarks.data import (
    BLOCKED,
    CHATS,
    FEW,
    MANY,
    MEMBERS,
    SEARCHED_NAMES,
    SEARCHED_TAGS,
    SEARCHED_WORDS,
    sized_chat,
    user_in_chats,
)
from benchmarks.timing import Call

_CHAT = sized_chat(30)
TAGGED = "hello #popular #tag40"


def prepare() -> None:
    """What the calls find there."""
    for _ in range(60):
        message = sdk.send_message(MANY, _CHAT, "hello")
        sdk.pin_message(MANY, _CHAT, message.id)
    sdk.mute_chat(MANY, _CHAT)


def calls() -> dict[str, Call]:
    """Each call by its name."""
    folder = sdk.create_folder(MANY, "work").id
    message = sdk.list_messages(MANY, _CHAT, limit=1)[0].id
    flags = cycle([True, False])
    return {
        **_settings(folder, message, flags),
        **_writes(message),
        **_changes(folder, message),
        **_lists(message),
        **_searches(),
    }


def _settings(folder: str, message: str, flags: Any) -> dict[str, Call]:
    return {
        "is_blocked": partial(sdk.is_blocked, MANY, FEW),
        "get_chat_settings": partial(sdk.get_chat_settings, MANY, _CHAT),
        "block_user": partial(sdk.block_user, MANY, BLOCKED),
        "mute_chat": partial(sdk.mute_chat, MANY, _CHAT),
        "set_favorite": lambda: sdk.set_favorite(MANY, _CHAT, next(flags)),
        "move_to_folder": partial(sdk.move_to_folder, MANY, _CHAT, folder),
        "pin_message": partial(sdk.pin_message, MANY, _CHAT, message),
        "mark_read": partial(sdk.mark_read, MANY, _CHAT),
    }


def _writes(message: str) -> dict[str, Call]:
    return {
        **{
            f"send_message, {size:,} members": partial(
                sdk.send_message, MANY, sized_chat(size), "hello"
            )
            for size in MEMBERS
        },
        "send_message, tags": partial(sdk.send_message, MANY, _CHAT, TAGGED),
        "edit_message": partial(sdk.edit_message, MANY, _CHAT, message, TAGGED),
        "create_chat, 3 members": partial(
            sdk.create_chat, "user-1", sdk.ChatType.GROUP, member_ids=["user-2", "user-3"]
        ),
    }


def _changes(folder: str, message: str) -> dict[str, Call]:
    """What most often finds that there is nothing left to do."""
    others = [row.folder.id for row in sdk.list_folders(MANY) if row.folder.id != folder]
    deleted = sdk.send_message(MANY, _CHAT, "a slip").id
    return {
        "toggle_favorite": partial(sdk.toggle_favorite, MANY, _CHAT),
        "unmute_chat": partial(sdk.unmute_chat, MANY, _CHAT),
        "unmute_all_chats": partial(sdk.unmute_all_chats, FEW),
        "recount_unread": partial(sdk.recount_unread, MANY, _CHAT),
        "update_folder": partial(sdk.update_folder, MANY, folder, name="at work"),
        "reorder_folders": partial(sdk.reorder_folders, MANY, [folder, *others]),
        "remove_from_folder": partial(sdk.remove_from_folder, MANY, _CHAT),
        "unpin_message": partial(sdk.unpin_message, MANY, _CHAT, deleted),
        "unpin_all_messages": partial(sdk.unpin_all_messages, FEW, _CHAT),
        "unblock_user": partial(sdk.unblock_user, FEW, BLOCKED),
        "update_privacy": partial(sdk.update_privacy, FEW, show_last_seen=True),
        "delete_message": partial(sdk.delete_message, MANY, _CHAT, deleted),
        "open_private_chat": partial(sdk.open_private_chat, MANY, FEW),
    }


def _lists(message: str) -> dict[str, Call]:
    return {
        "list_messages": partial(sdk.list_messages, MANY, _CHAT),
        "list_pinned_messages": partial(sdk.list_pinned_messages, MANY),
        "list_chats, 500 chats": partial(sdk.list_chats, MANY),
        "unread_totals, 500 chats": partial(sdk.unread_totals, MANY),
        "list_folders": partial(sdk.list_folders, MANY),
        "list_members": partial(sdk.list_members, MANY, _CHAT),
        "list_blocked_users": partial(sdk.list_blocked_users, MANY),
        "users_to_notify": partial(sdk.users_to_notify, _CHAT, message),
        "users_to_notify_each, 50": partial(
            sdk.users_to_notify_each, [(_CHAT, row.id) for row in sdk.list_messages(MANY, _CHAT)]
        ),
        "find_user": partial(sdk.find_user, "USER_77"),
        "get_user": partial(sdk.get_user, FEW),
        "get_privacy": partial(sdk.get_privacy, MANY),
        "is_blocked_either": partial(sdk.is_blocked_either, MANY, FEW),
        "blocked_among": partial(sdk.blocked_among, MANY, [FEW, BLOCKED]),
        "visible_profiles": partial(sdk.visible_profiles, MANY, [FEW, BLOCKED]),
        "publish_scheduled, none due": sdk.publish_scheduled,
        **{
            f"list_chats, user in {count:,}": partial(sdk.list_chats, user_in_chats(count))
            for count in CHATS
        },
    }


def _searches() -> dict[str, Call]:
    found: dict[str, Call] = {}
    for user, where in ((MANY, "500 chats"), (FEW, "20 chats")):
        for kind, tag in SEARCHED_TAGS.items():
            found[f"find_by_hashtag, {kind}, {where}"] = partial(sdk.find_by_hashtag, user, tag)
        for kind, name in SEARCHED_NAMES.items():
            found[f"find_by_mention, {kind}, {where}"] = partial(sdk.find_by_mention, user, name)
        found[f"find_by_mention, oneself, {where}"] = partial(sdk.find_by_mention, user)
    for count in CHATS:
        name = f"find_by_hashtag, user in {count:,}"
        found[name] = partial(sdk.find_by_hashtag, user_in_chats(count), SEARCHED_TAGS["popular"])
    for kind, word in SEARCHED_WORDS.items():
        found[f"search_messages, {kind}, 500 chats"] = partial(sdk.search_messages, MANY, word)
    return found

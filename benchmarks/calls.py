"""What is measured: the public functions, as the user in many chats or few calls them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import stogram_sdk as sdk
from benchmarks.data import FEW, MANY, SEARCHED_TAGS, SEARCHED_WORDS

Call = Callable[[], Any]


def calls(chat_id: str, large_chat_id: str, message_id: str) -> dict[str, Call]:
    """Each call by its name; `chat_id` is a group of 30, `message_id` the newest there."""
    folder = sdk.create_folder(MANY, "work")
    numbers = count()
    flags = (n % 2 == 0 for n in numbers)
    some_calls: dict[str, Call] = {
        "is_blocked": lambda: sdk.is_blocked(MANY, FEW),
        "get_chat_settings": lambda: sdk.get_chat_settings(MANY, chat_id),
        "block_user": lambda: sdk.block_user(MANY, "user-9"),
        "mute_chat": lambda: sdk.mute_chat(MANY, chat_id),
        "set_favorite": lambda: sdk.set_favorite(MANY, chat_id, next(flags)),
        "move_to_folder": lambda: sdk.move_to_folder(MANY, chat_id, folder.id),
        "pin_message": lambda: sdk.pin_message(MANY, chat_id, message_id),
        "mark_read": lambda: sdk.mark_read(MANY, chat_id),
        "send_message, 30 members": lambda: sdk.send_message(MANY, chat_id, "hello"),
        "send_message, tags": lambda: sdk.send_message(MANY, chat_id, "hello #popular #tag40"),
        "send_message, 100,000 members": lambda: sdk.send_message(MANY, large_chat_id, "hello"),
        "list_messages": lambda: sdk.list_messages(MANY, chat_id),
        "list_pinned_messages": lambda: sdk.list_pinned_messages(MANY),
        "list_chats, 500": lambda: sdk.list_chats(MANY),
        "list_chats, 20": lambda: sdk.list_chats(FEW),
        "unread_totals, 500": lambda: sdk.unread_totals(MANY),
        "list_folders": lambda: sdk.list_folders(MANY),
        "list_members": lambda: sdk.list_members(MANY, chat_id),
        "users_to_notify": lambda: sdk.users_to_notify(chat_id, message_id),
        "find_user": lambda: sdk.find_user("USER_77"),
        "publish_scheduled, none": lambda: sdk.publish_scheduled(),
    }
    for user, where in ((MANY, "500 chats"), (FEW, "20 chats")):
        for name, tag in SEARCHED_TAGS.items():
            some_calls[f"find_by_hashtag, {name}, {where}"] = lambda user=user, tag=tag: (
                sdk.find_by_hashtag(user, tag)
            )
        some_calls[f"find_by_mention, popular, {where}"] = lambda user=user: sdk.find_by_mention(
            user, "user_1"
        )
    for name, word in SEARCHED_WORDS.items():
        some_calls[f"search_messages, {name}, 500 chats"] = lambda word=word: sdk.search_messages(
            MANY, word
        )
    return some_calls

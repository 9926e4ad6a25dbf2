"""The users to notify of a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import JOIN, SQL, Query, Select, Tuple, fn

from stogram_sdk.models import ChatMember, ChatSettings, Message, MessageTag, User
from stogram_sdk.operations import operation
from stogram_sdk.server_columns import notification_level
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.tags import signed_key
from stogram_sdk.unread import settings_of
from stogram_sdk.validation import valid_id, valid_pairs
from stogram_sdk.visibility import has_blocked, is_visible


def _is_mentioned() -> Any:
    """Whether the message mentions the member."""
    me, tag = User.alias(), MessageTag.alias()
    username = me.select(me.username).where(me.id == ChatMember.user)
    mention = tag.select(tag.tag).where(
        tag.tag == signed_key("@", username),
        tag.chat_id == Message.chat,
        tag.created_at == Message.created_at,
        tag.message_id == Message.id,
    )
    return fn.EXISTS(mention)


@statement
def _users_to_notify(of_each: bool = False) -> Query:
    """The users to notify of one message; `of_each`: of several, each row with the message's id."""
    selected: list[Any] = [ChatMember.user.alias("user_id")]
    is_asked_for = (Message.chat == P.chat_id) & (Message.id == P.message_id)
    if of_each:
        selected.insert(0, Message.id.alias("message_id"))
        given = dialect().given(chatId=P.chat_ids, id=P.message_ids)
        pairs = Select((given,), [SQL('given."chatId"'), SQL("given.id")])
        is_asked_for = Tuple(Message.chat, Message.id).in_(pairs)
    wanted = ~fn.COALESCE(ChatSettings.is_muted, False)
    level = notification_level(ChatSettings)
    if level is not None:
        wanted &= (level == "ALL") | ((level == "MENTIONS") & _is_mentioned())
    return (
        ChatMember.select(*selected)
        .join(Message, on=(Message.chat == ChatMember.chat))
        .join_from(
            ChatMember,
            ChatSettings,
            JOIN.LEFT_OUTER,
            on=settings_of(ChatMember),
        )
        .where(
            is_asked_for,
            is_visible(),
            ~Message.is_silent,
            ChatMember.user != Message.sender,
            ChatMember.joined_at <= Message.created_at,
            wanted,
            ~has_blocked(ChatMember.user, Message.sender),
        )
        .order_by(ChatMember.user)
    )


@operation
def users_to_notify(chat_id: str, message_id: str) -> list[str]:
    """The ids of the users to notify of a new message, in the order of the ids.

    They are the members who had joined by then, without the sender and without members who have
    muted the chat or blocked the sender. On later servers the member's level of notification
    counts too. The list is empty for a message that is silent, deleted, not sent yet or not in
    this chat. Raises `InvalidInput`.
    """
    user_ids: list[str] = _users_to_notify.all(
        chat_id=valid_id(chat_id, "chat_id"), message_id=valid_id(message_id, "message_id")
    )
    return user_ids


@operation
def users_to_notify_each(messages: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The result of `users_to_notify` for each of several messages, by the ids of the messages.

    `messages` are pairs `(chat_id, message_id)`. The result has a key for each of them, in the
    same order, also if nobody is notified. Raises `InvalidInput`, also for more than 1,000 pairs.
    """
    pairs = valid_pairs(messages, "messages")
    user_ids: dict[str, list[str]] = {message_id: [] for _, message_id in pairs}
    rows = _users_to_notify.variant(of_each=True).all(
        chat_ids=[chat_id for chat_id, _ in pairs], message_ids=[id for _, id in pairs]
    )
    for message_id, user_id in rows:
        user_ids[message_id].append(user_id)
    return user_ids

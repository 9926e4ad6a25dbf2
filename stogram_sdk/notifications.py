"""Whom to notify of a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import JOIN, SQL, Query, Select, Tuple, fn

from stogram_sdk.models import ChatMember, ChatSettings, Message
from stogram_sdk.operations import operation
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.validation import valid_id, valid_pairs
from stogram_sdk.visibility import has_blocked, is_visible


@statement
def _users_to_notify(of_each: bool = False) -> Query:
    """The users of a message; `of_each`: of all that are given, each after the message's id."""
    selected: list[Any] = [ChatMember.user.alias("user_id")]
    is_asked_for = (Message.chat == P.chat_id) & (Message.id == P.message_id)
    if of_each:
        selected.insert(0, Message.id.alias("message_id"))
        given = dialect().given(chatId=P.chat_ids, id=P.message_ids)
        pairs = Select((given,), [SQL('given."chatId"'), SQL("given.id")])
        is_asked_for = Tuple(Message.chat, Message.id).in_(pairs)
    return (
        ChatMember.select(*selected)
        .join(Message, on=(Message.chat == ChatMember.chat))
        .join_from(
            ChatMember,
            ChatSettings,
            JOIN.LEFT_OUTER,
            on=((ChatSettings.user == ChatMember.user) & (ChatSettings.chat == ChatMember.chat)),
        )
        .where(
            is_asked_for,
            is_visible(),
            ~Message.is_silent,
            ChatMember.user != Message.sender,
            ChatMember.joined_at <= Message.created_at,
            ~fn.COALESCE(ChatSettings.is_muted, False),
            ~has_blocked(ChatMember.user, Message.sender),
        )
        .order_by(ChatMember.user)
    )


@operation
def users_to_notify(chat_id: str, message_id: str) -> list[str]:
    """The ids of those whom a new message is to be brought to, in the order of the ids.

    Members who had joined by then, not the sender, not who has muted the chat or blocked the
    sender; nobody for a message that is silent, deleted, not sent yet or not in this chat.
    Raises `InvalidInput`.
    """
    user_ids: list[str] = _users_to_notify.all(
        chat_id=valid_id(chat_id, "chat_id"), message_id=valid_id(message_id, "message_id")
    )
    return user_ids


@operation
def users_to_notify_each(messages: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """What `users_to_notify` returns for each of several messages, by the ids of the messages.

    They are given as pairs `(chat_id, message_id)`, and come in the order asked for, also those of
    which nobody is told. Raises `InvalidInput`, also for more than 1,000 pairs.
    """
    pairs = valid_pairs(messages, "messages")
    user_ids: dict[str, list[str]] = {message_id: [] for _, message_id in pairs}
    rows = _users_to_notify.variant(of_each=True).all(
        chat_ids=[chat_id for chat_id, _ in pairs], message_ids=[id for _, id in pairs]
    )
    for message_id, user_id in rows:
        user_ids[message_id].append(user_id)
    return user_ids

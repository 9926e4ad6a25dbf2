"""Whom to notify of a message."""

from __future__ import annotations

from peewee import JOIN, Query, fn

from stogram_sdk.models import ChatMember, ChatSettings, Message
from stogram_sdk.operations import operation
from stogram_sdk.statements import P, statement
from stogram_sdk.validation import valid_id
from stogram_sdk.visibility import has_blocked, is_visible


@statement
def _users_to_notify() -> Query:
    return (
        ChatMember.select(ChatMember.user)
        .join(Message, on=(Message.chat == ChatMember.chat))
        .join_from(
            ChatMember,
            ChatSettings,
            JOIN.LEFT_OUTER,
            on=((ChatSettings.user == ChatMember.user) & (ChatSettings.chat == ChatMember.chat)),
        )
        .where(
            ChatMember.chat == P.chat_id,
            Message.chat == P.chat_id,
            Message.id == P.message_id,
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
    rows = _users_to_notify.all(
        chat_id=valid_id(chat_id, "chat_id"), message_id=valid_id(message_id, "message_id")
    )
    return [row.user_id for row in rows]

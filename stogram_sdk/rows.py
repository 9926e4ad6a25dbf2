"""Rows as the lists return them."""

from __future__ import annotations

from typing import Any

from stogram_sdk.models import Chat, ChatSettings, Message, User
from stogram_sdk.statements import attach

#: The sender of a message in a list, with the columns that are read. `visible_profiles` gives the
#: rest of what the viewer may see.
Sender: Any = User.alias()
SENDER = (Sender.id, Sender.username, Sender.display_name)

#: The columns of a list of messages: each message with its sender and its chat.
MESSAGE_WITH_RELATIONS = (
    *Message._meta.sorted_fields,
    *SENDER,
    *Chat._meta.sorted_fields,
)


def message_with_relations(row: tuple[Any, ...]) -> Message:
    """The message of a row that begins with `MESSAGE_WITH_RELATIONS`."""
    message, sender, chat = row[:3]
    found: Message = attach(message, sender=sender, chat=chat)
    return found


def default_settings(user_id: str, chat_id: str) -> ChatSettings:
    """The settings of a chat without a row: nothing is set; they are not stored."""
    return ChatSettings(id=None, user=user_id, chat=chat_id, created_at=None, updated_at=None)

"""Who sees what: the conditions that every statement is made of."""

from __future__ import annotations

from typing import Any

from peewee import fn

from stogram_sdk.models import BlockedUser, Chat, ChatMember, ChatType, Message
from stogram_sdk.server_columns import is_expired
from stogram_sdk.shards import found_in_chat


def exists_for_each(query: Any) -> Any:
    """EXISTS, asked for each row: without the offset PostgreSQL makes a join of it.

    It may then read a whole table, where it takes the rows for more than they are.
    """
    return fn.EXISTS(query.offset(0))


def is_sent(message: Any = Message) -> Any:
    """Sent, or never scheduled: it has its place in the chat, also once it is deleted."""
    return message.is_sent | message.scheduled_for.is_null()


def is_in_order(message: Any = Message) -> Any:
    """Sent, and not deleted: what the order of a chat, and its index, is made of."""
    return is_sent(message) & ~message.is_deleted


def is_deleted_in_order(message: Any = Message) -> Any:
    """Sent, and deleted since: all that it has left is its time."""
    return is_sent(message) & message.is_deleted


def is_visible(message: Any = Message) -> Any:
    """Sent, not deleted, and not past its time: what the server shows."""
    expired = is_expired(message)
    return is_in_order(message) if expired is None else is_in_order(message) & ~expired


def is_there(message: Any = Message) -> Any:
    """Not deleted, and not past its time, whether it was sent or waits for that."""
    expired = is_expired(message)
    return ~message.is_deleted if expired is None else ~message.is_deleted & ~expired


def visible_message(chat: Any, message_id: Any) -> Any:
    """The message of the chat with this id, if it is visible."""
    message = Message.alias()
    return message.select(message.id).where(
        message.id == message_id, *found_in_chat(message, chat), is_visible(message)
    )


def is_member(user: Any, chat: Any) -> Any:
    """Whether the user is in the chat."""
    member = ChatMember.alias()
    return fn.EXISTS(member.select(member.id).where(member.user == user, member.chat == chat))


def has_others(user: Any, chat: Any) -> Any:
    """Whether somebody else than the user is in the chat."""
    other = ChatMember.alias()
    return fn.EXISTS(other.select(other.id).where(other.chat == chat, other.user != user))


def place_in(chat: Any, user: Any) -> Any:
    """The user's membership in the chat, with the chat; no row for a non-member."""
    return (
        ChatMember.select(ChatMember.id)
        .join(Chat, on=(Chat.id == chat))
        .where(ChatMember.user == user, ChatMember.chat == chat)
    )


def has_blocked(user: Any, other: Any) -> Any:
    """Whether the first has blocked the second."""
    block = BlockedUser.alias()
    return fn.EXISTS(block.select(block.id).where(block.user == user, block.blocked == other))


def is_blocked_in_private(chat: Any, chat_type: Any, user: Any) -> Any:
    """Whether the chat is PRIVATE and one of its two members has blocked the other."""
    peer = ChatMember.alias()
    either = has_blocked(peer.user, user) | has_blocked(user, peer.user)
    return (chat_type == ChatType.PRIVATE.value) & fn.EXISTS(
        peer.select(peer.id).where(peer.chat == chat, peer.user != user, either)
    )

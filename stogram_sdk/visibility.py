"""Who sees what: the conditions that every statement is made of."""

from __future__ import annotations

from typing import Any

from peewee import fn

from stogram_sdk.models import BlockedUser, Chat, ChatMember, ChatType, Message


def exists(query: Any) -> Any:
    return fn.EXISTS(query)


def is_sent(message: Any = Message) -> Any:
    """Sent, or never scheduled: it has its place in the chat, also once it is deleted."""
    return message.is_sent | message.scheduled_for.is_null()


def is_visible(message: Any = Message) -> Any:
    """Sent, and not deleted: what the server calls visible."""
    return is_sent(message) & ~message.is_deleted


def is_member(user: Any, chat: Any) -> Any:
    """Whether the user is in the chat."""
    member = ChatMember.alias()
    return exists(member.select(member.id).where(member.user == user, member.chat == chat))


def place_in(chat: Any, user: Any) -> Any:
    """The user's membership in the chat, with the chat; nothing for who is not in it."""
    return (
        ChatMember.select(ChatMember.id)
        .join(Chat, on=(Chat.id == ChatMember.chat))
        .where(ChatMember.user == user, ChatMember.chat == chat)
    )


def has_blocked(user: Any, other: Any) -> Any:
    """Whether the first has blocked the second."""
    block = BlockedUser.alias()
    return exists(block.select(block.id).where(block.user == user, block.blocked == other))


def is_blocked_in_private(chat: Any, chat_type: Any, user: Any) -> Any:
    """Whether the chat is PRIVATE and one of its two members has blocked the other."""
    peer = ChatMember.alias()
    either = has_blocked(peer.user, user) | has_blocked(user, peer.user)
    return (chat_type == ChatType.PRIVATE.value) & exists(
        peer.select(peer.id).where(peer.chat == chat, peer.user != user, either)
    )

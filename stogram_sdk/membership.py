"""Why a statement found nothing to do: the second look that decides which error to raise."""

from __future__ import annotations

from typing import NamedTuple

from peewee import Query

from stogram_sdk.errors import Blocked, NotAllowed, NotFound
from stogram_sdk.models import Chat, ChatMember, ChatType, MemberRole, Message, User
from stogram_sdk.shards import by_value
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.visibility import (
    has_blocked,
    is_blocked_in_private,
    is_sent,
    place_in,
    visible_message,
)

#: Who may add and remove members, delete messages of others and write in a CHANNEL.
CHAT_KEEPERS = (MemberRole.OWNER.value, MemberRole.ADMIN.value)


class Membership(NamedTuple):
    """A user's place in a chat; `is_blocked` is about the two of a PRIVATE one."""

    chat_type: ChatType
    is_secret: bool
    role: MemberRole
    is_blocked: bool


@statement
def _membership() -> Query:
    place: Query = place_in(P.chat_id, P.user_id).select(
        ChatMember.id,
        ChatMember.role,
        Chat.id,
        Chat.type,
        Chat.is_secret,
        is_blocked_in_private(by_value(Chat.id), Chat.type, ChatMember.user),
    )
    return place


@statement
def _users_and_blocks() -> Query:
    """The users among the ids, each with whether they are others and have blocked the actor."""
    is_blocker = (User.id != P.actor_id) & has_blocked(User.id, P.actor_id)
    return User.select(User.id, is_blocker).where(dialect().is_one_of(User.id, P.user_ids))


@statement
def _visible_message() -> Query:
    found: Query = visible_message(P.chat_id, P.message_id)
    return found


@statement
def _sent_message() -> Query:
    return Message.select(Message.id).where(
        Message.chat == P.chat_id, Message.id == P.message_id, is_sent()
    )


def require_addable(actor_id: str, user_ids: list[str]) -> None:
    """Raise `NotFound` for an unknown user, `Blocked` for one who has blocked the actor."""
    rows = _users_and_blocks.all(actor_id=actor_id, user_ids=user_ids)
    blockers = {user.id: bool(is_blocked) for user, is_blocked in rows}
    for user_id in user_ids:
        if user_id not in blockers:
            raise NotFound("user", user_id)
    for user_id in user_ids:
        if blockers[user_id]:
            raise Blocked("this user has blocked the one who adds", entity="user", id=user_id)


def membership(user_id: str, chat_id: str) -> Membership | None:
    """The user's place in the chat; None if they are not in it."""
    row = _membership.first(user_id=user_id, chat_id=chat_id)
    if row is None:
        return None
    member, chat, is_blocked = row
    return Membership(chat.type, chat.is_secret, member.role, bool(is_blocked))


def require_member(user_id: str, chat_id: str) -> Membership:
    """The user's place in the chat. Raises `NotFound` for a chat that the user is not in."""
    place = membership(user_id, chat_id)
    if place is None:
        raise NotFound("chat", chat_id)
    return place


def require_keeper(user_id: str, chat_id: str, what: str) -> Membership:
    """The place of an owner or admin. Raises `NotFound` or `NotAllowed` for others."""
    place = require_member(user_id, chat_id)
    _require_role_of_keeper(place, chat_id, what)
    return place


def _require_role_of_keeper(place: Membership, chat_id: str, what: str) -> None:
    if place.role not in CHAT_KEEPERS:
        raise NotAllowed(f"only the owner and admins {what}", entity="chat", id=chat_id)


def require_writer(user_id: str, chat_id: str) -> Membership:
    """The place of one who may write. Raises `NotFound`, `NotAllowed` or `Blocked` for others."""
    place = require_member(user_id, chat_id)
    if place.chat_type == ChatType.CHANNEL:
        _require_role_of_keeper(place, chat_id, "write in a channel")
    require_unblocked(place, chat_id)
    return place


def require_unblocked(place: Membership, chat_id: str) -> None:
    """Raise `Blocked` in a PRIVATE chat where one of the two has blocked the other."""
    if place.is_blocked:
        raise Blocked("one of the two has blocked the other", entity="chat", id=chat_id)


def require_visible(chat_id: str, message_id: str) -> None:
    """Raise `NotFound` for a message that the members of the chat do not see there."""
    if _visible_message.first(chat_id=chat_id, message_id=message_id) is None:
        raise NotFound("message", message_id)


def require_sent(chat_id: str, message_id: str) -> None:
    """Raise `NotFound` for a message that has no place in the chat, not even as a deleted one."""
    if _sent_message.first(chat_id=chat_id, message_id=message_id) is None:
        raise NotFound("message", message_id)

"""Why a statement found nothing to do: the second look that decides which error to raise."""

from __future__ import annotations

from typing import NamedTuple

from peewee import Query

from stogram_sdk.errors import Blocked, NotAllowed, NotFound
from stogram_sdk.models import Chat, ChatMember, ChatType, MemberRole
from stogram_sdk.statements import P, statement
from stogram_sdk.visibility import is_blocked_in_private, place_in

#: Who may add and remove members, delete messages of others and write in a CHANNEL.
CHAT_KEEPERS = (MemberRole.OWNER.value, MemberRole.ADMIN.value)


class Membership(NamedTuple):
    chat_type: ChatType
    role: MemberRole
    is_blocked: bool


@statement
def _membership() -> Query:
    place: Query = place_in(P.chat_id, P.user_id).select(
        ChatMember.id,
        ChatMember.role,
        Chat.id,
        Chat.type,
        is_blocked_in_private(Chat.id, Chat.type, ChatMember.user),
    )
    return place


def require_member(user_id: str, chat_id: str) -> Membership:
    """The user's place in the chat. Raises `NotFound` for a chat that the user is not in."""
    row = _membership.first(user_id=user_id, chat_id=chat_id)
    if row is None:
        raise NotFound("chat", chat_id)
    member, chat, is_blocked = row
    return Membership(chat.type, member.role, bool(is_blocked))


def require_keeper(user_id: str, chat_id: str, what: str) -> Membership:
    """The place of an owner or admin. Raises `NotFound` or `NotAllowed` for others."""
    membership = require_member(user_id, chat_id)
    if membership.role not in CHAT_KEEPERS:
        raise NotAllowed(f"only the owner and admins {what}", entity="chat", id=chat_id)
    return membership


def require_writer(user_id: str, chat_id: str) -> Membership:
    """The place of one who may write. Raises `NotFound`, `NotAllowed` or `Blocked` for others."""
    membership = require_member(user_id, chat_id)
    if membership.chat_type == ChatType.CHANNEL:
        require_keeper(user_id, chat_id, "write in a channel")
    if membership.is_blocked:
        raise Blocked("one of the two has blocked the other", entity="chat", id=chat_id)
    return membership

"""The roles of members: one owner, admins, and the others.

A group or channel has one owner. When there is none, since the account is gone, the next change of
members gives it one: the admin who joined first, or else the member who joined first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from peewee import Case, Query, fn

from stogram_sdk.errors import InvalidInput, NotAllowed, NotFound
from stogram_sdk.membership import CHAT_KEEPERS, Membership, membership, require_member
from stogram_sdk.models import Chat, ChatMember, ChatType, MemberRole
from stogram_sdk.operations import atomic, operation
from stogram_sdk.ordering import chat_lock
from stogram_sdk.rows import member_row
from stogram_sdk.statements import P, Statement, after_locking, statement
from stogram_sdk.validation import valid_enum, valid_named_ids
from stogram_sdk.visibility import exists_for_each, is_member

R = TypeVar("R")

_OWNER, _ADMIN = MemberRole.OWNER.value, MemberRole.ADMIN.value


def is_private() -> Any:
    """Whether the chat of the call is PRIVATE."""
    return fn.EXISTS(
        Chat.select(Chat.id).where(Chat.id == P.chat_id, Chat.type == ChatType.PRIVATE.value)
    )


def has_owner(chat: Any, besides: Any = None) -> Any:
    """Whether a chat has an owner, but for one user."""
    return exists_for_each(_first_in(chat, besides, _OWNER))


def owner_or_first(chat: Any) -> Any:
    """The membership of the owner of a chat, or else of who joined first."""
    return fn.COALESCE(_first_in(chat, None, _OWNER), _first_in(chat, None))


def heir_in(chat: Any, besides: Any = None) -> Any:
    """The membership of who becomes owner of a chat, but for one user: an admin before others."""
    return fn.COALESCE(_first_in(chat, besides, _ADMIN), _first_in(chat, besides))


def _first_in(chat: Any, besides: Any, role: str | None = None) -> Any:
    """The membership of who joined first, but for one user; with a role, of those who have it."""
    member = ChatMember.alias()
    found = member.select(member.id).where(member.chat == chat)
    if besides is not None:
        found = found.where(member.user != besides)
    if role is not None:  # An index has those who are more than members.
        found = found.where(member.role == role, member.role != MemberRole.MEMBER.value)
    return found.order_by(member.joined_at, member.id).limit(1)


def hand_over(besides: Any = None) -> Any:
    """Give a chat without owner, but for one user, another one; when a member asks."""
    return ChatMember.update({ChatMember.role: _OWNER}).where(
        ChatMember.chat == P.chat_id,
        ~has_owner(P.chat_id, besides),
        ~is_private(),
        is_member(P.user_id, P.chat_id),
        ChatMember.id == heir_in(P.chat_id, besides),
    )


@statement
def _hand_over() -> Any:
    return after_locking(hand_over(), chat_lock(Chat.id == P.chat_id))


@statement
def named_member() -> Query:
    """The membership that is named."""
    return ChatMember.select(member_row()).where(
        ChatMember.user == P.member_id, ChatMember.chat == P.chat_id
    )


def _is_by_owner() -> Any:
    owner = ChatMember.alias()
    return ~is_private() & fn.EXISTS(
        owner.select(owner.id).where(
            owner.user == P.user_id, owner.chat == P.chat_id, owner.role == _OWNER
        )
    )


@statement
def _set_role() -> Any:
    update = ChatMember.update({ChatMember.role: P.role}).where(
        ChatMember.user == P.member_id,
        ChatMember.chat == P.chat_id,
        ChatMember.role != _OWNER,
        _is_by_owner(),
    )
    return after_locking(update.returning(member_row()), chat_lock(Chat.id == P.chat_id))


@statement
def _transfer_ownership() -> Any:
    """The rows of both, of whom the one becomes owner and the other admin."""
    other = ChatMember.alias()
    is_other_member = fn.EXISTS(
        other.select(other.id).where(
            other.user == P.member_id, other.chat == P.chat_id, other.role != _OWNER
        )
    )
    # With the column as the last choice, PostgreSQL knows the type of the others.
    role = Case(
        None,
        [(ChatMember.user == P.member_id, _OWNER), (ChatMember.user == P.user_id, _ADMIN)],
        ChatMember.role,
    )
    update = ChatMember.update({ChatMember.role: role}).where(
        ChatMember.chat == P.chat_id,
        (ChatMember.user == P.user_id) | (ChatMember.user == P.member_id),
        _is_by_owner(),
        is_other_member,
    )
    return after_locking(update.returning(member_row()), chat_lock(Chat.id == P.chat_id))


def change_members(
    change: Statement, otherwise: Callable[[], R | None], values: Mapping[str, Any]
) -> list[R]:
    """The rows of a change, which is made only in a chat that has an owner.

    So it is one round trip. If it has changed nothing, the chat is held: it gets an owner if it has
    none, who may be the one who acts. Then the change is made, or what is `otherwise` is returned
    as the one row: None if there is no reason against the change any more.
    """
    rows: list[R] = change.all(**values)
    if rows:
        return rows
    with atomic():
        while True:
            # The server takes no locks: an owner may go at any moment.
            _hand_over.run(**values)
            if rows := change.all(**values):
                return rows
            found = otherwise()
            if found is not None:
                return [found]


@operation
def set_role(user_id: str, chat_id: str, member_id: str, role: MemberRole) -> ChatMember:
    """Make a member of a group or channel ADMIN, or MEMBER again: by the owner.

    Returns the row, with `user` and `chat`. Raises `NotFound` for a chat the user is not in and for
    one who is no member, `NotAllowed` by role, for the owner's own role and for a PRIVATE chat,
    `InvalidInput`, also for OWNER, which `transfer_ownership` gives.

    >>> set_role(anna.id, chat.id, boris.id, MemberRole.ADMIN).role.value
    'ADMIN'
    """
    values = valid_named_ids(user_id=user_id, chat_id=chat_id, member_id=member_id)
    new_role = valid_enum(MemberRole, role, "role")
    if new_role == MemberRole.OWNER:
        raise InvalidInput(
            "role must be ADMIN or MEMBER; transfer_ownership makes an OWNER", field="role"
        )
    refuse = partial(_refuse_role, **values)
    changed: list[ChatMember] = change_members(
        _set_role, refuse, {**values, "role": new_role.value}
    )
    return changed[0]


def _refuse_role(user_id: str, chat_id: str, member_id: str) -> None:
    if _require_owner(user_id, chat_id, member_id).role == MemberRole.OWNER:
        raise NotAllowed(
            "the owner keeps that role until transfer_ownership", entity="chat", id=chat_id
        )


@operation
def transfer_ownership(user_id: str, chat_id: str, member_id: str) -> ChatMember:
    """Make another member the owner of a group or channel; the owner becomes ADMIN.

    Returns the row of the new owner, with `user` and `chat`. If they are the owner already, as in a
    second call, nothing changes. Raises `NotFound` for a chat the user is not in and for one who is
    no member, `NotAllowed` by role and for a PRIVATE chat, `InvalidInput`.

    >>> transfer_ownership(anna.id, chat.id, boris.id)
    <ChatMember user='boris' chat='Release team' role=OWNER>
    """
    values = valid_named_ids(user_id=user_id, chat_id=chat_id, member_id=member_id)
    with atomic():
        otherwise = partial(_owner_already, **values)
        for member in change_members(_transfer_ownership, otherwise, values):
            if member.user_id == member_id:
                return member
        # The server has deleted it meanwhile: so the other of the two rows stays too.
        raise NotFound("member", member_id)


def _owner_already(user_id: str, chat_id: str, member_id: str) -> ChatMember | None:
    """The row of one who is the owner; raises the error that explains a refusal."""
    member: ChatMember | None = named_member.first(chat_id=chat_id, member_id=member_id)
    if member is not None and member.role == MemberRole.OWNER:
        place = require_member(user_id, chat_id)
        if place.role in CHAT_KEEPERS and place.chat_type != ChatType.PRIVATE:
            return member
    _require_owner(user_id, chat_id, member_id)
    return None


def _require_owner(user_id: str, chat_id: str, member_id: str) -> Membership:
    """The place of a member, if the user owns the group. Raises `NotFound` or `NotAllowed`."""
    place = require_member(user_id, chat_id)
    require_group(place.chat_type, chat_id)
    if place.role != MemberRole.OWNER:
        raise NotAllowed("only the owner gives roles", entity="chat", id=chat_id)
    member = membership(member_id, chat_id)
    if member is None:
        raise NotFound("member", member_id)
    return member


def require_group(chat_type: ChatType, chat_id: str) -> None:
    """Raise `NotAllowed` for a PRIVATE chat."""
    if chat_type == ChatType.PRIVATE:
        raise NotAllowed("the members of a PRIVATE chat do not change", entity="chat", id=chat_id)

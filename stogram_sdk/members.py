"""The members of a chat."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from peewee import Tuple, fn

from stogram_sdk.calls import leaving_calls
from stogram_sdk.database import current_time
from stogram_sdk.errors import AlreadyExists, InvalidInput, NotAllowed
from stogram_sdk.membership import (
    CHAT_KEEPERS,
    membership,
    require_addable,
    require_keeper,
    require_member,
)
from stogram_sdk.models import Chat, ChatMember, ChatType, MemberRole, User, new_id
from stogram_sdk.operations import operation
from stogram_sdk.ordering import chat_lock, lock_out_server, next_time
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.profiles import Profile, read_profile, with_profiles
from stogram_sdk.roles import (
    change_members,
    hand_over,
    has_owner,
    is_private,
    named_member,
    require_group,
)
from stogram_sdk.rows import member_row
from stogram_sdk.shards import by_value, insert_read
from stogram_sdk.statements import P, after_locking, in_turn, returning, statement
from stogram_sdk.validation import valid_enum, valid_limit, valid_named_ids
from stogram_sdk.visibility import has_blocked, has_others, is_member

_OWNER, _ADMIN, _MEMBER = (role.value for role in MemberRole)


class Member(NamedTuple):
    """Somebody in a chat, as the viewer may see them; `joined_at` is in UTC."""

    profile: Profile
    role: MemberRole
    joined_at: datetime


def _may_change_members(actor: Any, role: Any) -> Any:
    """Whether `actor` may add or remove somebody with that role."""
    return (actor.role == _OWNER) | ((actor.role == _ADMIN) & (role == _MEMBER))


@statement
def _add_member(role: str) -> Any:
    actor = ChatMember.alias()
    columns = {
        ChatMember.id: P.id,
        ChatMember.user: User.id,
        ChatMember.chat: actor.chat,
        ChatMember.role: P.role,
        ChatMember.joined_at: next_time(by_value(actor.chat)),
    }
    new = (
        actor.select(*columns.values())
        .join(Chat, on=(Chat.id == P.chat_id))
        .join(User, on=(User.id == P.member_id))
        .where(
            actor.user == P.user_id,
            actor.chat == P.chat_id,
            actor.role.in_(CHAT_KEEPERS if role == _MEMBER else [_OWNER]),
            Chat.type != ChatType.PRIVATE.value,
            ~has_blocked(User.id, actor.user),
            has_owner(P.chat_id),
        )
    )
    insert = insert_read(ChatMember, new, list(columns)).on_conflict("nothing")
    added = returning(insert, ChatMember, member_row)
    return after_locking(added, chat_lock(Chat.id == P.chat_id))


def _going(user: Any, *conditions: Any) -> tuple[Any, Any]:
    """The end of a user's part in the calls of a group, then that of their membership in it."""
    member = ChatMember.user == user, ChatMember.chat == P.chat_id, ~is_private(), *conditions
    is_going = fn.EXISTS(ChatMember.select(ChatMember.id).where(*member))
    return leaving_calls(user, is_going), ChatMember.delete().where(*member)


@statement
def _remove_member() -> Any:
    actor = ChatMember.alias()
    allowed = actor.select(actor.id).where(
        actor.user == P.user_id,
        actor.chat == P.chat_id,
        _may_change_members(actor, ChatMember.role),
    )
    leave_calls, delete = _going(
        P.member_id, ChatMember.role != _OWNER, fn.EXISTS(allowed), has_owner(P.chat_id)
    )
    removed = in_turn(leave_calls, delete.returning(ChatMember.id))
    return after_locking(removed, chat_lock(Chat.id == P.chat_id))


@statement
def _leave_chat() -> Any:
    heir_first = in_turn(
        hand_over(besides=P.user_id), *_going(P.user_id, has_others(P.user_id, P.chat_id))
    )
    return after_locking(heir_first, chat_lock(Chat.id == P.chat_id))


@statement
def _delete_own_chat() -> Any:
    """Delete a chat of nobody else."""
    chat = Chat.id == P.chat_id
    delete = Chat.delete().where(
        chat, is_member(P.user_id, P.chat_id), ~has_others(P.user_id, P.chat_id)
    )
    return after_locking(delete, lock_out_server(Chat, chat))


@statement
def _list_members() -> Any:
    members = (
        ChatMember.select(ChatMember.id, ChatMember.role, ChatMember.joined_at)
        .join(User, on=(User.id == ChatMember.user))
        .where(
            ChatMember.chat == P.chat_id,
            is_member(P.user_id, P.chat_id),
            Tuple(ChatMember.joined_at, ChatMember.id) < Tuple(P.before, P.before_id),
        )
        .order_by(ChatMember.joined_at.desc(), ChatMember.id.desc())
        .limit(P.limit)
    )
    return with_profiles(members, User)


@operation
def add_member(
    user_id: str, chat_id: str, member_id: str, *, role: MemberRole = MemberRole.MEMBER
) -> ChatMember:
    """Add a user to a group or channel: by its owner and admins; only the owner adds an ADMIN.

    Returns the row, with `user` and `chat`, also of a user who is in the chat already. For a new
    member, earlier messages count as read. Raises `NotFound` for a chat the user is not in and for
    an unknown member, `NotAllowed` by role and for a PRIVATE chat, `Blocked` if the new member has
    blocked the user, `AlreadyExists` for a member with another role, which stays, `InvalidInput`.

    >>> add_member(anna.id, chat.id, maria.id).role.value
    'MEMBER'
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id, member_id=member_id)
    new_role = valid_enum(MemberRole, role, "role")
    if new_role == MemberRole.OWNER:
        raise InvalidInput("role must be ADMIN or MEMBER: a chat has one OWNER", field="role")
    added: list[ChatMember] = change_members(
        _add_member.variant(role=new_role.value),
        partial(_why_not_added, **ids, role=new_role),
        {**ids, "id": new_id(), "role": new_role.value, "now": current_time()},
    )
    return added[0]


def _why_not_added(
    user_id: str, chat_id: str, member_id: str, role: MemberRole
) -> ChatMember | None:
    """The row of the member who is there already; raises the error that explains a refusal.

    The caller's transaction holds the chat: only a block can have gone meanwhile, and then None is
    returned.
    """
    actor = require_keeper(user_id, chat_id, "add members")
    require_group(actor.chat_type, chat_id)
    member: ChatMember | None = named_member.first(member_id=member_id, chat_id=chat_id)
    if member is None:
        require_addable(user_id, [member_id])
        if role == MemberRole.ADMIN and actor.role != MemberRole.OWNER:
            raise NotAllowed("only the owner makes admins", entity="chat", id=chat_id)
        return None
    if member.role != role:
        raise AlreadyExists(
            "member",
            "role",
            member_id,
            f"the user is in the chat already, as {member.role}: nothing was changed",
        )
    return member


@operation
def remove_member(user_id: str, chat_id: str, member_id: str) -> bool:
    """Remove a member from a group or channel: admins remove a MEMBER, the owner anybody else.

    The member's messages stay. Returns whether they were in the chat. Raises `NotFound` for a chat
    the user is not in, `NotAllowed` by role, for the owner and for a PRIVATE chat, `InvalidInput`.

    >>> remove_member(anna.id, chat.id, boris.id)
    True
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id, member_id=member_id)
    values = {**ids, "now": current_time()}
    removed: list[Any] = change_members(_remove_member, partial(_why_not_removed, **ids), values)
    return removed[0] is not False


def _why_not_removed(user_id: str, chat_id: str, member_id: str) -> bool:
    actor = require_keeper(user_id, chat_id, "remove members")
    require_group(actor.chat_type, chat_id)
    if named_member.first(member_id=member_id, chat_id=chat_id) is None:
        return False
    raise NotAllowed(
        "nobody removes the owner, and only the owner removes admins", entity="chat", id=chat_id
    )


@operation
def leave_chat(user_id: str, chat_id: str) -> bool:
    """Leave a group or channel, or a PRIVATE chat that nobody else is in.

    The user does not see the chat any more. When the owner leaves, or if the owner's account is
    gone, the admin who joined first becomes owner, or else the member who joined first. When the
    last member leaves, the chat is deleted, as by `delete_chat`: nobody would see its messages any
    more. Returns whether the user was in the chat. Raises `NotAllowed` for a PRIVATE chat with the
    other user in it, `InvalidInput`.

    >>> leave_chat(boris.id, chat.id)
    True
    """
    pair = valid_named_ids(user_id=user_id, chat_id=chat_id)
    while not _leave_chat.run(now=current_time(), **pair):
        place = membership(user_id, chat_id)
        if place is None:
            return False
        if _delete_own_chat.run(**pair):
            return True
        require_group(place.chat_type, chat_id)
    return True


@operation(reads=True)
def list_members(
    user_id: str, chat_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Member]:
    """The members of a chat with the profiles that the user may see; those who joined last first.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> sorted(line.profile.username for line in list_members(anna.id, chat.id))
    ['anna', 'boris']
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id)
    valid_limit(limit)
    before, before_id = read_cursor(cursor, "members")
    rows = _list_members.all(before=before, before_id=before_id, limit=limit + 1, **ids)
    if not rows:
        require_member(user_id, chat_id)
    page = make_page(rows, limit, "members", lambda row: (row[0].joined_at, row[0].id))
    return Page(
        [Member(read_profile(row), row[0].role, row[0].joined_at) for row in page],
        page.next_cursor,
    )

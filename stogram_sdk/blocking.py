"""Blocking: who does not want to hear from whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import JOIN, SQL, Query, Tuple

from stogram_sdk.errors import InvalidInput, NotFound
from stogram_sdk.fields import utc_now
from stogram_sdk.models import BlockedUser, Chat, ChatMember, User, new_id
from stogram_sdk.operations import atomic, operation
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.profiles import Profile, profile_columns, read_profile
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.unread import chat_lock, recount, user_lock
from stogram_sdk.validation import valid_id, valid_ids, valid_limit


def _both_users_and_their_chats() -> Any:
    """The locks on the two and what they share: nobody joins, no message passes meanwhile."""
    theirs = ChatMember.alias()
    users = user_lock((User.id == P.user_id) | (User.id == P.blocked_id))
    chats = chat_lock(
        Chat.id.in_(
            ChatMember.select(ChatMember.chat)
            .join(theirs, on=(theirs.chat == ChatMember.chat))
            .where(ChatMember.user == P.user_id, theirs.user == P.blocked_id)
        )
    )
    return users, chats


@statement
def _block_user() -> Any:
    user, blocked = User.alias(), User.alias()
    both = (
        user.select(P.id, user.id, blocked.id, P.now)
        .join(blocked, on=(blocked.id == P.blocked_id))
        .where(user.id == P.user_id)
    )
    fields = [BlockedUser.id, BlockedUser.user, BlockedUser.blocked, BlockedUser.created_at]
    insert = BlockedUser.insert_from(both, fields).on_conflict(
        "nothing", conflict_target=[BlockedUser.user, BlockedUser.blocked]
    )
    return after_locking(insert.returning(BlockedUser), *_both_users_and_their_chats())


@statement
def _unblock_user() -> Any:
    delete = BlockedUser.delete().where(
        BlockedUser.user == P.user_id, BlockedUser.blocked == P.blocked_id
    )
    return after_locking(delete, *_both_users_and_their_chats())


@statement
def _is_blocked() -> Query:
    return BlockedUser.select(SQL("1")).where(
        BlockedUser.user == P.user_id, BlockedUser.blocked == P.blocked_id
    )


@statement
def _block_of_user() -> Query:
    """Nothing for an unknown user; without the block if there is none."""
    block = (BlockedUser.user == User.id) & (BlockedUser.blocked == P.blocked_id)
    return (
        User.select(User.id, *BlockedUser._meta.sorted_fields)
        .join(BlockedUser, JOIN.LEFT_OUTER, on=block)
        .where(User.id == P.user_id)
    )


@statement
def _is_blocked_either() -> Query:
    one = (BlockedUser.user == P.user_id) & (BlockedUser.blocked == P.other_id)
    other = (BlockedUser.user == P.other_id) & (BlockedUser.blocked == P.user_id)
    return BlockedUser.select(SQL("1")).where(one | other).limit(1)


@statement
def _blocked_among() -> Query:
    return BlockedUser.select(BlockedUser.blocked).where(
        BlockedUser.user == P.user_id, dialect().is_one_of(BlockedUser.blocked, P.other_ids)
    )


@statement
def _list_blocked_users() -> Query:
    return (
        BlockedUser.select(
            BlockedUser.id, BlockedUser.created_at, *profile_columns(User, P.user_id)
        )
        .join(User, on=(User.id == BlockedUser.blocked))
        .where(
            BlockedUser.user == P.user_id,
            Tuple(BlockedUser.created_at, BlockedUser.id) < Tuple(P.before, P.before_id),
        )
        .order_by(BlockedUser.created_at.desc(), BlockedUser.id.desc())
        .limit(P.limit)
    )


@operation
def block_user(user_id: str, blocked_id: str) -> tuple[BlockedUser, bool]:
    """Block a user: from now on their messages raise no unread count and no notification.

    What they have written that is still unread no longer counts either; in groups their messages
    stay visible. In the private chat of the two, neither can write.
    Returns the row and whether it was made by this call. Raises `NotFound` if there is no such
    user, `InvalidInput`, also for oneself.
    """
    valid_id(user_id, "user_id")
    if valid_id(blocked_id, "blocked_id") == user_id:
        raise InvalidInput("a user cannot block themselves", field="blocked_id")
    pair = {"user_id": user_id, "blocked_id": blocked_id}
    now = utc_now()
    with atomic():
        block: BlockedUser | None = _block_user.first(id=new_id(), now=now, **pair)
        if block is not None:
            recount.variant(of_sender=True).run(user_id=user_id, sender_id=blocked_id, now=now)
            return block, True
        found = _block_of_user.first(**pair)
    if found is None:
        raise NotFound("user", user_id)
    _, block = found
    if block is None:
        raise NotFound("user", blocked_id)
    return block, False


@operation
def unblock_user(user_id: str, blocked_id: str) -> bool:
    """Take a block back; what the other has written since is unread again, if it was not read.

    Returns whether there was a block. Raises `InvalidInput`.
    """
    pair = {
        "user_id": valid_id(user_id, "user_id"),
        "blocked_id": valid_id(blocked_id, "blocked_id"),
    }
    with atomic():
        if not _unblock_user.run(**pair):
            return False
        recount.variant(of_sender=True).run(user_id=user_id, sender_id=blocked_id, now=utc_now())
    return True


@operation
def is_blocked(user_id: str, other_id: str) -> bool:
    """Whether the first has blocked the second. Raises `InvalidInput`."""
    block = _is_blocked.first(
        user_id=valid_id(user_id, "user_id"), blocked_id=valid_id(other_id, "other_id")
    )
    return block is not None


@operation
def is_blocked_either(user_id: str, other_id: str) -> bool:
    """Whether one of the two has blocked the other. Raises `InvalidInput`."""
    block = _is_blocked_either.first(
        user_id=valid_id(user_id, "user_id"), other_id=valid_id(other_id, "other_id")
    )
    return block is not None


@operation
def blocked_among(user_id: str, other_ids: Iterable[str]) -> set[str]:
    """Those of these users whom the user has blocked.

    Raises `InvalidInput`, also for more than 10,000 ids.
    """
    rows = _blocked_among.all(
        user_id=valid_id(user_id, "user_id"), other_ids=valid_ids(other_ids, "other_ids")
    )
    return {row.blocked_id for row in rows}


@operation
def list_blocked_users(
    user_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Profile]:
    """The profiles of those whom the user has blocked, the latest first.

    Raises `InvalidInput`.
    """
    valid_id(user_id, "user_id")
    valid_limit(limit)
    before, before_id = read_cursor(cursor, "blocked_users")
    rows = _list_blocked_users.all(
        user_id=user_id, before=before, before_id=before_id, limit=limit + 1
    )
    page = make_page(rows, limit, "blocked_users", lambda row: (row[0].created_at, row[0].id))
    return Page([read_profile(row) for row in page], page.next_cursor)

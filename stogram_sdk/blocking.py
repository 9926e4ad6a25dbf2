"""Blocking: a user does not want to hear from another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import SQL, Query

from stogram_sdk.database import current_time
from stogram_sdk.errors import InvalidInput
from stogram_sdk.models import BlockedUser, User
from stogram_sdk.operations import operation, operation_with_id
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.profiles import Profile, known_people, read_profile
from stogram_sdk.rows import block_row
from stogram_sdk.statements import P, dialect, insert_or_select, statement
from stogram_sdk.users import require_users
from stogram_sdk.validation import valid_id, valid_ids, valid_limit, valid_named_ids


@statement
def _block_user() -> Any:
    user, blocked = User.alias(), User.alias()
    columns = {
        BlockedUser.id: P.id,
        BlockedUser.user: user.id,
        BlockedUser.blocked: blocked.id,
        BlockedUser.created_at: P.now,
    }
    both = (
        user.select(*columns.values())
        .join(blocked, on=(blocked.id == P.blocked_id))
        .where(user.id == P.user_id)
    )
    insert = BlockedUser.insert_from(both, list(columns)).on_conflict("nothing")
    return insert_or_select(insert, BlockedUser.select().where(_is_block()), block_row)


def _is_block() -> Any:
    return (BlockedUser.user == P.user_id) & (BlockedUser.blocked == P.blocked_id)


@statement
def _unblock_user() -> Query:
    return BlockedUser.delete().where(_is_block())


@statement
def _is_blocked() -> Query:
    return BlockedUser.select(SQL("1")).where(_is_block())


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
def _list_blocked_users() -> Any:
    return known_people(BlockedUser, "blocked")


@operation_with_id
def block_user(id: str, user_id: str, blocked_id: str) -> tuple[BlockedUser, bool]:
    """Block a user: their messages no longer count as unread, and no longer notify.

    That includes older messages. In groups their messages stay visible. In the private chat of the
    two, neither can write. Returns the row, with `user` and `blocked`, and whether it was made by
    this call. Raises `NotFound` if there is no such user, `InvalidInput`, also for oneself.

    >>> block_user(anna.id, boris.id)
    (<BlockedUser user='anna' blocked='boris'>, True)
    """
    valid_id(user_id, "user_id")
    if valid_id(blocked_id, "blocked_id") == user_id:
        raise InvalidInput("a user cannot block themselves", field="blocked_id")
    pair = {"user_id": user_id, "blocked_id": blocked_id}
    while True:
        block = _block_user.first(id=id, now=current_time(), **pair)
        if block is not None:
            return block, block.id == id
        require_users([user_id, blocked_id])
        # Another caller has just taken back the block that was in the way.


@operation
def unblock_user(user_id: str, blocked_id: str) -> bool:
    """Unblock a user: those of their messages that were not read count as unread again.

    Returns whether there was a block. Raises `InvalidInput`.

    >>> unblock_user(anna.id, boris.id)
    False
    """
    return bool(_unblock_user.run(**valid_named_ids(user_id=user_id, blocked_id=blocked_id)))


@operation
def is_blocked(user_id: str, other_id: str) -> bool:
    """Whether the first user has blocked the second. Raises `InvalidInput`.

    >>> is_blocked(anna.id, boris.id)
    False
    """
    block = _is_blocked.first(
        user_id=valid_id(user_id, "user_id"), blocked_id=valid_id(other_id, "other_id")
    )
    return block is not None


@operation
def is_blocked_either(user_id: str, other_id: str) -> bool:
    """Whether one of the two has blocked the other. Raises `InvalidInput`.

    >>> is_blocked_either(anna.id, boris.id)
    False
    """
    block = _is_blocked_either.first(**valid_named_ids(user_id=user_id, other_id=other_id))
    return block is not None


@operation
def blocked_among(user_id: str, other_ids: Iterable[str]) -> set[str]:
    """Which of the given users this user has blocked, as a set of ids.

    Raises `InvalidInput`, also for more than 10,000 ids.

    >>> blocked_among(anna.id, [boris.id, maria.id])
    set()
    """
    rows = _blocked_among.all(
        user_id=valid_id(user_id, "user_id"), other_ids=valid_ids(other_ids, "other_ids")
    )
    return {row.blocked_id for row in rows}


@operation(reads=True)
def list_blocked_users(
    user_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Profile]:
    """The profiles of the users whom the user has blocked, the latest block first.

    Raises `InvalidInput`.

    >>> list_blocked_users(anna.id)
    <Page of 0>
    """
    valid_id(user_id, "user_id")
    valid_limit(limit)
    before, before_id = read_cursor(cursor, "blocked_users")
    rows = _list_blocked_users.all(
        user_id=user_id, before=before, before_id=before_id, limit=limit + 1
    )
    page = make_page(rows, limit, "blocked_users", lambda row: (row[0].created_at, row[0].id))
    return Page([read_profile(row) for row in page], page.next_cursor)

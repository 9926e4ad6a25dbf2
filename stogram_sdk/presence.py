"""Presence: whether a user is there."""

from __future__ import annotations

from typing import Any

from peewee import Case, Select, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import NotFound
from stogram_sdk.models import User, UserStatus
from stogram_sdk.operations import operation
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.users import unknown_users
from stogram_sdk.validation import valid_enum, valid_id

_ONLINE = UserStatus.ONLINE.value


@statement
def _set_status() -> Any:
    """Whether the status was another one; on SQLite a row only then."""
    # None of these columns is in an index: PostgreSQL writes the row beside the old one (HOT).
    comes_or_goes = (User.status == _ONLINE) | (P.status == _ONLINE)
    update = (
        User.update(
            {
                User.status: P.status,
                User.last_seen: Case(None, [(comes_or_goes, P.now)], User.last_seen),
                User.updated_at: P.now,
            }
        )
        .where(User.id == P.user_id, User.status != P.status)
        .returning(User.id)
    )
    if not dialect().writes_in_ctes:
        return update
    changed: Any = update.cte("changed")
    has_changed = fn.EXISTS(Select((changed,), [changed.c.id]))
    return User.select(User.id, has_changed).where(User.id == P.user_id).with_cte(changed)


@operation
def set_status(user_id: str, status: UserStatus) -> bool:
    """Say whether a user is there; to be called as often as their devices say so.

    Where the status is that one already, nothing is written. Coming and going, which is to become
    ONLINE and to leave it, sets `last_seen` to the current time (UTC, of the database). Returns
    whether the status was another one, so that others are to be told. Raises `NotFound`,
    `InvalidInput`.

    >>> set_status(anna.id, UserStatus.ONLINE)
    True
    >>> set_status(anna.id, UserStatus.ONLINE)
    False
    """
    valid_id(user_id, "user_id")
    wanted = valid_enum(UserStatus, status, "status").value
    row = _set_status.first(user_id=user_id, status=wanted, now=current_time())
    if row is None and (dialect().writes_in_ctes or unknown_users([user_id])):
        raise NotFound("user", user_id)
    return bool(row[1]) if isinstance(row, tuple) else row is not None

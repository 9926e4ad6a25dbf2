"""Presence: whether a user is there."""

from __future__ import annotations

from typing import Any

from peewee import SQL, Case, Select, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import NotFound
from stogram_sdk.models import User, UserStatus
from stogram_sdk.operations import operation
from stogram_sdk.statements import FirstOf, P, dialect, statement
from stogram_sdk.validation import valid_enum, valid_id

_ONLINE = UserStatus.ONLINE.value


@statement
def _set_status() -> Any:
    """Whether the status was another one."""
    # None of these columns is in an index: PostgreSQL writes the row beside the old one (HOT).
    comes_or_goes = (User.status == _ONLINE) | (P.status == _ONLINE)
    update = User.update(
        {
            User.status: P.status,
            User.last_seen: Case(None, [(comes_or_goes, P.now)], User.last_seen),
            User.updated_at: P.now,
        }
    ).where(User.id == P.user_id, User.status != P.status)
    user = User.select(User.id).where(User.id == P.user_id)
    if not dialect().writes_in_ctes:
        return FirstOf(update.returning(User.id, SQL("true")), user.select_extend(SQL("false")))
    changed: Any = update.returning(User.id).cte("changed")
    has_changed = fn.EXISTS(Select((changed,), [changed.c.id]))
    return user.select_extend(has_changed).with_cte(changed)


@operation
def set_status(user_id: str, status: UserStatus) -> bool:
    """Set whether a user is online; call this as often as their devices report it.

    If the status is that one already, nothing is written. A change to ONLINE, or from ONLINE, sets
    `last_seen` to the current time (UTC, of the database). Returns whether the status has changed,
    so that others must be told. Raises `NotFound`, `InvalidInput`.

    >>> set_status(anna.id, UserStatus.ONLINE)
    True
    >>> set_status(anna.id, UserStatus.ONLINE)
    False
    """
    valid_id(user_id, "user_id")
    wanted = valid_enum(UserStatus, status, "status").value
    row = _set_status.first(user_id=user_id, status=wanted, now=current_time())
    if row is None:
        raise NotFound("user", user_id)
    _, has_changed = row
    return bool(has_changed)

"""Columns that later servers have added, if the database has them.

The models do not name these columns, because many databases do not have them. A new connection
learns which are there, and statements use only those.
"""

from __future__ import annotations

from typing import Any

from peewee import SQL, BooleanField, TextField, fn

from stogram_sdk.fields import UtcDateTimeField
from stogram_sdk.lookups import column_of
from stogram_sdk.models import ChatSettings, Message
from stogram_sdk.statements import dialect


def bound(model: Any, field: Any) -> Any:
    """A field of a model that the model itself does not have."""
    field.bind(model, field.column_name, set_attribute=False)
    return field


_EXPIRES_AT = bound(Message, UtcDateTimeField(column_name="expiresAt"))
_FORWARDED_FROM = bound(Message, TextField(column_name="forwardedFromId"))
_FORWARDED_FROM_CHAT = bound(Message, TextField(column_name="forwardedFromChatId"))
_FORWARDED_FROM_USER = bound(Message, TextField(column_name="forwardedFromUserId"))
_IS_FORWARDED = bound(Message, BooleanField(column_name="isForwarded"))
_IS_ARCHIVED = bound(ChatSettings, BooleanField(column_name="isArchived"))
_LEVEL = bound(ChatSettings, TextField(column_name="notificationLevel"))


def _in(table: Any, field: Any) -> Any:
    """The column of a table of the statement; None where the database does not have it."""
    name = f"{field.model._meta.table_name}.{field.column_name}"
    if name not in dialect().server_columns:
        return None
    return column_of(table, field)


def is_expired(message: Any) -> Any:
    """Whether the time of a message is over; None if the database has no such time."""
    expires_at = _in(message, _EXPIRES_AT)
    if expires_at is None:
        return None
    return fn.COALESCE(expires_at <= SQL("(now() AT TIME ZONE 'UTC')"), SQL("false"))


def expires(message: Any) -> Any:
    """Whether a message is to be there for a time only."""
    expires_at = _in(message, _EXPIRES_AT)
    return SQL("false") if expires_at is None else expires_at.is_null(False)


def is_forwarded(message: Any) -> Any:
    """Whether a message says what somebody has written elsewhere."""
    forwarded = _in(message, _IS_FORWARDED)
    return SQL("false") if forwarded is None else fn.COALESCE(forwarded, SQL("false"))


def forwarded_columns(source: Any) -> dict[Any, Any]:
    """The columns that say that a message was forwarded from `source`, with what they say."""
    columns = {
        _IS_FORWARDED: SQL("true"),
        _FORWARDED_FROM: source.id,
        _FORWARDED_FROM_CHAT: source.chat,
        _FORWARDED_FROM_USER: source.sender,
    }
    return {field: value for field, value in columns.items() if _in(Message, field) is not None}


def is_archived(settings: Any) -> Any:
    """Whether the chat is archived."""
    archived = _in(settings, _IS_ARCHIVED)
    return SQL("false") if archived is None else fn.COALESCE(archived, SQL("false"))


def notification_level(settings: Any) -> Any:
    """The level that a member has chosen: ALL, MENTIONS or MUTED; None where it is always ALL."""
    level = _in(settings, _LEVEL)
    return None if level is None else fn.COALESCE(level.cast("text"), "ALL")

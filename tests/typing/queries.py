"""Queries of one's own with the models, for mypy and pyright; nothing here is run."""

# Peewee's stubs leave the arguments of its queries untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_type

from peewee import Expression, Field, ForeignKeyField, ModelSelect

import stogram_sdk as sdk


def fields_of_classes() -> None:
    assert_type(sdk.Message.sender, ForeignKeyField[sdk.User])
    assert_type(sdk.Message.reply_to, ForeignKeyField[sdk.Message | None])
    assert_type(sdk.Message.sender_id, Field[str])
    assert_type(sdk.Message.created_at, Field[datetime])
    assert_type(sdk.Message.type, Field[sdk.MessageType])
    assert_type(sdk.Message.sender == "a", Expression)
    assert_type(sdk.Message.sender_id == "a", Expression)


def selects() -> None:
    query = sdk.Message.select().where(
        sdk.Message.sender == "a",
        sdk.Message.type != sdk.MessageType.SYSTEM,
        sdk.Message.created_at > datetime.now(UTC),
        sdk.Message.reply_to.is_null(),
        ~sdk.Message.is_deleted,
    )
    assert_type(query, ModelSelect[sdk.Message])
    for message in query.order_by(sdk.Message.created_at.desc()):
        assert_type(message, sdk.Message)
    assert_type(sdk.User.get_by_id("a"), sdk.User)


def changes(user: sdk.User) -> None:
    sdk.User.update(status=sdk.UserStatus.ONLINE).where(sdk.User.id == user.id).execute()
    user.status = sdk.UserStatus.AWAY
    user.last_seen = datetime.now(UTC)
    user.bio = None
    # Wrong, and either checker says so.
    user.email = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]

"""How messages are found by a tag: the database keeps the keys of all tags in "MessageTag"."""

from __future__ import annotations

from typing import Any

from peewee import Value, fn

from stogram_sdk.models import MessageTag
from stogram_sdk.statements import dialect


def signed_key(sign: str, tag: Any) -> Any:
    """The key in the table: of a hashtag with the sign `#`, of a mention with `@`."""
    return Value(sign).concat(dialect().tag_key(tag, MessageTag._meta.schema))


def tags_are_complete() -> Any:
    """Whether the tags of all older messages are in the table already."""
    complete = MessageTag.select(MessageTag.tag).where(
        MessageTag.tag == "", MessageTag.chat_id == "complete"
    )
    return fn.EXISTS(complete)

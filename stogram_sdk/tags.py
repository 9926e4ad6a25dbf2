"""How messages are found in "MessageTag", which the database keeps by itself."""

from __future__ import annotations

from typing import Any

from peewee import Value, fn

from stogram_sdk.models import MessageTag
from stogram_sdk.statements import dialect


def signed_key(sign: str, key: Any) -> Any:
    """The tag in the table: of a hashtag with the sign `#`, of a mention with `@`."""
    return Value(sign).concat(dialect().tag_key(key, MessageTag._meta.schema))


def tags_are_complete() -> Any:
    """Whether the tags of all old messages are in the table already.

    Until then, what is asked of all messages has to be asked of the messages themselves.
    """
    complete = MessageTag.select(MessageTag.tag).where(
        MessageTag.tag == "", MessageTag.chat_id == "complete"
    )
    return fn.EXISTS(complete)

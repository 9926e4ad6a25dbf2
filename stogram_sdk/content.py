"""What a message holds: a text, a file, and the tags of the text."""

from __future__ import annotations

from typing import Any

from stogram_sdk.errors import InvalidInput
from stogram_sdk.fields import Tags
from stogram_sdk.models import Message, MessageType
from stogram_sdk.text import extract_hashtags, extract_mentions
from stogram_sdk.validation import (
    MAX_CONTENT_LENGTH,
    MAX_INTEGER,
    MAX_SHORT_TEXT_LENGTH,
    MAX_URL_LENGTH,
    valid_count,
    valid_enum,
    valid_optional_text,
)

#: The columns of a file, beside its type.
FILE = (
    Message.file_url,
    Message.file_name,
    Message.file_size,
    Message.thumbnail_url,
    Message.duration,
    Message.waveform,
)
#: The server draws 100 values: a list in JSON of some 2,000 characters.
_MAX_WAVEFORM_LENGTH = 8_192


def content_columns(
    content: str | None,
    type: MessageType,
    *,
    file_url: str | None = None,
    file_name: str | None = None,
    file_size: int | None = None,
    thumbnail_url: str | None = None,
    duration: int | None = None,
    waveform: str | None = None,
) -> dict[str, Any]:
    """The columns of a message's content, with mentions and hashtags. Raises `InvalidInput`."""
    if content == "" and file_url is not None:
        content = None
    if content is None and file_url is None:
        raise InvalidInput("a message needs content or a file_url", field="content")
    return {
        "content": valid_optional_text(content, "content", maximum=MAX_CONTENT_LENGTH),
        "type": valid_enum(MessageType, type, "type").value,
        "file_url": valid_optional_text(file_url, "file_url", maximum=MAX_URL_LENGTH),
        "file_name": valid_optional_text(file_name, "file_name", maximum=MAX_SHORT_TEXT_LENGTH),
        "file_size": _valid_number(file_size, "file_size"),
        "thumbnail_url": valid_optional_text(
            thumbnail_url, "thumbnail_url", maximum=MAX_URL_LENGTH
        ),
        "duration": _valid_number(duration, "duration"),
        "waveform": valid_optional_text(waveform, "waveform", maximum=_MAX_WAVEFORM_LENGTH),
        **tag_columns(content),
    }


def require_type_of_users(type: str) -> None:
    """Raise `InvalidInput` for the type of what the service says."""
    if type == MessageType.SYSTEM.value:
        raise InvalidInput(
            "type must not be SYSTEM, which is for the service: post_system_message", field="type"
        )


def tag_columns(content: str | None) -> dict[str, Tags]:
    """The columns of what is found in the text."""
    text = content or ""
    return {"mentions": Tags(extract_mentions(text)), "hashtags": Tags(extract_hashtags(text))}


def _valid_number(value: int | None, field: str) -> int | None:
    return None if value is None else valid_count(value, field, maximum=MAX_INTEGER)

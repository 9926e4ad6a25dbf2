"""Media: the files of a chat."""

from __future__ import annotations

from typing import Any

from stogram_sdk.history import a_page, page_of, shown_messages
from stogram_sdk.membership import require_member
from stogram_sdk.models import Message, MessageType
from stogram_sdk.operations import operation
from stogram_sdk.paging import Page, read_cursor
from stogram_sdk.statements import P, statement
from stogram_sdk.validation import valid_enum, valid_limit, valid_named_ids


@statement
def _list_media(of_type: bool) -> Any:
    media = shown_messages().where(Message.file_url.is_null(False))
    return a_page(media.where(Message.type == P.type) if of_type else media)


@operation(reads=True)
def list_media(
    user_id: str,
    chat_id: str,
    *,
    type: MessageType | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Message]:
    """The visible messages of a chat that have a file, of any type or of one type; the newest
    first.

    Each is as `send_message` returns it. Raises `NotFound` for a chat the user is not in,
    `InvalidInput`.

    >>> photo = {"type": MessageType.IMAGE, "file_url": "/files/cake.jpg"}
    >>> sent = send_message(anna.id, chat.id, **photo)
    >>> [found.file_url for found in list_media(boris.id, chat.id)]
    ['/files/cake.jpg']
    """
    values = valid_named_ids(user_id=user_id, chat_id=chat_id)
    valid_limit(limit)
    if type is not None:
        values["type"] = valid_enum(MessageType, type, "type").value
    before, before_id = read_cursor(cursor, "media")
    messages = _list_media.variant(of_type=type is not None).all(
        before=before, before_id=before_id, limit=limit + 1, **values
    )
    if not messages:
        require_member(user_id, chat_id)
    return page_of(messages, limit, "media")

"""Forwarding: messages of one chat, sent once more in another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import SQL, Select, TextField, fn

from stogram_sdk.content import FILE, tag_columns
from stogram_sdk.errors import InvalidInput, NotAllowed, NotFound
from stogram_sdk.fields import Rows
from stogram_sdk.membership import require_member, require_writer
from stogram_sdk.messages import place_to_write_in, with_side_effects, write
from stogram_sdk.models import Chat, Message, MessageType, new_id
from stogram_sdk.operations import operation
from stogram_sdk.ordering import next_time
from stogram_sdk.server_columns import bound, expires, forwarded_columns
from stogram_sdk.shards import found_in_chat, insert_read
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.validation import MAX_LIMIT, at_most, valid_id, valid_ids
from stogram_sdk.visibility import is_visible, place_in

#: What is written as it was read; the tags are those of the text.
_COPIED = (Message.content, Message.type, *FILE)
_GIVEN = (Message.id, *_COPIED, Message.mentions, Message.hashtags)
#: Beside these, a row names the message that it comes from.
_SOURCE = bound(Message, TextField(column_name="source_id"))


def _may_read() -> Any:
    return fn.EXISTS(place_in(P.from_chat_id, P.sender_id).where(~Chat.is_secret))


def _asked_for() -> Any:
    """The messages to forward that the user sees."""
    return Message.select().where(
        *found_in_chat(Message, P.from_chat_id),
        dialect().is_one_of(Message.id, P.message_ids),
        is_visible(),
        _may_read(),
    )


@statement
def _to_forward() -> Any:
    """These, each with whether it expires."""
    shown = _asked_for().select(*Message._meta.sorted_fields, expires(Message))
    return shown.order_by(Message.created_at, Message.id)


@statement
def _forward(alone: bool) -> Any:
    """Write all of the messages, or none if one is not to be seen or forwarded any more."""
    source = _asked_for().where(~expires(Message)).cte("source", materialized=True)
    read = Message.alias("source")
    place = fn.ROW_NUMBER().over(order_by=[read.created_at, read.id])
    columns: dict[Any, Any] = {
        **{field: SQL(f"given.{field.name}") for field in _GIVEN},
        Message.sender: P.sender_id,
        Message.chat: P.chat_id,
        Message.is_sent: SQL("true"),
        Message.created_at: dialect().milliseconds_after(next_time(P.chat_id), place - 1),
        Message.updated_at: P.now,
        **forwarded_columns(read),
    }
    given = dialect().given_rows(P.messages, *_GIVEN, _SOURCE)
    new = (
        Select((given,), list(columns.values()))
        .join(source, on=(read.id == SQL(f"given.{_SOURCE.name}")))
        .where(
            fn.EXISTS(place_to_write_in(P.chat_id, P.sender_id)),
            source.select(fn.COUNT(SQL("*"))) == P.count,
        )
        .with_cte(source)
    )
    return with_side_effects(insert_read(Message, new, list(columns)), alone, most=MAX_LIMIT)


@operation(repeatable=False)
def forward_messages(
    user_id: str, from_chat_id: str, message_ids: Iterable[str], to_chat_id: str
) -> list[Message]:
    """Send up to 100 messages of one chat in another, in the order that they have there.

    The user must see them, and must be a member who may write in the other chat. All of them are
    sent, or none. The new messages have the text and the file, and the user as sender. Their
    mentions and hashtags are found again, and they answer nothing. Each call makes new messages, as
    `send_message` does without a `message_id`. Nothing is forwarded out of a secret chat, nor a
    message of type SYSTEM. Where a later server has columns for it, they say where each comes from;
    a message that expires is not forwarded.

    Returns the new messages in their order, each as `send_message` returns it. Raises `NotFound`
    for a chat the user is not in and a message that they do not see there, `NotAllowed` for a
    message that is not forwarded and in a CHANNEL, `Blocked` in a PRIVATE chat, `InvalidInput`.

    >>> news = create_chat(anna.id, ChatType.CHANNEL, name="News")
    >>> (copy,) = forward_messages(anna.id, chat.id, [message.id], news.id)
    >>> copy.chat.name, copy.content
    ('News', '@boris, the #Release is ready')
    """
    valid_id(user_id, "user_id")
    valid_id(from_chat_id, "from_chat_id")
    ids = at_most(MAX_LIMIT, valid_ids(message_ids, "message_ids"), "message_ids", "ids")
    valid_id(to_chat_id, "to_chat_id")
    if not ids:
        raise InvalidInput("message_ids must name 1 to 100 messages", field="message_ids")
    values = {"sender_id": user_id, "from_chat_id": from_chat_id, "message_ids": ids}
    while True:
        sources: list[tuple[Message, bool]] = _to_forward.all(**values)
        _require_sources(user_id, from_chat_id, ids, sources)
        rows = Rows(_row(source) for source, _ in sources)
        sent = write(
            _forward,
            chat_id=to_chat_id,
            messages=rows,
            count=len(rows),
            **values,
        )
        if sent:
            return sorted(sent, key=lambda message: message.created_at)
        require_writer(user_id, to_chat_id)


def _require_sources(
    user_id: str, chat_id: str, message_ids: list[str], sources: list[tuple[Message, bool]]
) -> None:
    """Raise the error that explains why some messages are not forwarded."""
    for source, vanishes in sources:
        if source.type == MessageType.SYSTEM:
            raise NotAllowed("a message of type SYSTEM is not forwarded", entity="chat", id=chat_id)
        if vanishes:
            raise NotAllowed(
                "a message that expires is not forwarded", entity="message", id=source.id
            )
    missing = set(message_ids).difference(source.id for source, _ in sources)
    if missing:
        if require_member(user_id, chat_id).is_secret:
            raise NotAllowed("nothing is forwarded out of a secret chat", entity="chat", id=chat_id)
        raise NotFound("message", next(id for id in message_ids if id in missing))


def _row(source: Message) -> dict[str, Any]:
    """The attributes of the row to write."""
    copied = {field.name: getattr(source, field.name) for field in _COPIED}
    return {
        "id": new_id(),
        _SOURCE.name: source.id,
        **copied,
        **tag_columns(source.content),
    }

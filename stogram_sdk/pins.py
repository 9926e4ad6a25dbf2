"""Pinned messages: each user pins for themselves."""

from __future__ import annotations

from typing import Any

from peewee import Query, Select, Tuple, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import NotFound
from stogram_sdk.membership import require_member
from stogram_sdk.models import Chat, ChatMember, Message, MessageType, PinnedMessage
from stogram_sdk.operations import operation, operation_with_id
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.parts import Row, Same
from stogram_sdk.rows import Sender, all_of, message_row, person, person_of, pin_row
from stogram_sdk.shards import by_value
from stogram_sdk.statements import P, insert_or_select, statement
from stogram_sdk.validation import valid_id, valid_limit, valid_named_ids
from stogram_sdk.visibility import is_member, is_visible


def _is_pinnable() -> Any:
    wanted = (Message.chat == P.chat_id) & (Message.id == P.message_id)
    return wanted & is_visible() & (Message.type != MessageType.SYSTEM.value)


@statement
def _pinnable() -> Query:
    return Message.select(Message.id).where(_is_pinnable())


@statement
def _pin_message() -> Any:
    columns = {
        PinnedMessage.id: P.id,
        PinnedMessage.user: ChatMember.user,
        PinnedMessage.message: Message.id,
        PinnedMessage.chat: ChatMember.chat,
        PinnedMessage.pinned_at: P.now,
    }
    new = (
        ChatMember.select(*columns.values())
        .join(Message, on=(Message.chat == P.chat_id))
        .where(
            ChatMember.user == P.user_id,
            ChatMember.chat == P.chat_id,
            _is_pinnable(),
        )
    )
    insert = PinnedMessage.insert_from(new, list(columns)).on_conflict("nothing")
    existing = PinnedMessage.select().where(_is_pin(), fn.EXISTS(new))
    return insert_or_select(insert, existing, pin_row)


def _is_pin() -> Any:
    return (
        (PinnedMessage.user == P.user_id)
        & (PinnedMessage.chat == P.chat_id)
        & (PinnedMessage.message == P.message_id)
    )


@statement
def _unpin_message() -> Query:
    return PinnedMessage.delete().where(_is_pin())


@statement
def _unpin_all_messages() -> Query:
    return PinnedMessage.delete().where(
        PinnedMessage.user == P.user_id, PinnedMessage.chat == P.chat_id
    )


@statement
def _list_pinned_messages(in_chat: bool = False) -> Any:
    """The pins of the page are chosen first; what is shown is read for those alone."""
    pin, seen = PinnedMessage.alias(), Message.alias()
    chat_id = by_value(pin.chat, in_chat)
    conditions = [
        pin.user == P.user_id,
        is_member(P.user_id, chat_id),
        is_visible(seen),
        Tuple(pin.pinned_at, pin.id) < Tuple(P.before, P.before_id),
    ]
    if in_chat:
        conditions.append(pin.chat == P.chat_id)
    page = (
        pin.select(*all_of(PinnedMessage, pin))
        .join(seen, on=((seen.chat == chat_id) & (seen.id == pin.message)))
        .where(*conditions)
        .order_by(pin.pinned_at.desc(), pin.id.desc())
        .limit(P.limit)
        .alias("page")
    )
    shown: Any = PinnedMessage.alias("page")
    named = by_value(Message.chat, in_chat)
    chat = Row(Chat._meta.sorted_fields)
    message = message_row(sender=person(Sender), chat=Same(chat), named=named)
    columns = all_of(PinnedMessage, shown)
    return (
        Select([page], [Row(columns, user=person_of(P.user_id), chat=chat, message=message)])
        .join(
            Message,
            on=((Message.chat == by_value(shown.chat, in_chat)) & (Message.id == shown.message)),
        )
        .join(Sender, on=(Sender.id == Message.sender))
        .join(Chat, on=(Chat.id == named))
        .order_by(shown.pinned_at.desc(), shown.id.desc())
    )


@operation_with_id
def pin_message(id: str, user_id: str, chat_id: str, message_id: str) -> tuple[PinnedMessage, bool]:
    """Pin a message of the chat for oneself: a visible one that is not of type SYSTEM.

    Returns the row, with `user`, `chat` and `message`, and whether it was made by this call. Raises
    `NotFound` for a message the user does not see there, `InvalidInput`.

    >>> pin, created = pin_message(boris.id, chat.id, message.id)
    >>> created, pin_message(boris.id, chat.id, message.id)[1]
    (True, False)
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id)
    while True:
        pin = _pin_message.first(id=id, now=current_time(), **ids)
        if pin is not None:
            return pin, pin.id == id
        require_member(user_id, chat_id)
        if _pinnable.first(chat_id=chat_id, message_id=message_id) is None:
            raise NotFound("message", message_id)
        # Another device has just taken off the pin that was in the way.


@operation
def unpin_message(user_id: str, chat_id: str, message_id: str) -> bool:
    """Take one's pin off a message. Returns whether it was pinned. Raises `InvalidInput`.

    >>> unpin_message(anna.id, chat.id, message.id)
    False
    """
    return bool(
        _unpin_message.run(
            **valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id)
        )
    )


@operation
def unpin_all_messages(user_id: str, chat_id: str) -> int:
    """Take all one's pins out of a chat. Returns how many there were. Raises `InvalidInput`.

    >>> unpin_all_messages(anna.id, chat.id)
    0
    """
    return _unpin_all_messages.run(**valid_named_ids(user_id=user_id, chat_id=chat_id))


@operation(reads=True)
def list_pinned_messages(
    user_id: str, *, chat_id: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[PinnedMessage]:
    """One's pins, the latest first, each as `pin_message` returns it.

    Without `chat_id` the pins of all chats are listed. Deleted messages and chats that the user
    has left do not show. Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> pin, created = pin_message(boris.id, chat.id, message.id)
    >>> [pin.message.content for pin in list_pinned_messages(boris.id)]
    ['@boris, the #Release is ready']
    """
    valid_id(user_id, "user_id")
    valid_limit(limit)
    values = {} if chat_id is None else {"chat_id": valid_id(chat_id, "chat_id")}
    before, before_id = read_cursor(cursor, "pinned_messages")
    pins = _list_pinned_messages.variant(in_chat=chat_id is not None).all(
        user_id=user_id, before=before, before_id=before_id, limit=limit + 1, **values
    )
    if not pins and chat_id is not None:
        require_member(user_id, chat_id)
    return make_page(pins, limit, "pinned_messages", lambda pin: (pin.pinned_at, pin.id))

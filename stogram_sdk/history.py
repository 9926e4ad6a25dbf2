"""The history of a chat: one message, pages of them in both directions, and the replies to one."""

from __future__ import annotations

from typing import Any

from peewee import SQL, Select, Tuple, fn

from stogram_sdk.errors import InvalidInput, NotFound
from stogram_sdk.fields import LATEST
from stogram_sdk.membership import require_member, require_sent, require_visible
from stogram_sdk.models import Message
from stogram_sdk.operations import operation
from stogram_sdk.ordering import place_of
from stogram_sdk.paging import START, Page, make_page, read_cursor, write_cursor
from stogram_sdk.rows import Sender, listed_message
from stogram_sdk.shards import found_in_chat
from stogram_sdk.statements import P, statement
from stogram_sdk.validation import valid_id, valid_limit, valid_named_ids
from stogram_sdk.visibility import is_member, is_sent, is_visible, visible_message


def shown_messages(*columns: Any, in_chat: tuple[Any, ...] = ()) -> Any:
    """The visible messages of the chat, for a member; after each come `columns`."""
    in_chat = in_chat or (Message.chat == P.chat_id,)
    return (
        Message.select(listed_message(chat=P.chat_id), *columns)
        .join(Sender, on=(Sender.id == Message.sender))
        .where(*in_chat, is_visible(), is_member(P.user_id, P.chat_id))
    )


def a_page(messages: Any) -> Any:
    """The messages that come after the pages before, the newest first."""
    return (
        messages.where(place_of(Message) < Tuple(P.before, P.before_id))
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(P.limit)
    )


@statement
def _get_message() -> Any:
    return shown_messages().where(Message.id == P.message_id)


@statement
def _list_messages() -> Any:
    return a_page(shown_messages())


@statement
def _newer_messages() -> Any:
    """The messages next to a place, from there on."""
    return (
        shown_messages()
        .where(place_of(Message) > Tuple(P.before, P.before_id))
        .order_by(Message.created_at, Message.id)
        .limit(P.limit)
    )


@statement
def _messages_around() -> Any:
    """The messages on both sides of one, each with whether it is newer; the newest first."""
    target = Message.alias()
    wanted = target.chat == P.chat_id, target.id == P.message_id, is_sent(target)
    place = Tuple(*(target.select(what).where(*wanted) for what in (target.created_at, target.id)))
    newer, older = Message.alias(), Message.alias()
    after = (
        newer.select(newer.id)
        .where(newer.chat == P.chat_id, is_visible(newer), place_of(newer) > place)
        .order_by(newer.created_at, newer.id)
        .limit(P.newer)
        .alias("after")
    )
    up_to = (
        older.select(older.id)
        .where(older.chat == P.chat_id, is_visible(older), place_of(older) <= place)
        .order_by(older.created_at.desc(), older.id.desc())
        .limit(P.older)
        .alias("up_to")
    )
    sides = [
        Select((side,), [side.c.id.alias("id"), SQL(is_newer).alias("is_newer")])
        for side, is_newer in ((after, "1"), (up_to, "0"))
    ]
    page = (sides[0] + sides[1]).alias("page")
    return (
        shown_messages(page.c.is_newer, in_chat=found_in_chat(Message, P.chat_id))
        .join_from(Message, page, on=(Message.id == page.c.id))
        .order_by(Message.created_at.desc(), Message.id.desc())
    )


@statement
def _list_replies() -> Any:
    replies = shown_messages(in_chat=found_in_chat(Message, P.chat_id))
    answered = visible_message(P.chat_id, P.message_id)
    return a_page(replies.where(Message.reply_to == P.message_id, fn.EXISTS(answered)))


@operation(reads=True)
def get_message(user_id: str, chat_id: str, message_id: str) -> Message:
    """One visible message of a chat, as `send_message` returns it.

    Raises `NotFound` for a message that the user does not see there: also one that is deleted or
    still to be sent, which `list_scheduled` has. Raises `InvalidInput`.

    >>> get_message(boris.id, chat.id, message.id).sender.display_name
    'Anna'
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id)
    message: Message | None = _get_message.first(**ids)
    if message is None:
        require_member(user_id, chat_id)
        raise NotFound("message", message_id)
    return message


#: A cursor of `list_messages`: whether it asks for newer messages, and from which place on.
_START = (False, *START)


@operation(reads=True)
def list_messages(
    user_id: str,
    chat_id: str,
    *,
    around: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Message]:
    """The visible messages of a chat, the newest first, each as `send_message` returns it.

    `sender` holds id, username and display name, `chat` is whole. `reply_to` is the visible message
    that is answered, with its sender, or None.

    The page holds the newest messages. With `around`, the id of a message, it holds that one and as
    many newer ones as older; a deleted message still marks its place. From any page `next_cursor`
    goes on to older messages, and `previous_cursor` to newer ones. Each is None where there are
    none, and on a page without messages. Raises `NotFound` for a chat the user is not in and for a
    message that is not there, `InvalidInput`, also for `around` and `cursor` together.

    >>> [(each.sender.username, each.content) for each in list_messages(anna.id, chat.id)]
    [('anna', '@boris, the #Release is ready')]
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id)
    valid_limit(limit)
    is_newer, before, before_id = read_cursor(cursor, "messages", _START)
    if around is not None:
        valid_id(around, "around")
        if cursor is not None:
            raise InvalidInput(
                "around must not come with a cursor, which has a place", field="around"
            )
        page = _page_around(ids, around, limit)
    else:
        listing = _newer_messages if is_newer else _list_messages
        place = {"before": before, "before_id": before_id}
        ends = is_newer and before == LATEST
        messages = [] if ends else listing.all(limit=limit + 1, **place, **ids)
        has_more = len(messages) > limit
        del messages[limit:]
        if is_newer:
            page = _page(messages[::-1], has_older=True, has_newer=has_more)
        else:
            page = _page(messages, has_older=has_more, has_newer=cursor is not None)
    if not page:
        require_member(user_id, chat_id)
        if around is not None:
            require_sent(chat_id, around)
    return page


def _page_around(ids: dict[str, str], message_id: str, limit: int) -> Page[Message]:
    half = limit // 2
    rows = _messages_around.all(
        message_id=message_id, newer=max(half, 1) + 1, older=limit - half + 1, **ids
    )
    newer = [message for message, is_newer in rows if is_newer]
    older = [message for message, is_newer in rows if not is_newer]
    # A page of one shows a newer message where there is no other.
    shown = half or int(not older)
    nearest = newer[-shown:] if shown else []
    return _page(
        nearest + older[: limit - half],
        has_older=len(older) > limit - half,
        has_newer=len(newer) > shown,
    )


def _page(messages: list[Message], *, has_older: bool, has_newer: bool) -> Page[Message]:
    if not messages:
        return Page()
    newest, oldest = messages[0], messages[-1]
    return Page(
        messages,
        write_cursor("messages", (False, oldest.created_at, oldest.id)) if has_older else None,
        write_cursor("messages", (True, newest.created_at, newest.id)) if has_newer else None,
    )


@operation(reads=True)
def list_replies(
    user_id: str, chat_id: str, message_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Message]:
    """The visible messages that answer a message of the chat, the newest first.

    Each is as `send_message` returns it. Raises `NotFound` for a message that the user does not see
    there, also a deleted one, `InvalidInput`.

    >>> reply = send_message(boris.id, chat.id, "Thanks!", reply_to_id=message.id)
    >>> [found.content for found in list_replies(anna.id, chat.id, message.id)]
    ['Thanks!']
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id)
    valid_limit(limit)
    before, before_id = read_cursor(cursor, "replies")
    messages = _list_replies.all(before=before, before_id=before_id, limit=limit + 1, **ids)
    if not messages:
        require_member(user_id, chat_id)
        require_visible(chat_id, message_id)
    return page_of(messages, limit, "replies")


def page_of(messages: list[Message], limit: int, name: str) -> Page[Message]:
    """The page of a list of messages that is newest first, as `a_page` orders them."""
    return make_page(messages, limit, name, lambda row: (row.created_at, row.id))

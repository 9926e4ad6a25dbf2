"""The users to notify of a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import JOIN, SQL, FieldAlias, Join, Query, Select, Tuple, fn

from stogram_sdk.errors import InvalidInput
from stogram_sdk.fields import time_to_text
from stogram_sdk.lookups import look_up
from stogram_sdk.models import ChatMember, ChatSettings, Message, MessageTag, User
from stogram_sdk.operations import operation
from stogram_sdk.paging import BEGINNING, Page, make_page, read_cursor
from stogram_sdk.server_columns import notification_level
from stogram_sdk.shards import by_value
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.tags import signed_key
from stogram_sdk.validation import valid_count, valid_id, valid_pairs
from stogram_sdk.visibility import has_blocked, is_visible

#: A page holds at most so many users, and by default so many.
MAX_RECEIVERS = 1_000


def _is_mentioned() -> Any:
    """Whether the message mentions the member."""
    me, tag = User.alias(), MessageTag.alias()
    username = me.select(me.username).where(me.id == ChatMember.user)
    mention = tag.select(tag.tag).where(
        tag.tag == signed_key("@", username),
        tag.chat_id == by_value(Message.chat),
        tag.created_at == Message.created_at,
        tag.message_id == Message.id,
    )
    return fn.EXISTS(mention)


def _receivers_of(chat: Any, message_id: Any, after: tuple[Any, Any], *columns: Any) -> Any:
    """A page of the users to notify of one message, in the order in which they joined."""
    members = ChatMember.select().join(Message, on=(Message.chat == chat))
    receivers, settings = look_up(members, ChatMember, ChatSettings, by_value(ChatMember.chat))
    wanted = ~fn.COALESCE(settings.is_muted, False)
    level = notification_level(settings)
    if level is not None:
        wanted &= (level == "ALL") | ((level == "MENTIONS") & _is_mentioned())
    return (
        receivers.select(*columns)
        .where(
            ChatMember.chat == chat,
            Message.id == message_id,
            Tuple(*_in_order()) > Tuple(*after),
            is_visible(),
            ~Message.is_silent,
            ChatMember.user != Message.sender,
            ChatMember.joined_at <= Message.created_at,
            wanted,
            ~has_blocked(ChatMember.user, Message.sender),
        )
        .order_by(*_in_order())
        .limit(P.limit)
    )


def _in_order(member: Any = ChatMember) -> tuple[Any, Any]:
    return member.joined_at, member.id


@statement
def _users_to_notify() -> Any:
    row = [column.alias("value") for column in (ChatMember.user, *_in_order())]
    return _receivers_of(P.chat_id, P.message_id, (P.after, P.after_id), *row)


def _receivers_of_given(*columns: Any) -> Any:
    place = dialect().time_of(SQL('given."after"')), SQL('given."afterId"')
    return _receivers_of(SQL('given."chatId"'), SQL("given.id"), place, *columns)


@statement
def _users_to_notify_each() -> Query:
    """A page across the messages; of each, at most a page is looked for."""
    given = dialect().given(
        number=P.numbers, chatId=P.chat_ids, id=P.message_ids, after=P.after, afterId=P.after_ids
    )
    if dialect().has_lateral:
        found: Any = _receivers_of_given(ChatMember.user, *_in_order()).alias("found")
        # In order, so that PostgreSQL stops at the message where the page is full.
        in_turn = Select((given,), [SQL("given.*")]).order_by(SQL("given.number"))
        source = Join(in_turn.alias("given"), found, JOIN.LATERAL, on=SQL("true"))
        row = [found.c.userId, found.c.joinedAt, found.c.id]
    else:
        found = ChatMember.alias()
        is_found = found.id.in_(_receivers_of_given(ChatMember.id))
        source = Join(given, found, JOIN.CROSS, on=is_found)
        row = [found.user, found.joined_at, found.id]
    number = SQL("given.number")
    in_order = number, *row[1:]
    return Select([source], [number, *map(_as_value, row)]).order_by(*in_order).limit(P.limit)


def _as_value(column: Any) -> Any:
    """The column as a value of its own, not as a part of a row of its table."""
    return column.alias(column.column_name) if isinstance(column, FieldAlias) else column


@operation
def users_to_notify(
    chat_id: str, message_id: str, *, limit: int = MAX_RECEIVERS, cursor: str | None = None
) -> Page[str]:
    """The ids of the users to notify of a new message, in the order in which they joined.

    They are the members who had joined by then, without the sender and without members who have
    muted the chat or blocked the sender. On later servers the member's level of notification counts
    too. Nobody is to be notified of a message that is silent, deleted, not sent yet or not in this
    chat. `limit` is up to 1,000. Raises `InvalidInput`.

    >>> users_to_notify(chat.id, message.id) == [boris.id]
    True
    """
    pair = valid_id(chat_id, "chat_id"), valid_id(message_id, "message_id")
    page = _page_of([pair], limit, cursor)
    return Page([user_id for _, user_id in page], page.next_cursor)


@operation
def users_to_notify_each(
    messages: Iterable[tuple[str, str]], *, limit: int = MAX_RECEIVERS, cursor: str | None = None
) -> Page[tuple[str, str]]:
    """The users to notify of each of up to 100 messages, as pairs `(message_id, user_id)`.

    `messages` are pairs `(chat_id, message_id)`, the same ones for each page. The result has the
    users of the first message first, each as in `users_to_notify`; a page may hold those of several
    messages. `limit` is up to 1,000. Raises `InvalidInput`.

    >>> users_to_notify_each([(chat.id, message.id)]) == [(message.id, boris.id)]
    True
    """
    return _page_of(valid_pairs(messages, "messages"), limit, cursor)


def _page_of(pairs: list[tuple[str, str]], limit: int, cursor: str | None) -> Page[tuple[str, str]]:
    valid_count(limit, "limit", minimum=1, maximum=MAX_RECEIVERS)
    *pair, after, after_id = read_cursor(cursor, "receivers", ("", "", *BEGINNING))
    if cursor is not None:
        if tuple(pair) not in pairs:
            raise InvalidInput(
                "cursor must be the next_cursor of a page of the same messages", field="cursor"
            )
        pairs = pairs[pairs.index((pair[0], pair[1])) :]
    # The cursor is in the list of the first message; those after it begin at the beginning.
    places = [(after, after_id), *[BEGINNING] * len(pairs)][: len(pairs)]
    each = _one_by_one if len(pairs) == 1 or dialect().is_distributed else _together
    rows = each(pairs, places, limit + 1)
    time_of: Any = ChatMember.joined_at
    page = make_page(
        rows,
        limit,
        "receivers",
        lambda row: (*pairs[int(row[0])], time_of.python_value(row[2]), row[3]),
    )
    return Page([(pairs[int(row[0])][1], row[1]) for row in page], page.next_cursor)


def _together(pairs: list[Any], places: list[Any], limit: int) -> list[Any]:
    """The users to notify, each behind the number of the message."""
    return _users_to_notify_each.all(
        numbers=[f"{number:03}" for number in range(len(pairs))],
        chat_ids=[chat_id for chat_id, _ in pairs],
        message_ids=[message_id for _, message_id in pairs],
        after=[time_to_text(after) for after, _ in places],
        after_ids=[after_id for _, after_id in places],
        limit=limit,
    )


def _one_by_one(pairs: list[Any], places: list[Any], limit: int) -> list[Any]:
    """The same in a statement for each message, whose chat may be on another server."""
    rows: list[Any] = []
    for number, ((chat_id, message_id), (after, after_id)) in enumerate(
        zip(pairs, places, strict=True)
    ):
        found = _users_to_notify.all(
            chat_id=chat_id,
            message_id=message_id,
            after=after,
            after_id=after_id,
            limit=limit - len(rows),
        )
        rows += [(number, *row) for row in found]
        if len(rows) == limit:
            break
    return rows

"""Scheduled messages: sent when their time has come, and given to whoever notifies of them.

A message is sent exactly once, however many callers there are. Sending puts it into the table
"PublishedMessage" in the same transaction. From there it is given to one caller, on a lease. If
that one dies before it has acknowledged the message, the lease ends, and it is given again.

A chat that somebody else holds does not stop the others: what is free is sent first. Then the call
waits for one of the chats that it has skipped, for a moment. It picks that one at random. So a chat
that is always busy gets its turn, also beside one that stays locked.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import peewee
from peewee import SQL, Query, Select, Tuple, fn

from stogram_sdk.database import current_database, current_time
from stogram_sdk.engine.failures import sqlstate_of
from stogram_sdk.errors import NotAllowed
from stogram_sdk.fields import LATEST, Tags
from stogram_sdk.membership import require_member
from stogram_sdk.messages import (
    deletion,
    move_chats_up,
    place_to_write_in,
    require_message_of,
)
from stogram_sdk.models import Chat, Message, PublishedMessage
from stogram_sdk.operations import atomic, operation
from stogram_sdk.ordering import chat_lock, next_time
from stogram_sdk.paging import BEGINNING, Page, make_page, read_cursor
from stogram_sdk.rows import NOBODY, Sender, listed_message, unjoined_message
from stogram_sdk.shards import by_value
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.validation import (
    valid_count,
    valid_id,
    valid_ids,
    valid_limit,
    valid_named_ids,
    valid_time,
)
from stogram_sdk.visibility import is_member, is_visible

#: Seconds that a caller has to acknowledge a message before it is given again.
LEASE = 300
#: How long a call waits for a chat that somebody else holds.
_PATIENCE = "250ms"
_LOCK_TIMEOUT = "55P03"
_DAY = 86_400


def _is_due(message: Any = Message) -> Any:
    return (message.scheduled_for <= P.due) & ~message.is_sent & ~message.is_deleted


def _in_order(message: Any = Message) -> tuple[Any, ...]:
    return message.scheduled_for, message.created_at, message.id


@statement
def _due_messages() -> Query:
    due: Query = Message.select(Message.id, Message.chat).where(_is_due())
    if dialect().is_distributed:
        due = due.where(~dialect().is_one_of(Message.chat, P.held))
    return due.order_by(*_in_order()).limit(P.limit)


@statement
def _take_due(in_chat: bool = False) -> Query:
    """The due messages that nobody else holds, nor their chats; the caller holds both then."""
    due = (
        Chat.select(Message.id)
        .join(Message, on=(Message.chat == Chat.id))
        .where(_is_due(), *_in(Message, in_chat))
        .order_by(*_in_order())
        .limit(P.limit)
    )
    if in_chat:
        due = due.where(Chat.id == P.chat_id)
    return dialect().lock(due, skips_locked=True)


@statement
def _wait_for_chat() -> Any:
    """Hold the chat; for PostgreSQL, and in a transaction, whose own limit stays as it was."""
    limit, kept = "lock_timeout", "stogram.lock_timeout"

    def set_to(name: str, value: Any) -> Select:
        return Select(columns=[fn.set_config(name, value, True)])

    return after_locking(
        set_to(limit, fn.current_setting(kept)),
        set_to(kept, fn.current_setting(limit)),
        set_to(limit, _PATIENCE),
        chat_lock(Chat.id == P.chat_id),
    )


@statement
def _send(in_chat: bool = False) -> Query:
    """Send the messages, each if its sender may still write; the others stay as they are."""
    due = Message.alias()
    in_order = fn.ROW_NUMBER().over(partition_by=[due.chat], order_by=_in_order(due))
    placed = (
        due.select(due.id, due.chat, in_order.alias("place"))
        .where(dialect().is_one_of(due.id, P.message_ids), _is_due(due), *_in(due, in_chat))
        .alias("placed")
    )
    chat = P.chat_id if in_chat else Message.chat
    writer = place_to_write_in(chat, Message.sender)
    update: Query = (
        Message.update(
            {
                Message.is_sent: fn.EXISTS(writer),
                Message.created_at: dialect().milliseconds_after(
                    next_time(chat), placed.c.place - 1
                ),
                Message.updated_at: P.now,
            }
        )
        .from_(placed)
        .where(
            Message.chat == placed.c.chatId,
            Message.id == placed.c.id,
            _is_due(),
            *_in(Message, in_chat),
        )
        .returning(Message.id, Message.is_sent)
    )
    return update


@statement
def _delete_refused(in_chat: bool = False) -> Any:
    return deletion().where(dialect().is_one_of(Message.id, P.message_ids), *_in(Message, in_chat))


def _in(message: Any, in_chat: bool) -> list[Any]:
    """The condition that a message is in the one chat that is asked for, if there is one."""
    return [message.chat == P.chat_id] if in_chat else []


@statement
def _keep_sent() -> Query:
    """Keep the messages to be given; their lease is over already."""
    given = dialect().given(id=P.message_ids)
    sent = Select((given,), [SQL('given."id"'), P.now]).where(SQL("true"))
    columns = [PublishedMessage.message_id, PublishedMessage.lease_ends_at]
    # A message with the id of one that is gone may come before the row of that one has left.
    return PublishedMessage.insert_from(sent, columns).on_conflict(
        conflict_target=[PublishedMessage.message_id], preserve=[PublishedMessage.lease_ends_at]
    )


@statement
def _ended_leases() -> Query:
    ended = (
        PublishedMessage.select(PublishedMessage.message_id)
        .where(PublishedMessage.lease_ends_at <= P.now)
        .order_by(PublishedMessage.lease_ends_at, PublishedMessage.message_id)
        .limit(P.limit)
    )
    return dialect().lock(ended, skips_locked=True)


@statement
def _lease() -> Query:
    return PublishedMessage.update({PublishedMessage.lease_ends_at: P.until}).where(
        dialect().is_one_of(PublishedMessage.message_id, P.message_ids)
    )


@statement
def _published() -> Query:
    return (
        Message.select(listed_message(NOBODY))
        .join(Sender, on=(Sender.id == Message.sender))
        .join_from(Message, Chat, on=(Chat.id == Message.chat))
        .where(dialect().is_one_of(Message.id, P.message_ids), is_visible())
        .order_by(Message.created_at, Message.id)
    )


@statement
def _acknowledge() -> Any:
    is_asked_for = dialect().is_one_of(PublishedMessage.message_id, P.message_ids)
    rows = PublishedMessage.select(PublishedMessage.message_id).where(is_asked_for)
    return after_locking(
        PublishedMessage.delete().where(is_asked_for),
        dialect().lock(rows.order_by(PublishedMessage.message_id)),
    )


@statement
def _list_scheduled(in_chat: bool = False) -> Any:
    waiting = _waiting_messages(by_value(Message.chat, in_chat))
    if in_chat:
        waiting = waiting.where(Message.chat == P.chat_id)
    return (
        waiting.where(Tuple(Message.scheduled_for, Message.id) > Tuple(P.after, P.after_id))
        .order_by(Message.scheduled_for, Message.id)
        .limit(P.limit)
    )


def _waiting_messages(chat: Any) -> Any:
    """What the user has scheduled in the chats that they are in."""
    return (
        Message.select(listed_message(named=chat))
        .join(Sender, on=(Sender.id == Message.sender))
        .join_from(Message, Chat, on=(Chat.id == chat))
        .where(_is_own_waiting(), is_member(P.user_id, chat))
    )


def _is_own_waiting() -> Any:
    """Whether the user's message still waits for its time."""
    return (
        (Message.sender == P.user_id)
        & Message.scheduled_for.is_null(False)
        & ~Message.is_sent
        & ~Message.is_deleted
    )


@statement
def _reschedule_message() -> Query:
    return (
        Message.update({Message.scheduled_for: P.scheduled_for, Message.updated_at: P.now})
        .where(
            Message.chat == P.chat_id,
            Message.id == P.message_id,
            _is_own_waiting(),
            fn.EXISTS(place_to_write_in(P.chat_id, P.user_id)),
        )
        .returning(unjoined_message())
    )


@operation(repeatable=False)
def publish_scheduled(
    *, now: datetime | None = None, limit: int = 100, lease: int = LEASE
) -> list[Message]:
    """Send the messages whose time has come, and return those to notify of.

    A message is sent exactly once, however many callers there are. It becomes the newest of its
    chat, unread for the other members. If its sender may no longer write there, having left or been
    blocked, it is deleted and emptied instead. A chat that somebody else holds for more than 250 ms
    is left for the next call.

    A message is returned to one caller, which has `lease` seconds (1 to 86,400) to call
    `acknowledge_published`. Otherwise a later call returns it again, until it is acknowledged or
    deleted. So it is returned at least once. `now` (aware) is up to when messages are due, by
    default the current time of the database; what is sent has that current time, or `now` if it is
    later. `limit` is how many are sent at once and how many returned (1 to 100), the earliest
    first.

    Returns the messages in the order in which they were sent, each as `send_message` returns it;
    none if there is nothing to do.
    Raises `InvalidInput`.

    >>> plan = send_message(anna.id, chat.id, "Good morning", scheduled_for=tomorrow)
    >>> [sent.content for sent in publish_scheduled(now=tomorrow)]
    ['Good morning']
    """
    valid_limit(limit)
    valid_count(lease, "lease", minimum=1, maximum=_DAY)
    clock = current_time()
    due = clock if now is None else valid_time(now, "now")
    # So that messages one after the other, and the lease, still have times that there are.
    moment = min(max(due, clock), LATEST - timedelta(seconds=_DAY))
    until = moment + timedelta(seconds=lease)
    _publish_due(due, moment, limit)
    while message_ids := _take_leases(moment, limit, until):
        messages: list[Message] = _published.all(message_ids=message_ids)
        if gone := set(message_ids).difference(message.id for message in messages):
            _acknowledge.run(message_ids=sorted(gone))
        if messages:
            return messages
    return []


@operation
def acknowledge_published(message_ids: Iterable[str]) -> int:
    """Say that these messages were taken care of: `publish_scheduled` does not return them again.

    There may be up to 10,000. The call can be part of a transaction with your own writes: see
    docs/features.md. Returns how many of them were waiting for that. Raises `InvalidInput`.

    >>> plan = send_message(anna.id, chat.id, "Good morning", scheduled_for=tomorrow)
    >>> acknowledge_published([sent.id for sent in publish_scheduled(now=tomorrow)])
    1
    """
    ids = valid_ids(message_ids, "message_ids")
    return _acknowledge.run(message_ids=ids)


@operation(reads=True)
def list_scheduled(
    user_id: str, chat_id: str | None = None, *, limit: int = 50, cursor: str | None = None
) -> Page[Message]:
    """The user's own messages that wait for their time, in one chat or in all; the earliest first.

    Each is as `send_message` returns it. Those in chats that the user has left do not show. Raises
    `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> plan = send_message(anna.id, chat.id, "Good morning", scheduled_for=tomorrow)
    >>> [waiting.content for waiting in list_scheduled(anna.id)]
    ['Good morning']
    """
    valid_id(user_id, "user_id")
    valid_limit(limit)
    values: dict[str, Any] = {} if chat_id is None else {"chat_id": valid_id(chat_id, "chat_id")}
    after, after_id = read_cursor(cursor, "scheduled", BEGINNING)
    listing = _list_scheduled.variant(in_chat=chat_id is not None)
    values |= {"user_id": user_id, "after": after, "after_id": after_id, "limit": limit + 1}
    messages = [] if after == LATEST else listing.all(**values)
    if not messages and chat_id is not None:
        require_member(user_id, chat_id)
    return make_page(messages, limit, "scheduled", lambda row: (row.scheduled_for, row.id))


@operation
def reschedule_message(
    user_id: str, chat_id: str, message_id: str, scheduled_for: datetime
) -> Message:
    """Give one's own message that waits for its time another time (aware, also in the past).

    Returns the row as `send_message` does. Raises `NotFound` for a message that the user does not
    see there, `NotAllowed` for one that was sent already or is of somebody else and in a CHANNEL,
    `Blocked` in a PRIVATE chat, `InvalidInput`.

    >>> plan = send_message(anna.id, chat.id, "Good morning", scheduled_for=tomorrow)
    >>> later = tomorrow + timedelta(days=1)
    >>> reschedule_message(anna.id, chat.id, plan.id, later).scheduled_for > tomorrow
    True
    """
    values = valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id)
    moment = valid_time(scheduled_for, "scheduled_for")
    while True:
        waiting: Message | None = _reschedule_message.first(
            scheduled_for=moment, now=current_time(), **values
        )
        if waiting is not None:
            return waiting
        message, _ = require_message_of(
            **values, refusal="only the sender changes when a message is sent"
        )
        if message.is_sent or message.scheduled_for is None:
            raise NotAllowed("the message was sent already", entity="message", id=message_id)


def _publish_due(due: datetime, now: datetime, limit: int) -> None:
    """Send what is due, up to the limit; what cannot be sent any more does not count."""
    skipped: list[Message] = []
    while True:
        held = sorted({message.chat_id for message in skipped})
        messages = _due_messages.all(due=due, limit=limit, held=held)
        if not messages and not skipped:
            return
        taken: dict[str, bool] = {}
        for place, at_most in _places(messages, limit):
            with atomic():
                taken |= _publish(due, now, at_most, place)
        left = [message for message in messages if message.id not in taken]
        skipped += left
        # Where chats are looked at one by one, others may be due behind those that are held.
        if left and dialect().is_distributed and not any(taken.values()):
            continue
        if skipped and dialect().locks_rows:
            taken |= _publish_waiting(due, now, limit, skipped)
        if any(taken.values()) or not taken:
            return
        skipped = []


def _places(due: list[Message], limit: int) -> list[tuple[dict[str, str], int]]:
    """The values that name what is sent together, and how much of it.

    It is everything that is due, or of each chat what is, if chats may be on several servers.
    """
    if not dialect().is_distributed:
        return [({}, limit)]
    count = Counter(message.chat_id for message in due)
    return [({"chat_id": chat_id}, count[chat_id]) for chat_id in sorted(count)]


def _publish(due: datetime, now: datetime, limit: int, place: dict[str, str]) -> dict[str, bool]:
    """The messages that were due and free, each with whether it was sent."""
    in_chat = bool(place)
    free = _take_due.variant(in_chat=in_chat).all(due=due, limit=limit, **place)
    if not free:
        return {}
    ids = [row.id for row in free]
    rows = _send.variant(in_chat=in_chat).all(message_ids=ids, due=due, now=now, **place)
    taken = {message.id: message.is_sent for message in rows}
    if refused := [message_id for message_id, is_sent in taken.items() if not is_sent]:
        delete = _delete_refused.variant(in_chat=in_chat)
        delete.run(message_ids=refused, no_tags=Tags(), now=now, **place)
    if sent := [message_id for message_id, is_sent in taken.items() if is_sent]:
        move_chats_up.variant(in_chat=in_chat).run(message_ids=sent, **place)
        _keep_sent.run(message_ids=sent, now=now)
    return taken


def _publish_waiting(
    due: datetime, now: datetime, limit: int, skipped: list[Message]
) -> dict[str, bool]:
    """The same once one of the chats is free; nothing if that takes too long."""
    chat_id = random.choice(sorted({message.chat_id for message in skipped}))
    ((place, at_most),) = _places([row for row in skipped if row.chat_id == chat_id], limit)
    try:
        # A savepoint inside a transaction of the caller, which the error would end otherwise.
        with current_database().unit():
            _wait_for_chat.first(chat_id=chat_id)
            return _publish(due, now, at_most, place)
    except peewee.OperationalError as error:
        if sqlstate_of(error) != _LOCK_TIMEOUT:
            raise
        return {}


def _take_leases(now: datetime, limit: int, until: datetime) -> list[str]:
    """The messages whose lease is over; each is leased to the caller then."""
    with atomic():
        message_ids = [row.message_id for row in _ended_leases.all(now=now, limit=limit)]
        if message_ids:
            _lease.run(message_ids=message_ids, until=until)
    return message_ids

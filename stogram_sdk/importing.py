"""Importing: the history of a chat from another system.

Imported messages keep the times at which they were written there, so they take their places among
the messages of the chat. A reader who has passed such a place does not see them arrive. They are
unread for the members who had read only earlier messages.

Messages of one moment keep the order in which they are given: each takes the next millisecond, also
after those of that moment that an earlier call has written. The order of a chat has no other room
for it, since the ids are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import itemgetter, or_
from typing import Any, NamedTuple

from peewee import SQL, Query, Select, Value, fn

from stogram_sdk.content import FILE, content_columns, require_type_of_users
from stogram_sdk.database import current_time
from stogram_sdk.errors import AlreadyExists, InvalidInput, NotFound
from stogram_sdk.fields import Rows, time_from_database, time_to_text
from stogram_sdk.membership import CHAT_KEEPERS, require_keeper, require_writer
from stogram_sdk.models import Chat, ChatMember, ChatType, Message, MessageType, User
from stogram_sdk.operations import atomic, operation
from stogram_sdk.shards import by_value, found_in_chat, insert_read
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.users import require_users
from stogram_sdk.validation import (
    MAX_MESSAGES,
    at_most,
    shown,
    valid_flag,
    valid_id,
    valid_list,
    valid_time,
)
from stogram_sdk.visibility import (
    exists_for_each,
    is_blocked_in_private,
    is_deleted_in_order,
    is_in_order,
    is_sent,
    place_in,
)

_MILLISECOND = timedelta(milliseconds=1)
#: The kinds of messages that have a time in a chat; each has an index.
_KINDS = is_in_order, is_deleted_in_order


class ImportedMessage(NamedTuple):
    """A message as another system has it; `created_at` has a time zone, and is not in the future.

    The caller makes the `id`, the same one each time: a message with an id is imported once. The
    other fields are as in `send_message`.
    """

    id: str
    sender_id: str
    created_at: datetime
    content: str | None = None
    type: MessageType = MessageType.TEXT
    reply_to_id: str | None = None
    file_url: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    is_edited: bool = False
    thumbnail_url: str | None = None
    duration: int | None = None
    waveform: str | None = None


_GIVEN = (
    Message.id,
    Message.sender,
    Message.created_at,
    Message.content,
    Message.type,
    Message.reply_to,
    *FILE,
    Message.is_edited,
    Message.mentions,
    Message.hashtags,
)


@statement
def _last_from() -> Any:
    """Of the times at which the chat has a message: each with where the row ends that it begins.

    A row has a message in every millisecond, deleted or not. It ends at the first of two times, of
    which one may be None. No other import into the chat comes between; whoever sends a message
    there need not wait.
    """
    time = dialect().time_of(SQL('given."time"'))
    ends = [_end_of_row(time, kind) for kind in _KINDS]
    is_taken = reduce(or_, [_is_at(time, kind) for kind in _KINDS])
    taken = Select((dialect().given(time=P.times),), [SQL('given."time"'), *ends]).where(is_taken)
    return after_locking(taken, dialect().lock_name(Value("import into ").concat(P.chat_id)))


def _is_at(time: Any, kind: Callable[[Any], Any]) -> Any:
    """Whether the chat has a message of this kind at that time."""
    message = Message.alias()
    here = message.chat == P.chat_id, message.created_at == time, kind(message)
    # Looked up for each time: joined, all messages of the chat would be read for each.
    return exists_for_each(message.select(message.id).where(*here))


def _end_of_row(time: Any, kind: Callable[[Any], Any]) -> Any:
    """The first time of a message of this kind, from that time on, which none follows at once."""
    message = Message.alias()
    next_one = dialect().milliseconds_after(message.created_at, SQL("1"))
    ends = [~_is_at(next_one, each) for each in _KINDS]
    last = message.select(message.created_at).where(
        message.chat == P.chat_id, message.created_at >= time, kind(message), *ends
    )
    return last.order_by(message.created_at).limit(1)


@statement
def _import_messages() -> Any:
    """Write the messages that are not there yet, and return their ids.

    Nothing is written if the user may not import, or if a sender or answered message is unknown.
    The chat is not locked, so that nobody waits to write there: the messages have their times
    already. They are written by their ids, so that two imports of the same do not deadlock.
    """
    columns: dict[Any, Any] = {
        **{field: SQL(f"given.{field.name}") for field in _GIVEN},
        Message.chat: P.chat_id,
        Message.is_sent: SQL("true"),
        Message.updated_at: P.now,
    }
    may_import = place_in(P.chat_id, P.user_id).where(
        ChatMember.role.in_(CHAT_KEEPERS) | (Chat.type == ChatType.PRIVATE.value),
        ~is_blocked_in_private(by_value(Chat.id), Chat.type, ChatMember.user),
    )
    senders = User.select(fn.COUNT(User.id)).where(dialect().is_one_of(User.id, P.sender_ids))
    reply = Message.alias()
    answered = reply.select(fn.COUNT(reply.id)).where(
        *found_in_chat(reply, P.chat_id),
        dialect().is_one_of(reply.id, P.answered_ids),
        is_sent(reply),
    )
    given = dialect().given_rows(P.messages, *_GIVEN)
    new = Select((given,), list(columns.values())).where(
        fn.EXISTS(may_import), senders == P.sender_count, answered == P.answered_count
    )
    insert = insert_read(Message, new.order_by(SQL("given.id")), list(columns)).on_conflict(
        "nothing"
    )
    return insert.returning(Message.id)


@statement
def _messages_there() -> Query:
    """The messages that are in the chat already, each with whether it was sent."""
    return Message.select(Message.id, Message.sender, is_sent()).where(
        *found_in_chat(Message, P.chat_id), dialect().is_one_of(Message.id, P.message_ids)
    )


@operation
def import_messages(user_id: str, chat_id: str, messages: Iterable[ImportedMessage]) -> int:
    """Write up to 1,000 messages of a chat's history, all or none: by the owner and admins.

    In a PRIVATE chat either of the two may do that. The senders are users, who need not be in the
    chat any more. None of the messages is of type SYSTEM, which is for the service. An answered
    message is one of these, or was sent in the chat. Mentions and hashtags are found. Nobody is
    notified. A message is unread for a member who has read earlier ones only.

    A message of the same sender whose id is there already stays as it is. So an import can be
    repeated. Messages of one millisecond keep the order given: each comes a millisecond later than
    the one before, and all come after those of that millisecond that are there. Where an account
    has gone with its messages, a later import fills the gap.

    Returns how many were written by this call. Raises `NotFound` for a chat the user is not in, an
    unknown sender and an unknown `reply_to_id`, `NotAllowed` by role, `Blocked` in a PRIVATE chat,
    `AlreadyExists` for the id of another message, `InvalidInput`.

    >>> old = ImportedMessage("old-1", anna.id, datetime(2020, 1, 1, tzinfo=UTC), "Hello")
    >>> import_messages(anna.id, chat.id, [old])
    1
    """
    valid_id(user_id, "user_id")
    valid_id(chat_id, "chat_id")
    given = valid_list(messages, "messages", "ImportedMessage", _valid_message)
    now = current_time()
    rows = [_row(each, now) for each in at_most(MAX_MESSAGES, given, "messages", "messages")]
    # Of several messages with one id, the first is written.
    to_write = {row["id"]: row for row in reversed(rows)}
    sender_ids = sorted({row["sender"] for row in rows})
    answered_ids = sorted({row["reply_to"] for row in rows} - {*to_write, None})
    with atomic():
        _put_in_order(chat_id, rows)
        written: list[Message] = _import_messages.all(
            user_id=user_id,
            chat_id=chat_id,
            messages=Rows(to_write.values()),
            sender_ids=sender_ids,
            sender_count=len(sender_ids),
            answered_ids=answered_ids,
            answered_count=len(answered_ids),
            now=now,
        )
        if not written:
            _require_importer(user_id, chat_id)
        if len(written) < len(rows):
            _require_written(chat_id, rows, sender_ids, answered_ids)
    return len(written)


def _put_in_order(chat_id: str, rows: list[dict[str, Any]]) -> None:
    """Give each row a time of its own, as near to the one that it has as can be."""
    times = {time_to_text(row["created_at"]) for row in rows}
    taken = _last_from.all(chat_id=chat_id, times=sorted(times))
    last_from = {time: min(filter(None, map(time_from_database, ends))) for time, *ends in taken}
    free = datetime.min.replace(tzinfo=UTC)
    for row in sorted(rows, key=itemgetter("created_at")):
        time = row["created_at"]
        if there := last_from.get(time_to_text(time)):
            free = max(free, there + _MILLISECOND)
        row["created_at"] = max(time, free)
        free = row["created_at"] + _MILLISECOND


def _require_importer(user_id: str, chat_id: str) -> None:
    if require_writer(user_id, chat_id).chat_type != ChatType.PRIVATE:
        require_keeper(user_id, chat_id, "import messages")


def _require_written(
    chat_id: str, rows: list[dict[str, Any]], sender_ids: list[str], answered_ids: list[str]
) -> None:
    """Raise the error that explains why some rows are not in the chat now."""
    ids = [*answered_ids, *(row["id"] for row in rows)]
    found = _messages_there.all(chat_id=chat_id, message_ids=ids)
    there = {message.id: message.sender_id for message, _ in found}
    for row in rows:
        if there.get(row["id"], row["sender"]) != row["sender"]:
            raise AlreadyExists("message", "id", row["id"])
    missing = [row["id"] for row in rows if row["id"] not in there]
    if missing:
        require_users(sender_ids)
        answered = {message.id for message, is_sent in found if is_sent}
        for answered_id in answered_ids:
            if answered_id not in answered:
                raise NotFound("message", answered_id)
        raise AlreadyExists("message", "id", missing[0])


def _valid_message(value: object, field: str) -> ImportedMessage:
    if not isinstance(value, ImportedMessage):
        raise InvalidInput(
            f"{field} must be a list of ImportedMessage, not of {shown(value)}", field=field
        )
    return value


def _row(message: ImportedMessage, now: datetime) -> dict[str, Any]:
    """The attributes of the row to write. Raises `InvalidInput`, which names the message's id."""
    try:
        created_at = valid_time(message.created_at, "created_at")
        if created_at > now:
            raise InvalidInput("created_at must not be in the future", field="created_at")
        reply_to = message.reply_to_id
        content = content_columns(
            message.content,
            message.type,
            file_url=message.file_url,
            file_name=message.file_name,
            file_size=message.file_size,
            thumbnail_url=message.thumbnail_url,
            duration=message.duration,
            waveform=message.waveform,
        )
        require_type_of_users(content["type"])
        return {
            "id": valid_id(message.id, "id"),
            "sender": valid_id(message.sender_id, "sender_id"),
            "created_at": created_at,
            "reply_to": None if reply_to is None else valid_id(reply_to, "reply_to_id"),
            "is_edited": valid_flag(message.is_edited, "is_edited"),
            **content,
        }
    except InvalidInput as error:
        raise InvalidInput(f"messages, {shown(message.id)}: {error}", field="messages") from None

"""Messages: writing, changing, deleting, reading, and sending at a time.

The messages of a chat are in the order of (created_at, id), and become visible in that order: who
writes one holds the chat's row, and its time is later than that of every message there. So a
reader who has seen a message has seen all before it, and no page or unread count misses one that
was committed late. Where clocks differ, or many are sent in one millisecond, a message's time may
run ahead of the clock by as many milliseconds.

What `importing` writes is history: it takes its places among messages that may have been read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from peewee import JOIN, Query, Tuple, fn

from stogram_sdk.errors import AlreadyExists, InvalidInput, NotAllowed, NotFound
from stogram_sdk.fields import utc_now
from stogram_sdk.membership import CHAT_KEEPERS, require_member, require_writer
from stogram_sdk.models import Chat, ChatMember, ChatType, Message, MessageType, new_id
from stogram_sdk.operations import atomic, operation
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.rows import MESSAGE_WITH_RELATIONS, Sender, message_with_relations
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.text import extract_hashtags, extract_mentions
from stogram_sdk.unread import (
    chat_lock,
    count_as_unread,
    lower_unread_counts,
    next_time,
    size_of,
)
from stogram_sdk.validation import (
    MAX_CONTENT_LENGTH,
    MAX_SHORT_TEXT_LENGTH,
    valid_count,
    valid_enum,
    valid_flag,
    valid_id,
    valid_limit,
    valid_optional_text,
    valid_text,
    valid_time,
)
from stogram_sdk.visibility import is_blocked_in_private, is_member, is_sent, is_visible, place_in

_MAX_INTEGER = 2**31 - 1


def _place_to_write_in(chat: Any, user: Any) -> Any:
    """The user's membership in the chat, if they may write there."""
    return place_in(chat, user).where(
        (Chat.type != ChatType.CHANNEL.value) | ChatMember.role.in_(CHAT_KEEPERS),
        ~is_blocked_in_private(Chat.id, Chat.type, ChatMember.user),
    )


@statement
def _send_message() -> Any:
    reply = Message.alias()
    columns = {
        Message.id: P.id,
        Message.content: P.content,
        Message.type: P.type,
        Message.sender: ChatMember.user,
        Message.chat: ChatMember.chat,
        Message.reply_to: P.reply_to_id,
        Message.file_url: P.file_url,
        Message.file_name: P.file_name,
        Message.file_size: P.file_size,
        Message.is_silent: P.is_silent,
        Message.is_sent: P.is_sent,
        Message.scheduled_for: P.scheduled_for,
        Message.mentions: P.mentions,
        Message.hashtags: P.hashtags,
        Message.created_at: next_time(ChatMember.chat),
        Message.updated_at: P.now,
    }
    answered = reply.select(reply.id).where(
        reply.chat == P.chat_id, reply.id == P.reply_to_id, is_visible(reply)
    )
    new = (
        _place_to_write_in(P.chat_id, P.sender_id)
        .where(P.reply_to_id.is_null() | fn.EXISTS(answered))
        .select(*columns.values())
    )
    insert = Message.insert_from(new, list(columns)).on_conflict(
        "nothing", conflict_target=[Message.id]
    )
    return after_locking(
        insert.returning(Message, size_of(Message.chat)), chat_lock(Chat.id == P.chat_id)
    )


@statement
def _get_message() -> Query:
    return Message.select().where(Message.chat == P.chat_id, Message.id == P.message_id)


@statement
def _message_of_member() -> Query:
    """Nothing for who is not in the chat; without the message if it is not there."""
    place: Query = (
        place_in(P.chat_id, P.user_id)
        .join_from(
            ChatMember,
            Message,
            JOIN.LEFT_OUTER,
            on=((Message.chat == ChatMember.chat) & (Message.id == P.message_id)),
        )
        .select(
            *ChatMember._meta.sorted_fields,
            *Chat._meta.sorted_fields,
            *Message._meta.sorted_fields,
        )
    )
    return place


@statement
def _id_is_taken() -> Query:
    return Message.select(Message.id).where(Message.id == P.message_id)


@statement
def _edit_message() -> Query:
    return (
        Message.update(
            {
                Message.content: P.content,
                Message.mentions: P.mentions,
                Message.hashtags: P.hashtags,
                Message.is_edited: True,
                Message.updated_at: P.now,
            }
        )
        .where(
            Message.chat == P.chat_id,
            Message.id == P.message_id,
            Message.sender == P.user_id,
            Message.type != MessageType.SYSTEM.value,
            ~Message.is_deleted,
            is_member(P.user_id, P.chat_id),
        )
        .returning(Message)
    )


@statement
def _delete_message() -> Any:
    keeps = ChatMember.role.in_(CHAT_KEEPERS) & (Chat.type != ChatType.PRIVATE.value) & is_sent()
    allowed = place_in(P.chat_id, P.user_id).where(keeps | (Message.sender == P.user_id))
    delete = Message.update({Message.is_deleted: True, Message.updated_at: P.now}).where(
        Message.chat == P.chat_id,
        Message.id == P.message_id,
        ~Message.is_deleted,
        fn.EXISTS(allowed),
    )
    return after_locking(delete, chat_lock(Chat.id == P.chat_id))


@statement
def _list_messages() -> Query:
    return (
        Message.select(*MESSAGE_WITH_RELATIONS)
        .join(Sender, on=(Sender.id == Message.sender))
        .join_from(Message, Chat, on=(Chat.id == Message.chat))
        .where(
            Message.chat == P.chat_id,
            is_visible(),
            is_member(P.user_id, P.chat_id),
            Tuple(Message.created_at, Message.id) < Tuple(P.before, P.before_id),
        )
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(P.limit)
    )


@statement
def _due_messages() -> Query:
    return (
        Message.select(Message.id, Message.chat)
        .where(_is_due())
        .order_by(Message.scheduled_for, Message.created_at, Message.id)
        .limit(P.limit)
    )


def _is_due(message: Any = Message) -> Any:
    return (message.scheduled_for <= P.now) & ~message.is_sent & ~message.is_deleted


@statement
def _publish() -> Any:
    """Send what is due, if its sender may still write; delete it otherwise."""
    due = Message.alias()
    in_order = fn.ROW_NUMBER().over(
        partition_by=[due.chat], order_by=[due.scheduled_for, due.created_at, due.id]
    )
    placed = (
        due.select(due.id, due.chat, in_order.alias("place"))
        .where(dialect().is_one_of(due.id, P.message_ids), _is_due(due))
        .alias("placed")
    )
    writer = _place_to_write_in(Message.chat, Message.sender)
    update = (
        Message.update(
            {
                Message.is_sent: fn.EXISTS(writer),
                Message.is_deleted: ~fn.EXISTS(writer),
                Message.created_at: dialect().milliseconds_after(
                    next_time(Message.chat), placed.c.place - 1
                ),
                Message.updated_at: P.now,
            }
        )
        .from_(placed)
        .where(Message.chat == placed.c.chatId, Message.id == placed.c.id, _is_due())
    )
    return after_locking(
        update.returning(Message, size_of(Message.chat)),
        chat_lock(dialect().is_one_of(Chat.id, P.chat_ids)),
    )


@operation(repeatable_with="message_id")
def send_message(
    sender_id: str,
    chat_id: str,
    content: str | None = None,
    *,
    type: MessageType = MessageType.TEXT,
    reply_to_id: str | None = None,
    is_silent: bool = False,
    scheduled_for: datetime | None = None,
    file_url: str | None = None,
    file_name: str | None = None,
    file_size: int | None = None,
    message_id: str | None = None,
) -> Message:
    """Write a message: by members; in a CHANNEL by the owner and admins.

    It has a `content` of up to 65,536 characters or a `file_url`, or both; its mentions and
    hashtags are found. It is one more unread for every other member who has not blocked the
    sender. A silent one notifies nobody. With `scheduled_for` (aware, also in the past) it waits
    for `publish_scheduled`, and nobody sees it until then.

    Give a `message_id` of your own to be able to call again when the outcome was not known: the
    same id is one message, and the second call returns it as it is.

    Returns the row. Raises `NotFound` for a chat the sender is not in and for a `reply_to_id` that
    is no visible message there, `NotAllowed` in a CHANNEL, `Blocked` in a PRIVATE chat,
    `AlreadyExists` for the id of another message, `InvalidInput`.
    """
    valid_id(sender_id, "sender_id")
    valid_id(chat_id, "chat_id")
    columns = content_columns(content, type, file_url, file_name, file_size)
    if reply_to_id is not None:
        valid_id(reply_to_id, "reply_to_id")
    if message_id is not None:
        valid_id(message_id, "message_id")
    if scheduled_for is not None:
        scheduled_for = valid_time(scheduled_for, "scheduled_for")
    now = utc_now()
    with atomic():
        sent: tuple[Message, str] | None = _send_message.first(
            id=message_id or new_id(),
            sender_id=sender_id,
            chat_id=chat_id,
            reply_to_id=reply_to_id,
            is_silent=valid_flag(is_silent, "is_silent"),
            is_sent=scheduled_for is None,
            scheduled_for=scheduled_for,
            now=now,
            **columns,
        )
        if sent is not None:
            if scheduled_for is None:
                count_as_unread([sent], now)
            return sent[0]
        # Still inside: the chat is held, so what was in the way is there to be seen.
        return _why_not_sent(sender_id, chat_id, reply_to_id, message_id)


def content_columns(
    content: str | None,
    type: MessageType,
    file_url: str | None,
    file_name: str | None,
    file_size: int | None,
) -> dict[str, Any]:
    """What a message consists of, with its mentions and hashtags. Raises `InvalidInput`."""
    if content is None and file_url is None:
        raise InvalidInput("a message needs content or a file_url", field="content")
    text = valid_optional_text(content, "content", maximum=MAX_CONTENT_LENGTH) or ""
    if file_size is not None:
        valid_count(file_size, "file_size", maximum=_MAX_INTEGER)
    return {
        "content": content,
        "type": valid_enum(MessageType, type, "type").value,
        "file_url": valid_optional_text(file_url, "file_url", maximum=MAX_CONTENT_LENGTH),
        "file_name": valid_optional_text(file_name, "file_name", maximum=MAX_SHORT_TEXT_LENGTH),
        "file_size": file_size,
        "mentions": extract_mentions(text),
        "hashtags": extract_hashtags(text),
    }


def _why_not_sent(
    sender_id: str, chat_id: str, reply_to_id: str | None, message_id: str | None
) -> Message:
    """The message that was sent before under this id, or the error that says why there is none."""
    if message_id is not None:
        sent: Message | None = _get_message.first(chat_id=chat_id, message_id=message_id)
        if sent is not None and sent.sender_id == sender_id:
            return sent
    require_writer(sender_id, chat_id)
    if message_id is not None and _id_is_taken.first(message_id=message_id) is not None:
        raise AlreadyExists("message", "id", message_id)
    raise NotFound("message", reply_to_id or "")


@operation
def edit_message(user_id: str, chat_id: str, message_id: str, content: str) -> Message:
    """Change the text of one's own message; its mentions and hashtags are found again.

    Who has read it has read it. Returns the row. Raises `NotFound` for a message that the user
    does not see (also a deleted one), `NotAllowed` for a message of somebody else or of type
    SYSTEM, `InvalidInput`.
    """
    values = _ids(user_id, chat_id, message_id)
    valid_text(content, "content", maximum=MAX_CONTENT_LENGTH)
    message: Message | None = _edit_message.first(
        content=content,
        mentions=extract_mentions(content),
        hashtags=extract_hashtags(content),
        now=utc_now(),
        **values,
    )
    if message is None:
        if _look_at(**values)[2].is_deleted:
            raise NotFound("message", message_id)
        raise NotAllowed("only the sender edits a message", entity="message", id=message_id)
    return message


@operation
def delete_message(user_id: str, chat_id: str, message_id: str) -> bool:
    """Mark a message as deleted: one's own, or as owner or admin of a group or channel any.

    It leaves the unread counts of those who had not read it, and pins and searches no longer show
    it. In a PRIVATE chat nobody deletes what the other wrote. Returns whether it was there to
    delete: False for one that is deleted already. Raises `NotFound` for a message that the user
    does not see, `NotAllowed` by role, `InvalidInput`.
    """
    values = _ids(user_id, chat_id, message_id)
    now = utc_now()
    with atomic():
        if _delete_message.run(now=now, **values):
            lower_unread_counts.run(chat_id=chat_id, message_id=message_id, now=now)
            return True
        return _why_not_deleted(**values)


def _why_not_deleted(user_id: str, chat_id: str, message_id: str) -> bool:
    """False for what the user could have deleted, or the error that says why they could not."""
    member, chat, message = _look_at(user_id, chat_id, message_id)
    if not message.is_deleted:
        raise NotAllowed(
            "only the sender, the owner and admins delete a message",
            entity="message",
            id=message_id,
        )
    keeps = member.role in CHAT_KEEPERS and chat.type != ChatType.PRIVATE
    if message.sender_id != user_id and not keeps:
        raise NotFound("message", message_id)
    return False


@operation
def list_messages(
    user_id: str, chat_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Message]:
    """The visible messages of a chat with sender and chat, the newest first.

    `sender` holds id, username and display name. Raises `NotFound` for a chat the user is not in,
    `InvalidInput`.
    """
    valid_id(user_id, "user_id")
    valid_id(chat_id, "chat_id")
    valid_limit(limit)
    before, before_id = read_cursor(cursor, "messages")
    rows = _list_messages.all(
        user_id=user_id, chat_id=chat_id, before=before, before_id=before_id, limit=limit + 1
    )
    if not rows:
        require_member(user_id, chat_id)
    messages = [message_with_relations(row) for row in rows]
    return make_page(messages, limit, "messages", lambda row: (row.created_at, row.id))


@operation(repeatable=False)
def publish_scheduled(*, now: datetime | None = None, limit: int = 100) -> list[Message]:
    """Send the messages whose time has come, exactly once however many callers run it.

    Each becomes the newest message of its chat and unread for the others. One whose sender may no
    longer write there (has left, was blocked) is marked deleted instead. `now` defaults to the
    current time; `limit` is how many are taken at once (1 to 100), the earliest first.
    Returns the messages that were sent, in their new order; none if no more are due.
    Raises `InvalidInput`.
    """
    moment = utc_now() if now is None else valid_time(now, "now")
    valid_limit(limit)
    while due := _due_messages.all(now=moment, limit=limit):
        if sent := _publish_due(due, moment):
            return sorted(sent, key=lambda message: (message.created_at, message.id))
        # Another caller was faster, or none of the senders may write: there may be more.
    return []


def _publish_due(due: list[Message], now: datetime) -> list[Message]:
    chat_ids = sorted({message.chat_id for message in due})
    with atomic():
        published = _publish.all(
            message_ids=[message.id for message in due], chat_ids=chat_ids, now=now
        )
        sent = [(message, size) for message, size in published if message.is_sent]
        count_as_unread(sent, now)
    return [message for message, _ in sent]


def _ids(user_id: str, chat_id: str, message_id: str) -> dict[str, str]:
    return {
        "user_id": valid_id(user_id, "user_id"),
        "chat_id": valid_id(chat_id, "chat_id"),
        "message_id": valid_id(message_id, "message_id"),
    }


def _look_at(user_id: str, chat_id: str, message_id: str) -> tuple[ChatMember, Chat, Message]:
    """The user's place in the chat, and the message. Raises `NotFound` for what is not theirs."""
    row = _message_of_member.first(user_id=user_id, chat_id=chat_id, message_id=message_id)
    if row is None:
        raise NotFound("chat", chat_id)
    member, chat, message = row
    if message is None or (_is_waiting(message) and message.sender_id != user_id):
        raise NotFound("message", message_id)
    return member, chat, message


def _is_waiting(message: Message) -> bool:
    return message.scheduled_for is not None and not message.is_sent

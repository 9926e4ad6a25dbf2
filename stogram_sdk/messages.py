"""Messages: writing, changing and deleting; `history` reads them.

Their order is explained in `ordering`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from peewee import JOIN, SQL, Query, Select, fn

from stogram_sdk.content import FILE, content_columns, require_type_of_users, tag_columns
from stogram_sdk.database import current_database, current_time
from stogram_sdk.errors import AlreadyExists, NotAllowed, NotFound
from stogram_sdk.fields import Tags
from stogram_sdk.membership import CHAT_KEEPERS, require_visible, require_writer
from stogram_sdk.models import Chat, ChatMember, ChatType, Message, MessageType, new_id
from stogram_sdk.operations import atomic, operation
from stogram_sdk.ordering import chat_lock, next_time
from stogram_sdk.roles import owner_or_first
from stogram_sdk.rows import new_message, unjoined_message
from stogram_sdk.server_columns import is_forwarded
from stogram_sdk.shards import by_value, insert_read
from stogram_sdk.statements import P, Statement, after_locking, amend, dialect, statement
from stogram_sdk.unread import raise_unread_counts
from stogram_sdk.validation import (
    MAX_CONTENT_LENGTH,
    valid_flag,
    valid_id,
    valid_named_ids,
    valid_text,
    valid_time,
)
from stogram_sdk.visibility import (
    is_blocked_in_private,
    is_member,
    is_sent,
    is_there,
    place_in,
    visible_message,
)


def place_to_write_in(chat: Any, user: Any) -> Any:
    """The user's membership in the chat, if they may write there."""
    return place_in(chat, user).where(
        (Chat.type != ChatType.CHANNEL.value) | ChatMember.role.in_(CHAT_KEEPERS),
        ~is_blocked_in_private(by_value(Chat.id), Chat.type, ChatMember.user),
    )


@statement
def _send_message(alone: bool, by_service: bool = False, is_reply: bool = False) -> Any:
    """`alone`: it is a transaction by itself. `is_reply`: it answers a message, which is returned.

    The chat gets a new `updatedAt`, by which the server orders its list. The server's unread
    counts are raised only if the statement is alone: that locks settings of other users, and a
    transaction of the caller may go on for long.
    """
    place = _voice_of_service() if by_service else place_to_write_in(P.chat_id, P.sender_id)
    if is_reply:
        place = place.where(fn.EXISTS(visible_message(P.chat_id, P.reply_to_id)))
    insert = _insert_message(place, is_reply)
    return with_side_effects(insert, alone, by_service=by_service, is_reply=is_reply)


def _voice_of_service() -> Any:
    """The membership in whose name the service writes: the owner's, or of who joined first."""
    return (
        ChatMember.select(ChatMember.id)
        .join(Chat, on=(Chat.id == P.chat_id))
        .where(ChatMember.chat == P.chat_id, ChatMember.id == owner_or_first(P.chat_id))
    )


def with_side_effects(
    insert: Any, alone: bool, *, most: int = 1, by_service: bool = False, is_reply: bool = False
) -> Any:
    """The statement that writes one message, or up to `most`, and returns them; for `write`.

    Their chat moves up and, if the statement is `alone`, the server's unread counts are raised.
    """
    lock = chat_lock(Chat.id == P.chat_id)
    if not dialect().writes_in_ctes:
        return after_locking(insert.returning(new_message(Message, is_reply=is_reply)), lock)
    sent = insert.returning(Message).cte("sent")
    writes = [sent, _move_up(sent if most == 1 else _newest_of(sent), P.chat_id).cte("moved")]
    if alone:
        sender = Select((sent,), [sent.c.senderId]) if by_service else P.sender_id
        writes += raise_unread_counts(sent, sender, most)
    shown = new_message(Message.alias("sent"), is_reply=is_reply)
    return after_locking(Select([sent], [shown]).with_cte(*writes), lock)


def _newest_of(sent: Any) -> Any:
    """The last of several messages; for PostgreSQL."""
    time, is_sent = fn.MAX(sent.c.createdAt), fn.BOOL_AND(sent.c.isSent)
    return Select((sent,), [time.alias("createdAt"), is_sent.alias("isSent")]).alias("newest")


def _insert_message(place: Any, is_reply: bool) -> Any:
    columns: dict[Any, Any] = {
        Message.id: P.id,
        Message.content: P.content,
        Message.type: P.type,
        Message.sender: ChatMember.user,
        Message.chat: ChatMember.chat,
        Message.reply_to: P.reply_to_id if is_reply else SQL("NULL"),
        **{field: getattr(P, field.name) for field in FILE},
        Message.is_silent: P.is_silent,
        Message.is_sent: P.is_sent,
        Message.scheduled_for: P.scheduled_for,
        Message.mentions: P.mentions,
        Message.hashtags: P.hashtags,
        Message.created_at: next_time(by_value(ChatMember.chat), Chat),
        Message.updated_at: P.now,
    }
    new = place.select(*columns.values())
    return insert_read(Message, new, list(columns)).on_conflict("nothing")


def _move_up(sent: Any, chat_id: Any) -> Any:
    """Give the chat of the message `sent` that message's time; its row is locked already."""
    return (
        Chat.update({Chat.updated_at: sent.c.createdAt})
        .from_(sent)
        .where(Chat.id == chat_id, sent.c.isSent)
    )


@statement
def move_chats_up(in_chat: bool = False) -> Query:
    """The same for messages that an earlier statement has written, in one chat or in several."""
    message = Message.alias()
    newest: Any = (
        message.select(message.chat, fn.MAX(message.created_at).alias("createdAt"), message.is_sent)
        .where(
            dialect().is_one_of(message.id, P.message_ids),
            *([message.chat == P.chat_id] if in_chat else []),
        )
        .group_by(message.chat, message.is_sent)
        .alias("sent")
    )
    moved: Query = _move_up(newest, P.chat_id if in_chat else newest.c.chatId)
    return moved


@statement
def _own_message() -> Query:
    """The message that the user wrote in the chat, as long as they are in it."""
    return Message.select(unjoined_message()).where(
        Message.chat == P.chat_id,
        Message.id == P.message_id,
        Message.sender == P.user_id,
        is_member(P.user_id, P.chat_id),
    )


@statement
def _message_of_member() -> Query:
    """No row for a non-member; the message is None if there is none.

    With it comes whether it is there still, and whether it was forwarded.
    """
    place: Query = (
        place_in(P.chat_id, P.user_id)
        .join_from(
            ChatMember,
            Message,
            JOIN.LEFT_OUTER,
            on=((Message.chat == P.chat_id) & (Message.id == P.message_id)),
        )
        .select(
            *ChatMember._meta.sorted_fields,
            *Chat._meta.sorted_fields,
            *Message._meta.sorted_fields,
            is_there(),
            is_forwarded(Message),
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
                # Before it was sent, nobody has seen another text.
                Message.is_edited: is_sent(),
                Message.updated_at: P.now,
            }
        )
        .where(
            Message.chat == P.chat_id,
            Message.id == P.message_id,
            Message.sender == P.user_id,
            Message.type != MessageType.SYSTEM.value,
            is_there(),
            ~is_forwarded(Message),
            fn.EXISTS(place_to_write_in(P.chat_id, P.user_id)),
        )
        .returning(unjoined_message())
    )


def deletion() -> Any:
    """Delete as the server does: it empties the row, since its replies still show what is left."""
    emptied: dict[Any, Any] = dict.fromkeys([Message.content, *FILE])
    emptied |= {Message.mentions: P.no_tags, Message.hashtags: P.no_tags}
    return Message.update({Message.is_deleted: True, Message.updated_at: P.now, **emptied})


@statement
def _delete_message() -> Any:
    keeps = ChatMember.role.in_(CHAT_KEEPERS) & (Chat.type != ChatType.PRIVATE.value) & is_sent()
    allowed = place_in(P.chat_id, P.user_id).where(keeps | (Message.sender == P.user_id))
    return deletion().where(
        Message.chat == P.chat_id,
        Message.id == P.message_id,
        ~Message.is_deleted,
        fn.EXISTS(allowed),
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
    thumbnail_url: str | None = None,
    duration: int | None = None,
    waveform: str | None = None,
    message_id: str | None = None,
) -> Message:
    """Write a message: by members; in a CHANNEL by the owner and admins.

    It has a `content` of up to 65,536 characters or a `file_url`, or both. A file may have a
    `file_size` in bytes and a `duration` in seconds, each up to 2,147,483,647, and a `waveform` as
    the server's clients write it: a list of numbers in JSON.

    Mentions and hashtags are found in the content. The message is unread for every other member who
    has not blocked the sender. A silent message notifies nobody. With `scheduled_for` (aware, also
    in the past) it waits for `publish_scheduled`, and nobody sees it until then. The type SYSTEM is
    for `post_system_message` alone.

    With a `message_id` of your own, the call can be repeated when its outcome is not known. The
    same id is one message: the second call returns it as it is, if the sender is still in the chat.
    An id is taken for all chats, so make ids that nobody can guess.

    Returns the row, with `sender`, `chat` and `reply_to`; the last is the message that is answered,
    as long as it is visible. Raises `NotFound` for a chat the sender is not in and for a
    `reply_to_id` that is no visible message there, `NotAllowed` in a CHANNEL, `Blocked` in a
    PRIVATE chat, `AlreadyExists` for the id of another message, `InvalidInput`.

    >>> sent = send_message(boris.id, chat.id, "Thanks! #done", reply_to_id=message.id)
    >>> sent.hashtags, sent.reply_to.sender.username
    (['done'], 'anna')
    """
    valid_id(sender_id, "sender_id")
    valid_id(chat_id, "chat_id")
    columns = content_columns(
        content,
        type,
        file_url=file_url,
        file_name=file_name,
        file_size=file_size,
        thumbnail_url=thumbnail_url,
        duration=duration,
        waveform=waveform,
    )
    require_type_of_users(columns["type"])
    if reply_to_id is not None:
        valid_id(reply_to_id, "reply_to_id")
    if message_id is not None:
        valid_id(message_id, "message_id")
    if scheduled_for is not None:
        scheduled_for = valid_time(scheduled_for, "scheduled_for")
    values = {
        "id": message_id or new_id(),
        "sender_id": sender_id,
        "chat_id": chat_id,
        "reply_to_id": reply_to_id,
        "is_silent": valid_flag(is_silent, "is_silent"),
        "is_sent": scheduled_for is None,
        "scheduled_for": scheduled_for,
        **columns,
    }
    while True:
        if sent := write(_send_message.variant(is_reply=reply_to_id is not None), **values):
            return sent[0]
        found = _why_not_sent(sender_id, chat_id, reply_to_id, message_id)
        if found is not None:
            return found


@operation(repeatable=False)
def post_system_message(chat_id: str, content: str) -> Message:
    """Write a message of type SYSTEM, such as "Anna has joined": for the service, not for users.

    It is written in the name of the owner, or of the member who joined first if there is no owner,
    even where a block or a role would forbid it. Nobody can edit it or pin it. It is unread for the
    other members. Returns the row. Raises `NotFound` for an unknown chat and for one without
    members, `InvalidInput`.

    >>> post_system_message(chat.id, "Boris has joined").type.value
    'SYSTEM'
    """
    valid_id(chat_id, "chat_id")
    valid_text(content, "content", maximum=MAX_CONTENT_LENGTH)
    values = {
        "id": new_id(),
        "chat_id": chat_id,
        "is_silent": False,
        "is_sent": True,
        "scheduled_for": None,
        **content_columns(content, MessageType.SYSTEM),
    }
    posted = write(_send_message.variant(by_service=True), **values)
    if not posted:
        raise NotFound("chat", chat_id)
    return posted[0]


def write(write_messages: Statement, **values: Any) -> list[Message]:
    """Write the messages and return them; none if something is in the way."""
    now = current_time()
    if dialect().writes_in_ctes:
        alone = not current_database().in_transaction()
        messages = write_messages.variant(alone=alone).all(now=now, **values)
    else:
        with atomic():
            messages = write_messages.variant(alone=False).all(now=now, **values)
            if sent := [message.id for message in messages if message.is_sent]:
                move_chats_up.run(message_ids=sent)
    for message in messages:
        if message.is_sent:  # Its chat was read before it got the time of the message.
            amend(message.chat, updated_at=message.created_at)
    return messages


def _why_not_sent(
    sender_id: str, chat_id: str, reply_to_id: str | None, message_id: str | None
) -> Message | None:
    """The message that was sent before with this id; raises the error that explains a refusal.

    None if nothing is in the way any more.
    """
    if message_id is not None:
        found: Message | None = _own_message.first(
            user_id=sender_id, chat_id=chat_id, message_id=message_id
        )
        if found is not None:
            return found
    require_writer(sender_id, chat_id)
    if message_id is not None and _id_is_taken.first(message_id=message_id) is not None:
        raise AlreadyExists("message", "id", message_id)
    if reply_to_id is not None:
        require_visible(chat_id, reply_to_id)
    return None


@operation
def edit_message(user_id: str, chat_id: str, message_id: str, content: str) -> Message:
    """Change the text of one's own message; its mentions and hashtags are found again.

    A user who may not write in the chat any more may not edit either. The message stays read for
    the members who have read it. A message that is still to be sent is not marked as edited.
    Returns the row as `send_message` does. Raises `NotFound` for a message that the user does not
    see (also a deleted one), `NotAllowed` for a message of somebody else or of type SYSTEM, for one
    that a later server's column marks as forwarded, and in a CHANNEL, `Blocked` in a PRIVATE chat,
    `InvalidInput`.

    >>> edit_message(anna.id, chat.id, message.id, "Tomorrow, @maria").mentions
    ['maria']
    """
    values = valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id)
    valid_text(content, "content", maximum=MAX_CONTENT_LENGTH)
    while True:
        edited: Message | None = _edit_message.first(
            content=content,
            now=current_time(),
            **tag_columns(content),
            **values,
        )
        if edited is not None:
            return edited
        _, is_forwarded = require_message_of(**values, refusal="only the sender edits a message")
        if is_forwarded:
            raise NotAllowed(
                "a forwarded message keeps the words of its author",
                entity="message",
                id=message_id,
            )


def require_message_of(
    user_id: str, chat_id: str, message_id: str, *, refusal: str
) -> tuple[Message, bool]:
    """The user's own message, in a chat in which they may still write; whether it was forwarded.

    Otherwise it raises the error that explains why the user does not change it.
    """
    _, _, message, is_there, is_forwarded = _look_at(user_id, chat_id, message_id)
    if not is_there:
        raise NotFound("message", message_id)
    if message.sender_id != user_id or message.type == MessageType.SYSTEM:
        raise NotAllowed(refusal, entity="message", id=message_id)
    require_writer(user_id, chat_id)
    return message, is_forwarded


@operation
def delete_message(user_id: str, chat_id: str, message_id: str) -> bool:
    """Mark a message as deleted, and empty it.

    Its sender may do that, and in groups and channels the owner and admins too. In a PRIVATE chat
    nobody deletes a message of the other. The text, file and tags are gone. The message no longer
    shows in unread counts, pins and searches. A member who has read up to it has still read up to
    there. Returns whether the call deleted it: False if it was deleted already. Raises `NotFound`
    for a message that the user does not see, `NotAllowed` by role, `InvalidInput`.

    >>> delete_message(anna.id, chat.id, message.id)
    True
    """
    values = valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id)
    if _delete_message.run(now=current_time(), no_tags=Tags(), **values):
        return True
    return _why_not_deleted(**values)


def _why_not_deleted(user_id: str, chat_id: str, message_id: str) -> bool:
    """False for a message that is deleted already; raises the error that explains a refusal."""
    member, chat, message, *_ = _look_at(user_id, chat_id, message_id)
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


def _look_at(
    user_id: str, chat_id: str, message_id: str
) -> tuple[ChatMember, Chat, Message, bool, bool]:
    """The row of `_message_of_member`. Raises `NotFound` if chat or message are not theirs."""
    row = _message_of_member.first(user_id=user_id, chat_id=chat_id, message_id=message_id)
    if row is None:
        raise NotFound("chat", chat_id)
    member, chat, message, is_there, is_forwarded = row
    if message is None or (_is_waiting(message) and message.sender_id != user_id):
        raise NotFound("message", message_id)
    return member, chat, message, bool(is_there), bool(is_forwarded)


def _is_waiting(message: Message) -> bool:
    return message.scheduled_for is not None and not message.is_sent

"""Unread counts: what they are, and how they stay right when everybody writes at once.

The truth. Unread for a member are the visible messages of others in the chat that are later, by
(created_at, id), than the last one read; if none was read yet, those from the moment on that the
settings row was made; without a settings row, none. Messages of somebody whom the member has
blocked do not count, nor do those from before they joined. A last read message that has been
marked deleted still marks its place; when its row is gone altogether (its sender was deleted), it
is as if none had been read: the count starts at the row's `created_at`.

Large chats. `ChatSettings.unread_count` stores that number, one row for each member; so in a chat
of more than `LARGE_CHAT` members a message would cost as many writes. When the first message is
written there, the chat gets a row in "LargeChat", and from that message on nothing is stored: the
messages are counted when somebody reads the count, up to `MAX_COUNT`, which means "as many or
more" (999+). Up to then the stored counts were right, so nobody's count changes with it: a member
without a settings row had nothing unread, and counts from that message on, or from when they
joined later. A chat stays large when members leave.

The order of locks. Rows are locked in this order, so that no two calls wait for each other:

1. "User" rows, by id: whoever blocks, and whoever adds members. So whoever blocks knows all the
   chats that the two share.
2. "Chat" rows, by id: whoever adds or deletes messages, changes members, or blocks. So the
   messages of a chat have one order, in which they also become visible (see `messages`).
3. "ChatSettings" rows, by (chat, user): whoever changes a count.

Each is locked by a statement of its own before the one that counts: see `AfterLocking`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from peewee import EXCLUDED, SQL, Case, Query, Select, Tuple, fn

from stogram_sdk.models import (
    Chat,
    ChatMember,
    ChatSettings,
    LargeChat,
    Message,
    MessageTag,
    User,
)
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.tags import signed_key
from stogram_sdk.visibility import has_blocked, is_sent, is_visible

#: With more members than this, the unread messages of a chat are counted when they are read.
LARGE_CHAT = 1_000
#: As far as they are counted then.
MAX_COUNT = 1_000

#: What ON CONFLICT names: the natural key, which a shard can check for itself.
SETTINGS_KEY = (ChatSettings.user, ChatSettings.chat)


def position_of(settings: Any, start: Any = None) -> Any:
    """Up to where the owner of the settings row has read: (created_at, id).

    `start` is where a chat begins for those who have read nothing; by default their row does.
    """
    marker = Message.alias()
    read = marker.chat == settings.chat, marker.id == settings.last_read_message_id
    return Tuple(
        fn.COALESCE(
            marker.select(marker.created_at).where(*read),
            settings.created_at if start is None else start,
        ),
        fn.COALESCE(marker.select(marker.id).where(*read), ""),
    )


def place_of(message: Any) -> Any:
    """A message's place in the order of its chat."""
    return Tuple(message.created_at, message.id)


def next_time(chat: Any) -> Any:
    """The time `P.now`, or the first millisecond after the newest message of the chat."""
    newest = Message.alias()
    # Not MAX(), which PostgreSQL plans in two ways.
    latest = (
        newest.select(newest.created_at)
        .where(newest.chat == chat)
        .order_by(newest.created_at.desc())
        .limit(1)
    )
    return dialect().later_of(P.now, dialect().milliseconds_after(latest, SQL("1")))


def counts_for(message: Any, user: Any, chat: Any) -> Any:
    """Whether the message, once it is later than the position, counts for this member."""
    member = ChatMember.alias()
    joined = member.select(member.joined_at).where(member.user == user, member.chat == chat)
    return (
        (message.chat == chat)
        & is_visible(message)
        & (message.sender != user)
        & (message.created_at >= joined)
        & ~has_blocked(user, message.sender)
    )


def unread_after(position: Any, user: Any, chat: Any) -> Any:
    """The truth: how many messages later than the position count for this member."""
    message = Message.alias()
    return message.select(fn.COUNT(message.id)).where(
        counts_for(message, user, chat), place_of(message) > position
    )


def true_count(settings: Any = ChatSettings) -> Any:
    """What the row should store, in a chat that is not large."""
    return unread_after(position_of(settings), settings.user, settings.chat)


def is_large(chat: Any) -> Any:
    """Whether the unread messages of the chat are counted when they are read."""
    large = LargeChat.alias()
    return fn.EXISTS(large.select(large.chat).where(large.chat == chat))


def position_in_large(settings: Any, chat: Any) -> Any:
    """`position_of` in a large chat, also where there is no settings row."""
    large = LargeChat.alias()
    since = large.select(large.created_at).where(large.chat == chat)
    return position_of(settings, dialect().earlier_of(settings.created_at, since))


def _up_to_the_maximum(messages: Any) -> Any:
    limited = messages.limit(MAX_COUNT).alias("limited")
    return Select((limited,), [fn.COUNT(SQL("*"))])


def unread_after_in_large(position: Any, user: Any, chat: Any) -> Any:
    """`unread_after`, counted up to `MAX_COUNT`."""
    message = Message.alias()
    return _up_to_the_maximum(
        message.select(message.id).where(
            counts_for(message, user, chat), place_of(message) > position
        )
    )


def unread_count(settings: Any, user: Any, chat: Any) -> Any:
    """The count that a member sees; `settings` is their row, if there is one."""
    counted = unread_in_large(settings, user, chat)
    return Case(None, [(is_large(chat), counted)], fn.COALESCE(settings.unread_count, 0))


def unread_in_large(settings: Any, user: Any, chat: Any) -> Any:
    """The same in a chat that is known to be large."""
    return unread_after_in_large(position_in_large(settings, chat), user, chat)


def unread_mentions(settings: Any, user: Any, chat: Any, *, in_large: bool, by_table: bool) -> Any:
    """How many of the unread messages mention the member.

    `by_table`: found in "MessageTag", and not in the messages themselves.
    """
    message, tag, me = Message.alias(), MessageTag.alias(), User.alias()
    position = position_in_large(settings, chat) if in_large else position_of(settings)
    key = me.select(dialect().lower_ascii(me.username)).where(me.id == user)
    mentions = message.select(message.id).where(counts_for(message, user, chat))
    if by_table:
        mentions = mentions.join(
            tag, on=((tag.chat_id == message.chat) & (tag.message_id == message.id))
        ).where(
            tag.tag == signed_key("@", key),
            tag.chat_id == chat,
            Tuple(tag.created_at, tag.message_id) > position,
        )
    else:
        mentions = mentions.where(
            place_of(message) > position, dialect().has_tag(message.mentions, key)
        )
    if in_large:
        return _up_to_the_maximum(mentions)
    return mentions.select(fn.COUNT(message.id))


def user_lock(*conditions: Any) -> Any:
    """For `after_locking`: rows of "User", by id."""
    return dialect().lock(User.select(User.id).where(*conditions).order_by(User.id))


def chat_lock(*conditions: Any) -> Any:
    """For `after_locking`: rows of "Chat", by id."""
    return dialect().lock(Chat.select(Chat.id).where(*conditions).order_by(Chat.id))


def settings_lock(*conditions: Any) -> Any:
    """For `after_locking`: rows of "ChatSettings", by (chat, user)."""
    return dialect().lock(
        ChatSettings.select(ChatSettings.id)
        .where(*conditions)
        .order_by(ChatSettings.chat, ChatSettings.user)
    )


# Grown: it has more members than `LARGE_CHAT` and no row in "LargeChat" yet.
_SMALL, _GROWN, _LARGE = "small", "grown", "large"


def size_of(chat: Any) -> Any:
    """How the chat's unread messages are counted: for `count_as_unread`."""
    member = ChatMember.alias()
    has_more = member.select(member.id).where(member.chat == chat).limit(1).offset(LARGE_CHAT)
    return Case(None, [(is_large(chat), _LARGE), (fn.EXISTS(has_more), _GROWN)], _SMALL)


def count_as_unread(messages: Iterable[tuple[Message, str]], now: datetime) -> None:
    """Let messages count that were just written, each given with the `size_of` its chat.

    The caller holds their chats.
    """
    written: dict[str, list[Message]] = {_SMALL: [], _GROWN: [], _LARGE: []}
    for message, size in messages:
        written[size].append(message)
    small = written[_SMALL]
    if len(small) == 1:
        _raise_unread_counts.run(
            chat_id=small[0].chat_id,
            sender_id=small[0].sender_id,
            created_at=small[0].created_at,
            now=now,
        )
    elif small:
        _raise_unread_counts_by_several.run(
            chat_ids=sorted({message.chat_id for message in small}),
            message_ids=[message.id for message in small],
            now=now,
        )
    if grown := written[_GROWN]:
        _count_when_read.run(message_ids=[message.id for message in grown])


@statement
def _count_when_read() -> Query:
    """The chats of these messages are large from them on."""
    first = Message.select(Message.chat, fn.MIN(Message.created_at)).where(
        dialect().is_one_of(Message.id, P.message_ids)
    )
    return (
        LargeChat.insert_from(first.group_by(Message.chat), [LargeChat.chat, LargeChat.created_at])
        .on_conflict("nothing", conflict_target=[LargeChat.chat])
        .returning()
    )


@statement
def _raise_unread_counts() -> Query:
    """One more unread for each member for whom a message counts that was just written."""
    member = ChatMember.alias()
    receivers = (
        member.select(*_new_settings(member, SQL("1"), P.created_at))
        .where(
            member.chat == P.chat_id,
            member.user != P.sender_id,
            member.joined_at <= P.created_at,
            ~has_blocked(member.user, P.sender_id),
        )
        .order_by(member.user)
    )
    return _more_unread(receivers, SQL("0"))


@statement
def _raise_unread_counts_by_several() -> Query:
    """More unread for each member for whom messages count that were just written."""
    member, message = ChatMember.alias(), Message.alias()
    is_new = dialect().is_one_of(message.id, P.message_ids)
    receivers = (
        member.select(*_new_settings(member, fn.COUNT(message.id), fn.MIN(message.created_at)))
        .join(message, on=(message.chat == member.chat))
        .where(
            dialect().is_one_of(member.chat, P.chat_ids),
            is_new,
            message.sender != member.user,
            message.created_at >= member.joined_at,
            ~has_blocked(member.user, message.sender),
        )
        .group_by(member.id, member.user, member.chat)
        .order_by(member.chat, member.user)
    )
    later = message.select(fn.COUNT(message.id)).where(
        is_new,
        counts_for(message, ChatSettings.user, ChatSettings.chat),
        message.created_at >= ChatSettings.created_at,
    )
    return _more_unread(receivers, later)


def _new_settings(member: Any, count: Any, created_at: Any) -> list[Any]:
    """The settings row of a member who has none, before the first message that counts."""
    # The membership's id will do: nobody else is using it, for the chat is held.
    return [member.id, member.user, member.chat, count, False, False, created_at, P.now]


def _more_unread(receivers: Query, later: Any) -> Query:
    """`later`: what counts for those whose row is later than the first of the messages.

    New messages are later than all others, and so than the last one read. Where none was read, a
    row that was made after they got their time (the clocks of two callers differ) is later.
    """
    read = Message.alias()
    is_later = (ChatSettings.created_at > EXCLUDED.createdAt) & ~fn.EXISTS(
        read.select(read.id).where(
            read.chat == ChatSettings.chat, read.id == ChatSettings.last_read_message_id
        )
    )
    more = Case(None, [(is_later, later)], EXCLUDED.unreadCount)
    return (
        ChatSettings.insert_from(
            receivers,
            [
                ChatSettings.id,
                ChatSettings.user,
                ChatSettings.chat,
                ChatSettings.unread_count,
                ChatSettings.is_muted,
                ChatSettings.is_favorite,
                ChatSettings.created_at,
                ChatSettings.updated_at,
            ],
        )
        .on_conflict(
            conflict_target=SETTINGS_KEY,
            update={
                ChatSettings.unread_count: ChatSettings.unread_count + more,
                ChatSettings.updated_at: EXCLUDED.updatedAt,
            },
        )
        .returning()
    )


@statement
def make_settings() -> Query:
    """A settings row for each member of a chat who has none: later than all, so nothing is unread.

    Where somebody is making one at this moment, it is waited for.
    """
    member = ChatMember.alias()
    columns = {
        # The membership's id will do, as in `_new_settings`.
        ChatSettings.id: member.id,
        ChatSettings.user: member.user,
        ChatSettings.chat: member.chat,
        ChatSettings.created_at: next_time(member.chat),
        ChatSettings.updated_at: P.now,
    }
    members = (
        member.select(*columns.values())
        .where(member.chat == P.chat_id, ~is_large(P.chat_id))
        .order_by(member.user)
    )
    insert = ChatSettings.insert_from(members, list(columns))
    return insert.on_conflict("nothing", conflict_target=SETTINGS_KEY).returning()


@statement
def count_imported() -> Any:
    """More unread for each member who has not read past messages that were just imported.

    Only these are counted, each once for a member: there may be a thousand of both, and many more
    that are unread already.
    """
    message = Message.alias()
    # What `counts_for` and `place_of` ask for, by the names that they use.
    names = ("id", "chat", "sender", "created_at", "is_sent", "scheduled_for", "is_deleted")
    columns = [getattr(message, name).alias(name) for name in names]
    imported = (
        message.select(*columns)
        .where(message.chat == P.chat_id, dialect().is_one_of(message.id, P.message_ids))
        .cte("imported", materialized=True)
    )
    position = position_of(ChatSettings)
    later = Select((imported,), [fn.COUNT(imported.c.id)]).where(
        counts_for(imported.c, ChatSettings.user, ChatSettings.chat),
        place_of(imported.c) > position,
    )
    rows = ChatSettings.chat == P.chat_id, ~is_large(P.chat_id)
    return after_locking(
        ChatSettings.update(
            {
                ChatSettings.unread_count: ChatSettings.unread_count + later,
                ChatSettings.updated_at: P.now,
            }
        )
        .with_cte(imported)
        .where(*rows, Tuple(P.end, "") > position),
        settings_lock(*rows),
    )


@statement
def lower_unread_counts() -> Any:
    """One less unread for each member who had not read a message that was just deleted."""
    message = Message.alias()
    # As `counts_for` says, but for the deletion.
    was_unread = message.select(message.id).where(
        message.chat == P.chat_id,
        message.id == P.message_id,
        is_sent(message),
        message.sender != ChatSettings.user,
        place_of(message) > position_of(ChatSettings),
        message.created_at
        >= ChatMember.select(ChatMember.joined_at).where(
            ChatMember.user == ChatSettings.user, ChatMember.chat == ChatSettings.chat
        ),
        ~has_blocked(ChatSettings.user, message.sender),
    )
    return after_locking(
        ChatSettings.update(
            {
                ChatSettings.unread_count: ChatSettings.unread_count - 1,
                ChatSettings.updated_at: P.now,
            }
        ).where(
            ChatSettings.chat == P.chat_id,
            ChatSettings.unread_count > 0,
            ~is_large(P.chat_id),
            fn.EXISTS(was_unread),
        ),
        # Also those where nothing is unread: somebody may be about to count the message there.
        settings_lock(ChatSettings.chat == P.chat_id, ~is_large(P.chat_id)),
    )


@statement
def recount(in_chat: bool = False, of_sender: bool = False) -> Any:
    """The stored counts of a user set to the truth, where they are something else.

    `in_chat`: only those of one chat; `of_sender`: only where that sender has written something
    that the user has not read.
    """
    rows = [ChatSettings.user == P.user_id, ~is_large(ChatSettings.chat)]
    if in_chat:
        rows.append(ChatSettings.chat == P.chat_id)
    if of_sender:
        message = Message.alias()
        rows.append(
            fn.EXISTS(
                message.select(message.id).where(
                    message.chat == ChatSettings.chat,
                    message.sender == P.sender_id,
                    place_of(message) > position_of(ChatSettings),
                )
            )
        )
    return after_locking(
        ChatSettings.update(
            {ChatSettings.unread_count: true_count(), ChatSettings.updated_at: P.now}
        ).where(*rows, ChatSettings.unread_count != true_count()),
        settings_lock(*rows),
    )

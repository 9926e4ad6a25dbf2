"""Unread counts: derived when they are asked for, never kept.

Unread for a member are the visible messages of others in the chat that are later, by
(created_at, id), than the *place* up to which the member has read. The place is

* that of the message in `last_read_message_id`, also after that message was deleted;
* if the row of that message is gone altogether (its sender's account was deleted), `updated_at` of
  the settings row: the time of the reading, which is as near as the place can be known. So nothing
  here but reading writes that column; the server's other changes of a row move it too;
* if the member has read nothing yet, the moment of the migration, which "UnreadSince" keeps. So
  nothing from before the migration is unread, and everything after it is.

Messages from before the member joined do not count, nor do those of users whom the member has
blocked. The count is right whether the server or this package writes, since nothing has to be kept
in step. It goes up to `MAX_COUNT` in each chat, which means "as many or more" (999+).

The column `unreadCount` belongs to the server's own clients, and nothing here reads it.
`send_message` raises it in chats of up to `MOST_RAISED` members, `mark_read` sets it, and
`recount_unread` makes it true.
"""

from __future__ import annotations

from typing import Any

from peewee import SQL, Case, Select, Tuple, fn

from stogram_sdk.models import (
    BlockedUser,
    ChatMember,
    ChatSettings,
    Message,
    MessageTag,
    UnreadSince,
    User,
)
from stogram_sdk.ordering import place_of
from stogram_sdk.shards import of_chat
from stogram_sdk.statements import P, dialect
from stogram_sdk.tags import signed_key
from stogram_sdk.visibility import exists_for_each, has_blocked, is_visible

#: At most so many unread messages of a chat are counted.
MAX_COUNT = 1_000
#: In chats with more members, sending leaves the server's column alone.
MOST_RAISED = 200


def migrated_at() -> Any:
    """The moment of the migration."""
    since = UnreadSince.alias()
    return since.select(since.since).where(since.id == "migration")


def read_place(settings: Any, chat: Any) -> tuple[Any, Any]:
    """The place up to which the owner of the settings row, if there is one, has read."""
    last_read = Message.alias()
    # Not a join: where PostgreSQL takes the rows for many, it would read all messages for that.
    read_at = last_read.select(last_read.created_at).where(
        last_read.chat == chat, last_read.id == settings.last_read_message_id
    )
    # Not IS NOT NULL, of which SQLite 3.40 says in RETURNING that it is true of a NULL.
    has_read = settings.last_read_message_id != ""
    read_when = Case(None, [(has_read, settings.updated_at)])
    return (
        fn.COALESCE(read_at, read_when, migrated_at()),
        fn.COALESCE(settings.last_read_message_id, ""),
    )


def unread_after(
    place: tuple[Any, Any], user: Any, chat: Any, joined: Any, *, most: int | None = None
) -> Any:
    """How many messages later than the place count for the member, up to `most` or `MAX_COUNT`."""
    return _up_to(most or MAX_COUNT, _unread(place, user, chat, joined))


def has_unread_after(place: tuple[Any, Any], user: Any, chat: Any, joined: Any) -> Any:
    """Whether at least one message later than the place counts for the member."""
    return exists_for_each(_unread(place, user, chat, joined))


def _unread(place: tuple[Any, Any], user: Any, chat: Any, joined: Any) -> Any:
    message = Message.alias()
    return message.select(message.id).where(
        _counts_for(message, user, chat, joined), place_of(message) > Tuple(*place)
    )


def unread_count(user: Any, chat: Any, settings: Any = ChatSettings) -> Any:
    """The unread count of the user for whom the statement writes a settings row."""
    member = ChatMember.alias()
    its_chat = chat if dialect().is_distributed else member.chat
    place = read_place(settings, its_chat)
    return member.select(unread_after(place, user, its_chat, member.joined_at)).where(
        member.user == user, member.chat == chat
    )


def mentions_after(place: tuple[Any, Any], user: Any, chat: Any, joined: Any) -> Any:
    """How many of the messages later than the place mention the member."""
    message, tag, me = Message.alias(), MessageTag.alias(), User.alias()
    username = me.select(me.username).where(me.id == user)
    counted = message.select(message.id).where(_counts_for(message, user, chat, joined))
    # The key is asked for once, and tags are what is looked for first.
    mentions = tag.select(tag.message_id).where(
        tag.tag == Select(columns=[signed_key("@", username)]),
        tag.chat_id == chat,
        Tuple(tag.created_at, tag.message_id) > Tuple(*place),
        exists_for_each(counted.where(message.id == tag.message_id)),
    )
    return _up_to(MAX_COUNT, mentions)


def _counts_for(message: Any, user: Any, chat: Any, joined: Any) -> Any:
    """Whether the message, once it is later than the place, counts for the member."""
    # Not `>=`, by which SQLite would look them up instead of by the place.
    is_before = message.created_at < joined
    return (
        (message.chat == chat)
        & is_visible(message)
        & (message.sender != user)
        & ~is_before
        & ~has_blocked(user, message.sender)
    )


def _up_to(most: int, messages: Any) -> Any:
    limited = messages.limit(most).alias("limited")
    return Select((limited,), [fn.COUNT(SQL("*"))])


def raise_unread_counts(sent: Any, sender: Any, most: int = 1) -> tuple[Any, Any]:
    """CTEs that raise the server's column for each member for whom the message `sent` counts.

    There may be up to `most` messages, all of the one `sender`. A row that another transaction has
    locked is skipped, so that nobody waits for a number that only the server's clients read. No
    table is joined, which PostgreSQL would plan for longer than all the rest takes; nor is one
    asked for each of the rows.
    """
    member, block, free = ChatMember.alias(), BlockedUser.alias(), ChatSettings.alias()
    of_its_chat = member.chat == P.chat_id
    # In an order that an index has: else all members could be read to find some of a chat.
    first = member.select(member.id).where(of_its_chat).order_by(member.joined_at)
    members = member.select(member.user).where(of_its_chat).cte("members")
    ids = fn.ARRAY(Select((members,), [members.c.userId]))
    is_blocked = (block.blocked == sender) & (block.user == fn.ANY(ids))
    counted = free.select(free.id).where(
        free.chat == P.chat_id,
        free.user != sender,
        free.unread_count < SQL(str(2**31 - most)),
        free.user == fn.ANY(ids),
        free.user != fn.ALL(fn.ARRAY(block.select(block.user).where(is_blocked))),
    )
    is_free = dialect().lock(counted, skips_locked=True)
    count = 1 if most == 1 else Select((sent,), [fn.COUNT(SQL("*"))])
    raised = ChatSettings.unread_count + count
    raising = ChatSettings.update({ChatSettings.unread_count: raised}).where(
        fn.EXISTS(Select((sent,), [SQL("1")]).where(sent.c.isSent)),
        ~fn.EXISTS(first.limit(1).offset(MOST_RAISED)),
        ChatSettings.id == fn.ANY(fn.ARRAY(is_free)),
        *of_chat(ChatSettings, P.chat_id),
    )
    return members, raising.cte("raised")

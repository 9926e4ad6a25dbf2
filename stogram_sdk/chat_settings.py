"""The settings of a user for a chat: muted, favorite, and how far they have read."""

from __future__ import annotations

from typing import Any, NamedTuple

from peewee import EXCLUDED, JOIN, SQL, Case, ModelInsert, Query, Select, Tuple, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import NotFound
from stogram_sdk.lookups import look_up
from stogram_sdk.membership import require_member
from stogram_sdk.models import ChatMember, ChatSettings, Message, new_id
from stogram_sdk.operations import operation
from stogram_sdk.ordering import place_of, settings_lock
from stogram_sdk.rows import default_settings
from stogram_sdk.statements import P, Statement, after_locking, statement
from stogram_sdk.unread import (
    mentions_after,
    migrated_at,
    read_place,
    unread_after,
    unread_count,
)
from stogram_sdk.validation import valid_flag, valid_id, valid_named_ids
from stogram_sdk.visibility import is_sent, is_visible

#: The columns for ON CONFLICT: the natural key, which a shard can check by itself.
_KEY = (ChatSettings.user, ChatSettings.chat)


class UnreadTotals(NamedTuple):
    """Unread messages of a user: in all chats, in chats that are not muted, and with a mention."""

    all: int
    unmuted: int
    mentions: int


def upsert_settings(values: dict[Any, Any], update: dict[Any, Any], *guards: Any) -> ModelInsert:
    """The settings row of a member made with `values`, or changed by `update`.

    A user who is not in the chat has no membership to select from, and gets no row. The member's
    unread count comes with the row.
    """
    columns = {
        ChatSettings.id: P.id,
        ChatSettings.user: ChatMember.user,
        ChatSettings.chat: ChatMember.chat,
        ChatSettings.created_at: P.now,
        ChatSettings.updated_at: P.now,
        **values,
    }
    member = ChatMember.select(*columns.values()).where(
        ChatMember.user == P.user_id, ChatMember.chat == P.chat_id, *guards
    )
    return (
        ChatSettings.insert_from(member, list(columns))
        .on_conflict(
            conflict_target=_KEY,
            update={ChatSettings.updated_at: EXCLUDED.updatedAt, **update},
        )
        .returning(ChatSettings, unread_count(P.user_id, P.chat_id))
    )


def change_settings(change: Statement, **values: Any) -> ChatSettings | None:
    """The row after `change`, a statement made by `upsert_settings`; None if it changed nothing."""
    row = change.first(id=new_id(), now=current_time(), **values)
    return None if row is None else _with_count(*row)


def _with_count(settings: ChatSettings, unread_count: int) -> ChatSettings:
    """The row with the count that the member sees, instead of the server's number."""
    settings.unread_count = unread_count
    return settings


@statement
def _get_chat_settings() -> Query:
    is_own = (ChatSettings.user == P.user_id) & (ChatSettings.chat == P.chat_id)
    return (
        ChatMember.select(
            ChatMember.id,
            *ChatSettings._meta.sorted_fields,
            unread_after(
                read_place(ChatSettings, P.chat_id), P.user_id, P.chat_id, ChatMember.joined_at
            ),
        )
        .join(ChatSettings, JOIN.LEFT_OUTER, on=is_own)
        .where(ChatMember.user == P.user_id, ChatMember.chat == P.chat_id)
    )


@statement
def _set_muted() -> Query:
    return upsert_settings(
        {ChatSettings.is_muted: P.is_muted}, {ChatSettings.is_muted: EXCLUDED.isMuted}
    )


@statement
def _set_favorite() -> Query:
    return upsert_settings(
        {ChatSettings.is_favorite: P.is_favorite}, {ChatSettings.is_favorite: EXCLUDED.isFavorite}
    )


@statement
def _toggle_favorite() -> Query:
    return upsert_settings(
        {ChatSettings.is_favorite: SQL("true")},
        {ChatSettings.is_favorite: ~ChatSettings.is_favorite},
    )


@statement
def _unmute_all_chats() -> Any:
    muted = ChatSettings.user == P.user_id, ChatSettings.is_muted
    return after_locking(
        ChatSettings.update({ChatSettings.is_muted: False, ChatSettings.updated_at: P.now}).where(
            *muted
        ),
        settings_lock(*muted),
    )


@statement
def _mark_read() -> Any:
    """Read up to the newest message, after which nothing is unread."""
    newest = Message.alias()
    found = (
        newest.select(newest.id)
        .where(newest.chat == P.chat_id, is_visible(newest))
        .order_by(newest.created_at.desc(), newest.id.desc())
        .limit(1)
    )
    # A member who has read nothing yet may read a message from before the migration.
    is_forward = _is_later_than_read() | ChatSettings.last_read_message_id.is_null()
    return _read_up_to(found, is_forward, count=SQL("0"), count_if_read=SQL("0"))


@statement
def _mark_read_up_to() -> Any:
    """Read up to one message."""
    target, own = Message.alias(), ChatSettings.alias()
    wanted = target.chat == P.chat_id, target.id == P.message_id, is_sent(target)
    since = migrated_at()
    is_new = fn.EXISTS(target.select(target.id).where(*wanted, target.created_at >= since))
    has_read = own.user == P.user_id, own.chat == P.chat_id, own.last_read_message_id != ""
    # For a member who has read nothing yet, a message from before the migration is no place: the
    # ones between it and the migration would become unread.
    is_place = is_new | fn.EXISTS(own.select(own.id).where(*has_read))
    found = Case(None, [(is_place, P.message_id)])
    place = (
        Case(None, [(is_place, target.select(target.created_at).where(*wanted))], since),
        Case(None, [(is_place, P.message_id)], ""),
    )
    joined = ChatMember.joined_at
    return _read_up_to(
        found,
        _is_later_than_read(),
        fn.EXISTS(target.select(target.id).where(*wanted)),
        count=unread_after(place, P.user_id, P.chat_id, joined),
        count_if_read=unread_count(P.user_id, P.chat_id),
    )


def _read_up_to(found: Any, is_forward: Any, *guards: Any, count: Any, count_if_read: Any) -> Any:
    """`count`: the unread count afterwards; `count_if_read`: if the member had read further."""
    upsert = upsert_settings(
        {ChatSettings.last_read_message_id: found, ChatSettings.unread_count: count},
        {
            ChatSettings.last_read_message_id: Case(
                None,
                [(is_forward, EXCLUDED.lastReadMessageId)],
                ChatSettings.last_read_message_id,
            ),
            ChatSettings.unread_count: Case(
                None, [(is_forward, EXCLUDED.unreadCount)], count_if_read
            ),
            # This time may mark the place, see `unread`: so it stays too.
            ChatSettings.updated_at: Case(
                None, [(is_forward, EXCLUDED.updatedAt)], ChatSettings.updated_at
            ),
        },
        *guards,
    )
    # Locked first, so that a place that another caller has just reached is seen and kept.
    held = settings_lock(ChatSettings.user == P.user_id, ChatSettings.chat == P.chat_id)
    return after_locking(upsert.returning(ChatSettings), held)


def _is_later_than_read() -> Any:
    """Whether the message is later than the place up to which the member has read."""
    message = Message.alias()
    later = message.select(message.id).where(
        message.chat == P.chat_id,
        message.id == EXCLUDED.lastReadMessageId,
        place_of(message) > Tuple(*read_place(ChatSettings, P.chat_id)),
    )
    return fn.EXISTS(later)


@statement
def _recount(in_chat: bool = False) -> Any:
    """Set the server's column to the truth in the rows where it differs."""
    rows = [ChatSettings.user == P.user_id]
    if in_chat:
        rows.append(ChatSettings.chat == P.chat_id)
    truth = fn.COALESCE(unread_count(ChatSettings.user, ChatSettings.chat), 0)
    # The time of the last change stays: it may mark the place, see `unread`.
    update = ChatSettings.update({ChatSettings.unread_count: truth})
    return after_locking(
        update.where(*rows, ChatSettings.unread_count != truth), settings_lock(*rows)
    )


@statement
def _unread_totals() -> Query:
    """Unread messages and mentions, in the muted chats and in the others."""
    own = ChatMember.select().where(ChatMember.user == P.user_id)
    own, settings = look_up(own, ChatMember, ChatSettings)
    read_at, read_id = read_place(settings, ChatMember.chat)
    chats: Any = own.select(
        ChatMember.chat.alias("chat_id"),
        ChatMember.joined_at.alias("joined_at"),
        fn.COALESCE(settings.is_muted, SQL("false")).alias("is_muted"),
        read_at.alias("read_at"),
        read_id.alias("read_id"),
    ).cte("chats", materialized=True)

    def member_of(table: Any) -> tuple[Any, ...]:
        place = table.c.read_at, table.c.read_id
        return place, P.user_id, table.c.chat_id, table.c.joined_at

    # Materialized, because the count is used twice and must be made once.
    counted: Any = Select(
        (chats,), [SQL("chats.*"), unread_after(*member_of(chats)).alias("unread")]
    ).cte("counted", materialized=True)
    mentions = mentions_after(*member_of(counted))
    return (
        Select(
            (counted,),
            [
                counted.c.is_muted,
                fn.SUM(counted.c.unread),
                fn.SUM(Case(None, [(counted.c.unread > 0, mentions)], 0)),
            ],
        )
        .group_by(counted.c.is_muted)
        .with_cte(chats, counted)
    )


@operation(reads=True)
def get_chat_settings(user_id: str, chat_id: str) -> ChatSettings:
    """The user's settings for the chat; if there are none, a row of defaults, which is not stored.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> get_chat_settings(boris.id, chat.id).unread_count
    1
    """
    row = _get_chat_settings.first(**valid_named_ids(user_id=user_id, chat_id=chat_id))
    if row is None:
        raise NotFound("chat", chat_id)
    _, settings, count = row
    return _with_count(settings or default_settings(user_id, chat_id), count)


@operation
def mute_chat(user_id: str, chat_id: str) -> ChatSettings:
    """Stop notifying the user of messages in this chat. Returns the row.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> mute_chat(anna.id, chat.id).is_muted
    True
    """
    return _change(_set_muted, user_id, chat_id, is_muted=True)


@operation
def unmute_chat(user_id: str, chat_id: str) -> ChatSettings:
    """Notify the user of this chat again. Returns the row.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> unmute_chat(anna.id, chat.id).is_muted
    False
    """
    return _change(_set_muted, user_id, chat_id, is_muted=False)


@operation
def unmute_all_chats(user_id: str) -> int:
    """Unmute every chat of the user. Returns how many were muted. Raises `InvalidInput`.

    >>> unmute_all_chats(anna.id)
    0
    """
    return _unmute_all_chats.run(user_id=valid_id(user_id, "user_id"), now=current_time())


@operation
def set_favorite(user_id: str, chat_id: str, is_favorite: bool = True) -> ChatSettings:
    """Put the chat among the user's favorites, or take it out. Returns the row.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> set_favorite(anna.id, chat.id).is_favorite
    True
    """
    valid_flag(is_favorite, "is_favorite")
    return _change(_set_favorite, user_id, chat_id, is_favorite=is_favorite)


@operation(repeatable=False)
def toggle_favorite(user_id: str, chat_id: str) -> ChatSettings:
    """Put the chat among the favorites if it is not there, take it out if it is.

    Returns the row. Every call turns it once, also when several run at the same time. So a repeated
    call undoes the first; `set_favorite` can be repeated.
    Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> toggle_favorite(anna.id, chat.id).is_favorite
    True
    """
    return _change(_toggle_favorite, user_id, chat_id)


@operation
def mark_read(user_id: str, chat_id: str, message_id: str | None = None) -> ChatSettings:
    """Read the chat up to that message, or up to the newest.

    It never moves back: for a message before the one that was read last, nothing changes. A
    deleted message still marks its place. Returns the row with the unread count after it.
    Raises `NotFound` for a chat the user is not in and for a message that is not there,
    `InvalidInput`.

    >>> mark_read(boris.id, chat.id).unread_count
    0
    """
    values = valid_named_ids(user_id=user_id, chat_id=chat_id)
    read = _mark_read
    if message_id is not None:
        read = _mark_read_up_to
        values["message_id"] = valid_id(message_id, "message_id")
    settings: ChatSettings | None = read.first(id=new_id(), now=current_time(), **values)
    if settings is None:
        if message_id is None:
            raise NotFound("chat", chat_id)
        require_member(user_id, chat_id)
        raise NotFound("message", message_id)
    return settings


@operation
def recount_unread(user_id: str, chat_id: str | None = None) -> int:
    """Set the column `unreadCount`, which the server's own clients read, to the truth.

    It does so for the user's settings of one chat or of all. Nothing that this package returns
    depends on the column. Returns how many rows changed. Raises `NotFound` for a chat the user is
    not in, `InvalidInput`.

    >>> recount_unread(boris.id)  # it was right
    0
    """
    valid_id(user_id, "user_id")
    if chat_id is None:
        return _recount.run(user_id=user_id)
    valid_id(chat_id, "chat_id")
    corrected = _recount.variant(in_chat=True).run(user_id=user_id, chat_id=chat_id)
    if not corrected:
        require_member(user_id, chat_id)
    return corrected


@operation(reads=True)
def unread_totals(user_id: str) -> UnreadTotals:
    """How many messages the user has not read, over all the chats they are in.

    At most 1,000 of each chat are counted. Raises `InvalidInput`.

    >>> unread_totals(boris.id)
    UnreadTotals(all=1, unmuted=1, mentions=1)
    """
    valid_id(user_id, "user_id")
    rows = _unread_totals.all(user_id=user_id)
    return UnreadTotals(
        all=sum(int(unread) for _, unread, _ in rows),
        unmuted=sum(int(unread) for is_muted, unread, _ in rows if not is_muted),
        mentions=sum(int(mentions) for _, _, mentions in rows),
    )


def _change(change: Statement, user_id: str, chat_id: str, **values: Any) -> ChatSettings:
    settings = change_settings(
        change, **valid_named_ids(user_id=user_id, chat_id=chat_id), **values
    )
    if settings is None:
        raise NotFound("chat", chat_id)
    return settings

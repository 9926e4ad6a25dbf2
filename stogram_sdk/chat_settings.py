"""What a user has set for a chat: muted, favorite, how far they have read."""

from __future__ import annotations

from typing import Any, NamedTuple

from peewee import EXCLUDED, JOIN, SQL, Case, ModelInsert, Query, Select, Tuple, fn

from stogram_sdk.errors import NotFound
from stogram_sdk.fields import utc_now
from stogram_sdk.membership import require_member
from stogram_sdk.models import Chat, ChatMember, ChatSettings, LargeChat, Message, User, new_id
from stogram_sdk.operations import operation
from stogram_sdk.rows import default_settings
from stogram_sdk.statements import P, Statement, after_locking, dialect, statement
from stogram_sdk.tags import tags_are_complete
from stogram_sdk.unread import (
    SETTINGS_KEY,
    is_large,
    next_time,
    position_in_large,
    position_of,
    recount,
    settings_lock,
    unread_after,
    unread_count,
    unread_in_large,
    unread_mentions,
)
from stogram_sdk.validation import valid_flag, valid_id
from stogram_sdk.visibility import is_sent, is_visible


class UnreadTotals(NamedTuple):
    """Unread messages in all chats of a user, in those not muted, and those that mention them."""

    all: int
    unmuted: int
    mentions: int


def upsert_settings(
    values: dict[Any, Any], update: dict[Any, Any], *guards: Any, in_large: bool
) -> ModelInsert:
    """The settings row of a member made with `values`, or changed by `update`.

    Whoever is not in the chat has no membership to select from, and gets no row. A new row is later
    than all that is there, whatever the clocks say: none of it is unread. `in_large`: only in a
    large chat, with the count beside the row, or only in one that is not; for `change_settings`.
    """
    guards += (is_large(P.chat_id) if in_large else ~is_large(P.chat_id),)
    count = [unread_in_large(ChatSettings, P.user_id, P.chat_id)] if in_large else []
    columns = {
        ChatSettings.id: P.id,
        ChatSettings.user: ChatMember.user,
        ChatSettings.chat: ChatMember.chat,
        ChatSettings.created_at: next_time(ChatMember.chat),
        ChatSettings.updated_at: P.now,
        **values,
    }
    member = ChatMember.select(*columns.values()).where(
        ChatMember.user == P.user_id, ChatMember.chat == P.chat_id, *guards
    )
    return (
        ChatSettings.insert_from(member, list(columns))
        .on_conflict(
            conflict_target=SETTINGS_KEY,
            update={ChatSettings.updated_at: EXCLUDED.updatedAt, **update},
        )
        .returning(ChatSettings, *count)
    )


def change_settings(change: Statement, **values: Any) -> ChatSettings | None:
    """The row after `change`, a statement made by `upsert_settings`, with the count that the member
    sees; None if it finds nothing to change.

    The statement that can also count in a large chat takes PostgreSQL twice as long, so it is only
    tried where the other one has found nothing.
    """
    values = {"id": new_id(), "now": utc_now(), **values}
    settings: ChatSettings | None = change.first(**values)
    if settings is None:
        row = change.variant(in_large=True).first(**values)
        if row is not None:
            settings, settings.unread_count = row
    return settings


@statement
def _get_chat_settings() -> Query:
    return (
        ChatMember.select(
            ChatMember.id,
            *ChatSettings._meta.sorted_fields,
            unread_count(ChatSettings, ChatMember.user, ChatMember.chat),
        )
        .join(
            ChatSettings,
            JOIN.LEFT_OUTER,
            on=((ChatSettings.user == ChatMember.user) & (ChatSettings.chat == ChatMember.chat)),
        )
        .where(ChatMember.user == P.user_id, ChatMember.chat == P.chat_id)
    )


@statement
def _set_muted(in_large: bool = False) -> Query:
    return upsert_settings(
        {ChatSettings.is_muted: P.is_muted},
        {ChatSettings.is_muted: EXCLUDED.isMuted},
        in_large=in_large,
    )


@statement
def _set_favorite(in_large: bool = False) -> Query:
    return upsert_settings(
        {ChatSettings.is_favorite: P.is_favorite},
        {ChatSettings.is_favorite: EXCLUDED.isFavorite},
        in_large=in_large,
    )


@statement
def _toggle_favorite(in_large: bool = False) -> Query:
    return upsert_settings(
        {ChatSettings.is_favorite: SQL("true")},
        {ChatSettings.is_favorite: ~ChatSettings.is_favorite},
        in_large=in_large,
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
def _mark_read(up_to: bool = False, in_large: bool = False) -> Any:
    """`up_to`: as far as one message, and not as far as the newest."""
    target = Message.alias()
    wanted = (target.id == P.message_id) & is_sent(target)
    found = (
        target.select(target.id)
        .where(target.chat == P.chat_id, wanted if up_to else is_visible(target))
        .order_by(target.created_at.desc(), target.id.desc())
        .limit(1)
    )

    def place(message_id: Any) -> Any:
        read = Message.alias()
        one = read.chat == P.chat_id, read.id == message_id
        return Tuple(read.select(read.created_at).where(*one), read.select(read.id).where(*one))

    position = position_in_large(ChatSettings, P.chat_id) if in_large else position_of(ChatSettings)
    is_forward = place(EXCLUDED.lastReadMessageId) > position
    if not up_to:
        # What is there can be read though the row was made after it.
        is_forward |= ChatSettings.last_read_message_id.is_null()
    guards = [fn.EXISTS(found)] if up_to else []
    last_read = Case(
        None, [(is_forward, EXCLUDED.lastReadMessageId)], ChatSettings.last_read_message_id
    )
    values = {ChatSettings.last_read_message_id: found}
    update = {ChatSettings.last_read_message_id: last_read}
    # The row is held before what was read and written meanwhile is looked at.
    lock_or_make = (
        upsert_settings(values, {}, *guards, in_large=in_large)
        .on_conflict(
            conflict_target=SETTINGS_KEY,
            update={ChatSettings.updated_at: ChatSettings.updated_at},
            where=SQL("false"),
        )
        .returning()
    )
    if in_large:
        upsert = upsert_settings(values, update, *guards, in_large=True)
        return after_locking(upsert, lock_or_make)
    # Where there is none yet it is made with user and chat held: who blocks or deletes a message
    # meanwhile cannot see the new row.
    has_row = ChatSettings.select(ChatSettings.id).where(
        ChatSettings.user == P.user_id, ChatSettings.chat == P.chat_id
    )
    user_and_chat = (
        User.select(User.id)
        .join(Chat, on=(Chat.id == P.chat_id))
        .where(User.id == P.user_id, ~fn.EXISTS(has_row))
    )
    unread_there = unread_after(place(found), ChatMember.user, ChatMember.chat)
    unread_here = unread_after(position, ChatSettings.user, ChatSettings.chat)
    count = Case(None, [(is_forward, EXCLUDED.unreadCount)], unread_here)
    upsert = upsert_settings(
        values | {ChatSettings.unread_count: unread_there},
        update | {ChatSettings.unread_count: count},
        *guards,
        in_large=False,
    )
    return after_locking(upsert, dialect().lock(user_and_chat), lock_or_make)


@statement
def _unread_totals(by_table: bool = True) -> Query:
    """What is unread in the muted chats and in the others; `by_table`: of `unread_mentions`.

    Where counts are stored and where they are counted now is asked apart: of one expression for
    both, PostgreSQL would expect the cost of counting for every chat, and prepare for it.
    """
    ids = ChatSettings, ChatMember.user, ChatMember.chat
    settings = (ChatSettings.user == ChatMember.user) & (ChatSettings.chat == ChatMember.chat)
    stored = (
        ChatMember.select(
            ChatSettings.is_muted.alias("is_muted"),
            ChatSettings.unread_count.alias("unread"),
            unread_mentions(*ids, in_large=False, by_table=by_table).alias("mentions"),
        )
        .join(ChatSettings, on=settings)
        .where(
            ChatMember.user == P.user_id,
            ChatSettings.unread_count > 0,
            ~is_large(ChatMember.chat),
        )
    )
    counted = (
        ChatMember.select(
            fn.COALESCE(ChatSettings.is_muted, SQL("false")),
            unread_in_large(*ids),
            unread_mentions(*ids, in_large=True, by_table=by_table),
        )
        .join(LargeChat, on=(LargeChat.chat == ChatMember.chat))
        .join_from(ChatMember, ChatSettings, JOIN.LEFT_OUTER, on=settings)
        .where(ChatMember.user == P.user_id)
    )
    chats = stored.union_all(counted).alias("chats")
    sums = [chats.c.is_muted, fn.SUM(chats.c.unread), fn.SUM(chats.c.mentions)]
    return Select((chats,), [tags_are_complete(), *sums]).group_by(chats.c.is_muted)


@operation
def get_chat_settings(user_id: str, chat_id: str) -> ChatSettings:
    """What the user has set for the chat; a row of defaults, not stored, if nothing is.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.
    """
    row = _get_chat_settings.first(**_pair(user_id, chat_id))
    if row is None:
        raise NotFound("chat", chat_id)
    settings: ChatSettings = row[1] or default_settings(user_id, chat_id)
    settings.unread_count = row[2]
    return settings


@operation
def mute_chat(user_id: str, chat_id: str) -> ChatSettings:
    """Notify the user of nothing in this chat. Returns the row.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.
    """
    return _change(_set_muted, user_id, chat_id, is_muted=True)


@operation
def unmute_chat(user_id: str, chat_id: str) -> ChatSettings:
    """Notify the user of this chat again. Returns the row.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.
    """
    return _change(_set_muted, user_id, chat_id, is_muted=False)


@operation
def unmute_all_chats(user_id: str) -> int:
    """Unmute every chat of the user. Returns how many were muted. Raises `InvalidInput`."""
    return _unmute_all_chats.run(user_id=valid_id(user_id, "user_id"), now=utc_now())


@operation
def set_favorite(user_id: str, chat_id: str, is_favorite: bool = True) -> ChatSettings:
    """Put the chat among the user's favorites, or take it out. Returns the row.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.
    """
    valid_flag(is_favorite, "is_favorite")
    return _change(_set_favorite, user_id, chat_id, is_favorite=is_favorite)


@operation(repeatable=False)
def toggle_favorite(user_id: str, chat_id: str) -> ChatSettings:
    """Put the chat among the favorites if it is not there, take it out if it is.

    Returns the row. Every call turns it once, also when several run at the same time; so this is
    the one command here that must not be repeated blindly: see `set_favorite`.
    Raises `NotFound` for a chat the user is not in, `InvalidInput`.
    """
    return _change(_toggle_favorite, user_id, chat_id)


@operation
def mark_read(user_id: str, chat_id: str, message_id: str | None = None) -> ChatSettings:
    """Read the chat up to that message, or up to the newest.

    It never moves back: for a message before the one that was read last, nothing changes. A
    deleted message still has its place. Returns the row with the new count.
    Raises `NotFound` for a chat the user is not in and for a message that is not there,
    `InvalidInput`.
    """
    values = _pair(user_id, chat_id)
    read = _mark_read
    if message_id is not None:
        read = _mark_read.variant(up_to=True)
        values["message_id"] = valid_id(message_id, "message_id")
    settings = change_settings(read, **values)
    if settings is None:
        if message_id is None:
            raise NotFound("chat", chat_id)
        require_member(user_id, chat_id)
        raise NotFound("message", message_id)
    return settings


@operation
def recount_unread(user_id: str, chat_id: str | None = None) -> int:
    """Set the user's stored unread counts to the truth, in one chat or in all.

    Returns how many were something else. The counts of this package stay right by themselves; this
    is for those that another program has written. Raises `NotFound` for a chat the user is not in,
    `InvalidInput`.
    """
    values = {"user_id": valid_id(user_id, "user_id"), "now": utc_now()}
    if chat_id is None:
        return recount.run(**values)
    valid_id(chat_id, "chat_id")
    corrected = recount.variant(in_chat=True).run(chat_id=chat_id, **values)
    if not corrected:
        require_member(user_id, chat_id)
    return corrected


@operation
def unread_totals(user_id: str) -> UnreadTotals:
    """How many messages the user has not read, over all the chats they are in.

    Raises `InvalidInput`.
    """
    valid_id(user_id, "user_id")
    rows = _unread_totals.all(user_id=user_id)
    if rows and not rows[0][0]:
        rows = _unread_totals.variant(by_table=False).all(user_id=user_id)
    return UnreadTotals(
        all=sum(int(unread) for _, _, unread, _ in rows),
        unmuted=sum(int(unread) for _, is_muted, unread, _ in rows if not is_muted),
        mentions=sum(int(mentions) for _, _, _, mentions in rows),
    )


def _change(change: Statement, user_id: str, chat_id: str, **values: Any) -> ChatSettings:
    settings = change_settings(change, **_pair(user_id, chat_id), **values)
    if settings is None:
        raise NotFound("chat", chat_id)
    return settings


def _pair(user_id: str, chat_id: str) -> dict[str, str]:
    return {"user_id": valid_id(user_id, "user_id"), "chat_id": valid_id(chat_id, "chat_id")}

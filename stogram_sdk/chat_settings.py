"""The settings of a user for a chat: muted, favorite, and how far they have read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from peewee import EXCLUDED, JOIN, SQL, Case, Query, Select, Tuple, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import NotFound
from stogram_sdk.lookups import look_up
from stogram_sdk.membership import require_member, require_sent
from stogram_sdk.models import ChatMember, ChatSettings, Message, new_id
from stogram_sdk.operations import operation
from stogram_sdk.ordering import place_of, settings_lock
from stogram_sdk.rows import all_of, default_settings
from stogram_sdk.shards import by_value, each_chat, insert_read
from stogram_sdk.statements import (
    P,
    Statement,
    after_locking,
    amend,
    dialect,
    insert_or_select,
    returning,
    statement,
)
from stogram_sdk.unread import (
    mentions_after,
    read_place,
    unread_after,
    unread_count,
)
from stogram_sdk.validation import valid_flag, valid_id, valid_named_ids
from stogram_sdk.visibility import is_member, is_sent, is_visible

#: The columns for ON CONFLICT: the natural key, which a shard can check by itself.
_KEY = (ChatSettings.user, ChatSettings.chat)


class UnreadTotals(NamedTuple):
    """Unread messages of a user: in all chats, in chats that are not muted, and with a mention."""

    all: int
    unmuted: int
    mentions: int


def set_settings(values: dict[Any, Any], *guards: Any) -> Any:
    """The member's settings row once it has these values, with the unread count.

    It is written only if it has others. A user who is not in the chat has no membership to select
    from, and gets no row. `updated_at` stays: it may mark the place, see `unread`.
    """
    is_set = [
        field.is_null() if value is None else field == value for field, value in values.items()
    ]
    so = own_settings().where(*is_set)
    insert = _upsert(values, _excluded(values), *guards, ~fn.EXISTS(so))
    existing = so.where(is_member(P.user_id, P.chat_id), *guards)
    return insert_or_select(insert, existing, _with_unread)


def _upsert(values: dict[Any, Any], update: dict[Any, Any], *guards: Any) -> Any:
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
    insert = insert_read(ChatSettings, member, list(columns))
    return insert.on_conflict(conflict_target=_KEY, update=update)


def _excluded(fields: Iterable[Any]) -> dict[Any, Any]:
    """For ON CONFLICT: the columns as the row has them that was to be inserted."""
    return {field: getattr(EXCLUDED, field.column_name) for field in fields}


def own_settings() -> Any:
    """The user's settings row for the chat."""
    return ChatSettings.select().where(*_is_own_row())


def _is_own_row() -> tuple[Any, Any]:
    return ChatSettings.user == P.user_id, ChatSettings.chat == P.chat_id


def _with_unread(settings: Any) -> list[Any]:
    return [*all_of(ChatSettings, settings), unread_count(P.user_id, P.chat_id, settings)]


def change_settings(change: Statement, **values: Any) -> ChatSettings | None:
    """The row after `change`, of a statement of `set_settings`; None if there is none."""
    row = change.first(id=new_id(), now=current_time(), **values)
    return None if row is None else _with_count(*row)


def _with_count(settings: ChatSettings, unread_count: int) -> ChatSettings:
    """The row with the count that the member sees, instead of the server's number."""
    return amend(settings, unread_count=unread_count)


@statement
def _get_chat_settings() -> Query:
    is_own = (ChatSettings.user == P.user_id) & (ChatSettings.chat == P.chat_id)
    return (
        ChatMember.select(
            *ChatSettings._meta.sorted_fields,
            unread_after(
                read_place(ChatSettings, P.chat_id), P.user_id, P.chat_id, ChatMember.joined_at
            ),
        )
        .join(ChatSettings, JOIN.LEFT_OUTER, on=is_own)
        .where(ChatMember.user == P.user_id, ChatMember.chat == P.chat_id)
    )


@statement
def _set_muted() -> Any:
    return set_settings({ChatSettings.is_muted: P.is_muted})


@statement
def _set_favorite() -> Any:
    return set_settings({ChatSettings.is_favorite: P.is_favorite})


@statement
def _toggle_favorite() -> Any:
    toggled = {ChatSettings.is_favorite: ~ChatSettings.is_favorite}
    upsert = _upsert({ChatSettings.is_favorite: SQL("true")}, toggled)
    return returning(upsert, ChatSettings, _with_unread)


@statement
def _unmute_all_chats() -> Any:
    muted = ChatSettings.user == P.user_id, ChatSettings.is_muted
    unmute = ChatSettings.update({ChatSettings.is_muted: False}).where(*muted)
    return after_locking(unmute, settings_lock(*muted, in_one_chat=False))


#: The settings of a member before a call, and the message that it reads up to.
_Before: Any = ChatSettings.alias()
_Target: Any = Message.alias()


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
    is_first = _Before.last_read_message_id.is_null() & _Target.id.is_null(False)
    return _move_read_place(_Target.id == found, JOIN.LEFT_OUTER, _is_later() | is_first, SQL("0"))


@statement
def _mark_read_up_to() -> Any:
    """Read up to one message, unless it is one before the place that the member has read up to."""
    wanted = (_Target.id == P.message_id) & is_sent(_Target)
    after_target, after_read = (
        unread_after(place, P.user_id, P.chat_id, ChatMember.joined_at)
        for place in ((_Target.created_at, _Target.id), read_place(_Before, P.chat_id))
    )
    count = Case(None, [(_is_later(), after_target)], after_read)
    return _move_read_place(wanted, JOIN.INNER, _is_later(), count)


def _is_later() -> Any:
    """Whether the message is later than the place up to which the member has read."""
    return place_of(_Target) > Tuple(*read_place(_Before, P.chat_id))


def _move_read_place(is_target: Any, join: str, is_forward: Any, count: Any) -> Any:
    """Read up to the target if that `is_forward`; `count` messages are unread afterwards.

    Nothing is written if the member had read as far, and the server's column says so. Nor if
    another call has changed the row since this one has looked at it: then no row is returned.
    """
    state = _state_of_reading(is_target, join, is_forward, count)
    before = state.c
    is_new = before.id.is_null()
    is_due = is_new | before.is_forward | (before.unreadCount != before.unread)
    changed = {
        # This time may mark the place, see `unread`: it stays where that stays.
        ChatSettings.updated_at: Case(
            None, [(is_new | before.is_forward, P.now)], before.updatedAt
        ),
        ChatSettings.last_read_message_id: Case(
            None, [(before.is_forward, before.target_id)], before.lastReadMessageId
        ),
        ChatSettings.unread_count: before.unread,
    }
    values = {
        ChatSettings.id: _id_to_insert(before),
        ChatSettings.user: P.user_id,
        ChatSettings.chat: P.chat_id,
        ChatSettings.created_at: P.now,
        **changed,
    }
    due = Select((state,), list(values.values())).where(is_due)
    insert = ChatSettings.insert_from(due, list(values)).on_conflict(
        conflict_target=_KEY, update=_excluded(changed), where=_is_as_before(state)
    )
    existing = own_settings().where(fn.EXISTS(Select((state,), [SQL("1")]).where(~is_due)))
    columns, is_locked = partial(all_of, ChatSettings), dialect().is_distributed
    read = insert_or_select(insert, existing, columns, state, is_locked=is_locked)
    return after_locking(read, *_locks_of_reading()) if is_locked else read


def _state_of_reading(is_target: Any, join: str, is_forward: Any, count: Any) -> Any:
    """The member's settings before the call, with what it makes of them; a CTE."""
    is_own = (_Before.user == P.user_id) & (_Before.chat == P.chat_id)
    return (
        ChatMember.select(
            _Before.id,
            _Before.last_read_message_id,
            _Before.unread_count,
            _Before.updated_at,
            _Target.id.alias("target_id"),
            fn.COALESCE(is_forward, SQL("false")).alias("is_forward"),
            count.alias("unread"),
        )
        .join(_Before, JOIN.LEFT_OUTER, on=is_own)
        .join_from(ChatMember, _Target, join, on=(_Target.chat == P.chat_id) & is_target)
        .where(ChatMember.user == P.user_id, ChatMember.chat == P.chat_id)
        .cte("state", materialized=True)
    )


def _locks_of_reading() -> tuple[Any, Any]:
    """The member's settings, and their membership: that is there before the first settings are."""
    member = ChatMember.select(ChatMember.id).where(
        ChatMember.user == P.user_id, ChatMember.chat == P.chat_id
    )
    return dialect().lock(member), settings_lock(*_is_own_row())


def _id_to_insert(before: Any) -> Any:
    """A new id; on a distributed database that of the row which is held, see `_is_as_before`.

    Where no row is held, another call may move it to another place just then. PostgreSQL may not
    find it by its chat and user at once, and would refuse to insert a second row with its id.
    """
    return fn.COALESCE(before.id, P.id) if dialect().is_distributed else P.id


def _is_as_before(state: Any) -> Any:
    """Whether the settings row in the way is still as the state says."""
    if dialect().is_distributed:  # There it is held; unless it has come since it was looked for.
        return ChatSettings.id == EXCLUDED.id
    before = state.c
    was = fn.COALESCE(before.lastReadMessageId, ""), fn.COALESCE(before.unreadCount, 0)
    row = Tuple(fn.COALESCE(ChatSettings.last_read_message_id, ""), ChatSettings.unread_count)
    return row == Select((state,), list(was))


@statement
def _recount(in_chat: bool = False) -> Any:
    """Set the server's column to the truth in the rows where it differs."""
    rows = [ChatSettings.user == P.user_id]
    if in_chat:
        rows.append(ChatSettings.chat == P.chat_id)
    chat = by_value(ChatSettings.chat, in_chat)
    truth = fn.COALESCE(unread_count(ChatSettings.user, chat), 0)
    update = ChatSettings.update({ChatSettings.unread_count: truth})
    return after_locking(
        update.where(*rows, ChatSettings.unread_count != truth),
        settings_lock(*rows, in_one_chat=in_chat),
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

    def member_of(table: Any, chat: Any) -> tuple[Any, ...]:
        place = table.c.read_at, table.c.read_id
        return place, P.user_id, chat, table.c.joined_at

    if dialect().is_distributed:  # With a second table it would ask all of its servers once more.
        each, chat = each_chat(chats, chats.c.chat_id)
        unread = unread_after(*member_of(chats, chat))
        mentions = mentions_after(*member_of(chats, chat))
        ctes = [chats]
    else:
        # So a count is made once, and most chats are not asked for mentions.
        unread = unread_after(*member_of(chats, chats.c.chat_id))
        counted = Select((chats,), [SQL("chats.*"), unread.alias("unread")])
        each = counted.cte("counted", materialized=True)
        unread = each.c.unread
        mentions = mentions_after(*member_of(each, each.c.chat_id))
        mentions = Case(None, [(unread > 0, mentions)], 0)
        ctes = [chats, each]
    totals = Select((each,), [SQL("is_muted"), fn.SUM(unread), fn.SUM(mentions)])
    return totals.group_by(SQL("is_muted")).with_cte(*ctes)


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
    settings, count = row
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
    return _unmute_all_chats.run(user_id=valid_id(user_id, "user_id"))


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
    """Put the chat among the user's favorites if it is not there; take it out if it is.

    Returns the row. Every call changes it once, also when several run at the same time. So a second
    call undoes the first. Use `set_favorite` where a call may be repeated. Raises `NotFound` for a
    chat the user is not in, `InvalidInput`.

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
    while True:
        settings: ChatSettings | None = read.first(id=new_id(), now=current_time(), **values)
        if settings is not None:
            return settings
        require_member(user_id, chat_id)
        if message_id is not None:
            require_sent(chat_id, message_id)
        # Another call has changed the settings meanwhile.


@operation
def recount_unread(user_id: str, chat_id: str | None = None) -> int:
    """Set the column `unreadCount`, which the server's own clients read, to the right number.

    It does so for one chat of the user, or for all. Nothing that this package returns depends on
    the column. Returns how many rows changed. Raises `NotFound` for a chat the user is not in,
    `InvalidInput`.

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
    """How many messages the user has not read, in all of their chats together.

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

"""The chats that a user is in: the list of them, and one of its lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce
from operator import and_
from typing import Any, NamedTuple

from peewee import JOIN, SQL, Case, Select, Tuple, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import NotFound
from stogram_sdk.fields import LATEST, time_from_database
from stogram_sdk.folders import require_folder
from stogram_sdk.lookups import look_up
from stogram_sdk.models import Chat, ChatMember, ChatSettings, ChatType, Folder, Message, User
from stogram_sdk.operations import operation
from stogram_sdk.ordering import MOST_AHEAD
from stogram_sdk.paging import START, Page, make_page, read_cursor
from stogram_sdk.parts import Row, Same
from stogram_sdk.profiles import Profile, read_profile, with_profiles
from stogram_sdk.rows import Sender, default_settings, message_row, person
from stogram_sdk.server_columns import is_archived as is_archived_in
from stogram_sdk.shards import by_value, of_chat
from stogram_sdk.statements import P, amend, statement
from stogram_sdk.unread import has_unread_after, read_place, unread_after
from stogram_sdk.validation import UNSET, Unset, valid_flag, valid_id, valid_limit, valid_named_ids
from stogram_sdk.visibility import is_visible


class ChatSummary(NamedTuple):
    """A chat as a user sees it: one line of the chat list.

    `last_message`, with its sender, is None in a chat without messages. `peer` is the other member
    of a PRIVATE chat, as the user may see them: None in other chats, and if that account is gone.
    """

    chat: Chat
    settings: ChatSettings
    unread_count: int
    last_message: Message | None
    peer: Profile | None


#: A place before every chat of the list: favorites first, then by last message, then by id. The
#: last part is the time up to which messages count for the places.
_START = (True, *START, LATEST)


@statement
def _list_chats(**filters: Any) -> Any:
    """The chats of the page are chosen first, from as little data as possible.

    Everything else is read for those chats alone. The filters are those of `_chats_of_user`. Before
    what `_summary` reads, a row has the chat's place in the list, and the latest time of all.
    """
    chats = _chats_of_user(**filters)
    listed = _page_of(chats)
    newest_of_all = chats.select(fn.MAX(chats.c.last_at))
    lines = _lines(listed, listed.c.favorite, listed.c.last_at, newest_of_all)
    return lines.order_by(
        listed.c.favorite.desc(), listed.c.last_at.desc(), listed.c.id.desc()
    ).with_cte(chats)


@statement
def _get_chat() -> Any:
    mine = ChatMember.alias()
    listed = (
        mine.select(mine.chat.alias("id"), mine.joined_at.alias("joined_at"))
        .where(mine.user == P.user_id, mine.chat == P.chat_id)
        .alias("listed")
    )
    return _lines(listed, chat=by_value(Chat.id), conditions=of_chat(Chat, P.chat_id))


def _lines(listed: Any, *places: Any, chat: Any = Chat.id, conditions: tuple[Any, ...] = ()) -> Any:
    """Rows of these places, and then of what `_summary` reads, for each chat in `listed`."""
    other, peer = ChatMember.alias(), User.alias()
    # A subquery, so that the other member is looked up in PRIVATE chats alone.
    others = other.select(other.user).where(other.chat == chat, other.user != P.user_id)
    peer_id = Case(None, [(Chat.type == ChatType.PRIVATE.value, others.limit(1))])
    is_newest = (Message.chat == chat) & (Message.id == _newest_in(chat, "id"))
    is_own = (ChatSettings.user == P.user_id) & (ChatSettings.chat == chat)
    shown = Row(Chat._meta.sorted_fields)
    lines = (
        Chat.select(
            *places,
            shown,
            *ChatSettings._meta.sorted_fields,
            message_row(sender=person(Sender), chat=Same(shown), named=chat),
            unread_after(read_place(ChatSettings, chat), P.user_id, chat, listed.c.joined_at),
        )
        .join(listed, on=reduce(and_, conditions, Chat.id == listed.c.id))
        .join_from(Chat, ChatSettings, JOIN.LEFT_OUTER, on=is_own)
        .join_from(Chat, Message, JOIN.LEFT_OUTER, on=is_newest)
        .join_from(Message, Sender, JOIN.LEFT_OUTER, on=(Sender.id == Message.sender))
        .join_from(Chat, peer, JOIN.LEFT_OUTER, on=(peer.id == peer_id))
    )
    return with_profiles(lines, peer)


def _chats_of_user(
    in_folder: bool | None = None,
    is_favorite: bool = False,
    is_secret: bool = False,
    unread_only: bool = False,
) -> Any:
    """The user's chats with their places in the list, of those that pass the filters.

    `in_folder`: True for one folder, False for no folder, None for any.
    """
    mine = ChatMember.alias()
    own, settings = look_up(mine.select().where(mine.user == P.user_id), mine, ChatSettings)
    favorite = fn.COALESCE(settings.is_favorite, SQL("false"))
    conditions = [is_archived_in(settings) == P.is_archived]
    if in_folder is not None:
        conditions.append(
            _is_in_folder(settings) if in_folder else ~_is_in_folder(settings, of_any=True)
        )
    if is_favorite:
        conditions.append(favorite == P.is_favorite)
    if is_secret:
        chat = Chat.alias()
        secret = chat.select(chat.is_secret).where(chat.id == mine.chat)
        conditions.append(P.is_secret == secret)
    if unread_only:
        member = P.user_id, mine.chat, mine.joined_at
        conditions.append(has_unread_after(read_place(settings, mine.chat), *member))
    # Materialized, or the newest message would be looked up wherever its time is used.
    return (
        own.select(
            mine.chat.alias("id"),
            favorite.alias("favorite"),
            fn.COALESCE(_newest_in(mine.chat, "created_at", P.until), mine.joined_at).alias(
                "last_at"
            ),
            mine.joined_at.alias("joined_at"),
        )
        .where(*conditions)
        .cte("chats", materialized=True)
    )


def _is_in_folder(settings: Any, *, of_any: bool = False) -> Any:
    """Whether the chat is in the folder that is asked for, or in any of the user's.

    The server may put a chat into a folder of somebody else: that counts as no folder.
    """
    folder = Folder.alias()
    own = folder.select(folder.id).where(folder.id == settings.folder, folder.user == P.user_id)
    return fn.EXISTS(own if of_any else own.where(folder.id == P.folder_id))


def _page_of(chats: Any) -> Any:
    """The places of the chats of one page, as the table `listed`."""
    place = chats.c.favorite, chats.c.last_at, chats.c.id
    return (
        Select((chats,), [*place, chats.c.joined_at])
        .where(Tuple(*place) < Tuple(P.favorite, P.before, P.before_id))
        .order_by(*(column.desc() for column in place))
        .limit(P.limit)
        .alias("listed")
    )


def _newest_in(chat: Any, what: str, until: Any = None) -> Any:
    """A column of the newest visible message of the chat, of those up to a time."""
    message = Message.alias()
    shown = (
        is_visible(message)
        if until is None
        else is_visible(message) & (message.created_at <= until)
    )
    return (
        message.select(getattr(message, what))
        .where(message.chat == chat, shown)
        .order_by(message.created_at.desc(), message.id.desc())
        .limit(1)
    )


@operation(reads=True)
def list_chats(
    user_id: str,
    *,
    folder_id: str | Unset | None = UNSET,
    is_favorite: bool | Unset = UNSET,
    is_secret: bool | Unset = UNSET,
    unread_only: bool = False,
    is_archived: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ChatSummary]:
    """The user's chats: favorites first, then by the time of the last message.

    The pages after a first one keep its order. A message that arrives meanwhile moves no chat. So
    each chat that was there is on one page, and on one only; a new chat is on the next first page.
    Some chats move all the same, perhaps to a page that was read already: one that becomes a
    favorite, or none any more; one whose last message is deleted, or whose history is imported; one
    with a message that is dated before the first page but committed after it, by a long transaction
    or by a server whose clock is behind. A chat whose last message is dated ahead of the database's
    clock may come once more on a later page. A message that is dated ahead by more than a minute
    moves its chat up once its time has come.

    A chat without messages stands at the time when the user joined it. `folder_id=None` asks for
    the chats that are in no folder. A filter that is not given does not apply. Later servers let
    users archive chats: only `is_archived=True` lists these. Returns a page of `ChatSummary`, each
    with the unread count, at most 1,000. Raises `NotFound` for a folder that is not the user's,
    `InvalidInput`.

    >>> [(line.chat.name, line.unread_count) for line in list_chats(boris.id)]
    [('Release team', 1)]
    """
    valid_id(user_id, "user_id")
    valid_flag(unread_only, "unread_only")
    valid_limit(limit)
    variant: dict[str, Any] = {"unread_only": unread_only}
    values: dict[str, Any] = {"is_archived": valid_flag(is_archived, "is_archived")}
    if folder_id is not UNSET:
        variant["in_folder"] = folder_id is not None
        if folder_id is not None:
            values["folder_id"] = valid_id(folder_id, "folder_id")
    if is_favorite is not UNSET:
        variant["is_favorite"] = True
        values["is_favorite"] = valid_flag(is_favorite, "is_favorite")
    if is_secret is not UNSET:
        variant["is_secret"] = True
        values["is_secret"] = valid_flag(is_secret, "is_secret")
    favorite, before, before_id, until = read_cursor(cursor, "chats", _START)
    asked_at = current_time()
    if cursor is None:
        until = asked_at + timedelta(milliseconds=MOST_AHEAD)
    rows = _list_chats.variant(**variant).all(
        user_id=user_id,
        favorite=favorite,
        before=before,
        before_id=before_id,
        until=until,
        limit=limit + 1,
        **values,
    )
    if cursor is None and rows:
        _, _, newest_of_all, *_ = rows[0]
        newest: Any = time_from_database(newest_of_all)
        # If that is ahead of the clock, what comes before the next page may be dated earlier: but
        # not before the millisecond in which this one was asked for.
        until = newest if newest <= current_time() else asked_at - timedelta(milliseconds=1)
    if not rows and isinstance(folder_id, str):
        require_folder(user_id, folder_id)
    page = make_page(rows, limit, "chats", lambda row: (*_place(row), until))
    return Page([_summary(user_id, line) for _, _, _, *line in page], page.next_cursor)


def _place(row: Sequence[Any]) -> tuple[Any, ...]:
    """The place of a row of the list."""
    favorite, last_at, _, chat, *_ = row
    return bool(favorite), time_from_database(last_at), chat.id


@operation(reads=True)
def get_chat(user_id: str, chat_id: str) -> ChatSummary:
    """One chat of the user, as `list_chats` has it; also one that is archived.

    Raises `NotFound` for a chat the user is not in, `InvalidInput`.

    >>> get_chat(boris.id, chat.id).unread_count
    1
    """
    row = _get_chat.first(**valid_named_ids(user_id=user_id, chat_id=chat_id))
    if row is None:
        raise NotFound("chat", chat_id)
    return _summary(user_id, row)


def _summary(user_id: str, line: Sequence[Any]) -> ChatSummary:
    chat, settings, message, unread_count, *profile = line
    if settings is None:
        settings = default_settings(user_id, chat.id)
    amend(settings, unread_count=unread_count)
    peer = None if profile[0] is None else read_profile(profile)
    return ChatSummary(chat, settings, unread_count, message, peer)

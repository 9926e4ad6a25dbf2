"""Chats, and the list of them that a user sees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from peewee import JOIN, SQL, Case, Query, Select, Tuple, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import InvalidInput
from stogram_sdk.fields import time_from_database
from stogram_sdk.folders import require_folder
from stogram_sdk.lookups import look_up
from stogram_sdk.membership import require_addable
from stogram_sdk.models import (
    BlockedUser,
    Chat,
    ChatMember,
    ChatSettings,
    ChatType,
    Folder,
    MemberRole,
    Message,
    User,
    new_id,
)
from stogram_sdk.operations import atomic, operation
from stogram_sdk.ordering import user_lock
from stogram_sdk.paging import START, Page, make_page, read_cursor
from stogram_sdk.profiles import PROFILE_WIDTH, Profile, profile_columns, read_profile
from stogram_sdk.rows import (
    Sender,
    answered_by,
    default_settings,
    person,
    reactions_to,
    read_message,
)
from stogram_sdk.server_columns import is_archived as is_archived_in
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.unread import (
    has_unread_after,
    read_place,
    unread_after,
)
from stogram_sdk.validation import (
    MAX_SHORT_TEXT_LENGTH,
    UNSET,
    Unset,
    valid_enum,
    valid_flag,
    valid_id,
    valid_ids,
    valid_limit,
    valid_optional_text,
)
from stogram_sdk.visibility import is_visible


class ChatSummary(NamedTuple):
    """A line of the chat list.

    `last_message`, with its sender, is None in a chat without messages. `peer` is the other member
    of a PRIVATE chat, as the user may see them: None in other chats, and if that account is gone.
    """

    chat: Chat
    settings: ChatSettings
    unread_count: int
    last_message: Message | None
    peer: Profile | None


@statement
def _create_chat(despite_blocks: bool) -> Any:
    columns = {
        Chat.id: P.id,
        Chat.type: P.type,
        Chat.name: P.name,
        Chat.description: P.description,
        Chat.is_secret: P.is_secret,
        Chat.created_at: P.now,
        Chat.updated_at: P.now,
    }
    known = User.select(fn.COUNT(User.id)).where(dialect().is_one_of(User.id, P.user_ids))
    new = Select(columns=list(columns.values())).where(known == P.user_count)
    if not despite_blocks:
        blockers = BlockedUser.select(BlockedUser.id).where(
            BlockedUser.blocked == P.owner_id, dialect().is_one_of(BlockedUser.user, P.user_ids)
        )
        new = new.where(~fn.EXISTS(blockers))
    insert = Chat.insert_from(new, list(columns)).returning(Chat)
    return after_locking(insert, user_lock(dialect().is_one_of(User.id, P.user_ids)))


@statement
def _create_members() -> Query:
    given = dialect().given(id=P.ids, userId=P.user_ids)
    rows = Select(
        (given,), [SQL('given."id"'), SQL('given."userId"'), P.chat_id, P.role, P.now]
    ).where(SQL("true"))
    fields = [
        ChatMember.id,
        ChatMember.user,
        ChatMember.chat,
        ChatMember.role,
        ChatMember.joined_at,
    ]
    return ChatMember.insert_from(rows, fields).returning()


@statement
def _private_chat(locked: bool = False) -> Any:
    mine, theirs, other = ChatMember.alias(), ChatMember.alias(), ChatMember.alias()
    # The server lets others into PRIVATE chats, which are not chats of two any more then.
    is_other = (other.user != P.user_id) & (other.user != P.other_id)
    third = other.select(other.id).where(other.chat == Chat.id, is_other)
    chats = (
        Chat.select()
        .join(mine, on=(mine.chat == Chat.id))
        .join(theirs, on=(theirs.chat == Chat.id))
        .where(
            Chat.type == ChatType.PRIVATE.value,
            Chat.is_secret == P.is_secret,
            mine.user == P.user_id,
            theirs.user == P.other_id,
            ~fn.EXISTS(third),
        )
        .order_by(Chat.created_at, Chat.id)
        .limit(1)
    )
    if not locked:
        return chats
    return after_locking(chats, user_lock((User.id == P.user_id) | (User.id == P.other_id)))


@operation(repeatable=False)
def create_chat(
    owner_id: str,
    type: ChatType,
    *,
    member_ids: Iterable[str] = (),
    name: str | None = None,
    description: str | None = None,
    is_secret: bool = False,
) -> Chat:
    """Make a chat of the owner, who becomes OWNER, and the members.

    A PRIVATE chat takes exactly one other member, and two users have only one: if it is there
    already, it is returned as it is. Returns the row. Raises `NotFound` for an unknown user,
    `Blocked` if somebody has blocked the owner and the chat is not PRIVATE, `InvalidInput`.
    """
    valid_id(owner_id, "owner_id")
    chat_type = valid_enum(ChatType, type, "type")
    others = [user_id for user_id in valid_ids(member_ids, "member_ids") if user_id != owner_id]
    valid_optional_text(name, "name", maximum=MAX_SHORT_TEXT_LENGTH)
    valid_optional_text(description, "description", maximum=MAX_SHORT_TEXT_LENGTH)
    valid_flag(is_secret, "is_secret")
    details: dict[str, Any] = {"name": name, "description": description, "is_secret": is_secret}
    if chat_type == ChatType.PRIVATE:
        if len(others) != 1:
            raise InvalidInput(
                "a PRIVATE chat has exactly one other member, not the owner", field="member_ids"
            )
        return _open_private_chat(owner_id, others[0], **details)[0]
    with atomic():
        return _create(owner_id, chat_type, others, **details)


@operation
def open_private_chat(user_id: str, other_id: str, *, is_secret: bool = False) -> tuple[Chat, bool]:
    """The one private chat of the two, made if there is none; a secret chat is another one.

    Returns the chat and whether it was made by this call; two callers at once get the same one.
    The chat can be opened despite a block, but nobody can write in it then.
    Raises `NotFound` for an unknown user, `InvalidInput`, also for oneself.
    """
    valid_id(user_id, "user_id")
    if valid_id(other_id, "other_id") == user_id:
        raise InvalidInput("a private chat is with somebody else", field="other_id")
    return _open_private_chat(user_id, other_id, is_secret=valid_flag(is_secret, "is_secret"))


def _open_private_chat(
    user_id: str,
    other_id: str,
    *,
    is_secret: bool,
    name: str | None = None,
    description: str | None = None,
) -> tuple[Chat, bool]:
    pair = {"user_id": user_id, "other_id": other_id, "is_secret": is_secret}
    chat: Chat | None = _private_chat.first(**pair)
    if chat is not None:
        return chat, False
    with atomic():
        chat = _private_chat.variant(locked=True).first(**pair)
        if chat is not None:
            return chat, False
        details: dict[str, Any] = {"name": name, "description": description, "is_secret": is_secret}
        return _create(user_id, ChatType.PRIVATE, [other_id], **details), True


def _create(owner_id: str, type: ChatType, others: list[str], **details: Any) -> Chat:
    now = current_time()
    users = [owner_id, *others]
    chat: Chat | None = None
    while chat is None:
        chat = _create_chat.variant(despite_blocks=type == ChatType.PRIVATE).first(
            id=new_id(),
            type=type.value,
            owner_id=owner_id,
            user_ids=users,
            user_count=len(users),
            now=now,
            **details,
        )
        if chat is None:
            require_addable(owner_id, users)
    for role, user_ids in ((MemberRole.OWNER, [owner_id]), (MemberRole.MEMBER, others)):
        if user_ids:
            ids = [new_id() for _ in user_ids]
            _create_members.run(
                chat_id=chat.id, role=role.value, ids=ids, user_ids=user_ids, now=now
            )
    return chat


#: A place before every chat of the list: favorites first, then by last message, then by id. The
#: last part is the time up to which messages count for the places.
_START = (True, *START, START[0])
#: Where a row of `_list_chats` has these, after the chat, settings, message, sender, answer and
#: reactions.
_FAVORITE, _LAST_AT, _UNREAD, _NEWEST = range(6, 10)


@statement
def _list_chats(**filters: Any) -> Query:
    """The chats of the page are chosen first, from as little data as possible.

    Everything else is read for those chats alone. The filters are those of `_chats_of_user`.
    """
    chats = _chats_of_user(**filters)
    listed = _page_of(chats)
    other, peer = ChatMember.alias(), User.alias()
    # A subquery, so that the other member is looked up in PRIVATE chats alone.
    others = other.select(other.user).where(other.chat == listed.c.id, other.user != P.user_id)
    peer_id = Case(None, [(Chat.type == ChatType.PRIVATE.value, others.limit(1))])
    is_newest = (Message.chat == listed.c.id) & (Message.id == _newest_in(listed.c.id, "id"))
    is_own = (ChatSettings.user == P.user_id) & (ChatSettings.chat == listed.c.id)
    return (
        Chat.select(
            *Chat._meta.sorted_fields,
            *ChatSettings._meta.sorted_fields,
            *Message._meta.sorted_fields,
            *person(Sender),
            answered_by(Message),
            reactions_to(Message),
            listed.c.favorite,
            listed.c.last_at,
            unread_after(
                read_place(ChatSettings, listed.c.id), P.user_id, listed.c.id, listed.c.joined_at
            ),
            chats.select(fn.MAX(chats.c.last_at)),
            *profile_columns(peer, P.user_id),
        )
        .join(listed, on=(Chat.id == listed.c.id))
        .join_from(Chat, ChatSettings, JOIN.LEFT_OUTER, on=is_own)
        .join_from(Chat, Message, JOIN.LEFT_OUTER, on=is_newest)
        .join_from(Message, Sender, JOIN.LEFT_OUTER, on=(Sender.id == Message.sender))
        .join_from(Chat, peer, JOIN.LEFT_OUTER, on=(peer.id == peer_id))
        .order_by(listed.c.favorite.desc(), listed.c.last_at.desc(), listed.c.id.desc())
        .with_cte(chats)
    )


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


@operation
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

    The pages after a first one keep its order: a message that arrives meanwhile moves no chat, so
    each chat that was there is on one of them, and on one only; those that come are on the next
    first page. What changes a place itself shows: a chat that becomes a favorite or none, whose
    last message is deleted, or whose history is imported meanwhile, stands at its new place.

    A chat without messages stands at the time when the user joined it. `folder_id=None` asks for
    the chats that are in no folder; a filter that is not given does not apply. Later servers let
    users archive chats: these are listed with `is_archived=True`, and only then.
    Returns a page of `ChatSummary`, each with the unread count, at most 1,000.
    Raises `NotFound` for a folder that is not the user's, `InvalidInput`.
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
        until = time_from_database(rows[0][_NEWEST])
    if not rows and isinstance(folder_id, str):
        require_folder(user_id, folder_id)
    page = make_page(
        rows,
        limit,
        "chats",
        lambda row: (bool(row[_FAVORITE]), time_from_database(row[_LAST_AT]), row[0].id, until),
    )
    return Page([_summary(user_id, row) for row in page], page.next_cursor)


def _summary(user_id: str, row: tuple[Any, ...]) -> ChatSummary:
    chat, settings, message, sender, answered, reactions = row[:6]
    if settings is None:
        settings = default_settings(user_id, chat.id)
    if message is not None:
        read_message((message, sender, chat, answered, reactions))
    peer = None if row[-PROFILE_WIDTH] is None else read_profile(row)
    settings.unread_count = row[_UNREAD]
    return ChatSummary(chat, settings, settings.unread_count, message, peer)

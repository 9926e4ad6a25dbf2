"""Chats: making, changing and deleting them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import SQL, Query, Select, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import InvalidInput, NotAllowed
from stogram_sdk.membership import CHAT_KEEPERS, membership, require_addable, require_keeper
from stogram_sdk.models import BlockedUser, Chat, ChatMember, ChatType, MemberRole, User, new_id
from stogram_sdk.operations import operation, operation_with_id
from stogram_sdk.ordering import chat_lock, user_lock
from stogram_sdk.shards import insert_read
from stogram_sdk.statements import P, after_locking, dialect, in_turn, statement
from stogram_sdk.validation import (
    MAX_SHORT_TEXT_LENGTH,
    UNSET,
    Unset,
    valid_enum,
    valid_flag,
    valid_id,
    valid_ids,
    valid_named_ids,
    valid_optional_text,
)
from stogram_sdk.visibility import place_in


@statement
def _create_chat(private: bool) -> Any:
    """The new chat, or nothing; `private`: the one private chat of the two, new or not."""
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
    blockers = BlockedUser.select(BlockedUser.id).where(
        BlockedUser.blocked == P.owner_id, dialect().is_one_of(BlockedUser.user, P.others)
    )
    in_the_way = _chats_of_both() if private else blockers
    new = Select(columns=list(columns.values())).where(
        known == P.user_count, ~fn.EXISTS(in_the_way)
    )
    given = dialect().given(id=P.member_ids, userId=P.others)
    made = in_turn(
        insert_read(Chat, new, list(columns)).returning(),
        _make_members(P.owner_member_id, P.owner_id, MemberRole.OWNER),
        _make_members(SQL('given."id"'), SQL('given."userId"'), MemberRole.MEMBER, given),
        _chats_of_both() if private else Chat.select().where(Chat.id == P.id),
    )
    return after_locking(made, user_lock(dialect().is_one_of(User.id, P.user_ids)))


def _make_members(id: Any, user: Any, role: MemberRole, *source: Any) -> Query:
    """Members of the chat that an earlier query has made, if it has made one."""
    columns = {
        ChatMember.id: id,
        ChatMember.user: user,
        ChatMember.chat: P.id,
        ChatMember.role: SQL(f"'{role}'"),
        ChatMember.joined_at: P.now,
    }
    is_made = fn.EXISTS(Chat.select(Chat.id).where(Chat.id == P.id))
    new = Select(source, list(columns.values())).where(is_made)
    return ChatMember.insert_from(new, list(columns)).returning()


@statement
def _private_chat() -> Any:
    return _chats_of_both()


def _chats_of_both() -> Any:
    mine, theirs, other = ChatMember.alias(), ChatMember.alias(), ChatMember.alias()
    # The server lets others into PRIVATE chats, which are not chats of two any more then.
    is_other = (other.user != P.owner_id) & (other.user != P.other_id)
    third = other.select(other.id).where(other.chat == Chat.id, is_other)
    return (
        Chat.select()
        .join(mine, on=(mine.chat == Chat.id))
        .join(theirs, on=(theirs.chat == Chat.id))
        .where(
            Chat.type == ChatType.PRIVATE.value,
            Chat.is_secret == P.is_secret,
            mine.user == P.owner_id,
            theirs.user == P.other_id,
            ~fn.EXISTS(third),
        )
        .order_by(Chat.created_at, Chat.id)
        .limit(1)
    )


@statement
def _update_chat(name: bool = False, description: bool = False, avatar: bool = False) -> Any:
    given: dict[Any, bool] = {Chat.name: name, Chat.description: description, Chat.avatar: avatar}
    changes = {column: getattr(P, column.name) for column, is_given in given.items() if is_given}
    # The time of the last message may be ahead of the clock, see `ordering`: it never goes back.
    changed_at = dialect().latest_of(P.now, Chat.updated_at)
    keeper = place_in(P.chat_id, P.user_id).where(ChatMember.role.in_(CHAT_KEEPERS))
    update = Chat.update(changes | {Chat.updated_at: changed_at}).where(
        Chat.id == P.chat_id, Chat.type != ChatType.PRIVATE.value, fn.EXISTS(keeper)
    )
    return after_locking(update.returning(Chat), chat_lock(Chat.id == P.chat_id))


@statement
def _delete_chat() -> Any:
    place = place_in(P.chat_id, P.user_id).where(
        (ChatMember.role == MemberRole.OWNER.value) | (Chat.type == ChatType.PRIVATE.value)
    )
    delete = Chat.delete().where(Chat.id == P.chat_id, fn.EXISTS(place))
    return after_locking(delete, chat_lock(Chat.id == P.chat_id))


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

    A PRIVATE chat takes exactly one other member. Two users have only one such chat: if it is there
    already, it is returned as it is. Returns the row. Raises `NotFound` for an unknown user,
    `Blocked` if somebody has blocked the owner and the chat is not PRIVATE, `InvalidInput`.

    >>> create_chat(anna.id, ChatType.CHANNEL, member_ids=[boris.id], name="News").name
    'News'
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
        return _open_private_chat(new_id(), owner_id, others[0], **details)
    return _create(new_id(), owner_id, chat_type, others, **details)


@operation_with_id
def open_private_chat(
    id: str, user_id: str, other_id: str, *, is_secret: bool = False
) -> tuple[Chat, bool]:
    """The private chat of the two, made if there is none; a secret chat is another one.

    Returns the chat and whether it was made by this call; two callers at once get the same one.
    The chat can be opened despite a block, but nobody can write in it then.
    Raises `NotFound` for an unknown user, `InvalidInput`, also for oneself.

    >>> private, is_new = open_private_chat(anna.id, boris.id)
    >>> is_new, open_private_chat(boris.id, anna.id)[1]
    (True, False)
    """
    valid_id(user_id, "user_id")
    if valid_id(other_id, "other_id") == user_id:
        raise InvalidInput("a private chat is with somebody else", field="other_id")
    is_secret = valid_flag(is_secret, "is_secret")
    chat = _open_private_chat(id, user_id, other_id, is_secret=is_secret)
    return chat, chat.id == id


def _open_private_chat(
    id: str,
    user_id: str,
    other_id: str,
    *,
    is_secret: bool,
    name: str | None = None,
    description: str | None = None,
) -> Chat:
    chat: Chat | None = _private_chat.first(
        owner_id=user_id, other_id=other_id, is_secret=is_secret
    )
    if chat is not None:
        return chat
    details: dict[str, Any] = {"name": name, "description": description, "is_secret": is_secret}
    return _create(id, user_id, ChatType.PRIVATE, [other_id], other_id=other_id, **details)


def _create(id: str, owner_id: str, type: ChatType, others: list[str], **details: Any) -> Chat:
    users = [owner_id, *others]
    member_id, *member_ids = [new_id() for _ in users]
    values: dict[str, Any] = {
        **{"id": id, "type": type.value, "now": current_time()},
        **{"owner_id": owner_id, "others": others, "user_ids": users, "user_count": len(users)},
        **{"owner_member_id": member_id, "member_ids": member_ids},
        **details,
    }
    while True:
        chat: Chat | None = _create_chat.variant(private=type == ChatType.PRIVATE).first(**values)
        if chat is not None:
            return chat
        require_addable(owner_id, users)


@operation
def update_chat(
    user_id: str,
    chat_id: str,
    *,
    name: str | Unset | None = UNSET,
    description: str | Unset | None = UNSET,
    avatar: str | Unset | None = UNSET,
) -> Chat:
    """Change a group or channel, by its owner and admins; what is not given stays, None clears it.

    Each text has up to 1,024 characters; `avatar` is the address of a picture. The chat moves up in
    the server's own list, as after its own changes. Returns the row. Raises `NotFound` for a chat
    the user is not in, `NotAllowed` by role and for a PRIVATE chat, `InvalidInput`.

    >>> update_chat(anna.id, chat.id, name="Releases").name
    'Releases'
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id)
    given = {
        field: valid_optional_text(value, field, maximum=MAX_SHORT_TEXT_LENGTH)
        for field, value in (("name", name), ("description", description), ("avatar", avatar))
        if value is not UNSET
    }
    while True:
        chat: Chat | None = _update_chat.variant(**dict.fromkeys(given, True)).first(
            now=current_time(), **ids, **given
        )
        if chat is not None:
            return chat
        if require_keeper(user_id, chat_id, "change a chat").chat_type == ChatType.PRIVATE:
            raise NotAllowed("a PRIVATE chat does not change", entity="chat", id=chat_id)


@operation
def delete_chat(user_id: str, chat_id: str) -> bool:
    """Delete a chat for everybody, with its messages: by its owner; a PRIVATE one by either.

    It takes seconds for each 100,000 messages: `session(statement_timeout=...)` gives it time.
    Returns whether there was such a chat of the user. Raises `NotAllowed` by role, `InvalidInput`.

    >>> delete_chat(anna.id, chat.id)
    True
    """
    ids = valid_named_ids(user_id=user_id, chat_id=chat_id)
    while not _delete_chat.run(**ids):
        place = membership(user_id, chat_id)
        if place is None:
            return False
        if place.role != MemberRole.OWNER and place.chat_type != ChatType.PRIVATE:
            raise NotAllowed("only the owner deletes a chat", entity="chat", id=chat_id)
    return True

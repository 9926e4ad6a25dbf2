"""Reactions: an emoji that a member sets under a message."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import and_
from typing import Any

from peewee import Query, Tuple, Value, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import NotAllowed
from stogram_sdk.membership import require_member, require_unblocked, require_visible
from stogram_sdk.models import Chat, ChatMember, Message, Reaction, ReactionCount, User
from stogram_sdk.operations import operation, operation_with_id
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.parts import Converted, Row
from stogram_sdk.rows import (
    person,
    reaction_row,
    reactions_to,
    read_reactions,
)
from stogram_sdk.shards import by_value, chat_column, found_in_chat, insert_read, of_chat
from stogram_sdk.statements import P, after_locking, dialect, insert_or_select, statement
from stogram_sdk.validation import valid_ids, valid_limit, valid_named_ids, valid_text
from stogram_sdk.visibility import (
    is_blocked_in_private,
    is_member,
    is_visible,
    place_in,
    visible_message,
)

#: An emoji is a sequence: a flag has 7 characters, a family with colors of skin 11.
_LONGEST_EMOJI = 32
#: As in Telegram with Premium; the server has no limit.
MAX_REACTIONS = 3


def _own_reactions() -> Any:
    """How many reactions the user has to the message."""
    own = Reaction.alias()
    return own.select(fn.COUNT(own.id)).where(
        own.message == P.message_id, own.user == P.user_id, *of_chat(own, P.chat_id)
    )


@statement
def _add_reaction() -> Any:
    seen = (
        place_in(P.chat_id, P.user_id)
        .join_from(ChatMember, Message, on=(Message.id == P.message_id))
        .where(*found_in_chat(Message, P.chat_id), is_visible())
    )
    columns = {
        Reaction.id: P.id,
        Reaction.user: ChatMember.user,
        Reaction.message: Message.id,
        Reaction.emoji: P.emoji,
        Reaction.created_at: P.now,
        **chat_column(Reaction, P.chat_id),
    }
    new = seen.select(*columns.values()).where(
        ~is_blocked_in_private(by_value(Chat.id), Chat.type, ChatMember.user),
        _own_reactions() < MAX_REACTIONS,
    )
    insert = insert_read(Reaction, new, list(columns)).on_conflict("nothing")
    made = insert_or_select(
        insert, Reaction.select().where(_is_own(), fn.EXISTS(seen)), reaction_row
    )
    # There is no row yet that two devices of the user could wait for.
    of_user = dialect().lock_name(P.user_id.concat(Value(" ")).concat(P.message_id))
    return after_locking(made, of_user)


def _is_own() -> Any:
    """Whether it is the reaction of the user with the emoji."""
    conditions = [
        Reaction.message == P.message_id,
        Reaction.user == P.user_id,
        Reaction.emoji == P.emoji,
        *of_chat(Reaction, P.chat_id),
    ]
    return reduce(and_, conditions)


@statement
def _count_own() -> Any:
    return _own_reactions()


@statement
def _remove_reaction() -> Query:
    in_chat = Message.select(Message.id).where(
        Message.id == P.message_id, Message.chat == P.chat_id
    )
    return Reaction.delete().where(_is_own(), fn.EXISTS(in_chat))


@statement
def _list_reactions() -> Query:
    counts = Converted(reactions_to(Message), read_reactions)
    return Message.select(Message.id, counts).where(
        *found_in_chat(Message, P.chat_id),
        dialect().is_one_of(Message.id, P.message_ids),
        is_visible(),
        is_member(P.user_id, P.chat_id),
    )


@statement
def _list_message_reactions(of_emoji: bool) -> Query:
    seen = visible_message(P.chat_id, P.message_id).where(is_member(P.user_id, P.chat_id))
    conditions = [
        Reaction.message == P.message_id,
        *of_chat(Reaction, P.chat_id),
        fn.EXISTS(seen),
        Tuple(Reaction.created_at, Reaction.id) < Tuple(P.before, P.before_id),
    ]
    if of_emoji:
        conditions.append(Reaction.emoji == P.emoji)
    return (
        Reaction.select(Row(Reaction._meta.sorted_fields, user=person(User)))
        .join(User, on=(User.id == Reaction.user))
        .where(*conditions)
        .order_by(Reaction.created_at.desc(), Reaction.id.desc())
        .limit(P.limit)
    )


@operation_with_id
def add_reaction(
    id: str, user_id: str, chat_id: str, message_id: str, emoji: str
) -> tuple[Reaction, bool]:
    """React to a message with an emoji: by any member, also in a CHANNEL; up to three each.

    `emoji` is a text of 1 to 32 characters, compared as it is. The server has no limit of its own;
    reactions that a user has made there count too. In a PRIVATE chat neither of the two can react
    once one has blocked the other. Returns the row, with `user`, and whether it was made by this
    call. Raises `NotFound` for a message the user does not see there, `NotAllowed` for a fourth
    emoji, `Blocked`, `InvalidInput`.

    >>> reaction, created = add_reaction(boris.id, chat.id, message.id, "🔥")
    >>> reaction.emoji, created
    ('🔥', True)
    """
    values = _values(user_id, chat_id, message_id, emoji)
    while True:
        reaction = _add_reaction.first(id=id, now=current_time(), **values)
        if reaction is not None:
            return reaction, reaction.id == id
        place = require_member(user_id, chat_id)
        require_visible(chat_id, message_id)
        require_unblocked(place, chat_id)
        ids = {"user_id": user_id, "chat_id": chat_id, "message_id": message_id}
        if _count_own.first(**ids) >= MAX_REACTIONS:
            raise NotAllowed(
                f"a user has at most {MAX_REACTIONS} reactions to a message: remove_reaction "
                "takes one back",
                entity="message",
                id=message_id,
            )
        # Another device has just taken back the reaction that was in the way.


@operation
def remove_reaction(user_id: str, chat_id: str, message_id: str, emoji: str) -> bool:
    """Take back one's own reaction with this emoji.

    Returns whether there was one. Raises `InvalidInput`.

    >>> remove_reaction(boris.id, chat.id, message.id, "🔥")
    False
    """
    return bool(_remove_reaction.run(**_values(user_id, chat_id, message_id, emoji)))


@operation(reads=True)
def list_reactions(
    user_id: str, chat_id: str, message_ids: Iterable[str]
) -> dict[str, list[ReactionCount]]:
    """How many users have reacted to these messages, by emoji, and whether this user has.

    Returns a dict of the messages that the user sees in the chat, in the order asked for. Each has
    the list that `message.reactions` is too: the most frequent emoji first, empty if there are
    none. Raises `NotFound` for a chat the user is not in, `InvalidInput`, also for more than
    10,000 ids.

    >>> add_reaction(boris.id, chat.id, message.id, "🔥")[1]
    True
    >>> list_reactions(anna.id, chat.id, [message.id])[message.id]
    [ReactionCount(emoji='🔥', total=1, is_mine=False)]
    """
    place = valid_named_ids(user_id=user_id, chat_id=chat_id)
    ids = valid_ids(message_ids, "message_ids")
    rows = _list_reactions.all(message_ids=ids, **place)
    if not rows:
        require_member(user_id, chat_id)
    found = {message.id: counts for message, counts in rows}
    return {message_id: found[message_id] for message_id in ids if message_id in found}


@operation(reads=True)
def list_message_reactions(
    user_id: str,
    chat_id: str,
    message_id: str,
    *,
    emoji: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Reaction]:
    """Who has reacted to a message, with any emoji or with this one; the latest reaction first.

    Returns rows as `add_reaction` does. Raises `NotFound` for a message the user does not see in
    the chat, `InvalidInput`.

    >>> list_message_reactions(anna.id, chat.id, message.id)
    <Page of 0>
    """
    values = valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id)
    if emoji is not None:
        values["emoji"] = _valid_emoji(emoji)
    valid_limit(limit)
    before, before_id = read_cursor(cursor, "reactions")
    reactions = _list_message_reactions.variant(of_emoji=emoji is not None).all(
        before=before, before_id=before_id, limit=limit + 1, **values
    )
    if not reactions:
        require_member(user_id, chat_id)
        require_visible(chat_id, message_id)
    return make_page(reactions, limit, "reactions", lambda row: (row.created_at, row.id))


def _valid_emoji(emoji: object) -> str:
    return valid_text(emoji, "emoji", maximum=_LONGEST_EMOJI)


def _values(user_id: str, chat_id: str, message_id: str, emoji: str) -> dict[str, str]:
    return {
        **valid_named_ids(user_id=user_id, chat_id=chat_id, message_id=message_id),
        "emoji": _valid_emoji(emoji),
    }

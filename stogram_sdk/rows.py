"""Rows as the functions return them: each with all its own columns, and with its `RELATIONS`.

A user in a relation is a `person`: an id, a username and a display name. A chat is whole, and so is
a pinned message. `reply_to` is the visible message that is answered, without what that one answers,
or None. `reactions` are counted, and no rows.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, Protocol, overload

from peewee import SQL, Case, Select, fn

from stogram_sdk.errors import InvalidInput
from stogram_sdk.models import (
    SECRETS,
    BaseModel,
    BlockedUser,
    Call,
    Chat,
    ChatMember,
    ChatSettings,
    Contact,
    Message,
    PinnedMessage,
    Reaction,
    ReactionCount,
    User,
    may_be_none,
)
from stogram_sdk.paging import Page
from stogram_sdk.parts import Converted, Related, Row, Same, text_of
from stogram_sdk.sealing import seal
from stogram_sdk.shards import of_chat
from stogram_sdk.statements import P, dialect
from stogram_sdk.validation import shown
from stogram_sdk.visibility import is_visible

#: An account as `create_user` returns it.
ACCOUNT = tuple(field for field in User._meta.sorted_fields if field not in SECRETS)

#: The relations that come with a row, from every function; with other rows none do.
RELATIONS: dict[type[BaseModel], tuple[str, ...]] = {
    Message: ("sender", "chat", "reply_to", "reactions"),
    Reaction: ("user",),
    Contact: ("user", "contact"),
    Call: ("initiator", "chat"),
    PinnedMessage: ("user", "chat", "message"),
    ChatMember: ("user", "chat"),
    BlockedUser: ("user", "blocked"),
}
#: The columns of settings that are not stored.
_NOTHING_SET = {
    field.name: None if may_be_none(field) else field.default
    for field in ChatSettings._meta.sorted_fields
}
#: The viewer of what a service reads for itself.
NOBODY = SQL("NULL")
#: The answered message of what answers nothing, and the reactions to what has just been written.
_NO_RELATION = SQL("NULL")

#: The types of what is data as it is.
_PLAIN = frozenset({type(None), bool, int, str})

#: The sender of a message in a list. `visible_profiles` gives the rest of what a viewer may see.
Sender: Any = User.alias()


def person(user: Any) -> Row:
    """A user in a relation."""
    return Row([user.id, user.username, user.display_name])


def listed_message(viewer: Any = P.user_id, chat: Any = None, *, named: Any = Message.chat) -> Row:
    """A message in a list that joins `Sender`; and `Chat`, unless it is one `chat`.

    That one is read once, and not looked up for each message. `named`: what else names the chat.
    """
    if chat is not None:
        return message_row(sender=person(Sender), chat=_chat(chat), named=chat, viewer=viewer)
    joined = Row(Chat._meta.sorted_fields)
    return message_row(sender=person(Sender), chat=joined, named=named, viewer=viewer)


def unjoined_message() -> Row:
    """The same where nothing can be joined, as in RETURNING."""
    return message_row(sender=person_of(Message.sender), chat=_chat(P.chat_id))


def new_message(message: Any, *, is_reply: bool) -> Row:
    """The same of one that has just been written, of any table with its columns."""
    chat = _chat(P.chat_id)
    return Row(
        all_of(Message, message),
        sender=person_of(message.sender),
        chat=chat,
        reply_to=_answered_by(message, chat, P.chat_id) if is_reply else _NO_RELATION,
        reactions=Converted(_NO_RELATION, read_reactions),
    )


def message_row(*, sender: Any, chat: Any, named: Any = P.chat_id, viewer: Any = P.user_id) -> Row:
    """A message; `sender` and `chat` are the parts for these, and `named` names its chat."""
    return Row(
        Message._meta.sorted_fields,
        sender=sender,
        chat=chat,
        reply_to=_answered_by(Message, chat, named),
        reactions=Converted(reactions_to(Message, viewer, named), read_reactions),
    )


def _answered_by(message: Any, chat: Any, named: Any) -> Related:
    """The message that is answered, with its sender and the same chat, if it can be seen."""
    reply, sender = Message.alias(), User.alias()
    found = (
        reply.select(Row(all_of(Message, reply), sender=person(sender), chat=Same(chat)))
        .join(sender, on=(sender.id == reply.sender))
        .where(reply.id == message.reply_to, *of_chat(reply, named))
    )
    # Not in every WHERE: plain PostgreSQL might look for it among all the messages of the chat.
    is_shown = (reply.chat == message.chat) & is_visible(reply)
    return Related(found, is_shown, asked_if=message.reply_to.is_null(False))


def reactions_to(message: Any, viewer: Any = P.user_id, chat: Any = P.chat_id) -> Any:
    """How many have reacted to the message with which emoji, and whether the viewer has."""
    reaction = Reaction.alias()
    counted: Any = (
        reaction.select(
            reaction.emoji,
            fn.COUNT(SQL("*")).alias("total"),
            fn.COUNT(Case(None, [(reaction.user == viewer, 1)])).alias("mine"),
        )
        .where(reaction.message == message.id, *of_chat(reaction, chat))
        .group_by(reaction.emoji)
        .alias("counted")
    )
    each = dialect().json_array(counted.c.emoji, counted.c.total, counted.c.mine)
    counts = Select((counted,), [text_of(dialect().json_list(each))])
    # Most messages have none, and to count nothing takes longer than to see that. The first that
    # has some is looked up, from the message on: by an index, also where one has most of all.
    some = Reaction.alias()
    here = some.message >= message.id, *of_chat(some, chat)
    reacted = some.select(some.message).where(*here).order_by(some.message).limit(1)
    return Case(None, [(message.id == reacted, counts)])


def read_reactions(counted: str) -> list[ReactionCount]:
    """The value of `reactions_to`, the most frequent first, and by emoji where that is the same."""
    counts = [ReactionCount(emoji, total, bool(mine)) for emoji, total, mine in json.loads(counted)]
    return sorted(counts, key=lambda each: (-each.total, each.emoji))


def pin_row(pin: Any = PinnedMessage) -> Row:
    chat = _chat(P.chat_id)
    message = (
        Message.select(message_row(sender=person(Sender), chat=Same(chat)))
        .join(Sender, on=(Sender.id == Message.sender))
        .where(Message.id == pin.message, *of_chat(Message, P.chat_id))
    )
    columns = all_of(PinnedMessage, pin)
    return Row(columns, user=person_of(pin.user), chat=chat, message=Related(message))


def reaction_row(reaction: Any = Reaction) -> Row:
    return Row(all_of(Reaction, reaction), user=person_of(reaction.user))


def member_row(member: Any = ChatMember) -> Row:
    return Row(all_of(ChatMember, member), user=person_of(member.user), chat=_chat(P.chat_id))


def block_row(block: Any = BlockedUser) -> Row:
    columns = all_of(BlockedUser, block)
    return Row(columns, user=person_of(block.user), blocked=person_of(block.blocked))


def contact_row(contact: Any = Contact) -> Row:
    columns = all_of(Contact, contact)
    return Row(columns, user=person_of(contact.user), contact=person_of(contact.contact))


def call_row(call: Any = Call, chat: Any = P.chat_id) -> Row:
    return Row(all_of(Call, call), initiator=person_of(call.initiator), chat=_chat(chat))


def default_settings(user_id: str, chat_id: str) -> ChatSettings:
    """The settings of a chat without a row: nothing is set; they are not stored."""
    # A list has many: Peewee's own way of making them takes longer than to read the rest of it.
    settings = ChatSettings.__new__(ChatSettings)
    settings.__data__ = {**_NOTHING_SET, "user": user_id, "chat": chat_id}
    settings.__rel__ = {}
    return seal(settings)


def all_of(model: Any, table: Any) -> list[Any]:
    """All columns of a model, of a table that has them."""
    return [getattr(table, field.name) for field in model._meta.sorted_fields]


def person_of(user_id: Any) -> Related:
    """The same of a user who is not joined."""
    user: Any = User.alias()
    return Related(user.select(person(user)).where(user.id == user_id))


def _chat(chat_id: Any) -> Related:
    chat: Any = Chat.alias()
    return Related(chat.select(*all_of(Chat, chat)).where(chat.id == chat_id))


class _NamedTuple(Protocol):
    def _asdict(self) -> dict[str, Any]: ...


@overload
def to_dict(result: BaseModel | Page[Any] | _NamedTuple) -> dict[str, Any]: ...


@overload
def to_dict(result: object) -> Any: ...


def to_dict(result: Any) -> Any:
    """What a function has returned, as data that `json.dumps` takes.

    A row becomes a dict of exactly what was read with it, under the names of the attributes, but
    without secrets. A named tuple becomes a dict too, a `Page` becomes
    `{"items": [...], "next_cursor": ..., "previous_cursor": ...}`; `(row, created)`, lists and sets
    become lists. Times are ISO 8601 in UTC, as JavaScript writes them: `2024-03-01T12:00:00.000Z`.
    Enums are their text. Raises `InvalidInput` for anything else.

    >>> to_dict(get_privacy(anna.id))
    {'show_online_status': True, 'show_profile_photo': True, 'show_last_seen': True}
    """
    match result:
        # What comes most often is asked for first.
        case None | bool() | int() | str():
            return result.value if isinstance(result, Enum) else result
        case datetime() if result.tzinfo is not None:
            return time_to_json(result)
        case BaseModel():
            return _each_to_dict(values_of(result))
        case Page():
            cursors = {"next_cursor": result.next_cursor, "previous_cursor": result.previous_cursor}
            return {"items": [to_dict(row) for row in result], **cursors}
        case tuple() if hasattr(result, "_asdict"):
            return _each_to_dict(result._asdict())
        case dict():
            return _each_to_dict(result)
        case list() | tuple():
            return [to_dict(each) for each in result]
        case set():
            return sorted(result)
    raise InvalidInput(
        f"result must be what a function of stogram_sdk has returned, not {shown(result)}",
        field="result",
    )


def _each_to_dict(values: dict[str, Any]) -> dict[str, Any]:
    # Most columns are data as they are: to call a function for each takes longer than to read it.
    return {
        key: value if type(value) in _PLAIN else to_dict(value) for key, value in values.items()
    }


def time_to_json(moment: datetime) -> str:
    """The time as JavaScript writes it, in milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def values_of(row: BaseModel) -> dict[str, Any]:
    """What was read with a row, under the names of the attributes, without secrets."""
    held: dict[str, Any] = row.__data__
    values = {name: held[key] for key, name in _attributes(type(row)) if key in held}
    values.update(row.__rel__)
    return values


@cache
def _attributes(model: type[BaseModel]) -> list[tuple[str, str]]:
    """The names of the fields that may be shown, and of the attributes with their values."""
    fields = [field for field in model._meta.sorted_fields if field not in SECRETS]
    return [(field.name, attribute_of(field)) for field in fields]


def attribute_of(field: Any) -> str:
    """The name of the attribute that holds what stands in the column."""
    name: str = getattr(field, "object_id_name", field.name)
    return name

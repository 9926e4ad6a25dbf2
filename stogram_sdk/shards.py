"""What a statement says so that a distributed database finds the rows on one of its servers.

There all rows of a chat are on the server that the chat's id says, and a query that names the chat
as a value, wherever it reads a table of chats, goes to that server alone. Accounts, contacts,
blocks and folders are on each. On plain PostgreSQL these functions add nothing: a value instead of
a column would let it choose a plan by how many rows this chat has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import Join, ModelAlias, Select, TextField, fn

from stogram_sdk.engine.dialects import cast_to
from stogram_sdk.lookups import column_of
from stogram_sdk.models import CallParticipant, Chat, Reaction
from stogram_sdk.server_columns import bound
from stogram_sdk.statements import P, dialect

#: The column that says which chat a row is of, where it is not the field `chat`; of the last two,
#: a distributed database alone has it.
_CHAT_OF: dict[Any, Any] = {
    Chat: Chat.id,
    **{each: bound(each, TextField(column_name="chatId")) for each in (Reaction, CallParticipant)},
}


def by_value(column: Any, in_chat: bool = True) -> Any:
    """The column, whose value is the chat of the call; that value where it has to be named.

    `in_chat`: whether it is one chat at all.
    """
    return P.chat_id if in_chat and dialect().is_distributed else column


def of_chat(row: Any, chat: Any) -> tuple[Any, ...]:
    """The condition that a row is of the chat, if it has to be named.

    It is for a row that is known without: by an id, or by the message or call it belongs to.
    """
    if not dialect().is_distributed:
        return ()
    model = row.model if isinstance(row, ModelAlias) else row
    return (column_of(row, _CHAT_OF.get(model) or model.chat) == chat,)


def found_in_chat(message: Any, chat: Any) -> tuple[Any, ...]:
    """The condition that messages are of the chat, for those that are found otherwise, as by ids.

    With COALESCE a database does not look for them among all of the chat: it takes that for small.
    """
    return (fn.COALESCE(message.chat, "") == chat, *of_chat(message, chat))


def chat_column(model: Any, chat: Any) -> dict[Any, Any]:
    """The column of a new reaction or participant with its chat, if the table has it."""
    return {_CHAT_OF[model]: chat} if dialect().is_distributed else {}


def each_chat(chats: Any, chat: Any) -> tuple[Any, Any]:
    """A table that a statement has made, with a chat in each row; and the chat of a row.

    A distributed database is given the rows of the chats with it. So it can go to the server of
    each chat for the rest.
    """
    if not dialect().is_distributed:
        return chats, chat
    row = Chat.alias()
    return Join(chats, row, on=(row.id == chat)), row.id


def insert_read(model: Any, query: Any, fields: Sequence[Any]) -> Any:
    """The insert of what a query reads.

    A distributed database would ask every server, if the query reads a table that each has, such as
    the blocks. So it reads first, and then inserts.
    """
    if not dialect().is_distributed:
        return model.insert_from(query, fields)
    values = [cast_to(field, value) for field, value in zip(fields, query._returning, strict=True)]
    names = [field.column_name for field in fields]
    read = query.select(*values).cte("read", columns=names, materialized=True)
    columns = [getattr(read.c, name) for name in names]
    return model.insert_from(
        Select([read], columns).with_cte(*(query._cte_list or ()), read), fields
    )

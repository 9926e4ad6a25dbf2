"""The keys of a database whose chats may be on several servers: each begins with the chat.

Citus puts the rows of a table on a server by one column, and no key is checked across servers. So
what belongs to a chat has the chat in its keys, and everything else is on every server, as a
"reference table". `distribution.py` makes such a database of the server's own.
"""

from __future__ import annotations

from dataclasses import replace

from stogram_sdk.schema.objects import (
    Catalog,
    Column,
    ForeignKey,
    Index,
    PrimaryKey,
    UniqueConstraint,
    listed,
)
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.steps import foreign_key_sql, index_sql

#: What belongs to a chat: of each table the column that says to which.
OF_A_CHAT: dict[str, str] = {
    "Chat": "id",
    "ChatMember": "chatId",
    "Message": "chatId",
    "MessageTag": "chatId",
    "ChatSettings": "chatId",
    "PinnedMessage": "chatId",
    "Reaction": "chatId",
    "Call": "chatId",
    "CallParticipant": "chatId",
}
#: What every server has whole.
OF_ALL_CHATS = ("User", "Folder", "BlockedUser", "Contact", "UnreadSince", "PublishedMessage")
#: Tables to which the server gives no chat: its column, and the table that knows the chat.
WITHOUT_CHAT: dict[str, tuple[str, str]] = {
    "Reaction": ("messageId", "Message"),
    "CallParticipant": ("callId", "Call"),
}
#: Those whose key the chat comes to; the key of "MessageTag" has it already.
_WITH_IDS = tuple(table for table in OF_A_CHAT if table not in ("Chat", "MessageTag"))


def has_chat_keys(catalog: Catalog) -> bool:
    """Whether the keys of the database begin with the chat."""
    key = catalog.primary_keys.get("Message_pkey")
    return key is not None and key.columns == ("chatId", "id")


def expect_chat_keys(expected: Catalog) -> None:
    """Make a catalog with the keys of the server one with those of the chats."""
    for table in WITHOUT_CHAT:
        expected.tables[table]["chatId"] = Column("chatId", "TEXT")
    for table in _WITH_IDS:
        name = f"{table}_pkey"
        expected.primary_keys[name] = PrimaryKey(name, table, ("chatId", "id"))
        # Not unique: whoever knows no chat looks a row up on every server.
        name = f"{table}_id_idx"
        expected.indexes[name] = Index(name, table, ("id",))
    for name, index in expected.indexes.items():
        if index.unique:
            columns = with_chat(index.table, index.columns)
            expected.indexes[name] = replace(index, columns=columns)
    for name, key in list(expected.foreign_keys.items()):
        if key.table not in OF_A_CHAT or key.references not in OF_A_CHAT:
            continue
        # No chat changes its id. And a reply outlives the message that it answers: ON DELETE SET
        # NULL would be about the chat too.
        if key.references == "Chat":
            expected.foreign_keys[name] = replace(key, on_update="NO ACTION")
        elif key.on_delete == "SET NULL":
            del expected.foreign_keys[name]
        else:
            expected.foreign_keys[name] = replace(
                key, column=f"chatId, {key.column}", on_update="NO ACTION"
            )


def with_chat(table: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a unique key, with the chat in front if they lack it."""
    chat = OF_A_CHAT.get(table)
    return columns if chat is None or chat in columns else (chat, *columns)


def expect_shards(expected: Catalog) -> None:
    """Make the catalog one of a database that Citus has distributed."""
    expected.shards = {**dict.fromkeys(OF_ALL_CHATS, ""), **OF_A_CHAT}


def shards_sql(table: str, schema: Schema) -> str:
    """What distributes a table; "Chat" comes before the others, whose shards are beside it."""
    quoted, chat = schema.quoted(table), OF_A_CHAT.get(table)
    if chat is None:
        return f"SELECT create_reference_table('{quoted}')"
    beside = "none" if table == "Chat" else schema.quoted("Chat")
    return f"SELECT create_distributed_table('{quoted}', '{chat}', colocate_with => '{beside}')"


def key_made_anew(
    wanted: PrimaryKey | UniqueConstraint | ForeignKey | Index, schema: Schema
) -> str:
    """The SQL that puts a key or an index right."""
    if isinstance(wanted, Index):
        return f"DROP INDEX IF EXISTS {schema.quoted(wanted.name)}; {index_sql(wanted, schema)}"
    if isinstance(wanted, ForeignKey):
        added = foreign_key_sql(wanted, schema)
    else:
        kind = "PRIMARY KEY" if isinstance(wanted, PrimaryKey) else "UNIQUE"
        added = f'CONSTRAINT "{wanted.name}" {kind} ({listed(wanted.columns)})'
    alter = f"ALTER TABLE {schema.quoted(wanted.table)}"
    return f'{alter} DROP CONSTRAINT IF EXISTS "{wanted.name}"; {alter} ADD {added}'

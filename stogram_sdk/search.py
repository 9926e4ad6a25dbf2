"""Finding messages: by hashtag, by mention, by text.

A search sees the visible messages of the chats that the user is in; those of a secret chat only
when `chat_id` names it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from peewee import Query, Tuple

from stogram_sdk.dialects import any_case_pattern
from stogram_sdk.membership import require_member
from stogram_sdk.models import Chat, ChatMember, Message, MessageType, User
from stogram_sdk.operations import operation
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.rows import MESSAGE_WITH_RELATIONS, Sender, message_with_relations
from stogram_sdk.statements import P, Statement, dialect, statement
from stogram_sdk.text import hashtag_key, mention_key
from stogram_sdk.validation import (
    MAX_SHORT_TEXT_LENGTH,
    valid_enum,
    valid_id,
    valid_limit,
    valid_text,
)
from stogram_sdk.visibility import is_visible


def _found(*conditions: Any, in_chat: bool) -> Query:
    where = [
        ChatMember.user == P.user_id,
        is_visible(),
        Tuple(Message.created_at, Message.id) < Tuple(P.before, P.before_id),
        *conditions,
    ]
    if in_chat:
        where += [ChatMember.chat == P.chat_id, Message.chat == P.chat_id]
    else:
        where.append(~Chat.is_secret)
    return (
        Message.select(*MESSAGE_WITH_RELATIONS)
        .join(ChatMember, on=(ChatMember.chat == Message.chat))
        .join_from(Message, Sender, on=(Sender.id == Message.sender))
        .join_from(Message, Chat, on=(Chat.id == Message.chat))
        .where(*where)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(P.limit)
    )


@statement
def _find_by_hashtag(in_chat: bool) -> Query:
    return _found(dialect().has_tag(Message.hashtags, P.key), in_chat=in_chat)


@statement
def _find_by_mention(in_chat: bool, of_user: bool) -> Query:
    """`of_user`: of the user who asks."""
    me = User.alias()
    own_key = me.select(dialect().lower_ascii(me.username)).where(me.id == P.user_id)
    key = own_key if of_user else P.key
    return _found(dialect().has_tag(Message.mentions, key), in_chat=in_chat)


@statement
def _search_messages(in_chat: bool, of_type: bool) -> Query:
    contains = dialect().matches(Message.content, P.pattern) | dialect().matches(
        Message.file_name, P.pattern
    )
    conditions = [contains, *([Message.type == P.type] if of_type else [])]
    return _found(*conditions, in_chat=in_chat)


@operation
def find_by_hashtag(
    user_id: str,
    hashtag: str,
    *,
    chat_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Message]:
    """The messages with this hashtag, the newest first, with sender and chat.

    `#Tag`, `tag` and `＃ＴＡＧ` find the same. Raises `NotFound` for a chat the user is not in,
    `InvalidInput`, also for what cannot be a hashtag.
    """
    key = hashtag_key(hashtag)
    return _page(_find_by_hashtag.variant, user_id, chat_id, limit, cursor, key=key)


@operation
def find_by_mention(
    user_id: str,
    username: str | None = None,
    *,
    chat_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Message]:
    """The messages that mention this user, by default oneself; the newest first.

    They come with sender and chat. Raises `NotFound` for a chat the user is not in,
    `InvalidInput`, also for what cannot be a username.
    """
    found = partial(_find_by_mention.variant, of_user=username is None)
    values = {} if username is None else {"key": mention_key(username)}
    return _page(found, user_id, chat_id, limit, cursor, **values)


@operation
def search_messages(
    user_id: str,
    text: str,
    *,
    chat_id: str | None = None,
    type: MessageType | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Message]:
    """The messages whose text or file name contains the text in any case, the newest first.

    Every character stands for itself, also `%`, `_` and `\\`; 1 to 1,024 of them. They come with
    sender and chat. Raises `NotFound` for a chat the user is not in, `InvalidInput`.
    """
    pattern = any_case_pattern(valid_text(text, "text", maximum=MAX_SHORT_TEXT_LENGTH))
    values = {"pattern": pattern}
    if type is not None:
        values["type"] = valid_enum(MessageType, type, "type").value
    found = partial(_search_messages.variant, of_type=type is not None)
    return _page(found, user_id, chat_id, limit, cursor, **values)


def _page(
    found: Callable[..., Statement],
    user_id: str,
    chat_id: str | None,
    limit: int,
    cursor: str | None,
    **values: Any,
) -> Page[Message]:
    valid_id(user_id, "user_id")
    valid_limit(limit)
    if chat_id is not None:
        values["chat_id"] = valid_id(chat_id, "chat_id")
    before, before_id = read_cursor(cursor, "found")
    rows = found(in_chat=chat_id is not None).all(
        user_id=user_id, before=before, before_id=before_id, limit=limit + 1, **values
    )
    if not rows and chat_id is not None:
        require_member(user_id, chat_id)
    messages = [message_with_relations(row) for row in rows]
    return make_page(messages, limit, "found", lambda row: (row.created_at, row.id))

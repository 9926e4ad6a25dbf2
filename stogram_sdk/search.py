"""Finding messages: by hashtag, by mention, by text.

A search sees the visible messages of the chats that the user is in; those of a secret chat only
when `chat_id` names it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import add, and_, or_
from typing import Any, NamedTuple

from peewee import JOIN, SQL, Case, Join, Query, Select, Tuple, Value, fn

from stogram_sdk.any_case import any_case_pattern, plain_part
from stogram_sdk.database import current_database
from stogram_sdk.errors import Unavailable
from stogram_sdk.history import page_of
from stogram_sdk.membership import require_member
from stogram_sdk.models import Chat, ChatMember, Message, MessageTag, MessageType, User
from stogram_sdk.newest import BEGINNING, NewestRows
from stogram_sdk.operations import operation
from stogram_sdk.paging import Page, read_cursor
from stogram_sdk.rows import Sender, listed_message
from stogram_sdk.server_columns import is_expired
from stogram_sdk.shards import by_value, each_chat, of_chat
from stogram_sdk.statements import P, Statement, dialect, statement
from stogram_sdk.tags import signed_key, tags_are_complete
from stogram_sdk.text import stored_hashtag
from stogram_sdk.validation import (
    MAX_SHORT_TEXT_LENGTH,
    valid_enum,
    valid_id,
    valid_limit,
    valid_text,
)
from stogram_sdk.visibility import is_visible

#: A tag that fewer messages have is looked up by itself, without asking each chat for it.
_RARE = 100

_ALL = fn.COUNT(SQL("*"))


class _Searched(NamedTuple):
    """The chats that are searched: a table of them, and what names each."""

    table: Any
    id: Any


def _mine(in_chat: bool) -> Any:
    """The memberships that are searched."""
    mine = ChatMember.user == P.user_id
    return mine & (ChatMember.chat == P.chat_id) if in_chat else mine


def _is_searched(chat: Any, is_known: bool) -> Any:
    return SQL("true") if is_known else Chat.select(~Chat.is_secret).where(Chat.id == chat)


def _is_on_all_servers(in_chat: bool) -> bool:
    """Whether the chats that are searched may be on several servers."""
    return dialect().is_distributed and not in_chat


def _is_before(message: Any = Message) -> Any:
    """Whether the message comes after those of the pages before."""
    return Tuple(message.created_at, message.id) < Tuple(P.before, P.before_id)


def _tagged(sign: str, word: Any, in_chat: bool) -> Any:
    """The messages with a tag, found in "MessageTag"; of a rare tag, in the chats that have it.

    Every row begins with whether the table is complete; where that may not be, there is always one
    row, to say so.
    """
    # A subquery, so that a plan for any word asks for the key once, and not for each chat.
    tag = Select(columns=[signed_key(sign, word)])
    newest = NewestRows(
        MessageTag, MessageTag.created_at, MessageTag.message_id, partial(_has_tag_in, tag=tag)
    )
    chat = by_value(ChatMember.chat, in_chat)
    is_searched = partial(_is_searched, is_known=in_chat or dialect().is_distributed)
    conditions, ctes = [_mine(in_chat)], []
    if dialect().is_distributed:
        conditions.append(_is_searched(chat, in_chat))
    else:
        tagged: Any = MessageTag.select(MessageTag.chat_id).where(MessageTag.tag == tag)
        tagged = tagged.limit(_RARE).cte("tagged", materialized=True)
        is_rare = Value(_RARE) > tagged.select(_ALL)
        conditions.append(~is_rare | ChatMember.chat.in_(tagged.select(tagged.c.chatId)))
        ctes.append(tagged)
    chats: Any = (
        ChatMember.select(ChatMember.chat.alias("chat_id"), newest.time_in(chat).alias("newest_at"))
        .where(*conditions)
        .cte("chats", materialized=True)
    )
    found, start = newest.page(chats, in_chat=in_chat, is_shown=is_searched)
    return _shown(found, in_chat).with_cte(*ctes, chats, start)


def _shown(found: Any, in_chat: bool) -> Any:
    """The messages that are found, behind whether the table is complete."""
    # It is complete before a database is distributed.
    is_complete, source, join = SQL("true"), found, JOIN.INNER
    if not dialect().is_distributed:
        state = Select(columns=[tags_are_complete().alias("is_complete")]).alias("state")
        is_complete, join = state.c.is_complete, JOIN.LEFT_OUTER
        source = Join(state, found, join, on=SQL("true"))
    chat = by_value(found.c.chat_id, in_chat)
    is_found = (Message.chat == chat) & (Message.id == found.c.messageId)
    chat = by_value(Message.chat, in_chat)
    shown: Any = (
        Message.select(is_complete, listed_message(named=chat))
        .from_(
            Join(source, Message, join, on=is_found)
            .join(Sender, join, on=(Sender.id == Message.sender))
            .join(Chat, join, on=(Chat.id == chat))
        )
        .order_by(found.c.createdAt.desc(), found.c.messageId.desc())
    )
    return shown.limit(P.limit) if _is_on_all_servers(in_chat) else shown


def _has_tag_in(row: Any, chat: Any, tag: Any) -> Any:
    """Whether a row of "MessageTag" has the tag in the chat, and comes after the pages before."""
    before = Tuple(row.created_at, row.message_id) < Tuple(P.before, P.before_id)
    in_chat = (row.tag == tag) & (row.chat_id == chat) & before
    message = Message.alias()
    expired = is_expired(message)
    if expired is None:
        return in_chat
    return in_chat & fn.EXISTS(
        message.select(message.id).where(
            message.id == row.message_id, ~expired, *of_chat(message, chat)
        )
    )


@statement
def _find_by_hashtag(in_chat: bool) -> Any:
    return _tagged("#", P.tag, in_chat)


@statement
def _find_by_mention(in_chat: bool, of_user: bool) -> Any:
    """`of_user`: of the user who asks."""
    me = User.alias()
    username = me.select(me.username).where(me.id == P.user_id)
    return _tagged("@", username if of_user else P.tag, in_chat)


#: A search by text looks at so many of the newest messages first, the same number in each chat; and
#: its third way reads the messages since so many of these.
_NEWEST, _RECENT = 1_500, 750
#: The same number, where it is not known how many chats there are.
_NEWEST_OF_EACH = 15
#: It takes at most so many messages from the index, which holds those of everybody; if there are
#: more, it reads the chats. With a much higher number, PostgreSQL would expect so much work that it
#: compiles the plan, which takes a second.
_HITS = 2_500


@statement
def _search_messages(in_chat: bool, of_type: bool, by_index: bool) -> Query:
    """The messages whose text matches, by the first of four ways that finds a page.

    1. `_newest`: the newest messages of each chat are looked at. Where these hold a page, as of a
       common word, all messages since the last of it are read.
    2. `_by_index`: the index (see `command/search_index.py`) finds a rare word in the messages of
       everybody.
    3. `_recent`: the recent messages of the chats are read, as for a word that is common in one.
    4. `_older`: the older messages of the chats are read.

    PostgreSQL knows too little about a word to choose well. So it has no choice: each way has one
    plan, whatever the word. Where there is no index, the second way is left out.
    """
    conditions = [Message.type == P.type] if of_type else []
    if _is_on_all_servers(in_chat):
        return _search_all_servers(conditions, by_index)
    in_one = of_chat(Message, P.chat_id) if in_chat else ()
    chats = (
        ChatMember.select(ChatMember.chat)
        .where(_mine(in_chat), _is_searched(ChatMember.chat, in_chat))
        .cte("chats", materialized=True)
    )
    searched = _Searched(chats, by_value(chats.c.chatId, in_chat))
    newest, page_start = _newest(searched, conditions)
    start_of_page = page_start.select(page_start.c.createdAt)
    # Whether the page is still to be found, by the next way.
    is_left = ~fn.EXISTS(start_of_page)
    ctes = [chats, newest, page_start]
    found: list[Any] = []
    if by_index:
        sought, hits = _by_index(chats, [*conditions, *in_one], is_left)
        ctes += [sought, hits]
        mine = hits.c.chatId.in_(chats.select(chats.c.chatId))
        found.append(hits.select(hits.c.createdAt, hits.c.id).where(mine))
        is_left &= ~_has_all_hits(sought, hits)
    since, recent = _recent(searched, conditions, newest, start_of_page, is_left)
    ctes += [since, recent]
    is_left &= P.limit > recent.select(_ALL)
    older = _older(searched, conditions, since).where(is_left)
    found += [recent.select(recent.c.createdAt, recent.c.id), older]
    page = reduce(or_, found).order_by(SQL("1 DESC, 2 DESC")).limit(P.limit).alias("page")
    is_on_page = reduce(and_, in_one, Message.id == page.c.id)
    messages: Query = _messages_of(page, is_on_page, by_value(Message.chat, in_chat))
    return messages.with_cte(*ctes)


def _messages_of(page: Any, is_on_page: Any, chat: Any) -> Any:
    return (
        Message.select(listed_message(named=chat))
        .join(page, on=is_on_page)
        .join_from(Message, Sender, on=(Sender.id == Message.sender))
        .join_from(Message, Chat, on=(Chat.id == chat))
        .order_by(Message.created_at.desc(), Message.id.desc())
    )


def _newest(chats: _Searched, conditions: list[Any]) -> tuple[Any, Any]:
    """The first way: the messages looked at; if they fill a page, the time of its last match."""
    newest: Any = _newest_of_each(chats, conditions)
    newest = newest.cte("newest", columns=("createdAt", "is_found"), materialized=True)
    page_start = _start_of(newest, P.limit).where(newest.c.is_found)
    return newest, page_start.cte("page_start", columns=("createdAt",), materialized=True)


def _by_index(
    chats: Any, conditions: list[Any], is_left: Any, *, on_all_servers: bool = False
) -> tuple[Any, Any]:
    """The second way: the terms, if there is an index for them, and the messages that it finds."""
    # A table of one row or none. With it PostgreSQL starts no parallel workers, which would take
    # longer than the search.
    sought: Any = Select(columns=[P.terms.alias("terms")])
    sought = sought.where(is_left, dialect().search_finds(Message, P.terms, _HITS))
    sought = sought.cte("sought", materialized=True)
    # CASE, or PostgreSQL would expect next to no match, and plan as if there were no limit. And in
    # a plan for any page it would look up the time in other indexes, where most messages have it.
    contains = Case(None, [(_is_before() & _contains(), SQL("true"))])
    which = chats.select(chats.c.chatId)
    each = [
        Select(
            [Join(sought, Message, JOIN.CROSS)],
            [Message.chat, Message.created_at, Message.id],
        ).where(condition, is_visible(), *conditions, contains)
        for condition in dialect().search_hits(Message, sought.c.terms, which, _HITS)
    ]
    if on_all_servers:  # A limit of each would ask every server twice.
        both = reduce(add, each).alias("both")
        columns = [both.c.chatId, both.c.createdAt, both.c.id]
        hits = Select([both], columns).limit(_HITS)
    else:
        hits = reduce(or_, [found.limit(_HITS) for found in each])
    return sought, hits.cte("hits", materialized=True)


def _has_all_hits(sought: Any, hits: Any) -> Any:
    """Whether there is an index, and it has found no more than it gives."""
    return fn.EXISTS(sought.select(sought.c.terms)) & (Value(_HITS) > hits.select(_ALL))


def _search_all_servers(conditions: list[Any], by_index: bool) -> Query:
    """The same where each way would ask every server once more.

    So the newest messages are looked at for the time of a page only. Then all since that time are
    read at once; where there is no such time, those that the index has found, or all there are.
    """
    newest: Any = _newest_of(ChatMember.chat, conditions).limit(_NEWEST_OF_EACH).alias("newest")
    found_at = Case(None, [(newest.c.is_found, newest.c.createdAt)])
    looked: Any = (
        ChatMember.select(ChatMember.chat, found_at.alias("createdAt"))
        .join(newest, JOIN.LEFT_LATERAL, on=SQL("true"))
        .where(_mine(False), _is_searched(ChatMember.chat, False))
        .cte("looked", materialized=True)
    )
    page_start: Any = _start_of(looked, P.limit).where(looked.c.createdAt.is_null(False))
    page_start = page_start.cte("page_start", columns=("createdAt",), materialized=True)
    since = page_start.select(page_start.c.createdAt)
    matches = _matches_of(Chat.id, fn.COALESCE(since, BEGINNING), P.before, conditions)
    matches = matches.alias("matches")
    mine = looked.select(looked.c.chatId)
    found: Any = Select(
        [Join(Chat, matches, JOIN.LATERAL, on=SQL("true"))],
        [Chat.id.alias("chat_id"), matches.c.createdAt, matches.c.id],
    ).where(Chat.id.in_(mine))
    ctes = [looked, page_start]
    if by_index:
        sought, hits = _by_index(looked, conditions, ~fn.EXISTS(since), on_all_servers=True)
        ctes += [sought, hits]
        is_complete = _has_all_hits(sought, hits)
        each, chat = each_chat(hits, hits.c.chatId)
        by_hits = Select((each,), [chat, hits.c.createdAt, hits.c.id]).where(
            chat.in_(mine), is_complete
        )
        found = found.where(~is_complete) + by_hits.distinct()
    page = found.alias("page")
    is_on_page = (Message.chat == page.c.chat_id) & (Message.id == page.c.id)
    messages: Query = _messages_of(page, is_on_page, Message.chat).limit(P.limit)
    return messages.with_cte(*ctes)


def _recent(
    chats: _Searched, conditions: list[Any], newest: Any, start_of_page: Any, is_left: Any
) -> tuple[Any, Any]:
    """The third way: the time from which on messages are read, and the matches among them."""
    since: Any = fn.COALESCE(start_of_page, _start_of(newest, _RECENT).where(is_left))
    since = Select(columns=[since]).cte("since", columns=("createdAt",), materialized=True)
    start = since.select(since.c.createdAt)
    return since, _read(chats, start, P.before, conditions).cte("recent", materialized=True)


def _older(chats: _Searched, conditions: list[Any], since: Any) -> Any:
    """The fourth way: the matches among all messages before those of the third."""
    start = since.select(since.c.createdAt)
    return _read(chats, BEGINNING, fn.COALESCE(start, P.before), conditions)


def _contains() -> Any:
    """Whether the message contains the text, tested on the message itself."""
    # COALESCE, so that PostgreSQL does not use the search index once for each chat.
    content, file_name = (
        dialect().matches(fn.COALESCE(column, ""), P.pattern, P.plain)
        for column in (Message.content, Message.file_name)
    )
    return content | file_name


def _is_found(conditions: list[Any]) -> Any:
    return reduce(and_, [*conditions, _contains()]).alias("is_found")


def _newest_of(chat: Any, conditions: list[Any]) -> Any:
    """The times of the messages of a chat, the newest first, each with whether its text matches."""
    # BETWEEN is only for the plan: PostgreSQL then expects few rows.
    any_time = SQL("'-infinity'"), Select(columns=[P.before.cast("timestamp")])
    return (
        Message.select(Message.created_at, _is_found(conditions))
        .where(
            Message.chat == chat, is_visible(), _is_before(), Message.created_at.between(*any_time)
        )
        .order_by(Message.created_at.desc(), Message.id.desc())
    )


def _newest_of_each(chats: _Searched, conditions: list[Any]) -> Select:
    """The times of the newest messages of each chat, each with whether its text matches.

    Each chat has the same number, so that a busy chat without the word does not hide the others.
    """
    share = _NEWEST / (_ALL + 1)
    if dialect().has_lateral:
        newest: Any = _newest_of(chats.id, conditions)
        newest = newest.limit(chats.table.select(1 + share)).alias("newest")
        source = Join(chats.table, newest, JOIN.LATERAL, on=SQL("true"))
        return Select([source], [newest.c.createdAt, newest.c.is_found])
    newer = Message.alias()
    last = (
        newer.select(newer.created_at)
        .where(newer.chat == chats.id, is_visible(newer), _is_before(newer))
        .order_by(newer.created_at.desc(), newer.id.desc())
        .limit(1)
        .offset(chats.table.select(share))
    )
    is_newest = Message.created_at >= fn.COALESCE(last, "")
    source = _each_with_messages(chats.table)
    return Select([source], [Message.created_at, _is_found(conditions)]).where(
        Message.chat == chats.id, is_visible(), _is_before(), is_newest
    )


def _start_of(newest: Any, count: Any) -> Any:
    """The time of the oldest of so many messages; no row if there are fewer."""
    time = newest.c.createdAt
    return newest.select(time).order_by(time.desc()).limit(1).offset(count - 1)


def _read(chats: _Searched, since: Any, until: Any, conditions: list[Any]) -> Any:
    """Times and ids of a page of the messages between two times whose text matches."""
    matches = _matches_of(chats.id, since, until, conditions)
    if not dialect().has_lateral:
        return matches.from_(_each_with_messages(chats.table))
    of_chat = matches.alias("of_chat")
    time, id = of_chat.c.createdAt, of_chat.c.id
    found = Select([Join(chats.table, of_chat, JOIN.LATERAL, on=SQL("true"))], [time, id])
    return found.order_by(time.desc(), id.desc()).limit(P.limit)


def _matches_of(chat: Any, since: Any, until: Any, conditions: list[Any]) -> Any:
    """The same of one chat."""
    # BETWEEN, because PostgreSQL then expects few rows, and reads them in order.
    between = Message.created_at.between(since, until)
    return (
        Message.select(Message.created_at, Message.id)
        .where(Message.chat == chat, between, is_visible(), _is_before(), *conditions, _contains())
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(P.limit)
    )


def _each_with_messages(chats: Any) -> Join:
    """The chats, each before its messages; for SQLite.

    SQLite expects a million rows of a table that a statement makes. For so many chats it would
    first read all messages into a Bloom filter.
    """
    are_few = fn.LIKELIHOOD(chats.c.chatId != "", SQL("0.0001"))
    return Join(chats, Message, JOIN.CROSS, on=are_few)


class _Asked(NamedTuple):
    """A page of the list `name` of found messages, as it was asked for."""

    name: str
    user_id: str
    chat_id: str | None
    limit: int
    cursor: str | None

    def rows(self, found: Callable[..., Statement], **values: Any) -> list[Any]:
        """What the statement finds. Raises `InvalidInput`."""
        valid_id(self.user_id, "user_id")
        valid_limit(self.limit)
        if self.chat_id is not None:
            values["chat_id"] = valid_id(self.chat_id, "chat_id")
        before, before_id = read_cursor(self.cursor, self.name)
        values |= {"before": before, "before_id": before_id, "limit": self.limit + 1}
        return found(in_chat=self.chat_id is not None).all(user_id=self.user_id, **values)

    def page(self, messages: list[Message]) -> Page[Message]:
        """The page of these messages. Raises `NotFound` for a chat the user is not in."""
        if not messages and self.chat_id is not None:
            require_member(self.user_id, self.chat_id)
        return page_of(messages, self.limit, self.name)

    def page_of_tag(self, found: Callable[..., Statement], **values: Any) -> Page[Message]:
        """A page found in "MessageTag", which holds no older messages until it has been filled."""
        rows = self.rows(found, **values)
        if rows and not rows[0][0]:
            raise Unavailable(
                "the tags of older messages are not all there: migration 003 is at work"
            )
        return self.page([message for _, message in rows if message is not None])


@operation(reads=True)
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
    `InvalidInput`, also for a text that cannot be a hashtag, `Unavailable` while migration 003 is
    at work.

    >>> [found.content for found in find_by_hashtag(boris.id, "#RELEASE")]
    ['@boris, the #Release is ready']
    """
    tag = stored_hashtag(hashtag)
    asked = _Asked("hashtag", user_id, chat_id, limit, cursor)
    return asked.page_of_tag(_find_by_hashtag.variant, tag=tag)


@operation(reads=True)
def find_by_mention(
    user_id: str,
    username: str | None = None,
    *,
    chat_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Message]:
    """The messages that mention this user, by default oneself, the newest first.

    They come with sender and chat. The username may be in any case of letters, with or without the
    sign. Raises `NotFound` for a chat the user is not in, `InvalidInput`, `Unavailable` while
    migration 003 is at work.

    >>> [found.sender.username for found in find_by_mention(boris.id)]
    ['anna']
    """
    found = partial(_find_by_mention.variant, of_user=username is None)
    values = {}
    if username is not None:
        valid_text(username, "username", maximum=MAX_SHORT_TEXT_LENGTH)
        name = username.removeprefix("@")
        values["tag"] = valid_text(name, "username", maximum=MAX_SHORT_TEXT_LENGTH)
    return _Asked("mention", user_id, chat_id, limit, cursor).page_of_tag(found, **values)


@operation(reads=True)
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

    `text` has 1 to 1,024 characters, each of which stands for itself, also `%`, `_` and `\\`. The
    messages come with sender and chat. For a rare word all messages of these chats are read, unless
    there is the index that `stogram search-index` makes. Raises `NotFound` for a chat the user is
    not in, `InvalidInput`.

    >>> [found.content for found in search_messages(boris.id, "READY")]
    ['@boris, the #Release is ready']
    """
    valid_text(text, "text", maximum=MAX_SHORT_TEXT_LENGTH)
    values = {"pattern": any_case_pattern(text), "plain": plain_part(text)}
    if terms := current_database().search_terms(text):
        values["terms"] = terms
    if type is not None:
        values["type"] = valid_enum(MessageType, type, "type").value
    found = partial(_search_messages.variant, of_type=type is not None, by_index=terms is not None)
    asked = _Asked("text", user_id, chat_id, limit, cursor)
    return asked.page(asked.rows(found, **values))

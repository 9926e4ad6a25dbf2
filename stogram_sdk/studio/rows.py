"""Which rows a page shows: one statement for a list, whose cost does not grow with the table.

A list begins with its newest rows. A condition on a key of another table is looked up in an index;
every other one, a search for words and an order of the reader's are tried on the newest `MOST` rows
of what the keys leave. Names of other rows are joined to the rows of the page, never asked for.

The newest messages are those with the latest `createdAt`, which has indexes. Of other tables the
newest rows are those written last: by the number that SQLite gives each row, on PostgreSQL by the
ids, which begin with a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import peewee
from peewee import JOIN, Case, Select, Value, fn

from stogram_sdk.any_case import any_case_pattern, plain_part
from stogram_sdk.models import Chat, ChatMember, ChatSettings, Folder, Message, User
from stogram_sdk.sealing import seal
from stogram_sdk.statements import dialect
from stogram_sdk.studio.tables import LABELS, Table
from stogram_sdk.unread import read_place, settings_of, unread_after
from stogram_sdk.users import lower_ascii

#: So many rows are tried, and so far a reader can turn the pages.
MOST = 10_000
PAGE = 50

#: A condition on the rows of a table, made for the table or an alias of it.
Condition = Callable[[Any], Any]


@dataclass(frozen=True)
class Wanted:
    """What the reader of a list has asked for."""

    #: Conditions that an index answers, and all others.
    indexed: tuple[Condition, ...] = ()
    others: tuple[Condition, ...] = ()
    words: str = ""
    #: The name of a column, and whether the greatest comes first.
    sort: tuple[str, bool] | None = None
    skipped: int = 0
    size: int = PAGE

    @property
    def is_bounded(self) -> bool:
        """Whether only the newest rows are tried."""
        return bool(self.others or self.words or self.sort)


def list_rows(table: Table, wanted: Wanted) -> list[Any]:
    """The rows of a page, and one more if there are any after them."""
    row = table.model.alias()
    where = [condition(row) for condition in (*wanted.indexed, *wanted.others)]
    on_sqlite = dialect().name == "sqlite"
    if wanted.words:
        where.append(row.id.in_(_found(table, wanted)))
    # An index of SQLite on a key alone has the rows in the order in which they were written.
    elif wanted.is_bounded or (on_sqlite and wanted.indexed):
        where.append(row.id.in_(_newest(table, wanted)))
    ids = _where(row.select(row.id), where).order_by(*_order(table, row, wanted))
    page = ids.limit(wanted.size + 1).offset(wanted.skipped)
    query = with_names(table).where(table.model.id.in_(page))  # type: ignore[attr-defined]
    return [seal(each) for each in query.order_by(*_order(table, table.model, wanted))]


def get_row(table: Table, id: str) -> Any:
    """The row with this id, or None."""
    query = with_names(table).where(table.model.id == id)  # type: ignore[attr-defined]
    return next((seal(each) for each in query), None)


def find(table: Table, words: str, size: int) -> list[Any]:
    """The first rows of a search."""
    return list_rows(table, Wanted(words=words, size=size))[:size]


def _order(table: Table, row: Any, wanted: Wanted) -> list[Any]:
    if wanted.sort is None:
        return _newest_first(table, row)
    name, is_descending = wanted.sort
    column = getattr(row, name)
    sorted_by = column.desc(nulls="LAST") if is_descending else column.asc(nulls="LAST")
    return [sorted_by, row.id.asc()]


def _newest_first(table: Table, row: Any) -> list[Any]:
    if table.model is Message:
        return [row.created_at.desc(), row.id.desc()]
    return [_written(row).desc()]


def _written(row: Any) -> Any:
    """By what rows stand in the order in which they were written."""
    return peewee.Column(row, "rowid") if dialect().name == "sqlite" else row.id


def _newest(table: Table, wanted: Wanted) -> Any:
    """The ids of the newest rows of those that an index finds."""
    row = table.model.alias()
    is_from_key = wanted.indexed and dialect().name == "sqlite"
    order = [_written(row).desc()] if is_from_key else _newest_first(table, row)
    where = [condition(row) for condition in wanted.indexed]
    return _where(row.select(row.id), where).order_by(*order).limit(MOST)


def _where(query: Any, conditions: list[Any]) -> Any:
    return query.where(*conditions) if conditions else query


def _found(table: Table, wanted: Wanted) -> Any:
    """The ids of the rows with this id, name or address, and of the newest ones with the words."""
    row = table.model.alias()
    exact = row.select(row.id).where(_is_named(table, row, wanted.words)).limit(MOST).alias("exact")
    found = Select((exact,), [exact.c.id])
    if not table.searched:
        return found
    words = Value(any_case_pattern(wanted.words)), Value(plain_part(wanted.words))
    other = table.model.alias()
    texts = [fn.COALESCE(getattr(other, field.name), "") for field in table.searched]
    holds = reduce(or_, (dialect().matches(text, *words) for text in texts))
    newest = other.select(other.id).where(other.id.in_(_newest(table, wanted)), holds).alias("held")
    return found.union(Select((newest,), [newest.c.id]))


def _is_named(table: Table, row: Any, words: str) -> Any:
    """Whether it is the row with this id, or of a user with this name or address."""
    named = row.id == words
    if table.model is User:
        return named | row.id.in_(_users_named(words))
    for field in table.model._meta.refs:
        if field.rel_model is User:
            named |= getattr(row, field.name).in_(_users_named(words))
    return named


def _users_named(words: str) -> Any:
    """The ids of the users whose name begins so, in any case, or whose address it is."""
    user: Any = User.alias()
    key = lower_ascii(words.removeprefix("@"))
    name: Any = dialect().lower_ascii(user.username)
    begins = (name >= key) & (name < key + "\U0010ffff")
    return user.select(user.id).where((user.email == words) | begins).limit(100)


def with_names(table: Table) -> Any:
    """The rows of a table with what names the rows that they refer to."""
    model: Any = table.model
    columns, query = [*table.shown], model.select()
    if model is Chat:
        columns.append(_people_of(Chat).alias("people"))
    for field in model._meta.sorted_fields:
        if isinstance(field, peewee.ForeignKeyField):
            other: Any = field.rel_model.alias()
            columns += [getattr(other, label.name) for label in LABELS[field.rel_model]]
            if field.rel_model is Chat:
                columns.append(_people_of(other).alias(f"{field.name}_people"))
            query = query.join_from(
                model, other, JOIN.LEFT_OUTER, on=(field == other.id), attr=field.name
            )
    if model is ChatMember:
        query, more = _with_settings(query)
        columns += more
    return query.select(*columns)


def _people_of(chat: Any) -> Any:
    """Of a chat without a name: the usernames of three members."""
    member, user = ChatMember.alias(), User.alias()
    few = (
        member.select(user.username)
        .join(user, on=(user.id == member.user))
        .where(member.chat == chat.id)
        .order_by(member.joined_at, member.id)
        .limit(3)
        .alias("few")
    )
    joined = fn.GROUP_CONCAT if dialect().name == "sqlite" else fn.STRING_AGG
    return Case(None, [(chat.name.is_null(), Select((few,), [joined(few.c.username, ", ")]))])


def _with_settings(query: Any) -> tuple[Any, list[Any]]:
    """The members with what is unread for them, and with their settings for the chat."""
    settings, folder = ChatSettings.alias(), Folder.alias()
    query = query.join_from(
        ChatMember, settings, JOIN.LEFT_OUTER, on=settings_of(ChatMember, settings)
    ).join_from(settings, folder, JOIN.LEFT_OUTER, on=(settings.folder == folder.id))
    place = read_place(settings, ChatMember.chat)
    unread = unread_after(place, ChatMember.user, ChatMember.chat, ChatMember.joined_at)
    return query, [
        unread.alias("unread"),
        fn.COALESCE(folder.id, "").alias("folder_id"),
        fn.COALESCE(folder.name, "").alias("folder_name"),
        fn.COALESCE(settings.is_muted, False).alias("is_muted"),
        fn.COALESCE(settings.is_favorite, False).alias("is_favorite"),
    ]


#: The columns of members that come from elsewhere, with what they are called.
OF_MEMBERS = {
    "unread": "Unread",
    "folder_name": "Folder",
    "is_muted": "Muted",
    "is_favorite": "Favorite",
}

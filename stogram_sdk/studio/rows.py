"""Which rows a page shows: one statement for a list, whose cost does not grow with the table.

A list begins with its newest rows. A condition on a key of another table is looked up in an index;
every other one, a search for words and an order of the reader's are tried on the newest `MOST` rows
of what the keys leave. Names of other rows are joined to the rows of the page, never asked for.

The newest messages are those with the latest `createdAt`, which has indexes. Of other tables the
newest rows are those written last: by the number that SQLite gives each row, on PostgreSQL by the
ids, which begin with a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
from stogram_sdk.unread import read_place, unread_after
from stogram_sdk.users import lower_ascii
from stogram_sdk.validation import MAX_SHORT_TEXT_LENGTH, valid_text

#: So many rows are tried, and so far a reader can turn the pages.
MOST = 10_000
PAGE = 50
#: So many unread messages of a member are counted.
MOST_UNREAD = 100

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
    row: Any = table.model.alias()
    if wanted.words:
        ids = row.select(row.id).where(row.id.in_(_found(table, wanted)))
    # An index of SQLite on a key alone has the rows in the order in which they were written.
    elif wanted.is_bounded or (wanted.indexed and _on_sqlite()):
        row = _Newest(table, wanted)
        ids = _where(Select((row.rows,), [row.id]), row, wanted.others)
    else:
        ids = _where(row.select(row.id), row, wanted.indexed)
    page = ids.order_by(*_order(table, row, wanted)).limit(wanted.size + 1).offset(wanted.skipped)
    query = with_names(table).where(table.model.id.in_(page))  # type: ignore[attr-defined]
    return [seal(each) for each in query.order_by(*_order(table, table.model, wanted))]


def get_row(table: Table, id: str) -> Any:
    """The row with this id, or None."""
    query = with_names(table).where(table.model.id == id)  # type: ignore[attr-defined]
    return next((seal(each) for each in query), None)


def find(table: Table, words: str, size: int) -> list[Any]:
    """The first rows of a search."""
    return list_rows(table, Wanted(words=words, size=size))[:size]


def _on_sqlite() -> bool:
    return dialect().name == "sqlite"


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
    if not _on_sqlite():
        return row.id
    return row.rowid if isinstance(row, _Newest) else peewee.Column(row, "rowid")


class _Newest:
    """The newest rows of those that an index finds, with their columns as attributes."""

    def __init__(self, table: Table, wanted: Wanted) -> None:
        row: Any = table.model.alias()
        by_key = wanted.indexed and _on_sqlite()
        order = [_written(row).desc()] if by_key else _newest_first(table, row)
        columns = [getattr(row, field.name) for field in table.shown]
        if _on_sqlite():
            columns.append(_written(row))
        newest = _where(row.select(*columns), row, wanted.indexed)
        self.rows = newest.order_by(*order).limit(MOST).alias("newest")
        self._fields = table.model._meta.fields

    def __getattr__(self, name: str) -> Any:
        field = self._fields.get(name)
        return peewee.Column(self.rows, field.column_name if field is not None else name)


def _where(query: Any, row: Any, conditions: Iterable[Condition]) -> Any:
    made = [condition(row) for condition in conditions]
    return query.where(*made) if made else query


def _found(table: Table, wanted: Wanted) -> Any:
    """The ids of the rows with this id, name or address, and of the newest ones with the words.

    Each way is a query of its own: for all of them at once, PostgreSQL reads the whole table.
    """
    row: Any = table.model.alias()
    ways = []
    for named in _ways_to_name(table, row, wanted.words):
        rows = _where(row.select(row.id).where(named), row, (*wanted.indexed, *wanted.others))
        exact = rows.limit(MOST).alias("exact")
        ways.append(Select((exact,), [exact.c.id]))
    if table.searched:
        newest = _Newest(table, wanted)
        texts = [getattr(newest, field.name) for field in table.searched]
        holds = reduce(or_, (contains(text, wanted.words) for text in texts))
        held = _where(Select((newest.rows,), [newest.id]).where(holds), newest, wanted.others)
        if wanted.sort is None:  # Of a word that all of them have, no more than the page is needed.
            page = held.order_by(*_newest_first(table, newest))
            page = page.limit(wanted.skipped + wanted.size + 1).alias("page")
            held = Select((page,), [page.c.id])
        ways.append(held)
    return reduce(or_, ways)


def contains(column: Any, words: str) -> Any:
    """Whether the text in the column has these words, in any case.

    Raises `InvalidInput` for more words than a pattern finds in time.
    """
    valid_text(words, "words", minimum=0, maximum=MAX_SHORT_TEXT_LENGTH)
    pattern, plain = Value(any_case_pattern(words)), Value(plain_part(words))
    text = fn.COALESCE(column, "")
    matches = dialect().matches(text, pattern, plain)
    if _on_sqlite():
        return matches
    # A pattern is slow: most texts are ruled out by their plain letters.
    return (fn.STRPOS(fn.LOWER(text), plain) > 0) & matches


def _ways_to_name(table: Table, row: Any, words: str) -> list[Any]:
    """The conditions by which a row has this id, or is of a user with this name or address."""
    users = [field.name for field in table.model._meta.refs if field.rel_model is User]
    if table.model is User:
        users.append("id")
    named = [getattr(row, name).in_(_users_named(words)) for name in users]
    return [row.id == words, *named]


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
    joined = fn.GROUP_CONCAT if _on_sqlite() else fn.STRING_AGG
    return Case(None, [(chat.name.is_null(), Select((few,), [joined(few.c.username, ", ")]))])


def _with_settings(query: Any) -> tuple[Any, list[Any]]:
    """The members with what is unread for them, and with their settings for the chat."""
    settings, folder = ChatSettings.alias(), Folder.alias()
    theirs = (settings.user == ChatMember.user) & (settings.chat == ChatMember.chat)
    query = query.join_from(ChatMember, settings, JOIN.LEFT_OUTER, on=theirs).join_from(
        settings, folder, JOIN.LEFT_OUTER, on=(settings.folder == folder.id)
    )
    place = read_place(settings, ChatMember.chat)
    member = ChatMember.user, ChatMember.chat, ChatMember.joined_at
    unread = unread_after(place, *member, most=MOST_UNREAD)
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

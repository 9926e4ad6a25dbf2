"""A page of the newest rows of several chats, such as the calls of all chats of a user.

First the newest row of each chat is looked up. As many of these as the page has rows show how old a
row of the page can be. From that time on, a page of each chat is read, and the newest of all are
taken. So the cost depends on how many chats there are, not on how many rows they have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from peewee import JOIN, SQL, Join, Select, fn

from stogram_sdk.shards import by_value, each_chat
from stogram_sdk.statements import P, dialect

#: Before the time of every row.
BEGINNING = SQL("'0001-01-01'")


class NewestRows(NamedTuple):
    """Rows of a model in the order of two of its columns, the newest first.

    `is_wanted` is the condition that a row, of an alias of the model, is one of the chat's.
    """

    model: Any
    time: Any
    id: Any
    is_wanted: Callable[[Any, Any], Any]

    def time_in(self, chat: Any) -> Any:
        """The time of the newest row of the chat."""
        row = self.model.alias()
        return self._in_chat(chat, row, self._place(row)[0]).limit(1)

    def page(
        self,
        chats: Any,
        *,
        in_chat: bool = False,
        is_shown: Callable[[Any], Any] = lambda chat: SQL("true"),
    ) -> tuple[Any, Any]:
        """The chat and the place of each row of the page, and a CTE that these are found by.

        `chats` has each `chat_id` with its `newest_at`, as `time_in` finds it; `in_chat`: it is the
        one chat of the call. `is_shown` is a condition on a chat; only a few chats are tested.
        Where the chats may be on several servers the rows are more than a page: to choose among
        them here, each server would be asked once more.
        """
        start: Any = Select(columns=[self._start(chats, is_shown).alias("oldest")])
        start = start.cte("page", materialized=True)
        oldest = Select((start,), [start.c.oldest])
        if in_chat:
            each, chat = chats, by_value(chats.c.chat_id)
        else:
            each, chat = each_chat(chats, chats.c.chat_id)
        row = self.model.alias()
        time, id = self._place(row)
        if dialect().has_lateral:
            newest = self._in_chat(chat, row, time, id).where(time >= oldest)
            newest = newest.limit(P.limit).alias("newest")
            time, id = (getattr(newest.c, field.column_name) for field in (self.time, self.id))
            source = Join(each, newest, JOIN.LATERAL, on=SQL("true"))
        else:
            last = self.model.alias()
            last_of_chat = self._in_chat(chat, last, self._place(last)[0])
            last_of_chat = last_of_chat.limit(1).offset(P.limit - 1)
            is_newest = time >= fn.MAX(oldest, fn.COALESCE(last_of_chat, ""))
            source = Join(each, row, on=self.is_wanted(row, chat) & is_newest)
        found = Select([source], [chat.alias("chat_id"), time, id]).where(
            chats.c.newest_at >= oldest, is_shown(chats.c.chat_id)
        )
        if in_chat or not dialect().is_distributed:
            found = found.order_by(time.desc(), id.desc()).limit(P.limit)
        return found.alias("found"), start

    def _start(self, chats: Any, is_shown: Callable[[Any], Any]) -> Any:
        """A time such that no row of the page is older."""
        # With the offset, PostgreSQL sorts first, and then looks at few of the chats.
        in_order = (
            Select((chats,), [chats.c.chat_id, chats.c.newest_at])
            .where(chats.c.newest_at.is_null(False))
            .order_by(chats.c.newest_at.desc())
            .offset(0)
            .alias("in_order")
        )
        last_of_page = (
            Select((in_order,), [in_order.c.newest_at])
            .where(is_shown(in_order.c.chat_id))
            .limit(1)
            .offset(P.limit - 1)
        )
        return fn.COALESCE(last_of_page, BEGINNING)

    def _in_chat(self, chat: Any, row: Any, *columns: Any) -> Any:
        time, id = self._place(row)
        rows = row.select(*columns).where(self.is_wanted(row, chat))
        return rows.order_by(time.desc(), id.desc())

    def _place(self, row: Any) -> tuple[Any, Any]:
        return getattr(row, self.time.name), getattr(row, self.id.name)

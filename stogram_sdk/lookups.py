"""One row looked up for each row of a query: what a join cannot be trusted with.

A prepared statement of PostgreSQL has a plan for any user. That takes the rows of a user for few,
and may compare each of their chats with each of their settings. A lookup uses its index.
"""

from __future__ import annotations

from typing import Any

from peewee import JOIN, SQL, FieldAlias, ModelAlias

from stogram_sdk.statements import dialect


def look_up(query: Any, known: Any, model: Any, chat: Any = None) -> tuple[Any, Any]:
    """Join to each row of `known` the row of `model` with the same user and chat, if there is one.

    Returns the query, and what stands for the model in it. `chat`: the chat, if it is known too.
    """
    wanted = model.alias()
    is_same = (wanted.user == known.user) & (wanted.chat == (known.chat if chat is None else chat))
    if not dialect().has_lateral:
        return query.join_from(known, wanted, JOIN.LEFT_OUTER, on=is_same), wanted
    found = wanted.select(SQL("*")).where(is_same).limit(1).alias("found")
    return query.join_from(known, found, JOIN.LEFT_LATERAL, on=SQL("true")), _Found(model, found)


def column_of(table: Any, field: Any) -> Any:
    """A column of a model, of an alias of it, or of what was looked up."""
    match table:
        case _Found():
            return FieldAlias(table.query, field)
        case ModelAlias():
            return FieldAlias.create(table, field)  # type: ignore[no-untyped-call]  # stubs
        case _:
            return field


class _Found:
    """The rows that a subquery has found, with the attributes of their model."""

    def __init__(self, model: Any, query: Any) -> None:
        self._model, self.query = model, query

    def __getattr__(self, name: str) -> Any:
        return column_of(self, getattr(self._model, name))

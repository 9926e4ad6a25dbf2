"""Sealed rows: an attribute that was not read raises `NotLoaded`, and is never fetched unasked.

The rows that the functions return are sealed; `parts` makes them. An instance that a query of
one's own returns, or that is made with `Message(...)`, is not, and behaves as Peewee says.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import peewee

from stogram_sdk.errors import NotLoaded

R = TypeVar("R", bound=peewee.Model)
V = TypeVar("V")

#: What to call for an attribute; or else for the columns of a model, and for relations to it.
_CALLS = {
    "Chat.calls": "list_calls()",
    "Chat.members": "list_members()",
    "Chat.messages": "list_messages()",
    "Chat.pins": "list_pinned_messages()",
    "Chat.settings": "get_chat_settings()",
    "ChatSettings.chat": "get_chat()",
    "ChatSettings.folder": "list_folders()",
    "Folder.chat_settings": "list_folders()",
    "Message.pins": "list_pinned_messages()",
    "Message.reaction_rows": "list_message_reactions()",
    "Message.reactions": "list_messages()",
    "Message.replies": "list_replies()",
    "Message.reply_to": "get_message()",
    **{
        f"User.{name}": "get_user()"
        for name in ("email", "password", "push_subscription", "verification_token")
    },
    "User.calls": "list_calls()",
    "User.contacts": "list_contacts()",
    "User.blocks": "list_blocked_users()",
    "User.chat_settings": "list_chats()",
    "User.folders": "list_folders()",
    "User.memberships": "list_chats()",
    "User.pinned_messages": "list_pinned_messages()",
    "User": "get_user(), or visible_profiles() for what another user may see",
}


def seal(row: R) -> R:
    """The row, from now on as the functions return it."""
    row._is_sealed = True  # type: ignore[attr-defined]  # of BaseModel, which is above this module
    return row


def make_sealable(model: type[peewee.Model]) -> None:
    """Give the model's attributes accessors that look whether an instance is sealed."""
    for field in model._meta.sorted_fields:
        accessor = _Relation if isinstance(field, peewee.ForeignKeyField) else _Column
        setattr(model, field.name, accessor(model, field, field.name))
    for field in model._meta.refs:
        setattr(model, field.object_id_name, _Id(field))
        setattr(field.rel_model, field.backref, _Backref(field))


def _not_loaded(row: Any, name: str, instead: str) -> NotLoaded:
    model = type(row).__name__
    entity = re.sub("(?<=[a-z])(?=[A-Z])", " ", model).lower()
    return NotLoaded(entity, row.__data__.get("id"), name, _CALLS.get(f"{model}.{name}", instead))


class Attached(Generic[V]):
    """What a function has found out about a row, beside its columns."""

    def __set_name__(self, model: Any, name: str) -> None:
        self._name = name

    def __get__(self, row: Any, model: Any = None) -> V:
        if row is None:
            return self  # type: ignore[return-value]  # as of the class, for tools that inspect it
        try:
            found: V = row.__rel__[self._name]
        except KeyError:
            raise _not_loaded(row, self._name, "") from None
        return found


class _Column(peewee.FieldAccessor):
    def __get__(self, row: Any, model: Any = None) -> Any:
        if row is None:
            return self.field
        try:
            return row.__data__[self.name]
        except KeyError:
            if not row._is_sealed:
                return None
        if self.name in row._secrets:
            return row._secrets[self.name]
        name = type(row).__name__
        raise _not_loaded(row, self.name, _CALLS.get(name, f"{name}.get_by_id()"))


class _Relation(peewee.ForeignKeyAccessor):
    def __get__(self, row: Any, model: Any = None) -> Any:
        if row is None:
            return self.field
        if self.name in row.__rel__:
            return row.__rel__[self.name]
        if not row._is_sealed:
            return self.get_rel_instance(row)  # type: ignore[no-untyped-call]  # stubs
        if row.__data__.get(self.name, self) is None:
            return None  # there is none
        name = self.rel_model.__name__
        raise _not_loaded(row, self.name, _CALLS.get(name, f"{name}.get_by_id()"))


class _Id(peewee.ObjectIdAccessor):
    def __get__(self, row: Any, model: Any = None) -> Any:
        if row is None or not row._is_sealed:
            return super().__get__(row, model)  # type: ignore[no-untyped-call]  # stubs
        try:
            return row.__data__[self.field.name]
        except KeyError:
            pass
        name = self.field.model.__name__
        raise _not_loaded(row, self.field.object_id_name, f"{name}.get_by_id()")


class _Backref(peewee.BackrefAccessor):
    def __get__(self, row: Any, model: Any = None) -> Any:
        if row is None or not row._is_sealed:
            return super().__get__(row, model)  # type: ignore[no-untyped-call]  # stubs
        name = self.rel_model.__name__
        query = f"{name}.select().where({name}.{self.field.name} == row.id)"
        raise _not_loaded(row, self.field.backref, query)

"""The models as they were after a migration, made of its steps.

`pw_migrate create --auto` compares the models with those that the earlier migrations have
registered. With the models of today it would never find a change. So each migration registers the
models that its own steps made, which never change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import peewee

from stogram_sdk.fields import TextArrayField, UtcDateTimeField
from stogram_sdk.schema.objects import Column, ForeignKey, Index, bare_column
from stogram_sdk.schema.steps import (
    AddColumn,
    AddForeignKey,
    AddIndex,
    CreateTable,
    Step,
)

_FIELDS: dict[str, Any] = {
    "TEXT": peewee.TextField,
    "INTEGER": peewee.IntegerField,
    "BOOLEAN": peewee.BooleanField,
    "TEXT[]": TextArrayField,
    "TIMESTAMP(3)": UtcDateTimeField,
}


def register(orm: Any, steps: Iterable[Step]) -> None:
    """Add the tables, columns and indexes of the steps to peewee-migrate's models."""
    steps = tuple(steps)
    keys = {
        (step.key.table, step.key.column): step.key
        for step in steps
        if isinstance(step, AddForeignKey)
    }
    for step in steps:
        if isinstance(step, CreateTable):
            orm.add(_model(orm, step, keys))
        elif isinstance(step, AddColumn):
            name, field = _field(orm, step.table, step.column, keys)
            orm[step.table]._meta.add_field(name, field)
        elif isinstance(step, AddIndex):
            _add_index(orm[step.table], step.index)


def _add_index(model: Any, index: Index) -> None:
    parts: list[Any] = []
    for column in index.columns:
        bare = bare_column(column)
        field = model._meta.columns[bare]
        if bare == column:
            parts.append(field)
        else:
            name, _, rest = column.rstrip(")").partition("(")
            others = [peewee.SQL(other) for other in rest.split(", ")[1:]]
            parts.append(peewee.Function(name.upper(), (field, *others)))
    where = None if index.where is None else peewee.SQL(index.where)
    model.add_index(*parts, name=index.name, unique=index.unique, using=index.method, where=where)


def _model(orm: Any, step: CreateTable, keys: dict[tuple[str, str], ForeignKey]) -> Any:
    first, *others = step.contents
    name, key = _field(orm, step.table, first, keys, primary_key=not step.key)
    fields = {name: key} | dict(_field(orm, step.table, column, keys) for column in others)
    meta = type("Meta", (), {"table_name": step.table})
    if step.key:
        names = {field.column_name: name for name, field in fields.items()}
        meta.primary_key = peewee.CompositeKey(*(names[column] for column in step.key))  # type: ignore[attr-defined]
    return type(step.table, (peewee.Model,), {**fields, "Meta": meta})


def _field(
    orm: Any,
    table: str,
    column: Column,
    keys: dict[tuple[str, str], ForeignKey],
    **options: Any,
) -> tuple[str, Any]:
    """The attribute for a column, and its name: `chatId` is `chat` if it is a foreign key."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", column.name).lower()
    options |= {"column_name": column.name, "null": column.nullable}
    key = keys.get((table, column.name))
    if key is None:
        # An enum is a plain field to peewee-migrate, which knows only Peewee's own types.
        return name, _FIELDS.get(column.type, peewee.Field)(**options)
    field = peewee.ForeignKeyField(
        "self" if key.references == table else orm[key.references],
        backref="+",
        on_delete=key.on_delete,
        on_update=key.on_update,
        index=False,
        object_id_name=name,
        **options,
    )
    return name.removesuffix("_id"), field

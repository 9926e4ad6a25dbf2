"""The database that the models describe, in the words of its catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from peewee import Field, ForeignKeyField

from stogram_sdk.fields import EnumTextField
from stogram_sdk.models import MODELS, SIDE_TABLES, SqliteIndex
from stogram_sdk.schema.message_tags import trigger_names
from stogram_sdk.schema.objects import (
    Catalog,
    Column,
    ForeignKey,
    Index,
    PrimaryKey,
    UniqueConstraint,
)
from stogram_sdk.schema.obstacles import Schema, is_json_of

_TYPES = {"BOOL": "BOOLEAN", "INT": "INTEGER"}
_UNIQUE = re.compile(r'CONSTRAINT "([^"]+)" UNIQUE \(([^)]+)\)')


def expected_catalog(schema: Schema, models: Iterable[Any] = (*MODELS, *SIDE_TABLES)) -> Catalog:
    """The catalog of a database that agrees with the models."""
    catalog = Catalog()
    for model in models:
        _add_table(catalog, schema, model)
    catalog.keeps_tags = catalog.has_all_tags = catalog.has_moment = True
    catalog.keeps_words = schema.name == "sqlite"
    catalog.estimates_messages = schema.name == "postgresql"
    catalog.triggers = dict.fromkeys(trigger_names(schema), "Message")
    return catalog


def _add_table(catalog: Catalog, schema: Schema, model: Any) -> None:
    meta = model._meta
    table = meta.table_name
    catalog.tables[table] = {}
    for field in meta.sorted_fields:
        column = _column(field)
        catalog.tables[table][column.name] = schema.column(column)
        if isinstance(field, EnumTextField) and schema.name == "postgresql":
            catalog.enums[field.enum.__name__] = tuple(label.value for label in field.enum)
        if isinstance(field, ForeignKeyField):
            key = _foreign_key(field)
            catalog.foreign_keys[key.name] = key
    name = f"{table}_pkey"
    fields = meta.get_primary_keys()
    catalog.primary_keys[name] = PrimaryKey(
        name, table, tuple(field.column_name for field in fields)
    )
    for constraint in meta.constraints or ():
        ((name, columns),) = _UNIQUE.findall(constraint.sql)
        names = tuple(column.strip('"') for column in columns.split(", "))
        catalog.uniques[name] = UniqueConstraint(name, table, names)
    for made in meta.fields_to_index():
        index = _index(made)
        if schema.has_index(index):
            catalog.indexes[index.name] = index


def as_later_servers_have_it(expected: Catalog, there: Catalog) -> None:
    """Expect JSON where the server keeps tags so, without an index of arrays on it."""
    for table, columns in expected.tables.items():
        for name, wanted in columns.items():
            found = there.column(table, name)
            if found is not None and is_json_of(wanted, found):
                columns[name] = found
                del expected.indexes[f"{table}_{name}_idx"]


def _column(field: Any) -> Column:
    kind = field.enum.__name__ if isinstance(field, EnumTextField) else field.field_type
    defaults = [
        constraint.sql.removeprefix("DEFAULT ")
        for constraint in field.constraints or ()
        if constraint.sql.startswith("DEFAULT ")
    ]
    return Column(
        field.column_name, _TYPES.get(kind, kind), field.null, defaults[0] if defaults else None
    )


def _foreign_key(field: Any) -> ForeignKey:
    return ForeignKey(
        field.constraint_name,
        field.model._meta.table_name,
        field.column_name,
        field.rel_model._meta.table_name,
        field.on_delete,
        field.on_update,
    )


def _index(made: Any) -> Index:
    return Index(
        made._name,
        made._model._meta.table_name,
        tuple(map(_indexed, made._expressions)),
        made._unique,
        (made._using or "btree").lower(),
        where=made._where and made._where.sql,
        only_sqlite=isinstance(made, SqliteIndex),
    )


def _indexed(part: Any) -> str:
    """A column, or a function of one."""
    if isinstance(part, Field):
        return str(part.column_name)
    column, *others = part.arguments
    arguments = ", ".join([column.column_name, *(other.sql for other in others)])
    return f"{part.name.lower()}({arguments})"

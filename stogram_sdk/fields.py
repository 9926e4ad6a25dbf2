"""Column types: the same Python value on SQLite and PostgreSQL.

===============  ====================  ==========================  =================
field            Python                PostgreSQL                  SQLite
===============  ====================  ==========================  =================
UtcDateTime      aware datetime, UTC   TIMESTAMP(3), holds UTC     TEXT, one format
EnumText         a StrEnum             an enum type                TEXT
TextArray        list of str           TEXT[]                      TEXT, a JSON array
Reference        row, and `name_id`    TEXT                        TEXT
===============  ====================  ==========================  =================
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from peewee import SQL, Field, ForeignKeyField, Node

from stogram_sdk.errors import InvalidInput, StogramError

if TYPE_CHECKING:
    AnyField = Field[Any]
else:
    AnyField = Field  # generic only in Peewee's stubs


#: The first and the last time that Python has. A time that is further away reads as one of them.
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)

#: Bound once, since a list of rows calls it some hundred times.
_from_iso = datetime.fromisoformat


def utc_now() -> datetime:
    """The current time in UTC, cut to the milliseconds that the columns hold."""
    return cut_to_milliseconds(datetime.now(UTC))


def cut_to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def plain_time(moment: datetime) -> datetime:
    """The moment in UTC, cut to milliseconds, without the ways of a subclass of datetime."""
    if type(moment) is datetime and moment.tzinfo is UTC and not moment.microsecond % 1000:
        return moment
    utc = moment.astimezone(UTC)
    day = utc.year, utc.month, utc.day
    milliseconds = utc.microsecond // 1000
    return datetime(*day, utc.hour, utc.minute, utc.second, milliseconds * 1000, UTC)


def time_to_text(moment: datetime) -> str:
    """The one form in which a time is sent to either database.

    SQLite compares times as text, so there must be only one form. PostgreSQL gets it too, because a
    session in another time zone would shift an aware value on its way into a column without zone.
    """
    if moment.tzinfo is None:
        raise InvalidInput(
            f"a time must be aware, such as datetime.now(UTC), not {moment!r}", field="time"
        )
    return plain_time(moment).isoformat(" ", timespec="milliseconds")[:-6]  # without +00:00


def time_from_text(text: str) -> datetime:
    """The aware time of a column, in UTC. Raises `StogramError` for a text that is no time."""
    try:
        return _from_iso(text + "Z")
    except ValueError:
        return _unusual_time(text)


def time_from_database(value: datetime | str | None) -> datetime | None:
    """The same of what a driver returns."""
    if value is None:
        return None
    if isinstance(value, str):
        return time_from_text(value)
    return datetime.combine(value, value.time(), UTC)


def _unusual_time(text: str) -> datetime:
    """A time that another program has written: with a zone, or one that Python does not have."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        try:
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except OverflowError:
            return EARLIEST if moment.year == 1 else LATEST
    if text.endswith("BC") or re.match("-|0000-", text):
        return EARLIEST
    if re.match(r"\+?\d{5}|infinity", text):
        return LATEST
    raise StogramError(f"this is no time, as another program has written it: {text!r}")


def time_from_postgres(text: Any, _: object) -> datetime | None:
    """A time of PostgreSQL's for psycopg2, whose own reader fails for what Python does not have."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _unusual_time(text).replace(tzinfo=None)


#: Defaults in SQLite's words: times in the form of `time_to_text`, arrays as JSON.
SQLITE_DEFAULTS = {
    "CURRENT_TIMESTAMP": "(strftime('%Y-%m-%d %H:%M:%f', 'now'))",
    "'{}'": "'[]'",
}


class FieldWithDefault(AnyField):
    """A column whose default in the database has the same meaning on both engines."""

    def ddl(self, ctx: Any) -> Any:
        definition = super().ddl(ctx)
        if ctx.state.field_types.get(self.field_type) == "TEXT":
            definition.nodes = [_sqlite_default(node) for node in definition.nodes]
        return definition


def _sqlite_default(node: Any) -> Any:
    if not isinstance(node, SQL) or not node.sql.startswith("DEFAULT "):
        return node
    default = node.sql.removeprefix("DEFAULT ")
    return SQL(f"DEFAULT {SQLITE_DEFAULTS.get(default, default)}")


class UtcDateTimeField(FieldWithDefault):
    """An aware UTC time with milliseconds in a column without time zone."""

    field_type = "TIMESTAMP(3)"

    def db_value(self, value: Any) -> Any:
        return time_to_text(value) if isinstance(value, datetime) else value

    python_value = staticmethod(time_from_database)


class _Members(dict[Any, Any]):
    """The members of an enum; a label that a later server has added is its text."""

    def __missing__(self, label: Any) -> Any:
        return label


class EnumTextField(AnyField):
    """A `StrEnum` in a column of the PostgreSQL enum type of the same name."""

    field_type = "ENUM"

    def __init__(self, enum: type[StrEnum], **options: Any) -> None:
        super().__init__(**options)
        self.enum = enum
        members = _Members({member.value: member for member in enum})
        # Not a function of Python, since a list of rows calls it some fifty times.
        self.python_value = members.__getitem__  # type: ignore[method-assign]  # of each field

    def ddl_datatype(self, ctx: Any) -> SQL:
        if ctx.state.field_types.get(self.field_type) is not None:
            return SQL(ctx.state.field_types[self.field_type])
        schema_name = self.model._meta.schema
        prefix = f'"{schema_name}".' if schema_name else ""
        return SQL(f'{prefix}"{self.enum.__name__}"')

    def db_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, Node) else self.enum(value).value


class TextArray(list[str]):
    """A list that each driver knows how to write: psycopg2 as an array, sqlite3 as JSON."""


def tags_to_json(value: Any) -> str:
    """The tags as JSON, in the form in which the server writes them."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


sqlite3.register_adapter(TextArray, tags_to_json)


class Tags(list[str]):
    """Tags of a message, as a parameter of a statement; each database has its own form."""


class Rows(list[dict[str, Any]]):
    """Rows by the names of their fields, as a parameter (see `Dialect.given_rows`)."""


def rows_to_json(rows: Rows) -> str:
    return json.dumps(rows, ensure_ascii=False, default=time_to_text)


class TextArrayField(FieldWithDefault):
    """A list of texts; reads as an empty list where the column is NULL."""

    field_type = "TEXT[]"

    def db_value(self, value: Any) -> Any:
        if value is None or isinstance(value, Node):
            return value
        if isinstance(value, str):
            raise InvalidInput(f"{self.name} must be a list of texts, not a text", field=self.name)
        dialect = getattr(self.model._meta.database, "dialect", None)
        return TextArray(value) if dialect is None else dialect.tags(list(value))

    def python_value(self, value: Any) -> list[str]:
        if isinstance(value, str):
            return texts_from_json(value)
        texts: list[str] = value or []
        return texts


def texts_from_json(text: str) -> list[str]:
    """The texts of an array in JSON; none of them if another program has written something else."""
    if text == "[]":  # Most messages have no tags.
        return []
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


class Reference(ForeignKeyField):
    """A foreign key named as the server's Prisma names it, `Table_column_fkey`."""

    def __init__(
        self,
        model: Any,
        column_name: str,
        *,
        backref: str,
        on_delete: str = "CASCADE",
        null: bool = False,
        object_id_name: str | None = None,
        primary_key: bool = False,
    ) -> None:
        super().__init__(
            model,
            column_name=column_name,
            backref=backref,
            on_delete=on_delete,
            on_update="CASCADE",
            null=null,
            object_id_name=object_id_name,
            primary_key=primary_key,
            index=False,
        )

    def bind(self, model: Any, name: str, set_attribute: bool = True) -> None:
        self.object_id_name = self.object_id_name or f"{name}_id"
        self.constraint_name = f"{model._meta.table_name}_{self.column_name}_fkey"
        super().bind(model, name, set_attribute)

"""The parts of a row: what a statement selects, and what reads it.

A row has the shape of the selected nodes. Neighbouring columns of one model (or alias) make one
instance, or None where the first of them is NULL; in a `Row` it has its relations too. Any other
expression is a value. A row of one part is that part, a row of several is a tuple. What has no
relations, such as the chat of all its messages, is one instance for all rows that have it. Every
instance is sealed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence, Set
from functools import cache
from itertools import count, groupby
from typing import Any, NamedTuple, TypeAlias

from peewee import Case, ColumnBase, CommaNodeList, Field, FieldAlias

from stogram_sdk.database import current_database
from stogram_sdk.fields import UtcDateTimeField, time_from_text
from stogram_sdk.models import SECRETS


def text_of(value: Any) -> Any:
    """A value in JSON as a text, so that rows that have the same are read once."""
    # Of a cast alone SQLite knows that it is JSON, and nests it in what is made of it.
    return value.cast("text").concat("")


class Row(ColumnBase):
    """Columns of one model, or alias, and the relations of its instance: one part of a row.

    A relation is a part too, and may be the `Same` as one that stands before it.
    """

    def __init__(self, columns: Iterable[Any], **relations: Any) -> None:
        self.columns, self.relations = [*columns], relations

    def __sql__(self, ctx: Any) -> Any:
        selected = [node for node in self.relations.values() if not isinstance(node, Same)]
        return ctx.sql(CommaNodeList([*self.columns, *selected]))


class Same(NamedTuple):
    """A part that the row has already, which is not selected again.

    It stands before, in the same row or in the one around a `Related`. There the text must tell
    which it is, since rows with the same text share what is read of it.
    """

    part: Any


class Converted(ColumnBase):
    """A value, and what makes a list of it. The list is empty where the value is NULL."""

    def __init__(self, value: Any, convert: Callable[[Any], Any]) -> None:
        self.value, self.convert = value, convert

    def __sql__(self, ctx: Any) -> Any:
        return ctx.sql(self.value)


class Related(ColumnBase):
    """A row of other tables as one value: what `query` finds, if `shown` is true of it, or None.

    RETURNING cannot join. A list has one of these where few of its rows have such a row, which is
    looked for only if `asked_if` is true, or where all of its rows have the same.
    """

    def __init__(self, query: Any, shown: Any = None, *, asked_if: Any = None) -> None:
        self.query, self.shown, self.asked_if = query, shown, asked_if
        self.columns = query._returning

    def __sql__(self, ctx: Any) -> Any:
        value: Any = text_of(current_database().dialect.json_array(*self.columns))
        if self.shown is not None:
            value = Case(None, [(self.shown, value)])
        found = self.query.select(value)
        return ctx.sql(found if self.asked_if is None else Case(None, [(self.asked_if, found)]))


#: What makes of each row of one result what is returned for it.
Reader: TypeAlias = Callable[[Sequence[Any]], Any]

_READER = """
def make():
    {begin}

    def read(row):
        {steps}
        return {parts}

    return read
"""


def reader_of(selected: Iterable[Any], native_types: Set[str]) -> Callable[[], Reader]:
    """What makes the reader of each result of a statement that selects these nodes.

    It is written out for its columns, as `dataclasses` does it: a list calls it some fifty times.
    """
    writer = _Writer(native_types)
    parts, steps = writer.read("row", selected)
    text = _READER.format(
        begin="\n    ".join(writer.begin or ["pass"]), steps="\n        ".join(steps), parts=parts
    )
    exec(text, writer.known)
    make: Callable[[], Reader] = writer.known["make"]
    return make


class _Lines(NamedTuple):
    """The names of the columns of a row, and the lines that make its parts."""

    columns: list[str]
    steps: list[str]


class _Writer:
    """Writes the text of a reader. Columns have numbers, also those inside a `Related`.

    `v7` is the value of column 7, `p7` the part that begins there, `d7` what holds its columns (see
    `_columns`). Of a reaction with its user these are the lines, but for `_is_sealed` and the
    like::

        [v0, v1, v2, v3, v4] = row
        if v3 in seen_v3: p3 = seen_v3[v3]
        else:
            p3, d3 = new_v3(model_v3), columns_v3()
            d3.id = v3
            d3.username = v4
            p3.__data__ = d3.__dict__
            seen_v3[v3] = p3
        if v0 is None: p0 = None
        else:
            p0, d0 = new_v0(model_v0), columns_v0()
            d0.id = v0
            d0.emoji = v1
            d0.created_at = convert_v2(v2)
            p0.__data__ = d0.__dict__
            p0.__rel__ = {'user': p3}
        return p0
    """

    def __init__(self, native_types: Set[str]) -> None:
        self._native_types = native_types
        self._numbers = count()
        self._names: dict[int, str] = {}
        #: The names that its text knows, and the lines that come once before the rows.
        self.known: dict[str, Any] = {"decode": json.JSONDecoder().raw_decode}
        self.begin: list[str] = []

    def read(self, row: str, selected: Iterable[Any]) -> tuple[str, list[str]]:
        """The parts of the row, and the lines that make them."""
        lines = _Lines([], [])
        parts: list[str] = []
        for model, group in groupby(selected, _model_of):
            nodes = list(group)
            for node in nodes if model is None else [Row(nodes)]:
                parts.append(self._part(node, lines))
        return ", ".join(parts), [f"[{', '.join(lines.columns)}] = {row}", *lines.steps]

    def _part(self, node: Any, lines: _Lines) -> str:
        match node:
            case Same():
                part = self._names[id(node.part)]
            case Row():
                part = self._instance(node, lines)
            case Related():
                part = self._related(node, lines)
            case Converted():
                value = self._column(lines)
                self.known[f"convert_{value}"] = node.convert
                part = f"[] if {value} is None else convert_{value}({value})"
            case _:
                part = self._column(lines)
        self._names[id(node)] = part
        return part

    def _column(self, lines: _Lines) -> str:
        """The value of the next column."""
        value = f"v{next(self._numbers)}"
        lines.columns.append(value)
        return value

    def _instance(self, row: Row, lines: _Lines) -> str:
        fields = [_field(node) for node in row.columns]
        values = [self._column(lines) for _ in fields]
        key, model = values[0], fields[0].model
        part, data, seen = f"p{key[1:]}", f"d{key[1:]}", f"seen_{key}"
        columns: dict[str, str] = {}
        secrets: list[str] = []
        last: tuple[str, str] | None = None
        for field, value in zip(fields, values, strict=True):
            read = self._converted(field, value)
            if field in SECRETS:
                secrets.append(f"{field.name!r}: {read}")
                continue
            if isinstance(field, UtcDateTimeField):
                if last is not None:  # A row that was never changed has the same time twice.
                    read = f"{data}.{last[0]} if {value} == {last[1]} else {read}"
                last = field.name, value
            columns[field.name] = read
        relations = [f"{name!r}: {self._part(node, lines)}" for name, node in row.relations.items()]
        self.known |= {
            f"model_{key}": model,
            f"new_{key}": model.__new__,
            f"columns_{key}": _columns(tuple(columns)),
        }
        # What has relations is not shared: another chat may have a message with the same id.
        is_shared = fields[0].primary_key and not relations
        if is_shared:
            self.begin.append(f"{seen} = {{None: None}}")
        lines.steps.extend(
            [
                f"if {key} in {seen}: {part} = {seen}[{key}]"
                if is_shared
                else f"if {key} is None: {part} = None",
                "else:",
                f"    {part}, {data} = new_{key}(model_{key}), columns_{key}()",
                *(f"    {data}.{name} = {read}" for name, read in columns.items()),
                f"    {part}.__data__ = {data}.__dict__",
                f"    {part}.__rel__ = {{{', '.join(relations)}}}",
                f"    {part}._is_sealed = True",
            ]
        )
        if secrets:
            lines.steps.append(f"    {part}._secrets = {{{', '.join(secrets)}}}")
        if is_shared:
            lines.steps.append(f"    {seen}[{key}] = {part}")
        return part

    def _converted(self, field: Any, value: str) -> str:
        """The value of a column as the field has it in Python."""
        is_list = field.field_type == "TEXT[]"
        convert = _converter(field, self._native_types)
        if convert is None:
            return f"[] if {value} is None else {value}" if is_list else value
        self.known[f"convert_{value}"] = convert
        return f"{[] if is_list else None} if {value} is None else convert_{value}({value})"

    def _related(self, related: Related, lines: _Lines) -> str:
        text = self._column(lines)
        part, found, outside = f"p{text[1:]}", f"found_{text}", dict(self._names)
        parts, steps = self.read(f"decode({text})[0]", related.columns)
        self._names = outside  # What was read inside is there for the first such row alone.
        self.begin.append(f"{found} = {{None: None}}")
        lines.steps.append(f"if {text} not in {found}:")
        lines.steps.extend(f"    {step}" for step in (*steps, f"{found}[{text}] = {parts}"))
        lines.steps.append(f"{part} = {found}[{text}]")
        return part


@cache
def _columns(names: tuple[str, ...]) -> type[Any]:
    """A class to be filled with these attributes, the same one for all rows with such columns.

    Python keeps the names of a class's attributes once for all its instances. A dict with names of
    its own takes twice the memory, and with twenty columns half as long again to be filled.
    """
    return type("Columns", (), {})


def _model_of(node: Any) -> Any:
    """The model (or alias) of a column; None for another expression."""
    if isinstance(node, FieldAlias):
        return node.source
    return node.model if isinstance(node, Field) else None


def _field(node: Any) -> Any:
    return node.field if isinstance(node, FieldAlias) else node


def _converter(field: Any, native_types: Set[str]) -> Callable[[Any], Any] | None:
    """The function that turns a column's value into Python's; None if the driver does so."""
    target = getattr(field, "rel_field", field)
    if target.field_type in native_types:
        return None
    # Whatever the driver: `carry_out` asks psycopg2 for texts, and SQLite has no others.
    is_time = isinstance(target, UtcDateTimeField)
    convert: Callable[[Any], Any] = time_from_text if is_time else target.python_value
    return convert

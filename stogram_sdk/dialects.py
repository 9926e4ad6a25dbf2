"""What SQLite and PostgreSQL say differently, in one place."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Protocol

from peewee import SQL, ColumnBase, CommaNodeList, Node, NodeList, Select, fn

from stogram_sdk.fields import AnyField

# Leaves a foreign key free to point at the row; the stubs of Peewee know only True and False.
_FOR_NO_KEY_UPDATE: Any = "FOR NO KEY UPDATE"


class Dialect(Protocol):
    """The expressions that a statement cannot write the same for both engines."""

    name: str
    #: PostgreSQL takes a statement's view of the data before it waits for locks.
    locks_rows: bool
    #: Whether a subquery in FROM can refer to the rows before it.
    has_lateral: bool
    #: The types of columns whose values the driver gives as Python has them.
    native_types: frozenset[str]

    def is_one_of(self, column: Node, values: Node) -> ColumnBase:
        """Whether the column is one of the texts of a list parameter."""
        ...

    def given(self, **columns: Node) -> Node:
        """A table named `given`, of list parameters of one length, to select from."""
        ...

    def given_rows(self, rows: Node, *fields: AnyField) -> Node:
        """A table named `given`, of a parameter that is `Rows`: columns named and typed as fields.

        For rows that are written; PostgreSQL does not know how many they are, and so would not
        find the best way to look them up.
        """
        ...

    def has_tag(self, column: Node, tag: Node) -> ColumnBase:
        """Whether an array column holds the tag."""
        ...

    def tag_key(self, tag: Node) -> Node:
        """The key under which the database keeps a tag, see `schema/message_tags.py`."""
        ...

    def matches(self, column: Node, pattern: Node) -> ColumnBase:
        """Whether the column matches a regular expression of `any_case_pattern`."""
        ...

    def later_of(self, first: Node, second: Node) -> Node:
        """The later of two times, of which the second may be NULL."""
        ...

    def earlier_of(self, first: Node, second: Node) -> Node:
        """The earlier of two times, of which the first may be NULL."""
        ...

    def milliseconds_after(self, moment: Node, count: Node) -> Node:
        """The time so many milliseconds later."""
        ...

    def lower_ascii(self, column: Node) -> Node:
        """The column with A-Z in lower case, whatever the locale."""
        ...

    def lock(self, query: Select) -> Select:
        """The query, holding the rows that it finds until the transaction ends."""
        ...

    def lock_name(self, name: Node) -> Select:
        """A query that holds a name, for which there is no row yet, until the transaction ends."""
        ...


class SqliteDialect:
    name = "sqlite"
    locks_rows = False
    has_lateral = False
    native_types = frozenset({"TEXT", "INT"})

    def is_one_of(self, column: Node, values: Node) -> ColumnBase:
        return _flat(column, SQL("IN (SELECT value FROM json_each("), values, SQL("))"))

    def given(self, **columns: Node) -> Node:
        names = [f'c{number}."value" AS "{name}"' for number, name in enumerate(columns)]
        parts: list[Node] = [SQL(f"(SELECT {', '.join(names)} FROM ")]
        for number, values in enumerate(columns.values()):
            using = "" if number == 0 else f" ON c{number}.key = c0.key"
            join = "" if number == 0 else " JOIN "
            parts += [SQL(f"{join}json_each("), values, SQL(f") AS c{number}{using}")]
        return NodeList([*parts, SQL(") AS given")], glue="")

    def given_rows(self, rows: Node, *fields: AnyField) -> Node:
        columns = [f"json_extract(value, '$.{field.name}') AS {field.name}" for field in fields]
        select = SQL(f"(SELECT {', '.join(columns)} FROM json_each(")
        return NodeList([select, rows, SQL(")) AS given")], glue="")

    def has_tag(self, column: Node, tag: Node) -> ColumnBase:
        return _flat(tag, SQL("IN (SELECT value FROM json_each("), column, SQL("))"))

    def tag_key(self, tag: Node) -> Node:
        return fn.LOWER(tag)

    def matches(self, column: Node, pattern: Node) -> ColumnBase:
        return fn.stogram_matches(pattern, column)

    def later_of(self, first: Node, second: Node) -> Node:
        return fn.MAX(first, fn.COALESCE(second, first))

    def earlier_of(self, first: Node, second: Node) -> Node:
        return fn.MIN(fn.COALESCE(first, second), second)

    def milliseconds_after(self, moment: Node, count: Node) -> Node:
        seconds = fn.printf("%.3f seconds", NodeList([count, SQL("/ 1000.0")], parens=True))
        return fn.strftime("%Y-%m-%d %H:%M:%f", moment, seconds)

    def lower_ascii(self, column: Node) -> Node:
        return fn.LOWER(column)

    def lock(self, query: Select) -> Select:
        return query

    def lock_name(self, name: Node) -> Select:
        return Select(columns=[name])


class PostgresDialect:
    name = "postgresql"
    locks_rows = True
    has_lateral = True
    native_types = frozenset({"TEXT", "INT", "BOOL"})

    def is_one_of(self, column: Node, values: Node) -> ColumnBase:
        return _flat(column, SQL("= ANY("), values, SQL("::text[])"))

    def given(self, **columns: Node) -> Node:
        arrays: list[Node] = []
        for values in columns.values():
            arrays += [SQL(", " if arrays else ""), values, SQL("::text[]")]
        names = ", ".join(f'"{name}"' for name in columns)
        return NodeList([SQL("unnest("), *arrays, SQL(f") AS given({names})")], glue="")

    def given_rows(self, rows: Node, *fields: AnyField) -> Node:
        columns = CommaNodeList([NodeList([SQL(field.name), _TypeOf(field)]) for field in fields])
        return NodeList(
            [SQL("json_to_recordset("), rows, SQL("::json) AS given("), columns, SQL(")")], glue=""
        )

    def has_tag(self, column: Node, tag: Node) -> ColumnBase:
        # `= ANY(column)` would not use the GIN index.
        return _flat(column, SQL("@> ARRAY["), tag, SQL("]::text[]"))

    def tag_key(self, tag: Node) -> Node:
        from stogram_sdk.models import MessageTag  # the models know the schema that is in use

        schema: str | None = MessageTag._meta.schema
        function = f'"{schema}".stogram_tag_key' if schema else "stogram_tag_key"
        # Whatever collation the tag brings along, the index has the default one.
        return NodeList([SQL(f"{function}("), tag, SQL('::text) COLLATE "default"')], glue="")

    def matches(self, column: Node, pattern: Node) -> ColumnBase:
        return _flat(column, SQL("~"), pattern)

    def later_of(self, first: Node, second: Node) -> Node:
        return fn.GREATEST(NodeList([first, SQL("::timestamp(3)")], glue=""), second)

    def earlier_of(self, first: Node, second: Node) -> Node:
        return fn.LEAST(first, second)

    def milliseconds_after(self, moment: Node, count: Node) -> Node:
        return _flat(moment, SQL("+ interval '1 millisecond' *"), count)

    def lower_ascii(self, column: Node) -> Node:
        return fn.LOWER(NodeList([column, SQL('COLLATE "C"')]))

    def lock(self, query: Select) -> Select:
        return query.for_update(_FOR_NO_KEY_UPDATE)

    def lock_name(self, name: Node) -> Select:
        return Select(columns=[fn.pg_advisory_xact_lock(fn.hashtextextended(name, 0))])


class _TypeOf(ColumnBase):
    """The type of a column, as a definition of its table names it."""

    def __init__(self, field: AnyField) -> None:
        self.field = field

    def __sql__(self, ctx: Any) -> Any:
        return ctx.sql(self.field.ddl_datatype(ctx))


def _flat(*parts: Node) -> ColumnBase:
    return NodeList(parts, parens=True)


def any_case_pattern(text: str) -> str:
    """A regular expression that finds the text in any case, the same in Python and PostgreSQL.

    Every letter becomes the class of its own case forms, so that neither the locale of the
    database (which may know only ASCII) nor SQLite's LIKE (which does) has a say. What upper case
    writes with more letters is found either way: ß and SS.
    """
    forms = _case_forms()
    folded = _fold(text)
    parts: list[str] = []
    while folded:
        several = next((start for n in (3, 2) if (start := folded[:n]) in forms and start[1:]), "")
        start = several or folded[0]
        spelled = "".join(map(_any_case, start))
        parts.append(f"(?:{spelled}|[{forms[several]}])" if several else spelled)
        folded = folded[len(start) :]
    return "".join(parts)


def _any_case(folded: str) -> str:
    if folded in _case_forms():
        # The dot of a Turkish İ becomes a character of its own in lower case.
        return f"[{_case_forms()[folded]}]" + ("\u0307?" if folded == "i" else "")
    return folded if folded.isalnum() or ord(folded) > 127 else f"\\{folded}"


def _fold(text: str) -> str:
    """The text without case; the four Turkish letters i count as one."""
    return text.upper().casefold().replace("i\u0307", "i")


@cache
def _case_forms() -> dict[str, str]:
    """By what `_fold` makes of them: the characters that differ by case only."""
    forms: dict[str, str] = {}
    for character in map(chr, range(0x20000)):  # no letter beyond these has a case
        if (folded := _fold(character)) != character:
            forms[folded] = forms.get(folded, folded if len(folded) == 1 else "") + character
    return forms


def matches(pattern: str, text: str | None) -> bool:
    """SQLite's side of `Dialect.matches`."""
    return text is not None and re.search(pattern, text) is not None

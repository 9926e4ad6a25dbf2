"""What SQLite and PostgreSQL say differently in a statement."""

from __future__ import annotations

from typing import Any, Protocol

from peewee import SQL, ColumnBase, CommaNodeList, Node, NodeList, Select, fn

from stogram_sdk.fields import AnyField

# Leaves a foreign key free to point at the row; the stubs of Peewee know only True and False.
_FOR_NO_KEY_UPDATE: Any = "FOR NO KEY UPDATE"


#: The indexes for searches by text, see `command/search_index.py`; on SQLite triggers keep one.
SEARCH_INDEXES = "Message_search_idx", "Message_search_odd_idx"
#: Characters that lower() does not fold as `any_case_pattern` does, or not on every server.
ODD_CHARACTERS = (
    r"[\u00b5\u00df\u0130\u0131\u0149\u017f\u01f0\u023a-\u024f\u0307\u0345\u0370-\u037f\u0390\u03a3"
    r"\u03b0\u03c2\u03cf-\u03ff\u04cf\u04f6-\u04ff\u0510-\u052f\u0587\u10c7-\u10cd\u10f9-\u10ff"
    r"\u13f5-\u13fd\u1c80-\u1cbf\u1d79-\u1d8e\u1e96-\u1e9f\u1efa-\u1eff\u1f50-\u1fff\u212a"
    r"\u212b\u214e\u2184\u2c00-\u2d2d\ua640-\ua69b\ua722-\ua7f6\uab53-\uabbf\ufb00-\ufb17"
    r"\U00010400-\U0001e943]"
)
HAS_SEARCH_INDEX = "SELECT 1 FROM sqlite_master WHERE name = 'Message_search_insert'"


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

    def tag_key(self, tag: Node, schema_name: str | None) -> Node:
        """The key under which the database keeps a tag, see `schema/message_tags.py`."""
        ...

    def matches(self, column: Node, pattern: Node, plain: Node) -> ColumnBase:
        """Whether the column matches the `any_case_pattern` of a text with this `plain_part`."""
        ...

    def search_hits(self, message: Any, terms: Node, chats: Node, limit: int) -> list[Any]:
        """Conditions; messages that fulfil one of them, also of other chats, may have the text."""
        ...

    def search_finds(self, message: Any, terms: Node, limit: int) -> Node:
        """Whether the search index finds all: it is there, and does not find too much."""
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

    def tag_key(self, tag: Node, schema_name: str | None) -> Node:
        return fn.LOWER(tag)

    def matches(self, column: Node, pattern: Node, plain: Node) -> ColumnBase:
        # SQLite by itself is done with most texts in less time than it takes to ask Python.
        return (fn.INSTR(fn.LOWER(column), plain) > 0) & fn.stogram_matches(pattern, column)

    def search_hits(self, message: Any, terms: Node, chats: Node, limit: int) -> list[Any]:
        found = SQL('IN (SELECT "messageId" FROM "MessageText" WHERE number IN')
        return [_flat(message.id, found, self._with_trigrams(terms, limit), SQL(")"))]

    def search_finds(self, message: Any, terms: Node, limit: int) -> ColumnBase:
        found = self._with_trigrams(terms, limit)
        return _flat(SQL("(SELECT count(*) FROM"), found, SQL(f") < {limit}"))

    def _with_trigrams(self, terms: Node, limit: int) -> ColumnBase:
        rows = 'SELECT rowid FROM "MessageTrigram" WHERE "MessageTrigram" MATCH'
        return _flat(SQL(rows), terms, SQL(f"LIMIT {limit}"))

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

    def tag_key(self, tag: Node, schema_name: str | None) -> Node:
        home = f'"{schema_name}".' if schema_name else ""
        # Whatever collation the tag brings along, the index has the default one.
        call = SQL(f"{home}stogram_tag_key(")
        return NodeList([call, tag, SQL('::text) COLLATE "default"')], glue="")

    def matches(self, column: Node, pattern: Node, plain: Node) -> ColumnBase:
        return _flat(column, SQL("~"), pattern)

    def search_hits(self, message: Any, terms: Node, chats: Node, limit: int) -> list[Any]:
        like = SQL("ILIKE")
        is_usual = _flat(message.content, like, terms) | _flat(message.file_name, like, terms)
        text = [fn.COALESCE(message.content, ""), SQL("||"), fn.COALESCE(message.file_name, "")]
        is_odd = _flat(_flat(*text), SQL(f"~ '{ODD_CHARACTERS}'"))
        in_chats = _flat(message.chat, SQL("= ANY(ARRAY"), chats, SQL(")"))
        return [is_usual, is_odd & in_chats]

    def search_finds(self, message: Any, terms: Node, limit: int) -> ColumnBase:
        schema_name = message._meta.schema
        home = f'"{schema_name}".' if schema_name else ""
        names = ", ".join(f"to_regclass('{home}\"{name}\"')" for name in SEARCH_INDEXES)
        valid = f"SELECT count(*) FROM pg_index WHERE indexrelid IN ({names}) AND indisvalid"
        # With the collation C only A-Z have a case; with a Turkish one, I is not i.
        is_usual = "lower('I\u042f') = 'i\u044f'"
        return _flat(terms, SQL(f"~ '[[:alnum:]]{{3}}' AND {is_usual} AND ({valid}) = 2"))

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

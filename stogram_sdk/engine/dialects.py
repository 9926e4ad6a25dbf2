"""The parts of a statement that differ between SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any, TypeAlias

from peewee import SQL, ColumnBase, CommaNodeList, Node, NodeList, Select, fn

from stogram_sdk.fields import AnyField, TextArray, tags_to_json

# With it, foreign keys can still refer to the row. Peewee's stubs know only True and False.
_FOR_NO_KEY_UPDATE: Any = "FOR NO KEY UPDATE"


#: The indexes for searches by text, see `command/search_index.py`; SQLite keeps one by triggers.
SEARCH_INDEXES = "Message_search_idx", "Message_search_odd_idx"
#: Characters that lower() does not fold as `any_case_pattern` does, or not on every server; and
#: those of a text that is not composed (NFC), or may not be, of which that knows the other forms.
ODD_CHARACTERS = (
    r"[\u00b5\u00df\u0130-\u0131\u0149\u017f\u01f0\u023a-\u024f\u0300-\u0345\u0370-\u037f\u0387"
    r"\u0390\u03a3\u03b0\u03c2\u03cf-\u03ff\u04cf\u04f6-\u04ff\u0510-\u052f\u0587\u0653-\u0655"
    r"\u093c\u0958-\u095f\u09be\u09d7-\u09df\u0a33\u0a36\u0a59-\u0a5b\u0a5e\u0b3e-\u0b5d\u0bbe"
    r"\u0bd7\u0c56\u0cc2-\u0cd6\u0d3e\u0d57\u0dca-\u0ddf\u0f43\u0f4d\u0f52\u0f57\u0f5c\u0f69"
    r"\u0f73-\u0f81\u0f93-\u0fb9\u102e\u10c7-\u10cd\u10f9-\u10ff\u1161-\u1175\u11a8-\u11c2"
    r"\u13f5-\u13fd\u1b35\u1c80-\u1cbf\u1d79-\u1d8e\u1e96-\u1e9f\u1efa-\u1eff\u1f50-\u2001\u2126"
    r"\u212a-\u212b\u214e\u2184\u2329-\u232a\u2adc\u2c00-\u2d2d\u3099-\u309a\ua640-\ua69b"
    r"\ua722-\ua7f6\uab53-\uabbf\uf900-\ufb4e\U00010400-\U0001e943\U0002f800-\U0002fa1d]"
)
#: Among the columns of the server: "Message" keeps tags as JSON in columns of type TEXT.
TAGS_AS_JSON = "Message.hashtags"
#: And of a database that is distributed over several servers: a reaction has the chat it is in.
CHAT_OF_REACTION = "Reaction.chatId"
#: And of one that has the indexes for searches by text: the last that is made has the chat.
CHAT_OF_SEARCH_INDEX = f"{SEARCH_INDEXES[1]}.chatId"
HAS_SEARCH_INDEX = "SELECT 1 FROM sqlite_master WHERE name = 'Message_search_insert'"


class PostgresDialect:
    """The expressions that a statement cannot write the same for both engines.

    `tags_are_json`: the server keeps tags as JSON in columns of type TEXT, not in arrays.
    """

    name = "postgresql"
    #: Whether rows are locked. PostgreSQL decides what a statement sees before it waits for locks.
    locks_rows = True
    #: Whether a subquery in FROM can refer to the rows before it.
    has_lateral = True
    #: Whether one statement can write several tables.
    writes_in_ctes = True
    #: Whether an index can be on a function of this package.
    has_own_indexes = True

    def __init__(self, server_columns: frozenset[str] = frozenset()) -> None:
        self.tags_are_json = TAGS_AS_JSON in server_columns
        #: Whether the rows of each chat are on one of several servers, to be found by the chat.
        self.is_distributed = CHAT_OF_REACTION in server_columns
        #: Columns that a later server has added, as "Table.column".
        self.server_columns = server_columns
        arrays = frozenset() if self.tags_are_json else frozenset({"TEXT[]"})
        #: The types of columns whose values the driver returns as Python's own.
        self.native_types = frozenset({"TEXT", "INT", "BOOL"}) | arrays

    def is_one_of(self, column: Node, values: Node) -> ColumnBase:
        """Whether the column is one of the texts of a list parameter."""
        return _flat(column, SQL("= ANY("), values, SQL("::text[])"))

    def tags(self, texts: list[str]) -> Any:
        """Tags as the driver writes them into a column."""
        return tags_to_json(texts) if self.tags_are_json else TextArray(texts)

    def given(self, **columns: Node) -> Node:
        """A table named `given`, of list parameters of one length, to select from."""
        arrays: list[Node] = []
        for values in columns.values():
            arrays += [SQL(f"{', ' if arrays else ''}pg_catalog.unnest("), values, SQL("::text[])")]
        names = ", ".join(f'"{name}"' for name in columns)
        return NodeList([SQL("ROWS FROM ("), *arrays, SQL(f") AS given({names})")], glue="")

    def given_rows(self, rows: Node, *fields: AnyField) -> Node:
        """A table named `given`, of a parameter that is `Rows`: columns named and typed as fields.

        It is for rows to write. PostgreSQL cannot estimate how many they are, so it would look them
        up in a slow way.
        """
        kind = _TextOf if self.tags_are_json else _TypeOf
        columns = CommaNodeList([NodeList([SQL(field.name), kind(field)]) for field in fields])
        return NodeList(
            [SQL("json_to_recordset("), rows, SQL("::json) AS given("), columns, SQL(")")], glue=""
        )

    def json_array(self, *columns: Node) -> ColumnBase:
        """The columns as one value in JSON."""
        return fn.json_build_array(*columns)

    def json_list(self, value: Node) -> ColumnBase:
        """The values of all rows as one list in JSON; NULL or an empty list if there are none."""
        return fn.json_agg(value)

    def tag_key(self, tag: Node, schema_name: str | None) -> Node:
        """The key under which the database keeps a tag, see `schema/message_tags.py`."""
        home = _home(schema_name)
        # The index has the default collation, and the tag may have another.
        call = SQL(f"{home}stogram_tag_key(")
        return NodeList([call, tag, SQL('::text) COLLATE "default"')], glue="")

    def matches(self, column: Node, pattern: Node, plain: Node) -> ColumnBase:
        """Whether the column matches the `any_case_pattern` of a text with this `plain_part`."""
        return _flat(column, SQL("~"), pattern)

    def search_hits(self, message: Any, terms: Node, chats: Node, limit: int) -> list[Any]:
        """Conditions; a message with the text fulfils one of them, and others may too."""
        like = SQL("ILIKE")
        is_usual = _flat(message.content, like, terms) | _flat(message.file_name, like, terms)
        text = [fn.COALESCE(message.content, ""), SQL("||"), fn.COALESCE(message.file_name, "")]
        is_odd = _flat(_flat(*text), SQL(f"~ '{ODD_CHARACTERS}'"))
        in_chats = _flat(message.chat, SQL("= ANY(ARRAY"), chats, SQL(")"))
        return [is_usual, is_odd & in_chats]

    def search_finds(self, message: Any, terms: Node, limit: int) -> ColumnBase:
        """Whether the search index finds all of these: it is there, and they are not too many."""
        # With the collation C only A-Z have a case; with a Turkish one, I is no form of i.
        is_usual = "~ '[[:alnum:]]{3}' AND lower('I\u042f') = 'i\u044f'"
        if self.is_distributed:  # A catalog is on no server with the chats; see `search_terms`.
            return _flat(terms, SQL(is_usual))
        home = _home(message._meta.schema)
        names = ", ".join(f"to_regclass('{home}\"{name}\"')" for name in SEARCH_INDEXES)
        valid = f"SELECT count(*) FROM pg_index WHERE indexrelid IN ({names}) AND indisvalid"
        return _flat(terms, SQL(f"{is_usual} AND ({valid}) = 2"))

    def time_of(self, text: Node) -> Node:
        """The time that is sent as this text, see `fields.time_to_text`."""
        return NodeList([text, SQL("::timestamp(3)")], glue="")

    def latest_of(self, first: Node, *others: Node) -> Node:
        """The latest of several times, of which all but the first may be NULL."""
        return fn.GREATEST(self.time_of(first), *others)

    def milliseconds_after(self, moment: Node, count: Node) -> Node:
        """The time so many milliseconds later."""
        return _flat(self.time_of(moment), SQL("+ interval '1 millisecond' *"), count)

    def lower_ascii(self, column: Node) -> Node:
        """The column with A-Z in lower case, whatever the locale."""
        return fn.LOWER(NodeList([column, SQL('COLLATE "C"')]))

    def lock(self, query: Select, *, skips_locked: bool = False) -> Select:
        """The query, holding the rows that it finds until the transaction ends.

        `skips_locked`: it leaves out the rows that somebody else holds, and waits for none.
        """
        how: Any = f"{_FOR_NO_KEY_UPDATE} SKIP LOCKED" if skips_locked else _FOR_NO_KEY_UPDATE
        return query.for_update(how)

    def lock_name(self, name: Node) -> Select:
        """A query that holds a name, for which there is no row yet, until the transaction ends."""
        return Select(columns=[fn.pg_advisory_xact_lock(fn.hashtextextended(name, 0))])


class SqliteDialect:
    """The same as SQLite has them."""

    name = "sqlite"
    locks_rows = False
    has_lateral = False
    writes_in_ctes = False
    has_own_indexes = False
    is_distributed = False
    server_columns: frozenset[str] = frozenset()
    native_types = frozenset({"TEXT", "INT"})

    def is_one_of(self, column: Node, values: Node) -> ColumnBase:
        return _flat(column, SQL("IN (SELECT value FROM json_each("), values, SQL("))"))

    def tags(self, texts: list[str]) -> Any:
        return TextArray(texts)

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

    def json_array(self, *columns: Node) -> ColumnBase:
        return fn.json_array(*columns)

    def json_list(self, value: Node) -> ColumnBase:
        return fn.json_group_array(value)

    def tag_key(self, tag: Node, schema_name: str | None) -> Node:
        return fn.stogram_tag_key(tag)

    def matches(self, column: Node, pattern: Node, plain: Node) -> ColumnBase:
        # SQLite rules out most texts by itself, in less time than a call of Python takes.
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

    def time_of(self, text: Node) -> Node:
        return text

    def latest_of(self, first: Node, *others: Node) -> Node:
        return fn.MAX(first, *(fn.COALESCE(other, first) for other in others))

    def milliseconds_after(self, moment: Node, count: Node) -> Node:
        seconds = fn.printf("%.3f seconds", NodeList([count, SQL("/ 1000.0")], parens=True))
        return fn.strftime("%Y-%m-%d %H:%M:%f", moment, seconds)

    def lower_ascii(self, column: Node) -> Node:
        return fn.LOWER(column)

    def lock(self, query: Select, *, skips_locked: bool = False) -> Select:
        return query

    def lock_name(self, name: Node) -> Select:
        return Select(columns=[name])


Dialect: TypeAlias = PostgresDialect | SqliteDialect


def cast_to(field: AnyField, value: Node) -> Node:
    """The value with the type of a column; for PostgreSQL."""
    return NodeList([SQL("CAST("), value, SQL(" AS "), _TypeOf(field), SQL(")")], glue="")


def _home(schema_name: str | None) -> str:
    """The schema's name and a dot, to put before the name of a table or function."""
    return f'"{schema_name}".' if schema_name else ""


class _TypeOf(ColumnBase):
    """The type of a column, as a definition of its table names it."""

    def __init__(self, field: AnyField) -> None:
        self.field = field

    def __sql__(self, ctx: Any) -> Any:
        return ctx.sql(self.field.ddl_datatype(ctx))


class _TextOf(_TypeOf):
    """The same, where arrays of texts are JSON."""

    def __sql__(self, ctx: Any) -> Any:
        return ctx.literal("TEXT") if self.field.field_type == "TEXT[]" else super().__sql__(ctx)


def _flat(*parts: Node) -> ColumnBase:
    return NodeList(parts, parens=True)

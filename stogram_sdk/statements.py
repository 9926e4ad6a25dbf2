"""Statements that are built once and then only given values.

A statement is a function that returns a Peewee query in which `P.user_id` stands for the value
`user_id` of a call::

    @statement
    def _is_blocked() -> Select:
        return BlockedUser.select(BlockedUser.id).where(
            BlockedUser.user == P.user_id, BlockedUser.blocked == P.other_id
        )

    _is_blocked.first(user_id=user_id, other_id=other_id) is not None

Peewee spends some 300 microseconds on such a query, more than the database does. So it is built
at the first call on each database, and kept as text.

The rows have the shape of what is selected, see `parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache, lru_cache
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, TypeVar

from peewee import SQL, ColumnBase, Model, Query, Select, fn

from stogram_sdk.database import current_database
from stogram_sdk.engine.dialects import Dialect
from stogram_sdk.engine.prepared import Placeholder, Prepared, only_reads, prepared
from stogram_sdk.fields import Rows, Tags, TextArray, rows_to_json, time_to_text
from stogram_sdk.parts import Reader, reader_of

R = TypeVar("R", bound=Model)


class Parameter(ColumnBase):
    """A value that is given at each call."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __sql__(self, ctx: Any) -> Any:
        return ctx.value(Placeholder(self.name), converter=False)


class _Parameters:
    def __getattr__(self, name: str) -> Parameter:
        return Parameter(name)


P: Any = _Parameters()


def dialect() -> Dialect:
    """The dialect of the connected database, for the functions that build statements."""
    found: Dialect = current_database().dialect
    return found


class InTurn(NamedTuple):
    """Queries that are one transaction, and with PostgreSQL one round trip; the last one's rows.

    On PostgreSQL a statement sees the data as they were when it began, before it waited for a lock.
    So a statement of its own takes a lock. The transaction is READ COMMITTED whatever the
    database's default: so the next statement sees newer data.
    """

    queries: tuple[Any, ...]


def in_turn(*queries: Query) -> InTurn:
    """The queries, of which each sees what those before it have written."""
    return InTurn(queries)


def after_locking(query: Any, *lock: Query) -> Any:
    """The query, or queries in turn, once the locks are held: selects made by `Dialect.lock`.

    SQLite has one writer at a time, and no need for them.
    """
    if not dialect().locks_rows:
        return query
    return InTurn((*lock, *(query.queries if isinstance(query, InTurn) else (query,))))


class FirstOf(NamedTuple):
    """Two queries, of which the second is sent if the first has returned no row."""

    query: Query
    otherwise: Query


#: What is returned, one part or several, of any table that has the columns of the model.
Shown: TypeAlias = Callable[[Any], Any]


def insert_or_select(
    insert: Any, existing: Any, shown: Shown, *ctes: Any, is_locked: bool = False
) -> Any:
    """The row that `insert` writes, or else the one that `existing` selects.

    So a call that has nothing left to do writes nothing, and asks no second time. `is_locked`: the
    existing row is locked.
    """
    if dialect().writes_in_ctes:
        return _insert_or_select_in_one(insert, existing, shown, *ctes, is_locked=is_locked)
    selected = _selected(shown, existing.model)
    queries = insert.returning(*selected), existing.select(*selected)
    return FirstOf(*(query.with_cte(*ctes) for query in queries))


def _insert_or_select_in_one(
    insert: Any, existing: Any, shown: Shown, *ctes: Any, is_locked: bool
) -> Any:
    model = existing.model
    inserted = insert.returning(model).cte("made")
    is_inserted = fn.EXISTS(inserted.select(SQL("1")))
    selected = existing.select(*model._meta.sorted_fields)
    if dialect().is_distributed:  # There it sees what was inserted.
        selected = selected.where(~is_inserted)
    rows = Select([inserted], [SQL("*")]) + selected
    found = Select([rows.alias("rows")], _selected(shown, model.alias("rows")))
    if dialect().is_distributed and not is_locked:  # Before the rest is read, the row may be gone.
        found = found.where(is_inserted | fn.EXISTS(existing))
    return found.with_cte(*ctes, inserted)


def returning(write: Any, model: Any, shown: Shown) -> Any:
    """The query, which writes rows of the model and returns what is `shown` of each.

    That may be subqueries. RETURNING could have them too, but not where the database is distributed
    and the rows are selected.
    """
    if not dialect().writes_in_ctes:
        return write.returning(*_selected(shown, model))
    written = write.returning(model).cte("written")
    return Select([written], _selected(shown, model.alias("written"))).with_cte(written)


def _selected(shown: Shown, table: Any) -> Sequence[Any]:
    selected = shown(table)
    return selected if isinstance(selected, list | tuple) else [selected]


class Statement:
    """A query of Peewee that is built once for each database."""

    def __init__(
        self, build: Callable[..., Any], variant: tuple[tuple[str, Any], ...] = ()
    ) -> None:
        self._build = build
        self._variant = variant
        self.variant = cache(self._make_variant)

    def _make_variant(self, **options: Any) -> Statement:
        """The statement for these arguments; the same one for the same arguments."""
        return Statement(self._build, (*self._variant, *options.items()))

    def all(self, **values: Any) -> list[Any]:
        """Every row."""
        database = current_database()
        compiled = self._compiled(database)
        if _needs_unit(compiled, database):
            with database.unit():
                return self.all(**values)
        rows = _rows(compiled, values, database)
        if not rows and compiled.otherwise is not None:
            rows = _rows(compiled.otherwise, values, database)
        return rows

    def first(self, **values: Any) -> Any:
        """The first row, or None."""
        # All rows are fetched, because SQLite ends a write only after the last row it returns.
        rows = self.all(**values)
        return rows[0] if rows else None

    def run(self, **values: Any) -> int:
        """The number of rows that were written."""
        database = current_database()
        compiled = self._compiled(database)
        if _needs_unit(compiled, database):
            with database.unit():
                return self.run(**values)
        return int(_execute(compiled, values, database).rowcount)

    def sql(self) -> str:
        """The text, as it is planned by the database that is connected."""
        return self._compiled(current_database()).plain.sql

    def _compiled(self, database: Any) -> _Compiled:
        # Another thread may replace them, when its connection finds other columns.
        statements: dict[Statement, _Compiled] = database.statements
        compiled = statements.get(self)
        if compiled is None:
            built = self._build(**dict(self._variant))
            compiled = statements[self] = _compile(database, built, self._build.__name__)
        return compiled


def statement(build: Callable[..., Any]) -> Statement:
    """Make a function that returns a query a `Statement`."""
    return Statement(build)


def amend(row: R, **values: Any) -> R:
    """Give columns of a row other values than were read; for Peewee they are not set since."""
    row.__data__.update(values)
    return row


_BINDERS: dict[type, Callable[[Any], Any]] = {
    datetime: time_to_text,
    list: TextArray,
    tuple: TextArray,
    Rows: rows_to_json,
}


def _bind(value: Any, database: Any) -> Any:
    if type(value) is str:  # Most values are.
        return value
    if isinstance(value, Tags):
        return database.dialect.tags(value)
    binder = _binder_of(type(value))  # type: ignore[arg-type]  # a class can be hashed
    return value if binder is None else binder(value)


@lru_cache
def _binder_of(kind: type) -> Callable[[Any], Any] | None:
    """The binder of a type, or of the next of its bases that has one."""
    return next((_BINDERS[base] for base in kind.__mro__ if base in _BINDERS), None)


class _Form(NamedTuple):
    """`alone` is the text to send outside a transaction, where the statement is one by itself."""

    sql: str
    alone: str
    slots: tuple[Any, ...]


class _Compiled(NamedTuple):
    """`short` is the form to send once the connection has `prepared` what it executes.

    `before`: what to send before it, in the same transaction. `otherwise`: what to send where it
    has returned no row.
    """

    plain: _Form
    short: _Form
    prepared: tuple[Prepared, ...]
    make_reader: Callable[[], Reader]
    before: tuple[_Compiled, ...] = ()
    otherwise: _Compiled | None = None

    def read_rows(self, rows: list[tuple[Any, ...]]) -> list[Any]:
        return list(map(self.make_reader(), rows)) if rows else []


def _needs_unit(compiled: _Compiled, database: Any) -> bool:
    """Whether there are several statements, and the caller has no transaction."""
    return bool(compiled.before) and not database.in_transaction()


def _rows(compiled: _Compiled, values: dict[str, Any], database: Any) -> list[Any]:
    return compiled.read_rows(database.fetch(_execute(compiled, values, database)))


def _execute(compiled: _Compiled, values: dict[str, Any], database: Any) -> Any:
    for before in compiled.before:
        _execute(before, values, database)
    form = compiled.short if database.has_prepared(compiled.prepared) else compiled.plain
    return database.carry_out(
        form.sql if database.in_transaction() else form.alone,
        [
            _bind(values[slot], database) if type(slot) is Placeholder else slot
            for slot in form.slots
        ],
    )


def _compile(database: Any, built: Query | InTurn | FirstOf, name: str) -> _Compiled:
    if isinstance(built, FirstOf):
        otherwise = _compile(database, built.otherwise, name)
        return _compile(database, built.query, name)._replace(otherwise=otherwise)
    if isinstance(built, InTurn):
        if not database.dialect.locks_rows:
            *before, last = (_compile(database, query, name) for query in built.queries)
            return last._replace(before=tuple(before))
        queries = [*built.queries]
    else:
        queries = [built]
    plain = [database.get_sql_context().sql(query).query() for query in queries]
    before_alone = ""
    if isinstance(built, InTurn):
        before_alone = database.before_locking
    elif not only_reads(plain[0][0]):
        before_alone = database.before_write()
    planned = [prepared(sql, slots, name) for sql, slots in plain] if database.prepares else []
    return _Compiled(
        _form(before_alone, plain),
        _form(before_alone, [(each.execute, each.slots) for each in planned]),
        tuple(planned),
        reader_of(queries[-1]._returning or (), database.dialect.native_types),
    )


def _form(before_alone: str, queries: Sequence[tuple[str, Iterable[Any]]]) -> _Form:
    sql = "; ".join(text for text, _ in queries)
    return _Form(sql, before_alone + sql, tuple(chain.from_iterable(slots for _, slots in queries)))

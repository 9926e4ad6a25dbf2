"""The connection to the database: `db`, `connect()`, `session()`, `close()`, `transaction()`.

The models are bound to `db`, which stands for whatever `connect()` opened last. A call takes a
connection from the pool for as long as it runs; `session()` keeps one for many calls.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import peewee

from stogram_sdk.dialects import Dialect, PostgresDialect, SqliteDialect, matches
from stogram_sdk.errors import DatabaseError, StogramError, Unavailable
from stogram_sdk.pool import PooledConnections

if TYPE_CHECKING:
    from stogram_sdk.database_url import DatabaseSettings

T = TypeVar("T")

db = peewee.DatabaseProxy()


class SqliteDatabase(PooledConnections, peewee.SqliteDatabase):
    """An embedded database in one file; writers take turns."""

    dialect: Dialect = SqliteDialect()
    field_types = peewee.SqliteDatabase.field_types | {
        "ENUM": "TEXT",
        "TEXT[]": "TEXT",
        "TIMESTAMP(3)": "TEXT",
    }

    def __init__(self, settings: DatabaseSettings) -> None:
        in_memory = settings.database == ":memory:"
        super().__init__(
            settings.database,
            # A database in memory is its one connection.
            connection_limit=1 if in_memory else settings.connection_limit,
            max_idle_connection_lifetime=0 if in_memory else settings.max_idle_connection_lifetime,
            pool_timeout=settings.pool_timeout,
            pragmas={"foreign_keys": 1, "journal_mode": "wal"},
            timeout=settings.statement_timeout or 3600,
            # A transaction that reads first and writes later cannot wait for another writer.
            lock_type="IMMEDIATE",
            returning_clause=True,
            check_same_thread=False,
        )
        self.statements: dict[Any, Any] = {}
        self.register_function(matches, "stogram_matches", 2, deterministic=True)

    def _is_alive(self, connection: Any) -> bool:
        return True

    def _can_reuse(self, connection: Any) -> bool:
        if connection.in_transaction:
            connection.rollback()
        return True

    def _discard(self, connection: Any) -> None:
        connection.close()


class PostgresDatabase(PooledConnections, peewee.PostgresqlDatabase):
    """A PostgreSQL server, or PgBouncer in front of one: nothing depends on session state."""

    dialect: Dialect = PostgresDialect()
    _adapter: Any  # Peewee's psycopg2, which its stubs leave out

    def __init__(self, settings: DatabaseSettings) -> None:
        super().__init__(
            settings.database,
            connection_limit=settings.connection_limit,
            pool_timeout=settings.pool_timeout,
            max_idle_connection_lifetime=settings.max_idle_connection_lifetime,
            **_LIBPQ_DEFAULTS | dict(settings.libpq),
        )
        self.statements: dict[Any, Any] = {}

    def _is_alive(self, connection: Any) -> bool:
        # An idle connection has nothing to say: what can be read is its end.
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN)
        return not connection.closed and not poller.poll(0)

    def _can_reuse(self, connection: Any) -> bool:
        return bool(self._adapter.is_connection_reusable(connection))

    def _discard(self, connection: Any) -> None:
        connection.close()


_LIBPQ_DEFAULTS = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
    "application_name": "stogram_sdk",
}


def open_database(url: str | None = None, **options: Any) -> tuple[Any, DatabaseSettings]:
    """A database as `connect()` makes it, not yet bound to the models."""
    from stogram_sdk.database_url import read_database_url

    settings = read_database_url(url, **options)
    kind = SqliteDatabase if settings.engine == "sqlite" else PostgresDatabase
    return kind(settings), settings


def connect(url: str | None = None, **options: Any) -> None:
    """Bind the models to a database; connections are opened when they are needed.

    `url` defaults to `$STOGRAM_DATABASE_URL`, then `$DATABASE_URL`, then `sqlite:///stogram.db`;
    the server's own URL works as it is. Options (seconds, where they are times):
    `connection_limit=10`, `pool_timeout=10`, `connect_timeout=5`, `statement_timeout=15`,
    `max_idle_connection_lifetime=300`, `schema`, and those of libpq; they go before the URL's.

    Raises `InvalidInput` for a URL or option that cannot be right, `Unavailable` if the database
    cannot be reached.
    """
    database, settings = open_database(url, **options)
    with translated_errors():
        database.connect()
        database.close()
    close()
    db.initialize(database)
    _use_schema(settings.schema)


def _use_schema(schema: str | None) -> None:
    from stogram_sdk.models import MODELS  # the models are bound to `db`, defined above

    for model in MODELS:
        meta: Any = model._meta
        meta.schema = schema
        del meta.table


def current_database() -> Any:
    """The database that `connect()` opened."""
    if db.obj is None:
        raise StogramError("no database: call stogram_sdk.connect() first")
    return db.obj


@contextmanager
def session() -> Iterator[None]:
    """Keep one connection of the pool for everything inside; hand it back at the end.

    Sessions nest: an inner one uses the connection of the outer one.
    Raises `Unavailable` if no connection can be had in time.
    """
    database = current_database()
    with translated_errors():
        opened = database.connect(reuse_if_open=True)
    try:
        yield
    finally:
        if opened:
            database.close()


def close() -> None:
    """Close all connections; those at work in other threads close when they are done."""
    if db.obj is not None:
        db.obj.close_all()
        db.initialize(None)


@contextmanager
def transaction() -> Iterator[None]:
    """Make what is inside one unit: all of it happens, or nothing.

    Inside another transaction it is a savepoint. Raises `Unavailable` if the outcome of the commit
    is not known; see `retrying` for a unit that is tried again when it meets another.
    """
    with session(), translated_errors(), current_database().atomic():
        yield


def _forget_connections() -> None:
    if db.obj is not None:
        db.obj.forget_connections()


os.register_at_fork(after_in_child=_forget_connections)

# SQLSTATE classes and codes after which the same call may well succeed: connection exceptions,
# too many connections, lock timeout, query canceled, shutdown and recovery.
_UNAVAILABLE = ("08", "53300", "55P03", "57", "25P03", "25P04")
_CONFLICTS = ("40001", "40P01")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Let what driver, Peewee or pool raise leave as a `StogramError`, chained to its cause."""
    try:
        yield
    except peewee.PeeweeException as error:
        raise translate(error) from error


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of a Peewee error from PostgreSQL."""
    original = error.args[0] if error.args else None
    return getattr(original, "pgcode", None)


def is_conflict(error: BaseException) -> bool:
    """Whether two transactions were in each other's way and this one should run again."""
    return sqlstate_of(error) in _CONFLICTS


def translate(error: peewee.PeeweeException) -> StogramError:
    """The `StogramError` for an error of Peewee; its text never repeats the driver's."""
    sqlstate = sqlstate_of(error)
    original = error.args[0] if error.args else None
    if sqlstate is not None and (sqlstate in _CONFLICTS or sqlstate.startswith(_UNAVAILABLE)):
        return Unavailable(
            f"the database did not do it in time or is not ready (SQLSTATE {sqlstate})",
            sqlstate=sqlstate,
        )
    if sqlstate == "42P01" or "no such table" in str(original):
        return DatabaseError(
            "a table of Stogram is missing: run `pw_migrate migrate`", sqlstate=sqlstate
        )
    if sqlstate is None and isinstance(error, peewee.OperationalError | peewee.InterfaceError):
        return Unavailable("the database cannot be reached", safe_to_retry=True)
    constraint = getattr(getattr(original, "diag", None), "constraint_name", None)
    about = f" by {constraint}" if constraint else ""
    code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
    return DatabaseError(f"the database refused a statement{about}{code}", sqlstate=sqlstate)


def run_again_on_conflict(unit: Callable[[], T]) -> T:
    """Run a whole unit of work, up to five times while it meets another (40001, 40P01)."""
    try:
        return unit()
    except peewee.PeeweeException as error:
        if not is_conflict(error):
            raise
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    again = Retrying(
        stop=stop_after_attempt(4),
        wait=wait_random_exponential(multiplier=0.02, max=1),
        retry=retry_if_exception(is_conflict),
        reraise=True,
    )
    return again(unit)

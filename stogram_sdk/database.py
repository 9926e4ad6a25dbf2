"""The connection to the database: `db`, `connect()`, `session()`, `close()`, `transaction()`.

The models are bound to `db`, which stands for the database that `connect()` opened last. What was
at work then, in another thread, goes on and ends at the database where it began. A call takes a
connection from the pool for as long as it runs; `session()` keeps one for many calls.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack, cast

import peewee

from stogram_sdk.engine.failures import translated_errors
from stogram_sdk.engine.options import ConnectOptions, DatabaseOptions, Reading
from stogram_sdk.engine.pool import PoolStatus
from stogram_sdk.engine.standbys import Reads, Standbys, read_position, write_position
from stogram_sdk.engine.units import Unit, at_work, on_connection
from stogram_sdk.errors import InvalidInput, StogramError, Unavailable

if TYPE_CHECKING:
    from stogram_sdk.engine.database_url import DatabaseSettings


class Database(peewee.DatabaseProxy):
    """Stands for the database that `connect()` opened last, or that this thread is at work with.

    What Peewee has of units of work is a `Unit` here. If one opens a connection, that goes back to
    the pool at the end.
    """

    def __repr__(self) -> str:
        if self.obj is None:
            return "<Database: not connected>"
        return f"<Database: {self.obj.dialect.name}, {self.obj.database}>"

    def __getattr__(self, name: str) -> Any:
        database = at_work.found()
        return super().__getattr__(name) if database is None else getattr(database, name)

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Open a connection that is this thread's until `close()`, as Peewee does."""
        database = current_database()
        is_new: bool = database.connect(reuse_if_open)
        at_work.connected = database
        return is_new

    def atomic(self, *args: Any, **options: Any) -> Any:
        return _unit(lambda database: database.atomic(*args, **options))

    def transaction(self, *args: Any, **options: Any) -> Any:
        return _unit(lambda database: database.transaction(*args, **options))

    def manual_commit(self) -> Any:
        return _unit(lambda database: database.manual_commit())

    def connection_context(self) -> Any:
        return _unit(nullcontext)

    def __enter__(self) -> Database:
        unit = self.atomic()
        unit.__enter__()
        self._state.ctx.append(unit)
        return self

    def __exit__(self, *raised: Any) -> None:
        if not self._state.ctx:
            raise StogramError("`with db:` was left in another thread: use `with transaction():`")
        self._state.ctx.pop().__exit__(*raised)


def _unit(begin: Callable[[Any], AbstractContextManager[Any]]) -> Unit[Any]:
    @contextmanager
    def body() -> Iterator[Any]:
        database = current_database()
        database.connect(reuse_if_open=True)
        with begin(database) as unit:
            yield unit

    return Unit(current_database, body)


db = Database()


def open_database(
    url: str | None = None, **options: Unpack[DatabaseOptions]
) -> tuple[Any, DatabaseSettings]:
    """A database as `connect()` makes it, not yet bound to the models."""
    # Imported here, so that only the engine in use is loaded.
    from stogram_sdk.engine.database_url import read_database_url

    settings = read_database_url(url, **options)
    if settings.engine == "sqlite":
        from stogram_sdk.engine.sqlite import SqliteDatabase

        return SqliteDatabase(settings), settings
    from stogram_sdk.engine.postgres import PostgresDatabase

    return PostgresDatabase(settings), settings


def connect(url: str | None = None, **options: Unpack[ConnectOptions]) -> None:
    """Bind the models to a database; connections are opened when they are needed.

    `url` defaults to `$STOGRAM_DATABASE_URL`, then `$DATABASE_URL`, then `sqlite:///stogram.db`;
    the server's own URL works as it is. The options are those of `stogram_sdk.engine.database_url`,
    and go before those of the URL. The limits of time, in seconds (0: none):

    * `connect_timeout=5`: until the server has accepted a connection, for each of its addresses, in
      whole seconds, rounded up;
    * `pool_timeout=10`: until one of the `connection_limit=10` connections is free;
    * `statement_timeout=8`: until a statement is answered. A slow server is then asked to cancel
      it; a silent one is given up half a second later, so that no call waits for longer than 10;
    * `lock_timeout=5`: until another transaction releases a row or table, in a transaction;
    * `idle_in_transaction_session_timeout=60`: between two statements of a transaction, after
      which the server ends it;
    * `max_idle_connection_lifetime=300`: after which an unused connection is not used again.

    Of several hosts the first one that takes writes is used, unless `target_session_attrs` says
    otherwise, and `connect_timeout` is 1. One that is silent is left within two seconds.

    `read_url`, or `$STOGRAM_READ_URL` where the environment gives `url` too, names standbys: one
    URL or several. `read` is where functions that only read go, "primary" by default, or "standby";
    see `session`. A read waits for a standby to have what its thread or task has written, for
    `standby_patience=0.05` seconds at most, and goes to the primary then. A standby that lacks what
    the primary had `max_standby_lag=10` seconds ago is left out.

    The limits hold through PgBouncer too. They do not limit how long the system's resolver looks
    for the server's name; `hostaddr` gives the address instead. On SQLite, `statement_timeout` is
    also how long a call waits for another writer.

    Raises `InvalidInput` for a URL or option that cannot be right, `Unavailable` if the database
    cannot be reached.

    >>> connect("sqlite:///:memory:", statement_timeout=2)
    >>> db
    <Database: sqlite, :memory:>
    """
    _require_outside()
    bind(reached_database(url, **options))


def reached_database(url: str | None = None, **options: Unpack[ConnectOptions]) -> Any:
    """A database that has accepted a connection, not yet bound to the models."""
    read_url, read = options.pop("read_url", None), options.pop("read", None)
    if read_url is None and url is None:
        read_url = os.environ.get("STOGRAM_READ_URL", "").split()
    reads_at_standby = _reads_at_standby(read)
    of_one = cast(DatabaseOptions, options)
    database, settings = open_database(url, **of_one)
    if read_url:
        urls = [read_url] if isinstance(read_url, str) else read_url
        database.standbys = Standbys(
            database,
            [_open_standby(settings, each, of_one) for each in urls],
            default=Reads(reads_at_standby),
            patience=settings.standby_patience,
            max_lag=settings.max_standby_lag,
        )
    with translated_errors():
        on_connection(database, lambda: None)
    if database.standbys is not None:
        database.standbys.look()
    return database


# Where the primary is, which its standbys are not.
_PLACE = "host", "hostaddr", "port", "service", "load_balance_hosts", "target_session_attrs"


def _open_standby(primary: DatabaseSettings, url: str, options: DatabaseOptions) -> Any:
    from stogram_sdk.engine.database_url import read_database_url

    elsewhere = {name: value for name, value in options.items() if name not in _PLACE}
    settings = read_database_url(url, **cast(DatabaseOptions, elsewhere))
    if "sqlite" in (primary.engine, settings.engine):
        raise InvalidInput(
            "only a PostgreSQL database has standbys: leave read_url out for SQLite",
            field="read_url",
        )
    from stogram_sdk.engine.postgres import PostgresDatabase

    return PostgresDatabase(settings, is_standby=True)


def _reads_at_standby(read: Reading | None) -> bool:
    """Whether it is a standby. Raises `InvalidInput` for what is neither that nor the primary."""
    if read not in ("primary", "standby", None):
        raise InvalidInput("read must be 'primary' or 'standby'", field="read")
    return read == "standby"


_binding = threading.Lock()


def bind(database: Any) -> None:
    """Bind the models to a database, or to none, and close the one before."""
    _require_outside()
    # In this order: new calls would keep the one before from closing.
    with _binding:
        before = db.obj
        db.initialize(database)
    if before is not None:
        before.close_all()


def current_database() -> Any:
    """The database that this thread is at work with, or else the one that `connect()` opened."""
    database = at_work.found() or db.obj
    if database is None:
        raise StogramError("no database: call stogram_sdk.connect() first")
    return database


def current_time() -> datetime:
    """The time in UTC by the clock of the database, cut to the milliseconds that columns hold."""
    moment: datetime = current_database().current_time()
    return moment


def session(
    *,
    statement_timeout: float | None = None,
    read: Reading | None = None,
    after: str | None = None,
) -> Unit[None]:
    """Keep one connection of the pool for everything inside; hand it back at the end.

    `statement_timeout` (seconds, 0: no limit) is how long each statement inside may take, instead
    of the limit of `connect()`; on SQLite also how long it may wait for another writer.

    `read` is where functions that only read, and SELECTs of your own, go outside a transaction:
    "primary" or "standby", by default as outside of this session or as `connect()` says. With
    "standby" no connection is kept: each call takes one of a standby, or of the primary if it
    writes or must be exact. `after` is what `position()` has returned elsewhere: what was written
    there is seen here.

    Sessions nest: an inner one uses the connection of the outer one.
    Between transactions, a connection that has ended is replaced.
    Raises `Unavailable` if there is no free connection in time, `InvalidInput` for an argument that
    cannot be right. Errors of Peewee queries inside are raised as a `StogramError`.

    It belongs to the thread and to the asyncio task that enters it. A `StogramError` says so where
    it is left elsewhere, where another task makes a call inside it, and where it decorates a
    coroutine or generator.

    >>> with session():
    ...     User.get_by_id(anna.id).username
    'anna'
    """
    if statement_timeout is not None and not _is_duration(statement_timeout):
        raise InvalidInput(
            "statement_timeout must be a number of seconds, or 0 for no limit",
            field="statement_timeout",
        )
    at_standby = None if read is None else _reads_at_standby(read)
    position = read_position(after) if after else 0
    return Unit(current_database, lambda: _session(statement_timeout, at_standby, position))


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


@contextmanager
def _session(
    statement_timeout: float | None, at_standby: bool | None, after: int
) -> Iterator[None]:
    database = current_database()
    with translated_errors():
        if database.standbys is not None:
            reads = database.standbys.reads().narrowed(at_standby, after, statement_timeout)
            database.state()["reads"] = reads
            if reads.at_standby and database.is_closed():
                yield
                return
        database.connect(reuse_if_open=True)
        with database.limited_to(statement_timeout):
            yield


def position() -> str:
    """How far the database was after the last write of this thread or task, for `session(after=)`.

    A short text, to be handed to another request or process, which then sees what was written here,
    also at a standby. "0/0" where nothing was written, and on SQLite; without `read_url` it is how
    far the database is now. Raises `Unavailable`; raises `StogramError` inside a transaction, whose
    writes nobody sees yet.

    >>> written = position()
    >>> with session(read="standby", after=written):
    ...     list_messages(boris.id, chat.id)[0].sender.username
    'anna'
    """
    database = current_database()
    if database.in_transaction():
        raise StogramError("position() is asked for after the transaction, not inside it")
    with translated_errors():
        return write_position(database.position())


def pool_status() -> PoolStatus:
    """How busy the pool of this process is; nothing is sent.

    It says how many connections are in use and how many are idle, how many calls wait for one, and
    how many connections there may be at most.

    >>> pool_status().waiting
    0
    """
    status: PoolStatus = current_database().status()
    return status


def check_health(*, timeout: float = 1.0) -> None:
    """See whether a call could be made now: there is a connection, and the database answers.

    `timeout` (seconds) holds for all of it, whatever the network does.
    Raises `Unavailable`, which says what is in the way; `InvalidInput` for a `timeout` that is not
    a positive number.

    >>> check_health(timeout=5)
    """
    if not _is_duration(timeout) or timeout == 0:
        raise InvalidInput("timeout must be a positive number of seconds", field="timeout")
    database = current_database()
    with translated_errors():
        if database.is_one_connection and not database.is_closed():
            database.execute_sql("SELECT 1")
            return
    # The limits of a call are longer, and some are whole seconds: only the wait can be cut short.
    try:
        question = database.question()
    except RuntimeError:
        raise Unavailable("no thread could be started") from None
    question.join(min(timeout, threading.TIMEOUT_MAX))
    if question.is_alive():
        raise Unavailable(f"the database did not answer within {timeout:g} s")
    if question.error is not None:
        raise question.error


def close() -> None:
    """Close all connections; a connection at work in another thread closes when it is done.

    >>> close()
    """
    bind(None)


def _require_outside() -> None:
    if at_work.database is not None or (db.obj is not None and db.obj.in_transaction()):
        raise StogramError(
            "this thread is in a session or transaction: end it before the connection"
        )


def transaction() -> Unit[None]:
    """Make all calls inside one unit: all of it happens, or nothing.

    Inside another transaction it is a savepoint. Raises `Unavailable`; its `safe_to_retry` is False
    if the connection was lost at the commit, since nobody knows then whether that happened. See
    `retrying` for a unit that runs again when it conflicts with another. It belongs to a thread and
    task, as `session()` does.

    >>> with transaction():
    ...     folder = create_folder(anna.id, "Work")
    ...     move_to_folder(anna.id, chat.id, folder.id).unread_count
    0
    """
    return Unit(current_database, _transaction)


@contextmanager
def _transaction() -> Iterator[None]:
    database = current_database()
    with translated_errors():
        database.connect(reuse_if_open=True)
        with database.atomic():
            yield

"""Connecting, sessions and threads, on both engines. Faults are in test_faults."""

from __future__ import annotations

import inspect
import io
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import peewee
import psycopg2.sql
import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS
from psycopg2.extras import RealDictCursor

import stogram_sdk as sdk
from stogram_sdk.database import current_database, open_database
from stogram_sdk.engine.sqlite_tags import FILE_TRIGGERS
from stogram_sdk.engine.time_limits import Connection
from tests.support.contract import CALLS, build_world, outcome, undone
from tests.support.factories import LONG_AGO, make_chat, make_message, make_user, make_users
from tests.support.postgres import PostgresServer

R = TypeVar("R")


pytestmark = pytest.mark.usefixtures("closed_at_the_end")


def in_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function).result()


class Caller(threading.Thread):
    """A thread of a service, which has a `call` as the workers of asyncio do."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self.call = call

    def run(self) -> None:
        self.call()


def test_a_thread_has_what_attributes_it_likes(engine: str) -> None:
    is_watched = []

    def hold_connection() -> None:
        with sdk.session():
            database = current_database()
            watcher = database._watcher
            database.call_off()  # Wakes the watcher up.
            watcher.join(0.3)
            is_watched.append(watcher.is_alive())

    thread = Caller(hold_connection)
    thread.start()
    thread.join()
    assert is_watched == [True]


# --- connect, close ---


def test_connecting_again_leaves_nothing_of_the_first(engine: str, tmp_path: Path) -> None:
    make_user("ivan")
    first = current_database()
    first.connect()
    first.close()
    sdk.connect(f"sqlite:///{tmp_path}/second.db")
    assert first.status().idle == first.status().in_use == 0
    sdk.migrate()
    assert sdk.find_user("ivan") is None


def test_while_a_database_closes_others_are_at_the_next_one(
    engine: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = current_database()
    close_idle, found = first.close_idle, []

    def ask_and_close() -> None:
        found.append(in_thread(current_database))
        close_idle()

    monkeypatch.setattr(first, "close_idle", ask_and_close)
    sdk.connect(f"{sqlite_url}.second")
    assert found == [current_database()] != [first]


def test_closing_waits_for_no_call_that_has_just_come(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user()
    first = current_database()
    close_idle, taken, is_over = first.close_idle, threading.Event(), threading.Event()

    def call() -> None:
        first.connect()
        taken.set()
        is_over.wait(5)
        first.close()

    thread = threading.Thread(target=call)

    def come_and_close() -> None:
        thread.start()
        taken.wait(5)
        close_idle()

    monkeypatch.setattr(first, "close_idle", come_and_close)
    began = time.monotonic()
    sdk.close()
    assert time.monotonic() - began < 2
    is_over.set()
    thread.join()
    assert first.status().in_use == first.status().idle == 0


def test_a_call_ends_at_the_database_where_it_began(
    engine: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user("ivan")
    first = current_database()
    take = first.connect

    def take_late(*arguments: Any) -> Any:
        in_thread(lambda: sdk.connect(f"{sqlite_url}.second"))
        return take(*arguments)

    monkeypatch.setattr(first, "connect", take_late)
    assert sdk.find_user("ivan")
    assert first.status().in_use == first.status().idle == 0
    assert current_database() is not first


@pytest.mark.parametrize("unit", [sdk.session, sdk.transaction, sdk.db.atomic])
def test_a_unit_ends_at_the_database_where_it_began(
    engine: str, sqlite_url: str, unit: Callable[[], Any]
) -> None:
    make_user("ivan")
    first = current_database()
    with unit():
        in_thread(lambda: sdk.connect(f"{sqlite_url}.second"))
        make_user("olga")
        with sdk.transaction():
            names = [user.username for user in sdk.User.select().order_by(sdk.User.username)]
        assert names == ["ivan", "olga"]
    assert first.status().in_use == first.status().idle == 0
    sdk.migrate()
    assert sdk.User.select().count() == 0


def test_a_connection_of_ones_own_ends_at_the_database_where_it_began(
    engine: str, sqlite_url: str
) -> None:
    make_user("ivan")
    first = current_database()
    sdk.db.connect()
    in_thread(lambda: sdk.connect(f"{sqlite_url}.second"))
    make_user("olga")
    names = [user.username for user in sdk.User.select().order_by(sdk.User.username)]
    assert names == ["ivan", "olga"]
    assert not sdk.db.is_closed()
    sdk.db.close()
    assert first.status().in_use == first.status().idle == 0
    assert current_database() is not first
    sdk.db.connect()
    sdk.connect(f"{sqlite_url}.third")
    assert sdk.db.is_closed()
    sdk.migrate()
    assert sdk.User.select().count() == 0


def test_closing_twice_is_closing_once(engine: str) -> None:
    sdk.close()
    sdk.close()
    with pytest.raises(sdk.StogramError, match="connect"):
        make_user()


@pytest.mark.parametrize("unit", [sdk.session, sdk.transaction])
def test_closing_in_a_session_or_transaction_is_refused(
    engine: str, unit: Callable[[], Any]
) -> None:
    with unit():
        ivan = make_user("ivan")
        with pytest.raises(sdk.StogramError, match="in a session or transaction"):
            sdk.close()
        with pytest.raises(sdk.StogramError, match="in a session or transaction"):
            sdk.connect("sqlite:///:memory:")
    assert sdk.find_user("ivan") == ivan


def test_what_is_at_work_when_all_is_closed_gets_done(engine: str) -> None:
    database = current_database()
    at_work, closed = threading.Event(), threading.Event()

    def work() -> sdk.User:
        with sdk.db.atomic():
            ivan = make_user("ivan")
            at_work.set()
            closed.wait(10)
            return sdk.User.get_by_id(ivan.id)

    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(work)
        at_work.wait(10)
        database.close_all()
        closed.set()
        assert found.result().username == "ivan"
    assert database.status().idle == 0


def test_the_default_is_a_file_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STOGRAM_DATABASE_URL", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    sdk.connect()
    sdk.migrate()
    assert make_user() and (tmp_path / "stogram.db").exists()


# --- session, transaction ---


def test_a_call_takes_a_connection_for_as_long_as_it_runs(engine: str) -> None:
    database = current_database()
    ivan = make_user()
    assert database.status().in_use == 0
    with pytest.raises(sdk.StogramError):
        sdk.get_user("nobody")
    assert database.status().in_use == 0
    with database.connection_context():
        sdk.get_user(ivan.id)
        assert database.status().in_use == 1
    assert database.status().in_use == 0


def test_sessions_nest_on_one_connection(engine: str) -> None:
    database = current_database()
    with sdk.session():
        outer = database.connection()
        with sdk.session():
            assert database.connection() is outer
        make_user()
        assert database.connection() is outer
        assert database.status().in_use == 1
    assert database.status().in_use == 0
    assert database.status().idle == 1


def test_a_session_ends_with_what_is_raised_in_it(engine: str) -> None:
    with pytest.raises(ZeroDivisionError), sdk.session():
        make_user("ivan")
        _ = 1 / 0
    assert current_database().status().in_use == 0
    assert sdk.find_user("ivan") is not None, "a session is no transaction"


@pytest.mark.parametrize("wrong", [-1, float("nan"), "1", True])
def test_a_session_refuses_a_limit_that_is_none(engine: str, wrong: Any) -> None:
    with pytest.raises(sdk.InvalidInput, match="statement_timeout must be a number of seconds"):
        sdk.session(statement_timeout=wrong)


def test_a_transaction_is_all_or_nothing_and_nests(engine: str) -> None:
    with pytest.raises(ZeroDivisionError), sdk.transaction():
        make_user("lost")
        _ = 1 / 0
    with sdk.transaction():
        make_user("kept")
        with pytest.raises(ZeroDivisionError), sdk.transaction():
            make_user("also_lost")
            _ = 1 / 0
    assert [user.username for user in sdk.User.select()] == ["kept"]


def test_calls_join_a_transaction_of_peewee_which_keeps_no_connection(engine: str) -> None:
    with sdk.db.atomic() as unit:
        make_user("lost")
        with pytest.raises(sdk.StogramError):
            make_user("lost")
        unit.rollback()
        make_user("kept")
    assert current_database().status().in_use == 0

    def fail() -> None:
        make_user("also_lost")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sdk.db.atomic()(fail)()
    assert current_database().status().in_use == 0
    assert [user.username for user in sdk.User.select()] == ["kept"]


def test_an_error_of_ones_own_query_is_of_the_tree_and_the_savepoint_saves_the_rest(
    engine: str,
) -> None:
    with sdk.transaction():
        make_user("ivan")
        with pytest.raises(sdk.DatabaseError), sdk.transaction():
            sdk.db.execute_sql("SELECT nothing FROM nowhere")
        assert sdk.find_user("ivan")
    assert sdk.find_user("ivan")


# --- how a transaction begins on PostgreSQL ---


@pytest.fixture
def users(on_postgres: None, migrated_postgres: str) -> Iterator[Callable[[], set[str]]]:
    """The names of the users, as another connection sees them."""
    make_user("ivan")
    other = psycopg2.connect(migrated_postgres)
    other.autocommit = True

    def names() -> set[str]:
        with other.cursor() as cursor:
            cursor.execute('SELECT username FROM "User"')
            return {name for (name,) in cursor.fetchall()}

    yield names
    other.close()


_COLUMNS = 'id, email, username, password, "updatedAt"'


def _execute(cursor: Any, name: str) -> None:
    values = f"VALUES ('{name}', '{name}', '{name}', '-', now())"
    cursor.execute(psycopg2.sql.SQL(f'INSERT INTO "User" ({_COLUMNS}) {values}'))


def _copy(cursor: Any, name: str) -> None:
    line = io.StringIO(f"{name}\t{name}\t{name}\t-\t2026-01-01\n")
    cursor.copy_expert(f'COPY "User" ({_COLUMNS}) FROM STDIN', line)


@pytest.mark.parametrize("write", [_execute, _copy])
@pytest.mark.parametrize("kind", [None, psycopg2.extensions.cursor, RealDictCursor])
@pytest.mark.parametrize("is_made_before", [False, True])
def test_what_passes_by_the_sdk_is_in_the_transaction_all_the_same(
    users: Callable[[], set[str]], write: Callable[..., None], kind: Any, is_made_before: bool
) -> None:
    with sdk.session():
        connection = current_database().connection()
        before = connection.cursor(cursor_factory=kind)
        with pytest.raises(Conflict), sdk.transaction():
            write(before if is_made_before else connection.cursor(cursor_factory=kind), "boris")
            raise Conflict
        assert users() == {"ivan"}
        with sdk.transaction():
            write(before if is_made_before else connection.cursor(cursor_factory=kind), "boris")
            assert users() == {"ivan"}
        assert users() == {"ivan", "boris"}


def test_a_statement_that_psycopg2_composes_is_sent_as_it_is(on_postgres: None) -> None:
    compose = psycopg2.sql.SQL
    with sdk.session():
        assert current_database().execute_sql(compose("SELECT 1")).fetchone() == (1,)
        with pytest.raises(peewee.DataError):
            current_database().execute_sql(compose("SELECT 1 / 0"))


def test_a_transaction_that_is_left_open_is_rolled_back_and_concerns_nobody_else(
    users: Callable[[], set[str]],
) -> None:
    database = current_database()
    with sdk.session(), suppress(Conflict), database.manual_commit():
        database.begin()
        make_user("boris")
        raise Conflict
    make_user("clara")
    assert users() == {"ivan", "clara"}


def test_a_unit_begins_together_with_its_first_statement(users: Callable[[], set[str]]) -> None:
    database = current_database()
    with pytest.raises(Conflict), sdk.session(), database.unit():
        connection = database.connection()
        assert connection.get_transaction_status() == TRANSACTION_STATUS_IDLE
        make_user("boris")
        assert connection.get_transaction_status() == TRANSACTION_STATUS_INTRANS
        make_user("clara")
        raise Conflict
    assert users() == {"ivan"}


def test_a_first_statement_that_cannot_be_sent_leaves_the_beginning_to_the_next(
    users: Callable[[], set[str]],
) -> None:
    database = current_database()
    with pytest.raises(Conflict), sdk.session(), database.unit():
        with pytest.raises(sdk.StogramError):
            database.execute_sql("SELECT %s", ["\0"])
        make_user("boris")
        raise Conflict
    assert users() == {"ivan"}


def test_a_unit_in_which_nothing_is_done_sends_nothing(users: Callable[[], set[str]]) -> None:
    with sdk.session():
        database = current_database()
        for error in (None, Conflict):
            with suppress(Conflict), database.unit():
                database.connection().close()  # whatever is sent fails
                if error:
                    raise error
    make_user("boris")
    assert users() == {"ivan", "boris"}


def test_a_connection_that_ends_before_the_first_statement_is_replaced(
    users: Callable[[], set[str]],
) -> None:
    with pytest.raises(Conflict), sdk.session(), current_database().unit():
        current_database().connection().close()
        make_user("boris")
        assert users() == {"ivan"}
        raise Conflict
    assert users() == {"ivan"}


class Conflict(Exception):
    pgcode = "40001"


def test_an_iterator_is_there_for_the_second_run(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a call meets another transaction it is run again."""
    ivan, *users = make_users(4)
    ids = [user.id for user in users]
    folders = [sdk.create_folder(ivan.id, "folder").id for _ in range(3)]
    for user in users:
        sdk.block_user(ivan.id, user.id)
    execute = current_database().carry_out
    conflicts: list[Exception] = []
    called = set()

    def carry_out(*arguments: Any) -> Any:
        if conflicts:
            raise conflicts.pop()
        return execute(*arguments)

    monkeypatch.setattr(current_database(), "carry_out", carry_out)

    def at_the_second_run(call: Callable[..., R], *arguments: Any, **options: Any) -> R:
        conflicts.append(peewee.OperationalError(Conflict()))
        result = call(*arguments, **options)
        assert conflicts == []
        called.add(call)
        return result

    assert at_the_second_run(sdk.blocked_among, ivan.id, iter(ids)) == set(ids)
    assert len(at_the_second_run(sdk.visible_profiles, ivan.id, iter(ids))) == 3
    assert len(at_the_second_run(sdk.reorder_folders, ivan.id, iter(folders))) == 3
    group = sdk.ChatType.GROUP
    chat = at_the_second_run(sdk.create_chat, ivan.id, group, member_ids=iter(ids))
    assert len(sdk.list_members(ivan.id, chat.id)) == 4
    message = sdk.ImportedMessage("m1", ivan.id, LONG_AGO, "first")
    assert at_the_second_run(sdk.import_messages, ivan.id, chat.id, iter([message])) == 1
    forwarded = at_the_second_run(
        sdk.forward_messages, ivan.id, chat.id, iter([message.id]), chat.id
    )
    assert [each.content for each in forwarded] == ["first"]
    reactions = at_the_second_run(sdk.list_reactions, ivan.id, chat.id, iter([message.id]))
    assert reactions == {message.id: []}
    assert at_the_second_run(sdk.users_to_notify_each, iter([(chat.id, "m2")])) == []
    assert at_the_second_run(sdk.acknowledge_published, iter(["m2"])) == 0

    functions = [getattr(sdk, name) for name in sdk.__all__ if name.islower()]
    assert called == {
        function
        for function in functions
        if inspect.isfunction(function) and "Iterable" in str(inspect.signature(function))
    }


# --- Threads ---


def test_threads_have_connections_of_their_own(engine: str) -> None:
    ready = threading.Barrier(4)

    def work() -> int:
        with sdk.session():
            ready.wait(10)
            return id(current_database().connection())

    with ThreadPoolExecutor(4) as threads:
        assert len({done.result() for done in [threads.submit(work) for _ in range(4)]}) == 4
    assert current_database().status().in_use == 0


def test_who_waits_for_a_connection_gets_the_first_that_is_free(tmp_path: Path) -> None:
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db", connection_limit=1, pool_timeout=10)
    sdk.migrate()
    with ThreadPoolExecutor(1) as threads:
        with sdk.session():
            waiting = threads.submit(make_user)
            assert not waiting.done()
        assert waiting.result().id


def test_who_waits_too_long_is_told_so(tmp_path: Path) -> None:
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db", connection_limit=1, pool_timeout=0.05)
    with sdk.session(), pytest.raises(sdk.Unavailable, match="all 1 connections are in use"):
        in_thread(make_user)


def test_threads_that_can_open_no_connection_are_not_in_each_others_way() -> None:
    database, _ = open_database("postgresql:///db?host=/nowhere")

    def connect() -> None:
        for _ in range(200):
            with pytest.raises(peewee.OperationalError):
                database.connect()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # Each may be in the midst of anything.
    try:
        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(connect) for _ in range(8)]:
                future.result()
    finally:
        sys.setswitchinterval(before)
        database.close_all()


@pytest.mark.parametrize("waited", [0, 4.7, 8.3, 8.9])
def test_opening_a_connection_takes_no_longer_than_what_is_left_of_ten_seconds(
    on_postgres: None, waited: float
) -> None:
    database = current_database()
    database._open(waited).close()
    assert waited + database._state.connect_timeout <= 10


def test_who_has_waited_for_all_of_it_opens_no_connection(on_postgres: None) -> None:
    with pytest.raises(sdk.Unavailable, match="none could be opened"):
        current_database()._open(9.3)


def test_a_database_in_memory_is_one_for_all_threads() -> None:
    sdk.connect("sqlite:///:memory:")
    sdk.migrate()

    def work(number: int) -> None:
        ivan = make_user(f"user_of_{number}")
        for _ in range(5):
            make_message(ivan, make_chat(ivan))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert sdk.User.select().count() == 8
    assert sdk.Message.select().count() == 40


def test_a_database_in_memory_outlives_the_thread_that_has_its_connection() -> None:
    sdk.connect("sqlite:///:memory:", pool_timeout=1)
    sdk.migrate()
    ivan = make_user("ivan")

    def forget() -> None:
        sdk.db.connect()
        sdk.db.begin()
        sdk.update_privacy(ivan.id, show_last_seen=False)

    for waits_for_the_watcher in (False, True):
        thread = threading.Thread(target=forget)
        thread.start()
        thread.join()
        while waits_for_the_watcher and current_database()._lent():
            pass
        assert sdk.get_privacy(ivan.id).show_last_seen


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_of_sqlite_has_a_connection_of_its_own(tmp_path: Path) -> None:
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db")
    sdk.migrate()
    with sdk.session():
        make_user("parent")
        child = os.fork()
        if not child:
            try:
                make_user("child")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert sdk.find_user("child") and sdk.find_user("parent")


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_has_a_connection_of_its_own_to_a_database_that_is_closed(
    engine: str, sqlite_url: str
) -> None:
    with sdk.session():
        in_thread(lambda: sdk.connect(f"{sqlite_url}.second"))
        child = os.fork()
        if not child:
            try:
                shares_it = not current_database().is_closed()
                make_user("child")
                os._exit(shares_it)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        make_user("parent")
        assert sdk.find_user("child")


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_has_no_part_in_the_transaction_of_its_parent(engine: str) -> None:
    child, refused = -1, False
    try:
        with sdk.transaction():
            make_user("parent")
            child = os.fork()
            if child:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            else:
                with pytest.raises(sdk.StogramError, match="forked inside a transaction"):
                    make_user("child")
                refused = True
    except sdk.StogramError as error:
        if child:
            raise
        os._exit(0 if refused and "forked inside a transaction" in str(error) else 1)
    finally:
        if not child:
            os._exit(1)
    assert sdk.find_user("parent") and not sdk.find_user("child")


# --- Another schema ---


@pytest.fixture
def in_schema(postgres_server: PostgresServer) -> Iterator[str]:
    """A database whose tables are in a schema that is not on its search path."""
    with postgres_server.database() as name:
        sdk.connect(postgres_server.url_of(name))
        sdk.migrate()
        postgres_server.execute('ALTER SCHEMA public RENAME TO "Другая схема"', name)
        yield postgres_server.url_of(name, schema="%D0%94%D1%80%D1%83%D0%B3%D0%B0%D1%8F%20схема")
        sdk.close()


def test_every_call_works_in_another_schema(in_schema: str) -> None:
    with pytest.raises(sdk.DatabaseError, match="a table is missing"):
        make_user()
    sdk.connect(in_schema)
    scene = build_world().scene
    for label, call in CALLS.items():
        with undone():
            assert outcome(label, scene) == call.gives


def test_the_schema_is_that_of_the_last_connection(in_schema: str, sqlite_url: str) -> None:
    sdk.connect(in_schema)
    ivan = make_user("ivan")
    sdk.connect(sqlite_url)
    sdk.migrate()
    assert sdk.find_user("ivan") is None
    assert all(model._meta.schema is None for model in sdk.MODELS)
    sdk.connect(in_schema)
    assert sdk.User.get().id == ivan.id


# --- A file that is migrated while it is in use ---


def migrate_elsewhere(url: str) -> None:
    environment = os.environ | {"STOGRAM_DATABASE_URL": url}
    command = [sys.executable, "-m", "stogram_sdk", "migrate"]
    subprocess.run(command, env=environment, check=True, capture_output=True)


@pytest.mark.parametrize("migrate", [lambda url: sdk.migrate(), migrate_elsewhere])
def test_connections_from_before_the_migration_know_all_letters_after_it(
    sqlite_url: str, migrate: Callable[[str], Any]
) -> None:
    sdk.connect(sqlite_url)
    in_thread(lambda: sdk.db.execute_sql("SELECT 1"))
    with sdk.session():
        migrate(sqlite_url)
        anna = make_user()
        chat = make_chat(anna)
        messages = [
            in_thread(lambda: make_message(anna, chat, "#ПЛАН")),
            make_message(anna, chat, "#ПЛАН"),
            sdk.edit_message(anna.id, chat.id, make_message(anna, chat).id, "#ПЛАН"),
        ]
        assert [*reversed(sdk.find_by_hashtag(anna.id, "план"))] == messages


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("unit", [nullcontext, sdk.session, sdk.transaction])
def test_who_waits_for_a_migration_knows_all_letters_after_it(
    engine: str, migrated_url: str, unit: Callable[[], Any]
) -> None:
    anna = make_user()
    chat = make_chat(anna)
    message = make_message(anna, chat)
    with closing(sqlite3.connect(migrated_url.removeprefix("sqlite:///"))) as other:
        for name in FILE_TRIGGERS:
            other.execute(f'DROP TRIGGER "{name}"')
        sdk.connect(migrated_url)
        other.execute("BEGIN IMMEDIATE")
        for trigger in FILE_TRIGGERS.values():
            other.execute(trigger)

        def edit() -> None:
            with unit():
                sdk.edit_message(anna.id, chat.id, message.id, "#ПЛАН")

        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(edit)
            time.sleep(0.2)
            assert not waiting.done()
            other.commit()
            waiting.result()
    assert sdk.find_by_hashtag(anna.id, "план") == [message]


@pytest.mark.usefixtures("on_postgres")
def test_a_call_looks_once_whether_its_connection_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    ivan, olga = make_users(2)
    looked: list[bool] = []
    is_usable = Connection.is_usable

    def noting(connection: Connection) -> bool:
        looked.append(is_usable(connection))
        return looked[-1]

    monkeypatch.setattr(Connection, "is_usable", noting)
    for _ in range(2):  # The first prepares its statement.
        looked.clear()
        assert not sdk.is_blocked(ivan.id, olga.id)
        assert looked == [True]

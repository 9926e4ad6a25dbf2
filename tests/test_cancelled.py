"""A task that is cancelled in a call: all of the call or nothing, and nothing is left of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import psycopg2
import pytest

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database
from stogram_sdk.engine.units import CalledOff
from stogram_sdk.engine.workers import Worker
from tests.support.contract import CALLS, Scene, build_world, stored_rows
from tests.support.factories import does_something, make_chat, make_user, told_of_queries
from tests.support.site import eventually


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    connected = {"engine", "on_postgres"} & set(request.fixturenames)
    for name in connected:
        request.getfixturevalue(name)
    yield
    if connected:
        assert sdk.pool_status().in_use == 0


@contextmanager
def row_is_locked(url: str, user_id: str) -> Iterator[None]:
    """Somebody else holds the user's row."""
    connection = psycopg2.connect(url)
    connection.cursor().execute('SELECT FROM "User" WHERE id = %s FOR UPDATE', (user_id,))
    try:
        yield
    finally:
        connection.close()


def sessions(url: str) -> list[tuple[str, str]]:
    """What the sessions of the SDK do on the server."""
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    cursor.execute(
        "SELECT state, query FROM pg_stat_activity WHERE application_name = 'stogram_sdk'"
        " AND datname = current_database() AND state <> 'idle'"
    )
    found: list[tuple[str, str]] = cursor.fetchall()
    connection.close()
    return found


async def cancelled(task: asyncio.Task[Any]) -> asyncio.CancelledError:
    """Cancel the task; what it raises, within a second."""
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as error:
        await task
    assert time.monotonic() - began < 1
    return error.value


async def statement_runs(url: str) -> None:
    while not any(state == "active" for state, _ in await asyncio.to_thread(sessions, url)):
        await asyncio.sleep(0.01)


# --- While it waits for a connection ---


def test_a_call_that_waits_is_withdrawn(engine: str) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def occupy() -> None:
        begun.release()
        go_on.wait(10)

    async def main() -> None:
        busy = [asyncio.create_task(aio.run(occupy)) for _ in range(20)]
        for _ in busy:
            assert await asyncio.to_thread(begun.acquire, timeout=10)
        waits = asyncio.create_task(aio.run(make_user, "ivan"))
        await asyncio.sleep(0)
        assert sdk.pool_status().waiting == 1
        assert (await cancelled(waits)).__cause__ is None
        assert sdk.pool_status().waiting == 0
        go_on.set()
        await asyncio.gather(*busy)

    asyncio.run(main())
    assert sdk.find_user("ivan") is None


def test_a_call_whose_worker_waits_for_a_connection_sends_nothing(on_postgres: None) -> None:
    database = current_database()
    database._connection_limit = 1

    async def main() -> None:
        call = asyncio.create_task(aio.run(make_user, "ivan"))
        while not database._waiting:  # Before that the call itself waits, for a worker.
            await asyncio.sleep(0.01)
        assert sdk.pool_status().waiting == 1
        assert (await cancelled(call)).__cause__ is None

    thread_has_it, go_on = threading.Event(), threading.Event()

    @sdk.session()
    def hold() -> None:
        thread_has_it.set()
        go_on.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    thread_has_it.wait()
    asyncio.run(main())
    go_on.set()
    thread.join()
    eventually(lambda: sdk.pool_status() == (0, 1, 0, 1))
    assert sdk.find_user("ivan") is None


@pytest.mark.parametrize("moment", ["entering", "entered"])
def test_a_session_that_needs_no_connection_yet_keeps_no_worker(
    on_postgres: None, migrated_postgres: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Cancelled while it is entered, or when the loop does not know yet that it has been."""
    sdk.connect(migrated_postgres, read_url=migrated_postgres, connection_limit=1, pool_timeout=1)
    standbys = current_database().standbys
    reads, enters, go_on = standbys.reads, threading.Event(), threading.Event()

    def slow_reads() -> Any:
        enters.set()
        go_on.wait(10)
        return reads()

    async def enter() -> None:
        with pytest.raises(asyncio.CancelledError) as error:
            await aio.session(read="standby").__aenter__()
        assert error.value.__cause__ is None
        await asyncio.Event().wait()  # The task goes on, as after `asyncio.timeout()`.

    async def main() -> None:
        await aio.find_user("ivan")
        monkeypatch.setattr(standbys, "reads", slow_reads)
        task = asyncio.create_task(enter())
        await asyncio.sleep(0)
        assert enters.wait(10)
        if moment == "entered":
            go_on.set()
            time.sleep(0.1)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert await aio.find_user("ivan") is None

    asyncio.run(main())


# --- While a statement runs ---


def test_a_statement_that_waits_for_a_lock_is_ended(on_postgres: None, direct_url: str) -> None:
    ivan = make_user("ivan")

    async def main() -> None:
        call = asyncio.create_task(aio.update_privacy(ivan.id, show_last_seen=False))
        await statement_runs(direct_url)
        assert (await cancelled(call)).__cause__ is None
        assert sessions(direct_url) == []

    with row_is_locked(direct_url, ivan.id):
        asyncio.run(main())
    assert sdk.get_privacy(ivan.id).show_last_seen


def test_many_are_ended_at_once(on_postgres: None, direct_url: str) -> None:
    ivan = make_user("ivan")

    async def main() -> None:
        calls = [
            asyncio.create_task(aio.update_privacy(ivan.id, show_last_seen=False))
            for _ in range(100)
        ]
        await statement_runs(direct_url)
        began = time.monotonic()
        for call in calls:
            call.cancel()
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in errors} == {asyncio.CancelledError}
        assert time.monotonic() - began < 2
        # A worker may be opening a connection for a call that is gone.
        while sessions(direct_url):
            assert time.monotonic() - began < 10
            await asyncio.sleep(0.01)

    with row_is_locked(direct_url, ivan.id):
        asyncio.run(main())
    assert sdk.get_privacy(ivan.id).show_last_seen


SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000)"
    " SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
}


async def with_timeout(query: Any) -> None:
    async with asyncio.timeout(0.2):
        await query


async def with_wait_for(query: Any) -> None:
    await asyncio.wait_for(query, 0.2)


async def with_anyio(query: Any) -> None:
    with anyio.fail_after(0.2):
        await query


async def with_task_group(query: Any) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.2)
        raise TimeoutError

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(query)
            tasks.create_task(fail())
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


WAYS: list[Callable[[Any], Any]] = [with_timeout, with_wait_for, with_anyio, with_task_group]


@pytest.mark.parametrize("way", WAYS)
def test_a_limit_of_time_ends_a_query(engine: str, way: Callable[[Any], Any]) -> None:
    async def main() -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await way(aio.run(sdk.db.execute_sql, SLOW[engine]))
        assert 0.15 < time.monotonic() - began < 1.5
        assert sdk.pool_status().in_use == 0
        assert await aio.find_user("ivan") is None

    asyncio.run(main())


def test_the_session_goes_on_with_another_connection(on_postgres: None) -> None:
    def connection() -> Any:
        sdk.db.execute_sql("SELECT 1")
        return sdk.db.connection()

    async def main() -> None:
        async with aio.session(statement_timeout=0.3):
            first = await aio.run(connection)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await aio.run(sdk.db.execute_sql, SLOW["postgresql"])
            assert await aio.run(connection) is not first
            with pytest.raises(sdk.Unavailable, match="took too long"):
                await aio.run(sdk.session()(sdk.db.execute_sql), SLOW["postgresql"])

    asyncio.run(main())


def test_the_transaction_is_lost_and_says_so(engine: str) -> None:
    async def main() -> None:
        for later in (aio.find_user, None):
            with pytest.raises(sdk.Unavailable, match="start it over") as error:
                async with aio.session(), aio.transaction():
                    await aio.run(make_user, "lost")
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.1):
                            await aio.run(sdk.db.execute_sql, SLOW[engine])
                    # Gone at once, whatever the task does next.
                    assert await asyncio.create_task(aio.run(make_user, "other"))
                    await aio.run(remove, "other") if later is None else await later("lost")
            assert error.value.safe_to_retry

    def remove(name: str) -> None:
        sdk.User.delete().where(sdk.User.username == name).execute()

    async def with_nothing_after() -> None:
        with pytest.raises(sdk.Unavailable, match="start it over"):
            async with aio.transaction():
                await aio.run(make_user, "lost")
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await aio.run(sdk.db.execute_sql, SLOW[engine])

    asyncio.run(with_nothing_after())
    assert sdk.find_user("lost") is None


# --- Between two statements, and at COMMIT ---


class Moment:
    """Cancels the task when its call is about to send the statement of this number.

    0 is the first one; -1 is COMMIT.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self.statements = 0
        self.cancel: Callable[[], None] = lambda: None
        self.is_reached = False

    def __call__(self, event: Any) -> None:
        """As a hook of Peewee: called after a statement was sent."""
        if isinstance(threading.current_thread(), Worker) and does_something(event.sql):
            self.statements += 1
            if self.statements == self._number:
                self.reach()

    def reach(self) -> None:
        self.is_reached = True
        worker = threading.current_thread()
        assert isinstance(worker, Worker) and worker.call is not None
        worker.call.get_loop().call_soon_threadsafe(self.cancel)
        while not worker.call.is_called_off:
            time.sleep(0.0005)


async def cancelled_at(moment: Moment, call: Any) -> BaseException | None:
    """What the call raises when it is cancelled at the moment; None if that does not come."""
    task = asyncio.ensure_future(call)
    moment.cancel = task.cancel
    with told_of_queries(moment):
        try:
            await task
        except asyncio.CancelledError as error:
            return error
        except sdk.StogramError:
            return None
    return None


WRITES = [
    label
    for label, call in CALLS.items()
    if call.statements + call.more_on_sqlite > 1
    # Each chat that it sends to is a transaction by itself.
    and label != "publish_scheduled"
]


@pytest.mark.parametrize("label", WRITES)
def test_after_any_statement_of_a_call_it_is_all_or_nothing(engine: str, label: str) -> None:
    scene = build_world().scene
    function = getattr(aio, label.partition("(")[0])
    before = stored_rows()
    number, ended = 0, 0

    async def main(scene: Scene) -> None:
        nonlocal number, ended
        positional, keywords = CALLS[label].arguments(scene)
        while True:
            number += 1
            moment = Moment(number)
            error = await cancelled_at(moment, function(*positional, **keywords))
            if not moment.is_reached:
                return
            assert isinstance(error, asyncio.CancelledError)
            assert sdk.pool_status().in_use == 0
            if error.__cause__ is not None:  # It was the last one, and a transaction by itself.
                assert "carried out" in str(error.__cause__)
                return
            assert await aio.run(stored_rows) == before, f"a part has stayed after {number}"
            ended += 1

    asyncio.run(main(scene))
    assert ended >= CALLS[label].sends - 1


def test_at_commit_nothing_was_written_or_it_says_what_is_in_doubt(engine: str) -> None:
    """Cancelled before COMMIT is sent, it is not sent; after, it is known to have been done."""
    database = current_database()
    commit = database.commit

    async def main(before: bool) -> BaseException:
        moment = Moment(-1)

        def cancelled_commit() -> None:
            if before:
                moment.reach()
            commit()
            if not before:
                moment.reach()

        async def work() -> None:
            async with aio.transaction():
                await aio.run(make_user, "before" if before else "after")
                database.commit = cancelled_commit

        try:
            error = await cancelled_at(moment, work())
            assert error is not None
            return error
        finally:
            del database.commit

    assert asyncio.run(main(before=True)).__cause__ is None
    assert sdk.find_user("before") is None
    cause = asyncio.run(main(before=False)).__cause__
    assert isinstance(cause, sdk.Unavailable) and not cause.safe_to_retry
    assert "carried out" in str(cause)
    assert sdk.find_user("after")


def test_a_commit_that_takes_long_is_ended(on_postgres: None, direct_url: str) -> None:
    """What is deferred until COMMIT runs there: the server can still cancel it."""

    def defer() -> None:
        sdk.db.execute_sql(
            "CREATE TEMP TABLE own (n INT);"
            "CREATE FUNCTION pg_temp.wait() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$;"
            "CREATE CONSTRAINT TRIGGER later AFTER INSERT ON own DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.wait();"
            "INSERT INTO own VALUES (1)"
        )

    async def work() -> None:
        async with aio.transaction():
            await aio.run(make_user, "ivan")
            await aio.run(defer)

    async def main() -> None:
        task = asyncio.create_task(work())
        while not any(query == "COMMIT" for _, query in sessions(direct_url)):
            await asyncio.sleep(0.01)
        assert (await cancelled(task)).__cause__ is None
        assert sessions(direct_url) == []

    asyncio.run(main())
    assert sdk.find_user("ivan") is None


def test_what_is_called_off_is_not_run_again(engine: str) -> None:
    """A conflict would let the call run again; nobody waits for it."""
    runs = 0

    @sdk.retrying
    def unit() -> None:
        nonlocal runs
        runs += 1
        worker = threading.current_thread()
        assert isinstance(worker, Worker) and worker.call is not None
        worker.call.is_called_off = True
        make_user("ivan")

    async def main() -> None:
        with pytest.raises(CalledOff):
            await aio.run(unit)

    asyncio.run(main())
    assert runs == 1
    assert sdk.find_user("ivan") is None


# --- Migrations ---


def test_a_migration_that_is_cancelled_is_started_again(database_url: str) -> None:
    async def main() -> None:
        await aio.connect(database_url)
        for number in (3, 9, 30):
            await cancelled_at(Moment(number), aio.migrate())
            assert sdk.pool_status().in_use == 0
        await aio.migrate()
        await aio.find_user("ivan")
        await aio.close()

    asyncio.run(main())


@asynccontextmanager
async def a_session() -> AsyncIterator[None]:
    async with aio.session():
        yield


def test_whatever_is_cancelled_at_any_moment_leaves_nothing(
    engine: str,
) -> None:
    """Tasks of all kinds, cancelled after a time that nobody has chosen."""
    ivan, olga = make_user("ivan"), make_user("olga")
    chat = make_chat(ivan, olga)
    sent: list[str] = []

    async def send(kind: int, text: str) -> None:
        match kind % 4:
            case 0:
                await aio.send_message(ivan.id, chat.id, text)
            case 1:
                async with aio.transaction():
                    await aio.send_message(ivan.id, chat.id, text)
                    await aio.send_message(ivan.id, chat.id, text)
            case 2:
                async with a_session():
                    async with aio.transaction(), aio.transaction():
                        await aio.send_message(ivan.id, chat.id, text)
                    sent.append(text)  # What is cancelled from here on is not the transaction.
            case _:
                await aio.retrying(aio.send_message)(ivan.id, chat.id, text)
        sent.append(text)

    async def main() -> set[str]:
        in_doubt = set()
        deadline = time.monotonic() + 3
        number = 0
        while time.monotonic() < deadline:
            tasks = {}
            for _ in range(8):
                number += 1
                tasks[str(number)] = asyncio.create_task(send(number, str(number)))
            await asyncio.sleep(0.0007 * (number % 13))
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            for text, task in tasks.items():
                if task.cancelled():
                    error = task._make_cancelled_error()  # type: ignore[attr-defined]
                    in_doubt |= {text} if error.__cause__ else set()
                elif (failed := task.exception()) is not None:
                    raise failed
            # A connection that is being opened comes back when it is open.
            while sdk.pool_status().in_use:
                await asyncio.sleep(0.0005)
            assert sdk.pool_status().waiting == 0
        return in_doubt

    in_doubt = asyncio.run(main())
    texts = [message.content for message in sdk.Message.select()]
    assert set(sent) <= set(texts) <= set(sent) | in_doubt
    for text in texts:
        assert texts.count(text) == (2 if int(text or 0) % 4 == 1 else 1)


@pytest.mark.parametrize(
    "clean_up",
    [
        lambda database: database.clear_transaction(),
        lambda database: database.rollback(),
        lambda database: database.connection().ask_for(1_000),
    ],
)
def test_a_clean_up_that_is_interrupted_is_done_again(
    clean_up: Callable[[Any], None], tmp_path: Path
) -> None:
    """SQLite interrupts what runs when a call is called off: also the end of its transaction."""
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db")
    database = current_database()
    with sdk.session():
        connection = database.connection()
        connection.execute("BEGIN")
        interruptions = iter([True])
        connection.set_progress_handler(lambda: next(interruptions, False), 1)
        clean_up(database)
        connection.set_progress_handler(None, 0)
        assert not list(interruptions)
        connection.leave_transaction()
        assert not connection.in_transaction
    sdk.close()


def test_a_call_that_is_done_while_it_is_called_off_says_so(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker may have given the connection back in the very moment of the cancellation."""
    released, go_on = threading.Event(), threading.Event()
    database = current_database()
    release = database.return_connection

    def slow_release() -> bool:
        was_open = release()
        if isinstance(threading.current_thread(), Worker):
            released.set()
            go_on.wait(10)
        return bool(was_open)

    async def main() -> asyncio.CancelledError:
        monkeypatch.setattr(database, "return_connection", slow_release)
        task = asyncio.create_task(
            aio.create_user("ivan@example.com", "ivan", password_hash="hash")
        )
        await asyncio.to_thread(released.wait, 10)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        return await cancelled(task)

    cause = asyncio.run(main()).__cause__
    monkeypatch.undo()
    assert "carried out" in str(cause)
    assert sdk.find_user("ivan")

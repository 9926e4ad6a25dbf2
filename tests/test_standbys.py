"""Reads at a standby: which calls go there, what they see, and what happens when it fails."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database, open_database
from stogram_sdk.engine.failures import translated_errors
from stogram_sdk.engine.standbys import end_of_last_record, read_position, write_position
from tests.support.contract import CALLS, World, build_world, is_read, make_call
from tests.support.factories import make_chat, make_message, make_user
from tests.support.replicas import Replicas, Senders, running_replicas, seconds, url_of
from tests.support.site import eventually
from tests.test_readme import blocks_of

#: The functions that only read, and whose answer may not be late: somebody would never be told of a
#: message, be written to by whom they have blocked, or log in with a password of before.
EXACT = {
    "blocked_among",
    "find_user_by_email",
    "is_blocked",
    "is_blocked_either",
    "users_to_notify",
    "users_to_notify_each",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def replicas() -> Iterator[Replicas]:
    with running_replicas("max_standby_streaming_delay=0") as running:
        yield running


@pytest.fixture
def standby(replicas: Replicas) -> Iterator[Any]:
    """Connected to the primary and its standby, which is read from; gives what knows of it."""
    replicas.wait_for_standby()
    sdk.connect(replicas.url, read_url=replicas.read_url, read="standby", statement_timeout=20)
    found = the_standby()
    wait_to_be_read_from(found)
    yield found
    sdk.close()


def the_standby() -> Any:
    (found,) = current_database().standbys._standbys
    return found


def wait_to_be_read_from(standby: Any) -> None:
    """Until it was looked at, which a busy machine may not manage within a second."""
    eventually(lambda: not standby.is_left_out, 30)


@contextmanager
def statements(standby: Any) -> Iterator[Counter[str]]:
    """How many statements of Peewee each server gets, but for questions about positions."""
    counted: Counter[str] = Counter()

    def counter(server: str) -> Callable[[Any], None]:
        def count(event: Any) -> None:
            if "_wal_" not in event.sql:
                counted[server] += 1

        return count

    pairs = [
        (current_database().query_hooks, counter("primary")),
        (standby.database.query_hooks, counter("standby")),
    ]
    for hooks, count in pairs:
        hooks.append(count)
    try:
        yield counted
    finally:
        for hooks, count in pairs:
            hooks.remove(count)


# --- What goes where ---


@pytest.fixture(scope="module")
def world(replicas: Replicas) -> World:
    sdk.connect(replicas.primary_url)
    world = build_world()
    sdk.close()
    return world


@pytest.mark.parametrize("label", [label for label in CALLS if is_read(label)])
def test_what_only_reads_goes_to_a_standby(label: str, standby: Any, world: World) -> None:
    """A function that is new, and only reads, is `@operation(reads=True)`, or named in EXACT."""
    with statements(standby) as sent:
        make_call(label, world.scene)
        make_call(label, world.scene)
    server = "primary" if label.partition("(")[0] in EXACT else "standby"
    assert +sent == +Counter({server: 2 * CALLS[label].statements})
    assert current_database().standbys.written() == 0, "it counts as a write"


def test_what_writes_and_what_is_in_a_transaction_goes_to_the_primary(
    standby: Any, world: World
) -> None:
    user, chat = world.scene.actor, world.scene.chat
    with statements(standby) as sent:
        sdk.mute_chat(user, chat)
        with sdk.transaction():
            assert sdk.get_chat_settings(user, chat).is_muted
        with sdk.session(read="primary"):
            assert sdk.get_chat_settings(user, chat).is_muted
    assert sent == {"primary": 3}


def test_selects_of_ones_own_go_where_functions_do(standby: Any, world: World) -> None:
    message = sdk.Message.select().where(sdk.Message.id == world.scene.message)
    with statements(standby) as sent:
        assert message.get().id == world.scene.message
        with sdk.session():
            assert message.count() == 1
        assert sent == {"standby": 2}
        # What a standby refuses is asked of the primary.
        assert message.for_update().get().id == world.scene.message
        sdk.User.update(bio="new").where(sdk.User.id == world.scene.actor).execute()
        with sdk.db.atomic(), sdk.session(read="standby"):
            message.get()
        assert sent == {"standby": 3, "primary": 3}


def test_by_default_reads_go_to_the_primary(replicas: Replicas, world: World) -> None:
    sdk.connect(replicas.primary_url, read_url=[replicas.read_url])
    found = the_standby()
    wait_to_be_read_from(found)
    with statements(found) as sent:
        sdk.list_chats(world.scene.actor)
        with sdk.session(read="standby"):
            sdk.list_chats(world.scene.actor)
            with sdk.session(read="primary"):
                sdk.list_chats(world.scene.actor)
            sdk.list_chats(world.scene.actor)
        sdk.list_chats(world.scene.actor)
    sdk.close()
    assert sent == {"primary": 3, "standby": 2}


def test_the_environment_names_standbys(
    replicas: Replicas, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOGRAM_DATABASE_URL", replicas.primary_url)
    monkeypatch.setenv("STOGRAM_READ_URL", f"{replicas.read_url} {replicas.read_url}")
    sdk.connect(read="standby")
    assert len(current_database().standbys._standbys) == 2
    sdk.connect(replicas.primary_url)
    assert current_database().standbys is None
    sdk.close()


@pytest.mark.parametrize(
    "options",
    [
        {"read": "replica"},
        {"read_url": "sqlite:///other.db"},
        {"read_url": "postgresql://h/db"},
    ],
)
def test_an_option_that_cannot_be_right_is_refused(options: Any, sqlite_url: str) -> None:
    with pytest.raises(sdk.InvalidInput) as error:
        sdk.connect(sqlite_url, **options)
    assert error.value.field in options


def test_without_a_standby_the_same_calls_read_at_the_database(engine: str) -> None:
    user = make_user()
    with sdk.session(read="standby", after=sdk.position()):
        assert sdk.get_user(user.id).id == user.id
    assert (sdk.position() == "0/0") == (engine == "sqlite")
    for after in ("0", "0/0 ", "x/y", "0/123456789"):
        with pytest.raises(sdk.InvalidInput, match="position"):
            sdk.session(after=after)
    for nowhere in (None, ""):
        with sdk.session(after=nowhere):
            pass
    with pytest.raises(sdk.InvalidInput, match="'primary' or 'standby'"):
        sdk.session(read="replica")  # type: ignore[arg-type]  # that is the test
    with sdk.transaction(), pytest.raises(sdk.StogramError, match="after the transaction"):
        sdk.position()


def test_a_server_that_is_no_standby_is_not_read_from(replicas: Replicas, world: World) -> None:
    sdk.connect(replicas.primary_url, read_url=replicas.primary_url, read="standby")
    with statements(the_standby()) as sent:
        sdk.list_chats(world.scene.actor)
    sdk.close()
    assert sent == {"primary": 1}


def test_a_session_has_its_limit_at_both(standby: Any, world: World) -> None:
    for sql in ("SELECT pg_sleep(30)", "WITH a AS (SELECT pg_sleep(30)) SELECT * FROM a"):
        began = time.monotonic()
        limited = sdk.session(statement_timeout=0.2)
        with pytest.raises(sdk.Unavailable, match="took too long"), limited:
            sdk.db.execute_sql(sql)
        assert time.monotonic() - began < 5
    sdk.list_chats(world.scene.actor)
    assert has_no_connection(current_database())
    assert has_no_connection(standby.database)


def has_no_connection(database: Any) -> bool:
    """Whether this thread has none; the one that looks at the standbys may have one."""
    return database.is_closed() and not database._held_by(threading.current_thread())


def test_the_code_of_the_document_runs(replicas: Replicas, world: World) -> None:
    code = "".join(block.text for block in blocks_of("docs/standbys.md", "python"))
    code = code.replace("postgresql://stogram@db1,db2/stogram", replicas.url)
    code = code.replace("postgresql://stogram@db2/stogram", replicas.read_url)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/standbys.md", "exec"), names)
    user, chat = world.scene.actor, world.scene.chat
    client = TestClient(names["api"])
    assert client.post(f"/users/{user}/chats/{chat}/read").json() == {"unread": 0}
    assert client.cookies["position"].strip('"') != "0/0"
    with statements(the_standby()) as sent:
        assert client.get(f"/users/{user}/chats").json() == {"chats": names["chats_of"](user)}
    sdk.close()
    assert sent == {"standby": 2}


# --- What is seen ---


def test_a_position_is_written_and_read() -> None:
    for position in (0, 1, 0xFFFFFFFF, 1 << 32, 0x12_3456_7890):
        assert read_position(write_position(position)) == position
    # Behind the header of a page, where a standby that has it all does not get.
    assert [end_of_last_record(8192 * 5 + into) for into in (0, 24, 40)] == [8192 * 5] * 3
    assert end_of_last_record(8192 * 5 + 48) == 8192 * 5 + 48


def stale_reads(user: str, chat: str, number: int) -> int:
    stale = 0
    for turn in range(number):
        if turn % 3:
            message = sdk.send_message(user, chat, str(turn))
        else:
            with sdk.transaction():
                message = sdk.send_message(user, chat, str(turn))
        (newest,) = sdk.list_messages(user, chat, limit=1)
        stale += newest.id != message.id
    return stale


def test_a_thread_sees_what_it_has_written(standby: Any) -> None:
    users = [make_user() for _ in range(4)]
    chats = [make_chat(user) for user in users]
    with statements(standby) as sent, ThreadPoolExecutor(4) as pool:
        stale = pool.map(stale_reads, [u.id for u in users], [c.id for c in chats], [50] * 4)
        assert list(stale) == [0] * 4
    assert sent["standby"] > 100, "it was not read from"


def test_a_thread_sees_what_it_may_have_written(standby: Any) -> None:
    """Whoever does not know whether a call was carried out looks, and must not look too early."""

    def write_in_doubt() -> int:
        with pytest.raises(sdk.Unavailable) as lost, translated_errors():
            sdk.db.execute_sql("DO 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END'")
        assert not lost.value.safe_to_retry
        return int(current_database().standbys.written())

    assert Context().run(write_in_doubt) > 0


def test_a_thread_sees_it_whatever_context_it_has_written_in(
    replicas: Replicas, standby: Any
) -> None:
    """As `asyncio.to_thread()` and FastAPI's plain functions have it: each with a copy."""
    user = make_user()
    chat = make_chat(user)
    replicas.wait_for_standby()

    async def request() -> int:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        await asyncio.to_thread(sdk.send_message, user.id, chat.id, "new")
        return len(await asyncio.to_thread(sdk.list_messages, user.id, chat.id))

    with paused(standby):
        assert Context().run(asyncio.run, request()) == 1


def test_other_threads_of_a_task_see_it_after_its_position(
    replicas: Replicas, standby: Any
) -> None:
    user = make_user()
    chat = make_chat(user)
    replicas.wait_for_standby()

    def send() -> str:
        sdk.send_message(user.id, chat.id, "new")
        return sdk.position()

    def count(after: str | None) -> int:
        with sdk.session(after=after):
            return len(sdk.list_messages(user.id, chat.id))

    async def request() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            position = await loop.run_in_executor(first, copy_context().run, send)
            without = await loop.run_in_executor(second, copy_context().run, count, None)
            return without, await loop.run_in_executor(second, copy_context().run, count, position)

    with paused(standby):
        assert Context().run(asyncio.run, request()) == (0, 1)


def test_a_read_waits_for_a_connection_once(replicas: Replicas, standby: Any, world: World) -> None:
    limits: Any = {"connection_limit": 1, "pool_timeout": 1}
    sdk.connect(replicas.primary_url, read_url=replicas.read_url, read="standby", **limits)
    found = the_standby()
    user = world.scene.actor

    def refused() -> float:
        with pytest.raises(sdk.Unavailable, match="all 1 connections are in use"):
            sdk.list_chats(user)
        return 0

    def held(database: Any) -> float:
        """How long a read takes while another thread has the only connection."""
        with ThreadPoolExecutor(1) as pool:
            pool.submit(database.connect).result()
            took = seconds(refused)
            pool.submit(database.close).result()
        return took

    wait_to_be_read_from(found)
    sdk.mute_chat(user, world.scene.chat)
    current_database().standbys._samples = ()
    assert 1 <= held(current_database()) < 1.9, "for the position of the write"
    assert sdk.list_chats(user)
    assert 1 <= held(found.database) < 1.9, "for the standby"


def test_a_position_lets_another_thread_see_it(replicas: Replicas, standby: Any) -> None:
    """With the standby stopped in the log, it is the primary that shows it."""
    user = make_user()
    chat = make_chat(user)
    replicas.wait_for_standby()
    with paused(standby), ThreadPoolExecutor(1) as pool:
        message = make_message(user, chat)
        position = sdk.position()
        assert sdk.position() == position

        def count(after: str | None) -> tuple[int, str]:
            with sdk.session(read="standby", after=after):
                return len(sdk.list_messages(user.id, chat.id)), sdk.position()

        assert pool.submit(count, None).result() == (0, "0/0")
        assert pool.submit(count, position).result() == (1, position)
        assert sdk.list_messages(user.id, chat.id)[0].id == message.id


@contextmanager
def paused(standby: Any) -> Iterator[None]:
    """The standby carries out nothing more of the log inside."""
    database = standby.database
    database.execute_sql("SELECT pg_wal_replay_pause()")
    state = "SELECT pg_get_wal_replay_pause_state()"
    eventually(lambda: database.execute_sql(state).fetchone() == ("paused",))
    try:
        yield
    finally:
        database.execute_sql("SELECT pg_wal_replay_resume()")


def test_a_standby_that_is_late_is_left_out_and_comes_back(
    replicas: Replicas, world: World
) -> None:
    limits: Any = {"max_standby_lag": 0.5, "standby_patience": 0.05}
    sdk.connect(replicas.primary_url, read_url=replicas.read_url, read="standby", **limits)
    found = the_standby()
    user = world.scene.actor

    def read_in_another_thread() -> None:
        thread = threading.Thread(target=sdk.list_chats, args=[user])
        thread.start()
        thread.join()

    def is_left_out() -> bool:
        read_in_another_thread()
        return bool(found.is_left_out)

    with paused(found):
        sdk.create_folder(user, "folder")
        assert 0.04 < seconds(lambda: sdk.list_chats(user)) < 1.0
        assert not found.is_left_out
        eventually(is_left_out)
        with statements(found) as sent:
            read_in_another_thread()
        assert sent == {"primary": 1}
    eventually(lambda: not is_left_out())
    sdk.close()


def test_after_a_quiet_time_a_standby_that_is_late_is_not_read_from(
    replicas: Replicas, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stogram_sdk.engine.standbys._LINGER", 0.5)
    limits: Any = {"max_standby_lag": 0.5}
    sdk.connect(replicas.primary_url, read_url=replicas.read_url, read="standby", **limits)
    found, user = the_standby(), world.scene.actor
    standbys = current_database().standbys

    def folders() -> int:
        return len(sdk.list_folders(user))

    eventually(lambda: folders() >= 0 and not found.is_left_out, 10)
    eventually(lambda: standbys._looker is None)
    with paused(found):
        before = folders()
        eventually(lambda: standbys._looker is None)
        Context().run(in_another_thread, sdk.create_folder, user, "folder")
        time.sleep(2.5)  # All that was known by then is out of date.
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert folders() == before + 1
    eventually(lambda: folders() == before + 1 and not found.is_left_out, 10)


def in_another_thread(function: Callable[..., Any], *args: Any) -> None:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def test_what_the_primary_had_before_it_was_away_is_no_measure(
    replicas: Replicas, standby: Any
) -> None:
    standbys = current_database().standbys
    long_ago = time.monotonic() - 60
    standbys._samples = ((long_ago - 1, 1), (long_ago, 2))
    standbys._sample()
    assert standbys._floor == standbys._samples[-1][1] > 2


def read_and_write(user: str, chat: str) -> None:
    sdk.list_chats(user)
    sdk.mute_chat(user, chat)
    assert sdk.get_chat_settings(user, chat).is_muted


def test_a_forked_child_has_connections_of_its_own(standby: Any, world: World) -> None:
    user, chat = world.scene.actor, world.scene.chat
    read_and_write(user, chat)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(20)
        with suppress(BaseException):
            read_and_write(user, chat)
            with statements(standby) as sent:
                sdk.list_chats(user)
            sdk.close()
            os._exit(0 if sent == {"standby": 1} else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    read_and_write(user, chat)


class Interruption(BaseException):
    """As Ctrl-C."""


# The interruption may hit a finalizer, which cannot pass it on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupted_read_leaves_the_thread_clean(standby: Any, world: World) -> None:
    is_armed = False

    def interrupt(number: int, frame: object) -> None:
        if is_armed:
            raise Interruption

    database = current_database()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for turn in range(200):
            with suppress(Interruption):
                is_armed = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.004))
                with sdk.session(read="standby", after="0/1"):
                    sdk.list_chats(world.scene.actor)
                    sdk.list_chats(world.scene.actor)
                is_armed = False
            is_armed = False
            assert current_database() is database, turn
            assert database.standbys.reads().after == 0
            assert has_no_connection(database)
            assert has_no_connection(standby.database)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- In asyncio ---


def reads_of_tasks(standby: Any, main: Callable[[], Coroutine[Any, Any, None]]) -> Counter[str]:
    with statements(standby) as sent:
        asyncio.run(main())
    return sent


def test_a_task_sees_what_it_its_parent_and_its_children_have_written(
    replicas: Replicas, standby: Any
) -> None:
    user = make_user()
    chat = make_chat(user)
    replicas.wait_for_standby()

    async def send() -> str:
        return (await aio.send_message(user.id, chat.id, "new")).id

    async def is_seen(message_id: str) -> bool:
        return message_id in [row.id for row in await aio.list_messages(user.id, chat.id)]

    async def main() -> None:
        apart = asyncio.get_running_loop().create_task(is_seen("none"), context=Context())
        assert not await apart
        for _ in range(5):
            message_id = await send()
            assert await is_seen(message_id)
            assert all(await asyncio.gather(is_seen(message_id), is_seen(message_id)))
            for message_id in await asyncio.gather(send(), send()):
                assert await is_seen(message_id)
            async with aio.transaction():
                message_id = await send()
            assert await is_seen(message_id)
            assert await aio.position() != "0/0"

    sent = reads_of_tasks(standby, main)
    assert sent["standby"] > 10


def test_a_task_waits_for_no_write_of_another(replicas: Replicas) -> None:
    """Also where they have one thread."""
    sdk.connect(
        replicas.primary_url, read_url=replicas.read_url, read="standby", connection_limit=1
    )
    standby = the_standby()
    wait_to_be_read_from(standby)
    user = make_user()
    chat = make_chat(user)
    replicas.wait_for_standby()

    async def count(after: str | None = None) -> int:
        async with aio.session(after=after):
            return len(await aio.list_messages(user.id, chat.id))

    async def write() -> str:
        await aio.send_message(user.id, chat.id, "new")
        assert await count() == 1
        return await aio.position()

    async def main() -> None:
        position = await asyncio.create_task(write(), context=Context())
        assert await asyncio.create_task(count(), context=Context()) == 0
        assert await asyncio.create_task(count(position), context=Context()) == 1

    with paused(standby):
        reads_of_tasks(standby, main)
    sdk.close()


def test_a_cancelled_read_ends_at_the_standby(standby: Any, world: World) -> None:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"

    def sleepers() -> int:
        return int(standby.database.execute_sql(sleeping).fetchone()[0])

    async def main() -> None:
        task = asyncio.create_task(aio.run(sdk.db.execute_sql, "SELECT pg_sleep(30)"))
        while not await asyncio.to_thread(sleepers):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while await asyncio.to_thread(sleepers):
            await asyncio.sleep(0.01)
        assert await aio.list_chats(world.scene.actor)

    reads_of_tasks(standby, main)


# --- When a standby fails ---


def test_a_statement_that_a_standby_cancels_runs_at_the_primary(standby: Any) -> None:
    began = threading.Event()

    def conflict() -> None:
        began.wait()
        time.sleep(0.5)
        with sdk.transaction():  # Its lock is carried out at the standby too.
            sdk.db.execute_sql('LOCK TABLE "Reaction" IN ACCESS EXCLUSIVE MODE')

    thread = threading.Thread(target=conflict)
    thread.start()
    with statements(standby) as sent:
        began.set()
        rows = sdk.db.execute_sql('SELECT pg_sleep(2), count(*) FROM "Reaction"').fetchall()
        thread.join()
    assert len(rows) == 1
    assert sent["standby"] == 1
    assert sent["primary"] >= 1
    assert not standby.is_left_out


def test_a_standby_that_was_stopped_comes_back(
    replicas: Replicas, standby: Any, world: World
) -> None:
    for stop in (partial(replicas.standby.stop, "fast"), replicas.standby.kill):
        sdk.list_chats(world.scene.actor)
        stop()
        with statements(standby) as sent:
            assert seconds(lambda: sdk.list_chats(world.scene.actor)) < 3
            assert seconds(lambda: sdk.list_chats(world.scene.actor)) < 1
        assert sent["primary"] == 2
        assert standby.is_left_out
        replicas.standby.start()
        eventually(lambda: bool(sdk.list_chats(world.scene.actor)) and not standby.is_left_out, 10)


def test_nobody_waits_long_for_a_silent_standby(
    replicas: Replicas, standby: Any, world: World
) -> None:
    sdk.list_chats(world.scene.actor)
    processes = replicas.standby.freeze()
    try:
        assert seconds(lambda: sdk.list_chats(world.scene.actor)) < 6
        assert seconds(lambda: sdk.list_chats(world.scene.actor)) < 1
    finally:
        replicas.standby.thaw(processes)
    eventually(lambda: bool(sdk.list_chats(world.scene.actor)) and not standby.is_left_out, 10)


def test_reads_go_on_while_the_primary_is_away(
    replicas: Replicas, standby: Any, world: World
) -> None:
    standbys = current_database().standbys
    sdk.list_chats(world.scene.actor)
    sdk.mute_chat(world.scene.actor, world.scene.chat)
    written = time.monotonic()
    eventually(lambda: standbys._samples[-1][0] > written)
    replicas.primary.kill()
    try:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert sdk.list_chats(world.scene.actor)
            time.sleep(0.05)
        with pytest.raises(sdk.Unavailable):
            sdk.mute_chat(world.scene.actor, world.scene.chat)
        assert sdk.list_chats(world.scene.actor), "what was not acknowledged is not waited for"
    finally:
        replicas.primary.start()


def test_one_thread_looks_at_the_standbys(standby: Any) -> None:
    standbys = current_database().standbys
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(standbys._choose)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("stogram_sdk looks at standbys") == 1


def test_migrations_run_at_the_primary(replicas: Replicas) -> None:
    sdk.connect(replicas.primary_url, read_url=replicas.read_url, read="standby")
    assert sdk.migrate() == []
    assert asyncio.run(aio.migrate()) == []
    sdk.connect(replicas.primary_url, read_url=replicas.read_url)
    with sdk.session(read="standby"):
        assert sdk.migrate() == []
    sdk.close()


def test_nothing_is_left_after_close(standby: Any, world: World) -> None:
    sdk.list_chats(world.scene.actor)
    sdk.close()
    assert not [thread for thread in threading.enumerate() if "stogram_sdk" in thread.name]
    assert standby.database.status().idle == 0


# --- Several hosts ---


def test_several_hosts_have_defaults_of_their_own() -> None:
    one, _ = open_database("postgresql://h1/db")
    two, _ = open_database("postgresql:///db?host=h1,h2")
    said, _ = open_database("postgresql://h1,h2/db?connect_timeout=7&target_session_attrs=any")
    names = "connect_timeout", "target_session_attrs"
    assert [[each.connect_params.get(name) for name in names] for each in (one, two, said)] == [
        [5, None],
        [1, "read-write"],
        [7, "any"],
    ]


def test_of_several_hosts_the_one_that_writes_is_the_primary(replicas: Replicas) -> None:
    sdk.connect(url_of(replicas.standby, replicas.primary))
    assert make_user()
    sdk.close()


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("target_session_attrs=standby", {True}),
        ("target_session_attrs=any", {False}),
        ("target_session_attrs=any&load_balance_hosts=random", {True, False}),
    ],
)
def test_the_parameters_of_libpq_choose_among_hosts(
    parameters: str, found: set[bool], replicas: Replicas
) -> None:
    sdk.connect(f"{replicas.url}&{parameters}", connection_limit=20)
    with ThreadPoolExecutor(20) as pool:
        together = threading.Barrier(20)

        def is_standby() -> bool:
            with sdk.session():
                (said,) = sdk.db.execute_sql("SELECT pg_is_in_recovery()").fetchone()
                together.wait(30)
            return bool(said)

        seen = {future.result() for future in [pool.submit(is_standby) for _ in range(20)]}
    sdk.close()
    assert seen == found


# --- Failover ---


def kill(primary: Any) -> None:
    primary.kill()


def stop(primary: Any) -> None:
    primary.stop("fast")


def freeze(primary: Any) -> Any:
    processes = primary.freeze()

    def end() -> None:
        primary.thaw(processes)
        primary.kill()

    return end


@pytest.mark.parametrize(
    ("fault", "is_synchronous", "bound"),
    [(kill, True, 1.0), (kill, False, 1.0), (stop, False, 1.0), (freeze, True, 4.0)],
)
def test_writes_go_on_after_a_promotion(
    fault: Any, is_synchronous: bool, bound: float, replicas: Replicas
) -> None:
    replicas.wait_for_standby()
    replicas.synchronous(is_synchronous)
    sdk.connect(replicas.url, read_url=replicas.url, read="standby")
    user = make_user()
    chat = make_chat(user)
    try:
        with Senders(user.id, chat.id) as senders:
            senders.wait_for(50)
            end = fault(replicas.primary)
            replicas.promote()
            promoted = time.monotonic()
            if is_synchronous:
                replicas.synchronous(False)
            waited = senders.wait_for(50, promoted)
        if end is not None:
            end()
        stored = Counter(
            message.id
            for message in sdk.Message.select(sdk.Message.id).where(sdk.Message.chat == chat.id)
        )
        acknowledged = {message_id for _, message_id in senders.acknowledged}
        lost = acknowledged - stored.keys()
        assert not lost or not is_synchronous
        assert len(acknowledged) == len(senders.acknowledged)
        assert waited < bound
        assert senders.unsafe == 0
    finally:
        sdk.close()
        replicas.rejoin()

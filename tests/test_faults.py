"""Each fault by itself: what the call gets that meets it, and that the next one works.

`tests.support.soak` brings them all together, under load.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database
from stogram_sdk.models import new_id
from tests.support.factories import LONG_AGO, make_chat, make_user
from tests.support.proxy import Cut, Silence
from tests.support.site import DATABASE, SHORT, Site, eventually, running_site

pytestmark = pytest.mark.slow

#: How a write goes over the wire, once the connection has prepared it.
WRITE = r"EXECUTE stogram_write_\w+"


@pytest.fixture(scope="module")
def the_site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def site(the_site: Site) -> Iterator[Site]:
    """Connected through the proxy, with short limits of time."""
    sdk.connect(the_site.url, **SHORT)
    yield the_site
    sdk.close()
    eventually(lambda: the_site.sessions() == 0)


@pytest.fixture
def chat(site: Site) -> sdk.Chat:
    return make_chat(make_user(), make_user())


@pytest.fixture
def member(chat: sdk.Chat) -> str:
    """Somebody who is in the chat."""
    with sdk.session():
        return str(sdk.ChatMember.get(chat=chat.id, role="MEMBER").user_id)


def is_there(user_id: str) -> bool:
    return sdk.get_user(user_id).id == user_id


def query(sql: str) -> Any:
    """A query of one's own, on this thread's connection."""
    return current_database().execute_sql(sql).fetchone()


def seconds(call: Callable[[], Any]) -> float:
    """How long it took the call to raise `Unavailable`."""
    began = time.monotonic()
    with pytest.raises(sdk.Unavailable):
        call()
    return time.monotonic() - began


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Any]]:
    """Starts a call in another thread; its future."""
    with ThreadPoolExecutor(8) as executor:
        yield executor.submit


# Connections that end.


def terminate_all(site: Site) -> None:
    site.terminate()
    eventually(lambda: site.sessions() == 0)
    time.sleep(0.05)  # The proxy passes it on.


FAULTS: dict[str, Callable[[Site], Any]] = {
    "terminated": terminate_all,
    "reset": lambda site: site.proxy.reset(),
    "restarted fast": lambda site: site.restart("fast"),
    "restarted immediate": lambda site: site.restart("immediate"),
    "killed": lambda site: site.restart("kill"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_call_works(site: Site, member: str, fault: str) -> None:
    FAULTS[fault](site)
    assert is_there(member)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_call_of_a_session_works(site: Site, member: str, fault: str) -> None:
    with sdk.session():
        assert is_there(member)
        FAULTS[fault](site)
        assert is_there(member)
        FAULTS[fault](site)
        assert query("SELECT 1") == (1,)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_transaction_is_lost_with_its_connection(site: Site, member: str, fault: str) -> None:
    with pytest.raises(sdk.Unavailable) as error, sdk.transaction():
        sdk.update_privacy(member, show_last_seen=False)
        FAULTS[fault](site)
        sdk.get_user(member)
    assert error.value.safe_to_retry
    assert sdk.get_privacy(member).show_last_seen


@pytest.mark.parametrize("fault", FAULTS)
def test_a_commit_never_moves_to_another_connection(site: Site, member: str, fault: str) -> None:
    with pytest.raises(sdk.Unavailable) as error, sdk.transaction():
        sdk.update_privacy(member, show_last_seen=False)
        FAULTS[fault](site)
    assert not error.value.safe_to_retry
    assert sdk.get_privacy(member).show_last_seen


def test_the_callers_own_error_outlives_the_connection(site: Site) -> None:
    with pytest.raises(ZeroDivisionError), sdk.transaction():
        query("SELECT 1")
        site.proxy.reset()
        raise ZeroDivisionError


def test_while_the_server_is_down_it_is_unavailable_at_once(site: Site, member: str) -> None:
    site.cluster.stop("fast")
    try:
        assert seconds(lambda: is_there(member)) < 1
    finally:
        site.cluster.start()
    assert is_there(member)


# A server that only reads.


def test_a_connection_to_a_server_that_only_reads_is_not_lent_again(
    site: Site, member: str
) -> None:
    assert is_there(member)
    with site.read_only():
        with sdk.session():
            (first,) = query("SELECT pg_backend_pid()")
            assert is_there(member)
            with pytest.raises(sdk.Unavailable, match="only reads") as error:
                sdk.update_privacy(member, show_last_seen=False)
            (second,) = query("SELECT pg_backend_pid()")
        assert (error.value.sqlstate, error.value.safe_to_retry) == ("25006", True)
        assert first != second
    assert not sdk.update_privacy(member, show_last_seen=False).show_last_seen


def test_after_a_failover_the_next_call_writes(site: Site, member: str) -> None:
    assert is_there(member)
    site.fail_over()
    assert not sdk.update_privacy(member, show_last_seen=False).show_last_seen


def test_of_several_hosts_the_one_that_writes_is_found(the_site: Site) -> None:
    directory = the_site.cluster.directory / "standby"
    directory.mkdir()
    standby = the_site.cluster.standby(directory)
    standby.start()
    try:
        sdk.connect(
            f"postgresql://postgres@/{DATABASE}?host={directory},{the_site.cluster.directory}"
            "&target_session_attrs=read-write"
        )
        assert is_there(make_user().id)
        sdk.connect(f"postgresql://postgres@/{DATABASE}?host={directory}")
        with pytest.raises(sdk.Unavailable, match="only reads"):
            make_user()
        standby.promote()
        assert make_user()
    finally:
        sdk.close()
        standby.stop("immediate")


# A server that stands still.


def test_a_frozen_server_is_given_up_in_time(site: Site, member: str) -> None:
    processes = site.cluster.freeze()
    try:
        assert seconds(lambda: is_there(member)) < 2.5
        assert seconds(lambda: is_there(member)) < 2.5
    finally:
        site.cluster.thaw(processes)
    assert is_there(member)


# Connections that end in the middle of a statement.


@pytest.fixture
def held(site: Site, chat: sdk.Chat) -> Iterator[Any]:
    """Somebody else's transaction that holds the settings of the chat's members."""
    for row in sdk.ChatMember.select().where(sdk.ChatMember.chat == chat.id):
        sdk.set_favorite(row.user_id, chat.id)
    current_database().close()
    with site.administrator() as cursor:
        cursor.execute('SELECT 1 FROM "ChatSettings" WHERE "chatId" = %s FOR UPDATE', [chat.id])
        yield cursor.connection


def test_a_call_that_can_be_repeated_is_repeated(
    site: Site, chat: sdk.Chat, member: str, held: Any, in_thread: Callable[..., Any]
) -> None:
    call = in_thread(sdk.mute_chat, member, chat.id)
    eventually(lambda: site.terminate("wait_event_type = 'Lock'") == 1)
    held.rollback()
    assert call.result().is_muted


def test_a_call_that_cannot_be_repeated_says_so(
    site: Site, chat: sdk.Chat, member: str, held: Any, in_thread: Callable[..., Any]
) -> None:
    call = in_thread(sdk.toggle_favorite, member, chat.id)
    eventually(lambda: site.terminate("wait_event_type = 'Lock'") == 1)
    held.rollback()
    with pytest.raises(sdk.Unavailable, match="not known") as error:
        call.result()
    assert not error.value.safe_to_retry
    assert error.value.__cause__ is not None


_READY = b"Z\0\0\0\5I"
#: Answers of which libpq can make nothing, though it takes the connection for a good one.
NO_ANSWERS = {
    "a message of an unknown type": b"q\0\0\0\7..." + _READY,
    "a row of no result": b"D\0\0\0\6\0\0" + _READY,
    "a message that is too short": b"T\0\0\0\7\0\1c" + _READY,
    "an error without SQLSTATE": b"E\0\0\0\x0fSERROR\0Mx\0\0" + _READY,
    "nothing": _READY,
}


@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_an_answer_that_says_nothing_leaves_a_call_in_doubt(
    site: Site, chat: sdk.Chat, member: str, answer: str
) -> None:
    """The connection is not used again: nobody knows what else is on its way."""
    sdk.toggle_favorite(member, chat.id)
    with sdk.session():
        (first,) = query("SELECT pg_backend_pid()")
        site.proxy.cut_at(WRITE, NO_ANSWERS[answer])
        with pytest.raises(sdk.Unavailable, match="not known") as error:
            sdk.toggle_favorite(member, chat.id)
        assert not error.value.safe_to_retry
        assert query("SELECT pg_backend_pid()") != (first,)
        site.proxy.cut_at(WRITE, NO_ANSWERS[answer])
        assert sdk.mute_chat(member, chat.id).is_muted, "it is repeated"
    site.proxy.cut_at("COMMIT", NO_ANSWERS[answer])
    with pytest.raises(sdk.Unavailable, match="not known"), sdk.transaction():
        sdk.unmute_chat(member, chat.id)
    assert not sdk.get_chat_settings(member, chat.id).is_muted


@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_a_connection_that_begins_with_such_an_answer_is_none(
    site: Site, member: str, answer: str
) -> None:
    current_database().close_idle()
    site.proxy.cut_at("clock_timestamp", NO_ANSWERS[answer])
    with pytest.raises(sdk.Unavailable, match="cannot be reached"):
        is_there(member)
    assert is_there(member)


def messages(chat: sdk.Chat) -> int:
    with sdk.session():
        return int(sdk.Message.select().where(sdk.Message.chat == chat.id).count())


@pytest.mark.parametrize("cut", Cut)
def test_a_message_with_an_id_survives_a_lost_answer(
    site: Site, chat: sdk.Chat, member: str, cut: Cut
) -> None:
    site.proxy.cut_at(WRITE, cut)
    message_id = new_id()
    message = sdk.send_message(member, chat.id, "once", message_id=message_id)
    assert message.id == message_id
    assert messages(chat) == 1


def answered(user: str, other: str, chat: str) -> tuple[sdk.Call, bool]:
    return sdk.answer_call(user, sdk.start_call(other, chat, sdk.CallType.AUDIO)[0].id)


MAKERS: dict[str, Callable[[str, str, str], tuple[Any, bool]]] = {
    "add_contact": lambda user, other, chat: sdk.add_contact(user, other),
    "add_reaction": lambda user, other, chat: sdk.add_reaction(
        user, chat, sdk.list_messages(user, chat)[0].id, "🔥"
    ),
    "answer_call": answered,
    "block_user": lambda user, other, chat: sdk.block_user(user, other),
    "open_private_chat": lambda user, other, chat: sdk.open_private_chat(user, other),
    "pin_message": lambda user, other, chat: sdk.pin_message(
        user, chat, sdk.list_messages(user, chat)[0].id
    ),
    "start_call": lambda user, other, chat: sdk.start_call(user, chat, sdk.CallType.AUDIO),
}


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("name", MAKERS)
def test_what_a_call_has_made_is_made_by_it_whose_answer_was_lost_too(
    site: Site,
    chat: sdk.Chat,
    member: str,
    name: str,
    cut: Cut,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with sdk.session():
        owner = str(sdk.ChatMember.get(chat=chat.id, role="OWNER").user_id)
    sdk.send_message(owner, chat.id, "hello")
    site.proxy.cut_at(rf"EXECUTE stogram_write_\d+_(create_chat|{name})", cut)
    with caplog.at_level(logging.INFO, "stogram_sdk"):
        row, created = MAKERS[name](member, owner, chat.id)
    assert created and "running the call again" in caplog.text
    again, created = MAKERS[name](member, owner, chat.id)
    assert (again, created) == (row, False)


@pytest.mark.parametrize(("cut", "written"), [(Cut.BEFORE, 0), (Cut.AFTER, 1)])
def test_a_message_without_an_id_is_not_sent_twice(
    site: Site, chat: sdk.Chat, member: str, cut: Cut, written: int
) -> None:
    site.proxy.cut_at(WRITE, cut)
    with pytest.raises(sdk.Unavailable, match="not known") as error:
        sdk.send_message(member, chat.id, "once")
    assert not error.value.safe_to_retry
    assert messages(chat) == written


@pytest.mark.parametrize("statement", ["BEGIN", "PREPARE"])
def test_what_is_lost_before_the_commit_is_done_again(
    site: Site, chat: sdk.Chat, member: str, statement: str
) -> None:
    message = sdk.send_message(member, chat.id, "once", scheduled_for=LONG_AGO)
    current_database().close_idle()
    site.proxy.cut_at(statement, Cut.AFTER)
    assert [each.id for each in sdk.publish_scheduled()] == [message.id]


def test_a_unit_of_ones_own_is_done_again_when_lost_before_the_commit(
    site: Site, member: str
) -> None:
    tries = []

    @sdk.retrying
    def unit() -> None:
        tries.append(sdk.get_user(member))
        if len(tries) == 1:
            site.proxy.reset()
        sdk.get_user(member)

    unit()
    assert len(tries) == 2


# Silence.


@pytest.mark.parametrize("silence", Silence)
def test_in_a_blackhole_every_call_fails_in_time_and_after_it_the_next_one_works(
    site: Site, member: str, silence: Silence, in_thread: Callable[..., Any]
) -> None:
    assert is_there(member)
    with site.proxy.blackhole(silence):
        calls = [in_thread(seconds, lambda: is_there(member)) for _ in range(8)]
        # One sends its statement into the void, the others their first packet.
        assert all(call.result() < 2.5 for call in calls)
    assert is_there(member)
    assert current_database().status().in_use == 0


def test_with_the_limits_as_they_are_a_call_fails_within_ten_seconds(
    the_site: Site, in_thread: Callable[..., Any]
) -> None:
    sdk.connect(the_site.url, connection_limit=2)
    try:
        member = make_user().id
        with the_site.proxy.blackhole(Silence.ACKNOWLEDGED):
            calls = [in_thread(seconds, lambda: is_there(member)) for _ in range(6)]
            assert all(call.result() < 10.5 for call in calls)
        assert is_there(member)
    finally:
        sdk.close()


def test_one_that_waits_holds_up_nobody(
    site: Site, member: str, in_thread: Callable[..., Any]
) -> None:
    def slow() -> None:
        with sdk.session(statement_timeout=3):
            query("SELECT pg_sleep(1.5)")

    waiting = in_thread(slow)
    eventually(lambda: current_database().status().in_use == 1)
    began = time.monotonic()
    for _ in range(20):
        is_there(member)
    assert time.monotonic() - began < 1
    waiting.result()


def test_a_slow_network_is_only_slow(site: Site, member: str) -> None:
    site.proxy.delay = 0.1
    try:
        assert is_there(member)
    finally:
        site.proxy.delay = 0


def test_what_was_idle_in_a_blackhole_is_not_used_after_it(
    site: Site, member: str, in_thread: Callable[..., Any]
) -> None:
    # Four idle connections, of which one finds out.
    ready = threading.Barrier(4)

    def use() -> None:
        with sdk.session():
            is_there(member)
            ready.wait()

    for call in [in_thread(use) for _ in range(4)]:
        call.result()
    assert current_database().status().idle == 4
    with site.proxy.blackhole(Silence.ACKNOWLEDGED):
        seconds(lambda: is_there(member))
    assert current_database().status().idle == 0


# Limits of time.


def test_a_statement_that_takes_too_long_is_canceled_on_the_server(site: Site) -> None:
    def slow() -> None:
        with sdk.session():
            query("SELECT pg_sleep(30)")

    with pytest.raises(sdk.Unavailable) as error:
        slow()
    assert (error.value.sqlstate, error.value.safe_to_retry) == ("57014", True)
    eventually(lambda: not site.ask("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%sleep(30)'"))


def test_a_session_can_have_another_limit(site: Site) -> None:
    with sdk.session():
        with sdk.session(statement_timeout=0):
            query("SELECT pg_sleep(1.6)")
        canceled = query("SELECT pg_backend_pid()")
        with pytest.raises(sdk.Unavailable), sdk.session():
            query("SELECT pg_sleep(30)")
        # What cancels may come late, and must not meet another statement.
        assert query("SELECT pg_backend_pid()") != canceled


def test_a_lock_that_is_not_released_in_time(
    site: Site, chat: sdk.Chat, member: str, held: Any
) -> None:
    def in_a_transaction() -> None:
        with sdk.transaction():
            sdk.mute_chat(member, chat.id)

    with sdk.session():
        owner = str(sdk.ChatMember.get(chat=chat.id, role="OWNER").user_id)
    sdk.send_message(owner, chat.id, "which the server has not counted as unread")
    for call in (in_a_transaction, lambda: sdk.recount_unread(member, chat.id)):
        with pytest.raises(sdk.Unavailable) as error:
            call()
        assert (error.value.sqlstate, error.value.safe_to_retry) == ("55P03", True)
    held.rollback()
    assert sdk.mute_chat(member, chat.id).is_muted


def test_an_idle_transaction_ends(the_site: Site) -> None:
    sdk.connect(the_site.url, idle_in_transaction_session_timeout=0.2)
    try:
        with pytest.raises(sdk.Unavailable, match="nothing was written"), sdk.transaction():
            query("SELECT 1")
            time.sleep(0.5)
            query("SELECT 1")
    finally:
        sdk.close()


def test_the_limits_leave_no_session_state(site: Site) -> None:
    show = "SELECT current_setting('lock_timeout')"
    with sdk.session():
        with sdk.transaction():
            assert query(show) == ("500ms",)
        assert query(show) == ("0",)


# The pool.


def test_an_exhausted_pool_waits_and_then_says_so(
    the_site: Site, in_thread: Callable[..., Any]
) -> None:
    sdk.connect(the_site.url, connection_limit=1, pool_timeout=0.5)
    try:
        member = make_user().id
        with sdk.session():
            is_there(member)
            waiting = in_thread(seconds, lambda: is_there(member))
            assert 0.5 <= waiting.result() < 1
            in_line = in_thread(is_there, member)
        assert in_line.result()
    finally:
        sdk.close()


def test_a_thread_that_ends_leaves_no_connection(site: Site, member: str) -> None:
    def forget_to_close() -> None:
        query("SELECT 1")

    for _ in range(15):  # more than the pool holds
        thread = threading.Thread(target=forget_to_close)
        thread.start()
        thread.join()
    assert is_there(member)
    eventually(lambda: site.sessions() == 1)
    assert current_database().status().in_use == 0


def test_a_call_that_raises_leaves_no_connection(site: Site) -> None:
    for _ in range(15):
        with pytest.raises(sdk.StogramError):
            sdk.get_user("nobody")
        with pytest.raises(ZeroDivisionError), sdk.transaction():
            raise ZeroDivisionError
    assert current_database().status().in_use == 0
    assert site.sessions() == 1


def test_connections_leave_no_open_files(site: Site, member: str) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    is_there(member)
    before = open_files()
    for _ in range(20):
        site.terminate()
        is_there(member)
    eventually(lambda: open_files() <= before)


def test_close_leaves_nothing_running(the_site: Site) -> None:
    before = threading.active_count()
    sdk.connect(the_site.url)
    make_user()
    sdk.close()
    assert threading.active_count() == before
    eventually(lambda: the_site.sessions() == 0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_has_connections_of_its_own(site: Site, member: str) -> None:
    with sdk.session():
        parent = query("SELECT pg_backend_pid()")
        child = os.fork()
        if child == 0:
            status = 1
            with suppress(BaseException):
                apart = query("SELECT pg_backend_pid()") != parent
                status = 0 if apart and is_there(member) else 2
                sdk.close()
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert query("SELECT pg_backend_pid()") == parent


# Transactions that meet.


def serialization_failure() -> None:
    query("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")


def test_a_unit_that_meets_another_runs_again_up_to_five_times(site: Site) -> None:
    tries = []

    @sdk.retrying
    def unit(failures: int) -> int:
        tries.append(1)
        if len(tries) <= failures:
            serialization_failure()
        return len(tries)

    assert unit(4) == 5
    tries.clear()
    with pytest.raises(sdk.Unavailable) as error:
        unit(5)
    assert len(tries) == 5
    assert (error.value.sqlstate, error.value.safe_to_retry) == ("40001", True)


def test_inside_a_transaction_nothing_runs_again(site: Site) -> None:
    tries = []

    @sdk.retrying
    def unit() -> None:
        tries.append(1)
        serialization_failure()

    with pytest.raises(sdk.Unavailable), sdk.transaction():
        unit()
    assert len(tries) == 1


def test_serializable_units_lose_no_update(site: Site, member: str) -> None:
    @sdk.retrying
    def count_one() -> None:
        current_database().execute_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        bio = int(sdk.get_user(member).bio or 0)
        sdk.User.update(bio=str(bio + 1)).where(sdk.User.id == member).execute()

    def count_ten() -> int:
        done = 0
        while done < 10:
            with suppress(sdk.Unavailable):
                count_one()
                done += 1
        return done

    with ThreadPoolExecutor(3) as executor:
        assert sum(executor.map(lambda _: count_ten(), range(3))) == 30
    assert sdk.get_user(member).bio == "30"


def test_a_deadlock_reaches_nobody(the_site: Site) -> None:
    sdk.connect(the_site.url)
    try:
        first, second = make_user().id, make_user().id
        both_hold_one = threading.Barrier(2)

        @sdk.retrying
        def change(one: str, other: str) -> None:
            sdk.update_privacy(one, show_last_seen=False)
            with suppress(threading.BrokenBarrierError):
                both_hold_one.wait(0.5)
            sdk.update_privacy(other, show_last_seen=False)

        with ThreadPoolExecutor(2) as executor:
            calls = [executor.submit(change, *pair) for pair in ((first, second), (second, first))]
            for call in calls:
                call.result()
    finally:
        sdk.close()


def test_a_transaction_in_which_a_statement_failed_is_not_taken_for_written(
    site: Site, member: str
) -> None:
    with pytest.raises(sdk.DatabaseError, match="nothing") as error, sdk.transaction():
        sdk.update_privacy(member, show_last_seen=False)
        with suppress(Exception):
            query("SELECT 1/0")
    assert error.value.sqlstate == "25P02"
    assert sdk.get_privacy(member).show_last_seen


# The same from asyncio.


async def longest_pause(until: asyncio.Future[Any]) -> float:
    """The longest time, in seconds, for which the loop was held up until something is done."""
    longest = 0.0
    while not until.done():
        before = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - before)
    return longest


def test_a_frozen_server_holds_up_no_loop_and_ends_calls_within_ten_seconds(
    the_site: Site,
) -> None:
    sdk.connect(the_site.url, connection_limit=2)
    member = make_user().id

    took = {"call": 0.0, "with a limit": 0.0}

    async def call() -> None:
        began = time.monotonic()
        with pytest.raises(sdk.Unavailable):
            await aio.get_user(member)
        took["call"] = max(took["call"], time.monotonic() - began)

    async def limited() -> None:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await aio.get_user(member)
        took["with a limit"] = time.monotonic() - began

    async def main() -> None:
        await asyncio.gather(*[aio.get_user(member) for _ in range(2)])
        # What others do on this machine at the same time is not the server's silence.
        noise = await longest_pause(asyncio.ensure_future(asyncio.sleep(2)))
        processes = the_site.cluster.freeze()
        try:
            # Of the six, two send their statement; the others wait for a connection.
            calls = asyncio.gather(limited(), *[call() for _ in range(5)], check())
            pause = asyncio.create_task(longest_pause(calls))
            await calls
        finally:
            the_site.cluster.thaw(processes)
        assert took["with a limit"] < 2
        assert took["call"] < 10.5
        assert await pause < 0.05 + noise
        assert (await aio.get_user(member)).id == member

    async def check() -> None:
        with pytest.raises(sdk.Unavailable, match="did not answer within 1 s"):
            await aio.check_health()

    try:
        asyncio.run(main())
    finally:
        sdk.close()


def test_a_call_that_is_cancelled_when_its_commit_is_lost_says_that_nobody_knows(
    site: Site, member: str
) -> None:
    async def work() -> None:
        async with aio.transaction():
            await aio.update_privacy(member, show_last_seen=False)
            # From now on nothing is answered any more.
            hole.enter_context(site.proxy.blackhole(Silence.ACKNOWLEDGED))

    async def main() -> asyncio.CancelledError:
        task = asyncio.create_task(work())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as error:
            await task
        return error.value

    with ExitStack() as hole:
        cause = asyncio.run(main()).__cause__
    assert isinstance(cause, sdk.Unavailable)
    assert not cause.safe_to_retry
    assert "not known" in str(cause)


# One tree of errors.


@pytest.mark.parametrize("value", ["nul \x00", "surrogate \ud800"])
def test_a_value_that_the_driver_refuses_is_invalid_input(site: Site, value: str) -> None:
    with pytest.raises(sdk.InvalidInput) as error, sdk.session():
        list(sdk.User.select().where(sdk.User.bio == value))
    assert "nul" not in str(error.value) and "surrogate" not in str(error.value)


def test_a_locked_sqlite_file_is_safe_to_try_again(tmp_path: Path) -> None:
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db", statement_timeout=0.1)
    try:
        sdk.migrate()
        user = make_user()
        holds, done = threading.Event(), threading.Event()

        def hold() -> None:
            with sdk.transaction():
                holds.set()
                done.wait(5)

        with ThreadPoolExecutor(1) as executor:
            executor.submit(hold)
            holds.wait(5)
            try:
                with pytest.raises(sdk.Unavailable, match="writer") as error:
                    make_chat(user)
            finally:
                done.set()
        assert error.value.safe_to_retry
        assert make_chat(user).type == sdk.ChatType.GROUP
    finally:
        sdk.close()


def test_the_log_says_what_was_healed_without_a_value(
    site: Site, chat: sdk.Chat, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stogram_sdk")
    site.terminate()
    is_there(member)
    site.proxy.cut_at(WRITE, Cut.AFTER)
    sdk.send_message(member, chat.id, "a secret", message_id=new_id())
    with suppress(sdk.Unavailable), sdk.session():
        query("SELECT pg_sleep(30), 'a secret'")
    said = [record.getMessage() for record in caplog.records if record.name == "stogram_sdk"]
    assert "a connection had ended: replaced by a new one" in said
    assert "the connection was lost: running the call again, try 2" in said
    assert "no answer in 1 s: canceling a statement" in said
    assert not any(word in line for line in said for word in ("secret", member, "127.0.0.1"))


def test_a_server_that_is_silent_once_it_is_connected_is_given_up_in_time(
    site: Site, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As PgBouncer is, which takes a client before it has a server for it.
    current_database().close_idle()
    monkeypatch.setattr("stogram_sdk.engine.postgres._LEARN", "SELECT pg_sleep(30), %s")
    began = time.monotonic()
    with pytest.raises(sdk.Unavailable):
        is_there(member)
    assert time.monotonic() - began < 2.5
    monkeypatch.undo()
    assert is_there(member)

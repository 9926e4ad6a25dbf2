"""Faults of every kind, one after the other, beside eight threads of mixed calls.

    python -m tests.support.soak --faults 1000

Reads go to a standby, which takes the server's place now and then.

Nothing may be lost: a message whose call returned is there exactly once, one whose call failed
safely is not there at all, whoever has sent one finds it, every unread count is the truth, no
update of a counter is missing, no connection is left with anybody, and every error was a
`StogramError`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.engine.options import DatabaseOptions
from stogram_sdk.models import new_id
from tests.support.factories import make_chat, make_user, wrong_counts
from tests.support.proxy import Cut, Silence
from tests.support.site import Site, eventually, running_site

THREADS = 8
LIMITS: DatabaseOptions = {
    "connection_limit": THREADS,
    "connect_timeout": 1,
    "pool_timeout": 0.3,
    "statement_timeout": 0.8,
    "lock_timeout": 0.3,
}


@dataclass
class Books:
    """The knowledge of the callers; each thread keeps its own books."""

    calls: int = 0
    #: Contents of messages: of calls that returned, that failed safely, and that failed otherwise.
    sent: list[str] = field(default_factory=list)
    not_sent: list[str] = field(default_factory=list)
    perhaps_sent: list[str] = field(default_factory=list)
    #: Messages that a call was to delete, which empties them.
    perhaps_emptied: set[str | None] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    #: Errors that are no StogramError, and other things that must not happen.
    wrong: list[str] = field(default_factory=list)


class Load:
    """Threads that make calls until they are stopped."""

    def __init__(self, seed: int) -> None:
        users = [make_user() for _ in range(6)]
        self.users = [user.id for user in users]
        self.chats = [make_chat(*users, name=f"chat {number}").id for number in range(3)]
        self.counter = self.users[0]
        self.counted = Counter[str]()
        self.books = [Books() for _ in range(THREADS)]
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(books, random.Random(seed + number)))
            for number, books in enumerate(self.books)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, books: Books, chance: random.Random) -> None:
        while not self._stopped.is_set():
            books.calls += 1
            try:
                if chance.random() < 0.4:
                    self._send(books, chance)
                else:
                    self._do_something(books, chance)
            except sdk.Unavailable as error:
                books.errors[f"Unavailable {error.sqlstate or ''}".strip()] += 1
                time.sleep(0.01)
            except sdk.DatabaseError as error:  # No fault is one of what is sent.
                books.wrong.append(f"{error}: {error.__cause__!r}")
            except sdk.StogramError as error:
                books.errors[type(error).__name__] += 1
            except BaseException as error:
                books.wrong.append(f"{type(error).__name__}: {error}")

    def _send(self, books: Books, chance: random.Random) -> None:
        user, chat, content = chance.choice(self.users), chance.choice(self.chats), new_id()
        message_id = new_id() if chance.random() < 0.5 else None
        together = chance.random() < 0.2
        try:
            if together:
                with sdk.transaction():
                    message = sdk.send_message(user, chat, content, message_id=message_id)
                    sdk.mark_read(user, chat)
            else:
                message = sdk.send_message(user, chat, content, message_id=message_id)
        except sdk.Unavailable as error:
            # With an id it is safe to send it again, whether it has been sent or not.
            certain = error.safe_to_retry and (message_id is None or together)
            (books.not_sent if certain else books.perhaps_sent).append(content)
            raise
        books.sent.append(content)
        with sdk.session():
            if not sdk.Message.select().where(sdk.Message.id == message.id).exists():
                books.wrong.append(f"its sender does not find {content}")

    def _do_something(self, books: Books, chance: random.Random) -> None:
        user, other = chance.sample(self.users, 2)
        chat = chance.choice(self.chats)
        calls: list[Callable[[], Any]] = [
            lambda: sdk.mark_read(user, chat),
            lambda: sdk.list_chats(user),
            lambda: sdk.unread_totals(user),
            lambda: sdk.toggle_favorite(user, chat),
            lambda: sdk.block_user(user, other),
            lambda: sdk.unblock_user(user, other),
            lambda: self._delete(books, user, chat, chance),
            lambda: sdk.pin_message(user, chat, chance.choice(sdk.list_messages(user, chat)).id),
            lambda: sdk.publish_scheduled(),
            lambda: sdk.recount_unread(user, chat),
            lambda: sdk.search_messages(user, "a"),
        ]
        with suppress(IndexError):  # There is no message yet.
            chance.choice(calls)()

    def _delete(self, books: Books, user: str, chat: str, chance: random.Random) -> None:
        message = chance.choice(sdk.list_messages(user, chat))
        books.perhaps_emptied.add(message.content)
        sdk.delete_message(user, chat, message.id)

    def count_one(self) -> None:
        """Raise a counter by one, read and written in a SERIALIZABLE transaction."""

        @sdk.retrying
        def unit() -> None:
            current_database().execute_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            value = int(sdk.get_user(self.counter).bio or 0)
            sdk.User.update(bio=str(value + 1)).where(sdk.User.id == self.counter).execute()

        try:
            unit()
        except sdk.Unavailable as error:
            self.counted["not" if error.safe_to_retry else "perhaps"] += 1
        else:
            self.counted["done"] += 1


def _at_once(*calls: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Interrupted(BaseException):
    """As Ctrl-C, or the time limit of a task queue."""


class Faults:
    """Each method is one kind of fault; it returns when the fault is over."""

    def __init__(self, site: Site, load: Load, books: Books) -> None:
        self._site = site
        self._load = load
        self._books = books

    def kinds(self) -> list[str]:
        return [name for name in vars(Faults) if name[0] != "_" and name != "kinds"]

    def _expect_unavailable(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except sdk.Unavailable:
            return
        except BaseException as error:
            self._books.wrong.append(f"{type(error).__name__}: {error}")

    def terminated_idle(self) -> None:
        self._site.terminate("state = 'idle'")

    def terminated_in_query(self) -> None:
        self._site.terminate("state = 'active'")

    def terminated_in_transaction(self) -> None:
        self._site.terminate("state LIKE 'idle in transaction%'")

    def restarted_fast(self) -> None:
        self._site.restart("fast")

    def restarted_immediate(self) -> None:
        self._site.restart("immediate")

    def killed(self) -> None:
        self._site.restart("kill")

    def read_only_spell(self) -> None:
        with self._site.read_only():
            time.sleep(0.3)

    def frozen(self) -> None:
        processes = self._site.cluster.freeze()
        time.sleep(1.8)
        self._site.cluster.thaw(processes)

    def promoted(self) -> None:
        self._site.fail_over()

    def reset(self) -> None:
        self._site.proxy.reset()

    def commit_lost_on_the_way(self) -> None:
        self._site.proxy.cut_at("COMMIT", Cut.BEFORE)

    def commit_lost_on_the_way_back(self) -> None:
        self._site.proxy.cut_at("COMMIT", Cut.AFTER)

    def blackhole(self) -> None:
        with self._site.proxy.blackhole(Silence.ACKNOWLEDGED):
            time.sleep(1.8)

    def blackhole_that_drops(self) -> None:
        with self._site.proxy.blackhole(Silence.DROPPED):
            time.sleep(1.8)

    def short_blackhole(self) -> None:
        with self._site.proxy.blackhole(Silence.DROPPED):
            time.sleep(0.3)

    def slow_network(self) -> None:
        self._site.proxy.delay = 0.01
        time.sleep(0.2)
        self._site.proxy.delay = 0

    def pool_exhausted(self) -> None:
        def hold() -> None:
            with suppress(sdk.Unavailable), sdk.session():
                time.sleep(0.5)

        _at_once(*[hold] * THREADS)

    def statement_timeout(self) -> None:
        def sleep() -> None:
            with sdk.session(statement_timeout=0.1):
                current_database().execute_sql("SELECT pg_sleep(30)")

        self._expect_unavailable(sleep)

    def lock_timeout(self) -> None:
        with self._site.administrator() as cursor:
            cursor.execute('SELECT 1 FROM "Chat" WHERE id = %s FOR UPDATE', [self._load.chats[0]])
            time.sleep(0.5)

    def serialization_failures(self) -> None:
        _at_once(*[self._load.count_one] * 3)

    def deadlock(self) -> None:
        both_hold_one = threading.Barrier(2)

        @sdk.retrying
        def change(one: str, other: str) -> None:
            sdk.update_privacy(one, show_last_seen=True)
            with suppress(threading.BrokenBarrierError):
                both_hold_one.wait(0.1)
            sdk.update_privacy(other, show_last_seen=True)

        def call(one: str, other: str) -> None:
            with suppress(sdk.Unavailable):  # It belongs to another fault.
                change(one, other)

        first, second = self._load.users[1:3]
        _at_once(lambda: call(first, second), lambda: call(second, first))

    def fork(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            signal.alarm(20)
            status = 1
            with suppress(BaseException):
                try:
                    sdk.list_chats(self._load.users[0])
                    sdk.mark_read(self._load.users[0], self._load.chats[0])
                    sdk.close()
                except sdk.StogramError:
                    pass
                status = 0
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            self._books.wrong.append(f"a forked child ended with {status}")

    def interrupted(self) -> None:
        """A signal handler raises in the midst of a call."""
        is_armed = False

        def interrupt(number: int, frame: object) -> None:
            if is_armed:
                raise _Interrupted

        before = signal.signal(signal.SIGALRM, interrupt)
        for _ in range(20):
            content = new_id()
            try:
                is_armed = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.01))
                sdk.send_message(self._load.users[0], self._load.chats[0], content)
                is_armed = False
            except (_Interrupted, sdk.Unavailable):
                is_armed = False
                self._books.perhaps_sent.append(content)
            else:
                self._books.sent.append(content)
            if current_database().in_transaction() or not current_database().is_closed():
                self._books.wrong.append("an interrupted call has left a connection")
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    def thread_death(self) -> None:
        def forget_to_close() -> None:
            with suppress(Exception):
                current_database().connect()

        _at_once(*[forget_to_close] * 3)


@dataclass
class Report:
    faults: Counter[str]
    seconds: float
    calls: int
    sent: int
    #: How many statements a standby was asked.
    at_standby: int
    errors: Counter[str]
    #: Everything that must not happen; empty if nothing was lost.
    wrong: list[str]

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        errors = ", ".join(f"{error} {count}" for error, count in self.errors.most_common())
        return "\n".join(
            [
                f"{sum(self.faults.values())} faults in {self.seconds:.0f} s: {kinds}",
                f"{self.calls} calls, {self.calls / self.seconds:.0f} a second; errors: {errors}",
                f"{self.at_standby} statements at a standby",
                f"{self.sent} messages acknowledged; wrong: {self.wrong or 'nothing'}",
            ]
        )


def soak(faults: int, seed: int = 0) -> Report:
    """Run so many faults, every kind as often as the others, in an order that the seed gives."""
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    threads_before = threading.active_count()
    with running_site("deadlock_timeout=50ms", "wal_retrieve_retry_interval=100ms") as site:
        site.keep_standby()
        sdk.connect(site.url, read_url=site.read_url, read="standby", **LIMITS)
        at_standby = statements_at_standbys()
        load = Load(seed)
        books = Books()
        everybodys = [*load.books, books]
        kinds = Faults(site, load, books)
        began = time.monotonic()
        try:
            row: list[str] = []
            while sum(done.values()) < faults:
                if not row:
                    row = kinds.kinds()
                    chance.shuffle(row)
                kind = row.pop()
                getattr(kinds, kind)()
                done[kind] += 1
                time.sleep(chance.uniform(0, 0.1))
            site.proxy.reset()  # The server still has its end of a silent connection.
            time.sleep(1)
        finally:
            load.stop()
        seconds = time.monotonic() - began
        wrong = [line for each in everybodys for line in each.wrong]
        wrong += _compare(site, load, everybodys)
        sdk.close()
        with suppress(AssertionError):
            eventually(lambda: site.sessions() == 0)
        if left := site.sessions():
            wrong.append(f"{left} sessions are left after close()")
    if threading.active_count() != threads_before:
        wrong.append(f"threads are left: {threading.enumerate()}")
    return Report(
        done,
        seconds,
        sum(each.calls for each in everybodys),
        sum(len(each.sent) for each in everybodys),
        len(at_standby),
        sum((each.errors for each in everybodys), Counter[str]()),
        wrong,
    )


def statements_at_standbys() -> list[Any]:
    """A list that gets each statement that the standbys are asked from now on."""
    statements: list[Any] = []
    for standby in current_database().standbys._standbys:
        standby.database.query_hooks.append(statements.append)
    return statements


def _compare(site: Site, load: Load, books: list[Books]) -> list[str]:
    """Compare the database with the knowledge of the callers."""
    wrong = []
    with sdk.session(statement_timeout=60):
        there = Counter(message.content for message in sdk.Message.select(sdk.Message.content))
        emptied = set().union(*(each.perhaps_emptied for each in books))
        for each in books:
            wrong += [
                f"{there[one]} messages {one}, sent"
                for one in each.sent
                if there[one] != 1 and not (there[one] == 0 and one in emptied)
            ]
            wrong += [
                f"{there[one]} messages {one}, not sent" for one in each.not_sent if there[one]
            ]
            wrong += [f"{there[one]} messages {one}" for one in each.perhaps_sent if there[one] > 1]
        if counts := wrong_counts():
            wrong.append(f"unread counts are not the truth: {counts}")
        value = int(sdk.get_user(load.counter).bio or 0)
        least = load.counted["done"]
        if not least <= value <= least + load.counted["perhaps"]:
            wrong.append(f"the counter is at {value}, its callers say {load.counted}")
    database = current_database()
    with suppress(AssertionError):  # The thread that looks at the standby has one for a moment.
        eventually(lambda: database.status().in_use == 0)
    if in_use := database.status().in_use:
        wrong.append(f"{in_use} connections are with nobody")
    with suppress(AssertionError):
        eventually(lambda: site.sessions() == database.status().idle)
    if site.sessions() != database.status().idle:
        wrong.append(f"{site.sessions()} sessions, {database.status().idle} in the pool")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"{options.faults} faults, seed {options.seed}", flush=True)
    report = soak(options.faults, options.seed)
    print(report)
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()

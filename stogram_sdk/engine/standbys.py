"""Standbys: servers that follow the primary, for calls that only read.

A position in the log of the primary tells whether a standby is far enough. Whoever has written
waits until the standby has carried out the log up to there; whoever has not is content with what
the primary had some seconds ago. Each connection is asked by itself, because those of one pool may
lead to several servers, and what it says holds for a second.

A write is noted for its context, and for its thread, since a context may be a copy that is thrown
away. A worker of asyncio is a thread of many tasks: there it is only the context.

Whatever fails at a standby is asked of the primary. While there are reads, a thread looks at each
standby once a second: one that is away or late gets no calls, and one that is well gets them again.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from itertools import count
from typing import Any, NamedTuple, TypeVar
from weakref import ref

from stogram_sdk.engine.failures import (
    FAILURES,
    ConnectionLost,
    logger,
    of_peewee,
    run_again,
    sqlstate_of,
)
from stogram_sdk.engine.units import current_task, on_connection
from stogram_sdk.errors import InvalidInput, Unavailable

T = TypeVar("T")

# Seconds: how long the answer of a connection holds, how long a server may take to give it, and how
# long the thread that looks after the standbys goes on after the last read.
_FRESH = 1.0
_SOON = 1.0
_LINGER = 10.0

# Seconds between two looks at a standby that is waited for.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.008

# Seconds without a look after which nobody knows how a standby is, and what the primary had since.
_UNKNOWN_AFTER = 3.0

# A page of the log begins with a header, of 24 bytes or 40.
_PAGE, _HEADER = 8192, 40

_POSITION = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")

_TOOK_TOO_LONG = "57014"


def read_position(text: str) -> int:
    """The position that PostgreSQL or `position()` writes as this text."""
    found = _POSITION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidInput("after must be what position() has returned", field="after")
    high, low = found.groups()
    return int(high, 16) << 32 | int(low, 16)


def write_position(position: int) -> str:
    """The position as `read_position` reads it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def end_of_last_record(insert_position: int) -> int:
    """How far a standby gets while the primary would write its next record at this position.

    If that is the first one of its page, it comes after the header, which no standby waits for.
    """
    into_page = insert_position % _PAGE
    return insert_position - into_page if into_page <= _HEADER else insert_position


class Reads(NamedTuple):
    """Where the calls of a session read: after which position, and with which limit of time."""

    at_standby: bool
    after: int = 0
    time_limit: float | None = None

    def narrowed(self, at_standby: bool | None, after: int, time_limit: float | None) -> Reads:
        """Those of a session inside, which says some of them anew."""
        return Reads(
            self.at_standby if at_standby is None else at_standby,
            max(self.after, after),
            self.time_limit if time_limit is None else time_limit,
        )


class _Writes:
    """When a thread or task has last written, and the position of that once it is known."""

    def __init__(self, of: Standbys, task: Any = None, around: _Writes | None = None) -> None:
        self.of = of
        self.task = task and ref(task)
        self._around: ref[_Writes] | None = None
        self.last = 0.0
        #: The last write whose position is known.
        self.known = 0.0
        self.position = 0
        if around is not None:
            self._around = ref(around)
            self.last, self.known, self.position = around.last, around.known, around.position

    def note(self) -> None:
        """Note a write, for the tasks as well in which this one has begun."""
        last = time.monotonic()
        writes: _Writes | None = self
        while writes is not None:
            writes.last = last
            writes = None if writes._around is None else writes._around()


_writes: ContextVar[_Writes | None] = ContextVar("stogram_sdk.writes", default=None)


class _TooFarBehind(Exception):
    """The standby does not have yet what the call must see."""


class Standby:
    """One of the servers, by its own pool of connections."""

    def __init__(self, database: Any) -> None:
        self.database = database
        #: Gets no calls.
        self.is_left_out = True

    def leave_out(self, reason: str) -> None:
        if not self.is_left_out:
            self.is_left_out = True
            logger.warning("%s: reads go elsewhere", reason)

    def ask(self) -> Any:
        """This thread's connection, once it has said how far its server is."""
        cursor = self.database.execute_sql(
            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END"
        )
        (said,) = cursor.fetchone()
        connection = self.database.connection()
        if said is None:
            connection.is_unfit = True
            self.leave_out("a server to read from is no standby")
            raise _TooFarBehind
        connection.replayed, connection.replayed_at = read_position(said), time.monotonic()
        return connection


class _OfThread(threading.local):
    number: int | None = None
    #: What it has written, in whatever context.
    writes: _Writes | None = None


class Standbys:
    """The standbys of a primary; `patience` and `max_lag` are in seconds."""

    def __init__(
        self, primary: Any, databases: list[Any], *, default: Reads, patience: float, max_lag: float
    ) -> None:
        self._primary = primary
        self._standbys = [Standby(database) for database in databases]
        self._default = default
        self._patience = patience
        self._max_lag = max_lag
        #: When the primary was asked for its position, and the answer; the first is the newest one
        #: that is old enough, or the oldest there is.
        self._samples: tuple[tuple[float, int], ...] = ()
        #: The position that every standby should have reached by now.
        self._floor = 0
        self._of_thread = _OfThread()
        self._numbers = count()
        self._last_read = 0.0
        self._last_look = -math.inf
        self.reset()

    def reset(self) -> None:
        """Begin without the thread that looks after them; a forked child does not have it."""
        self._looker: threading.Thread | None = None
        self._starting = threading.Lock()
        self._close = threading.Event()

    def reads(self) -> Reads:
        """Where this thread reads."""
        reads: Reads | None = self._primary.state().get("reads")
        return self._default if reads is None else reads

    def limit(self, connection: Any) -> None:
        """Give a connection of the primary the limit of time of this thread's session."""
        time_limit = self.reads().time_limit
        if time_limit is not None:
            connection.time_limit = time_limit or math.inf

    def read(self, work: Callable[[Any], T], at_primary: Callable[[], T]) -> T:
        """Do the work at a standby; at the primary if that is not possible."""
        reads = self.reads()
        standby = self._choose() if reads.at_standby else None
        if standby is None:
            return at_primary()
        # Where this fails, the primary would have the call wait for as long again.
        after = max(self.written(), reads.after)
        try:
            return self._read_at(standby, work, after, reads.time_limit)
        except _TooFarBehind:
            pass
        except FAILURES as error:
            if _has_waited(error):
                raise
            if _is_away(error):
                standby.leave_out("a standby cannot be reached")
        return at_primary()

    def _choose(self) -> Standby | None:
        """The standby of this thread, which stays the same, so that its reads do not go back."""
        self._last_read = time.monotonic()
        if self._looker is None:
            self._begin_to_look()
        here = [standby for standby in self._standbys if not standby.is_left_out]
        if not here:
            return None
        if self._of_thread.number is None:
            self._of_thread.number = next(self._numbers)
        return here[self._of_thread.number % len(here)]

    def _read_at(
        self, standby: Standby, work: Callable[[Any], T], after: int, time_limit: float | None
    ) -> T:
        database = standby.database
        database.state()["worker"] = self._primary.state().get("worker")

        def read() -> T:
            self._wait_for(standby, after)
            # A new connection may lead to a server that is not as far.
            with database.pinned(), database.limited_to(time_limit):
                return work(database)

        return on_connection(database, read)

    def _wait_for(self, standby: Standby, after: int) -> None:
        """Wait until this thread's connection leads to a standby with all that is to be seen."""
        connection = standby.database.connection()
        now = time.monotonic()
        deadline, pause = now + self._patience, _FIRST_PAUSE
        is_fresh = now - connection.replayed_at < _FRESH and connection.is_usable()
        if not is_fresh or connection.replayed < after:
            connection = standby.ask()
        if connection.replayed < self._floor:
            standby.leave_out("a standby is late (max_standby_lag)")
            raise _TooFarBehind
        while connection.replayed < after:
            if time.monotonic() + pause > deadline:
                raise _TooFarBehind
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            connection = standby.ask()

    def note_write(self) -> None:
        """Note that this thread or task has written."""
        writes = _writes.get()
        if writes is None or writes.of is not self:
            writes = _Writes(self)
            _writes.set(writes)
        writes.note()
        if self._primary.state().get("worker") is None:
            own = self._of_thread.writes = self._of_thread.writes or _Writes(self)
            own.note()

    def begin_in_task(self) -> None:
        """Have this task remember its writes by itself, from those of the task it began in."""
        task, around = current_task(), _writes.get()
        if around is not None and around.of is not self:
            around = None
        if around is None or around.task is None or around.task() is not task:
            _writes.set(_Writes(self, task, around))

    def written(self) -> int:
        """The position of the last write of this thread or task; 0 if it has written nothing."""
        of_task, of_thread = _writes.get(), self._of_thread.writes
        noted = [each for each in (of_task, of_thread) if each is not None and each.of is self]
        if not noted:
            return 0
        # Before the position of the later one is everything that was written earlier.
        writes = max(noted, key=lambda each: each.last)
        last = writes.last
        if writes.known != last:
            # What the primary has said since then will do, also while it is away.
            later = (position for began, position in self._samples if began > last)
            position = next(later, None)
            if position is None:
                position = on_connection(
                    self._primary, run_again, self._primary.log_position, repeatable=True
                )
            writes.position, writes.known = max(writes.position, position), last
        return writes.position

    def _begin_to_look(self) -> None:
        looker = threading.Thread(
            target=self._look_on, name="stogram_sdk looks at standbys", daemon=True
        )
        with self._starting, suppress(RuntimeError):  # No thread can be had: the next read tries.
            if self._looker is None:
                if time.monotonic() - self._last_look > _UNKNOWN_AFTER:
                    for standby in self._standbys:
                        standby.is_left_out = True  # How it is, the first look will tell.
                looker.start()
                self._looker = looker

    def _look_on(self) -> None:
        try:
            while time.monotonic() - self._last_read < _LINGER:
                self.look()
                if self._close.wait(_FRESH):
                    break
        finally:
            self._looker = None

    def look(self) -> None:
        """See which standbys can be read from."""
        self._sample()
        for standby in self._standbys:
            self._look_at(standby)
        self._last_look = time.monotonic()

    def _look_at(self, standby: Standby) -> None:
        database = standby.database

        def ask() -> Any:
            with database.limited_to(_SOON):
                return standby.ask()

        began = time.monotonic()
        try:
            connection = on_connection(database, ask)
        except _TooFarBehind:
            return
        except FAILURES as error:
            if _is_away(error):
                standby.leave_out("a standby cannot be reached")
                if time.monotonic() - began >= _SOON:
                    database.cut_all()  # It is silent: nobody needs to wait any longer.
            return
        if connection.replayed < self._floor:
            standby.leave_out("a standby is late (max_standby_lag)")
        elif standby.is_left_out:
            standby.is_left_out = False
            logger.info("a standby is read from")

    def _sample(self) -> None:
        """Ask the primary for its position, which the standbys have to reach in time."""

        def ask() -> int:
            with self._primary.limited_to(_SOON):
                position: int = self._primary.log_position()
            return position

        began = time.monotonic()
        try:
            sample = began, on_connection(self._primary, ask)
        except FAILURES:
            return  # While it is away, reads go on.
        oldest = began - self._max_lag - _UNKNOWN_AFTER
        samples = (*(each for each in self._samples if each[0] > oldest), sample)
        while len(samples) > 1 and samples[1][0] < began - self._max_lag:
            samples = samples[1:]
        self._samples = samples
        self._floor = samples[0][1] if self._max_lag else 0

    def close(self) -> None:
        self._close.set()
        looker = self._looker
        if looker is not None:
            looker.join(2 * _SOON)
        for standby in self._standbys:
            standby.database.close_all()


def _has_waited(error: BaseException) -> bool:
    """Whether a call has waited for as long as it may: for a connection, or for the answer."""
    cause = of_peewee(error)
    return isinstance(cause, Unavailable) or sqlstate_of(cause) == _TOOK_TOO_LONG


def _is_away(error: BaseException) -> bool:
    """Whether it is about the server; not if all connections are in use, or a statement failed."""
    cause = of_peewee(error)
    return not isinstance(cause, Unavailable) and (
        isinstance(cause, ConnectionLost) or sqlstate_of(cause) is None
    )

"""Whatever interrupts a call, at any line of the package or of Peewee: its thread is clean."""

from __future__ import annotations

import random
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import peewee
import psycopg2
import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.engine.units import at_work
from stogram_sdk.models import new_id
from tests.support.factories import make_chat, make_user

POINTS = 60
INTERRUPTIONS = 200
_FILES = (str(Path(sdk.__file__).parent), peewee.__file__)


class Interrupted(BaseException):
    """As `KeyboardInterrupt`."""


class SoftLimit(Exception):
    """As a task queue raises when a task has taken too long."""


class Interruption:
    """A trace function that counts the lines of the package and of Peewee, and raises at one."""

    def __init__(self, line: int = 0, error: BaseException | None = None) -> None:
        self._line = line
        self._error = error
        self.lines = 0
        self.where = ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_FILES):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self._line and self._error is not None:
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
                raise self._error
        return self

    def during(self, call: Callable[[], Any]) -> bool:
        """Make the call; whether it was ended by the interruption."""
        sys.settrace(self)
        try:
            call()
        except BaseException as error:
            if error is not self._error:
                raise
            return True
        finally:
            sys.settrace(None)
            self._error = None  # As when it has been handled: its frames are gone.
        return False


class Scene:
    """A user and a chat, and a connection beside the SDK that sees what is committed."""

    def __init__(self, url: str) -> None:
        self.user = make_user("first")
        self.other = make_user("second")
        self.chat = make_chat(self.user, self.other)
        path = url.removeprefix("sqlite:///")
        self._beside: Any = (psycopg2 if path == url else sqlite3).connect(path)
        if path == url:
            self._beside.set_session(autocommit=True)
        self._threads = ThreadPoolExecutor(1)

    def close(self) -> None:
        self._threads.shutdown()
        self._beside.close()

    def contents(self) -> list[str]:
        with closing(self._beside.cursor()) as cursor:
            cursor.execute('SELECT content FROM "Message"')
            return [content for (content,) in cursor.fetchall()]

    def send(self, content: str | None = None) -> str:
        content = content or new_id()
        sdk.send_message(self.user.id, self.chat.id, content)
        return content

    def check(self) -> None:
        """The thread is clean, the pool is whole, and the next call is committed."""
        database = current_database()
        assert not database.in_transaction()
        assert database.is_closed()
        assert at_work.database is None
        status = self._threads.submit(database.status)
        assert status.result(10).in_use == 0
        assert self.send() in self.contents()


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    sdk.connect(database_url)
    sdk.migrate()
    scene = Scene(database_url)
    yield scene
    scene.close()
    sdk.close()


def read(scene: Scene, content: str) -> None:
    sdk.is_blocked(scene.user.id, scene.other.id)


def write(scene: Scene, content: str) -> None:
    sdk.update_privacy(scene.user.id, show_last_seen=True)


def several(scene: Scene, content: str) -> None:
    scene.send(content)


def refused(scene: Scene, content: str) -> None:
    with suppress(sdk.NotFound):
        sdk.send_message(scene.user.id, "no chat", content)


def in_session(scene: Scene, content: str) -> None:
    with sdk.session(statement_timeout=5):
        scene.send(content)


def session_that_goes_on(scene: Scene, content: str) -> None:
    with sdk.session():
        try:
            scene.send(content)
        except (Interrupted, SoftLimit):
            assert not current_database().in_transaction()
            assert scene.send() in scene.contents()
            raise


def in_transaction(scene: Scene, content: str) -> None:
    with sdk.transaction():
        scene.send(content)
        scene.send(content)


def nested(scene: Scene, content: str) -> None:
    with sdk.session(), sdk.transaction():
        scene.send(content)
        with sdk.transaction():
            scene.send(content)


def of_peewee(scene: Scene, content: str) -> None:
    with sdk.db.atomic():
        scene.send(content)
        scene.send(content)


def retried(scene: Scene, content: str) -> None:
    @sdk.retrying
    def unit() -> None:
        scene.send(content)
        scene.send(content)

    unit()


def decorated(scene: Scene, content: str) -> None:
    @sdk.session()
    def unit() -> None:
        scene.send(content)

    unit()


def ones_own_query(scene: Scene, content: str) -> None:
    sdk.User.get_by_id(scene.user.id)


def first(scene: Scene, content: str) -> None:
    """The test has closed the connections, so that this call opens one."""
    sdk.is_blocked(scene.user.id, scene.other.id)


Kind = Callable[[Scene, str], None]
KINDS: list[Kind] = [
    read,
    write,
    several,
    refused,
    in_session,
    session_that_goes_on,
    in_transaction,
    nested,
    of_peewee,
    retried,
    decorated,
    ones_own_query,
    first,
]


#: How many messages a call that is done has sent; a call that is not, none.
SENT: dict[Kind, int] = {
    several: 1,
    in_session: 1,
    session_that_goes_on: 1,
    decorated: 1,
    in_transaction: 2,
    nested: 2,
    of_peewee: 2,
    retried: 2,
}


# The interruption may hit a finalizer, which cannot pass it on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_may_be_interrupted_at_any_line(scene: Scene, kind: Kind) -> None:
    kind(scene, new_id())
    counting = Interruption()
    if kind is first:
        current_database().close_idle()
    counting.during(lambda: kind(scene, new_id()))
    chance = random.Random(kind.__name__)
    lines = chance.sample(range(1, counting.lines + 1), min(POINTS, counting.lines))
    interrupted = 0
    unclean = []
    for line in sorted(lines):
        content = new_id()
        interruption = Interruption(line, chance.choice([Interrupted, SoftLimit])())
        if kind is first:
            current_database().close_idle()
        interrupted += interruption.during(partial(kind, scene, content))
        try:
            scene.check()
            assert scene.contents().count(content) in (0, SENT.get(kind, 0))
        except BaseException as error:
            unclean.append(f"{interruption.where}: {error!r}")
            current_database().clear_thread()
    assert not unclean, "\n".join(unclean)
    assert interrupted > len(lines) / 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signals_may_interrupt_calls_at_any_moment(scene: Scene) -> None:
    chance = random.Random(0)
    interrupted = 0

    def raise_it(number: int, frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, raise_it)
    try:
        while interrupted < INTERRUPTIONS:
            kind, content = chance.choice(KINDS[:-1]), new_id()
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, 0.008))
                kind(scene, content)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                interrupted += 1
            scene.check()
            assert scene.contents().count(content) in (0, SENT.get(kind, 0)), kind.__name__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""Threads that make the calls of asyncio: one for each connection, first come, first served.

A worker is a thread as any other, with its connection of the pool. What it does is a `Call`: the
future that a task awaits. The calls of all loops wait in one queue. A session or transaction keeps
its worker, which then takes only the calls of the task that has entered it.

A task that is cancelled calls off its call. One that still waits is withdrawn. One that runs sends
nothing more: the pool asks before each statement and before COMMIT, and has the statement that
runs ended. The task learns of its cancellation when the worker is done.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any
from weakref import ref

from stogram_sdk.engine.failures import logger
from stogram_sdk.engine.units import CalledOff
from stogram_sdk.errors import StogramError, Unavailable

# Seconds between two looks of a worker without work, and how many of them until it ends.
_TICK = 1.0
_LOOKS = 10

# With more answers than this a loop is behind. A worker then leaves it the interpreter for so many
# seconds, and so many times: workers that went on would keep it from it until no call waits.
_BEHIND, _BREATH, _BREATHS = 3, 0.001, 20

LEFT_ELSEWHERE = (
    "a session or transaction was left in another task than it was entered in, or before one that "
    "was entered later: it was rolled back; enter and leave it in one task, the last one first"
)
LEFT_OPEN = "a session or transaction was left open by its task: it was rolled back"
_LOST = "the transaction was rolled back when a call in it was cancelled: start it over"
_CARRIED_OUT = "the call was cancelled when it had been carried out"


class Call(asyncio.Future[Any]):
    """A function that a worker runs; whoever awaits `outcome` gets what it returns or raises."""

    #: Whether nothing more may be sent.
    is_called_off = False
    #: Whether it has had a connection.
    has_begun = False
    #: Whether something may have been written if it succeeds.
    writes = True

    def __init__(self, workers: Workers, work: Callable[[], Any]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        if workers.database.standbys is not None:
            workers.database.standbys.begin_in_task()
        self.work = work
        self.context = copy_context()
        self.workers = workers
        self.since = time.monotonic()
        self.inbox = _inbox_of(self.get_loop())

    async def outcome(self) -> Any:
        """What the function returns or raises.

        A `CancelledError` has a cause where something was, or may have been, written all the same.
        """
        try:
            return await self
        except asyncio.CancelledError as cancelled:
            if self.done() and not self.cancelled():
                raise cancelled from self._what_is_written()
            raise
        except GeneratorExit:  # The loop was closed meanwhile.
            if not self.workers.withdraw(self):
                self.call_off()
            raise

    def cancel(self, msg: Any = None) -> bool:
        """What the task's own `cancel` asks first; False lets the task wait until this is done."""
        if self.done():
            return False
        if self.workers.withdraw(self):
            return super().cancel(msg)
        self.call_off()
        # Without a connection until now nothing was sent, and nothing will be.
        return not self.has_begun and super().cancel(msg)

    def call_off(self) -> None:
        """Let nothing more of it be sent; from any thread."""
        self.is_called_off = True
        self.workers.database.call_off()

    def run(self, worker: Worker) -> None:
        """Run the function, in the thread of the worker."""
        self._start(worker)
        result: Any = None
        error: BaseException | None = None
        try:
            result = self.context.run(self.work)
        except StopIteration as stop:  # A future cannot hold it.
            error = RuntimeError("the function raised StopIteration")
            error.__cause__ = stop
        except BaseException as raised:
            error = raised
        try:
            if self.is_called_off:
                worker.settle()
        finally:
            self.answer(result, error)
        del self, error  # The error's traceback holds this frame.

    def _start(self, worker: Worker) -> None:
        worker.call = self
        worker.state["waited"] = time.monotonic() - self.since

    def answer(self, result: Any = None, error: BaseException | None = None) -> None:
        self.inbox.put(self, result, error)

    def _what_is_written(self) -> Unavailable | None:
        error = self.exception()
        if error is None and self.writes:
            return Unavailable(_CARRIED_OUT, safe_to_retry=False)
        if isinstance(error, Unavailable) and not error.safe_to_retry:
            return error
        return None


class Opening(Call):
    """Enters a session or transaction, and keeps the worker until its task has left that."""

    writes = False

    def __init__(self, workers: Workers, work: Callable[[], Any], task: asyncio.Task[Any]) -> None:
        super().__init__(workers, work)
        self._task = ref(task)
        #: The calls inside it. None leaves, where nothing can be awaited.
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._is_over = False

    def run(self, worker: Worker) -> None:
        self._start(worker)
        self.context.run(self._hold, worker)

    def _hold(self, worker: Worker) -> None:
        last: Call = self
        given: BaseException | None = None
        try:
            with self.work():
                # In this order, as `connect()` does. What reads at standbys has not called that.
                self.has_begun = True
                if self.is_called_off:
                    raise CalledOff
                depth = len(worker.state["transactions"])
                self.answer(worker.state["place"])
                last = leaving = self._serve(worker, depth)
                if (given := leaving.error) is not None:
                    raise given
                worker.require_transactions(depth)
        except BaseException as error:
            self._end()
            last.answer(error=None if error is given else error)
        else:
            self._end()
            last.answer()
        finally:
            del given

    def has_entered(self) -> bool:
        return self.done() and not self.cancelled() and self.exception() is None

    def put(self, call: Call | None) -> None:
        """Have the worker that is kept run the call; it raises if that has left already."""
        if call is not None:
            call.has_begun = True
        self._calls.put(call)
        if self._is_over:  # Asked last: the worker may just be leaving.
            self._refuse()

    def _end(self) -> None:
        self._is_over = True
        self._refuse()

    def _refuse(self) -> None:
        with suppress(Empty):
            while True:
                call = self._calls.get_nowait()
                if call is not None:
                    call.answer(error=StogramError(LEFT_ELSEWHERE))

    def _serve(self, worker: Worker, depth: int) -> Leaving:
        """Run the calls inside, until one leaves."""
        while True:
            call = worker.call = self._next()
            if isinstance(call, Leaving):
                return call
            try:
                worker.require_transactions(depth)
            except Unavailable as lost:
                call.answer(error=lost)
            else:
                call.run(worker)
            del call

    def _next(self) -> Call:
        while True:
            try:
                call = self._calls.get(timeout=_TICK)
            except Empty:
                if self._has_gone():
                    logger.error(LEFT_OPEN)
                    raise StogramError(LEFT_OPEN) from None
            else:
                if call is None:
                    raise StogramError(LEFT_OPEN)
                return call

    def _has_gone(self) -> bool:
        """Whether nobody can leave it any more."""
        task = self._task()
        return task is None or task.done() or self.get_loop().is_closed()


class Leaving(Call):
    """Leaves a session or transaction with this error, or without one."""

    def __init__(self, opening: Opening, error: BaseException | None, writes: bool) -> None:
        super().__init__(opening.workers, opening.work)
        self.error = error
        self.writes = writes


class Worker(threading.Thread):
    """Runs one call after the other."""

    #: Peewee's state of this thread.
    state: dict[str, Any]
    #: The one that it runs.
    call: Call | None = None

    def __init__(self, workers: Workers) -> None:
        super().__init__(name="stogram_sdk works", daemon=True)
        self._workers = workers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = threading.Lock()
        self._wake.acquire()

    def run(self) -> None:
        database = self._workers.database
        self.state = database.state()
        self.state["worker"] = self
        try:
            while (call := self._next()) is not None:
                self._loop = call.get_loop()
                call.run(self)
                if not self.state["closed"]:
                    database.clear_thread()  # The function has left something open.
                del call
                self.call = None
        finally:  # Also if a connection cannot be cleaned up: the pool takes it back then.
            self._workers.end(self)

    def wake(self) -> None:
        self._wake.release()

    def begin(self) -> None:
        """Note that the call has a connection."""
        assert self.call is not None
        self.call.has_begun = True

    def _next(self) -> Call | None:
        """The call that waits the longest; None if there was none for some time."""
        while True:
            call = self._workers.take()
            if call is not None:
                return call
            if not self._wait():
                return None

    def _wait(self) -> bool:
        """Wait to be woken up; False if that is not worth while any more."""
        workers = self._workers
        workers.rest(self)
        is_over = True
        for _ in range(_LOOKS):
            if workers.waiting:  # It came before this worker was known to be idle.
                is_over = False
                break
            if workers.is_closed or (self._loop is not None and self._loop.is_closed()):
                break
            if self._wake.acquire(timeout=_TICK):
                return True
        if not workers.wake_from_rest(self):
            self._wake.acquire()  # Somebody is just waking it up.
            return True
        return not is_over

    def require_transactions(self, depth: int) -> None:
        """Refuse to go on in a transaction that has ended with a call that was called off."""
        if len(self.state["transactions"]) < depth:
            raise Unavailable(_LOST)

    def settle(self) -> None:
        """Leave no transaction after a call that was called off."""
        if not self.state["closed"]:
            self._workers.database.clear_transaction()


class Workers:
    """The workers of one database, at most `limit`."""

    def __init__(self, database: Any, limit: int, patience: float) -> None:
        self.database = database
        self.waiting: deque[Call] = deque()
        self.is_closed = False
        self._limit = limit
        #: How many seconds a call may wait.
        self.patience = patience
        self._idle: deque[Worker] = deque()
        self._all: set[Worker] = set()
        self._starting = threading.Lock()

    # Loops and workers share the two deques without a lock, so that no loop waits for a thread:
    # each step is one operation on a deque, and who has taken something out has it alone.

    def submit(self, call: Call) -> None:
        """Have the call run by the next worker that is free."""
        self.waiting.append(call)
        try:
            self._idle.pop().wake()
        except IndexError:
            self._start()
            call.inbox.watch(self)

    def take(self) -> Call | None:
        """The call that waits the longest."""
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def withdraw(self, call: Call) -> bool:
        """Whether the call was still waiting; now it is not."""
        try:
            self.waiting.remove(call)
        except ValueError:
            return False
        return True

    def rest(self, worker: Worker) -> None:
        self._idle.append(worker)

    def wake_from_rest(self, worker: Worker) -> bool:
        """Whether the worker was still idle; now it is not."""
        try:
            self._idle.remove(worker)
        except ValueError:
            return False
        return True

    def end(self, worker: Worker) -> None:
        self._all.discard(worker)
        if self.waiting:  # It came while this one was still counted.
            self._start()

    def close(self) -> None:
        """End the workers: idle ones now, the others when no call waits any more."""
        self.is_closed = True
        while self._idle:
            worker = self._idle.pop()
            worker.wake()
            worker.join()

    def _start(self) -> None:
        """Start one more worker, if there may be one."""
        with self._starting:
            if len(self._all) >= self._limit:
                return
            worker = Worker(self)
            self._all.add(worker)
        try:
            worker.start()
        except RuntimeError:  # The system has no more threads, or the interpreter is shutting down.
            self._all.discard(worker)
            if not self._all:
                self._refuse()

    def _refuse(self) -> None:
        while (call := self.take()) is not None:
            call.answer(error=Unavailable("no thread could be started"))


class _Inbox:
    """What comes back to one loop: answers, and calls that have waited for too long.

    The loop is woken up once for all answers that are there, and has one timer for all its calls in
    a queue: the one that waits the longest is the first.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._answers: deque[tuple[Call, Any, BaseException | None]] = deque()
        self._is_told = False
        #: Those for whose queue there is a timer.
        self._watched: set[Workers] = set()

    def put(self, call: Call, result: Any, error: BaseException | None) -> None:
        """From any thread."""
        self._answers.append((call, result, error))
        if not self._is_told:
            self._is_told = True
            with suppress(RuntimeError):  # The loop is closed: nobody waits for it.
                self.loop.call_soon_threadsafe(self._deliver)
        for _ in range(_BREATHS):
            if len(self._answers) <= _BEHIND:
                break
            time.sleep(_BREATH)

    def _deliver(self) -> None:
        self._is_told = False
        for _ in range(len(self._answers)):
            call, result, error = self._answers.popleft()
            if call.done():
                continue
            if error is None:
                call.set_result(result)
            else:
                call.set_exception(error)

    def watch(self, workers: Workers) -> None:
        """Let no call of the loop wait for these workers for longer than it may."""
        if workers not in self._watched and workers.patience < threading.TIMEOUT_MAX:
            self._look_in(workers.patience, workers)

    def _look_in(self, seconds: float, workers: Workers) -> None:
        self._watched.add(workers)
        self.loop.call_later(seconds, self._look, workers)

    def _look(self, workers: Workers) -> None:
        self._watched.discard(workers)
        began = time.monotonic() - workers.patience
        for call in workers.waiting.copy():
            if call.inbox is not self:
                continue
            if call.since > began:
                self._look_in(call.since - began, workers)
                break
            if workers.withdraw(call):
                call.set_exception(workers.database.exhausted())


class _OfThread(threading.local):
    inbox: _Inbox | None = None


_of_thread = _OfThread()


def _inbox_of(loop: asyncio.AbstractEventLoop) -> _Inbox:
    """The inbox of the loop that runs in this thread."""
    inbox = _of_thread.inbox
    if inbox is None or inbox.loop is not loop:
        inbox = _of_thread.inbox = _Inbox(loop)
    return inbox


def workers_of(database: Any) -> Workers:
    """The workers of a database, which are made at its first call."""
    workers: Workers | None = database.workers
    return database.make_workers(Workers) if workers is None else workers

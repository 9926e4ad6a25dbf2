"""The functions of the package, awaited: `await aio.send_message(...)`.

Each takes, returns and raises what the function of the same name in `stogram_sdk` does. It runs in
one of `connection_limit` worker threads, and no loop waits for a database.

A session or transaction belongs to the task that enters it: a child task, as of `gather()`, has
none, and takes another connection. A call whose task is cancelled is ended at the server, and has
done all of what it is for, or nothing. Only if all was done, or nobody knows, has the
`CancelledError` a cause: an `Unavailable` whose `safe_to_retry` is False.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial, wraps
from threading import Thread
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, Unpack
from weakref import WeakKeyDictionary

import stogram_sdk as _sync
from stogram_sdk import database
from stogram_sdk.database import current_database
from stogram_sdk.engine.failures import FAILURES, logger, pause_before_next
from stogram_sdk.engine.options import ConnectOptions, Reading
from stogram_sdk.engine.units import (
    Place,
    current_task,
    place_of_context,
    require_plain_function,
    require_result,
)
from stogram_sdk.engine.workers import (
    LEFT_ELSEWHERE,
    LEFT_OPEN,
    Call,
    Leaving,
    Opening,
    Worker,
    Workers,
    workers_of,
)
from stogram_sdk.errors import StogramError

__all__ = [
    "acknowledge_published",
    "add_contact",
    "add_member",
    "add_reaction",
    "answer_call",
    "block_user",
    "blocked_among",
    "check_health",
    "close",
    "connect",
    "create_chat",
    "create_folder",
    "create_user",
    "decline_call",
    "delete_chat",
    "delete_folder",
    "delete_message",
    "delete_user",
    "edit_message",
    "end_call",
    "find_by_hashtag",
    "find_by_mention",
    "find_user",
    "find_user_by_email",
    "forward_messages",
    "get_chat",
    "get_chat_settings",
    "get_message",
    "get_privacy",
    "get_user",
    "import_messages",
    "is_blocked",
    "is_blocked_either",
    "leave_chat",
    "list_blocked_users",
    "list_calls",
    "list_chats",
    "list_contacts",
    "list_folders",
    "list_media",
    "list_members",
    "list_message_reactions",
    "list_messages",
    "list_pinned_messages",
    "list_reactions",
    "list_replies",
    "list_scheduled",
    "mark_read",
    "migrate",
    "move_to_folder",
    "mute_chat",
    "open_private_chat",
    "pin_message",
    "position",
    "post_system_message",
    "publish_scheduled",
    "recount_unread",
    "remove_contact",
    "remove_from_folder",
    "remove_member",
    "remove_reaction",
    "reorder_folders",
    "reschedule_message",
    "retrying",
    "run",
    "search_messages",
    "search_users",
    "send_message",
    "session",
    "set_favorite",
    "set_password_hash",
    "set_push_subscription",
    "set_role",
    "set_status",
    "set_theme",
    "set_verification_token",
    "start_call",
    "toggle_favorite",
    "transaction",
    "transfer_ownership",
    "unblock_user",
    "unmute_all_chats",
    "unmute_chat",
    "unpin_all_messages",
    "unpin_message",
    "unread_totals",
    "update_chat",
    "update_contact",
    "update_folder",
    "update_privacy",
    "update_profile",
    "users_to_notify",
    "users_to_notify_each",
    "verify_email",
    "visible_profiles",
]

A = ParamSpec("A")
R = TypeVar("R")

_LEFT_EARLY = (
    "a session or transaction was left before one inside it, so both were rolled back: leave first "
    "what was entered last"
)


def _hand_over(call: Call, workers: Workers) -> None:
    """Give the call to the worker of this task's session or transaction, or to any."""
    units = _units_of_this_task()
    place = units[-1].place if units else None
    around = place_of_context.get()
    # The context may be of several tasks, or a copy of another's: then the place is not this one's.
    if around is not place and (around is None or isinstance(around.thread, Worker)):
        call.context.run(place_of_context.set, place)
    if units:
        units[-1].put(call)
    else:
        workers.submit(call)


def _asynchronous(function: Callable[A, R]) -> Callable[A, Coroutine[Any, Any, R]]:
    """The same function, awaited."""

    @wraps(function)
    async def awaited(*args: A.args, **kwargs: A.kwargs) -> R:
        workers = workers_of(current_database())
        call = Call(workers, partial(function, *args, **kwargs))
        _hand_over(call, workers)
        result: R = await call.outcome()
        return result

    return awaited


async def run(function: Callable[A, R], *args: A.args, **kwargs: A.kwargs) -> R:
    """Run a plain function of your own in a worker thread, with queries of its own.

    Inside a session or transaction of this task its queries and calls are a part of that;
    otherwise each is by itself, unless the function is decorated with `stogram_sdk.transaction()`
    or `stogram_sdk.retrying`. When the task is cancelled, the function ends with its next query.
    Returns and raises what the function does.
    """
    require_plain_function(function)
    return require_result(await _asynchronous(function)(*args, **kwargs))


async def _run_apart(function: Callable[[], R]) -> R:
    """Run what is not about the connected database in a thread of its own.

    Not in one of the loop's, since a loop that ends would wait for a host that is silent.
    """
    outcome: Future[R] = Future()
    outcome.set_running_or_notify_cancel()  # The function goes on where the task is cancelled.

    def run() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=copy_context().run, args=(run,), name="stogram_sdk works", daemon=True).start()
    return await asyncio.wrap_future(outcome)


async def connect(url: str | None = None, **options: Unpack[ConnectOptions]) -> None:
    """Bind the models to a database: `stogram_sdk.connect()`, awaited."""
    _require_no_transaction()
    reached = await _run_apart(partial(database.reached_database, url, **options))
    await _run_apart(partial(database.bind, reached))


async def close() -> None:
    """Close all connections, and end the worker threads: `stogram_sdk.close()`, awaited."""
    _require_no_transaction()
    await _run_apart(database.close)


async def check_health(*, timeout: float = 1.0) -> None:
    """See whether a call could be made now: `stogram_sdk.check_health()`, awaited."""
    check = partial(database.check_health, timeout=timeout)
    # In a session or transaction it is asked there, since that may have the only connection.
    await (_asynchronous(check)() if _units_of_this_task() else _run_apart(check))


class Unit:
    """A session or transaction: an asynchronous context manager."""

    #: Where the worker has entered it.
    place: Place | None = None
    _opening: Opening | None = None

    def __init__(self, make: Callable[[], Any], is_transaction: bool) -> None:
        self._make = make
        self.is_transaction = is_transaction

    async def __aenter__(self) -> None:
        if self._opening is not None:
            raise StogramError("a session or transaction is entered once: call the function again")
        workers, task = workers_of(current_database()), asyncio.current_task()
        if task is None:
            raise StogramError("only a task of asyncio enters a session or transaction")
        self._opening = opening = Opening(workers, self._make, task)
        _hand_over(opening, workers)
        self._units = _entered.setdefault(task, [])
        self._units.append(self)
        try:
            self.place = await opening.outcome()
        except BaseException as error:
            self._forget()
            if isinstance(error, GeneratorExit):
                opening.put(None)
            elif isinstance(error, asyncio.CancelledError) and opening.has_entered():
                with suppress(StogramError):  # The task is to hear of its cancellation.
                    await self._leave(error)
            raise
        self._place_around = place_of_context.get()
        place_of_context.set(self.place)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.place is None:
            raise StogramError("a session or transaction is left before it was entered")
        if place_of_context.get() is self.place:
            place_of_context.set(self._place_around)
        is_here = self._units is _units_of_this_task()
        wrong = _LEFT_EARLY if self._forget() else None
        if kind is GeneratorExit:  # Its loop may be closed, and nothing can be awaited.
            self.put(None)
            if self.is_transaction and not is_here:
                logger.error(LEFT_OPEN)  # Its task may have made calls in it since.
        else:
            wrong = wrong if is_here else LEFT_ELSEWHERE
            await self._leave(StogramError(wrong) if wrong else error)
        if wrong:
            raise StogramError(wrong)
        if error is not None:
            error.__traceback__ = traceback  # Without the worker's frames.

    def put(self, call: Call | None) -> None:
        """Have its worker run the call; None leaves it."""
        assert self._opening is not None
        self._opening.put(call)

    def _forget(self) -> list[Unit]:
        """Let its task be in it no more, and end those inside it, which are returned.

        Those stay, and refuse calls: the code that has entered them is still in them.
        """
        try:
            position = self._units.index(self)
        except ValueError:
            raise StogramError(LEFT_ELSEWHERE) from None
        del self._units[position]
        inside = self._units[position:]
        for unit in inside:
            unit.put(None)
        return inside

    async def _leave(self, error: BaseException | None) -> None:
        assert self._opening is not None
        writes = self.is_transaction and error is None
        leaving = Leaving(self._opening, error, writes)
        self._opening.put(leaving)
        await leaving.outcome()


# The sessions and transactions that each task is in, the innermost last. Not a `ContextVar`: a
# child has a copy of its parent's context, and several tasks may have one.
_entered: WeakKeyDictionary[Any, list[Unit]] = WeakKeyDictionary()


def _units_of_this_task() -> list[Unit]:
    task = current_task()
    return [] if task is None else _entered.get(task, [])


def session(
    *,
    statement_timeout: float | None = None,
    read: Reading | None = None,
    after: str | None = None,
) -> Unit:
    """Keep one connection for everything that this task awaits inside: `async with session():`.

    The arguments are those of `stogram_sdk.session()`. Raises `Unavailable` if there is no free
    connection in time, `InvalidInput` as that one does; a `StogramError` where it is left in
    another task.
    """
    make = partial(database.session, statement_timeout=statement_timeout, read=read, after=after)
    make()  # It refuses arguments that cannot be right.
    return Unit(make, False)


def transaction() -> Unit:
    """Make all that this task awaits inside one unit: `async with transaction():`.

    All of it happens, or nothing. Inside another transaction of this task it is a savepoint. If a
    call in it is cancelled, nothing of it is written, and a later call in it raises `Unavailable`.
    Raises what `stogram_sdk.transaction()` does.
    """
    return Unit(database.transaction, True)


def _is_in_transaction() -> bool:
    return any(unit.is_transaction for unit in _units_of_this_task())


def _require_no_transaction() -> None:
    if _is_in_transaction():
        raise StogramError("this task is in a transaction: end it before the connection")


def retrying(
    function: Callable[A, Coroutine[Any, Any, R]],
) -> Callable[A, Coroutine[Any, Any, R]]:
    """Make a coroutine function one transaction that is run again, as `stogram_sdk.retrying` does.

    Each run gets the same arguments. Inside another transaction of its task it runs once, as a part
    of that one.
    """
    if not inspect.iscoroutinefunction(function):
        raise StogramError(
            "decorate a coroutine function; for others there is stogram_sdk.retrying"
        )

    async def in_transaction(*args: A.args, **kwargs: A.kwargs) -> R:
        async with transaction():
            return await function(*args, **kwargs)

    @wraps(function)
    async def unit(*args: A.args, **kwargs: A.kwargs) -> R:
        if _is_in_transaction():
            return await in_transaction(*args, **kwargs)
        began, runs = time.monotonic(), 1
        while True:
            try:
                return await in_transaction(*args, **kwargs)
            except FAILURES as error:
                pause = pause_before_next(error, runs, False, began)
                if pause is None:
                    raise
            runs += 1
            await asyncio.sleep(pause)

    return unit


acknowledge_published = _asynchronous(_sync.acknowledge_published)
add_contact = _asynchronous(_sync.add_contact)
add_member = _asynchronous(_sync.add_member)
add_reaction = _asynchronous(_sync.add_reaction)
answer_call = _asynchronous(_sync.answer_call)
block_user = _asynchronous(_sync.block_user)
blocked_among = _asynchronous(_sync.blocked_among)
create_chat = _asynchronous(_sync.create_chat)
create_folder = _asynchronous(_sync.create_folder)
create_user = _asynchronous(_sync.create_user)
decline_call = _asynchronous(_sync.decline_call)
delete_chat = _asynchronous(_sync.delete_chat)
delete_folder = _asynchronous(_sync.delete_folder)
delete_message = _asynchronous(_sync.delete_message)
delete_user = _asynchronous(_sync.delete_user)
edit_message = _asynchronous(_sync.edit_message)
end_call = _asynchronous(_sync.end_call)
find_by_hashtag = _asynchronous(_sync.find_by_hashtag)
find_by_mention = _asynchronous(_sync.find_by_mention)
find_user = _asynchronous(_sync.find_user)
find_user_by_email = _asynchronous(_sync.find_user_by_email)
forward_messages = _asynchronous(_sync.forward_messages)
get_chat = _asynchronous(_sync.get_chat)
get_chat_settings = _asynchronous(_sync.get_chat_settings)
get_message = _asynchronous(_sync.get_message)
get_privacy = _asynchronous(_sync.get_privacy)
get_user = _asynchronous(_sync.get_user)
import_messages = _asynchronous(_sync.import_messages)
is_blocked = _asynchronous(_sync.is_blocked)
is_blocked_either = _asynchronous(_sync.is_blocked_either)
leave_chat = _asynchronous(_sync.leave_chat)
list_blocked_users = _asynchronous(_sync.list_blocked_users)
list_calls = _asynchronous(_sync.list_calls)
list_chats = _asynchronous(_sync.list_chats)
list_contacts = _asynchronous(_sync.list_contacts)
list_folders = _asynchronous(_sync.list_folders)
list_media = _asynchronous(_sync.list_media)
list_members = _asynchronous(_sync.list_members)
list_message_reactions = _asynchronous(_sync.list_message_reactions)
list_messages = _asynchronous(_sync.list_messages)
list_pinned_messages = _asynchronous(_sync.list_pinned_messages)
list_reactions = _asynchronous(_sync.list_reactions)
list_replies = _asynchronous(_sync.list_replies)
list_scheduled = _asynchronous(_sync.list_scheduled)
mark_read = _asynchronous(_sync.mark_read)
migrate = _asynchronous(_sync.migrate)
move_to_folder = _asynchronous(_sync.move_to_folder)
mute_chat = _asynchronous(_sync.mute_chat)
open_private_chat = _asynchronous(_sync.open_private_chat)
pin_message = _asynchronous(_sync.pin_message)
position = _asynchronous(_sync.position)
post_system_message = _asynchronous(_sync.post_system_message)
publish_scheduled = _asynchronous(_sync.publish_scheduled)
recount_unread = _asynchronous(_sync.recount_unread)
remove_contact = _asynchronous(_sync.remove_contact)
remove_from_folder = _asynchronous(_sync.remove_from_folder)
remove_member = _asynchronous(_sync.remove_member)
remove_reaction = _asynchronous(_sync.remove_reaction)
reorder_folders = _asynchronous(_sync.reorder_folders)
reschedule_message = _asynchronous(_sync.reschedule_message)
search_messages = _asynchronous(_sync.search_messages)
search_users = _asynchronous(_sync.search_users)
send_message = _asynchronous(_sync.send_message)
set_favorite = _asynchronous(_sync.set_favorite)
set_password_hash = _asynchronous(_sync.set_password_hash)
set_push_subscription = _asynchronous(_sync.set_push_subscription)
set_role = _asynchronous(_sync.set_role)
set_status = _asynchronous(_sync.set_status)
set_theme = _asynchronous(_sync.set_theme)
set_verification_token = _asynchronous(_sync.set_verification_token)
start_call = _asynchronous(_sync.start_call)
toggle_favorite = _asynchronous(_sync.toggle_favorite)
transfer_ownership = _asynchronous(_sync.transfer_ownership)
unblock_user = _asynchronous(_sync.unblock_user)
unmute_all_chats = _asynchronous(_sync.unmute_all_chats)
unmute_chat = _asynchronous(_sync.unmute_chat)
unpin_all_messages = _asynchronous(_sync.unpin_all_messages)
unpin_message = _asynchronous(_sync.unpin_message)
unread_totals = _asynchronous(_sync.unread_totals)
update_chat = _asynchronous(_sync.update_chat)
update_contact = _asynchronous(_sync.update_contact)
update_folder = _asynchronous(_sync.update_folder)
update_privacy = _asynchronous(_sync.update_privacy)
update_profile = _asynchronous(_sync.update_profile)
users_to_notify = _asynchronous(_sync.users_to_notify)
users_to_notify_each = _asynchronous(_sync.users_to_notify_each)
verify_email = _asynchronous(_sync.verify_email)
visible_profiles = _asynchronous(_sync.visible_profiles)

"""Calls: the states that the server gives them, each reached once.

::

    CALLING ──answer_call──▶ ACTIVE ──end_call──▶ ENDED
       ├─────decline_call──▶ DECLINED
       └─────────end_call──▶ MISSED

Two devices may press a button at the same moment. Each change is one statement that names the state
which it leaves, so the second device finds another state and changes nothing.

Whoever leaves the chat is no longer in its call, and can answer it once more when they are back. So
can whoever the server has taken out, though it leaves the row of the call as it is. A call that
rings or goes on without anybody is ended by the next one that starts, or by any member.
"""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from operator import and_
from typing import Any

from peewee import SQL, Case, NodeList, Query, Tuple, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import Blocked, NotAllowed, NotFound
from stogram_sdk.membership import require_member, require_writer
from stogram_sdk.messages import place_to_write_in
from stogram_sdk.models import (
    Call,
    CallParticipant,
    CallStatus,
    CallType,
    Chat,
    ChatMember,
    User,
)
from stogram_sdk.newest import NewestRows
from stogram_sdk.operations import operation, operation_with_id
from stogram_sdk.ordering import call_lock, chat_lock
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.parts import Row
from stogram_sdk.rows import call_row, person
from stogram_sdk.shards import by_value, chat_column, insert_read, of_chat
from stogram_sdk.statements import P, after_locking, dialect, in_turn, returning, statement
from stogram_sdk.validation import valid_enum, valid_id, valid_limit, valid_named_ids
from stogram_sdk.visibility import is_blocked_in_private, is_member, place_in

#: So long a call rings: after that, nobody is expected to answer.
RINGING = timedelta(seconds=60)

_CALLING, _ACTIVE = CallStatus.CALLING.value, CallStatus.ACTIVE.value
_LIVE = (_CALLING, _ACTIVE)


def _is_live(call: Any = Call) -> Any:
    """Whether a call goes on or rings, in the words of the index "Call_live_idx"."""
    is_calling, is_active = (
        NodeList([call.status, SQL(f"= '{status}'")]) for status in (_CALLING, _ACTIVE)
    )
    return NodeList([is_calling, SQL("OR"), is_active], parens=True)


def _end() -> Any:
    """The state in which a live call ends."""
    # The last branch is never taken: it tells PostgreSQL the type.
    goes_on = Call.status == _ACTIVE, CallStatus.ENDED.value
    return Case(None, [(Call.status == _CALLING, CallStatus.MISSED.value), goes_on], Call.status)


def _is_empty() -> Any:
    """Whether all who were in a call have left the chat."""
    member = ChatMember.alias()
    in_call = member.select(member.id).where(
        member.chat == by_value(Call.chat),
        (member.user == Call.initiator) | _has_joined(member.user),
    )
    return ~fn.EXISTS(in_call)


def _has_joined(user: Any) -> Any:
    """Whether the user has answered a call."""
    participant = CallParticipant.alias()
    return fn.EXISTS(
        participant.select(participant.id).where(
            participant.call == Call.id,
            participant.user == user,
            *of_chat(participant, P.chat_id),
        )
    )


def _has_rung_out() -> Any:
    return (Call.status == _CALLING) & (Call.started_at < P.rung_out)


def _leaving(calls: Any, *conditions: Any) -> Any:
    return CallParticipant.update({CallParticipant.left_at: P.now}).where(
        CallParticipant.call.in_(calls),
        CallParticipant.left_at.is_null(),
        *of_chat(CallParticipant, P.chat_id),
        *conditions,
    )


def leaving_calls(user: Any, *conditions: Any) -> Any:
    """Let a user leave the calls of a chat, as they leave the chat: if these are true."""
    live = Call.select(Call.id).where(Call.chat == P.chat_id, _is_live())
    return _leaving(live, CallParticipant.user == user, *conditions)


def _ending(*conditions: Any) -> tuple[Any, Any]:
    """End the calls of which these are true: first for those who are in them, then as a whole.

    The caller holds the calls.
    """
    ending = Call.select(Call.id).where(*conditions)
    return _leaving(ending), Call.update({Call.status: _end(), Call.ended_at: P.now}).where(
        *conditions
    )


@statement
def _start_call() -> Any:
    """A new call, once those that have rung for too long or that nobody is in are over."""
    writer, live = place_to_write_in(P.chat_id, P.user_id), Call.alias()
    is_old = Call.chat == P.chat_id, _is_live(), _has_rung_out() | _is_empty(), fn.EXISTS(writer)
    is_live = live.select(live.id).where(live.chat == P.chat_id, _is_live(live))
    columns = {
        Call.id: P.id,
        Call.chat: ChatMember.chat,
        Call.initiator: ChatMember.user,
        Call.type: P.type,
        Call.status: SQL(f"'{_CALLING}'"),
        Call.started_at: P.now,
    }
    new = writer.select(*columns.values()).where(~fn.EXISTS(is_live))
    insert = insert_read(Call, new, list(columns)).on_conflict("nothing")
    start = returning(insert, Call, call_row)
    return after_locking(
        in_turn(*_ending(*is_old), start), chat_lock(Chat.id == P.chat_id), call_lock(*is_old)
    )


@statement
def _live_call() -> Query:
    """The call of a chat that goes on; of several that the server has made, the latest.

    Or the user's own with this id, which may be over since an earlier run has made it.
    """
    writer = place_to_write_in(P.chat_id, P.user_id)
    return (
        Call.select(call_row())
        .where(
            Call.chat == P.chat_id,
            _is_live() | (Call.id == P.id),
            fn.EXISTS(writer),
        )
        .order_by(Call.started_at.desc(), Call.id.desc())
        .limit(1)
    )


@statement
def _chat_of_call() -> Query:
    return Call.select(Call.id, Call.chat).where(Call.id == P.call_id)


def _is_call_of_member() -> Any:
    """Whether it is the call that is named, in a chat of the user."""
    return reduce(and_, [*_is_call(), is_member(P.user_id, by_value(Call.chat))])


def _is_call() -> tuple[Any, ...]:
    return Call.id == P.call_id, *of_chat(Call, P.chat_id)


def _member_since() -> Any:
    """When the user has joined the chat of the call."""
    call, member = Call.alias(), ChatMember.alias()
    chat = by_value(call.chat)
    return (
        member.select(member.joined_at)
        .join(call, on=(member.chat == chat))
        .where(call.id == P.call_id, *of_chat(call, P.chat_id), member.user == P.user_id)
    )


@statement
def _answer_call() -> Any:
    """The call that goes on then, and whether the user has joined it by this call."""
    chat = by_value(Call.chat)
    place = place_in(chat, P.user_id).where(
        ~is_blocked_in_private(by_value(Chat.id), Chat.type, ChatMember.user)
    )
    may_join = *_is_call(), Call.initiator != P.user_id, fn.EXISTS(place)
    goes_on = Call.status == _ACTIVE
    of_its_chat = chat_column(CallParticipant, Call.chat)
    columns = {
        CallParticipant.id: P.id,
        CallParticipant.call: Call.id,
        CallParticipant.user: P.user_id,
        CallParticipant.joined_at: dialect().latest_of(P.now, _member_since()),
        **of_its_chat,
    }
    row = Call.select(*columns.values()).where(goes_on, *may_join)
    # Who had left it joins anew; the row gets the id by which this call knows it.
    join = insert_read(CallParticipant, row, list(columns)).on_conflict(
        conflict_target=[*of_its_chat, CallParticipant.call, CallParticipant.user],
        preserve=[CallParticipant.id, CallParticipant.joined_at],
        update={CallParticipant.left_at: None},
        where=CallParticipant.left_at.is_null(False),
    )
    # Whom the server had taken out of the chat has left the call by that.
    taken_out = _leaving(
        Call.select(Call.id).where(*_is_call()),
        CallParticipant.user == P.user_id,
        CallParticipant.joined_at < _member_since(),
    )
    joined = CallParticipant.select(CallParticipant.id).where(
        CallParticipant.id == P.id, *of_chat(CallParticipant, P.chat_id)
    )
    return in_turn(
        Call.update({Call.status: _ACTIVE}).where(_is_live(), ~_has_rung_out(), *may_join),
        taken_out,
        join.returning(),
        Call.select(call_row(chat=chat), fn.EXISTS(joined)).where(goes_on, *may_join),
    )


@statement
def _decline_call() -> Query:
    # The last branch is never taken: it tells PostgreSQL the type.
    in_time = Call.status == _CALLING, CallStatus.DECLINED.value
    status = Case(None, [(_has_rung_out(), CallStatus.MISSED.value), in_time], Call.status)
    return (
        Call.update({Call.status: status, Call.ended_at: P.now})
        .where(_is_call_of_member(), Call.status == _CALLING, Call.initiator != P.user_id)
        .returning(call_row(chat=by_value(Call.chat)))
    )


@statement
def _end_call() -> Any:
    may_end = (
        _is_call_of_member(),
        _is_live(),
        (Call.initiator == P.user_id) | _has_joined(P.user_id) | _is_empty(),
    )
    leave, end = _ending(*may_end)
    ended = end.returning(call_row(chat=by_value(Call.chat)))
    return after_locking(in_turn(leave, ended), call_lock(*may_end))


@statement
def _get_call() -> Query:
    return Call.select(call_row(chat=by_value(Call.chat))).where(_is_call_of_member())


@statement
def _calls_in_chat() -> Any:
    shown = _shown(by_value(Call.chat)).where(
        Call.chat == P.chat_id, _is_before(Call), is_member(P.user_id, P.chat_id)
    )
    return _page(shown)


@statement
def _list_calls() -> Any:
    """The calls of all chats of the user."""
    newest = NewestRows(Call, Call.started_at, Call.id, _is_before_in)
    chats: Any = (
        ChatMember.select(
            ChatMember.chat.alias("chat_id"), newest.time_in(ChatMember.chat).alias("newest_at")
        )
        .where(ChatMember.user == P.user_id)
        .cte("chats", materialized=True)
    )
    found, start = newest.page(chats)
    is_found = (Call.chat == found.c.chat_id) & (Call.id == found.c.id)
    return _page(_shown(Call.chat).join_from(Call, found, on=is_found)).with_cte(chats, start)


def _is_before_in(call: Any, chat: Any) -> Any:
    return (call.chat == chat) & _is_before(call)


def _is_before(call: Any) -> Any:
    """Whether the call comes after the pages before."""
    return Tuple(call.started_at, call.id) < Tuple(P.before, P.before_id)


def _page(calls: Any) -> Any:
    """The newest of the calls."""
    return calls.order_by(Call.started_at.desc(), Call.id.desc()).limit(P.limit)


def _shown(chat: Any) -> Any:
    """Calls, as `call_row` has them, in a list."""
    joined = Row(Chat._meta.sorted_fields)
    return (
        Call.select(Row(Call._meta.sorted_fields, initiator=person(User), chat=joined))
        .join(Chat, on=(Chat.id == chat))
        .join_from(Call, User, on=(User.id == Call.initiator))
    )


@operation_with_id
def start_call(id: str, user_id: str, chat_id: str, type: CallType) -> tuple[Call, bool]:
    """Call the other members of a chat: by members who may write there.

    A chat has one call at a time. If two members start one at the same moment, or a call goes on
    already, both get the same call. A call that has rung for a minute was missed, and one whose
    people have all left the chat is over: then a new one starts. Returns the row, with `initiator`
    and `chat`, and whether it was made by this call. Raises `NotFound` for a chat the user is not
    in, `NotAllowed` in a CHANNEL, `Blocked` in a PRIVATE chat, `InvalidInput`.

    >>> call, started = start_call(anna.id, chat.id, CallType.AUDIO)
    >>> str(call.status), started
    ('CALLING', True)
    """
    place = valid_named_ids(user_id=user_id, chat_id=chat_id)
    kind = valid_enum(CallType, type, "type").value
    while True:
        now = current_time()
        call = _start_call.first(id=id, type=kind, now=now, rung_out=now - RINGING, **place)
        call = call or _live_call.first(id=id, **place)
        if call is not None:
            return call, call.id == id
        require_writer(user_id, chat_id)


@operation_with_id
def answer_call(id: str, user_id: str, call_id: str) -> tuple[Call, bool]:
    """Take a call that rings, or join one that goes on: by any other member of its chat.

    Returns the row as `start_call` does, and whether this call made the user join. If two devices
    of one user answer, that is true for one of them, and the other can stop ringing. Raises
    `NotFound` for a call of a chat the user is not in, `NotAllowed` for one's own call and for a
    call that is over or has rung for a minute, `Blocked` in a PRIVATE chat, `InvalidInput`.

    >>> call, _ = start_call(anna.id, chat.id, CallType.VIDEO)
    >>> call, joined = answer_call(boris.id, call.id)
    >>> str(call.status), joined
    ('ACTIVE', True)
    """
    values = _values(user_id, call_id)
    now = current_time()
    row = _answer_call.first(id=id, now=now, rung_out=now - RINGING, **values)
    if row is not None:
        answered, joined = row
        return answered, bool(joined)
    call = _require_call(**values)
    if call.initiator_id == user_id:
        raise NotAllowed("nobody answers a call of their own", entity="call", id=call_id)
    if call.status in _LIVE and require_member(user_id, call.chat_id).is_blocked:
        raise Blocked("one of the two has blocked the other", entity="call", id=call_id)
    raise NotAllowed("the call is over", entity="call", id=call_id)


@operation
def decline_call(user_id: str, call_id: str) -> tuple[Call, bool]:
    """Refuse a call that rings: by any other member of its chat. It is over then, for everybody.

    Returns the row as `start_call` does, and whether this call has declined it. A call that was
    answered, or is over, stays as it is. One that has rung for a minute was missed. Raises
    `NotFound` for a call of a chat the user is not in, `NotAllowed` for one's own call,
    `InvalidInput`.

    >>> call, _ = start_call(anna.id, chat.id, CallType.AUDIO)
    >>> call, declined = decline_call(boris.id, call.id)
    >>> str(call.status), declined
    ('DECLINED', True)
    """
    values = _values(user_id, call_id)
    now = current_time()
    declined = _decline_call.first(now=now, rung_out=now - RINGING, **values)
    if declined is not None:
        return declined, declined.status == CallStatus.DECLINED
    call = _require_call(**values)
    if call.initiator_id == user_id:
        raise NotAllowed("one's own call is ended with end_call", entity="call", id=call_id)
    return call, False


@operation
def end_call(user_id: str, call_id: str) -> tuple[Call, bool]:
    """End a call for everybody: by the user who started it, or one who has answered it.

    Any member ends a call whose people have all left the chat. If nobody has answered, the call was
    missed. Returns the row as `start_call` does, and whether this call has ended it. A call that is
    over stays as it is. Raises `NotFound` for a call of a chat the user is not in, `NotAllowed` for
    a user who has not joined it, `InvalidInput`.

    >>> call, _ = start_call(anna.id, chat.id, CallType.AUDIO)
    >>> call, ended = end_call(anna.id, call.id)
    >>> str(call.status), ended
    ('MISSED', True)
    """
    values = _values(user_id, call_id)
    ended = _end_call.first(now=current_time(), **values)
    if ended is not None:
        return ended, True
    call = _require_call(**values)
    if call.status in _LIVE:
        raise NotAllowed("only who is in a call ends it", entity="call", id=call_id)
    return call, False


@operation(reads=True)
def list_calls(
    user_id: str, *, chat_id: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Call]:
    """The calls of the user's chats, or of one of them, the latest first.

    Returns rows as `start_call` does. Raises `NotFound` for a chat the user is not in,
    `InvalidInput`.

    >>> list_calls(anna.id)
    <Page of 0>
    """
    valid_id(user_id, "user_id")
    valid_limit(limit)
    listing, values = _list_calls, {}
    if chat_id is not None:
        listing, values = _calls_in_chat, {"chat_id": valid_id(chat_id, "chat_id")}
    before, before_id = read_cursor(cursor, "calls")
    calls = listing.all(
        user_id=user_id, before=before, before_id=before_id, limit=limit + 1, **values
    )
    if not calls and chat_id is not None:
        require_member(user_id, chat_id)
    return make_page(calls, limit, "calls", lambda row: (row.started_at, row.id))


def _values(user_id: str, call_id: str) -> dict[str, str]:
    """The values that name a call; with its chat, by which a distributed database finds it."""
    values = valid_named_ids(user_id=user_id, call_id=call_id)
    if dialect().is_distributed:
        call: Call | None = _chat_of_call.first(call_id=call_id)
        if call is None:
            raise NotFound("call", call_id)
        values["chat_id"] = call.chat_id
    return values


def _require_call(call_id: str, **values: str) -> Call:
    call: Call | None = _get_call.first(call_id=call_id, **values)
    if call is None:
        raise NotFound("call", call_id)
    return call

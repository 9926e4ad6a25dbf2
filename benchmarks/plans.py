"""`python -m benchmarks.plans`: what plans for anybody cost the server, to plans for this user.

A prepared statement has one plan for all users, tags and chats. Each call is made on one connection
with what is prepared there and without, in turns, by users in few and in many chats, for popular,
rare and absent tags, in a chat of 10 messages and in one of 100,000.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import stogram_sdk as sdk
from benchmarks.data import CHATS, SEARCHED_NAMES, SEARCHED_TAGS, user_in_chats
from benchmarks.server import filled_server
from benchmarks.tables import table
from benchmarks.timing import Call, in_turns, told
from stogram_sdk.database import current_database, session
from stogram_sdk.models import new_id

#: The most that a plan for anybody may cost, to one for this call.
LIMIT = 1.1
_SIZES = (10, 100_000)
_TAGS = ("popular", "rare", "absent")
_AT_ONCE = 5

_FILL = """
INSERT INTO "Message" (id, content, "senderId", "chatId", "isSent", "createdAt", "updatedAt",
        hashtags, mentions)
    SELECT %(chat)s || n, 'word' || n, %(user)s, %(chat)s, true, moment, moment,
        CASE WHEN n %% 10 = 0 THEN '{popular}'::text[] ELSE '{}' END, '{}'
    FROM (SELECT n, timestamp '2020-01-01' + n * interval '1 s' AS moment
        FROM generate_series(1, %(count)s) AS n) AS numbered
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plans", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=0.1, help="for each call and way")
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    options = parser.parse_args()
    with filled_server(options.messages, options.keep), session(statement_timeout=0):
        print(plans_in_markdown(measure(options.seconds)))


def plans_in_markdown(ratios: dict[str, float]) -> str:
    """A line for each function: its worst ratio, and of which call that is."""
    worst: dict[str, tuple[float, str]] = {}
    for name, ratio in ratios.items():
        function, _, case = name.partition(", ")
        worst[function] = max(worst.get(function, (0.0, "")), (ratio, case))
    rows = [
        [f"`{function}`", f"{ratio:.2f}" if ratio <= LIMIT else f"**{ratio:.2f}**", case]
        for function, (ratio, case) in sorted(worst.items())
    ]
    return table(["function", "server's CPU, prepared to planned anew", "worst for"], rows)


def measure(seconds: float) -> dict[str, float]:
    """By the name of the call: the server's work with a plan for anybody, to one for this call."""
    database = current_database()
    (backend,) = database.execute_sql("SELECT pg_backend_pid()").fetchone()
    at_work = Path(f"/proc/{backend}/schedstat")
    connection = database.connection()
    known = connection.prepared

    def work_of(call: Call, prepared: Any) -> float:
        connection.prepared = prepared
        began = int(at_work.read_text().split()[0])
        for _ in range(_AT_ONCE):
            call()
        return float(int(at_work.read_text().split()[0]) - began)

    ratios = {}
    calls = dict(_calls())
    for name in told(calls):
        for _ in range(10):  # From the sixth time on, the plan is the one for anybody.
            work_of(calls[name], known)
        ways = {"prepared": known, "anew": None}
        took = in_turns(
            seconds, {way: partial(work_of, calls[name], kept) for way, kept in ways.items()}
        )
        connection.prepared = known
        ratios[name] = statistics.median(took["prepared"]) / statistics.median(took["anew"])
    return ratios


def _calls() -> Iterator[tuple[str, Call]]:
    users = [user_in_chats(count) for count in CHATS]
    chats = {size: _chat_of(size, users) for size in _SIZES}
    for count, user in zip(CHATS, users, strict=True):
        where = f"{count:,} chats"
        for name, call in _of_user(user).items():
            yield f"{name}, {where}", call
        for kind in _TAGS:
            tag, name = SEARCHED_TAGS[kind], SEARCHED_NAMES[kind]
            yield f"find_by_hashtag, {kind}, {where}", partial(sdk.find_by_hashtag, user, tag)
            yield f"find_by_mention, {kind}, {where}", partial(sdk.find_by_mention, user, name)
        for size, (chat, message) in chats.items():
            for name, call in _of_chat(user, chat, message).items():
                yield f"{name}, {where}, {size:,} messages", call


def _chat_of(size: int, users: list[str]) -> tuple[str, str]:
    """A chat of the users with so many messages, and one of these, with answer, pins, reactions."""
    owner, *others = users
    chat = sdk.create_chat(owner, sdk.ChatType.GROUP, member_ids=others).id
    values = {"user": owner, "chat": chat, "count": size}
    current_database().execute_sql(_FILL, values)
    current_database().execute_sql('ANALYZE "Message"')
    message = sdk.send_message(owner, chat, "hello").id
    sdk.send_message(owner, chat, reply_to_id=message, file_url="/uploads/1.jpg")
    for user in users:
        sdk.pin_message(user, chat, message)
        sdk.add_reaction(user, chat, message, "+")
        sdk.mark_read(user, chat)
    sdk.send_message(owner, chat, "hello", message_id=new_id())
    return chat, message


def _of_user(user: str) -> dict[str, Call]:
    others = ["user-1", "user-2", "user-9"]
    return {
        "blocked_among": partial(sdk.blocked_among, user, others),
        "get_privacy": partial(sdk.get_privacy, user),
        "get_user": partial(sdk.get_user, user),
        "is_blocked": partial(sdk.is_blocked, user, "user-1"),
        "is_blocked_either": partial(sdk.is_blocked_either, user, "user-1"),
        "list_blocked_users": partial(sdk.list_blocked_users, user),
        "list_calls": partial(sdk.list_calls, user),
        "list_chats": partial(sdk.list_chats, user),
        "list_chats, unread_only": partial(sdk.list_chats, user, unread_only=True),
        "list_contacts": partial(sdk.list_contacts, user),
        "list_folders": partial(sdk.list_folders, user),
        "list_pinned_messages": partial(sdk.list_pinned_messages, user),
        "list_scheduled": partial(sdk.list_scheduled, user),
        "search_messages, common": partial(sdk.search_messages, user, "word1"),
        "search_users": partial(sdk.search_users, user, "user_7"),
        "unread_totals": partial(sdk.unread_totals, user),
        "visible_profiles": partial(sdk.visible_profiles, user, others),
    }


def _of_chat(user: str, chat: str, message: str) -> dict[str, Call]:
    tag = SEARCHED_TAGS["popular"]
    return {
        "find_by_hashtag, chat_id": partial(sdk.find_by_hashtag, user, tag, chat_id=chat),
        "get_chat": partial(sdk.get_chat, user, chat),
        "get_chat_settings": partial(sdk.get_chat_settings, user, chat),
        "get_message": partial(sdk.get_message, user, chat, message),
        "list_media": partial(sdk.list_media, user, chat),
        "list_members": partial(sdk.list_members, user, chat),
        "list_message_reactions": partial(sdk.list_message_reactions, user, chat, message),
        "list_messages": partial(sdk.list_messages, user, chat),
        "list_messages, around": partial(sdk.list_messages, user, chat, around=f"{chat}5"),
        "list_pinned_messages, chat_id": partial(sdk.list_pinned_messages, user, chat_id=chat),
        "list_reactions": partial(sdk.list_reactions, user, chat, [message]),
        "list_replies": partial(sdk.list_replies, user, chat, message),
        "users_to_notify": partial(sdk.users_to_notify, chat, message),
    }


if __name__ == "__main__":
    main()

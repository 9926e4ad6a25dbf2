"""What a call costs on a cluster: how often each shard is asked, as docs/citus.md says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.search_index import drop_search_index, make_search_index
from stogram_sdk.database import current_database, session
from stogram_sdk.schema.chat_keys import OF_A_CHAT
from tests.citus.cluster import ask

#: A query that Citus sends names a shard of a table.
_SHARD = re.compile(rf'"({"|".join(OF_A_CHAT)})_\d+"')

EVERYWHERE: dict[str, tuple[Callable[..., object], int]] = {
    "list_chats": (sdk.list_chats, 2),
    "list_chats, unread": (partial(sdk.list_chats, unread_only=True), 2),
    "unread_totals": (sdk.unread_totals, 2),
    "find_by_hashtag": (partial(sdk.find_by_hashtag, hashtag="tag86"), 2),
    "find_by_mention": (sdk.find_by_mention, 2),
    "search_messages": (partial(sdk.search_messages, text="message 86"), 2),
    "list_pinned_messages": (sdk.list_pinned_messages, 2),
    "list_calls": (sdk.list_calls, 2),
    "list_scheduled": (sdk.list_scheduled, 1),
    "list_folders": (sdk.list_folders, 1),
    "unmute_all_chats": (sdk.unmute_all_chats, 2),
    "recount_unread": (sdk.recount_unread, 2),
    "open_private_chat": (partial(sdk.open_private_chat, other_id="u9"), 1),
    "delete_user": (lambda user_id: sdk.delete_user("u8"), 3),
}
IN_ONE_CHAT: dict[str, tuple[Callable[..., object], int]] = {
    "list_messages": (sdk.list_messages, 1),
    "get_chat": (sdk.get_chat, 1),
    "list_members": (sdk.list_members, 1),
    "search_messages": (partial(sdk.search_messages, text="message"), 1),
    "find_by_hashtag": (partial(sdk.find_by_hashtag, hashtag="tag86"), 1),
    "mark_read": (sdk.mark_read, 4),
    "send_message": (partial(sdk.send_message, content="hi"), 8),
}


def connect(url: str) -> None:
    """The connection tells what Citus sends to others."""
    told = "-c%20citus.log_remote_commands%3Don%20-c%20client_min_messages%3Dnotice"
    sdk.connect(f"{url}?options={told}")


@pytest.fixture
def connected(distributed: str) -> Iterator[str]:
    connect(distributed)
    yield distributed
    sdk.close()


class _Notices(list[str]):
    """All of them: psycopg2 keeps fifty in a list of its own."""


def queries_of(call: Callable[[], object]) -> list[str]:
    """The queries of shards, once the connection knows the statements."""
    with session():
        connection: Any = current_database().connection()
        call()
        connection.notices = _Notices()
        call()
        return [text for text in connection.notices if _SHARD.search(text)]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_call_of_all_chats_asks_each_shard_so_often(connected: str, name: str) -> None:
    call, times = EVERYWHERE[name]
    queries = queries_of(partial(call, "u7"))
    assert len(queries) <= times * shards_of(connected), queries


def shards_of(url: str) -> int:
    ((count,),) = ask(
        url, """SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = '"Chat"'::regclass"""
    )
    return int(count)


def test_the_search_index_is_asked_once_more(distributed: str) -> None:
    make_search_index(distributed)
    connect(distributed)
    text = "message 86"
    queries = queries_of(lambda: sdk.search_messages("u7", text))
    assert len(queries) <= 3 * shards_of(distributed), queries
    assert any("~~*" in query for query in queries)
    queries = queries_of(lambda: sdk.search_messages("u7", text, chat_id="c86"))
    assert len(queries) == 1
    sdk.close()
    drop_search_index(distributed)


@pytest.mark.parametrize("name", IN_ONE_CHAT)
def test_a_call_of_one_chat_asks_one_shard(connected: str, name: str) -> None:
    call, tasks = IN_ONE_CHAT[name]
    queries = queries_of(partial(call, "u7", chat_id="c86"))
    assert len(queries) <= tasks, queries
    assert len({*re.findall(r"on server (\S+)", "".join(queries))}) == 1

"""Scheduled messages of chats that somebody else holds, which only PostgreSQL knows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import psycopg2
import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from tests.support.factories import make_chat, make_message, make_user
from tests.test_scheduled import NOON, given

pytestmark = [
    pytest.mark.usefixtures("engine"),
    pytest.mark.parametrize("engine", ["postgresql", "distributed"], indirect=True),
]


@contextmanager
def held(url: str, sql: str, *values: str) -> Iterator[None]:
    """Somebody else's transaction, which has done this and goes on."""
    other = psycopg2.connect(url)
    try:
        with other.cursor() as cursor:
            cursor.execute(sql, values)
        yield
        other.rollback()  # the server may see a mere close later
    finally:
        other.close()


HOLD_CHAT = 'SELECT FROM "Chat" WHERE id = %s FOR UPDATE'
HOLD_MESSAGE = 'SELECT FROM "Message" WHERE id = %s AND "chatId" = %s FOR UPDATE'


@pytest.mark.parametrize("what", ["chat", "message"])
def test_what_somebody_holds_stops_no_other(migrated_url: str, what: str) -> None:
    ann = make_user()
    chats = [make_chat(ann) for _ in range(5)]
    ids = [
        make_message(ann, chat, scheduled_for=NOON + timedelta(seconds=number)).id
        for number, chat in enumerate(chats)
        for _ in range(2)
    ]
    later = NOON + timedelta(minutes=1)
    # More are locked than a call takes, and they are the first.
    held_chat = (HOLD_CHAT, chats[0].id)
    held_message = (HOLD_MESSAGE, ids[0], chats[0].id)
    with held(migrated_url, *(held_chat if what == "chat" else held_message)):
        began = time.monotonic()
        free = given(later, limit=1) + given(later, limit=100)
        assert time.monotonic() - began < 2
        assert sorted(free) == sorted(ids[2:] if what == "chat" else ids[1:])
        assert given(later) == []
    assert given(later) == (ids[:2] if what == "chat" else ids[:1])


def test_a_held_chat_of_which_a_whole_page_is_due_stops_no_other(migrated_url: str) -> None:
    ann = make_user()
    stuck, free = make_chat(ann), make_chat(ann)
    for _ in range(4):
        make_message(ann, stuck, scheduled_for=NOON)
    later = NOON + timedelta(minutes=1)
    sent = make_message(ann, free, scheduled_for=later)
    with held(migrated_url, HOLD_CHAT, stuck.id):
        assert given(later, limit=2) == [sent.id]


def test_a_chat_that_is_always_busy_gets_its_turn(migrated_url: str) -> None:
    """Also beside one that stays locked, and while others have more due than a call takes."""
    ann = make_user()
    stuck, busy, free = (make_chat(ann) for _ in range(3))
    for chat in (stuck, busy):
        make_message(ann, chat, scheduled_for=NOON)
    stop = threading.Event()

    def keep_busy() -> None:
        connection = psycopg2.connect(migrated_url)
        while not stop.is_set():
            with connection, connection.cursor() as cursor:
                cursor.execute(HOLD_CHAT, (busy.id,))
                cursor.execute("SELECT pg_sleep(0.05)")
        connection.close()

    with ThreadPoolExecutor(3) as pool, held(migrated_url, HOLD_CHAT, stuck.id):
        for _ in range(3):
            pool.submit(keep_busy)
        try:
            sent: list[str] = []
            for call in range(15):
                make_message(ann, free, scheduled_for=NOON + timedelta(seconds=call + 1))
                make_message(ann, free, scheduled_for=NOON + timedelta(seconds=call + 1))
                found = sdk.publish_scheduled(now=NOON + timedelta(hours=1), limit=2)
                sent += [message.chat_id for message in found]
                if busy.id in sent:
                    break
        finally:
            stop.set()
    assert busy.id in sent
    assert stuck.id not in sent
    assert free.id in sent


def test_a_held_chat_stops_no_other_in_a_transaction_of_the_caller(migrated_url: str) -> None:
    ann = make_user()
    stuck, free = make_chat(ann), make_chat(ann)
    waiting = make_message(ann, stuck, scheduled_for=NOON)
    with held(migrated_url, HOLD_CHAT, stuck.id):
        with sdk.transaction():
            assert sdk.publish_scheduled(now=NOON) == [], "it has waited, and goes on"
            sent = make_message(ann, free, scheduled_for=NOON)
            assert given(NOON) == [sent.id], "what was sent beside it stays"
        assert sdk.get_message(ann.id, free.id, sent.id).content == sent.content
    assert given(NOON) == [waiting.id]


def test_the_transaction_of_the_caller_keeps_its_limits(migrated_url: str) -> None:
    sdk.connect(migrated_url, lock_timeout=7)
    ann = make_user()
    chat = make_chat(ann)
    make_message(ann, chat, scheduled_for=NOON)
    stop = threading.Event()

    def hold_for_a_moment() -> None:
        with held(migrated_url, HOLD_CHAT, chat.id):
            stop.set()
            time.sleep(0.1)

    with ThreadPoolExecutor(1) as pool, sdk.transaction():
        pool.submit(hold_for_a_moment)
        stop.wait()
        assert len(sdk.publish_scheduled(now=NOON)) == 1, "it has waited"
        limit = current_database().execute_sql("SHOW lock_timeout").fetchone()
    assert limit == ("7s",)

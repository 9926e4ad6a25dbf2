"""Who else makes the calls, with the same arguments: `equality` sees that they do the same.

By hand, with statements that are prepared: asyncpg and psycopg 3. And some of the calls as most
people write them: plain Peewee, SQLAlchemy 2 (Core and ORM), Django. These are without what the SDK
checks in passing, such as whether the user is in the chat; relations are loaded together with the
rows. Each builds its queries at every call, as it is done. The methods have the names of the SDK's
functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import psycopg2
import sqlalchemy as sa

from benchmarks.others.django_orm import Django
from benchmarks.others.plain_peewee import Peewee
from benchmarks.others.prepared_by_hand import Asyncpg, Prepared, Psycopg
from benchmarks.others.sqlalchemy_core import Core
from benchmarks.others.sqlalchemy_orm import Orm
from benchmarks.results import ASYNCPG, PSYCOPG
from benchmarks.timing import Call

#: The calls that all of them make.
COMPARED = (
    "is_blocked",
    "get_chat_settings",
    "block_user",
    "mute_chat",
    "set_favorite",
    "move_to_folder",
    "pin_message",
    "mark_read",
    "send_message, 30 members",
    "edit_message",
    "list_messages",
    "list_pinned_messages",
    "list_chats, 500 chats",
    "unread_totals, 500 chats",
    "find_by_hashtag, middling, 500 chats",
    "search_messages, common, 500 chats",
)


@contextmanager
def others(url: str, calls: Mapping[str, Any]) -> Iterator[dict[str, dict[str, Call]]]:
    """For each call: who else makes it."""
    engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url))
    loop = asyncio.new_event_loop()
    with (
        closing(loop),
        closing(Asyncpg(loop, url)) as asyncpg,
        closing(Psycopg(loop, url)) as psycopg,
    ):
        prepared = {ASYNCPG: asyncpg, PSYCOPG: psycopg}
        orms = {
            "Peewee": Peewee(),
            "SQLAlchemy Core": Core(engine),
            "SQLAlchemy ORM": Orm(engine),
            "Django": Django(url),
        }
        found = {
            name: _by_hand(call, prepared) | (_by_orms(call, orms) if name in COMPARED else {})
            for name, call in calls.items()
        }
        yield {name: contestants for name, contestants in found.items() if contestants}
    engine.dispose()


def _by_hand(call: Any, prepared: Mapping[str, Prepared]) -> dict[str, Call]:
    theirs = {who: contestant.call(call) for who, contestant in prepared.items()}
    return {who: its for who, its in theirs.items() if its is not None}


def _by_orms(call: Any, orms: Mapping[str, Any]) -> dict[str, Call]:
    name = call.func.__name__
    return {who: partial(getattr(orm, name), *call.args) for who, orm in orms.items()}

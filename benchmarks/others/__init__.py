"""Some of the calls as most people write them: plain Peewee, SQLAlchemy 2 (Core and ORM), Django.

Without what the SDK checks in passing, such as whether the user is in the chat; relations are
loaded together with the rows. Each builds its queries at every call, as it is done. The methods
have the names of the SDK's functions; `equality` sees that they do the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import psycopg2
import sqlalchemy as sa

from benchmarks.others.django_orm import Django
from benchmarks.others.plain_peewee import Peewee
from benchmarks.others.sqlalchemy_core import Core
from benchmarks.others.sqlalchemy_orm import Orm
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


def others(url: str, calls: Mapping[str, Any]) -> dict[str, dict[str, Call]]:
    """For each call: who else makes it, with the same arguments."""
    engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url))
    contestants = {
        "Peewee": Peewee(),
        "SQLAlchemy Core": Core(engine),
        "SQLAlchemy ORM": Orm(engine),
        "Django": Django(url),
    }
    return {
        name: {
            who: partial(getattr(contestant, calls[name].func.__name__), *calls[name].args)
            for who, contestant in contestants.items()
        }
        for name in COMPARED
    }

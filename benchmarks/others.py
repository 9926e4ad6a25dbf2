"""The same four things as most people write them: plain Peewee, SQLAlchemy 2, Django.

Without what the SDK checks in passing, such as whether the user is in the chat.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import peewee
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.automap import automap_base

from benchmarks.data import MANY
from stogram_sdk import Chat, ChatMember, ChatSettings, Message, User
from stogram_sdk.database import session

Call = Callable[[], Any]
CALLS = ("mute_chat", "get_chat_settings", "list_messages", "find_by_hashtag, middling, 500 chats")
TAG = "tag40"


def others(url: str, chat_id: str) -> dict[str, dict[str, Call]]:
    """For each call, who else does it and how."""
    engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: _connect(url))
    tables = sa.MetaData()
    tables.reflect(engine, only=["User", "Chat", "ChatMember", "ChatSettings", "Message"])
    by_who = {
        "Peewee": _peewee(chat_id),
        "SQLAlchemy Core": _core(engine, tables, chat_id),
        "SQLAlchemy ORM": _orm(engine, tables, chat_id),
        "Django": _django(url, chat_id),
    }
    return {
        name: {who: calls[place] for who, calls in by_who.items()}
        for place, name in enumerate(CALLS)
    }


def _connect(url: str) -> Any:
    import psycopg2

    return psycopg2.connect(url)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _peewee(chat_id: str) -> list[Call]:
    def mute_chat() -> None:
        with session():
            row, _ = ChatSettings.get_or_create(user=MANY, chat=chat_id)
            row.is_muted = True
            row.save()

    def get_chat_settings() -> Any:
        with session():
            return ChatSettings.get((ChatSettings.user == MANY) & (ChatSettings.chat == chat_id))

    def page(*conditions: Any) -> Any:
        with session():
            query = Message.select(Message, User, Chat).join(User).switch(Message).join(Chat)
            newest = query.where(*conditions, ~Message.is_deleted).order_by(
                Message.created_at.desc()
            )
            return list(newest.limit(50))

    def list_messages() -> Any:
        return page(Message.chat == chat_id)

    def find_by_hashtag() -> Any:
        mine = ChatMember.select(ChatMember.chat).where(ChatMember.user == MANY)
        tagged = peewee.Expression(Message.hashtags, "@>", peewee.SQL("ARRAY[%s]", [TAG]))
        return page(Message.chat.in_(mine), tagged)

    return [mute_chat, get_chat_settings, list_messages, find_by_hashtag]


def _core(engine: sa.Engine, tables: sa.MetaData, chat_id: str) -> list[Call]:
    settings, message = tables.tables["ChatSettings"], tables.tables["Message"]
    user, chat, member = (tables.tables[name] for name in ("User", "Chat", "ChatMember"))
    sender = message.c.senderId == user.c.id

    def mute_chat() -> None:
        new = postgresql.insert(settings).values(
            id=str(uuid.uuid4()), userId=MANY, chatId=chat_id, isMuted=True, updatedAt=_now()
        )
        with engine.begin() as connection:
            connection.execute(
                new.on_conflict_do_update(
                    index_elements=["userId", "chatId"],
                    set_={"isMuted": True, "updatedAt": new.excluded.updatedAt},
                )
            )

    def get_chat_settings() -> Any:
        with engine.connect() as connection:
            mine = sa.and_(settings.c.userId == MANY, settings.c.chatId == chat_id)
            return connection.execute(sa.select(settings).where(mine)).first()

    def page(*conditions: Any) -> Any:
        joined = message.join(user, sender).join(chat, message.c.chatId == chat.c.id)
        query = sa.select(message, user, chat).select_from(joined)
        query = query.where(*conditions, ~message.c.isDeleted)
        with engine.connect() as connection:
            newest = query.order_by(message.c.createdAt.desc()).limit(50)
            return connection.execute(newest).all()

    def list_messages() -> Any:
        return page(message.c.chatId == chat_id)

    def find_by_hashtag() -> Any:
        mine = sa.select(member.c.chatId).where(member.c.userId == MANY)
        return page(message.c.chatId.in_(mine), message.c.hashtags.contains([TAG]))

    return [mute_chat, get_chat_settings, list_messages, find_by_hashtag]


def _orm(engine: sa.Engine, tables: sa.MetaData, chat_id: str) -> list[Call]:
    base = automap_base(metadata=tables)
    base.prepare(generate_relationship=lambda *_, **__: None)
    settings, message = base.classes.ChatSettings, base.classes.Message
    user, chat, member = base.classes.User, base.classes.Chat, base.classes.ChatMember

    def mute_chat() -> None:
        with orm.Session(engine) as work:
            mine = sa.select(settings).where(settings.userId == MANY, settings.chatId == chat_id)
            row = work.scalars(mine).one()
            row.isMuted, row.updatedAt = True, _now()
            work.commit()

    def get_chat_settings() -> Any:
        with orm.Session(engine) as work:
            mine = sa.select(settings).where(settings.userId == MANY, settings.chatId == chat_id)
            return work.scalars(mine).one()

    def page(*conditions: Any) -> Any:
        query = (
            sa.select(message, user, chat)
            .join(user, message.senderId == user.id)
            .join(chat, message.chatId == chat.id)
            .where(*conditions, ~message.isDeleted)
        )
        with orm.Session(engine) as work:
            return work.execute(query.order_by(message.createdAt.desc()).limit(50)).all()

    def list_messages() -> Any:
        return page(message.chatId == chat_id)

    def find_by_hashtag() -> Any:
        mine = sa.select(member.chatId).where(member.userId == MANY)
        return page(message.chatId.in_(mine), message.hashtags.contains([TAG]))

    return [mute_chat, get_chat_settings, list_messages, find_by_hashtag]


def _django(url: str, chat_id: str) -> list[Call]:
    import django
    from django.conf import settings

    parts = urlsplit(url)
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes"],
        USE_TZ=False,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path[1:],
                "USER": parts.username,
                "HOST": parse_qs(parts.query)["host"][0],
                "CONN_MAX_AGE": None,
            }
        },
    )
    django.setup()
    from benchmarks import django_models as d

    def mute_chat() -> None:
        d.ChatSettings.objects.update_or_create(
            userId=MANY,
            chatId=chat_id,
            defaults={"isMuted": True, "updatedAt": _now()},
        )

    def get_chat_settings() -> Any:
        return d.ChatSettings.objects.get(userId=MANY, chatId=chat_id)

    def page(**conditions: Any) -> Any:
        query = d.Message.objects.select_related("sender", "chat")
        newest = query.filter(isDeleted=False, **conditions).order_by("-createdAt")
        return list(newest[:50])

    def list_messages() -> Any:
        return page(chat_id=chat_id)

    def find_by_hashtag() -> Any:
        mine = d.ChatMember.objects.filter(userId=MANY).values("chatId")
        return page(chat_id__in=mine, hashtags__contains=[TAG])

    return [mute_chat, get_chat_settings, list_messages, find_by_hashtag]

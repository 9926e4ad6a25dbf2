"""Some of the calls as most people write them: plain Peewee, SQLAlchemy 2 (Core and ORM), Django.

Without what the SDK checks in passing, such as whether the user is in the chat. Each builds its
queries at every call, as it is done. The names of the methods are those of the SDK's functions.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import peewee
import psycopg2
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.automap import automap_base

from benchmarks.data import BLOCKED, FEW, MANY, SEARCHED_TAGS, sized_chat
from stogram_sdk import BlockedUser, Chat, ChatMember, ChatSettings, Message, User
from stogram_sdk.database import session

_CHAT, _TAG = sized_chat(30), SEARCHED_TAGS["middling"]
#: Which method does what a call of `calls` does.
_METHODS = {
    "is_blocked": "is_blocked",
    "get_chat_settings": "get_chat_settings",
    "block_user": "block_user",
    "mute_chat": "mute_chat",
    "send_message, 30 members": "send_message",
    "list_messages": "list_messages",
    "find_by_hashtag, middling, 500 chats": "find_by_hashtag",
}


def others(url: str) -> dict[str, dict[str, Callable[[], Any]]]:
    """For each call: who else does it, and how."""
    engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url))
    contestants = {
        "Peewee": _Peewee(),
        "SQLAlchemy Core": _Core(engine),
        "SQLAlchemy ORM": _Orm(engine),
        "Django": _Django(url),
    }
    return {
        name: {who: getattr(contestant, method) for who, contestant in contestants.items()}
        for name, method in _METHODS.items()
    }


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _id() -> str:
    return str(uuid.uuid4())


class _Peewee:
    def is_blocked(self) -> bool:
        with session():
            mine = (BlockedUser.user == MANY) & (BlockedUser.blocked == FEW)
            return BlockedUser.select().where(mine).exists()

    def get_chat_settings(self) -> Any:
        with session():
            return ChatSettings.get((ChatSettings.user == MANY) & (ChatSettings.chat == _CHAT))

    def block_user(self) -> Any:
        with session():
            return BlockedUser.get_or_create(user=MANY, blocked=BLOCKED)

    def mute_chat(self) -> None:
        with session():
            row, _ = ChatSettings.get_or_create(user=MANY, chat=_CHAT)
            row.is_muted = True
            row.save()

    def send_message(self) -> None:
        with session(), Message._meta.database.atomic():
            Message.create(sender=MANY, chat=_CHAT, content="hello", is_sent=True)
            more = {ChatSettings.unread_count: ChatSettings.unread_count + 1}
            theirs = (ChatSettings.chat == _CHAT) & (ChatSettings.user != MANY)
            ChatSettings.update(more).where(theirs).execute()

    def list_messages(self) -> Any:
        return self._page(Message.chat == _CHAT)

    def find_by_hashtag(self) -> Any:
        mine = ChatMember.select(ChatMember.chat).where(ChatMember.user == MANY)
        tagged = peewee.Expression(Message.hashtags, "@>", peewee.SQL("ARRAY[%s]", [_TAG]))
        return self._page(Message.chat.in_(mine), tagged)

    def _page(self, *conditions: Any) -> Any:
        with session():
            query = Message.select(Message, User, Chat).join(User).switch(Message).join(Chat)
            found = query.where(*conditions, ~Message.is_deleted)
            return list(found.order_by(Message.created_at.desc()).limit(50))


class _Core:
    def __init__(self, engine: sa.Engine) -> None:
        names = ["User", "Chat", "ChatMember", "ChatSettings", "Message", "BlockedUser"]
        tables = sa.MetaData()
        tables.reflect(engine, only=names)
        self.engine = engine
        self.user, self.chat, self.member, self.settings, self.message, self.block = (
            tables.tables[name] for name in names
        )

    def is_blocked(self) -> bool:
        mine = sa.and_(self.block.c.userId == MANY, self.block.c.blockedId == FEW)
        with self.engine.connect() as connection:
            return connection.execute(sa.select(self.block.c.id).where(mine)).first() is not None

    def get_chat_settings(self) -> Any:
        mine = sa.and_(self.settings.c.userId == MANY, self.settings.c.chatId == _CHAT)
        with self.engine.connect() as connection:
            return connection.execute(sa.select(self.settings).where(mine)).first()

    def block_user(self) -> None:
        new = postgresql.insert(self.block).values(
            id=_id(), userId=MANY, blockedId=BLOCKED, createdAt=_now()
        )
        with self.engine.begin() as connection:
            connection.execute(new.on_conflict_do_nothing())

    def mute_chat(self) -> None:
        new = postgresql.insert(self.settings).values(
            id=_id(), userId=MANY, chatId=_CHAT, isMuted=True, updatedAt=_now()
        )
        changed = {"isMuted": True, "updatedAt": new.excluded.updatedAt}
        with self.engine.begin() as connection:
            connection.execute(
                new.on_conflict_do_update(index_elements=["userId", "chatId"], set_=changed)
            )

    def send_message(self) -> None:
        settings = self.settings
        theirs = sa.and_(settings.c.chatId == _CHAT, settings.c.userId != MANY)
        more = settings.update().where(theirs).values(unreadCount=settings.c.unreadCount + 1)
        message = dict(senderId=MANY, chatId=_CHAT, content="hello", isSent=True, updatedAt=_now())
        with self.engine.begin() as connection:
            connection.execute(self.message.insert().values(id=_id(), **message))
            connection.execute(more)

    def list_messages(self) -> Any:
        return self._page(self.message.c.chatId == _CHAT)

    def find_by_hashtag(self) -> Any:
        mine = sa.select(self.member.c.chatId).where(self.member.c.userId == MANY)
        tagged = self.message.c.hashtags.contains([_TAG])
        return self._page(self.message.c.chatId.in_(mine), tagged)

    def _page(self, *conditions: Any) -> Any:
        message, user, chat = self.message, self.user, self.chat
        joined = message.join(user, message.c.senderId == user.c.id)
        joined = joined.join(chat, message.c.chatId == chat.c.id)
        found = sa.select(message, user, chat).select_from(joined)
        found = found.where(*conditions, ~message.c.isDeleted)
        with self.engine.connect() as connection:
            newest = found.order_by(message.c.createdAt.desc()).limit(50)
            return connection.execute(newest).all()


class _Orm:
    def __init__(self, engine: sa.Engine) -> None:
        base = automap_base()
        base.prepare(engine, generate_relationship=lambda *_, **__: None)
        self.engine = engine
        self.tables: Any = base.classes

    def is_blocked(self) -> bool:
        block = self.tables.BlockedUser
        mine = sa.select(block).where(block.userId == MANY, block.blockedId == FEW)
        with orm.Session(self.engine) as work:
            return work.scalars(mine).one_or_none() is not None

    def get_chat_settings(self) -> Any:
        with orm.Session(self.engine) as work:
            return self._settings(work)

    def block_user(self) -> None:
        block = self.tables.BlockedUser
        mine = sa.select(block).where(block.userId == MANY, block.blockedId == BLOCKED)
        with orm.Session(self.engine) as work:
            if work.scalars(mine).one_or_none() is None:
                work.add(block(id=_id(), userId=MANY, blockedId=BLOCKED, createdAt=_now()))
            work.commit()

    def mute_chat(self) -> None:
        with orm.Session(self.engine) as work:
            row = self._settings(work)
            row.isMuted, row.updatedAt = True, _now()
            work.commit()

    def send_message(self) -> None:
        settings, message = self.tables.ChatSettings, self.tables.Message
        theirs = sa.and_(settings.chatId == _CHAT, settings.userId != MANY)
        more = sa.update(settings).where(theirs).values(unreadCount=settings.unreadCount + 1)
        with orm.Session(self.engine) as work:
            work.add(
                message(
                    id=_id(),
                    senderId=MANY,
                    chatId=_CHAT,
                    content="hello",
                    isSent=True,
                    updatedAt=_now(),
                )
            )
            work.execute(more.execution_options(synchronize_session=False))
            work.commit()

    def list_messages(self) -> Any:
        return self._page(self.tables.Message.chatId == _CHAT)

    def find_by_hashtag(self) -> Any:
        member, message = self.tables.ChatMember, self.tables.Message
        mine = sa.select(member.chatId).where(member.userId == MANY)
        tagged = sa.cast(message.hashtags, postgresql.ARRAY(sa.Text)).contains([_TAG])
        return self._page(message.chatId.in_(mine), tagged)

    def _settings(self, work: orm.Session) -> Any:
        settings = self.tables.ChatSettings
        mine = sa.select(settings).where(settings.userId == MANY, settings.chatId == _CHAT)
        return work.scalars(mine).one()

    def _page(self, *conditions: Any) -> Any:
        message, user, chat = self.tables.Message, self.tables.User, self.tables.Chat
        found = (
            sa.select(message, user, chat)
            .join(user, message.senderId == user.id)
            .join(chat, message.chatId == chat.id)
            .where(*conditions, ~message.isDeleted)
        )
        with orm.Session(self.engine) as work:
            return work.execute(found.order_by(message.createdAt.desc()).limit(50)).all()


class _Django:
    def __init__(self, url: str) -> None:
        import django
        from django.conf import settings

        parts = urlsplit(url)
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path[1:],
            "USER": parts.username,
            "HOST": parse_qs(parts.query)["host"][0],
            "CONN_MAX_AGE": None,
        }
        settings.configure(
            INSTALLED_APPS=["django.contrib.contenttypes"],
            USE_TZ=False,
            DATABASES={"default": database},
        )
        django.setup()
        from benchmarks import django_models

        self.models: Any = django_models

    def is_blocked(self) -> bool:
        blocks = self.models.BlockedUser.objects
        found: bool = blocks.filter(userId=MANY, blockedId=FEW).exists()
        return found

    def get_chat_settings(self) -> Any:
        return self.models.ChatSettings.objects.get(userId=MANY, chatId=_CHAT)

    def block_user(self) -> Any:
        new = {"id": _id(), "createdAt": _now()}
        blocks = self.models.BlockedUser.objects
        return blocks.get_or_create(userId=MANY, blockedId=BLOCKED, defaults=new)

    def mute_chat(self) -> None:
        changed = {"isMuted": True, "updatedAt": _now()}
        settings = self.models.ChatSettings.objects
        settings.update_or_create(userId=MANY, chatId=_CHAT, defaults=changed)

    def send_message(self) -> None:
        from django.db import transaction
        from django.db.models import F

        settings = self.models.ChatSettings.objects.filter(chatId=_CHAT).exclude(userId=MANY)
        now = _now()
        with transaction.atomic():
            self.models.Message.objects.create(
                id=_id(),
                content="hello",
                type="TEXT",
                sender_id=MANY,
                chat_id=_CHAT,
                isDeleted=False,
                isSent=True,
                createdAt=now,
                updatedAt=now,
            )
            settings.update(unreadCount=F("unreadCount") + 1)

    def list_messages(self) -> Any:
        return self._page(chat_id=_CHAT)

    def find_by_hashtag(self) -> Any:
        mine = self.models.ChatMember.objects.filter(userId=MANY).values("chatId")
        return self._page(chat_id__in=mine, hashtags__contains=[_TAG])

    def _page(self, **conditions: Any) -> Any:
        query = self.models.Message.objects.select_related("sender", "chat")
        newest = query.filter(isDeleted=False, **conditions).order_by("-createdAt")
        return list(newest[:50])

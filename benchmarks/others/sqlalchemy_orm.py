"""SQLAlchemy's ORM, on classes that are made of the database's tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.automap import automap_base

from benchmarks.others.settings import SettingsByColumn
from benchmarks.others.values import PAGE, hashtags_in, mentions_in, now, random_id


class Orm(SettingsByColumn):
    def __init__(self, engine: sa.Engine) -> None:
        base = automap_base()
        base.prepare(engine, generate_relationship=lambda *_, **__: None)
        self._session = orm.sessionmaker(engine, expire_on_commit=False)
        classes: Any = base.classes
        self.user, self.chat, self.member = classes.User, classes.Chat, classes.ChatMember
        self.settings, self.message = classes.ChatSettings, classes.Message
        self.block, self.pin = classes.BlockedUser, classes.PinnedMessage

    def is_blocked(self, user_id: str, other_id: str) -> bool:
        with self._session() as session:
            return _one(session, self.block, userId=user_id, blockedId=other_id) is not None

    def get_chat_settings(self, user_id: str, chat_id: str) -> Any:
        with self._session() as session:
            return _one(session, self.settings, userId=user_id, chatId=chat_id)

    def block_user(self, user_id: str, other_id: str) -> Any:
        new = {"userId": user_id, "blockedId": other_id}
        with self._session.begin() as session:
            return _one_or_new(session, self.block, {"createdAt": now()}, **new)

    def mark_read(self, user_id: str, chat_id: str) -> Any:
        message = self.message
        there = sa.select(message.id).where(message.chatId == chat_id, ~message.isDeleted)
        newest = there.order_by(message.createdAt.desc()).limit(1).scalar_subquery()
        return self._set(user_id, chat_id, lastReadMessageId=newest, unreadCount=0)

    def _set(self, user_id: str, chat_id: str, **changes: Any) -> Any:
        changes["updatedAt"] = now()
        mine = {"userId": user_id, "chatId": chat_id}
        with self._session.begin() as session:
            row = _one_or_new(session, self.settings, changes, **mine)
            for name, value in changes.items():
                setattr(row, name, value)
            return row

    def pin_message(self, user_id: str, chat_id: str, message_id: str) -> Any:
        new = {"userId": user_id, "chatId": chat_id, "messageId": message_id}
        with self._session.begin() as session:
            return _one_or_new(session, self.pin, {"pinnedAt": now()}, **new)

    def send_message(self, sender_id: str, chat_id: str, content: str) -> Any:
        settings = self.settings
        message = self.message(
            id=random_id(),
            senderId=sender_id,
            chatId=chat_id,
            content=content,
            isSent=True,
            hashtags=hashtags_in(content),
            mentions=mentions_in(content),
            updatedAt=now(),
        )
        theirs = settings.chatId == chat_id, settings.userId != sender_id
        more = sa.update(settings).where(*theirs).values(unreadCount=settings.unreadCount + 1)
        with self._session.begin() as session:
            session.add(message)
            session.execute(more.execution_options(synchronize_session=False))
            return message

    def edit_message(self, user_id: str, chat_id: str, message_id: str, content: str) -> Any:
        mine = {"id": message_id, "chatId": chat_id, "senderId": user_id}
        with self._session.begin() as session:
            message = _one(session, self.message, **mine)
            message.content = content
            message.hashtags = hashtags_in(content)
            message.mentions = mentions_in(content)
            message.isEdited = True
            message.updatedAt = now()
            return message

    def list_messages(self, user_id: str, chat_id: str) -> Any:
        return self._newest(self.message.chatId == chat_id)

    def find_by_hashtag(self, user_id: str, hashtag: str) -> Any:
        return self._newest(self._in_chats_of(user_id), _holds(self.message.hashtags, hashtag))

    def search_messages(self, user_id: str, text: str) -> Any:
        found = self.message.content.icontains(text, autoescape=True)
        found |= self.message.fileName.icontains(text, autoescape=True)
        return self._newest(self._in_chats_of(user_id), found)

    def _in_chats_of(self, user_id: str) -> Any:
        mine = sa.select(self.member.chatId).where(self.member.userId == user_id)
        return self.message.chatId.in_(mine)

    def _newest(self, *conditions: Any) -> Any:
        message, user, chat = self.message, self.user, self.chat
        found = (
            sa.select(message, user, chat)
            .join(user, message.senderId == user.id)
            .join(chat, message.chatId == chat.id)
            .where(*conditions, ~message.isDeleted)
            .order_by(message.createdAt.desc())
            .limit(PAGE)
        )
        with self._session() as session:
            return session.execute(found).all()

    def list_pinned_messages(self, user_id: str) -> Any:
        pin, message, user, chat = self.pin, self.message, self.user, self.chat
        pinned = (
            sa.select(pin, message, user, chat)
            .join(message, pin.messageId == message.id)
            .join(user, message.senderId == user.id)
            .join(chat, message.chatId == chat.id)
            .where(pin.userId == user_id, ~message.isDeleted)
            .order_by(pin.pinnedAt.desc())
            .limit(PAGE)
        )
        with self._session() as session:
            return session.execute(pinned).all()

    def list_chats(self, user_id: str) -> Any:
        member, chat, settings = self.member, self.chat, self.settings
        message, user, last = self.message, self.user, orm.aliased(self.message)
        last_id = (
            sa.select(last.id)
            .where(last.chatId == chat.id, ~last.isDeleted)
            .order_by(last.createdAt.desc())
            .limit(1)
            .scalar_subquery()
        )
        mine = sa.and_(settings.chatId == member.chatId, settings.userId == member.userId)
        favorite = sa.func.coalesce(settings.isFavorite, False)
        last_at = sa.func.coalesce(message.createdAt, member.joinedAt)
        listed = (
            sa.select(chat, settings, message, user)
            .join(member, member.chatId == chat.id)
            .outerjoin(settings, mine)
            .outerjoin(message, message.id == last_id)
            .outerjoin(user, user.id == message.senderId)
            .where(member.userId == user_id)
            .order_by(favorite.desc(), last_at.desc())
            .limit(PAGE)
        )
        with self._session() as session:
            rows = session.execute(listed).all()
            private = [row[0].id for row in rows if row[0].type == "PRIVATE"]
            others = (
                sa.select(member.chatId, user)
                .join(user, user.id == member.userId)
                .where(member.chatId.in_(private), member.userId != user_id)
            )
            peers = {chat_id: peer for chat_id, peer in session.execute(others)}
        return [(*row, peers.get(row[0].id)) for row in rows]

    def unread_totals(self, user_id: str) -> Any:
        message, settings, read = self.message, self.settings, orm.aliased(self.message)
        mine = sa.and_(settings.chatId == message.chatId, settings.userId == user_id)
        unread = sa.func.sum(settings.unreadCount)
        sums = sa.select(
            sa.func.coalesce(unread, 0),
            sa.func.coalesce(unread.filter(~settings.isMuted), 0),
        ).where(settings.userId == user_id)
        with self._session() as session:
            user = session.get_one(self.user, user_id)
            mentions = (
                sa.select(sa.func.count(message.id))
                .join(settings, mine)
                .outerjoin(read, read.id == settings.lastReadMessageId)
                .where(
                    _holds(message.mentions, user.username),
                    message.createdAt > sa.func.coalesce(read.createdAt, settings.createdAt),
                    message.senderId != user_id,
                    ~message.isDeleted,
                )
            )
            return (*session.execute(sums).one(), session.execute(mentions).scalar_one())


def _one(session: orm.Session, kind: Any, **values: Any) -> Any:
    return session.scalars(sa.select(kind).filter_by(**values)).one_or_none()


def _one_or_new(session: orm.Session, kind: Any, new: dict[str, Any], **values: Any) -> Any:
    row = _one(session, kind, **values)
    if row is None:
        row = kind(id=random_id(), **values, **new)
        session.add(row)
    return row


def _holds(column: Any, tag: str) -> Any:
    return sa.cast(column, postgresql.ARRAY(sa.Text)).contains([tag])

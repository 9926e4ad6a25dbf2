"""SQLAlchemy Core, on tables that are read from the database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from benchmarks.others.settings import SettingsByColumn
from benchmarks.others.values import PAGE, hashtags_in, mentions_in, now, random_id


class Core(SettingsByColumn):
    def __init__(self, engine: sa.Engine) -> None:
        names = (
            *("User", "Chat", "ChatMember", "ChatSettings"),
            *("Message", "BlockedUser", "PinnedMessage"),
        )
        tables = sa.MetaData()
        tables.reflect(engine, only=names)
        self._engine = engine
        found = (tables.tables[name] for name in names)
        self.user, self.chat, self.member, self.settings, *rest = found
        self.message, self.block, self.pin = rest

    def is_blocked(self, user_id: str, other_id: str) -> bool:
        block = self.block.c
        mine = sa.select(block.id).where(block.userId == user_id, block.blockedId == other_id)
        with self._engine.connect() as connection:
            return connection.execute(mine).first() is not None

    def get_chat_settings(self, user_id: str, chat_id: str) -> Any:
        settings = self.settings.c
        mine = settings.userId == user_id, settings.chatId == chat_id
        with self._engine.connect() as connection:
            return connection.execute(sa.select(self.settings).where(*mine)).first()

    def block_user(self, user_id: str, other_id: str) -> None:
        new = {"id": random_id(), "userId": user_id, "blockedId": other_id, "createdAt": now()}
        insert = postgresql.insert(self.block).values(new).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            connection.execute(insert)

    def mark_read(self, user_id: str, chat_id: str) -> Any:
        message = self.message.c
        there = sa.select(message.id).where(message.chatId == chat_id, ~message.isDeleted)
        newest = there.order_by(message.createdAt.desc()).limit(1).scalar_subquery()
        return self._set(user_id, chat_id, lastReadMessageId=newest, unreadCount=0)

    def _set(self, user_id: str, chat_id: str, **changes: Any) -> Any:
        changes["updatedAt"] = now()
        new = {"id": random_id(), "userId": user_id, "chatId": chat_id, **changes}
        upsert = (
            postgresql.insert(self.settings)
            .values(new)
            .on_conflict_do_update(index_elements=["userId", "chatId"], set_=changes)
            .returning(self.settings)
        )
        with self._engine.begin() as connection:
            return connection.execute(upsert).one()

    def pin_message(self, user_id: str, chat_id: str, message_id: str) -> None:
        new = {"id": random_id(), "userId": user_id, "chatId": chat_id, "messageId": message_id}
        insert = postgresql.insert(self.pin).values(new).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            connection.execute(insert)

    def send_message(self, sender_id: str, chat_id: str, content: str) -> Any:
        settings = self.settings
        new = self.message.insert().values(
            id=random_id(),
            senderId=sender_id,
            chatId=chat_id,
            content=content,
            isSent=True,
            hashtags=hashtags_in(content),
            mentions=mentions_in(content),
            updatedAt=now(),
        )
        theirs = settings.c.chatId == chat_id, settings.c.userId != sender_id
        more = settings.update().where(*theirs).values(unreadCount=settings.c.unreadCount + 1)
        with self._engine.begin() as connection:
            message = connection.execute(new.returning(self.message)).one()
            connection.execute(more)
            return message

    def edit_message(self, user_id: str, chat_id: str, message_id: str, content: str) -> Any:
        message = self.message.c
        mine = message.id == message_id, message.chatId == chat_id, message.senderId == user_id
        edit = self.message.update().where(*mine)
        edit = edit.values(
            content=content,
            hashtags=hashtags_in(content),
            mentions=mentions_in(content),
            isEdited=True,
            updatedAt=now(),
        )
        with self._engine.begin() as connection:
            return connection.execute(edit.returning(self.message)).one()

    def list_messages(self, user_id: str, chat_id: str) -> Any:
        return self._newest(self.message.c.chatId == chat_id)

    def find_by_hashtag(self, user_id: str, hashtag: str) -> Any:
        tagged = self.message.c.hashtags.contains([hashtag])
        return self._newest(self._in_chats_of(user_id), tagged)

    def search_messages(self, user_id: str, text: str) -> Any:
        message = self.message.c
        found = message.content.icontains(text, autoescape=True)
        found |= message.fileName.icontains(text, autoescape=True)
        return self._newest(self._in_chats_of(user_id), found)

    def _in_chats_of(self, user_id: str) -> Any:
        mine = sa.select(self.member.c.chatId).where(self.member.c.userId == user_id)
        return self.message.c.chatId.in_(mine)

    def _newest(self, *conditions: Any) -> Any:
        message, user, chat = self.message, self.user, self.chat
        found = (
            sa.select(message, user, chat)
            .join(user, message.c.senderId == user.c.id)
            .join(chat, message.c.chatId == chat.c.id)
            .where(*conditions, ~message.c.isDeleted)
            .order_by(message.c.createdAt.desc())
            .limit(PAGE)
        )
        with self._engine.connect() as connection:
            return connection.execute(found).all()

    def list_pinned_messages(self, user_id: str) -> Any:
        pin, message, user, chat = self.pin, self.message, self.user, self.chat
        pinned = (
            sa.select(pin, message, user, chat)
            .join(message, pin.c.messageId == message.c.id)
            .join(user, message.c.senderId == user.c.id)
            .join(chat, message.c.chatId == chat.c.id)
            .where(pin.c.userId == user_id, ~message.c.isDeleted)
            .order_by(pin.c.pinnedAt.desc())
            .limit(PAGE)
        )
        with self._engine.connect() as connection:
            return connection.execute(pinned).all()

    def list_chats(self, user_id: str) -> Any:
        member, chat, settings = self.member, self.chat, self.settings
        message, user, last = self.message, self.user, self.message.alias()
        last_id = (
            sa.select(last.c.id)
            .where(last.c.chatId == chat.c.id, ~last.c.isDeleted)
            .order_by(last.c.createdAt.desc())
            .limit(1)
            .scalar_subquery()
        )
        mine = sa.and_(settings.c.chatId == member.c.chatId, settings.c.userId == member.c.userId)
        favorite = sa.func.coalesce(settings.c.isFavorite, False)
        last_at = sa.func.coalesce(message.c.createdAt, member.c.joinedAt)
        listed = (
            sa.select(chat, settings, message, user)
            .join(member, member.c.chatId == chat.c.id)
            .outerjoin(settings, mine)
            .outerjoin(message, message.c.id == last_id)
            .outerjoin(user, user.c.id == message.c.senderId)
            .where(member.c.userId == user_id)
            .order_by(favorite.desc(), last_at.desc())
            .limit(PAGE)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(listed).all()
            private = [row[0] for row in rows if row._mapping[chat.c.type] == "PRIVATE"]
            others = (
                sa.select(member.c.chatId, user)
                .join(user, user.c.id == member.c.userId)
                .where(member.c.chatId.in_(private), member.c.userId != user_id)
            )
            peers = {row.chatId: row for row in connection.execute(others)}
        return [(row[0], row, peers.get(row[0])) for row in rows]

    def unread_totals(self, user_id: str) -> Any:
        message, settings, user = self.message, self.settings, self.user
        read = message.alias()
        mine = sa.and_(settings.c.chatId == message.c.chatId, settings.c.userId == user_id)
        unread = sa.func.sum(settings.c.unreadCount)
        sums = sa.select(
            sa.func.coalesce(unread, 0),
            sa.func.coalesce(unread.filter(~settings.c.isMuted), 0),
        ).where(settings.c.userId == user_id)
        username = sa.select(user.c.username).where(user.c.id == user_id)
        with self._engine.connect() as connection:
            name = connection.execute(username).scalar_one()
            mentions = (
                sa.select(sa.func.count())
                .select_from(message)
                .join(settings, mine)
                .outerjoin(read, read.c.id == settings.c.lastReadMessageId)
                .where(
                    message.c.mentions.contains([name]),
                    message.c.createdAt > sa.func.coalesce(read.c.createdAt, settings.c.createdAt),
                    message.c.senderId != user_id,
                    ~message.c.isDeleted,
                )
            )
            return (*connection.execute(sums).one(), connection.execute(mentions).scalar_one())

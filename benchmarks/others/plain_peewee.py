"""Peewee, with the SDK's models and connections but none of its statements."""

from __future__ import annotations

from typing import Any

from peewee import JOIN, SQL, Expression, fn

from benchmarks.others.values import PAGE, hashtags_in, mentions_in
from stogram_sdk import (
    BlockedUser,
    Chat,
    ChatMember,
    ChatSettings,
    ChatType,
    Message,
    PinnedMessage,
    User,
)
from stogram_sdk.database import session
from stogram_sdk.fields import utc_now


class Peewee:
    def is_blocked(self, user_id: str, other_id: str) -> bool:
        with session():
            mine = (BlockedUser.user == user_id) & (BlockedUser.blocked == other_id)
            return BlockedUser.select().where(mine).exists()

    def get_chat_settings(self, user_id: str, chat_id: str) -> Any:
        with session():
            return ChatSettings.get(ChatSettings.user == user_id, ChatSettings.chat == chat_id)

    def block_user(self, user_id: str, other_id: str) -> Any:
        with session():
            return BlockedUser.get_or_create(user=user_id, blocked=other_id)

    def mute_chat(self, user_id: str, chat_id: str) -> Any:
        return self._set(user_id, chat_id, is_muted=True)

    def set_favorite(self, user_id: str, chat_id: str, is_favorite: bool) -> Any:
        return self._set(user_id, chat_id, is_favorite=is_favorite)

    def move_to_folder(self, user_id: str, chat_id: str, folder_id: str) -> Any:
        return self._set(user_id, chat_id, folder=folder_id)

    def mark_read(self, user_id: str, chat_id: str) -> Any:
        with session():
            there = Message.select().where(Message.chat == chat_id, ~Message.is_deleted)
            newest = there.order_by(Message.created_at.desc()).first()
            return self._set(user_id, chat_id, last_read_message_id=newest.id, unread_count=0)

    def _set(self, user_id: str, chat_id: str, **changes: Any) -> Any:
        with session():
            row, _ = ChatSettings.get_or_create(user=user_id, chat=chat_id)
            for name, value in changes.items():
                setattr(row, name, value)
            row.updated_at = utc_now()
            row.save()
            return row

    def pin_message(self, user_id: str, chat_id: str, message_id: str) -> Any:
        with session():
            return PinnedMessage.get_or_create(user=user_id, chat=chat_id, message=message_id)

    def send_message(self, sender_id: str, chat_id: str, content: str) -> Any:
        with session(), Message._meta.database.atomic():
            message = Message.create(
                sender=sender_id,
                chat=chat_id,
                content=content,
                is_sent=True,
                hashtags=hashtags_in(content),
                mentions=mentions_in(content),
            )
            more = {ChatSettings.unread_count: ChatSettings.unread_count + 1}
            theirs = (ChatSettings.chat == chat_id) & (ChatSettings.user != sender_id)
            ChatSettings.update(more).where(theirs).execute()
            return message

    def edit_message(self, user_id: str, chat_id: str, message_id: str, content: str) -> Any:
        with session():
            mine = (Message.sender == user_id) & (Message.chat == chat_id)
            message = Message.get(Message.id == message_id, mine)
            message.content = content
            message.hashtags = hashtags_in(content)
            message.mentions = mentions_in(content)
            message.is_edited = True
            message.updated_at = utc_now()
            message.save()
            return message

    def list_messages(self, user_id: str, chat_id: str) -> Any:
        return self._newest(Message.chat == chat_id)

    def find_by_hashtag(self, user_id: str, hashtag: str) -> Any:
        return self._newest(_in_chats_of(user_id), _holds(Message.hashtags, hashtag))

    def search_messages(self, user_id: str, text: str) -> Any:
        found = Message.content.contains(text) | Message.file_name.contains(text)
        return self._newest(_in_chats_of(user_id), found)

    def _newest(self, *conditions: Any) -> Any:
        with session():
            query = Message.select(Message, User, Chat).join(User).switch(Message).join(Chat)
            found = query.where(*conditions, ~Message.is_deleted)
            return list(found.order_by(Message.created_at.desc()).limit(PAGE))

    def list_pinned_messages(self, user_id: str) -> Any:
        with session():
            return list(
                PinnedMessage.select(PinnedMessage, Message, User, Chat)
                .join(Message)
                .join(User)
                .switch(Message)
                .join(Chat)
                .where(PinnedMessage.user == user_id, ~Message.is_deleted)
                .order_by(PinnedMessage.pinned_at.desc())
                .limit(PAGE)
            )

    def list_chats(self, user_id: str) -> Any:
        mine = (ChatSettings.chat == ChatMember.chat) & (ChatSettings.user == ChatMember.user)
        last = Message.alias()
        last_id = (
            last.select(last.id)
            .where(last.chat == Chat.id, ~last.is_deleted)
            .order_by(last.created_at.desc())
            .limit(1)
        )
        favorite = fn.COALESCE(ChatSettings.is_favorite, False)
        last_at = fn.COALESCE(Message.created_at, ChatMember.joined_at)
        with session():
            listed = list(
                ChatMember.select(ChatMember, Chat, ChatSettings, Message, User)
                .join(Chat)
                .join_from(ChatMember, ChatSettings, JOIN.LEFT_OUTER, on=mine, attr="settings")
                .join_from(Chat, Message, JOIN.LEFT_OUTER, on=(Message.id == last_id), attr="last")
                .join(User, JOIN.LEFT_OUTER)
                .where(ChatMember.user == user_id)
                .order_by(favorite.desc(), last_at.desc())
                .limit(PAGE)
            )
            private = [row.chat_id for row in listed if row.chat.type == ChatType.PRIVATE]
            others = (
                ChatMember.select(ChatMember, User)
                .join(User)
                .where(ChatMember.chat.in_(private), ChatMember.user != user_id)
            )
            peers = {row.chat_id: row.user for row in others}
        return [
            (row.chat, getattr(row, "settings", None), getattr(row.chat, "last", None),
             peers.get(row.chat_id))
            for row in listed
        ]  # fmt: skip

    def unread_totals(self, user_id: str) -> Any:
        read = Message.alias()
        mine = (ChatSettings.chat == Message.chat) & (ChatSettings.user == user_id)
        read_until = fn.COALESCE(read.created_at, ChatSettings.created_at)
        unread = fn.SUM(ChatSettings.unread_count)
        sums = ChatSettings.select(
            fn.COALESCE(unread, 0),
            fn.COALESCE(unread.filter(~ChatSettings.is_muted), 0),
        ).where(ChatSettings.user == user_id)
        with session():
            user = User.get_by_id(user_id)
            mentions = (
                Message.select()
                .join(ChatSettings, on=mine)
                .join(read, JOIN.LEFT_OUTER, on=(read.id == ChatSettings.last_read_message_id))
                .where(
                    _holds(Message.mentions, user.username),
                    Message.created_at > read_until,
                    Message.sender != user_id,
                    ~Message.is_deleted,
                )
            )
            return (*sums.scalar(as_tuple=True), mentions.count())


def _in_chats_of(user_id: str) -> Any:
    return Message.chat.in_(ChatMember.select(ChatMember.chat).where(ChatMember.user == user_id))


def _holds(column: Any, tag: str) -> Any:
    return Expression(column, "@>", SQL("ARRAY[%s]", [tag]))

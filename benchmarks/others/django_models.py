"""The tables, as Django's models; imported once it is configured."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from benchmarks.others.values import now


class _Table(models.Model):
    id = models.TextField(primary_key=True)

    class Meta:
        abstract = True


def _meta(table: str) -> Any:
    return type("Meta", (), {"db_table": table, "managed": False, "app_label": "others"})


def _key(to: Any, column: str, name: str = "+") -> Any:
    return models.ForeignKey(to, models.CASCADE, db_column=column, related_name=name)


class User(_Table):
    Meta: ClassVar[Any] = _meta("User")
    email = models.TextField()
    username = models.TextField()
    password = models.TextField()
    displayName = models.TextField(null=True)
    avatar = models.TextField(null=True)
    bio = models.TextField(null=True)
    status = models.TextField(default="OFFLINE")
    lastSeen = models.DateTimeField(default=now)
    emailVerified = models.BooleanField(default=False)
    verificationToken = models.TextField(null=True)
    pushSubscription = models.TextField(null=True)
    theme = models.TextField(null=True, default="light")
    createdAt = models.DateTimeField(default=now)
    updatedAt = models.DateTimeField(auto_now=True)
    showOnlineStatus = models.BooleanField(default=True)
    showProfilePhoto = models.BooleanField(default=True)
    showLastSeen = models.BooleanField(default=True)


class Chat(_Table):
    Meta: ClassVar[Any] = _meta("Chat")
    name = models.TextField(null=True)
    type = models.TextField()
    avatar = models.TextField(null=True)
    description = models.TextField(null=True)
    createdAt = models.DateTimeField(default=now)
    updatedAt = models.DateTimeField(auto_now=True)
    isSecret = models.BooleanField(default=False)


class ChatMember(_Table):
    Meta: ClassVar[Any] = _meta("ChatMember")
    user = _key(User, "userId")
    chat = _key(Chat, "chatId", "members")
    role = models.TextField(default="MEMBER")
    joinedAt = models.DateTimeField(default=now)


class Message(_Table):
    Meta: ClassVar[Any] = _meta("Message")
    content = models.TextField(null=True)
    type = models.TextField(default="TEXT")
    sender = _key(User, "senderId")
    chat = _key(Chat, "chatId", "messages")
    replyTo = models.ForeignKey("self", models.SET_NULL, db_column="replyToId", null=True)
    fileUrl = models.TextField(null=True)
    fileName = models.TextField(null=True)
    fileSize = models.IntegerField(null=True)
    thumbnailUrl = models.TextField(null=True)
    duration = models.IntegerField(null=True)
    waveform = models.TextField(null=True)
    isEdited = models.BooleanField(default=False)
    isDeleted = models.BooleanField(default=False)
    scheduledFor = models.DateTimeField(null=True)
    isSent = models.BooleanField(default=False)
    createdAt = models.DateTimeField(default=now)
    updatedAt = models.DateTimeField(auto_now=True)
    isSilent = models.BooleanField(default=False)
    mentions = ArrayField(models.TextField(), null=True)
    hashtags = ArrayField(models.TextField(), null=True)


class BlockedUser(_Table):
    Meta: ClassVar[Any] = _meta("BlockedUser")
    user = _key(User, "userId")
    blocked = _key(User, "blockedId")
    createdAt = models.DateTimeField(default=now)


class ChatSettings(_Table):
    Meta: ClassVar[Any] = _meta("ChatSettings")
    user = _key(User, "userId")
    chat = _key(Chat, "chatId", "settings")
    isMuted = models.BooleanField(default=False)
    isFavorite = models.BooleanField(default=False)
    folderId = models.TextField(null=True)
    unreadCount = models.IntegerField(default=0)
    lastReadMessageId = models.TextField(null=True)
    createdAt = models.DateTimeField(default=now)
    updatedAt = models.DateTimeField(auto_now=True)


class PinnedMessage(_Table):
    Meta: ClassVar[Any] = _meta("PinnedMessage")
    user = _key(User, "userId")
    message = _key(Message, "messageId", "pins")
    chat = _key(Chat, "chatId")
    pinnedAt = models.DateTimeField(default=now)

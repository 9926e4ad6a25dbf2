"""What Django needs of the tables; imported once it is configured."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models


class _Table(models.Model):
    id = models.TextField(primary_key=True)

    class Meta:
        abstract = True


def _meta(table: str) -> Any:
    return type("Meta", (), {"db_table": table, "managed": False, "app_label": "benchmarks"})


class User(_Table):
    Meta: ClassVar[Any] = _meta("User")
    email = models.TextField()
    username = models.TextField()
    displayName = models.TextField(null=True)


class Chat(_Table):
    Meta: ClassVar[Any] = _meta("Chat")
    name = models.TextField(null=True)
    type = models.TextField()
    isSecret = models.BooleanField()
    createdAt = models.DateTimeField()


class ChatMember(_Table):
    Meta: ClassVar[Any] = _meta("ChatMember")
    userId = models.TextField()
    chatId = models.TextField()


class BlockedUser(_Table):
    Meta: ClassVar[Any] = _meta("BlockedUser")
    userId = models.TextField()
    blockedId = models.TextField()
    createdAt = models.DateTimeField()


class ChatSettings(_Table):
    Meta: ClassVar[Any] = _meta("ChatSettings")
    userId = models.TextField()
    chatId = models.TextField()
    isMuted = models.BooleanField()
    isFavorite = models.BooleanField()
    unreadCount = models.IntegerField()
    updatedAt = models.DateTimeField()


class Message(_Table):
    Meta: ClassVar[Any] = _meta("Message")
    content = models.TextField(null=True)
    type = models.TextField()
    sender = models.ForeignKey(User, models.CASCADE, db_column="senderId")
    chat = models.ForeignKey(Chat, models.CASCADE, db_column="chatId")
    isDeleted = models.BooleanField()
    isSent = models.BooleanField()
    scheduledFor = models.DateTimeField(null=True)
    createdAt = models.DateTimeField()
    updatedAt = models.DateTimeField()
    mentions = ArrayField(models.TextField(), null=True)
    hashtags = ArrayField(models.TextField(), null=True)

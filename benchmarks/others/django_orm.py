"""Django's ORM, without the rest of Django."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, OuterRef, Prefetch, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from benchmarks.others.settings import SettingsByColumn
from benchmarks.others.values import PAGE, hashtags_in, mentions_in, random_id


class Django(SettingsByColumn):
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path[1:],
            "USER": parts.username,
            "HOST": parse_qs(parts.query)["host"][0],
            "CONN_MAX_AGE": None,
        }
        settings.configure(
            INSTALLED_APPS=["benchmarks.others"],
            USE_TZ=False,
            DATABASES={"default": database},
        )
        django.setup()
        from benchmarks.others import django_models

        self.models: Any = django_models

    def is_blocked(self, user_id: str, other_id: str) -> bool:
        blocks = self.models.BlockedUser.objects
        found: bool = blocks.filter(user=user_id, blocked=other_id).exists()
        return found

    def get_chat_settings(self, user_id: str, chat_id: str) -> Any:
        return self.models.ChatSettings.objects.get(user=user_id, chat=chat_id)

    def block_user(self, user_id: str, other_id: str) -> Any:
        return self.models.BlockedUser.objects.get_or_create(
            user_id=user_id, blocked_id=other_id, defaults={"id": random_id()}
        )

    def mark_read(self, user_id: str, chat_id: str) -> Any:
        there = self.models.Message.objects.filter(chat=chat_id, isDeleted=False)
        newest = there.order_by("-createdAt").first()
        return self._set(user_id, chat_id, lastReadMessageId=newest.id, unreadCount=0)

    def _set(self, user_id: str, chat_id: str, **changes: Any) -> Any:
        row, _ = self.models.ChatSettings.objects.update_or_create(
            user_id=user_id,
            chat_id=chat_id,
            defaults=changes,
            create_defaults={"id": random_id(), **changes},
        )
        return row

    def pin_message(self, user_id: str, chat_id: str, message_id: str) -> Any:
        return self.models.PinnedMessage.objects.get_or_create(
            user_id=user_id,
            chat_id=chat_id,
            message_id=message_id,
            defaults={"id": random_id()},
        )

    def send_message(self, sender_id: str, chat_id: str, content: str) -> Any:
        theirs = self.models.ChatSettings.objects.filter(chat=chat_id).exclude(user=sender_id)
        with transaction.atomic():
            message = self.models.Message.objects.create(
                id=random_id(),
                content=content,
                sender_id=sender_id,
                chat_id=chat_id,
                isSent=True,
                hashtags=hashtags_in(content),
                mentions=mentions_in(content),
            )
            theirs.update(unreadCount=F("unreadCount") + 1)
            return message

    def edit_message(self, user_id: str, chat_id: str, message_id: str, content: str) -> Any:
        message = self.models.Message.objects.get(id=message_id, chat=chat_id, sender=user_id)
        message.content = content
        message.hashtags = hashtags_in(content)
        message.mentions = mentions_in(content)
        message.isEdited = True
        message.save()
        return message

    def list_messages(self, user_id: str, chat_id: str) -> Any:
        return self._newest(Q(chat=chat_id))

    def find_by_hashtag(self, user_id: str, hashtag: str) -> Any:
        return self._newest(self._in_chats_of(user_id), Q(hashtags__contains=[hashtag]))

    def search_messages(self, user_id: str, text: str) -> Any:
        found = Q(content__icontains=text) | Q(fileName__icontains=text)
        return self._newest(self._in_chats_of(user_id), found)

    def _in_chats_of(self, user_id: str) -> Any:
        mine = self.models.ChatMember.objects.filter(user=user_id)
        return Q(chat__in=mine.values("chat"))

    def _newest(self, *conditions: Any) -> Any:
        query = self.models.Message.objects.select_related("sender", "chat")
        found = query.filter(*conditions, isDeleted=False)
        return list(found.order_by("-createdAt")[:PAGE])

    def list_pinned_messages(self, user_id: str) -> Any:
        query = self.models.PinnedMessage.objects.select_related("message__sender", "message__chat")
        pinned = query.filter(user=user_id, message__isDeleted=False)
        return list(pinned.order_by("-pinnedAt")[:PAGE])

    def list_chats(self, user_id: str) -> Any:
        models = self.models
        mine = models.ChatSettings.objects.filter(user=user_id)
        favorite = mine.filter(chat=OuterRef("pk")).values("isFavorite")[:1]
        there = models.Message.objects.filter(chat=OuterRef("pk"), isDeleted=False)
        newest = there.order_by("-createdAt")
        chats = (
            models.Chat.objects.filter(members__user=user_id)
            .annotate(
                favorite=Coalesce(Subquery(favorite), False),
                last_id=Subquery(newest.values("id")[:1]),
                last_at=Coalesce(Subquery(newest.values("createdAt")[:1]), "members__joinedAt"),
            )
            .prefetch_related(Prefetch("settings", mine, to_attr="mine"))
            .order_by("-favorite", "-last_at")[:PAGE]
        )
        last = models.Message.objects.select_related("sender")
        messages = last.in_bulk([chat.last_id for chat in chats if chat.last_id])
        private = [chat.id for chat in chats if chat.type == "PRIVATE"]
        others = models.ChatMember.objects.filter(chat__in=private).exclude(user=user_id)
        peers = {row.chat_id: row.user for row in others.select_related("user")}
        return [(chat, chat.mine, messages.get(chat.last_id), peers.get(chat.id)) for chat in chats]

    def unread_totals(self, user_id: str) -> Any:
        models = self.models
        user = models.User.objects.get(id=user_id)
        mine = models.ChatSettings.objects.filter(user=user_id)
        sums = mine.aggregate(
            all=Coalesce(Sum("unreadCount"), 0),
            unmuted=Coalesce(Sum("unreadCount", filter=Q(isMuted=False)), 0),
        )
        read = models.Message.objects.filter(id=OuterRef("lastReadMessageId"))
        mentioned = models.Message.objects.filter(
            Q(mentions__contains=[user.username]),
            chat__settings__user=user_id,
            isDeleted=False,
        ).exclude(sender=user_id)
        read_until = Subquery(
            mine.filter(chat=OuterRef("chat"))
            .annotate(until=Coalesce(Subquery(read.values("createdAt")[:1]), "createdAt"))
            .values("until")[:1]
        )
        mentions = mentioned.filter(createdAt__gt=read_until).aggregate(count=Count("id"))
        return sums["all"], sums["unmuted"], mentions["count"]

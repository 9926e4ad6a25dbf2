"""Indexes and tables that keep searches and lists fast, however many messages there are."""

from typing import Any

from stogram_sdk.schema.estimates import EstimateMessages
from stogram_sdk.schema.message_tags import FillMessageTags, KeepMessageTags
from stogram_sdk.schema.migration import Migration
from stogram_sdk.schema.unread_since import KeepMoment
from stogram_sdk.schema.user_words import KeepUserWords
from stogram_sdk.schema.writing import add_index, create_table, moment, text

MIGRATION = Migration(
    steps=(
        add_index(
            "Message",
            *("chatId", "createdAt", "id", "senderId"),
            name="Message_visible_idx",
            where='NOT "isDeleted" AND ("isSent" OR "scheduledFor" IS NULL)',
        ),
        add_index(
            "Message",
            *("chatId", "createdAt"),
            name="Message_deleted_idx",
            where='"isDeleted" AND ("isSent" OR "scheduledFor" IS NULL)',
        ),
        add_index(
            "Message",
            *("scheduledFor", "createdAt", "id"),
            name="Message_due_idx",
            where='NOT "isSent" AND NOT "isDeleted"',
        ),
        add_index(
            "Message",
            *("chatId", "createdAt", "id", "type"),
            name="Message_media_idx",
            where='"fileUrl" IS NOT NULL AND NOT "isDeleted" '
            'AND ("isSent" OR "scheduledFor" IS NULL)',
        ),
        add_index(
            "Message",
            *("senderId", "scheduledFor", "id"),
            name="Message_scheduled_idx",
            where='"scheduledFor" IS NOT NULL AND NOT "isSent" AND NOT "isDeleted"',
        ),
        add_index(
            "Message",
            *("replyToId", "createdAt", "id"),
            name="Message_replies_idx",
            where='"replyToId" IS NOT NULL',
        ),
        add_index("ChatMember", "chatId", "joinedAt", "id"),
        add_index(
            "ChatMember",
            *("chatId", "joinedAt", "id"),
            name="ChatMember_keepers_idx",
            where="role <> 'MEMBER'",
        ),
        add_index("Contact", "contactId"),
        add_index("Call", "chatId", "startedAt", "id"),
        add_index(
            "Call",
            *("chatId", "startedAt", "id"),
            name="Call_live_idx",
            where="status = 'CALLING' OR status = 'ACTIVE'",
        ),
        add_index("Call", "initiatorId"),
        add_index("User", "lower(username)", name="User_username_lower_idx"),
        add_index("User", "lower(email)", name="User_email_lower_idx"),
        create_table("UnreadSince", text("id"), moment("since", default=None), is_derived=True),
        KeepMoment(),
        EstimateMessages(),
        create_table(
            "PublishedMessage",
            text("messageId"),
            moment("leaseEndsAt", default=None),
            is_derived=True,
        ),
        add_index("PublishedMessage", "leaseEndsAt"),
        create_table(
            "MessageTag",
            text("tag"),
            text("chatId"),
            moment("createdAt", default=None),
            text("messageId"),
            key=("tag", "chatId", "createdAt", "messageId"),
            is_derived=True,
        ),
        add_index("MessageTag", "messageId", only_sqlite=True),
        KeepMessageTags(),
        FillMessageTags(),
        *(
            add_index("User", f"stogram_word({column}, {number})", "id", name=name)
            for column, number, name in (
                ("username", 1, "User_username_word1_idx"),
                ("displayName", 1, "User_displayName_word1_idx"),
                ("displayName", 2, "User_displayName_word2_idx"),
                ("displayName", 3, "User_displayName_word3_idx"),
            )
        ),
        KeepUserWords(),
        add_index(
            "User",
            "verificationToken",
            name="User_verificationToken_given_idx",
            where='"verificationToken" IS NOT NULL',
            only_sqlite=True,
        ),
    ),
)


def migrate(migrator: Any, database: Any, *, fake: bool = False) -> None:
    MIGRATION.apply(migrator, database, fake=fake)


def rollback(migrator: Any, database: Any, *, fake: bool = False) -> None:
    MIGRATION.undo(migrator, database, fake=fake)

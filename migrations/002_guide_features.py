"""The additions of the migration guide: blocking, chat settings, folders, pins, privacy, secret
chats, silent messages, mentions and hashtags.
"""

from typing import Any

from stogram_sdk.schema.migration import Migration
from stogram_sdk.schema.writing import (
    add_column,
    add_foreign_key,
    add_index,
    add_unique,
    create_table,
    flag,
    moment,
    number,
    tags,
    text,
    updated_at,
)

MIGRATION = Migration(
    steps=(
        add_column("User", flag("showOnlineStatus", default="true")),
        add_column("User", flag("showProfilePhoto", default="true")),
        add_column("User", flag("showLastSeen", default="true")),
        add_column("Chat", flag("isSecret")),
        add_column("Message", flag("isSilent")),
        add_column("Message", tags("mentions")),
        add_column("Message", tags("hashtags")),
        create_table(
            "BlockedUser",
            text("id"),
            text("userId"),
            text("blockedId"),
            moment("createdAt"),
        ),
        create_table(
            "Folder",
            text("id"),
            text("userId"),
            text("name"),
            text("color", null=True),
            text("icon", null=True),
            number("order", default="0"),
            moment("createdAt"),
            updated_at(),
        ),
        create_table(
            "ChatSettings",
            text("id"),
            text("userId"),
            text("chatId"),
            flag("isMuted"),
            flag("isFavorite"),
            text("folderId", null=True),
            number("unreadCount", default="0"),
            text("lastReadMessageId", null=True),
            moment("createdAt"),
            updated_at(),
        ),
        create_table(
            "PinnedMessage",
            text("id"),
            text("userId"),
            text("messageId"),
            text("chatId"),
            moment("pinnedAt"),
        ),
        add_unique("BlockedUser", "userId", "blockedId"),
        add_unique("ChatSettings", "userId", "chatId"),
        add_unique("PinnedMessage", "userId", "messageId", "chatId"),
        add_index("BlockedUser", "userId"),
        add_index("BlockedUser", "blockedId"),
        add_index("ChatSettings", "userId"),
        add_index("ChatSettings", "chatId"),
        add_index("ChatSettings", "folderId"),
        add_index("ChatSettings", "isFavorite"),
        add_index("Folder", "userId"),
        add_index("Folder", "order"),
        add_index("PinnedMessage", "userId"),
        add_index("PinnedMessage", "messageId"),
        add_index("PinnedMessage", "chatId"),
        add_index("Message", "mentions", method="gin"),
        add_index("Message", "hashtags", method="gin"),
        add_index("Chat", "isSecret"),
        add_foreign_key("BlockedUser", "userId", "User"),
        add_foreign_key("BlockedUser", "blockedId", "User"),
        add_foreign_key("ChatSettings", "userId", "User"),
        add_foreign_key("ChatSettings", "chatId", "Chat"),
        add_foreign_key("ChatSettings", "folderId", "Folder", on_delete="SET NULL"),
        add_foreign_key("Folder", "userId", "User"),
        add_foreign_key("PinnedMessage", "userId", "User"),
        add_foreign_key("PinnedMessage", "messageId", "Message"),
        add_foreign_key("PinnedMessage", "chatId", "Chat"),
    ),
)


def migrate(migrator: Any, database: Any, *, fake: bool = False) -> None:
    MIGRATION.apply(migrator, database, fake=fake)


def rollback(migrator: Any, database: Any, *, fake: bool = False) -> None:
    MIGRATION.undo(migrator, database, fake=fake)

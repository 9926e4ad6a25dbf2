"""The migration guide of the server: its SQL with its faults, and its commands.

Databases in use were migrated with this SQL, so its faults matter:

1. PostgreSQL has no ADD CONSTRAINT IF NOT EXISTS. Each foreign key is a syntax error; psql goes on.
2. The unique constraints come without a condition, so a second run fails at them.
3. The indexes on arrays are B-trees, and no index is made CONCURRENTLY.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.server_schema import (
    COUNT,
    FORGETS_IT,
    GOES_TOO,
    MAYBE_TEXT,
    NO,
    TEXT,
    TIME,
    TIME_MADE,
    YES,
    Table,
    foreign_keys_sql,
    indexes_sql,
    quoted,
    table_sql,
    unique_name,
)

TAGS = "TEXT[] DEFAULT '{}'"
#: The same columns on later servers: JSON.
TAGS_AS_TEXT = "TEXT DEFAULT '[]'"

NEW_COLUMNS = {
    "User": {"showOnlineStatus": YES, "showProfilePhoto": YES, "showLastSeen": YES},
    "Chat": {"isSecret": NO},
    "Message": {"isSilent": NO, "mentions": TAGS, "hashtags": TAGS},
}

NEW_INDEXES = {"Message": ("mentions", "hashtags"), "Chat": ("isSecret",)}

NEW_TABLES = {
    "BlockedUser": Table(
        {"userId": TEXT, "blockedId": TEXT, "createdAt": TIME_MADE},
        unique=(("userId", "blockedId"),),
        indexes=("userId", "blockedId"),
        foreign_keys={"userId": ("User", GOES_TOO), "blockedId": ("User", GOES_TOO)},
    ),
    "ChatSettings": Table(
        {
            "userId": TEXT,
            "chatId": TEXT,
            "isMuted": NO,
            "isFavorite": NO,
            "folderId": MAYBE_TEXT,
            "unreadCount": COUNT,
            "lastReadMessageId": MAYBE_TEXT,
            "createdAt": TIME_MADE,
            "updatedAt": TIME,
        },
        unique=(("userId", "chatId"),),
        indexes=("userId", "chatId", "folderId", "isFavorite"),
        foreign_keys={
            "userId": ("User", GOES_TOO),
            "chatId": ("Chat", GOES_TOO),
            "folderId": ("Folder", FORGETS_IT),
        },
    ),
    "Folder": Table(
        {
            "userId": TEXT,
            "name": TEXT,
            "color": MAYBE_TEXT,
            "icon": MAYBE_TEXT,
            "order": COUNT,
            "createdAt": TIME_MADE,
            "updatedAt": TIME,
        },
        indexes=("userId", "order"),
        foreign_keys={"userId": ("User", GOES_TOO)},
    ),
    "PinnedMessage": Table(
        {"userId": TEXT, "messageId": TEXT, "chatId": TEXT, "pinnedAt": TIME_MADE},
        unique=(("userId", "messageId", "chatId"),),
        indexes=("userId", "messageId", "chatId"),
        foreign_keys={
            "userId": ("User", GOES_TOO),
            "messageId": ("Message", GOES_TOO),
            "chatId": ("Chat", GOES_TOO),
        },
    ),
}

#: The commands that the guide tells the reader to type, but for `cd`.
COMMANDS = (
    "npx prisma migrate dev --name add-new-features",
    "npx prisma migrate dev --create-only --name add-new-features",
    'DEBUG="prisma:*" npx prisma migrate dev',
    "npx prisma migrate status",
    "npx prisma migrate deploy",
    "npx prisma migrate reset",
    "npx prisma migrate resolve --applied add-new-features",
    "npx prisma migrate resolve --applied migration_name",
    "npx prisma migrate resolve --rolled-back add-new-features",
    "npx prisma generate",
    "npx prisma studio",
    "npx prisma db push",
    "pg_dump -U postgres -d stogram_db > backup_before_migration.sql",
    "psql -U your_user -d your_database -f server/prisma/migrations/.../migration.sql",
    "npm run dev",
    "pm2 start stogram",
    "pm2 stop stogram",
    "pm2 restart stogram",
    "pm2 logs stogram",
)

IF_MISSING = "IF NOT EXISTS"


def guide_sql() -> str:
    """The SQL of the guide as it stands."""
    return ";\n".join([*_columns(TAGS), *_tables_and_indexes(), *_foreign_keys(IF_MISSING), ""])


def prisma_sql(tags: str = TAGS) -> str:
    """The same without its syntax error, as Prisma makes it."""
    return ";\n".join([*_columns(tags), *_tables_and_indexes(), *_foreign_keys(), ""])


def _columns(tags: str) -> Iterator[str]:
    for table, columns in NEW_COLUMNS.items():
        for column, kind in columns.items():
            as_asked = tags if kind == TAGS else kind
            yield f'ALTER TABLE "{table}" ADD COLUMN {IF_MISSING} "{column}" {as_asked}'


def _tables_and_indexes() -> Iterator[str]:
    for name, table in NEW_TABLES.items():
        yield table_sql(name, table, IF_MISSING)
    for name, table in NEW_TABLES.items():
        for columns in table.unique:
            key = unique_name(name, columns)
            yield f'ALTER TABLE "{name}" ADD CONSTRAINT "{key}" UNIQUE ({quoted(columns)})'
    for name, table in NEW_TABLES.items():
        yield from indexes_sql(name, table.indexes, IF_MISSING)
    for name, indexed in NEW_INDEXES.items():
        yield from indexes_sql(name, indexed, IF_MISSING)


def _foreign_keys(condition: str = "") -> Iterator[str]:
    for name, table in NEW_TABLES.items():
        yield from foreign_keys_sql(name, table, condition)


#: The columns that later servers have added, and one of their new tables.
LATER_COLUMNS = """
ALTER TYPE "MessageType" ADD VALUE 'STICKER';
CREATE TYPE "NotificationLevel" AS ENUM ('ALL', 'MENTIONS', 'MUTED');
ALTER TABLE "Message" ADD "clientMessageId" TEXT, ADD "botId" TEXT, ADD "stickerId" TEXT,
    ADD "forwardedFromId" TEXT, ADD "forwardedFromChatId" TEXT, ADD "forwardedFromUserId" TEXT,
    ADD "isForwarded" BOOLEAN NOT NULL DEFAULT false, ADD "expiresAt" TIMESTAMP(3),
    ADD "linkPreview" JSONB, ADD "isEncrypted" BOOLEAN NOT NULL DEFAULT false,
    ADD "encryptedContent" TEXT;
CREATE UNIQUE INDEX "Message_senderId_clientMessageId_key"
    ON "Message" ("senderId", "clientMessageId");
ALTER TABLE "ChatSettings" ADD "isArchived" BOOLEAN NOT NULL DEFAULT false,
    ADD "notificationLevel" "NotificationLevel" NOT NULL DEFAULT 'ALL';
ALTER TABLE "Chat" ADD "pinnedMessageId" TEXT UNIQUE, ADD "encryptionKeyId" TEXT,
    ADD "encryptionType" TEXT NOT NULL DEFAULT 'none';
CREATE TABLE "MessageRead" (
    id TEXT PRIMARY KEY, "messageId" TEXT NOT NULL REFERENCES "Message" (id) ON DELETE CASCADE,
    "userId" TEXT NOT NULL REFERENCES "User" (id) ON DELETE CASCADE,
    "readAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, UNIQUE ("messageId", "userId"));
"""

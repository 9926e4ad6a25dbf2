"""The tables of a Stogram server before the migration, as facts, and the SQL that makes them.

Nothing here comes from the models of the SDK, because tests compare those with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

# The few kinds of columns that the server has.
TEXT = "TEXT NOT NULL"
MAYBE_TEXT = "TEXT"
MAYBE_NUMBER = "INTEGER"
COUNT = "INTEGER NOT NULL DEFAULT 0"
NO = "BOOLEAN NOT NULL DEFAULT false"
YES = "BOOLEAN NOT NULL DEFAULT true"
TIME = "TIMESTAMP(3) NOT NULL"
TIME_MADE = f"{TIME} DEFAULT CURRENT_TIMESTAMP"
MAYBE_TIME = "TIMESTAMP(3)"

# The actions on a row when the row that it refers to is deleted.
GOES_TOO = "CASCADE"
FORGETS_IT = "SET NULL"


def one_of(enum: str, default: str | None = None) -> str:
    return f'"{enum}" NOT NULL' + (f" DEFAULT '{default}'" if default else "")


@dataclass(frozen=True)
class Table:
    """A table: its columns after the id, its constraints and its indexes."""

    columns: Mapping[str, str]
    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[str, ...] = ()
    #: By the column: the table that it refers to, and the action on delete.
    foreign_keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)


ENUMS = {
    "UserStatus": ("ONLINE", "OFFLINE", "AWAY", "DO_NOT_DISTURB"),
    "ChatType": ("PRIVATE", "GROUP", "CHANNEL"),
    "MemberRole": ("OWNER", "ADMIN", "MEMBER"),
    "MessageType": ("TEXT", "IMAGE", "VIDEO", "AUDIO", "FILE", "VOICE", "SYSTEM", "GIF"),
    "CallType": ("AUDIO", "VIDEO"),
    "CallStatus": ("CALLING", "ACTIVE", "ENDED", "MISSED", "DECLINED"),
}

TABLES = {
    "User": Table(
        {
            "email": TEXT,
            "username": TEXT,
            "password": TEXT,
            "displayName": MAYBE_TEXT,
            "avatar": MAYBE_TEXT,
            "bio": MAYBE_TEXT,
            "status": one_of("UserStatus", "OFFLINE"),
            "lastSeen": TIME_MADE,
            "emailVerified": NO,
            "verificationToken": MAYBE_TEXT,
            "pushSubscription": MAYBE_TEXT,
            "theme": f"{MAYBE_TEXT} DEFAULT 'light'",
            "createdAt": TIME_MADE,
            "updatedAt": TIME,
        },
        unique=(("email",), ("username",)),
        indexes=("email", "username", "verificationToken"),
    ),
    "Chat": Table(
        {
            "name": MAYBE_TEXT,
            "type": one_of("ChatType"),
            "avatar": MAYBE_TEXT,
            "description": MAYBE_TEXT,
            "createdAt": TIME_MADE,
            "updatedAt": TIME,
        },
        indexes=("type",),
    ),
    "ChatMember": Table(
        {
            "userId": TEXT,
            "chatId": TEXT,
            "role": one_of("MemberRole", "MEMBER"),
            "joinedAt": TIME_MADE,
        },
        unique=(("userId", "chatId"),),
        indexes=("userId", "chatId"),
        foreign_keys={"userId": ("User", GOES_TOO), "chatId": ("Chat", GOES_TOO)},
    ),
    "Message": Table(
        {
            "content": MAYBE_TEXT,
            "type": one_of("MessageType", "TEXT"),
            "senderId": TEXT,
            "chatId": TEXT,
            "replyToId": MAYBE_TEXT,
            "fileUrl": MAYBE_TEXT,
            "fileName": MAYBE_TEXT,
            "fileSize": MAYBE_NUMBER,
            "thumbnailUrl": MAYBE_TEXT,
            "duration": MAYBE_NUMBER,
            "waveform": MAYBE_TEXT,
            "isEdited": NO,
            "isDeleted": NO,
            "scheduledFor": MAYBE_TIME,
            "isSent": NO,
            "createdAt": TIME_MADE,
            "updatedAt": TIME,
        },
        indexes=("chatId", "senderId", "createdAt", "scheduledFor"),
        foreign_keys={
            "senderId": ("User", GOES_TOO),
            "chatId": ("Chat", GOES_TOO),
            "replyToId": ("Message", FORGETS_IT),
        },
    ),
    "Call": Table(
        {
            "chatId": TEXT,
            "initiatorId": TEXT,
            "type": one_of("CallType"),
            "status": one_of("CallStatus", "CALLING"),
            "startedAt": TIME_MADE,
            "endedAt": MAYBE_TIME,
        },
        indexes=("chatId", "status"),
        foreign_keys={"chatId": ("Chat", GOES_TOO), "initiatorId": ("User", GOES_TOO)},
    ),
    "CallParticipant": Table(
        {"callId": TEXT, "userId": TEXT, "joinedAt": TIME_MADE, "leftAt": MAYBE_TIME},
        unique=(("callId", "userId"),),
        indexes=("callId", "userId"),
        foreign_keys={"callId": ("Call", GOES_TOO), "userId": ("User", GOES_TOO)},
    ),
    "Contact": Table(
        {"userId": TEXT, "contactId": TEXT, "nickname": MAYBE_TEXT, "createdAt": TIME_MADE},
        unique=(("userId", "contactId"),),
        indexes=("userId",),
        foreign_keys={"userId": ("User", GOES_TOO), "contactId": ("User", GOES_TOO)},
    ),
    "Reaction": Table(
        {"messageId": TEXT, "userId": TEXT, "emoji": TEXT, "createdAt": TIME_MADE},
        unique=(("messageId", "userId", "emoji"),),
        indexes=("messageId", "userId"),
        foreign_keys={"messageId": ("Message", GOES_TOO), "userId": ("User", GOES_TOO)},
    ),
}


def server_schema_sql() -> str:
    """The SQL of the schema, as the server's Prisma makes it."""
    return ";\n".join(
        [
            *(enum_sql(name, labels) for name, labels in ENUMS.items()),
            *(table_sql(name, table) for name, table in TABLES.items()),
            *(sql for name, table in TABLES.items() for sql in _unique_indexes(name, table)),
            *(sql for name, table in TABLES.items() for sql in indexes_sql(name, table.indexes)),
            *(sql for name, table in TABLES.items() for sql in foreign_keys_sql(name, table)),
            "",
        ]
    )


def enum_sql(name: str, labels: tuple[str, ...]) -> str:
    return f'CREATE TYPE "{name}" AS ENUM (' + ", ".join(f"'{label}'" for label in labels) + ")"


def table_sql(name: str, table: Table, condition: str = "") -> str:
    """A table and its primary key; `condition` may be IF NOT EXISTS."""
    columns = {"id": TEXT, **table.columns}
    parts = [f'"{column}" {kind}' for column, kind in columns.items()]
    parts.append(f'CONSTRAINT "{name}_pkey" PRIMARY KEY (id)')
    return f'CREATE TABLE {condition} "{name}" (' + ", ".join(parts) + ")"


def indexes_sql(name: str, columns: tuple[str, ...], condition: str = "") -> Iterator[str]:
    for column in columns:
        yield f'CREATE INDEX {condition} "{name}_{column}_idx" ON "{name}" ("{column}")'


def foreign_keys_sql(name: str, table: Table, condition: str = "") -> Iterator[str]:
    for column, (target, on_delete) in table.foreign_keys.items():
        yield (
            f'ALTER TABLE "{name}" ADD CONSTRAINT {condition} "{name}_{column}_fkey" '
            f'FOREIGN KEY ("{column}") REFERENCES "{target}" (id) '
            f"ON DELETE {on_delete} ON UPDATE CASCADE"
        )


def unique_name(name: str, columns: tuple[str, ...]) -> str:
    return f"{name}_{'_'.join(columns)}_key"


def quoted(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _unique_indexes(name: str, table: Table) -> Iterator[str]:
    """The unique indexes; Prisma does not make them constraints."""
    for columns in table.unique:
        index = unique_name(name, columns)
        yield f'CREATE UNIQUE INDEX "{index}" ON "{name}" ({quoted(columns)})'

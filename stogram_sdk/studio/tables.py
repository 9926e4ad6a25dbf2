"""What a person looks for: the columns, searches and links of each table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from stogram_sdk.folders import valid_folder_name
from stogram_sdk.models import (
    SECRETS,
    BaseModel,
    BlockedUser,
    Call,
    CallParticipant,
    Chat,
    ChatMember,
    ChatSettings,
    Contact,
    Folder,
    Message,
    PinnedMessage,
    Reaction,
    User,
)
from stogram_sdk.validation import (
    MAX_CONTENT_LENGTH,
    MAX_INTEGER,
    MAX_SHORT_TEXT_LENGTH,
    valid_count,
    valid_flag,
    valid_optional_text,
    valid_text,
)

#: What the functions ask of a value, given it and its name. Raises `InvalidInput`.
Check: TypeAlias = Callable[[Any, str], Any]

_SHORT_TEXT: Check = partial(valid_optional_text, maximum=MAX_SHORT_TEXT_LENGTH)


@dataclass(frozen=True)
class Table:
    """A table, as the studio shows it."""

    model: type[BaseModel]
    #: What it is called, and what is in it.
    name: str
    what: str
    #: The columns of its list.
    columns: tuple[Any, ...]
    #: The texts in which a search looks for words.
    searched: tuple[Any, ...] = ()
    #: The rows that belong to a row: what they are called there, and the key by which they refer to
    #: it.
    parts: dict[str, Any] = field(default_factory=dict)
    #: What `--write` lets a person change, and whether they may delete a row. Whatever has rules
    #: that go beyond its row, such as an account or a role, is left to the functions.
    editable: dict[Any, Check] = field(default_factory=dict)
    is_deletable: bool = False

    @property
    def endpoint(self) -> str:
        return self.model.__name__.lower()

    @property
    def shown(self) -> list[Any]:
        """All columns but the secrets of an account, which no page reads."""
        return [column for column in self.model._meta.sorted_fields if column not in SECRETS]


TABLES = (
    Table(
        User,
        "Users",
        "accounts, without passwords and tokens",
        (
            *(User.username, User.display_name, User.email, User.status),
            *(User.last_seen, User.created_at),
        ),
        searched=(User.username, User.display_name, User.email),
        parts={
            "Chats": ChatMember.user,
            "Folders": Folder.user,
            "Pinned messages": PinnedMessage.user,
            "Messages": Message.sender,
            "Contacts": Contact.user,
            "In the contacts of": Contact.contact,
            "Has blocked": BlockedUser.user,
            "Blocked by": BlockedUser.blocked,
            "Calls": CallParticipant.user,
        },
        editable={
            User.display_name: _SHORT_TEXT,
            User.bio: _SHORT_TEXT,
            User.email_verified: valid_flag,
        },
    ),
    Table(
        Chat,
        "Chats",
        "private chats, groups and channels",
        (Chat.name, Chat.type, Chat.is_secret, Chat.created_at, Chat.updated_at),
        searched=(Chat.name, Chat.description),
        parts={
            "Members": ChatMember.chat,
            "Messages": Message.chat,
            "Pins": PinnedMessage.chat,
            "Calls": Call.chat,
        },
        editable={Chat.name: _SHORT_TEXT, Chat.description: _SHORT_TEXT},
    ),
    Table(
        ChatMember,
        "Members",
        "who is in which chat, with what is unread there, and in which folder they keep it",
        (ChatMember.chat, ChatMember.user, ChatMember.role, ChatMember.joined_at),
    ),
    Table(
        Message,
        "Messages",
        "what was written, the newest first",
        (
            *(Message.created_at, Message.chat, Message.sender, Message.content, Message.type),
            *(Message.is_edited, Message.is_deleted),
        ),
        searched=(Message.content, Message.file_name),
        parts={
            "Replies": Message.reply_to,
            "Reactions": Reaction.message,
            "Pinned by": PinnedMessage.message,
        },
        editable={Message.content: partial(valid_text, maximum=MAX_CONTENT_LENGTH)},
        is_deletable=True,
    ),
    Table(
        Folder,
        "Folders",
        "folders of chats, each of one user",
        (Folder.user, Folder.name, Folder.color, Folder.icon, Folder.order),
        searched=(Folder.name,),
        parts={"Chats": ChatSettings.folder},
        editable={
            Folder.name: valid_folder_name,
            Folder.order: partial(valid_count, maximum=MAX_INTEGER),
        },
        is_deletable=True,
    ),
    Table(
        ChatSettings,
        "Chat settings",
        "what a user has set for a chat",
        (
            *(ChatSettings.user, ChatSettings.chat, ChatSettings.folder, ChatSettings.is_muted),
            *(ChatSettings.is_favorite, ChatSettings.updated_at),
        ),
        editable={ChatSettings.is_muted: valid_flag, ChatSettings.is_favorite: valid_flag},
    ),
    Table(
        PinnedMessage,
        "Pins",
        "pinned messages, each of one user",
        (
            *(PinnedMessage.user, PinnedMessage.chat, PinnedMessage.message),
            PinnedMessage.pinned_at,
        ),
        is_deletable=True,
    ),
    Table(
        Reaction,
        "Reactions",
        "who reacted to which message, and how",
        (Reaction.message, Reaction.user, Reaction.emoji, Reaction.created_at),
        is_deletable=True,
    ),
    Table(
        Contact,
        "Contacts",
        "whom a user has among their contacts",
        (Contact.user, Contact.contact, Contact.nickname, Contact.created_at),
        searched=(Contact.nickname,),
        editable={Contact.nickname: _SHORT_TEXT},
        is_deletable=True,
    ),
    Table(
        BlockedUser,
        "Blocks",
        "whom a user has blocked",
        (BlockedUser.user, BlockedUser.blocked, BlockedUser.created_at),
        is_deletable=True,
    ),
    Table(
        Call,
        "Calls",
        "calls in a chat",
        (Call.chat, Call.initiator, Call.type, Call.status, Call.started_at, Call.ended_at),
        parts={"Participants": CallParticipant.call},
    ),
    Table(
        CallParticipant,
        "Call participants",
        "who took part in a call",
        (
            *(CallParticipant.call, CallParticipant.user),
            *(CallParticipant.joined_at, CallParticipant.left_at),
        ),
    ),
)

#: What a row needs of another one that it names.
LABELS: dict[type[BaseModel], tuple[Any, ...]] = {
    User: (User.id, User.username, User.display_name),
    Chat: (Chat.id, Chat.name, Chat.type),
    Message: (Message.id, Message.content, Message.type, Message.is_deleted),
    Folder: (Folder.id, Folder.name),
    Call: (Call.id, Call.type, Call.status),
}

TABLE_OF = {table.model: table for table in TABLES}

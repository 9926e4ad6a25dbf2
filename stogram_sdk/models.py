"""The tables of a Stogram database, under the names that its server gives them.

Eight tables are the server's own; `BlockedUser`, `Folder`, `ChatSettings` and `PinnedMessage`
come from the migration guide, as do the columns marked so. Attributes are in snake_case on
camelCase columns; every constraint and index carries the name that Prisma makes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache, cached_property
from typing import Any, NamedTuple, TypeVar, cast

from peewee import (
    SQL,
    BooleanField,
    CompositeKey,
    Field,
    ForeignKeyField,
    IntegerField,
    Model,
    ModelIndex,
    ModelSelect,
    TextField,
    fn,
)

from stogram_sdk.database import db
from stogram_sdk.errors import StogramError
from stogram_sdk.fields import (
    EnumTextField,
    Reference,
    TextArrayField,
    UtcDateTimeField,
    utc_now,
)
from stogram_sdk.reprs import repr_of
from stogram_sdk.sealing import Attached, make_sealable
from stogram_sdk.text import SEARCHED_WORDS

E = TypeVar("E", bound=StrEnum)
V = TypeVar("V")


class UserStatus(StrEnum):
    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    AWAY = "AWAY"
    DO_NOT_DISTURB = "DO_NOT_DISTURB"


class ChatType(StrEnum):
    PRIVATE = "PRIVATE"
    GROUP = "GROUP"
    CHANNEL = "CHANNEL"


class MemberRole(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"


class MessageType(StrEnum):
    TEXT = "TEXT"
    IMAGE = "IMAGE"
    VIDEO = "VIDEO"
    AUDIO = "AUDIO"
    FILE = "FILE"
    VOICE = "VOICE"
    SYSTEM = "SYSTEM"
    GIF = "GIF"


class CallType(StrEnum):
    AUDIO = "AUDIO"
    VIDEO = "VIDEO"


class CallStatus(StrEnum):
    CALLING = "CALLING"
    ACTIVE = "ACTIVE"
    ENDED = "ENDED"
    MISSED = "MISSED"
    DECLINED = "DECLINED"


class ReactionCount(NamedTuple):
    """How many users have reacted to a message with an emoji, and whether the viewer has."""

    emoji: str
    total: int
    is_mine: bool


def new_id() -> str:
    """A new id. The client makes the ids, since the database has no default for them.

    It is a UUID of version 7: ids made one after the other stand side by side in every index.
    """
    return str(_uuid7()())


@cache
def _uuid7() -> Callable[[], Any]:
    import uuid_utils  # imported with the first id, so that importing this package stays fast

    # Without a new seed, parent and child would go on with the same random numbers.
    os.register_at_fork(after_in_child=uuid_utils.reseed_rng)
    return uuid_utils.uuid7


def _id() -> TextField[str]:
    return TextField(primary_key=True, default=new_id)


def _flag(column_name: str, *, default: bool = False) -> BooleanField[bool]:
    literal = "true" if default else "false"
    return BooleanField(
        column_name=column_name, default=default, constraints=[SQL(f"DEFAULT {literal}")]
    )


def _moment(column_name: str) -> Field[datetime]:
    """A time for which the database has a default; the SDK always sends the value itself."""
    return UtcDateTimeField(
        column_name=column_name, default=utc_now, constraints=[SQL("DEFAULT CURRENT_TIMESTAMP")]
    )


def _updated_at() -> Field[datetime]:
    return UtcDateTimeField(column_name="updatedAt", default=utc_now)


def _enum(enum: type[E], default: E | None = None) -> Field[E]:
    constraints = None if default is None else [SQL(f"DEFAULT '{default.value}'")]
    return EnumTextField(enum, default=default, constraints=constraints)


def _or_none(field: Field[V]) -> Field[V | None]:
    """A column without NULL, of a model whose instances are not all stored."""
    return cast("Field[V | None]", field)


def _tags(column_name: str) -> Field[list[str]]:
    return TextArrayField(
        column_name=column_name, null=True, default=list, constraints=[SQL("DEFAULT '{}'")]
    )


class BaseModel(Model):
    #: Whether it is a row that a function has returned, see `sealing`.
    _is_sealed = False
    #: The secrets of a whole account: apart from the columns, so that no copy of those has them.
    _secrets: Mapping[str, str | None] = {}

    @cached_property
    def _dirty(self) -> set[str]:
        """The columns that were set since, for Peewee; most rows that are returned need none."""
        return set()

    class Meta:
        database = db
        legacy_table_names = False
        primary_key = False  # replaced by each model

    def save(self, force_insert: bool = False, only: Any = None) -> Any:
        """Peewee's own; refused for a row that a function has returned.

        It would write the whole row back as it was read, over what others have changed since.
        """
        if self._is_sealed:
            name = type(self).__name__
            raise StogramError(
                "a row that a function returned is not saved, since others may have changed it: "
                f"call the function for the change, or {name}.update(...).where(...).execute()"
            )
        return super().save(force_insert, only)


class User(BaseModel):
    id = _id()
    email = TextField()
    username = TextField()
    password = TextField()
    display_name = TextField(column_name="displayName", null=True)
    avatar = TextField(null=True)
    bio = TextField(null=True)
    status = _enum(UserStatus, UserStatus.OFFLINE)
    last_seen = _moment("lastSeen")
    email_verified = _flag("emailVerified")
    verification_token = TextField(column_name="verificationToken", null=True)
    push_subscription = TextField(column_name="pushSubscription", null=True)
    theme = TextField(null=True, default="light", constraints=[SQL("DEFAULT 'light'")])
    created_at = _moment("createdAt")
    updated_at = _updated_at()
    # From the guide.
    show_online_status = _flag("showOnlineStatus", default=True)
    show_profile_photo = _flag("showProfilePhoto", default=True)
    show_last_seen = _flag("showLastSeen", default=True)
    # The rows that refer to it.
    memberships: ModelSelect[ChatMember]
    messages: ModelSelect[Message]
    calls: ModelSelect[Call]
    call_participations: ModelSelect[CallParticipant]
    contacts: ModelSelect[Contact]
    contact_of: ModelSelect[Contact]
    reactions: ModelSelect[Reaction]
    blocks: ModelSelect[BlockedUser]
    blocked_by: ModelSelect[BlockedUser]
    folders: ModelSelect[Folder]
    chat_settings: ModelSelect[ChatSettings]
    pinned_messages: ModelSelect[PinnedMessage]

    class Meta:
        table_name = "User"


#: What only a whole account holds.
SECRETS: frozenset[Any] = frozenset(
    {User.password, User.verification_token, User.push_subscription}
)


class Chat(BaseModel):
    id = _id()
    name = TextField(null=True)
    type = _enum(ChatType)
    avatar = TextField(null=True)
    description = TextField(null=True)
    created_at = _moment("createdAt")
    updated_at = _updated_at()
    # From the guide.
    is_secret = _flag("isSecret")
    # The rows that refer to it.
    members: ModelSelect[ChatMember]
    messages: ModelSelect[Message]
    calls: ModelSelect[Call]
    settings: ModelSelect[ChatSettings]
    pins: ModelSelect[PinnedMessage]

    class Meta:
        table_name = "Chat"


class ChatMember(BaseModel):
    id = _id()
    user: ForeignKeyField[User] = Reference(User, "userId", backref="memberships")
    chat: ForeignKeyField[Chat] = Reference(Chat, "chatId", backref="members")
    role = _enum(MemberRole, MemberRole.MEMBER)
    joined_at = _moment("joinedAt")
    user_id: Field[str]
    chat_id: Field[str]

    class Meta:
        table_name = "ChatMember"


class Message(BaseModel):
    id = _id()
    content = TextField(null=True)
    type = _enum(MessageType, MessageType.TEXT)
    sender: ForeignKeyField[User] = Reference(User, "senderId", backref="messages")
    chat: ForeignKeyField[Chat] = Reference(Chat, "chatId", backref="messages")
    reply_to: ForeignKeyField[Message | None] = Reference(
        "self", "replyToId", backref="replies", on_delete="SET NULL", null=True
    )
    file_url = TextField(column_name="fileUrl", null=True)
    file_name = TextField(column_name="fileName", null=True)
    file_size = IntegerField(column_name="fileSize", null=True)
    thumbnail_url = TextField(column_name="thumbnailUrl", null=True)
    duration = IntegerField(null=True)
    waveform = TextField(null=True)
    is_edited = _flag("isEdited")
    is_deleted = _flag("isDeleted")
    scheduled_for: Field[datetime | None] = UtcDateTimeField(column_name="scheduledFor", null=True)
    is_sent = _flag("isSent")
    created_at = _moment("createdAt")
    updated_at = _updated_at()
    # From the guide.
    is_silent = _flag("isSilent")
    mentions = _tags("mentions")
    hashtags = _tags("hashtags")
    sender_id: Field[str]
    chat_id: Field[str]
    reply_to_id: Field[str | None]
    #: Those of everybody, counted as the message was read: the most frequent first.
    reactions = Attached[list[ReactionCount]]()
    # The rows that refer to it.
    replies: ModelSelect[Message]
    reaction_rows: ModelSelect[Reaction]
    pins: ModelSelect[PinnedMessage]

    class Meta:
        table_name = "Message"


class Call(BaseModel):
    id = _id()
    chat: ForeignKeyField[Chat] = Reference(Chat, "chatId", backref="calls")
    initiator: ForeignKeyField[User] = Reference(User, "initiatorId", backref="calls")
    type = _enum(CallType)
    status = _enum(CallStatus, CallStatus.CALLING)
    started_at = _moment("startedAt")
    ended_at: Field[datetime | None] = UtcDateTimeField(column_name="endedAt", null=True)
    chat_id: Field[str]
    initiator_id: Field[str]
    # The rows that refer to it.
    participants: ModelSelect[CallParticipant]

    class Meta:
        table_name = "Call"


class CallParticipant(BaseModel):
    id = _id()
    call: ForeignKeyField[Call] = Reference(Call, "callId", backref="participants")
    user: ForeignKeyField[User] = Reference(User, "userId", backref="call_participations")
    joined_at = _moment("joinedAt")
    left_at: Field[datetime | None] = UtcDateTimeField(column_name="leftAt", null=True)
    call_id: Field[str]
    user_id: Field[str]

    class Meta:
        table_name = "CallParticipant"


class Contact(BaseModel):
    id = _id()
    user: ForeignKeyField[User] = Reference(User, "userId", backref="contacts")
    contact: ForeignKeyField[User] = Reference(User, "contactId", backref="contact_of")
    nickname = TextField(null=True)
    created_at = _moment("createdAt")
    user_id: Field[str]
    contact_id: Field[str]

    class Meta:
        table_name = "Contact"


class Reaction(BaseModel):
    id = _id()
    message: ForeignKeyField[Message] = Reference(Message, "messageId", backref="reaction_rows")
    user: ForeignKeyField[User] = Reference(User, "userId", backref="reactions")
    emoji = TextField()
    created_at = _moment("createdAt")
    message_id: Field[str]
    user_id: Field[str]

    class Meta:
        table_name = "Reaction"


class BlockedUser(BaseModel):
    id = _id()
    user: ForeignKeyField[User] = Reference(User, "userId", backref="blocks")
    blocked: ForeignKeyField[User] = Reference(User, "blockedId", backref="blocked_by")
    created_at = _moment("createdAt")
    user_id: Field[str]
    blocked_id: Field[str]

    class Meta:
        table_name = "BlockedUser"


class Folder(BaseModel):
    id = _id()
    user: ForeignKeyField[User] = Reference(User, "userId", backref="folders")
    name = TextField()
    color = TextField(null=True)
    icon = TextField(null=True)
    order = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])
    created_at = _moment("createdAt")
    updated_at = _updated_at()
    user_id: Field[str]
    # The rows that refer to it.
    chat_settings: ModelSelect[ChatSettings]

    class Meta:
        table_name = "Folder"


class ChatSettings(BaseModel):
    # Settings that are not stored have neither an id nor times.
    id = _or_none(_id())
    user: ForeignKeyField[User] = Reference(User, "userId", backref="chat_settings")
    chat: ForeignKeyField[Chat] = Reference(Chat, "chatId", backref="settings")
    is_muted = _flag("isMuted")
    is_favorite = _flag("isFavorite")
    folder: ForeignKeyField[Folder | None] = Reference(
        Folder, "folderId", backref="chat_settings", on_delete="SET NULL", null=True
    )
    unread_count = IntegerField(
        column_name="unreadCount", default=0, constraints=[SQL("DEFAULT 0")]
    )
    last_read_message_id = TextField(column_name="lastReadMessageId", null=True)
    created_at = _or_none(_moment("createdAt"))
    #: Of the last reading, whatever else has changed since; see `unread`.
    updated_at = _or_none(_updated_at())
    user_id: Field[str]
    chat_id: Field[str]
    folder_id: Field[str | None]

    class Meta:
        table_name = "ChatSettings"


class PinnedMessage(BaseModel):
    id = _id()
    user: ForeignKeyField[User] = Reference(User, "userId", backref="pinned_messages")
    message: ForeignKeyField[Message] = Reference(Message, "messageId", backref="pins")
    chat: ForeignKeyField[Chat] = Reference(Chat, "chatId", backref="pins")
    pinned_at = _moment("pinnedAt")
    user_id: Field[str]
    message_id: Field[str]
    chat_id: Field[str]

    class Meta:
        table_name = "PinnedMessage"


#: What settings that are not stored do not have.
_OF_STORED_SETTINGS = frozenset({ChatSettings.id, ChatSettings.created_at, ChatSettings.updated_at})


def may_be_none(field: Any) -> bool:
    """Whether an attribute may be None; tags never are, since NULL reads as an empty list."""
    is_null = field.null and not isinstance(field, TextArrayField)
    return is_null or field in _OF_STORED_SETTINGS


MODELS: tuple[type[BaseModel], ...] = (
    User,
    Chat,
    ChatMember,
    Message,
    Call,
    CallParticipant,
    Contact,
    Reaction,
    BlockedUser,
    Folder,
    ChatSettings,
    PinnedMessage,
)


class MessageTag(BaseModel):
    """The visible messages of each tag (`#hashtag` or `@username`), in the order of a search.

    Triggers on "Message" keep it, whoever writes there (see `schema/message_tags.py`). One row has
    the empty tag: it holds how far the table has been filled, and its `chat_id` is "complete" at
    the end.
    """

    tag = TextField()
    chat_id = TextField(column_name="chatId")
    created_at: Field[datetime] = UtcDateTimeField(column_name="createdAt")
    message_id = TextField(column_name="messageId")

    class Meta:
        table_name = "MessageTag"
        primary_key = CompositeKey("tag", "chat_id", "created_at", "message_id")


class UnreadSince(BaseModel):
    """One row: the moment of the migration, before which nothing is unread; see `unread.py`."""

    id = TextField(primary_key=True, default="migration")
    since: Field[datetime] = UtcDateTimeField()

    class Meta:
        table_name = "UnreadSince"


class PublishedMessage(BaseModel):
    """A message that `publish_scheduled` has sent and that nobody has acknowledged.

    It is given to a caller when `lease_ends_at` is over. There is no foreign key: the row of a
    message that is gone leaves when it would be given.
    """

    message_id = TextField(column_name="messageId", primary_key=True)
    lease_ends_at: Field[datetime] = UtcDateTimeField(column_name="leaseEndsAt")

    class Meta:
        table_name = "PublishedMessage"


#: The tables that this package adds to those of the guide.
SIDE_TABLES: tuple[type[BaseModel], ...] = (MessageTag, UnreadSince, PublishedMessage)


def _unique(*fields: Any) -> None:
    """A unique constraint, as the guide's tables have it; the server's have unique indexes."""
    model = fields[0].model
    names = [field.column_name for field in fields]
    constraint = "_".join([model._meta.table_name, *names, "key"])
    columns = ", ".join(f'"{name}"' for name in names)
    model._meta.constraints = [SQL(f'CONSTRAINT "{constraint}" UNIQUE ({columns})')]


class SqliteIndex(ModelIndex):
    """An index that SQLite alone has."""


class WordIndex(ModelIndex):
    """An index on the function `stogram_word`, which PostgreSQL alone has."""


def _index(*fields: Any, kind: type[ModelIndex] = ModelIndex, **options: Any) -> None:
    model = fields[0].model
    name = "_".join([model._meta.table_name, *(field.column_name for field in fields), "idx"])
    model.add_index(kind(model, fields, **{"name": name, **options}))


def _unique_index(*fields: Any) -> None:
    model = fields[0].model
    name = "_".join([model._meta.table_name, *(field.column_name for field in fields), "key"])
    model.add_index(ModelIndex(model, fields, name=name, unique=True))


_unique_index(User.email)
_unique_index(User.username)
_index(User.email)
_index(User.username)
_index(User.verification_token)
# SQLite's statistics count NULL as a token that most users share: it would rather read all of them.
_index(
    User.verification_token,
    name="User_verificationToken_given_idx",
    where=SQL('"verificationToken" IS NOT NULL'),
    kind=SqliteIndex,
)
# For find_user() and find_user_by_email(), which ignore the case of A-Z; on PostgreSQL they have
# the collation C.
User.add_index(fn.LOWER(User.username), name="User_username_lower_idx")
User.add_index(fn.LOWER(User.email), name="User_email_lower_idx")
#: The words that search_users() finds: of which column, and the number of the word there.
SEARCHED_NAMES: tuple[tuple[Any, int], ...] = (
    (User.username, 1),
    *((User.display_name, number) for number in range(1, SEARCHED_WORDS + 1)),
)
for _field, _number in SEARCHED_NAMES:
    _parts = fn.STOGRAM_WORD(_field, SQL(str(_number))), User.id
    User.add_index(WordIndex(User, _parts, name=f"User_{_field.column_name}_word{_number}_idx"))
_index(Chat.type)
_index(Chat.is_secret)
_unique_index(ChatMember.user, ChatMember.chat)
_index(ChatMember.user)
_index(ChatMember.chat)
_index(ChatMember.chat, ChatMember.joined_at, ChatMember.id)
# Owners and admins, of whom there are few: to find one, not all members are read.
_index(
    *(ChatMember.chat, ChatMember.joined_at, ChatMember.id),
    name="ChatMember_keepers_idx",
    where=SQL("role <> 'MEMBER'"),
)
_index(Message.chat)
_index(Message.sender)
_index(Message.created_at)
# The visible messages of a chat in their order, for every list and every unread count. It includes
# the sender, so that a count does not have to look at the messages themselves.
_index(
    *(Message.chat, Message.created_at, Message.id, Message.sender),
    name="Message_visible_idx",
    where=SQL('NOT "isDeleted" AND ("isSent" OR "scheduledFor" IS NULL)'),
)
# The times of those that were deleted, which import_messages() gives to no other message.
_index(
    *(Message.chat, Message.created_at),
    name="Message_deleted_idx",
    where=SQL('"isDeleted" AND ("isSent" OR "scheduledFor" IS NULL)'),
)
_index(Message.scheduled_for)
# The messages that wait to be sent, for publish_scheduled(). They are always few.
_index(
    *(Message.scheduled_for, Message.created_at, Message.id),
    name="Message_due_idx",
    where=SQL('NOT "isSent" AND NOT "isDeleted"'),
)
# The visible messages with a file, for list_media().
_index(
    *(Message.chat, Message.created_at, Message.id, Message.type),
    name="Message_media_idx",
    where=SQL('"fileUrl" IS NOT NULL AND NOT "isDeleted" AND ("isSent" OR "scheduledFor" IS NULL)'),
)
# What somebody has scheduled, for list_scheduled().
_index(
    *(Message.sender, Message.scheduled_for, Message.id),
    name="Message_scheduled_idx",
    where=SQL('"scheduledFor" IS NOT NULL AND NOT "isSent" AND NOT "isDeleted"'),
)
# The replies to a message, for list_replies(); and for the foreign key, which asks for them when a
# row is deleted.
_index(
    *(Message.reply_to, Message.created_at, Message.id),
    name="Message_replies_idx",
    where=SQL('"replyToId" IS NOT NULL'),
)
_index(Message.mentions, using="GIN")
_index(Message.hashtags, using="GIN")
_index(Call.chat)
_index(Call.status)
# The calls of a chat in their order, for list_calls().
_index(Call.chat, Call.started_at, Call.id)
# Those that go on, for start_call(). They are always few.
_index(
    *(Call.chat, Call.started_at, Call.id),
    name="Call_live_idx",
    where=SQL("status = 'CALLING' OR status = 'ACTIVE'"),
)
# Two for foreign keys: when an account is deleted, the database looks for what refers to it.
_index(Call.initiator)
_unique_index(CallParticipant.call, CallParticipant.user)
_index(CallParticipant.call)
_index(CallParticipant.user)
_unique_index(Contact.user, Contact.contact)
_index(Contact.user)
_index(Contact.contact)
_unique_index(Reaction.message, Reaction.user, Reaction.emoji)
_index(Reaction.message)
_index(Reaction.user)
_unique(BlockedUser.user, BlockedUser.blocked)
_index(BlockedUser.user)
_index(BlockedUser.blocked)
_index(Folder.user)
_index(Folder.order)
_unique(ChatSettings.user, ChatSettings.chat)
_index(ChatSettings.user)
_index(ChatSettings.chat)
_index(ChatSettings.folder)
_index(ChatSettings.is_favorite)
_unique(PinnedMessage.user, PinnedMessage.message, PinnedMessage.chat)
_index(PinnedMessage.user)
_index(PinnedMessage.message)
_index(PinnedMessage.chat)
# For the triggers that remove the tags of a message. Those of a SQLite file do not know the keys
# that a connection has given them. Those of PostgreSQL do, and use the primary key.
_index(MessageTag.message_id, kind=SqliteIndex)
_index(PublishedMessage.lease_ends_at)

for _model in MODELS:
    make_sealable(_model)
    # Peewee gives each class those of its own, so they are no methods of BaseModel.
    _model.__repr__ = _model.__str__ = repr_of  # type: ignore[method-assign]


def _use_schema(database: Any) -> None:
    """Look for the tables in the schema of the database that `db` stands for now."""
    for model in (*MODELS, *SIDE_TABLES):
        model._meta.schema = database and database.schema_name


db.attach_callback(_use_schema)  # type: ignore[no-untyped-call]  # not in Peewee's stubs

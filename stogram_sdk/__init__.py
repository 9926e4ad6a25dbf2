"""Stogram's database for Python: models, and a function for everything a messenger does with it.

Begin with `connect()`, then call the functions. The errors that they raise are all `StogramError`s.
"""

from stogram_sdk.accounts import (
    delete_user,
    set_password_hash,
    set_push_subscription,
    set_theme,
    set_verification_token,
    update_profile,
    verify_email,
)
from stogram_sdk.blocking import (
    block_user,
    blocked_among,
    is_blocked,
    is_blocked_either,
    list_blocked_users,
    unblock_user,
)
from stogram_sdk.calls import answer_call, decline_call, end_call, list_calls, start_call
from stogram_sdk.chat_list import ChatSummary, get_chat, list_chats
from stogram_sdk.chat_settings import (
    UnreadTotals,
    get_chat_settings,
    mark_read,
    mute_chat,
    recount_unread,
    set_favorite,
    toggle_favorite,
    unmute_all_chats,
    unmute_chat,
    unread_totals,
)
from stogram_sdk.chats import create_chat, delete_chat, open_private_chat, update_chat
from stogram_sdk.contacts import (
    ContactSummary,
    add_contact,
    list_contacts,
    remove_contact,
    update_contact,
)
from stogram_sdk.database import (
    check_health,
    close,
    connect,
    db,
    pool_status,
    session,
    transaction,
)
from stogram_sdk.engine.options import ConnectOptions
from stogram_sdk.engine.pool import PoolStatus
from stogram_sdk.errors import (
    AlreadyExists,
    Blocked,
    DatabaseError,
    InvalidInput,
    MigrationError,
    NotAllowed,
    NotFound,
    NotLoaded,
    StogramError,
    Unavailable,
)
from stogram_sdk.folders import (
    FolderSummary,
    create_folder,
    delete_folder,
    list_folders,
    move_to_folder,
    remove_from_folder,
    reorder_folders,
    update_folder,
)
from stogram_sdk.forwarding import forward_messages
from stogram_sdk.history import get_message, list_messages, list_replies
from stogram_sdk.importing import ImportedMessage, import_messages
from stogram_sdk.media import list_media
from stogram_sdk.members import Member, add_member, leave_chat, list_members, remove_member
from stogram_sdk.messages import (
    delete_message,
    edit_message,
    post_system_message,
    send_message,
)
from stogram_sdk.migrating import migrate
from stogram_sdk.models import (
    MODELS,
    BlockedUser,
    Call,
    CallParticipant,
    CallStatus,
    CallType,
    Chat,
    ChatMember,
    ChatSettings,
    ChatType,
    Contact,
    Folder,
    MemberRole,
    Message,
    MessageType,
    PinnedMessage,
    Reaction,
    ReactionCount,
    User,
    UserStatus,
)
from stogram_sdk.notifications import users_to_notify, users_to_notify_each
from stogram_sdk.operations import retrying
from stogram_sdk.paging import Page
from stogram_sdk.pins import (
    list_pinned_messages,
    pin_message,
    unpin_all_messages,
    unpin_message,
)
from stogram_sdk.presence import set_status
from stogram_sdk.privacy import Privacy, get_privacy, update_privacy, visible_profiles
from stogram_sdk.profiles import Profile
from stogram_sdk.reactions import (
    add_reaction,
    list_message_reactions,
    list_reactions,
    remove_reaction,
)
from stogram_sdk.roles import set_role, transfer_ownership
from stogram_sdk.rows import to_dict
from stogram_sdk.scheduled import (
    acknowledge_published,
    list_scheduled,
    publish_scheduled,
    reschedule_message,
)
from stogram_sdk.search import find_by_hashtag, find_by_mention, search_messages
from stogram_sdk.text import extract_hashtags, extract_mentions, tag_key
from stogram_sdk.user_search import search_users
from stogram_sdk.users import create_user, find_user, find_user_by_email, get_user

__version__ = "1.0.0"

__all__ = [
    "MODELS",
    "AlreadyExists",
    "Blocked",
    "BlockedUser",
    "Call",
    "CallParticipant",
    "CallStatus",
    "CallType",
    "Chat",
    "ChatMember",
    "ChatSettings",
    "ChatSummary",
    "ChatType",
    "ConnectOptions",
    "Contact",
    "ContactSummary",
    "DatabaseError",
    "Folder",
    "FolderSummary",
    "ImportedMessage",
    "InvalidInput",
    "Member",
    "MemberRole",
    "Message",
    "MessageType",
    "MigrationError",
    "NotAllowed",
    "NotFound",
    "NotLoaded",
    "Page",
    "PinnedMessage",
    "PoolStatus",
    "Privacy",
    "Profile",
    "Reaction",
    "ReactionCount",
    "StogramError",
    "Unavailable",
    "UnreadTotals",
    "User",
    "UserStatus",
    "acknowledge_published",
    "add_contact",
    "add_member",
    "add_reaction",
    "answer_call",
    "block_user",
    "blocked_among",
    "check_health",
    "close",
    "connect",
    "create_chat",
    "create_folder",
    "create_user",
    "db",
    "decline_call",
    "delete_chat",
    "delete_folder",
    "delete_message",
    "delete_user",
    "edit_message",
    "end_call",
    "extract_hashtags",
    "extract_mentions",
    "find_by_hashtag",
    "find_by_mention",
    "find_user",
    "find_user_by_email",
    "forward_messages",
    "get_chat",
    "get_chat_settings",
    "get_message",
    "get_privacy",
    "get_user",
    "import_messages",
    "is_blocked",
    "is_blocked_either",
    "leave_chat",
    "list_blocked_users",
    "list_calls",
    "list_chats",
    "list_contacts",
    "list_folders",
    "list_media",
    "list_members",
    "list_message_reactions",
    "list_messages",
    "list_pinned_messages",
    "list_reactions",
    "list_replies",
    "list_scheduled",
    "mark_read",
    "migrate",
    "move_to_folder",
    "mute_chat",
    "open_private_chat",
    "pin_message",
    "pool_status",
    "post_system_message",
    "publish_scheduled",
    "recount_unread",
    "remove_contact",
    "remove_from_folder",
    "remove_member",
    "remove_reaction",
    "reorder_folders",
    "reschedule_message",
    "retrying",
    "search_messages",
    "search_users",
    "send_message",
    "session",
    "set_favorite",
    "set_password_hash",
    "set_push_subscription",
    "set_role",
    "set_status",
    "set_theme",
    "set_verification_token",
    "start_call",
    "tag_key",
    "to_dict",
    "toggle_favorite",
    "transaction",
    "transfer_ownership",
    "unblock_user",
    "unmute_all_chats",
    "unmute_chat",
    "unpin_all_messages",
    "unpin_message",
    "unread_totals",
    "update_chat",
    "update_contact",
    "update_folder",
    "update_privacy",
    "update_profile",
    "users_to_notify",
    "users_to_notify_each",
    "verify_email",
    "visible_profiles",
]

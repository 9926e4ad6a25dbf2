"""The ways of the server to its database, and what serves each; `python -m tests.support.ways`
writes the page.

They are those of the version that the guide is of: 54 routes, 8 events of the socket, 1 cron job.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).parents[2] / "docs" / "server.md"


class Way(NamedTuple):
    """A way as the server has it, and the functions that serve it, with what there is to say."""

    way: str
    functions: str
    note: str = ""


WAYS: dict[str, tuple[Way, ...]] = {
    "Accounts": (
        Way(
            "POST /auth/register",
            "create_user set_verification_token",
            "the service hashes the password and sends the mail",
        ),
        Way(
            "POST /auth/login",
            "find_user find_user_by_email set_status",
            "the service compares the hashes and keeps the session (JWT)",
        ),
        Way("GET /auth/me", "get_user"),
        Way("POST /auth/verify-email", "verify_email"),
        Way(
            "POST /auth/resend-verification", "set_verification_token", "the service sends the mail"
        ),
        Way("GET /users/search", "search_users", "by the beginning of words, and not by e-mail"),
        Way("GET /users/:userId", "visible_profiles"),
        Way("PATCH /users/profile", "update_profile set_status", "the service stores the file"),
        Way("POST /users/change-password", "get_user set_password_hash"),
        Way("POST /users/push-subscription", "set_push_subscription"),
        Way("PATCH /users/theme", "set_theme"),
        Way("GET /users/privacy", "get_privacy"),
        Way("PATCH /users/privacy", "update_privacy"),
    ),
    "Contacts and blocking": (
        Way("GET /users/contacts", "list_contacts"),
        Way("POST /users/contacts", "add_contact"),
        Way("DELETE /users/contacts/:contactId", "remove_contact"),
        Way("POST /block/:blockedId", "block_user"),
        Way("DELETE /block/:blockedId", "unblock_user"),
        Way("GET /block", "list_blocked_users"),
        Way("GET /block/check/:targetUserId", "is_blocked is_blocked_either"),
    ),
    "Chats": (
        Way("POST /chats", "create_chat open_private_chat"),
        Way("GET /chats", "list_chats"),
        Way("GET /chats/:chatId", "get_chat list_members"),
        Way("PATCH /chats/:chatId", "update_chat"),
        Way("DELETE /chats/:chatId", "delete_chat"),
        Way("POST /chats/:chatId/members", "add_member"),
        Way("DELETE /chats/:chatId/members/:memberId", "remove_member leave_chat"),
        Way("GET /chat-settings/:chatId", "get_chat_settings"),
        Way(
            "PUT /chat-settings/:chatId",
            "mute_chat unmute_chat set_favorite move_to_folder",
            "one function for each setting",
        ),
        Way("POST /chat-settings/:chatId/mute", "mute_chat"),
        Way("POST /chat-settings/:chatId/unmute", "unmute_chat"),
        Way("POST /chat-settings/:chatId/favorite", "toggle_favorite"),
        Way(
            "PUT /chat-settings/:chatId/unread",
            "mark_read recount_unread",
            "takes no number: it is counted from the messages",
        ),
        Way("POST /chat-settings/:chatId/unread/reset", "mark_read"),
    ),
    "Folders": (
        Way("GET /folders", "list_folders"),
        Way("POST /folders", "create_folder"),
        Way("PUT /folders/:folderId", "update_folder reorder_folders"),
        Way("DELETE /folders/:folderId", "delete_folder"),
        Way("POST /folders/:folderId/chats/:chatId", "move_to_folder"),
        Way("DELETE /folders/chats/:chatId", "remove_from_folder"),
    ),
    "Messages": (
        Way("GET /messages/:chatId", "list_messages"),
        Way("POST /messages/:chatId", "send_message", "the service stores the file"),
        Way("PATCH /messages/:messageId", "edit_message"),
        Way("DELETE /messages/:messageId", "delete_message"),
        Way("POST /messages/:messageId/reactions", "add_reaction", "up to three by each user"),
        Way("DELETE /messages/:messageId/reactions/:emoji", "remove_reaction"),
        Way("GET /messages/:messageId/reactions", "list_reactions list_message_reactions"),
        Way("POST /pinned-messages", "pin_message"),
        Way("DELETE /pinned-messages/:messageId/:chatId", "unpin_message"),
        Way("GET /pinned-messages/chat/:chatId", "list_pinned_messages"),
        Way("GET /pinned-messages/all", "list_pinned_messages"),
        Way("GET /search/messages", "search_messages"),
        Way("GET /search/hashtag/:hashtag", "find_by_hashtag"),
        Way("GET /search/mentions/:username?", "find_by_mention"),
    ),
    "The socket and the clock": (
        Way("event connection", "set_status list_chats", "the service keeps the rooms"),
        Way("event disconnect", "set_status"),
        Way("event message:send", "send_message users_to_notify"),
        Way("event message:read", "mark_read"),
        Way("event call:initiate", "start_call"),
        Way("event call:answer", "answer_call"),
        Way("event call:reject", "decline_call"),
        Way("event call:end", "end_call list_calls"),
        Way("cron, every minute", "publish_scheduled acknowledge_published"),
    ),
}

HEAD = """\
# What the server does, and what does it here

The Stogram server reaches its database from 54 routes, 8 events of its socket and a cron job. The
tables name the functions of this package that serve each of them. The version is the one that the
server's migration guide is about. Events that only pass something on, such as those of WebRTC, need
no database and are left out.

`python -m tests.support.ways` writes this page. A test checks that each function exists, and that
nothing is missing.

"""


def document() -> str:
    """The page."""
    parts = []
    for heading, ways in WAYS.items():
        rows = [
            f"| `{each.way}` | {', '.join(f'`{name}`' for name in each.functions.split())} "
            f"| {each.note} |".replace("|  |", "| |")
            for each in ways
        ]
        head = ["| the server | the functions | notes |", "| --- | --- | --- |"]
        parts.append("\n".join([f"## {heading}", "", *head, *rows]))
    return HEAD + "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")

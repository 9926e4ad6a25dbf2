"""What a row says of itself at the prompt and in a log: who, which chat, how much of the text.

It says only what the row holds, without a query. Secrets, e-mails and addresses of files are left
out.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

#: By the name of a model, what is told of a row, in this order, where the row has it.
_TOLD = {
    "User": "id username display_name",
    "Chat": "id type name is_secret",
    "ChatMember": "user chat role",
    "Message": "id type sender chat content file_name is_deleted is_edited scheduled_for",
    "Call": "id type status chat initiator",
    "CallParticipant": "call user left_at",
    "Contact": "user contact nickname",
    "Reaction": "emoji user message",
    "BlockedUser": "user blocked",
    "Folder": "id name user order",
    "ChatSettings": "user chat folder unread_count is_muted is_favorite",
    "PinnedMessage": "user chat message pinned_at",
}
#: By what a row is called where another one names it.
_NAMES = ("username", "name", "content")
#: So much of a text is shown.
_CUT = 40


def repr_of(row: Any) -> str:
    """The row as `<Message id='...' sender='anna' chat='Release team' content='...'>`."""
    kind = type(row).__name__
    names = _TOLD.get(kind, " ".join(row._meta.fields)).split()
    parts = [told for name in names if (told := _told(row, name))]
    return f"<{' '.join([kind, *parts])}>"


def _told(row: Any, name: str) -> str:
    related = row.__rel__.get(name)
    value = row.__data__.get(name)
    if related is not None:
        return f"{name}={_name_of(related)}"
    if name.startswith("is_"):
        return name.removeprefix("is_") if value else ""
    return "" if value is None else f"{name}={_shown(value)}"


def _name_of(row: Any) -> str:
    """What a row is called where another one names it: its name, else its id."""
    for name in _NAMES:
        if value := row.__data__.get(name):
            return _shown(value)
    return _shown(row.__data__.get("id"))


def _shown(value: Any) -> str:
    match value:
        case Enum():
            return str(value.value)
        case datetime():
            return value.isoformat(timespec="seconds")
        case str() if len(value) > _CUT:
            return f"{value[:_CUT]!r}... ({len(value)} characters)"
    return repr(value)

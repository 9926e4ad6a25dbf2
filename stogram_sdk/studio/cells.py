"""How a value is shown. Whatever users have written is text: it is escaped, and no link is made."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from flask import url_for
from markupsafe import Markup, escape

from stogram_sdk.models import Call, Chat, Folder, Message, User
from stogram_sdk.studio.rows import MOST_UNREAD
from stogram_sdk.studio.tables import TABLE_OF

#: So much of a text is in a cell of a list.
CUT = 120
_NOTHING = Markup('<span class="text-muted">–</span>')


def value_of(row: Any, name: str, *, whole: bool = False) -> Markup:
    """What is in a column of a row; `whole` shows long texts to their end."""
    field = row._meta.fields.get(name)
    if field in row._meta.refs:
        other = row.__rel__.get(name)
        if other is None:
            return plain(row.__data__.get(name), whole=whole)
        return link_to(other, label_of(other, getattr(row, f"{name}_people", None)))
    value = row.__data__[name] if field is not None else getattr(row, name)
    if name in ("id", "username") or (name == "name" and isinstance(row, Chat)):
        return link_to(row, value if name in ("id", "username") else name_of_row(row))
    if name == "folder_name" and value:
        url = _address(Folder, row.folder_id)
        return Markup('<a href="{}">{}</a>').format(url, value)
    if name == "unread" and value >= MOST_UNREAD:
        return Markup("{}+").format(MOST_UNREAD - 1)
    if field is None and name.startswith("is_"):
        value = bool(value)  # SQLite has no type for what is computed
    return plain(value, whole=whole)


def plain(value: Any, *, whole: bool = False) -> Markup:
    match value:
        case None | "" | []:
            return _NOTHING
        case bool():
            return Markup('<span class="yes">yes</span>') if value else _NOTHING
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M:%S}"
            return Markup('<time datetime="{}" title="in UTC">{}</time>').format(
                value.isoformat(), text
            )
        case StrEnum():
            return Markup('<span class="badge badge-light">{}</span>').format(in_words(value))
        case list():
            return escape(", ".join(map(str, value)))
        case str():
            return _text(value, whole=whole)
    return escape(value)


def _text(text: str, *, whole: bool) -> Markup:
    if whole and len(text) > CUT:
        return Markup('<div class="whole">{}</div>').format(text)
    return escape(cut(text, CUT))


def cut(text: str, length: int) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text[: length * 2].split())
    return line if len(line) <= length and len(text) <= length * 2 else f"{line[:length]}…"


def in_words(label: str) -> str:
    """DO_NOT_DISTURB: Do not disturb."""
    return label.replace("_", " ").capitalize()


def label_of(row: Any, people: str | None = None) -> str:
    """What a person calls the row; `people` are the members of a chat without a name."""
    match row:
        case User():
            name = row.display_name
            return f"{name} (@{row.username})" if name else f"@{row.username}"
        case Chat():
            kind = in_words(row.type).lower()
            return row.name or (f"{people} ({kind})" if people else f"a {kind} chat")
        case Message():
            if row.is_deleted:
                return "a deleted message"
            return cut(row.content, 60) if row.content else f"({in_words(row.type).lower()})"
        case Folder():
            return str(row.name)
        case Call():
            return f"{in_words(row.type)} call, {in_words(row.status).lower()}"
    return f"{type(row).__name__} {row.id}"


def name_of_row(row: Any) -> str:
    """What a person calls the row of a page."""
    return label_of(row, getattr(row, "people", None))


def link_to(row: Any, text: str) -> Markup:
    """A link to the page of a row."""
    return Markup('<a href="{}">{}</a>').format(page_of(row), text)


def page_of(row: Any) -> str:
    """The address of the page of a row."""
    return _address(type(row), row.id)


def _address(model: Any, id: str) -> str:
    return url_for(f"{TABLE_OF[model].endpoint}.details_view", id=id)

"""Draws the tables for the documents from the models: `python docs/draw_schema.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from peewee import ForeignKeyField

from stogram_sdk import models
from stogram_sdk.models import MODELS, SIDE_TABLES

#: Where each table stands: columns from left to right, tables from top to bottom.
LAYOUT = (
    ("BlockedUser", "Contact", "Call", "CallParticipant"),
    ("User", "Folder"),
    ("Chat", "ChatMember", "ChatSettings", "UnreadSince", "PublishedMessage"),
    ("Message", "PinnedMessage", "Reaction", "MessageTag"),
)
#: What the migration guide adds to the server's own tables.
NEW_TABLES = {"BlockedUser", "ChatSettings", "Folder", "PinnedMessage"}
NEW_COLUMNS = {
    "User": {"showOnlineStatus", "showProfilePhoto", "showLastSeen"},
    "Chat": {"isSecret"},
    "Message": {"isSilent", "mentions", "hashtags"},
}
#: The title and the legend, by the path in docs.
WORDS = {
    "schema.svg": (
        "The tables of a Stogram database",
        (
            "the server's own",
            "added by the migration guide",
            "added by this package",
            "? may be NULL",
        ),
    ),
    "ru/schema.svg": (
        "Таблицы базы Stogram",
        ("из схемы сервера", "из руководства по миграции", "из этого пакета", "? может быть NULL"),
    ),
}
#: The color of the lines to a table, and of the words that name it.
COLORS = {"User": "#1f6feb", "Chat": "#b35900", "Message": "#8250df"}

WIDTH, ROW, GAP, MARGIN, SPACE = 232, 19, 26, 24, 64
#: Where lines to tables further away run: above all tables, below the legend.
LANES = MARGIN + ROW + 10
OLD, NEW, OURS = "#57606a", "#1a7f37", "#bf3989"


class Table:
    """A model at its place in the picture."""

    def __init__(self, name: str, column: int, top: int) -> None:
        self.model: Any = getattr(models, name)
        self.name = name
        self.column = column
        self.left = MARGIN + column * (WIDTH + SPACE)
        self.top = top
        self.fields: list[Any] = self.model._meta.sorted_fields
        self.bottom = top + ROW * (len(self.fields) + 1) + 6

    @property
    def color(self) -> str:
        if self.model in SIDE_TABLES:
            return OURS
        return NEW if self.name in NEW_TABLES else OLD

    def color_of(self, field: Any) -> str:
        if field.column_name in NEW_COLUMNS.get(self.name, ()):
            return NEW
        return "#24292f" if self.color == OLD else self.color

    def middle_of(self, row: int) -> float:
        return self.top + ROW * (row + 0.5) + (3 if row else 0)

    def draw(self) -> Iterator[str]:
        height = self.bottom - self.top
        frame = f'x="{self.left}" y="{self.top}" width="{WIDTH}"'
        yield f'<rect {frame} height="{height}" rx="5" fill="#fff" stroke="{self.color}"/>'
        yield f'<path d="{self._header()}" fill="{self.color}"/>'
        yield self._text(8, 0, self.name, "#fff", "bold")
        for row, field in enumerate(self.fields, start=1):
            weight = "bold" if field.primary_key else "normal"
            kind, kind_color = _kind(field)
            yield self._text(8, row, field.column_name, self.color_of(field), weight)
            yield self._text(WIDTH - 8, row, kind, kind_color, "normal", anchor="end")

    def _header(self) -> str:
        return (
            f"M{self.left},{self.top + ROW} v{5 - ROW} q0,-5 5,-5 h{WIDTH - 10} q5,0 5,5 "
            f"v{ROW - 5} z"
        )

    def _text(
        self, right: int, row: int, text: str, color: str, weight: str, anchor: str = "start"
    ) -> str:
        return (
            f'<text x="{self.left + right}" y="{self.middle_of(row) + 4:g}" fill="{color}" '
            f'font-weight="{weight}" text-anchor="{anchor}">{escape(text)}</text>'
        )


def _kind(field: Any) -> tuple[str, str]:
    """The type of a column in words, and their color."""
    question = "?" if field.null else ""
    if isinstance(field, ForeignKeyField):
        target = field.rel_model.__name__
        return f"→ {target}{question}", COLORS.get(target, OLD)
    enum = getattr(field, "enum", None)
    kind = enum.__name__ if enum else {"INT": "INTEGER", "BOOL": "BOOLEAN"}.get(field.field_type)
    return f"{kind or field.field_type}{question}", "#6e7781"


def _line(source: Table, row: int, target: Table) -> str:
    """From a foreign key to the header of its table."""
    start, end = source.middle_of(row), target.middle_of(0)
    color = COLORS.get(target.name, OLD)
    if source.column == target.column:  # around the outside
        side = tip = -1 if source.column == 0 else 1
        x = to = source.left if side < 0 else source.left + WIDTH
        bend = x + side * (18 + abs(end - start) / 40)
        path = f"M{x},{start:g} C{bend:g},{start:g} {bend:g},{end:g} {x},{end:g}"
    else:
        side = 1 if target.column > source.column else -1
        tip = -side
        x = source.left + (WIDTH if side > 0 else 0)
        to = target.left + (0 if side > 0 else WIDTH)
        if abs(target.column - source.column) == 1:
            bend = SPACE * 0.9 * side
            path = f"M{x},{start:g} C{x + bend:g},{start:g} {to - bend:g},{end:g} {to},{end:g}"
        else:  # over the tables between them
            lane = LANES + 8 * list(COLORS).index(target.name)
            near, far, turn = x + 14 * side, to - 22 * side, 8 * side
            path = (
                f"M{x},{start:g} H{near - turn} Q{near},{start:g} {near},{start - 8:g} "
                f"V{lane + 8} Q{near},{lane} {near + turn},{lane} H{far - turn} "
                f"Q{far},{lane} {far},{lane + 8} V{end - 8:g} Q{far},{end:g} {far + turn},{end:g} "
                f"H{to}"
            )
    arrow = f"M{to},{end:g} l{tip * 7},-4 v8 z"
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-opacity="0.6"/>'
        f'<path d="{arrow}" fill="{color}"/>'
    )


def _tables() -> dict[str, Table]:
    tables: dict[str, Table] = {}
    for column, names in enumerate(LAYOUT):
        top = LANES + 24
        for name in names:
            tables[name] = Table(name, column, top)
            top = tables[name].bottom + GAP
    return tables


def _legend(words: tuple[str, ...]) -> Iterator[str]:
    left = MARGIN
    for text, color in zip(words, (OLD, NEW, OURS, "#6e7781"), strict=True):
        if text[0] != "?":
            yield f'<rect x="{left}" y="{MARGIN}" width="13" height="13" rx="3" fill="{color}"/>'
            left += 20
        yield f'<text x="{left}" y="{MARGIN + 11}" fill="{color}">{text}</text>'
        left += 7 * len(text) + 24


def picture(title: str, legend: tuple[str, ...]) -> str:
    """The SVG."""
    tables = _tables()
    if {model.__name__ for model in (*MODELS, *SIDE_TABLES)} != tables.keys():
        raise ValueError("LAYOUT must name each model once")
    lines = [
        _line(table, row, tables[field.rel_model.__name__])
        for table in tables.values()
        for row, field in enumerate(table.fields, start=1)
        if isinstance(field, ForeignKeyField)
    ]
    width = 2 * MARGIN + len(LAYOUT) * (WIDTH + SPACE) - SPACE + 20
    height = max(table.bottom for table in tables.values()) + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" '
            'font-size="12">',
            f"<title>{title}</title>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *_legend(legend),
            *lines,
            *(part for table in tables.values() for part in table.draw()),
            "</svg>\n",
        ]
    )


def pictures() -> dict[str, str]:
    """The SVG in each language, by its path in docs."""
    return {path: picture(*words) for path, words in WORDS.items()}


if __name__ == "__main__":
    for path, text in pictures().items():
        Path(__file__).parent.joinpath(path).write_text(text, "utf-8")

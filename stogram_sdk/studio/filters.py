"""What a list can be narrowed down by, as Flask-Admin offers it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask_admin.contrib.peewee.filters import BasePeeweeFilter
from peewee import BooleanField, ForeignKeyField, IntegerField, TextField

from stogram_sdk.fields import EnumTextField, TextArrayField, UtcDateTimeField, time_to_text
from stogram_sdk.models import Message
from stogram_sdk.studio.rows import contains
from stogram_sdk.studio.tables import Table
from stogram_sdk.validation import valid_time
from stogram_sdk.visibility import is_in_order

_YES_OR_NO = [("1", "yes"), ("0", "no")]


class Filter(BasePeeweeFilter):
    """One way to narrow a list down by a column."""

    words = "is"

    def operation(self) -> str:
        return self.words

    def is_indexed(self, value: Any) -> bool:
        """Whether an index has the rows that it leaves, or it leaves most of them."""
        return False

    def condition(self, row: Any, value: Any) -> Any:
        """Whether a row of the table, or of an alias of it, is one of these."""
        return getattr(row, self.column.name) == value


class IsRow(Filter):
    """The rows that refer to this one."""

    def is_indexed(self, value: Any) -> bool:
        return True


class IsYes(Filter):
    def __init__(self, column: Any, name: str) -> None:
        super().__init__(column, name, options=_YES_OR_NO)

    def clean(self, value: str) -> bool:
        return {"1": True, "0": False}[value] if value in ("1", "0") else _refuse(value)


class IsOneOf(Filter):
    def __init__(self, column: Any, name: str) -> None:
        labels = [member.value for member in column.enum]
        super().__init__(column, name, options=[(label, label) for label in labels])

    def clean(self, value: str) -> Any:
        return self.column.enum(value).value


class Contains(Filter):
    words = "contains"

    def condition(self, row: Any, value: Any) -> Any:
        return contains(getattr(row, self.column.name), value)


class NotBelow(Filter):
    words = "at least"

    def clean(self, value: str) -> int:
        number = int(value)
        return number if abs(number) < 2**31 else _refuse(value)

    def condition(self, row: Any, value: Any) -> Any:
        return getattr(row, self.column.name) >= value


class Since(Filter):
    words = "since"

    def __init__(self, column: Any, name: str) -> None:
        super().__init__(column, name, data_type="datetimepicker")

    def clean(self, value: str) -> str:
        moment = datetime.fromisoformat(value)
        in_utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # As the column holds it: a row may be one of a query, whose columns convert nothing.
        return time_to_text(valid_time(in_utc, "time"))

    def condition(self, row: Any, value: Any) -> Any:
        return getattr(row, self.column.name) >= value


class Before(Since):
    words = "before"

    def condition(self, row: Any, value: Any) -> Any:
        return getattr(row, self.column.name) < value


class IsSeen(IsYes):
    """Sent and not deleted; an index has those of a chat in their order."""

    def is_indexed(self, value: Any) -> bool:
        return bool(value)

    def condition(self, row: Any, value: Any) -> Any:
        return is_in_order(row) if value else ~is_in_order(row)


def _refuse(value: str) -> Any:
    raise ValueError(value)


#: By the kind of a column, in what ways.
_WAYS: tuple[tuple[Any, tuple[type[Filter], ...]], ...] = (
    (ForeignKeyField, (IsRow,)),
    (EnumTextField, (IsOneOf,)),
    (BooleanField, (IsYes,)),
    (UtcDateTimeField, (Since, Before)),
    (IntegerField, (NotBelow,)),
    (TextArrayField, ()),
    (TextField, (Contains, Filter)),
)


def filters_of(table: Table) -> list[Filter]:
    """All filters of a table; there is none on a secret."""
    found: list[Filter] = []
    for field in table.shown:
        ways = next(ways for kind, ways in _WAYS if isinstance(field, kind))
        found += [way(field, name_of(field)) for way in ways]
    if table.model is Message:
        found.append(IsSeen(Message.is_sent, "Seen by members"))
    return found


def name_of(field: Any) -> str:
    """What a column is called."""
    name = field.name.removeprefix("is_").replace("_", " ").capitalize()
    return f"{name} (UTC)" if isinstance(field, UtcDateTimeField) else name


def only(field: Any, id: str) -> dict[str, str]:
    """The arguments of a URL for the rows that refer to the one with this id by the key."""
    chosen = {f"flt0_{field.name}_is": id}
    return chosen | {"flt1_seen_by_members_is": "1"} if field is Message.chat else chosen

"""Pydantic models of what the functions return: for the answers of a service, and for OpenAPI.

    from stogram_sdk.pydantic import ChatSummary, Message, Page

There is one for each row and each named tuple of `stogram_sdk`, under the same name, and `Page` for
pages. They are made of the columns of the tables and of the fields of the tuples when they are
asked for. A model takes what a function returns, and its JSON is that of `to_dict`.

For type checkers the names mean the rows themselves. So an endpoint that is annotated with
`Page[Message]` may return what `list_messages` gives, while FastAPI sees the models. A checker does
not know what Pydantic adds to these, such as `model_validate`.

Needs `stogram-sdk[pydantic]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import peewee
from pydantic import (
    BaseModel,
    Field,
    PlainSerializer,
    WithJsonSchema,
    create_model,
    model_validator,
)

import stogram_sdk
from stogram_sdk.fields import EnumTextField, TextArrayField, UtcDateTimeField
from stogram_sdk.models import BaseModel as Row
from stogram_sdk.models import User as UserRow
from stogram_sdk.models import may_be_none
from stogram_sdk.rows import (
    ACCOUNT,
    RELATIONS,
    attribute_of,
    person,
    time_to_json,
    values_of,
)

T = TypeVar("T")

#: A time, in JSON as `to_dict` writes it.
_Time = Annotated[
    datetime,
    PlainSerializer(time_to_json, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

_TYPES: dict[type[peewee.Field], Any] = {
    peewee.TextField: str,
    peewee.IntegerField: int,
    peewee.BooleanField: bool,
    TextArrayField: list[str],
    UtcDateTimeField: datetime,
}


class _Model(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        """What a function has returned, or data as `model_validate` takes them."""
        if isinstance(given, Row):
            return values_of(given)
        if isinstance(given, stogram_sdk.Page):
            return {"items": list(given), **vars(given)}
        return given._asdict() if isinstance(given, tuple) and hasattr(given, "_asdict") else given


if TYPE_CHECKING:
    from stogram_sdk import *  # noqa: F403  # all rows, whatever is added to them
else:
    _arguments = get_type_hints(stogram_sdk.Page.__init__)
    Page = create_model(
        "Page",
        __base__=(_Model, Generic[T]),
        __module__=__name__,
        items=(list[T], ...),
        **{name: (kind, ...) for name, kind in _arguments.items() if name.endswith("_cursor")},
    )


def __getattr__(name: str) -> Any:
    """The model of the row or named tuple of this name."""
    row = getattr(stogram_sdk, name, None) if name in stogram_sdk.__all__ else None
    if _is_row(row) or _is_named_tuple(row):
        return _model_of(row)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def shown(kind: Any) -> Any:
    """What stands in a model for a type of the package: a model for a row, and so on inside."""
    if _is_row(kind) or _is_named_tuple(kind):
        return _model_of(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        # A later server may have added a label; then the value is its text.
        return Annotated[kind | str, Field(union_mode="left_to_right")]
    if kind is datetime:
        return _Time
    inside = tuple(map(shown, get_args(kind)))
    if not inside:
        return kind
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return reduce(or_, inside)
    return (Page if origin is stogram_sdk.Page else origin)[inside]


def _is_row(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Row)


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


@cache
def _model_of(kind: Any) -> type[_Model]:
    if _is_named_tuple(kind):
        return _model(kind.__name__, get_type_hints(kind), kind.__doc__)
    columns = ACCOUNT if kind is UserRow else kind._meta.sorted_fields
    relations = {name: _related(kind, name) for name in RELATIONS.get(kind, ())}
    return _row_model(kind.__name__, columns, relations)


def _row_model(name: str, columns: Iterable[Any], relations: dict[str, Any]) -> type[_Model]:
    return _model(name, {attribute_of(field): _type_of(field) for field in columns} | relations)


def _model(name: str, types: dict[str, Any], description: str | None = None) -> type[_Model]:
    fields: dict[str, Any] = {field: (shown(kind), ...) for field, kind in types.items()}
    model: type[_Model] = create_model(
        name, __base__=_Model, __module__=__name__, __doc__=description, **fields
    )
    return model


def _type_of(field: Any) -> Any:
    if isinstance(field, peewee.ForeignKeyField):
        kind = str  # ids are text
    elif isinstance(field, EnumTextField):
        kind = field.enum
    else:
        kind = next(python for column, python in _TYPES.items() if isinstance(field, column))
    return kind | None if may_be_none(field) else kind


def _related(row: Any, name: str) -> Any:
    """The type of what comes with a row under this name."""
    field = row._meta.fields.get(name)
    if field is None:
        return get_args(vars(row)[name].__orig_class__)[0]  # of an `Attached[...]`
    if field.rel_model is UserRow:
        model = _person()
    elif field.rel_model is row:
        model = _answered(row, name)
    else:
        model = _model_of(field.rel_model)
    return model | None if field.null else model


@cache
def _person() -> type[_Model]:
    return _row_model("Person", person(UserRow).columns, {})


@cache
def _answered(row: Any, name: str) -> type[_Model]:
    """A row that another of the same table refers to, with no more than what is of other tables."""
    names = [each for each in RELATIONS[row] if each in row._meta.fields and each != name]
    relations = {each: _related(row, each) for each in names}
    return _row_model(f"Answered{row.__name__}", row._meta.sorted_fields, relations)

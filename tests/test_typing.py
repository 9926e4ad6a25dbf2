"""`tests/typing` names all that is public, and its types are those of the database."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import peewee
import pytest

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.models import may_be_none
from stogram_sdk.sealing import Attached

TYPING = Path(__file__).resolve().parent / "typing"

#: By the name of a class, the types of its attributes, as `rows.py` has them.
TYPES = {
    name: dict(re.findall(r"assert_type\(row\.(\w+), (.+)\)", body))
    for name, body in re.findall(
        r"^def \w+\(row: sdk\.(\w+)\) -> None:\n((?:    .+\n)+)",
        (TYPING / "rows.py").read_text("utf-8"),
        re.M,
    )
}


def test_every_function_is_called() -> None:
    called = set(re.findall(r"\bsdk\.(\w+)\(", (TYPING / "api.py").read_text("utf-8")))
    functions = {name for name in sdk.__all__ if inspect.isfunction(getattr(sdk, name))}
    assert functions - called == {"retrying"}, "a decorator without brackets"


def test_every_awaited_function_is_called() -> None:
    called = set(re.findall(r"\baio\.(\w+)\(", (TYPING / "aio.py").read_text("utf-8")))
    assert set(aio.__all__) - called == {"retrying"}, "a decorator without brackets"


@pytest.mark.parametrize("model", sdk.MODELS)
def test_every_attribute_of_a_model_has_a_type(model: type[peewee.Model]) -> None:
    fields = model._meta.sorted_fields
    ids = {field.object_id_name for field in model._meta.refs}
    lists = {field.backref for field in model._meta.backrefs} - {"+"}
    types = TYPES[model.__name__]
    found_out = {name for name, value in vars(model).items() if isinstance(value, Attached)}
    assert types.keys() == {field.name for field in fields} | ids | lists | found_out


@pytest.mark.parametrize("model", sdk.MODELS)
def test_what_may_be_null_may_be_none(model: type[peewee.Model]) -> None:
    types = TYPES[model.__name__]
    optional = {name for name, type in types.items() if type.endswith("| None")}
    nullable = [field for field in model._meta.sorted_fields if may_be_none(field)]
    names = {field.name for field in nullable}
    names |= {field.object_id_name for field in nullable if field in model._meta.refs}
    assert optional == names


def test_every_attribute_of_a_named_tuple_has_a_type() -> None:
    public: list[Any] = [getattr(sdk, name) for name in sdk.__all__]
    tuples = [kind for kind in public if isinstance(kind, type) and issubclass(kind, tuple)]
    assert tuples
    assert {kind.__name__: set(inspect.get_annotations(kind)) for kind in tuples} == {
        name: set(types) for name, types in TYPES.items() if issubclass(getattr(sdk, name), tuple)
    }

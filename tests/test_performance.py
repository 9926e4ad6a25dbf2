"""docs/performance.md says what was measured, and nothing is left out."""

from __future__ import annotations

import inspect
from contextlib import closing
from typing import Any

import pytest

import stogram_sdk as sdk
from benchmarks.by_hand import ByHand
from benchmarks.calls import NOT_MEASURED, Prepared, calls, functions
from benchmarks.report import DOCS, with_figures
from benchmarks.results import read_results


def test_the_figures_are_those_of_the_results() -> None:
    document = (DOCS / "performance.md").read_text()
    assert read_results()
    assert with_figures(document, read_results()) == document


def prepared_with(group: str) -> Prepared:
    return Prepared(folders=[""], messages=[""], deleted="", group=group, scheduled="", question="")


def test_every_public_function_is_measured() -> None:
    public = {name for name in sdk.__all__ if inspect.isroutine(getattr(sdk, name))}
    prepared = Prepared(
        folders=[""], messages=[""], deleted="", group="", scheduled="", question=""
    )
    measured = {function for name in calls(prepared) for function in functions(name)}
    assert measured == public - set(NOT_MEASURED)
    assert set(NOT_MEASURED) <= public


@pytest.mark.parametrize(
    "name, model, rows", [("create_user", sdk.User, 1), ("import_messages, 100", sdk.Message, 100)]
)
def test_what_makes_rows_makes_new_ones_by_hand(
    name: str, model: Any, rows: int, on_postgres: None, migrated_postgres: str
) -> None:
    sdk.User.create(id="user-1", email="user-1", username="user-1", password="")
    group = sdk.create_chat("user-1", sdk.ChatType.GROUP).id
    call = calls(
        Prepared(folders=[""], messages=[""], deleted="", group=group, scheduled="", question="")
    )[name]
    with closing(ByHand(call, migrated_postgres)) as by_hand:
        before = model.select().count()
        by_hand()
        by_hand()
        assert model.select().count() == before + 2 * rows

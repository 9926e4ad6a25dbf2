"""docs/performance.md says what was measured, and nothing is left out."""

from __future__ import annotations

import fnmatch
import inspect
from functools import partial

import pytest

import stogram_sdk as sdk
from benchmarks.bar import BARS
from benchmarks.calls import NOT_MEASURED, Prepared, calls, functions
from benchmarks.profile import explained
from benchmarks.report import DOCS, with_figures
from benchmarks.results import read_results
from tests.support.factories import make_chat, make_user


def test_the_figures_are_those_of_the_results() -> None:
    document = (DOCS / "performance.md").read_text()
    assert read_results()
    assert with_figures(document, read_results()) == document


def names_of_calls() -> list[str]:
    prepared = Prepared(
        folders=[""], messages=[""], deleted="", group="", scheduled="", question=""
    )
    return list(calls(prepared))


def test_every_bar_is_of_calls_that_are_measured() -> None:
    names = [name + index for name in names_of_calls() for index in ("", ", search index")]
    for bar in BARS:
        assert [pattern for pattern in bar.calls if not fnmatch.filter(names, pattern)] == []


def test_every_public_function_is_measured() -> None:
    public = {name for name in sdk.__all__ if inspect.isroutine(getattr(sdk, name))}
    measured = {function for name in names_of_calls() for function in functions(name)}
    assert measured == public - set(NOT_MEASURED)
    assert set(NOT_MEASURED) <= public


@pytest.mark.usefixtures("on_postgres")
def test_the_profile_of_a_call_has_a_plan_of_each_of_its_statements() -> None:
    ann, ben = make_user("ann"), make_user("ben")
    chat = make_chat(ann, ben)
    with sdk.session():
        plans = explained(partial(sdk.send_message, ann.id, chat.id, "hello"))
    locked, sent = (turns[-1] for turns in plans.values())
    assert locked.startswith("LockRows")
    assert 'Insert on "Message"' in sent

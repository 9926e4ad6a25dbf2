"""docs/performance.md says what was measured, and nothing is left out."""

from __future__ import annotations

import inspect

import stogram_sdk as sdk
from benchmarks.calls import NOT_MEASURED, Prepared, calls, functions
from benchmarks.report import DOCS, with_figures
from benchmarks.results import read_results


def test_the_figures_are_those_of_the_results() -> None:
    document = (DOCS / "performance.md").read_text()
    assert read_results()
    assert with_figures(document, read_results()) == document


def test_every_public_function_is_measured() -> None:
    public = {name for name in sdk.__all__ if inspect.isroutine(getattr(sdk, name))}
    prepared = Prepared(
        folders=[""], messages=[""], deleted="", group="", scheduled="", question=""
    )
    measured = {function for name in calls(prepared) for function in functions(name)}
    assert measured == public - set(NOT_MEASURED)
    assert set(NOT_MEASURED) <= public

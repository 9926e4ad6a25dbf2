"""docs/performance.md says what was measured."""

from __future__ import annotations

from benchmarks.report import DOCS, read_results, with_figures


def test_the_figures_are_those_of_the_results() -> None:
    document = (DOCS / "performance.md").read_text()
    assert read_results()
    assert with_figures(document, read_results()) == document

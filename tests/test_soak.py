"""A short form of `make soak`: every kind of fault, in a row, under load."""

from __future__ import annotations

import pytest

from tests.support.soak import soak


@pytest.mark.slow
def test_nothing_is_lost() -> None:
    report = soak(faults=24)
    assert not report.wrong, str(report)
    assert report.sent > 100
    assert report.at_standby > 100
    print(report)

"""A short form of `make service`: a web service whose database server is restarted."""

from __future__ import annotations

import pytest

from tests.support.service import run


@pytest.mark.slow
def test_a_restart_of_the_server_is_seen_only_while_it_is_away() -> None:
    report = run(seconds=10)
    assert not report.wrong, str(report)
    assert len(report.answers) > 100
    print(report)

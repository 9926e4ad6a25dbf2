"""docs/server.md: every way of the server to its database has a function that serves it."""

from __future__ import annotations

import re
from collections import Counter

import stogram_sdk as sdk
from tests.support.ways import DOCUMENT, WAYS, document

ALL = [way for ways in WAYS.values() for way in ways]


def test_no_way_is_missing() -> None:
    kinds = Counter(re.split("[ ,]", way.way)[0] for way in ALL)
    assert (kinds.pop("event"), kinds.pop("cron"), kinds.total()) == (8, 1, 54)
    assert len({way.way for way in ALL}) == 63


def test_each_is_served_by_functions_that_are_there() -> None:
    missing = {name for way in ALL for name in way.functions.split()} - set(sdk.__all__)
    assert not missing
    assert all(way.functions for way in ALL)


def test_the_page_is_made_of_the_list() -> None:
    assert DOCUMENT.read_text("utf-8") == document()

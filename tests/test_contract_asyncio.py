"""The contract of every function once more, each call awaited: the tests of `test_contract`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.contract import World
from tests.support.through_asyncio import through_asyncio
from tests.test_contract import *  # noqa: F403  # the tests themselves


@pytest.fixture(autouse=True)
def _through_asyncio(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with through_asyncio(monkeypatch) as bridge:
        yield
    assert bridge.calls

"""Ids that stand side by side in an index."""

from __future__ import annotations

import os
from uuid import UUID

import pytest

from stogram_sdk.models import new_id


def test_ids_are_uuids_in_the_order_in_which_they_are_made() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert ids == sorted(set(ids))
    assert all(str(UUID(one)) == one and UUID(one).version == 7 for one in ids)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_makes_others() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "\n".join(new_id() for _ in range(50)).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    ours = {new_id() for _ in range(50)}
    with os.fdopen(reader) as theirs:
        assert ours.isdisjoint(theirs.read().split("\n"))

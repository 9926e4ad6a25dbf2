"""Whatever is given to any function: a result or a `StogramError`, and the transaction goes on.

`STOGRAM_TEST_EXAMPLES=10000` makes it long: so many calls of each function on each engine.
"""

from __future__ import annotations

import base64
import inspect
import os
from collections.abc import Iterable
from datetime import UTC, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stogram_sdk as sdk
from stogram_sdk.paging import write_cursor
from tests.support.contract import CALLS, World, arguments_of, function_of, kind_of, undone

EXAMPLES = int(os.environ.get("STOGRAM_TEST_EXAMPLES", "5"))
NAMES = sorted({label.partition("(")[0] for label in CALLS})

texts = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    ["", "#a" * 200, "@name " * 200, "%_\\'\";--\x00", "\ud800", "ﬃ" * 300, "İ" * 70, "a" * 70_000]
)
junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 2**63, 10**5000, 1.5, float("nan"), b"bytes", [], {}, (), object]
)
zones = st.sampled_from([None, UTC, timezone(timedelta(hours=14)), timezone.min])


def cursor_of(parts: Iterable[str]) -> str:
    text = "\0".join(parts).encode(errors="replace")
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


moments = st.datetimes(timezones=st.just(UTC))
names = st.text(min_size=1, max_size=9)
#: What the cursors of each list hold.
places: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(
        [
            *("blocked_users", "calls", "contacts", "hashtag", "media", "members", "mention"),
            *("pinned_messages", "reactions", "replies", "scheduled", "text"),
        ],
        st.tuples(moments, names),
    ),
    "chats": st.tuples(st.booleans(), moments, names, moments),
    "messages": st.tuples(st.booleans(), moments, names),
    "receivers": st.tuples(names, names, moments, names),
    "users": st.tuples(names, names),
}
cursors = st.builds(cursor_of, st.lists(st.text() | st.sampled_from([*places]), max_size=4)) | (
    st.one_of([st.builds(partial(write_cursor, name), place) for name, place in places.items()])
)


def ids(world: World) -> st.SearchStrategy[str]:
    """Those of everything that is there, in any place."""
    known = [
        value
        for scene in (world.scene, *world.strangers.values())
        for value in (scene.actor, scene.chat, scene.message, scene.folder, scene.pinned)
    ]
    return st.sampled_from(sorted({*known, "nobody"})) | texts


def imported(world: World) -> st.SearchStrategy[sdk.ImportedMessage]:
    """Mostly right, so that some of it reaches the database."""
    return st.builds(
        sdk.ImportedMessage,
        ids(world),
        ids(world),
        st.just(world.scene.now) | st.datetimes(timezones=zones),
        texts,
        reply_to_id=st.none() | ids(world),
        file_name=st.none() | texts,
    )


@pytest.fixture(scope="module")
def values_of(world: World) -> dict[str, st.SearchStrategy[Any]]:
    """What to give for a parameter, by its kind; made once, for that takes longer than a call."""
    known = ids(world)
    of_kinds: dict[str, st.SearchStrategy[Any]] = {
        "id": known,
        "ids": st.lists(known, max_size=5) | st.lists(known, max_size=5).map(iter),
        "limit": st.integers(),
        "flag": st.booleans(),
        "enum": st.sampled_from(
            [*sdk.ChatType, *sdk.MemberRole, *sdk.MessageType, *sdk.CallType, *sdk.UserStatus]
        ),
        "time": st.datetimes(timezones=zones),
        "cursor": cursors,
        "text": texts,
        "file_size": st.integers(),
        "messages": st.lists(st.tuples(known, known), max_size=5)
        | st.lists(imported(world), max_size=5),
    }
    return {kind: values | texts | junk for kind, values in of_kinds.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_anything_gives_a_result_or_an_error_of_the_tree(
    world: World, values_of: dict[str, st.SearchStrategy[Any]], name: str, data: st.DataObject
) -> None:
    right = arguments_of(name, world.scene)
    given_values: dict[str, Any] = {}
    for parameter in inspect.signature(function_of(name)).parameters.values():
        is_optional = parameter.default is not parameter.empty and parameter.name not in right
        if parameter.name in right and data.draw(st.booleans()):
            given_values[parameter.name] = right[parameter.name]
        elif not is_optional or data.draw(st.booleans()):
            values = values_of[kind_of(parameter.name)]
            given_values[parameter.name] = data.draw(values, label=parameter.name)
    with undone():
        try:
            function_of(name)(**given_values)
        except sdk.StogramError as error:
            assert str(error)
        assert sdk.find_user("nobody") is None, "the transaction can be used"

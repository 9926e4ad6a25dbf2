"""Blocking. What it does to messages is in test_messages, to unread counts in test_unread."""

from __future__ import annotations

import pytest

import stogram_sdk as sdk
from tests.support.factories import after, make_user, make_users, statements

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def users(engine: str) -> list[sdk.User]:
    return make_users(4)


def test_a_block_is_made_once(users: list[sdk.User]) -> None:
    ivan, olga, *_ = users
    block, created = sdk.block_user(ivan.id, olga.id)
    assert created and (block.user_id, block.blocked_id) == (ivan.id, olga.id)
    again, created = sdk.block_user(ivan.id, olga.id)
    assert not created and again == block and again.created_at == block.created_at
    assert sdk.BlockedUser.select().count() == 1


def test_a_block_is_taken_back_once(users: list[sdk.User]) -> None:
    ivan, olga, *_ = users
    sdk.block_user(ivan.id, olga.id)
    assert sdk.unblock_user(olga.id, ivan.id) is False, "it is not hers to take back"
    assert sdk.unblock_user(ivan.id, olga.id) is True
    assert sdk.unblock_user(ivan.id, olga.id) is False
    assert sdk.block_user(ivan.id, olga.id)[1]


def test_a_block_has_a_direction(users: list[sdk.User]) -> None:
    ivan, olga, petr, _ = users
    sdk.block_user(ivan.id, olga.id)
    assert sdk.is_blocked(ivan.id, olga.id)
    assert not sdk.is_blocked(olga.id, ivan.id)
    for one, other in ((ivan, olga), (olga, ivan)):
        assert sdk.is_blocked_either(one.id, other.id)
    for one, other in ((ivan, petr), (ivan, ivan), (olga, petr)):
        assert not sdk.is_blocked_either(one.id, other.id)


def test_those_blocked_among_many_are_found_in_one_statement(users: list[sdk.User]) -> None:
    ivan, olga, petr, anna = users
    sdk.block_user(ivan.id, olga.id)
    sdk.block_user(petr.id, ivan.id)
    with statements(1):
        blocked = sdk.blocked_among(ivan.id, [olga.id, petr.id, olga.id, anna.id, "nobody"])
    assert blocked == {olga.id}
    assert sdk.blocked_among(ivan.id, (user.id for user in users)) == {olga.id}
    assert sdk.blocked_among(ivan.id, []) == set()


def test_nobody_blocks_themselves(users: list[sdk.User]) -> None:
    with pytest.raises(sdk.InvalidInput, match="themselves") as error:
        sdk.block_user(users[0].id, users[0].id)
    assert error.value.field == "blocked_id"


@pytest.mark.parametrize("unknown", [0, 1])
def test_an_unknown_user_is_named(users: list[sdk.User], unknown: int) -> None:
    ids = [users[0].id, users[1].id]
    ids[unknown] = "nobody"
    with pytest.raises(sdk.NotFound) as error:
        sdk.block_user(*ids)
    assert (error.value.entity, error.value.id) == ("user", "nobody")


def test_the_latest_block_is_listed_first_also_within_a_moment(users: list[sdk.User]) -> None:
    ivan = users[0]
    others = [make_user() for _ in range(7)]
    blocks = [
        sdk.BlockedUser.create(user=ivan, blocked=other, created_at=after(number // 3))
        for number, other in enumerate(others)
    ]
    sdk.BlockedUser.create(user=others[0], blocked=ivan)
    blocks.sort(key=lambda block: (block.created_at, block.id), reverse=True)
    first = sdk.list_blocked_users(ivan.id, limit=4)
    sdk.block_user(ivan.id, users[1].id)  # arrives between two pages
    second = sdk.list_blocked_users(ivan.id, limit=4, cursor=first.next_cursor)
    assert [row.id for row in [*first, *second]] == [block.blocked_id for block in blocks]
    assert second.next_cursor is None
    assert sdk.list_blocked_users(ivan.id)[0].username == users[1].username

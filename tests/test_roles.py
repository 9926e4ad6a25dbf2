"""Roles: who gives them, how a chat changes hands, and what happens when its owner is gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import stogram_sdk as sdk
from tests.support.factories import (
    make_chat,
    make_users,
    roles_in,
    set_role,
    statements,
)
from tests.support.second_writer import SecondWriter

pytestmark = pytest.mark.usefixtures("engine")

OWNER, ADMIN, MEMBER = sdk.MemberRole


def test_the_owner_makes_admins_and_members() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    for role in (ADMIN, ADMIN, MEMBER):
        with statements(1):
            member = sdk.set_role(ann.id, chat.id, ben.id, role)
        assert (member.user.username, member.chat.id, member.role) == (ben.username, chat.id, role)
        assert roles_in(chat) == {ann.id: OWNER, ben.id: role}


def test_nobody_else_gives_roles_and_the_owner_keeps_theirs() -> None:
    ann, ben, cid, eve = make_users(4)
    chat = make_chat(ann, ben, cid)
    set_role(ben, chat, ADMIN)
    before = roles_in(chat)
    for user, member in ((ben, cid), (ben, ben), (cid, cid), (cid, ann), (ann, ann)):
        with pytest.raises(sdk.NotAllowed):
            sdk.set_role(user.id, chat.id, member.id, MEMBER)
    for user, member in ((eve, cid), (eve, eve), (ann, eve)):
        with pytest.raises(sdk.NotFound) as error:
            sdk.set_role(user.id, chat.id, member.id, ADMIN)
        assert error.value.entity == ("member" if user is ann else "chat")
    with pytest.raises(sdk.InvalidInput, match="transfer_ownership makes an OWNER"):
        sdk.set_role(ann.id, chat.id, ben.id, OWNER)
    assert roles_in(chat) == before


def test_a_private_chat_has_no_roles_to_give() -> None:
    ann, ben = make_users(2)
    private, _ = sdk.open_private_chat(ann.id, ben.id)
    before = roles_in(private)
    for change in (CHANGES["role"], sdk_transfer):
        with pytest.raises(sdk.NotAllowed, match="PRIVATE"):
            change(ann, private, ben)
    assert roles_in(private) == before


def test_a_chat_changes_hands_once() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    with statements(1):
        owner = sdk.transfer_ownership(ann.id, chat.id, ben.id)
    assert (owner.user_id, owner.user.username, owner.role) == (ben.id, ben.username, OWNER)
    after = {ann.id: ADMIN, ben.id: OWNER, cid.id: MEMBER}
    assert roles_in(chat) == after
    assert sdk.transfer_ownership(ann.id, chat.id, ben.id).id == owner.id
    assert sdk.transfer_ownership(ben.id, chat.id, ben.id).id == owner.id
    for user, member in ((ann, cid), (ann, ann), (cid, cid), (cid, ben)):
        with pytest.raises(sdk.NotAllowed, match="only the owner"):
            sdk.transfer_ownership(user.id, chat.id, member.id)
    assert roles_in(chat) == after


def test_a_chat_goes_to_no_stranger() -> None:
    ann, ben, eve = make_users(3)
    chat = make_chat(ann, ben)
    for user, member, entity in (
        *((ann, eve, "member"), (eve, ben, "chat"), (eve, ann, "chat")),
        (eve, eve, "chat"),
    ):
        with pytest.raises(sdk.NotFound) as error:
            sdk.transfer_ownership(user.id, chat.id, member.id)
        assert error.value.entity == entity
    assert roles_in(chat) == {ann.id: OWNER, ben.id: MEMBER}


# --- The owner's account is gone ---

Change = Callable[[sdk.User, sdk.Chat, sdk.User], object]
CHANGES: dict[str, Change] = {
    "add": lambda user, chat, other: sdk.add_member(user.id, chat.id, other.id),
    "remove": lambda user, chat, other: sdk.remove_member(user.id, chat.id, other.id),
    "role": lambda user, chat, other: sdk.set_role(user.id, chat.id, other.id, MEMBER),
    "leave": lambda user, chat, other: sdk.leave_chat(other.id, chat.id),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("has_admins", [True, False])
def test_the_next_change_gives_the_chat_an_owner(name: str, has_admins: bool) -> None:
    ann, ben, cid, dan, eve = make_users(5)
    chat = make_chat(ann, ben)
    for user in (cid, dan, eve)[: 2 if name == "add" else 3]:
        sdk.add_member(ann.id, chat.id, user.id, role=ADMIN if has_admins else MEMBER)
    if name != "add":
        set_role(eve, chat, MEMBER)
    SecondWriter().remove_account(ann.id)
    heir = cid if has_admins else ben
    assert OWNER not in roles_in(chat).values()
    CHANGES[name](heir, chat, eve)
    roles = roles_in(chat)
    assert [user_id for user_id, role in roles.items() if role == OWNER] == [heir.id]
    assert (eve.id in roles) == (name in ("add", "role"))


def test_the_heir_passes_the_chat_on() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann)
    for user in (ben, cid):
        sdk.add_member(ann.id, chat.id, user.id)
    SecondWriter().remove_account(ann.id)
    with pytest.raises(sdk.NotAllowed):
        sdk.transfer_ownership(cid.id, chat.id, cid.id)
    sdk.transfer_ownership(ben.id, chat.id, cid.id)
    assert roles_in(chat) == {ben.id: ADMIN, cid.id: OWNER}


def test_a_call_that_is_refused_gives_no_owner() -> None:
    ann, ben, cid, eve = make_users(4)
    chat = make_chat(ann)
    for user in (ben, cid):
        sdk.add_member(ann.id, chat.id, user.id)
    SecondWriter().remove_account(ann.id)
    before = roles_in(chat)
    for change in (CHANGES["add"], CHANGES["remove"], CHANGES["role"], sdk_transfer):
        for user in (cid, eve):
            with pytest.raises((sdk.NotFound, sdk.NotAllowed)):
                change(user, chat, ben)
            assert roles_in(chat) == before
    assert not sdk.leave_chat(eve.id, chat.id)
    assert roles_in(chat) == before


def sdk_transfer(user: sdk.User, chat: sdk.Chat, other: sdk.User) -> object:
    return sdk.transfer_ownership(user.id, chat.id, other.id)

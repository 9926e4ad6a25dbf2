"""Who is in a chat: adding, removing, leaving, coming back."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from tests.support.factories import (
    LONG_AGO,
    after,
    insert_chat,
    insert_message,
    listed,
    make_chat,
    make_message,
    make_user,
    make_users,
    roles_in,
    set_role,
    statements,
)

pytestmark = pytest.mark.usefixtures("engine")


# --- add_member ---


def test_owner_and_admins_add_members_and_the_owner_admins() -> None:
    ann, ben, cid, dan = make_users(4)
    chat = make_chat(ann)
    with statements(1):
        added = sdk.add_member(ann.id, chat.id, ben.id, role=sdk.MemberRole.ADMIN)
    assert (added.user_id, added.chat_id, added.role) == (ben.id, chat.id, sdk.MemberRole.ADMIN)
    assert sdk.add_member(ben.id, chat.id, cid.id).role == sdk.MemberRole.MEMBER
    with pytest.raises(sdk.NotAllowed):
        sdk.add_member(ben.id, chat.id, dan.id, role=sdk.MemberRole.ADMIN)
    with pytest.raises(sdk.NotAllowed):
        sdk.add_member(cid.id, chat.id, dan.id)
    assert dan.id not in roles_in(chat)


def test_who_is_in_the_chat_already_stays_as_they_are() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    added = sdk.add_member(ann.id, chat.id, ben.id, role=sdk.MemberRole.ADMIN)
    again = sdk.add_member(ann.id, chat.id, ben.id, role=sdk.MemberRole.ADMIN)
    assert (again.id, again.role, again.joined_at) == (
        added.id,
        sdk.MemberRole.ADMIN,
        added.joined_at,
    )


def test_who_is_in_the_chat_with_another_role_keeps_it_and_the_caller_is_told() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben)
    sdk.add_member(ann.id, chat.id, cid.id, role=sdk.MemberRole.ADMIN)
    before = roles_in(chat)
    for actor, member, role in (
        *((ann, ben, sdk.MemberRole.ADMIN), (cid, ben, sdk.MemberRole.ADMIN)),
        *((ann, cid, sdk.MemberRole.MEMBER), (ann, ann, sdk.MemberRole.MEMBER)),
    ):
        with pytest.raises(sdk.AlreadyExists, match="nothing was changed") as error:
            sdk.add_member(actor.id, chat.id, member.id, role=role)
        assert (error.value.entity, error.value.field, error.value.id) == (
            "member",
            "role",
            member.id,
        )
    assert roles_in(chat) == before


def test_who_has_blocked_the_one_who_adds_is_not_added() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    sdk.leave_chat(cid.id, chat.id)
    set_role(ben, chat, sdk.MemberRole.ADMIN)
    sdk.block_user(cid.id, ben.id)
    for role in (sdk.MemberRole.MEMBER, sdk.MemberRole.ADMIN):
        with pytest.raises(sdk.Blocked) as error:
            sdk.add_member(ben.id, chat.id, cid.id, role=role)
        assert (error.value.entity, error.value.id) == ("user", cid.id)
    assert cid.id not in roles_in(chat)
    # Whom one has blocked oneself is added, and others add whom they may.
    sdk.block_user(ann.id, cid.id)
    sdk.add_member(ann.id, chat.id, cid.id)
    # Who is there already was not pulled in by this call.
    assert sdk.add_member(ben.id, chat.id, cid.id).user_id == cid.id
    sdk.leave_chat(cid.id, chat.id)
    sdk.unblock_user(cid.id, ben.id)
    assert sdk.add_member(ben.id, chat.id, cid.id).user_id == cid.id


def test_strangers_add_nobody_and_nobody_unknown_is_added() -> None:
    ann, ben, eve = make_users(3)
    chat = make_chat(ann, ben)
    sdk.leave_chat(ben.id, chat.id)
    for actor in (ben, eve):
        with pytest.raises(sdk.NotFound) as error:
            sdk.add_member(actor.id, chat.id, eve.id)
        assert error.value.entity == "chat"
    with pytest.raises(sdk.NotFound) as unknown:
        sdk.add_member(ann.id, chat.id, "no-such-user")
    assert (unknown.value.entity, unknown.value.id) == ("user", "no-such-user")
    assert roles_in(chat) == {ann.id: sdk.MemberRole.OWNER}


def test_private_chats_have_no_changes_of_members() -> None:
    ann, ben, cid = make_users(3)
    private = make_chat(ann, ben, type=sdk.ChatType.PRIVATE)
    with pytest.raises(sdk.NotAllowed):
        sdk.add_member(ann.id, private.id, cid.id)
    with pytest.raises(sdk.NotAllowed):
        sdk.remove_member(ann.id, private.id, ben.id)
    for user in (ann, ben):
        with pytest.raises(sdk.NotAllowed):
            sdk.leave_chat(user.id, private.id)
    assert len(roles_in(private)) == 2


def test_nobody_is_added_as_owner() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    for role in (sdk.MemberRole.OWNER, "KING", None):
        with pytest.raises(sdk.InvalidInput) as error:
            sdk.add_member(ann.id, chat.id, ben.id, role=role)  # type: ignore[arg-type]
        assert error.value.field == "role"


def test_a_new_member_joins_after_all_that_was_written() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    ahead = insert_message(ann, chat, created_at=utc_now() + timedelta(seconds=50))
    assert sdk.add_member(ann.id, chat.id, ben.id).joined_at > ahead.created_at
    assert listed(ben, chat) == [ahead.id]


def test_an_error_leaves_the_callers_transaction_usable() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    with sdk.transaction():
        for wrong in ("", None, "\x00", "\ud800", 5):
            with pytest.raises(sdk.InvalidInput):
                sdk.add_member(ann.id, chat.id, wrong)  # type: ignore[arg-type]
            with pytest.raises(sdk.InvalidInput):
                sdk.remove_member(ann.id, wrong, ben.id)  # type: ignore[arg-type]
            with pytest.raises(sdk.InvalidInput):
                sdk.leave_chat(wrong, chat.id)  # type: ignore[arg-type]
        with pytest.raises(sdk.NotFound):
            sdk.add_member(ann.id, chat.id, "no-such-user")
        with pytest.raises(sdk.NotAllowed):
            sdk.remove_member(ann.id, chat.id, ann.id)
        sdk.add_member(ann.id, chat.id, ben.id)
    assert ben.id in roles_in(chat)


# --- remove_member ---


def test_an_admin_removes_members_and_the_owner_anybody_else(engine: str) -> None:
    ann, ben, cid, dan = make_users(4)
    chat = make_chat(ann, cid, dan)
    sdk.add_member(ann.id, chat.id, ben.id, role=sdk.MemberRole.ADMIN)
    with statements(2 if engine == "sqlite" else 1):
        assert sdk.remove_member(ben.id, chat.id, cid.id) is True
    assert sdk.remove_member(ben.id, chat.id, cid.id) is False
    for actor, removed in ((ben, ann), (ben, ben), (ann, ann), (dan, ben), (dan, dan)):
        with pytest.raises(sdk.NotAllowed):
            sdk.remove_member(actor.id, chat.id, removed.id)
    assert sdk.remove_member(ann.id, chat.id, ben.id) is True
    assert roles_in(chat) == {ann.id: sdk.MemberRole.OWNER, dan.id: sdk.MemberRole.MEMBER}


def test_strangers_remove_nobody() -> None:
    ann, ben, eve = make_users(3)
    chat = make_chat(ann, ben)
    with pytest.raises(sdk.NotFound):
        sdk.remove_member(eve.id, chat.id, ben.id)
    with pytest.raises(sdk.NotFound):
        sdk.remove_member(ann.id, make_chat(eve).id, eve.id)
    assert sdk.remove_member(ann.id, chat.id, "no-such-user") is False
    assert ben.id in roles_in(chat)


def test_what_a_removed_member_wrote_stays_and_the_chat_is_gone_for_them() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ben, chat)
    sdk.pin_message(ben.id, chat.id, message.id)
    sdk.mute_chat(ben.id, chat.id)
    sdk.remove_member(ann.id, chat.id, ben.id)
    assert listed(ann, chat) == [message.id]
    assert sdk.list_chats(ben.id) == []
    assert sdk.list_pinned_messages(ben.id) == []
    gone: Any
    for gone in (sdk.get_chat_settings, sdk.list_members, sdk.list_messages):
        with pytest.raises(sdk.NotFound):
            gone(ben.id, chat.id)
    sdk.add_member(ann.id, chat.id, ben.id)
    assert [pin.message_id for pin in sdk.list_pinned_messages(ben.id)] == [message.id]
    assert sdk.get_chat_settings(ben.id, chat.id).is_muted


# --- leave_chat ---


def test_leaving_twice_is_leaving_once(engine: str) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    with statements(3 if engine == "sqlite" else 1):
        assert sdk.leave_chat(ben.id, chat.id) is True
    assert sdk.leave_chat(ben.id, chat.id) is False
    assert sdk.leave_chat(ben.id, "no-such-chat") is False
    assert roles_in(chat) == {ann.id: sdk.MemberRole.OWNER}


def test_when_the_owner_leaves_the_longest_standing_admin_becomes_owner(engine: str) -> None:
    ann, ben, cid, dan = make_users(4)
    chat = make_chat(ann, ben)
    for user in (cid, dan):
        sdk.add_member(ann.id, chat.id, user.id, role=sdk.MemberRole.ADMIN)
    with statements(3 if engine == "sqlite" else 1):
        sdk.leave_chat(ann.id, chat.id)
    assert roles_in(chat) == {
        ben.id: sdk.MemberRole.MEMBER,
        cid.id: sdk.MemberRole.OWNER,
        dan.id: sdk.MemberRole.ADMIN,
    }


def test_without_admins_the_longest_standing_member_becomes_owner() -> None:
    ann, ben, cid = make_users(3)
    chat = insert_chat(ann, joined_at=LONG_AGO)
    for user, second in ((ben, 2), (cid, 1)):
        sdk.ChatMember.create(user=user, chat=chat, joined_at=after(second))
    sdk.leave_chat(ann.id, chat.id)
    assert roles_in(chat) == {ben.id: sdk.MemberRole.MEMBER, cid.id: sdk.MemberRole.OWNER}


def test_an_owner_who_comes_back_is_a_member() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ben, chat)
    sdk.leave_chat(ann.id, chat.id)
    sdk.add_member(ben.id, chat.id, ann.id)
    assert roles_in(chat) == {ann.id: sdk.MemberRole.MEMBER, ben.id: sdk.MemberRole.OWNER}
    with pytest.raises(sdk.NotAllowed):
        sdk.delete_message(ann.id, chat.id, message.id)


@pytest.mark.parametrize("type", [sdk.ChatType.GROUP, sdk.ChatType.CHANNEL])
def test_with_the_last_one_the_chat_is_deleted(type: sdk.ChatType) -> None:
    ann, ben = make_users(2)
    chat, other = make_chat(ann, ben, type=type), make_chat(ann)
    message = make_message(ann, chat)
    sdk.pin_message(ben.id, chat.id, message.id)
    assert sdk.leave_chat(ann.id, chat.id) is True
    assert sdk.Message.select().count() == 1
    assert sdk.leave_chat(ann.id, chat.id) is False
    assert sdk.leave_chat(ben.id, chat.id) is True
    assert [row.id for row in sdk.Chat.select()] == [other.id]
    for model in (sdk.Message, sdk.PinnedMessage, sdk.ChatSettings):
        assert model.select().count() == 0
    assert sdk.leave_chat(ben.id, chat.id) is False
    with pytest.raises(sdk.NotFound):
        sdk.list_messages(ben.id, chat.id)


def test_a_private_chat_is_left_once_the_other_is_gone() -> None:
    ann, ben, cid = make_users(3)
    private = make_chat(ann, ben, type=sdk.ChatType.PRIVATE)
    other = make_chat(cid, ben, type=sdk.ChatType.PRIVATE)
    sdk.delete_user(ben.id)
    assert sdk.leave_chat(ann.id, private.id) is True
    assert sdk.leave_chat(ann.id, private.id) is False
    assert (sdk.list_chats(ann.id), roles_in(private)) == ([], {})
    assert [row.id for row in sdk.Chat.select()] == [other.id]
    assert sdk.delete_chat(cid.id, other.id) is True


# --- list_members ---


def test_members_are_listed_in_one_statement_the_latest_to_join_first() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann)
    for user in (ben, cid):
        sdk.add_member(ann.id, chat.id, user.id)
    with statements(1):
        members = sdk.list_members(ben.id, chat.id)
    assert [member.profile.id for member in members] == [cid.id, ben.id, ann.id]
    assert [member.role for member in members] == ["MEMBER", "MEMBER", "OWNER"]
    assert all(member.joined_at.tzinfo is UTC for member in members)


def test_profiles_are_what_the_viewer_may_see() -> None:
    ann, ben, cid = make_users(3)
    sdk.User.update(avatar="face.png").execute()
    chat = make_chat(ann, ben, cid)
    sdk.update_privacy(ann.id, show_profile_photo=False, show_last_seen=False)
    sdk.block_user(cid.id, ben.id)
    seen = {member.profile.id: member.profile for member in sdk.list_members(ben.id, chat.id)}
    assert (seen[ann.id].avatar, seen[ann.id].last_seen) == (None, None)
    assert seen[ann.id].status is not None
    assert (seen[cid.id].avatar, seen[cid.id].status, seen[cid.id].last_seen) == (None,) * 3
    assert seen[ben.id].avatar == "face.png"


def test_only_members_see_members() -> None:
    ann, ben, eve = make_users(3)
    chat = make_chat(ann, ben)
    sdk.leave_chat(ben.id, chat.id)
    for user in (ben, eve):
        with pytest.raises(sdk.NotFound):
            sdk.list_members(user.id, chat.id)


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_show_every_member_once_though_all_joined_at_the_same_time(limit: int) -> None:
    ann, *others = make_users(7)
    chat = make_chat(ann, *others)
    page = sdk.list_members(ann.id, chat.id, limit=limit)
    ids = [member.profile.id for member in page]
    while page.next_cursor:
        sdk.add_member(ann.id, chat.id, make_user().id)
        page = sdk.list_members(ann.id, chat.id, limit=limit, cursor=page.next_cursor)
        ids += [member.profile.id for member in page]
    assert sorted(ids) == sorted(user.id for user in (ann, *others))


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": 101}, {"limit": "1"}, {"cursor": "x"}, {"cursor": 1}], ids=str
)
def test_what_cannot_be_a_page_is_refused(wrong: dict[str, Any]) -> None:
    ann = make_user()
    chat = make_chat(ann)
    with statements(0), pytest.raises(sdk.InvalidInput):
        sdk.list_members(ann.id, chat.id, **wrong)

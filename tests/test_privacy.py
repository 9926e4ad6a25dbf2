"""Privacy, and the profiles that it shapes wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import stogram_sdk as sdk
from tests.support.factories import after, make_chat, make_user, make_users, statements

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def owner(engine: str) -> sdk.User:
    user = make_user("olga", display_name="Ольга")
    sdk.User.update(
        avatar="https://x/photo.png", bio="bio", status=sdk.UserStatus.AWAY, last_seen=after(0)
    ).where(sdk.User.id == user.id).execute()
    return sdk.get_user(user.id)


@pytest.fixture
def viewer(engine: str) -> sdk.User:
    return make_user("viewer")


def whole(owner: sdk.User) -> sdk.Profile:
    return sdk.Profile(
        owner.id, "olga", "Ольга", "bio", "https://x/photo.png", sdk.UserStatus.AWAY, after(0)
    )


def hidden(owner: sdk.User) -> sdk.Profile:
    return sdk.Profile(owner.id, "olga", "Ольга", "bio", None, None, None)


# --- What a user lets others see ---


def test_everything_is_shown_at_first(owner: sdk.User) -> None:
    assert sdk.get_privacy(owner.id) == sdk.Privacy(True, True, True)


def test_what_is_not_given_stays(owner: sdk.User) -> None:
    assert sdk.update_privacy(owner.id, show_last_seen=False) == sdk.Privacy(True, True, False)
    assert sdk.update_privacy(owner.id) == sdk.Privacy(True, True, False)
    changed = sdk.update_privacy(owner.id, show_online_status=False, show_last_seen=True)
    assert changed == sdk.get_privacy(owner.id) == sdk.Privacy(False, True, True)


def test_the_privacy_of_others_stays(owner: sdk.User, viewer: sdk.User) -> None:
    sdk.update_privacy(owner.id, show_profile_photo=False)
    assert sdk.get_privacy(viewer.id) == sdk.Privacy(True, True, True)


@pytest.mark.parametrize("call", [sdk.get_privacy, sdk.update_privacy])
def test_an_unknown_user_has_no_privacy(call: Callable[[str], object]) -> None:
    with pytest.raises(sdk.NotFound, match="no such user"):
        call("nobody")


# --- Profiles ---


def test_a_profile_is_whole_unless_its_owner_hides_something(
    owner: sdk.User, viewer: sdk.User
) -> None:
    assert sdk.visible_profiles(viewer.id, [owner.id]) == [whole(owner)]


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("show_online_status", "status"),
        ("show_profile_photo", "avatar"),
        ("show_last_seen", "last_seen"),
    ],
)
def test_each_setting_hides_its_field_from_all_but_the_owner(
    owner: sdk.User, viewer: sdk.User, setting: str, field: str
) -> None:
    sdk.update_privacy(owner.id, **{setting: False})
    (profile,) = sdk.visible_profiles(viewer.id, [owner.id])
    assert profile._asdict() == whole(owner)._asdict() | {field: None}
    assert sdk.visible_profiles(owner.id, [owner.id]) == [whole(owner)]


def test_who_is_blocked_does_not_see_status_photo_and_last_seen(
    owner: sdk.User, viewer: sdk.User
) -> None:
    sdk.block_user(owner.id, viewer.id)
    assert sdk.visible_profiles(viewer.id, [owner.id]) == [hidden(owner)]
    assert sdk.visible_profiles(make_user().id, [owner.id]) == [whole(owner)]
    sdk.unblock_user(owner.id, viewer.id)
    assert sdk.visible_profiles(viewer.id, [owner.id]) == [whole(owner)]


def test_who_blocks_still_sees_the_other(owner: sdk.User, viewer: sdk.User) -> None:
    sdk.block_user(viewer.id, owner.id)
    assert sdk.visible_profiles(viewer.id, [owner.id]) == [whole(owner)]


def test_profiles_come_in_the_order_asked_for_each_once_in_one_statement(viewer: sdk.User) -> None:
    ids = [user.id for user in make_users(20)]
    asked = [*reversed(ids), "nobody", *ids, viewer.id]
    with statements(1):
        profiles = sdk.visible_profiles(viewer.id, asked)
    assert [profile.id for profile in profiles] == [*reversed(ids), viewer.id]
    assert sdk.visible_profiles(viewer.id, iter(ids[:2])) == [profiles[19], profiles[18]]
    assert sdk.visible_profiles(viewer.id, []) == []


# --- Wherever profiles are shown ---


def _in_members(owner: sdk.User, viewer: sdk.User) -> sdk.Profile:
    chat = make_chat(owner, viewer)
    members = sdk.list_members(viewer.id, chat.id)
    return next(member.profile for member in members if member.profile.id == owner.id)


def _in_chats(owner: sdk.User, viewer: sdk.User) -> sdk.Profile | None:
    sdk.open_private_chat(viewer.id, owner.id)
    return sdk.list_chats(viewer.id)[0].peer


def _in_blocked_users(owner: sdk.User, viewer: sdk.User) -> sdk.Profile:
    sdk.block_user(viewer.id, owner.id)
    return sdk.list_blocked_users(viewer.id)[0]


@pytest.mark.parametrize("shown", [_in_members, _in_chats, _in_blocked_users])
def test_lists_show_the_same_profile(
    owner: sdk.User, viewer: sdk.User, shown: Callable[[sdk.User, sdk.User], sdk.Profile | None]
) -> None:
    assert shown(owner, viewer) == whole(owner)
    sdk.block_user(owner.id, viewer.id)
    assert shown(owner, viewer) == hidden(owner)

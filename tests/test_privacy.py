"""Privacy, and the profiles that it shapes wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import stogram_sdk
from stogram_sdk import NotFound, Privacy, Profile, User, UserStatus
from tests.factories import after, make_chat, make_user, make_users, statements

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def owner(engine: str) -> User:
    user = make_user("olga", display_name="Ольга")
    User.update(
        avatar="https://x/photo.png", bio="bio", status=UserStatus.AWAY, last_seen=after(0)
    ).where(User.id == user.id).execute()
    return stogram_sdk.get_user(user.id)


@pytest.fixture
def viewer(engine: str) -> User:
    return make_user("viewer")


def whole(owner: User) -> Profile:
    return Profile(
        owner.id, "olga", "Ольга", "bio", "https://x/photo.png", UserStatus.AWAY, after(0)
    )


def hidden(owner: User) -> Profile:
    return Profile(owner.id, "olga", "Ольга", "bio", None, None, None)


# --- What a user lets others see ---


def test_everything_is_shown_at_first(owner: User) -> None:
    assert stogram_sdk.get_privacy(owner.id) == Privacy(True, True, True)


def test_what_is_not_given_stays(owner: User) -> None:
    assert stogram_sdk.update_privacy(owner.id, show_last_seen=False) == Privacy(True, True, False)
    assert stogram_sdk.update_privacy(owner.id) == Privacy(True, True, False)
    changed = stogram_sdk.update_privacy(owner.id, show_online_status=False, show_last_seen=True)
    assert changed == stogram_sdk.get_privacy(owner.id) == Privacy(False, True, True)


def test_the_privacy_of_others_stays(owner: User, viewer: User) -> None:
    stogram_sdk.update_privacy(owner.id, show_profile_photo=False)
    assert stogram_sdk.get_privacy(viewer.id) == Privacy(True, True, True)


@pytest.mark.parametrize("call", [stogram_sdk.get_privacy, stogram_sdk.update_privacy])
def test_an_unknown_user_has_no_privacy(call: Callable[[str], object]) -> None:
    with pytest.raises(NotFound, match="no such user"):
        call("nobody")


# --- Profiles ---


def test_a_profile_is_whole_unless_its_owner_hides_something(owner: User, viewer: User) -> None:
    assert stogram_sdk.visible_profiles(viewer.id, [owner.id]) == [whole(owner)]


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("show_online_status", "status"),
        ("show_profile_photo", "avatar"),
        ("show_last_seen", "last_seen"),
    ],
)
def test_each_setting_hides_its_field_from_all_but_the_owner(
    owner: User, viewer: User, setting: str, field: str
) -> None:
    stogram_sdk.update_privacy(owner.id, **{setting: False})
    (profile,) = stogram_sdk.visible_profiles(viewer.id, [owner.id])
    assert profile._asdict() == whole(owner)._asdict() | {field: None}
    assert stogram_sdk.visible_profiles(owner.id, [owner.id]) == [whole(owner)]


def test_who_is_blocked_does_not_see_status_photo_and_last_seen(owner: User, viewer: User) -> None:
    stogram_sdk.block_user(owner.id, viewer.id)
    assert stogram_sdk.visible_profiles(viewer.id, [owner.id]) == [hidden(owner)]
    assert stogram_sdk.visible_profiles(make_user().id, [owner.id]) == [whole(owner)]
    stogram_sdk.unblock_user(owner.id, viewer.id)
    assert stogram_sdk.visible_profiles(viewer.id, [owner.id]) == [whole(owner)]


def test_who_blocks_still_sees_the_other(owner: User, viewer: User) -> None:
    stogram_sdk.block_user(viewer.id, owner.id)
    assert stogram_sdk.visible_profiles(viewer.id, [owner.id]) == [whole(owner)]


def test_profiles_come_in_the_order_asked_for_each_once_in_one_statement(viewer: User) -> None:
    ids = [user.id for user in make_users(20)]
    asked = [*reversed(ids), "nobody", *ids, viewer.id]
    with statements(1):
        profiles = stogram_sdk.visible_profiles(viewer.id, asked)
    assert [profile.id for profile in profiles] == [*reversed(ids), viewer.id]
    assert stogram_sdk.visible_profiles(viewer.id, iter(ids[:2])) == [profiles[19], profiles[18]]
    assert stogram_sdk.visible_profiles(viewer.id, []) == []


# --- Wherever profiles are shown ---


def _in_members(owner: User, viewer: User) -> Profile:
    chat = make_chat(owner, viewer)
    members = stogram_sdk.list_members(viewer.id, chat.id)
    return next(member.profile for member in members if member.profile.id == owner.id)


def _in_chats(owner: User, viewer: User) -> Profile | None:
    stogram_sdk.open_private_chat(viewer.id, owner.id)
    return stogram_sdk.list_chats(viewer.id)[0].peer


def _in_blocked_users(owner: User, viewer: User) -> Profile:
    stogram_sdk.block_user(viewer.id, owner.id)
    return stogram_sdk.list_blocked_users(viewer.id)[0]


@pytest.mark.parametrize("shown", [_in_members, _in_chats, _in_blocked_users])
def test_lists_show_the_same_profile(
    owner: User, viewer: User, shown: Callable[[User, User], Profile | None]
) -> None:
    assert shown(owner, viewer) == whole(owner)
    stogram_sdk.block_user(owner.id, viewer.id)
    assert shown(owner, viewer) == hidden(owner)

"""What a user shows of themselves, and what others see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from peewee import SQL, Query, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import NotFound
from stogram_sdk.models import User
from stogram_sdk.operations import operation
from stogram_sdk.profiles import Profile, read_profile, with_profiles
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.validation import UNSET, Unset, valid_flag, valid_id, valid_ids

_SETTINGS = (User.show_online_status, User.show_profile_photo, User.show_last_seen)


class Privacy(NamedTuple):
    """What a user lets others see."""

    show_online_status: bool
    show_profile_photo: bool
    show_last_seen: bool


@statement
def _get_privacy() -> Query:
    return User.select(*_SETTINGS).where(User.id == P.user_id)


@statement
def _update_privacy() -> Query:
    changes = {field: fn.COALESCE(getattr(P, field.name), field) for field in _SETTINGS}
    return (
        User.update(changes | {User.updated_at: P.now})
        .where(User.id == P.user_id)
        .returning(*_SETTINGS)
    )


@statement
def _visible_profiles() -> Any:
    users = User.select(SQL("1")).where(dialect().is_one_of(User.id, P.user_ids))
    return with_profiles(users, User, P.viewer_id)


@operation(reads=True)
def get_privacy(user_id: str) -> Privacy:
    """What the user lets others see. Raises `NotFound`, `InvalidInput`.

    >>> get_privacy(anna.id)
    Privacy(show_online_status=True, show_profile_photo=True, show_last_seen=True)
    """
    user: User | None = _get_privacy.first(user_id=valid_id(user_id, "user_id"))
    return _privacy(user, user_id)


@operation
def update_privacy(
    user_id: str,
    *,
    show_online_status: bool | Unset = UNSET,
    show_profile_photo: bool | Unset = UNSET,
    show_last_seen: bool | Unset = UNSET,
) -> Privacy:
    """Change what the user lets others see; what is not given stays.

    Returns all three as they are now. Raises `NotFound`, `InvalidInput`.

    >>> update_privacy(anna.id, show_last_seen=False).show_last_seen
    False
    """
    given = {
        "show_online_status": show_online_status,
        "show_profile_photo": show_profile_photo,
        "show_last_seen": show_last_seen,
    }
    user: User | None = _update_privacy.first(
        user_id=valid_id(user_id, "user_id"),
        now=current_time(),
        **{
            name: None if value is UNSET else valid_flag(value, name)
            for name, value in given.items()
        },
    )
    return _privacy(user, user_id)


@operation(reads=True)
def visible_profiles(viewer_id: str, user_ids: Iterable[str]) -> list[Profile]:
    """The profiles of these users as the viewer may see them.

    They come in the order asked for. Each user comes once, and unknown ids are left out. Photo,
    status and last seen are None where the owner hides them or has blocked the viewer; one's own
    profile is whole. Raises `InvalidInput`, also for more than 10,000 ids.

    >>> [profile.display_name for profile in visible_profiles(boris.id, [anna.id])]
    ['Anna']
    """
    valid_id(viewer_id, "viewer_id")
    ids = valid_ids(user_ids, "user_ids")
    rows = _visible_profiles.all(viewer_id=viewer_id, user_ids=ids)
    profiles = {profile.id: profile for profile in map(read_profile, rows)}
    return [profiles[user_id] for user_id in ids if user_id in profiles]


def _privacy(user: User | None, user_id: str) -> Privacy:
    if user is None:
        raise NotFound("user", user_id)
    return Privacy(user.show_online_status, user.show_profile_photo, user.show_last_seen)

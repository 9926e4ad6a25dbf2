"""What one user sees of another."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from peewee import Case

from stogram_sdk.fields import time_from_database
from stogram_sdk.models import User, UserStatus
from stogram_sdk.visibility import has_blocked

PROFILE_WIDTH = 7


class Profile(NamedTuple):
    """A user as a viewer may see them; `None` also stands for what is hidden from the viewer."""

    id: str
    username: str
    display_name: str | None
    bio: str | None
    avatar: str | None
    status: UserStatus | None
    last_seen: datetime | None


def profile_columns(user: Any, viewer_id: Any) -> list[Any]:
    """What to select so that `read_profile` can make a `Profile` of the last columns of a row.

    Photo, status and last seen are hidden by the owner's settings and from everybody whom the
    owner has blocked; one's own profile is whole.
    """

    def shown(column: Any, is_shown: Any) -> Any:
        seen = (user.id == viewer_id) | (is_shown & ~has_blocked(user.id, viewer_id))
        return Case(None, [(seen, column)])

    return [
        user.id.alias("profile_id"),
        user.username.alias("profile_username"),
        user.display_name.alias("profile_display_name"),
        user.bio.alias("profile_bio"),
        shown(user.avatar, user.show_profile_photo),
        shown(user.status, user.show_online_status),
        shown(user.last_seen, user.show_last_seen),
    ]


def read_profile(row: tuple[Any, ...]) -> Profile:
    id, username, display_name, bio, avatar, status, last_seen = row[-PROFILE_WIDTH:]
    shown_status = User.status.python_value(status)  # type: ignore[no-untyped-call]  # stubs
    seen = time_from_database(last_seen)
    return Profile(id, username, display_name, bio, avatar, shown_status, seen)

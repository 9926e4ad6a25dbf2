"""What one user sees of another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from peewee import JOIN, Case, Select, Tuple

from stogram_sdk.fields import time_from_database
from stogram_sdk.models import BlockedUser, User, UserStatus
from stogram_sdk.statements import P

_status_of = User.status.python_value


class Profile(NamedTuple):
    """A user as the viewer may see them; a value that is hidden from the viewer is `None`."""

    id: str
    username: str
    display_name: str | None
    bio: str | None
    avatar: str | None
    status: UserStatus | None
    last_seen: datetime | None


def with_profiles(query: Any, user: Any, viewer_id: Any = P.user_id) -> Any:
    """The query with more columns, of which `read_profile` makes a `Profile` of the `user` in it.

    Photo, status and last seen are hidden by the owner's settings and from everybody whom the
    owner has blocked; one's own profile is whole.
    """
    block = BlockedUser.alias()
    is_block = (block.user == user.id) & (block.blocked == viewer_id)

    def shown(column: Any, is_shown: Any) -> Any:
        seen = (user.id == viewer_id) | (is_shown & block.id.is_null())
        return Case(None, [(seen, column)])

    return query.join(block, JOIN.LEFT_OUTER, on=is_block).select_extend(
        user.id.alias("profile_id"),
        user.username.alias("profile_username"),
        user.display_name.alias("profile_display_name"),
        user.bio.alias("profile_bio"),
        shown(user.avatar, user.show_profile_photo),
        shown(user.status, user.show_online_status),
        shown(user.last_seen, user.show_last_seen),
    )


def known_people(model: Any, known: str, *columns: str) -> Any:
    """A page of what the user has noted of others: rows of the model, the newest first.

    A row has its id, its time, these columns, and the profile of whom its column `known` names.
    """
    each, shown = model.alias(), model.alias("page")
    columns = "id", "created_at", *columns
    page = (
        each.select(*(getattr(each, name) for name in (*columns, known)))
        .where(
            each.user == P.user_id,
            Tuple(each.created_at, each.id) < Tuple(P.before, P.before_id),
        )
        .order_by(each.created_at.desc(), each.id.desc())
        .limit(P.limit)
        .alias("page")
    )
    people = Select([page], [getattr(shown, name) for name in columns])
    people = people.join(User, on=(User.id == getattr(shown, known)))
    return with_profiles(people, User).order_by(shown.created_at.desc(), shown.id.desc())


def read_profile(row: Sequence[Any]) -> Profile:
    """The profile at the end of a row of `with_profiles`."""
    id, username, display_name, bio, avatar, status, last_seen = row[-len(Profile._fields) :]
    shown = status and _status_of(status)  # type: ignore[no-untyped-call]  # stubs
    seen = time_from_database(last_seen)
    return Profile(id, username, display_name, bio, avatar, shown, seen)

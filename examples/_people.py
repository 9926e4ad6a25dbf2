"""People for the examples."""

import uuid

from stogram_sdk import User, create_user


def new_user(name: str) -> User:
    """A new user; the username is never taken, so that an example can be run again and again."""
    username = f"{name.lower()}_{uuid.uuid4().hex[:8]}"
    return create_user(
        f"{username}@example.com",
        username,
        password_hash="the service's hash, never the password",
        display_name=name,
    )

"""Accounts."""

from __future__ import annotations

import re
from typing import Any

from peewee import Query, Select, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import AlreadyExists, InvalidInput, NotFound
from stogram_sdk.models import User, new_id
from stogram_sdk.operations import operation
from stogram_sdk.rows import ACCOUNT
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.validation import (
    MAX_SHORT_TEXT_LENGTH,
    valid_id,
    valid_optional_text,
    valid_text,
)

_USERNAME = r"[A-Za-z0-9_]{3,30}"
_EMAIL = r"[^@\s]+@[^@\s]+"


@statement
def _create_user() -> Any:
    taken, with_email = User.alias(), User.alias()
    columns = {
        User.id: P.id,
        User.email: P.email,
        User.username: P.username,
        User.password: P.password_hash,
        User.display_name: P.display_name,
        User.last_seen: P.now,
        User.created_at: P.now,
        User.updated_at: P.now,
    }
    new = Select(columns=list(columns.values())).where(
        ~fn.EXISTS(
            taken.select(taken.id).where(dialect().lower_ascii(taken.username) == P.username_key)
        ),
        ~fn.EXISTS(
            with_email.select(with_email.id).where(
                dialect().lower_ascii(with_email.email) == P.email_key
            )
        ),
    )
    insert = User.insert_from(new, list(columns)).on_conflict("nothing").returning(*ACCOUNT)
    # Locks on the names: the unique indexes would let two calls make `Ivan` and `ivan`. All callers
    # take the one on the address first, so that none waits for another that waits for it.
    locks = (dialect().lock_name(name) for name in (P.email_key, P.username_key))
    return after_locking(insert, *locks)


@statement
def _find_by_email() -> Query:
    same = dialect().lower_ascii(User.email) == P.email_key
    exact_first = (User.email == P.email).desc()
    return User.select().where(same).order_by(exact_first, User.created_at, User.id).limit(1)


@statement
def _get_user() -> Query:
    return User.select().where(User.id == P.user_id)


@statement
def _known_users() -> Query:
    return User.select(User.id).where(dialect().is_one_of(User.id, P.user_ids))


@statement
def _find_user() -> Query:
    same = dialect().lower_ascii(User.username) == P.username_key
    exact_first = (User.username == P.username).desc()
    return User.select().where(same).order_by(exact_first, User.created_at, User.id).limit(1)


@operation(repeatable=False)
def create_user(
    email: str, username: str, *, password_hash: str, display_name: str | None = None
) -> User:
    """Make an account. `password_hash` is stored as it is, so the caller hashes the password.

    The username has 3 to 30 of `A-Za-z0-9_`. No two usernames may differ by the case of A-Z only,
    and no two addresses. Returns the row, without the secrets of the account. Raises
    `AlreadyExists` (its `field` says whether e-mail or username is taken), `InvalidInput`.

    >>> user = create_user("oleg@example.com", "oleg", password_hash="argon2id...")
    >>> user.username
    'oleg'
    """
    valid_text(email, "email", maximum=254)
    if not re.fullmatch(_EMAIL, email):
        raise InvalidInput("email must look like name@host", field="email")
    valid_text(username, "username", maximum=30)
    if not re.fullmatch(_USERNAME, username):
        raise InvalidInput(
            "username must be 3 to 30 of the characters A-Z a-z 0-9 _", field="username"
        )
    valid_text(password_hash, "password_hash", maximum=MAX_SHORT_TEXT_LENGTH)
    valid_optional_text(display_name, "display_name", maximum=MAX_SHORT_TEXT_LENGTH)
    user: User | None = _create_user.first(
        id=new_id(),
        email=email,
        email_key=lower_ascii(email),
        username=username,
        username_key=username.lower(),
        password_hash=password_hash,
        display_name=display_name,
        now=current_time(),
    )
    if user is None:
        taken = _find_by_email.first(email=email, email_key=lower_ascii(email))
        field = "username" if taken is None else "email"
        raise AlreadyExists("user", field)
    return user


@operation(reads=True)
def get_user(user_id: str) -> User:
    """The whole account with this id: for the service, which must not show it to others.

    That includes the password hash, which a login needs, the e-mail, the token and the push
    subscription.

    Raises `NotFound`, `InvalidInput`.

    >>> get_user(anna.id).email
    'anna@example.com'
    """
    user: User | None = _get_user.first(user_id=valid_id(user_id, "user_id"))
    if user is None:
        raise NotFound("user", user_id)
    return user


@operation(reads=True)
def find_user(username: str) -> User | None:
    """The whole account with this username in any case of A-Z, as `get_user` returns it, or None.

    The server may have made two that differ by case only. Then the one that is written exactly so
    is returned, or else the older one. Raises `InvalidInput`.

    >>> find_user("BORIS").username
    'boris'
    >>> find_user("nobody") is None
    True
    """
    valid_text(username, "username", maximum=MAX_SHORT_TEXT_LENGTH)
    user: User | None = _find_user.first(username=username, username_key=lower_ascii(username))
    return user


@operation
def find_user_by_email(email: str) -> User | None:
    """The whole account with this address in any case of A-Z, as `get_user` returns it, or None.

    Of two that the server has made, the one that is written exactly so is returned, or else the
    older one. Raises `InvalidInput`.

    >>> find_user_by_email("BORIS@example.com").username
    'boris'
    """
    valid_text(email, "email", maximum=MAX_SHORT_TEXT_LENGTH)
    user: User | None = _find_by_email.first(email=email, email_key=lower_ascii(email))
    return user


def lower_ascii(text: str) -> str:
    """The text with A-Z in lower case, as `Dialect.lower_ascii` has it."""
    return re.sub("[A-Z]+", lambda letters: letters[0].lower(), text)


def require_users(user_ids: list[str]) -> None:
    """Raise `NotFound` for the first of the ids that is no user's."""
    known = {user.id for user in _known_users.all(user_ids=user_ids)}
    for user_id in user_ids:
        if user_id not in known:
            raise NotFound("user", user_id)

"""What a user changes of their account, and its end."""

from __future__ import annotations

from typing import Any

from peewee import Query, Tuple, fn

from stogram_sdk.database import current_time
from stogram_sdk.errors import InvalidInput, NotFound
from stogram_sdk.models import Chat, ChatMember, ChatSettings, ChatType, Folder, MemberRole, User
from stogram_sdk.operations import atomic, operation
from stogram_sdk.ordering import chat_lock, folder_lock, lock_out_server, settings_lock, user_lock
from stogram_sdk.roles import has_owner, heir_in
from stogram_sdk.rows import ACCOUNT
from stogram_sdk.statements import P, after_locking, dialect, statement
from stogram_sdk.validation import (
    MAX_CONTENT_LENGTH,
    MAX_SHORT_TEXT_LENGTH,
    UNSET,
    Unset,
    valid_id,
    valid_optional_text,
    valid_text,
)
from stogram_sdk.visibility import has_others

THEMES = ("light", "dark")
#: An entry of the index on tokens holds 2,704 bytes in PostgreSQL, and a character up to four.
MAX_TOKEN_LENGTH = 512


@statement
def _update_user(**given: bool) -> Query:
    """Set the columns of these names."""
    changes = {getattr(User, name): getattr(P, name) for name in given}
    return (
        User.update(changes | {User.updated_at: P.now})
        .where(User.id == P.user_id)
        .returning(*ACCOUNT)
    )


@statement
def _verify_email() -> Query:
    changes: dict[Any, Any] = {User.email_verified: True, User.verification_token: None}
    other = User.alias()
    others = other.select(other.id).where(other.verification_token == P.token, other.id != User.id)
    return (
        User.update(changes | {User.updated_at: P.now})
        .where(User.verification_token == P.token, ~fn.EXISTS(others))
        .returning(*ACCOUNT)
    )


@statement
def _delete_own_chats() -> Any:
    """Delete the chats of nobody else; the caller holds what goes with the user then."""
    mine = ChatMember.alias()
    chats = mine.select(mine.chat).where(mine.user == P.user_id)
    of_nobody_else = Chat.id.in_(chats) & ~has_others(P.user_id, Chat.id)
    locks = [
        user_lock(User.id == P.user_id),
        folder_lock(Folder.user == P.user_id),
        chat_lock(Chat.id.in_(chats), in_one_chat=False),
    ]
    if not dialect().is_distributed:  # There each server would lock them in an order of its own.
        locks += [
            lock_out_server(User, User.id == P.user_id),
            lock_out_server(Chat, of_nobody_else),
            settings_lock(ChatSettings.id.in_(_settings_that_change())),
        ]
    return after_locking(Chat.delete().where(of_nobody_else), *locks)


def _settings_that_change() -> Any:
    """The user's, those of all for the chats that are deleted, and those that name a folder."""
    own, left, filed = (ChatSettings.alias() for _ in range(3))
    mine, folder = ChatMember.alias(), Folder.alias()
    deleted = mine.select(mine.chat).where(
        mine.user == P.user_id, ~has_others(P.user_id, mine.chat)
    )
    folders = folder.select(folder.id).where(folder.user == P.user_id)
    of_user = own.select(own.id).where(own.user == P.user_id)
    of_chats = left.select(left.id).where(left.chat.in_(deleted))
    return of_user | of_chats | filed.select(filed.id).where(filed.folder.in_(folders))


@statement
def _hand_over() -> Query:
    """Give each group and channel of the user another owner, unless the server has made several."""
    mine = ChatMember.alias()
    owned = (
        mine.select(mine.chat, heir_in(mine.chat, P.user_id))
        .join(Chat, on=(Chat.id == mine.chat))
        .where(
            mine.user == P.user_id,
            mine.role == MemberRole.OWNER.value,
            Chat.type != ChatType.PRIVATE.value,
            ~has_owner(mine.chat, P.user_id),
        )
    )
    return ChatMember.update({ChatMember.role: MemberRole.OWNER.value}).where(
        Tuple(ChatMember.chat, ChatMember.id).in_(owned)
    )


@statement
def _delete_user() -> Query:
    return User.delete().where(User.id == P.user_id)


@operation
def update_profile(
    user_id: str,
    *,
    display_name: str | Unset | None = UNSET,
    bio: str | Unset | None = UNSET,
    avatar: str | Unset | None = UNSET,
) -> User:
    """Change what others see of a user; what is not given stays, None clears it.

    Returns the account as `create_user` does. Raises `NotFound`, `InvalidInput`.

    >>> update_profile(anna.id, display_name="Anna K.").display_name
    'Anna K.'
    """
    fields = {"display_name": display_name, "bio": bio, "avatar": avatar}
    given = {
        name: valid_optional_text(value, name, maximum=MAX_SHORT_TEXT_LENGTH)
        for name, value in fields.items()
        if value is not UNSET
    }
    return _update(user_id, **given)


@operation
def set_password_hash(user_id: str, *, password_hash: str) -> User:
    """Replace the password hash, which is stored as it is: the caller hashes the password.

    Returns the account as `create_user` does. Raises `NotFound`, `InvalidInput`.

    >>> set_password_hash(anna.id, password_hash="argon2id...").username
    'anna'
    """
    valid_text(password_hash, "password_hash", maximum=MAX_SHORT_TEXT_LENGTH)
    return _update(user_id, password=password_hash)


@operation
def set_theme(user_id: str, theme: str) -> User:
    """Choose the look of the server's own clients: "light" or "dark".

    Returns the account as `create_user` does. Raises `NotFound`, `InvalidInput`.

    >>> set_theme(anna.id, "dark").theme
    'dark'
    """
    valid_text(theme, "theme", maximum=MAX_SHORT_TEXT_LENGTH)
    if theme not in THEMES:
        raise InvalidInput(f"theme must be one of {', '.join(THEMES)}", field="theme")
    return _update(user_id, theme=theme)


@operation
def set_push_subscription(user_id: str, *, subscription: str | None) -> User:
    """Store where push messages go: JSON, as the browser gives it; None if there is none.

    A user has one subscription, the latest. `get_user` returns it. Returns the account as
    `create_user` does. Raises `NotFound`, `InvalidInput`.

    >>> set_push_subscription(anna.id, subscription=None).username
    'anna'
    """
    valid_optional_text(subscription, "subscription", maximum=MAX_CONTENT_LENGTH)
    return _update(user_id, push_subscription=subscription)


@operation
def set_verification_token(user_id: str, *, token: str | None) -> User:
    """Store the token of a mail that asks the user to confirm their address; None for none.

    A user has one token, the latest, of up to 512 characters. Whoever has it can confirm the
    address by `verify_email`, and it does not expire. So make one that nobody can guess, as
    `secrets.token_urlsafe()` does. Returns the account as `create_user` does. Raises `NotFound`,
    `InvalidInput`.

    >>> set_verification_token(anna.id, token="8f14e45f").username
    'anna'
    """
    valid_optional_text(token, "token", maximum=MAX_TOKEN_LENGTH)
    return _update(user_id, verification_token=token)


@operation(repeatable=False)
def verify_email(token: str) -> User | None:
    """Confirm the address of the user who has been sent this token, which is used up then.

    Returns the account as `create_user` does. Returns None if nobody has the token, or if several
    users have it: then nobody knows whose mail has arrived. Raises `InvalidInput`.

    >>> set_verification_token(anna.id, token="8f14e45f").email_verified
    False
    >>> verify_email("8f14e45f").email_verified
    True
    """
    valid_text(token, "token", maximum=MAX_TOKEN_LENGTH)
    user: User | None = _verify_email.first(token=token, now=current_time())
    return user


@operation
def delete_user(user_id: str) -> bool:
    """Delete an account and all that is theirs, also the messages that they have written.

    Their groups and channels go on: each gets the admin who joined first as owner, or else the
    member who joined first. A PRIVATE chat stays with the other member. It keeps that member's
    messages, and has no `peer`. Chats that nobody else is in are deleted. Others see nothing of the
    account any more: an answer to a message of theirs has no `reply_to`, and counts go down. The
    username and the address can be taken again.

    The more messages there are, the longer it takes: `session(statement_timeout=...)` gives it
    time. Returns whether there was such a user. Raises `InvalidInput`.

    >>> delete_user(boris.id)
    True
    >>> [member.profile.username for member in list_members(anna.id, chat.id)]
    ['anna']
    """
    valid_id(user_id, "user_id")
    with atomic():
        _delete_own_chats.run(user_id=user_id)
        _hand_over.run(user_id=user_id)
        return bool(_delete_user.run(user_id=user_id))


def _update(user_id: str, **given: str | None) -> User:
    user: User | None = _update_user.variant(**dict.fromkeys(given, True)).first(
        user_id=valid_id(user_id, "user_id"), now=current_time(), **given
    )
    if user is None:
        raise NotFound("user", user_id)
    return user

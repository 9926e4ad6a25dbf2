"""Accounts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import stogram_sdk as sdk
from tests.support.factories import after, make_user, statements

pytestmark = pytest.mark.usefixtures("engine")


def test_an_account_is_stored_as_it_was_given() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = sdk.create_user(
        "Ivan@Example.com", "Ivan_1", password_hash="$2b$10$hash", display_name="Иван 👋"
    )
    for user in (made, sdk.get_user(made.id)):
        assert (user.email, user.username, user.display_name) == (
            "Ivan@Example.com",
            "Ivan_1",
            "Иван 👋",
        )
        assert before <= user.created_at <= datetime.now(UTC)
        assert user.created_at == user.updated_at == user.last_seen == made.created_at
        assert user.status is sdk.UserStatus.OFFLINE
        assert (user.theme, user.email_verified, user.bio, user.avatar) == (
            "light",
            False,
            None,
            None,
        )
        assert user.show_online_status and user.show_profile_photo and user.show_last_seen
    assert sdk.get_user(made.id).password == "$2b$10$hash"
    with pytest.raises(sdk.NotLoaded):
        _ = made.password


def test_a_username_is_found_in_any_case() -> None:
    ivan = make_user("Ivan_1")
    for username in ("Ivan_1", "ivan_1", "IVAN_1"):
        assert sdk.find_user(username) == ivan
    for username in ("ivan", "ivan_11", "ivan%", "ivan_", "İvan_1", "ıvan_1", "нет"):
        assert sdk.find_user(username) is None


def test_of_usernames_that_differ_by_case_the_exact_one_is_found_then_the_oldest() -> None:
    """The server makes such accounts; this package does not."""
    for seconds, username in enumerate(["IVAN", "Ivan"]):
        sdk.User.create(
            email=username, username=username, password="hash", created_at=after(seconds)
        )
    for username, found in (("Ivan", "Ivan"), ("IVAN", "IVAN"), ("ivan", "IVAN")):
        user = sdk.find_user(username)
        assert user is not None and user.username == found


@pytest.mark.parametrize(
    ("email", "username", "field"),
    [
        ("ivan@example.com", "other", "email"),
        ("other@example.com", "Ivan", "username"),
        ("other@example.com", "iVAN", "username"),
        ("ivan@example.com", "Ivan", "email"),
    ],
)
def test_what_is_taken_is_named_without_its_owner(email: str, username: str, field: str) -> None:
    owner = sdk.create_user("ivan@example.com", "Ivan", password_hash="secret hash")
    with sdk.transaction():
        with pytest.raises(sdk.AlreadyExists) as error:
            sdk.create_user(email, username, password_hash="hash")
        assert sdk.get_user(owner.id) == owner, "the transaction can be used"
    assert (error.value.entity, error.value.field, error.value.id) == ("user", field, None)
    assert str(error.value) == f"user with this {field} already exists"
    assert sdk.User.select().count() == 1


def test_the_error_takes_a_second_statement() -> None:
    make_user("ivan")
    with statements(2), pytest.raises(sdk.AlreadyExists):
        sdk.create_user("new@example.com", "ivan", password_hash="hash")


def test_an_unknown_account_is_not_found() -> None:
    with pytest.raises(sdk.NotFound, match="'nobody'") as error:
        sdk.get_user("nobody")
    assert (error.value.entity, error.value.id) == ("user", "nobody")


@pytest.mark.parametrize("username", ["abc", "a" * 30, "___", "123"])
def test_the_shortest_and_the_longest_username(username: str) -> None:
    assert make_user(username).username == username


@pytest.mark.parametrize("username", ["ab", "a" * 31, "ivan ivanov", "иван", "iván", "ivan\n"])
def test_other_usernames_are_refused(username: str) -> None:
    with pytest.raises(sdk.InvalidInput, match="username"):
        sdk.create_user("a@example.com", username, password_hash="hash")

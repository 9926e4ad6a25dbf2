"""What users change of their accounts, presence, and the end of an account."""

from __future__ import annotations

from datetime import timedelta

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from tests.support.factories import (
    LONG_AGO,
    insert_chat,
    make_chat,
    make_message,
    make_user,
    make_users,
    roles_in,
    set_role,
    statements,
    wrong_counts,
)
from tests.support.second_writer import SecondWriter

S = sdk.UserStatus


def test_a_profile_is_changed_in_part(ivan: sdk.User) -> None:
    with statements(1):
        sdk.update_profile(ivan.id, display_name="Иван", bio="here", avatar="/a.png")
    changed = sdk.update_profile(ivan.id, bio=None)
    assert (changed.display_name, changed.bio, changed.avatar) == ("Иван", None, "/a.png")
    assert sdk.to_dict(sdk.get_user(ivan.id)) == sdk.to_dict(changed)
    assert changed.updated_at >= ivan.updated_at
    with pytest.raises(sdk.NotLoaded):
        _ = changed.password


def test_secrets_are_set_and_only_a_whole_account_has_them(ivan: sdk.User) -> None:
    for row in (
        sdk.set_password_hash(ivan.id, password_hash="new hash"),
        sdk.set_push_subscription(ivan.id, subscription='{"endpoint": "https://push"}'),
        sdk.set_verification_token(ivan.id, token="a token"),
    ):
        assert "password" not in sdk.to_dict(row)
    whole = sdk.get_user(ivan.id)
    assert (whole.password, whole.verification_token) == ("new hash", "a token")
    assert whole.push_subscription == '{"endpoint": "https://push"}'
    sdk.set_push_subscription(ivan.id, subscription=None)
    assert sdk.get_user(ivan.id).push_subscription is None


def test_an_address_is_verified_once_by_the_latest_token(ivan: sdk.User) -> None:
    for token in ("first", "second"):
        sdk.set_verification_token(ivan.id, token=token)
    assert sdk.verify_email("first") is None
    verified = sdk.verify_email("second")
    assert verified == ivan and verified.email_verified
    assert sdk.verify_email("second") is None
    assert sdk.get_user(ivan.id).verification_token is None


def test_a_token_of_two_verifies_nobody(ivan: sdk.User, olga: sdk.User) -> None:
    for user in (ivan, olga):
        sdk.set_verification_token(user.id, token="1234")
    assert sdk.verify_email("1234") is None
    assert not any(sdk.get_user(user.id).email_verified for user in (ivan, olga))
    sdk.set_verification_token(olga.id, token="5678")
    assert sdk.verify_email("1234") == ivan


def test_a_theme_is_one_of_the_servers(ivan: sdk.User) -> None:
    assert sdk.set_theme(ivan.id, "dark").theme == "dark"
    with pytest.raises(sdk.InvalidInput, match="one of light, dark"):
        sdk.set_theme(ivan.id, "blue")


def test_an_account_is_found_by_its_address_in_any_case(engine: str) -> None:
    ivan = make_user("ivan", email="Ivan@Example.com")
    with statements(1):
        assert sdk.find_user_by_email("iVAN@eXAMPLE.COM") == ivan
    found = sdk.find_user_by_email("ivan@example.com")
    assert found is not None and found.password == "not the hash of a password"
    assert sdk.find_user_by_email("ivan@example.co") is None


def test_an_address_is_taken_in_any_case(engine: str) -> None:
    make_user("ivan", email="Ivan@Example.com")
    with pytest.raises(sdk.AlreadyExists) as error:
        make_user("other", email="ivan@example.COM")
    assert error.value.field == "email"


def test_of_two_addresses_the_one_written_so_is_found_else_the_older(engine: str) -> None:
    columns = {"password": "-", "created_at": LONG_AGO}
    old = sdk.User.create(email="A@b", username="old", **columns)
    new = sdk.User.create(email="a@B", username="new", password="-")
    assert [sdk.find_user_by_email(email) for email in ("A@b", "a@B", "a@b")] == [old, new, old]


def test_coming_and_going_set_when_one_was_seen(ivan: sdk.User) -> None:
    def seen_after(status: sdk.UserStatus) -> bool:
        """Whether it sets the time."""
        sdk.User.update(last_seen=LONG_AGO).where(sdk.User.id == ivan).execute()
        with statements(1):
            assert sdk.set_status(ivan.id, status)
        user = sdk.get_user(ivan.id)
        assert user.status == status
        assert user.last_seen == LONG_AGO or user.last_seen == user.updated_at
        return user.last_seen != LONG_AGO

    changes = [S.ONLINE, S.AWAY, S.DO_NOT_DISTURB, S.ONLINE, S.OFFLINE, S.AWAY]
    assert [seen_after(status) for status in changes] == [True, True, False, True, True, False]


def test_a_status_that_is_there_already_writes_nothing(engine: str, ivan: sdk.User) -> None:
    assert sdk.set_status(ivan.id, S.ONLINE)
    before = sdk.get_user(ivan.id)
    with statements(1 if engine == "postgresql" else 2):
        assert not sdk.set_status(ivan.id, S.ONLINE)
    assert sdk.to_dict(sdk.get_user(ivan.id)) == sdk.to_dict(before)
    with pytest.raises(sdk.NotFound):
        sdk.set_status("nobody", S.ONLINE)


def test_presence_writes_rows_beside_the_old_ones(on_postgres: None) -> None:
    """HOT: no index is touched, whichever they are."""
    users = [make_user() for _ in range(20)]
    changed = "SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'User'"
    with sdk.transaction():
        before = current_database().execute_sql(changed).fetchone()
        for user in users:
            sdk.set_status(user.id, S.ONLINE)
        hot, all_of_them = current_database().execute_sql(changed).fetchone()
    assert all_of_them - before[1] == 20 and hot - before[0] >= 15


def test_last_seen_is_of_the_databases_clock(ivan: sdk.User) -> None:
    sdk.set_status(ivan.id, S.ONLINE)
    seen = sdk.get_user(ivan.id).last_seen
    assert seen is not None and abs(seen - ivan.created_at) < timedelta(minutes=1)


# --- The end of an account ---

OWNER, ADMIN, MEMBER = sdk.MemberRole


def test_all_that_is_theirs_goes_with_an_account(ivan: sdk.User, olga: sdk.User) -> None:
    chat = make_chat(olga, ivan)
    theirs, hers = make_message(ivan, chat, "#tag"), make_message(olga, chat)
    answer = make_message(olga, chat, reply_to_id=theirs.id)
    for one, other in ((ivan, olga), (olga, ivan)):
        sdk.add_contact(one.id, other.id)
        sdk.add_reaction(one.id, chat.id, hers.id, "👍")
        sdk.pin_message(one.id, chat.id, theirs.id)
        sdk.create_folder(one.id, "work")
        sdk.mute_chat(one.id, chat.id)
    call, _ = sdk.start_call(ivan.id, chat.id, sdk.CallType.AUDIO)
    sdk.answer_call(olga.id, call.id)
    sdk.block_user(ivan.id, olga.id)
    with statements(3):
        assert sdk.delete_user(ivan.id)
    assert not sdk.delete_user(ivan.id)
    left = {model.__name__: model.select().count() for model in sdk.MODELS}
    assert left == {
        **dict.fromkeys(("User", "Chat", "ChatMember", "Reaction", "Folder", "ChatSettings"), 1),
        **dict.fromkeys(("Call", "CallParticipant", "Contact", "BlockedUser", "PinnedMessage"), 0),
        "Message": 2,
    }
    newest, oldest = sdk.list_messages(olga.id, chat.id)
    assert (newest.id, newest.reply_to_id, newest.reply_to) == (answer.id, None, None)
    assert oldest.reactions == [("👍", 1, True)]
    assert sdk.find_by_hashtag(olga.id, "tag") == [] and wrong_counts() == {}
    assert make_user(ivan.username).username == "ivan", "the names are free"


def test_a_chat_of_others_goes_on_with_an_owner(ivan: sdk.User, olga: sdk.User) -> None:
    first, second = make_users(2)
    members = insert_chat(ivan, olga, first, second)
    with_admin = insert_chat(ivan, olga, first, second)
    set_role(second, with_admin, ADMIN)
    member_only = make_chat(olga, ivan)
    sdk.delete_user(ivan.id)
    roles = roles_in(members)
    assert sorted(roles.values()) == [MEMBER, MEMBER, OWNER]
    assert roles_in(with_admin)[second.id] == OWNER
    assert roles_in(member_only) == {olga.id: OWNER}


def test_a_chat_with_another_owner_gets_no_second_one(ivan: sdk.User, olga: sdk.User) -> None:
    """The server may have made several."""
    maria = make_user()
    chat = make_chat(ivan, olga, maria)
    set_role(maria, chat, sdk.MemberRole.OWNER)
    set_role(olga, chat, sdk.MemberRole.ADMIN)
    sdk.delete_user(ivan.id)
    assert roles_in(chat) == {olga.id: sdk.MemberRole.ADMIN, maria.id: sdk.MemberRole.OWNER}


@pytest.mark.parametrize("character", ["a", "字", "😀"])
def test_a_token_that_is_taken_is_kept_by_both_engines(ivan: sdk.User, character: str) -> None:
    """An index of PostgreSQL holds some 2,700 bytes, which it packs if they are alike."""
    token = "".join(chr(ord(character) + number % 900) for number in range(512))
    sdk.set_verification_token(ivan.id, token=token)
    verified = sdk.verify_email(token)
    assert verified is not None and verified.id == ivan.id
    with pytest.raises(sdk.InvalidInput, match="token must have 1 to 512"):
        sdk.set_verification_token(ivan.id, token=token + character)
    with pytest.raises(sdk.InvalidInput, match="token must have 1 to 512"):
        sdk.verify_email(token + character)


def test_a_private_chat_stays_with_the_other_until_nobody_is_left(
    ivan: sdk.User, olga: sdk.User
) -> None:
    private, _ = sdk.open_private_chat(ivan.id, olga.id)
    make_message(ivan, private)
    kept = make_message(olga, private)
    sdk.delete_user(ivan.id)
    (line,) = sdk.list_chats(olga.id)
    assert (line.chat, line.peer, line.last_message) == (private, None, kept)
    assert roles_in(private) == {olga.id: MEMBER}
    make_message(olga, private)
    own = make_chat(olga)
    sdk.delete_user(olga.id)
    assert sdk.Chat.select().where(sdk.Chat.id.in_([private.id, own.id])).count() == 0


def test_a_status_that_the_server_has_set(ivan: sdk.User) -> None:
    server = SecondWriter()
    server.show_status(ivan.id, "ONLINE")
    assert not sdk.set_status(ivan.id, S.ONLINE)
    assert sdk.set_status(ivan.id, S.OFFLINE)
    server.show_status(ivan.id, "OFFLINE")
    assert not sdk.set_status(ivan.id, S.OFFLINE)

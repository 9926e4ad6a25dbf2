"""The studio with --write: the rules of the server, and posts of other sites."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from tests.support.studio import HOME, SECRETS, Cast, make_cast, reader


@pytest.fixture
def cast(engine: str) -> Cast:
    return make_cast()


@pytest.fixture
def writer(cast: Cast) -> FlaskClient:
    return reader(write=True)


def form_of(client: FlaskClient, path: str) -> dict[str, Any]:
    """The form on a page, as a browser would send it."""
    html = client.get(path).text
    data: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", html):
        named = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if named.get("type") == "checkbox" and "checked" not in tag:
            continue
        if "name" in named and named.get("type") != "submit":
            data[named["name"]] = unescape(named.get("value", ""))
    areas = r'<textarea[^>]*name="(\w+)"[^>]*>\r?\n?(.*?)</textarea>'
    for name, value in re.findall(areas, html, re.S):
        data[name] = unescape(value)
    return data


def send(client: FlaskClient, path: str, data: dict[str, Any], **headers: str) -> str:
    sent = client.post(path, data=data, headers={"Origin": HOME, **headers}, follow_redirects=True)
    return " ".join(unescape(re.sub("<[^>]+>", " ", sent.text)).split())


def test_a_change_sets_the_time_of_the_change(writer: FlaskClient, cast: Cast) -> None:
    path = f"/user/edit/?id={cast.anna.id}"
    form = form_of(writer, path)
    assert form["display_name"] == "Anna Petrova"
    assert form.keys() <= {"display_name", "bio", "email_verified", "csrf_token", "version"}
    said = send(writer, path, form | {"display_name": "Anna P.", "bio": "one\r\ntwo"})
    assert "successfully saved" in said
    anna = sdk.User.get_by_id(cast.anna.id)
    assert (anna.display_name, anna.bio) == ("Anna P.", "one\ntwo")
    assert anna.updated_at > cast.anna.updated_at
    assert anna.password == SECRETS[0]


def test_a_change_of_settings_leaves_the_time_of_the_reading(
    writer: FlaskClient, cast: Cast
) -> None:
    before = sdk.mark_read(cast.anna.id, cast.group.id)
    path = f"/chatsettings/edit/?id={before.id}"
    form = form_of(writer, path)
    assert "successfully saved" in send(writer, path, form | {"is_muted": "y"})
    after = sdk.get_chat_settings(cast.anna.id, cast.group.id)
    assert (after.is_muted, after.updated_at) == (True, before.updated_at)


def test_nothing_changed_is_nothing_written(writer: FlaskClient, cast: Cast) -> None:
    path = f"/user/edit/?id={cast.anna.id}"
    send(writer, path, form_of(writer, path))
    assert sdk.User.get_by_id(cast.anna.id).updated_at == cast.anna.updated_at


def test_what_others_have_changed_meanwhile_stays(writer: FlaskClient, cast: Cast) -> None:
    path = f"/chat/edit/?id={cast.group.id}"
    form = form_of(writer, path)
    sdk.Chat.update(name="theirs").where(sdk.Chat.id == cast.group.id).execute()
    said = send(writer, path, form | {"description": "ours"})
    assert "somebody has changed this row meanwhile" in said
    chat = sdk.Chat.get_by_id(cast.group.id)
    assert (chat.name, chat.description) == ("theirs", None)


@pytest.mark.parametrize(
    ("table", "field", "wrong", "reason"),
    [
        ("folder", "name", "a\nb", "one line"),
        ("folder", "name", "x" * 65, "1 to 64 characters"),
        ("folder", "name", "a\0b", "NUL"),
        ("folder", "order", str(2**31), "a whole number from 0 to 2147483647"),
        ("folder", "order", str(2**63), "a whole number from 0 to 2147483647"),
        ("folder", "order", "-1", "a whole number from 0 to 2147483647"),
        ("folder", "order", "", "a whole number from 0 to 2147483647"),
        ("user", "display_name", "a\0b", "NUL"),
        ("user", "bio", "x" * 1_025, "1 to 1024 characters"),
        ("contact", "nickname", "a\0b", "NUL"),
        ("chat", "name", "x" * 1_025, "1 to 1024 characters"),
        ("message", "content", "x" * 65_537, "1 to 65536 characters"),
        ("message", "content", "a\0b", "NUL"),
    ],
)
def test_what_the_functions_refuse_is_refused(
    writer: FlaskClient, cast: Cast, table: str, field: str, wrong: str, reason: str
) -> None:
    of_table: dict[str, Any] = {
        "folder": cast.folder,
        "user": cast.anna,
        "contact": sdk.Contact.get(),
        "chat": cast.group,
        "message": cast.plan,
    }
    row = of_table[table]
    path = f"/{table}/edit/?id={row.id}"
    said = send(writer, path, form_of(writer, path) | {field: wrong})
    assert reason in said and field in said
    stored = type(row).get_by_id(row.id)
    assert getattr(stored, field) == getattr(row, field)
    assert stored.__data__ == type(row).get_by_id(row.id).__data__


def test_a_private_chat_gets_no_name(writer: FlaskClient, cast: Cast) -> None:
    path = f"/chat/edit/?id={cast.private.id}"
    said = send(writer, path, form_of(writer, path) | {"name": "ours"})
    assert "a PRIVATE chat does not change" in said
    assert sdk.Chat.get_by_id(cast.private.id).name is None


def test_the_time_of_a_chat_never_goes_back(writer: FlaskClient, cast: Cast) -> None:
    ahead = utc_now() + timedelta(hours=1)
    sdk.Chat.update(updated_at=ahead).where(sdk.Chat.id == cast.group.id).execute()
    path = f"/chat/edit/?id={cast.group.id}"
    send(writer, path, form_of(writer, path) | {"name": "ours"})
    chat = sdk.Chat.get_by_id(cast.group.id)
    assert (chat.name, chat.updated_at) == ("ours", ahead)


def test_a_message_is_edited_and_deleted_as_by_its_sender(writer: FlaskClient, cast: Cast) -> None:
    path = f"/message/edit/?id={cast.plan.id}"
    send(writer, path, form_of(writer, path) | {"content": "Now a #Plan for @boris"})
    plan = sdk.Message.get_by_id(cast.plan.id)
    assert (plan.hashtags, plan.mentions, plan.is_edited) == (["Plan"], ["boris"], True)
    form = form_of(writer, f"/message/?search={cast.plan.id}")
    send(writer, "/message/delete/", form | {"id": cast.plan.id})
    plan = sdk.Message.get_by_id(cast.plan.id)
    assert (plan.is_deleted, plan.content, plan.hashtags) == (True, None, [])


def test_a_row_is_deleted(writer: FlaskClient, cast: Cast) -> None:
    reaction = sdk.Reaction.get()
    form = form_of(writer, "/reaction/")
    assert "successfully deleted" in send(writer, "/reaction/delete/", form | {"id": reaction.id})
    assert sdk.Reaction.select().count() == 0
    # Accounts and chats have rules that go beyond their rows.
    for table, id in (("user", cast.anna.id), ("chat", cast.group.id)):
        send(writer, f"/{table}/delete/", form | {"id": id})
    assert sdk.User.select().count() == 3 and sdk.Chat.select().count() == 2


def test_who_may_not_write_is_given_no_words(writer: FlaskClient, cast: Cast) -> None:
    sdk.block_user(cast.boris.id, cast.anna.id)
    message = sdk.Message.get(sdk.Message.chat == cast.private.id)
    path = f"/message/edit/?id={message.id}"
    said = send(writer, path, form_of(writer, path) | {"content": "x"})
    assert "one of the two has blocked the other" in said
    assert sdk.Message.get_by_id(message.id).content == message.content


@pytest.mark.parametrize("reason", ["it is of the service", "its sender is not in the chat"])
def test_a_message_that_nobody_edits_can_be_deleted(
    writer: FlaskClient, cast: Cast, reason: str
) -> None:
    message = cast.plan
    if reason == "it is of the service":
        message = sdk.post_system_message(cast.group.id, "Boris has joined")
    else:
        sdk.leave_chat(cast.anna.id, cast.group.id)
    path = f"/message/edit/?id={message.id}"
    said = send(writer, path, form_of(writer, path) | {"content": "x"})
    assert f"nobody edits this message: {reason}" in said
    form = form_of(writer, f"/message/?search={message.id}")
    assert "successfully deleted" in send(writer, "/message/delete/", form | {"id": message.id})
    stored = sdk.Message.get_by_id(message.id)
    assert (stored.is_deleted, stored.content, stored.hashtags) == (True, None, [])


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:9999"},
        {"Origin": ""},
        {"Origin": "http://localhost.evil.example"},
    ],
)
def test_a_post_from_another_site(writer: FlaskClient, cast: Cast, headers: dict[str, str]) -> None:
    """Even one with the token of the form."""
    path = f"/user/edit/?id={cast.anna.id}"
    form = form_of(writer, path) | {"display_name": "theirs"}
    assert "use its own forms" in send(writer, path, form, **headers)
    assert writer.post(path, data=form).status_code == 403  # of an old browser, without an origin
    assert sdk.User.get_by_id(cast.anna.id).display_name == "Anna Petrova"


def test_a_post_without_the_token_of_the_form(writer: FlaskClient, cast: Cast) -> None:
    path = f"/user/edit/?id={cast.anna.id}"
    form = form_of(writer, path) | {"display_name": "theirs"}
    for token in ("", "x"):
        assert "Failed to save record" in send(writer, path, form | {"csrf_token": token})
    send(writer, "/reaction/delete/", {"id": sdk.Reaction.get().id})
    assert sdk.User.get_by_id(cast.anna.id).display_name == "Anna Petrova"
    assert sdk.Reaction.select().count() == 1


def test_columns_that_no_form_has_are_not_written(writer: FlaskClient, cast: Cast) -> None:
    path = f"/user/edit/?id={cast.anna.id}"
    form = form_of(writer, path) | {"bio": "x", "password": "x", "id": "x", "email": "x@y.z"}
    send(writer, path, form)
    anna = sdk.User.get_by_id(cast.anna.id)
    assert (anna.password, anna.email, anna.bio) == (SECRETS[0], "anna@example.com", "x")

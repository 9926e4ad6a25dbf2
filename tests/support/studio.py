"""A small cast for the tests of the studio, and a browser without a window that knows the token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from typing import NamedTuple

from flask import Flask
from flask.testing import FlaskClient

import stogram_sdk as sdk
from stogram_sdk.studio.app import make_app
from tests.support.factories import make_user

TOKEN = "the-token"
HOME = "http://localhost"
#: What stands in the columns of an account that no page may show.
SECRETS = ("SECRET-HASH", "SECRET-TOKEN", "SECRET-PUSH")
EVIL = "<script>alert(1)</script>"


class Cast(NamedTuple):
    """Anna has a group in a folder, a private chat with Boris, and everything else once."""

    anna: sdk.User
    boris: sdk.User
    group: sdk.Chat
    private: sdk.Chat
    plan: sdk.Message
    folder: sdk.Folder
    call: sdk.Call


def make_cast() -> Cast:
    anna = make_user("anna", display_name="Anna Petrova")
    boris = make_user("boris", display_name=f"Boris {EVIL}")
    maria = make_user("maria", display_name="Мария")
    group = sdk.create_chat(
        anna.id, sdk.ChatType.GROUP, member_ids=[boris.id, maria.id], name="Release team"
    )
    private, _ = sdk.open_private_chat(anna.id, boris.id)
    plan = sdk.send_message(anna.id, group.id, "The plan for our #Release is ready")
    sdk.send_message(boris.id, group.id, f"Спасибо, смотрю {EVIL}", reply_to_id=plan.id)
    sdk.send_message(boris.id, private.id, "Как дела?")
    folder = sdk.create_folder(anna.id, "Work")
    sdk.move_to_folder(anna.id, group.id, folder.id)
    sdk.pin_message(anna.id, group.id, plan.id)
    sdk.block_user(maria.id, boris.id)
    sdk.Reaction.create(message=plan, user=boris, emoji="👍")
    sdk.Contact.create(user=anna, contact=boris, nickname="Borya")
    call = sdk.Call.create(chat=private, initiator=anna, type=sdk.CallType.VIDEO)
    sdk.CallParticipant.create(call=call, user=anna)
    secrets = dict(
        zip(("password", "verification_token", "push_subscription"), SECRETS, strict=True)
    )
    sdk.User.update(secrets).execute()
    return Cast(anna, boris, group, private, plan, folder, call)


@cache
def _app(host: str, write: bool) -> Flask:
    """It is for whatever database is connected."""
    return make_app(token=TOKEN, host=host, write=write)


def visitor(*, host: str = "127.0.0.1", write: bool = False) -> FlaskClient:
    """Somebody who has not been let in yet."""
    return _app(host, write).test_client()


def reader(*, write: bool = False) -> FlaskClient:
    """Somebody who has opened the printed address."""
    client = visitor(write=write)
    assert client.get(f"/?token={TOKEN}").status_code == 302
    return client


def text_of(client: FlaskClient, path: str, code: int = 200) -> str:
    """What a person reads on the page."""
    response = client.get(path)
    assert response.status_code == code, (path, response.status_code)
    words = re.sub(r"<script.*?</script>|<[^>]+>", " ", response.text, flags=re.S)
    return " ".join(unescape(words).split())


def links_in(html: str) -> set[str]:
    found = re.findall(r'href="(/[^"#]*)"', html)
    return {unescape(link) for link in found if not link.startswith(("/static/", "/own/"))}


def pages(client: FlaskClient) -> Iterator[tuple[str, str]]:
    """Every page that links lead to from the first one, each with its HTML; in one order alone."""
    left, seen = ["/", "/?words=anna"], set[str]()
    while left:
        path = left.pop()
        # Where to go back to is in many addresses, and makes no other page of them.
        place = re.sub(r"[?&]url=[^&]*", "", path)
        if place in seen or "sort=" in place:
            continue
        seen.add(place)
        response = client.get(path)
        assert response.status_code == 200, path
        yield place, response.text
        left += links_in(response.text)

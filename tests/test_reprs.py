"""What rows, pages and the connection say of themselves at the prompt."""

from __future__ import annotations

import re
from typing import Any

import stogram_sdk as sdk
from stogram_sdk.models import SECRETS
from tests.support.contract import World
from tests.support.factories import statements

UUID = r"'[0-9a-f-]{36}'"


def test_a_row_says_who_which_chat_and_how_much_of_the_text(world: World) -> None:
    with statements(1):
        said = repr(sdk.list_messages(world.scene.actor, world.scene.chat)[0])
    assert re.fullmatch(
        rf"<Message id={UUID} type=\w+ sender='\w+' chat='[^']+' content='[^']+'.*>", said
    )
    whole = sdk.get_user(world.scene.actor)
    assert repr(whole) == f"<User id='{whole.id}' username='{whole.username}'>"


def test_it_says_no_secret() -> None:
    secrets: frozenset[Any] = SECRETS
    hidden = dict.fromkeys((field.name for field in secrets), "SECRET") | {"email": "a@secret.org"}
    user = sdk.User(id="1", username="anna", **hidden)
    assert repr(user) == "<User id='1' username='anna'>"


def test_a_long_text_is_cut() -> None:
    message = sdk.Message(id="1", sender="anna-id", content="long " * 20, is_deleted=True)
    said = "'long long long long long long long long '... (100 characters)"
    assert repr(message) == (f"<Message id='1' type=TEXT sender='anna-id' content={said} deleted>")


def test_settings_say_what_is_set() -> None:
    settings = sdk.ChatSettings(user="a", chat="b", is_muted=True, unread_count=3)
    assert repr(settings) == "<ChatSettings user='a' chat='b' unread_count=3 muted>"


def test_a_page_says_how_many_and_whether_there_are_more() -> None:
    assert repr(sdk.Page()) == "<Page of 0>"
    assert repr(sdk.Page([1, 2])) == "<Page of 2: 1, 2>"
    assert repr(sdk.Page(range(50), "x")) == "<Page of 50, and more to come: 0, 1, 2, ...>"


def test_the_connection_says_where_but_not_how(world: World) -> None:
    assert re.fullmatch(r"<Database: (sqlite|postgresql), \S+>", repr(sdk.db))


def test_every_model_has_something_to_say() -> None:
    for model in sdk.MODELS:
        assert repr(model()).startswith(f"<{model.__name__}")

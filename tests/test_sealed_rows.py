"""Rows are sealed: what a function returns holds what it says, and nothing else."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import peewee
import pytest
from playhouse.shortcuts import model_to_dict

import stogram_sdk as sdk
from stogram_sdk.database import db
from tests.support.contract import CALLS, Scene, World, make_call, undone
from tests.support.factories import after, insert_message, make_chat, make_user

every_call = pytest.mark.parametrize("label", CALLS)

#: A mark in every text that no row may hold.
SECRET = "a secret"
SECRETS = {"password", "verification_token", "push_subscription"}
#: The functions that give an account whole, secrets too.
WHOLE = {"find_user", "get_user"}

MESSAGE = {"sender": {"id", "username", "display_name"}, "chat": set(sdk.Chat._meta.fields)}


@pytest.fixture(scope="module")
def scene(world: World) -> Scene:
    """The scene, with secrets in all accounts, and answers to messages of every kind."""
    scene = world.scene
    with sdk.session():
        mail = peewee.Value(f"{SECRET} ").concat(sdk.User.id)
        sdk.User.update(dict.fromkeys(SECRETS, SECRET) | {"email": mail}).execute()
        other, chat = sdk.User.get_by_id(scene.other), sdk.Chat.get_by_id(scene.chat)
        stranger = make_user()
        hidden = [
            insert_message(other, chat, SECRET, is_deleted=True),
            insert_message(other, chat, SECRET, is_sent=False, scheduled_for=after(3600, scene.soon)),
            insert_message(stranger, make_chat(stranger), SECRET),
        ]
        answers = [
            insert_message(other, chat, "привет #тег", reply_to=message)
            for message in (*hidden, scene.message)
        ]
        insert_message(other, chat, f"привет @{_username(scene)}", reply_to=answers[-1])
    return scene


def _username(scene: Scene) -> str:
    name: str = sdk.User.get_by_id(scene.actor).username
    return name


def call(label: str, scene: Scene) -> Any:
    """The result of a call, which is undone."""
    if label == "find_user":
        with sdk.session():
            return sdk.find_user(_username(scene))
    with undone():
        return make_call(label, scene)


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Everything that can be reached by attributes and items, each with the way there."""
    seen: set[int] = set()
    waiting = [("", value)]
    while waiting:
        way, value = waiting.pop()
        yield way, value
        if id(value) in seen or len(way) > 500:
            continue
        seen.add(id(value))
        match value:
            case peewee.Model():
                waiting += [(f"{way}.{name}", each) for name, each in attributes(value)]
            case dict():
                waiting += [(f"{way}[{key!r}]", each) for key, each in value.items()]
            case list() | tuple() | set() | frozenset():
                waiting += [(f"{way}[{number}]", each) for number, each in enumerate(value)]


def attributes(row: peewee.Model) -> Iterator[tuple[str, Any]]:
    """What `dir()` names, without the methods that every model of Peewee has."""
    for name in sorted({*dir(row)} - {*dir(peewee.Model)}):
        try:
            yield name, getattr(row, name)
        except sdk.NotLoaded as error:
            assert error.field == name


def rows_in(result: Any) -> Iterator[tuple[str, peewee.Model]]:
    for way, value in walk(result):
        if isinstance(value, peewee.Model):
            yield way, value


# --- Nothing is asked for, and nothing given away ---


@every_call
def test_no_attribute_to_any_depth_asks_the_database(
    label: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = call(label, scene)
    monkeypatch.setattr(db, "obj", None)
    for way, value in walk(result):
        assert not isinstance(value, peewee.Query), way
        assert repr(value)


@every_call
def test_no_row_holds_a_secret(label: str, scene: Scene) -> None:
    result = call(label, scene)
    found = {way for way, value in walk(result) if isinstance(value, str) and SECRET in value}
    if label in WHOLE | {"create_user"}:
        assert all(re.fullmatch(r".*(email|_secrets.*|__data__\['email'\])", way) or way[1:] in SECRETS for way in found)
    else:
        assert not found

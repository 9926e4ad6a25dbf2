"""Rows are sealed: what a function returns holds what it says, and nothing else."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import peewee
import pytest
from playhouse.shortcuts import model_to_dict  # type: ignore[import-untyped]  # no stubs

import stogram_sdk as sdk
from stogram_sdk.database import db
from stogram_sdk.sealing import seal
from tests.support.contract import CALLS, Scene, World, function_of, make_call, undone
from tests.support.factories import after, insert_message, make_chat, make_user

every_call = pytest.mark.parametrize("label", CALLS)

#: A mark in every text that no row may hold.
SECRET = "a secret"
SECRETS = {"password", "verification_token", "push_subscription"}
#: The functions that give an account whole, secrets too.
WHOLE = {"find_user", "find_user_by_email", "get_user"}
#: Those that give one without.
ACCOUNTS = {
    *("create_user", "update_profile", "set_password_hash", "set_push_subscription", "set_theme"),
    *("set_verification_token", "verify_email"),
}


@pytest.fixture(scope="module")
def scene(world: World) -> Scene:
    """The scene, with secrets in all accounts, and answers to messages of every kind."""
    scene = world.scene
    with sdk.session():
        mail = peewee.Value(f"{SECRET} ").concat(sdk.User.id)
        sdk.User.update(dict.fromkeys(SECRETS, SECRET) | {"email": mail}).execute()
        other, chat = sdk.User.get_by_id(scene.other), sdk.Chat.get_by_id(scene.chat)
        stranger, late = make_user(), after(3600, scene.soon)
        hidden = [
            insert_message(other, chat, SECRET, is_deleted=True),
            insert_message(other, chat, SECRET, is_sent=False, scheduled_for=late),
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
    if label in ("find_user", "find_user_by_email"):
        with sdk.session():
            actor = sdk.User.get_by_id(scene.actor)
            name = actor.username if label == "find_user" else actor.email
            return function_of(label)(name)
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
    if label in WHOLE | ACCOUNTS:
        found -= {".email", ".__data__['email']"}
    if label in WHOLE:
        found -= {way for name in SECRETS for way in (f".{name}", f"._secrets['{name}']")}
    assert not found


@every_call
def test_what_is_made_of_a_result_holds_no_secret_and_is_json(label: str, scene: Scene) -> None:
    result = call(label, scene)
    data = json.loads(json.dumps(sdk.to_dict(result)))
    found = {way for way, value in walk(data) if isinstance(value, str) and SECRET in value}
    assert found <= ({"['email']"} if label in WHOLE | ACCOUNTS else set())
    for _, row in rows_in(result):
        copied = json.dumps(model_to_dict(row, recurse=False), default=str)
        assert not [name for name in SECRETS if f'"{name}": "' in copied]


# --- Each row has one shape ---

Shape = dict[str, Any]

#: The relations that a row has from every function; those of `reply_to` if there is one.
PERSON: Shape = {}
CHAT: Shape = {}
ANSWERED: Shape = {"sender": PERSON, "chat": CHAT}
MESSAGE: Shape = ANSWERED | {"reply_to": ANSWERED, "reactions": {}}
SHAPES: dict[type[peewee.Model], Shape] = {
    sdk.BlockedUser: {"user": PERSON, "blocked": PERSON},
    sdk.Chat: CHAT,
    sdk.ChatMember: {"user": PERSON, "chat": CHAT},
    sdk.ChatSettings: {},
    sdk.Folder: {},
    sdk.Message: MESSAGE,
    sdk.Reaction: {"user": PERSON},
    sdk.Contact: {"user": PERSON, "contact": PERSON},
    sdk.Call: {"initiator": PERSON, "chat": CHAT},
    sdk.PinnedMessage: {"user": PERSON, "chat": CHAT, "message": MESSAGE},
}
COLUMNS_OF_A_PERSON = {"id", "username", "display_name"}


def require_shape(row: peewee.Model, shape: Shape) -> None:
    columns = {*type(row)._meta.fields}
    if isinstance(row, sdk.User):
        columns = COLUMNS_OF_A_PERSON
    assert row.__data__.keys() == columns
    assert row.__rel__.keys() == shape.keys()
    for name, related in row.__rel__.items():
        if name == "reactions":
            assert all(isinstance(each, sdk.ReactionCount) for each in related)
        elif related is not None:
            require_shape(related, shape[name])
        else:
            assert name == "reply_to"


def outermost_rows(result: Any) -> Iterator[peewee.Model]:
    if isinstance(result, peewee.Model):
        yield result
    elif isinstance(result, list | tuple):
        for each in result:
            yield from outermost_rows(each)


@every_call
def test_a_row_has_the_same_shape_from_every_function(label: str, scene: Scene) -> None:
    for row in outermost_rows(call(label, scene)):
        if isinstance(row, sdk.User):
            assert label in WHOLE | ACCOUNTS
            assert row.__data__.keys() == {*sdk.User._meta.fields} - SECRETS
            assert row._secrets.keys() == (SECRETS if label in WHOLE else set())
        else:
            require_shape(row, SHAPES[type(row)])


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    "label",
    [
        "add_contact",
        "add_member",
        "add_reaction",
        "block_user",
        "start_call",
        "pin_message",
        "send_message(message_id)",
    ],
)
def test_a_second_call_returns_the_same(label: str, again: bool, scene: Scene) -> None:
    with undone():
        first, second = (sdk.to_dict(make_call(label, scene)) for _ in range(2))
    if isinstance(first, list):
        assert (first.pop(), second.pop()) == (True, False)
    assert first == second


def test_a_message_is_the_same_from_who_writes_and_who_lists(scene: Scene) -> None:
    with undone():
        sent = sdk.send_message(scene.other, scene.chat, "привет", reply_to_id=scene.message)
        (listed,) = sdk.list_messages(scene.actor, scene.chat, limit=1)
        assert sdk.to_dict(sent) == sdk.to_dict(listed)
        assert listed.chat.updated_at == sent.created_at
        edited = sdk.edit_message(scene.other, scene.chat, sent.id, "#тег")
        (found, *_) = sdk.find_by_hashtag(scene.actor, "тег")
        assert sdk.to_dict(edited) == sdk.to_dict(found)
        pin, _ = sdk.pin_message(scene.actor, scene.chat, sent.id)
        (pinned, *_) = sdk.list_pinned_messages(scene.actor)
        assert sdk.to_dict(pin) == sdk.to_dict(pinned)
        assert sdk.to_dict(pin.message) == sdk.to_dict(found)
        (line,) = [line for line in sdk.list_chats(scene.actor) if line.chat.id == scene.chat]
        assert sdk.to_dict(line.last_message) == sdk.to_dict(found)


def test_published_messages_have_the_chat_as_it_is_then(scene: Scene) -> None:
    with undone():
        for number in range(2):
            sdk.send_message(scene.actor, scene.chat, str(number), scheduled_for=scene.soon)
        published = sdk.publish_scheduled(now=scene.soon)
        (newest,) = sdk.list_messages(scene.actor, scene.chat, limit=1)
        assert {row.chat.updated_at for row in published} == {newest.chat.updated_at}
        assert sdk.to_dict(published[-1]) == sdk.to_dict(newest)


# --- The message that is answered ---


def test_only_a_visible_message_is_shown_as_answered(scene: Scene) -> None:
    page = sdk.list_messages(scene.actor, scene.chat)
    _, *hidden, shown = [row for row in reversed(page) if row.reply_to_id is not None]
    assert len(hidden) == 4
    *hidden, shown = hidden
    assert [row.reply_to for row in hidden] == [None] * 3
    assert shown.reply_to is not None and shown.reply_to.id == scene.message
    assert shown.reply_to.sender.id == scene.actor


def test_of_an_answered_message_only_the_id_of_the_next_one_is_there(scene: Scene) -> None:
    answers = [row for row in sdk.list_messages(scene.actor, scene.chat) if row.reply_to]
    last = answers[0].reply_to
    assert last is not None and last.reply_to_id == scene.message
    with pytest.raises(sdk.NotLoaded, match=r"get_message\(\)"):
        _ = last.reply_to
    first = answers[1].reply_to
    assert first is not None and first.reply_to_id is None and first.reply_to is None


def test_what_is_answered_goes_with_a_deletion(scene: Scene) -> None:
    with undone():
        sdk.send_message(scene.actor, scene.chat, "new", reply_to_id=scene.message)
        sdk.delete_message(scene.actor, scene.chat, scene.message)
        (newest,) = sdk.list_messages(scene.actor, scene.chat, limit=1)
        assert newest.reply_to_id == scene.message and newest.reply_to is None


# --- What a row does ---


@pytest.mark.parametrize("model", sdk.MODELS)
def test_what_was_not_read_names_the_call_that_reads_it(model: Any) -> None:
    row = seal(model.__new__(model))
    row.__data__, row.__rel__ = {"id": "an id"}, {}
    relations = {field.object_id_name for field in model._meta.refs}
    backrefs = {field.backref for field in model._meta.backrefs}
    for name in {*model._meta.fields, *relations, *backrefs} - {"id"}:
        with pytest.raises(sdk.NotLoaded) as error:
            getattr(row, name)
        assert (error.value.id, error.value.field) == ("an id", name)
        assert error.value.entity and error.value.entity.islower()
        named = re.findall(r"(\w+)\(\)|(\w+)\.(?:get_by_id|select)\(", str(error.value))
        assert named and all(hasattr(sdk, function or table) for function, table in named)


def test_the_error_says_what_and_what_to_do(scene: Scene) -> None:
    message = sdk.list_messages(scene.actor, scene.chat)[0]
    with pytest.raises(sdk.NotLoaded) as error:
        _ = message.sender.email
    assert str(error.value) == "email was not read with this user; to read it, call get_user()"
    with pytest.raises(sdk.NotLoaded, match=r"visible_profiles\(\) for what another user may see"):
        _ = message.sender.bio
    with pytest.raises(sdk.NotLoaded, match=r"list_message_reactions\(\)"):
        _ = message.reaction_rows
    with pytest.raises(sdk.NotLoaded, match=r"list_messages\(\)"):
        _ = sdk.Message().reactions
    call = sdk.list_calls(scene.actor)[0]
    with pytest.raises(sdk.NotLoaded, match=r"CallParticipant\.select\(\)"):
        _ = call.participants


def test_a_row_is_copied_pickled_and_compared_as_before(scene: Scene) -> None:
    message: Any
    message, other, *_ = sdk.list_messages(scene.actor, scene.chat)
    for again in (
        copy.copy(message),
        copy.deepcopy(message),
        message.clone(),  # Peewee's own
        pickle.loads(pickle.dumps(message)),
    ):
        assert again == message and hash(again) == hash(message) and again != other
        assert repr(again) == repr(message)
        assert sdk.to_dict(again) == sdk.to_dict(message)
        with pytest.raises(sdk.NotLoaded):
            _ = again.pins
    with sdk.session():
        assert sdk.Message.get_by_id(message.id) == message


def test_a_row_is_not_saved(scene: Scene) -> None:
    row = sdk.get_user(scene.actor)
    row.bio = "changed here alone"
    with sdk.session(), pytest.raises(sdk.StogramError, match=r"User.update\(\.\.\.\)"):
        row.save()
    assert sdk.get_user(scene.actor).bio is None


def test_rows_of_queries_of_ones_own_are_those_of_peewee(scene: Scene) -> None:
    with sdk.session():
        row = sdk.Message.select(sdk.Message.id, sdk.Message.sender).where(
            sdk.Message.id == scene.message
        )[0]
        assert row.sender.username == _username(scene)
        assert (row.content, row.chat_id, list(row.pins)) == (None, None, [])
        assert [answer.reply_to_id for answer in row.replies] == [scene.message]
        user = sdk.User.get_by_id(scene.actor)
        user.bio = "saved"
        with undone():
            assert user.save() == 1


# --- Data for JSON ---


def test_data_have_the_names_of_the_attributes(scene: Scene) -> None:
    with undone():
        sdk.send_message(scene.actor, scene.chat, "#тег", type=sdk.MessageType.GIF, file_url="/a")
        page = sdk.list_messages(scene.actor, scene.chat, limit=1)
    data = sdk.to_dict(page)
    assert (
        data.keys() == {"items", "next_cursor", "previous_cursor"}
        and data["next_cursor"] == page.next_cursor
    )
    (message,) = data["items"]
    columns = {field.name for field in sdk.Message._meta.sorted_fields}
    assert message.keys() == columns | {"sender_id", "chat_id", "reply_to_id", "reactions"}
    assert message["sender"] == {
        "id": scene.actor,
        "username": page[0].sender.username,
        "display_name": None,
    }
    assert (message["type"], type(message["type"])) == ("GIF", str)
    assert (message["reply_to"], message["hashtags"]) == (None, ["тег"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["created_at"])
    assert datetime.fromisoformat(message["created_at"]) == page[0].created_at


def test_named_tuples_pairs_lists_and_sets_are_data_too(scene: Scene) -> None:
    assert sdk.to_dict(sdk.UnreadTotals(3, 2, 1)) == {"all": 3, "unmuted": 2, "mentions": 1}
    (line, *_) = sdk.to_dict(sdk.list_chats(scene.actor))["items"]
    assert line.keys() == set(sdk.ChatSummary._fields)
    with undone():
        row, created = sdk.to_dict(sdk.block_user(scene.actor, scene.newcomer))
    assert created is True and row["blocked"]["id"] == row["blocked_id"] == scene.newcomer
    assert sdk.to_dict({"b", "a"}) == ["a", "b"]
    assert sdk.to_dict({"m": ["u"]}) == {"m": ["u"]}
    east = datetime(2024, 3, 1, 3, tzinfo=timezone(timedelta(hours=3)))
    assert sdk.to_dict(east) == sdk.to_dict(east.astimezone(UTC)) == "2024-03-01T00:00:00.000Z"


def test_data_of_a_query_of_ones_own_hold_no_secret_either(scene: Scene) -> None:
    with sdk.session():
        data = sdk.to_dict(sdk.User.get_by_id(scene.actor))
    assert data.keys() == {*sdk.User._meta.fields} - SECRETS


@pytest.mark.parametrize("value", [b"bytes", object(), sdk.User, datetime(2024, 1, 1)])
def test_what_no_function_returns_is_refused(value: Any) -> None:
    with pytest.raises(sdk.InvalidInput, match="result must be"):
        sdk.to_dict(value)

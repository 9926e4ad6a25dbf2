"""The Pydantic models say what the functions return: their JSON is that of `to_dict`."""

import inspect
import json
import subprocess
import sys
from typing import Any, get_type_hints

import peewee
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, TypeAdapter

import stogram_sdk as sdk
import stogram_sdk.pydantic as models
from stogram_sdk.models import SECRETS
from tests.support.contract import CALLS, World, function_of, make_call, undone


def returned(label: str) -> Any:
    """What Pydantic makes of the type that a function returns."""
    return TypeAdapter(models.shown(get_type_hints(function_of(label))["return"]))


def in_order(data: Any) -> Any:
    return sorted(data) if isinstance(data, list) and data and isinstance(data[0], str) else data


@pytest.mark.parametrize("label", CALLS)
def test_json_is_that_of_to_dict(label: str, world: World) -> None:
    with undone():
        result = make_call(label, world.scene)
        shown = returned(label)
        value = shown.validate_python(result)
        data = sdk.to_dict(result)
    written = json.loads(shown.dump_json(value))
    assert in_order(written) == in_order(data)
    read = shown.validate_json(json.dumps(data))
    assert in_order(json.loads(shown.dump_json(read))) == in_order(data)


def test_a_label_of_a_later_server_is_shown_as_its_text(world: World) -> None:
    with undone():
        message = sdk.send_message(world.scene.actor, world.scene.chat, "text")
    message.__data__["type"] = "STICKER"
    shown: Any = TypeAdapter(models.Message).validate_python(message)
    assert json.loads(shown.model_dump_json()) == sdk.to_dict(message)


def service() -> FastAPI:
    api = FastAPI()

    @api.get("/chats/{chat_id}/messages")
    def messages(chat_id: str, user_id: str) -> models.Page[models.Message]:
        return sdk.list_messages(user_id, chat_id)

    @api.get("/chats", response_model=models.Page[models.ChatSummary])
    def chats(user_id: str) -> Any:
        return sdk.list_chats(user_id)

    @api.post("/pins")
    def pins(user_id: str, chat_id: str, message_id: str) -> tuple[models.PinnedMessage, bool]:
        return sdk.pin_message(user_id, chat_id, message_id)

    return api


def test_fastapi_takes_what_functions_return(world: World) -> None:
    scene = world.scene
    with TestClient(service()) as client:
        page = client.get(f"/chats/{scene.chat}/messages", params={"user_id": scene.actor})
        assert page.json() == sdk.to_dict(sdk.list_messages(scene.actor, scene.chat))
        lines = client.get("/chats", params={"user_id": scene.actor})
        assert lines.json() == sdk.to_dict(sdk.list_chats(scene.actor))
        place = {"user_id": scene.actor, "chat_id": scene.chat, "message_id": scene.pinned}
        row, created = client.post("/pins", params=place).json()
        assert (row["message"]["id"], created) == (scene.pinned, False)


def test_openapi_shows_what_a_message_is() -> None:
    schemas = service().openapi()["components"]["schemas"]
    message = schemas["Message"]
    properties = message["properties"]
    assert {*message["required"]} == {*properties} >= {"id", "content", "sender_id", "sender"}
    assert properties["content"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert properties["created_at"]["format"] == "date-time"
    assert properties["hashtags"] == {**properties["mentions"], "title": "Hashtags"}
    assert "#/components/schemas/Person" in str(properties["sender"])
    assert "#/components/schemas/AnsweredMessage" in str(properties["reply_to"])
    assert {*schemas["Person"]["properties"]} == {"id", "username", "display_name"}
    assert "reply_to" not in schemas["AnsweredMessage"]["properties"]
    assert schemas["ChatSummary"]["description"] == inspect.getdoc(sdk.ChatSummary)


def test_no_model_has_a_secret() -> None:
    secrets = {field.name for field in SECRETS}
    fields = models.User.model_fields  # type: ignore[attr-defined]  # a checker sees the row
    assert not secrets & {*fields} and "email" in fields


def test_there_is_a_model_of_each_row_and_tuple_and_of_nothing_else() -> None:
    for name in sdk.__all__:
        public = getattr(sdk, name)
        is_shown = isinstance(public, type) and issubclass(public, peewee.Model | list | tuple)
        model = getattr(models, name, None)
        assert is_shown == (isinstance(model, type) and issubclass(model, BaseModel)), name


def test_it_is_loaded_by_whom_it_is_named() -> None:
    code = "import stogram_sdk, sys; assert not {'pydantic', 'pytest'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)

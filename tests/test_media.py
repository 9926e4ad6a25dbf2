"""Files: what a message keeps of one, and the list of a chat's files."""

from __future__ import annotations

from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from tests.support.factories import after, make_chat, make_message, make_user, statements

pytestmark = pytest.mark.usefixtures("engine")

VOICE: dict[str, Any] = {
    "file_url": "/uploads/1.ogg",
    "file_name": "голос.ogg",
    "file_size": 2**31 - 1,
    "thumbnail_url": "/uploads/1.jpg",
    "duration": 95,
    "waveform": "[0, 12, 7, 3]",
}


def test_a_message_keeps_what_is_known_of_a_file(
    chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    sent = sdk.send_message(ivan.id, chat.id, type=sdk.MessageType.VOICE, **VOICE)
    (listed,) = sdk.list_messages(olga.id, chat.id)
    for message in (sent, listed):
        assert {name: getattr(message, name) for name in VOICE} == VOICE
    assert sdk.to_dict(listed) == sdk.to_dict(sent)
    sdk.delete_message(ivan.id, chat.id, sent.id)
    row = sdk.Message.get_by_id(sent.id)
    assert {getattr(row, name) for name in VOICE} == {None}


def test_a_file_is_imported_whole(chat: sdk.Chat, olga: sdk.User) -> None:
    imported = sdk.ImportedMessage("m", olga.id, utc_now(), type=sdk.MessageType.VOICE, **VOICE)
    sdk.import_messages(olga.id, chat.id, [imported])
    message = sdk.get_message(olga.id, chat.id, "m")
    assert {name: getattr(message, name) for name in VOICE} == VOICE


@pytest.mark.parametrize("field", ["file_size", "duration"])
@pytest.mark.parametrize("value", [2**31, -1, 1.5, "1", True])
def test_a_number_that_the_column_does_not_hold_is_refused(
    chat: sdk.Chat, ivan: sdk.User, field: str, value: Any
) -> None:
    with pytest.raises(sdk.InvalidInput, match=f"{field} must be .* from 0 to 2147483647") as error:
        sdk.send_message(ivan.id, chat.id, file_url="/a", **{field: value})
    assert error.value.field == field


def test_the_files_of_a_chat_of_any_type_or_one(
    chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    def send(type: sdk.MessageType, **options: Any) -> str:
        file_url = f"/uploads/{type}"
        return sdk.send_message(ivan.id, chat.id, type=type, file_url=file_url, **options).id

    image, voice = sdk.MessageType.IMAGE, sdk.MessageType.VOICE
    sent = [send(type) for type in (image, voice, image, sdk.MessageType.FILE)]
    make_message(ivan, chat, "no file")
    make_message(ivan, make_chat(ivan, olga), file_url="/elsewhere")
    sdk.delete_message(ivan.id, chat.id, send(image))
    send(image, scheduled_for=after(1))

    def found(**options: Any) -> list[str]:
        return [message.id for message in sdk.list_media(olga.id, chat.id, **options)]

    with statements(1):
        assert found() == sent[::-1]
    assert found(type=image) == [sent[2], sent[0]]
    assert found(type=voice) == [sent[1]]
    assert found(type=sdk.MessageType.GIF) == []
    first = sdk.list_media(olga.id, chat.id, limit=3)
    assert found(cursor=first.next_cursor) == [sent[0]]
    with pytest.raises(sdk.NotFound):
        sdk.list_media(make_user().id, chat.id)

"""Values of subclasses of Python's own types: they mean what they are."""

from __future__ import annotations

from collections import UserString
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum
from typing import Any, Self

import freezegun
import markupsafe
import pendulum
import pytest

import stogram_sdk as sdk
from stogram_sdk.fields import time_to_text
from tests.support.factories import make_chat, make_message, make_user

MOSCOW = timezone(timedelta(hours=3), "MSK")
MOMENT = datetime(2024, 3, 5, 21, 30, 15, 123_000, UTC)


class Timestamp(datetime):
    """As that of pandas: it is shown with nanoseconds, and what is made of it is of its class."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return super().isoformat(sep, "microseconds") + "000"

    def astimezone(self, tz: tzinfo | None = None) -> Self:
        there = super().astimezone(tz)
        day = there.year, there.month, there.day
        time = there.hour, there.minute, there.second, there.microsecond
        return type(self)(*day, *time, tzinfo=there.tzinfo)

    def __str__(self) -> str:
        return self.isoformat(" ")


class NotATime(datetime):
    """As NaT of pandas: no number in it, and no zone."""

    @property
    def tzinfo(self) -> None:
        return None


def fake(moment: datetime) -> Any:
    with freezegun.freeze_time(moment):
        import datetime as frozen

        return frozen.datetime.now(MOSCOW)


TIMES: dict[str, Any] = {
    "pendulum": pendulum.datetime(2024, 3, 6, 0, 30, 15, 123_456, tz="Europe/Moscow"),
    "pandas": Timestamp(2024, 3, 6, 0, 30, 15, 123_456, tzinfo=MOSCOW),
    "freezegun": fake(MOMENT),
}
every_time = pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)


@every_time
@pytest.mark.usefixtures("engine")
def test_a_time_of_a_subclass_is_stored_as_the_moment_that_it_is(time: Any) -> None:
    ann = make_user()
    chat = make_chat(ann)
    waiting = make_message(ann, chat, scheduled_for=time)
    assert waiting.scheduled_for == MOMENT
    assert type(waiting.scheduled_for) is datetime
    with sdk.session():
        (stored,) = sdk.Message.select().where(sdk.Message.scheduled_for == time)
        assert stored.scheduled_for == MOMENT
    early = TIMES["pendulum"].subtract(seconds=1)
    assert sdk.publish_scheduled(now=early) == []
    assert [message.id for message in sdk.publish_scheduled(now=time)] == [waiting.id]
    old = sdk.ImportedMessage("old", ann.id, time, "old")
    assert sdk.import_messages(ann.id, make_chat(ann).id, [old]) == 1
    with sdk.session():
        assert sdk.Message.get_by_id("old").created_at == MOMENT
        # A row of one's own, without a function of the package.
        sdk.Chat.update({sdk.Chat.updated_at: time}).execute()
        assert sdk.Chat.get_by_id(chat.id).updated_at == MOMENT


@every_time
def test_a_time_of_a_subclass_has_the_one_form(time: Any) -> None:
    assert time_to_text(time) == "2024-03-05 21:30:15.123"


@pytest.mark.usefixtures("engine")
def test_what_only_looks_like_a_time_is_refused() -> None:
    ann = make_user()
    chat = make_chat(ann)
    for time in (NotATime(2024, 1, 1, tzinfo=UTC), pendulum.naive(2024, 1, 1)):
        with pytest.raises(sdk.InvalidInput, match="aware"):
            make_message(ann, chat, scheduled_for=time)
        with pytest.raises(sdk.InvalidInput, match="aware"):
            sdk.publish_scheduled(now=time)


@pytest.mark.usefixtures("engine")
def test_all_goes_on_while_the_clock_is_frozen() -> None:
    ann, ben = make_user(), make_user()
    chat = make_chat(ann, ben)
    with freezegun.freeze_time(datetime.now(UTC) + timedelta(seconds=1), tick=True):
        sent = make_message(ann, chat, "#тег")
        assert sdk.mark_read(ben.id, chat.id).unread_count == 0
        page = sdk.list_messages(ben.id, chat.id, limit=1)
        assert [message.id for message in page] == [sent.id]
        assert [line.chat.id for line in sdk.list_chats(ben.id)] == [chat.id]
        assert sdk.block_user(ann.id, ben.id)[1]


class Label(str, Enum):  # noqa: UP042  # as older code writes it: its str() is "Label.WORD"
    WORD = "Привет #тег & @ivan_1"


class Count(IntEnum):
    ONE = 1


TEXTS = (Label.WORD, markupsafe.Markup(Label.WORD.value))


@pytest.mark.parametrize("text", TEXTS, ids=["enum", "markup"])
@pytest.mark.usefixtures("engine")
def test_a_text_of_a_subclass_is_its_characters(text: Any) -> None:
    kind: Any = type("Id", (str,), {"__str__": lambda self: "wrong", "__eq__": None})
    ann, ben = make_user("ann"), make_user("ben")
    chat = make_chat(ann, ben)
    message = sdk.send_message(ann.id, chat.id, text, message_id=markupsafe.Markup("<m&1>"))
    assert (message.id, message.content) == ("<m&1>", Label.WORD.value)
    assert (message.hashtags, message.mentions) == (["тег"], ["ivan_1"])
    assert type(message.content) is str
    for sought in (text, markupsafe.Markup("тег & @")):
        found = sdk.search_messages(ben.id, sought)
        assert [row.id for row in found] == ["<m&1>"], sought
    assert sdk.extract_hashtags(text) == ["тег"]
    assert {type(tag) for tag in sdk.extract_hashtags(text)} == {str}
    assert sdk.edit_message(ann.id, chat.id, message.id, text).content == Label.WORD.value
    old = sdk.ImportedMessage(markupsafe.Markup("i<1>"), ann.id, MOMENT, text)
    assert sdk.import_messages(kind(ann.id), chat.id, [old]) == 1
    assert sdk.list_messages(kind(ben.id), chat.id)[-1].content == Label.WORD.value
    group = sdk.create_chat(ann.id, sdk.ChatType.GROUP, member_ids=(kind(ben.id),), name=text)
    assert group.name == Label.WORD.value
    assert sdk.blocked_among(ben.id, Ids([kind(ann.id)])) == set()
    folder = sdk.create_folder(ann.id, markupsafe.Markup("a & b"))
    assert folder.name == "a & b"


class Ids(list[str]):
    pass


@pytest.mark.usefixtures("engine")
def test_a_number_of_a_subclass_is_its_number() -> None:
    ann = make_user()
    chat = make_chat(ann)
    message = make_message(ann, chat, file_url="https://f/1", file_size=Count.ONE)
    assert message.file_size == 1
    make_message(ann, chat)
    assert len(sdk.list_messages(ann.id, chat.id, limit=Count.ONE)) == 1


@pytest.mark.usefixtures("engine")
def test_what_is_no_subclass_is_refused() -> None:
    ann = make_user()
    with pytest.raises(sdk.InvalidInput):
        sdk.create_folder(ann.id, UserString("name"))  # type: ignore[arg-type]  # on purpose

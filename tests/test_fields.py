"""Column types: the same Python value on both engines, in every time zone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from peewee import SQL, Value

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from tests.support.contract import CALLS, build_world, outcome, undone
from tests.support.factories import make_chat, make_message, make_user
from tests.support.postgres import PostgresServer

MOMENT = datetime(2024, 3, 31, 1, 30, 0, 123_000, UTC)  # clocks are put forward in Europe


@pytest.fixture
def message(engine: str) -> sdk.Message:
    ivan = make_user("ivan")
    return make_message(ivan, make_chat(ivan))


def stored(field: str, value: Any, message: sdk.Message) -> Any:
    sdk.Message.update({field: value}).where(sdk.Message.id == message.id).execute()
    return getattr(sdk.Message.get_by_id(message.id), field)


# --- Times ---


@pytest.mark.parametrize(
    "moment",
    [
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=3))),
        MOMENT.astimezone(timezone(timedelta(hours=-11, minutes=-30))),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC),
    ],
)
def test_a_time_comes_back_as_the_same_moment_in_utc(
    message: sdk.Message, moment: datetime
) -> None:
    found = stored("scheduled_for", moment, message)
    assert found == moment
    assert found.utcoffset() == timedelta(0)


_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)
_POSTGRES_TIMES = {
    "infinity": _LAST,
    "10000-01-01 00:00:00": _LAST,
    "12000-02-29 12:30:00.5": _LAST,
    "294276-12-31 23:59:59.999": _LAST,
    "-infinity": _FIRST,
    "0001-12-31 23:59:59.999 BC": _FIRST,
    "4713-01-01 00:00:00 BC": _FIRST,
}
_SQLITE_TIMES = {
    "+012000-01-01T00:00:00.000Z": _LAST,
    "12000-01-01 00:00:00.000": _LAST,
    "-000043-03-15T00:00:00.000Z": _FIRST,
    "0000-01-01 00:00:00.000": _FIRST,
}


def test_a_time_that_python_does_not_have_reads_as_its_first_or_last(
    engine: str, message: sdk.Message
) -> None:
    """JavaScript has more of them: one row spoils no page."""
    chat, sender = message.chat_id, message.sender_id
    answer = sdk.send_message(sender, chat, "answer", reply_to_id=message.id)
    plan = sdk.send_message(sender, chat, "later", scheduled_for=MOMENT)
    for text, time in (_SQLITE_TIMES if engine == "sqlite" else _POSTGRES_TIMES).items():
        moment: Any = Value(text, converter=False)
        sdk.Message.update(updated_at=moment).where(sdk.Message.id == message.id).execute()
        sdk.Message.update(scheduled_for=moment).where(sdk.Message.id == plan.id).execute()
        sdk.Chat.update(created_at=moment).execute()
        assert sdk.get_message(sender, chat, message.id).updated_at == time, text
        rows = {row.id: row for row in sdk.list_messages(sender, chat)}
        assert rows[message.id].updated_at == rows[message.id].chat.created_at == time, text
        replied = rows[answer.id].reply_to
        assert replied and replied.updated_at == time, "as JSON"
        assert sdk.to_dict(rows[message.id])["updated_at"].startswith(f"{time.year:04}-")
        assert sdk.Message.get_by_id(plan.id).scheduled_for == time
        # In a list by that time, one from before the first is not shown.
        waiting = [row.scheduled_for for row in sdk.list_scheduled(sender)]
        assert waiting == [time] or (waiting == [] and (time == _FIRST or engine == "sqlite"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T12:00:00+03:00", datetime(2026, 1, 1, 9, tzinfo=UTC)),
        ("2026-01-01 12:00:00.500-0330", datetime(2026, 1, 1, 15, 30, 0, 500_000, UTC)),
        ("2026-01-01T12:00:00.000Z", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("2026-01-01T12:00:00", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+03:00", _FIRST),
        ("9999-12-31T23:59:59-03:00", _LAST),
    ],
)
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_time_with_a_zone_is_the_same_moment(
    engine: str, message: sdk.Message, text: str, moment: datetime
) -> None:
    """Columns of PostgreSQL hold no zone: it leaves that out when such a time is written."""
    sdk.Message.update(updated_at=Value(text, converter=False)).execute()
    sdk.Chat.update(created_at=Value(text, converter=False)).execute()
    found = sdk.get_message(message.sender_id, message.chat_id, message.id)
    assert found.updated_at == found.chat.created_at == moment
    assert found.updated_at.tzinfo is UTC


def test_a_list_ends_with_the_last_time_that_there_is(message: sdk.Message) -> None:
    sender, chat = message.sender_id, message.chat_id
    for _ in range(3):
        sdk.send_message(sender, chat, "later", scheduled_for=_LAST)
    page = sdk.list_scheduled(sender, limit=2)
    assert len(page) == 2
    assert sdk.list_scheduled(sender, limit=2, cursor=page.next_cursor) == []


def test_what_is_no_time_at_all_is_an_error_that_says_so(tmp_path: Path) -> None:
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db")
    sdk.migrate()
    user = make_user()
    sdk.User.update(updated_at=SQL("'soon'")).execute()
    with pytest.raises(sdk.StogramError, match=r"no time, as another program .*'soon'"):
        sdk.get_user(user.id)
    sdk.close()


def test_a_time_is_cut_to_milliseconds_and_not_rounded(message: sdk.Message) -> None:
    moment = MOMENT.replace(microsecond=999_999)
    assert stored("scheduled_for", moment, message) == MOMENT.replace(microsecond=999_000)
    assert utc_now().microsecond % 1000 == 0


def test_no_time_is_none(message: sdk.Message) -> None:
    assert stored("scheduled_for", None, message) is None


def test_a_naive_time_is_refused(message: sdk.Message) -> None:
    with pytest.raises(sdk.InvalidInput, match="aware"):
        stored("scheduled_for", datetime(2024, 1, 1), message)
    with pytest.raises(sdk.InvalidInput, match="aware"):
        list(sdk.Message.select().where(sdk.Message.created_at > datetime(2024, 1, 1)))


def test_times_are_compared_as_moments(message: sdk.Message) -> None:
    stored("created_at", MOMENT, message)
    for shift, found in (
        (timedelta(0), 1),
        (timedelta(milliseconds=1), 0),
        (timedelta(days=-1), 1),
    ):
        for zone in (UTC, timezone(timedelta(hours=9))):
            moment = (MOMENT + shift).astimezone(zone)
            assert sdk.Message.select().where(sdk.Message.created_at >= moment).count() == found


def test_sqlite_holds_times_in_one_form(sqlite_url: str) -> None:
    """Its own default too: it compares them as texts."""
    sdk.connect(sqlite_url)
    sdk.migrate()
    ivan = make_user()
    database = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    with database:
        database.execute(
            'INSERT INTO "Folder" ("id", "userId", "name", "updatedAt") VALUES (?, ?, ?, ?)',
            ("f1", ivan.id, "by default", "2024-01-01 00:00:00.000"),
        )
    texts = database.execute(
        'SELECT "createdAt" FROM "User" UNION ALL SELECT "createdAt" FROM "Folder"'
    ).fetchall()
    database.close()
    for (text,) in texts:
        assert (
            datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").isoformat(" ", "milliseconds") == text
        )
    assert abs(sdk.list_folders(ivan.id)[0].folder.created_at - utc_now()) < timedelta(minutes=1)
    sdk.close()


# --- In another time zone ---


@pytest.fixture
def in_moscow(postgres_server: PostgresServer) -> Iterator[str]:
    """A database whose sessions are three hours ahead of UTC."""
    with postgres_server.database() as name:
        postgres_server.execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Europe/Moscow'")
        sdk.connect(postgres_server.url_of(name))
        sdk.migrate()
        yield name
        sdk.close()


def test_the_zone_of_the_session_changes_no_time(
    in_moscow: str, postgres_server: PostgresServer
) -> None:
    zone = sdk.db.execute_sql("SHOW timezone").fetchone()
    assert zone == ("Europe/Moscow",)
    before = utc_now()
    ivan = make_user()
    assert before <= ivan.created_at == sdk.get_user(ivan.id).created_at <= utc_now()
    chat = make_chat(ivan)
    waiting = make_message(ivan, chat, scheduled_for=MOMENT)
    raw = 'SELECT "scheduledFor"::text FROM "Message"'
    assert postgres_server.execute(raw, in_moscow) == [("2024-03-31 01:30:00.123",)]
    assert waiting.scheduled_for == MOMENT
    assert sdk.publish_scheduled(now=MOMENT - timedelta(milliseconds=1)) == []
    assert sdk.publish_scheduled(now=MOMENT) == [waiting]


def test_every_call_gives_the_same_in_another_zone(in_moscow: str) -> None:
    scene = build_world().scene
    for label, call in CALLS.items():
        with undone():
            assert outcome(label, scene) == call.gives


# --- Arrays and enums ---


@pytest.mark.parametrize(
    "tags",
    [
        [],
        ["one"],
        ["b", "a", "b"],
        ["тег", "标签", "👋🏽", "é"],
        ["", " ", "a,b", "{a}", '"', "'", "\\", "NULL", "null", "a\nb", "%s", "?"],
        ["x" * 256] * 100,
    ],
)
def test_a_list_of_texts_comes_back(message: sdk.Message, tags: list[str]) -> None:
    assert stored("hashtags", tags, message) == tags
    assert stored("mentions", tuple(tags), message) == tags


def test_a_missing_list_reads_as_an_empty_one(message: sdk.Message) -> None:
    assert stored("hashtags", None, message) == []


def test_a_text_is_no_list_of_texts(message: sdk.Message) -> None:
    with pytest.raises(sdk.InvalidInput, match="list of texts"):
        stored("hashtags", "abc", message)


@pytest.mark.parametrize("type", [*sdk.MessageType, "GIF"])
def test_an_enum_comes_back_as_its_member(message: sdk.Message, type: str) -> None:
    found = stored("type", type, message)
    assert found is sdk.MessageType(type)
    assert sdk.Message.select().where(sdk.Message.type == type).count() == 1
    assert sdk.Message.select().where(sdk.Message.type.in_([*sdk.MessageType])).count() == 1


def test_enums_are_what_every_call_returns(message: sdk.Message) -> None:
    user = sdk.get_user(message.sender_id)
    (summary,) = sdk.list_chats(user.id)
    (member,) = sdk.list_members(user.id, message.chat_id)
    (profile,) = sdk.visible_profiles(user.id, [user.id])
    assert user.status is profile.status is sdk.UserStatus.OFFLINE
    assert summary.chat.type is sdk.Chat.get().type is sdk.ChatType.GROUP
    assert member.role is sdk.MemberRole.OWNER
    assert message.type is sdk.MessageType.TEXT


def test_what_the_server_left_empty_can_be_read(message: sdk.Message) -> None:
    user_id, chat_id = message.sender_id, message.chat_id
    nothing = dict.fromkeys(["content", "hashtags", "mentions", "reply_to", "file_size"])
    sdk.Message.update(nothing).execute()
    (found,) = sdk.list_messages(user_id, chat_id)
    assert (found.content, found.hashtags, found.mentions, found.reply_to_id) == (
        None,
        [],
        [],
        None,
    )
    assert sdk.edit_message(user_id, chat_id, message.id, "#tag").hashtags == ["tag"]

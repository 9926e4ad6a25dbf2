"""The server as it is today: tags are JSON in TEXT, messages expire, chats are archived."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.backfill import backfill
from stogram_sdk.command.check import check
from stogram_sdk.database import current_database, session
from stogram_sdk.fields import utc_now
from tests.support.contract import CALLS, build_world, outcome, undone
from tests.support.factories import make_chat, make_message, make_user
from tests.support.postgres import PostgresServer
from tests.support.states import Databases, migrate_here


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as name:
        Databases(postgres_server).later(name)
        made = postgres_server.url_of(name)
        migrate_here(made)
        yield made


@pytest.fixture(autouse=True)
def connected(url: str) -> Iterator[None]:
    sdk.connect(url)
    yield
    sdk.connect(url)  # the test may have gone elsewhere
    with session():
        for model in (sdk.Chat, sdk.User):
            model.delete().execute()
    sdk.close()


def execute(sql: str, *values: object) -> None:
    """A statement of the server."""
    with session():
        current_database().execute_sql(sql, values)


@pytest.fixture
def anna() -> sdk.User:
    return make_user("Anna")


@pytest.fixture
def ivan() -> sdk.User:
    return make_user("Ivan")


@pytest.fixture
def chat(anna: sdk.User, ivan: sdk.User) -> sdk.Chat:
    return make_chat(anna, ivan)


def as_the_server_sends(
    sender: sdk.User, chat: sdk.Chat, content: str, hashtags: str | None, mentions: str | None
) -> str:
    message_id = f"of the server {content}"
    execute(
        'INSERT INTO "Message" (id, content, "senderId", "chatId", "isSent", "createdAt", '
        '"updatedAt", hashtags, mentions) VALUES (%s, %s, %s, %s, true, %s, %s, %s, %s)',
        *(message_id, content, sender.id, chat.id),
        *(utc_now().replace(tzinfo=None), utc_now().replace(tzinfo=None), hashtags, mentions),
    )
    return message_id


def test_after_the_migration_everything_is_right(url: str) -> None:
    report = check(url)
    assert [(finding.name, finding.what) for finding in report.wrong] == []
    columns = current_database().execute_sql(
        "SELECT data_type FROM information_schema.columns "
        "WHERE column_name IN ('mentions', 'hashtags')"
    )
    assert set(columns.fetchall()) == {("text",)}
    assert sdk.migrate() == []


def test_every_function_does_what_it_does_elsewhere() -> None:
    scene = build_world().scene
    for label, call in CALLS.items():
        with undone():
            assert outcome(label, scene) == call.gives, label


def test_tags_are_written_as_the_server_writes_them(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    message = make_message(anna, chat, "@Ivan #План #Release")
    stored = current_database().execute_sql('SELECT hashtags, mentions FROM "Message"')
    assert stored.fetchall() == [('["План","Release"]', '["Ivan"]')]
    assert message.hashtags == ["План", "Release"]
    assert [found.id for found in sdk.find_by_hashtag(ivan.id, "план")] == [message.id]
    assert [found.id for found in sdk.find_by_mention(ivan.id)] == [message.id]
    assert sdk.unread_totals(ivan.id).mentions == 1
    edited = sdk.edit_message(anna.id, chat.id, message.id, "#other")
    assert edited.hashtags == ["other"]
    assert sdk.find_by_hashtag(ivan.id, "план") == []
    imported = sdk.ImportedMessage("old", ivan.id, utc_now() - timedelta(days=1), "#Старое")
    sdk.import_messages(anna.id, chat.id, [imported])
    assert sdk.find_by_hashtag(anna.id, "старое")[0].hashtags == ["Старое"]


@pytest.mark.parametrize(
    ("hashtags", "is_found"),
    [
        ('["PlanXy","b"]', True),
        ('["planxy"]', True),
        (None, False),
        ("[]", False),
        ("", False),
        ("no JSON", False),
        ('{"a": 1}', False),
        ("[1, null]", False),
        ("[" * 50_000 + "]" * 50_000, False),  # deeper than either side parses
    ],
)
def test_tags_of_the_server_are_found_whatever_it_has_written(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat, hashtags: str | None, is_found: bool
) -> None:
    message_id = as_the_server_sends(anna, chat, "text", hashtags, '["IVAN"]')
    found = [message.id for message in sdk.find_by_hashtag(ivan.id, "#PlanXy")]
    assert found == ([message_id] if is_found else [])
    assert [message.id for message in sdk.find_by_mention(ivan.id)] == [message_id]


def test_the_backfill_adds_what_is_missing_as_json(
    url: str, anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    as_the_server_sends(anna, chat, "#PlanXy and #проект1, @ivan", '["PlanXy"]', None)
    assert backfill(url).changed == 1
    stored = current_database().execute_sql('SELECT hashtags, mentions FROM "Message"')
    assert stored.fetchall() == [('["PlanXy","проект1"]', '["ivan"]')]
    assert len(sdk.find_by_hashtag(ivan.id, "Проект1")) == 1
    assert backfill(url).changed == 0


def test_what_is_past_its_time_is_not_shown(anna: sdk.User, ivan: sdk.User, chat: sdk.Chat) -> None:
    first = make_message(anna, chat, "first")
    gone = make_message(anna, chat, "gone #tag @Ivan")
    sdk.pin_message(ivan.id, chat.id, gone.id)
    set_end = 'UPDATE "Message" SET "expiresAt" = %s WHERE id = %s'
    execute(set_end, (utc_now() + timedelta(hours=1)).replace(tzinfo=None), gone.id)
    assert sdk.get_chat_settings(ivan.id, chat.id).unread_count == 2
    assert len(sdk.find_by_hashtag(ivan.id, "tag")) == 1
    execute(set_end, (utc_now() - timedelta(hours=1)).replace(tzinfo=None), gone.id)
    assert sdk.get_chat_settings(ivan.id, chat.id).unread_count == 1
    assert sdk.unread_totals(ivan.id) == (1, 1, 0)
    assert [row.id for row in sdk.list_messages(ivan.id, chat.id)] == [first.id]
    assert sdk.find_by_hashtag(ivan.id, "tag") == sdk.find_by_mention(ivan.id) == []
    assert sdk.search_messages(ivan.id, "gone") == []
    assert sdk.list_pinned_messages(ivan.id) == []
    assert sdk.users_to_notify(chat.id, gone.id) == []
    (line,) = sdk.list_chats(ivan.id)
    assert line.last_message is not None and line.last_message.id == first.id
    assert make_message(ivan, chat).created_at > gone.created_at


def test_a_forwarded_message_says_where_it_is_from(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    message, other = make_message(anna, chat, "#План"), make_chat(ivan)
    (copy,) = sdk.forward_messages(ivan.id, chat.id, [message.id], other.id)
    assert copy.hashtags == ["План"]
    stored = current_database().execute_sql(
        'SELECT id, "isForwarded", "forwardedFromId", "forwardedFromChatId", "forwardedFromUserId"'
        ' FROM "Message" ORDER BY "createdAt"'
    )
    assert stored.fetchall() == [
        (message.id, False, None, None, None),
        (copy.id, True, message.id, chat.id, anna.id),
    ]


def test_a_forwarded_message_keeps_the_words_of_its_author(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    message, other = make_message(anna, chat, "I like it"), make_chat(ivan)
    (copy,) = sdk.forward_messages(ivan.id, chat.id, [message.id], other.id)
    with pytest.raises(sdk.NotAllowed, match="forwarded") as refused:
        sdk.edit_message(ivan.id, other.id, copy.id, "I hate it")
    assert (refused.value.entity, refused.value.id) == ("message", copy.id)
    assert sdk.get_message(ivan.id, other.id, copy.id).content == "I like it"
    with pytest.raises(sdk.NotAllowed, match="sent already"):
        sdk.reschedule_message(ivan.id, other.id, copy.id, utc_now())
    assert sdk.edit_message(anna.id, chat.id, message.id, "I hate it").is_edited
    assert sdk.delete_message(ivan.id, other.id, copy.id)


def test_what_has_an_end_is_not_forwarded_past_it(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    stays, vanishes = make_message(anna, chat, "stays"), make_message(anna, chat, "vanishes")
    soon = (utc_now() + timedelta(hours=1)).replace(tzinfo=None)
    execute('UPDATE "Message" SET "expiresAt" = %s WHERE id = %s', soon, vanishes.id)
    with pytest.raises(sdk.NotAllowed, match="expires") as refused:
        sdk.forward_messages(ivan.id, chat.id, [stays.id, vanishes.id], chat.id)
    assert (refused.value.entity, refused.value.id) == ("message", vanishes.id)
    assert len(sdk.list_messages(anna.id, chat.id)) == 2
    assert len(sdk.forward_messages(ivan.id, chat.id, [stays.id], chat.id)) == 1


def test_an_archived_chat_is_listed_when_it_is_asked_for(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    other = make_chat(anna, ivan)
    sdk.mute_chat(ivan.id, chat.id)
    execute('UPDATE "ChatSettings" SET "isArchived" = true')
    assert [line.chat.id for line in sdk.list_chats(ivan.id)] == [other.id]
    assert [line.chat.id for line in sdk.list_chats(ivan.id, is_archived=True)] == [chat.id]
    assert len(sdk.list_chats(anna.id)) == 2


def test_the_level_says_what_a_member_is_told_of(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    plain, mention = make_message(anna, chat, "plain"), make_message(anna, chat, "@ivan!")
    sdk.mark_read(ivan.id, chat.id)

    def told(level: str) -> list[bool]:
        execute('UPDATE "ChatSettings" SET "notificationLevel" = %s', level)
        return [bool(sdk.users_to_notify(chat.id, row.id)) for row in (plain, mention)]

    assert told("ALL") == [True, True]
    assert told("MENTIONS") == [False, True]
    assert told("MUTED") == [False, False]


def test_a_type_of_message_that_only_the_server_knows_reads_as_its_text(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    message = make_message(anna, chat)
    execute("""UPDATE "Message" SET type = 'STICKER'""")
    sdk.pin_message(ivan.id, chat.id, message.id)
    assert sdk.list_messages(ivan.id, chat.id)[0].type == "STICKER"
    last = sdk.list_chats(ivan.id)[0].last_message
    assert last is not None and last.type == "STICKER"
    assert sdk.list_pinned_messages(ivan.id)[0].message.type == "STICKER"


def test_columns_that_come_while_a_service_runs_are_seen_by_new_connections(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.database() as name:
        sdk.connect(postgres_server.url_of(name))
        sdk.migrate()
        anna, ivan = make_user(), make_user()
        chat = make_chat(anna, ivan)
        make_message(anna, chat)
        assert len(sdk.list_messages(ivan.id, chat.id)) == 1
        postgres_server.execute(
            """ALTER TABLE "Message" ADD "expiresAt" TIMESTAMP(3) DEFAULT '2024-01-01'""", name
        )
        sdk.db.obj.close_idle()
        assert sdk.list_messages(ivan.id, chat.id) == []
        sdk.close()


def test_what_is_past_its_time_cannot_be_answered(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    gone = make_message(anna, chat)
    past = (utc_now() - timedelta(hours=1)).replace(tzinfo=None)
    execute('UPDATE "Message" SET "expiresAt" = %s WHERE id = %s', past, gone.id)
    with pytest.raises(sdk.NotFound) as refused:
        make_message(ivan, chat, reply_to_id=gone.id)
    assert (refused.value.entity, refused.value.id) == ("message", gone.id)


def test_what_is_past_its_time_is_not_edited(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    message = make_message(anna, chat, "hello")
    set_end = 'UPDATE "Message" SET "expiresAt" = %s WHERE id = %s'
    execute(set_end, (utc_now() + timedelta(hours=1)).replace(tzinfo=None), message.id)
    assert sdk.edit_message(anna.id, chat.id, message.id, "bye").content == "bye"
    execute(set_end, (utc_now() - timedelta(hours=1)).replace(tzinfo=None), message.id)
    for user in (anna, ivan):
        with pytest.raises(sdk.NotFound) as refused:
            sdk.edit_message(user.id, chat.id, message.id, "again")
        assert (refused.value.entity, refused.value.id) == ("message", message.id)
    stored = current_database().execute_sql('SELECT content FROM "Message"')
    assert stored.fetchall() == [("bye",)]


def test_what_is_past_its_time_is_not_shown_by_its_answers(
    anna: sdk.User, ivan: sdk.User, chat: sdk.Chat
) -> None:
    gone = make_message(anna, chat, "gone")
    answer = make_message(ivan, chat, reply_to_id=gone.id)
    assert answer.reply_to is not None and answer.reply_to.content == "gone"
    past = (utc_now() - timedelta(hours=1)).replace(tzinfo=None)
    execute('UPDATE "Message" SET "expiresAt" = %s WHERE id = %s', past, gone.id)
    (listed,) = sdk.list_messages(anna.id, chat.id)
    assert listed.reply_to is None
    assert sdk.edit_message(ivan.id, chat.id, answer.id, "new").reply_to is None

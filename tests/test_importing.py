"""Importing: history takes its places in a chat, and every unread count stays true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import session
from stogram_sdk.fields import utc_now
from stogram_sdk.models import MessageTag, new_id
from tests.support.factories import (
    after,
    insert_chat,
    insert_message,
    listed,
    make_chat,
    make_message,
    make_user,
    make_users,
    statements,
    wrong_counts,
)
from tests.support.factories import unread as unread_of
from tests.support.threads import at_once, eight

pytestmark = pytest.mark.usefixtures("engine")


def old(
    sender: sdk.User, seconds: float = 0, content: str = "hello", **options: Any
) -> sdk.ImportedMessage:
    """A message that was written elsewhere, so many seconds after `LONG_AGO`."""
    options = {"id": new_id(), "created_at": after(seconds), **options}
    return sdk.ImportedMessage(sender_id=sender.id, content=content, **options)


def message(sender: sdk.User, id: str, at: datetime) -> sdk.ImportedMessage:
    return sdk.ImportedMessage(id, sender.id, at, id)


def test_messages_are_stored_as_they_are_given(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    first = old(ivan, content="@Olga, see #Plan; @olga #план", is_edited=True)
    zone = timezone(timedelta(hours=3))
    second = sdk.ImportedMessage(
        id="m2",
        sender_id=olga.id,
        created_at=datetime(2020, 2, 3, 4, 5, 6, 7_999, zone),
        type=sdk.MessageType.FILE,
        reply_to_id=first.id,
        file_url="https://files.example/1",
        file_name='"a\\b", {NULL}\n.txt',
        file_size=2**31 - 1,
    )
    now = utc_now()
    assert sdk.import_messages(olga.id, chat.id, iter([first, second])) == 2
    with session():
        stored = {message.id: message for message in sdk.Message.select()}
    assert stored["m2"].created_at == datetime(2020, 2, 3, 1, 5, 6, 7_000, UTC)
    assert stored["m2"].updated_at >= now
    for given in (first, second):
        message = stored[given.id]
        assert (message.chat_id, message.sender_id) == (chat.id, given.sender_id)
        assert (message.content, message.type) == (given.content, given.type)
        assert (message.reply_to_id, message.is_edited) == (given.reply_to_id, given.is_edited)
        assert message.file_url == given.file_url
        assert (message.file_name, message.file_size) == (given.file_name, given.file_size)
        assert message.is_sent
        assert not (message.is_deleted or message.is_silent or message.scheduled_for)
    assert stored[first.id].mentions == ["Olga"]
    assert stored[first.id].hashtags == ["Plan", "план"]
    assert (stored["m2"].mentions, stored["m2"].hashtags) == ([], [])
    assert [message.id for message in sdk.find_by_hashtag(ivan.id, "план")] == [first.id]
    assert [message.id for message in sdk.find_by_mention(olga.id)] == [first.id]


def test_they_take_their_places_and_what_is_sent_next_comes_after(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    there = [insert_message(ivan, chat, created_at=after(number)).id for number in (10, 30)]
    now = utc_now()
    between, newest = old(olga, 20), old(olga, created_at=now)
    assert sdk.import_messages(olga.id, chat.id, [newest, between]) == 2
    next_one = make_message(olga, chat)
    assert next_one.created_at > now
    assert listed(ivan, chat) == [next_one.id, newest.id, there[1], between.id, there[0]]


@pytest.mark.parametrize("number", [1, 1_000])
def test_two_statements_however_many(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, number: int
) -> None:
    message = make_message(olga, chat)
    sdk.mark_read(ivan.id, chat.id)
    history = [
        old(olga if place % 2 else ivan, place, f"#tag{place}", reply_to_id=message.id)
        for place in range(number)
    ]
    with statements(2):
        assert sdk.import_messages(olga.id, chat.id, history) == number
    assert listed(ivan, chat, limit=1) == [message.id]
    assert len(sdk.find_by_hashtag(ivan.id, f"tag{number - 1}")) == 1


def test_messages_of_one_moment_keep_the_order_given(olga: sdk.User, chat: sdk.Chat) -> None:
    given = [message(olga, f"tg-{number}", after(number // 14)) for number in range(40)]
    first, second, third = given[:9], given[9:23], given[23:]
    for batch in (first, second, second, given[18:30], third, given):
        sdk.import_messages(olga.id, chat.id, batch)
        assert listed(olga, chat)[::-1] == [each.id for each in given][: len(listed(olga, chat))]
    with sdk.session():
        for each in given:
            moved = sdk.Message.get_by_id(each.id).created_at - each.created_at
            assert timedelta() <= moved < timedelta(milliseconds=len(given))


def test_messages_of_neighbouring_moments_keep_their_order(olga: sdk.User, chat: sdk.Chat) -> None:
    """Where the next milliseconds are taken, all of them move on."""
    given = [message(olga, f"m-{number}", after(number // 4 / 1000)) for number in range(30)]
    shuffled = sorted(given, key=lambda each: (int(each.id[2:]) % 4, int(each.id[2:])))
    sdk.import_messages(olga.id, chat.id, shuffled)
    assert listed(olga, chat)[::-1] == [each.id for each in given]
    sent = make_message(olga, chat)
    assert listed(olga, chat)[0] == sent.id


@pytest.mark.parametrize("deleted", ["a", "b", "c", "ab", "bc", "ac", "abc", ""])
@pytest.mark.parametrize(
    "moment", [after(0), datetime(1, 1, 1, tzinfo=UTC)], ids=["a time", "none"]
)
def test_a_deleted_message_keeps_its_place(
    olga: sdk.User, chat: sdk.Chat, moment: datetime, deleted: str
) -> None:
    """Also at the time that other systems write where they have none."""
    later = message(olga, "z", moment + timedelta(milliseconds=9))
    sdk.import_messages(olga.id, chat.id, [message(olga, id, moment) for id in "abc"] + [later])
    for id in deleted:
        sdk.delete_message(olga.id, chat.id, id)
    sdk.import_messages(olga.id, chat.id, [message(olga, id, moment) for id in "de"])
    sdk.import_messages(olga.id, chat.id, [message(olga, "f", moment)])
    left = [id for id in "abc" if id not in deleted]
    assert listed(olga, chat)[::-1] == [*left, *"defz"]


def test_what_waits_to_be_sent_takes_no_time(olga: sdk.User, chat: sdk.Chat) -> None:
    columns: dict[str, Any] = {"is_sent": False, "scheduled_for": after(9)}
    for is_deleted in (False, True):
        insert_message(olga, chat, created_at=after(0), is_deleted=is_deleted, **columns)
    sdk.import_messages(olga.id, chat.id, [message(olga, "a", after(0))])
    assert sdk.get_message(olga.id, chat.id, "a").created_at == after(0)


def test_a_thousand_at_a_time_and_no_more(olga: sdk.User, chat: sdk.Chat) -> None:
    history = [old(olga)] * 1_001
    with statements(0), pytest.raises(sdk.InvalidInput, match="at most 1000 messages, not 1001"):
        sdk.import_messages(olga.id, chat.id, history)
    assert sdk.import_messages(olga.id, chat.id, []) == 0


# --- Who may ---


def test_by_the_owner_and_admins(ivan: sdk.User, olga: sdk.User, chat: sdk.Chat) -> None:
    admin, stranger = make_users(2)
    sdk.add_member(olga.id, chat.id, admin.id, role=sdk.MemberRole.ADMIN)
    assert sdk.import_messages(olga.id, chat.id, [old(ivan)]) == 1
    assert sdk.import_messages(admin.id, chat.id, [old(ivan)]) == 1
    for history in ([old(ivan)], []):
        with pytest.raises(sdk.NotAllowed):
            sdk.import_messages(ivan.id, chat.id, history)
        for chat_id in (chat.id, "no-such-chat"):
            with pytest.raises(sdk.NotFound) as error:
                sdk.import_messages(stranger.id, chat_id, history)
            assert (error.value.entity, error.value.id) == ("chat", chat_id)
    assert len(listed(olga, chat)) == 2


def test_what_the_service_says_is_not_imported_by_a_user(olga: sdk.User, chat: sdk.Chat) -> None:
    notice = old(olga, type=sdk.MessageType.SYSTEM)
    with pytest.raises(sdk.InvalidInput, match="post_system_message") as refused:
        sdk.import_messages(olga.id, chat.id, [old(olga), notice])
    assert refused.value.field == "messages" and notice.id in str(refused.value)
    assert sdk.list_messages(olga.id, chat.id) == []


def test_in_a_channel_as_in_a_group() -> None:
    ann, ben = make_users(2)
    channel = make_chat(ann, ben, type=sdk.ChatType.CHANNEL)
    assert sdk.import_messages(ann.id, channel.id, [old(ben)]) == 1
    with pytest.raises(sdk.NotAllowed):
        sdk.import_messages(ben.id, channel.id, [old(ben)])


def test_in_a_private_chat_by_either_until_one_blocks_the_other() -> None:
    ann, ben = make_users(2)
    chat, _ = sdk.open_private_chat(ann.id, ben.id)
    for user in (ann, ben):
        assert sdk.import_messages(user.id, chat.id, [old(ann), old(ben)]) == 2
    sdk.block_user(ben.id, ann.id)
    for user in (ann, ben):
        with pytest.raises(sdk.Blocked):
            sdk.import_messages(user.id, chat.id, [old(ann)])
    assert len(listed(ann, chat)) == 4


# --- What stands in the way ---


def test_senders_are_users_and_need_not_be_members(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    elsewhere = make_user()
    sdk.leave_chat(ivan.id, chat.id)
    assert sdk.import_messages(olga.id, chat.id, [old(ivan), old(elsewhere)]) == 2
    unknown = [old(ivan), old(sdk.User(id="nobody")), old(sdk.User(id="no one"))]
    with pytest.raises(sdk.NotFound) as error:
        sdk.import_messages(olga.id, chat.id, unknown)
    assert (error.value.entity, error.value.id) == ("user", "no one")
    assert len(listed(olga, chat)) == 2


def test_an_answered_message_was_sent_in_the_chat(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    there, deleted = make_message(ivan, chat), make_message(ivan, chat)
    sdk.delete_message(ivan.id, chat.id, deleted.id)
    later = old(ivan, 2)
    answers = [old(olga, 1, reply_to_id=id) for id in (there.id, deleted.id, later.id)]
    assert sdk.import_messages(olga.id, chat.id, [*answers, later]) == 4
    waiting = make_message(ivan, chat, scheduled_for=utc_now() + timedelta(days=1))
    elsewhere = make_message(olga, make_chat(olga))
    for id in (waiting.id, elsewhere.id, "no-such-message"):
        with pytest.raises(sdk.NotFound) as error:
            sdk.import_messages(olga.id, chat.id, [old(ivan), old(ivan, reply_to_id=id)])
        assert (error.value.entity, error.value.id) == ("message", id)
    assert len(listed(olga, chat)) == 5


def test_the_same_id_is_one_message_so_an_import_can_be_repeated(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    history = [old(ivan, number) for number in range(5)]
    assert sdk.import_messages(olga.id, chat.id, history[:3]) == 3
    sdk.delete_message(ivan.id, chat.id, history[0].id)
    assert sdk.import_messages(olga.id, chat.id, history) == 2
    assert sdk.import_messages(olga.id, chat.id, history) == 0
    assert listed(ivan, chat) == [message.id for message in history[:0:-1]]
    twice = old(ivan, 9, content="the first")
    assert sdk.import_messages(olga.id, chat.id, [twice, twice._replace(content="other")]) == 1
    with session():
        assert sdk.Message.get_by_id(twice.id).content == "the first"


def test_the_id_of_another_message_is_taken(ivan: sdk.User, olga: sdk.User, chat: sdk.Chat) -> None:
    own, elsewhere = make_message(olga, chat), make_message(ivan, make_chat(ivan))
    new = old(ivan)
    for taken in (own.id, elsewhere.id, new.id):
        history = [new, old(olga if taken == new.id else ivan, id=taken)]
        with pytest.raises(sdk.AlreadyExists) as error:
            sdk.import_messages(olga.id, chat.id, history)
        assert (error.value.entity, error.value.id) == ("message", taken)
        assert listed(olga, chat) == [own.id]


def test_an_error_leaves_the_transaction_usable(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    with sdk.transaction():
        with pytest.raises(sdk.AlreadyExists):
            sdk.import_messages(olga.id, chat.id, [old(ivan, id="m"), old(olga, id="m")])
        assert sdk.import_messages(olga.id, chat.id, [old(ivan)]) == 1
    assert len(listed(olga, chat)) == 1


TOMORROW = datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("id", ""),
        ("sender_id", None),
        ("created_at", datetime(2024, 1, 1)),
        ("created_at", TOMORROW),
        ("content", ""),
        ("content", "x" * 65_537),
        ("content", None),
        ("content", "\x00"),
        ("type", "NONSENSE"),
        ("reply_to_id", 5),
        ("file_url", ""),
        ("file_name", "x" * 1_025),
        ("file_size", -1),
        ("is_edited", 1),
    ],
)
def test_an_error_says_which_message_and_what_is_wrong(
    olga: sdk.User, chat: sdk.Chat, field: str, wrong: Any
) -> None:
    message = old(olga, id="m1")._replace(**{field: wrong})
    with statements(0), pytest.raises(sdk.InvalidInput) as error:
        sdk.import_messages(olga.id, chat.id, [old(olga), message])
    assert error.value.field == "messages"
    assert field in str(error.value)
    assert f"messages, {message.id!r}: " in str(error.value)


# --- Unread counts ---


def test_what_is_later_than_the_last_one_read_is_unread() -> None:
    ann, ben, cid, dan = make_users(4)
    chat = insert_chat(ann, ben, cid, dan)
    read = insert_message(ann, chat, created_at=after(10))
    insert_message(ann, chat, created_at=after(20))
    sdk.mark_read(ben.id, chat.id, read.id)
    sdk.mark_read(cid.id, chat.id)
    assert (unread_of(ben, chat), unread_of(cid, chat)) == (1, 0)
    history = [old(ann, 5), old(ann, 15), old(ben, 16), old(cid, 17), old(ann, 25)]
    sdk.import_messages(ann.id, chat.id, history)
    assert [unread_of(user, chat) for user in (ann, ben, cid, dan)] == [2, 4, 1, 7]
    assert not wrong_counts()


def test_not_what_was_written_before_the_reader_joined_or_by_somebody_they_have_blocked() -> None:
    ann, ben, cid = make_users(3)
    chat = insert_chat(ann, ben, cid)
    read = insert_message(ann, chat, created_at=after(-20))
    for user in (ben, cid):
        sdk.mark_read(user.id, chat.id, read.id)
    sdk.block_user(ben.id, ann.id)
    sdk.import_messages(ann.id, chat.id, [old(ann, -10), old(ann, 10), old(cid, 11)])
    assert [unread_of(user, chat) for user in (ben, cid)] == [1, 1]
    assert not wrong_counts()


def test_who_has_read_nothing_has_all_of_it_unread_but_what_is_from_before_they_joined() -> None:
    ann, ben = make_users(2)
    chat, other_chat = insert_chat(ann, ben), insert_chat(ann, ben)
    history = [old(ann, -1), old(ann, 0), old(ann, 1)]
    sdk.import_messages(ann.id, chat.id, history)
    assert [unread_of(ben, each) for each in (chat, other_chat)] == [2, 0]
    sdk.mute_chat(ben.id, chat.id)
    assert unread_of(ben, chat) == 2
    with session():
        assert [row.unread_count for row in sdk.ChatSettings.select()] == [0], "the server's"


# --- Notifications, and everybody at once ---


def test_an_import_tells_nobody_by_itself_and_its_tags_are_kept_once(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    message = old(olga, created_at=chat.created_at - timedelta(days=1), content="#a #a @ivan")
    for _ in range(2):
        sdk.import_messages(olga.id, chat.id, [message])
    assert sdk.users_to_notify(chat.id, message.id) == []
    with session():
        tags = [row.tag for row in MessageTag.select() if row.message_id == message.id]
    assert sorted(tags) == ["#a", "@ivan"]


def test_one_import_from_many_threads_is_written_once(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    make_message(olga, chat)
    history = [old(ivan, number) for number in range(50)]
    written = eight(lambda: sdk.import_messages(olga.id, chat.id, history))
    assert sum(written) == len(history)
    assert len(listed(olga, chat, limit=100)) == len(history) + 1
    assert not wrong_counts()


def test_importing_beside_sending_reading_and_deleting(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    messages = [make_message(olga, chat) for _ in range(8)]
    for message in messages:
        recent = old(olga, created_at=message.created_at)
        at_once(
            partial(sdk.import_messages, olga.id, chat.id, [recent]),
            partial(sdk.send_message, olga.id, chat.id, "new"),
            partial(sdk.mark_read, ivan.id, chat.id, message.id),
            partial(sdk.delete_message, olga.id, chat.id, message.id),
        )
    assert not wrong_counts()

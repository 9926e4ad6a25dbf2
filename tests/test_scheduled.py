"""Messages that wait for their time."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.fields import LATEST, utc_now
from tests.support.factories import (
    LONG_AGO,
    after,
    insert_chat,
    insert_message,
    listed,
    make_chat,
    make_message,
    make_users,
    sent_statements,
    statements,
    unread,
    wrong_counts,
)
from tests.support.threads import eight

pytestmark = pytest.mark.usefixtures("engine")

NOON = datetime(2999, 1, 1, 12, tzinfo=UTC)


def test_until_its_time_a_message_is_there_for_nobody() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat, f"#later @{ben.username}", scheduled_for=NOON)
    assert (message.is_sent, message.scheduled_for) == (False, NOON)
    for user in (ann, ben):
        assert listed(user, chat) == []
        assert sdk.list_chats(user.id)[0].last_message is None
        assert sdk.find_by_hashtag(user.id, "later") == []
        assert sdk.search_messages(user.id, "later") == []
        with pytest.raises(sdk.NotFound):
            sdk.pin_message(user.id, chat.id, message.id)
    assert sdk.unread_totals(ben.id) == sdk.UnreadTotals(0, 0, 0)
    assert sdk.users_to_notify(chat.id, message.id) == []
    assert sdk.publish_scheduled() == []
    assert sdk.publish_scheduled(now=NOON - timedelta(milliseconds=1)) == []


def test_what_is_due_is_sent_once_and_counts_as_unread_then() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    waiting = make_message(ann, chat, "#later", scheduled_for=NOON)
    make_message(ann, chat)
    sdk.mark_read(ben.id, chat.id)
    [sent] = sdk.publish_scheduled(now=NOON)
    assert sent == sdk.Message.get(sdk.Message.id == waiting.id)
    assert (sent.id, sent.is_sent, sent.scheduled_for) == (waiting.id, True, NOON)
    assert sent.created_at == NOON
    assert unread(ben, chat) == 1
    assert listed(ben, chat)[0] == sent.id
    assert sdk.users_to_notify(chat.id, sent.id) == [ben.id]
    assert sdk.publish_scheduled(now=NOON) == []
    assert unread(ben, chat) == 1


def test_a_time_that_has_passed_is_due_at_once() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat, scheduled_for=LONG_AGO)
    assert unread(ben, chat) == 0
    assert [sent.id for sent in sdk.publish_scheduled()] == [message.id]
    assert unread(ben, chat) == 1


def test_what_was_due_earlier_is_sent_now() -> None:
    """A job that is late, or whose clock is, dates nothing back."""
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    began = utc_now()
    plan = make_message(ann, chat, scheduled_for=began - timedelta(minutes=10))
    recent = make_message(ann, chat)
    sdk.mark_read(ben.id, chat.id)
    earlier = began - timedelta(minutes=5)
    [sent] = sdk.publish_scheduled(now=earlier)
    assert sent.id == plan.id
    assert sent.created_at > recent.created_at >= began
    assert listed(ben, chat) == [plan.id, recent.id]
    assert sdk.get_chat(ben.id, chat.id).chat.updated_at == sent.created_at
    assert unread(ben, chat) == 1
    assert sdk.publish_scheduled(now=earlier) == [], "it is leased from now on"
    later = make_message(ann, chat, scheduled_for=began - timedelta(minutes=1))
    assert sdk.publish_scheduled(now=earlier) == [], "is not due then"
    assert [message.id for message in sdk.publish_scheduled()] == [later.id]


def test_a_time_of_any_zone_is_the_same_moment() -> None:
    ann = make_users(1)[0]
    chat = make_chat(ann)
    moscow = timezone(timedelta(hours=3))
    message = make_message(ann, chat, scheduled_for=NOON.astimezone(moscow))
    assert message.scheduled_for == NOON
    assert sdk.publish_scheduled(now=(NOON - timedelta(seconds=1)).astimezone(moscow)) == []
    assert len(sdk.publish_scheduled(now=NOON.astimezone(moscow))) == 1


def test_many_are_sent_in_the_order_of_their_times_after_what_is_there() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    for number in (3, 1, 2):
        make_message(
            ann, chat, message_id=f"m{number}", scheduled_for=NOON - timedelta(hours=9 - number)
        )
    for number in (4, 5):
        make_message(ann, chat, message_id=f"m{number}", scheduled_for=NOON)
    insert_message(ben, chat, id="m0", created_at=NOON + timedelta(seconds=50))
    sent = sdk.publish_scheduled(now=NOON)
    assert [message.id for message in sent] == ["m1", "m2", "m3", "m4", "m5"]
    assert listed(ben, chat) == ["m5", "m4", "m3", "m2", "m1", "m0"]
    assert unread(ben, chat) == 5
    assert sdk.mark_read(ben.id, chat.id, "m3").unread_count == 2


def test_publishing_is_eight_statements_however_many_are_due() -> None:
    users = make_users(5)
    chats = [make_chat(*users) for _ in range(3)]
    for chat in chats:
        for user in users:
            make_message(user, chat, scheduled_for=NOON)
    with statements(2):
        assert sdk.publish_scheduled() == []
    with statements(8):
        assert len(sdk.publish_scheduled(now=NOON)) == 15
    assert [unread(user, chat) for chat in chats for user in users] == [4] * 15
    assert wrong_counts() == {}


def test_a_limit_takes_the_earliest_first() -> None:
    ann, ben = make_users(2)
    chats = [make_chat(ann, ben) for _ in range(2)]
    for number in range(4):
        make_message(
            ann,
            chats[number % 2],
            message_id=f"m{number}",
            scheduled_for=NOON + timedelta(seconds=-number),
        )
    assert {sent.id for sent in sdk.publish_scheduled(now=NOON, limit=3)} == {"m3", "m2", "m1"}
    assert [sent.id for sent in sdk.publish_scheduled(now=NOON, limit=3)] == ["m0"]


def test_a_deleted_one_is_not_sent_and_was_never_counted() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    make_message(ann, chat)
    message = make_message(ann, chat, scheduled_for=NOON)
    assert sdk.delete_message(ann.id, chat.id, message.id)
    assert unread(ben, chat) == 1
    assert sdk.publish_scheduled(now=NOON) == []


def test_an_edited_one_is_sent_as_it_is_now() -> None:
    ann = make_users(1)[0]
    chat = make_chat(ann)
    message = make_message(ann, chat, "#draft", scheduled_for=NOON)
    sdk.edit_message(ann.id, chat.id, message.id, "#final")
    assert sdk.publish_scheduled(now=NOON)[0].hashtags == ["final"]
    assert sdk.find_by_hashtag(ann.id, "draft") == []


def test_one_whose_sender_has_left_is_not_sent() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ben, chat, scheduled_for=NOON)
    sdk.leave_chat(ben.id, chat.id)
    assert sdk.publish_scheduled(now=NOON) == []
    assert sdk.Message.get(sdk.Message.id == message.id).is_deleted
    sdk.add_member(ann.id, chat.id, ben.id)
    assert sdk.publish_scheduled(now=NOON) == []
    assert unread(ann, chat) == 0


def test_of_one_that_is_not_sent_nothing_stays() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    waiting = make_message(
        *(ben, chat, "my #secret @plan"),
        file_url="https://example.org/plan",
        file_name="plan.txt",
        file_size=7,
        scheduled_for=NOON,
    )
    sdk.leave_chat(ben.id, chat.id)
    assert sdk.publish_scheduled(now=NOON) == []
    emptied: sdk.Message = sdk.Message.get_by_id(waiting.id)
    assert emptied.is_deleted and not emptied.is_sent
    assert [emptied.content, emptied.mentions, emptied.hashtags] == [None, [], []]
    assert [emptied.file_url, emptied.file_name, emptied.file_size] == [None, None, None]
    sdk.add_member(ann.id, chat.id, ben.id)
    assert not sdk.delete_message(ben.id, chat.id, waiting.id), "it is deleted already"


def test_one_that_is_not_sent_does_not_hold_up_the_others() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    for _ in range(3):
        make_message(ben, chat, scheduled_for=LONG_AGO)
    message = make_message(ann, chat, scheduled_for=NOON)
    sdk.leave_chat(ben.id, chat.id)
    assert [sent.id for sent in sdk.publish_scheduled(now=NOON, limit=1)] == [message.id]


def test_one_in_a_private_chat_is_not_sent_after_a_block() -> None:
    ann, ben = make_users(2)
    private, group = make_chat(ann, ben, type=sdk.ChatType.PRIVATE), make_chat(ann, ben)
    make_message(ben, private, scheduled_for=NOON)
    in_group = make_message(ben, group, scheduled_for=NOON)
    sdk.block_user(ann.id, ben.id)
    assert [sent.id for sent in sdk.publish_scheduled(now=NOON)] == [in_group.id]
    assert (unread(ann, private), unread(ann, group)) == (0, 0)
    assert sdk.users_to_notify(group.id, in_group.id) == []
    sdk.unblock_user(ann.id, ben.id)
    assert (listed(ann, private), listed(ann, group)) == ([], [in_group.id])
    assert wrong_counts() == {}


def test_one_in_a_channel_is_sent_if_its_sender_may_still_write_there() -> None:
    ann, ben = make_users(2)
    channel = make_chat(ann, type=sdk.ChatType.CHANNEL)
    sdk.add_member(ann.id, channel.id, ben.id, role=sdk.MemberRole.ADMIN)
    make_message(ben, channel, scheduled_for=NOON)
    sdk.leave_chat(ben.id, channel.id)
    sdk.add_member(ann.id, channel.id, ben.id)
    assert sdk.publish_scheduled(now=NOON) == []


def test_who_joins_before_it_is_sent_has_it_unread() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    make_message(ann, chat, scheduled_for=NOON)
    sdk.add_member(ann.id, chat.id, ben.id)
    sdk.publish_scheduled(now=NOON)
    assert unread(ben, chat) == 1


def test_the_same_message_id_is_one_scheduled_message() -> None:
    ann = make_users(1)[0]
    chat = make_chat(ann)
    for _ in range(2):
        message = make_message(ann, chat, message_id="m1", scheduled_for=NOON)
        assert not message.is_sent
    assert len(sdk.publish_scheduled(now=NOON)) == 1
    assert make_message(ann, chat, message_id="m1", scheduled_for=NOON).is_sent
    assert sdk.publish_scheduled(now=NOON) == []


def test_what_the_server_scheduled_is_sent_too() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    message = insert_message(ann, chat, is_sent=False, scheduled_for=after(60), created_at=after(1))
    insert_message(ann, chat, created_at=after(30))
    sdk.mark_read(ben.id, chat.id)
    assert [sent.id for sent in sdk.publish_scheduled(now=after(60))] == [message.id]
    assert unread(ben, chat) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"now": datetime(2999, 1, 1)}, {"now": "now"}, {"limit": 0}, {"limit": 101}, {"limit": "1"}],
    ids=str,
)
def test_what_cannot_be_published_is_refused(wrong: dict[str, Any]) -> None:
    with sent_statements() as sent, pytest.raises(sdk.InvalidInput):
        sdk.publish_scheduled(**wrong)
    assert sent == []


def test_a_naive_time_is_refused() -> None:
    ann: sdk.User = make_users(1)[0]
    with pytest.raises(sdk.InvalidInput) as error:
        sdk.send_message(ann.id, make_chat(ann).id, "x", scheduled_for=datetime(2999, 1, 1))
    assert error.value.field == "scheduled_for"


# --- at least once ---

LEASE = timedelta(seconds=300)


def given(now: datetime, **options: Any) -> list[str]:
    return [message.id for message in sdk.publish_scheduled(now=now, **options)]


def make_due(number: int) -> tuple[sdk.User, list[str]]:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    return ann, [make_message(ann, chat, scheduled_for=NOON).id for _ in range(number)]


def test_what_nobody_acknowledges_is_given_again_and_sent_once() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat, scheduled_for=NOON)
    assert given(NOON) == [message.id]
    once = sdk.list_messages(ben.id, chat.id)
    assert given(NOON + LEASE - timedelta(milliseconds=1)) == []
    for lease in (1, 2):
        (again,) = sdk.publish_scheduled(now=NOON + lease * LEASE)
        assert (again.id, again.sender.id, again.chat.id) == (message.id, ann.id, chat.id)
    assert sdk.list_messages(ben.id, chat.id) == once
    assert unread(ben, chat) == 1
    assert sdk.acknowledge_published([message.id]) == 1
    assert sdk.acknowledge_published([message.id]) == 0
    assert given(NOON + 9 * LEASE) == []


def test_some_of_several_are_acknowledged() -> None:
    _, ids = make_due(3)
    assert given(NOON, limit=2) == ids[:2]
    assert sdk.acknowledge_published([ids[0], "no-such-message", ids[0]]) == 1
    assert given(NOON) == ids[2:]
    assert given(NOON + LEASE) == ids[1:]
    assert sdk.acknowledge_published([]) == 0


def test_the_lease_is_as_long_as_the_caller_says() -> None:
    _, [message_id] = make_due(1)
    assert given(NOON, lease=1) == [message_id]
    second = timedelta(seconds=1)
    assert given(NOON + second, lease=86_400) == [message_id]
    assert given(NOON + second + timedelta(days=1) - second) == []
    assert given(NOON + second + timedelta(days=1)) == [message_id]


def test_what_is_sent_at_the_end_of_the_calendar_is_seen() -> None:
    """Each message is later than the one before, and all are before every cursor."""
    ann, ids = make_due(3)
    chat = sdk.Message.get_by_id(ids[0]).chat
    assert given(LATEST) == ids
    assert listed(ann, chat) == ids[::-1]


def test_a_lease_may_end_with_the_calendar() -> None:
    _, [message_id] = make_due(1)
    assert given(datetime(9999, 12, 31, 23, 59, tzinfo=UTC), lease=86_400) == [message_id]


@pytest.mark.parametrize("wrong", [0, -1, 86_401, 1.5, None, True, "300", timedelta(minutes=5)])
def test_what_is_no_lease_is_refused(wrong: Any) -> None:
    with statements(0), pytest.raises(sdk.InvalidInput, match="lease must be a whole number"):
        sdk.publish_scheduled(lease=wrong)


def test_those_that_come_again_and_the_new_ones_wait_for_each_other() -> None:
    """Neither keeps the other from its turn, though more come again than one call takes."""
    ann, ids = make_due(3)
    chat = sdk.Message.get(sdk.Message.id == ids[0]).chat
    assert given(NOON) == ids
    later = NOON + LEASE
    new = make_message(ann, chat, scheduled_for=later).id
    assert given(later, limit=2) == ids[:2]
    assert given(later, limit=2) == [ids[2], new]


def test_a_message_that_is_deleted_or_gone_is_not_given_again() -> None:
    ann, [deleted, gone, kept] = make_due(3)
    assert given(NOON) == [deleted, gone, kept]
    sdk.delete_message(ann.id, sdk.Message.get_by_id(deleted).chat_id, deleted)
    sdk.Message.delete().where(sdk.Message.id == gone).execute()
    assert given(NOON + LEASE, limit=1) == [kept]
    assert sdk.acknowledge_published([deleted, gone]) == 0, "their rows have left"


def test_an_id_that_is_used_again_is_a_new_message() -> None:
    ann, [message_id] = make_due(1)
    chat = sdk.Message.get_by_id(message_id).chat
    assert given(NOON) == [message_id]
    sdk.Message.delete().where(sdk.Message.id == message_id).execute()
    make_message(ann, chat, message_id=message_id, scheduled_for=NOON)
    assert given(NOON) == [message_id]


def test_what_the_server_has_published_is_given_to_nobody() -> None:
    _, [message_id] = make_due(1)
    sdk.Message.update(is_sent=True).where(sdk.Message.id == message_id).execute()
    assert given(NOON) == given(NOON + LEASE) == []


def test_a_message_is_given_to_one_of_many_callers_each_time() -> None:
    _, ids = make_due(20)
    for now in (NOON, NOON + LEASE):
        found = eight(lambda now=now: given(now, limit=7))  # type: ignore[misc]  # its default
        assert len(found) == 8
        assert sorted(id for part in found for id in part) == sorted(ids)


def test_a_transaction_of_ones_own_has_each_exactly_once() -> None:
    """The caller writes what is to be done where the message is acknowledged: both, or neither."""
    ann, ids = make_due(2)
    with pytest.raises(ZeroDivisionError), sdk.transaction():
        assert given(NOON) == ids
        raise ZeroDivisionError
    assert sdk.Message.select().where(sdk.Message.is_sent).count() == 0
    with sdk.transaction():
        assert given(NOON) == ids
        sdk.create_folder(ann.id, "stands for a row of the caller's")
        assert sdk.acknowledge_published(ids) == 2
    assert given(NOON + LEASE) == []


_DIES = """
import os, signal, sys
import stogram_sdk as sdk

sdk.connect(sys.argv[1])
sent = sdk.publish_scheduled()
print(*(message.id for message in sent), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_who_dies_before_the_notification_loses_none(
    request: pytest.FixtureRequest, engine: str
) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat, scheduled_for=LONG_AGO)
    if engine == "sqlite":
        url = f"sqlite:///{current_database().database}"
    else:
        url = request.getfixturevalue("migrated_postgres")
    died = subprocess.run(
        [sys.executable, "-c", _DIES, url],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (died.returncode, died.stdout.split()) == (-signal.SIGKILL, [message.id])
    assert sdk.publish_scheduled() == []
    assert given(utc_now() + LEASE + timedelta(seconds=1)) == [message.id]


# --- What one has scheduled ---


def test_ones_own_are_listed_the_earliest_first_until_they_are_sent() -> None:
    ann, ben = make_users(2)
    chat, other = make_chat(ann, ben), make_chat(ann)
    late, early, elsewhere = (
        make_message(ann, place, scheduled_for=NOON + timedelta(hours=hours))
        for place, hours in ((chat, 3), (chat, 1), (other, 2))
    )
    make_message(ben, chat, scheduled_for=NOON)
    make_message(ann, chat)
    deleted = make_message(ann, chat, scheduled_for=NOON)
    sdk.delete_message(ann.id, chat.id, deleted.id)

    def waiting(*chats: str, **options: Any) -> list[str]:
        return [message.id for message in sdk.list_scheduled(ann.id, *chats, **options)]

    with statements(1):
        assert waiting() == [early.id, elsewhere.id, late.id]
    assert waiting(chat.id) == [early.id, late.id]
    page = sdk.list_scheduled(ann.id, limit=2)
    assert sdk.to_dict(page[0]) == sdk.to_dict(early) | {"chat": sdk.to_dict(page[0].chat)}
    assert waiting(limit=2, cursor=page.next_cursor) == [late.id]
    sdk.publish_scheduled(now=NOON + timedelta(hours=1))
    assert waiting() == [elsewhere.id, late.id]
    with pytest.raises(sdk.NotFound):
        sdk.list_scheduled(ben.id, other.id)


def test_in_a_chat_that_was_left_nothing_is_listed() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    make_message(ben, chat, scheduled_for=NOON)
    sdk.leave_chat(ben.id, chat.id)
    assert sdk.list_scheduled(ben.id) == []
    with pytest.raises(sdk.NotFound):
        sdk.list_scheduled(ben.id, chat.id)


def test_pages_of_one_time_hold_every_message_once() -> None:
    ann = make_users(1)[0]
    chat = make_chat(ann)
    ids = {make_message(ann, chat, scheduled_for=NOON).id for _ in range(5)}
    seen: list[str] = []
    cursor = None
    while True:
        page = sdk.list_scheduled(ann.id, limit=2, cursor=cursor)
        seen += [message.id for message in page]
        if (cursor := page.next_cursor) is None:
            break
    assert (len(seen), set(seen)) == (5, ids)


def test_another_time_is_given_until_it_is_sent() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat, scheduled_for=NOON)
    later = NOON + timedelta(hours=1)
    with statements(1):
        moved = sdk.reschedule_message(ann.id, chat.id, message.id, later)
    assert (moved.id, moved.scheduled_for, moved.is_sent) == (message.id, later, False)
    assert (moved.sender.username, moved.chat.id) == (ann.username, chat.id)
    assert sdk.publish_scheduled(now=NOON) == []
    sdk.reschedule_message(ann.id, chat.id, message.id, LONG_AGO)
    assert [sent.id for sent in sdk.publish_scheduled()] == [message.id]
    for known in (message, make_message(ann, chat)):
        with pytest.raises(sdk.NotAllowed, match="sent already"):
            sdk.reschedule_message(ann.id, chat.id, known.id, later)


def test_nobody_else_gives_another_time() -> None:
    ann, ben, eve = make_users(3)
    chat = make_chat(ann, ben)
    message, shown = make_message(ben, chat, scheduled_for=NOON), make_message(ben, chat)
    private, _ = sdk.open_private_chat(ann.id, ben.id)
    blocked = make_message(ben, private, scheduled_for=NOON)
    refused = [
        *[(sdk.NotFound, user, chat, message) for user in (ann, eve)],
        (sdk.NotAllowed, ann, chat, shown),
        (sdk.NotFound, ben, private, message),
        (sdk.Blocked, ben, private, blocked),
    ]
    sdk.block_user(ann.id, ben.id)
    for kind, user, place, known in refused:
        with pytest.raises(kind):
            sdk.reschedule_message(user.id, place.id, known.id, LONG_AGO)
    sdk.delete_message(ben.id, chat.id, message.id)
    with pytest.raises(sdk.NotFound):
        sdk.reschedule_message(ben.id, chat.id, message.id, LONG_AGO)
    sdk.leave_chat(ben.id, chat.id)
    with pytest.raises(sdk.NotFound):
        sdk.reschedule_message(ben.id, chat.id, message.id, LONG_AGO)

"""Importing: history takes its places in a chat, and every unread count stays true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from stogram_sdk import (
    AlreadyExists,
    Blocked,
    Chat,
    ChatSettings,
    ChatType,
    ImportedMessage,
    InvalidInput,
    MemberRole,
    Message,
    MessageType,
    NotAllowed,
    NotFound,
    User,
    add_member,
    block_user,
    delete_message,
    find_by_hashtag,
    find_by_mention,
    import_messages,
    leave_chat,
    mark_read,
    mute_chat,
    open_private_chat,
    send_message,
    transaction,
    unread,
    users_to_notify,
)
from stogram_sdk.database import session
from stogram_sdk.fields import utc_now
from stogram_sdk.models import MessageTag, new_id
from tests.factories import (
    LONG_AGO,
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
from tests.factories import unread as unread_of
from tests.threads import at_once, eight

pytestmark = pytest.mark.usefixtures("engine")


def old(
    sender: User, seconds: float = 0, content: str = "hello", **options: Any
) -> ImportedMessage:
    """A message that was written elsewhere, so many seconds after `LONG_AGO`."""
    options = {"id": new_id(), "created_at": after(seconds), **options}
    return ImportedMessage(sender_id=sender.id, content=content, **options)


def test_messages_are_stored_as_they_are_given(ivan: User, olga: User, chat: Chat) -> None:
    first = old(ivan, content="@Olga, see #Plan; @olga #план", is_edited=True)
    zone = timezone(timedelta(hours=3))
    second = ImportedMessage(
        id="m2",
        sender_id=olga.id,
        created_at=datetime(2020, 2, 3, 4, 5, 6, 7_999, zone),
        type=MessageType.FILE,
        reply_to_id=first.id,
        file_url="https://files.example/1",
        file_name='"a\\b", {NULL}\n.txt',
        file_size=2**31 - 1,
    )
    now = utc_now()
    assert import_messages(olga.id, chat.id, iter([first, second])) == 2
    with session():
        stored = {message.id: message for message in Message.select()}
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
    assert stored[first.id].mentions == ["olga"]
    assert stored[first.id].hashtags == ["plan", "план"]
    assert (stored["m2"].mentions, stored["m2"].hashtags) == ([], [])
    assert [message.id for message in find_by_hashtag(ivan.id, "план")] == [first.id]
    assert [message.id for message in find_by_mention(olga.id)] == [first.id]


def test_they_take_their_places_and_what_is_sent_next_comes_after(
    ivan: User, olga: User, chat: Chat
) -> None:
    there = [insert_message(ivan, chat, created_at=after(number)).id for number in (10, 30)]
    now = utc_now()
    between, newest = old(olga, 20), old(olga, created_at=now)
    assert import_messages(olga.id, chat.id, [newest, between]) == 2
    next_one = make_message(olga, chat)
    assert next_one.created_at > now
    assert listed(ivan, chat) == [next_one.id, newest.id, there[1], between.id, there[0]]


@pytest.mark.parametrize("number", [1, 1_000])
def test_two_statements_however_many(ivan: User, olga: User, chat: Chat, number: int) -> None:
    message = make_message(olga, chat)
    mark_read(ivan.id, chat.id)
    history = [
        old(olga if place % 2 else ivan, place, f"#tag{place}", reply_to_id=message.id)
        for place in range(number)
    ]
    with statements(2):
        assert import_messages(olga.id, chat.id, history) == number
    assert listed(ivan, chat, limit=1) == [message.id]
    assert len(find_by_hashtag(ivan.id, f"tag{number - 1}")) == 1


def test_a_thousand_at_a_time_and_no_more(olga: User, chat: Chat) -> None:
    history = [old(olga)] * 1_001
    with statements(0), pytest.raises(InvalidInput, match="at most 1000 messages, not 1001"):
        import_messages(olga.id, chat.id, history)
    assert import_messages(olga.id, chat.id, []) == 0


# --- Who may ---


def test_by_the_owner_and_admins(ivan: User, olga: User, chat: Chat) -> None:
    admin, stranger = make_users(2)
    add_member(olga.id, chat.id, admin.id, role=MemberRole.ADMIN)
    assert import_messages(olga.id, chat.id, [old(ivan)]) == 1
    assert import_messages(admin.id, chat.id, [old(ivan)]) == 1
    for history in ([old(ivan)], []):
        with pytest.raises(NotAllowed):
            import_messages(ivan.id, chat.id, history)
        for chat_id in (chat.id, "no-such-chat"):
            with pytest.raises(NotFound) as error:
                import_messages(stranger.id, chat_id, history)
            assert (error.value.entity, error.value.id) == ("chat", chat_id)
    assert len(listed(olga, chat)) == 2


def test_in_a_channel_as_in_a_group() -> None:
    ann, ben = make_users(2)
    channel = make_chat(ann, ben, type=ChatType.CHANNEL)
    assert import_messages(ann.id, channel.id, [old(ben)]) == 1
    with pytest.raises(NotAllowed):
        import_messages(ben.id, channel.id, [old(ben)])


def test_in_a_private_chat_by_either_until_one_blocks_the_other() -> None:
    ann, ben = make_users(2)
    chat, _ = open_private_chat(ann.id, ben.id)
    for user in (ann, ben):
        assert import_messages(user.id, chat.id, [old(ann), old(ben)]) == 2
    block_user(ben.id, ann.id)
    for user in (ann, ben):
        with pytest.raises(Blocked):
            import_messages(user.id, chat.id, [old(ann)])
    assert len(listed(ann, chat)) == 4


# --- What stands in the way ---


def test_senders_are_users_and_need_not_be_members(ivan: User, olga: User, chat: Chat) -> None:
    elsewhere = make_user()
    leave_chat(ivan.id, chat.id)
    assert import_messages(olga.id, chat.id, [old(ivan), old(elsewhere)]) == 2
    unknown = [old(ivan), old(User(id="nobody")), old(User(id="no one"))]
    with pytest.raises(NotFound) as error:
        import_messages(olga.id, chat.id, unknown)
    assert (error.value.entity, error.value.id) == ("user", "no one")
    assert len(listed(olga, chat)) == 2


def test_an_answered_message_was_sent_in_the_chat(ivan: User, olga: User, chat: Chat) -> None:
    there, deleted = make_message(ivan, chat), make_message(ivan, chat)
    delete_message(ivan.id, chat.id, deleted.id)
    later = old(ivan, 2)
    answers = [old(olga, 1, reply_to_id=id) for id in (there.id, deleted.id, later.id)]
    assert import_messages(olga.id, chat.id, [*answers, later]) == 4
    waiting = make_message(ivan, chat, scheduled_for=utc_now() + timedelta(days=1))
    elsewhere = make_message(olga, make_chat(olga))
    for id in (waiting.id, elsewhere.id, "no-such-message"):
        with pytest.raises(NotFound) as error:
            import_messages(olga.id, chat.id, [old(ivan), old(ivan, reply_to_id=id)])
        assert (error.value.entity, error.value.id) == ("message", id)
    assert len(listed(olga, chat)) == 5


def test_the_same_id_is_one_message_so_an_import_can_be_repeated(
    ivan: User, olga: User, chat: Chat
) -> None:
    history = [old(ivan, number) for number in range(5)]
    assert import_messages(olga.id, chat.id, history[:3]) == 3
    delete_message(ivan.id, chat.id, history[0].id)
    assert import_messages(olga.id, chat.id, history) == 2
    assert import_messages(olga.id, chat.id, history) == 0
    assert listed(ivan, chat) == [message.id for message in history[:0:-1]]
    twice = old(ivan, 9, content="the first")
    assert import_messages(olga.id, chat.id, [twice, twice._replace(content="other")]) == 1
    with session():
        assert Message.get_by_id(twice.id).content == "the first"


def test_the_id_of_another_message_is_taken(ivan: User, olga: User, chat: Chat) -> None:
    own, elsewhere = make_message(olga, chat), make_message(ivan, make_chat(ivan))
    new = old(ivan)
    for taken in (own.id, elsewhere.id, new.id):
        history = [new, old(olga if taken == new.id else ivan, id=taken)]
        with pytest.raises(AlreadyExists) as error:
            import_messages(olga.id, chat.id, history)
        assert (error.value.entity, error.value.id) == ("message", taken)
        assert listed(olga, chat) == [own.id]


def test_an_error_leaves_the_transaction_usable(ivan: User, olga: User, chat: Chat) -> None:
    with transaction():
        with pytest.raises(AlreadyExists):
            import_messages(olga.id, chat.id, [old(ivan, id="m"), old(olga, id="m")])
        assert import_messages(olga.id, chat.id, [old(ivan)]) == 1
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
    olga: User, chat: Chat, field: str, wrong: Any
) -> None:
    message = old(olga, id="m1")._replace(**{field: wrong})
    with statements(0), pytest.raises(InvalidInput) as error:
        import_messages(olga.id, chat.id, [old(olga), message])
    assert error.value.field == "messages"
    assert field in str(error.value)
    assert f"messages, {message.id!r}: " in str(error.value)


# --- Unread counts ---


def test_what_is_later_than_the_last_one_read_is_unread() -> None:
    ann, ben, cid, dan = make_users(4)
    chat = insert_chat(ann, ben, cid, dan)
    read = insert_message(ann, chat, created_at=after(10))
    insert_message(ann, chat, created_at=after(20))
    mark_read(ben.id, chat.id, read.id)
    mark_read(cid.id, chat.id)
    assert (unread_of(ben, chat), unread_of(cid, chat)) == (1, 0)
    history = [old(ann, 5), old(ann, 15), old(ben, 16), old(cid, 17), old(ann, 25)]
    import_messages(ann.id, chat.id, history)
    assert [unread_of(user, chat) for user in (ann, ben, cid, dan)] == [0, 4, 1, 0]
    assert not wrong_counts()


def test_not_what_was_written_before_the_reader_joined_or_by_somebody_they_have_blocked() -> None:
    ann, ben, cid = make_users(3)
    chat = insert_chat(ann, ben, cid)
    read = insert_message(ann, chat, created_at=after(-20))
    for user in (ben, cid):
        mark_read(user.id, chat.id, read.id)
    block_user(ben.id, ann.id)
    import_messages(ann.id, chat.id, [old(ann, -10), old(ann, 10), old(cid, 11)])
    assert [unread_of(user, chat) for user in (ben, cid)] == [1, 1]
    assert not wrong_counts()


def test_who_has_read_nothing_counts_from_when_their_settings_were_made() -> None:
    ann, ben, cid = make_users(3)
    chat = insert_chat(ann, ben, cid)
    ChatSettings.create(user=ben, chat=chat, created_at=after(10))
    import_messages(ann.id, chat.id, [old(ann, 9), old(ann, 10), old(ann, 11)])
    assert [unread_of(user, chat) for user in (ben, cid)] == [2, 0]
    mute_chat(cid.id, chat.id)
    send_message(ann.id, chat.id, "new")
    assert [unread_of(user, chat) for user in (ben, cid)] == [3, 1]
    assert not wrong_counts()


def test_other_chats_keep_their_counts() -> None:
    ann, ben = make_users(2)
    chat, other_chat = insert_chat(ann, ben), insert_chat(ann, ben)
    for each in (chat, other_chat):
        ChatSettings.create(user=ben, chat=each, created_at=LONG_AGO, unread_count=7)
    import_messages(ann.id, chat.id, [old(ann, 1)])
    assert [unread_of(ben, each) for each in (chat, other_chat)] == [8, 7]


def test_a_large_chat_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ann, ben, cid = make_users(3)
    chat = insert_chat(ann, ben, cid)
    ChatSettings.create(user=ben, chat=chat, created_at=LONG_AGO)
    monkeypatch.setattr(unread, "LARGE_CHAT", 2)
    send_message(ann.id, chat.id, "large from here on")
    import_messages(ann.id, chat.id, [old(ann, 1), old(ann, 2)])
    assert [unread_of(user, chat) for user in (ben, cid)] == [3, 1]
    with session():
        assert [row.unread_count for row in ChatSettings.select()] == [0]


# --- Notifications, and everybody at once ---


def test_an_import_tells_nobody_by_itself_and_its_tags_are_kept_once(
    ivan: User, olga: User, chat: Chat
) -> None:
    message = old(olga, created_at=chat.created_at - timedelta(days=1), content="#a #a @ivan")
    for _ in range(2):
        import_messages(olga.id, chat.id, [message])
    assert users_to_notify(chat.id, message.id) == []
    with session():
        tags = [row.tag for row in MessageTag.select() if row.message_id == message.id]
    assert sorted(tags) == ["#a", "@ivan"]


def test_one_import_from_many_threads_is_written_once(ivan: User, olga: User, chat: Chat) -> None:
    make_message(olga, chat)
    history = [old(ivan, number) for number in range(50)]
    written = eight(lambda: import_messages(olga.id, chat.id, history))
    assert sum(written) == len(history)
    assert len(listed(olga, chat, limit=100)) == len(history) + 1
    assert not wrong_counts()


def test_importing_beside_sending_reading_and_deleting(ivan: User, olga: User, chat: Chat) -> None:
    messages = [make_message(olga, chat) for _ in range(8)]
    for message in messages:
        recent = old(olga, created_at=message.created_at)
        at_once(
            partial(import_messages, olga.id, chat.id, [recent]),
            partial(send_message, olga.id, chat.id, "new"),
            partial(mark_read, ivan.id, chat.id, message.id),
            partial(delete_message, olga.id, chat.id, message.id),
        )
    assert not wrong_counts()

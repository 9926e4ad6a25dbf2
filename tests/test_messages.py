"""Messages: writing, editing, deleting, reading page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from tests.support.factories import (
    LONG_AGO,
    after,
    insert_chat,
    insert_message,
    listed,
    make_chat,
    make_message,
    make_user,
    make_users,
    roles_in,
    set_role,
    statements,
    unread,
)

pytestmark = pytest.mark.usefixtures("engine")

TOMORROW = datetime(2999, 1, 1, tzinfo=UTC)


# --- send_message ---


def test_a_message_comes_back_as_it_is_stored() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    first = make_message(ben, chat)
    before = datetime.now(UTC)
    message = sdk.send_message(
        ann.id,
        chat.id,
        "see #Plan, @Ben_1",
        type=sdk.MessageType.FILE,
        reply_to_id=first.id,
        is_silent=True,
        file_url="https://files.example/plan.pdf",
        file_name="plan.pdf",
        file_size=2**31 - 1,
    )
    assert message == sdk.Message.get(sdk.Message.id == message.id)
    assert (message.sender_id, message.chat_id) == (ann.id, chat.id)
    assert (message.content, message.type) == ("see #Plan, @Ben_1", sdk.MessageType.FILE)
    assert (message.hashtags, message.mentions) == (["Plan"], ["Ben_1"])
    assert message.reply_to_id == first.id
    assert (message.file_name, message.file_size) == ("plan.pdf", 2**31 - 1)
    assert message.is_silent and message.is_sent
    assert not message.is_deleted and not message.is_edited
    assert message.scheduled_for is None
    assert message.created_at.tzinfo is UTC
    assert abs((message.created_at - before).total_seconds()) < 5


def test_a_message_raises_the_count_of_every_other_member_by_one() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    make_message(ann, chat)
    make_message(ben, chat)
    assert [unread(user, chat) for user in (ann, ben, cid)] == [1, 1, 2]


@pytest.mark.parametrize("members", [1, 2, 40])
def test_sending_is_one_statement_on_sqlite_two_however_many_members(
    engine: str, members: int
) -> None:
    ann, *others = make_users(members)
    chat = make_chat(ann, *others)
    with statements({"sqlite": 2, "postgresql": 1}[engine]):
        make_message(ann, chat, "#one @two")
    with statements(1):
        make_message(ann, chat, scheduled_for=TOMORROW)


def test_a_message_needs_content_or_a_file() -> None:
    ann = make_user()
    chat = make_chat(ann)
    with pytest.raises(sdk.InvalidInput):
        sdk.send_message(ann.id, chat.id)
    with pytest.raises(sdk.InvalidInput):
        sdk.send_message(ann.id, chat.id, "")
    for content in (None, ""):
        message = sdk.send_message(ann.id, chat.id, content, file_url="https://files.example/1")
        assert message.content is None


def test_large_content_is_kept_whole() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    content = " ".join(f"#тег{number}" for number in range(7000))[:65_536]
    message = make_message(ann, chat, content)
    assert message.content == content
    assert len(message.hashtags) == 100
    assert sdk.list_messages(ben.id, chat.id)[0].content == content
    with pytest.raises(sdk.InvalidInput):
        make_message(ann, chat, "x" * 65_537)


def test_nobody_else_writes_in_a_chat() -> None:
    ann, ben, eve = make_users(3)
    chat = make_chat(ann, ben)
    with statements(2), pytest.raises(sdk.NotFound) as stranger:
        make_message(eve, chat)
    sdk.leave_chat(ben.id, chat.id)
    with pytest.raises(sdk.NotFound):
        make_message(ben, chat)
    with pytest.raises(sdk.NotFound) as missing:
        sdk.send_message(ann.id, "no-such-chat", "hello")
    assert (stranger.value.entity, missing.value.entity) == ("chat", "chat")
    assert sdk.Message.select().count() == 0


def test_in_a_channel_only_owner_and_admins_write() -> None:
    ann, ben, cid = make_users(3)
    channel = make_chat(ann, cid, type=sdk.ChatType.CHANNEL)
    sdk.add_member(ann.id, channel.id, ben.id, role=sdk.MemberRole.ADMIN)
    make_message(ann, channel)
    make_message(ben, channel)
    with pytest.raises(sdk.NotAllowed):
        make_message(cid, channel)
    assert unread(cid, channel) == 2


def test_a_block_closes_the_private_chat_both_ways() -> None:
    ann, ben = make_users(2)
    private = make_chat(ann, ben, type=sdk.ChatType.PRIVATE)
    group = make_chat(ann, ben)
    sdk.block_user(ann.id, ben.id)
    for sender in (ann, ben):
        with pytest.raises(sdk.Blocked):
            make_message(sender, private)
    make_message(ben, group)
    assert unread(ann, group) == 0


def test_the_same_message_id_is_one_message() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    first = make_message(ann, chat, "hello", message_id="m1")
    again = make_message(ann, chat, "hello again", message_id="m1")
    assert (again.id, again.content, again.created_at) == ("m1", "hello", first.created_at)
    assert unread(ben, chat) == 1
    assert listed(ben, chat) == ["m1"]


def test_the_same_message_id_is_one_message_though_it_was_deleted() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    make_message(ben, chat, message_id="m1")
    sdk.delete_message(ben.id, chat.id, "m1")
    assert make_message(ben, chat, message_id="m1").is_deleted
    assert unread(ann, chat) == 0


def test_who_is_in_the_chat_no_more_gets_nothing_for_a_message_id() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    for user in (ben, cid):
        make_message(user, chat, message_id=f"of {user.id}")
    sdk.leave_chat(ben.id, chat.id)
    sdk.remove_member(ann.id, chat.id, cid.id)
    for user in (ben, cid):
        for message_id in (f"of {user.id}", f"of {ben.id}", "of nobody"):
            with pytest.raises(sdk.NotFound) as error:
                make_message(user, chat, message_id=message_id)
            assert (error.value.entity, error.value.id) == ("chat", chat.id)


def test_what_was_sent_comes_back_to_one_who_may_write_no_more() -> None:
    ann, ben = make_users(2)
    private, _ = sdk.open_private_chat(ann.id, ben.id)
    make_message(ben, private, message_id="m1")
    sdk.block_user(ann.id, ben.id)
    assert make_message(ben, private, message_id="m1").id == "m1"
    with pytest.raises(sdk.Blocked):
        make_message(ben, private, message_id="m2")


def test_a_message_id_of_another_message_is_taken_and_no_more_is_told() -> None:
    ann, ben, cid = make_users(3)
    chat, other_chat = make_chat(ann, ben), make_chat(ann, ben)
    make_message(ann, chat, message_id="m1")
    make_message(ann, chat, message_id="m2", scheduled_for=TOMORROW)
    make_message(cid, make_chat(cid), message_id="m3")
    make_message(ben, other_chat, message_id="m4")
    sdk.delete_message(ben.id, other_chat.id, "m4")
    for sender, where, message_id in (
        *((ben, chat, "m1"), (ann, other_chat, "m1"), (ben, other_chat, "m1")),
        *((ben, chat, "m2"), (ann, other_chat, "m2"), (ben, chat, "m3"), (ann, other_chat, "m4")),
    ):
        with pytest.raises(sdk.AlreadyExists) as error:
            make_message(sender, where, message_id=message_id)
        assert vars(error.value) == vars(sdk.AlreadyExists("message", "id", message_id))
        assert str(error.value) == "message with this id already exists"
    assert (unread(ann, chat), unread(ben, chat), unread(ben, other_chat)) == (0, 1, 0)


def test_what_is_answered_is_a_visible_message_of_the_chat() -> None:
    ann, ben = make_users(2)
    chat, other_chat = make_chat(ann, ben), make_chat(ann, ben)
    elsewhere = make_message(ann, other_chat)
    deleted = make_message(ann, chat)
    sdk.delete_message(ann.id, chat.id, deleted.id)
    later = make_message(ann, chat, scheduled_for=TOMORROW)
    for answered in (elsewhere.id, deleted.id, later.id, "no-such-message"):
        with pytest.raises(sdk.NotFound) as error:
            make_message(ben, chat, reply_to_id=answered)
        assert (error.value.entity, error.value.id) == ("message", answered)
    answered_self = make_message(ben, chat, reply_to_id=make_message(ben, chat).id)
    assert answered_self.reply_to_id is not None


def test_a_message_is_later_than_all_before_it_though_a_clock_is_ahead() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    ahead = insert_message(ann, chat, created_at=utc_now() + timedelta(seconds=50))
    sent = [make_message(user, chat) for user in (ann, ben) * 50]
    times = [ahead.created_at, *(message.created_at for message in sent)]
    assert times == sorted(set(times))
    assert listed(ann, chat, limit=100) == [message.id for message in reversed(sent)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": "\x00"},
        {"content": "\ud800"},
        {"content": 5},
        {"type": "LETTER"},
        {"is_silent": 1},
        {"scheduled_for": datetime(2999, 1, 1)},
        {"scheduled_for": "tomorrow"},
        {"file_url": ""},
        {"file_size": -1},
        {"file_size": 2**31},
        {"message_id": ""},
        {"message_id": "x" * 129},
        {"reply_to_id": ""},
        {"sender_id": None},
        {"chat_id": None},
        {"chat_id": "\x00"},
    ],
    ids=ascii,
)
def test_what_cannot_be_a_message_is_refused(wrong: dict[str, Any]) -> None:
    ann = make_user()
    chat = make_chat(ann)
    right = {"sender_id": ann.id, "chat_id": chat.id, "content": "hello"}
    with sdk.transaction():
        with statements(0), pytest.raises(sdk.InvalidInput):
            sdk.send_message(**right | wrong)
        make_message(ann, chat)


def test_an_error_leaves_the_callers_transaction_usable() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    with sdk.transaction():
        make_message(ann, chat, message_id="m1")
        for sender, message_id in ((ben, None), (ben, "m1")):
            with pytest.raises((sdk.NotFound, sdk.AlreadyExists)):
                make_message(sender, chat, message_id=message_id)
        make_message(ann, chat, message_id="m2")
    assert listed(ann, chat) == ["m2", "m1"]


# --- post_system_message ---


def test_a_system_message_is_the_services_own() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    for time in (None, TOMORROW):
        for user in (ann, ben):
            with pytest.raises(sdk.InvalidInput, match="post_system_message") as error:
                make_message(user, chat, type=sdk.MessageType.SYSTEM, scheduled_for=time)
            assert error.value.field == "type"
    assert sdk.Message.select().count() == 0


def test_a_system_message_comes_from_the_owner_and_counts_for_the_others(engine: str) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    before = make_message(ben, chat)
    with statements({"sqlite": 2, "postgresql": 1}[engine]):
        notice = sdk.post_system_message(chat.id, "#новое: @ann_1")
    assert (notice.type, notice.sender_id) == (sdk.MessageType.SYSTEM, ann.id)
    assert (notice.content, notice.hashtags, notice.mentions) == (
        "#новое: @ann_1",
        ["новое"],
        ["ann_1"],
    )
    assert listed(ben, chat) == [notice.id, before.id]
    assert (unread(ann, chat), unread(ben, chat)) == (1, 1)


def test_a_system_message_is_posted_whatever_the_members_may_write() -> None:
    ann, ben = make_users(2)
    private, _ = sdk.open_private_chat(ann.id, ben.id)
    sdk.block_user(ann.id, ben.id)
    assert sdk.post_system_message(private.id, "closed").chat_id == private.id
    channel = make_chat(ann, ben, type=sdk.ChatType.CHANNEL)
    sdk.post_system_message(channel.id, "opened")
    assert unread(ben, channel) == 1


def test_a_chat_of_nobody_has_no_system_message() -> None:
    (ann,) = make_users(1)
    chat = make_chat(ann)
    sdk.leave_chat(ann.id, chat.id)
    for chat_id in (chat.id, "no-such-chat"):
        with pytest.raises(sdk.NotFound) as error:
            sdk.post_system_message(chat_id, "hello")
        assert (error.value.entity, error.value.id) == ("chat", chat_id)
    # The server may have left a chat without an owner.
    chat = insert_chat(ann, *make_users(1))
    set_role(ann, chat, sdk.MemberRole.MEMBER)
    assert sdk.post_system_message(chat.id, "hello").sender_id in roles_in(chat)


# --- edit_message ---


def test_editing_finds_tags_again_and_leaves_everything_else() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat, "#old @olga")
    with statements(1):
        edited = sdk.edit_message(ann.id, chat.id, message.id, "#new @nina")
    assert (edited.hashtags, edited.mentions, edited.is_edited) == (["new"], ["nina"], True)
    assert (edited.content, edited.created_at) == ("#new @nina", message.created_at)
    assert sdk.find_by_hashtag(ben.id, "old") == []
    assert [found.id for found in sdk.find_by_hashtag(ben.id, "new")] == [message.id]
    assert unread(ben, chat) == 1


def test_only_the_sender_edits() -> None:
    ann, ben, eve = make_users(3)
    chat, other_chat = make_chat(ann, ben), make_chat(ann, ben)
    message = make_message(ben, chat)
    with pytest.raises(sdk.NotAllowed):
        sdk.edit_message(ann.id, chat.id, message.id, "no")
    for user, where in ((eve, chat), (ben, other_chat)):
        with pytest.raises(sdk.NotFound):
            sdk.edit_message(user.id, where.id, message.id, "no")
    sdk.leave_chat(ben.id, chat.id)
    with pytest.raises(sdk.NotFound):
        sdk.edit_message(ben.id, chat.id, message.id, "no")
    assert sdk.list_messages(ann.id, chat.id)[0].content == "hello"


def test_a_deleted_message_is_not_edited_and_a_system_message_neither() -> None:
    ann = make_user()
    chat = make_chat(ann)
    deleted = make_message(ann, chat)
    sdk.delete_message(ann.id, chat.id, deleted.id)
    with pytest.raises(sdk.NotFound):
        sdk.edit_message(ann.id, chat.id, deleted.id, "no")
    notice = sdk.post_system_message(chat.id, "welcome")
    with pytest.raises(sdk.NotAllowed):
        sdk.edit_message(ann.id, chat.id, notice.id, "no")


def test_a_scheduled_message_is_edited_by_its_sender_and_unknown_to_others() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ben, chat, scheduled_for=TOMORROW)
    edited = sdk.edit_message(ben.id, chat.id, message.id, "#other")
    assert (edited.hashtags, edited.is_edited) == (["other"], False)
    with pytest.raises(sdk.NotFound):
        sdk.edit_message(ann.id, chat.id, message.id, "no")
    (sent,) = sdk.publish_scheduled(now=TOMORROW)
    assert not sent.is_edited
    assert sdk.edit_message(ben.id, chat.id, message.id, "after all").is_edited


@pytest.mark.parametrize("is_scheduled", [False, True])
def test_who_may_not_write_does_not_edit_either(is_scheduled: bool) -> None:
    ann, ben = make_users(2)
    options: dict[str, Any] = {"scheduled_for": TOMORROW} if is_scheduled else {}
    private, _ = sdk.open_private_chat(ann.id, ben.id)
    for blocker, sender in ((ann, ben), (ben, ann), (ann, ann)):
        message = make_message(sender, private, **options)
        sdk.block_user(blocker.id, (ben if blocker == ann else ann).id)
        with pytest.raises(sdk.Blocked):
            sdk.edit_message(sender.id, private.id, message.id, "no")
        sdk.unblock_user(blocker.id, (ben if blocker == ann else ann).id)
        assert sdk.edit_message(sender.id, private.id, message.id, "yes").content == "yes"
    channel = make_chat(ann, type=sdk.ChatType.CHANNEL)
    sdk.add_member(ann.id, channel.id, ben.id, role=sdk.MemberRole.ADMIN)
    message = make_message(ben, channel, "as admin", **options)
    set_role(ben, channel, sdk.MemberRole.MEMBER)
    with pytest.raises(sdk.NotAllowed):
        sdk.edit_message(ben.id, channel.id, message.id, "no")
    set_role(ben, channel, sdk.MemberRole.ADMIN)
    assert sdk.edit_message(ben.id, channel.id, message.id, "yes").content == "yes"


def test_in_a_group_a_block_stops_no_edit() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ben, chat)
    sdk.block_user(ann.id, ben.id)
    assert sdk.edit_message(ben.id, chat.id, message.id, "yes").content == "yes"


@pytest.mark.parametrize(
    "content", ["", None, "\x00", "\ud800", 5, "x" * 65_537], ids=lambda content: ascii(content)[:9]
)
def test_what_cannot_be_content_is_refused(content: Any) -> None:
    ann = make_user()
    chat = make_chat(ann)
    message = make_message(ann, chat)
    with statements(0), pytest.raises(sdk.InvalidInput):
        sdk.edit_message(ann.id, chat.id, message.id, content)


# --- delete_message ---


def test_a_deleted_message_is_gone_from_lists_pins_searches_and_counts() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    message = make_message(ann, chat, "#gone")
    sdk.pin_message(ben.id, chat.id, message.id)
    sdk.mark_read(cid.id, chat.id)
    with statements(1):
        assert sdk.delete_message(ann.id, chat.id, message.id) is True
    assert [unread(user, chat) for user in (ann, ben, cid)] == [0, 0, 0]
    assert listed(ben, chat) == []
    assert sdk.list_pinned_messages(ben.id) == []
    assert sdk.find_by_hashtag(ben.id, "gone") == []
    assert sdk.search_messages(ben.id, "gone") == []
    assert sdk.list_chats(ben.id)[0].last_message is None
    assert sdk.Message.get(sdk.Message.id == message.id).is_deleted


def test_deleting_twice_takes_it_out_of_counts_once() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    first, _ = make_message(ann, chat), make_message(ann, chat)
    assert sdk.delete_message(ann.id, chat.id, first.id) is True
    assert sdk.delete_message(ann.id, chat.id, first.id) is False
    assert unread(ben, chat) == 1


def test_owner_and_admins_delete_what_others_wrote() -> None:
    ann, ben, cid, dan = make_users(4)
    chat = make_chat(ann, cid, dan)
    sdk.add_member(ann.id, chat.id, ben.id, role=sdk.MemberRole.ADMIN)
    by_owner, by_admin, by_member = (make_message(cid, chat) for _ in range(3))
    assert sdk.delete_message(ann.id, chat.id, by_owner.id)
    assert sdk.delete_message(ben.id, chat.id, by_admin.id)
    with pytest.raises(sdk.NotAllowed):
        sdk.delete_message(dan.id, chat.id, by_member.id)
    assert sdk.delete_message(ben.id, chat.id, make_message(ann, chat).id)
    assert unread(dan, chat) == 1


def test_in_a_private_chat_nobody_deletes_what_the_other_wrote() -> None:
    ann, ben = make_users(2)
    private = make_chat(ann, ben, type=sdk.ChatType.PRIVATE)
    message = make_message(ben, private)
    with pytest.raises(sdk.NotAllowed):
        sdk.delete_message(ann.id, private.id, message.id)
    assert sdk.delete_message(ben.id, private.id, message.id)


def test_strangers_delete_nothing() -> None:
    ann, ben, eve = make_users(3)
    chat, of_eve = make_chat(ann, ben), make_chat(eve)
    message = make_message(ben, chat)
    for user, where in ((eve, chat), (eve, of_eve)):
        with pytest.raises(sdk.NotFound):
            sdk.delete_message(user.id, where.id, message.id)
    sdk.leave_chat(ben.id, chat.id)
    with pytest.raises(sdk.NotFound):
        sdk.delete_message(ben.id, chat.id, message.id)
    assert listed(ann, chat) == [message.id]


def test_what_is_deleted_is_not_there_for_those_who_could_not_have_deleted_it() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    message = make_message(ben, chat)
    sdk.delete_message(ben.id, chat.id, message.id)
    with pytest.raises(sdk.NotFound):
        sdk.delete_message(cid.id, chat.id, message.id)
    assert sdk.delete_message(ann.id, chat.id, message.id) is False


def test_a_scheduled_message_is_deleted_by_its_sender_and_unknown_to_the_owner() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ben, chat, scheduled_for=TOMORROW)
    with pytest.raises(sdk.NotFound):
        sdk.delete_message(ann.id, chat.id, message.id)
    assert sdk.delete_message(ben.id, chat.id, message.id)
    with pytest.raises(sdk.NotFound):
        sdk.delete_message(ann.id, chat.id, message.id)


# --- list_messages ---


def test_a_list_is_one_statement_with_sender_and_chat() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben, name="club")
    for sender in (ann, ben, ann):
        make_message(sender, chat)
    with statements(1):
        messages = sdk.list_messages(ben.id, chat.id)
        assert [message.sender.username for message in messages] == [
            ann.username,
            ben.username,
            ann.username,
        ]
        assert {message.chat.name for message in messages} == {"club"}
    assert "password" not in messages[0].sender.__data__


def test_strangers_see_no_list() -> None:
    ann, ben, eve = make_users(3)
    chat = make_chat(ann, ben)
    make_message(ann, chat)
    sdk.leave_chat(ben.id, chat.id)
    for user in (ben, eve):
        with pytest.raises(sdk.NotFound):
            sdk.list_messages(user.id, chat.id)
    assert sdk.list_messages(eve.id, make_chat(eve).id) == []


def test_blocked_users_stay_visible_in_groups() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ben, chat)
    sdk.block_user(ann.id, ben.id)
    assert listed(ann, chat) == [message.id]


def test_what_the_server_never_scheduled_is_visible_though_it_is_not_marked_as_sent() -> None:
    ann = make_user()
    chat = make_chat(ann)
    message = insert_message(ann, chat, is_sent=False)
    insert_message(ann, chat, is_sent=False, scheduled_for=TOMORROW)
    insert_message(ann, chat, is_deleted=True)
    assert listed(ann, chat) == [message.id]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_show_every_message_once_when_many_share_a_millisecond(limit: int) -> None:
    ann = make_user()
    chat = insert_chat(ann)
    for number in range(7):
        insert_message(ann, chat, id=f"m{number}", created_at=after(number // 4))
    assert _read_on(ann, chat, limit) == ["m6", "m5", "m4", "m3", "m2", "m1", "m0"]


def test_pages_show_every_message_once_when_others_arrive_between_them() -> None:
    ann = make_user()
    chat = insert_chat(ann)
    for number in range(6):
        insert_message(ann, chat, id=f"m{number}", created_at=LONG_AGO)

    def arrive() -> None:
        make_message(ann, chat)
        insert_message(ann, chat, id=f"m9{len(listed(ann, chat))}", created_at=LONG_AGO)

    assert _read_on(ann, chat, 2, between=arrive) == ["m5", "m4", "m3", "m2", "m1", "m0"]


def _read_on(user: Any, chat: Any, limit: int, between: Any = lambda: None) -> list[str]:
    page = sdk.list_messages(user.id, chat.id, limit=limit)
    ids = [message.id for message in page]
    while page.next_cursor is not None:
        assert len(page) == limit
        between()
        page = sdk.list_messages(user.id, chat.id, limit=limit, cursor=page.next_cursor)
        ids += [message.id for message in page]
    return ids


@pytest.mark.parametrize("limit", [0, -1, 101, 2**40, None, "1", True])
def test_a_limit_is_1_to_100(limit: Any) -> None:
    ann = make_user()
    with pytest.raises(sdk.InvalidInput):
        sdk.list_messages(ann.id, make_chat(ann).id, limit=limit)


def test_a_cursor_is_one_of_the_same_list() -> None:
    ann = make_user()
    chat = make_chat(ann)
    for _ in range(2):
        sdk.pin_message(ann.id, chat.id, make_message(ann, chat).id)
    foreign = sdk.list_pinned_messages(ann.id, limit=1).next_cursor
    for cursor in (foreign, "", "x", "W10", 5, "\x00"):
        with pytest.raises(sdk.InvalidInput):
            sdk.list_messages(ann.id, chat.id, cursor=cursor)  # type: ignore[arg-type]

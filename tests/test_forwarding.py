"""Forwarding: what goes along, who may do it, and what comes of it in the other chat."""

from __future__ import annotations

from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from tests.support.factories import (
    after,
    insert_message,
    listed,
    make_chat,
    make_message,
    make_user,
    make_users,
    sent_statements,
    server_counts,
    set_role,
    unread,
    wrong_counts,
)
from tests.support.second_writer import SecondWriter

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def other_chat(olga: sdk.User, ivan: sdk.User) -> sdk.Chat:
    return make_chat(ivan, olga)


FILE: dict[str, Any] = {
    "type": sdk.MessageType.VOICE,
    "file_url": "/uploads/1.ogg",
    "file_name": "1.ogg",
    "file_size": 1,
    "thumbnail_url": "/uploads/1.jpg",
    "duration": 2,
    "waveform": "[3]",
}


def test_messages_are_sent_anew_in_the_order_that_they_have(
    chat: sdk.Chat, other_chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    first = make_message(olga, chat, "first #Tag @ivan")
    second = make_message(olga, chat, "second", reply_to_id=first.id, is_silent=True)
    third = sdk.send_message(ivan.id, chat.id, **FILE)
    sdk.edit_message(olga.id, chat.id, first.id, "First #Tag @ivan")
    before = sdk.send_message(olga.id, other_chat.id, "before")
    with sent_statements() as sent:
        forwarded = sdk.forward_messages(
            ivan.id, chat.id, iter([third.id, first.id, second.id, first.id]), other_chat.id
        )
    assert len(sent) == (3 if current_database().dialect.name == "sqlite" else 2)
    assert [message.content for message in forwarded] == ["First #Tag @ivan", "second", None]
    assert {message.id for message in forwarded}.isdisjoint({first.id, second.id, third.id})
    for message in forwarded:
        assert (message.sender.username, message.chat.id) == ("ivan", other_chat.id)
        assert (message.is_sent, message.is_edited, message.is_silent) == (True, False, False)
        assert message.reply_to is None and message.scheduled_for is None
    assert (forwarded[0].hashtags, forwarded[0].mentions) == (["Tag"], ["ivan"])
    assert {name: getattr(forwarded[2], name) for name in FILE} == FILE
    times = [before.created_at, *(message.created_at for message in forwarded)]
    assert times == sorted(set(times))
    page = sdk.list_messages(olga.id, other_chat.id, limit=3)
    assert sdk.to_dict([*page]) == sdk.to_dict(forwarded[::-1])
    assert sdk.get_chat(olga.id, other_chat.id).chat.updated_at == times[-1]
    assert [found.id for found in sdk.find_by_hashtag(ivan.id, "tag", chat_id=other_chat.id)] == [
        forwarded[0].id
    ]
    assert listed(ivan, chat) == [third.id, second.id, first.id]


def test_they_are_unread_for_the_others_and_the_servers_column_knows(
    chat: sdk.Chat, other_chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    ids = [make_message(olga, chat).id for _ in range(3)]
    for user in (ivan, olga):
        sdk.mute_chat(user.id, other_chat.id)
    sdk.forward_messages(ivan.id, chat.id, ids, other_chat.id)
    assert (unread(olga, other_chat), unread(ivan, other_chat)) == (3, 0)
    assert wrong_counts() == {}
    if current_database().dialect.name == "postgresql":
        assert server_counts(other_chat) == {olga.id: 3, ivan.id: 0}
    with sdk.transaction():
        sdk.forward_messages(ivan.id, chat.id, ids[:1], other_chat.id)
    assert unread(olga, other_chat) == 4


def test_a_chat_takes_its_own_messages_and_again(chat: sdk.Chat, ivan: sdk.User) -> None:
    message = make_message(ivan, chat)
    for number in range(2):
        (copy,) = sdk.forward_messages(ivan.id, chat.id, [message.id], chat.id)
        assert copy.created_at > message.created_at
        assert len(listed(ivan, chat)) == number + 2


def test_a_hundred_at_once_and_no_more(
    chat: sdk.Chat, other_chat: sdk.Chat, ivan: sdk.User
) -> None:
    ids = [make_message(ivan, chat, str(number)).id for number in range(100)]
    forwarded = sdk.forward_messages(ivan.id, chat.id, ids, other_chat.id)
    assert [message.content for message in forwarded] == [str(number) for number in range(100)]
    for wrong in ([], [str(number) for number in range(101)]):
        with pytest.raises(sdk.InvalidInput) as error:
            sdk.forward_messages(ivan.id, chat.id, wrong, other_chat.id)
        assert error.value.field == "message_ids"


def test_all_go_or_none(
    chat: sdk.Chat, other_chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    shown, deleted = make_message(olga, chat), make_message(olga, chat)
    waiting = make_message(ivan, chat, scheduled_for=after(1))
    elsewhere = make_message(ivan, other_chat)
    sdk.delete_message(olga.id, chat.id, deleted.id)
    for wrong in (deleted.id, waiting.id, elsewhere.id, "none"):
        with pytest.raises(sdk.NotFound) as error:
            sdk.forward_messages(ivan.id, chat.id, [shown.id, wrong], other_chat.id)
        assert (error.value.entity, error.value.id) == ("message", wrong)
    system = sdk.post_system_message(chat.id, "Olga has joined")
    with pytest.raises(sdk.NotAllowed, match="SYSTEM"):
        sdk.forward_messages(ivan.id, chat.id, [shown.id, system.id], other_chat.id)
    assert listed(ivan, other_chat) == [elsewhere.id]


def test_by_who_reads_there_and_writes_here(chat: sdk.Chat, ivan: sdk.User, olga: sdk.User) -> None:
    message, eve = make_message(olga, chat), make_user()
    channel = make_chat(olga, ivan, type=sdk.ChatType.CHANNEL)
    private, _ = sdk.open_private_chat(olga.id, ivan.id)
    refused: list[tuple[type[sdk.StogramError], sdk.User, sdk.Chat, sdk.Chat]] = [
        (sdk.NotFound, eve, chat, make_chat(eve)),
        (sdk.NotFound, ivan, chat, make_chat(eve)),
        (sdk.NotAllowed, ivan, chat, channel),
    ]
    for kind, user, source, target in refused:
        with pytest.raises(kind) as error:
            sdk.forward_messages(user.id, source.id, [message.id], target.id)
        assert error.value.entity == "chat"
    sdk.block_user(olga.id, ivan.id)
    with pytest.raises(sdk.Blocked):
        sdk.forward_messages(ivan.id, chat.id, [message.id], private.id)
    sdk.unblock_user(olga.id, ivan.id)
    set_role(ivan, channel, sdk.MemberRole.ADMIN)
    for target in (channel, private):
        sdk.forward_messages(ivan.id, chat.id, [message.id], target.id)
        assert len(listed(olga, target)) == 1


def test_nothing_goes_out_of_a_secret_chat_but_into_it(ivan: sdk.User, olga: sdk.User) -> None:
    secret, plain = make_chat(olga, ivan, is_secret=True), make_chat(olga, ivan)
    hidden, shown = make_message(olga, secret), make_message(olga, plain)
    for target in (plain, secret):
        with pytest.raises(sdk.NotAllowed, match="secret chat"):
            sdk.forward_messages(ivan.id, secret.id, [hidden.id], target.id)
    sdk.forward_messages(ivan.id, plain.id, [shown.id], secret.id)
    assert (len(listed(ivan, secret)), len(listed(ivan, plain))) == (2, 1)
    with pytest.raises(sdk.NotFound):
        sdk.forward_messages(make_user().id, secret.id, [hidden.id], plain.id)


def test_a_message_of_the_server_gets_the_tags_of_its_text(ivan: sdk.User, olga: sdk.User) -> None:
    chat, other = make_chat(olga, ivan), make_chat(ivan)
    message_id = SecondWriter().send_by_socket(olga.id, chat.id, "#new @ivan")
    (copy,) = sdk.forward_messages(ivan.id, chat.id, [message_id], other.id)
    assert (copy.hashtags, copy.mentions) == (["new"], ["ivan"])


def test_of_one_time_they_keep_the_order_of_their_ids() -> None:
    ann, ben = make_users(2)
    chat, other = make_chat(ann, ben), make_chat(ben)
    for number in range(5):
        insert_message(ann, chat, str(number), created_at=after(0))
    there = sdk.list_messages(ben.id, chat.id)
    copies = sdk.forward_messages(ben.id, chat.id, [message.id for message in there], other.id)
    assert [copy.content for copy in copies] == [message.content for message in there[::-1]]

"""Whom a message is brought to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest

import stogram_sdk as sdk
from tests.support.factories import (
    LONG_AGO,
    after,
    insert_chat,
    insert_message,
    make_chat,
    make_message,
    make_user,
    make_users,
    statements,
)

pytestmark = pytest.mark.usefixtures("engine")

T = TypeVar("T")


def test_all_members_but_the_sender_in_one_statement() -> None:
    ann, *others = make_users(30)
    chat = make_chat(ann, *others)
    message = make_message(ann, chat)
    with statements(1):
        told = sdk.users_to_notify(chat.id, message.id)
    assert sorted(told) == sorted(user.id for user in others)
    assert told == sdk.users_to_notify(chat.id, message.id)


def test_not_who_has_muted_the_chat() -> None:
    ann, ben, cid = make_users(3)
    chat, other_chat = make_chat(ann, ben, cid), make_chat(ann, ben, cid)
    message = make_message(ann, chat)
    sdk.set_favorite(cid.id, chat.id)
    sdk.mute_chat(ben.id, chat.id)
    sdk.mute_chat(cid.id, other_chat.id)
    assert sdk.users_to_notify(chat.id, message.id) == [cid.id]
    sdk.unmute_chat(ben.id, chat.id)
    assert sorted(sdk.users_to_notify(chat.id, message.id)) == sorted([ben.id, cid.id])
    sdk.mute_chat(ben.id, chat.id)
    sdk.unmute_all_chats(ben.id)
    assert sorted(sdk.users_to_notify(chat.id, message.id)) == sorted([ben.id, cid.id])


def test_not_who_has_blocked_the_sender() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben, cid)
    sdk.block_user(ben.id, ann.id)
    sdk.block_user(ann.id, cid.id)
    message = make_message(ann, chat)
    assert sdk.users_to_notify(chat.id, message.id) == [cid.id]
    sdk.unblock_user(ben.id, ann.id)
    assert sorted(sdk.users_to_notify(chat.id, message.id)) == sorted([ben.id, cid.id])


def test_nobody_of_a_silent_or_deleted_message_or_one_of_another_chat() -> None:
    ann, ben = make_users(2)
    chat, other_chat = make_chat(ann, ben), make_chat(ann, ben)
    silent = make_message(ann, chat, is_silent=True)
    deleted = make_message(ann, chat)
    sdk.delete_message(ann.id, chat.id, deleted.id)
    message = make_message(ann, chat)
    assert sdk.users_to_notify(chat.id, silent.id) == []
    assert sdk.users_to_notify(chat.id, deleted.id) == []
    assert sdk.users_to_notify(other_chat.id, message.id) == []
    assert sdk.users_to_notify(chat.id, "no-such-message") == []
    assert sdk.users_to_notify("no-such-chat", message.id) == []


def test_who_has_read_it_already_is_told_all_the_same() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat)
    sdk.mark_read(ben.id, chat.id)
    assert sdk.users_to_notify(chat.id, message.id) == [ben.id]


def test_not_who_has_left_or_joined_later() -> None:
    ann, ben, cid = make_users(3)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat)
    sdk.add_member(ann.id, chat.id, cid.id)
    sdk.leave_chat(ben.id, chat.id)
    assert sdk.users_to_notify(chat.id, message.id) == []


def test_a_message_of_the_server_as_well() -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    message = insert_message(ann, chat, is_sent=False, created_at=LONG_AGO)
    assert sdk.users_to_notify(chat.id, message.id) == [ben.id]


def test_also_when_the_sender_has_left_since() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ben, ann)
    message = make_message(ann, chat)
    sdk.leave_chat(ann.id, chat.id)
    assert sdk.users_to_notify(chat.id, message.id) == [ben.id]


@pytest.mark.parametrize("wrong", ["", None, "\x00", "\ud800", 5, ["x"]], ids=ascii)
def test_what_cannot_be_an_id_is_refused(wrong: Any) -> None:
    chat = make_chat(make_user())
    with statements(0), pytest.raises(sdk.InvalidInput):
        sdk.users_to_notify(chat.id, wrong)
    with statements(0), pytest.raises(sdk.InvalidInput):
        sdk.users_to_notify(wrong, "m1")


# --- users_to_notify_each ---


def test_each_of_many_messages_gets_what_it_gets_alone_in_one_statement() -> None:
    ann, ben, cid, *_ = users = make_users(5)
    chats = [insert_chat(*users), insert_chat(ben, ann, cid), insert_chat(cid, ann)]
    sdk.mute_chat(ben.id, chats[0].id)
    sdk.block_user(cid.id, ann.id)
    messages = [make_message(ann, chat) for chat in chats for _ in range(3)]
    messages += [make_message(ben, chats[1]), make_message(ann, chats[0], is_silent=True)]
    messages.append(insert_message(ann, chats[0], created_at=after(-1)))
    asked = [(message.chat_id, message.id) for message in reversed(messages)]
    with statements(1):
        told = sdk.users_to_notify_each(asked)
    alone = [(id, sdk.users_to_notify(chat_id, id)) for chat_id, id in asked]
    assert told == [(id, user_id) for id, user_ids in alone for user_id in user_ids]
    assert {len(user_ids) for _, user_ids in alone} == {0, 1, 2}
    assert sdk.users_to_notify_each(iter([asked[0], *asked])) == told
    for size in range(1, len(told) + 1):
        assert all_pages(partial(sdk.users_to_notify_each, asked, limit=size), size) == told


def all_pages(page: Callable[..., sdk.Page[T]], size: int) -> list[T]:
    """The rows of all pages; each but the last is full."""
    pages = [page()]
    while pages[-1].next_cursor is not None:
        assert len(pages[-1]) == size
        pages.append(page(cursor=pages[-1].next_cursor))
    return [row for rows in pages for row in rows]


def test_a_message_is_brought_to_the_members_of_its_own_chat_only() -> None:
    ann, ben, cid = make_users(3)
    chat, other_chat = make_chat(ann, ben), make_chat(ann, cid)
    message = make_message(ann, chat)
    assert sdk.users_to_notify_each([(other_chat.id, message.id)]) == []
    both = [(other_chat.id, message.id), (chat.id, message.id), ("no-such-chat", "x")]
    assert sdk.users_to_notify_each(both) == [(message.id, ben.id)]
    assert sdk.users_to_notify_each([]) == []


def test_a_page_of_published_messages_and_no_more() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    for _ in range(101):
        make_message(ann, chat, scheduled_for=LONG_AGO)
    asked = [(message.chat_id, message.id) for message in sdk.publish_scheduled()]
    with statements(1):
        assert sdk.users_to_notify_each(asked * 2) == [(id, ben.id) for _, id in asked]
    with statements(0), pytest.raises(sdk.InvalidInput, match="at most 100 pairs of ids, not 101"):
        sdk.users_to_notify_each([*asked, (chat.id, "one more")])


def test_pages_of_users_who_come_and_go() -> None:
    ann, *others = make_users(30)
    chat = insert_chat(ann, *others)
    message = make_message(ann, chat)
    page = partial(sdk.users_to_notify, chat.id, message.id, limit=7)
    whole = list(sdk.users_to_notify(chat.id, message.id))
    assert all_pages(page, 7) == whole
    first = page()
    # Who has been passed, who is next, and somebody new.
    for user_id in (first[0], first[-1], whole[8]):
        sdk.leave_chat(user_id, chat.id)
    sdk.mute_chat(whole[9], chat.id)
    sdk.add_member(ann.id, chat.id, make_user().id)
    left = [*page(cursor=first.next_cursor), *whole[16:]]
    assert left == [user_id for user_id in whole[7:] if user_id not in (whole[8], whole[9])]


def test_a_cursor_is_of_the_same_messages() -> None:
    ann, *others = make_users(4)
    chat = make_chat(ann, *others)
    one, two = ((chat.id, make_message(ann, chat).id) for _ in range(2))
    cursor = sdk.users_to_notify(*one, limit=1).next_cursor
    assert cursor is not None
    assert len(sdk.users_to_notify_each([one, two], cursor=cursor)) == 5
    wrong = "cursor must be the next_cursor of a page of the same messages"
    for call in (
        lambda: sdk.users_to_notify(*two, cursor=cursor),
        lambda: sdk.users_to_notify_each([two], cursor=cursor),
        lambda: sdk.users_to_notify_each([], cursor=cursor),
    ):
        with statements(0), pytest.raises(sdk.InvalidInput, match=wrong):
            call()


@pytest.mark.parametrize("limit", [0, 1_001, True, None, "5"])
def test_a_page_has_up_to_a_thousand_users(limit: Any) -> None:
    with statements(0), pytest.raises(sdk.InvalidInput, match="from 1 to 1000"):
        sdk.users_to_notify("chat", "message", limit=limit)
    with statements(0), pytest.raises(sdk.InvalidInput, match="from 1 to 1000"):
        sdk.users_to_notify_each([("chat", "message")], limit=limit)


@pytest.mark.parametrize(
    "wrong",
    [["ab"], [5], [None], [("a",)], [("a", "b", "c")], [("", "b")], [("a", None)]],
    ids=ascii,
)
def test_what_cannot_be_pairs_of_ids_is_refused(wrong: Any) -> None:
    with statements(0), pytest.raises(sdk.InvalidInput, match="messages must"):
        sdk.users_to_notify_each(wrong)

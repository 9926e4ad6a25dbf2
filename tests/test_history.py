"""Reading a chat: one message, pages in both directions, the replies to a message, its media."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

import stogram_sdk as sdk
from tests.support.factories import (
    after,
    insert_chat,
    insert_message,
    listed,
    make_chat,
    make_message,
    make_user,
    statements,
)
from tests.support.second_writer import SecondWriter

pytestmark = pytest.mark.usefixtures("engine")


def ids(messages: list[sdk.Message]) -> list[str]:
    return [message.id for message in messages]


# --- One message ---


def test_one_message_is_as_the_list_has_it(chat: sdk.Chat, ivan: sdk.User, olga: sdk.User) -> None:
    first = make_message(olga, chat, "first")
    make_message(ivan, chat, "#second", reply_to_id=first.id, file_url="/a", duration=3)
    for message in sdk.list_messages(ivan.id, chat.id):
        with statements(1):
            found = sdk.get_message(ivan.id, chat.id, message.id)
        assert sdk.to_dict(found) == sdk.to_dict(message)


def test_what_a_user_does_not_see_is_no_message(
    chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    deleted, waiting = make_message(olga, chat), make_message(olga, chat, scheduled_for=after(1))
    sdk.delete_message(olga.id, chat.id, deleted.id)
    elsewhere = make_message(olga, make_chat(olga, ivan))
    for message_id in (deleted.id, waiting.id, elsewhere.id, "none"):
        with pytest.raises(sdk.NotFound) as error:
            sdk.get_message(olga.id, chat.id, message_id)
        assert (error.value.entity, error.value.id) == ("message", message_id)
    shown = make_message(olga, chat)
    with pytest.raises(sdk.NotFound) as error:
        sdk.get_message(make_user().id, chat.id, shown.id)
    assert error.value.entity == "chat"


# --- Both directions ---


@pytest.fixture
def history(ivan: sdk.User) -> tuple[sdk.Chat, list[str]]:
    """A chat of his, and its messages, the oldest first; several have one time."""
    chat = insert_chat(ivan)
    sent = [insert_message(ivan, chat, created_at=after(number // 3)) for number in range(11)]
    return chat, ids(sorted(sent, key=lambda message: (message.created_at, message.id)))


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 10, 11, 12, 100])
def test_from_any_message_both_ways_lead_through_all(
    history: tuple[sdk.Chat, list[str]], ivan: sdk.User, limit: int
) -> None:
    chat, oldest_first = history
    whole = oldest_first[::-1]
    for place, message_id in enumerate(whole):
        with statements(1):
            page = sdk.list_messages(ivan.id, chat.id, around=message_id, limit=limit)
        assert message_id in ids(page)
        assert min(place, limit // 2) == ids(page).index(message_id)
        assert len(page) <= limit
        pages = [page]
        while pages[-1].next_cursor is not None:
            with statements(1):
                older = sdk.list_messages(
                    ivan.id, chat.id, limit=limit, cursor=pages[-1].next_cursor
                )
            pages.append(older)
        while pages[0].previous_cursor is not None:
            with statements(1):
                newer = sdk.list_messages(
                    ivan.id, chat.id, limit=limit, cursor=pages[0].previous_cursor
                )
            pages.insert(0, newer)
        assert [id for page in pages for id in ids(page)] == whole
        assert all(1 <= len(page) <= limit for page in pages)


def test_there_and_back_is_the_same_page(
    history: tuple[sdk.Chat, list[str]], ivan: sdk.User
) -> None:
    chat, _ = history
    pages = [sdk.list_messages(ivan.id, chat.id, limit=3)]
    assert pages[0].previous_cursor is None
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(sdk.list_messages(ivan.id, chat.id, limit=3, cursor=cursor))
    for newer, older in pairwise(pages):
        back = sdk.list_messages(ivan.id, chat.id, limit=3, cursor=older.previous_cursor)
        assert (ids(back), back.next_cursor) == (ids(newer), newer.next_cursor)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_skipped_or_doubled_while_messages_come_and_go(
    ivan: sdk.User, olga: sdk.User, seed: int
) -> None:
    random = Random(seed)
    chat = make_chat(olga, ivan)
    for _ in range(20):
        make_message(olga, chat)
    server, there = SecondWriter(), listed(ivan, chat)
    page = sdk.list_messages(ivan.id, chat.id, around=random.choice(there), limit=3)
    older, newer, seen = page.next_cursor, page.previous_cursor, ids(page)
    gone, arrived = set[str](), set[str]()
    while older or newer:
        message = make_message(olga, chat)
        if newer:
            arrived.add(message.id)
        slip = random.choice(listed(ivan, chat))
        random.choice((server.delete, server.remove_message))(slip)
        gone.add(slip)
        limit = random.randint(1, 5)
        if newer and (not older or random.random() < 0.5):
            page = sdk.list_messages(ivan.id, chat.id, limit=limit, cursor=newer)
            newer, seen = page.previous_cursor, ids(page) + seen
        else:
            page = sdk.list_messages(ivan.id, chat.id, limit=limit, cursor=older)
            older, seen = page.next_cursor, seen + ids(page)
    assert len(seen) == len(set(seen))
    assert {*there, *arrived} - gone <= set(seen)
    assert [id for id in seen if id in there] == [id for id in there if id in seen]


def test_what_arrives_after_a_message_follows_it(ivan: sdk.User, chat: sdk.Chat) -> None:
    seen = make_message(ivan, chat)
    new = [make_message(ivan, chat).id for _ in range(5)]
    page = sdk.list_messages(ivan.id, chat.id, around=seen.id, limit=2)
    assert ids(page) == [new[0], seen.id] and page.next_cursor is None
    page = sdk.list_messages(ivan.id, chat.id, cursor=page.previous_cursor)
    assert ids(page) == new[:0:-1] and page.previous_cursor is None


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_message_that_is_deleted_still_marks_its_place(
    ivan: sdk.User, chat: sdk.Chat, limit: int
) -> None:
    oldest, *others = [make_message(ivan, chat) for _ in range(4)]
    sdk.delete_message(ivan.id, chat.id, oldest.id)
    page = sdk.list_messages(ivan.id, chat.id, around=oldest.id, limit=limit)
    newer = [message.id for message in others[::-1]]
    assert ids(page) == newer[-max(limit // 2, 1) :]
    rest = sdk.list_messages(ivan.id, chat.id, cursor=page.previous_cursor)
    assert ids(rest) + ids(page) == newer
    sdk.delete_message(ivan.id, chat.id, others[1].id)
    page = sdk.list_messages(ivan.id, chat.id, around=others[1].id, limit=3)
    assert ids(page) == [others[2].id, others[0].id]


def test_a_page_of_one_leads_to_newer_messages_only_if_there_are_some(
    ivan: sdk.User, chat: sdk.Chat
) -> None:
    deleted, shown = make_message(ivan, chat), make_message(ivan, chat)
    sdk.delete_message(ivan.id, chat.id, deleted.id)
    page = sdk.list_messages(ivan.id, chat.id, around=deleted.id, limit=1)
    assert (ids(page), page.previous_cursor) == ([shown.id], None)
    newest = make_message(ivan, chat)
    page = sdk.list_messages(ivan.id, chat.id, around=deleted.id, limit=1)
    assert ids(page) == [shown.id]
    page = sdk.list_messages(ivan.id, chat.id, cursor=page.previous_cursor)
    assert (ids(page), page.previous_cursor) == ([newest.id], None)


def test_in_a_chat_whose_messages_are_all_deleted_a_page_is_empty(
    ivan: sdk.User, chat: sdk.Chat
) -> None:
    message = make_message(ivan, chat)
    sdk.delete_message(ivan.id, chat.id, message.id)
    page = sdk.list_messages(ivan.id, chat.id, around=message.id)
    assert (page, page.next_cursor, page.previous_cursor) == ([], None, None)


def test_a_place_that_is_not_there_is_not_found(
    chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    elsewhere = make_message(olga, make_chat(olga))
    waiting = make_message(olga, chat, scheduled_for=after(1))
    make_message(olga, chat)
    for message_id in (elsewhere.id, waiting.id, "none"):
        with pytest.raises(sdk.NotFound) as error:
            sdk.list_messages(ivan.id, chat.id, around=message_id)
        assert (error.value.entity, error.value.id) == ("message", message_id)
    with pytest.raises(sdk.NotFound) as error:
        sdk.list_messages(make_user().id, chat.id, around=elsewhere.id)
    assert error.value.entity == "chat"
    page = sdk.list_messages(ivan.id, chat.id)
    assert len(page) == 1
    cursor = sdk.list_messages(ivan.id, chat.id, around=page[0].id, limit=1).next_cursor
    assert cursor is None
    make_message(olga, chat)
    cursor = sdk.list_messages(ivan.id, chat.id, limit=1).next_cursor
    with pytest.raises(sdk.InvalidInput, match="must not come with a cursor") as wrong:
        sdk.list_messages(ivan.id, chat.id, around=page[0].id, cursor=cursor)
    assert wrong.value.field == "around"


# --- Replies ---


def test_the_replies_to_a_message_the_newest_first(
    chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    question = make_message(olga, chat, "?")
    replies = [make_message(ivan, chat, reply_to_id=question.id) for _ in range(5)]
    make_message(ivan, chat, reply_to_id=replies[0].id)
    make_message(ivan, chat)
    sdk.delete_message(ivan.id, chat.id, replies.pop().id)
    wanted = ids(replies)[::-1]
    with statements(1):
        found = sdk.list_replies(olga.id, chat.id, question.id)
    assert ids(found) == wanted
    assert {message.reply_to_id for message in found} == {question.id}
    assert found[0].reply_to is not None and found[0].reply_to.content == "?"
    first = sdk.list_replies(olga.id, chat.id, question.id, limit=3)
    rest = sdk.list_replies(olga.id, chat.id, question.id, limit=3, cursor=first.next_cursor)
    assert (ids(first + rest), rest.next_cursor) == (wanted, None)
    assert sdk.list_replies(olga.id, chat.id, replies[1].id) == []


def test_replies_of_another_chat_are_not_shown(
    chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    question, other = make_message(olga, chat), make_chat(olga)
    insert_message(olga, other, "from another chat", reply_to=question)
    assert sdk.list_replies(ivan.id, chat.id, question.id) == []


def test_who_does_not_see_a_message_sees_no_replies_to_it(
    chat: sdk.Chat, ivan: sdk.User, olga: sdk.User
) -> None:
    question = make_message(olga, chat)
    make_message(ivan, chat, reply_to_id=question.id)
    with pytest.raises(sdk.NotFound) as error:
        sdk.list_replies(make_user().id, chat.id, question.id)
    assert error.value.entity == "chat"
    sdk.delete_message(olga.id, chat.id, question.id)
    for message_id in (question.id, "none"):
        with pytest.raises(sdk.NotFound) as error:
            sdk.list_replies(ivan.id, chat.id, message_id)
        assert (error.value.entity, error.value.id) == ("message", message_id)

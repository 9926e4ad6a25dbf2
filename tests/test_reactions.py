"""Reactions to messages."""

from __future__ import annotations

import pytest

import stogram_sdk as sdk
from tests.support.factories import (
    after,
    insert_message,
    make_chat,
    make_message,
    make_user,
    make_users,
    statements,
)
from tests.support.second_writer import SecondWriter

LIKE, HEART = "👍", "❤️"


@pytest.fixture
def message(olga: sdk.User, chat: sdk.Chat) -> sdk.Message:
    return make_message(olga, chat)


def test_a_reaction_is_made_once(ivan: sdk.User, chat: sdk.Chat, message: sdk.Message) -> None:
    reaction, created = sdk.add_reaction(ivan.id, chat.id, message.id, LIKE)
    assert created and (reaction.message_id, reaction.emoji) == (message.id, LIKE)
    assert reaction.user == ivan
    again, created = sdk.add_reaction(ivan.id, chat.id, message.id, LIKE)
    assert not created and sdk.to_dict(again) == sdk.to_dict(reaction)
    assert sdk.add_reaction(ivan.id, chat.id, message.id, HEART)[1], "another emoji is another one"


def test_a_user_has_three_reactions_to_a_message(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    first, *others = ["1️⃣", "2️⃣", "3️⃣"]
    for emoji in (first, *others):
        assert sdk.add_reaction(ivan.id, chat.id, message.id, emoji)[1]
    with pytest.raises(sdk.NotAllowed, match=r"at most 3 reactions.*remove_reaction") as error:
        sdk.add_reaction(ivan.id, chat.id, message.id, LIKE)
    assert (error.value.entity, error.value.id) == ("message", message.id)
    assert not sdk.add_reaction(ivan.id, chat.id, message.id, first)[1], "it is one of them"
    assert sdk.add_reaction(olga.id, chat.id, message.id, LIKE)[1], "others have theirs"
    assert sdk.add_reaction(ivan.id, chat.id, make_message(olga, chat).id, LIKE)[1]
    sdk.remove_reaction(ivan.id, chat.id, message.id, first)
    assert sdk.add_reaction(ivan.id, chat.id, message.id, LIKE)[1]


def test_reactions_by_the_server_count_towards_the_limit(
    ivan: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    server = SecondWriter()
    for number in range(5):
        server.react(ivan.id, message.id, str(number))
    with pytest.raises(sdk.NotAllowed):
        sdk.add_reaction(ivan.id, chat.id, message.id, LIKE)
    assert len(sdk.list_reactions(ivan.id, chat.id, [message.id])[message.id]) == 5


def test_a_reaction_is_taken_back_once_and_by_its_owner(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    sdk.add_reaction(ivan.id, chat.id, message.id, LIKE)
    other = make_chat(ivan)
    assert not sdk.remove_reaction(olga.id, chat.id, message.id, LIKE), "it is not hers"
    assert not sdk.remove_reaction(ivan.id, chat.id, message.id, HEART)
    assert not sdk.remove_reaction(ivan.id, other.id, message.id, LIKE), "it is in another chat"
    assert sdk.remove_reaction(ivan.id, chat.id, message.id, LIKE)
    assert not sdk.remove_reaction(ivan.id, chat.id, message.id, LIKE)
    assert sdk.list_reactions(ivan.id, chat.id, [message.id]) == {message.id: []}


def test_messages_come_with_their_sums_in_the_same_statement(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    plain = make_message(ivan, chat)
    for user, emoji in ((ivan, LIKE), (ivan, HEART), (olga, HEART)):
        sdk.add_reaction(user.id, chat.id, message.id, emoji)
    with statements(1):
        newest, listed = sdk.list_messages(olga.id, chat.id)
    assert (newest.id, newest.reactions) == (plain.id, [])
    assert listed.reactions == [(HEART, 2, True), (LIKE, 1, False)]
    assert listed.reactions[0].total == 2
    with statements(1):
        sums = sdk.list_reactions(ivan.id, chat.id, [plain.id, "unknown", message.id])
    assert list(sums.items()) == [(plain.id, []), (message.id, [(HEART, 2, True), (LIKE, 1, True)])]


def test_every_function_that_returns_a_message_has_them(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    message = make_message(olga, chat, "#tag @ivan", message_id="own id")
    assert message.reactions == []
    sdk.add_reaction(ivan.id, chat.id, message.id, LIKE)
    of_olga, of_ivan = [(LIKE, 1, False)], [(LIKE, 1, True)]
    assert sdk.edit_message(olga.id, chat.id, message.id, "#tag @ivan!").reactions == of_olga
    assert make_message(olga, chat, "#tag", message_id="own id").reactions == of_olga
    assert sdk.pin_message(ivan.id, chat.id, message.id)[0].message.reactions == of_ivan
    assert sdk.list_pinned_messages(ivan.id)[0].message.reactions == of_ivan
    found = [
        sdk.find_by_hashtag(ivan.id, "tag"),
        sdk.find_by_mention(ivan.id),
        sdk.search_messages(ivan.id, "#tag"),
    ]
    assert [page[0].reactions for page in found] == [of_ivan] * 3
    last = sdk.list_chats(ivan.id)[0].last_message
    assert last is not None and last.reactions == of_ivan
    answer = make_message(ivan, chat, reply_to_id=message.id)
    with pytest.raises(sdk.NotLoaded, match=r"list_messages\(\)"):
        _ = answer.reply_to and answer.reply_to.reactions


def test_what_is_published_comes_with_reactions_of_nobody(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat
) -> None:
    make_message(olga, chat, scheduled_for=after(0))
    (published,) = sdk.publish_scheduled(lease=1)
    assert published.reactions == []
    sdk.add_reaction(ivan.id, chat.id, published.id, LIKE)
    again = sdk.publish_scheduled(now=after(5, published.updated_at))
    assert [row.reactions for row in again] == [[(LIKE, 1, False)]]


def test_who_has_reacted(chat: sdk.Chat, ivan: sdk.User, message: sdk.Message) -> None:
    users = make_users(3)
    times = [after(number // 2) for number in range(3)]
    rows = [
        sdk.Reaction.create(message=message, user=user, emoji=LIKE, created_at=time)
        for user, time in zip(users, times, strict=True)
    ]
    rows.sort(key=lambda row: (row.created_at, row.id), reverse=True)
    sdk.add_reaction(ivan.id, chat.id, message.id, HEART)
    newest, *others = sdk.list_message_reactions(ivan.id, chat.id, message.id)
    assert newest.user == ivan and [row.id for row in others] == [row.id for row in rows]
    first = sdk.list_message_reactions(ivan.id, chat.id, message.id, emoji=LIKE, limit=2)
    second = sdk.list_message_reactions(
        ivan.id, chat.id, message.id, emoji=LIKE, limit=2, cursor=first.next_cursor
    )
    assert [row.id for row in [*first, *second]] == [row.id for row in rows]


def test_only_who_sees_a_message_reacts_to_it(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    stranger, later = make_user(), after(10**9)
    hidden = [
        insert_message(olga, chat, is_deleted=True),
        insert_message(olga, chat, is_sent=False, scheduled_for=later),
        make_message(stranger, make_chat(stranger)),
    ]
    for user, about, entity in [
        (stranger, message, "chat"),
        *((ivan, row, "message") for row in hidden),
    ]:
        for call in (
            lambda user=user, row=about: sdk.add_reaction(user.id, chat.id, row.id, LIKE),
            lambda user=user, row=about: sdk.list_message_reactions(user.id, chat.id, row.id),
        ):
            with pytest.raises(sdk.NotFound) as error:
                call()
            assert error.value.entity == entity
    assert sdk.list_reactions(ivan.id, chat.id, [row.id for row in hidden]) == {}
    with pytest.raises(sdk.NotFound):
        sdk.list_reactions(stranger.id, chat.id, [message.id])
    assert sdk.Reaction.select().count() == 0


def test_readers_of_a_channel_react(ivan: sdk.User, olga: sdk.User) -> None:
    channel = make_chat(olga, ivan, type=sdk.ChatType.CHANNEL)
    post = make_message(olga, channel)
    assert sdk.add_reaction(ivan.id, channel.id, post.id, LIKE)[1]


@pytest.mark.parametrize("blocks", ["first", "second"])
def test_a_block_ends_reactions_in_a_private_chat(
    ivan: sdk.User, olga: sdk.User, blocks: str
) -> None:
    private, _ = sdk.open_private_chat(ivan.id, olga.id)
    group = make_chat(ivan, olga)
    one, two = make_message(ivan, private), make_message(ivan, group)
    sdk.add_reaction(olga.id, private.id, one.id, HEART)
    sdk.block_user(*((ivan.id, olga.id) if blocks == "first" else (olga.id, ivan.id)))
    with pytest.raises(sdk.Blocked):
        sdk.add_reaction(olga.id, private.id, one.id, LIKE)
    assert not sdk.add_reaction(olga.id, private.id, one.id, HEART)[1], "it is there"
    assert sdk.add_reaction(olga.id, group.id, two.id, LIKE)[1]
    assert sdk.remove_reaction(olga.id, private.id, one.id, HEART)


def test_reactions_of_the_server_count(
    ivan: sdk.User, olga: sdk.User, chat: sdk.Chat, message: sdk.Message
) -> None:
    server = SecondWriter()
    for user in (ivan, olga, olga):
        server.react(user.id, message.id, LIKE)
    assert not sdk.add_reaction(ivan.id, chat.id, message.id, LIKE)[1], "it is there"
    (listed,) = sdk.list_messages(ivan.id, chat.id)
    assert listed.reactions == [(LIKE, 2, True)]
    server.remove_account(olga.id)
    assert sdk.list_reactions(ivan.id, chat.id, [message.id]) == {}, "her message is gone as well"

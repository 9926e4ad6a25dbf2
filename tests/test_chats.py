"""Chats, and the list of them. Their members are in test_members."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from tests.support.factories import (
    after,
    insert_chat,
    insert_message,
    make_chat,
    make_message,
    make_user,
    make_users,
    roles_in,
    set_role,
    statements,
)

pytestmark = pytest.mark.usefixtures("engine")


def listed(user: sdk.User, **options: Any) -> list[str]:
    return [summary.chat.id for summary in sdk.list_chats(user.id, **options)]


# --- Making ---


@pytest.mark.parametrize("type", [sdk.ChatType.GROUP, sdk.ChatType.CHANNEL, "GROUP"])
def test_a_chat_has_an_owner_and_members(
    ivan: sdk.User, olga: sdk.User, type: sdk.ChatType
) -> None:
    chat = sdk.create_chat(
        ivan.id,
        type,
        member_ids=iter([olga.id, ivan.id, olga.id]),
        name="Друзья",
        description="о чём",
        is_secret=True,
    )
    assert chat.__data__ == sdk.Chat.get_by_id(chat.id).__data__
    assert (chat.type, chat.name, chat.description, chat.is_secret) == (
        sdk.ChatType(type),
        "Друзья",
        "о чём",
        True,
    )
    assert roles_in(chat) == {ivan.id: sdk.MemberRole.OWNER, olga.id: sdk.MemberRole.MEMBER}


def test_a_chat_may_have_no_one_but_its_owner(ivan: sdk.User) -> None:
    assert roles_in(make_chat(ivan)) == {ivan.id: sdk.MemberRole.OWNER}


def test_as_many_statements_for_many_members_as_for_one(ivan: sdk.User, engine: str) -> None:
    ids = [user.id for user in make_users(30)]
    for member_ids in (ids[:1], ids):
        with statements(4 if engine == "sqlite" else 1):
            chat = sdk.create_chat(ivan.id, sdk.ChatType.GROUP, member_ids=member_ids)
        assert len(roles_in(chat)) == len(member_ids) + 1


def test_an_unknown_member_is_named_and_nothing_is_made(ivan: sdk.User, olga: sdk.User) -> None:
    for owner_id, member_ids in ((ivan.id, [olga.id, "nobody"]), ("nobody", [olga.id])):
        for type in (sdk.ChatType.GROUP, sdk.ChatType.CHANNEL):
            with pytest.raises(sdk.NotFound) as error:
                sdk.create_chat(owner_id, type, member_ids=member_ids)
            assert (error.value.entity, error.value.id) == ("user", "nobody")
    assert sdk.Chat.select().count() == sdk.ChatMember.select().count() == 0


# --- Private chats ---


@pytest.mark.parametrize("type", [sdk.ChatType.GROUP, sdk.ChatType.CHANNEL])
def test_who_has_blocked_the_owner_is_in_no_chat_that_they_make(
    ivan: sdk.User, olga: sdk.User, type: sdk.ChatType
) -> None:
    nina = make_user()
    sdk.block_user(olga.id, ivan.id)
    with pytest.raises(sdk.Blocked) as error:
        make_chat(ivan, nina, olga, type=type)
    assert (error.value.entity, error.value.id) == ("user", olga.id)
    assert sdk.Chat.select().count() == 0
    assert set(roles_in(make_chat(olga, nina, ivan, type=type))) == {ivan.id, olga.id, nina.id}
    sdk.unblock_user(olga.id, ivan.id)
    assert set(roles_in(make_chat(ivan, olga, type=type))) == {ivan.id, olga.id}


def test_two_users_have_one_private_chat_whoever_opens_it(ivan: sdk.User, olga: sdk.User) -> None:
    chat, created = sdk.open_private_chat(ivan.id, olga.id)
    assert created and chat.type is sdk.ChatType.PRIVATE
    assert roles_in(chat) == {ivan.id: sdk.MemberRole.OWNER, olga.id: sdk.MemberRole.MEMBER}
    for user, other in ((ivan, olga), (olga, ivan)):
        assert sdk.open_private_chat(user.id, other.id) == (chat, False)
        made = sdk.create_chat(user.id, sdk.ChatType.PRIVATE, member_ids=[other.id])
        assert made == chat
    assert sdk.Chat.select().count() == 1


def test_a_secret_chat_is_apart_from_the_plain_one(ivan: sdk.User, olga: sdk.User) -> None:
    plain, _ = sdk.open_private_chat(ivan.id, olga.id)
    secret, created = sdk.open_private_chat(ivan.id, olga.id, is_secret=True)
    assert created and secret.is_secret and secret != plain
    assert sdk.open_private_chat(olga.id, ivan.id, is_secret=True) == (secret, False)
    assert sdk.open_private_chat(olga.id, ivan.id) == (plain, False)


def test_a_group_of_two_is_no_private_chat(ivan: sdk.User, olga: sdk.User) -> None:
    group = make_chat(ivan, olga)
    chat, created = sdk.open_private_chat(ivan.id, olga.id)
    assert created and chat != group


def test_a_chat_that_is_there_is_found_with_one_statement(ivan: sdk.User, olga: sdk.User) -> None:
    sdk.open_private_chat(ivan.id, olga.id)
    with statements(1):
        sdk.open_private_chat(olga.id, ivan.id)


def test_a_private_chat_is_with_exactly_one_other(ivan: sdk.User, olga: sdk.User) -> None:
    with pytest.raises(sdk.InvalidInput, match="somebody else"):
        sdk.open_private_chat(ivan.id, ivan.id)
    for member_ids in ([], [ivan.id], [olga.id, make_user().id]):
        with pytest.raises(sdk.InvalidInput, match="exactly one other member") as error:
            sdk.create_chat(ivan.id, sdk.ChatType.PRIVATE, member_ids=member_ids)
        assert error.value.field == "member_ids"


def test_a_private_chat_with_nobody_is_not_made(ivan: sdk.User) -> None:
    for user_id, other_id in ((ivan.id, "nobody"), ("nobody", ivan.id)):
        with pytest.raises(sdk.NotFound) as error:
            sdk.open_private_chat(user_id, other_id)
        assert error.value.id == "nobody"
    assert sdk.Chat.select().count() == 0


def test_a_block_does_not_stop_a_private_chat_from_being_opened(
    ivan: sdk.User, olga: sdk.User
) -> None:
    sdk.block_user(olga.id, ivan.id)
    assert sdk.open_private_chat(ivan.id, olga.id)[1]


# --- The list ---


def test_favorites_come_first_then_the_latest_message(ivan: sdk.User) -> None:
    oldest, empty, newest, favorite, late_favorite = (
        insert_chat(ivan, joined_at=after(number)) for number in range(5)
    )
    for seconds, chat in ((10, oldest), (30, newest), (5, favorite), (20, late_favorite)):
        insert_message(ivan, chat, created_at=after(seconds))
    for chat in (favorite, late_favorite):
        sdk.set_favorite(ivan.id, chat.id)
    wanted = [late_favorite, favorite, newest, oldest, empty]
    assert listed(ivan) == [chat.id for chat in wanted]


def test_only_visible_messages_move_a_chat_up(ivan: sdk.User) -> None:
    first, second = insert_chat(ivan), insert_chat(ivan)
    insert_message(ivan, first, created_at=after(10))
    last = insert_message(ivan, second, created_at=after(5))
    insert_message(ivan, second, created_at=after(20), is_deleted=True)
    insert_message(ivan, second, created_at=after(30), is_sent=False, scheduled_for=after(99))
    summaries = sdk.list_chats(ivan.id)
    assert [summary.chat for summary in summaries] == [first, second]
    assert summaries[1].last_message == last


def test_a_line_of_the_list_is_complete_in_one_statement(ivan: sdk.User, olga: sdk.User) -> None:
    chat, _ = sdk.open_private_chat(ivan.id, olga.id)
    group = make_chat(olga, ivan, name="group")
    for number in range(3):
        make_message(olga, chat, f"message {number}")
    sdk.mute_chat(ivan.id, chat.id)
    with statements(1):
        lines = sdk.list_chats(ivan.id)
        shown = [
            (
                line.chat.name,
                line.settings.is_muted,
                line.settings.chat_id,
                line.unread_count,
                line.last_message
                and (line.last_message.content, line.last_message.sender.username),
                line.peer and (line.peer.id, line.peer.username),
            )
            for line in lines
        ]
    assert shown == [
        (None, True, chat.id, 3, ("message 2", "olga"), (olga.id, "olga")),
        ("group", False, group.id, 0, None, None),
    ]


def test_each_of_the_two_sees_the_other(ivan: sdk.User, olga: sdk.User) -> None:
    sdk.open_private_chat(ivan.id, olga.id)
    for user, other in ((ivan, olga), (olga, ivan)):
        (line,) = sdk.list_chats(user.id)
        assert line.peer is not None and line.peer.id == other.id


def test_filters_alone_and_together(ivan: sdk.User, olga: sdk.User) -> None:
    plain, muted, secret, unread = (
        make_chat(olga, ivan, name=name, is_secret=name == "secret")
        for name in ("plain", "muted", "secret", "unread")
    )
    folder = sdk.create_folder(ivan.id, "folder")
    sdk.mute_chat(ivan.id, muted.id)
    for chat in (secret, muted):
        sdk.move_to_folder(ivan.id, chat.id, folder.id)
    sdk.set_favorite(ivan.id, secret.id)
    for chat in (unread, secret):
        make_message(olga, chat)
    names = {chat.id: chat.name for chat in (plain, muted, secret, unread)}

    def found(**options: Any) -> set[str | None]:
        return {names[chat_id] for chat_id in listed(ivan, **options)}

    assert found() == {"plain", "muted", "secret", "unread"}
    assert found(folder_id=folder.id) == {"muted", "secret"}
    assert found(folder_id=None) == {"plain", "unread"}
    assert found(is_favorite=True) == {"secret"}
    assert found(is_favorite=False) == {"plain", "muted", "unread"}
    assert found(is_secret=True) == {"secret"}
    assert found(is_secret=False) == {"plain", "muted", "unread"}
    assert found(unread_only=True) == {"secret", "unread"}
    assert found(unread_only=True, folder_id=None, is_secret=False) == {"unread"}
    assert found(unread_only=True, folder_id=folder.id, is_favorite=True) == {"secret"}
    assert found(is_favorite=True, is_secret=False) == set()
    empty = sdk.create_folder(ivan.id, "empty")
    assert found(folder_id=empty.id) == set()


def test_a_chat_that_was_left_is_not_listed(ivan: sdk.User, olga: sdk.User) -> None:
    chat = make_chat(olga, ivan)
    sdk.set_favorite(ivan.id, chat.id)
    sdk.leave_chat(ivan.id, chat.id)
    assert listed(ivan) == []
    assert listed(olga) == [chat.id]


def test_chats_of_one_moment_are_each_listed_once_while_others_come(ivan: sdk.User) -> None:
    chats = [insert_chat(ivan) for _ in range(9)]
    for number, chat in enumerate(chats):
        insert_message(ivan, chat, created_at=after(number // 4))
        if number % 3 == 0:
            sdk.ChatSettings.create(user=ivan, chat=chat, is_favorite=True)
    whole = listed(ivan)
    seen: list[sdk.ChatSummary] = []
    page = sdk.list_chats(ivan.id, limit=2)
    while True:
        seen += page
        arrived = make_chat(ivan)
        insert_message(ivan, arrived, created_at=after(0) + timedelta(days=1))
        if page.next_cursor is None:
            break
        page = sdk.list_chats(ivan.id, limit=2, cursor=page.next_cursor)
    favorites = [summary.chat.id for summary in seen if summary.settings.is_favorite]
    assert favorites == whole[:3]
    assert {summary.chat.id for summary in seen} >= set(whole)
    assert len({summary.chat.id for summary in seen}) == len(seen)


@pytest.mark.parametrize("seed", range(12))
def test_pages_hold_every_chat_once_whatever_happens_between_them(
    ivan: sdk.User, olga: sdk.User, seed: int
) -> None:
    random = Random(seed)
    chats = [make_chat(olga, ivan) for _ in range(12)]
    for number, chat in enumerate(chats):
        if random.random() < 0.8:
            insert_message(olga, chat, created_at=after(number // 3))
        if random.random() < 0.3:
            sdk.set_favorite(ivan.id, chat.id)
    whole, left = listed(ivan), set[str]()
    page = sdk.list_chats(ivan.id, limit=random.randint(1, 4))
    shown = [line.chat.id for line in page]
    while page.next_cursor is not None:
        for chat in random.sample(chats, 3):
            if chat.id not in left:
                make_message(olga, chat)
        sdk.mark_read(ivan.id, shown[0]) if shown[0] not in left else None
        make_message(olga, make_chat(olga, ivan))
        gone = random.choice(chats)
        sdk.leave_chat(ivan.id, gone.id)
        left.add(gone.id)
        page = sdk.list_chats(ivan.id, limit=random.randint(1, 4), cursor=page.next_cursor)
        shown += [line.chat.id for line in page]
    old = [chat_id for chat_id in shown if chat_id in whole]
    assert old == [chat_id for chat_id in whole if chat_id in old], "in the order of the first page"
    assert set(whole) - set(old) <= left
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize("stands", [False, True])
def test_a_message_that_is_dated_ahead_of_the_clock_costs_no_chat_its_page(
    ivan: sdk.User, olga: sdk.User, monkeypatch: pytest.MonkeyPatch, stands: bool
) -> None:
    """The clock of the server is ahead, or a burst of messages has used up the milliseconds.

    `stands`: what comes between two pages comes in the millisecond of the first.
    """
    chats = [insert_chat(olga, ivan) for _ in range(6)]
    for number, chat in enumerate(chats):
        insert_message(olga, chat, created_at=after(number))
    in_order = [chat.id for chat in reversed(chats)]
    if stands:
        now = after(1, utc_now())
        for module in (sdk.messages, sdk.chat_list):
            monkeypatch.setattr(module, "current_time", lambda: now)
    insert_message(olga, chats[1], created_at=utc_now() + timedelta(seconds=30))
    assert listed(ivan) == [chats[1].id, *(id for id in in_order if id != chats[1].id)]
    page = sdk.list_chats(ivan.id, limit=2)
    seen = [line.chat.id for line in page]
    while page.next_cursor is not None:
        make_message(olga, chats[0])
        page = sdk.list_chats(ivan.id, limit=2, cursor=page.next_cursor)
        seen += [line.chat.id for line in page]
    assert seen == [chats[1].id, *in_order], "the chat of that message comes twice"


def test_a_chat_that_moved_up_is_shown_as_it_is_now(ivan: sdk.User, olga: sdk.User) -> None:
    chats = [insert_chat(olga, ivan) for _ in range(3)]
    for number, chat in enumerate(chats):
        insert_message(olga, chat, created_at=after(number))
    first = sdk.list_chats(ivan.id, limit=1)
    latest = make_message(olga, chats[0])
    second = sdk.list_chats(ivan.id, cursor=first.next_cursor)
    assert [line.chat.id for line in second] == [chats[1].id, chats[0].id]
    assert (second[1].last_message, second[1].unread_count) == (latest, 2)
    assert listed(ivan)[0] == chats[0].id


def test_who_is_alone_in_a_private_chat_has_no_peer(ivan: sdk.User, olga: sdk.User) -> None:
    chat, _ = sdk.open_private_chat(ivan.id, olga.id)
    with sdk.session():
        sdk.User.delete().where(sdk.User.id == olga.id).execute()
    (line,) = sdk.list_chats(ivan.id)
    assert (line.chat.id, line.peer) == (chat.id, None)


# --- One chat ---


def test_one_chat_is_as_the_list_has_it(ivan: sdk.User, olga: sdk.User) -> None:
    private, _ = sdk.open_private_chat(ivan.id, olga.id)
    group = make_chat(olga, ivan, name="group")
    make_chat(ivan)
    first = make_message(olga, private)
    make_message(olga, private, reply_to_id=first.id)
    sdk.mark_read(ivan.id, private.id, first.id)
    sdk.mute_chat(ivan.id, private.id)
    lines = {line.chat.id: sdk.to_dict(line) for line in sdk.list_chats(ivan.id)}
    for chat in (private, group):
        with statements(1):
            found = sdk.get_chat(ivan.id, chat.id)
        assert sdk.to_dict(found) == lines[chat.id]
    assert sdk.get_chat(ivan.id, private.id).unread_count == 1


def test_a_chat_of_others_is_not_found(ivan: sdk.User, olga: sdk.User) -> None:
    chat = make_chat(olga, ivan)
    sdk.leave_chat(ivan.id, chat.id)
    for chat_id in (chat.id, "none"):
        with pytest.raises(sdk.NotFound) as error:
            sdk.get_chat(ivan.id, chat_id)
        assert (error.value.entity, error.value.id) == ("chat", chat_id)


# --- Changing ---


def test_what_is_not_given_stays_and_none_clears_it(ivan: sdk.User) -> None:
    chat = make_chat(ivan, name="old", description="about")
    with statements(1):
        changed = sdk.update_chat(ivan.id, chat.id, name="new", avatar="/uploads/1.png")
    assert (changed.name, changed.description, changed.avatar) == ("new", "about", "/uploads/1.png")
    changed = sdk.update_chat(ivan.id, chat.id, description=None, avatar=None)
    assert (changed.name, changed.description, changed.avatar) == ("new", None, None)
    assert sdk.get_chat(ivan.id, chat.id).chat.__data__ == changed.__data__


def test_owner_and_admins_change_a_chat_and_nobody_a_private_one(
    ivan: sdk.User, olga: sdk.User
) -> None:
    chat = make_chat(olga, ivan, name="old", type=sdk.ChatType.CHANNEL)
    with pytest.raises(sdk.NotAllowed, match="only the owner and admins"):
        sdk.update_chat(ivan.id, chat.id, name="new")
    set_role(ivan, chat, sdk.MemberRole.ADMIN)
    assert sdk.update_chat(ivan.id, chat.id, name="new").name == "new"
    private, _ = sdk.open_private_chat(olga.id, ivan.id)
    for user in (olga, ivan):
        with pytest.raises(sdk.NotAllowed):
            sdk.update_chat(user.id, private.id, name="new")
    with pytest.raises(sdk.NotFound):
        sdk.update_chat(make_user().id, chat.id, name="other")
    assert sdk.get_chat(olga.id, chat.id).chat.name == "new"


def test_a_change_moves_the_chat_up_at_the_server_and_never_back(ivan: sdk.User) -> None:
    chat = make_chat(ivan)
    ahead = after(50_000 / 1000, sdk.Chat.get_by_id(chat.id).updated_at)
    changed = sdk.update_chat(ivan.id, chat.id, name="a")
    assert changed.updated_at >= chat.updated_at
    with sdk.session():
        sdk.Chat.update(updated_at=ahead).where(sdk.Chat.id == chat.id).execute()
    assert sdk.update_chat(ivan.id, chat.id, name="b").updated_at == ahead
    assert make_message(ivan, chat).created_at > ahead


# --- Deleting ---


def test_the_owner_deletes_a_chat_with_all_that_is_in_it(ivan: sdk.User, olga: sdk.User) -> None:
    chat, other = make_chat(olga, ivan), make_chat(olga, ivan)
    for place in (chat, other):
        message = make_message(ivan, place, "#tag")
        make_message(olga, place, reply_to_id=message.id)
        sdk.pin_message(olga.id, place.id, message.id)
        sdk.mute_chat(olga.id, place.id)
    make_message(ivan, chat, scheduled_for=after(0))
    assert len(sdk.publish_scheduled()) == 1
    with pytest.raises(sdk.NotAllowed, match="only the owner"):
        sdk.delete_chat(ivan.id, chat.id)
    with statements(1):
        assert sdk.delete_chat(olga.id, chat.id)
    assert not sdk.delete_chat(olga.id, chat.id)
    assert listed(ivan) == listed(olga) == [other.id]
    assert len(sdk.find_by_hashtag(olga.id, "tag")) == 1
    for model, left in ((sdk.Message, 2), (sdk.PinnedMessage, 1), (sdk.ChatSettings, 1)):
        assert model.select().count() == left
    assert sdk.publish_scheduled(now=after(10**9)) == []


def test_either_of_the_two_deletes_a_private_chat(ivan: sdk.User, olga: sdk.User) -> None:
    for user in (ivan, olga):
        chat, _ = sdk.open_private_chat(ivan.id, olga.id)
        assert sdk.delete_chat(user.id, chat.id)
    alone, _ = sdk.open_private_chat(ivan.id, olga.id)
    with sdk.session():
        sdk.User.delete().where(sdk.User.id == olga.id).execute()
    assert sdk.delete_chat(ivan.id, alone.id)
    assert sdk.Chat.select().count() == 0


def test_a_chat_of_others_is_not_deleted(ivan: sdk.User, olga: sdk.User) -> None:
    chat = make_chat(olga)
    assert not sdk.delete_chat(ivan.id, chat.id)
    assert not sdk.delete_chat("nobody", chat.id)
    assert listed(olga) == [chat.id]

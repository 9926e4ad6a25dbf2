"""Everybody at once: no error, nothing twice, nothing lost, every count true."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain

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
    roles_in,
    unread,
    wrong_counts,
)
from tests.support.threads import at_once, eight

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("engine")]

NOON = datetime(2999, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("_", range(5))
def test_blocking(_: int) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    make_message(ben, chat)
    results = eight(lambda: sdk.block_user(ann.id, ben.id))
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    assert {block.id for block, _ in results} == {sdk.BlockedUser.get().id}
    assert unread(ann, chat) == 0
    assert sorted(eight(lambda: sdk.unblock_user(ann.id, ben.id))) == [False] * 7 + [True]
    assert unread(ann, chat) == 1


def test_blocking_and_unblocking_each_other() -> None:
    ann, ben = make_users(2)
    chats = [make_chat(ann, ben) for _ in range(3)]
    for chat in chats:
        make_message(ben, chat)

    def turn() -> None:
        for user, other in ((ann, ben), (ben, ann)) * 5:
            sdk.block_user(user.id, other.id)
            sdk.unblock_user(user.id, other.id)

    eight(turn)
    assert wrong_counts() == {}
    assert sdk.BlockedUser.select().count() == 0


@pytest.mark.parametrize("_", range(5))
def test_pinning(_: int) -> None:
    ann = make_user()
    chat = make_chat(ann)
    message = make_message(ann, chat)
    results = eight(lambda: sdk.pin_message(ann.id, chat.id, message.id))
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    assert {pin.id for pin, _ in results} == {sdk.PinnedMessage.get().id}


@pytest.mark.parametrize("_", range(5))
def test_opening_a_private_chat_from_both_sides(_: int) -> None:
    ann, ben = make_users(2)
    results = at_once(
        *[
            partial(sdk.open_private_chat, ann.id, ben.id),
            partial(sdk.open_private_chat, ben.id, ann.id),
        ]
        * 4
    )
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    chats = eight(lambda: sdk.create_chat(ann.id, sdk.ChatType.PRIVATE, member_ids=[ben.id]))
    assert {chat.id for chat, _ in results} | {chat.id for chat in chats} == {sdk.Chat.get().id}
    assert (sdk.Chat.select().count(), sdk.ChatMember.select().count()) == (1, 2)


def test_every_toggle_turns() -> None:
    ann = make_user()
    for calls in (8, 7):
        chat = make_chat(ann)
        rows = at_once(*[partial(sdk.toggle_favorite, ann.id, chat.id)] * calls)
        assert sum(row.is_favorite for row in rows) == 4
        assert sdk.get_chat_settings(ann.id, chat.id).is_favorite == (calls == 7)


def test_new_folders_have_one_order() -> None:
    ann = make_user()
    for _ in range(3):
        eight(lambda: sdk.create_folder(ann.id, "work"))
    assert sorted(folder.order for folder in sdk.Folder.select()) == list(range(24))


@pytest.mark.parametrize("has_row", [True, False])
def test_reading_ends_at_the_latest_message_whatever_comes_first(has_row: bool) -> None:
    ann, ben = make_users(2)
    for _ in range(5):
        chat = insert_chat(ann, ben)
        ids = [insert_message(ann, chat, created_at=after(second)).id for second in range(8)]
        if has_row:
            sdk.ChatSettings.create(user=ben, chat=chat, created_at=LONG_AGO, unread_count=8)
        at_once(*[partial(sdk.mark_read, ben.id, chat.id, id) for id in ids])
        settings = sdk.get_chat_settings(ben.id, chat.id)
        assert (settings.last_read_message_id, settings.unread_count) == (ids[-1], 0)


def test_the_same_message_is_sent_once() -> None:
    ann, ben = make_users(2)
    for number in range(5):
        chat = make_chat(ann, ben)
        messages = eight(partial(make_message, ann, chat, message_id=f"m{number}"))
        assert len({(message.id, message.created_at) for message in messages}) == 1
        assert unread(ben, chat) == 1


def test_the_same_id_in_two_chats_is_one_message() -> None:
    ann, ben = make_users(2)
    for number in range(5):
        chats = [make_chat(ann, ben) for _ in range(8)]
        sent = at_once(*[partial(send_or_none, ann, chat, f"m{number}") for chat in chats])
        assert sent.count(None) == 7
        assert sum(unread(ben, chat) for chat in chats) == 1


def send_or_none(sender: sdk.User, chat: sdk.Chat, message_id: str) -> sdk.Message | None:
    try:
        return make_message(sender, chat, message_id=message_id)
    except sdk.AlreadyExists:
        return None


def test_messages_of_eight_senders_have_one_order_and_all_count() -> None:
    users = make_users(8)
    chat = make_chat(*users)

    def send(user: sdk.User) -> list[sdk.Message]:
        return [make_message(user, chat) for _ in range(10)]

    sent = at_once(*[partial(send, user) for user in users])
    assert len({message.created_at for message in chain(*sent)}) == 80
    assert [unread(user, chat) for user in users] == [70] * 8
    assert wrong_counts() == {}


def test_the_first_settings_of_a_chat_are_made_once_whoever_makes_them() -> None:
    ann, ben = make_users(2)
    folder = sdk.create_folder(ben.id, "work")
    for _ in range(40):
        chat = insert_chat(ann, ben)
        old = insert_message(ann, chat, created_at=after(1))
        calls: list[Callable[[], object]] = [
            partial(sdk.mute_chat, ben.id, chat.id),
            partial(sdk.set_favorite, ben.id, chat.id),
            partial(sdk.mark_read, ben.id, chat.id),
            partial(sdk.mark_read, ben.id, chat.id, old.id),
            partial(sdk.move_to_folder, ben.id, chat.id, folder.id),
            partial(make_message, ann, chat),
        ]
        at_once(*calls)
        settings = sdk.ChatSettings.get(sdk.ChatSettings.chat == chat, sdk.ChatSettings.user == ben)
        assert settings.is_muted and settings.is_favorite and settings.folder_id == folder.id
    assert wrong_counts() == {}


def test_what_is_due_is_sent_once_however_many_publish() -> None:
    users = make_users(3)
    chats = [make_chat(*users) for _ in range(4)]
    for chat in chats:
        for user in users:
            for second in range(3):
                make_message(user, chat, scheduled_for=NOON - timedelta(seconds=second))
    results = eight(
        lambda: sdk.publish_scheduled(now=NOON, limit=7) + sdk.publish_scheduled(now=NOON)
    )
    ids = [message.id for result in results for message in result]
    assert (len(ids), len(set(ids))) == (36, 36)
    assert [unread(user, chat) for user in users for chat in chats] == [6] * 12


def test_what_is_rescheduled_while_it_is_sent_is_sent_or_waits() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    later = NOON + timedelta(days=1)
    for _ in range(10):
        waiting = make_message(ann, chat, scheduled_for=NOON)
        published, moved = at_once(
            partial(sdk.publish_scheduled, now=NOON), partial(reschedule, ann, waiting, later)
        )
        sent = [message.id for message in published]
        assert sent == ([] if moved else [waiting.id])
        left = [message.id for message in sdk.list_scheduled(ann.id)]
        assert left == ([waiting.id] if moved else [])
        sdk.delete_message(ann.id, chat.id, waiting.id)


def reschedule(sender: sdk.User, message: sdk.Message, time: datetime) -> list[sdk.Message]:
    try:
        return [sdk.reschedule_message(sender.id, message.chat_id, message.id, time)]
    except sdk.NotAllowed:
        return []


def test_forwarded_messages_of_eight_users_have_one_order_and_all_count() -> None:
    users = make_users(8)
    chat, other = make_chat(*users), make_chat(*users)
    ids = [make_message(users[0], chat).id for _ in range(5)]
    calls = [partial(sdk.forward_messages, user.id, chat.id, ids, other.id) for user in users]
    sent = at_once(*calls)
    assert len({message.created_at for message in chain(*sent)}) == 40
    assert [unread(user, other) for user in users] == [35] * 8


def test_a_deleted_message_leaves_each_count_once() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    messages = [make_message(ann, chat) for _ in range(5)]
    for number, message in enumerate(messages, start=1):
        deleted = eight(partial(sdk.delete_message, ann.id, chat.id, message.id))
        assert sorted(deleted) == [False] * 7 + [True]
        assert unread(ben, chat) == 5 - number


def test_a_chat_has_one_owner_though_owners_leave_at_once() -> None:
    for _ in range(5):
        users = make_users(8)
        chat = make_chat(*users)
        at_once(*[partial(sdk.leave_chat, user.id, chat.id) for user in users[:7]])
        [left] = sdk.ChatMember.select().where(sdk.ChatMember.chat == chat)
        assert (left.user_id, left.role) == (users[7].id, sdk.MemberRole.OWNER)


def test_a_chat_has_one_owner_though_it_changes_hands_at_once() -> None:
    for _ in range(5):
        users = make_users(8)
        chat = make_chat(*users)
        heirs = users[1:]
        at_once(*[partial(transfer_or_none, users[0], chat, heir) for heir in heirs])
        roles = roles_in(chat)
        [owner] = [user_id for user_id, role in roles.items() if role == sdk.MemberRole.OWNER]
        assert owner in {heir.id for heir in heirs}
        assert roles[users[0].id] == sdk.MemberRole.ADMIN


def transfer_or_none(owner: sdk.User, chat: sdk.Chat, heir: sdk.User) -> sdk.ChatMember | None:
    try:
        return sdk.transfer_ownership(owner.id, chat.id, heir.id)
    except sdk.NotAllowed:
        return None


def test_a_chat_without_owner_gets_one_though_all_its_admins_act_at_once() -> None:
    for _ in range(5):
        users, others = make_users(8), make_users(8)
        chat = make_chat(*users)
        for user in users[1:]:
            sdk.set_role(users[0].id, chat.id, user.id, sdk.MemberRole.ADMIN)
        sdk.User.delete().where(sdk.User.id == users[0].id).execute()
        pairs = zip(users[1:], others[1:], strict=True)
        at_once(*[partial(sdk.add_member, user.id, chat.id, other.id) for user, other in pairs])
        roles = roles_in(chat)
        assert (len(roles), [*roles.values()].count(sdk.MemberRole.OWNER)) == (14, 1)


def test_a_chat_is_deleted_once_whatever_happens_in_it() -> None:
    for _ in range(5):
        users = make_users(4)
        chat = make_chat(*users)
        message = make_message(users[0], chat)
        results = at_once(
            *[partial(sdk.delete_chat, users[0].id, chat.id)] * 2,
            *[partial(found_or_none, sdk.mute_chat, user.id, chat.id) for user in users[1:]],
            *[partial(found_or_none, sdk.pin_message, users[1].id, chat.id, message.id)] * 2,
            partial(found_or_none, sdk.send_message, users[2].id, chat.id, "#tag"),
        )
        assert {*results[:2]} == {False, True}
        for model in (sdk.Chat, sdk.Message, sdk.ChatMember, sdk.ChatSettings, sdk.PinnedMessage):
            assert model.select().count() == 0


def found_or_none(function: Callable[..., object], *arguments: str) -> object:
    try:
        return function(*arguments)
    except sdk.NotFound:
        return None


def test_coming_and_going_makes_one_membership() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    for _ in range(5):
        rows = eight(lambda: sdk.add_member(ann.id, chat.id, ben.id))
        assert len({row.id for row in rows}) == 1
        at_once(
            *[partial(sdk.leave_chat, ben.id, chat.id)] * 4,
            *[partial(sdk.remove_member, ann.id, chat.id, ben.id)] * 4,
        )
        assert sdk.ChatMember.select().where(sdk.ChatMember.user == ben).count() == 0


@pytest.mark.parametrize("_", range(5))
def test_reacting(_: int) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    message = make_message(ann, chat)
    results = eight(lambda: sdk.add_reaction(ben.id, chat.id, message.id, "👍"))
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    assert {row.id for row, _ in results} == {sdk.Reaction.get().id}
    removed = eight(lambda: sdk.remove_reaction(ben.id, chat.id, message.id, "👍"))
    assert sorted(removed) == [False] * 7 + [True]


@pytest.mark.parametrize("_", range(5))
def test_reacting_with_more_emoji_than_there_may_be(_: int) -> None:
    ann = make_user()
    chat = make_chat(ann)
    message = make_message(ann, chat)

    def react(emoji: str) -> bool:
        with suppress(sdk.NotAllowed):
            return sdk.add_reaction(ann.id, chat.id, message.id, emoji)[1]
        return False

    made = at_once(*[partial(react, str(number)) for number in range(8)])
    assert sum(made) == sdk.Reaction.select().count() == 3


def test_reacting_on_two_devices_that_change_their_mind() -> None:
    ann = make_user()
    chat = make_chat(ann)
    message = make_message(ann, chat)

    def turn() -> None:
        for _ in range(10):
            sdk.add_reaction(ann.id, chat.id, message.id, "👍")
            sdk.remove_reaction(ann.id, chat.id, message.id, "👍")

    eight(turn)
    assert sdk.Reaction.select().count() == 0


@pytest.mark.parametrize("_", range(5))
def test_adding_a_contact(_: int) -> None:
    ann, ben = make_users(2)
    results = eight(lambda: sdk.add_contact(ann.id, ben.id))
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    assert {row.id for row, _ in results} == {sdk.Contact.get().id}
    assert sorted(eight(lambda: sdk.remove_contact(ann.id, ben.id))) == [False] * 7 + [True]


def test_a_status_changes_once_though_all_devices_say_so() -> None:
    ann = make_user()
    for status in (sdk.UserStatus.ONLINE, sdk.UserStatus.OFFLINE) * 3:
        changed = eight(partial(sdk.set_status, ann.id, status))
        assert sorted(changed) == [False] * 7 + [True]


@pytest.mark.parametrize("_", range(5))
def test_calling_each_other_is_one_call(_: int) -> None:
    ann, ben = make_users(2)
    chat, _ = sdk.open_private_chat(ann.id, ben.id)
    calls = [partial(sdk.start_call, user.id, chat.id, sdk.CallType.AUDIO) for user in (ann, ben)]
    results = at_once(*calls * 4)
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    assert {row.id for row, _ in results} == {sdk.Call.get().id}


@pytest.mark.parametrize("_", range(10))
def test_two_devices_answer_and_decline_and_the_other_side_hangs_up(_: int) -> None:
    ann, ben = make_users(2)
    chat, _ = sdk.open_private_chat(ann.id, ben.id)
    call, _ = sdk.start_call(ann.id, chat.id, sdk.CallType.AUDIO)

    def change(function: Callable[[str, str], tuple[sdk.Call, bool]], user: sdk.User) -> str | None:
        """The state that this call has made."""
        try:
            row, has_changed = function(user.id, call.id)
        except sdk.NotAllowed:
            return None
        return row.status.value if has_changed else None

    answer, decline = partial(change, sdk.answer_call, ben), partial(change, sdk.decline_call, ben)
    made = at_once(answer, decline, partial(change, sdk.end_call, ann), answer, decline)
    row = sdk.Call.get_by_id(call.id)
    changes = sorted(state for state in made if state)
    assert changes in (["DECLINED"], ["MISSED"], ["ACTIVE"], ["ACTIVE", "ENDED"])
    assert row.status.value == changes[-1]
    assert sdk.CallParticipant.select().where(sdk.CallParticipant.call == call).count() == (
        changes[0] == "ACTIVE"
    )


def test_an_account_that_goes_while_its_chats_are_in_use() -> None:
    for _ in range(5):
        ann, ben, eve = make_users(3)
        chats = [make_chat(ann, ben) for _ in range(3)]

        def use(ann: sdk.User, eve: sdk.User, chats: list[sdk.Chat]) -> None:
            for chat in chats:
                with suppress(sdk.NotFound, sdk.NotAllowed):
                    make_message(ann, chat)
                    sdk.add_member(ann.id, chat.id, eve.id)
                    sdk.open_private_chat(ann.id, eve.id)

        gone = partial(sdk.delete_user, ann.id)
        used = partial(use, ann, eve, chats)
        results: list[object] = at_once(used, gone, used, gone, used)
        assert results.count(True) == 1
        for chat in chats:
            owners = sdk.ChatMember.select().where(
                sdk.ChatMember.chat == chat, sdk.ChatMember.role == sdk.MemberRole.OWNER
            )
            assert [row.user_id for row in owners] == [ben.id]
    assert wrong_counts() == {}

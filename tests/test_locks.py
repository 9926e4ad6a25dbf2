"""Two calls that want the same rows: one waits for the other, and never each for each."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

import stogram_sdk as sdk
from tests.support.factories import insert_chat, make_chat, make_message, make_users
from tests.support.threads import Arrivals
from tests.test_scheduled_locks import held

pytestmark = pytest.mark.usefixtures("on_postgres")


@pytest.fixture
def meet(
    migrated_postgres: str, arriving: Arrivals, caplog: pytest.LogCaptureFixture
) -> Callable[..., list[object]]:
    """The results of two calls that have both waited for a row, and run once each."""

    def meet(
        held_row: tuple[str, str], first: Callable[[], object], second: Callable[[], object]
    ) -> list[object]:
        caplog.set_level(logging.INFO, "stogram_sdk")
        table, id = held_row
        with held(migrated_postgres, f'SELECT FROM "{table}" WHERE id = %s FOR UPDATE', id):
            calls = [arriving.start(first), arriving.start(second)]
            assert not any(call.done() for call in calls)
        results = [call.result() for call in calls]
        assert caplog.messages == [], "it was run again"
        return results

    return meet


Meet = Callable[..., list[object]]


def test_a_call_that_is_ended_as_the_next_one_starts(meet: Meet) -> None:
    ann, ben, cid, dan = make_users(4)
    chat = make_chat(ann, ben, cid, dan)
    old, _ = sdk.start_call(ben.id, chat.id, sdk.CallType.AUDIO)
    sdk.answer_call(cid.id, old.id)
    sdk.leave_chat(ben.id, chat.id)
    sdk.leave_chat(cid.id, chat.id)
    meet(
        ("Call", old.id),
        lambda: sdk.end_call(ann.id, old.id),
        lambda: sdk.start_call(dan.id, chat.id, sdk.CallType.AUDIO),
    )
    statuses = [call.status for call in sdk.list_calls(ann.id)]
    assert statuses == [sdk.CallStatus.CALLING, sdk.CallStatus.ENDED]


@pytest.mark.parametrize("change", ["unmute", "recount", "delete a folder"])
def test_settings_that_change_as_their_owner_goes(meet: Meet, change: str) -> None:
    ann, ben = make_users(2)
    chats = [make_chat(ben, ann) for _ in range(3)]
    folder = sdk.create_folder(ann.id, "work")
    for chat in reversed(chats):  # so the database has them in the other order
        make_message(ben, chat)
        sdk.mute_chat(ann.id, chat.id)
        settings = sdk.move_to_folder(ann.id, chat.id, folder.id)
    changes: dict[str, Callable[[], object]] = {
        "unmute": lambda: sdk.unmute_all_chats(ann.id),
        "recount": lambda: sdk.recount_unread(ann.id),
        "delete a folder": lambda: sdk.delete_folder(ann.id, folder.id),
    }
    row = ("ChatSettings", settings.id)
    results = meet(row, changes[change], lambda: sdk.delete_user(ann.id))
    assert results == [True if change == "delete a folder" else 3, True]


def test_settings_of_who_has_left_change_as_the_chat_goes_with_its_last_member(meet: Meet) -> None:
    ann, ben = make_users(2)
    # The database has them, and deletes them, in the other order.
    for chat in [insert_chat(ann, ben, id=f"chat {number}") for number in range(8, 0, -1)]:
        settings = sdk.mute_chat(ben.id, chat.id)
        sdk.leave_chat(ben.id, chat.id)
    row = ("ChatSettings", settings.id)
    results = meet(row, lambda: sdk.unmute_all_chats(ben.id), lambda: sdk.delete_user(ann.id))
    assert results == [8, True]
    assert sdk.Chat.select().count() == 0


def test_a_chat_that_is_filed_away_as_its_owner_goes(meet: Meet) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ben, ann)
    sdk.mute_chat(ann.id, chat.id)
    folder = sdk.create_folder(ann.id, "work")
    moved, is_gone = meet(
        ("Folder", folder.id),
        lambda: sdk.move_to_folder(ann.id, chat.id, folder.id).folder_id,
        lambda: sdk.delete_user(ann.id),
    )
    assert (moved, is_gone) == (folder.id, True)

"""One call in the middle of another, for any two, on PostgreSQL: no conflict, every count true.

The server is one of those that arrive in the middle.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from stogram_sdk.models import new_id
from tests.support.factories import (
    LONG_AGO,
    after,
    insert_chat,
    make_chat,
    make_message,
    make_users,
    roles_in,
    wrong_counts,
)
from tests.support.factories import unread as unread_of
from tests.support.second_writer import SecondWriter
from tests.support.threads import Arrivals, at_once

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_postgres")]

NOON = datetime(2999, 1, 1, 12, tzinfo=UTC)


class Scene:
    """A few rows that everything happens on: in the group nobody has read anything."""

    def __init__(self) -> None:
        self.server = SecondWriter()
        #: The messages that the server sends have the time of its own clock.
        self.sent_by_server: list[str] = []
        ann, ben, cid, dan, eve = self.users = [sdk.User(id=new_id()) for _ in range(5)]
        self.ann, self.ben, self.cid, self.dan, self.eve = self.users
        self.group, self.private, self.of_dan = self.chats = [
            sdk.Chat(id=new_id()) for _ in range(3)
        ]
        self.first, self.second, self.third, self.of_eve, self.waiting = (
            new_id() for _ in range(5)
        )
        self.folder = new_id()
        members = {self.group: (ann, ben, cid), self.private: (ann, ben), self.of_dan: (dan, cid)}
        with sdk.transaction():
            insert(
                sdk.User,
                *[
                    {"id": u.id, "email": u.id, "username": u.id, "password": ""}
                    for u in self.users
                ],
            )
            insert(
                sdk.Chat,
                *[
                    {"id": chat.id, "type": "PRIVATE" if chat is self.private else "GROUP"}
                    for chat in self.chats
                ],
            )
            insert(
                sdk.ChatMember,
                *[
                    {
                        "chat": chat.id,
                        "user": user.id,
                        "role": "OWNER" if user is users[0] else "MEMBER",
                        "joined_at": LONG_AGO,
                    }
                    for chat, users in members.items()
                    for user in users
                ],
            )
            insert(
                sdk.Message,
                *[
                    {
                        "id": id,
                        "chat": self.group.id,
                        "sender": sender.id,
                        "content": "#old",
                        "created_at": after(number),
                        "is_sent": id != self.waiting,
                        "scheduled_for": NOON if id == self.waiting else None,
                    }
                    for number, (id, sender) in enumerate(
                        [
                            (self.first, ben),
                            (self.second, cid),
                            (self.third, ben),
                            (self.of_eve, eve),  # who is no longer there
                            (self.waiting, ben),
                        ]
                    )
                ],
            )
            insert(sdk.Folder, {"id": self.folder, "user": ann.id, "name": "work"})
            insert(sdk.BlockedUser, *[{"user": ben.id, "blocked": user.id} for user in (cid, eve)])
            # Cid has no settings.
            insert(
                sdk.ChatSettings,
                *[
                    {
                        "user": user.id,
                        "chat": self.group.id,
                        "unread_count": unread_count,
                        "folder": folder,
                        "is_muted": True,
                        "created_at": LONG_AGO,
                    }
                    for user, unread_count, folder in (
                        (ann, 4, self.folder),
                        (ben, 0, None),
                        (dan, 0, None),  # who is no longer there either
                    )
                ],
            )
            insert(
                sdk.PinnedMessage, {"user": ann.id, "chat": self.group.id, "message": self.second}
            )

    # What reads as `name of the method: what it does in the scene`.

    def ben_sends(self) -> None:
        make_message(self.ben, self.group)

    def cid_sends(self) -> None:
        make_message(self.cid, self.group)

    def ben_sends_in_private(self) -> None:
        make_message(self.ben, self.private)

    def ben_edits(self) -> None:
        sdk.edit_message(self.ben.id, self.group.id, self.third, "#other")

    def ben_deletes(self) -> None:
        sdk.delete_message(self.ben.id, self.group.id, self.third)

    def ann_deletes_of_cid(self) -> None:
        sdk.delete_message(self.ann.id, self.group.id, self.second)

    def ann_deletes_of_eve(self) -> None:
        sdk.delete_message(self.ann.id, self.group.id, self.of_eve)

    def ann_imports(self) -> None:
        history = [
            sdk.ImportedMessage(f"{self.first}/{place}", sender.id, after(place), "#old")
            for place, sender in ((0.5, self.ben), (3.5, self.cid), (9.5, self.eve))
        ]
        sdk.import_messages(self.ann.id, self.group.id, history)

    def ben_forwards(self) -> None:
        sdk.forward_messages(self.ben.id, self.group.id, [self.first, self.second], self.private.id)

    def ben_reschedules(self) -> None:
        sdk.reschedule_message(self.ben.id, self.group.id, self.waiting, LONG_AGO)

    def due_is_published(self) -> None:
        sdk.publish_scheduled(now=NOON)

    def ann_reads_all(self) -> None:
        sdk.mark_read(self.ann.id, self.group.id)

    def ann_reads_one(self) -> None:
        sdk.mark_read(self.ann.id, self.group.id, self.first)

    def cid_reads_one(self) -> None:
        sdk.mark_read(self.cid.id, self.group.id, self.first)

    def cid_reads_all(self) -> None:
        sdk.mark_read(self.cid.id, self.group.id)

    def cid_mutes(self) -> None:
        sdk.mute_chat(self.cid.id, self.group.id)

    def ann_toggles(self) -> None:
        sdk.toggle_favorite(self.ann.id, self.group.id)

    def ann_unmutes_all(self) -> None:
        sdk.unmute_all_chats(self.ann.id)

    def ann_recounts(self) -> None:
        sdk.recount_unread(self.ann.id)

    def ann_blocks_ben(self) -> None:
        sdk.block_user(self.ann.id, self.ben.id)

    def ann_blocks_dan(self) -> None:
        sdk.block_user(self.ann.id, self.dan.id)

    def cid_blocks_eve(self) -> None:
        sdk.block_user(self.cid.id, self.eve.id)

    def ben_unblocks_cid(self) -> None:
        sdk.unblock_user(self.ben.id, self.cid.id)

    def ben_unblocks_eve(self) -> None:
        sdk.unblock_user(self.ben.id, self.eve.id)

    def dan_comes_and_writes(self) -> None:
        sdk.add_member(self.ann.id, self.group.id, self.dan.id)
        make_message(self.dan, self.group)

    def ann_adds_dan(self) -> None:
        sdk.add_member(self.ann.id, self.group.id, self.dan.id)

    def dan_opens_a_chat_and_writes(self) -> None:
        make_message(self.dan, make_chat(self.dan, self.ann, self.ben))

    def dan_opens_a_private_chat_and_writes(self) -> None:
        chat, _ = sdk.open_private_chat(self.dan.id, self.ann.id)
        make_message(self.dan, chat)

    def ann_leaves(self) -> None:
        sdk.leave_chat(self.ann.id, self.group.id)

    def cid_leaves_and_comes_back(self) -> None:
        sdk.leave_chat(self.cid.id, self.group.id)
        sdk.add_member(self.ann.id, self.group.id, self.cid.id)

    def cid_is_removed(self) -> None:
        sdk.remove_member(self.ann.id, self.group.id, self.cid.id)

    def cid_becomes_admin(self) -> None:
        sdk.set_role(self.ann.id, self.group.id, self.cid.id, sdk.MemberRole.ADMIN)

    def ben_becomes_owner(self) -> None:
        sdk.transfer_ownership(self.ann.id, self.group.id, self.ben.id)

    def ann_renames_the_group(self) -> None:
        sdk.update_chat(self.ann.id, self.group.id, name="new")

    def ann_deletes_the_group(self) -> None:
        sdk.delete_chat(self.ann.id, self.group.id)

    def ben_deletes_the_private_chat(self) -> None:
        sdk.delete_chat(self.ben.id, self.private.id)

    def ann_pins(self) -> None:
        sdk.pin_message(self.ann.id, self.group.id, self.third)

    def ann_unpins_all(self) -> None:
        sdk.unpin_all_messages(self.ann.id, self.group.id)

    def ann_makes_a_folder(self) -> None:
        sdk.create_folder(self.ann.id, "home")

    def ann_moves_to_folder(self) -> None:
        sdk.move_to_folder(self.ann.id, self.group.id, self.folder)

    def ann_reorders(self) -> None:
        with suppress(sdk.InvalidInput):
            sdk.reorder_folders(self.ann.id, [self.folder])

    def ann_deletes_the_folder(self) -> None:
        sdk.delete_folder(self.ann.id, self.folder)

    def ann_hides(self) -> None:
        sdk.update_privacy(self.ann.id, show_last_seen=False)

    def server_sends(self) -> None:
        self.sent_by_server.append(self.server.send(self.ben.id, self.group.id, "#New @Ann"))

    def server_sends_by_a_clock_that_is_behind(self) -> None:
        at = self.server.clock() - timedelta(seconds=5)
        self.sent_by_server.append(self.server.send(self.cid.id, self.group.id, at=at))

    def server_changes_the_text(self) -> None:
        self.server.edit(self.third, "other")

    def server_deletes(self) -> None:
        self.server.delete(self.third)

    def server_removes_the_first(self) -> None:
        self.server.remove_message(self.first)

    def server_publishes(self) -> None:
        self.server.publish(self.waiting)

    def server_blocks_ben_for_ann(self) -> None:
        self.server.block(self.ann.id, self.ben.id)

    def server_unblocks_cid_for_ben(self) -> None:
        self.server.unblock(self.ben.id, self.cid.id)

    def server_adds_dan(self) -> None:
        self.server.add_member(self.group.id, self.dan.id)

    def server_adds_dan_to_the_private_chat(self) -> None:
        self.server.add_member(self.private.id, self.dan.id)

    def server_removes_cid(self) -> None:
        self.server.remove_member(self.group.id, self.cid.id)

    def server_puts_a_count(self) -> None:
        self.server.put_unread(self.ann.id, self.group.id, -5)

    def server_reads_for_cid(self) -> None:
        self.server.mark_read(self.cid.id, self.group.id, self.second)

    def server_mutes_for_cid(self) -> None:
        self.server.mute(self.cid.id, self.group.id)


DEEDS = sorted(name for name in vars(Scene) if not name.startswith("_"))

#: Those of the SDK.
OWN_DEEDS = [deed for deed in DEEDS if not deed.startswith("server_")]

#: Those after which a chat is gone, as whoever meets it learns by a foreign key.
DELETING = ["ann_deletes_the_group", "ben_deletes_the_private_chat"]

#: Those that change counts, or what counts depend on.
COUNTING = [
    deed
    for deed in DEEDS
    if not deed.endswith(("_edits", "_hides", "_pins", "_unpins_all", "_toggles", "_unmutes_all"))
    and "folder" not in deed
    and deed not in ("ann_reorders", "cid_sends", *DELETING)
]

#: Those that are one call: several in one transaction take their locks in the caller's order.
SINGLE = [deed for deed in COUNTING if deed in OWN_DEEDS and "_and_" not in deed]


def insert(model: Any, *rows: dict[str, Any]) -> None:
    model.insert_many(rows).execute()


def do(scene: Scene, deed: str) -> None:
    """What is in the other's way may be refused, as what it is."""
    with suppress(sdk.NotAllowed, sdk.Blocked):
        try:
            getattr(scene, deed)()
        except sdk.NotFound as error:
            assert error.id
        except sdk.AlreadyExists as error:  # somebody has added and promoted him meanwhile
            assert (deed, error.entity) == ("cid_leaves_and_comes_back", "member")
        except sdk.DatabaseError as error:  # the server writes into a chat that is gone
            assert (deed[:7], error.sqlstate) == ("server_", "23503")


def check(scene: Scene) -> None:
    assert wrong_counts(*scene.users) == {}
    rows = sdk.Message.select().where(sdk.Message.chat == scene.group, sdk.Message.is_sent)
    times = [row.created_at for row in rows if row.id not in scene.sent_by_server]
    assert len(set(times)) == len(times)
    roles = [row.role for row in sdk.ChatMember.select().where(sdk.ChatMember.chat == scene.group)]
    assert roles.count(sdk.MemberRole.OWNER) == bool(roles)


@pytest.mark.parametrize("first", SINGLE)
def test_in_the_middle_of_it_anything_may_arrive(
    first: str, arriving: Arrivals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stogram_sdk")
    for second in COUNTING:
        for number in in_the_middle(first, second, arriving):
            assert caplog.messages == [], f"{second} after statement {number}"


def in_the_middle(first: str, second: str, arriving: Arrivals) -> Iterator[int]:
    """Let the second deed arrive after each statement of the first."""
    for number in count(1):
        scene = Scene()
        arrived = arriving.after_statement(
            number, getattr(scene, first), partial(do, scene, second)
        )
        if arrived is None:
            return
        arrived.result()
        check(scene)
        yield number


@pytest.mark.parametrize("first", DELETING)
def test_while_a_chat_is_deleted_anything_may_arrive(first: str, arriving: Arrivals) -> None:
    assert sum(len([*in_the_middle(first, second, arriving)]) for second in COUNTING) > 40


def test_what_the_server_sends_meanwhile_is_not_sent_again(arriving: Arrivals) -> None:
    scene = Scene()
    with sdk.transaction():
        sdk.Message.update(is_sent=True).where(sdk.Message.id == scene.waiting).execute()
        published = arriving.start(partial(sdk.publish_scheduled, now=NOON))
    assert published.result() == []


@pytest.mark.parametrize("deed", OWN_DEEDS)
def test_whom_the_server_deletes_meanwhile_is_not_found(deed: str, arriving: Arrivals) -> None:
    for number in range(5):
        scene = Scene()
        with sdk.transaction():
            sdk.User.delete().where(sdk.User.id == scene.users[number].id).execute()
            arrived = arriving.start(partial(do, scene, deed))
        arrived.result()


def test_what_the_server_deletes_meanwhile_is_not_found(arriving: Arrivals) -> None:
    scene = Scene()
    with sdk.transaction():
        sdk.Message.delete().where(sdk.Message.id == scene.third).execute()
        arrived = arriving.start(scene.ann_pins)
    with pytest.raises(sdk.NotFound, match=scene.third):
        arrived.result()


def test_a_block_that_is_taken_back_or_made_meanwhile_is_there_in_the_end(
    arriving: Arrivals,
) -> None:
    scene = Scene()
    ben, cid = scene.ben.id, scene.cid.id
    for meanwhile, made in ((sdk.unblock_user, True), (sdk.block_user, False)):
        with sdk.transaction():
            meanwhile(ben, cid)
            again = arriving.start(lambda: sdk.block_user(ben, cid)[1])
        assert again.result() is made
        assert sdk.is_blocked(ben, cid)
        sdk.unblock_user(ben, cid)


def test_in_a_transaction_of_the_callers_starting_over_is_up_to_them(arriving: Arrivals) -> None:
    def cid_mutes(scene: Scene) -> None:
        with sdk.transaction():
            scene.cid_mutes()

    errors: list[tuple[Callable[[Scene], None], type[sdk.StogramError], str | None]] = [
        (cid_mutes, sdk.DatabaseError, "23503"),
        (sdk.retrying(Scene.cid_mutes), sdk.NotFound, None),
    ]
    for unit, kind, sqlstate in errors:
        scene = Scene()
        with sdk.transaction():
            sdk.User.delete().where(sdk.User.id == scene.cid.id).execute()
            arrived = arriving.start(partial(unit, scene))
        with pytest.raises(kind) as error:
            arrived.result()
        assert error.value.sqlstate == sqlstate


def test_what_is_imported_counts_for_settings_that_are_being_made(arriving: Arrivals) -> None:
    scene = Scene()
    with sdk.transaction():
        scene.cid_mutes()
        new = sdk.ImportedMessage(new_id(), scene.ann.id, utc_now(), "new")
        imported = arriving.start(partial(sdk.import_messages, scene.ann.id, scene.group.id, [new]))
    assert imported.result() == 1
    check(scene)


@pytest.mark.parametrize("by_server", [True, False])
def test_who_is_added_while_the_last_one_leaves_keeps_the_chat(
    by_server: bool, arriving: Arrivals
) -> None:
    """The one who leaves waits for the other, and sees them then."""
    ann, ben = make_users(2)
    chat = make_chat(ann)
    message = make_message(ann, chat)
    with sdk.transaction():
        if by_server:
            sdk.ChatMember.create(user=ben, chat=chat)
        else:
            sdk.add_member(ann.id, chat.id, ben.id)
        leaving = arriving.start(partial(sdk.leave_chat, ann.id, chat.id))
        assert not leaving.done()
    assert leaving.result(timeout=10) is True
    assert roles_in(chat) == {ben.id: sdk.MemberRole.OWNER}
    assert [each.id for each in sdk.list_messages(ben.id, chat.id)] == [message.id]


def test_the_owner_may_go_while_a_member_is_added(arriving: Arrivals) -> None:
    """Once it was seen that there is an owner; and nothing else is in the way any more."""
    ann, ben, cid = make_users(3)
    chat = insert_chat(ann, ben)
    sdk.set_role(ann.id, chat.id, ben.id, sdk.MemberRole.ADMIN)
    sdk.block_user(cid.id, ben.id)

    def go() -> None:
        SecondWriter().remove_member(chat.id, ann.id)
        sdk.unblock_user(cid.id, ben.id)

    arrived = arriving.after_statement(2, partial(sdk.add_member, ben.id, chat.id, cid.id), go)
    assert arrived is not None
    assert roles_in(chat) == {ben.id: sdk.MemberRole.OWNER, cid.id: sdk.MemberRole.MEMBER}


def test_nobody_is_added_to_a_chat_that_its_last_one_has_left(arriving: Arrivals) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    with sdk.transaction():
        assert sdk.leave_chat(ann.id, chat.id)
        adding = arriving.start(partial(sdk.add_member, ann.id, chat.id, ben.id))
        assert not adding.done()
    with pytest.raises(sdk.NotFound):
        adding.result(timeout=10)
    assert sdk.Chat.select().count() == 0


def server_adds_to(chat: sdk.Chat, user: sdk.User, *, is_new: bool) -> None:
    """Add a member as the server does: it locks nothing; a new chat is made with its member."""
    with sdk.transaction():
        if is_new:
            insert(sdk.Chat, {"id": chat.id, "type": "GROUP"})
        insert(sdk.ChatMember, {"chat": chat.id, "user": user.id})


@pytest.mark.parametrize("of_another", [True, False])
def test_whom_the_server_adds_before_an_account_goes_keeps_the_chat(
    of_another: bool, arriving: Arrivals
) -> None:
    """The deletion waits for the server, and sees what it has written then."""
    ann, ben = make_users(2)
    chat = make_chat(ann) if of_another else sdk.Chat(id=new_id())
    with sdk.transaction():
        server_adds_to(chat, ben if of_another else ann, is_new=not of_another)
        deleting = arriving.start(partial(sdk.delete_user, ann.id))
        assert not deleting.done()
    assert deleting.result(timeout=10) is True
    if of_another:
        assert roles_in(chat) == {ben.id: sdk.MemberRole.OWNER}
    else:
        assert sdk.Chat.select().count() == 0, "a chat of nobody"


@pytest.mark.parametrize("of_another", [True, False])
def test_while_an_account_goes_the_server_adds_nobody_to_a_chat_that_goes_too(
    of_another: bool, arriving: Arrivals
) -> None:
    for number in count(1):
        ann, ben = make_users(2)
        chat = make_chat(ann) if of_another else sdk.Chat(id=new_id())
        add = partial(server_adds_to, chat, ben if of_another else ann, is_new=not of_another)
        arrived = arriving.after_statement(number, partial(sdk.delete_user, ann.id), add)
        if arrived is None:
            break
        with pytest.raises(sdk.StogramError, match="23503"):
            arrived.result(timeout=10)
        assert sdk.Chat.select().count() == 0, f"after statement {number}"
    assert number == 4


def test_any_two_at_once_by_eight_threads() -> None:
    pairs = [(one, other) for one in DEEDS for other in DEEDS if one <= other]
    random.shuffle(pairs)
    for one, other in pairs[:40]:
        scene = Scene()
        at_once(*[partial(do, scene, deed) for deed in (one, other) * 4])
        check(scene)


def test_a_transaction_of_the_callers_keeps_its_isolation_level() -> None:
    scene = Scene()
    with sdk.db.atomic("SERIALIZABLE"):
        scene.ben_sends()
        scene.cid_mutes()
        assert sdk.db.execute_sql("SHOW transaction_isolation").fetchone() == ("serializable",)
    check(scene)


@pytest.mark.parametrize("up_to", [False, True])
def test_reading_on_two_devices_never_moves_back(arriving: Arrivals, up_to: bool) -> None:
    ann, ben = make_users(2)
    chat = insert_chat(ann, ben)
    first = make_message(ann, chat)
    sdk.mute_chat(ben.id, chat.id)
    with sdk.transaction():
        sdk.unmute_chat(ben.id, chat.id)  # holds the row
        behind = arriving.start(
            lambda: sdk.mark_read(ben.id, chat.id, *([first.id] if up_to else []))
        )
        with ThreadPoolExecutor(1) as threads:
            second = threads.submit(make_message, ann, chat).result()
        sdk.mark_read(ben.id, chat.id)
    assert behind.result().last_read_message_id == second.id
    assert unread_of(ben, chat) == 0

"""Everybody at once, on PostgreSQL: no error, nothing twice, nothing lost, every count true."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, count
from typing import Any
from urllib.parse import urlsplit

import pytest

import stogram_sdk
from stogram_sdk import (
    AlreadyExists,
    Blocked,
    BlockedUser,
    Chat,
    ChatMember,
    ChatSettings,
    ChatType,
    Folder,
    MemberRole,
    Message,
    NotAllowed,
    NotFound,
    PinnedMessage,
    User,
    add_member,
    block_user,
    create_chat,
    create_folder,
    delete_folder,
    delete_message,
    edit_message,
    get_chat_settings,
    leave_chat,
    mark_read,
    move_to_folder,
    mute_chat,
    open_private_chat,
    pin_message,
    publish_scheduled,
    recount_unread,
    remove_member,
    reorder_folders,
    set_favorite,
    toggle_favorite,
    transaction,
    unblock_user,
    unmute_all_chats,
    unpin_all_messages,
    update_privacy,
)
from stogram_sdk.database import current_database
from stogram_sdk.models import new_id
from tests.factories import (
    LONG_AGO,
    after,
    insert_chat,
    insert_message,
    make_chat,
    make_message,
    make_user,
    make_users,
    unread,
)
from tests.postgres import PostgresServer
from tests.threads import Arrivals, arrivals, at_once, eight

pytestmark = pytest.mark.usefixtures("on_postgres")

NOON = datetime(2999, 1, 1, 12, tzinfo=UTC)


def wrong_counts() -> dict[str, int]:
    """By user how many of their stored counts are not the truth."""
    return {user.id: wrong for user in User.select(User.id) if (wrong := recount_unread(user.id))}


# --- eight at once ---


@pytest.mark.parametrize("_", range(5))
def test_blocking(_: int) -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    make_message(ben, chat)
    results = eight(lambda: block_user(ann.id, ben.id))
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    assert {block.id for block, _ in results} == {BlockedUser.get().id}
    assert unread(ann, chat) == 0
    assert sorted(eight(lambda: unblock_user(ann.id, ben.id))) == [False] * 7 + [True]
    assert unread(ann, chat) == 1


def test_blocking_and_unblocking_each_other() -> None:
    ann, ben = make_users(2)
    chats = [make_chat(ann, ben) for _ in range(3)]
    for chat in chats:
        make_message(ben, chat)

    def turn() -> None:
        for user, other in ((ann, ben), (ben, ann)) * 5:
            block_user(user.id, other.id)
            unblock_user(user.id, other.id)

    eight(turn)
    assert wrong_counts() == {}
    assert BlockedUser.select().count() == 0


@pytest.mark.parametrize("_", range(5))
def test_pinning(_: int) -> None:
    ann = make_user()
    chat = make_chat(ann)
    message = make_message(ann, chat)
    results = eight(lambda: pin_message(ann.id, chat.id, message.id))
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    assert {pin.id for pin, _ in results} == {PinnedMessage.get().id}


@pytest.mark.parametrize("_", range(5))
def test_opening_a_private_chat_from_both_sides(_: int) -> None:
    ann, ben = make_users(2)
    results = at_once(
        *[partial(open_private_chat, ann.id, ben.id), partial(open_private_chat, ben.id, ann.id)]
        * 4
    )
    assert sorted(created for _, created in results) == [False] * 7 + [True]
    chats = eight(lambda: create_chat(ann.id, ChatType.PRIVATE, member_ids=[ben.id]))
    assert {chat.id for chat, _ in results} | {chat.id for chat in chats} == {Chat.get().id}
    assert (Chat.select().count(), ChatMember.select().count()) == (1, 2)


def test_every_toggle_turns() -> None:
    ann = make_user()
    for calls in (8, 7):
        chat = make_chat(ann)
        rows = at_once(*[partial(toggle_favorite, ann.id, chat.id)] * calls)
        assert sum(row.is_favorite for row in rows) == 4
        assert get_chat_settings(ann.id, chat.id).is_favorite == (calls == 7)


def test_new_folders_have_one_order() -> None:
    ann = make_user()
    for _ in range(3):
        eight(lambda: create_folder(ann.id, "work"))
    assert sorted(folder.order for folder in Folder.select()) == list(range(24))


@pytest.mark.parametrize("has_row", [True, False])
def test_reading_ends_at_the_latest_message_whatever_comes_first(has_row: bool) -> None:
    ann, ben = make_users(2)
    for _ in range(5):
        chat = insert_chat(ann, ben)
        ids = [insert_message(ann, chat, created_at=after(second)).id for second in range(8)]
        if has_row:
            ChatSettings.create(user=ben, chat=chat, created_at=LONG_AGO, unread_count=8)
        at_once(*[partial(mark_read, ben.id, chat.id, id) for id in ids])
        settings = get_chat_settings(ben.id, chat.id)
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


def send_or_none(sender: User, chat: Chat, message_id: str) -> Message | None:
    try:
        return make_message(sender, chat, message_id=message_id)
    except AlreadyExists:
        return None


def test_messages_of_eight_senders_have_one_order_and_all_count() -> None:
    users = make_users(8)
    chat = make_chat(*users)

    def send(user: User) -> list[Message]:
        return [make_message(user, chat) for _ in range(10)]

    sent = at_once(*[partial(send, user) for user in users])
    assert len({message.created_at for message in chain(*sent)}) == 80
    assert [unread(user, chat) for user in users] == [70] * 8
    assert wrong_counts() == {}


def test_the_first_settings_of_a_chat_are_made_once_whoever_makes_them() -> None:
    ann, ben = make_users(2)
    folder = create_folder(ben.id, "work")
    for _ in range(40):
        chat = insert_chat(ann, ben)
        old = insert_message(ann, chat, created_at=after(1))
        calls: list[Callable[[], object]] = [
            partial(mute_chat, ben.id, chat.id),
            partial(set_favorite, ben.id, chat.id),
            partial(mark_read, ben.id, chat.id),
            partial(mark_read, ben.id, chat.id, old.id),
            partial(move_to_folder, ben.id, chat.id, folder.id),
            partial(make_message, ann, chat),
        ]
        at_once(*calls)
        settings = ChatSettings.get(ChatSettings.chat == chat, ChatSettings.user == ben)
        assert settings.is_muted and settings.is_favorite and settings.folder_id == folder.id
    assert wrong_counts() == {}


def test_what_is_due_is_sent_once_however_many_publish() -> None:
    users = make_users(3)
    chats = [make_chat(*users) for _ in range(4)]
    for chat in chats:
        for user in users:
            for second in range(3):
                make_message(user, chat, scheduled_for=NOON - timedelta(seconds=second))
    results = eight(lambda: publish_scheduled(now=NOON, limit=7) + publish_scheduled(now=NOON))
    ids = [message.id for result in results for message in result]
    assert (len(ids), len(set(ids))) == (36, 36)
    assert [unread(user, chat) for user in users for chat in chats] == [6] * 12


def test_a_deleted_message_leaves_each_count_once() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann, ben)
    messages = [make_message(ann, chat) for _ in range(5)]
    for number, message in enumerate(messages, start=1):
        deleted = eight(partial(delete_message, ann.id, chat.id, message.id))
        assert sorted(deleted) == [False] * 7 + [True]
        assert unread(ben, chat) == 5 - number


def test_a_chat_has_one_owner_though_owners_leave_at_once() -> None:
    for _ in range(5):
        users = make_users(8)
        chat = make_chat(*users)
        at_once(*[partial(leave_chat, user.id, chat.id) for user in users[:7]])
        [left] = ChatMember.select().where(ChatMember.chat == chat)
        assert (left.user_id, left.role) == (users[7].id, MemberRole.OWNER)


def test_coming_and_going_makes_one_membership() -> None:
    ann, ben = make_users(2)
    chat = make_chat(ann)
    for _ in range(5):
        rows = eight(lambda: add_member(ann.id, chat.id, ben.id))
        assert len({row.id for row in rows}) == 1
        at_once(
            *[partial(leave_chat, ben.id, chat.id)] * 4,
            *[partial(remove_member, ann.id, chat.id, ben.id)] * 4,
        )
        assert ChatMember.select().where(ChatMember.user == ben).count() == 0


# --- one in the middle of the other ---


class Scene:
    """A few rows that everything happens on: in the group nobody has read anything."""

    def __init__(self) -> None:
        ann, ben, cid, dan = self.users = [User(id=new_id()) for _ in range(4)]
        self.ann, self.ben, self.cid, self.dan = self.users
        self.group, self.private, self.of_dan = self.chats = [Chat(id=new_id()) for _ in range(3)]
        self.first, self.second, self.third, waiting = (new_id() for _ in range(4))
        self.folder = new_id()
        members = {self.group: (ann, ben, cid), self.private: (ann, ben), self.of_dan: (dan, cid)}
        with transaction():
            insert(
                User,
                *[
                    {"id": u.id, "email": u.id, "username": u.id, "password": ""}
                    for u in self.users
                ],
            )
            insert(
                Chat,
                *[
                    {"id": chat.id, "type": "PRIVATE" if chat is self.private else "GROUP"}
                    for chat in self.chats
                ],
            )
            insert(
                ChatMember,
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
                Message,
                *[
                    {
                        "id": id,
                        "chat": self.group.id,
                        "sender": sender.id,
                        "content": "#old",
                        "created_at": after(number),
                        "is_sent": id != waiting,
                        "scheduled_for": NOON if id == waiting else None,
                    }
                    for number, (id, sender) in enumerate(
                        [(self.first, ben), (self.second, cid), (self.third, ben), (waiting, ben)]
                    )
                ],
            )
            insert(Folder, {"id": self.folder, "user": ann.id, "name": "work"})
            insert(BlockedUser, {"user": ben.id, "blocked": cid.id})
            # Cid has no settings, and so nothing unread.
            insert(
                ChatSettings,
                *[
                    {
                        "user": user.id,
                        "chat": self.group.id,
                        "unread_count": unread_count,
                        "folder": folder,
                        "is_muted": True,
                        "created_at": LONG_AGO,
                    }
                    for user, unread_count, folder in ((ann, 3, self.folder), (ben, 0, None))
                ],
            )
            insert(PinnedMessage, {"user": ann.id, "chat": self.group.id, "message": self.second})

    # What reads as `name of the method: what it does in the scene`.

    def ben_sends(self) -> None:
        make_message(self.ben, self.group)

    def cid_sends(self) -> None:
        make_message(self.cid, self.group)

    def ben_sends_in_private(self) -> None:
        make_message(self.ben, self.private)

    def ben_edits(self) -> None:
        edit_message(self.ben.id, self.group.id, self.third, "#other")

    def ben_deletes(self) -> None:
        delete_message(self.ben.id, self.group.id, self.third)

    def ann_deletes_of_cid(self) -> None:
        delete_message(self.ann.id, self.group.id, self.second)

    def due_is_published(self) -> None:
        publish_scheduled(now=NOON)

    def ann_reads_all(self) -> None:
        mark_read(self.ann.id, self.group.id)

    def ann_reads_one(self) -> None:
        mark_read(self.ann.id, self.group.id, self.first)

    def cid_reads_one(self) -> None:
        mark_read(self.cid.id, self.group.id, self.first)

    def cid_reads_all(self) -> None:
        mark_read(self.cid.id, self.group.id)

    def cid_mutes(self) -> None:
        mute_chat(self.cid.id, self.group.id)

    def ann_toggles(self) -> None:
        toggle_favorite(self.ann.id, self.group.id)

    def ann_unmutes_all(self) -> None:
        unmute_all_chats(self.ann.id)

    def ann_recounts(self) -> None:
        recount_unread(self.ann.id)

    def ann_blocks_ben(self) -> None:
        block_user(self.ann.id, self.ben.id)

    def ann_blocks_dan(self) -> None:
        block_user(self.ann.id, self.dan.id)

    def ben_unblocks_cid(self) -> None:
        unblock_user(self.ben.id, self.cid.id)

    def dan_comes_and_writes(self) -> None:
        add_member(self.ann.id, self.group.id, self.dan.id)
        make_message(self.dan, self.group)

    def cid_opens_a_chat_and_writes(self) -> None:
        make_message(self.cid, make_chat(self.cid, self.ann, self.ben))

    def dan_opens_a_private_chat_and_writes(self) -> None:
        chat, _ = open_private_chat(self.dan.id, self.ann.id)
        make_message(self.dan, chat)

    def ann_leaves(self) -> None:
        leave_chat(self.ann.id, self.group.id)

    def cid_leaves_and_comes_back(self) -> None:
        leave_chat(self.cid.id, self.group.id)
        add_member(self.ann.id, self.group.id, self.cid.id)

    def cid_is_removed(self) -> None:
        remove_member(self.ann.id, self.group.id, self.cid.id)

    def ann_pins(self) -> None:
        pin_message(self.ann.id, self.group.id, self.third)

    def ann_unpins_all(self) -> None:
        unpin_all_messages(self.ann.id, self.group.id)

    def ann_makes_a_folder(self) -> None:
        create_folder(self.ann.id, "home")

    def ann_moves_to_folder(self) -> None:
        move_to_folder(self.ann.id, self.group.id, self.folder)

    def ann_reorders(self) -> None:
        with suppress(stogram_sdk.InvalidInput):
            reorder_folders(self.ann.id, [self.folder])

    def ann_deletes_the_folder(self) -> None:
        delete_folder(self.ann.id, self.folder)

    def ann_hides(self) -> None:
        update_privacy(self.ann.id, show_last_seen=False)


DEEDS = sorted(name for name in vars(Scene) if not name.startswith("_"))

#: Those that change counts, or what counts depend on.
COUNTING = [
    deed
    for deed in DEEDS
    if not deed.endswith(("_edits", "_hides", "_pins", "_unpins_all", "_toggles", "_unmutes_all"))
    and "folder" not in deed
    and deed not in ("ann_reorders", "cid_sends")
]

#: Those that are one call: several in one transaction take their locks in the caller's order.
SINGLE = [deed for deed in COUNTING if "_and_" not in deed]


def insert(model: Any, *rows: dict[str, Any]) -> None:
    model.insert_many(rows).execute()


def do(scene: Scene, deed: str) -> None:
    """What is in the other's way may be refused, as what it is."""
    with suppress(NotFound, NotAllowed, Blocked):
        getattr(scene, deed)()


def check(scene: Scene) -> None:
    assert [recount_unread(user.id) for user in scene.users] == [0] * 4
    times = [row.created_at for row in Message.select().where(Message.chat == scene.group)]
    assert len(set(times)) == len(times)
    roles = [row.role for row in ChatMember.select().where(ChatMember.chat == scene.group)]
    assert roles.count(MemberRole.OWNER) == 1


@pytest.fixture
def arriving(migrated_postgres: str) -> Iterator[Arrivals]:
    with arrivals(migrated_postgres) as found:
        yield found


@pytest.mark.parametrize("first", SINGLE)
def test_in_the_middle_of_it_anything_may_arrive(
    first: str, arriving: Arrivals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stogram_sdk")
    for second in COUNTING:
        for number in count(1):
            scene = Scene()
            arrived = arriving.after_statement(
                number, getattr(scene, first), partial(do, scene, second)
            )
            if arrived is None:
                break
            arrived.result()
            check(scene)
            assert caplog.messages == [], f"{second} after statement {number}"


# --- everybody on the same rows ---


def test_any_two_at_once_by_eight_threads() -> None:
    pairs = [(one, other) for one in DEEDS for other in DEEDS if one <= other]
    random.shuffle(pairs)
    for one, other in pairs[:40]:
        scene = Scene()
        at_once(*[partial(do, scene, deed) for deed in (one, other) * 4])
        check(scene)


def test_mixed_load_leaves_every_count_true() -> None:
    mixed_load(seconds=4)


WHAT = (
    *("send", "send", "send", "send", "read", "read", "read", "delete", "block", "unblock"),
    *("leave", "add", "schedule", "publish", "toggle", "recount"),
)


def mixed_load(seconds: float) -> int:
    users = make_users(6)
    chats = [make_chat(*users) for _ in range(3)]
    chats.append(make_chat(users[0], users[1], type=ChatType.PRIVATE))
    sent: dict[str, str] = {}
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    calls = count()
    known: list[tuple[Chat, str]] = []

    def one_of(rng: random.Random) -> None:
        user, other = rng.sample(users, 2)
        chat = rng.choice(chats)
        match rng.choice(WHAT):
            case "send":
                message = make_message(user, chat)
                sent[message.id] = chat.id
                known.append((chat, message.id))
            case "read":
                known_chat, message_id = rng.choice(known) if known else (chat, None)
                mark_read(user.id, known_chat.id, message_id if rng.random() < 0.7 else None)
            case "delete" if known:
                known_chat, message_id = rng.choice(known)
                delete_message(user.id, known_chat.id, message_id)
            case "block":
                block_user(user.id, other.id)
            case "unblock":
                unblock_user(user.id, other.id)
            case "leave":
                leave_chat(user.id, chat.id)
            case "add":
                add_member(user.id, chat.id, other.id)
            case "schedule":
                message = make_message(user, chat, scheduled_for=LONG_AGO)
                sent[message.id] = chat.id
            case "publish":
                publish_scheduled(limit=rng.choice([1, 100]))
            case "toggle":
                toggle_favorite(user.id, chat.id)
            case "recount":
                recount_unread(user.id)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        while not stop.is_set():
            next(calls)
            with suppress(NotFound, NotAllowed, Blocked):
                one_of(rng)

    timer.start()
    try:
        at_once(*[partial(work, seed) for seed in range(8)])
    finally:
        timer.cancel()
    assert wrong_counts() == {}
    assert {message.id: message.chat_id for message in Message.select()} == sent
    for chat in chats:
        times = [row.created_at for row in Message.select().where(Message.chat == chat)]
        assert len(set(times)) == len(times)
    return next(calls)


@pytest.fixture
def serializable(on_postgres: None, postgres_url: str, postgres_server: PostgresServer) -> None:
    """Connected to a database where every transaction is SERIALIZABLE unless it says otherwise."""
    name = urlsplit(postgres_url).path[1:]
    postgres_server.execute(
        f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'"
    )
    stogram_sdk.connect(postgres_url, connection_limit=20)
    stogram_sdk.migrate()


@pytest.mark.usefixtures("serializable")
def test_mixed_load_where_transactions_are_serializable() -> None:
    assert (
        current_database().execute_sql("SHOW transaction_isolation").fetchone()[0] == "serializable"
    )
    mixed_load(seconds=3)

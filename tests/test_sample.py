"""A Stogram server's own rows, migrated: every function called on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

import stogram_sdk as sdk
from stogram_sdk.fields import utc_now
from tests.support.contract import CALLS, Scene, outcome, undone
from tests.support.postgres import PostgresServer
from tests.support.states import Databases

#: Whole databases, made and filled.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample(postgres_server: PostgresServer) -> Iterator[None]:
    with postgres_server.database() as name:
        Databases(postgres_server).filled(name)
        sdk.connect(postgres_server.url_of(name))
        sdk.migrate()
        with sdk.session():
            yield
        sdk.close()


class Rows(NamedTuple):
    """Everything, read with plain queries."""

    users: dict[str, sdk.User]
    chats: dict[str, sdk.Chat]
    members: dict[str, dict[str, sdk.MemberRole]]  # by chat and user
    messages: dict[str, list[sdk.Message]]  # by chat: the visible ones, newest first


@pytest.fixture(scope="module")
def rows(sample: None) -> Rows:
    members: dict[str, dict[str, sdk.MemberRole]] = defaultdict(dict)
    for row in sdk.ChatMember.select():
        members[row.chat_id][row.user_id] = row.role
    messages: dict[str, list[sdk.Message]] = defaultdict(list)
    for message in sdk.Message.select():
        if not message.is_deleted and (message.is_sent or message.scheduled_for is None):
            messages[message.chat_id].append(message)
    for visible in messages.values():
        visible.sort(key=lambda message: (message.created_at, message.id), reverse=True)
    users = {user.id: user for user in sdk.User.select()}
    return Rows(users, {chat.id: chat for chat in sdk.Chat.select()}, members, messages)


@pytest.fixture(scope="module")
def scene(rows: Rows) -> Scene:
    """The owner of a group, with settings and folders of their own."""
    chat, actor, message = next(
        (row.chat_id, row.sender_id, row)
        for visible in rows.messages.values()
        for row in visible
        if rows.chats[row.chat_id].type is sdk.ChatType.GROUP
        and rows.members[row.chat_id].get(row.sender_id) is sdk.MemberRole.OWNER
    )
    pinned = next(row for row in rows.messages[chat] if row.sender_id != actor)
    known = {
        user_id
        for chat_id, members in rows.members.items()
        if chat_id == chat
        or (actor in members and rows.chats[chat_id].type is sdk.ChatType.PRIVATE)
        for user_id in members
    }
    newcomer = next(user_id for user_id in rows.users if user_id not in known)
    other_chat = next(id for id, there in rows.members.items() if actor in there and id != chat)
    third = next(id for id in rows.members[chat] if id not in (actor, pinned.sender_id))
    for sender in (pinned.sender_id, third):
        sdk.send_message(sender, chat, f"Привет @{rows.users[actor].username} #Тег")
    sdk.send_message(actor, chat, "Ответ", reply_to_id=pinned.id)
    sdk.pin_message(actor, chat, pinned.id)
    folders = [sdk.create_folder(actor, name).id for name in ("Работа", "Дом")]
    sdk.mute_chat(actor, chat)
    sdk.move_to_folder(actor, chat, folders[0])
    sdk.block_user(actor, pinned.sender_id)
    sdk.add_contact(actor, pinned.sender_id)
    sdk.add_reaction(actor, chat, pinned.id, Scene.reacted)
    token = f"a token of {newcomer}"
    sdk.set_verification_token(newcomer, token=token)
    sdk.ChatSettings.update(unread_count=77).where(
        sdk.ChatSettings.user == actor, sdk.ChatSettings.chat == chat
    ).execute()
    given = sdk.send_message(actor, chat, "later", scheduled_for=utc_now())
    sdk.publish_scheduled(lease=86_400)
    now = utc_now()
    scheduled = sdk.send_message(actor, chat, "later", scheduled_for=now + timedelta(days=365))
    ringing = sdk.start_call(pinned.sender_id, chat, sdk.CallType.AUDIO)[0].id
    # It rings until the last test.
    sdk.Call.update(started_at=now + timedelta(days=1)).where(sdk.Call.id == ringing).execute()
    return Scene(
        actor=actor,
        other=pinned.sender_id,
        newcomer=newcomer,
        chat=chat,
        other_chat=other_chat,
        quiet_chat=sdk.create_chat(actor, sdk.ChatType.GROUP).id,
        ringing=ringing,
        own_call=sdk.start_call(actor, other_chat, sdk.CallType.AUDIO)[0].id,
        message=message.id,
        pinned=pinned.id,
        given=given.id,
        scheduled=scheduled.id,
        folder=folders[0],
        folders=folders[::-1],
        others=[pinned.sender_id, newcomer],
        now=now,
        soon=now + timedelta(days=365),
        token=token,
    )


def everything(list_page: Any, *arguments: Any, **options: Any) -> list[Any]:
    found = list_page(*arguments, **options, limit=100)
    rows = list(found)
    while found.next_cursor is not None:
        found = list_page(*arguments, **options, limit=100, cursor=found.next_cursor)
        rows += found
    return rows


# --- As the server left it ---


def test_nothing_is_unread_at_first(rows: Rows) -> None:
    for user_id in rows.users:
        assert sdk.unread_totals(user_id) == (0, 0, 0)


def test_every_chat_lists_its_visible_messages(rows: Rows) -> None:
    for chat_id, members in rows.members.items():
        listed = everything(sdk.list_messages, next(iter(members)), chat_id)
        assert listed == rows.messages[chat_id]
        assert [row.content for row in listed] == [row.content for row in rows.messages[chat_id]]
        assert all(row.sender.username == rows.users[row.sender_id].username for row in listed)


def test_every_chat_lists_its_members_and_no_stranger_sees_it(rows: Rows) -> None:
    for chat_id, members in rows.members.items():
        listed = everything(sdk.list_members, next(iter(members)), chat_id)
        assert {member.profile.id: member.role for member in listed} == members
        stranger = next(user_id for user_id in rows.users if user_id not in members)
        for call in (sdk.list_messages, sdk.list_members):
            with pytest.raises(sdk.NotFound):
                call(stranger, chat_id)


def test_every_user_lists_their_chats_by_the_last_message(rows: Rows) -> None:
    joined = {(row.user_id, row.chat_id): row.joined_at for row in sdk.ChatMember.select()}
    for user_id in rows.users:
        wanted = []
        for chat_id, members in rows.members.items():
            if user_id in members:
                newest = rows.messages[chat_id][0] if rows.messages[chat_id] else None
                time = newest.created_at if newest else joined[user_id, chat_id]
                others = [other for other in members if other != user_id]
                private = rows.chats[chat_id].type is sdk.ChatType.PRIVATE
                wanted.append((time, chat_id, newest and newest.id, others[0] if private else None))
        wanted.sort(key=lambda line: line[:2], reverse=True)
        listed = everything(sdk.list_chats, user_id)
        assert [
            (line.chat.id, line.last_message and line.last_message.id, line.peer and line.peer.id)
            for line in listed
        ] == [line[1:] for line in wanted]


def test_every_username_is_found(rows: Rows) -> None:
    for user in rows.users.values():
        assert sdk.find_user(user.username.upper()) == user


@pytest.mark.parametrize(
    "text",
    [
        *("ДОБРОЕ УТРО", "огурцы", "#ПОХОД", "電車", "À TABLE", "ŁÓDKA", "ΟΥΡΑΝΌΣ", "🍉"),
        *("C#", "%", "_", "\\", ".bin"),
    ],
)
def test_a_search_finds_what_a_look_at_every_message_finds(rows: Rows, text: str) -> None:
    user_id = max(rows.users, key=lambda user_id: sum(user_id in m for m in rows.members.values()))
    wanted = [
        row
        for chat_id, visible in rows.messages.items()
        if user_id in rows.members[chat_id]
        for row in visible
        if text.casefold() in (row.content or "").casefold()
        or text.casefold() in (row.file_name or "").casefold()
    ]
    wanted.sort(key=lambda row: (row.created_at, row.id), reverse=True)
    assert wanted
    assert everything(sdk.search_messages, user_id, text) == wanted


# --- In use ---


@pytest.mark.parametrize("label", CALLS)
def test_every_function_works_on_these_rows(scene: Scene, label: str) -> None:
    with undone():
        assert outcome(label, scene) == CALLS[label].gives
        assert outcome(label, scene) == CALLS[label].again

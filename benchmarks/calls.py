"""What is measured: the public functions, as the user in many chats or few calls them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import stogram_sdk as sdk
from benchmarks.data import (
    BLOCKED,
    CHATS,
    FEW,
    MANY,
    MEMBERS,
    SEARCHED_NAMES,
    SEARCHED_TAGS,
    SEARCHED_WORDS,
    new_name,
    sized_chat,
    user_in_chats,
)
from benchmarks.timing import Call
from stogram_sdk.models import new_id

_CHAT = sized_chat(30)
_OWNER = "user-1"
TAGGED = "hello #popular #tag40"
IMPORTED_AT = datetime(2020, 1, 1, tzinfo=UTC)
SCHEDULED_FOR = datetime(2999, 1, 1, tzinfo=UTC)

#: Public functions that are not measured, and why.
NOT_MEASURED = {
    **dict.fromkeys(
        ("extract_hashtags", "extract_mentions", "tag_key", "to_dict"), "without a database"
    ),
    **dict.fromkeys(("connect", "close", "migrate"), "once in the life of a service"),
    **dict.fromkeys(("check_health", "pool_status"), "to watch a service"),
    **dict.fromkeys(("position", "session", "transaction", "retrying"), "around other calls"),
}


class Prepared(NamedTuple):
    """What the calls find in the database."""

    folders: list[str]  # of MANY
    messages: list[str]  # of MANY in their chat, the newest first: all are pinned
    deleted: str
    group: str  # of _OWNER
    scheduled: str  # in the group
    question: str  # in the group, with 60 answers, each with a file


def prepare() -> Prepared:
    for _ in range(60):
        message = sdk.send_message(MANY, _CHAT, "hello")
        sdk.pin_message(MANY, _CHAT, message.id)
    for message_id in {row.id for row in sdk.list_messages(MANY, _CHAT, limit=2)}:
        sdk.add_reaction(MANY, _CHAT, message_id, "👍")
    sdk.add_contact(MANY, FEW)
    sdk.end_call(MANY, sdk.start_call(MANY, _CHAT, sdk.CallType.AUDIO)[0].id)
    for size in MEMBERS:
        sdk.mark_read(MANY, sized_chat(size))  # what an earlier run has sent there
    sdk.mute_chat(MANY, _CHAT)
    sdk.unmute_all_chats(FEW)
    sdk.create_folder(MANY, "work")
    slip = sdk.send_message(MANY, _CHAT, "a slip").id
    sdk.delete_message(MANY, _CHAT, slip)
    group = sdk.create_chat(_OWNER, sdk.ChatType.GROUP, member_ids=["user-2", "user-3"])
    question = sdk.send_message(_OWNER, group.id, "hello").id
    for _ in range(60):
        sdk.send_message(_OWNER, group.id, reply_to_id=question, file_url="/uploads/1.jpg")
    return Prepared(
        folders=[row.folder.id for row in sdk.list_folders(MANY)],
        messages=[row.id for row in sdk.list_messages(MANY, _CHAT)],
        deleted=slip,
        group=group.id,
        scheduled=sdk.send_message(_OWNER, group.id, "later", scheduled_for=SCHEDULED_FOR).id,
        question=question,
    )


def calls(prepared: Prepared) -> dict[str, Call]:
    """Each call by its name: the functions that it makes, then what is asked of them."""
    return {
        **_settings(prepared),
        # Before the writes: nobody finds 20,000 messages that they sent a minute ago.
        **_lists(prepared),
        **_searches(),
        **_writes(prepared),
        **_pairs(prepared),
        **_changes(prepared),
    }


def functions(name: str) -> list[str]:
    """The public functions in the name of a call."""
    return [part for part in name.split(", ") if part in sdk.__all__]


def _settings(prepared: Prepared) -> dict[str, Call]:
    folder, message = prepared.folders[0], prepared.messages[0]
    return {
        "is_blocked": partial(sdk.is_blocked, MANY, FEW),
        "get_chat_settings": partial(sdk.get_chat_settings, MANY, _CHAT),
        "block_user": partial(sdk.block_user, MANY, BLOCKED),
        "mute_chat": partial(sdk.mute_chat, MANY, _CHAT),
        "set_favorite": partial(sdk.set_favorite, MANY, _CHAT, True),
        "move_to_folder": partial(sdk.move_to_folder, MANY, _CHAT, folder),
        "pin_message": partial(sdk.pin_message, MANY, _CHAT, message),
        "mark_read": partial(sdk.mark_read, MANY, _CHAT),
    }


def _writes(prepared: Prepared) -> dict[str, Call]:
    def create_user() -> Any:
        name = new_name()
        return sdk.create_user(f"{name}@example.com", name, password_hash="hash")

    def import_messages() -> Any:
        history = [
            sdk.ImportedMessage(new_id(), _OWNER, IMPORTED_AT + timedelta(seconds=second), TAGGED)
            for second in range(100)
        ]
        return sdk.import_messages(_OWNER, prepared.group, history)

    return {
        **{
            f"send_message, {size:,} members": partial(
                sdk.send_message, MANY, sized_chat(size), "hello"
            )
            for size in MEMBERS
        },
        "send_message, tags": partial(sdk.send_message, MANY, _CHAT, TAGGED),
        "post_system_message": partial(sdk.post_system_message, prepared.group, "hello"),
        "forward_messages, 10": partial(
            sdk.forward_messages, MANY, _CHAT, prepared.messages[:10], sized_chat(2)
        ),
        "reschedule_message": partial(
            sdk.reschedule_message, _OWNER, prepared.group, prepared.scheduled, SCHEDULED_FOR
        ),
        "edit_message": partial(sdk.edit_message, MANY, _CHAT, prepared.messages[0], TAGGED),
        "import_messages, 100": import_messages,
        "create_chat, 3 members": partial(
            sdk.create_chat, _OWNER, sdk.ChatType.GROUP, member_ids=["user-2", "user-3"]
        ),
        "create_user": create_user,
    }


def react_and_take_back(user: str, chat: str, message: str, emoji: str) -> None:
    sdk.add_reaction(user, chat, message, emoji)
    sdk.remove_reaction(user, chat, message, emoji)


def send_and_delete(user: str, chat: str, content: str) -> None:
    sdk.delete_message(user, chat, sdk.send_message(user, chat, content).id)


def file_and_take_out(user: str, chat: str, folder: str) -> None:
    sdk.move_to_folder(user, chat, folder)
    sdk.remove_from_folder(user, chat)


def call_and_end(caller: str, other: str, chat: str) -> None:
    call, _ = sdk.start_call(caller, chat, sdk.CallType.AUDIO)
    sdk.answer_call(other, call.id)
    sdk.end_call(other, call.id)


def _pairs(prepared: Prepared) -> dict[str, Call]:
    """What makes something, and what undoes it: each time there is something to do."""
    group, message = prepared.group, prepared.messages[0]

    def create_and_delete_folder() -> None:
        sdk.delete_folder(_OWNER, sdk.create_folder(_OWNER, "work").id)

    def create_and_delete_chat() -> None:
        sdk.delete_chat(_OWNER, sdk.create_chat(_OWNER, sdk.ChatType.GROUP).id)

    def add_and_remove_member() -> None:
        sdk.add_member(_OWNER, group, FEW)
        sdk.remove_member(_OWNER, group, FEW)

    def transfer_back_and_forth() -> None:
        sdk.transfer_ownership(_OWNER, group, "user-2")
        sdk.transfer_ownership("user-2", group, _OWNER)

    def add_member_and_leave() -> None:
        sdk.add_member(_OWNER, group, FEW)
        sdk.leave_chat(FEW, group)

    def block_and_unblock() -> None:
        sdk.block_user(_OWNER, "user-3")
        sdk.unblock_user(_OWNER, "user-3")

    def unpin_and_pin() -> None:
        sdk.unpin_message(MANY, _CHAT, message)
        sdk.pin_message(MANY, _CHAT, message)

    def add_and_remove_contact() -> None:
        sdk.add_contact(_OWNER, "user-3", nickname="Vanya")
        sdk.remove_contact(_OWNER, "user-3")

    def call_and_decline() -> None:
        call, _ = sdk.start_call(_OWNER, group, sdk.CallType.AUDIO)
        sdk.decline_call("user-2", call.id)

    def come_and_go() -> None:
        sdk.set_status(FEW, sdk.UserStatus.ONLINE)
        sdk.set_status(FEW, sdk.UserStatus.OFFLINE)

    def create_and_delete_user() -> None:
        name = new_name()
        sdk.delete_user(sdk.create_user(f"{name}@example.com", name, password_hash="hash").id)

    def send_and_verify() -> None:
        token = new_id()
        sdk.set_verification_token(FEW, token=token)
        sdk.verify_email(token)

    return {
        "send_message, delete_message": partial(send_and_delete, MANY, sized_chat(2), TAGGED),
        "move_to_folder, remove_from_folder": partial(
            file_and_take_out, MANY, _CHAT, prepared.folders[0]
        ),
        "add_reaction, remove_reaction": partial(react_and_take_back, MANY, _CHAT, message, "❤️"),
        "add_contact, remove_contact": add_and_remove_contact,
        "start_call, answer_call, end_call": partial(call_and_end, _OWNER, "user-2", group),
        "start_call, decline_call": call_and_decline,
        "set_status, coming and going": come_and_go,
        "create_user, delete_user": create_and_delete_user,
        "set_verification_token, verify_email": send_and_verify,
        "create_folder, delete_folder": create_and_delete_folder,
        "create_chat, delete_chat": create_and_delete_chat,
        "add_member, remove_member": add_and_remove_member,
        "add_member, leave_chat": add_member_and_leave,
        "transfer_ownership, twice": transfer_back_and_forth,
        "block_user, unblock_user": block_and_unblock,
        "unpin_message, pin_message": unpin_and_pin,
    }


def _changes(prepared: Prepared) -> dict[str, Call]:
    """What most often finds that there is nothing left to do."""
    folder = prepared.folders[0]
    return {
        "toggle_favorite": partial(sdk.toggle_favorite, MANY, _CHAT),
        "unmute_chat": partial(sdk.unmute_chat, MANY, _CHAT),
        "unmute_all_chats": partial(sdk.unmute_all_chats, FEW),
        "recount_unread": partial(sdk.recount_unread, MANY, _CHAT),
        "update_chat": partial(sdk.update_chat, _OWNER, prepared.group, name="friends"),
        "set_role": partial(sdk.set_role, _OWNER, prepared.group, "user-3", sdk.MemberRole.ADMIN),
        "update_folder": partial(sdk.update_folder, MANY, folder, name="at work"),
        "reorder_folders": partial(sdk.reorder_folders, MANY, prepared.folders),
        "unpin_message": partial(sdk.unpin_message, MANY, _CHAT, prepared.deleted),
        "unpin_all_messages": partial(sdk.unpin_all_messages, FEW, _CHAT),
        "unblock_user": partial(sdk.unblock_user, FEW, BLOCKED),
        "set_status, no other": partial(sdk.set_status, MANY, sdk.UserStatus.OFFLINE),
        "update_profile": partial(sdk.update_profile, FEW, bio="Sings alto."),
        "set_password_hash": partial(sdk.set_password_hash, FEW, password_hash="hash"),
        "set_push_subscription": partial(sdk.set_push_subscription, FEW, subscription="{}"),
        "set_theme": partial(sdk.set_theme, FEW, "dark"),
        "update_contact": partial(sdk.update_contact, MANY, FEW, nickname="Vanya"),
        "update_privacy": partial(sdk.update_privacy, FEW, show_last_seen=True),
        "open_private_chat": partial(sdk.open_private_chat, MANY, FEW),
    }


def _lists(prepared: Prepared) -> dict[str, Call]:
    return {
        "list_messages": partial(sdk.list_messages, MANY, _CHAT),
        "list_reactions, 50": partial(sdk.list_reactions, MANY, _CHAT, prepared.messages),
        "list_message_reactions": partial(
            sdk.list_message_reactions, MANY, _CHAT, prepared.messages[0]
        ),
        "list_messages, around": partial(
            sdk.list_messages, MANY, _CHAT, around=prepared.messages[-1]
        ),
        "get_message": partial(sdk.get_message, MANY, _CHAT, prepared.messages[0]),
        "list_replies": partial(sdk.list_replies, _OWNER, prepared.group, prepared.question),
        "list_media": partial(sdk.list_media, _OWNER, prepared.group),
        "list_scheduled": partial(sdk.list_scheduled, _OWNER),
        "list_pinned_messages": partial(sdk.list_pinned_messages, MANY),
        "list_chats, 500 chats": partial(sdk.list_chats, MANY),
        "get_chat": partial(sdk.get_chat, MANY, _CHAT),
        "unread_totals, 500 chats": partial(sdk.unread_totals, MANY),
        "list_folders": partial(sdk.list_folders, MANY),
        "list_members": partial(sdk.list_members, MANY, _CHAT),
        "list_blocked_users": partial(sdk.list_blocked_users, MANY),
        "users_to_notify": partial(sdk.users_to_notify, _CHAT, prepared.messages[0]),
        "users_to_notify_each, 50": partial(
            sdk.users_to_notify_each, [(_CHAT, message) for message in prepared.messages]
        ),
        "list_contacts": partial(sdk.list_contacts, MANY),
        "list_calls": partial(sdk.list_calls, MANY),
        "search_users": partial(sdk.search_users, MANY, "user"),
        "find_user_by_email": partial(sdk.find_user_by_email, "USER_77@EXAMPLE.COM"),
        "find_user": partial(sdk.find_user, "USER_77"),
        "get_user": partial(sdk.get_user, FEW),
        "get_privacy": partial(sdk.get_privacy, MANY),
        "is_blocked_either": partial(sdk.is_blocked_either, MANY, FEW),
        "blocked_among": partial(sdk.blocked_among, MANY, [FEW, BLOCKED]),
        "visible_profiles": partial(sdk.visible_profiles, MANY, [FEW, BLOCKED]),
        "publish_scheduled, none due": sdk.publish_scheduled,
        "acknowledge_published, none": partial(sdk.acknowledge_published, prepared.messages),
        **{
            f"list_chats, user in {count:,}": partial(sdk.list_chats, user_in_chats(count))
            for count in CHATS
        },
        "unread_totals, user in 6": partial(sdk.unread_totals, user_in_chats(6)),
    }


def _searches() -> dict[str, Call]:
    found: dict[str, Call] = {}
    for user, where in ((MANY, "500 chats"), (FEW, "20 chats")):
        for kind, tag in SEARCHED_TAGS.items():
            found[f"find_by_hashtag, {kind}, {where}"] = partial(sdk.find_by_hashtag, user, tag)
        popular = SEARCHED_NAMES["popular"]
        found[f"find_by_mention, popular, {where}"] = partial(sdk.find_by_mention, user, popular)
        found[f"find_by_mention, oneself, {where}"] = partial(sdk.find_by_mention, user)
    for count in CHATS:
        name = f"find_by_hashtag, user in {count:,}"
        found[name] = partial(sdk.find_by_hashtag, user_in_chats(count), SEARCHED_TAGS["popular"])
    for kind, word in SEARCHED_WORDS.items():
        found[f"search_messages, {kind}, 500 chats"] = partial(sdk.search_messages, MANY, word)
    return found

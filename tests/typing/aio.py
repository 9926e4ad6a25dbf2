"""The awaited functions as a service calls them, for mypy and pyright; nothing here is run."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, assert_type

import stogram_sdk as sdk
from stogram_sdk import aio


async def connecting() -> None:
    await aio.connect("sqlite:///stogram.db", connection_limit=5, pool_timeout=0.5, schema=None)
    assert_type(await aio.migrate(), list[str])
    await aio.check_health(timeout=0.5)
    await aio.close()
    # Wrong, and either checker says so.
    await aio.connect(connection_limt=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def as_contexts() -> None:
    async with aio.session(statement_timeout=30), aio.transaction():
        pass


@aio.retrying
async def again(user_id: str, *, times: int = 1) -> sdk.User:
    return await aio.get_user(user_id * times)


def count(name: str, *, limit: int = 1) -> int:
    return len(name) * limit


async def signatures_are_kept() -> None:
    asked: Coroutine[Any, Any, bool] = aio.is_blocked("a", "b")
    assert_type(await asked, bool)
    assert_type(await again("a", times=2), sdk.User)
    assert_type(await aio.get_user("a"), sdk.User)
    assert_type(await aio.list_messages("a", "b", limit=5, cursor=None), sdk.Page[sdk.Message])
    assert_type(await aio.run(count, "a", limit=2), int)
    # Wrong, and either checker says so.
    await aio.run(count, "a", limits=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await again(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await aio.get_user(user=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await aio.list_messages("a", "b", "c", 5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- Functions ---


async def users_and_chats() -> None:
    assert_type(await aio.create_user("a@b", "abc", password_hash="hash"), sdk.User)
    assert_type(await aio.find_user("abc"), sdk.User | None)
    assert_type(await aio.create_chat("a", sdk.ChatType.GROUP, member_ids={"b": 1}), sdk.Chat)
    assert_type(await aio.open_private_chat("a", "b"), tuple[sdk.Chat, bool])
    assert_type(
        await aio.list_chats("a", folder_id=None, is_secret=True), sdk.Page[sdk.ChatSummary]
    )
    assert_type(await aio.add_member("a", "b", "c", role=sdk.MemberRole.ADMIN), sdk.ChatMember)
    assert_type(await aio.remove_member("a", "b", "c"), bool)
    assert_type(await aio.leave_chat("a", "b"), bool)
    assert_type(await aio.list_members("a", "b"), sdk.Page[sdk.Member])


async def messages() -> None:
    assert_type(await aio.send_message("a", "b", "c", scheduled_for=datetime.now(UTC)), sdk.Message)
    assert_type(await aio.post_system_message("a", "b"), sdk.Message)
    assert_type(await aio.edit_message("a", "b", "c", "d"), sdk.Message)
    assert_type(await aio.delete_message("a", "b", "c"), bool)
    assert_type(await aio.publish_scheduled(limit=10, lease=60), list[sdk.Message])
    assert_type(await aio.acknowledge_published(["a"]), int)
    imported = [sdk.ImportedMessage("a", "b", datetime.now(UTC), type=sdk.MessageType.GIF)]
    assert_type(await aio.import_messages("a", "b", imported), int)
    assert_type(await aio.users_to_notify("a", "b"), sdk.Page[str])
    assert_type(await aio.users_to_notify_each([("a", "b")]), sdk.Page[tuple[str, str]])


async def blocking() -> None:
    assert_type(await aio.block_user("a", "b"), tuple[sdk.BlockedUser, bool])
    assert_type(await aio.unblock_user("a", "b"), bool)
    assert_type(await aio.is_blocked("a", "b"), bool)
    assert_type(await aio.is_blocked_either("a", "b"), bool)
    assert_type(await aio.blocked_among("a", ["b"]), set[str])
    assert_type(await aio.list_blocked_users("a"), sdk.Page[sdk.Profile])


async def settings_and_folders() -> None:
    assert_type(await aio.get_chat_settings("a", "b"), sdk.ChatSettings)
    assert_type(await aio.mute_chat("a", "b"), sdk.ChatSettings)
    assert_type(await aio.unmute_chat("a", "b"), sdk.ChatSettings)
    assert_type(await aio.toggle_favorite("a", "b"), sdk.ChatSettings)
    assert_type(await aio.set_favorite("a", "b", False), sdk.ChatSettings)
    assert_type(await aio.mark_read("a", "b"), sdk.ChatSettings)
    assert_type(await aio.unmute_all_chats("a"), int)
    assert_type(await aio.recount_unread("a"), int)
    assert_type(await aio.unread_totals("a"), sdk.UnreadTotals)
    assert_type(await aio.create_folder("a", "b", color=None), sdk.Folder)
    assert_type(await aio.update_folder("a", "b", name="c", color=None), sdk.Folder)
    assert_type(await aio.reorder_folders("a", ("b", "c")), list[sdk.Folder])
    assert_type(await aio.delete_folder("a", "b"), bool)
    assert_type(await aio.list_folders("a"), list[sdk.FolderSummary])
    assert_type(await aio.move_to_folder("a", "b", None), sdk.ChatSettings)
    assert_type(await aio.remove_from_folder("a", "b"), bool)


async def pins_search_and_privacy() -> None:
    assert_type(await aio.pin_message("a", "b", "c"), tuple[sdk.PinnedMessage, bool])
    assert_type(await aio.unpin_message("a", "b", "c"), bool)
    assert_type(await aio.unpin_all_messages("a", "b"), int)
    assert_type(await aio.list_pinned_messages("a"), sdk.Page[sdk.PinnedMessage])
    assert_type(await aio.find_by_hashtag("a", "b"), sdk.Page[sdk.Message])
    assert_type(await aio.find_by_mention("a"), sdk.Page[sdk.Message])
    assert_type(await aio.search_messages("a", "b"), sdk.Page[sdk.Message])
    assert_type(await aio.get_privacy("a"), sdk.Privacy)
    assert_type(await aio.update_privacy("a", show_last_seen=False), sdk.Privacy)
    assert_type(await aio.visible_profiles("a", ["b"]), list[sdk.Profile])


async def people_calls_and_the_rest_of_chats() -> None:
    assert_type(await aio.add_contact("a", "b", nickname="c"), tuple[sdk.Contact, bool])
    assert_type(await aio.add_reaction("a", "b", "c", "👍"), tuple[sdk.Reaction, bool])
    assert_type(await aio.answer_call("a", "b"), tuple[sdk.Call, bool])
    assert_type(await aio.decline_call("a", "b"), tuple[sdk.Call, bool])
    assert_type(await aio.delete_chat("a", "b"), bool)
    assert_type(await aio.delete_user("a"), bool)
    assert_type(await aio.end_call("a", "b"), tuple[sdk.Call, bool])
    assert_type(await aio.find_user_by_email("a@b"), sdk.User | None)
    assert_type(await aio.forward_messages("a", "b", ["c"], "d"), list[sdk.Message])
    assert_type(await aio.get_chat("a", "b"), sdk.ChatSummary)
    assert_type(await aio.get_message("a", "b", "c"), sdk.Message)
    assert_type(await aio.list_calls("a", chat_id="b"), sdk.Page[sdk.Call])
    assert_type(await aio.list_contacts("a"), sdk.Page[sdk.ContactSummary])
    assert_type(await aio.list_media("a", "b", type=sdk.MessageType.VOICE), sdk.Page[sdk.Message])
    assert_type(await aio.list_message_reactions("a", "b", "c"), sdk.Page[sdk.Reaction])
    assert_type(await aio.list_reactions("a", "b", ["c"]), dict[str, list[sdk.ReactionCount]])
    assert_type(await aio.list_replies("a", "b", "c"), sdk.Page[sdk.Message])
    assert_type(await aio.list_scheduled("a", "b"), sdk.Page[sdk.Message])
    assert_type(await aio.remove_contact("a", "b"), bool)
    assert_type(await aio.remove_reaction("a", "b", "c", "👍"), bool)
    assert_type(await aio.reschedule_message("a", "b", "c", datetime.now(UTC)), sdk.Message)
    assert_type(await aio.search_users("a", "b"), sdk.Page[sdk.Profile])
    assert_type(await aio.set_password_hash("a", password_hash="hash"), sdk.User)
    assert_type(await aio.set_push_subscription("a", subscription=None), sdk.User)
    assert_type(await aio.set_role("a", "b", "c", sdk.MemberRole.ADMIN), sdk.ChatMember)
    assert_type(await aio.set_status("a", sdk.UserStatus.ONLINE), bool)
    assert_type(await aio.set_theme("a", "dark"), sdk.User)
    assert_type(await aio.set_verification_token("a", token="b"), sdk.User)
    assert_type(await aio.start_call("a", "b", sdk.CallType.VIDEO), tuple[sdk.Call, bool])
    assert_type(await aio.transfer_ownership("a", "b", "c"), sdk.ChatMember)
    assert_type(await aio.update_chat("a", "b", name="c", avatar=None), sdk.Chat)
    assert_type(await aio.update_contact("a", "b", nickname=None), sdk.Contact)
    assert_type(await aio.update_profile("a", display_name="b", bio=None), sdk.User)
    assert_type(await aio.verify_email("b"), sdk.User | None)

"""The public functions as a service calls them, for mypy and pyright; nothing here is run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, assert_type

import stogram_sdk as sdk
import stogram_sdk.pydantic as models
from stogram_sdk.testing import MakeChat, MakeMessage, MakeUser

# --- The connection ---


def connecting() -> None:
    sdk.connect()
    sdk.connect("sqlite:///stogram.db", connection_limit=5, pool_timeout=0.5, schema=None)
    options: sdk.ConnectOptions = {"statement_timeout": 30, "sslmode": "require"}
    sdk.connect(**options)
    sdk.connect(read_url="postgresql://h/db", read="standby", standby_patience=0.1)
    sdk.connect(read_url=["postgresql://h/db", "postgresql://h2/db"], read=None)
    # Wrong, and either checker says so.
    sdk.connect(connection_limt=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sdk.connect(read="replica")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sdk.connect(schema=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(sdk.migrate(), list[str])
    assert_type(sdk.pool_status(), sdk.PoolStatus)
    sdk.check_health(timeout=0.5)
    sdk.close()


def as_contexts() -> int:
    with sdk.session(statement_timeout=30), sdk.transaction():
        return 1


def at_standbys(after: str | None) -> str:
    with sdk.session(read="standby", after=after):
        return assert_type(sdk.position(), str)


@sdk.session()
def in_a_session(user_id: str, *, limit: int = 50) -> sdk.Page[sdk.ChatSummary]:
    return sdk.list_chats(user_id, limit=limit)


@sdk.transaction()
def in_a_transaction(user_id: str) -> sdk.User:
    return sdk.get_user(user_id)


@sdk.retrying
def again(user_id: str, *, times: int = 1) -> sdk.User:
    return sdk.get_user(user_id * times)


def decorators_keep_the_signature() -> None:
    assert_type(in_a_session("a", limit=1), sdk.Page[sdk.ChatSummary])
    assert_type(in_a_transaction("a"), sdk.User)
    assert_type(again("a", times=2), sdk.User)
    # Wrong, and either checker says so.
    in_a_session("a", limits=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    again(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sdk.get_user(user=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- Pages ---


def pages() -> None:
    page = sdk.list_messages("a", "b", limit=10, cursor=None)
    assert_type(page, sdk.Page[sdk.Message])
    assert_type(page.next_cursor, str | None)
    assert_type(page[0], sdk.Message)
    for message in page:
        assert_type(message, sdk.Message)
        assert_type(message.sender.display_name, str | None)


# --- Functions ---


def users_and_chats() -> None:
    assert_type(sdk.create_user("a@b", "abc", password_hash="hash"), sdk.User)
    assert_type(sdk.find_user("abc"), sdk.User | None)
    assert_type(sdk.create_chat("a", sdk.ChatType.GROUP, member_ids={"b": 1}), sdk.Chat)
    assert_type(sdk.open_private_chat("a", "b"), tuple[sdk.Chat, bool])
    assert_type(sdk.list_chats("a", folder_id=None, is_secret=True), sdk.Page[sdk.ChatSummary])
    assert_type(sdk.get_chat("a", "b"), sdk.ChatSummary)
    assert_type(sdk.update_chat("a", "b", name="c", avatar=None), sdk.Chat)
    assert_type(sdk.delete_chat("a", "b"), bool)
    assert_type(sdk.add_member("a", "b", "c", role=sdk.MemberRole.ADMIN), sdk.ChatMember)
    assert_type(sdk.remove_member("a", "b", "c"), bool)
    assert_type(sdk.set_role("a", "b", "c", sdk.MemberRole.ADMIN), sdk.ChatMember)
    assert_type(sdk.transfer_ownership("a", "b", "c"), sdk.ChatMember)
    assert_type(sdk.leave_chat("a", "b"), bool)
    assert_type(sdk.list_members("a", "b"), sdk.Page[sdk.Member])


def messages() -> None:
    assert_type(sdk.get_message("a", "b", "c"), sdk.Message)
    assert_type(sdk.list_messages("a", "b", around="c").previous_cursor, str | None)
    assert_type(sdk.list_replies("a", "b", "c"), sdk.Page[sdk.Message])
    assert_type(sdk.list_media("a", "b", type=sdk.MessageType.VOICE), sdk.Page[sdk.Message])
    assert_type(sdk.send_message("a", "b", file_url="c", duration=3, waveform="[]"), sdk.Message)
    assert_type(sdk.send_message("a", "b", "c", scheduled_for=datetime.now(UTC)), sdk.Message)
    assert_type(sdk.post_system_message("a", "b"), sdk.Message)
    assert_type(sdk.edit_message("a", "b", "c", "d"), sdk.Message)
    assert_type(sdk.delete_message("a", "b", "c"), bool)
    assert_type(sdk.publish_scheduled(limit=10, lease=60), list[sdk.Message])
    assert_type(sdk.forward_messages("a", "b", ["c"], "d"), list[sdk.Message])
    assert_type(sdk.list_scheduled("a", "b"), sdk.Page[sdk.Message])
    assert_type(sdk.reschedule_message("a", "b", "c", datetime.now(UTC)), sdk.Message)
    assert_type(sdk.acknowledge_published(["a"]), int)
    imported = [sdk.ImportedMessage("a", "b", datetime.now(UTC), type=sdk.MessageType.GIF)]
    assert_type(sdk.import_messages("a", "b", imported), int)
    assert_type(sdk.users_to_notify("a", "b"), sdk.Page[str])
    assert_type(sdk.users_to_notify_each([("a", "b")]), sdk.Page[tuple[str, str]])


def reactions() -> None:
    assert_type(sdk.add_reaction("a", "b", "c", "👍"), tuple[sdk.Reaction, bool])
    assert_type(sdk.remove_reaction("a", "b", "c", "👍"), bool)
    assert_type(sdk.list_reactions("a", "b", ["c"]), dict[str, list[sdk.ReactionCount]])
    assert_type(sdk.list_message_reactions("a", "b", "c"), sdk.Page[sdk.Reaction])


def blocking() -> None:
    assert_type(sdk.block_user("a", "b"), tuple[sdk.BlockedUser, bool])
    assert_type(sdk.unblock_user("a", "b"), bool)
    assert_type(sdk.is_blocked("a", "b"), bool)
    assert_type(sdk.is_blocked_either("a", "b"), bool)
    assert_type(sdk.blocked_among("a", ["b"]), set[str])
    assert_type(sdk.list_blocked_users("a"), sdk.Page[sdk.Profile])


def settings_and_folders() -> None:
    assert_type(sdk.get_chat_settings("a", "b"), sdk.ChatSettings)
    assert_type(sdk.mute_chat("a", "b"), sdk.ChatSettings)
    assert_type(sdk.unmute_chat("a", "b"), sdk.ChatSettings)
    assert_type(sdk.toggle_favorite("a", "b"), sdk.ChatSettings)
    assert_type(sdk.set_favorite("a", "b", False), sdk.ChatSettings)
    assert_type(sdk.mark_read("a", "b"), sdk.ChatSettings)
    assert_type(sdk.unmute_all_chats("a"), int)
    assert_type(sdk.recount_unread("a"), int)
    assert_type(sdk.unread_totals("a"), sdk.UnreadTotals)
    assert_type(sdk.create_folder("a", "b", color=None), sdk.Folder)
    assert_type(sdk.update_folder("a", "b", name="c", color=None), sdk.Folder)
    assert_type(sdk.reorder_folders("a", ("b", "c")), list[sdk.Folder])
    assert_type(sdk.delete_folder("a", "b"), bool)
    assert_type(sdk.list_folders("a"), list[sdk.FolderSummary])
    assert_type(sdk.move_to_folder("a", "b", None), sdk.ChatSettings)
    assert_type(sdk.remove_from_folder("a", "b"), bool)


def pins_search_and_privacy() -> None:
    assert_type(sdk.pin_message("a", "b", "c"), tuple[sdk.PinnedMessage, bool])
    assert_type(sdk.unpin_message("a", "b", "c"), bool)
    assert_type(sdk.unpin_all_messages("a", "b"), int)
    assert_type(sdk.list_pinned_messages("a"), sdk.Page[sdk.PinnedMessage])
    assert_type(sdk.find_by_hashtag("a", "b"), sdk.Page[sdk.Message])
    assert_type(sdk.find_by_mention("a"), sdk.Page[sdk.Message])
    assert_type(sdk.search_messages("a", "b"), sdk.Page[sdk.Message])
    assert_type(sdk.extract_hashtags("a"), list[str])
    assert_type(sdk.tag_key("a"), str)
    assert_type(sdk.extract_mentions("a"), list[str])
    assert_type(sdk.get_privacy("a"), sdk.Privacy)
    assert_type(sdk.update_privacy("a", show_last_seen=False), sdk.Privacy)
    assert_type(sdk.visible_profiles("a", ["b"]), list[sdk.Profile])


def people_and_calls() -> None:
    assert_type(sdk.find_user_by_email("a@b"), sdk.User | None)
    assert_type(sdk.update_profile("a", display_name="b", bio=None), sdk.User)
    assert_type(sdk.set_password_hash("a", password_hash="hash"), sdk.User)
    assert_type(sdk.set_push_subscription("a", subscription=None), sdk.User)
    assert_type(sdk.set_theme("a", "dark"), sdk.User)
    assert_type(sdk.set_verification_token("a", token="b"), sdk.User)
    assert_type(sdk.verify_email("b"), sdk.User | None)
    assert_type(sdk.delete_user("a"), bool)
    assert_type(sdk.search_users("a", "b"), sdk.Page[sdk.Profile])
    assert_type(sdk.set_status("a", sdk.UserStatus.ONLINE), bool)
    assert_type(sdk.add_contact("a", "b", nickname="c"), tuple[sdk.Contact, bool])
    assert_type(sdk.update_contact("a", "b", nickname=None), sdk.Contact)
    assert_type(sdk.remove_contact("a", "b"), bool)
    assert_type(sdk.list_contacts("a"), sdk.Page[sdk.ContactSummary])
    assert_type(sdk.start_call("a", "b", sdk.CallType.VIDEO), tuple[sdk.Call, bool])
    assert_type(sdk.answer_call("a", "b"), tuple[sdk.Call, bool])
    assert_type(sdk.decline_call("a", "b"), tuple[sdk.Call, bool])
    assert_type(sdk.end_call("a", "b"), tuple[sdk.Call, bool])
    assert_type(sdk.list_calls("a", chat_id="b"), sdk.Page[sdk.Call])


def data_for_json(page: sdk.Page[sdk.Message], totals: sdk.UnreadTotals) -> None:
    assert_type(sdk.to_dict(page), dict[str, Any])
    assert_type(sdk.to_dict(page[0]), dict[str, Any])
    assert_type(sdk.to_dict(totals), dict[str, Any])


# --- Errors ---


def errors(error: sdk.StogramError) -> None:
    assert_type(error.sqlstate, str | None)
    match error:
        case sdk.InvalidInput():
            assert_type(error.field, str | None)
        case sdk.Unavailable():
            assert_type(error.safe_to_retry, bool)
        case _:
            pass


# --- The models of Pydantic, and the fixtures of pytest ---


def answer_of_an_endpoint() -> models.Page[models.Message]:
    """The rows themselves, of which FastAPI makes what the annotation means when it runs."""
    page = sdk.list_messages("a", "b")
    assert_type(page, models.Page[models.Message])
    return page


def test_of_a_service(make_user: MakeUser, make_chat: MakeChat, make_message: MakeMessage) -> None:
    anna = make_user("anna", display_name="Anna")
    assert_type(anna, sdk.User)
    chat = make_chat(anna, make_user(), type=sdk.ChatType.CHANNEL, name="News")
    assert_type(chat, sdk.Chat)
    assert_type(make_message(anna, chat, "Hi!", is_silent=True), sdk.Message)
    # Wrong, and either checker says so.
    make_chat(anna.id)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

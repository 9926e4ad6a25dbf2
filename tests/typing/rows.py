"""What is in each row: the types that mypy and pyright see (tests/test_typing.py counts them)."""

from __future__ import annotations

from datetime import datetime
from typing import assert_type

from peewee import ModelSelect

import stogram_sdk as sdk


def user(row: sdk.User) -> None:
    assert_type(row.id, str)
    assert_type(row.email, str)
    assert_type(row.username, str)
    assert_type(row.password, str)
    assert_type(row.display_name, str | None)
    assert_type(row.avatar, str | None)
    assert_type(row.bio, str | None)
    assert_type(row.status, sdk.UserStatus)
    assert_type(row.last_seen, datetime)
    assert_type(row.email_verified, bool)
    assert_type(row.verification_token, str | None)
    assert_type(row.push_subscription, str | None)
    assert_type(row.theme, str | None)
    assert_type(row.created_at, datetime)
    assert_type(row.updated_at, datetime)
    assert_type(row.show_online_status, bool)
    assert_type(row.show_profile_photo, bool)
    assert_type(row.show_last_seen, bool)
    assert_type(row.memberships, ModelSelect[sdk.ChatMember])
    assert_type(row.messages, ModelSelect[sdk.Message])
    assert_type(row.calls, ModelSelect[sdk.Call])
    assert_type(row.call_participations, ModelSelect[sdk.CallParticipant])
    assert_type(row.contacts, ModelSelect[sdk.Contact])
    assert_type(row.contact_of, ModelSelect[sdk.Contact])
    assert_type(row.reactions, ModelSelect[sdk.Reaction])
    assert_type(row.blocks, ModelSelect[sdk.BlockedUser])
    assert_type(row.blocked_by, ModelSelect[sdk.BlockedUser])
    assert_type(row.folders, ModelSelect[sdk.Folder])
    assert_type(row.chat_settings, ModelSelect[sdk.ChatSettings])
    assert_type(row.pinned_messages, ModelSelect[sdk.PinnedMessage])


def chat(row: sdk.Chat) -> None:
    assert_type(row.id, str)
    assert_type(row.name, str | None)
    assert_type(row.type, sdk.ChatType)
    assert_type(row.avatar, str | None)
    assert_type(row.description, str | None)
    assert_type(row.created_at, datetime)
    assert_type(row.updated_at, datetime)
    assert_type(row.is_secret, bool)
    assert_type(row.members, ModelSelect[sdk.ChatMember])
    assert_type(row.messages, ModelSelect[sdk.Message])
    assert_type(row.calls, ModelSelect[sdk.Call])
    assert_type(row.settings, ModelSelect[sdk.ChatSettings])
    assert_type(row.pins, ModelSelect[sdk.PinnedMessage])


def chat_member(row: sdk.ChatMember) -> None:
    assert_type(row.id, str)
    assert_type(row.user, sdk.User)
    assert_type(row.user_id, str)
    assert_type(row.chat, sdk.Chat)
    assert_type(row.chat_id, str)
    assert_type(row.role, sdk.MemberRole)
    assert_type(row.joined_at, datetime)


def message(row: sdk.Message) -> None:
    assert_type(row.id, str)
    assert_type(row.content, str | None)
    assert_type(row.type, sdk.MessageType)
    assert_type(row.sender, sdk.User)
    assert_type(row.sender_id, str)
    assert_type(row.chat, sdk.Chat)
    assert_type(row.chat_id, str)
    assert_type(row.reply_to, sdk.Message | None)
    assert_type(row.reply_to_id, str | None)
    assert_type(row.file_url, str | None)
    assert_type(row.file_name, str | None)
    assert_type(row.file_size, int | None)
    assert_type(row.thumbnail_url, str | None)
    assert_type(row.duration, int | None)
    assert_type(row.waveform, str | None)
    assert_type(row.is_edited, bool)
    assert_type(row.is_deleted, bool)
    assert_type(row.scheduled_for, datetime | None)
    assert_type(row.is_sent, bool)
    assert_type(row.created_at, datetime)
    assert_type(row.updated_at, datetime)
    assert_type(row.is_silent, bool)
    assert_type(row.mentions, list[str])
    assert_type(row.hashtags, list[str])
    assert_type(row.replies, ModelSelect[sdk.Message])
    assert_type(row.reactions, list[sdk.ReactionCount])
    assert_type(row.reaction_rows, ModelSelect[sdk.Reaction])
    assert_type(row.pins, ModelSelect[sdk.PinnedMessage])


def call(row: sdk.Call) -> None:
    assert_type(row.id, str)
    assert_type(row.chat, sdk.Chat)
    assert_type(row.chat_id, str)
    assert_type(row.initiator, sdk.User)
    assert_type(row.initiator_id, str)
    assert_type(row.type, sdk.CallType)
    assert_type(row.status, sdk.CallStatus)
    assert_type(row.started_at, datetime)
    assert_type(row.ended_at, datetime | None)
    assert_type(row.participants, ModelSelect[sdk.CallParticipant])


def call_participant(row: sdk.CallParticipant) -> None:
    assert_type(row.id, str)
    assert_type(row.call, sdk.Call)
    assert_type(row.call_id, str)
    assert_type(row.user, sdk.User)
    assert_type(row.user_id, str)
    assert_type(row.joined_at, datetime)
    assert_type(row.left_at, datetime | None)


def contact(row: sdk.Contact) -> None:
    assert_type(row.id, str)
    assert_type(row.user, sdk.User)
    assert_type(row.user_id, str)
    assert_type(row.contact, sdk.User)
    assert_type(row.contact_id, str)
    assert_type(row.nickname, str | None)
    assert_type(row.created_at, datetime)


def reaction(row: sdk.Reaction) -> None:
    assert_type(row.id, str)
    assert_type(row.message, sdk.Message)
    assert_type(row.message_id, str)
    assert_type(row.user, sdk.User)
    assert_type(row.user_id, str)
    assert_type(row.emoji, str)
    assert_type(row.created_at, datetime)


def blocked_user(row: sdk.BlockedUser) -> None:
    assert_type(row.id, str)
    assert_type(row.user, sdk.User)
    assert_type(row.user_id, str)
    assert_type(row.blocked, sdk.User)
    assert_type(row.blocked_id, str)
    assert_type(row.created_at, datetime)


def folder(row: sdk.Folder) -> None:
    assert_type(row.id, str)
    assert_type(row.user, sdk.User)
    assert_type(row.user_id, str)
    assert_type(row.name, str)
    assert_type(row.color, str | None)
    assert_type(row.icon, str | None)
    assert_type(row.order, int)
    assert_type(row.created_at, datetime)
    assert_type(row.updated_at, datetime)
    assert_type(row.chat_settings, ModelSelect[sdk.ChatSettings])


def chat_settings(row: sdk.ChatSettings) -> None:
    assert_type(row.id, str | None)
    assert_type(row.user, sdk.User)
    assert_type(row.user_id, str)
    assert_type(row.chat, sdk.Chat)
    assert_type(row.chat_id, str)
    assert_type(row.is_muted, bool)
    assert_type(row.is_favorite, bool)
    assert_type(row.folder, sdk.Folder | None)
    assert_type(row.folder_id, str | None)
    assert_type(row.unread_count, int)
    assert_type(row.last_read_message_id, str | None)
    assert_type(row.created_at, datetime | None)
    assert_type(row.updated_at, datetime | None)


def pinned_message(row: sdk.PinnedMessage) -> None:
    assert_type(row.id, str)
    assert_type(row.user, sdk.User)
    assert_type(row.user_id, str)
    assert_type(row.message, sdk.Message)
    assert_type(row.message_id, str)
    assert_type(row.chat, sdk.Chat)
    assert_type(row.chat_id, str)
    assert_type(row.pinned_at, datetime)


def chat_summary(row: sdk.ChatSummary) -> None:
    assert_type(row.chat, sdk.Chat)
    assert_type(row.settings, sdk.ChatSettings)
    assert_type(row.unread_count, int)
    assert_type(row.last_message, sdk.Message | None)
    assert_type(row.peer, sdk.Profile | None)


def folder_summary(row: sdk.FolderSummary) -> None:
    assert_type(row.folder, sdk.Folder)
    assert_type(row.chats, list[sdk.Chat])
    assert_type(row.unread_count, int)


def imported_message(row: sdk.ImportedMessage) -> None:
    assert_type(row.id, str)
    assert_type(row.sender_id, str)
    assert_type(row.created_at, datetime)
    assert_type(row.content, str | None)
    assert_type(row.type, sdk.MessageType)
    assert_type(row.reply_to_id, str | None)
    assert_type(row.file_url, str | None)
    assert_type(row.file_name, str | None)
    assert_type(row.file_size, int | None)
    assert_type(row.is_edited, bool)
    assert_type(row.thumbnail_url, str | None)
    assert_type(row.duration, int | None)
    assert_type(row.waveform, str | None)


def member(row: sdk.Member) -> None:
    assert_type(row.profile, sdk.Profile)
    assert_type(row.role, sdk.MemberRole)
    assert_type(row.joined_at, datetime)


def privacy(row: sdk.Privacy) -> None:
    assert_type(row.show_online_status, bool)
    assert_type(row.show_profile_photo, bool)
    assert_type(row.show_last_seen, bool)


def profile(row: sdk.Profile) -> None:
    assert_type(row.id, str)
    assert_type(row.username, str)
    assert_type(row.display_name, str | None)
    assert_type(row.bio, str | None)
    assert_type(row.avatar, str | None)
    assert_type(row.status, sdk.UserStatus | None)
    assert_type(row.last_seen, datetime | None)


def contact_summary(row: sdk.ContactSummary) -> None:
    assert_type(row.profile, sdk.Profile)
    assert_type(row.nickname, str | None)
    assert_type(row.created_at, datetime)


def reaction_count(row: sdk.ReactionCount) -> None:
    assert_type(row.emoji, str)
    assert_type(row.total, int)
    assert_type(row.is_mine, bool)


def unread_totals(row: sdk.UnreadTotals) -> None:
    assert_type(row.all, int)
    assert_type(row.unmuted, int)
    assert_type(row.mentions, int)


def pool_status(row: sdk.PoolStatus) -> None:
    assert_type(row.in_use, int)
    assert_type(row.idle, int)
    assert_type(row.waiting, int)
    assert_type(row.limit, int)

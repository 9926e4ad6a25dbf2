"""Every public function as data: how it is called, its number of statements, and its result.

A `Scene` is a small world seen from one user; its attributes are the arguments of a `Call`. The
tests make all of `CALLS` in it, and `strangers.py` puts strangers into the user's place.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.fields import utc_now
from stogram_sdk.models import PublishedMessage
from tests.support.factories import make_chat, make_message, make_user, set_role

#: The public functions that ask the database nothing by themselves.
NOT_CALLS = {
    *("check_health", "close", "connect", "migrate", "pool_status", "position", "retrying"),
    *("session", "to_dict", "transaction"),
}


@dataclass(frozen=True)
class Scene:
    """Ids as the acting user sees them, and values that fit."""

    actor: str
    other: str  # in the chat, and in a private chat with the actor, who has blocked them
    newcomer: str  # in no chat
    chat: str
    other_chat: str  # a chat without settings
    quiet_chat: str  # one without a call
    message: str  # a folder of the actor
    pinned: str
    given: str  # published and not acknowledged
    scheduled: str  # of the actor
    folder: str
    folders: list[str]
    ringing: str  # a call of another in the chat
    own_call: str  # one of the actor, in `other_chat`
    others: list[str]
    now: datetime
    soon: datetime
    token: str  # of the neighbour alone
    text: str = "привет"
    hashtag: str = "тег"
    username: str = "new_user"
    email: str = "new@example.com"
    message_id: str = "an id of one's own"
    color: str = "#aabbcc"
    emoji: str = "👍🏽"
    theme: str = "dark"
    search: str = "user"
    kind: sdk.CallType = sdk.CallType.VIDEO
    status: sdk.UserStatus = sdk.UserStatus.AWAY
    reacted: str = "❤️"  # the reaction of the actor and another to `pinned`
    type: sdk.ChatType = sdk.ChatType.GROUP
    file_type: sdk.MessageType = sdk.MessageType.VOICE
    role: sdk.MemberRole = sdk.MemberRole.ADMIN
    yes: bool = True
    no: bool = False

    @property
    def history(self) -> list[sdk.ImportedMessage]:
        """Messages to import, under ids that are free."""
        first = sdk.ImportedMessage("imported 1", self.actor, self.now, self.text)
        answer = sdk.ImportedMessage(
            "imported 2", self.other, self.now, "#тег", reply_to_id=first.id
        )
        return [answer, first]

    @property
    def published(self) -> list[str]:
        """What `publish_scheduled` has sent, and nobody has acknowledged."""
        return [self.given]

    @property
    def forwarded(self) -> list[str]:
        """Messages of the chat."""
        return [self.message, self.pinned]

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The messages of the scene, each with its chat."""
        return [(self.chat, self.message), (self.chat, self.pinned)]


@dataclass(frozen=True)
class Call:
    """A way to call a function: with these attributes of a scene, by position and by keyword."""

    positional: str
    keywords: Mapping[str, str] = field(default_factory=dict)
    #: How many statements it sends if it succeeds; see `sends`.
    statements: int = 1
    #: How many more on an engine where one statement cannot write several tables.
    more_on_sqlite: int = 0
    #: How many more where rows are on the server of their chat.
    more_if_distributed: int = 0
    #: How many there are for each chat that it writes, where it writes one after the other.
    for_each_chat: int = 0
    #: How many more, at most, if it raises an error.
    second_looks: int = 1
    #: The `outcome` of the first call, and of a second one.
    gives: str = "yes"
    again: str = "yes"
    #: Whether the second call changes nothing.
    repeats: bool = True

    def arguments(self, scene: Scene) -> tuple[list[Any], dict[str, Any]]:
        return (
            [getattr(scene, name) for name in self.positional.split()],
            {parameter: getattr(scene, name) for parameter, name in self.keywords.items()},
        )

    @property
    def sends(self) -> int:
        """How many statements it sends to the connected database."""
        dialect = current_database().dialect
        more = self.more_on_sqlite if dialect.name == "sqlite" else 0
        return self.statements + more + (self.more_if_distributed if dialect.is_distributed else 0)


#: By the name of the function, with one way of calling it in brackets.
CALLS: dict[str, Call] = {
    "acknowledge_published": Call("published", gives="1", again="0"),
    "add_contact": Call(
        "actor newcomer", {"nickname": "text"}, second_looks=2, gives="made", again="there"
    ),
    "add_member": Call("actor chat newcomer", {"role": "role"}, second_looks=6),
    "add_reaction": Call("actor chat message emoji", second_looks=3, gives="made", again="there"),
    "answer_call": Call(
        "actor ringing",
        more_on_sqlite=3,
        more_if_distributed=1,
        second_looks=4,
        gives="made",
        again="there",
    ),
    "block_user": Call("actor newcomer", second_looks=2, gives="made", again="there"),
    "blocked_among": Call("actor others"),
    "create_chat": Call(
        "actor type",
        {"member_ids": "others", "name": "text", "description": "text", "is_secret": "yes"},
        more_on_sqlite=3,
        second_looks=4,
        repeats=False,
    ),
    "create_folder": Call("actor text", {"color": "color", "icon": "text"}, repeats=False),
    "create_user": Call(
        "email username", {"password_hash": "text", "display_name": "text"}, again="AlreadyExists"
    ),
    "decline_call": Call("actor ringing", more_if_distributed=1, gives="made", again="there"),
    "delete_chat": Call("actor chat", gives="True", again="False"),
    "delete_folder": Call("actor folder", gives="True", again="False"),
    "delete_message": Call("actor chat message", gives="True", again="False"),
    "delete_user": Call("actor", statements=3, gives="True", again="False"),
    "edit_message": Call("actor chat message text", second_looks=2),
    "end_call": Call(
        "actor own_call",
        more_on_sqlite=1,
        more_if_distributed=1,
        second_looks=2,
        gives="made",
        again="there",
    ),
    "extract_hashtags": Call("text", statements=0, gives="nothing", again="nothing"),
    "tag_key": Call("hashtag", statements=0),
    "extract_mentions": Call("text", statements=0, gives="nothing", again="nothing"),
    "find_by_hashtag": Call("actor hashtag"),
    "find_by_hashtag(chat_id)": Call("actor hashtag", {"chat_id": "chat"}),
    "find_by_mention": Call("actor"),
    "find_by_mention(chat_id)": Call("actor", {"chat_id": "chat"}),
    "find_user": Call("username", gives="nothing", again="nothing"),
    "find_user_by_email": Call("email", gives="nothing", again="nothing"),
    "forward_messages": Call(
        "actor chat forwarded other_chat",
        statements=2,
        more_on_sqlite=1,
        repeats=False,
    ),
    "get_chat": Call("actor chat"),
    "get_chat_settings": Call("actor chat"),
    "get_message": Call("actor chat message", second_looks=1),
    "get_privacy": Call("actor"),
    "get_user": Call("actor"),
    "import_messages": Call(
        "actor chat history", statements=2, second_looks=2, gives="2", again="0"
    ),
    "is_blocked": Call("actor other", gives="True", again="True"),
    "is_blocked_either": Call("actor other", gives="True", again="True"),
    "leave_chat": Call("actor chat", more_on_sqlite=2, second_looks=2, gives="True", again="False"),
    "list_blocked_users": Call("actor"),
    "list_calls": Call("actor"),
    "list_calls(chat_id)": Call("actor", {"chat_id": "chat"}),
    "list_chats": Call("actor"),
    "list_chats(folder_id)": Call("actor", {"folder_id": "folder"}),
    "list_contacts": Call("actor"),
    "list_folders": Call("actor"),
    "list_media": Call("actor chat"),
    "list_media(type)": Call("actor chat", {"type": "file_type"}),
    "list_members": Call("actor chat"),
    "list_message_reactions": Call("actor chat pinned", second_looks=2),
    "list_message_reactions(emoji)": Call(
        "actor chat pinned", {"emoji": "reacted"}, second_looks=2
    ),
    "list_messages": Call("actor chat"),
    "list_messages(around)": Call("actor chat", {"around": "message"}, second_looks=2),
    "list_pinned_messages": Call("actor"),
    "list_pinned_messages(chat_id)": Call("actor", {"chat_id": "chat"}),
    "list_reactions": Call("actor chat forwarded"),
    "list_replies": Call("actor chat pinned", second_looks=2),
    "list_scheduled": Call("actor"),
    "list_scheduled(chat_id)": Call("actor chat"),
    "mark_read": Call("actor chat", second_looks=2),
    "mark_read(message_id)": Call("actor chat message", second_looks=3),
    "move_to_folder": Call("actor other_chat folder", second_looks=2),
    "mute_chat": Call("actor other_chat"),
    "open_private_chat": Call(
        "actor newcomer",
        statements=2,
        more_on_sqlite=3,
        second_looks=4,
        gives="made",
        again="there",
    ),
    "pin_message": Call("actor chat message", second_looks=3, gives="made", again="there"),
    "post_system_message": Call("chat text", more_on_sqlite=1, repeats=False),
    "publish_scheduled": Call("", {"now": "soon"}, statements=8, for_each_chat=4, again="nothing"),
    "recount_unread": Call("actor", gives="1", again="0"),
    "recount_unread(chat_id)": Call("actor chat", gives="1", again="0"),
    "remove_contact": Call("actor other", gives="True", again="False"),
    "remove_from_folder": Call("actor chat", gives="True", again="False"),
    "remove_member": Call(
        "actor chat other", more_on_sqlite=1, second_looks=5, gives="True", again="False"
    ),
    "remove_reaction": Call("actor chat pinned reacted", gives="True", again="False"),
    "reorder_folders": Call("actor folders"),
    "reschedule_message": Call("actor chat scheduled soon", second_looks=2),
    "search_messages": Call("actor text"),
    "search_messages(chat_id)": Call("actor text", {"chat_id": "chat"}),
    "search_users": Call("actor search"),
    "send_message": Call("actor chat text", more_on_sqlite=1, repeats=False),
    "send_message(message_id)": Call(
        "actor chat text", {"message_id": "message_id"}, more_on_sqlite=1, second_looks=2
    ),
    "send_message(reply_to_id)": Call(
        "actor chat text",
        {"reply_to_id": "message"},
        more_on_sqlite=1,
        second_looks=2,
        repeats=False,
    ),
    "send_message(file_url)": Call(
        "actor chat",
        {
            **{"file_url": "text", "file_name": "text", "thumbnail_url": "text"},
            **{"waveform": "text", "type": "file_type"},
        },
        more_on_sqlite=1,
        repeats=False,
    ),
    "send_message(scheduled_for)": Call(
        "actor chat text", {"scheduled_for": "soon"}, repeats=False
    ),
    "set_favorite": Call("actor other_chat"),
    "set_password_hash": Call("actor", {"password_hash": "text"}),
    "set_push_subscription": Call("actor", {"subscription": "text"}),
    "set_status": Call("actor status", gives="True", again="False"),
    "set_theme": Call("actor theme"),
    "set_verification_token": Call("actor", {"token": "text"}),
    "start_call": Call(
        "actor quiet_chat kind", more_on_sqlite=2, second_looks=3, gives="made", again="there"
    ),
    "set_role": Call("actor chat other role", second_looks=5),
    "toggle_favorite": Call("actor other_chat", repeats=False),
    "transfer_ownership": Call("actor chat other", second_looks=6),
    "unblock_user": Call("actor other", gives="True", again="False"),
    "unmute_all_chats": Call("actor", gives="1", again="0"),
    "unmute_chat": Call("actor chat"),
    "unpin_all_messages": Call("actor chat", gives="1", again="0"),
    "unpin_message": Call("actor chat pinned", gives="True", again="False"),
    "unread_totals": Call("actor"),
    "update_contact": Call("actor other", {"nickname": "text"}),
    "update_chat": Call("actor chat", {"name": "text", "description": "text", "avatar": "text"}),
    "update_folder": Call("actor folder", {"name": "text", "color": "color", "icon": "text"}),
    "update_privacy": Call("actor", {"show_last_seen": "no"}),
    "update_profile": Call("actor", {"display_name": "text", "bio": "text", "avatar": "text"}),
    "users_to_notify": Call("chat message"),
    "users_to_notify_each": Call("messages", more_if_distributed=1),
    "verify_email": Call("token", again="nothing"),
    "visible_profiles": Call("actor others"),
}


_READS = ("blocked_", "extract_", "find_", "get_", "is_", "list_", "search_", "tag_", "unread_")


def is_read(label: str) -> bool:
    return label.startswith((*_READS, "users_", "visible_"))


def function_of(label: str) -> Any:
    return getattr(sdk, label.partition("(")[0])


def make_call(label: str, scene: Scene) -> Any:
    positional, keywords = CALLS[label].arguments(scene)
    return function_of(label)(*positional, **keywords)


def arguments_of(name: str, scene: Scene) -> dict[str, Any]:
    """The arguments of a valid call, by the names of the parameters."""
    positional, keywords = CALLS[name].arguments(scene)
    return inspect.signature(function_of(name)).bind(*positional, **keywords).arguments


def kind_of(parameter: str) -> str:
    """The kind of value that a parameter of this name takes."""
    for kind in ("id", "ids"):
        if parameter.endswith(f"_{kind}"):
            return kind
    if parameter == "around":
        return "id"
    if parameter in ("limit", "cursor", "file_size", "messages"):
        return parameter
    if parameter in ("lease", "duration"):
        return "file_size"  # a whole number with bounds
    if parameter in ("type", "role", "status"):
        return "enum"
    if parameter in ("now", "scheduled_for"):
        return "time"
    if parameter.startswith(("is_", "show_")) or parameter == "unread_only":
        return "flag"
    return "text"


def outcome(label: str, scene: Scene) -> str:
    """The result of a call, in a word."""
    try:
        result = make_call(label, scene)
    except sdk.StogramError as error:
        return type(error).__name__
    match result:
        case bool() | int():
            return str(result)
        case (_, bool() as created):
            return "made" if created else "there"
        case sdk.UnreadTotals(all=0):
            return "nothing"
        case dict():
            return "yes" if any(result.values()) else "nothing"
        case [*profiles] if profiles and all(isinstance(row, sdk.Profile) for row in profiles):
            return "yes" if any(row.status or row.last_seen for row in profiles) else "names"
    return "yes" if result else "nothing"


def more_in_further_chats(label: str, chats: int) -> int:
    """How many statements more a call sends that finds so many further chats to write."""
    is_distributed: bool = current_database().dialect.is_distributed
    return CALLS[label].for_each_chat * chats if is_distributed else 0


@dataclass(frozen=True)
class World:
    """A scene, and how it looks to strangers."""

    scene: Scene
    strangers: dict[str, Scene]


def build_world(extra: int = 0) -> World:
    """Make the scene, with `extra` more members, messages, tags and folders."""
    actor, other, newcomer, former, gone, neighbour = (make_user() for _ in range(6))
    guest, poster = make_user(), make_user()
    more = [make_user() for _ in range(extra)]
    chat = make_chat(actor, other, former, gone, *more, name="the chat")
    other_chat = make_chat(actor, other)
    quiet_chat = make_chat(actor, other)
    their_chat = make_chat(neighbour)
    secret_chat = make_chat(actor, guest, is_secret=True)
    private_chat, _ = sdk.open_private_chat(actor.id, other.id)

    theirs = make_message(former, chat, "привет #тег")
    sdk.leave_chat(former.id, chat.id)
    removed = make_message(gone, chat, "привет #тег")
    sdk.remove_member(actor.id, chat.id, gone.id)
    channel = make_chat(actor, other, type=sdk.ChatType.CHANNEL)
    sdk.add_member(actor.id, channel.id, poster.id, role=sdk.MemberRole.ADMIN)
    post = make_message(poster, channel, "привет #тег")
    set_role(poster, channel, sdk.MemberRole.MEMBER)

    tags = " ".join(f"#tag{number} @name{number}" for number in range(extra))
    pinned = make_message(other, chat, f"привет @{actor.username}")
    message = make_message(actor, chat, f"Привет #тег {tags}")
    file: dict[str, Any] = {"type": sdk.MessageType.VOICE, "file_url": "/uploads/1.ogg"}
    make_message(actor, chat, "ответ", reply_to_id=pinned.id, **file)
    for number in range(extra):
        text = f"привет #тег @{actor.username} {tags}"
        make_message(more[number], chat, text, reply_to_id=pinned.id, **file)
    make_message(neighbour, their_chat, "привет #тег")
    secret = make_message(actor, secret_chat, f"привет #тег @{guest.username}")
    make_message(guest, secret_chat)
    private = make_message(actor, private_chat, "привет #тег")
    own = make_message(other, private_chat, "привет #тег")
    deleted = make_message(actor, chat, "привет #тег")
    sdk.delete_message(actor.id, chat.id, deleted.id)
    given = make_message(actor, chat, scheduled_for=utc_now())
    sdk.publish_scheduled(lease=86_400)
    now = utc_now()
    soon = now + timedelta(hours=1)  # not before the last test of a module
    waiting = make_message(other, chat, "привет #тег", scheduled_for=soon)
    scheduled = make_message(actor, chat, "later", scheduled_for=soon + timedelta(days=1))
    for _ in range(extra):
        make_message(actor, chat, "later", scheduled_for=soon)

    ringing, _ = sdk.start_call(more[0].id if more else other.id, chat.id, sdk.CallType.AUDIO)
    with sdk.session():  # It rings until the last test of a module.
        sdk.Call.update(started_at=soon).where(sdk.Call.id == ringing.id).execute()
    own_call, _ = sdk.start_call(actor.id, other_chat.id, sdk.CallType.AUDIO)
    for user in (other, *more):
        sdk.add_contact(actor.id, user.id)
    token = f"a token of {neighbour.id}"
    sdk.set_verification_token(neighbour.id, token=token)

    sdk.pin_message(actor.id, chat.id, pinned.id)
    for user in (actor, other, *more):
        sdk.add_reaction(user.id, chat.id, pinned.id, Scene.reacted)
    folders = [sdk.create_folder(actor.id, "folder").id for _ in range(2 + extra)]
    their_folder = sdk.create_folder(neighbour.id, "theirs").id
    for user, in_chat, folder in (
        (actor, chat, folders[0]),
        (neighbour, their_chat, their_folder),
    ):
        sdk.mute_chat(user.id, in_chat.id)
        sdk.move_to_folder(user.id, in_chat.id, folder)
    sdk.block_user(actor.id, other.id)
    # A number of another program, for recount_unread to correct.
    sdk.ChatSettings.update({sdk.ChatSettings.unread_count: 77}).where(
        sdk.ChatSettings.user == actor, sdk.ChatSettings.chat == chat
    ).execute()

    scene = Scene(
        actor=actor.id,
        other=other.id,
        newcomer=newcomer.id,
        chat=chat.id,
        other_chat=other_chat.id,
        quiet_chat=quiet_chat.id,
        message=message.id,
        pinned=pinned.id,
        given=given.id,
        scheduled=scheduled.id,
        folder=folders[0],
        folders=folders[::-1],
        ringing=ringing.id,
        own_call=own_call.id,
        others=[other.id, newcomer.id, *(user.id for user in more)],
        now=now,
        soon=soon,
        token=token,
    )
    blocked = replace(
        scene,
        actor=other.id,
        other=actor.id,
        newcomer=actor.id,
        others=[actor.id],
        chat=private_chat.id,
        other_chat=private_chat.id,
        message=private.id,
        pinned=private.id,
    )
    strangers = {
        "not a member": replace(scene, actor=newcomer.id, newcomer=neighbour.id),
        "former member": replace(scene, actor=former.id),
        "member of another chat": replace(
            scene, actor=neighbour.id, chat=their_chat.id, other_chat=their_chat.id
        ),
        "blocked": blocked,
        "author who has left": author(scene, former, theirs),
        "author who was removed": author(scene, gone, removed),
        "blocked author": author(blocked, other, own),
        "author, admin no more": author(
            scene, poster, post, chat=channel.id, other_chat=channel.id
        ),
        "another's folder": replace(scene, folder=their_folder, folders=[their_folder]),
        "deleted message": replace(scene, message=deleted.id, pinned=deleted.id),
        "message not sent yet": replace(scene, message=waiting.id, pinned=waiting.id),
        "member of a secret chat": replace(
            scene,
            actor=guest.id,
            chat=secret_chat.id,
            other_chat=secret_chat.id,
            message=secret.id,
        ),
        "unknown user": replace(scene, actor="nobody"),
    }
    return World(scene, strangers)


def author(scene: Scene, user: sdk.User, message: sdk.Message, **others: str) -> Scene:
    """The scene as seen by the one who wrote the message, who sends it once more."""
    ids: dict[str, Any] = dict.fromkeys(("message", "pinned", "message_id"), message.id)
    return replace(scene, actor=user.id, **ids | others)


def stored_rows() -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the database, without the times of their last change."""
    models: tuple[Any, ...] = (*sdk.MODELS, PublishedMessage)
    return {
        model.__name__: sorted(
            model.select(
                *(field for field in model._meta.sorted_fields if field.name != "updated_at")
            )
            .tuples()
            .execute(),
            key=repr,
        )
        for model in models
    }


class _Undo(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    """A transaction that is rolled back at the end."""
    try:
        with sdk.transaction():
            yield
            raise _Undo
    except _Undo:
        pass

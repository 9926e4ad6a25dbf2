"""The rows that are measured: the same for every run with the same number of messages.

A tag is in one message of five, some in many and most in few (Zipf). Two users look at it all:
`MANY` is in 500 chats, `FEW` in 20. The tag `popular` is everywhere; `elsewhere` is as popular,
but in no chat of theirs; `rare` is in 20 messages. So it is with the names that are mentioned.
`READER` is in the 500 busiest groups, and says nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

FIRST = datetime(2016, 1, 1, tzinfo=UTC)
PERIOD = timedelta(days=3650)
MANY, FEW = "user-many", "user-few"
CHATS_OF_MANY, CHATS_OF_FEW = 500, 20
#: Who has much that is unread, see `benchmarks.unread`, and whom they block.
READER = "user-reading"
CHATS_OF_READER = 500
BLOCKED_BY_READER = tuple(f"user-{number}" for number in range(10, 15))
#: Whom `MANY` blocks.
BLOCKED = "user-9"
#: How many messages there are for each call that somebody has made.
MESSAGES_FOR_A_CALL = 100
TAGS = 5_000
WORDS = 20_000
#: What is searched for: name and tag.
SEARCHED_TAGS = {
    "popular": "popular",
    "middling": "tag40",
    "rare": "rare",
    "absent": "absent",
    "elsewhere": "elsewhere",
}
SEARCHED_NAMES = {"popular": "user_1", "rare": "user_1900", "absent": "nobody"}
SEARCHED_WORDS = {"common": "word1", "rare": "needle", "absent": "unwritten"}


#: How many members the chats of `sized_chat` have, and how many chats the users of `user_in_chats`.
MEMBERS = (2, 10, 30, 100, 1_000, 10_000, 100_000)
CHATS = (1, 6, 100, 500, 1_000)


def sized_chat(members: int) -> str:
    """A group of `MANY` and others who are nowhere else, without messages at first."""
    return f"sized-{members}"


def new_name() -> str:
    """A username that nobody has."""
    return f"new_{token_hex(8)}"


def user_in_chats(chats: int) -> str:
    """A user who is in so many of the groups, busy ones and quiet ones."""
    return f"user-in-{chats}"


@dataclass
class World:
    """Who is where; messages are made one by one."""

    messages: int
    users: list[str] = field(default_factory=list)
    chats: list[tuple[str, str]] = field(default_factory=list)  # id, type
    members: list[list[str]] = field(default_factory=list)
    of_many: set[int] = field(default_factory=set)
    of_few: set[int] = field(default_factory=set)

    @property
    def groups(self) -> list[str]:
        """The busiest first."""
        return [chat for chat, kind in self.chats if kind == "GROUP"]


def make_world(messages: int) -> World:
    chance = random.Random(messages)
    world = World(messages)
    world.users = [MANY, FEW, *(f"user-{number}" for number in range(max(2_000, messages // 200)))]
    number_of_chats = max(1_500, messages // 500)
    world.of_many = set(chance.sample(range(number_of_chats), CHATS_OF_MANY))
    world.of_few = set(chance.sample(range(number_of_chats), CHATS_OF_FEW))
    for number in range(number_of_chats):
        watching = [MANY] * (number in world.of_many) + [FEW] * (number in world.of_few)
        is_private = number % 3 == 0 and len(watching) < 2
        size = 2 if is_private else chance.choice([5, 10, 20, 40])
        others = chance.sample(world.users[2:], size - len(watching))
        world.chats.append((f"chat-{number}", "PRIVATE" if is_private else "GROUP"))
        world.members.append(watching + others)
    return world


def _others(chance: random.Random, world: World) -> tuple[list[str], dict[str, list[str]]]:
    """Who else is there, and the chats of each: they write nothing."""
    groups = world.groups
    chats_of = {user_in_chats(count): chance.sample(groups, count) for count in CHATS}
    sizes = [(size, sized_chat(size)) for size in MEMBERS]
    for number in range(2, max(MEMBERS) + 1):
        chats_of[f"member_{number}"] = [chat for size, chat in sizes if number <= size]
    chats_of[READER] = groups[:CHATS_OF_READER]
    return list(chats_of), chats_of | {MANY: [chat for _, chat in sizes]}


def _id(chance: random.Random) -> str:
    """A UUID of version 4, as the server makes them."""
    digits = f"{chance.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def message_rows(world: World) -> Iterator[tuple[Any, ...]]:
    """Rows of "Message" in the order of `MESSAGE_COLUMNS`; lists for the tags."""
    chance = random.Random(world.messages + 1)
    pick, bits = chance.random, chance.getrandbits
    chats, step = len(world.chats), PERIOD / world.messages
    rare = set(range(0, world.messages, max(1, world.messages // 20)))
    of_many, of_few = sorted(world.of_many), sorted(world.of_few)
    watched = world.of_many | world.of_few
    for number in range(world.messages):
        place = int(chats * pick() ** 2)  # a few chats hold much of it
        hashtags: list[str] = []
        mentions: list[str] = []
        words = [f"word{int(WORDS ** pick())}" for _ in range(8)]
        if number in rare:
            place = (of_many if number % 2 else of_few)[bits(16) % (500 if number % 2 else 20)]
            hashtags.append("rare")
            words.append("needle")
        if pick() < 0.2:
            rank = int(TAGS ** pick())
            hashtags.append("popular" if rank == 1 else f"tag{rank}")
            if bits(2) == 0:
                mentions.append(f"user_{int(2000 ** pick())}")
            if bits(2) == 0 and place not in watched:
                hashtags.append("elsewhere")
                mentions.append("elsewhere")
        time = _time(FIRST + number * step)
        members = world.members[place]
        yield (
            _id(chance),
            " ".join([*words, *(f"#{tag}" for tag in hashtags), *(f"@{n}" for n in mentions)]),
            members[bits(16) % len(members)],
            world.chats[place][0],
            True,
            time,
            time,
            mentions,
            hashtags,
        )


MESSAGE_COLUMNS = (
    "id",
    "content",
    "senderId",
    "chatId",
    "isSent",
    "createdAt",
    "updatedAt",
    "mentions",
    "hashtags",
)


def other_rows(world: World) -> Iterator[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    """Table, columns and rows of everything before "Message"."""
    now = _time(FIRST)
    others, chats_of = _others(random.Random(world.messages + 2), world)
    columns: tuple[str, ...] = (
        "id",
        "email",
        "username",
        "password",
        "createdAt",
        "updatedAt",
        "lastSeen",
    )
    names = [(user, user.replace("-", "_")) for user in (*world.users, *others)]
    yield (
        "User",
        columns,
        [(u, f"{name}@example.com", name, "hash", now, now, now) for u, name in names],
    )
    columns = ("id", "type", "name", "createdAt", "updatedAt")
    chats = [*world.chats, *((sized_chat(size), "GROUP") for size in MEMBERS)]
    yield "Chat", columns, [(chat, kind, f"Chat {chat}", now, now) for chat, kind in chats]
    columns = ("id", "userId", "chatId", "role", "joinedAt")
    yield (
        "ChatMember",
        columns,
        [
            (f"{user}/{chat}", user, chat, "MEMBER" if place else "OWNER", now)
            for (chat, _), members in zip(world.chats, world.members, strict=True)
            for place, user in enumerate(members)
        ]
        + [
            (f"{user}/{chat}", user, chat, "MEMBER", now)
            for user, chats in chats_of.items()
            for chat in chats
        ],
    )
    yield (
        "BlockedUser",
        ("id", "userId", "blockedId"),
        [(f"{READER}/{user}", READER, user) for user in BLOCKED_BY_READER],
    )
    columns = ("id", "userId", "chatId", "unreadCount", "isMuted", "isFavorite")
    times = ("createdAt", "updatedAt")
    yield "ChatSettings", columns + times, [*_settings(world, chats_of)]
    columns = ("id", "initiatorId", "chatId", "type", "status", "startedAt", "endedAt")
    yield "Call", columns, [*_calls(world)]


def _calls(world: World) -> Iterator[tuple[Any, ...]]:
    """Calls that have ended, in all chats alike."""
    chance, step = random.Random(world.messages + 3), PERIOD / world.messages
    for number in range(0, world.messages, MESSAGES_FOR_A_CALL):
        place = chance.randrange(len(world.chats))
        caller = chance.choice(world.members[place])
        time = _time(FIRST + number * step)
        yield (_id(chance), caller, world.chats[place][0], "AUDIO", "ENDED", time, time)


def _settings(world: World, chats_of: dict[str, list[str]]) -> Iterator[tuple[Any, ...]]:
    """What the users who look have set, and the rows of the members of `sized_chat`.

    Of the small ones: most of all rows would else be those of one chat.
    """
    times = _time(FIRST + PERIOD), _time(FIRST)
    for user, chats in ((MANY, world.of_many), (FEW, world.of_few)):
        for number in sorted(chats):
            values = f"chat-{number}", number % 3, number % 7 == 0, number % 50 == 0
            yield (f"{user}/{number}", user, *values, *times)
    for number, chat in enumerate(chats_of[READER]):
        values = chat, 0, number % 7 == 0, number % 50 == 0
        yield (f"{READER}/{chat}", READER, *values, *times)
    for size in MEMBERS:
        if size <= 1_000:
            for number in range(2, size + 1):
                user, chat = f"member_{number}", sized_chat(size)
                yield (f"{user}/{chat}", user, chat, 0, False, False, *times)

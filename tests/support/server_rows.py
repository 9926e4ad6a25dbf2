"""The rows of a small Stogram server in use before the migration: the same ones at every run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

from tests.support.sentences import CHAT_NAMES, FILE_NAMES, HASHTAGS, NO_HASHTAGS, SENTENCES

USERS = 120
CHATS = {"PRIVATE": 35, "GROUP": 27, "CHANNEL": 8}
MESSAGES = 6000
REACTIONS = 600
CONTACTS = 200

#: In UTC and without a zone, as the server keeps times.
OPENED = datetime(2025, 3, 1, 6)
#: So late that it is in the future whenever the tests run.
FAR_FUTURE = datetime(2999, 1, 1)

#: Usernames and display names. Several people have the same display name.
PEOPLE = {
    "ivan": "Иван",
    "anna": "Анна",
    "fyodor": "Фёдор",
    "oksana": "Оксана",
    "emma": "Emma",
    "oliver": None,
    "juergen": "Jürgen",
    "zoe": "Zoë",
    "lucia": "Lucía",
    "joao": "João",
    "lukasz": "Łukasz",
    "ipek": "İpek",
    "isil": "Işıl",
    "eleni": "Ελένη",
    "nikos": "Νίκος",
    "layla": "ليلى",
    "omid": "امید",
    "noa": "נועה",
    "arjun": "अर्जुन",
    "mali": "มาลี",
    "mei": "梅",
    "haruka": "はるか",
    "minjun": "민준",
    "nino": "ნინო",
    "aram": "Արամ",
    "selam": "ሰላም",
    "linh": "Linh 🌱",
    "o_neil": "O'Neil",
    "user_with_a_long_name": "Somebody with a name that takes more than one line on a phone",
    "robot": "<b>Robot</b> & 100% \\o/",
}

#: Tags, of which a message has one or several.
PARTS = (
    *("content", "fileUrl", "fileName", "fileSize"),
    *("thumbnailUrl", "duration", "waveform"),
)

Row = dict[str, Any]

# The characters that COPY reads in another way.
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\t": r"\t", "\r": r"\r"})


@cache
def server_rows_sql() -> str:
    """The rows as a script for psql, on the server's schema."""
    server = ServerRows(Random(2025))
    tables = {
        "User": server.users,
        "Chat": server.chats,
        "ChatMember": server.members,
        "Message": server.messages,
        "Reaction": server.reactions,
        "Contact": server.contacts,
    }
    return "".join(copy_of(table, rows) for table, rows in tables.items())


def copy_of(table: str, rows: Sequence[Row]) -> str:
    """A COPY, followed by its data."""
    columns = ", ".join(f'"{column}"' for column in rows[0])
    lines = ["\t".join(map(_as_copied, row.values())) for row in rows]
    return "\n".join([f'COPY "{table}" ({columns}) FROM stdin;', *lines, "\\.", ""])


def _as_copied(value: Any) -> str:
    return r"\N" if value is None else str(value).translate(_ESCAPES)


class ServerRows:
    """All rows, made in turn from one random generator."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.users = list(self._users())
        self.chats = list(self._chats())
        self.members = list(self._members())
        self.member_ids: dict[str, list[str]] = {chat["id"]: [] for chat in self.chats}
        for member in self.members:
            self.member_ids[member["chatId"]].append(member["userId"])
        self.messages = list(self._messages())
        self.reactions = list(self._reactions())
        self.contacts = list(self._contacts())

    def _id(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def _happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    def _users(self) -> Iterator[Row]:
        names = list(PEOPLE)
        statuses = ("ONLINE", "OFFLINE", "AWAY", "DO_NOT_DISTURB")
        for number in range(USERS):
            name, turn = names[number % len(names)], number // len(names)
            username = f"{name}_{turn + 1}" if turn else name
            joined = OPENED + timedelta(minutes=number)
            yield {
                "id": self._id(),
                "email": f"{username}@example.com",
                "username": username,
                "password": "not a hash of anything",
                "displayName": PEOPLE[name],
                "avatar": f"/uploads/{username}.jpg" if self._happens(0.3) else None,
                "bio": self.chance.choice(SENTENCES) if self._happens(0.2) else None,
                "status": self.chance.choice(statuses),
                "lastSeen": joined + timedelta(days=30),
                "emailVerified": self._happens(0.7),
                "createdAt": joined,
                "updatedAt": joined,
            }

    def _chats(self) -> Iterator[Row]:
        types = [type for type, count in CHATS.items() for _ in range(count)]
        for number, type in enumerate(types):
            made = OPENED + timedelta(days=1, minutes=number)
            has_name = type != "PRIVATE"
            yield {
                "id": self._id(),
                "name": f"{self.chance.choice(CHAT_NAMES)} {number}" if has_name else None,
                "type": type,
                "description": self.chance.choice(SENTENCES) if self._happens(0.2) else None,
                "createdAt": made,
                "updatedAt": made,
            }

    def _members(self) -> Iterator[Row]:
        """The members of a chat: the first owns it, and some of a large one are administrators."""
        ids = [user["id"] for user in self.users]
        for number, chat in enumerate(self.chats):
            if chat["type"] == "PRIVATE":
                # Nobody has two private chats with the same person.
                there = [ids[number], ids[number + CHATS["PRIVATE"]]]
            else:
                # Some are almost everywhere, so that a search goes through many chats.
                busy, others = ids[:5], ids[5:]
                there = self.chance.sample(others, self.chance.randint(12, 56))
                there += [user_id for user_id in busy if self._happens(0.8)]
                self.chance.shuffle(there)
            for place, user_id in enumerate(there):
                yield {
                    "id": self._id(),
                    "userId": user_id,
                    "chatId": chat["id"],
                    "role": "OWNER" if place == 0 else "ADMIN" if place % 12 == 5 else "MEMBER",
                    "joinedAt": chat["createdAt"] + timedelta(seconds=place),
                }

    def _messages(self) -> Iterator[Row]:
        said: dict[str, list[str]] = {chat["id"]: [] for chat in self.chats}
        time = OPENED + timedelta(days=2)
        for number in range(MESSAGES):
            # Several messages can have the same time.
            time += timedelta(milliseconds=self.chance.choice((0, 1, 40_000, 250_000)))
            chat_id = self.chance.choice(self.chats)["id"]
            earlier = said[chat_id]
            message = {
                "id": self._id(),
                **self._said(number),
                "senderId": self.chance.choice(self.member_ids[chat_id]),
                "chatId": chat_id,
                "replyToId": self.chance.choice(earlier) if self._replies(earlier) else None,
                **self._state(time),
                "createdAt": time,
            }
            changed = message["isEdited"] or message["isDeleted"]
            message["updatedAt"] = time + timedelta(minutes=5) if changed else time
            earlier.append(message["id"])
            yield message

    def _replies(self, earlier: list[str]) -> bool:
        return bool(earlier) and self._happens(0.12)

    def _said(self, number: int) -> Row:
        """The columns of a message's content."""
        kinds = ("TEXT", "IMAGE", "VOICE", "FILE", "GIF", "SYSTEM")
        [kind] = self.chance.choices(kinds, weights=(92, 2, 2, 2, 1, 1))
        url = f"/uploads/{number}"
        small = f"{url}_small"
        has: Row
        match kind:
            case "SYSTEM":
                has = {"content": f"joined by invitation #{number}"}
            case "IMAGE":
                has = {"content": self._text(), "fileUrl": url, "thumbnailUrl": small}
            case "GIF":
                has = {"fileUrl": url, "thumbnailUrl": small}
            case "FILE":
                name = self.chance.choice(FILE_NAMES).format(number)
                size = self.chance.randrange(1, 50_000_000)
                has = {"fileUrl": url, "fileName": name, "fileSize": size}
            case "VOICE":
                seconds = self.chance.randrange(1, 300)
                has = {"fileUrl": url, "duration": seconds, "waveform": "[0, 12, 7, 3]"}
            case _:
                has = {"content": self._text()}
        return {"type": kind, **dict.fromkeys(PARTS), **has}

    def _text(self) -> str:
        """A text: one sentence or two, often with hashtags and mentions before or after."""
        sentences = self.chance.sample(SENTENCES, 1 + self._happens(0.2))
        tags = self.chance.sample(HASHTAGS, self.chance.choice((0, 0, 1, 1, 2)))
        mentioned = [f"@{self.chance.choice(self.users)['username']}" for _ in range(2)]
        words = [*sentences, *tags]
        if self._happens(0.15):
            words += mentioned[: self.chance.randint(1, 2)]
        if self._happens(0.05):
            words.append(self.chance.choice(NO_HASHTAGS))
        self.chance.shuffle(words)
        return " ".join(words)

    def _state(self, time: datetime) -> Row:
        """The state of a message: mostly sent; some wait, and some of these are long due."""
        states = ("sent", "without time", "was due", "overdue", "waits")
        [state] = self.chance.choices(states, weights=(960, 30, 4, 3, 3))
        scheduled_for = {
            "was due": time,
            "overdue": time + timedelta(hours=1),
            "waits": FAR_FUTURE,
        }.get(state)
        return {
            "isEdited": self._happens(0.03),
            "isDeleted": self._happens(0.02),
            "scheduledFor": scheduled_for,
            "isSent": state in ("sent", "was due"),
        }

    def _reactions(self) -> Iterator[Row]:
        for message in self.chance.sample(self.messages, REACTIONS):
            yield {
                "id": self._id(),
                "messageId": message["id"],
                "userId": self.chance.choice(self.member_ids[message["chatId"]]),
                "emoji": self.chance.choice(("👍", "🍉", "❤️", "😂", "👍🏽")),
                "createdAt": message["createdAt"] + timedelta(minutes=1),
            }

    def _contacts(self) -> Iterator[Row]:
        pairs = [(one, other) for one in self.users for other in self.users if one is not other]
        for one, other in self.chance.sample(pairs, CONTACTS):
            yield {
                "id": self._id(),
                "userId": one["id"],
                "contactId": other["id"],
                "nickname": self.chance.choice((None, "сосед", "neighbour")),
                "createdAt": one["createdAt"],
            }

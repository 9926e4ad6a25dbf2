"""Finding messages by text, hashtag and mention: the same on both engines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any
from unicodedata import decomposition, normalize

import pytest

import stogram_sdk as sdk
from stogram_sdk.any_case import any_case_pattern, matches, plain_part
from tests.conftest import connected
from tests.support.factories import (
    after,
    insert_chat,
    insert_message,
    make_chat,
    make_message,
    make_user,
    make_users,
)


@pytest.fixture(params=["sqlite", "postgresql", "distributed"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """PostgreSQL once more, with the statements that a distributed database is sent."""
    with connected(request, tmp_path):
        yield request.param


@pytest.fixture
def ivan(engine: str) -> sdk.User:
    return make_user("Ivan_1")


@pytest.fixture
def chat(ivan: sdk.User) -> sdk.Chat:
    return make_chat(ivan)


def found(user: sdk.User, text: str, **options: Any) -> list[str | None]:
    return [row.content for row in sdk.search_messages(user.id, text, **options)]


# --- Text ---

ANY_CASE = [
    ("HELLO", "well, hello there"),
    ("привет", "ПРИВЕТ, мир"),
    ("ЁЛКА", "наша ёлка"),
    ("ΟΔΟΣ", "η οδος"),
    ("οδος", "Η ΟΔΟΣ"),
    ("straße", "Hauptstraße 1"),
    ("STRASSE", "Hauptstraße 1"),
    ("hauptstraße", "HAUPTSTRASSE"),
    ("maẞ", "das Maß"),
    ("istanbul", "İSTANBUL"),
    ("İstanbul", "istanbul"),
    ("İSTANBUL".lower(), "İstanbul"),
    ("istanbul", "İSTANBUL".lower()),
    ("IŞIK", "ışık"),
    ("ﬁn", "FIN"),
    ("ԲԱՐԵՒ", "բարև"),
    ("ქართული", "ᲥᲐᲠᲗᲣᲚᲘ"),
    ("𐐀", "𐐨 Deseret"),
    ("日本", "今日は日本"),
    ("👋🏽", "hi 👋🏽!"),
    ("a  b", "a  b"),
    ("line\nnext", "LINE\nNEXT"),
]


def test_text_is_found_in_any_case(ivan: sdk.User) -> None:
    for text, content in ANY_CASE:
        chat = make_chat(ivan)
        make_message(ivan, chat, "something else")
        make_message(ivan, chat, content)
        assert found(ivan, text, chat_id=chat.id) == [content]


#: Letters that can be written in several ways: Cyrillic, Latin, Vietnamese, Greek, Hangul, signs.
COMPOSED = (
    *(
        "ёлка",
        "Йод и ещё",
        "café",
        "Ünïcödé",
        "tiếng Việt",
        "ệ",
        "Άλφα ΐ",
        "한국어 각",
        "Å",
        "Ω",
        "가나",
    ),
    *("कड़क", "דגּש", "のが", "a;b`c", "straße é"),
)


def spellings(text: str) -> set[str]:
    """The text composed, decomposed, and each letter decomposed by one step."""
    steps = []
    for character in normalize("NFC", text):
        parts = decomposition(character)
        is_plain = not parts or "<" in parts
        steps.append(
            character if is_plain else "".join(chr(int(part, 16)) for part in parts.split())
        )
    return {text, normalize("NFC", text), normalize("NFD", text), "".join(steps)}


@pytest.mark.parametrize("text", COMPOSED)
def test_a_text_is_found_in_every_composition(ivan: sdk.User, text: str) -> None:
    for content in sorted(spellings(text) | spellings(text.upper())):
        chat = make_chat(ivan)
        make_message(ivan, chat, f"ab{content}cd")
        options = {"file_url": "https://files.example/1", "file_name": f"{content}.pdf"}
        make_message(ivan, chat, "file", **options)
        for sought in spellings(text):
            assert found(ivan, sought, chat_id=chat.id) == ["file", f"ab{content}cd"], ascii(
                (sought, content)
            )
            assert found(ivan, f"ab{sought}cd", chat_id=chat.id) == [f"ab{content}cd"]
        assert sdk.list_messages(ivan.id, chat.id)[1].content == f"ab{content}cd", "as written"


def test_every_composed_character_is_found_in_every_composition() -> None:
    for character in map(chr, range(0x30000)):
        forms = {character, normalize("NFC", character), normalize("NFD", character)}
        if len(forms) > 1 and not 0xAC10 < ord(character) < 0xD7A0:  # all syllables are alike
            for sought in forms:
                pattern = any_case_pattern(sought)
                assert all(matches(pattern, form) for form in forms), (ascii(sought), forms)


def test_tags_are_found_in_every_composition(ivan: sdk.User, chat: sdk.Chat) -> None:
    for tag in ("ёжик", "Café", "한국어", "Việt"):
        for content in spellings(tag):
            message = make_message(ivan, chat, f"#{content}")
            for sought in spellings(tag):
                newest = sdk.find_by_hashtag(ivan.id, sought)[0]
                assert newest.id == message.id, ascii((content, sought))


def test_another_letter_is_not_found(ivan: sdk.User, chat: sdk.Chat) -> None:
    """Not even one that looks the same, or the same letter without its accent."""
    make_message(ivan, chat, "E e s а х")
    for text in ("Е", "é", "ə", "ж", "ss", "i", "ё"):
        assert found(ivan, text) == []


def test_every_character_stands_for_itself(ivan: sdk.User, chat: sdk.Chat) -> None:
    make_message(ivan, chat, "plain words and digits 123")
    for text in (*"%_\\^$.|?*+()[]{}'\"-/#&~<>!=:;,@`", "***=", "(?i)", "\\m"):
        message = make_message(ivan, chat, f"before {text} after")
        assert found(ivan, text)[0] == message.content
        assert found(ivan, f"BEFORE {text} ") == [message.content]
        sdk.delete_message(ivan.id, chat.id, message.id)


@pytest.mark.slow
def test_every_letter_is_found_in_each_of_its_cases() -> None:
    for character in map(chr, range(sys.maxunicode)):
        for form in {character.lower(), character.upper(), character.title(), character.casefold()}:
            if form != character:
                assert matches(any_case_pattern(character), form)
                assert matches(any_case_pattern(form), character)


@pytest.mark.slow
def test_the_plain_part_of_a_text_is_there_in_each_of_its_cases() -> None:
    assert plain_part("AbСd, 12_%") == "d, 12_%"  # the third letter is Cyrillic
    assert [plain_part(text) for text in ("kiss", "да", "ﬁ", "")] == [""] * 4
    for character in map(chr, range(0x20000)):
        plain = plain_part(f"ab{character}cd")
        for form in {character.lower(), character.upper(), character.title(), character.casefold()}:
            assert plain in f"AB{form}CD".translate(_LOWER), (character, form)


_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def test_the_longest_text_can_be_searched(ivan: sdk.User, chat: sdk.Chat) -> None:
    for text in ("я" * 1024, "ss" * 512, "%" * 1024, "ﬃ" * 1024, "ế" * 1024):
        make_message(ivan, chat, text.upper())
        make_message(ivan, chat, text[:-1])
        assert found(ivan, text) == [text.upper()]
        with pytest.raises(sdk.InvalidInput, match="text must have 1 to 1024 characters, not 1025"):
            sdk.search_messages(ivan.id, text + "x")


def test_the_name_of_a_file_is_searched_too(ivan: sdk.User, chat: sdk.Chat) -> None:
    sdk.send_message(
        ivan.id,
        chat.id,
        type=sdk.MessageType.FILE,
        file_url="https://x/1",
        file_name="Отчёт_2024.PDF",
    )
    assert found(ivan, "отчёт_2024.pdf") == [None]
    assert found(ivan, "https") == []


def test_a_search_can_be_for_one_type_of_message(ivan: sdk.User, chat: sdk.Chat) -> None:
    make_message(ivan, chat, "text")
    sdk.send_message(
        ivan.id, chat.id, "text of a picture", type=sdk.MessageType.IMAGE, file_url="u"
    )
    assert found(ivan, "text", type=sdk.MessageType.IMAGE) == ["text of a picture"]
    assert found(ivan, "text", type="TEXT") == ["text"]


# --- Hashtags ---


def test_a_hashtag_is_found_however_it_is_written(ivan: sdk.User, chat: sdk.Chat) -> None:
    message = make_message(ivan, chat, "новости #ПРОЕКТ")
    make_message(ivan, chat, "проект, #проекты, #мойпроект")
    for hashtag in ("Проект", "#проект", "＃ПРОЕКТ"):
        assert sdk.find_by_hashtag(ivan.id, hashtag) == [message]


def test_messages_without_tags_are_never_found(ivan: sdk.User, chat: sdk.Chat) -> None:
    insert_message(ivan, chat, hashtags=None, mentions=None)
    insert_message(ivan, chat, hashtags=[], mentions=[])
    assert sdk.find_by_hashtag(ivan.id, "tag") == []
    assert sdk.find_by_mention(ivan.id) == []


# --- Mentions ---


def test_a_mention_is_found_by_default_of_oneself(ivan: sdk.User, chat: sdk.Chat) -> None:
    message = make_message(ivan, chat, "@IVAN_1, look")
    make_message(ivan, chat, "@ivan_12 and ivan@example.com")
    for username in (None, "ivan_1", "@Ivan_1"):
        assert sdk.find_by_mention(ivan.id, username) == [message]


def test_a_name_that_nobody_has_may_be_mentioned(ivan: sdk.User, chat: sdk.Chat) -> None:
    message = make_message(ivan, chat, "ask @nobody")
    assert sdk.find_by_mention(ivan.id, "Nobody") == [message]


# --- Who sees what ---

SEARCHES: dict[str, Callable[..., sdk.Page[sdk.Message]]] = {
    "text": partial(sdk.search_messages, text="tag"),
    "hashtag": partial(sdk.find_by_hashtag, hashtag="tag"),
    "mention": partial(sdk.find_by_mention, username="ivan_1"),
}
every_search = pytest.mark.parametrize("kind", SEARCHES)


@every_search
def test_only_chats_that_the_user_is_in_are_searched(ivan: sdk.User, kind: str) -> None:
    olga, stranger = make_users(2)
    shared, left, theirs = make_chat(olga, ivan), make_chat(olga, ivan), make_chat(olga)
    for place in (shared, left, theirs):
        make_message(olga, place, "#tag @ivan_1")
    sdk.leave_chat(ivan.id, left.id)
    search = SEARCHES[kind]
    assert [row.chat for row in search(ivan.id)] == [shared]
    assert search(stranger.id) == []
    for place, user in ((left, ivan), (theirs, ivan), (shared, stranger)):
        with pytest.raises(sdk.NotFound) as error:
            search(user.id, chat_id=place.id)
        assert (error.value.entity, error.value.id) == ("chat", place.id)


@every_search
def test_a_secret_chat_is_searched_only_by_its_id(
    ivan: sdk.User, chat: sdk.Chat, kind: str
) -> None:
    secret = make_chat(ivan, is_secret=True)
    for place in (chat, secret):
        make_message(ivan, place, "#tag @ivan_1")
    search = SEARCHES[kind]
    assert [row.chat for row in search(ivan.id)] == [chat]
    assert [row.chat for row in search(ivan.id, chat_id=secret.id)] == [secret]
    assert [row.chat for row in search(ivan.id, chat_id=chat.id)] == [chat]


@every_search
def test_only_visible_messages_are_found_as_they_are_now(
    ivan: sdk.User, chat: sdk.Chat, kind: str
) -> None:
    deleted, edited = make_message(ivan, chat, "#tag @ivan_1"), make_message(ivan, chat, "-")
    made_other = make_message(ivan, chat, "#tag @ivan_1")
    make_message(ivan, chat, "#tag @ivan_1", scheduled_for=after(0))
    sdk.delete_message(ivan.id, chat.id, deleted.id)
    sdk.edit_message(ivan.id, chat.id, edited.id, "#tag @ivan_1")
    sdk.edit_message(ivan.id, chat.id, made_other.id, "-")
    search = SEARCHES[kind]
    assert search(ivan.id) == [edited]
    (sent,) = sdk.publish_scheduled()
    assert search(ivan.id) == [sent, edited]


@every_search
def test_what_is_found_comes_with_sender_and_chat(
    ivan: sdk.User, chat: sdk.Chat, kind: str
) -> None:
    make_message(ivan, chat, "#tag @ivan_1")
    (message,) = SEARCHES[kind](ivan.id)
    assert (message.sender.username, message.chat) == ("Ivan_1", chat)


@every_search
def test_pages_hold_everything_once_and_newest_first(ivan: sdk.User, kind: str) -> None:
    chats = [insert_chat(ivan), insert_chat(ivan)]
    sent: list[sdk.Message] = [
        insert_message(
            ivan,
            chats[number % 2],
            "#tag @ivan_1",
            hashtags=["tag"],
            mentions=["ivan_1"],
            created_at=after(number // 3),  # three in one moment
        )
        for number in range(10)
    ]
    in_order = sorted(sent, key=lambda message: (message.created_at, message.id), reverse=True)
    seen: list[sdk.Message] = []
    cursor = None
    while True:
        page = SEARCHES[kind](ivan.id, limit=3, cursor=cursor)
        seen += page
        insert_message(ivan, chats[0], "#tag", hashtags=["tag"], mentions=["ivan_1"])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == in_order


@every_search
def test_a_cursor_is_of_one_kind_of_search(ivan: sdk.User, chat: sdk.Chat, kind: str) -> None:
    for _ in range(2):
        make_message(ivan, chat, "#tag @ivan_1")
    cursor = SEARCHES[kind](ivan.id, limit=1).next_cursor
    for other, search in SEARCHES.items():
        if other != kind:
            with pytest.raises(sdk.InvalidInput, match="a page of the same list"):
                search(ivan.id, cursor=cursor)
    assert len(SEARCHES[kind](ivan.id, cursor=cursor)) == 1

"""Hashtags and mentions in a message's text: what they are, and the keys they are stored by."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING
from unicodedata import normalize

from stogram_sdk.errors import InvalidInput

if TYPE_CHECKING:
    import regex

MAX_TAG_LENGTH = 256
MAX_PER_MESSAGE = 100

# --- Characters. The patterns are in version 1 of `regex`, which can subtract sets ("--"). ---

# Letters of any script, the marks that belong to them, digits and "_". A numeral that is part of
# a script counts as a digit (Ethiopic ፩, Roman Ⅻ); one that is part of none does not (², ½, ①).
# Variation selectors and the keycap U+20E3 are marks too, but they end an emoji, not a word.
_WORD = r"[\p{L}\p{M}\p{N}_--[\p{No}&&\p{Common}]--[\uFE00-\uFE0F\u20E3]]"

# U+0387 is canonically the same character as the middle dot U+00B7.
_MIDDLE_DOT = r"[·\u0387]"

# What a hashtag is made of: besides words also ZWNJ and ZWJ, which join and part letters in
# Persian and Indic words; Japanese signs; the Sinhala block; Hebrew maqaf, geresh and gershayim;
# Tibetan tshegs.
_TAG = (
    rf"[{_WORD}{_MIDDLE_DOT}\u200C\u200D・〜～〃"
    r"\u0D80-\u0DFF\u05BE\u05F3\u05F4\u0F0B\u0F0C]"
)

_SIGN = r"[#＃]"

# --- URLs ---

# What a URL is written with beyond letters and digits (RFC 3986). Without quotes, and with
# brackets only in pairs: in "(https://x.io/a)#tag" the URL ends before the bracket.
_URL_CHARACTER = rf"[{_TAG}{_SIGN}\-.~!$&*+,;=:@/?%]"
_URL_REST = (
    rf"(?:{_URL_CHARACTER}"
    rf"|\({_URL_CHARACTER}*+\)|\[{_URL_CHARACTER}*+\]|\{{{_URL_CHARACTER}*+\}})++"
)

# How the host of a URL without a scheme ends: a dot and a top-level domain, which is two letters
# or more ("x.io", "пример.рф"), so the end of a sentence ("done.#tag") is none.
_TOP_LEVEL_DOMAIN = r"(?:\p{L}[\p{L}\p{M}]{1,62}|xn--[A-Za-z0-9\-]{1,59})"
_HOST_END = (
    rf"(?:[\p{{L}}\p{{M}}\p{{Nd}}]\.{_TOP_LEVEL_DOMAIN}|(?:\d{{1,3}}\.){{3}}\d{{1,3}}|localhost)"
    r"(?::\d{1,5})?"
)

# A URL from where a "#" or "@" can be in it: from "://" on, else from what follows the host.
_URL = rf"(?:(?=://)(?<={_WORD})|(?=[/?#])(?<={_HOST_END})){_URL_REST}"

# --- Hashtags and mentions. A URL matches as a whole, so nothing is found inside it. Repeats are
# possessive ("++") and looking behind is bounded: the time is linear in any text. ---

_HASHTAG = (
    rf"{_URL}"
    rf"|(?<!{_TAG}|{_SIGN}|&)"  # "a#b", "##b" and "&#39;" are none
    rf"{_SIGN}"
    rf"(?!{_MIDDLE_DOT})"
    rf"(?P<word>{_TAG}++)"
    rf"(?!{_SIGN}|://)"  # "#a#b" and "#foo://bar" are none
)

_MENTION = (
    rf"{_URL}"
    rf"|(?<!{_WORD}|{_SIGN}|[!@$%&*])"  # "ivan@example.com" is none
    r"@"
    r"(?P<username>[A-Za-z0-9_]{3,30}+)"
    rf"(?!{_WORD}|@)"  # "@one@two" is none, nor is "@имя" or "@ivanов"
)

# What can be searched: a tag as it is written, or its stored key, where NFKC has made "~" of "～".
_SEARCHED_TAG = rf"(?!{_MIDDLE_DOT})[{_TAG}~]+"
_USERNAME = r"[A-Za-z0-9_]{3,30}"
_LETTER = r"\p{L}"


@cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    """The pattern, compiled when it is first used: a service that starts does not wait for it."""
    import regex

    return regex.compile(pattern, regex.VERSION1)


def extract_hashtags(text: str) -> list[str]:
    """Find the hashtags in a message's text.

    Returns their keys (see `hashtag_key`) without the sign, each once, in order of first
    appearance, at most 100. Raises `InvalidInput` if `text` is not a string.
    """
    matches = _compiled(_HASHTAG).finditer(_string(text, "text"))
    return _first(map(_tag_key, _distinct(match["word"] for match in matches)))


def extract_mentions(text: str) -> list[str]:
    """Find the usernames mentioned in a message's text.

    Returns their keys (see `mention_key`) without the sign, each once, in order of first
    appearance, at most 100. Raises `InvalidInput` if `text` is not a string.
    """
    matches = _compiled(_MENTION).finditer(_string(text, "text"))
    return _first(map(normalize_tag, _distinct(match["username"] for match in matches)))


def hashtag_key(hashtag: str) -> str:
    """Turn a hashtag into the key that it is stored and searched by.

    Returns the same key for `#Tag`, `tag` and `＃ＴＡＧ`, and a key as it is. Raises `InvalidInput`
    if this is no hashtag.
    """
    word = _string(hashtag, "hashtag")
    if word.startswith(("#", "＃")):
        word = word[1:]
    key = _tag_key(word) if _compiled(_SEARCHED_TAG).fullmatch(word) else ""
    if not key:
        raise InvalidInput(
            "a hashtag is letters, digits and '_', at least one of them a letter", field="hashtag"
        )
    return key


def mention_key(username: str) -> str:
    """Turn a username, with or without `@`, into the key that mentions of it are stored by.

    Returns the key. Raises `InvalidInput` if this is no username.
    """
    name = _string(username, "username").removeprefix("@")
    if not _compiled(_USERNAME).fullmatch(name):
        raise InvalidInput("a username is 3 to 30 of A-Z, a-z, 0-9 and '_'", field="username")
    return normalize_tag(name)


def normalize_tag(text: str) -> str:
    """Make text that differs only in case, width or composition the same.

    Returns the NFC of the casefolded NFKC; no accent is removed. Raises `InvalidInput` if `text`
    is not a string.
    """
    return normalize("NFC", normalize("NFKC", _string(text, "text")).casefold())


def _tag_key(word: str) -> str:
    """Return the key of a run of tag characters, "" if it is no tag.

    The key of a key is the key itself, so that what is stored can be searched. `normalize_tag`
    is stable (no character of Unicode changes when it is applied again), but it writes "ŀ" as
    "l·", "ŉ" as "ʼn", "ﷺ" as four words and "ﾞ" as a bare mark. So the key is held to the rules
    of a tag as well: no space, no "·" at the end, no more than 256 characters, a letter in it.
    """
    key = normalize_tag(word[:MAX_TAG_LENGTH])
    if " " in key:
        key = normalize_tag(key.replace(" ", ""))
    key = key[:MAX_TAG_LENGTH].rstrip("·")
    return key if _compiled(_LETTER).search(key) else ""


def _first(keys: Iterable[str]) -> list[str]:
    return list(islice(_distinct(keys), MAX_PER_MESSAGE))


def _distinct(found: Iterable[str | None]) -> Iterable[str]:
    """Return what is not empty, each once: a match that is a URL holds no word."""
    return dict.fromkeys(value for value in found if value)


def _string(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be a str, not {type(value).__name__}", field=field)
    return value

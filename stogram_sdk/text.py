"""Hashtags and mentions in a message's text: what they are, how they are stored and compared.

They are stored as they were first written, since people read them and the server compares them
exactly. Two of them are the same if their keys are. "MessageTag" holds the keys, and every search
by tag compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import is_normalized, normalize

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

# The characters of a hashtag: besides those of words also ZWNJ and ZWJ, which join and part letters
# in Persian and Indic words; Japanese signs; the Sinhala block; Hebrew maqaf, geresh and gershayim;
# Tibetan tshegs.
_TAG = (
    rf"[{_WORD}{_MIDDLE_DOT}\u200C\u200D・〜～〃"
    r"\u0D80-\u0DFF\u05BE\u05F3\u05F4\u0F0B\u0F0C]"
)

_SIGN = r"[#＃]"

# --- URLs ---

# The characters of a URL beyond letters and digits (RFC 3986). Without quotes, and with
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

# A tag to search for: as it is written, or its key, in which NFKC has made "~" of "～".
_SEARCHED_TAG = rf"(?!{_MIDDLE_DOT})[{_TAG}~]+"
_LETTER = r"\p{L}"


# What parts the words of a name: signs and spaces, but not "_".
_BETWEEN_WORDS = r"[\x01-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\xbf\u2000-\u206f\u3000-\u3002]+"
_LONGEST_WORD = 64
#: The words of a display name that are searched.
SEARCHED_WORDS = 3


@cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    """The pattern, compiled at its first use, so that a service starts fast."""
    import regex

    return regex.compile(pattern, regex.VERSION1)


def extract_hashtags(text: str) -> list[str]:
    """Find the hashtags in a message's text.

    Returns them as they are stored: without the sign, as they were first written (in NFC), each
    once, in order of first appearance, at most 100. Two hashtags are the same if their `tag_key`
    is. Raises `InvalidInput` if `text` is not a string.

    >>> extract_hashtags("#Plan, #Шоу and &#35;")
    ['Plan', 'Шоу']
    """
    matches = _compiled(_HASHTAG).finditer(_string(text, "text"))
    return _first((match["word"] for match in matches), _stored)


def extract_mentions(text: str) -> list[str]:
    """Find the usernames mentioned in a message's text.

    Returns them as they are stored: without the sign, as they were first written, each once in any
    case of its letters, in order of first appearance, at most 100. Raises `InvalidInput` if `text`
    is not a string.

    >>> extract_mentions("@boris, ask @maria; not me@example.com")
    ['boris', 'maria']
    """
    matches = _compiled(_MENTION).finditer(_string(text, "text"))
    return _first((match["username"] for match in matches), str)


def tag_key(tag: str) -> str:
    """Turn a hashtag, with or without its sign, into the key that it is compared by.

    Returns the same key for `#Tag`, `tag` and `＃ＴＡＧ`. A key is its own key.
    Raises `InvalidInput` if this is no hashtag.

    >>> tag_key("#Release") == tag_key("＃ＲＥＬＥＡＳＥ")
    True
    """
    return key_of(stored_hashtag(tag, "tag"))


def stored_hashtag(hashtag: str, field: str = "hashtag") -> str:
    """A hashtag, with or without its sign, as it would be stored.

    Raises `InvalidInput` if this is no hashtag.
    """
    word = _string(hashtag, field)
    if word.startswith(("#", "＃")):
        word = word[1:]
    stored = _stored(word) if _compiled(_SEARCHED_TAG).fullmatch(word) else ""
    if not stored:
        raise InvalidInput(
            "a hashtag is letters, digits and '_', at least one of them a letter", field=field
        )
    return stored


def key_of(tag: str) -> str:
    """The key of any tag, also of one that another program has stored; "" if nothing is left.

    The key of a key is the key itself, so that what is stored can be searched. `normalize_tag`
    is stable (no character of Unicode changes when it is applied again), but it writes "ŀ" as
    "l·", "ŉ" as "ʼn", "ﷺ" as four words and "ﾞ" as a bare mark. So the key is held to the rules
    of a tag as well: no space, no "·" at the end, no more than 256 characters.
    """
    key = normalize_tag(tag[:MAX_TAG_LENGTH])
    if " " in key:
        key = normalize_tag(key.replace(" ", ""))
    return key[:MAX_TAG_LENGTH].rstrip("·")


def normalize_tag(text: str) -> str:
    """Make text that differs only in case, width or composition the same.

    Returns the NFC of the casefolded NFKC; no accent is removed. Raises `InvalidInput` if `text`
    is not a string.
    """
    return normalize("NFC", normalize("NFKC", _string(text, "text")).casefold())


def words_of(name: str) -> list[str]:
    """The words of a name, as they are compared: without case, width and what parts them."""
    words = re.split(_BETWEEN_WORDS, normalize_tag(name[:MAX_TAG_LENGTH]))
    return [word[:_LONGEST_WORD] for word in words if word]


def found_word(username: str, display_name: str | None, sought: str) -> str | None:
    """The first of the searched words of a name that begins with a word; None if none does."""
    names = username if display_name is None else f"{username} {display_name}"
    folded = names.casefold()
    # Most names are compared as they are: that takes a fifth of the time.
    is_plain = is_normalized("NFKC", names) and is_normalized("NFC", folded)
    if is_plain and sought not in folded:
        return None
    words = searched_words(username, display_name)
    return next((word for word in words if word.startswith(sought)), None)


def searched_words(username: str, display_name: str | None) -> list[str]:
    """The words by which somebody is found, in the order in which they are tried."""
    return [*words_of(username)[:1], *words_of(display_name or "")[:SEARCHED_WORDS]]


def _stored(word: str) -> str:
    """A run of tag characters as it is stored; "" if it has no letter, and so is no tag."""
    stored = normalize("NFC", word[:MAX_TAG_LENGTH])[:MAX_TAG_LENGTH].rstrip("·")
    return stored if _compiled(_LETTER).search(key_of(stored)) else ""


def _first(found: Iterable[str | None], stored: Callable[[str], str]) -> list[str]:
    """The first hundred tags that are found, as they are stored, each key once."""
    distinct: dict[str, str] = {}
    for each in dict.fromkeys(found):
        tag = stored(each) if each else ""  # a match that is a URL holds no word
        if tag:
            distinct.setdefault(key_of(tag), tag)
        if len(distinct) == MAX_PER_MESSAGE:
            break
    return list(distinct.values())


def _string(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be a str, not {type(value).__name__}", field=field)
    return str.__str__(value)  # the characters alone: a subclass may cut it in a way of its own

"""Finding a text in any case of its letters and in any composition, the same on both engines.

The locale of a PostgreSQL database may know the case of ASCII letters only, and SQLite's LIKE knows
no others. So neither is asked. Three letters show why a letter has more than two forms:

======  ============================  ======================================================
sought  finds                         why
======  ============================  ======================================================
ß       ß, ẞ, ss, SS, sS              upper case writes one letter with two
i       i, I, ı, İ, and i with a dot  Turkish has four letters i, which count as one here
k       k, K, and the kelvin sign K   a sign of another kind has the letter as its lower case
======  ============================  ======================================================

A text is sought in its composed form (NFC), and every letter stands for all its canonically equal
spellings: "й" is also "и" with a breve, as macOS writes names of files, and a syllable of Hangul
its letters. So texts are stored as they came, and a search in ASCII costs nothing for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from functools import cache, lru_cache
from itertools import groupby, permutations, product

#: More than these make a query of FTS5 slower, not better.
_MOST_FORMS, _MOST_TRIGRAMS = 30, 30

#: The text that one character stands for is at most so long in lower case: "ﬃ" is "ffi".
_LONGEST_LETTER = 3

#: For `re`, characters of the text times those of the pattern: some milliseconds at the worst.
_MOST_STEPS = 100_000

_DOT_ABOVE = "\u0307"


def any_case_pattern(text: str) -> str:
    """A regular expression that finds the text in any case, the same in Python and PostgreSQL.

    Every letter becomes the class of its own case forms, in each of their spellings.
    """
    pattern = ""
    for letter in _letters(text):
        spelled = ["".join(map(_any_case, parts)) for parts in _parted(letter)]
        if len(letter) == 1:
            pattern += spelled[0]
        else:
            spelled.append(_any_spelling(_forms(letter)))
            pattern += f"(?:{'|'.join(dict.fromkeys(spelled))})"
    return pattern


def plain_part(text: str) -> str:
    """The longest part of the text for whose case A-Z are enough, in lower case.

    It may be empty. K, S and I end such a part, since they have forms in other alphabets.
    """
    forms = _case_forms()
    runs = groupby(
        _letters(text),
        lambda letter: (
            len(letter) == 1
            and (forms.get(letter) or letter).isascii()
            and letter not in _equal_characters()
        ),
    )
    return max(("".join(run) for is_plain, run in runs if is_plain), key=len, default="")


def any_case_like(text: str) -> str:
    """A pattern for PostgreSQL's ILIKE, which finds the text in rows without odd characters."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", _composed(text)) + "%"


def any_case_trigrams(text: str) -> str | None:
    """A query of SQLite's FTS5 that finds at least what `any_case_pattern` does.

    None if the text has no three characters in a row that have few forms each.
    """
    letters = [_spellings(letter) for letter in _letters(text)]
    terms: dict[str, None] = {}
    for place in range(len(letters)):
        starts = {""}
        for spellings in letters[place : place + 3]:
            starts = {(start + spelling)[:3] for start in starts for spelling in spellings}
        if all(len(start) == 3 for start in starts) and len(starts) <= _MOST_FORMS:
            quoted = ('"' + start.replace('"', '""') + '"' for start in sorted(starts))
            terms[f"({' OR '.join(quoted)})"] = None
    return " AND ".join(list(terms)[:_MOST_TRIGRAMS]) or None


def matches(pattern: str, text: str | None) -> bool:
    """SQLite's side of `Dialect.matches`."""
    if text is None:
        return False
    if len(pattern) * len(text) > _MOST_STEPS:
        return _matches_a_long(text, *_spelled(pattern))
    return re.search(pattern, text) is not None


def _matches_a_long(text: str, places: dict[str, int], end: int) -> bool:
    """The same in a time that grows with the text alone; other threads run meanwhile.

    `re` would begin again at each character. Here one pass follows all beginnings at once: bit n of
    a number says that the first n pieces of the pattern end at this character.
    """
    lengths = sorted({len(spelled) for spelled in places})
    reached = deque([1], maxlen=lengths[-1])
    for stop in range(1, len(text) + 1):
        ends = 1
        for length in lengths:
            if length <= len(reached):
                follows = places.get(text[stop - length : stop], 0)
                ends |= (reached[-length] & follows) << 1
        if ends & end:
            return True
        reached.append(ends)
    return False


@lru_cache(maxsize=16)
def _spelled(pattern: str) -> tuple[dict[str, int], int]:
    """The places of each spelling among the pieces of the pattern, and of their end, as bits."""
    pieces, _ = _pieces(pattern, 0)
    places: dict[str, int] = {}
    for number, spellings in enumerate(pieces):
        for spelled in spellings:
            places[spelled] = places.get(spelled, 0) | 1 << number
    return places, 1 << len(pieces)


def _pieces(pattern: str, place: int) -> tuple[list[set[str]], int]:
    """The spellings of each piece, from this place on to the end of its group; and that end."""
    pieces: list[set[str]] = []
    while place < len(pattern) and pattern[place] not in "|)":
        if pattern.startswith("(?:", place):
            spellings: set[str] = set()
            place += 2
            while pattern[place] != ")":
                inner, place = _pieces(pattern, place + 1)
                spellings |= set(map("".join, product(*inner)))
        elif pattern[place] == "[":
            start, place = place + 1, pattern.index("]", place)
            spellings = set(pattern[start:place])
        else:
            place += pattern[place] == "\\"
            spellings = {pattern[place]}
        place += 1
        if pattern.startswith("?", place):
            # What may be left out belongs to the piece before it.
            spellings = {before + each for before in pieces.pop() for each in ("", *spellings)}
            place += 1
        pieces.append(spellings)
    return pieces, place


def _letters(text: str) -> list[str]:
    """The folded text in pieces: each character, or the text that one character may stand for."""
    folded = _composed(text)
    letters: list[str] = []
    place = 0
    while place < len(folded):
        letters.append(_letter_at(folded, place))
        place += len(letters[-1])
    return letters


def _letter_at(folded: str, place: int) -> str:
    """The longest piece there that one character may stand for; else the character itself."""
    for length in range(_LONGEST_LETTER, 1, -1):
        piece = folded[place : place + length]
        if len(piece) == length and (piece in _case_forms() or piece in _equal_characters()):
            return piece
    return folded[place]


def _any_case(folded: str) -> str:
    if folded.isascii() and not folded.isalnum() and folded not in _equal_characters():
        return f"\\{folded}"
    # The dot of a Turkish İ becomes a character of its own in lower case.
    dot = f"{_DOT_ABOVE}?" if folded == "i" else ""
    return _any_spelling(_forms(folded)) + dot


def _forms(letter: str) -> str:
    """The characters that stand for the letter, or for the piece of several."""
    alone = letter if len(letter) == 1 else ""
    return _case_forms().get(letter, alone) + _equal_characters().get(letter, "")


def _any_spelling(characters: str) -> str:
    """The pattern of any of the characters, in each of its spellings."""
    heads: dict[str, str] = {}
    for character in characters:
        for spelled in sorted(_canonical_spellings(character)):
            heads[spelled[1:]] = heads.get(spelled[1:], "") + spelled[0]
    if list(heads) == [""] and len(heads[""]) == 1:
        return heads[""]
    classes = [f"[{firsts}]{marks}" for marks, firsts in heads.items()]
    return classes[0] if len(classes) == 1 else f"(?:{'|'.join(classes)})"


def _spellings(letter: str) -> set[str]:
    """The spellings of the letter in the pattern, each once as FTS5 tells them apart."""
    if len(letter) > 1:
        spelled = {""}
        for character in letter:
            spelled = {start + end for start in spelled for end in _spellings(character)}
        equal = {each for form in _forms(letter) for each in _canonical_spellings(form)}
        return spelled | {"".join(map(_simply_folded, each)) for each in equal}
    forms = {
        "".join(map(_simply_folded, spelled))
        for form in _forms(letter)
        for spelled in _canonical_spellings(form)
    }
    return forms | {form + _DOT_ABOVE for form in forms} if letter == "i" else forms


def _simply_folded(character: str) -> str:
    """The character without case, if FTS5 folds it in the same way; its Unicode is an old one."""
    folded = character.casefold()
    is_old = unicodedata.ucd_3_2_0.category(character) != "Cn"
    return folded if len(folded) == 1 and is_old else character


def _composed(text: str) -> str:
    """The text as it is sought: composed and without case."""
    # Not composed first: that would put the iota of Greek below a letter before its accent. What
    # is composed then may be parted again by its case.
    return _fold(unicodedata.normalize("NFC", _fold(text)))


def _parted(letter: str) -> list[str]:
    """The piece of folded text, and what it can be composed to in part."""
    composed = unicodedata.normalize("NFC", letter)
    if len(letter) == 1 or len(composed) > 1:
        return [letter]
    return [letter, *sorted(_canonical_spellings(composed) - {letter})]


@lru_cache(maxsize=4096)
def _canonical_spellings(character: str) -> set[str]:
    """All texts that are canonically equal to the composed character, itself among them."""
    parted = unicodedata.normalize("NFD", character)
    spelled = {character, *_equal_characters().get(character, "")}
    base, marks = parted[0], parted[1:]
    for order in set(permutations(marks)) if marks else ():
        if unicodedata.normalize("NFD", base + "".join(order)) != parted:
            continue
        for count in range(len(order) + 1):
            head = unicodedata.normalize("NFC", base + "".join(order[:count]))
            if len(head) == 1:
                spelled.add(head + "".join(order[count:]))
    return spelled


@cache
def _equal_characters() -> dict[str, str]:
    """For a composed text, the characters that are the same: the sign for ohm is an omega."""
    equal: dict[str, str] = {}
    for character in map(chr, range(0x30000)):  # none beyond these is composed of others
        parts = unicodedata.decomposition(character)
        if parts and "<" not in parts:
            composed = unicodedata.normalize("NFC", character)
            if composed != character:
                equal[composed] = equal.get(composed, "") + character
    return equal


def _fold(text: str) -> str:
    """The text without case; the four Turkish letters i count as one."""
    return text.upper().casefold().replace(f"i{_DOT_ABOVE}", "i")


@cache
def _case_forms() -> dict[str, str]:
    """For each result of `_fold`, the characters that have it: they differ by case only."""
    forms: dict[str, str] = {}
    for character in map(chr, range(0x20000)):  # no letter beyond these has a case
        folded = _fold(character)
        if folded != character:
            forms[folded] = forms.get(folded, folded if len(folded) == 1 else "") + character
    return forms

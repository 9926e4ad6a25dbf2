"""Finding people by the beginning of a word of their name."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from peewee import SQL, Join, NodeList, Select, Table, Tuple, Value, fn

from stogram_sdk.any_case import any_case_pattern, plain_part
from stogram_sdk.errors import InvalidInput
from stogram_sdk.models import SEARCHED_NAMES, User
from stogram_sdk.operations import operation
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.profiles import Profile, read_profile, with_profiles
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.text import words_of
from stogram_sdk.validation import (
    MAX_LIMIT,
    MAX_SHORT_TEXT_LENGTH,
    valid_id,
    valid_limit,
    valid_text,
)
from stogram_sdk.visibility import has_blocked

#: After every word that begins with another one.
_END = "\U0010ffff"
#: So many words of the text are looked for.
_MOST_WORDS = 5
#: So many users are asked for at most, with one more than are on a page.
_SIZES = (51, MAX_LIMIT + 1)
#: One of these, or nothing, stands before a word, as far as the other words of a text go.
_BEFORE_A_WORD = "[ ,.(/\"'-]"


@statement
def _search_users(others: int, most: int) -> Any:
    """The users in the order of the word that is found.

    `others`: how many words there are more. `most`: how many users are asked for at most.
    """
    ctes = []
    if dialect().has_own_indexes:
        sought = _sought()
        found = _found_by_index(sought, others, most)
        ctes.append(sought)
    else:
        found = _found_by_table(others)
    people = User.select(found.c.word).join(found, on=(User.id == found.c.id))
    return with_profiles(people, User).order_by(found.c.word, found.c.id).with_cte(*ctes)


def _sought() -> Any:
    """The first and the last of the words that begin with the one of the text, folded once."""
    start = _word(P.word, 1)
    ends = start.alias("start"), start.concat(Value(_END)).alias("end")
    return Select(columns=ends).cte("sought", materialized=True)


def _found_by_index(sought: Any, others: int, most: int) -> Any:
    """Each word of a name has an index in the order of the page, and a page of each is read.

    A user of whom several words begin so is found by the first of these.
    """
    # Queries: so the word is not known when the statement is planned. With that and a limit that
    # is known, PostgreSQL plans once, and not at each call.
    start, end = (Select((sought,), [each]) for each in (sought.c.start, sought.c.end))
    pages = []
    for place in range(len(SEARCHED_NAMES)):
        user: Any = User.alias()
        *before, word = [
            _word(getattr(user, field.name), number)
            for field, number in SEARCHED_NAMES[: place + 1]
        ]
        found_before = [
            fn.COALESCE((each >= start) & (each < end), SQL("false")) for each in before
        ]
        pages.append(
            user.select(word.alias("word"), user.id.alias("id"))
            .where(
                # One bound: with two, PostgreSQL may begin at the one that is further away.
                Tuple(word, user.id) > Tuple(fn.GREATEST(P.after, start), P.after_id),
                word < end,
                *(~each for each in found_before),
                *_is_shown(user.id, _name_of(user), others),
            )
            .order_by(word, user.id)
            .limit(most)
        )
    merged = reduce(add, pages).order_by(SQL("1, 2")).limit(P.limit)
    return merged.alias("found")


def _word(name: Any, number: int) -> Any:
    """A word of a name, as the indexes have it."""
    home = f'"{User._meta.schema}".' if User._meta.schema else ""
    return NodeList([SQL(f"{home}stogram_word("), name, SQL(f' COLLATE "C", {number})')], glue="")


def _found_by_table(others: int) -> Any:
    """The same by SQLite's table of words; names that it notes are read, see `sqlite_words`."""
    kept, earlier, noted = (Table("UserWord", alias=name) for name in ("kept", "earlier", "noted"))
    end = P.word.concat(Value(_END))
    found_before = earlier.select(SQL("1")).where(
        earlier.c.userId == kept.c.userId,
        earlier.c.place < kept.c.place,
        earlier.c.word >= P.word,
        earlier.c.word < end,
    )
    page = _page_of(kept, kept.c.userId, kept.c.word, kept.c.name, others)
    page = page.where(kept.c.word < end, ~fn.EXISTS(found_before))
    user = User.alias()
    word = fn.stogram_found_word(user.username, user.display_name, P.word)
    new = Join(noted, user, on=(user.id == noted.c.userId))
    read = _page_of(new, user.id, word, _name_of(user), others)
    read = read.where(noted.c.word == "", word.is_null(False))
    pages = [Select((each.alias("page"),), [SQL("word, id")]) for each in (page, read)]
    merged = reduce(add, pages).order_by(SQL("1, 2")).limit(P.limit)
    return merged.alias("found")


def _page_of(source: Any, user_id: Any, word: Any, name: Any, others: int) -> Any:
    """The users in the order of the word of theirs."""
    return (
        Select((source,), [word.alias("word"), user_id.alias("id")])
        .where(
            # One bound, as above.
            Tuple(word, user_id) > Tuple(fn.MAX(P.after, P.word), P.after_id),
            *_is_shown(user_id, name, others),
        )
        .order_by(word, user_id)
        .limit(P.limit)
    )


def _name_of(user: Any) -> Any:
    """All words of a user, each after a space or another of `_BEFORE_A_WORD`."""
    return Value(" ").concat(user.username).concat(" ").concat(fn.COALESCE(user.display_name, ""))


def _is_shown(user_id: Any, name: Any, others: int) -> list[Any]:
    """Not oneself, nobody who has blocked the one who asks, and with all other words."""
    return [
        user_id != P.user_id,
        ~has_blocked(user_id, P.user_id),
        *(
            dialect().matches(name, getattr(P, f"pattern_{each}"), getattr(P, f"plain_{each}"))
            for each in range(others)
        ),
    ]


@operation(reads=True)
def search_users(
    user_id: str, text: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Profile]:
    """The people of whom a word begins with each word of the text, in any case and any script.

    A word is the username, or one of the first three of the display name. So "ann pet" finds Anna
    Petrova. The longest word of the text decides the order: by the word that it has found, so who
    has just that word comes first. Neither oneself nor anybody who has blocked the user is found.
    Returns profiles as the user may see them. Raises `InvalidInput`, also for a text without a
    letter or digit.

    >>> [found.username for found in search_users(anna.id, "bor")]
    ['boris']
    """
    valid_id(user_id, "user_id")
    valid_text(text, "text", maximum=MAX_SHORT_TEXT_LENGTH)
    valid_limit(limit)
    words = sorted(dict.fromkeys(words_of(text)[:_MOST_WORDS]), key=len, reverse=True)
    if not words:
        raise InvalidInput("text must hold a letter or a digit", field="text")
    sought, *others = words
    values: dict[str, str] = {"word": sought}
    for number, word in enumerate(others):
        values[f"pattern_{number}"] = _BEFORE_A_WORD + any_case_pattern(word)
        values[f"plain_{number}"] = plain_part(word)
    after, after_id = read_cursor(cursor, "users", ("", ""))
    most = next(size for size in _SIZES if limit < size)
    rows = _search_users.variant(others=len(others), most=most).all(
        user_id=user_id, after=after, after_id=after_id, limit=limit + 1, **values
    )
    page = make_page(rows, limit, "users", lambda row: (row[0], row[1]))
    return Page([read_profile(row) for row in page], page.next_cursor)

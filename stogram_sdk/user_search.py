"""Finding people by the beginning of a word of their name."""

from __future__ import annotations

from functools import reduce
from operator import add, and_, or_
from typing import Any

from peewee import JOIN, SQL, Case, Join, NodeList, Select, Table, Tuple, Value, fn

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
#: Another word that fewer people have is looked up by itself, for all of them.
_RARE = 2_000


@statement
def _search_users(others: int, most: int) -> Any:
    """The users in the order of the word that is found.

    Where all other words are common, a page is read in that order, and each name compared with
    them. Else whoever has a rare one is looked up.

    `others`: how many words there are more. `most`: how many users are asked for at most.
    """
    by_index = dialect().has_own_indexes
    found, ctes = _found_by_index(others, most) if by_index else _found_by_table(others)
    people = User.select(found.c.word).join(found, on=(User.id == found.c.id))
    return with_profiles(people, User).order_by(found.c.word, found.c.id).with_cte(*ctes)


def _found_by_index(others: int, most: int) -> tuple[Any, list[Any]]:
    """Each word of a name has an index in the order of the page, and a page of each is read.

    A user of whom several words begin so is found by the first of these.
    """
    # Folded once; and in queries, so the words are not known when the statement is planned. With
    # that and limits that are known, PostgreSQL plans once, and not at each call.
    folded = [_word(P.word, 1), *(_word(getattr(P, f"other_{n}"), 1) for n in range(others))]
    names = [f"start_{number}" for number in range(len(folded))]
    sought: Any = Select(columns=folded).cte("sought", columns=names, materialized=True)
    starts = [getattr(sought.c, name) for name in names]
    ranges = [
        (Select((sought,), [start]), Select((sought,), [start.concat(Value(_END))]))
        for start in starts
    ]
    rare = [_having(ranges[n + 1]).cte(f"rare_{n}", materialized=True) for n in range(others)]
    pages = [_page_by_index(place, ranges, most, rare) for place in range(len(SEARCHED_NAMES))]
    pages += [_looked_up(ranges, rare, number) for number in range(others)]
    merged = reduce(add, pages).order_by(SQL("1, 2")).limit(P.limit)
    return merged.alias("found"), [sought, *rare]


def _page_by_index(place: int, ranges: list[Any], most: int, rare: list[Any]) -> Any:
    user: Any = User.alias()
    words = _words(user)
    word, (start, end) = words[place], ranges[0]
    return (
        user.select(word.alias("word"), user.id.alias("id"))
        .where(
            # One bound: with two, PostgreSQL may begin at the one that is further away.
            Tuple(word, user.id) > Tuple(fn.GREATEST(P.after, start), P.after_id),
            word < end,
            *(~_begins(each, ranges[0]) for each in words[:place]),
            *_is_shown(user.id),
            *(reduce(or_, [_begins(each, other) for each in words]) for other in ranges[1:]),
            *(~is_rare for is_rare in _are_rare(rare)),
        )
        .order_by(word, user.id)
        .limit(most)
    )


def _having(sought: Any) -> Any:
    """Those of whom a word begins so, up to `_RARE`."""
    found = []
    for place in range(len(SEARCHED_NAMES)):
        user: Any = User.alias()
        word = _words(user)[place]
        found.append(
            user.select(user.id.alias("id")).where(word >= sought[0], word < sought[1]).limit(_RARE)
        )
    return Select([reduce(add, found).alias("having")], [SQL("id")]).limit(_RARE)


def _are_rare(rare: list[Any]) -> list[Any]:
    return [Value(_RARE) > each.select(fn.COUNT(SQL("*"))) for each in rare]


def _is_first_rare(rare: list[Any], number: int) -> list[Any]:
    """Whether this word is rare, and none before it."""
    *before, is_rare = _are_rare(rare[: number + 1])
    return [is_rare, *(~each for each in before)]


def _looked_up(ranges: list[Any], rare: list[Any], number: int) -> Any:
    """The same for those who have a rare word."""
    user: Any = User.alias()
    names = [f"word_{place}" for place in range(len(SEARCHED_NAMES))]
    columns = [word.alias(name) for name, word in zip(names, _words(user), strict=True)]
    # With the offset, PostgreSQL makes each word once.
    named: Any = (
        user.select(user.id.alias("id"), *columns)
        .where(user.id.in_(rare[number].select(rare[number].c.id)))
        .where(*_is_first_rare(rare, number))
        .offset(0)
        .alias("named")
    )
    words = [getattr(named.c, name) for name in names]
    found = Case(None, [(_begins(word, ranges[0]), word) for word in words])
    return (
        Select([named], [found.alias("word"), named.c.id])
        .where(
            Tuple(found, named.c.id) > Tuple(P.after, P.after_id),
            *_is_shown(named.c.id),
            *(reduce(or_, [_begins(each, other) for each in words]) for other in ranges[1:]),
        )
        .order_by(SQL("1, 2"))
        .limit(P.limit)
    )


def _words(user: Any) -> list[Any]:
    return [_word(getattr(user, field.name), number) for field, number in SEARCHED_NAMES]


def _word(name: Any, number: int) -> Any:
    """A word of a name, as the indexes have it."""
    home = f'"{User._meta.schema}".' if User._meta.schema else ""
    return NodeList([SQL(f"{home}stogram_word("), name, SQL(f' COLLATE "C", {number})')], glue="")


def _begins(word: Any, sought: Any) -> Any:
    start, end = sought
    return fn.COALESCE((word >= start) & (word < end), SQL("false"))


def _found_by_table(others: int) -> tuple[Any, list[Any]]:
    """The same by SQLite's table of words; names that it notes are read, see `sqlite_words`."""
    kept, earlier, noted = (Table("UserWord", alias=name) for name in ("kept", "earlier", "noted"))
    sought = [P.word, *(getattr(P, f"other_{number}") for number in range(others))]
    found_before = earlier.select(SQL("1")).where(
        earlier.c.userId == kept.c.userId,
        earlier.c.place < kept.c.place,
        *_in_range(earlier, P.word),
    )
    rare = [
        _having_in_table(word).cte(f"rare_{n}", materialized=True)
        for n, word in enumerate(sought[1:])
    ]
    is_found = [~fn.EXISTS(found_before), *(_has_word(kept, word) for word in sought[1:])]
    end = P.word.concat(Value(_END))
    # Where a word is rare, an end before all words: for a condition SQLite would read them all. And
    # where it is not, below, a user who is nobody.
    end_of_page = Case(None, [(is_rare, "") for is_rare in _are_rare(rare)], end) if rare else end
    page = _page_of(kept, kept.c.userId, kept.c.word)
    pages = [page.where(*is_found, kept.c.word < end_of_page)]
    for number, each in enumerate(rare):
        looked_up = _page_of(Join(each, kept, JOIN.CROSS), kept.c.userId, kept.c.word)
        user_id = Case(None, [(reduce(and_, _is_first_rare(rare, number)), each.c.userId)])
        pages.append(looked_up.where(kept.c.userId == user_id, kept.c.word < end, *is_found))
    user = User.alias()
    words = [fn.stogram_found_word(user.username, user.display_name, word) for word in sought]
    new = Join(noted, user, on=(user.id == noted.c.userId))
    read = _page_of(new, user.id, words[0]).where(noted.c.word == "")
    pages.append(read.where(*(word.is_null(False) for word in words)))
    shown = [Select((each.alias("page"),), [SQL("word, id")]) for each in pages]
    merged = reduce(add, shown).order_by(SQL("1, 2")).limit(P.limit)
    return merged.alias("found"), rare


def _in_range(table: Any, word: Any) -> tuple[Any, Any]:
    return table.c.word >= word, table.c.word < word.concat(Value(_END))


def _having_in_table(word: Any) -> Any:
    having = Table("UserWord", alias="having")
    return having.select(having.c.userId).distinct().where(*_in_range(having, word)).limit(_RARE)


def _has_word(kept: Any, word: Any) -> Any:
    other = Table("UserWord", alias="other")
    found = other.select(SQL("1")).where(other.c.userId == kept.c.userId, *_in_range(other, word))
    return fn.EXISTS(found)


def _page_of(source: Any, user_id: Any, word: Any) -> Any:
    """The users in the order of the word of theirs."""
    return (
        Select((source,), [word.alias("word"), user_id.alias("id")])
        .where(
            # One bound, as above.
            Tuple(word, user_id) > Tuple(fn.MAX(P.after, P.word), P.after_id),
            *_is_shown(user_id),
        )
        .order_by(word, user_id)
        .limit(P.limit)
    )


def _is_shown(user_id: Any) -> list[Any]:
    """Not oneself, and nobody who has blocked the one who asks."""
    return [user_id != P.user_id, ~has_blocked(user_id, P.user_id)]


@operation(reads=True)
def search_users(
    user_id: str, text: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Profile]:
    """The people who have, for each word of the text, a name that begins with it.

    The names of a person are the username and the first three words of the display name. They may
    be in any script, and case does not matter: "ann pet" finds Anna Petrova. Only the first five
    words of the text count. People come in the order of the names that the longest word of the text
    has found, so those with just that name come first. Neither the user nor anybody who has blocked
    the user is found. Returns profiles as the user may see them. Raises `InvalidInput`, also for a
    text without a letter or digit.

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
    values = {"word": sought, **{f"other_{n}": word for n, word in enumerate(others)}}
    after, after_id = read_cursor(cursor, "users", ("", ""))
    most = next(size for size in _SIZES if limit < size)
    rows = _search_users.variant(others=len(others), most=most).all(
        user_id=user_id, after=after, after_id=after_id, limit=limit + 1, **values
    )
    page = make_page(rows, limit, "users", lambda row: (row[0], row[1]))
    return Page([read_profile(row) for row in page], page.next_cursor)

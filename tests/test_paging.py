"""Cursors. That pages hold everything once is in test_contract and with each list."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stogram_sdk as sdk
from stogram_sdk.paging import START, make_page, read_cursor, write_cursor
from tests.support.factories import after, insert_message, make_chat, make_user

PLACE = (after(1), "m1")


def cursor_of(*parts: str) -> str:
    return base64.urlsafe_b64encode("\0".join(parts).encode()).decode().rstrip("=")


def test_a_page_is_a_list_with_a_cursor() -> None:
    page = make_page([1, 2, 3], 2, "numbers", lambda number: (after(number), str(number)))
    assert page == [1, 2] and isinstance(page, sdk.Page) and isinstance(page, list)
    assert read_cursor(page.next_cursor, "numbers") == (after(2), "2")
    assert make_page([1, 2], 2, "numbers", lambda number: ()).next_cursor is None


def test_without_a_cursor_the_list_is_at_its_start() -> None:
    assert read_cursor(None, "messages") == START


@given(
    st.tuples(
        st.booleans(),
        st.datetimes(timezones=st.just(UTC)),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1),
    )
)
def test_a_cursor_is_read_as_it_was_written(place: tuple[bool, datetime, str]) -> None:
    flag, moment, id = place
    id = id[:128]
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    cursor = write_cursor("list", (flag, moment, id))
    assert cursor.isascii() and cursor.replace("-", "").replace("_", "").isalnum()
    assert read_cursor(cursor, "list", (True, *START)) == (flag, moment, id)


@pytest.mark.parametrize(
    "cursor",
    [
        write_cursor("other", PLACE),
        write_cursor("list", (after(1),)),
        write_cursor("list", (after(1), "m1", "m2")),
        write_cursor("list", ("m1", after(1))),
        write_cursor("list", (True, "m1")),
        write_cursor("list", (after(1), "")),
        write_cursor("list", (after(1), "a\x00b")),
        write_cursor("list", (after(1), "m" * 129)),
        write_cursor("list", PLACE)[:-1],
        write_cursor("list", PLACE) + "=",
        write_cursor("list", PLACE) + "\n",
        " " + write_cursor("list", PLACE),
        cursor_of("list", "2024-01-01 00:00:00", "m1"),
        cursor_of("list", "2024-13-01 00:00:00.000", "m1"),
        cursor_of("list", "infinity", "m1"),
        cursor_of("list", "", "m1"),
        cursor_of("list"),
        cursor_of(""),
        cursor_of('["list","2024-01-01 00:00:00.000","m1"]'),
        base64.urlsafe_b64encode(b"\0" * 3000).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        "",
        "m1",
        "../../etc/passwd",
        "é",
        "\ud800",
        "a" * 5000,
        5,
        b"bytes",
        ["m1"],
    ],
    ids=str,
)
def test_what_is_no_cursor_of_this_list_is_refused(cursor: Any) -> None:
    with pytest.raises(sdk.InvalidInput, match="cursor must be the next_cursor of a page") as error:
        read_cursor(cursor, "list")
    assert error.value.field == "cursor"


@pytest.mark.parametrize("flag", ["", "1", "true", "TRUE", "None"])
def test_a_flag_has_one_form(flag: str) -> None:
    cursor = cursor_of("list", flag, "2024-01-01 00:00:00.000", "m1")
    with pytest.raises(sdk.InvalidInput):
        read_cursor(cursor, "list", (True, *START))


def test_a_cursor_gives_no_access(engine: str) -> None:
    ivan, olga = make_user(), make_user()
    theirs, own = make_chat(olga), make_chat(ivan)
    for number in range(3):
        insert_message(olga, theirs, created_at=after(number))
        insert_message(ivan, own, created_at=after(number - 0.5))
    cursor = sdk.list_messages(olga.id, theirs.id, limit=2).next_cursor
    page = sdk.list_messages(ivan.id, own.id, cursor=cursor)
    assert [row.created_at for row in page] == [after(0.5), after(-0.5)]
    assert {row.chat_id for row in page} == {own.id}
    with pytest.raises(sdk.NotFound):
        sdk.list_messages(ivan.id, theirs.id, cursor=cursor)

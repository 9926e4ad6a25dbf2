"""The studio with more rows: pages, and what they cost."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

import stogram_sdk as sdk
from stogram_sdk.studio import rows
from stogram_sdk.studio.tables import TABLES
from tests.support.factories import insert_message, make_user, sent_statements
from tests.support.studio import Cast, make_cast, reader, text_of


@pytest.fixture
def cast(engine: str) -> Cast:
    return make_cast()


@pytest.fixture
def client(cast: Cast) -> FlaskClient:
    return reader()


def test_values_are_readable(client: FlaskClient, cast: Cast) -> None:
    sdk.User.update(status=sdk.UserStatus.DO_NOT_DISTURB).where(
        sdk.User.id == cast.anna.id
    ).execute()
    shown = text_of(client, f"/user/details/?id={cast.anna.id}")
    assert "Do not disturb" in shown
    assert f"{cast.anna.created_at:%Y-%m-%d %H:%M:%S}" in shown
    assert "Created at (UTC)" in shown
    assert "Video call, calling" in text_of(client, "/callparticipant/")


def test_a_search_by_id(client: FlaskClient, cast: Cast) -> None:
    assert "Anna Petrova" in text_of(client, f"/?words={cast.anna.id}")
    assert "The plan for our" in text_of(client, f"/message/?search={cast.plan.id}")
    assert "Release team" in text_of(client, "/chatmember/?search=maria")


def test_endless_words_are_refused_at_once(client: FlaskClient) -> None:
    for path in ("/", "/message/"):
        words = {"words": "ß" * 20_000, "search": "ß" * 20_000}
        refused = client.get(path, query_string=words)
        assert refused.status_code == 400
        assert "0 to 1024 characters" in refused.text


@pytest.mark.parametrize(
    ("query", "found", "hidden"),
    [
        ("message/?flt0_content_contains=PLAN", "The plan", "Как дела"),
        ("message/?flt0_type_is=IMAGE", "no items", "The plan"),
        ("message/?flt0_edited_is=0", "The plan", "no items"),
        ("message/?flt0_seen_by_members_is=0", "no items", "The plan"),
        ("message/?flt0_created_at_utc_since=2000-01-01 00:00:00", "The plan", "no items"),
        ("message/?flt0_created_at_utc_before=2000-01-01", "no items", "The plan"),
        ("message/?flt0_created_at_utc_before=yesterday", "The plan", "no items"),
        ("folder/?flt0_order_at_least=1", "no items", "#0088cc"),
        ("chat/?flt0_name_is=Release team", "Release team", "boris (private)"),
        ("user/?sort=0", "boris", "no items"),
    ],
)
def test_a_list_is_narrowed_down(client: FlaskClient, query: str, found: str, hidden: str) -> None:
    shown = text_of(client, f"/{query}").replace("There are no items", "no items")
    assert found in shown and hidden not in shown


def test_a_time_is_in_the_zone_that_it_names(client: FlaskClient, cast: Cast) -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    sdk.Message.update(created_at=noon).where(sdk.Message.id == cast.plan.id).execute()
    for before, is_shown in (
        ("2024-01-01T12:00:00.001", True),
        ("2024-01-01T12:00:00", False),
        ("2024-01-01T14:30:00+03:00", False),
        ("2024-01-01T10:00:00-03:00", True),
        ("2024-01-01T12:00:01Z", True),
        ("0001-01-01T00:00:00+03:00", True),  # of no year, so it narrows nothing down
    ):
        page = client.get("/message/", query_string={"flt0_created_at_utc_before": before})
        assert page.status_code == 200
        assert ("The plan for our" in page.text) is is_shown, before


def test_lists_are_sorted(client: FlaskClient) -> None:
    up, down = text_of(client, "/user/?sort=0"), text_of(client, "/user/?sort=0&desc=1")
    assert up.index("anna@") < up.index("boris@") < up.index("maria@")
    assert down.index("maria@") < down.index("boris@") < down.index("anna@")
    assert "among the newest 10,000 rows" in up
    assert "among the newest" not in text_of(client, "/user/")


def test_pages_of_a_list(client: FlaskClient, cast: Cast) -> None:
    for number in range(rows.PAGE):
        sdk.send_message(cast.anna.id, cast.group.id, f"number {number}.")
    first = text_of(client, f"/message/?flt0_chat_is={cast.group.id}")
    assert first.index(f"number {rows.PAGE - 1}.") < first.index("number 0.")
    assert "The plan" not in first
    second = client.get(f"/message/?flt0_chat_is={cast.group.id}&page=1").text
    assert "The plan" in second and "number" not in re.sub("<[^>]+>", "", second)
    for page in (-1, 10**6, 10**30, "x"):
        assert client.get(f"/message/?page={page}").status_code == 200


def test_the_number_of_statements_does_not_depend_on_rows(client: FlaskClient, cast: Cast) -> None:
    paths = [f"/{table.endpoint}/" for table in TABLES]
    paths += [f"/user/details/?id={cast.anna.id}", f"/chat/details/?id={cast.group.id}"]
    few = [count_of(client, path) for path in paths]
    for number in range(20):
        user = make_user()
        sdk.add_member(cast.anna.id, cast.group.id, user.id)
        message = sdk.send_message(user.id, cast.group.id, str(number), reply_to_id=cast.plan.id)
        sdk.pin_message(cast.anna.id, cast.group.id, message.id)
        sdk.create_folder(cast.anna.id, f"folder {number}")
        sdk.Contact.create(user=cast.anna, contact=user)
    assert [count_of(client, path) for path in paths] == few
    assert set(few[: len(TABLES)]) == {few[0]}


def count_of(client: FlaskClient, path: str) -> int:
    with sent_statements() as sent:
        assert client.get(path).status_code == 200
    return len(sent)


def test_a_list_is_one_statement(client: FlaskClient) -> None:
    asked = ["/message/", "/message/?search=plan", "/message/?sort=3", "/chatmember/?page=3"]
    for path in asked:
        with sent_statements() as sent:
            client.get(path)
        assert len([sql for sql in sent if "FROM" in sql]) == 1, path


def test_only_the_newest_rows_are_tried(
    client: FlaskClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the table holds: so a page costs the same however long that is."""
    monkeypatch.setattr(rows, "MOST", 3)
    for number in range(5):
        insert_message(cast.anna, cast.group, f"found {number}.")
    shown = text_of(client, "/message/?search=found")
    assert [f"found {number}." in shown for number in range(5)] == [False, False, True, True, True]
    shown = text_of(client, "/message/?sort=0")
    assert "found 2." in shown and "found 1." not in shown
    # What a key leaves is another three: the private chat is older.
    shown = text_of(client, f"/message/?flt0_chat_is={cast.private.id}&search=дела")
    assert "Как дела" in shown

"""The studio: what it shows, on both engines."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from stogram_sdk.models import SECRETS as SECRET_COLUMNS
from stogram_sdk.studio.tables import TABLES
from stogram_sdk.studio.views import TableView
from tests.support.factories import sent_statements
from tests.support.studio import EVIL, SECRETS, Cast, pages, reader, text_of

ALL_SECRETS = "|".join(SECRETS)
COLUMNS: frozenset[Any] = SECRET_COLUMNS


@pytest.fixture(scope="module")
def client(cast: Cast) -> FlaskClient:
    return reader()


def test_every_link_leads_to_a_page_and_no_page_has_a_secret(client: FlaskClient) -> None:
    """The columns of the secrets are not even read."""
    with sent_statements() as sent:
        seen = dict(pages(client))
    for table in TABLES:
        assert f"/{table.endpoint}/" in seen
        assert any(place.startswith(f"/{table.endpoint}/details/") for place in seen), table.name
    for place, html in seen.items():
        assert not re.search(ALL_SECRETS, html), place
        assert EVIL not in html, place
    for field in COLUMNS:
        assert not [sql for sql in sent if f'"{field.column_name}"' in sql]


def test_secrets_cannot_be_searched_sorted_filtered_or_exported(client: FlaskClient) -> None:
    names = {field.name for field in COLUMNS}
    for view in client.application.extensions["admin"][0]._views:
        if isinstance(view, TableView):
            assert not names & {flt.column.name for flt in view._filters or ()}
            assert not names & {*view._sortable_columns, *view.form_columns, *view.column_list}
            assert not names & set(view.column_details_list)
    for words in SECRETS:
        assert "anna" not in text_of(client, f"/user/?search={words}")
        assert "no items" in text_of(client, f"/user/?search={words}").lower()
    everybody = text_of(client, "/user/")
    for name in names:
        said = text_of(client, f"/user/?flt0_{name}_contains=SECRET&flt1_{name}_is=x")
        assert said.count("@example.com") == everybody.count("@example.com")
    for kind in ("csv", "json", "xlsx"):
        response = client.get(f"/user/export/{kind}/")
        assert response.status_code == 302 and "@example.com" not in response.text


def test_a_person_their_chats_and_their_folders(client: FlaskClient, cast: Cast) -> None:
    shown = text_of(client, f"/user/details/?id={cast.anna.id}")
    assert "Anna Petrova (@anna)" in shown
    assert "Release team Owner" in shown and "boris (private)" in shown
    for part in ("Chats", "Folders", "Pinned messages", "Messages", "Contacts", "Blocked by"):
        assert part in shown
    assert "Work" in shown and "Borya" in shown and "The plan for our #Release" in shown


def test_a_chat_its_members_and_what_is_unread(client: FlaskClient, cast: Cast) -> None:
    html = client.get(f"/chat/details/?id={cast.group.id}").text
    shown = text_of(client, f"/chat/details/?id={cast.group.id}")
    # Maria has not read the plan; what Boris wrote does not count, for she has blocked him.
    assert re.search(r"Мария \(@maria\) Member \S+ \S+ 1 ", shown)
    assert re.search(r"Anna Petrova \(@anna\) Owner \S+ \S+ 1 Work ", shown)
    assert f"/folder/details/?id={cast.folder.id}" in html
    assert f"/chatmember/?flt0_chat_is={cast.group.id}" in html
    assert "Спасибо, смотрю <script>alert(1)</script>" in shown
    # A private chat has no name of its own.
    assert re.search(r"(anna, boris|boris, anna) \(private\)", text_of(client, "/chat/"))


def test_there_is_no_row_with_this_id(client: FlaskClient) -> None:
    assert "no row with the id none" in text_of(client, "/user/details/?id=none", 404)
    assert client.get("/user/details/").status_code == 404


@pytest.mark.parametrize("value", ["\0", "'", '"', "\udc80", "%", "\\", "(", "x" * 5000, "1e999"])
def test_whatever_is_asked_no_page_breaks(client: FlaskClient, cast: Cast, value: str) -> None:
    raw = urlencode({"q": value}, errors="surrogatepass").partition("=")[2]
    for path in (
        *("/?words=", "/user/?search=", "/message/?search=", "/user/details/?id="),
        *("/message/?flt0_content_contains=", "/message/?flt0_chat_is=", "/message/?sort="),
        *("/message/?flt0_type_is=", "/folder/?flt0_order_at_least=", "/message/?page="),
        *("/message/?flt0_created_at_utc_since=", "/message/?flt9", "/user/edit/?id="),
    ):
        response = client.get(path + raw)
        assert response.status_code in (200, 302, 400, 404), path
        assert "Traceback" not in response.text and "psycopg2" not in response.text

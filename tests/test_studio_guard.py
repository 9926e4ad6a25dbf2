"""The studio: who may come in, from where, and that reading is only reading."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

import stogram_sdk as sdk
from stogram_sdk.studio.app import make_app
from tests.support.studio import HOME, TOKEN, Cast, reader, visitor


@pytest.fixture(scope="module")
def client(cast: Cast) -> FlaskClient:
    return reader()


# --- To whom. ---


def test_nobody_without_the_token(cast: Cast) -> None:
    client = visitor()
    for rule in client.application.url_map.iter_rules():
        for method in {"GET", "POST", "HEAD"} & set(rule.methods or ()):
            path = re.sub("<[^>]+>", "x", rule.rule)
            response = client.open(path, method=method)
            assert response.status_code in (403, 405), (method, path)
            assert "anna" not in response.text
    for given in ("", "x", TOKEN[:-1], TOKEN + "x", "токен", TOKEN.upper()):
        assert client.get("/", query_string={"token": given}).status_code == 403
    assert client.head(f"/?token={TOKEN}").status_code == 403
    assert client.get("/").status_code == 403


def test_the_token_leaves_the_address_at_once(cast: Cast) -> None:
    client = visitor()
    response = client.get(f"/chat/?token={TOKEN}&search=x")
    assert (response.status_code, response.headers["Location"]) == (302, "/chat/?search=x")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    assert client.get("/chat/").status_code == 200
    assert TOKEN not in client.get("/chat/").text


def test_the_token_leaves_the_address_of_whoever_is_in_already(client: FlaskClient) -> None:
    """Flask-Admin would write it into the links of the page."""
    response = client.get(f"/chat/?token={TOKEN}&search=x")
    assert (response.status_code, response.headers["Location"]) == (302, "/chat/?search=x")
    assert TOKEN not in response.text


@pytest.mark.parametrize(
    "back",
    ["http:evil.example", "https://evil.example", "//evil.example", "/\\evil.example", "/\n/"],
)
def test_a_page_leads_back_to_this_site_only(client: FlaskClient, back: str) -> None:
    pages = "/user/", "/user/details/"
    asked = [client.get(page, query_string={"url": back}).status_code for page in pages]
    assert asked == [400, 400]
    here = {"url": "/chat/?page=1"}
    assert client.get("/user/", query_string=here).status_code == 200


def test_a_cookie_of_another_run_opens_nothing(cast: Cast) -> None:
    """Each run has a key of its own: what is signed with another is nothing."""
    ours, theirs = reader(), make_app(token=TOKEN).test_client()
    (cookie,) = (ours._cookies or {}).values()
    theirs.set_cookie(theirs.application.config["SESSION_COOKIE_NAME"], cookie.value)
    assert theirs.get("/").status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "[::1]:80", "192.168.1.7:8765"])
def test_addresses_that_it_answers_to(client: FlaskClient, host: str) -> None:
    with visitor() as fresh:
        assert fresh.get(f"/?token={TOKEN}", headers={"Host": host}).status_code == 302


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8765"),
        *("evil.example:127.0.0.1", "localhost@evil.example", "", "0x7f.1", "[evil]"),
    ],
)
def test_a_name_that_leads_here_meets_nothing(client: FlaskClient, host: str) -> None:
    """A page of another site may have its name answered with our address (DNS rebinding)."""
    for path in (f"/?token={TOKEN}", "/", "/user/"):
        response = client.get(path, headers={"Host": host})
        assert response.status_code == 400
        assert "anna" not in response.text


def test_the_host_that_was_asked_for(cast: Cast) -> None:
    client = visitor(host="db.internal")
    asked = {"Host": "db.internal:8765"}
    assert client.get(f"/?token={TOKEN}", headers=asked).status_code == 302


def test_headers_of_every_answer(client: FlaskClient) -> None:
    for path in ("/", "/user/details/?id=none", "/nowhere", "/own/studio.css"):
        with client.get(path) as response:  # It closes a file that is served.
            headers = response.headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-hashes'" in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers


# --- Reading alone. ---


def test_nothing_is_written_without_write(client: FlaskClient, cast: Cast) -> None:
    for rule in client.application.url_map.iter_rules():
        if "POST" in (rule.methods or ()) and not rule.arguments:
            form = {"id": cast.plan.id, "content": "changed", "display_name": "changed"}
            response = client.post(
                f"{rule.rule}?id={cast.plan.id}", data=form, headers={"Origin": HOME}
            )
            assert response.status_code == 403, rule.rule
    assert client.get(f"/user/edit/?id={cast.anna.id}").status_code == 302
    shown = client.get("/message/").text
    assert "/message/edit/" not in shown and "/message/delete/" not in shown
    assert sdk.Message.get_by_id(cast.plan.id).content == cast.plan.content


def test_the_database_itself_refuses_to_write(cast: Cast) -> None:
    """Were there a hole in all the rest."""
    client = make_app(token=TOKEN).test_client()
    client.application.add_url_rule("/hole", view_func=_write)
    client.get(f"/?token={TOKEN}")
    assert client.get("/hole").status_code in (500, 503)
    assert sdk.User.get_by_id(cast.anna.id).display_name == "Anna Petrova"
    # And nothing of that is left with the connection.
    assert _write("Anna Petrova") == "written"


def _write(name: str = "changed") -> str:
    sdk.User.update(display_name=name).execute()
    return "written"

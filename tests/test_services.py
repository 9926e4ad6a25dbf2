"""The services of the examples over HTTP; what Flask's has is as in FastAPI's, which has all."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx2
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

import stogram_sdk as sdk
from stogram_sdk.testing import delete_all_rows
from tests.support.services import FASTAPI, FLASK, ROOT, running, serving
from tests.support.states import migrate_here
from tests.support.ways import WAYS

#: Services in processes of their own.
pytestmark = pytest.mark.slow


class Service(NamedTuple):
    client: httpx2.Client
    database_url: str

    def ask(self, method: str, path: str, by: str | None = None, **options: Any) -> httpx2.Response:
        headers = {} if by is None else {"Authorization": f"Bearer {by}"}
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, by: str, **query: Any) -> Any:
        answer = self.ask("GET", path, by, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def do(self, method: str, path: str, by: str, status: int = 200, **body: Any) -> Any:
        answer = self.ask(method, path, by, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


class Person(NamedTuple):
    id: str
    username: str
    token: str


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A migrated database of the services."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('services')}/stogram.db"
        migrate_here(url)
        yield url
    else:
        url = request.getfixturevalue("migrated_postgres")
        yield url
        sdk.connect(url)
        delete_all_rows()
        sdk.close()


@pytest.fixture(scope="module", params=["flask", "fastapi"])
def service(request: pytest.FixtureRequest, service_url: str) -> Iterator[Service]:
    command = (*FLASK, "run", "--port") if request.param == "flask" else (*FASTAPI, "--port")
    with (
        serving(*command, url=service_url) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        yield Service(client, service_url)


only = partial(pytest.mark.parametrize, "service", indirect=True)


def new_person(service: Service, name: str) -> Person:
    username = f"{name}_{uuid4().hex[:8]}"
    account = {"username": username, "email": f"{username}@example.com", "password": f"pass {name}"}
    made = service.ask("POST", "/users", json=account)
    assert made.status_code == 201, made.text
    token = service.ask("POST", "/tokens", json=account)
    return Person(made.json()["id"], username, token.json()["token"])


def contents(page: Any) -> list[str]:
    return [message["content"] for message in page["items"]]


@pytest.fixture
def anna(service: Service) -> Person:
    return new_person(service, "anna")


@pytest.fixture
def ivan(service: Service) -> Person:
    return new_person(service, "ivan")


def test_a_day_in_a_messenger(service: Service, anna: Person, ivan: Person) -> None:
    group = {"type": "GROUP", "name": "Garden", "member_ids": [ivan.id]}
    chat = service.do("POST", "/chats", anna.token, 201, **group)["id"]
    place = f"/chats/{chat}/messages"
    sent = service.do("POST", place, ivan.token, 201, content="Who waters the #tomatoes?")
    answer = {"content": "I do.", "reply_to_id": sent["id"], "message_id": f"a-{chat}"}
    first = service.do("POST", place, anna.token, 201, **answer)
    again = service.do("POST", place, anna.token, 201, **answer)
    assert first == again and first["reply_to"]["sender"]["username"] == ivan.username

    page = service.get(place, anna.token, limit=1)
    assert [each["content"] for each in page["items"]] == ["I do."]
    page = service.get(place, anna.token, limit=1, cursor=page["next_cursor"])
    assert [each["hashtags"] for each in page["items"]] == [["tomatoes"]]
    found = service.get("/search", anna.token, text="WATERS")["items"]
    assert [each["id"] for each in found] == [sent["id"]]

    (line,) = service.get("/chats", anna.token)["items"]
    assert (line["unread_count"], line["last_message"]["content"]) == (1, "I do.")
    assert service.get("/unread", anna.token)["all"] == 1
    assert service.do("POST", f"/chats/{chat}/read", anna.token)["unread_count"] == 0
    service.do("POST", f"/chats/{chat}/answers", ivan.token, 201, content="Thank you!")
    assert [service.get("/unread", each.token)["all"] for each in (anna, ivan)] == [1, 0]
    assert service.do("PUT", f"/chats/{chat}/mute", anna.token)["is_muted"] is True

    edited = service.do("PATCH", f"{place}/{sent['id']}", ivan.token, content="#cucumbers")
    assert (edited["hashtags"], edited["is_edited"]) == (["cucumbers"], True)
    pin = f"/chats/{chat}/pins/{sent['id']}"
    assert service.do("PUT", pin, anna.token, 201)["message"] == edited
    service.do("PUT", pin, anna.token, 200)
    service.do("DELETE", f"{place}/{sent['id']}", ivan.token, 204)
    assert service.get(place, anna.token)["items"][0]["reply_to"] is None

    members = service.get(f"/chats/{chat}/members", ivan.token)["items"]
    assert {each["role"] for each in members} == {"OWNER", "MEMBER"}
    service.do("DELETE", f"/chats/{chat}/members/{ivan.id}", anna.token, 204)
    member = service.do("PUT", f"/chats/{chat}/members/{ivan.id}", anna.token, role="ADMIN")
    assert member["role"] == "ADMIN"


def test_people(service: Service, anna: Person, ivan: Person) -> None:
    me = service.get("/me", anna.token)
    assert me["email"] == f"{anna.username}@example.com" and "password" not in me
    service.do("PATCH", "/me/privacy", ivan.token, show_last_seen=False)
    profile = service.get(f"/users/{ivan.username}", anna.token)
    assert (profile["id"], profile["last_seen"], profile["status"]) == (ivan.id, None, "OFFLINE")
    private = service.do("PUT", f"/private-chats/{ivan.id}", anna.token, 201)
    assert service.do("PUT", f"/private-chats/{anna.id}", ivan.token, 200) == private
    service.do("PUT", f"/blocked/{ivan.id}", anna.token, 201)
    blocked = service.get("/blocked", anna.token)["items"]
    assert [each["username"] for each in blocked] == [ivan.username]
    refused = service.do("POST", f"/chats/{private['id']}/messages", ivan.token, 403, content="?")
    assert "blocked" in refused["error"]
    service.do("DELETE", f"/blocked/{ivan.id}", anna.token, 204)
    service.do("POST", f"/chats/{private['id']}/messages", ivan.token, 201, content="Sorry.")


def test_errors_are_answers(service: Service, anna: Person) -> None:
    assert service.ask("GET", "/health").status_code == 200
    account = {"username": anna.username, "email": "other@example.com", "password": "x"}
    taken = service.ask("POST", "/users", json=account)
    assert (taken.status_code, taken.json()["field"]) == (409, "username")
    wrong = service.ask("POST", "/tokens", json=account)
    assert wrong.status_code == 401
    for token in (None, "forged", anna.token[:-4] + "AAAA"):
        assert service.ask("GET", "/me", token).status_code == 401
    nowhere = service.do("POST", "/chats/none/messages", anna.token, 404, content="?")
    assert nowhere["error"] == "no such chat for this user: 'none'"
    for query in ({"limit": 0}, {"limit": 101}, {"cursor": "forged"}):
        assert service.ask("GET", "/chats", anna.token, params=query).status_code == 400
    bodies: tuple[Any, ...] = ({}, {"username": 5, "password": []}, [])
    for body in bodies:
        assert service.ask("POST", "/tokens", json=body).status_code in (400, 422)
    of_json = {"Content-Type": "application/json"}
    deep = service.client.post("/tokens", content=b"[" * 100_000, headers=of_json)
    assert deep.status_code in (400, 422)
    assert service.ask("GET", "/users/nobody", anna.token).status_code == 404
    endless = service.ask("GET", "/chats", anna.token, params={"limit": "9" * 5_000})
    assert endless.status_code in (400, 422)


def test_what_was_given_is_not_repeated(service: Service) -> None:
    """It may be a password; and what is no text cannot be repeated at all."""
    for username in (b"x", b"\\ud800"):
        body = b'{"username": "%s", "password": "SECRET"}' % username
        said = service.client.post(
            "/users", content=body, headers={"Content-Type": "application/json"}
        )
        assert said.status_code in (400, 422)
        assert "email" in said.text and "SECRET" not in said.text


def test_an_account_whose_password_another_server_has_hashed(service: Service) -> None:
    migrated = new_person(service, "migrated")
    sdk.connect(service.database_url)
    sdk.set_password_hash(migrated.id, password_hash="$2b$10$N9qo8uLOickgx2ZMRZoMye")
    sdk.close()
    account = {"username": migrated.username, "password": "pass migrated"}
    assert service.ask("POST", "/tokens", json=account).status_code == 401


def test_a_new_password_ends_the_tokens(service: Service, anna: Person, ivan: Person) -> None:
    sdk.connect(service.database_url)
    sdk.set_password_hash(anna.id, password_hash="another")
    sdk.close()
    assert service.ask("GET", "/me", anna.token).status_code == 401
    assert service.get("/me", ivan.token)["id"] == ivan.id


@only(["fastapi"])
def test_who_changes_a_password_logs_in_again(service: Service, anna: Person) -> None:
    passwords = {"old": "pass anna", "new": "another"}
    service.do("PUT", "/me/password", anna.token, 204, **passwords)
    service.do("GET", "/me", anna.token, 401)
    account = {"username": anna.username, "password": "another"}
    token = service.ask("POST", "/tokens", json=account).json()["token"]
    assert service.get("/me", token)["id"] == anna.id


@pytest.mark.parametrize(
    "forged", [":", "::", "x:1:y", ":1:y", "\0:1:y", "x:\u0661:y", "x:9" * 5000]
)
def test_a_forged_token_is_refused(service: Service, forged: str) -> None:
    token = base64.urlsafe_b64encode(forged.encode()).decode()
    assert service.ask("GET", "/me", token).status_code == 401


def test_an_empty_key_signs_nothing() -> None:
    """Whoever leaves the variable empty would let everybody make tokens."""
    code = "import _service; print(bool(_service._KEY))"
    environment = os.environ | {"STOGRAM_SECRET_KEY": "", "PYTHONPATH": f"{ROOT}/examples:{ROOT}"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == "True\n"


#: It has a connection before the workers are forked, and says which worker has answered.
PRELOADED = """
import os
import stogram_sdk as stogram
from flask_service import create_app

app = create_app()
stogram.check_health()
app.after_request(lambda answer: answer.headers.update({"X-Worker": os.getpid()}) or answer)
"""


def test_workers_that_were_forked_after_connect(service_url: str, tmp_path: Path) -> None:
    (tmp_path / "preloaded.py").write_text(PRELOADED)
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "examples", tmp_path)))
    command = ("gunicorn", "--preload", "--workers", "2", "--log-level", "error", "preloaded:app")
    options = {"PYTHONPATH": paths, "STOGRAM_SECRET_KEY": "key", "address": "127.0.0.1:{}"}
    # Python warns of every fork beside other threads.
    options["PYTHONWARNINGS"] = "default"
    with (
        serving(*command, "--bind", url=service_url, **options) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        anna = new_person(service := Service(client, service_url), "anna")
        chat = service.do("POST", "/chats", anna.token, 201, type="GROUP", name="Garden")["id"]

        def write(number: int) -> str:
            body = {"content": str(number)}
            sent = service.ask("POST", f"/chats/{chat}/messages", anna.token, json=body)
            assert sent.status_code == 201, sent.text
            return str(sent.headers["X-Worker"])

        with ThreadPoolExecutor(8) as pool:
            workers = set(pool.map(write, range(64)))
        assert len(workers) == 2
        page = service.get(f"/chats/{chat}/messages", anna.token, limit=100)
        assert sorted(map(int, contents(page))) == list(range(64))


@only(["fastapi"])
def test_openapi_says_what_every_endpoint_gives(service: Service) -> None:
    paths = service.ask("GET", "/openapi.json").json()["paths"]
    answers = {
        f"{method} {path}": next(iter(operation["responses"].items()))
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert len(answers) >= 40
    for name, (status, answer) in answers.items():
        shown = answer.get("content", {}).get("application/json", {}).get("schema")
        assert shown if status != "204" else shown is None, name


def test_every_way_of_the_server_has_an_endpoint() -> None:
    example = (ROOT / "examples" / "fastapi_service.py").read_text("utf-8")
    functions = {name for ways in WAYS.values() for way in ways for name in way.functions.split()}
    assert not {name for name in functions if f"aio.{name}" not in example}


@only(["fastapi"])
def test_accounts_and_contacts(service: Service, anna: Person, ivan: Person) -> None:
    service.do("PATCH", "/me", anna.token, display_name="Anna K.")
    (found,) = service.get("/users", ivan.token, text=anna.username)["items"]
    assert (found["id"], found["display_name"]) == (anna.id, "Anna K.")
    known = service.do("PUT", f"/contacts/{anna.id}", ivan.token, 201, nickname="Anya")
    assert (known["nickname"], known["contact"]["id"]) == ("Anya", anna.id)
    service.do("PATCH", f"/contacts/{anna.id}", ivan.token, nickname="Anechka")
    (contact,) = service.do("GET", "/contacts", ivan.token)["items"]
    assert (contact["nickname"], contact["profile"]["id"]) == ("Anechka", anna.id)
    assert (
        service.ask("PUT", "/me/status", anna.token, json={"status": "ONLINE"}).status_code == 204
    )
    service.do("PUT", "/me/theme", anna.token, theme="dark")
    service.do("PUT", "/me/push-subscription", anna.token, 204, subscription=None)
    service.do("POST", "/me/confirmation", anna.token, 204)
    service.do("POST", "/confirmations", anna.token, 404, token="a guess")
    service.do("PUT", "/me/password", anna.token, 403, old="not this one", new="another")
    service.do("DELETE", f"/contacts/{anna.id}", ivan.token, 204)
    assert service.do("GET", f"/blocked/{anna.id}", ivan.token) == {
        "is_blocked": False,
        "is_blocked_either": False,
    }
    service.do("DELETE", "/me", anna.token, 204)
    service.do("GET", "/me", anna.token, 401)


@only(["fastapi"])
def test_reactions_and_calls(service: Service, anna: Person, ivan: Person) -> None:
    chat = service.do("PUT", f"/private-chats/{ivan.id}", anna.token, 201)["id"]
    message = service.do("POST", f"/chats/{chat}/messages", anna.token, 201, content="hi")["id"]
    place = f"/chats/{chat}/messages/{message}/reactions"
    service.do("PUT", f"{place}/🔥", ivan.token, 201)
    counted = {"emoji": "🔥", "total": 1, "is_mine": False}
    assert service.do("GET", f"/chats/{chat}/messages/{message}", anna.token)["reactions"] == [
        counted
    ]
    shown = service.ask(
        "GET", f"/chats/{chat}/reactions", anna.token, params={"message_id": message}
    )
    assert shown.json() == {message: [counted]}
    assert service.do("GET", place, anna.token)["items"][0]["user"]["id"] == ivan.id
    service.do("DELETE", f"{place}/🔥", ivan.token, 204)
    call = service.do("POST", f"/chats/{chat}/calls", anna.token, 201, type="AUDIO")["id"]
    assert service.do("POST", f"/calls/{call}/answer", ivan.token)["status"] == "ACTIVE"
    assert service.do("POST", f"/calls/{call}/end", anna.token)["status"] == "ENDED"
    again = service.do("POST", f"/chats/{chat}/calls", anna.token, 201, type="VIDEO")["id"]
    assert service.do("POST", f"/calls/{again}/decline", ivan.token)["status"] == "DECLINED"
    assert len(service.do("GET", "/calls", anna.token)["items"]) == 2
    toggled = service.do("POST", f"/chats/{chat}/favorite", anna.token)
    assert toggled["is_favorite"]
    assert service.do("POST", f"/chats/{chat}/recount", anna.token) in (0, 1)


@only(["fastapi"])
def test_folders_favorites_and_pins(service: Service, anna: Person, ivan: Person) -> None:
    chat = service.do("PUT", f"/private-chats/{ivan.id}", anna.token, 201)["id"]
    first, second = (
        service.do("POST", "/folders", anna.token, 201, name=name)["id"] for name in ("A", "B")
    )
    moved = service.do("PUT", f"/folders/{first}/chats/{chat}", anna.token)
    assert moved["folder_id"] == first
    reordered = service.ask("PUT", "/folders", anna.token, json=[second, first])
    assert [folder["id"] for folder in reordered.json()] == [second, first]
    changed = service.do("PATCH", f"/folders/{second}", anna.token, name="C")
    assert (changed["name"], changed["color"]) == ("C", "#0088cc")
    assert service.do("PATCH", f"/folders/{second}", anna.token, 400, name=None)["field"] == "name"
    (empty, full) = service.get("/folders", anna.token)
    assert ([*map(len, (empty["chats"], full["chats"]))], full["unread_count"]) == ([0, 1], 0)
    service.do("DELETE", f"/chats/{chat}/folder", anna.token, 204)
    service.do("DELETE", f"/folders/{second}", anna.token, 204)

    assert service.do("PUT", f"/chats/{chat}/favorite", anna.token)["is_favorite"] is True
    service.do("PUT", f"/chats/{chat}/mute", anna.token)
    assert service.do("DELETE", "/mutes", anna.token) == 1
    settings = service.get(f"/chats/{chat}/settings", anna.token)
    assert (settings["is_favorite"], settings["is_muted"]) == (True, False)

    content = f"for @{anna.username}"
    sent = service.do("POST", f"/chats/{chat}/messages", ivan.token, 201, content=content)
    assert service.get("/mentions", anna.token)["items"] == [sent]
    service.do("PUT", f"/chats/{chat}/pins/{sent['id']}", anna.token, 201)
    (pin,) = service.get("/pins", anna.token)["items"]
    assert pin["message"] == sent
    service.do("DELETE", f"/chats/{chat}/pins/{sent['id']}", anna.token, 204)
    assert service.do("DELETE", f"/chats/{chat}/pins", anna.token) == 0
    group = service.do("POST", "/chats", anna.token, 201, type="GROUP")["id"]
    service.do("DELETE", f"/chats/{group}/members/me", anna.token, 204)


@only(["fastapi"])
def test_one_chat_and_its_history(service: Service, anna: Person, ivan: Person) -> None:
    group = {"type": "GROUP", "member_ids": [ivan.id]}
    chat, other = (service.do("POST", "/chats", anna.token, 201, **group)["id"] for _ in range(2))
    place = f"/chats/{chat}/messages"
    changed = service.do("PATCH", f"/chats/{chat}", anna.token, name="Garden")
    assert service.get(f"/chats/{chat}", ivan.token)["chat"] == changed
    sent = service.do("POST", place, ivan.token, 201, content="?", type="IMAGE", file_url="/a.jpg")
    service.do("POST", place, anna.token, 201, content="!", reply_to_id=sent["id"])
    one = f"{place}/{sent['id']}"
    assert service.get(one, anna.token)["content"] == "?"
    assert contents(service.get(f"{one}/replies", anna.token)) == ["!"]
    assert contents(service.get(f"/chats/{chat}/media", anna.token, type="IMAGE")) == ["?"]
    assert contents(service.get(place, anna.token, around=sent["id"], limit=2)) == ["!", "?"]
    forwarded = {"from_chat_id": chat, "message_ids": [sent["id"]]}
    (copy,) = service.do("POST", f"/chats/{other}/forwarded", anna.token, 201, **forwarded)
    assert (copy["content"], copy["chat_id"]) == ("?", other)
    hour, minute = ((datetime.now(UTC) + timedelta(hours=n)).isoformat() for n in (1, 1 / 60))
    waits = service.do("POST", place, anna.token, 201, content="later", scheduled_for=hour)
    when = f"{place}/{waits['id']}/time"
    moved = service.do("PUT", when, anna.token, scheduled_for=minute)
    assert moved["scheduled_for"] < waits["scheduled_for"]
    assert contents(service.get("/scheduled", anna.token, chat_id=chat)) == ["later"]
    admin = service.do("PATCH", f"/chats/{chat}/members/{ivan.id}", anna.token, role="ADMIN")
    assert admin["role"] == "ADMIN"
    owner = service.do("PUT", f"/chats/{chat}/owner", anna.token, user_id=ivan.id)
    assert (owner["user_id"], owner["role"]) == (ivan.id, "OWNER")
    service.do("DELETE", f"/chats/{chat}", anna.token, 403)
    service.do("DELETE", f"/chats/{chat}", ivan.token, 204)


def test_many_at_once(service: Service, anna: Person, ivan: Person) -> None:
    chat = service.do("PUT", f"/private-chats/{ivan.id}", anna.token, 201)["id"]

    def write(number: int) -> int:
        return service.ask(
            "POST", f"/chats/{chat}/messages", ivan.token, json={"content": str(number)}
        ).status_code

    with ThreadPoolExecutor(16) as clients:
        assert set(clients.map(write, range(64))) == {201}
    assert service.get("/unread", anna.token)["all"] == 64


def soon() -> str:
    return (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()


@only(["flask"])
def test_flask_sends_what_was_scheduled(service: Service, anna: Person, ivan: Person) -> None:
    with running(*FLASK, "publish", url=service.database_url) as publishing:
        chat = service.do("PUT", f"/private-chats/{ivan.id}", anna.token, 201)["id"]
        message = {"content": "Happy birthday!", "scheduled_for": soon()}
        service.do("POST", f"/chats/{chat}/messages", anna.token, 201, **message)
        assert publishing.stdout is not None
        assert publishing.stdout.readline() == f"For {ivan.id}: Happy birthday!\n"


@only(["fastapi"])
def test_a_websocket_tells_of_new_messages(service: Service, anna: Person, ivan: Person) -> None:
    chat = service.do("PUT", f"/private-chats/{ivan.id}", anna.token, 201)["id"]
    address = str(service.client.base_url).replace("http", "ws")
    with (
        connect(f"{address}/ws") as ivans,
        connect(f"{address}/ws") as annas,
    ):
        for socket, person in ((ivans, ivan), (annas, anna)):
            socket.send(person.token)
            assert json.loads(socket.recv(timeout=10)) == {"user_id": person.id}
        later = {"content": "later", "scheduled_for": soon()}
        service.do("POST", f"/chats/{chat}/messages", anna.token, 201, **later)
        sent = service.do("POST", f"/chats/{chat}/messages", anna.token, 201, content="now")
        assert json.loads(ivans.recv(timeout=10)) == sent
        assert json.loads(ivans.recv(timeout=10))["content"] == "later"
        with pytest.raises(TimeoutError):
            annas.recv(timeout=0)
        annas.send(b"no text")
        service.do("POST", f"/chats/{chat}/messages", ivan.token, 201, content="still there?")
        assert json.loads(annas.recv(timeout=10))["content"] == "still there?"
    for forged in ("forged", b"\0", ""):
        with connect(f"{address}/ws") as stranger:
            stranger.send(forged)
            with pytest.raises(ConnectionClosedError) as closed:
                stranger.recv(timeout=10)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
    with connect(f"{address}/ws"):
        pass  # who says nothing is told nothing
    service.do("POST", f"/chats/{chat}/messages", anna.token, 201, content="nobody listens")

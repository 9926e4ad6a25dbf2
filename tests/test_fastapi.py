"""The SDK in FastAPI under uvicorn, as its tutorial writes services, with 32 clients."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Any

import httpx2
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database
from tests.support.factories import make_chat, make_user
from tests.support.site import eventually

CLIENTS = 32
REQUESTS = 640


def dependency() -> Iterator[None]:
    with sdk.session():
        yield


def service(user: str, chat: str) -> FastAPI:
    api = FastAPI()

    @api.exception_handler(sdk.StogramError)
    def explain(request: Request, error: sdk.StogramError) -> JSONResponse:
        code = 503 if isinstance(error, sdk.Unavailable) else 500
        return JSONResponse({"error": str(error)}, code)

    @api.get("/plain")
    def plain() -> int:
        return sdk.unread_totals(user).all

    @api.get("/session")
    @sdk.session()
    def in_session() -> int:
        sdk.send_message(user, chat, "text")
        return len(sdk.list_messages(user, chat))

    @api.get("/transaction")
    @sdk.transaction()
    def in_transaction() -> str:
        sdk.send_message(user, chat, "text")
        return sdk.send_message(user, chat, "text").id

    @api.get("/coroutine")
    async def coroutine() -> int:
        return len(await aio.list_chats(user))

    @api.get("/query")
    def query() -> list[str]:
        return [user.username for user in sdk.User.select()]

    @api.get("/dependency")
    def in_dependency(session: Annotated[None, Depends(dependency)]) -> int:
        return sdk.unread_totals(user).all

    return api


@contextmanager
def served(api: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(api, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    sdk.connect(database_url)
    sdk.migrate()
    user = make_user()
    with served(service(user.id, make_chat(user, make_user()).id)) as url:
        yield url
    sdk.close()


def answers(url: str, *paths: str) -> Counter[Any]:
    with httpx2.Client(base_url=url, timeout=30) as client, ThreadPoolExecutor(CLIENTS) as clients:
        asked = [paths[number % len(paths)] for number in range(REQUESTS)]
        return Counter(answer.status_code for answer in clients.map(client.get, asked))


@pytest.mark.slow
def test_every_idiom_answers_every_client(url: str) -> None:
    paths = "/plain", "/session", "/transaction", "/coroutine", "/query"
    assert answers(url, *paths) == {200: REQUESTS}
    assert current_database().status().in_use == 0


@pytest.mark.slow
def test_a_dependency_that_holds_a_session_is_refused_and_harms_nobody_else(url: str) -> None:
    refused = httpx2.get(f"{url}/dependency")
    assert refused.status_code == 500
    assert "decorate the endpoint with @session()" in refused.json()["error"]
    assert answers(url, "/dependency", "/plain") == {200: REQUESTS / 2, 500: REQUESTS / 2}
    assert current_database().status().in_use == 0

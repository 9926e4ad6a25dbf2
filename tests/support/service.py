"""A service under load while its database server is restarted once.

    python -m tests.support.service --seconds 60

`examples/fastapi_service.py` with two uvicorn workers, 64 clients, ten operations. There must be no
500, and a 503 only for a request that was under way while the server was away.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from stogram_sdk.models import new_id
from tests.support.services import FASTAPI, serving
from tests.support.site import running_site

CLIENTS = 64


@dataclass(frozen=True)
class Answer:
    began: float
    ended: float
    status: int
    text: str

    @property
    def is_success(self) -> bool:
        return self.status in (200, 201)


@dataclass
class Report:
    answers: list[Answer]
    #: When the server was stopped, and when it was there again.
    away: tuple[float, float]

    @property
    def wrong(self) -> list[str]:
        """Answers that must not be."""
        began, ended = self.away
        return [
            f"{answer.status} {answer.text[:200]}, {answer.began - began:+.2f} s after the stop"
            for answer in self.answers
            if not answer.is_success
            and not (answer.status == 503 and answer.began < ended and answer.ended > began)
        ]

    def __str__(self) -> str:
        statuses = Counter(answer.status for answer in self.answers)
        times = sorted(answer.ended - answer.began for answer in self.answers)
        return (
            f"{dict(statuses)}; away for {self.away[1] - self.away[0]:.2f} s; "
            f"median {times[len(times) // 2]:.3f} s, 99 % {times[len(times) * 99 // 100]:.3f} s, "
            f"longest {times[-1]:.3f} s; wrong: {self.wrong[:10] or 'nothing'}"
        )


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: Any = None
    token: str = ""


class Client:
    """One connection over HTTP."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()

    def ask(self, request: Request) -> Answer:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {request.token}", "Content-Type": "application/json"}
        body = None if request.body is None else json.dumps(request.body)
        self._connection.request(request.method, request.path, body, headers)
        response = self._connection.getresponse()
        text = response.read().decode()
        return Answer(began, time.monotonic(), response.status, text)

    def made(self, path: str, body: Any, token: str = "") -> Any:
        """What a POST to the path answers."""
        answer = self.ask(Request("POST", path, body, token))
        assert answer.is_success, answer.text
        return json.loads(answer.text)


def _people(client: Client) -> dict[str, str]:
    """The ids of some users, each with a token."""
    people = {}
    for number in range(8):
        account = {"username": f"user_{number}", "password": "", "email": f"{number}@example.com"}
        user = client.made("/users", account)["id"]
        people[user] = client.made("/tokens", account)["token"]
    return people


def _chats(client: Client, people: dict[str, str]) -> list[str]:
    """The ids of some groups of all of them."""
    owner, *others = people
    group = {"type": "GROUP", "member_ids": others}
    return [client.made("/chats", group, people[owner])["id"] for _ in range(8)]


def _requests(chance: random.Random, tokens: list[str], chats: list[str]) -> Iterator[Request]:
    """Requests without end."""
    while True:
        chat, text = f"/chats/{chance.choice(chats)}", f"#tag {chance.random()}"
        method, path, body = chance.choice(
            [
                ("GET", "/chats", None),
                ("GET", f"{chat}/messages", None),
                ("POST", f"{chat}/messages", {"content": text}),
                ("POST", f"{chat}/messages", {"content": text, "message_id": new_id()}),
                ("POST", f"{chat}/read", {}),
                ("PUT", f"{chat}/mute", None),
                ("POST", f"{chat}/answers", {"content": text}),
                ("GET", f"/search?text={quote(text)}", None),
                ("GET", f"{chat}/members", None),
                ("GET", "/me", None),
            ]
        )
        yield Request(method, path, body, chance.choice(tokens))


def run(seconds: float) -> Report:
    command = (*FASTAPI, "--workers", "2", "--port")
    with running_site() as site:
        answers: list[Answer] = []
        with serving(*command, url=site.direct_url, STOGRAM_SECRET_KEY="of both workers") as port:
            with Client(port) as client:
                people = _people(client)
                chats = _chats(client, people)
            until = time.monotonic() + seconds

            def load(seed: int) -> None:
                requests = _requests(random.Random(seed), list(people.values()), chats)
                with Client(port) as client:
                    while time.monotonic() < until:
                        answers.append(client.ask(next(requests)))

            threads = [threading.Thread(target=load, args=[seed]) for seed in range(CLIENTS)]
            for thread in threads:
                thread.start()
            time.sleep(seconds / 2)
            stopped = time.monotonic()
            site.restart("fast")
            away = stopped, time.monotonic()
            for thread in threads:
                thread.join()
        return Report(answers, away)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    report = run(parser.parse_args().seconds)
    print(report)
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()

"""A service under load while its database server is restarted once.

    python -m tests.support.service --seconds 60

FastAPI with two uvicorn workers, 64 clients, ten operations. There must be no 500, and a 503 only
for a request that was under way while the server was away.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import stogram_sdk as sdk
from stogram_sdk.models import new_id
from tests.support.factories import make_chat, make_users
from tests.support.site import Site, eventually, running_site

CLIENTS = 64


@dataclass(frozen=True)
class Answer:
    began: float
    ended: float
    status: int
    text: str


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
            f"{answer.status} {answer.text}, {answer.began - began:+.2f} s after the stop"
            for answer in self.answers
            if answer.status != 200
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


def _requests(
    chance: random.Random, users: list[str], chats: list[str]
) -> Iterator[tuple[str, ...]]:
    """Method, path and user, without end."""
    while True:
        chat, text = chance.choice(chats), quote(f"#tag {chance.random()}")
        yield (
            *chance.choice(
                [
                    ("GET", "/chats"),
                    ("GET", f"/chats/{chat}/messages"),
                    ("POST", f"/chats/{chat}/messages?text={text}"),
                    ("PUT", f"/chats/{chat}/messages/{new_id()}?text={text}"),
                    ("POST", f"/chats/{chat}/read"),
                    ("POST", f"/chats/{chat}/mute"),
                    ("POST", f"/chats/{chat}/answer?text={text}"),
                    ("GET", f"/search?text={text}"),
                    ("GET", f"/members/{chat}"),
                    ("GET", "/me"),
                ]
            ),
            chance.choice(users),
        )


@contextmanager
def _service(site: Site) -> Iterator[int]:
    """The port of the service."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "tests.support.service_app:api", "--workers", "2"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--log-level", "critical"],
        env=os.environ | {"STOGRAM_DATABASE_URL": site.direct_url},
    )

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        eventually(is_up, within=30)
        yield port
    finally:
        process.terminate()
        process.wait()


def run(seconds: float) -> Report:
    with running_site() as site:
        sdk.connect(site.direct_url)
        users = make_users(8)
        chats = [make_chat(*users).id for _ in range(8)]
        names = [user.id for user in users]
        sdk.close()
        answers: list[Answer] = []
        with _service(site) as port:
            until = time.monotonic() + seconds

            def client(seed: int) -> None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                for method, path, user in _requests(random.Random(seed), names, chats):
                    began = time.monotonic()
                    if began > until:
                        break
                    connection.request(method, path, headers={"X-User-Id": user})
                    response = connection.getresponse()
                    text = response.read().decode()
                    answers.append(Answer(began, time.monotonic(), response.status, text[:200]))
                connection.close()

            threads = [threading.Thread(target=client, args=[seed]) for seed in range(CLIENTS)]
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

"""The services of the examples as they run in production: in processes of their own, over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.site import eventually

ROOT = Path(__file__).resolve().parents[2]

FLASK = ("flask", "--app", "examples/flask_service")
FASTAPI = ("uvicorn", "--app-dir", "examples", "fastapi_service:app", "--log-level", "warning")


@contextmanager
def running(*command: str, url: str, **options: str) -> Iterator[subprocess.Popen[str]]:
    """A command of Python that runs until the end; its output can be read.

    The options are variables of its environment.
    """
    environment = os.environ | {"STOGRAM_DATABASE_URL": url, "PYTHONPATH": str(ROOT), **options}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def serving(*command: str, url: str, address: str = "{}", **options: str) -> Iterator[int]:
    """The port at which a service answers; the command takes it, as `address` has it, last."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with running(*command, address.format(port), url=url, **options) as process:
        eventually(lambda: process.poll() is not None or is_up(), within=30)
        assert process.poll() is None, "the service did not start"
        yield port

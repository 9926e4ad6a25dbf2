"""`stogram studio` as a command: the address that it prints, how it ends, and what it refuses."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

import stogram_sdk as sdk
from stogram_sdk.studio import serving
from tests.support.states import PROJECT, environment, migrate_here, stogram

pytestmark = pytest.mark.slow


@contextmanager
def studio(url: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The running command, and what it has printed up to the address."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "stogram_sdk", "studio", "--port", "0", *options],
        cwd=PROJECT,
        env=environment(url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process, [process.stdout.readline().strip() for _ in range(2)]
        finally:
            process.kill()


def test_the_printed_address_opens_it(database_url: str) -> None:
    migrate_here(database_url)
    with studio(database_url) as (process, (said, address)):
        assert said.startswith("Stogram studio, read-only")
        assert address.startswith("http://127.0.0.1:") and "/?token=" in address
        place = address.partition("?")[0]
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(place)
        refused.value.close()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        assert b"Stogram studio" in browser.open(address).read()
        assert browser.open(place + "user/").status == 200
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
        assert time.monotonic() - began < 4
        # Ctrl-C is how it ends. Nothing was logged: the first request holds the token.
        assert (process.returncode, rest, errors) == (0, "", "")


def test_it_warns_of_other_machines(sqlite_url: str) -> None:
    migrate_here(sqlite_url)
    with studio(sqlite_url, "--host", "0.0.0.0", "--write") as (process, (said, address)):
        assert said.startswith("Stogram studio, may write")
        assert address.startswith("http://127.0.0.1:")
        assert process.stdout
        assert "Whoever has this address" in process.stdout.readline()


def test_what_is_pending_is_said_first(sqlite_url: str, tmp_path: Path) -> None:
    done = stogram(sqlite_url, "studio")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "there is no file" in done.stderr
    assert list(tmp_path.iterdir()) == []
    migrate_here(sqlite_url)
    assert stogram(sqlite_url, "rollback").returncode == 0
    done = stogram(sqlite_url, "studio")
    line = "Error: run `stogram migrate` first; pending: 003_searches_and_lists\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_a_port_that_is_taken_is_one_line(sqlite_url: str) -> None:
    migrate_here(sqlite_url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = stogram(sqlite_url, "studio", "--port", port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: port {port} of 127.0.0.1 is not to be had")
    assert done.stderr.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stogram_sdk.studio.app", None)
    with pytest.raises(sdk.StogramError, match=r"pip install 'stogram-sdk\[studio\]'"):
        serving.serve(host="127.0.0.1", port=0, write=False)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("::1", "http://[::1]:1"),
        ("::", "http://[::1]:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("db.internal", "http://db.internal:1"),
    ],
)
def test_the_address_of_a_host(host: str, address: str) -> None:
    assert serving.address(host, 1) == address

"""The plugin of pytest that ships: the recipes of docs/testing.md run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import stogram_sdk as sdk
from stogram_sdk.testing import MakeUser, _schema_on
from tests.support.postgres import PostgresServer
from tests.test_readme import ROOT, blocks_of

#: Each starts tests of its own, in a process of their own.
slow = pytest.mark.slow


def run_tests(directory: Path, url: str | None, *options: str, **files: str) -> str:
    """What pytest prints of a project of these files; all tests must pass, without a warning."""
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text, "utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STOGRAM_")}
    if url is not None:
        environment["STOGRAM_TEST_DATABASE_URL"] = url
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *options],
        cwd=directory,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def recipes() -> dict[str, str]:
    """The files that docs/testing.md shows; the first line of each says its name."""
    texts = [block.text for block in blocks_of("docs/testing.md", "python")]
    return {text.removeprefix("# ").partition(".py\n")[0]: text for text in texts}


#: Each test of these would fail if it saw what another one has done.
STRANGERS = """
import os, subprocess, sys
import pytest
import stogram_sdk as sdk

@pytest.mark.parametrize("number", range(3))
def test_each_test_has_an_empty_database(number, make_user, make_chat, make_message):
    anna = make_user("anna")
    chat = make_chat(anna, make_user())
    make_message(anna, chat, "#tag")
    make_message(anna, chat, scheduled_for=sdk.User.get().created_at)
    assert len(sdk.publish_scheduled()) == 1
    assert (sdk.User.select().count(), sdk.Message.select().count()) == (2, 2)

def test_a_service_may_connect_and_close_itself(make_user):
    anna = make_user()
    sdk.connect()
    assert sdk.get_user(anna.id).username == anna.username
    sdk.close()

def test_what_a_service_left_connected_is_gone(make_user):
    make_user("anna")

def test_other_processes_see_the_same(make_user):
    code = "import stogram_sdk as s; s.connect(); print(s.find_user('anna').id)"
    anna = make_user("anna")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == anna.id

def test_without_a_database_nothing_is_connected():
    assert sdk.db.obj is None and "STOGRAM_DATABASE_URL" not in os.environ
"""


@slow
def test_in_memory(tmp_path: Path) -> None:
    assert "12 passed" in run_tests(tmp_path, None, **recipes(), test_strangers=STRANGERS)


@slow
def test_on_a_server_where_nothing_else_is_touched(
    postgres_server: PostgresServer, name: str, tmp_path: Path
) -> None:
    postgres_server.execute("CREATE TABLE theirs AS SELECT 1 AS one", name)
    files = recipes() | {"test_strangers": STRANGERS}
    assert "12 passed" in run_tests(tmp_path, postgres_server.url_of(name), "-n2", **files)
    schemas = postgres_server.execute("SELECT nspname FROM pg_namespace WHERE oid > 16383", name)
    assert schemas == []
    assert postgres_server.execute("SELECT one FROM theirs", name) == [(1,)]


UNNAMED = """
import sys
import pytest

def test_nothing_is_loaded(request):
    assert "stogram_sdk" not in sys.modules
    with pytest.raises(pytest.FixtureLookupError):
        request.getfixturevalue("make_user")
"""


@slow
def test_it_loads_where_it_is_named_and_nowhere_else(tmp_path: Path) -> None:
    assert "1 passed" in run_tests(tmp_path, None, test_unnamed=UNNAMED)


def test_a_url_of_sqlite_is_refused() -> None:
    with pytest.raises(sdk.InvalidInput, match="for SQLite, unset it"), _schema_on("sqlite:///x"):
        pass


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_database_in_memory_as_it_is_described() -> None:
    """The table of docs/testing.md."""
    make_user = MakeUser()
    for _ in range(2):
        sdk.connect("sqlite:///:memory:", pool_timeout=0.1)
        with pytest.raises(sdk.DatabaseError):
            make_user("anna")
        sdk.migrate()
        make_user("anna")
    assert _in_a_thread() == "anna"
    with sdk.session():
        assert "all 1 connections are in use" in _in_a_thread()
    if (child := os.fork()) == 0:
        try:
            sdk.find_user("anna")
        except sdk.DatabaseError:
            os._exit(7)  # there are no tables
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    sdk.close()


def _in_a_thread() -> str:
    found: list[str] = []

    def find() -> None:
        try:
            anna = sdk.find_user("anna")
            found.append(anna.username if anna else "nobody")
        except sdk.StogramError as error:
            found.append(str(error))

    thread = threading.Thread(target=find)
    thread.start()
    thread.join()
    return found[0]


def test_the_tables_of_the_document_name_every_fixture() -> None:
    text = (ROOT / "docs" / "testing.md").read_text("utf-8")
    source = (ROOT / "stogram_sdk" / "testing.py").read_text("utf-8")
    fixtures = re.findall(r"^@pytest\.fixture\ndef (\w+)", source, re.M)
    assert re.findall(r"^\| `(\w+)", text, re.M)[: len(fixtures)] == fixtures

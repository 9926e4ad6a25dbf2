"""What the READMEs say is so: their code runs, their names exist, and both say the same."""

from __future__ import annotations

import inspect
import os
import re
import runpy
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx2
import peewee_migrate.cli
import pytest

import stogram_sdk as sdk
from stogram_sdk.__main__ import main as stogram_command
from tests.support.factories import make_chat, make_user
from tests.support.guide import COMMANDS
from tests.support.postgres import PostgresServer
from tests.support.services import serving
from tests.support.states import Databases, migrate_here
from tests.test_rights import SERVICE, SERVICE_RIGHTS

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.ru.md")
DOCUMENTS = (
    *READMES,
    *("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"),
    *(
        "docs/migrations.md",
        "docs/standbys.md",
        "docs/strangers.md",
        "docs/server.md",
        "docs/testing.md",
        "docs/versions.md",
        "docs/long_description.md",
        "docs/operators.md",
    ),
)

both = pytest.mark.parametrize("readme", READMES)


class Block(NamedTuple):
    """A block of code."""

    language: str
    text: str


def text_of(document: str) -> str:
    return (ROOT / document).read_text("utf-8")


def blocks_of(document: str, language: str | None = None) -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text_of(document), re.M | re.S)
    return [Block(*each) for each in found if language in (None, each[0])]


def prose_of(document: str) -> str:
    return re.sub(r"^```.*?^```$", "", text_of(document), flags=re.M | re.S)


def words_in_backticks(document: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose_of(document))


# --- The code runs. ---


class Ran(NamedTuple):
    """What is there when all the code of a README has run, from the first block to the last."""

    names: dict[str, Any]
    printed: list[str]


@pytest.fixture
def ran(
    readme: str,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Ran]:
    monkeypatch.delenv("STOGRAM_DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", database_url)
    # FastAPI looks names of annotations up in the module of a function.
    module = types.ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    for number, block in enumerate(blocks_of(readme, "python"), start=1):
        code = compile(block.text, f"{readme}, block {number} of code", "exec")
        exec(code, module.__dict__)
    yield Ran(module.__dict__, capsys.readouterr().out.splitlines())
    sdk.close()


@both
def test_code_prints_what_it_should(ran: Ran) -> None:
    content = ran.names["message"].content
    assert ran.names["message"].hashtags
    assert ran.printed[0] == f"{ran.names['anna'].display_name}: {content}"
    assert ran.printed[-1].endswith(": 2")


@both
def test_the_first_example_can_be_run_again(
    readme: str,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("STOGRAM_DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    printed = []
    for _ in range(2):
        exec(blocks_of(readme, "python")[0].text, {})
        printed.append(capsys.readouterr().out)
    sdk.close()
    assert printed[0] == printed[1] != ""
    assert printed[0].count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["FastAPI", "Flask"])
def test_a_service_can_be_pasted(framework: str, database_url: str, tmp_path: Path) -> None:
    """Into a file, as it stands; that of the other README is the same."""
    (code,) = [
        block.text for block in blocks_of("README.md", "python") if f" = {framework}(" in block.text
    ]
    (tmp_path / "service.py").write_text(code, "utf-8")
    migrate_here(database_url)
    sdk.connect(database_url)
    anna, ivan = make_user(), make_user()
    chat = make_chat(anna, ivan)
    sdk.close()
    command = {
        "FastAPI": ("uvicorn", "--app-dir", str(tmp_path), "service:app", "--port"),
        "Flask": ("flask", "--app", f"{tmp_path}/service", "run", "--port"),
    }
    with serving(*command[framework], url=database_url) as port:
        me = {"X-User-Id": anna.id}
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=me) as client:
            written = client.post(f"/chats/{chat.id}/messages", json={"content": "#Hello"})
            assert (written.status_code, written.json()["hashtags"]) == (201, ["Hello"])
            listed = client.get("/chats")
            assert listed.status_code == 200
            assert listed.json()["items"][0]["last_message"] == written.json()
            nowhere = client.post("/chats/none/messages", json={"content": "?"})
            assert (nowhere.status_code, nowhere.json()["error"][:12]) == (404, "no such chat")
            assert client.get("/chats", params={"cursor": "forged"}).status_code == 400


@pytest.mark.slow
def test_commands_on_a_server_database(databases: Databases, name: str, tmp_path: Path) -> None:
    """The blocks of shell commands, as they stand but for the URL."""
    forward, back, _ = (block.text for block in blocks_of("README.md", "sh"))
    (tmp_path / "migrations").symlink_to(ROOT / "migrations")
    databases.filled(name)
    server = databases.server
    url = server.url_of(name)
    script = re.sub(r"DATABASE_URL='[^']*'", f"DATABASE_URL='{url}'", forward)
    # This server is reached by a socket, which only the query of its URL names.
    script = script.replace("${DATABASE_URL%%\\?*}", "$DATABASE_URL")
    migrated = shell(script, tmp_path, server)
    assert migrated.returncode == 0, migrated.stderr
    tagged = server.execute("""SELECT count(*) FROM "Message" WHERE hashtags <> '{}'""", name)
    assert tagged[0][0] > 0
    script = f"export DATABASE_URL='{url}'\n" + back.replace(
        "${DATABASE_URL%%\\?*}", "$DATABASE_URL"
    )
    restored = shell(script, tmp_path, server)
    assert restored.returncode == 0, restored.stderr
    assert "STOGRAM_ALLOW_DATA_LOSS=1" in restored.stdout + restored.stderr
    left = server.execute("""SELECT to_regclass('"Folder"')""", name)
    assert left == [(None,)]


def test_commands_are_the_same_in_both() -> None:
    """But for what is written for people: so one run shows that both are right."""
    english, russian = (
        [re.sub(r"(?:^|\s+)#.*", "", block.text, flags=re.M) for block in blocks_of(readme, "sh")]
        for readme in READMES
    )
    assert english == russian


def shell(script: str, directory: Path, server: PostgresServer) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "STOGRAM_DATABASE_URL"}
    tools = (str(Path(sys.executable).parent), str(server.bin), environment["PATH"])
    return subprocess.run(
        [shutil.which("bash") or "bash", "-c", script],
        cwd=directory,
        env=environment | {"PATH": os.pathsep.join(tools), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


# --- The names exist, and none is missing. ---


@both
def test_every_public_name_is_there(readme: str) -> None:
    words = set(re.findall(r"\w+", " ".join(words_in_backticks(readme))))
    words |= set(re.findall(r"\w+", "".join(block.text for block in blocks_of(readme))))
    assert set(sdk.__all__) <= words


@both
def test_functions_are_named_with_their_arguments(readme: str) -> None:
    named = set()
    for word in words_in_backticks(readme):
        call = re.fullmatch(r"(\w+)\((.*)\)", word)
        function = getattr(sdk, call[1], None) if call else None
        if call and inspect.isfunction(function) and (call[2] or call[1] not in named):
            given = re.sub(r"=[^,)]+", "", call[2]).replace("*,", "").replace("**", "")
            arguments = [name.strip() for name in given.split(",") if name.strip()]
            if arguments or not inspect.signature(function).parameters:
                assert arguments == list(inspect.signature(function).parameters), call[1]
                named.add(call[1])
    functions = {name for name in sdk.__all__ if inspect.isfunction(getattr(sdk, name))}
    assert functions - named == {"retrying"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_exists(document: str) -> None:
    text = text_of(document)
    targets = set(re.findall(r"^(\w[\w-]*):", text_of("Makefile"), re.M))
    assert set(re.findall(r"`make ([\w-]+)`", text)) <= targets
    for command, group in (("stogram", stogram_command), ("pw_migrate", peewee_migrate.cli.cli)):
        assert isinstance(group, click.Group)
        named = set(re.findall(rf"(?:^|`|\(|=1 ){command} (\w[\w-]*)", text, re.M))
        assert named <= group.commands.keys()
        for subcommand, option in re.findall(rf"{command} (\w[\w-]*)[^`\n#]*? (--?[a-z-]+)", text):
            options = [each for p in group.commands[subcommand].params for each in p.opts]
            assert option in options, f"{command} {subcommand} {option}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_resolve(document: str) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(document)):
        file, _, place = link.partition("#")
        target = (ROOT / document).parent / file if file else ROOT / document
        if "://" not in link and not (target.exists() and (not place or place in places(target))):
            missing.append(link)
    assert missing == []


def places(document: Path) -> list[str]:
    """What a link can point at in a document: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@both
def test_rights_are_those_that_are_tested(readme: str) -> None:
    for block in (*blocks_of(readme, "sql"), *blocks_of(readme, "prisma")):
        unindented = re.sub(r"^ {3}", "", text_of("docs/migrations.md"), flags=re.M)
        assert block.text in text_of("docs/migrations.md") or block.text in unindented
    tested = SERVICE_RIGHTS.replace(SERVICE, "stogram_service").strip()
    assert tested in text_of(readme)


@both
def test_every_example_is_linked(readme: str) -> None:
    for example in (ROOT / "examples").glob("[!_]*.py"):
        assert f"(examples/{example.name})" in text_of(readme)


@both
def test_every_command_of_the_guide_is_translated(readme: str) -> None:
    words = words_in_backticks(readme)
    assert [command for command in COMMANDS if command not in words] == []


# --- Both say the same. ---


def shape_of(document: str) -> list[tuple[str, object]]:
    """The headings, tables, pictures and blocks of code of a document, in their order."""
    shape: list[tuple[str, object]] = []
    parts = re.split(r"^(```\w+\n.*?^```)$", text_of(document), flags=re.M | re.S)
    for part in parts:
        if part.startswith("```"):
            # What is written for people may differ: comments, and texts in quotes.
            code = re.sub(r"\s+#.*|\"[^\"]*\"", "", part)
            shape.append(("code", code if part.startswith("```python") else part.count("\n")))
            continue
        for paragraph in part.split("\n\n"):
            lines = paragraph.strip().splitlines()
            if not lines:
                continue
            if heading := re.match(r"#+ ", lines[0]):
                shape.append(("heading", heading[0]))
            elif lines[0].startswith("|"):
                cells = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
                shape.append(("table", cells))
            else:
                shape.append(("paragraph", lines[0].startswith("![")))
    return shape


def test_both_have_the_same_parts() -> None:
    english, russian = (shape_of(readme) for readme in READMES)
    assert english == russian


def test_tables_name_the_same_things() -> None:
    """What stands in backticks is the same in both."""
    english, russian = (sorted(set(words_in_backticks(readme))) for readme in READMES)
    assert english == russian


def test_picture_of_the_tables_is_up_to_date() -> None:
    drawing = runpy.run_path(str(ROOT / "docs" / "draw_schema.py"))
    assert drawing["picture"]() == text_of("docs/schema.svg")

"""What the documents say is so: their code runs, their names exist, and both languages agree."""

from __future__ import annotations

import codeop
import inspect
import os
import re
import runpy
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from importlib.machinery import BuiltinImporter, ModuleSpec
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
#: The pages of the site, by their paths.
PAGES = tuple(
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if "_build" not in path.parts and path.name != "long_description.md"
)
REFERENCE = tuple(page for page in PAGES if page.startswith("docs/reference/"))
DOCUMENTS = (
    *(*READMES, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"),
    *("docs/long_description.md", *PAGES),
)
#: The first pages of the site show the first lines of a README, which other pages go on from.
FIRST_PAGES = ("docs/index.md", "docs/ru/index.md")
#: What there is in both languages.
PAIRS = (
    READMES,
    *(
        (page.replace("/ru/", "/"), page)
        for page in PAGES
        if "/ru/" in page and page not in FIRST_PAGES
    ),
)
#: Documents whose code begins with nothing.
ALONE = ("docs/tutorial.md", "docs/ru/tutorial.md", "docs/asyncio.md", "docs/ru/asyncio.md")
BEGINNINGS = (*READMES, *FIRST_PAGES, *ALONE)
#: Its code is for PostgreSQL alone.
STANDBYS = "docs/standbys.md"
#: Pages that show files, each with its name in the first line; other tests make and run these.
FILES = {"docs/migrations.md", "docs/testing.md"}

both = pytest.mark.parametrize("readme", READMES)
in_both = pytest.mark.parametrize("pair", PAIRS, ids=[english for english, _ in PAIRS])
in_each = pytest.mark.parametrize("documents", [*zip(*PAIRS, strict=True)], ids=["en", "ru"])
guides = pytest.mark.parametrize("page", ["docs/guide.md", "docs/ru/guide.md"])


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
    """What is there when all the code of a document has run, from the first block to the last."""

    names: dict[str, Any]
    printed: list[str]


Run = Callable[[str, str], Ran]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Runs the code of a document on the database of a URL; it prints the output that is shown."""
    # FastAPI looks names of annotations up in the module of a function.
    module = types.ModuleType("document")
    # Python 3.15 warns of a module that nothing says the origin of.
    module.__spec__ = ModuleSpec("document", BuiltinImporter())
    module.__loader__ = module.__spec__.loader
    monkeypatch.setitem(sys.modules, "document", module)
    monkeypatch.delenv("STOGRAM_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)

    def run_code(document: str, url: str) -> Ran:
        monkeypatch.setenv("DATABASE_URL", url)
        if document not in BEGINNINGS:
            exec(code_of(readme_of(document))[0][0], module.__dict__)
            capsys.readouterr()
        printed: list[str] = []
        for number, (code, shown) in enumerate(code_of(document), start=1):
            code = re.sub(r'"(sqlite|postgresql)://[^"]*"', repr(url), code)
            exec(compile(code, f"{document}, block {number} of code", "exec"), module.__dict__)
            output = capsys.readouterr().out
            assert output == shown or not shown
            printed += output.splitlines()
        return Ran(module.__dict__, printed)

    yield run_code
    sdk.close()


def readme_of(page: str) -> str:
    """The README in the language of a page."""
    return READMES["/ru/" in page]


def code_of(document: str) -> list[tuple[str, str]]:
    """The blocks of Python that are no files, each with the output that is shown right below it."""
    block = r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?"
    found = re.findall(block, text_of(document), re.M | re.S)
    return [(code, shown) for code, shown in found if not re.match(r"# [\w/]+\.py\n", code)]


@pytest.mark.parametrize("document", ALONE)
def test_pages_that_begin_with_nothing_run(document: str, database_url: str, run: Run) -> None:
    assert run(document, database_url).printed


@pytest.mark.parametrize("document", [*READMES, *ALONE])
def test_code_can_be_pasted_into_a_shell(document: str) -> None:
    """There a blank line ends what is indented; without it the next line is a syntax error."""
    compiled = codeop.CommandCompiler()
    for block, _ in code_of(document):
        compound: list[str] = []
        for line in [*block.splitlines(), ""]:
            compound.append(line)
            if compiled("\n".join(compound), document) is not None:
                compound = []
        assert not any(compound), compound


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in (*BEGINNINGS, STANDBYS) and code_of(page)]
)
def test_code_of_a_page_runs(page: str, engine: str, migrated_url: str, run: Run) -> None:
    assert run(page, migrated_url).names["message"]


def test_code_for_standbys_runs(on_postgres: None, migrated_postgres: str, run: Run) -> None:
    names = run(STANDBYS, migrated_postgres).names
    assert names["chats_of"](names["anna"].id) == [names["chat"].id]


def test_files_are_where_other_tests_look_for_them() -> None:
    for page in PAGES:
        code = [text for text, _ in code_of(page)]
        if len(code) < len(blocks_of(page, "python")):
            assert page in FILES
            assert not code, "code that is no file is not run there"


@pytest.mark.parametrize("page", FIRST_PAGES)
def test_first_pages_begin_as_the_readmes(page: str) -> None:
    assert code_of(page) == code_of(readme_of(page))


@both
def test_first_example_can_be_run_twice(readme: str, database_url: str, run: Run) -> None:
    first, second = run(readme, database_url), run(readme, database_url)
    message = second.names["message"]
    assert message.hashtags
    shown = f"{second.names['anna'].display_name}: {message.content}"
    unread = "UnreadTotals(all=1, unmuted=1, mentions=1)"
    assert first.printed == second.printed == [shown, unread]


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["FastAPI", "Flask"])
def test_a_service_can_be_pasted(framework: str, database_url: str, tmp_path: Path) -> None:
    """Into a file, as it stands; that of the other language is the same."""
    ((code, _),) = code_of(f"docs/{framework.lower()}.md")
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
            for body in ([1], "text", None, {}, {"content": 5}):
                refused = client.post(f"/chats/{chat.id}/messages", json=body)
                assert refused.status_code in (400, 415, 422), body


@pytest.mark.slow
def test_commands_on_a_server_database(databases: Databases, name: str, tmp_path: Path) -> None:
    """The blocks of shell commands, as they stand but for the URL."""
    forward, back, _ = (block.text for block in blocks_of("docs/guide.md", "sh"))
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


@in_both
def test_commands_are_the_same_in_both(pair: tuple[str, str]) -> None:
    """But for what is written for people: so one run shows that both are right."""
    english, russian = map(commands_of, pair)
    assert english == russian


def test_commands_of_the_readme_are_some_of_those_that_run() -> None:
    assert set(commands_of("README.md")) <= set(commands_of("docs/guide.md"))


def commands_of(document: str) -> list[str]:
    """The lines of its blocks of shell commands, without comments."""
    text = "".join(block.text for block in blocks_of(document, "sh"))
    return [line for line in re.sub(r"(?:^|\s+)#.*", "", text, flags=re.M).splitlines() if line]


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


@in_each
def test_every_public_name_is_there(documents: tuple[str, ...]) -> None:
    text = " ".join(word for document in documents for word in words_in_backticks(document))
    text += " ".join(block.text for document in documents for block in blocks_of(document))
    assert set(sdk.__all__) <= set(re.findall(r"\w+", text))


@in_each
def test_functions_are_named_with_their_arguments(documents: tuple[str, ...]) -> None:
    named = set()
    for word in (word for document in documents for word in words_in_backticks(document)):
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


def test_reference_has_the_module_of_every_public_name() -> None:
    """Of a module it shows all that is public."""
    shown = set(re.findall(r":: (stogram_sdk[.\w]*)", "".join(map(text_of, REFERENCE))))
    homes = {
        name: getattr(getattr(sdk, name), "__module__", f"stogram_sdk.{name}")
        for name in sdk.__all__
    }
    assert {name: home for name, home in homes.items() if home not in shown} == {}


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


@guides
def test_rights_are_those_that_are_tested(page: str) -> None:
    (block,) = blocks_of(page, "sql")
    assert block.text in text_of("docs/migrations.md")
    assert block.text == SERVICE_RIGHTS.replace(SERVICE, "stogram_service").strip() + "\n"


@in_each
def test_every_example_is_linked(documents: tuple[str, ...]) -> None:
    text = "".join(map(text_of, documents))
    for example in (ROOT / "examples").glob("[!_]*.py"):
        assert f"examples/{example.name})" in text


@guides
def test_every_command_of_the_guide_is_translated(page: str) -> None:
    words = words_in_backticks(page)
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


@in_both
def test_both_have_the_same_parts(pair: tuple[str, str]) -> None:
    english, russian = map(shape_of, pair)
    assert english == russian


@in_both
def test_tables_name_the_same_things(pair: tuple[str, str]) -> None:
    """What stands in backticks is the same in both."""
    english, russian = (sorted(set(words_in_backticks(document))) for document in pair)
    assert english == russian


def test_pictures_of_the_tables_are_up_to_date() -> None:
    drawing = runpy.run_path(str(ROOT / "docs" / "draw_schema.py"))
    for path, picture in drawing["pictures"]().items():
        assert picture == text_of(f"docs/{path}")

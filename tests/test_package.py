"""What is installed: a wheel with all that a service needs, and an import that costs little."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes, policy
from email.message import Message
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import trove_classifiers

import stogram_sdk as sdk

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "stogram_sdk"


def python(*arguments: str | Path, directory: Path, **environment: str) -> str:
    """What Python prints; it must not fail."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pip(*arguments: str | Path, directory: Path) -> None:
    quietly = ("-m", "pip", "--disable-pip-version-check", "--quiet")
    # What it warns of is not ours to correct.
    python(*quietly, *arguments, directory=directory, PYTHONWARNINGS="ignore", PYTHONDEVMODE="")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the checkout, without what was made or built in it."""
    made = (
        *(".*", "__pycache__", "*.py[cod]", "*.db", "*.db-*"),
        *("build", "_build", "dist", "*.egg-info"),
    )
    target = tmp_path_factory.mktemp("package") / "source"
    return Path(shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*made)))


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sdist")
    code = f"import setuptools.build_meta as build; build.build_sdist({str(target)!r})"
    python("-c", code, directory=source, PYTHONWARNINGS="ignore", PYTHONDEVMODE="")
    (archive,) = target.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, as what is published."""
    target = tmp_path_factory.mktemp("wheel")
    pip(
        *("wheel", "--no-index", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", target, sdist),
        directory=target,
    )
    (archive,) = target.iterdir()
    return archive


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    file = f"stogram_sdk-{sdk.__version__}.dist-info/METADATA"
    return message_from_bytes(zipfile.ZipFile(wheel).read(file), policy=policy.default)


def test_sdist_holds_the_whole_project(source: Path, sdist: Path) -> None:
    name = f"stogram_sdk-{sdk.__version__}"
    assert sdist.name == f"{name}.tar.gz"
    with tarfile.open(sdist) as archive:
        held = {member.name.removeprefix(f"{name}/") for member in archive if member.isfile()}
    made = {"PKG-INFO", *(file for file in held if file.startswith("stogram_sdk.egg-info/"))}
    tracked = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    tracked = {file for file in tracked if not file.startswith("stogram_sdk.egg-info/")}
    assert held - made == tracked - made


def test_description_shows_nothing_that_breaks_elsewhere(metadata: Message) -> None:
    """Where it is shown, the other files of the repository are not."""
    description = metadata.get_payload()
    assert isinstance(description, str) and description.startswith("# Stogram SDK\n")
    assert metadata["Description-Content-Type"] == "text/markdown"
    links = re.findall(r"\]\(([^)\s]*)|\]: *(\S+)|(?:href|src)=[\"']?([^\"'\s>]+)", description)
    addresses = re.findall(r"\w+://[^\s)>\"'`]+", description)
    assert {"".join(link) for link in links} | set(addresses) == {"https://semver.org"}
    assert "![" not in description and "<img" not in description


def test_description_begins_as_the_readme() -> None:
    """So its code is the one that the tests of the README run."""
    described = (ROOT / "docs" / "long_description.md").read_text("utf-8").partition("\n## ")[0]
    assert described == (ROOT / "README.md").read_text("utf-8").partition("\n## ")[0]


def test_classifiers_are_known_and_name_what_is_supported(metadata: Message) -> None:
    given = metadata.get_all("Classifier", [])
    assert set(given) <= trove_classifiers.classifiers
    minors = [int(each) for each in re.findall(r"Python :: 3\.(\d+)", "\n".join(given))]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert metadata["Requires-Python"] == f">=3.{minors[0]}"
    policy_of_versions = (ROOT / "docs" / "versions.md").read_text("utf-8")
    assert f"| Python | 3.{minors[0]} to 3.{minors[-1]} |" in policy_of_versions


def test_wheel_installed_elsewhere(wheel: Path, tmp_path: Path) -> None:
    assert wheel.name == f"stogram_sdk-{sdk.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [file for kind in ("py", "sql", "html", "css") for file in PACKAGE.rglob(f"*.{kind}")]
    expected = {f"stogram_sdk/{path.relative_to(PACKAGE)}" for path in files}
    expected |= {f"stogram_sdk/migrations/{path.name}" for path in ROOT.glob("migrations/*.py")}
    assert expected | {"stogram_sdk/py.typed"} <= names
    assert {name for name in names if name.startswith(("tests", "examples", "migrations"))} == set()

    target = tmp_path / "installed"
    pip("install", "--no-index", "--no-deps", "--target", target, wheel, directory=tmp_path)
    url = f"sqlite:///{tmp_path}/stogram.db"
    environment = {"PYTHONPATH": str(target), "STOGRAM_DATABASE_URL": url}
    printed = python("-m", "stogram_sdk", "migrations", directory=tmp_path, **environment)
    migrations = Path(printed.strip())
    assert migrations == target / "stogram_sdk" / "migrations"
    migrate = ("-m", "peewee_migrate", "migrate", "--directory", migrations)
    assert "002_guide_features" in python(*migrate, directory=tmp_path, **environment)
    code = "import stogram_sdk as sdk; sdk.connect(); print(sdk.migrate(), sdk.__file__)"
    done, _, file = python("-c", code, directory=tmp_path, **environment).partition(" ")
    assert (done, Path(file.strip()).parent) == ("[]", target / "stogram_sdk")


def test_an_import_loads_nothing_heavy(tmp_path: Path) -> None:
    # Peewee looks for every driver that is installed. It needs `logging`, and that needs from
    # Python 3.14 on what is called heavy here.
    code = (
        "import logging, peewee, psycopg2, sys; before = set(sys.modules); import stogram_sdk; "
        "print(*sys.modules.keys() - before)"
    )
    loaded = set(python("-c", code, directory=tmp_path, PYTHONPATH=str(ROOT)).split())
    foreign = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert {name for name in foreign if not name.startswith("_")} == {"stogram_sdk"}
    assert not {"stogram_sdk.schema", "stogram_sdk.command", "dataclasses", "pathlib"} & loaded


def test_all_names_everything_public_once() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    imported = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(imported) == sorted(sdk.__all__)


def test_no_public_name_hides_a_module() -> None:
    assert set(sdk.__all__) & {path.stem for path in PACKAGE.glob("*.py")} == set()


#: From the bottom to the top: a module needs those of its own floor and of the floors below.
FLOORS = (
    {"errors", "fields", "reprs", "sealing", "validation", "text", "any_case"},
    {"engine"},
    {"database"},
    {"models"},
    {"statements", "parts", "operations", "paging"},
    {
        "lookups",
        "newest",
        "shards",
        "server_columns",
        "visibility",
        "membership",
        "ordering",
        "unread",
        "tags",
        "rows",
        "profiles",
        "content",
    },
    {
        *("users", "chats", "chat_list", "members", "roles", "messages", "history", "media"),
        *("blocking", "chat_settings", "folders", "forwarding"),
        *("accounts", "presence", "user_search", "contacts", "reactions", "calls"),
        *("pins", "search", "privacy", "notifications", "scheduled", "importing"),
    },
    {"schema"},
    {"command", "migrating"},
    {"studio"},
    {"__main__", "__init__"},
    {"aio", "pydantic", "testing"},
)


def imports_of(path: Path) -> set[str]:
    """The modules of this package that a module needs, wherever in it they are imported.

    What only a type checker reads is not needed.
    """
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    needed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = (f"{node.module}.{alias.name}" for alias in node.names)
            needed |= {name if module_file(name) else node.module for name in inside}
        elif isinstance(node, ast.Import):
            needed |= {alias.name for alias in node.names}
    return {name for name in needed if name.startswith("stogram_sdk.")}


def module_file(name: str) -> Path | None:
    path = ROOT / name.replace(".", "/")
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.exists()), None)


def needs_of_modules() -> dict[str, set[str]]:
    """What each module of the package needs."""
    needs: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        needs[name if path.parent == PACKAGE else name.removesuffix(".__init__")] = imports_of(path)
    return needs


def test_no_module_needs_one_that_needs_it() -> None:
    list(TopologicalSorter(needs_of_modules()).static_order())  # raises CycleError


def test_imports_point_down() -> None:
    floors = {part: number for number, floor in enumerate(FLOORS) for part in floor}
    upward = [
        f"{name} needs {needed}"
        for name, needs in needs_of_modules().items()
        for needed in needs
        if floors[needed.split(".")[1]] > floors[name.split(".")[1]]
    ]
    assert upward == []


def test_no_function_is_longer_than_a_screen() -> None:
    """Fifty lines, without what its docstring says."""
    long = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
                lines = (node.body[-1].end_lineno or 0) - first.lineno + 1
                if lines > 50:
                    long.append(f"{path.name} {node.name}: {lines}")
    assert long == []


def test_the_map_names_every_module() -> None:
    described = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
    assert [str(path) for path in modules if path.name not in described] == []


@pytest.mark.parametrize("name", ["command", "schema", "studio"])
def test_the_table_of_a_package_names_its_modules(name: str) -> None:
    table = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text("utf-8"))) or ""
    named = re.findall(r"^(\w+) +\w", table.partition("===\n")[2], re.M)
    modules = {path.stem for path in (PACKAGE / name).glob("*.py")} - {"__init__"}
    assert sorted(named) == sorted(modules)


def test_version_is_in_the_changelog() -> None:
    heading = rf"^## {re.escape(sdk.__version__)} - (unreleased|\d{{4}}-\d\d-\d\d)$"
    assert re.search(heading, (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)

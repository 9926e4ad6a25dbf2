"""What a service sees of the types: `python -m tests.typing`, a part of `make check`.

Pyright reads this directory, which mypy reads with all the rest. Both read the code of the
documents.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.test_readme import BEGINNINGS, PAGES, READMES, ROOT, code_of, readme_of


def module_of(document: str) -> str:
    return "page_" + re.sub(r"\W", "_", document)


def code_in_place(document: str) -> str:
    """The Python of a document, each line under its number there.

    The first line is a title there. Here it brings what other pages go on from.
    """
    text = (ROOT / document).read_text("utf-8")
    lines = [""] * text.count("\n")
    for code, _ in code_of(document):
        first = text[: text.index(f"```python\n{code}")].count("\n") + 1
        lines[first : first + code.count("\n")] = code.splitlines()
    if document not in BEGINNINGS:
        lines[0] = f"import stogram_sdk as stogram; from .{module_of(readme_of(document))} import *"
    return "\n".join(lines) + "\n"


def main() -> int:
    with TemporaryDirectory() as directory:
        package = Path(directory, "documents")
        package.mkdir()
        modules = [package / "__init__.py"]
        modules[0].touch()
        for document in (*READMES, *filter(code_of, PAGES)):
            modules.append(package / f"{module_of(document)}.py")
            modules[-1].write_text(code_in_place(document), "utf-8")
        return max(
            run("mypy", *modules),
            run("pyright", "--pythonpath", sys.executable, "tests/typing", *modules),
        )


def run(checker: str, *arguments: str | Path) -> int:
    return subprocess.run([sys.executable, "-m", checker, *arguments], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())

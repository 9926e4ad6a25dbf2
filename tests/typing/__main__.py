"""What a service sees of the types: `python -m tests.typing`, a part of `make check`.

Pyright reads this directory, which mypy reads with all the rest. Both read the code of the READMEs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]


def code_of(document: Path) -> str:
    """The Python of a document, each line under its number there."""
    lines: list[str] = []
    is_code = False
    for line in document.read_text("utf-8").splitlines():
        is_fence = line.startswith("```")
        if is_fence:
            is_code = line == "```python"
        lines.append(line if is_code and not is_fence else "")
    return "\n".join(lines) + "\n"


def main() -> int:
    with TemporaryDirectory() as directory:
        modules = [Path(directory, name) for name in ("README.py", "README_ru.py")]
        for module, document in zip(modules, ("README.md", "README.ru.md"), strict=True):
            module.write_text(code_of(ROOT / document), "utf-8")
        return max(
            run("mypy", *modules),
            run("pyright", "--pythonpath", sys.executable, "tests/typing", *modules),
        )


def run(checker: str, *arguments: str | Path) -> int:
    return subprocess.run([sys.executable, "-m", checker, *arguments], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.import_time`: `import stogram_sdk` beside what it is made of."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

from benchmarks.results import IMPORTS

_TURNS = 150
_TIMED = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def main() -> None:
    seconds: dict[str, list[float]] = {"peewee, psycopg2": [], "stogram_sdk": []}
    # As an installed package has it: compiled once, at the first import.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(_TURNS):
        for modules, taken in seconds.items():
            command = [sys.executable, "-c", _TIMED.format(modules)]
            said = subprocess.run(
                command, capture_output=True, text=True, check=True, env=kept
            ).stdout
            taken.append(float(said))
    medians = {modules: statistics.median(taken) for modules, taken in seconds.items()}
    for modules, median in medians.items():
        print(f"import {modules}: {median * 1000:.0f} ms")
    IMPORTS.write_text(json.dumps(medians, indent=1) + "\n")


if __name__ == "__main__":
    main()

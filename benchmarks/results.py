"""What was measured: benchmarks/results, and the names in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
#: Seconds that imports take, by the modules.
IMPORTS = RESULTS / "imports.json"
#: What unread counts cost, by engine and size.
UNREAD = RESULTS / "unread"
OURS = "stogram_sdk"
ASYNCPG, PSYCOPG = "asyncpg by hand", "psycopg 3 by hand"
#: A message with tags as the row alone.
GUIDE = "plain INSERT, before 003"
PLAIN = "plain INSERT, with 003 and MessageTag"


def read_results(directory: Path = RESULTS) -> list[dict[str, Any]]:
    """All of it: PostgreSQL first, and what is larger later."""
    results = [json.loads(path.read_text()) for path in directory.glob("*-*.json")]
    return sorted(results, key=lambda result: (result["engine"], result["messages"]))


def read_import_times() -> dict[str, float]:
    """Empty if they have not been measured."""
    times: dict[str, float] = json.loads(IMPORTS.read_text()) if IMPORTS.exists() else {}
    return times


def cpu_of(costs: dict[str, float]) -> float:
    """How long client and server are at work for a call."""
    return costs["CPU of client"] + costs["CPU of server"]

"""What was measured: benchmarks/results, and the names in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
#: Seconds that imports take, by the modules.
IMPORTS = RESULTS / "imports.json"
#: The same calls in two sizes of database, in turns.
SIZES = RESULTS / "sizes.json"
#: What unread counts cost, by engine and size.
UNREAD = RESULTS / "unread"
#: The same beside those who prepare their statements, by size.
PEERS = RESULTS / "peers"
OURS = "stogram_sdk"
#: psycopg2 with the same SQL.
BY_HAND = "psycopg2 by hand"
#: What a message with tags is compared to: the row alone.
GUIDE = "plain INSERT, before 003"
PLAIN = "plain INSERT, with 003 and MessageTag"


def read_results() -> list[dict[str, Any]]:
    """All of benchmarks/results: PostgreSQL first, and what is larger later."""
    return _read(RESULTS)


def read_unread() -> list[dict[str, Any]]:
    """The same of `UNREAD`."""
    return _read(UNREAD)


def read_peers() -> list[dict[str, Any]]:
    """The results of `PEERS`, the smaller first."""
    results = [json.loads(path.read_text()) for path in PEERS.glob("*.json")]
    return sorted(results, key=lambda result: int(result["messages"]))


def _read(directory: Path) -> list[dict[str, Any]]:
    results = [json.loads(path.read_text()) for path in directory.glob("*-*.json")]
    return sorted(results, key=lambda result: (result["engine"], result["messages"]))


def read_sizes() -> dict[str, dict[str, dict[str, float]]]:
    """By call and size, the smaller first; empty if they have not been measured."""
    calls: dict[str, Any] = json.loads(SIZES.read_text())["calls"] if SIZES.exists() else {}
    return calls


def read_import_times() -> dict[str, float]:
    """Empty if they have not been measured."""
    times: dict[str, float] = json.loads(IMPORTS.read_text()) if IMPORTS.exists() else {}
    return times

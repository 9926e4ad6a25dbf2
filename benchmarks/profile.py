"""`python -m benchmarks.profile "mark_read"`: where the time of a call goes, on PostgreSQL.

Of each statement that it sends: how long the server planned it and ran it, and the plan.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.calls import calls, prepare
from benchmarks.server import filled_server
from benchmarks.timing import Call, times_of
from stogram_sdk.database import current_database, session

_TURNS = 30
#: What has no plan; the savepoint around EXPLAIN is sent in the same way.
_NOT_EXPLAINED = ("SET", "SAVEPOINT", "RELEASE", "ROLLBACK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("call", help="its name in the tables of docs/performance.md")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="a directory for the server, to be used again")
    options = parser.parse_args()
    with filled_server(options.messages, options.keep), session(statement_timeout=0):
        _print_profile(options.call, calls(prepare())[options.call])


def _print_profile(name: str, call: Call) -> None:
    call()
    whole = statistics.median(times_of(call, _TURNS))
    print(f"| {name}: {whole:.2f} ms | planned | run |\n| --- | ---: | ---: |")
    plans = []
    for text, turns in explained(call).items():
        planned, run = (
            statistics.median(_milliseconds(word, plan) for plan in turns)
            for word in ("Planning", "Execution")
        )
        print(f"| `{' '.join(text.split()[:3])}` | {planned:.2f} | {run:.2f} |")
        plans.append(turns[-1])
    for plan in plans:
        print(f"\n{plan}")


def explained(call: Call) -> dict[str, list[str]]:
    """The plans of each statement that the call sends, prepared or not, one for each turn."""
    database = current_database()
    send = database.carry_out
    plans: dict[str, list[str]] = {}

    def explain_and_send(sql: str, values: Any = None, **options: Any) -> Any:
        for text, its_values in _apart(sql, list(values or ())):
            if not text.startswith(_NOT_EXPLAINED):
                with database.atomic() as unit:
                    found = send(f"EXPLAIN (ANALYZE, BUFFERS) {text}", its_values).fetchall()
                    unit.rollback()
                plans.setdefault(text, []).append("\n".join(line for (line,) in found))
        return send(sql, values, **options)

    with patch.object(database, "carry_out", explain_and_send):
        for _ in range(_TURNS):
            call()
    return plans


def _apart(sql: str, values: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """The statements that are sent as one."""
    for text in sql.split("; "):
        count = text.count("%s")
        yield text, values[:count]
        values = values[count:]


def _milliseconds(what: str, plan: str) -> float:
    found = re.search(rf"^{what} Time: ([0-9.]+) ms$", plan, re.MULTILINE)
    assert found is not None
    return float(found[1])


if __name__ == "__main__":
    main()

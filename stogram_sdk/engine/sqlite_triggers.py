"""Triggers of SQLite: those of a file, and those that one connection has while it is open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def trigger_head(name: str, event: str, table: str, *, is_temporary: bool = False) -> str:
    """The statement that makes a trigger, up to its BEGIN; a temporary one is the connection's."""
    kind, of = ("TEMP TRIGGER IF NOT EXISTS", "main.") if is_temporary else ("TRIGGER", "")
    return f'CREATE {kind} "{name}" {event} ON {of}"{table}" FOR EACH ROW'


def make_temporary(connection: Any, triggers: Iterable[str], of_the_file: str) -> bool:
    """Make triggers of a connection if the file has a trigger of this name; whether it has."""
    named = "SELECT 1 FROM sqlite_master WHERE name = ?"
    is_migrated = connection.execute(named, (of_the_file,)).fetchone() is not None
    if is_migrated:
        for trigger in triggers:
            connection.execute(trigger)
    return is_migrated

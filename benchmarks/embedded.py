"""A migrated SQLite database full of messages."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import stogram_sdk
from benchmarks.data import make_world
from benchmarks.load import load_sqlite, read_as_counted
from stogram_sdk.database import current_database, session
from stogram_sdk.schema.router import router_of


@contextmanager
def filled_file(messages: int, kept: Path | None) -> Iterator[str]:
    """The URL of the database; in the directory `kept` it is there for the next run."""
    directory = kept or Path(tempfile.mkdtemp(prefix="stogram-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{directory}/stogram.db"
    is_filled = directory / "filled"
    try:
        stogram_sdk.connect(url)
        if not is_filled.exists():
            with session():
                router = router_of(current_database(), None)
                router.run("002_guide_features")
                load_sqlite(current_database().connection(), make_world(messages))
            stogram_sdk.migrate()
            read_as_counted()
            with session():
                current_database().execute_sql("ANALYZE")
            is_filled.touch()
        yield url
    finally:
        stogram_sdk.close()
        if kept is None:
            shutil.rmtree(directory, ignore_errors=True)

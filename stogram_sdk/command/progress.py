"""How far a command is. The bars are for a terminal: a script sees none."""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

from stogram_sdk.database import open_database
from stogram_sdk.engine.failures import translated_errors
from stogram_sdk.errors import StogramError
from stogram_sdk.schema.postgres import PostgresSchema

#: Seconds: what takes no longer has no bar; and how often a bar looks how far the work is.
_BEFORE_A_BAR = 2.0
_BETWEEN_LOOKS = 1.0

# What PostgreSQL tells of an index that it builds: which part of the work, and how much is done.
_INDEX = """
SELECT phase, CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END,
    CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END
FROM pg_stat_progress_create_index WHERE datname = current_database() LIMIT 1
"""
# How far the fill of "MessageTag" has come in the order of the ids, of which the statistics of the
# planner know a hundred.
_FILL = """
SELECT 'filling', count(*) FILTER (WHERE bound <= tag."messageId"), count(*)
FROM {tags} AS tag, pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = 'id',
    pg_catalog.unnest(s.histogram_bounds::text::text[]) AS bound
WHERE c.oid = to_regclass('{messages}') AND tag.tag = '' AND tag."chatId" = 'filling'
GROUP BY tag."messageId"
"""
# The same of a table that is copied for `stogram distribute`.
_COPY = """
SELECT 'copying', count(*) FILTER (WHERE bound <= copied.place), count(*)
FROM {copied} AS copied
JOIN pg_stats AS s ON s.schemaname = '{home}' AND s.tablename = copied.name AND s.attname = 'id',
    pg_catalog.unnest(s.histogram_bounds::text::text[]) AS bound
WHERE copied.place > '' AND NOT copied.is_complete
GROUP BY copied.place
"""


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar, if there is a terminal; the function moves it: (how many are done, of how many)."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=0, label=unit, show_pos=True, file=sys.stderr) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield advance


@contextmanager
def steps_shown() -> Iterator[Callable[[str], None]]:
    """Each step of a migration in a line, as it begins; below it a bar while it lasts.

    The function is told the name of each migration before it begins. The name is shown with the
    first step: what is refused has none, and has not begun.
    """
    log, handler = logging.getLogger("stogram_sdk.schema"), _Steps()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield handler.begin
        handler.show_name()
    finally:
        log.removeHandler(handler)
        handler.end()


class _Steps(logging.Handler):
    _bar: _Bar | None = None
    _name: str | None = None

    def begin(self, name: str) -> None:
        self.end()
        self.show_name()
        self._name = name

    def show_name(self) -> None:
        if self._name is not None:
            click.echo(self._name)
            self._name = None

    def emit(self, record: logging.LogRecord) -> None:
        self.end()
        self.show_name()
        click.echo(f"    {record.getMessage()}")
        if sys.stderr.isatty():
            self._bar = _Bar("    ")

    def end(self) -> None:
        if self._bar is not None:
            self._bar.end()
            self._bar = None


@contextmanager
def running(label: str) -> Iterator[None]:
    """A bar, if there is a terminal, for one long piece of work."""
    bar = _Bar(label) if sys.stderr.isatty() else None
    try:
        yield
    finally:
        if bar is not None:
            bar.end()


class _Bar:
    """A bar beside work that cannot tell how far it is: a second connection asks the server.

    Where nobody knows, as on SQLite, the bar only moves, and shows how long the work has taken.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join(_BETWEEN_LOOKS)

    def _show(self) -> None:
        if self._over.wait(_BEFORE_A_BAR):
            return
        began = time.monotonic() - _BEFORE_A_BAR
        endless: Iterable[str] = itertools.repeat("")
        bar = click.progressbar(
            endless, label=self._label, item_show_func=lambda shown: shown, file=sys.stderr
        )
        with _looking() as look, bar:
            while not self._over.wait(_BETWEEN_LOOKS):
                phase, done, total = look() or ("", bar.pos + 1, 0)
                passed = int(time.monotonic() - began)
                bar.current_item = f"{passed // 60}:{passed % 60:02} {phase}"
                # A phase of the work may begin anew at nothing, so it is no step forward.
                bar.pos, bar.length, bar.finished = done, total or None, False
                bar.render_progress()


@contextmanager
def _looking() -> Iterator[Callable[[], tuple[str, int, int] | None]]:
    """A function that asks the server: in which phase it is, and how much of that is done."""
    database, settings = open_database(None, statement_timeout=_BETWEEN_LOOKS, connection_limit=1)

    def look() -> tuple[str, int, int] | None:
        if settings.engine == "sqlite":
            return None
        schema = PostgresSchema(settings.schema_name)
        home = settings.schema_name or "public"
        copied = PostgresSchema(f"{home}_distributed").quoted("Copied")
        fill = _FILL.format(tags=schema.quoted("MessageTag"), messages=schema.quoted("Message"))
        try:
            with translated_errors(), database.connection_context():
                for look in (_INDEX, fill, _COPY.format(copied=copied, home=home)):
                    found: tuple[str, int, int] | None = database.execute_sql(look).fetchone()
                    if found is not None:
                        return found
                return None
        except StogramError:  # there is no such table, no connection, or no right to look
            return None

    try:
        yield look
    finally:
        database.close_all()

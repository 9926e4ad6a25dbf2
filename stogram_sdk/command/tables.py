"""The report, the steps and the progress bar of the command line."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stogram_sdk.command.check import Report


def print_report(report: Report) -> None:
    """A table of the things that were looked at, then each wrong one with its remedy."""
    _print_areas(report)
    click.echo(f"search index: {report.search_index}")
    for finding in report.wrong:
        if not finding.pending:
            stops = " (this stops the migration)" if finding.stops_migration else ""
            click.secho(f"{finding.name}: {finding.what}{stops}", fg="red")
            click.echo(f"    {finding.remedy}")
    for migration in report.pending:
        mine = Counter(finding.area for finding in report.wrong if finding.pending == migration)
        if mine:
            contents = ", ".join(f"{area} {number}" for area, number in mine.items())
            click.echo(f"{migration} sees to the others that are wrong: {contents}")
    if report.is_right:
        click.echo("The database is what the models say.")
    elif any(finding.stops_migration for finding in report.wrong):
        click.echo("The migration would stop before anything is touched.")


def _print_areas(report: Report) -> None:
    areas = report.areas()
    width = max(map(len, areas))
    where = f", schema {report.schema_name}" if report.schema_name else ""
    click.echo(f"{report.database}{where}\n")
    click.secho(f"  {'looked at':{width}}  how many  wrong", bold=True)
    click.echo(f"  {'-' * (width + 17)}")
    for area, counts in areas.items():
        line = f"  {area:{width}}  {counts['looked_at']:8}  {counts['wrong']:5}"
        click.secho(line, fg="red" if counts["wrong"] else None)
    click.echo()


@contextmanager
def steps_shown() -> Iterator[None]:
    """Each step of a migration in a line, as it begins."""
    log, handler = logging.getLogger("stogram_sdk.schema"), _Steps()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Steps(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"    {record.getMessage()}")


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

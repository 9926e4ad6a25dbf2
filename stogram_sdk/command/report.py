"""The report of `stogram check`."""

from __future__ import annotations

from collections import Counter
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
            click.echo(f"{migration} will mend the others: {contents}")
    if report.is_right:
        click.echo("The database is what the models say.")
    elif any(finding.stops_migration for finding in report.wrong):
        click.echo("The migration would stop before anything is touched.")
    elif report.pending:
        click.echo("Nothing stands in the way of `stogram migrate`.")


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

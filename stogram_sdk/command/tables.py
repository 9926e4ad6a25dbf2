"""What the command line shows: tables and a progress bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from stogram_sdk.command.check import Report


def print_report(report: Report) -> None:
    """A table of what was looked at, then what is wrong and what to do about it."""
    console = Console(soft_wrap=True)
    where = (
        f"{report.database}, schema {report.schema_name}" if report.schema_name else report.database
    )
    looked_at = Table("looked at", "how many", "wrong", title=where, box=box.SIMPLE)
    for area, counts in report.areas().items():
        style = "red" if counts["wrong"] else None
        looked_at.add_row(area, str(counts["looked_at"]), str(counts["wrong"]), style=style)
    console.print(looked_at)
    console.print(f"search index: {report.search_index}")
    for finding in report.wrong:
        if not finding.pending:
            stops = " (this stops the migration)" if finding.stops_migration else ""
            console.print(Text(f"{finding.name}: {finding.what}{stops}", style="red"))
            console.print(Text(f"    {finding.remedy}"))
    for migration in report.pending:
        mine = Counter(finding.area for finding in report.wrong if finding.pending == migration)
        if mine:
            contents = ", ".join(f"{area} {number}" for area, number in mine.items())
            console.print(f"{migration} sees to the others that are wrong: {contents}")
    if report.is_right:
        console.print("The database is what the models say.")
    elif any(finding.stops_migration for finding in report.wrong):
        console.print("The migration would stop before anything is touched.")


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rows, rate and time left; call what comes back with (rows done, of how many)."""
    bar = Progress(
        TextColumn(unit),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(unit, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")

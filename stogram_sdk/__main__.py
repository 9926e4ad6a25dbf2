"""The command line: `stogram`, or `python -m stogram_sdk`."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from stogram_sdk import __version__


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        from stogram_sdk.command.failing import errors_in_one_line
        from stogram_sdk.command.signals import ended_by_signals

        with errors_in_one_line(), ended_by_signals():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="stogram_sdk %(version)s")
def main() -> None:
    """Tools for the database of a Stogram server.

    $STOGRAM_DATABASE_URL or $DATABASE_URL names the database. Without both it is the file
    stogram.db in this directory.

    Exit status: 0 if it is done or there was nothing to do, 1 if it was refused or failed, 2 if the
    command was not understood, 130 or 143 if Ctrl-C or SIGTERM ended it (0 for studio).
    """


def _as_json(command: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")(command)


def _print_json(data: dict[str, Any]) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _names_of_migrations(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """What the shell completes."""
    from stogram_sdk.schema.migration import shipped_migrations

    return [name for name in shipped_migrations() if name.startswith(incomplete)]


@main.command()
@click.option(
    "--name",
    shell_complete=_names_of_migrations,
    help="The last one to apply (default: all that are pending).",
)
@click.option("--fake", is_flag=True, help="Change no table: only note them as done.")
def migrate(name: str | None, fake: bool) -> None:
    """Apply the pending migrations.

    The command names each migration and each of its steps. It makes functions and triggers of
    earlier ones anew where they are not those of this package. It can be stopped at any time and
    started again: what is done stays done. If something is in the way, it says so before it touches
    anything.
    """
    from stogram_sdk.command.migrate import migrate as run
    from stogram_sdk.command.progress import steps_shown

    with steps_shown() as begin:
        last = _migrations_named(name)[-1]
        applied, renewed = run(begin, last=last, fake=fake)
    if applied:
        _print_end(_how_many(applied, "noted as done" if fake else "applied"))
    elif renewed:
        _print_end(f"no migration was pending; {len(renewed)} steps of earlier ones were done anew")
    else:
        _print_end("nothing to do: no migration is pending")


@main.command()
@click.option(
    "--count", type=click.IntRange(min=1), default=1, help="How many to undo (default: 1)."
)
def rollback(count: int) -> None:
    """Undo the last migration.

    It refuses to lose data unless STOGRAM_ALLOW_DATA_LOSS is 1.
    """
    from stogram_sdk.command.migrate import rollback as run
    from stogram_sdk.command.progress import steps_shown

    with steps_shown() as begin:
        undone = run(begin, count=count)
    _print_end(_how_many(undone, "undone") if undone else "nothing to do: no migration is done")


@main.command()
@_as_json
def status(as_json: bool) -> None:
    """Name the migrations that are done and pending.

    It changes nothing. Whether they did what they should, ask check.
    """
    from stogram_sdk.command.migrate import status as look

    found = look()
    if as_json:
        _print_json({"done": found.done, "pending": found.pending})
        return
    for name in found.done:
        click.echo(f"[x] {name}")
    for name in found.pending:
        click.echo(f"[ ] {name}")
    _print_end(f"{_how_many(found.done, 'done')}, {len(found.pending)} pending")


@main.command()
def migrations() -> None:
    """Print the directory of the migrations.

    It is for Peewee's own command: pw_migrate migrate --directory "$(stogram migrations)".
    """
    from stogram_sdk.schema.migration import migrations_directory

    click.echo(migrations_directory())


@main.command()
@_as_json
def check(as_json: bool) -> None:
    """Compare the database with the models.

    It changes nothing. Exit status: 0 if they agree, else 1.
    """
    from stogram_sdk.command.check import check as look

    report = look()
    if as_json:
        _print_json(report.as_dict())
    else:
        from stogram_sdk.command.report import print_report

        print_report(report)
    sys.exit(0 if report.is_right else 1)


@main.command()
@click.argument("name", required=False, shell_complete=_names_of_migrations)
@click.option("--rollback", is_flag=True, help="The SQL that undoes the migration.")
def sql(name: str | None, rollback: bool) -> None:
    """Print the SQL of a migration, or of all.

    It is for PostgreSQL: to read, or to give to psql.
    """
    from stogram_sdk.command.script import migration_script, rollback_script
    from stogram_sdk.engine.database_url import read_database_url
    from stogram_sdk.schema.migration import shipped_migrations
    from stogram_sdk.schema.postgres import PostgresSchema

    schema = PostgresSchema(read_database_url().schema_name)
    chosen = _migrations_named(name)
    known = shipped_migrations()
    write = rollback_script if rollback else migration_script
    for each in reversed(chosen) if rollback else chosen:
        click.echo(write(each, known[each], schema))


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say how many messages would change.")
@click.option(
    "--since",
    metavar="TIME",
    help="Only messages sent or changed in this time: 10m, 2h, 3d. It reads the table once.",
)
@_as_json
def backfill(dry_run: bool, since: str | None, as_json: bool) -> None:
    """Find the mentions and hashtags of older messages.

    These are from before the migration, or the server has sent or edited them. What is stored
    stays; what is missing is added. It can be stopped at any time, and goes on where it was. What
    the server edits or sends by socket is found by a call every minute with --since.
    """
    from stogram_sdk.command.backfill import backfill as run
    from stogram_sdk.command.progress import progress

    with progress("messages") as advance:
        result = run(dry_run=dry_run, since=_time(since), advance=advance)
    if as_json:
        _print_json({"looked_at": result.looked_at, "changed": result.changed, "dry_run": dry_run})
        return
    verb = "would change" if dry_run else "changed"
    click.echo(f"{result.looked_at} messages looked at, {result.changed} {verb}")


@main.command("search-index")
@click.option("--drop", is_flag=True, help="Drop it.")
def search_index(drop: bool) -> None:
    """Make the index for searches by text.

    With it rare words are found in milliseconds. It is made beside a running server, can be stopped
    at any time and started again. Searches use it as soon as it is there; without it they read the
    messages of the user's chats.
    """
    from stogram_sdk.command.progress import running
    from stogram_sdk.command.search_index import drop_search_index, make_search_index

    with running("the search index"):
        changed = drop_search_index() if drop else make_search_index()
    done, already = ("dropped", "is not there") if drop else ("made", "is there already")
    click.echo(f"the search index {f'was {done}' if changed else already}")


@main.command()
@click.option("--dry-run", is_flag=True, help="Only print the SQL of what is left to do.")
@click.option(
    "--prepare", is_flag=True, help="Only add the two columns that the server is to write."
)
def distribute(dry_run: bool, prepare: bool) -> None:
    """Put the chats on several servers, with Citus.

    It makes a distributed copy of the tables beside a running server, and puts it in their place.
    It can be stopped at any time and started again. From the end on the server must write chatId
    with reactions and with those who take part in calls.
    """
    from stogram_sdk.command.distribute import distribute as run
    from stogram_sdk.command.distribute import distribution_script
    from stogram_sdk.command.progress import steps_shown

    if dry_run:
        script = distribution_script(prepare=prepare)
        click.echo(script or "-- nothing to do: the chats are distributed")
        return
    with steps_shown():
        done = run(prepare=prepare)
    click.echo(
        f"{len(done)} step{'' if len(done) == 1 else 's'} done"
        if done
        else "nothing to do: it is done already"
    )


_LONGEST_SINCE = timedelta(days=36_500)


def _time(text: str | None) -> timedelta | None:
    """`10m`, `2h` or `3d`, as a time."""
    if text is None:
        return None
    units = {"m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], text[-1:]
    if number.isdecimal() and unit in units and len(number) < 9:
        time = timedelta(**{units[unit]: int(number)})
        if time <= _LONGEST_SINCE:
            return time
    raise click.BadParameter(
        f"it is a number of minutes, hours or days: 10m, 2h, 3d; up to {_LONGEST_SINCE.days}d"
    )


@main.command()
@click.option(
    "--write",
    "directory",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Put both into the server's directory `prisma`.",
)
@click.option("--search-index", is_flag=True, help="With the index of `stogram search-index`.")
def prisma(directory: Path | None, search_index: bool) -> None:
    """Tell the server's Prisma of the migrations.

    Then it finds no drift. This prints the lines for schema.prisma, and the SQL of a migration of
    Prisma's own. With --write it adds to schema.prisma what is not there yet, and makes
    migrations/<time>_stogram_sdk.
    """
    from stogram_sdk.command.prisma import migration_sql, schema_lines, write

    if directory is None:
        click.echo("// schema.prisma: add what is not there yet\n")
        click.echo(schema_lines(search_index=search_index))
        click.echo("-- migrations/<time>_stogram_sdk/migration.sql\n")
        click.echo(migration_sql(search_index=search_index), nl=False)
        return
    written = write(directory, search_index=search_index)
    click.echo(f"amended {written.schema}, and wrote {written.migration}")
    click.echo("Where `stogram migrate` has run, tell Prisma that it is done:")
    click.echo(f"    npx prisma migrate resolve --applied {written.migration.name}")


@main.command()
@click.option("--write", is_flag=True, help="Let it change rows (default: it only reads).")
@click.option("--host", default="127.0.0.1", help="Where it is reached (default: this machine).")
@click.option("--port", default=8765, help="On which port (default: 8765; 0: a free one).")
def studio(write: bool, host: str, port: int) -> None:
    """Look at the database in a browser.

    It prints the address to open, which holds a token. It needs `pip install stogram-sdk[studio]`.
    """
    from stogram_sdk.studio.serving import serve

    serve(host=host, port=port, write=write)


def _migrations_named(name: str | None) -> list[str]:
    """The one of that name or number; all if none is named."""
    from stogram_sdk.schema.migration import shipped_migrations

    known = list(shipped_migrations())
    chosen = [each for each in known if name in (None, each, each.split("_")[0])]
    if not chosen:
        raise click.UsageError(f"no migration {name!r}; there are {', '.join(known)}")
    return chosen


def _print_end(what: str) -> None:
    """What was done, and where: a program may mean another database than the command."""
    from stogram_sdk.engine.database_url import read_database_url

    click.echo(f"{what}, in {read_database_url().place}")


def _how_many(migrations: list[str], verb: str) -> str:
    number = len(migrations)
    return f"{number} migration{'' if number == 1 else 's'} {verb}"


if __name__ == "__main__":
    main(prog_name="python -m stogram_sdk")

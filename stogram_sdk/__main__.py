"""The command line: `stogram`, or `python -m stogram_sdk`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from stogram_sdk.errors import StogramError


@click.group()
def main() -> None:
    """Tools for the database of a Stogram server.

    The database is the one that $STOGRAM_DATABASE_URL or $DATABASE_URL names.
    """


@main.command()
def migrations() -> None:
    """Print the directory of the migrations: pw_migrate migrate --directory "$(...)"."""
    from stogram_sdk.schema.migration import migrations_directory

    click.echo(migrations_directory())


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def check(as_json: bool) -> None:
    """Compare the database with the models: exit status 0 if they agree; changes nothing."""
    from stogram_sdk.command.check import check as look

    with _errors_in_one_line():
        report = look()
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        from stogram_sdk.command.tables import print_report

        print_report(report)
    sys.exit(0 if report.is_right else 1)


@main.command()
@click.argument("name", required=False)
@click.option("--rollback", is_flag=True, help="The SQL that takes the migration back.")
def sql(name: str | None, rollback: bool) -> None:
    """Print the SQL of a migration (default: of all) for PostgreSQL, to read or to give to psql."""
    from stogram_sdk.command.script import migration_script, rollback_script
    from stogram_sdk.engine.database_url import read_database_url
    from stogram_sdk.schema.migration import shipped_migrations
    from stogram_sdk.schema.postgres import PostgresSchema

    with _errors_in_one_line():
        schema = PostgresSchema(read_database_url().schema_name)
        known = shipped_migrations()
        chosen = [each for each in known if name in (None, each, each.split("_")[0])]
        if not chosen:
            raise click.ClickException(f"no migration {name!r}; there are {', '.join(known)}")
        write = rollback_script if rollback else migration_script
        for each in reversed(chosen) if rollback else chosen:
            click.echo(write(each, known[each], schema))


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say how many messages would change.")
def backfill(dry_run: bool) -> None:
    """Find the mentions and hashtags of messages that were sent before the migration.

    It can be stopped at any time, and goes on where it was.
    """
    from stogram_sdk.command.backfill import backfill as run
    from stogram_sdk.command.tables import progress

    with _errors_in_one_line(), progress("messages") as advance:
        result = run(dry_run=dry_run, advance=advance)
    verb = "would change" if dry_run else "changed"
    click.echo(f"{result.looked_at} messages looked at, {result.changed} {verb}")


@main.command("search-index")
@click.option("--drop", is_flag=True, help="Drop it.")
def search_index(drop: bool) -> None:
    """Make the index for searches by text: rare words are found in milliseconds.

    It is made beside a running server, can be stopped at any time and started again. Searches use
    it as soon as it is there; without it they read the messages of the user's chats.
    """
    from stogram_sdk.command.search_index import drop_search_index, make_search_index

    with _errors_in_one_line():
        changed = drop_search_index() if drop else make_search_index()
    done, already = ("dropped", "is not there") if drop else ("made", "is there already")
    click.echo(f"the search index {f'was {done}' if changed else already}")


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except StogramError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main(prog_name="python -m stogram_sdk")

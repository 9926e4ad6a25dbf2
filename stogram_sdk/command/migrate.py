"""What `pw_migrate migrate`, `rollback` and `list` do, for the command `stogram`.

The migrations, the history and the turns are the same, so either may go on where the other was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stogram_sdk.command.existing import applied_migrations, read_only
from stogram_sdk.engine.failures import translated_errors
from stogram_sdk.errors import MigrationError
from stogram_sdk.schema.migration import HISTORY, renew, shipped_migrations
from stogram_sdk.schema.pw_migrate import database_to_migrate

if TYPE_CHECKING:
    from peewee_migrate import Router

#: Told the name of each migration before it begins.
Begin = Callable[[str], None]


@dataclass(frozen=True)
class Status:
    """The migrations that are done, in the order in which they were, and those that are not."""

    done: list[str]
    pending: list[str]


def status() -> Status:
    """What the history says; nothing is changed, and no file or table is made.

    Raises `Unavailable` if the database cannot be reached or the file is not there.
    """
    with read_only(None) as (database, schema):
        there = HISTORY in schema.catalog(database).tables
        done = applied_migrations(database, schema) if there else []
    return Status(done, [name for name in shipped_migrations() if name not in done])


def migrate(
    begin: Begin, *, last: str | None = None, fake: bool = False
) -> tuple[list[str], list[str]]:
    """Apply what is pending, up to and including `last`; with `fake`, only say that it is done.

    Returns the names of those that were applied, and the steps of others that were done anew.
    Raises `MigrationError` as `migrate()` does.
    """
    applied: list[str] = []
    with _router() as router:
        pending = router.diff
        if last is not None:
            pending = pending[: pending.index(last) + 1] if last in pending else []
        if pending:
            _require_known(router.done, router)
        for name in pending:
            begin(name)
            applied += router.run(name, fake=fake)
        return applied, [] if fake else renew(router.database)


def rollback(begin: Begin, *, count: int = 1) -> list[str]:
    """Take back the last `count` migrations, the last one first; returns their names.

    Raises `MigrationError` if there are not so many, or data would be lost.
    """
    if not status().done:  # where there is no file, none is made
        return []
    undone: list[str] = []
    with _router() as router:
        done = router.done
        if len(done) < count:
            raise MigrationError(f"cannot undo {count} migrations: {len(done)} done")
        _require_known(done, router)
        for name in done[: -count - 1 : -1]:
            begin(name)
            router.rollback()  # type: ignore[no-untyped-call]  # it has no types
            undone.append(name)
    return undone


def _require_known(done: list[str], router: Router) -> None:
    """The router reads the file of each migration that is done."""
    unknown = sorted(set(done) - set(router.todo))
    if unknown:
        raise MigrationError(
            f"this version of the package does not have {', '.join(unknown)}, which the history "
            "names: use the version that made it"
        )


@contextmanager
def _router() -> Iterator[Router]:
    """Connected, and at its turn."""
    from stogram_sdk.schema.router import router_of

    database = database_to_migrate()
    try:
        with translated_errors(), database.connection_context():
            yield router_of(database, database.schema_name)
    finally:
        database.close_all()

"""How a command fails: with one message that says what to do, and the exit status 1."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from stogram_sdk.errors import InvalidInput, StogramError, Unavailable


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print the message of an error of this package or of an output that cannot be written.

    A pipe that its reader has closed ends the command without a word, as click has it.
    """
    try:
        yield
    except Unavailable as error:
        raise click.ClickException(f"{error}{_advice(str(error))}") from error
    except InvalidInput as error:
        where = f" (in ${_variable()})" if error.field == "url" and _variable() else ""
        raise click.ClickException(f"{error}{where}") from error
    except StogramError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        what = error.filename or "the output"
        raise click.ClickException(f"cannot write {what}: {error.strerror}") from error


def _advice(said: str) -> str:
    """What to do about a database that is not to be had."""
    for beginning, advice in _ADVICE.items():
        if said.startswith(beginning):
            return advice.format(place=f"${_variable()}" if _variable() else "$DATABASE_URL")
    return ""


_ADVICE = {
    "the database cannot be reached": ". {place} says where it is, and as whom to enter it",
    "the database file cannot be opened": (
        ". {place} names it: its directory must be there, and this user be allowed to write in it"
    ),
    "the database file is read-only": (
        ". {place} names it: let this user write it, on a disk that can be written"
    ),
    "the disk is full": ". Make room on it, and run it again",
}


def _variable() -> str | None:
    """The variable of the environment in which the URL stands."""
    names = ("STOGRAM_DATABASE_URL", "DATABASE_URL")
    return next((name for name in names if os.environ.get(name)), None)

"""What can go wrong, as one tree.

::

    StogramError
    ├── InvalidInput (also a ValueError)   an argument cannot be right, whatever the database has
    ├── NotFound                           missing, or not for this user: the two look the same
    ├── NotLoaded                          an attribute of a row that was not read with it
    ├── NotAllowed                         the user sees it, but their role is too low
    ├── Blocked                            one of the two has blocked the other
    ├── AlreadyExists                      an e-mail, a username or an id is taken
    ├── Unavailable                        the database cannot be reached or did not answer in time
    ├── DatabaseError                      the database refused a statement: a bug or another schema
    └── MigrationError                     the schema is not what a migration can start from

No text of an error holds a password, a connection string or data of another user.
"""

from __future__ import annotations

from typing import Any


class StogramError(Exception):
    """Anything that this package raises on purpose.

    Attributes: `entity` ("chat", "message", ...), `id` (as the caller gave it) and `field` (the
    name of an argument) say what it is about; each is `None` where it does not apply.
    `sqlstate` is the five characters of PostgreSQL, where the database had a say.
    """

    def __init__(
        self,
        message: str,
        *,
        entity: str | None = None,
        id: str | None = None,
        field: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message)
        self.entity = entity
        self.id = id
        self.field = field
        self.sqlstate = sqlstate

    def __reduce__(self) -> Any:
        # An exception is copied and pickled by calling its class with `args`, the text alone.
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[StogramError], args: tuple[Any, ...]) -> StogramError:
    return kind.__new__(kind, *args)


class InvalidInput(StogramError, ValueError):
    """An argument cannot be right; the text says what would be."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field)


class NotFound(StogramError):
    """There is no such row, or this user may not see it."""

    def __init__(self, entity: str, id: str) -> None:
        # An account is there for everybody, or for nobody.
        whose = "" if entity == "user" else " for this user"
        super().__init__(f"no such {entity}{whose}: {id!r}", entity=entity, id=id)


class NotLoaded(StogramError):
    """A row does not hold this attribute; the text names the call that reads it.

    `entity`, `id` and `field` are the row and the attribute.
    """

    def __init__(self, entity: str, id: str | None, field: str, instead: str) -> None:
        text = f"{field} was not read with this {entity}; to read it, call {instead}"
        super().__init__(text, entity=entity, id=id, field=field)


class NotAllowed(StogramError):
    """The user's role, or the kind of chat, does not permit this."""


class Blocked(StogramError):
    """One of the two users has blocked the other."""


class AlreadyExists(StogramError):
    """The value is taken by another row."""

    def __init__(
        self, entity: str, field: str, id: str | None = None, message: str | None = None
    ) -> None:
        message = message or f"{entity} with this {field} already exists"
        super().__init__(message, entity=entity, field=field, id=id)


class Unavailable(StogramError):
    """The database cannot be reached or did not answer in time.

    `safe_to_retry` is true when nothing was written, or when a second call leaves the database as
    one would (`send_message` with its `message_id`, `block_user`, ...): the call can simply be made
    again. It is false when the connection was lost while a write was being committed: nobody knows
    then whether that happened.
    """

    def __init__(
        self, message: str, *, safe_to_retry: bool = True, sqlstate: str | None = None
    ) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.safe_to_retry = safe_to_retry


class DatabaseError(StogramError):
    """The database refused a statement that should have been right."""


class MigrationError(StogramError):
    """A migration stopped before it could lose anything; the text says what to do."""

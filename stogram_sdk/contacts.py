"""Contacts: whom a user knows, and what they call them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from peewee import Query

from stogram_sdk.database import current_time
from stogram_sdk.errors import InvalidInput, NotFound
from stogram_sdk.models import Contact, User
from stogram_sdk.operations import operation, operation_with_id
from stogram_sdk.paging import Page, make_page, read_cursor
from stogram_sdk.profiles import Profile, known_people, read_profile
from stogram_sdk.rows import contact_row
from stogram_sdk.statements import P, insert_or_select, statement
from stogram_sdk.users import require_users
from stogram_sdk.validation import (
    MAX_SHORT_TEXT_LENGTH,
    valid_id,
    valid_limit,
    valid_named_ids,
    valid_optional_text,
)


class ContactSummary(NamedTuple):
    """Somebody whom the user knows, as the user may see them; `created_at` is in UTC."""

    profile: Profile
    nickname: str | None
    created_at: datetime


@statement
def _add_contact() -> Any:
    user, contact = User.alias(), User.alias()
    columns = {
        Contact.id: P.id,
        Contact.user: user.id,
        Contact.contact: contact.id,
        Contact.nickname: P.nickname,
        Contact.created_at: P.now,
    }
    both = (
        user.select(*columns.values())
        .join(contact, on=(contact.id == P.contact_id))
        .where(user.id == P.user_id)
    )
    insert = Contact.insert_from(both, list(columns)).on_conflict("nothing")
    return insert_or_select(insert, Contact.select().where(_is_own()), contact_row)


def _is_own() -> Any:
    return (Contact.user == P.user_id) & (Contact.contact == P.contact_id)


@statement
def _update_contact() -> Query:
    return Contact.update({Contact.nickname: P.nickname}).where(_is_own()).returning(contact_row())


@statement
def _remove_contact() -> Query:
    return Contact.delete().where(_is_own())


@statement
def _list_contacts() -> Any:
    return known_people(Contact, "contact", "nickname")


@operation_with_id
def add_contact(
    id: str, user_id: str, contact_id: str, *, nickname: str | None = None
) -> tuple[Contact, bool]:
    """Put somebody into the user's contacts, under a name of the user's own if there is one.

    The other user is not told. A contact that is there already stays as it is. Returns the row,
    with `user` and `contact`, and whether it was made by this call. Raises `NotFound` for an
    unknown user, `InvalidInput`, also for oneself.

    >>> contact, created = add_contact(anna.id, boris.id, nickname="Borya")
    >>> contact.nickname, contact.contact.username
    ('Borya', 'boris')
    """
    valid_id(user_id, "user_id")
    if valid_id(contact_id, "contact_id") == user_id:
        raise InvalidInput("a user is no contact of their own", field="contact_id")
    name = valid_optional_text(nickname, "nickname", maximum=MAX_SHORT_TEXT_LENGTH)
    pair = {"user_id": user_id, "contact_id": contact_id}
    while True:
        contact = _add_contact.first(id=id, nickname=name, now=current_time(), **pair)
        if contact is not None:
            return contact, contact.id == id
        require_users([user_id, contact_id])
        # Another caller has just removed the contact that was in the way.


@operation
def update_contact(user_id: str, contact_id: str, *, nickname: str | None) -> Contact:
    """Change the user's own name for a contact; None takes it away.

    Returns the row as `add_contact` does. Raises `NotFound` for somebody who is no contact,
    `InvalidInput`.

    >>> add_contact(anna.id, boris.id)[1]
    True
    >>> update_contact(anna.id, boris.id, nickname="Borya").nickname
    'Borya'
    """
    contact: Contact | None = _update_contact.first(
        user_id=valid_id(user_id, "user_id"),
        contact_id=valid_id(contact_id, "contact_id"),
        nickname=valid_optional_text(nickname, "nickname", maximum=MAX_SHORT_TEXT_LENGTH),
    )
    if contact is None:
        raise NotFound("contact", contact_id)
    return contact


@operation
def remove_contact(user_id: str, contact_id: str) -> bool:
    """Take somebody out of the user's contacts.

    Returns whether they were one. Raises `InvalidInput`.

    >>> remove_contact(anna.id, boris.id)
    False
    """
    return bool(_remove_contact.run(**valid_named_ids(user_id=user_id, contact_id=contact_id)))


@operation(reads=True)
def list_contacts(
    user_id: str, *, limit: int = 50, cursor: str | None = None
) -> Page[ContactSummary]:
    """The user's contacts with the profiles that the user may see, the latest first.

    Raises `InvalidInput`.

    >>> add_contact(anna.id, boris.id)[1]
    True
    >>> [known.profile.username for known in list_contacts(anna.id)]
    ['boris']
    """
    valid_id(user_id, "user_id")
    valid_limit(limit)
    before, before_id = read_cursor(cursor, "contacts")
    rows = _list_contacts.all(user_id=user_id, before=before, before_id=before_id, limit=limit + 1)
    page = make_page(rows, limit, "contacts", lambda row: (row[0].created_at, row[0].id))
    return Page(
        [ContactSummary(read_profile(row), row[0].nickname, row[0].created_at) for row in page],
        page.next_cursor,
    )

"""Contacts."""

from __future__ import annotations

import pytest

import stogram_sdk as sdk
from tests.support.factories import after, make_users, statements

pytestmark = pytest.mark.usefixtures("engine")


def test_a_contact_is_made_once(ivan: sdk.User, olga: sdk.User) -> None:
    contact, created = sdk.add_contact(ivan.id, olga.id, nickname="Оля")
    assert created and (contact.user, contact.contact) == (ivan, olga)
    again, created = sdk.add_contact(ivan.id, olga.id, nickname="another")
    assert not created and sdk.to_dict(again) == sdk.to_dict(contact)
    assert again.nickname == "Оля", "it stays as it is"
    assert sdk.add_contact(olga.id, ivan.id)[1], "it has a direction"


def test_a_nickname_is_changed_and_cleared(ivan: sdk.User, olga: sdk.User) -> None:
    sdk.add_contact(ivan.id, olga.id)
    assert sdk.update_contact(ivan.id, olga.id, nickname="Оля").nickname == "Оля"
    assert sdk.update_contact(ivan.id, olga.id, nickname=None).nickname is None
    with pytest.raises(sdk.NotFound) as error:
        sdk.update_contact(olga.id, ivan.id, nickname="Ваня")
    assert error.value.entity == "contact"


def test_a_contact_is_removed_once(ivan: sdk.User, olga: sdk.User) -> None:
    sdk.add_contact(ivan.id, olga.id)
    assert not sdk.remove_contact(olga.id, ivan.id)
    assert sdk.remove_contact(ivan.id, olga.id)
    assert not sdk.remove_contact(ivan.id, olga.id)


def test_oneself_and_the_unknown_are_no_contacts(ivan: sdk.User) -> None:
    with pytest.raises(sdk.InvalidInput):
        sdk.add_contact(ivan.id, ivan.id)
    for pair in ((ivan.id, "nobody"), ("nobody", ivan.id)):
        with pytest.raises(sdk.NotFound) as error:
            sdk.add_contact(*pair)
        assert error.value.id == "nobody"


def test_contacts_come_with_the_profiles_that_one_may_see(ivan: sdk.User) -> None:
    others = make_users(4)
    times = [after(number // 2) for number in range(4)]
    rows = [
        sdk.Contact.create(user=ivan, contact=other, created_at=time)
        for other, time in zip(others, times, strict=True)
    ]
    rows.sort(key=lambda row: (row.created_at, row.id), reverse=True)
    sdk.set_status(others[0].id, sdk.UserStatus.ONLINE)
    sdk.block_user(others[1].id, ivan.id)
    sdk.update_contact(ivan.id, others[0].id, nickname="first")
    with statements(1):
        listed = sdk.list_contacts(ivan.id)
    assert [each.profile.id for each in listed] == [row.contact_id for row in rows]
    by_id = {each.profile.id: each for each in listed}
    assert by_id[others[0].id].profile.status == sdk.UserStatus.ONLINE
    assert (by_id[others[0].id].nickname, by_id[others[0].id].created_at) == ("first", after(0))
    assert by_id[others[1].id].profile.status is None
    first = sdk.list_contacts(ivan.id, limit=3)
    second = sdk.list_contacts(ivan.id, limit=3, cursor=first.next_cursor)
    assert [*first, *second] == listed and sdk.list_contacts(others[0].id) == []

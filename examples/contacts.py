"""Contacts: the people whom a user knows, under names of the user's own.

Run it with `python examples/contacts.py`.
"""

from _people import new_user

from stogram_sdk import (
    add_contact,
    connect,
    list_contacts,
    migrate,
    remove_contact,
    update_contact,
)

connect()
migrate()

anna, ivan, maria = new_user("Anna"), new_user("Ivan"), new_user("Maria")

contact, is_new = add_contact(anna.id, ivan.id, nickname="Vanya")
_, is_new_again = add_contact(anna.id, ivan.id)
print(f"{contact.contact.display_name} is a contact: new {is_new}; once more: new {is_new_again}")
add_contact(anna.id, maria.id)
update_contact(anna.id, maria.id, nickname="Masha")

for known in list_contacts(anna.id):
    print(f"  {known.nickname} ({known.profile.display_name})")

remove_contact(anna.id, ivan.id)
print("Left:", [known.nickname for known in list_contacts(anna.id)])

"""Users: make an account, find it again.

Run it with `python examples/users.py`.
"""

from _people import new_user

from stogram_sdk import (
    AlreadyExists,
    NotFound,
    connect,
    create_user,
    find_user,
    get_user,
    migrate,
)

connect()
migrate()

anna = new_user("Anna")
print(f"A new user: {anna.display_name}, made at {anna.created_at:%Y-%m-%d %H:%M} UTC")

# A username is taken in any case of letters; `field` says what is taken.
try:
    create_user("another@example.com", anna.username.upper(), password_hash="a hash")
except AlreadyExists as error:
    print(f"The same username in capitals: {error} (field {error.field!r})")

# `find_user` is for what a person typed, `get_user` for an id that must be there.
found = find_user(anna.username.title())
print("Found by name in any case:", found is not None and found.id == anna.id)
print("Nobody by that name:", find_user("nobody_at_all"))
print("By id:", get_user(anna.id).display_name)
try:
    get_user("no-such-id")
except NotFound as error:
    print(f"An unknown id: {error}")

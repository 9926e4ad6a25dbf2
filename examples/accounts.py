"""Accounts: a profile, presence, finding people, and the end of an account.

Run it with `python examples/accounts.py`.
"""

from uuid import uuid4

from _people import new_user

from stogram_sdk import (
    ChatType,
    UserStatus,
    connect,
    create_chat,
    delete_user,
    find_user_by_email,
    list_members,
    migrate,
    search_users,
    set_password_hash,
    set_push_subscription,
    set_status,
    set_theme,
    set_verification_token,
    update_profile,
    verify_email,
    visible_profiles,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")

# A letter asks for the address to be confirmed; the token in it is used once.
token = uuid4().hex
set_verification_token(anna.id, token=token)
verified = verify_email(token)
print("Anna's address is verified:", verified is not None and verified.email_verified)
print("The token works once more:", verify_email(token) is not None)

surname = f"Sidorova{uuid4().hex[:6]}"
update_profile(anna.id, display_name=f"Анна {surname}", bio="Sings alto.")
set_theme(anna.id, "dark")
set_password_hash(anna.id, password_hash="the hash of a new one")
set_push_subscription(anna.id, subscription='{"endpoint": "https://push.example.com/1"}')
same = find_user_by_email(anna.email.upper())
print("Found by her address in any case:", same == anna)

# Words are found by their beginning, in any case and any script.
for text in (surname[:12].upper(), f"анн {surname}", surname[1:]):
    names = [profile.bio for profile in search_users(ivan.id, text)]
    print(f"Ivan looks for {text[:4]}...: {names}")

# Presence: call it as often as a device says so, it writes when something changes.
print("Anna comes; others are to be told:", set_status(anna.id, UserStatus.ONLINE))
print("Her tablet says so too:", set_status(anna.id, UserStatus.ONLINE))
set_status(anna.id, UserStatus.OFFLINE)
(profile,) = visible_profiles(ivan.id, [anna.id])
print("Ivan sees when she left:", profile.last_seen is not None)

# Her account ends; the choir goes on, with another owner.
choir = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Choir")
delete_user(anna.id)
(member,) = list_members(ivan.id, choir.id)
print(f"The owner is now {member.profile.display_name}, {member.role}")

"""Roles: how the owner makes admins and passes the chat on, and who follows when the owner is gone.

Run it with `python examples/roles.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    MemberRole,
    NotAllowed,
    User,
    add_member,
    connect,
    create_chat,
    list_members,
    migrate,
    session,
    set_role,
    transfer_ownership,
)

connect()
migrate()

anna, ivan, maria, oleg = map(new_user, ["Anna", "Ivan", "Maria", "Oleg"])
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id, maria.id], name="Chess club")

# Admins add and remove members; the owner alone makes admins.
admin = set_role(anna.id, chat.id, maria.id, MemberRole.ADMIN)
print(f"{admin.user.display_name} is {admin.role} now")
try:
    set_role(maria.id, chat.id, ivan.id, MemberRole.ADMIN)
except NotAllowed as error:
    print(f"Maria tries to make Ivan one: {error}")

owner = transfer_ownership(anna.id, chat.id, ivan.id)
print(f"{owner.user.display_name} owns the chess club now")

# The server deletes Ivan's account: the next change of members gives the chat an owner.
with session():
    User.delete().where(User.id == ivan.id).execute()
add_member(maria.id, chat.id, oleg.id)
for member in list_members(oleg.id, chat.id):
    print(f"  {member.profile.display_name}: {member.role}")

"""Members: who may add and remove whom, and what happens when the owner leaves.

Run it with `python examples/members.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    MemberRole,
    NotAllowed,
    NotFound,
    add_member,
    connect,
    create_chat,
    leave_chat,
    list_members,
    migrate,
    remove_member,
)

connect()
migrate()

anna, ivan, maria, oleg = map(new_user, ["Anna", "Ivan", "Maria", "Oleg"])
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[oleg.id], name="Chess club")

# The owner makes admins; admins add members.
add_member(anna.id, chat.id, ivan.id, role=MemberRole.ADMIN)
add_member(ivan.id, chat.id, maria.id)
print("Members, the latest to join first:")
for member in list_members(anna.id, chat.id):
    print(f"  {member.profile.display_name}: {member.role}")

# A member may neither add nor remove; a chat of others does not exist for a stranger.
try:
    remove_member(oleg.id, chat.id, maria.id)
except NotAllowed as error:
    print(f"Oleg tries to remove Maria: {error}")
stranger = new_user("Pavel")
try:
    list_members(stranger.id, chat.id)
except NotFound:
    print("Pavel, who is not in the chat, is told that there is no such chat")

print("Ivan removes Oleg:", remove_member(ivan.id, chat.id, oleg.id))
print("Once more:", remove_member(ivan.id, chat.id, oleg.id))

# The chat goes to the longest standing admin.
leave_chat(anna.id, chat.id)
owners = [member for member in list_members(maria.id, chat.id) if member.role == MemberRole.OWNER]
print("Anna leaves; the owner is now", owners[0].profile.display_name)

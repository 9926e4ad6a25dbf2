"""Folders: each user puts chats in an order of their own.

Run it with `python examples/folders.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    NotFound,
    connect,
    create_chat,
    create_folder,
    delete_folder,
    list_chats,
    list_folders,
    migrate,
    move_to_folder,
    remove_from_folder,
    reorder_folders,
    send_message,
    update_folder,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
office = create_chat(ivan.id, ChatType.GROUP, member_ids=[anna.id], name="Office")
family = create_chat(ivan.id, ChatType.GROUP, member_ids=[anna.id], name="Family")

work = create_folder(anna.id, "Work", color="#cc3300", icon="Briefcase")
home = create_folder(anna.id, "Home")
print(f"Made {work.name!r} in {work.color} and {home.name!r} in {home.color}, the default")

# What is not given stays; None clears.
changed = update_folder(anna.id, work.id, name="The office", icon=None)
print(f"Changed: {changed.name!r}, color {changed.color}, icon {changed.icon}")

# A chat is in one folder or in none.
move_to_folder(anna.id, office.id, work.id)
move_to_folder(anna.id, family.id, home.id)
reorder_folders(anna.id, [home.id, work.id])
send_message(ivan.id, office.id, "The meeting is at ten.")

print("Anna's folders:")
for entry in list_folders(anna.id):
    names = ", ".join(chat.name or "" for chat in entry.chats)
    print(f"  {entry.folder.name}: {names} ({entry.unread_count} unread)")

# A folder of somebody else does not exist for Ivan.
try:
    move_to_folder(ivan.id, office.id, work.id)
except NotFound as error:
    print(f"Ivan tries Anna's folder: no such {error.entity}")

print("Family taken out of its folder:", remove_from_folder(anna.id, family.id))
print("The office folder deleted:", delete_folder(anna.id, work.id))
print("Its chats stay:", [line.chat.name for line in list_chats(anna.id, folder_id=None)])

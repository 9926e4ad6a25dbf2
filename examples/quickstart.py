"""A first look around: users, a chat, a folder, a mute, a pin, a search and a block.

    python examples/quickstart.py

It works on stogram.db, an embedded SQLite database, or on $DATABASE_URL. Run it again: everything
that is there already stays as it is.
"""

from stogram_sdk import (
    Blocked,
    User,
    block_user,
    connect,
    create_folder,
    create_user,
    find_by_hashtag,
    find_user,
    list_chats,
    list_folders,
    mark_read,
    migrate,
    move_to_folder,
    mute_chat,
    open_private_chat,
    pin_message,
    send_message,
    unblock_user,
    unread_totals,
)

connect()
migrate()
print("Connected; the tables are there.")


def user_named(username: str, name: str) -> User:
    return find_user(username) or create_user(
        f"{username}@example.com", username, password_hash="a hash", display_name=name
    )


anna = user_named("demo_anna", "Anna")
ivan = user_named("demo_ivan", "Ivan")
print(f"Two users: {anna.display_name} and {ivan.display_name}.")

chat, is_new = open_private_chat(anna.id, ivan.id)
print("Their private chat is", "new." if is_new else "the one that they had.")

# An id of one's own makes a message repeatable: the same id twice is one message.
message = send_message(
    ivan.id, chat.id, "@demo_anna, see you at the #Meetup!", message_id="quickstart-1"
)
print(f"Ivan wrote: {message.content}")
print(f"Mentions found in it: {message.mentions}; hashtags: {message.hashtags}.")

totals = unread_totals(anna.id)
print(f"Anna has {totals.all} unread, {totals.mentions} of them with her name.")
settings = mark_read(anna.id, chat.id)
print(f"She reads the chat: {settings.unread_count} unread.")

named_friends = [entry.folder for entry in list_folders(anna.id) if entry.folder.name == "Friends"]
folder = named_friends[0] if named_friends else create_folder(anna.id, "Friends")
move_to_folder(anna.id, chat.id, folder.id)
in_folder = list_chats(anna.id, folder_id=folder.id)
print(f"Her folder {folder.name!r} holds {len(in_folder)} chat.")

settings = mute_chat(anna.id, chat.id)
print("The chat is", "muted." if settings.is_muted else "not muted.")

pin, is_new = pin_message(anna.id, chat.id, message.id)
print("The message is pinned", "now." if is_new else "already.")

found = find_by_hashtag(anna.id, "#meetup")
print(f"A search for #meetup finds: {[message.content for message in found]}.")

block_user(anna.id, ivan.id)
try:
    send_message(ivan.id, chat.id, "Anna?")
except Blocked as error:
    print(f"Anna blocks Ivan, and he cannot write: {error}.")
unblock_user(anna.id, ivan.id)
print("She takes the block back. That was the first look around.")

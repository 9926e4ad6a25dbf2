"""Chat settings: mute, favorites, and how far somebody has read.

Run it with `python examples/chat_settings.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    connect,
    create_chat,
    delete_message,
    get_chat_settings,
    mark_read,
    migrate,
    mute_chat,
    recount_unread,
    send_message,
    set_favorite,
    toggle_favorite,
    unmute_all_chats,
    unmute_chat,
    unread_totals,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Hiking")

# Nothing is stored until something is set; reading gives the defaults.
settings = get_chat_settings(ivan.id, chat.id)
print(f"At first: muted {settings.is_muted}, favorite {settings.is_favorite}")

print("Mute:", mute_chat(ivan.id, chat.id).is_muted)
print("Unmute:", unmute_chat(ivan.id, chat.id).is_muted)
mute_chat(ivan.id, chat.id)
print("Chats that were muted and no longer are:", unmute_all_chats(ivan.id))

print("Favorite:", set_favorite(ivan.id, chat.id).is_favorite)
print("Not a favorite:", set_favorite(ivan.id, chat.id, False).is_favorite)
print("Toggled:", toggle_favorite(ivan.id, chat.id).is_favorite)

first, second, third = (
    send_message(anna.id, chat.id, text)
    for text in ("Saturday?", "The train leaves at 8.", f"Bring a map, @{ivan.username}")
)
print("Three messages:", unread_totals(ivan.id))

print("Read up to the second:", mark_read(ivan.id, chat.id, second.id).unread_count, "unread")
print("An older mark changes nothing:", mark_read(ivan.id, chat.id, first.id).unread_count)

# A deleted message is no longer unread.
delete_message(anna.id, chat.id, third.id)
print("The third is deleted:", get_chat_settings(ivan.id, chat.id).unread_count, "unread")

send_message(anna.id, chat.id, "And good shoes.")
print("Another one:", get_chat_settings(ivan.id, chat.id).unread_count, "unread")
print("Read all:", mark_read(ivan.id, chat.id).unread_count, "unread")

# The counts above are right by themselves; this is for the column that the server's clients read.
print("Counts that had to be corrected:", recount_unread(ivan.id))

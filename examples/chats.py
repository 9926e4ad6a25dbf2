"""Chats: groups, channels, private and secret chats, and the list of them.

Run it with `python examples/chats.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    connect,
    create_chat,
    delete_chat,
    get_chat,
    list_chats,
    migrate,
    open_private_chat,
    send_message,
    set_favorite,
    update_chat,
)

connect()
migrate()

anna, ivan, maria = new_user("Anna"), new_user("Ivan"), new_user("Maria")

group = create_chat(
    anna.id, ChatType.GROUP, member_ids=[ivan.id, maria.id], name="Weekend", description="Plans"
)
news = create_chat(anna.id, ChatType.CHANNEL, member_ids=[ivan.id], name="Anna's news")
print(f"Anna is the owner of {group.name!r} and of {news.name!r}")

# Two people have one private chat, whoever opens it; a secret one is apart from it.
private, is_new = open_private_chat(anna.id, ivan.id)
again, is_new_again = open_private_chat(ivan.id, anna.id)
secret, _ = open_private_chat(anna.id, ivan.id, is_secret=True)
print(f"Private chat: new {is_new}, then new {is_new_again}; one chat {private.id == again.id}")
print(f"The secret chat is another one: {secret.id != private.id}")

send_message(maria.id, group.id, "Who comes along?")
send_message(anna.id, private.id, "Hello, Ivan!")
set_favorite(ivan.id, news.id)

# Favorites first, then by the last message. One statement brings all that a line shows.
print("Ivan's list:")
for line in list_chats(ivan.id):
    title = line.chat.name or (line.peer and line.peer.display_name)
    last = line.last_message and f"{line.last_message.sender.display_name}: " + (
        line.last_message.content or "a file"
    )
    star = "*" if line.settings.is_favorite else " "
    lock = " (secret)" if line.chat.is_secret else ""
    print(f"  {star} {title}{lock}: {line.unread_count} unread; {last or 'no messages yet'}")

print("Unread only:", len(list_chats(ivan.id, unread_only=True)))
print("Secret only:", len(list_chats(ivan.id, is_secret=True)))

# A page at a time: `next_cursor` asks for what follows.
page = list_chats(ivan.id, limit=3)
rest = list_chats(ivan.id, limit=3, cursor=page.next_cursor)
print(f"Pages of three: {len(page)} chats, then {len(rest)}")

# Owner and admins change a group; what is not named stays.
update_chat(anna.id, group.id, name="Long weekend", avatar="/uploads/lake.jpg")
line = get_chat(ivan.id, group.id)
print(f"Ivan sees: {line.chat.name}, {line.chat.description}, {line.unread_count} unread")

print("Ivan deletes the secret chat, for both:", delete_chat(ivan.id, secret.id))
print("Secret chats of Anna:", len(list_chats(anna.id, is_secret=True)))

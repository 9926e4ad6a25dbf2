"""Notifications: whom to notify of a message, and of many at once.

Run it with `python examples/notifications.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    Message,
    block_user,
    connect,
    create_chat,
    migrate,
    mute_chat,
    send_message,
    users_to_notify,
    users_to_notify_each,
)

connect()
migrate()

anna, ivan, maria, oleg = map(new_user, ["Anna", "Ivan", "Maria", "Oleg"])
names = {user.id: user.display_name or "" for user in (anna, ivan, maria, oleg)}
chat = create_chat(
    anna.id, ChatType.GROUP, member_ids=[ivan.id, maria.id, oleg.id], name="Football"
)


def show(message: Message) -> None:
    """A service would send a push to each of these."""
    receivers = users_to_notify(chat.id, message.id)  # a page of up to 1,000
    print(f"  {message.content} -> {sorted(names[user_id] for user_id in receivers) or 'nobody'}")


print("Anna writes:")
show(send_message(anna.id, chat.id, "Training at six!"))

print("Ivan mutes the chat, Maria blocks Anna:")
mute_chat(ivan.id, chat.id)
block_user(maria.id, anna.id)
show(send_message(anna.id, chat.id, "At seven, sorry."))

print("A silent message:")
show(send_message(anna.id, chat.id, "(The ball is in my car.)", is_silent=True))

print("Of many messages at once, as a service does after publish_scheduled:")
sent = [send_message(anna.id, chat.id, f"Goal {number}!") for number in (1, 2)]
messages = [(message.chat_id, message.id) for message in sent]
page = users_to_notify_each(messages, limit=1)
while True:
    for message_id, user_id in page:
        number = [message.id for message in sent].index(message_id) + 1
        print(f"  of goal {number}: {names[user_id]}")
    if page.next_cursor is None:
        break
    page = users_to_notify_each(messages, limit=1, cursor=page.next_cursor)

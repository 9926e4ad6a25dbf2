"""Pinned messages: everybody pins for themselves.

Run it with `python examples/pins.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    connect,
    create_chat,
    delete_message,
    list_pinned_messages,
    migrate,
    pin_message,
    send_message,
    unpin_all_messages,
    unpin_message,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Flat 12")
code = send_message(ivan.id, chat.id, "The door code is on the fridge.")
rent = send_message(ivan.id, chat.id, "Rent is due on the 5th.")
keys = send_message(ivan.id, chat.id, "Keys are with Maria.")

for message in (code, rent, keys):
    pin_message(anna.id, chat.id, message.id)
_, is_new = pin_message(anna.id, chat.id, code.id)
print("Pinned once more, a new pin:", is_new)

print("Anna's pins, the latest first:")
for pin in list_pinned_messages(anna.id, chat_id=chat.id):
    print(f"  {pin.message.sender.display_name}: {pin.message.content}")
print("Ivan's pins:", len(list_pinned_messages(ivan.id)))

# A message that is deleted is no longer among the pins.
delete_message(ivan.id, chat.id, keys.id)
print("After Ivan deleted one:", len(list_pinned_messages(anna.id)))

print("Unpin one:", unpin_message(anna.id, chat.id, rent.id))
print("Unpin the rest:", unpin_all_messages(anna.id, chat.id))
print("Left:", len(list_pinned_messages(anna.id)))

"""Forwarding: messages of one chat go to another.

Run it with `python examples/forwarding.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    NotAllowed,
    connect,
    create_chat,
    forward_messages,
    list_messages,
    migrate,
    open_private_chat,
    send_message,
)

connect()
migrate()

anna, ivan, maria = new_user("Anna"), new_user("Ivan"), new_user("Maria")
kitchen = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Kitchen")
shopping = create_chat(ivan.id, ChatType.GROUP, member_ids=[maria.id], name="Shopping")

pancakes = send_message(anna.id, kitchen.id, "Pancakes tonight!")
needed = send_message(anna.id, kitchen.id, "Flour, eggs, #salt")

# Ivan reads one chat and may write in the other. All are forwarded or none, in the chat's order.
forward_messages(ivan.id, kitchen.id, [needed.id, pancakes.id], shopping.id)
print("Maria reads:")
for message in reversed(list_messages(maria.id, shopping.id)):
    print(f"  {message.sender.display_name}: {message.content}")

secret, _ = open_private_chat(anna.id, ivan.id, is_secret=True)
whisper = send_message(anna.id, secret.id, "It is a surprise.")
try:
    forward_messages(ivan.id, secret.id, [whisper.id], shopping.id)
except NotAllowed as error:
    print(f"What is secret stays so: {error}")

"""Messages: write, answer, edit, delete, read page by page.

Run it with `python examples/messages.py`.
"""

import json

from _people import new_user

from stogram_sdk import (
    ChatType,
    MessageType,
    NotAllowed,
    connect,
    create_chat,
    delete_message,
    edit_message,
    list_messages,
    migrate,
    post_system_message,
    send_message,
    to_dict,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Garden")

question = send_message(anna.id, chat.id, "Who waters the #tomatoes?")
send_message(ivan.id, chat.id, "I do.", reply_to_id=question.id)
send_message(
    ivan.id,
    chat.id,
    type=MessageType.IMAGE,
    file_url="/uploads/tomatoes.jpg",
    file_name="tomatoes.jpg",
    file_size=48_213,
    is_silent=True,  # nobody is notified
)

# A client that does not know whether a message went through sends it again under the same id.
first = send_message(anna.id, chat.id, "Thank you!", message_id=f"client-{chat.id}-1")
second = send_message(anna.id, chat.id, "Thank you!", message_id=f"client-{chat.id}-1")
print("Sent twice under one id, one message:", first.id == second.id)

# For the service itself: no user sends a message of this type.
post_system_message(chat.id, "The garden is open.")

edited = edit_message(anna.id, chat.id, question.id, "Who waters the #cucumbers?")
print(f"Edited: {edited.content} Hashtags now: {edited.hashtags}")
print("Its sender, for a client:", json.dumps(to_dict(edited.sender)))
try:
    edit_message(ivan.id, chat.id, question.id, "Nobody!")
except NotAllowed as error:
    print(f"Ivan tries to edit it: {error}")

print("Anna deletes hers:", delete_message(anna.id, chat.id, first.id))
print("Once more:", delete_message(anna.id, chat.id, first.id))

# The newest first; `next_cursor` goes on to the older ones.
print("The chat in pages of two:")
cursor = None
while True:
    page = list_messages(ivan.id, chat.id, limit=2, cursor=cursor)
    for message in page:
        mark = " (edited)" if message.is_edited else ""
        print(f"  {message.sender.display_name}: {message.content or message.file_name}{mark}")
    cursor = page.next_cursor
    if cursor is None:
        break
    print("  --")

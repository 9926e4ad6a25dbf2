"""Importing: the history of a chat from another system.

Run it with `python examples/importing.py`.
"""

from datetime import UTC, datetime, timedelta

from _people import new_user

from stogram_sdk import (
    ChatType,
    ImportedMessage,
    InvalidInput,
    connect,
    create_chat,
    find_by_hashtag,
    import_messages,
    list_messages,
    migrate,
    send_message,
    unread_totals,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Garden")
send_message(anna.id, chat.id, "Now we are here.")

# What the other system has; an id is made of its own, so that each message has one.
export = [
    (101, anna, "Who waters the #tomatoes?", None),
    (102, ivan, "I do.", 101),
    (103, anna, "Thank you!", 102),
]
start = datetime(2020, 5, 1, 9, tzinfo=UTC)
history = [
    ImportedMessage(
        id=f"old-{chat.id}-{number}",
        sender_id=sender.id,
        created_at=start + timedelta(minutes=number),
        content=text,
        reply_to_id=f"old-{chat.id}-{answered}" if answered else None,
    )
    for number, sender, text, answered in export
]

# A thousand at a time, each call all or none; an import that was interrupted is started again.
print("Imported:", import_messages(anna.id, chat.id, history), "messages")
print("Once more:", import_messages(anna.id, chat.id, history))

print("The chat, the newest first:")
for message in list_messages(ivan.id, chat.id):
    print(f"  {message.created_at.year} {message.sender.display_name}: {message.content}")

# They were written before Ivan joined.
print("Unread for Ivan:", unread_totals(ivan.id).all)
print("Found:", [m.content for m in find_by_hashtag(ivan.id, "tomatoes", chat_id=chat.id)])

try:
    import_messages(anna.id, chat.id, [history[0]._replace(id="old-0", content="")])
except InvalidInput as error:
    print(f"An empty one: {error}")

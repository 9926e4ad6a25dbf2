"""Scheduled messages: written now, sent later, exactly once.

Run it with `python examples/scheduled_messages.py`.
"""

import time
from datetime import UTC, datetime, timedelta

from _people import new_user

from stogram_sdk import (
    InvalidInput,
    acknowledge_published,
    connect,
    list_messages,
    list_scheduled,
    migrate,
    open_private_chat,
    publish_scheduled,
    reschedule_message,
    send_message,
    unread_totals,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
chat, _ = open_private_chat(anna.id, ivan.id)

# Times are aware. A naive one could be an hour off anywhere, so it is refused.
try:
    send_message(anna.id, chat.id, "Good morning!", scheduled_for=datetime(2030, 1, 1, 9))
except InvalidInput as error:
    print(f"A time without zone: {error}")

soon = datetime.now(UTC) + timedelta(seconds=1)
send_message(anna.id, chat.id, "Happy birthday!", scheduled_for=soon)
print("Until then nobody sees it:", len(list_messages(ivan.id, chat.id)), "messages")
print("and nobody has it unread:", unread_totals(ivan.id).all)

# Its sender sees what is to come, and may change when.
draft = send_message(anna.id, chat.id, "See you!", scheduled_for=soon + timedelta(days=1))
reschedule_message(anna.id, chat.id, draft.id, soon + timedelta(days=7))
for message in list_scheduled(anna.id):
    print(f"  {message.content} on {message.scheduled_for:%d %B}")

# A service calls this every few seconds, in as many processes as it likes: what is due is sent
# once, by one of them.
time.sleep(1.1)
sent = [message for message in publish_scheduled() if message.chat_id == chat.id]
print("Sent when it was time:", [message.content for message in sent])
print("Sent by the next call:", [message.content for message in publish_scheduled()])

# Here the service would notify Ivan. Had it died before, the message would be given again five
# minutes later. Now it says that this is done.
print("Acknowledged:", acknowledge_published(message.id for message in sent))
print("Unread for Ivan now:", unread_totals(ivan.id).all)

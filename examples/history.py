"""The history of a chat: pages in both directions, a message and what is around it, replies.

Run it with `python examples/history.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    Message,
    connect,
    create_chat,
    get_message,
    list_messages,
    list_replies,
    migrate,
    send_message,
)

connect()
migrate()


def show(messages: list[Message]) -> str:
    return ", ".join(message.content or "a file" for message in messages)


anna, ivan = new_user("Anna"), new_user("Ivan")
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Counting")
numbers = [send_message(anna.id, chat.id, str(number)) for number in range(1, 10)]

# The newest come first; `next_cursor` goes on to older messages.
newest = list_messages(ivan.id, chat.id, limit=3)
print("The newest:", show(newest))

# A link, a search or a reply leads into the middle of a chat.
page = list_messages(ivan.id, chat.id, around=numbers[3].id, limit=3)
print("Around the fourth:", show(page))
older = list_messages(ivan.id, chat.id, limit=3, cursor=page.next_cursor)
newer = list_messages(ivan.id, chat.id, limit=3, cursor=page.previous_cursor)
print(f"Before it: {show(older)}; after it: {show(newer)}")
last = list_messages(ivan.id, chat.id, limit=3, cursor=newer.previous_cursor)
print("Back at the newest:", last[0].id == newest[0].id and last.previous_cursor is None)

for text in ("And before one?", "What about zero?"):
    send_message(ivan.id, chat.id, text, reply_to_id=numbers[0].id)
print("Answers to the first:", show(list_replies(anna.id, chat.id, numbers[0].id)))
print("The first itself:", get_message(anna.id, chat.id, numbers[0].id).content)

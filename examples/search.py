"""Search: by hashtag, by mention, by text, in any script and any case.

Run it with `python examples/search.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    MessageType,
    connect,
    create_chat,
    extract_hashtags,
    extract_mentions,
    find_by_hashtag,
    find_by_mention,
    migrate,
    open_private_chat,
    search_messages,
    send_message,
)

# What is found in a text needs no database.
print(extract_hashtags("#Release, #проект1 and #サッカー, but not C# or https://x.io/#top"))
print(extract_mentions("@ivan and @Maria, but not ivan@example.com"))

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Trips")
secret, _ = open_private_chat(anna.id, ivan.id, is_secret=True)

send_message(anna.id, chat.id, f"@{ivan.username}, look: #Байкал in winter")
send_message(anna.id, chat.id, "Карта", type=MessageType.FILE, file_url="/m", file_name="map.pdf")
send_message(anna.id, chat.id, "Tickets are 100% refundable")
send_message(anna.id, secret.id, "The surprise: #Байкал in July")

# The sign, the case and full width do not matter; `gram` does not find #programming.
for tag in ("#байкал", "БАЙКАЛ"):
    print(f"{tag}:", [message.content for message in find_by_hashtag(ivan.id, tag)])

# A secret chat is searched only where it is named.
found = find_by_hashtag(ivan.id, "байкал", chat_id=secret.id)
print("In the secret chat:", [message.content for message in found])

print("Mentions of me:", len(find_by_mention(ivan.id)))
print("Mentions of Anna:", len(find_by_mention(ivan.id, anna.username)))

# Text or file name, any case; every character stands for itself, also % and _.
for text in ("КАРТА", "MAP", "100%", "_"):
    messages = search_messages(ivan.id, text)
    print(f"Text {text!r}:", [message.file_name or message.content for message in messages])
files = search_messages(ivan.id, "map", chat_id=chat.id, type=MessageType.FILE)
print("Only files, in one chat:", [f"{row.chat.name}: {row.file_name}" for row in files])

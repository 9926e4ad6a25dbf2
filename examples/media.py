"""Media: messages with files, and the files of a chat.

Run it with `python examples/media.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    MessageType,
    connect,
    create_chat,
    list_media,
    migrate,
    send_message,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
chat = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Trip")

# The service keeps the files; the database knows where they are, and what clients show of them.
send_message(
    anna.id,
    chat.id,
    "The lake!",
    type=MessageType.IMAGE,
    file_url="/uploads/lake.jpg",
    file_name="lake.jpg",
    file_size=2_482_130,  # bytes
    thumbnail_url="/uploads/lake_small.jpg",
)
send_message(
    ivan.id,
    chat.id,
    type=MessageType.VOICE,
    file_url="/uploads/1.ogg",
    duration=95,  # seconds
    waveform="[0, 12, 40, 33, 7]",
)
send_message(ivan.id, chat.id, "Beautiful.")

for message in list_media(anna.id, chat.id):
    print(f"  {message.sender.display_name}: {message.type} {message.file_url}")
voices = list_media(anna.id, chat.id, type=MessageType.VOICE)
print("Voices:", [f"{voice.duration} s" for voice in voices])

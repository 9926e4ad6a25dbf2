"""A whole small messenger in the terminal, on an embedded database.

Anna and Ivan write to each other, and the screens of both are drawn as their telephones would show
them. Run it with `python examples/messenger.py`.
"""

import time
from datetime import UTC, datetime, timedelta
from unicodedata import east_asian_width

from _people import new_user

from stogram_sdk import (
    CallStatus,
    CallType,
    Chat,
    ChatSummary,
    ChatType,
    Message,
    User,
    UserStatus,
    acknowledge_published,
    add_contact,
    add_reaction,
    answer_call,
    connect,
    create_chat,
    create_folder,
    end_call,
    forward_messages,
    list_calls,
    list_chats,
    list_folders,
    list_messages,
    mark_read,
    migrate,
    move_to_folder,
    open_private_chat,
    publish_scheduled,
    search_users,
    send_message,
    set_favorite,
    set_status,
    start_call,
    users_to_notify,
)

WIDTH = 60
CALLS = {
    CallStatus.ENDED: "talked",
    CallStatus.MISSED: "missed",
    CallStatus.DECLINED: "declined",
}


# --- What a screen shows ---


def name_of(line: ChatSummary) -> str:
    return (line.peer and line.peer.display_name) or line.chat.name or "Somebody"


def show_chats(user: User) -> None:
    """The list of chats: who, what was written last, and how much is unread."""
    frame(f"{user.display_name}'s chats")
    for line in list_chats(user.id):
        star = "★" if line.settings.is_favorite else " "
        there = "●" if line.peer and line.peer.status is UserStatus.ONLINE else " "
        unread = f"({line.unread_count})" if line.unread_count else ""
        last = line.last_message
        text = f"{last.sender.display_name}: {last.content}" if last else "no messages yet"
        row(f"{star} {there} {name_of(line):<12} {text:.30}", unread)
    for folder, chats, count in list_folders(user.id):
        names = ", ".join(chat.name or "..." for chat in chats)
        row(f"    ▸ {folder.name}: {names}", f"({count})" if count else "")
    close()


def show_chat(user: User, chat: Chat, title: str) -> None:
    """The messages of a chat: one's own on the right, those of others on the left."""
    frame(f"{user.display_name} reads: {title}")
    for message in reversed(list_messages(user.id, chat.id)):
        for text in lines_of(message, is_own=message.sender_id == user.id):
            row("", text) if message.sender_id == user.id else row(text)
    close()
    mark_read(user.id, chat.id)


def lines_of(message: Message, *, is_own: bool) -> list[str]:
    lines = [f"┆ {message.reply_to.content:.30}"] if message.reply_to else []
    lines.append(
        f"{message.content}" if is_own else f"{message.sender.display_name}: {message.content}"
    )
    if message.reactions:
        lines.append("  ".join(f"{emoji} {total}" for emoji, total, _ in message.reactions))
    return lines


def frame(title: str) -> None:
    print(f"╭─ {title} {'─' * (WIDTH - len(title) - 3)}╮")


def row(left: str, right: str = "") -> None:
    print(f"│ {left}{' ' * (WIDTH - 2 - width_of(left) - width_of(right))}{right} │")


def width_of(text: str) -> int:
    """The columns of a terminal that the text takes: most emoji take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def close() -> None:
    print(f"╰{'─' * WIDTH}╯\n")


# --- Two people ---

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
for user in (anna, ivan):
    set_status(user.id, UserStatus.ONLINE)

# Anna finds Ivan by his name, and writes.
found = search_users(anna.id, ivan.username)[0]
add_contact(anna.id, found.id, nickname="Vanya")
private, _ = open_private_chat(anna.id, found.id)
hello = send_message(anna.id, private.id, "Hi Ivan! Shall we go to the sea?")
send_message(anna.id, private.id, "On Saturday, I mean.")
show_chats(ivan)

# Ivan answers, and reacts.
add_reaction(ivan.id, private.id, hello.id, "🌊")
yes = send_message(ivan.id, private.id, "Gladly!", reply_to_id=hello.id)
add_reaction(anna.id, private.id, yes.id, "🎉")
show_chat(ivan, private, "Anna")

# A call settles the rest.
call, _ = start_call(anna.id, private.id, CallType.AUDIO)
answer_call(ivan.id, call.id)
end_call(ivan.id, call.id)
for call in list_calls(ivan.id):
    print(f"☎ {call.initiator.display_name} called: {CALLS[call.status]}\n")

# A group of friends, in a folder; the invitation is forwarded to it.
group = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id], name="Seaside")
forward_messages(anna.id, private.id, [hello.id], group.id)
trips = create_folder(ivan.id, "Trips", icon="🧭")
move_to_folder(ivan.id, group.id, trips.id)
set_favorite(ivan.id, private.id)

# A message goes out by itself when its time has come: a service asks for these every few seconds.
soon = datetime.now(UTC) + timedelta(seconds=1)
send_message(anna.id, group.id, "Bring towels!", scheduled_for=soon)
time.sleep(1.1)
sent = publish_scheduled()
for message in sent:
    told = users_to_notify(message.chat_id, message.id)
    print(f"⏰ {message.content} goes out, {len(told)} to be told\n")
acknowledge_published([message.id for message in sent])

show_chats(ivan)
show_chat(ivan, group, "Seaside")
show_chats(ivan)

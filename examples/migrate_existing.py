"""Migrate the database of a Stogram server, and look at it as one of its users.

    python examples/migrate_existing.py postgresql://user:password@host:5432/stogram_db [username]

Make a backup before: see docs/guide.md. The server may stay in use meanwhile. Run it again: then
there is nothing to migrate.
"""

import sys
from collections import Counter

from peewee import fn

from stogram_sdk import (
    Message,
    StogramError,
    User,
    connect,
    extract_hashtags,
    find_user,
    list_chats,
    list_folders,
    list_messages,
    migrate,
    session,
)


def main(url: str, username: str | None = None) -> None:
    connect(url)
    print("Migrations applied:", ", ".join(migrate()) or "none; it was up to date")

    user = find_user(username) if username else busiest_user()
    if user is None:
        print("No such user.")
        return
    print(f"User: {user.display_name or user.username} (@{user.username})")

    chats = list_chats(user.id, limit=10)
    print(f"Chats ({'the first ' if chats.next_cursor else ''}{len(chats)}):")
    for line in chats:
        title = line.chat.name or (line.peer and line.peer.display_name) or "without name"
        last = line.last_message
        said = f"{last.created_at:%Y-%m-%d %H:%M} {(last.content or '')[:40]!r}" if last else "-"
        print(f"  {title}: {line.unread_count} unread, last message {said}")

    folders = list_folders(user.id)
    print(f"Folders: {', '.join(entry.folder.name for entry in folders) or 'none yet'}")

    # Messages from before the migration have no tags stored until `stogram backfill` has run.
    tags = Counter(
        tag
        for line in chats
        for message in list_messages(user.id, line.chat.id, limit=100)
        for tag in message.hashtags or extract_hashtags(message.content or "")
    )
    print("Hashtags:", ", ".join(f"#{tag} {count}" for tag, count in tags.most_common(8)) or "none")


def busiest_user() -> User | None:
    """Who has written most: a query of one's own, in Peewee."""
    with session():
        writers = User.select().join(Message, on=(Message.sender == User.id)).group_by(User.id)
        user: User | None = writers.order_by(fn.COUNT(Message.id).desc(), User.id).first()
        return user


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except StogramError as error:
        sys.exit(f"{type(error).__name__}: {error}")

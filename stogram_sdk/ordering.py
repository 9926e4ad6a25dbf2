"""The order of a chat's messages, and the order in which rows are locked.

The messages of a chat have the order (created_at, id), and become visible in that order: a call
that sends one locks the row of the chat, and gives the message a time later than that of every
other message there. So a reader who has seen a message has seen all before it, and no page misses
a message that was committed late. Imported messages alone keep the times of another system, and
need no lock for it. `Chat.updated_at` is the time of the last message, as on the
server, which orders its list of chats by it. The next message gets a later time than that too.

The server takes no locks, and dates messages by its own clock. So one of its messages may be
committed after a reader has read a later one; it counts as read then. The same holds for all that
is sent before the time of a message from a clock that is ahead, once a reader has read that. But
such a time moves nothing that this package writes: times that are more than `MOST_AHEAD` ahead of
the database's clock are ignored, and `stogram check` reports them.

Rows are locked in this order, so that no two calls wait for each other:

1. What there is no row for yet: the name of a new user, a user's reactions to a message.
2. "User" rows, by id: by a call that makes a chat of the users, or changes a user's folders.
3. "Folder" rows, by id: by a call that changes one or puts a chat into it; several of a user's only
   by a call that has locked the user's row.
4. "Chat" rows, by id: by a call that writes messages, or changes members.
5. "Call" rows, by id: by a call that ends them, before it changes who is in them.
6. "ChatMember" rows: on a distributed database, by a call that reads up to a message.
7. "ChatSettings" rows, by (chat, user): by a call that changes several of them, or after 6.

These locks do not stop the server, which adds members and takes none. A call that deletes an
account, or a chat of nobody else, locks that FOR UPDATE too, after 4: users before chats, in the
order in which the foreign keys of a new member look for them.

Several calls in one transaction of the caller may lock in another order. PostgreSQL then cancels
one of two that wait for each other, and `retrying` runs it again.

A statement locks the rows before another one reads them: see `InTurn`.
"""

from __future__ import annotations

from typing import Any

from peewee import SQL, Case, Tuple

from stogram_sdk.models import Call, Chat, ChatMember, ChatSettings, Folder, Message, User
from stogram_sdk.statements import P, dialect
from stogram_sdk.visibility import is_in_order

#: By how many milliseconds a time may be ahead of the database's clock and still count. Clocks that
#: somebody looks after differ by less, and so do the times of a burst of messages.
MOST_AHEAD = 60_000


def place_of(message: Any) -> Any:
    """A message's place in the order of its chat."""
    return Tuple(message.created_at, message.id)


def next_time(chat: Any, joined: Any = None) -> Any:
    """The time `P.now`, or the first millisecond after everything that is in the chat.

    `joined`: the row of the chat, where the statement has it anyway.
    """
    message, member, held = Message.alias(), ChatMember.alias(), joined or Chat.alias()
    latest = dialect().milliseconds_after(P.now, SQL(str(MOST_AHEAD)))

    def newest(table: Any, time: Any, *conditions: Any) -> Any:
        # Not MAX(): for that PostgreSQL would plan two ways each time.
        of_chat = table.select(time).where(table.chat == chat, time <= latest, *conditions)
        return of_chat.order_by(time.desc(), table.id.desc()).limit(1)

    last_message = newest(message, message.created_at, is_in_order(message))
    last_sent: Any = Case(None, [(held.updated_at <= latest, held.updated_at)])
    if joined is None:
        last_sent = held.select(last_sent).where(held.id == chat)
    return dialect().latest_of(
        P.now,
        dialect().milliseconds_after(last_message, SQL("1")),
        dialect().milliseconds_after(last_sent, SQL("1")),
        newest(member, member.joined_at),
    )


def user_lock(*conditions: Any) -> Any:
    """For `after_locking`: rows of "User", by id."""
    return _lock(User, [User.id], conditions)


def folder_lock(*conditions: Any) -> Any:
    """For `after_locking`: rows of "Folder", by id."""
    return _lock(Folder, [Folder.id], conditions)


def chat_lock(*conditions: Any, in_one_chat: bool = True) -> Any:
    """For `after_locking`: rows of "Chat", by id."""
    if dialect().is_distributed and not in_one_chat:
        return _lock_on_all_servers(Chat.updated_at, conditions)
    return _lock(Chat, [Chat.id], conditions)


def call_lock(*conditions: Any) -> Any:
    """For `after_locking`: rows of "Call", by id."""
    return _lock(Call, [Call.id], conditions)


def settings_lock(*conditions: Any, in_one_chat: bool = True) -> Any:
    """For `after_locking`: rows of "ChatSettings", by (chat, user)."""
    if dialect().is_distributed and not in_one_chat:
        return _lock_on_all_servers(ChatSettings.unread_count, conditions)
    return _lock(ChatSettings, [ChatSettings.chat, ChatSettings.user], conditions)


def lock_out_server(model: Any, *conditions: Any) -> Any:
    """For `after_locking`: rows, by id, to which nothing that refers to them can be added."""
    return model.select(model.id).where(*conditions).order_by(model.id).for_update()


def _lock(model: Any, order: list[Any], conditions: Any) -> Any:
    return dialect().lock(model.select(model.id).where(*conditions).order_by(*order))


def _lock_on_all_servers(column: Any, conditions: Any) -> Any:
    """A query locks rows of one server only. A change locks those of all, also if it is none."""
    return column.model.update({column: column}).where(*conditions)

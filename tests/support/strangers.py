"""The results of every function for strangers; `python -m tests.support.strangers` writes them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import stogram_sdk as sdk
from tests.support.contract import CALLS, World, build_world, outcome, undone

DOCUMENT = Path(__file__).parents[2] / "docs" / "strangers.md"

KINDS = {
    "not a member": "shares no chat with the others; calls with the ids of a chat that exists",
    "former member": "has left that chat",
    "member of another chat": "calls with the id of their own chat and of a message of that one",
    "blocked": "calls with the private chat with somebody who has blocked them, and with that user",
    "author who has left": "wrote the message that they call with, and has left that chat",
    "author who was removed": "wrote the message, and was removed from that chat",
    "blocked author": "wrote the message in the private chat before the other blocked them",
    "author, admin no more": "wrote the message in a channel as admin, and is a member now",
    "another's folder": "calls with the id of a folder of somebody else",
    "deleted message": "the owner of the chat, with a message in it that is deleted",
    "message not sent yet": "the owner of the chat, with a scheduled message of somebody else",
    "member of a secret chat": "is in no other chat, and calls with its id where a call takes one",
    "unknown user": "calls with a user id that is nobody's",
}

#: The mark for a call without an argument that could be this stranger's.
SAME = "·"

HEAD = """\
# What strangers get

What every public function answers when it is called by somebody who has no right to the chat, the
message or the folder. The first table says who the strangers are, the second what each of them
gets. [The marks](#what-the-marks-mean) are explained below it.

`python -m tests.support.strangers` makes the calls, and writes this page. A test holds it to be
true on SQLite and PostgreSQL.

"""

LEGEND = """\

## What the marks mean

| mark | what the call gives |
| --- | --- |
| NotFound, Blocked, ... | the error of this class |
| yes | a result |
| made, there | the row; `created` is true, or false |
| names | profiles without status, photo and last seen |
| nothing | an empty list, or `None` |
| True, False, a number | just that |
| · | the call takes nothing that sets this stranger apart |

`NotFound` is the same for what is not there and for what the stranger may not see, in its text too.
Where a stranger calls with a chat of their own, the call succeeds, as it does for every user.

`get_user`, `find_user`, `find_user_by_email`, `verify_email`, `post_system_message`,
`publish_scheduled`, `acknowledge_published`, `users_to_notify` and `users_to_notify_each` are for
the service itself: it decides who may have their results.
"""


def observe(world: World) -> dict[str, dict[str, str]]:
    """The results, by call and by kind of stranger."""
    return {
        label: {kind: _observe(label, world, kind) for kind in world.strangers} for label in CALLS
    }


def _observe(label: str, world: World, kind: str) -> str:
    stranger = world.strangers[kind]
    if CALLS[label].arguments(stranger) == CALLS[label].arguments(world.scene):
        return SAME
    with undone():
        return outcome(label, stranger)


def document(table: dict[str, dict[str, str]]) -> str:
    """The page that shows the table."""
    kinds = [f"| {kind} | {meaning} |" for kind, meaning in KINDS.items()]
    rows = [
        " | ".join([f"| `{label}`", *(row[kind] for kind in KINDS)]) + " |"
        for label, row in table.items()
    ]
    return HEAD + "\n".join(
        [
            "| stranger | who |",
            "| --- | --- |",
            *kinds,
            "",
            " | ".join(["| call", *KINDS]) + " |",
            "| --- " * (len(KINDS) + 1) + "|",
            *rows,
            LEGEND,
        ]
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        sdk.connect(f"sqlite:///{directory}/stogram.db")
        sdk.migrate()
        with sdk.session():
            DOCUMENT.write_text(document(observe(build_world())), "utf-8")
        sdk.close()


if __name__ == "__main__":
    main()

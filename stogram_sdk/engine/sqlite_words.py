"""How SQLite finds people by a word: the table "UserWord", which lists the words of their names.

PostgreSQL has indexes on the function `stogram_word`. A SQLite file has none on a function of ours,
since other programs write it too. Its triggers, which work for every program, note a new name with
an empty word; a search reads the names that are noted. The connections of this package add triggers
of their own, which write the words instead.
"""

from __future__ import annotations

import json
from typing import Any

from stogram_sdk.engine.sqlite_triggers import make_temporary, trigger_head
from stogram_sdk.text import searched_words

_NAMES = 'id, username, "displayName"'
_FORGET = 'DELETE FROM "UserWord" WHERE "userId" = OLD.id'
# Not where a trigger of the connection has been faster: SQLite has no order for the two.
_NOTE = (
    """INSERT INTO "UserWord" SELECT '', NEW.id, 0 """
    'WHERE NOT EXISTS (SELECT 1 FROM "UserWord" WHERE "userId" = NEW.id)'
)


def write_words(row: str, source: str = "") -> str:
    """The statement that writes the words of a row of "User"; `source` goes into its FROM."""
    words = f'json_each(stogram_searched_words({row}.username, {row}."displayName"))'
    return (
        f'INSERT INTO "UserWord" SELECT given.value, {row}.id, given.key '
        f"FROM {source}{words} AS given WHERE true ON CONFLICT DO NOTHING"
    )


_WRITE = f"""{write_words("NEW")}; DELETE FROM "UserWord" WHERE "userId" = NEW.id AND word = ''"""


def _trigger(name: str, event: str, action: str, *, is_temporary: bool = False) -> str:
    head = trigger_head(name, event, "User", is_temporary=is_temporary)
    return f"{head} BEGIN {action}; END"


#: The statements that make the table and the triggers of the file, by the names of these.
PARTS = {
    "UserWord": (
        'CREATE TABLE "UserWord" (word TEXT NOT NULL, "userId" TEXT NOT NULL, '
        'place INTEGER NOT NULL, PRIMARY KEY (word, "userId", place)) WITHOUT ROWID'
    ),
    "UserWord_userId_idx": 'CREATE INDEX "UserWord_userId_idx" ON "UserWord" ("userId")',
    **{
        name: _trigger(name, event, action)
        for name, event, action in (
            ("User_words_insert", "AFTER INSERT", _NOTE),
            ("User_words_update", f"BEFORE UPDATE OF {_NAMES}", _FORGET),
            ("User_words_updated", f"AFTER UPDATE OF {_NAMES}", _NOTE),
            ("User_words_delete", "AFTER DELETE", _FORGET),
        )
    },
}


_OF_A_CONNECTION = [
    _trigger("User_words_insert", "AFTER INSERT", _WRITE, is_temporary=True),
    _trigger("User_words_update", f"AFTER UPDATE OF {_NAMES}", _WRITE, is_temporary=True),
]


def keep_words(connection: Any) -> bool:
    """Let a connection to a migrated file write the words of names; whether it is to one."""
    return make_temporary(connection, _OF_A_CONNECTION, "User_words_updated")


def words_as_json(username: str, display_name: str | None) -> str:
    """SQLite's function `stogram_searched_words`."""
    return json.dumps(searched_words(username, display_name), ensure_ascii=False)

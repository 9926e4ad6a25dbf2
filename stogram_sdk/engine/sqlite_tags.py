"""How SQLite keeps "MessageTag" in step: triggers of the file, and of each connection.

The triggers of the file work for every program that opens it, but know the case of A-Z only. The
connections of this package add triggers of their own, which know the case of all letters by the
function `stogram_tag_key`.
"""

from __future__ import annotations

from typing import Any

from stogram_sdk.engine.sqlite_triggers import make_temporary, trigger_head

#: The change of a row of "Message" that can change its tags.
UPDATE_OF_TAGS = (
    'UPDATE OF id, "chatId", "createdAt", "isDeleted", "isSent", "scheduledFor", hashtags, mentions'
)


def tags_of(row: str, key: str = "lower", source: str = "") -> str:
    """The rows of "MessageTag" for a row of "Message", as SQL; `source` goes into its FROM."""

    def tags(sign: str, column: str) -> str:
        values = f"json_each(CASE WHEN json_valid({row}.{column}) THEN {row}.{column} END)"
        return f"""
        SELECT '{sign}' || substr({key}(given.value), 1, 256), {row}."chatId",
            {row}."createdAt", {row}.id
        FROM {source}{values} AS given
        WHERE given.value IS NOT NULL AND NOT {row}."isDeleted"
            AND ({row}."isSent" OR {row}."scheduledFor" IS NULL)"""

    return f"{tags('#', 'hashtags')}\n        UNION ALL{tags('@', 'mentions')}\n"


def insert_tags(row: str, key: str = "lower", source: str = "") -> str:
    """The statement that adds them."""
    return (
        'INSERT INTO "MessageTag" (tag, "chatId", "createdAt", "messageId")'
        f"{tags_of(row, key, source)}"
        # Not OR IGNORE: in a trigger, the conflict clause of the outer statement goes before it.
        "        ON CONFLICT DO NOTHING"
    )


def _trigger(name: str, event: str, action: str, *, is_temporary: bool = False) -> str:
    head = trigger_head(name, event, "Message", is_temporary=is_temporary)
    return f"{head}\nBEGIN\n    {action};\nEND"


_FORGET = 'DELETE FROM "MessageTag" WHERE "messageId" = OLD.id'

#: The statements that make the triggers of the file, by the names of these. One for an update
#: removes the old tags: BEFORE it, so that the rows which a connection's own triggers add stay.
FILE_TRIGGERS = {
    name: _trigger(name, event, action)
    for name, event, action in (
        ("Message_tags_insert", "AFTER INSERT", insert_tags("NEW")),
        ("Message_tags_update", f"BEFORE {UPDATE_OF_TAGS}", _FORGET),
        ("Message_tags_updated", f"AFTER {UPDATE_OF_TAGS}", insert_tags("NEW")),
        ("Message_tags_delete", "AFTER DELETE", _FORGET),
    )
}
_OF_A_CONNECTION = [
    _trigger(name, event, insert_tags("NEW", "stogram_tag_key"), is_temporary=True)
    for name, event in (
        ("Message_tags_insert", "AFTER INSERT"),
        ("Message_tags_updated", f"AFTER {UPDATE_OF_TAGS}"),
    )
]


def keep_tags(connection: Any) -> bool:
    """Let a connection to a migrated file keep tags by `stogram_tag_key`; whether it is to one."""
    return make_temporary(connection, _OF_A_CONNECTION, "Message_tags_updated")

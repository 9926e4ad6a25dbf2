"""How SQLite keeps "MessageTag" in step: triggers of the file, and of each connection.

The triggers of the file work for every program that opens it, but know the case of A-Z only. The
connections of this package add triggers of their own, which know the case of all letters by the
function `stogram_tag_key`.
"""

from __future__ import annotations

from typing import Any

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


def tag_trigger(
    event: str, action: str, *, timing: str = "AFTER", is_temporary: bool = False
) -> str:
    """The statement that makes the trigger for an event, such as INSERT, on "Message"."""
    word = event.split()[0].lower()
    name = (
        f"Message_tags_{word}d" if (timing, word) == ("AFTER", "update") else f"Message_tags_{word}"
    )
    kind, of = ("TEMP TRIGGER IF NOT EXISTS", "main.") if is_temporary else ("TRIGGER", "")
    return (
        f'CREATE {kind} "{name}" {timing} {event} ON {of}"Message" FOR EACH ROW\n'
        f"BEGIN\n    {action};\nEND"
    )


_FORGET = 'DELETE FROM "MessageTag" WHERE "messageId" = OLD.id'

#: The statements that make the triggers of the file, by the names of these. One for an update
#: removes the old tags: BEFORE it, so that the rows which a connection's own triggers add stay.
FILE_TRIGGERS = {
    "Message_tags_insert": tag_trigger("INSERT", insert_tags("NEW")),
    "Message_tags_update": tag_trigger(UPDATE_OF_TAGS, _FORGET, timing="BEFORE"),
    "Message_tags_updated": tag_trigger(UPDATE_OF_TAGS, insert_tags("NEW")),
    "Message_tags_delete": tag_trigger("DELETE", _FORGET),
}


def know_all_letters(connection: Any) -> bool:
    """Let a connection to a migrated file keep tags by `stogram_tag_key`; whether it is to one."""
    migrated = "SELECT 1 FROM sqlite_master WHERE name = 'Message_tags_updated'"
    is_migrated = connection.execute(migrated).fetchone() is not None
    if is_migrated:
        tags = insert_tags("NEW", "stogram_tag_key")
        for event in ("INSERT", UPDATE_OF_TAGS):
            connection.execute(tag_trigger(event, tags, is_temporary=True))
    return is_migrated

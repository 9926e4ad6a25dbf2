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


def insert_tags(row: str, key: str = "lower", source: str = "") -> str:
    """The statement that adds the tags of a row of "Message"; `source` goes into its FROM."""

    def tags(sign: str, column: str) -> str:
        values = f"json_each(CASE WHEN json_valid({row}.{column}) THEN {row}.{column} END)"
        return f"""
        SELECT '{sign}' || substr({key}(given.value), 1, 256), {row}."chatId",
            {row}."createdAt", {row}.id
        FROM {source}{values} AS given
        WHERE given.value IS NOT NULL AND NOT {row}."isDeleted"
            AND ({row}."isSent" OR {row}."scheduledFor" IS NULL)"""

    return (
        'INSERT INTO "MessageTag" (tag, "chatId", "createdAt", "messageId")'
        f"{tags('#', 'hashtags')}\n        UNION ALL{tags('@', 'mentions')}\n"
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


def know_all_letters(connection: Any) -> None:
    """Let a connection to a migrated file keep tags by its function `stogram_tag_key`."""
    migrated = "SELECT 1 FROM sqlite_master WHERE name = 'Message_tags_updated'"
    if connection.execute(migrated).fetchone():
        tags = insert_tags("NEW", "stogram_tag_key")
        for event in ("INSERT", UPDATE_OF_TAGS):
            connection.execute(tag_trigger(event, tags, is_temporary=True))

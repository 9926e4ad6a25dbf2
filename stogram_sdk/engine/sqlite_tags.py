"""How SQLite keeps "MessageTag" in step: triggers of the file, and of each connection.

A trigger of the file knows the case of A-Z only, whoever opens the file. The connections of this
package add triggers of their own that know the case of all letters, by the function
`stogram_tag_key`.
"""

from __future__ import annotations

from typing import Any

#: What makes a row of "Message" have other tags.
UPDATE_OF_TAGS = (
    'UPDATE OF id, "chatId", "createdAt", "isDeleted", "isSent", "scheduledFor", hashtags, mentions'
)


def insert_tags(row: str, key: str = "lower", source: str = "") -> str:
    """What belongs into the table for a row of "Message"; `source` is what it is selected from."""

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
        # Not OR IGNORE: in a trigger, the statement that fires it has the last word on that.
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
    """Let a connection to a migrated file keep tags by `stogram_tag_key`, its function."""
    migrated = "SELECT 1 FROM sqlite_master WHERE name = 'Message_tags_updated'"
    if connection.execute(migrated).fetchone():
        tags = insert_tags("NEW", "stogram_tag_key")
        for event in ("INSERT", UPDATE_OF_TAGS):
            connection.execute(tag_trigger(event, tags, is_temporary=True))

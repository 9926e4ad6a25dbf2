"""What the tags of a message cost whoever writes the row: a plain INSERT without and with 003."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

import psycopg2

from benchmarks.calls import TAGGED
from benchmarks.data import MANY, sized_chat
from benchmarks.results import GUIDE, PLAIN
from benchmarks.timing import Call
from stogram_sdk.models import new_id

_GUIDE_TABLE = """
DROP TABLE IF EXISTS guide;
CREATE TABLE guide (LIKE "Message" INCLUDING DEFAULTS INCLUDING INDEXES);
DO $$
DECLARE ours text;
BEGIN
    FOR ours IN SELECT indexname FROM pg_indexes WHERE tablename = 'guide'
        AND indexdef ~ '"createdAt", id|"scheduledFor", ' AND indexdef !~ 'UNIQUE'
    LOOP EXECUTE format('DROP INDEX %I', ours); END LOOP;
END $$;
ALTER TABLE guide ADD FOREIGN KEY ("senderId") REFERENCES "User",
    ADD FOREIGN KEY ("chatId") REFERENCES "Chat", ADD FOREIGN KEY ("replyToId") REFERENCES guide;
INSERT INTO guide SELECT * FROM "Message";
"""


@contextmanager
def plain_inserts(url: str) -> Iterator[dict[str, Call]]:
    """A message with tags and nothing else; without what 003 adds, in a copy of the table."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(_GUIDE_TABLE)

        made: list[str] = []

        def insert(table: str) -> None:
            made.append(new_id())
            cursor.execute(
                f"""INSERT INTO "{table}"
                    (id, "senderId", "chatId", content, "isSent", "updatedAt", hashtags, mentions)
                VALUES (%s, %s, %s, %s, true, now(), %s, '{{}}')""",
                [made[-1], MANY, sized_chat(30), TAGGED, ["popular", "tag40"]],
            )

        yield {GUIDE: partial(insert, "guide"), PLAIN: partial(insert, "Message")}
        # Their times have no order, and who searches later may hang upon it.
        cursor.execute('DELETE FROM "Message" WHERE id = ANY(%s)', [made])
        cursor.execute("DROP TABLE guide")

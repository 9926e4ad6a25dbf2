"""How fast are the tags of old messages found, beside a writer, and after being killed?

    python -m benchmarks.backfill --messages 200000

The backfill is killed twice and goes on where it was, while somebody edits messages all the time.
At the end every message must hold what `stogram_sdk.text` says of its content. The rate is
printed beside that of a bare UPDATE that writes the same rows with the same values.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import threading
import time

import psycopg2
import psycopg2.extras

from benchmarks.large_server import large_server
from stogram_sdk import extract_hashtags, extract_mentions
from tests.support.postgres import PostgresServer
from tests.support.states import PROJECT, environment, pw_migrate


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=200_000)
    messages = arguments.parse_args().messages
    with large_server(messages) as (server, template):
        assert pw_migrate(server.url_of(template), "migrate").returncode == 0
        with server.database(template) as name:
            seconds = backfill(server.url_of(name))
            print(f"backfill: {messages / seconds:,.0f} messages/s, {seconds:.1f} s alone")
            changed = count_tagged(server, name)
        with server.database(template) as name:
            killed_beside_a_writer(server, name)
        with server.database(template) as name, server.database(template) as filled:
            backfill(server.url_of(filled))
            seconds = bare_update(server, name, server.url_of(filled))
            print(
                f"bare UPDATE of the {changed:,} rows: {changed / seconds:,.0f} rows/s, "
                f"{seconds:.1f} s"
            )


def backfill(url: str) -> float:
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "stogram_sdk", "backfill"],
        cwd=PROJECT,
        env=environment(url),
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def killed_beside_a_writer(server: PostgresServer, name: str) -> None:
    url = server.url_of(name)
    over = threading.Event()
    edits: list[int] = []
    writer = threading.Thread(target=edit, args=(url, over, edits))
    writer.start()
    for seconds in (1.5, 3):
        process = subprocess.Popen(
            [sys.executable, "-m", "stogram_sdk", "backfill"],
            cwd=PROJECT,
            env=environment(url),
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        (place,) = server.execute("SELECT * FROM stogram_backfill", name)
        print(f"killed after {seconds} s, at {place[0]}")
    seconds = backfill(url)
    over.set()
    writer.join()
    print(f"resumed beside {sum(edits):,} edits: {seconds:.1f} s for the rest")
    wrong = wrong_messages(url)
    print(f"messages that do not hold what their content says: {wrong}")
    assert not wrong


def edit(url: str, over: threading.Event, edits: list[int]) -> None:
    """Edit as `edit_message` does: the content and its tags in one statement."""
    choice = random.Random(7)
    connection = psycopg2.connect(url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute('SELECT id FROM "Message"')
    ids = [id for (id,) in cursor.fetchall()]
    while not over.wait(0.001):
        content = f"edited #Tag{choice.randrange(1000)} for @user{choice.randrange(1000)}"
        cursor.execute(
            'UPDATE "Message" SET content = %s, hashtags = %s, mentions = %s WHERE id = %s',
            (content, extract_hashtags(content), extract_mentions(content), choice.choice(ids)),
        )
        edits.append(cursor.rowcount)
    connection.close()


def wrong_messages(url: str) -> int:
    connection = psycopg2.connect(url)
    cursor = connection.cursor("all")
    cursor.execute('SELECT content, mentions, hashtags FROM "Message"')
    wrong = sum(
        (extract_mentions(content), extract_hashtags(content)) != (mentions, hashtags)
        for content, mentions, hashtags in cursor
    )
    connection.close()
    return wrong


def count_tagged(server: PostgresServer, name: str) -> int:
    (row,) = server.execute(
        """SELECT count(*) FROM "Message" WHERE hashtags <> '{}' OR mentions <> '{}'""", name
    )
    return int(row[0])


def bare_update(server: PostgresServer, name: str, filled: str) -> float:
    """One statement that writes the values that the backfill found."""
    source, target = psycopg2.connect(filled), psycopg2.connect(server.url_of(name))
    cursor = source.cursor()
    cursor.execute(
        """SELECT json_agg(given) FROM (SELECT id, mentions, hashtags FROM "Message"
        WHERE hashtags <> '{}' OR mentions <> '{}') AS given"""
    )
    (rows,) = cursor.fetchone() or ([],)
    source.close()
    writer = target.cursor()
    writer.execute(
        "CREATE TEMPORARY TABLE given AS SELECT * FROM json_to_recordset(%s) "
        "AS row(id text, mentions text[], hashtags text[])",
        (psycopg2.extras.Json(rows),),
    )
    began = time.monotonic()
    writer.execute(
        'UPDATE "Message" AS m SET mentions = given.mentions, hashtags = given.hashtags '
        "FROM given WHERE m.id = given.id"
    )
    target.commit()
    seconds = time.monotonic() - began
    target.close()
    return seconds


if __name__ == "__main__":
    main()

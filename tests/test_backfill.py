"""`stogram backfill`: mentions and hashtags of messages from before the migration."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from peewee import SQL

import stogram_sdk as sdk
from stogram_sdk.command.backfill import PLACE, Backfilled, backfill
from stogram_sdk.database import db, open_database, session
from stogram_sdk.fields import utc_now
from stogram_sdk.migrating import migrate
from stogram_sdk.text import extract_mentions
from tests.support.postgres import PostgresServer
from tests.support.states import PROJECT, Databases, environment, migrate_here, stogram

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)

CONTENTS = [
    "nothing",
    None,
    "#Проект для @Ivan_Petrov и @ivan_petrov",
    "＃ТЕГ #tag, https://x.io/a#b",
    "C# #1 #サッカー",
    "",
]

#: Up to m2499: each says what the one six before it says.
MORE_MESSAGES = """
    WITH RECURSIVE numbers (number) AS (
        SELECT 6 UNION ALL SELECT number + 1 FROM numbers WHERE number < 2499
    )
    INSERT INTO "Message" (id, "senderId", "chatId", content, "createdAt", "updatedAt")
    SELECT 'm' || number, "senderId", "chatId", content, "createdAt", "updatedAt"
    FROM numbers JOIN "Message" ON id = 'm' || (number - number / 6 * 6)
"""


@pytest.fixture
def messages(database_url: str) -> Iterator[str]:
    """The URL of a migrated database with 2,500 messages without tags, many at one moment."""
    sdk.connect(database_url)
    migrate()
    with session(), db.atomic():
        user = sdk.User.create(email="e", username="n", password="p")
        chat = sdk.Chat.create(type=sdk.ChatType.GROUP)
        now = utc_now()
        for number, content in enumerate(CONTENTS):
            sdk.Message.create(
                id=f"m{number}",
                sender=user,
                chat=chat,
                content=content,
                created_at=now,
                updated_at=now,
            )
        db.execute_sql(MORE_MESSAGES)
    yield database_url
    sdk.close()


def store_messages(url: str, **contents: str) -> None:
    """Migrate, and write messages of one chat without tags, by their ids."""
    migrate_here(url)
    sdk.connect(url)
    with session():
        user = sdk.User.create(email="e", username="n", password="p")
        chat = sdk.Chat.create(type=sdk.ChatType.GROUP)
        for id, content in contents.items():
            sdk.Message.create(id=id, sender=user, chat=chat, content=content)
    sdk.close()


@pytest.mark.parametrize("dry_run", [True, False])
def test_messages_of_times_that_python_does_not_have_are_looked_at_once(
    messages: str, dry_run: bool
) -> None:
    is_sqlite = messages.startswith("sqlite")
    with session():
        for number, time_ in (
            (2, "-000044-03-15T00:00:00.000Z" if is_sqlite else "0044-03-15 BC"),
            (3, "0000-01-01 00:00:00.000" if is_sqlite else "-infinity"),
            (8, "+012000-01-01T00:00:00.000Z" if is_sqlite else "12000-01-01"),
        ):
            db.execute_sql(
                f"""UPDATE "Message" SET "createdAt" = '{time_}' WHERE id = 'm{number}'"""
            )
    with_sign = sum(number % 6 in (2, 3, 4) for number in range(2_500))

    def advance(looked_at: int, _: int) -> None:
        assert looked_at <= with_sign

    assert backfill(messages, dry_run=dry_run, advance=advance).looked_at == with_sign
    assert dry_run or is_all_right()


def is_all_right() -> bool:
    """Whether every message holds what `text.py` says of its content."""
    with session():
        return all(
            (message.mentions, message.hashtags)
            == (
                extract_mentions(message.content or ""),
                sdk.extract_hashtags(message.content or ""),
            )
            for message in sdk.Message.select()
        )


def times() -> list[Any]:
    return list(
        sdk.Message.select(sdk.Message.id, sdk.Message.updated_at).order_by(sdk.Message.id).tuples()
    )


def test_every_message_gets_what_its_content_says(messages: str) -> None:
    seen: list[tuple[int, int]] = []
    with session():
        before = times()
    done = backfill(messages, advance=lambda done, total: seen.append((done, total)))
    assert done == Backfilled(
        looked_at=1250, changed=len([n for n in range(2500) if n % 6 in (2, 3, 4)])
    )
    assert seen == [(1000, 1250), (1250, 1250)]
    assert is_all_right()
    with session():
        assert "Проект" in sdk.Message.get(sdk.Message.id == "m2").hashtags
        assert times() == before  # nobody has edited them
        assert not db.obj.table_exists(PLACE)
    assert backfill(messages) == Backfilled(looked_at=1250, changed=0)


def test_a_dry_run_changes_nothing(messages: str) -> None:
    done = stogram(messages, "backfill", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "1250 messages looked at, 1250 would change" in done.stdout
    with session():
        assert not sdk.Message.select().where(sdk.Message.id == "m2").get().hashtags
        assert not db.obj.table_exists(PLACE)
    assert "1250 messages looked at, 1250 changed" in stogram(messages, "backfill").stdout


def test_a_terminal_shows_how_far_it_is(messages: str) -> None:
    terminal, inside = os.openpty()
    command = [sys.executable, "-m", "stogram_sdk", "backfill", "--dry-run"]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment(messages), stdout=subprocess.PIPE, stderr=inside
    )
    os.close(inside)
    shown = b""
    with suppress(OSError):  # the end of a terminal
        while some := os.read(terminal, 4096):
            shown += some
    os.close(terminal)
    assert done.returncode == 0, shown
    assert b"1000/1250" in shown
    assert b"1250/1250" in shown


def test_what_the_server_stored_stays_and_what_is_missing_is_added(messages: str) -> None:
    with session():
        rows = sdk.Message.update(hashtags=["TAG", "Old"], mentions=["Somebody"])
        rows.where(sdk.Message.id.in_(["m3", "m0"])).execute()
        sdk.Message.update(hashtags=None).where(sdk.Message.id == "m1").execute()
    backfill(messages)
    with session():
        assert sdk.Message.get(sdk.Message.id == "m3").hashtags == ["TAG", "Old", "ТЕГ"]
        assert sdk.Message.get(sdk.Message.id == "m3").mentions == ["Somebody"]
        assert sdk.Message.get(sdk.Message.id == "m0").mentions == ["Somebody"]


def test_since_a_time_only_what_was_sent_or_changed(messages: str) -> None:
    with session():
        later = {"updated_at": utc_now() + 2 * HOUR, "content": "#edited"}
        sdk.Message.update(**later).where(sdk.Message.id == "m0").execute()
    assert backfill(messages, since=-HOUR) == Backfilled(looked_at=1, changed=1)
    assert backfill(messages, since=-HOUR, dry_run=True) == Backfilled(looked_at=1, changed=0)
    with session():
        assert sdk.Message.get(sdk.Message.id == "m0").hashtags == ["edited"]
        assert sdk.Message.get(sdk.Message.id == "m2").hashtags == []
        assert not db.obj.table_exists(PLACE)


def test_since_is_said_in_minutes_hours_or_days(messages: str) -> None:
    done = stogram(messages, "backfill", "--since", "10m")
    assert "1250 messages looked at, 1250 changed" in done.stdout
    for said in ("yesterday", "36501d", "9" * 400 + "m"):
        wrong = stogram(messages, "backfill", "--since", said)
        assert wrong.returncode == 2
        assert "a number of minutes, hours or days: 10m, 2h, 3d; up to 36500d" in wrong.stderr


def test_stopped_it_goes_on_where_it_was(messages: str) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        backfill(messages, advance=stop)
    seen: list[tuple[int, int]] = []
    assert backfill(messages, advance=lambda *now: seen.append(now)).looked_at == 250
    assert seen == [(250, 250)]
    assert is_all_right()


@pytest.mark.slow
def test_two_at_once(messages: str) -> None:
    command = [sys.executable, "-m", "stogram_sdk", "backfill"]
    processes = [
        subprocess.Popen(
            command, cwd=PROJECT, env=environment(messages), stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    # One that comes when the other has ended begins anew, and finds nothing to change.
    changed = [int(output.split(" looked at, ")[1].split()[0]) for output in said]
    assert sum(changed) == 1250
    assert is_all_right()


def test_before_the_migration_it_says_what_to_do(database_url: str) -> None:
    # Of SQLite there is not even the file, and none is made.
    with pytest.raises(sdk.StogramError, match="run `stogram migrate"):
        backfill(database_url)


def test_the_sample(postgres_server: PostgresServer) -> None:
    databases = Databases(postgres_server)
    with postgres_server.database() as name:
        databases.filled(name)
        url = postgres_server.url_of(name)
        migrate_here(url)
        assert backfill(url).looked_at > 4000
        sdk.connect(url)
        assert is_all_right()
        with session():
            assert sdk.Message.select().where(SQL("hashtags <> '{}'")).count() > 100
        sdk.close()


def test_an_edit_while_it_writes_is_never_overwritten(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is edited after the batch was read and before it is written."""
    store_messages(postgres_url, m="#old")
    sdk.connect(postgres_url)
    from stogram_sdk.command import backfill as module

    lock = module._ResumableWriter._lock

    def edited_meanwhile(self: Any, ids: list[str]) -> Any:
        other = psycopg2.connect(postgres_url)
        other.cursor().execute("""UPDATE "Message" SET content = '#new' WHERE id = 'm'""")
        other.commit()
        other.close()
        return lock(self, ids)

    monkeypatch.setattr(module._ResumableWriter, "_lock", edited_meanwhile)
    backfill(postgres_url)
    with session():
        assert sdk.Message.get(sdk.Message.id == "m").hashtags == ["new"]
    sdk.close()


@pytest.mark.slow
def test_a_locked_message_is_waited_for_without_holding_others(postgres_url: str) -> None:
    store_messages(postgres_url, m0="#tag", m1="#tag", m2="#tag")
    holder = psycopg2.connect(postgres_url)
    holder.cursor().execute("""UPDATE "Message" SET content = '#edited' WHERE id = 'm2'""")
    writer = psycopg2.connect(postgres_url, options="-c statement_timeout=3s")
    writer.autocommit = True
    worker = threading.Thread(target=backfill, args=(postgres_url,))
    worker.start()
    longest = 0.0
    for _ in range(100):
        began = time.monotonic()
        writer.cursor().execute("""UPDATE "Message" SET "isEdited" = true WHERE id = 'm0'""")
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    holder.commit()
    holder.close()
    writer.close()
    worker.join(30)
    assert longest < 1.5  # 0.2, and what a busy machine adds
    sdk.connect(postgres_url)
    assert is_all_right()
    sdk.close()


def test_it_gives_up_when_a_message_stays_locked(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_messages(postgres_url, m="#tag")
    holder = psycopg2.connect(postgres_url)
    holder.cursor().execute("""UPDATE "Message" SET "isEdited" = true WHERE id = 'm'""")
    monkeypatch.setenv("STOGRAM_MIGRATE_PATIENCE", "0.3")
    with pytest.raises(sdk.MigrationError, match=r"messages were locked for 0\.3 s"):
        backfill(postgres_url)
    holder.close()
    assert backfill(postgres_url) == Backfilled(looked_at=1, changed=1)


@pytest.mark.slow
def test_beside_a_writer_killed_and_resumed(postgres_server: PostgresServer) -> None:
    """The sample, while somebody edits it through the SDK's rules, and the run is killed twice."""
    databases = Databases(postgres_server)
    moments = random.Random(3)
    with postgres_server.database() as name:
        databases.filled(name)
        url = postgres_server.url_of(name)
        migrate_here(url)
        stop = threading.Event()
        writer = threading.Thread(target=edit_until, args=(url, stop))
        writer.start()
        command = [sys.executable, "-m", "stogram_sdk", "backfill"]
        for _ in range(2):
            process = subprocess.Popen(
                command, cwd=PROJECT, env=environment(url), stderr=subprocess.DEVNULL
            )
            time.sleep(moments.uniform(0.4, 0.9))
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert stogram(url, "backfill").returncode == 0
        stop.set()
        writer.join()
        sdk.connect(url)
        assert is_all_right()
        sdk.close()


def edit_until(url: str, stop: threading.Event) -> None:
    """Edit messages as `edit_message` does: the content and its tags in one statement."""
    database, _ = open_database(url)
    edits = random.Random(7)
    with database.connection_context():
        ids = [id for (id,) in database.execute_sql('SELECT id FROM "Message"').fetchall()]
        while not stop.is_set():
            content = f"edited #Tag{edits.randrange(1000)} @user{edits.randrange(1000)}"
            row = (
                content,
                sdk.extract_hashtags(content),
                extract_mentions(content),
                edits.choice(ids),
            )
            with database.atomic():
                database.execute_sql(
                    'UPDATE "Message" SET content = %s, hashtags = %s, mentions = %s WHERE id = %s',
                    row,
                )
    database.close_all()

"""`stogram distribute` on a cluster: beside writers, killed on the way, and what comes after it."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest

import stogram_sdk as sdk
from stogram_sdk.command import distribute as command
from stogram_sdk.command.check import check
from stogram_sdk.command.distribute import distribute, distribution_script
from stogram_sdk.errors import MigrationError
from stogram_sdk.schema.chat_keys import OF_A_CHAT, OF_ALL_CHATS
from stogram_sdk.schema.postgres import _file
from tests.citus.cluster import CitusCluster, ask, execute
from tests.support.distributed import Writers, connected, fill, rows_of, tags_of
from tests.support.postgres import PostgresServer, server_binaries
from tests.support.states import PROJECT, Databases, environment, migrate_here, stogram

MESSAGES = 10_000


@pytest.fixture
def loaded(cluster: CitusCluster) -> Iterator[str]:
    """A migrated database with some of everything, whose server knows the new columns."""
    with cluster.database() as url:
        migrate_here(url)
        fill(url, MESSAGES)
        distribute(url, prepare=True)
        yield url


def wrong(url: str) -> list[str]:
    return [f"{finding.name}: {finding.what}" for finding in check(url).wrong]


# --- The conversion ---


def test_beside_those_who_write(loaded: str) -> None:
    """No row is lost, no statement fails, and nobody waits for two seconds."""
    before, writers = rows_of(loaded), Writers(loaded)
    with writers.at_work():
        done = stogram(loaded, "distribute")
        assert done.returncode == 0, done.stderr
        time.sleep(1)
    assert rows_of(loaded) == writers.expected(before)
    assert writers.failed == []
    assert max(writers.waits) < 2
    assert wrong(loaded) == []
    again = stogram(loaded, "distribute")
    assert again.stdout == "nothing to do: it is done already\n"
    execute(loaded, 'TRUNCATE "Message" CASCADE')
    assert rows_of(loaded)["MessageTag"] == []
    assert wrong(loaded) == []


def test_beside_services_of_the_sdk(loaded: str) -> None:
    """No call fails: whoever was connected before finds out what has changed."""
    sdk.connect(loaded)
    over, failed, calls = threading.Event(), list[str](), Counter[str]()

    def serve(number: int) -> None:
        user, chat = f"u{number * 7}", f"c{number}"
        for turn in itertools.count():
            if over.wait(0.01):
                return
            for call in (
                partial(sdk.send_message, user, chat, "hi #there", message_id=f"s{number}-{turn}"),
                partial(sdk.add_reaction, user, chat, f"s{number}-{turn}", "+"),
                partial(sdk.list_messages, user, chat),
                partial(sdk.list_chats, user),
                partial(sdk.mark_read, user, chat),
                partial(sdk.unread_totals, user),
            ):
                name = call.func.__name__
                try:
                    call()
                    calls[name] += 1
                except sdk.StogramError as error:
                    failed.append(f"{name}: {error}")

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        distribute(loaded)
        time.sleep(2)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        sdk.close()
    assert failed == []
    sent = ask(loaded, """SELECT count(*) FROM "Message" WHERE id LIKE 's%-%'""")
    assert sent == [(calls["send_message"],)]
    rows = rows_of(loaded)
    assert rows["MessageTag"] == tags_of(rows)
    assert wrong(loaded) == []


def test_killed_on_the_way(loaded: str) -> None:
    """As often as it takes, each time after it has told of some more steps."""
    before, writers = rows_of(loaded), Writers(loaded)
    killed = 0
    with writers.at_work(pause=0.01):
        while _killed_after(7, loaded):
            killed += 1
            assert killed < 40
    assert killed > 8
    assert rows_of(loaded) == writers.expected(before)
    assert writers.failed == []
    assert wrong(loaded) == []


def _killed_after(steps: int, url: str) -> bool:
    """Whether it told of so many steps, and was killed then."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "stogram_sdk", "distribute"],
        cwd=PROJECT,
        env=environment(url),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            if line.startswith("nothing to do") or line.endswith("done\n"):
                break
            if number == steps:
                time.sleep(0.05)
                process.kill()
                return True
        assert process.wait() in (0, -signal.SIGKILL)
        return False


def test_the_sql_of_a_dry_run_does_it_too(cluster: CitusCluster, tmp_path: Path) -> None:
    with cluster.database() as url:
        migrate_here(url)
        fill(url, 1000)
        before = rows_of(url)
        psql = Databases(PostgresServer(cluster.url, server_binaries(tmp_path)))
        psql.strictly(url.rpartition("/")[2], distribution_script(url))
        assert rows_of(url) == before
        assert wrong(url) == []
        assert distribute(url) == []


def test_an_edit_that_meets_the_commit_of_its_batch(
    loaded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit reaches the workers a moment after it has been made here: rows are few in each."""
    small = _file("copy_rows").replace("size int := 2000", "size int := 20")
    small = small.replace("LEAST(2000,", "LEAST(20,")
    monkeypatch.setattr(
        "stogram_sdk.schema.postgres._file",
        lambda name: small if name == "copy_rows" else _file(name),
    )
    over, edits = threading.Event(), Counter[str]()

    def edit_where_it_is(who: str) -> None:
        with connected(loaded) as cursor:
            while not over.is_set():
                try:
                    cursor.execute(_EDIT_NEXT, {"offset": edits[who] % 40, "content": who})
                    edits[who] += cursor.rowcount
                except psycopg2.errors.UndefinedTable:  # the copies are not there yet
                    time.sleep(0.01)

    threads = [threading.Thread(target=edit_where_it_is, args=(who,)) for who in "abc"]
    contents = """SELECT id, content, "updatedAt" FROM "Message" ORDER BY id"""
    here: list[Any] = []

    def carry_out(database: Any, part: Any, table: str) -> None:
        if any("LOCK TABLE" in statement for statement in part.statements):
            over.set()
            for thread in threads:
                thread.join()
            here.extend(ask(loaded, contents))
        carried_out(database, part, table)

    carried_out = command._carry_out
    monkeypatch.setattr(command, "_carry_out", carry_out)
    for thread in threads:
        thread.start()
    distribute(loaded)
    assert sum(edits.values()) > 1000
    assert ask(loaded, contents) == here


_EDIT_NEXT = """
UPDATE "Message" SET content = %(content)s, "updatedAt" = clock_timestamp() WHERE id = (
    SELECT id FROM "Message" WHERE id > (
        SELECT place FROM "public_distributed"."Copied" WHERE name = 'Message' AND place > '')
    ORDER BY id OFFSET %(offset)s LIMIT 1)
"""


def test_the_settings_are_for_all_who_come(distributed: str) -> None:
    assert ask(distributed, "SHOW citus.multi_shard_modify_mode") == [("sequential",)]
    workers = "SELECT DISTINCT result FROM run_command_on_workers('SHOW lock_timeout')"
    assert ask(distributed, workers) == [("5s",)]


def test_every_table_is_in_its_place(distributed: str) -> None:
    places = ask(
        distributed,
        "SELECT logicalrelid::text, coalesce(column_to_column_name(logicalrelid, partkey), ''), "
        "colocationid FROM pg_dist_partition",
    )
    assert {table.strip('"'): chat for table, chat, _ in places} == {
        **OF_A_CHAT,
        **dict.fromkeys(OF_ALL_CHATS, ""),
    }
    assert len({beside for _, chat, beside in places if chat}) == 1
    options = "SELECT reloptions IS NULL FROM pg_class WHERE oid = ''%s''::regclass"
    on_shards = f"""SELECT DISTINCT result FROM run_command_on_shards('"Message"', '{options}')"""
    assert ask(distributed, on_shards) == [("t",)]


# --- What keeps it right ---


def test_tags_are_kept_on_the_shards(distributed: str) -> None:
    for change in (
        """INSERT INTO "Message" (id, "senderId", "chatId", "updatedAt", "isSent", hashtags)
           SELECT 'tagged' || n, 'u1', 'c' || n % 100, now(), true, '{a,b}'
           FROM generate_series(1, 300) AS n""",
        """UPDATE "Message" SET hashtags = '{c}' WHERE id = 'tagged7'""",
        """UPDATE "Message" SET hashtags = '{d}' WHERE "chatId" = 'c3'""",
        """DELETE FROM "Message" WHERE id = 'tagged9' OR "chatId" = 'c4'""",
        """DELETE FROM "Chat" WHERE id = 'c5'""",
        """DELETE FROM "User" WHERE id = 'u6'""",
    ):
        execute(distributed, change)
        rows = rows_of(distributed)
        assert rows["MessageTag"] == tags_of(rows), change
    assert wrong(distributed) == []


def test_a_chat_is_not_changed(distributed: str) -> None:
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match="partition value"):
        execute(distributed, """UPDATE "Message" SET "chatId" = 'c1' WHERE id = 'm2'""")


def test_a_server_that_knows_no_chat_is_refused(distributed: str) -> None:
    with pytest.raises(psycopg2.Error, match="partition column"):
        execute(
            distributed,
            """INSERT INTO "Reaction" (id, "messageId", "userId", emoji)
               VALUES ('new', 'm1', 'u1', '!')""",
        )


def test_migrate_makes_triggers_and_tags_anew(distributed: str) -> None:
    execute(distributed, 'DROP TRIGGER "Message_tags_insert" ON "Message"')
    execute(
        distributed,
        """INSERT INTO "Message" (id, "senderId", "chatId", "updatedAt", "isSent", hashtags)
           SELECT 'missed' || n, 'u1', 'c' || n % 3, now(), true, '{missed}'
           FROM generate_series(1, 300) AS n""",
    )
    assert wrong(distributed) != []
    done = stogram(distributed, "migrate")
    assert "2 steps of earlier ones were done anew" in done.stdout, done.stderr
    rows = rows_of(distributed)
    assert rows["MessageTag"] == tags_of(rows)
    assert wrong(distributed) == []


def test_tags_that_are_missing_are_seen(distributed: str) -> None:
    execute(distributed, """DELETE FROM "MessageTag" WHERE "chatId" = 'c10'""")
    assert wrong(distributed) == ["rows of MessageTag: are not all there"]
    assert stogram(distributed, "migrate").returncode == 0
    assert wrong(distributed) == []


def test_a_table_on_one_server_is_named(distributed: str) -> None:
    execute(distributed, """SELECT undistribute_table('"PublishedMessage"')""")
    (finding,) = check(distributed).wrong
    assert finding.name == "shards of PublishedMessage"
    assert finding.what == "is on one server, and must be a reference table"
    execute(distributed, finding.remedy)
    assert wrong(distributed) == []


def test_rollback_refuses(distributed: str) -> None:
    refused = stogram(distributed, "rollback", STOGRAM_ALLOW_DATA_LOSS="1")
    assert refused.returncode == 1
    assert "cannot be taken back" in refused.stderr


def test_the_way_back(loaded: str) -> None:
    """What docs/distribute.md says."""
    distribute(loaded)
    before = rows_of(loaded)
    execute(
        loaded,
        """SELECT undistribute_table('"Chat"', cascade_via_foreign_keys => true);
           SELECT undistribute_table('"MessageTag"');
           SELECT undistribute_table('"UnreadSince"');
           SELECT undistribute_table('"PublishedMessage"')""",
    )
    assert ask(loaded, "SELECT count(*) FROM pg_dist_partition") == [(0,)]
    assert rows_of(loaded) == before
    assert stogram(loaded, "migrate").returncode == 0
    assert wrong(loaded) == []
    distribute(loaded)
    assert rows_of(loaded) == before
    assert wrong(loaded) == []


# --- What is refused ---


def test_a_cluster_that_is_not_one(cluster: CitusCluster) -> None:
    with cluster.database(workers=False) as url:
        migrate_here(url)
        with pytest.raises(MigrationError, match=r"no workers here: SELECT citus_add_node"):
            distribute(url)
        execute(url, "SELECT citus_remove_node('{}', {})".format(*cluster.coordinator))
        with pytest.raises(MigrationError, match=r"no workers here"):
            distribute(url)


def test_a_worker_is_refused(cluster: CitusCluster, distributed: str) -> None:
    name = distributed.rpartition("/")[2]
    worker = cluster.url_of(name, cluster.workers[0])
    for arguments in (
        "distribute",
        "distribute --dry-run",
        "distribute --prepare",
        "migrate",
        "rollback",
        "status",
        "check",
        "backfill",
        "search-index",
    ):
        done = stogram(worker, *arguments.split())
        assert done.returncode == 1
        said = "Error: this is a worker of Citus: name the coordinator in the URL\n"
        assert (done.stdout, done.stderr) == ("", said)

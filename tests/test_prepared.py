"""Statements are prepared on direct connections to PostgreSQL, and through poolers never."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from peewee import SQL

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.engine.prepared import MOST_PREPARED, READING
from stogram_sdk.engine.time_limits import Cursor
from stogram_sdk.statements import P, statement
from tests.support.contract import CALLS, build_world, is_read, make_call, undone
from tests.support.factories import make_chat, make_user
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy
from tests.support.states import migrate_here


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database, reached directly."""
    with postgres_server.database() as name:
        migrate_here(postgres_server.url_of(name))
        yield postgres_server.url_of(name)


@pytest.fixture
def direct(url: str) -> Iterator[None]:
    sdk.connect(url)
    yield
    sdk.close()


@statement
def _numbered(number: int) -> Any:
    return sdk.User.select(sdk.User.id, SQL(str(number))).where(sdk.User.id == P.user_id)


def on_the_server(columns: str) -> list[tuple[Any, ...]]:
    """What the server says of the statements that are prepared on this session's connection."""
    sql = f"SELECT {columns} FROM pg_prepared_statements"
    return [*current_database().execute_sql(sql).fetchall()]


def test_a_statement_is_planned_once_and_then_only_executed(direct: None) -> None:
    ivan, olga = make_user(), make_user()
    with sdk.session():
        for _ in range(8):
            assert not sdk.is_blocked(ivan.id, olga.id)
        reads = "statement LIKE %s AND generic_plans > 0"
        sql = f"SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE {reads}"
        executed = current_database().execute_sql(sql, ['%"BlockedUser"%']).fetchall()
    assert executed == [(8,)]


def test_a_write_is_executed_with_its_lock(direct: None) -> None:
    ivan, olga = make_user(), make_user()
    chat = make_chat(ivan, olga)
    with sdk.session():
        for number in range(8):
            assert sdk.send_message(ivan.id, chat.id, f"{number} #one").content == f"{number} #one"
        assert any("FOR NO KEY UPDATE" in text for (text,) in on_the_server("statement"))
    assert sdk.unread_totals(olga.id).all == 8


def test_what_only_reads_says_so(direct: None, url: str) -> None:
    """Nobody waits for a standby after it, and it is safe to try again."""
    world = build_world()
    sdk.connect(url)
    with sdk.session():
        for label in filter(is_read, CALLS):
            make_call(label, world.scene)
        names = [name for (name,) in on_the_server("name")]
    assert [name for name in names if not name.startswith(READING)] == []


def test_the_server_shows_no_value_of_a_call(direct: None) -> None:
    ivan, olga = make_user(), make_user()
    chat = make_chat(ivan, olga)
    with sdk.session():
        with sdk.transaction():
            sdk.send_message(ivan.id, chat.id, "a secret")
        sdk.search_messages(ivan.id, "a secret")
        texts = "\n".join(text for (text,) in on_the_server("statement"))
    assert texts
    for value in ("secret", ivan.id, chat.id):
        assert value not in texts


@pytest.mark.parametrize(
    "parameters", ["prepare=false", "pgbouncer=true", "statement_cache_size=0"]
)
def test_nothing_is_prepared_where_that_is_said(url: str, parameters: str) -> None:
    sdk.connect(f"{url}&{parameters}")
    with sdk.session():
        sdk.find_user("nobody")
        assert on_the_server("name") == []
    sdk.close()


def test_a_pooler_is_found_out_before_the_first_prepare(url: str, tmp_path: Path) -> None:
    # A pooler numbers its clients by itself: the number of the protocol is not the server's.
    settings = psycopg2.extensions.parse_dsn(url)
    proxy = Proxy(Path(settings["host"], f".s.PGSQL.{settings.get('port', 5432)}"))
    proxy.hides_the_server = True
    try:
        sdk.connect(proxy.url(settings["dbname"]))
        with sdk.session():
            make_user()
            assert on_the_server("name") == []
        sdk.close()
    finally:
        proxy.close()


def test_nothing_is_prepared_through_pgbouncer(on_postgres: None) -> None:
    # It is there only in `make test-pgbouncer`.
    is_direct = "STOGRAM_TEST_PGBOUNCER" not in os.environ
    with sdk.transaction():
        sdk.find_user("nobody")
        assert bool(on_the_server("name")) == is_direct


@pytest.mark.parametrize("discard", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_what_was_discarded_is_prepared_anew(direct: None, discard: str) -> None:
    ivan = make_user()
    with sdk.session():
        assert sdk.find_user(ivan.username) == ivan
        current_database().execute_sql(discard)
        assert sdk.find_user(ivan.username) == ivan
        assert on_the_server("name")


def test_a_unit_in_which_it_was_discarded_runs_again(direct: None) -> None:
    ivan = make_user()
    runs = []

    @sdk.retrying
    def unit() -> None:
        runs.append(make_user())
        if len(runs) == 1:
            current_database().execute_sql("DEALLOCATE ALL")
        assert sdk.find_user(ivan.username) == ivan

    with sdk.session():
        assert sdk.find_user(ivan.username) == ivan
        unit()
        assert [sdk.User.get_or_none(id=user.id) is not None for user in runs] == [False, True]


def test_a_column_may_change_its_type(direct: None, url: str) -> None:
    ivan = make_user()
    with sdk.session():
        assert sdk.find_user(ivan.username) == ivan
        for kind in ("varchar(100)", "text"):
            with psycopg2.connect(url) as other, other.cursor() as cursor:
                cursor.execute(f'ALTER TABLE "User" ALTER COLUMN bio TYPE {kind}')
            assert sdk.find_user(ivan.username) == ivan


def test_the_search_path_may_change(direct: None) -> None:
    ivan = make_user()
    with sdk.session():
        assert sdk.find_user(ivan.username) == ivan
        database = current_database()
        database.execute_sql('CREATE SCHEMA other CREATE TABLE "User" (LIKE public."User")')
        database.execute_sql("SET search_path = other, public")
        assert sdk.find_user(ivan.username) is None
        database.execute_sql("RESET search_path")
        assert sdk.find_user(ivan.username) == ivan
        database.execute_sql("DROP SCHEMA other CASCADE")


def test_a_statement_that_cannot_be_prepared_fails_as_itself(postgres_url: str) -> None:
    sdk.connect(postgres_url)
    with sdk.session():
        for _ in range(2):
            with pytest.raises(sdk.StogramError, match="stogram migrate"):
                sdk.find_user("nobody")
        with sdk.transaction():
            with pytest.raises(sdk.StogramError, match="stogram migrate"):
                sdk.find_user("nobody")
            assert current_database().execute_sql("SELECT 1").fetchone() == (1,)
        sdk.migrate()
        assert sdk.find_user("nobody") is None
    sdk.close()


def test_all_statements_together_take_little_memory(direct: None) -> None:
    sizes = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts"
    world = build_world()
    with sdk.session():
        before = current_database().execute_sql(sizes).fetchone()[0]
        for label in CALLS:
            with undone():
                make_call(label, world.scene)
        after = current_database().execute_sql(sizes).fetchone()[0]
        assert len(on_the_server("name")) == MOST_PREPARED
    assert after - before < 8 * 2**20


def test_what_is_used_stays_prepared(direct: None) -> None:
    ivan, anna = make_user(), make_user()
    with sdk.session():
        known = current_database().connection().prepared
        for number in range(MOST_PREPARED + 5):
            sdk.is_blocked(ivan.id, anna.id)
            assert _numbered.variant(number=number).first(user_id=ivan.id) is not None
        assert len(known) == MOST_PREPARED
        assert {name for (name,) in on_the_server("name")} == set(known)
        assert any("BlockedUser" in text for (text,) in on_the_server("statement"))


def test_one_that_the_server_has_forgotten_is_no_harm_in_making_room(direct: None) -> None:
    ivan = make_user()
    with sdk.session():
        for number in range(MOST_PREPARED):
            _numbered.variant(number=number).first(user_id=ivan.id)
        current_database().execute_sql("DISCARD ALL")
        assert sdk.find_user(ivan.username) == ivan


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("before", [True, False])
def test_an_interruption_leaves_no_doubt_of_what_is_prepared(
    direct: None, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    ivan, anna = make_user(), make_user()
    execute = Cursor.execute

    def interrupted(cursor: Cursor, sql: Any, parameters: Any = None) -> None:
        if str(sql).startswith("PREPARE"):
            if not before:
                execute(cursor, sql, parameters)
            raise Interrupted
        execute(cursor, sql, parameters)

    with sdk.session():
        monkeypatch.setattr(Cursor, "execute", interrupted)
        with pytest.raises(Interrupted):
            sdk.is_blocked(ivan.id, anna.id)
        monkeypatch.undo()
        with sdk.transaction():
            assert not sdk.is_blocked(ivan.id, anna.id)

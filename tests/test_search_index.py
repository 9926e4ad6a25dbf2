"""The index for searches by text: made, kept and dropped; it never hides a message."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import decomposition, normalize

import pytest
from peewee import SQL

import stogram_sdk as sdk
from stogram_sdk.any_case import _case_forms, any_case_trigrams
from stogram_sdk.command import search_index
from stogram_sdk.command.check import check
from stogram_sdk.command.distribute import distribute
from stogram_sdk.command.search_index import drop_search_index, make_search_index
from stogram_sdk.database import current_database, session
from stogram_sdk.engine.dialects import ODD_CHARACTERS, SEARCH_INDEXES
from stogram_sdk.newest import BEGINNING
from tests.support.factories import after, insert_message, make_chat, make_message, make_user
from tests.support.postgres import PostgresServer
from tests.support.states import automatic_migration, migrate_here, pw_migrate, stogram
from tests.test_plans import _plan as plan
from tests.test_plans import _sent_by as sent_by
from tests.test_search import ANY_CASE, COMPOSED, found, spellings

#: Whole databases, made and changed.
pytestmark = pytest.mark.slow


def execute(sql: str) -> list[Any]:
    with session():
        rows = current_database().execute_sql(sql)
        return list(rows.fetchall()) if rows.description else []


#: Also with the statements that a distributed database is sent.
distributed_too = pytest.mark.parametrize(
    "url", ["sqlite", "postgres", "distributed"], indirect=True
)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A migrated database with the index, and searches that read no messages themselves."""
    url: str = request.getfixturevalue(f"indexed_{request.param}")
    monkeypatch.setattr(sdk.search, "_NEWEST", 0)
    monkeypatch.setattr(sdk.search, "_NEWEST_OF_EACH", 0)
    monkeypatch.setattr(sdk.search, "BEGINNING", SQL("'9999-12-31'"))
    sdk.connect(url)
    yield url
    sdk.close()


@pytest.fixture
def indexed_sqlite(sqlite_template: Path, tmp_path: Path) -> str:
    path = shutil.copy(sqlite_template, tmp_path / "stogram.db")
    return f"sqlite:///{path}"


@pytest.fixture
def indexed_postgres(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    with postgres_server.database(postgres_template) as name:
        yield postgres_server.url_of(name)


@pytest.fixture
def indexed_distributed(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    with postgres_server.database(postgres_template) as name:
        distribute(postgres_server.url_of(name), shards=False)
        yield postgres_server.url_of(name)


@pytest.fixture(scope="module")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("indexed") / "stogram.db"
    migrate_with_index(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as name:
        migrate_with_index(postgres_server.url_of(name))
        yield name


def migrate_with_index(url: str) -> None:
    migrate_here(url)
    assert make_search_index(url)


@pytest.fixture
def ivan(url: str) -> sdk.User:
    return make_user("ivan")


@pytest.fixture
def chat(ivan: sdk.User) -> sdk.Chat:
    return make_chat(ivan)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("length", [20, 60_000], ids=["a short text", "a long one"])
def test_nothing_of_a_deleted_text_is_left_in_the_file(
    ivan: sdk.User, chat: sdk.Chat, url: str, length: int
) -> None:
    """It would be readable to whoever has the file; an older SQLite needs the index made anew."""
    file = Path(url.removeprefix("sqlite:///"))
    make_message(ivan, chat, "what stays")
    edited, deleted = (make_message(ivan, chat, f"{'zqxjzwkv ' * (length // 9)}") for _ in "12")
    sdk.edit_message(ivan.id, chat.id, edited.id, "other words")
    sdk.delete_message(ivan.id, chat.id, deleted.id)
    sdk.close()
    if sqlite3.sqlite_version_info < (3, 42):
        assert drop_search_index(url) and make_search_index(url)
    left = file.read_bytes()
    assert b"what stays" in left
    assert not [part for part in (b"zqx", b"qxj", b"xjz", b"zwk") if part in left]
    sdk.connect(url)
    assert len(sdk.search_messages(ivan.id, "what stays")) == 1


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_version_is_that_of_pythons_own_driver(url: str, tmp_path: Path) -> None:
    """Where `pysqlite3` is installed, Peewee tells the version of that."""
    (tmp_path / "pysqlite3").mkdir()
    driver = "from sqlite3.dbapi2 import *\nsqlite_version_info = (99, 0, 0)\n"
    (tmp_path / "pysqlite3" / "__init__.py").write_text("from . import dbapi2\n")
    (tmp_path / "pysqlite3" / "dbapi2.py").write_text(driver)
    assert drop_search_index(url)
    made = stogram(url, "search-index", PYTHONPATH=str(tmp_path))
    assert (made.stdout, made.stderr) == ("the search index was made\n", "")
    sdk.create_user("olga@example.com", "olga", password_hash="-")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_every_sqlite_overwrites_what_is_deleted(url: str) -> None:
    assert execute("PRAGMA secure_delete") == [(1,)]


@distributed_too
def test_text_is_found_in_any_case(ivan: sdk.User) -> None:
    for text, content in ANY_CASE:
        if re.search(r"[^\W_]{3}", text):
            chat = make_chat(ivan)
            make_message(ivan, chat, "something else")
            make_message(ivan, chat, content)
            assert found(ivan, text, chat_id=chat.id) == [content]


@pytest.mark.parametrize("text", COMPOSED)
def test_text_is_found_in_every_composition(ivan: sdk.User, text: str) -> None:
    for content in sorted(spellings(text)):
        chat = make_chat(ivan)
        make_message(ivan, chat, "file", file_url="https://f/1", file_name=f"abc{content}cde")
        for sought in spellings(text):
            assert found(ivan, f"abc{sought}cde", chat_id=chat.id) == ["file"], ascii(content)


def test_what_may_not_be_composed_is_odd() -> None:
    odd = re.compile(ODD_CHARACTERS)
    for character in map(chr, range(0x30000)):
        parts = decomposition(character)
        is_canonical = parts and "<" not in parts
        if normalize("NFC", character) != character:
            assert odd.match(character), ascii(character)
        elif is_canonical:
            assert odd.match(chr(int(parts.split()[-1], 16))), ascii(character)
    for character in normalize("NFD", "가나다라마바사아자차카타파하각힣"):
        assert odd.match(character) or normalize("NFD", "가")[0] <= character <= "\u1112"


@pytest.mark.slow
def test_each_character_is_found_in_each_of_its_cases() -> None:
    """By SQLite's trigrams, which know fewer letters than Python does."""
    file = sqlite3.connect(":memory:")
    file.execute("CREATE VIRTUAL TABLE texts USING fts5(text, detail=none, tokenize='trigram')")
    for character in map(chr, range(0x20000)):
        forms = {character.lower(), character.upper(), character.title(), character.casefold()}
        if len(forms | {character}) > 1:
            query = any_case_trigrams(f"ab{character}cd")
            assert query is not None
            for form in forms:
                file.execute("DELETE FROM texts")
                file.execute("INSERT INTO texts VALUES (?)", (f"ab{form}cd",))
                row = file.execute("SELECT 1 FROM texts WHERE texts MATCH ?", (query,)).fetchone()
                assert row, (character, form)
    file.close()


def test_what_lower_does_not_fold_is_odd() -> None:
    odd = re.compile(ODD_CHARACTERS)
    for letter, forms in _case_forms().items():
        for form in forms:
            assert form == letter or form.lower() == letter or odd.match(form), (letter, form)
    assert odd.match("Σ")  # which some servers write otherwise at the end of a word


@distributed_too
def test_it_is_kept_whoever_writes(ivan: sdk.User, chat: sdk.Chat) -> None:
    message = make_message(ivan, chat, "a needle")
    insert_message(ivan, chat, "no content", file_name="NEEDLE.pdf")
    sdk.Message.create(sender=ivan, chat=chat, content=None, is_sent=True)
    assert found(ivan, "needle") == ["no content", "a needle"]
    sdk.edit_message(ivan.id, chat.id, message.id, "a pin")
    assert found(ivan, "needle") == ["no content"]
    assert found(ivan, "a pin") == ["a pin"]
    execute("""UPDATE "Message" SET id = 'other' WHERE content = 'a pin'""")
    assert found(ivan, "a pin") == ["a pin"]
    execute("""DELETE FROM "Message" WHERE "fileName" = 'NEEDLE.pdf'""")
    execute("VACUUM")
    assert found(ivan, "needle") == []
    assert found(ivan, "a pin") == ["a pin"]


def test_a_search_uses_it_and_reads_only_the_chats(url: str) -> None:
    with session():
        ((sql, values),) = sent_by(lambda: sdk.search_messages("nobody", "needle"))
        used = plan(sql, values)
    assert ("MessageTrigram" if url.startswith("sqlite") else SEARCH_INDEXES[0]) in used
    # Beside a table that is joined PostgreSQL starts no workers.
    assert url.startswith("sqlite") or "content ~~* sought.terms" in used, used
    assert used.count("Message_visible_idx") >= 3  # since when, recent, older
    # By the time most messages would be looked up, whatever the word.
    hits = used.partition("CTE hits")[2].partition("CTE since")[0]
    assert not re.search("Index Cond: .*createdAt", hits), hits
    # Nor does SQLite compare each message that the index finds to each chat.
    assert not re.search(r'Seq Scan on "Message|SCAN t\d|SCAN hits\nSCAN chats', used), used


def test_a_page_is_found_by_the_newest_of_each_chat(url: str, ivan: sdk.User) -> None:
    drop_search_index(url)
    for seconds in ([8, 9, 10], [5], [4]):
        chat = make_chat(ivan)
        for second in seconds:
            insert_message(ivan, chat, f"needle {second}", created_at=after(second))
    busy = make_chat(ivan)
    for second in range(11, 20):
        insert_message(ivan, busy, created_at=after(second))
    assert found(ivan, "needle", limit=2) == ["needle 10", "needle 9"]
    assert found(ivan, "needle", limit=4) == []  # the fixture has searches read nothing


def test_a_word_of_one_busy_chat_is_found_in_recent_messages(
    url: str, ivan: sdk.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_search_index(url)
    monkeypatch.setattr(sdk.search, "_RECENT", 2)
    sdk.connect(url)
    quiet, busy = make_chat(ivan), make_chat(ivan)
    for second in (1, 9):
        insert_message(ivan, quiet, created_at=after(second))
    for second in range(20):
        insert_message(ivan, busy, f"needle {second}", created_at=after(second))
    assert found(ivan, "needle", limit=3) == ["needle 19", "needle 18", "needle 17"]


@distributed_too
def test_only_what_the_user_may_see(ivan: sdk.User, chat: sdk.Chat) -> None:
    olga = make_user("olga")
    secret = make_chat(ivan, is_secret=True)
    for place, user in ((chat, ivan), (secret, ivan), (make_chat(olga), olga)):
        make_message(user, place, f"needle of {user.username}")
    (row,) = sdk.search_messages(ivan.id, "needle")
    assert row.chat == chat
    (row,) = sdk.search_messages(ivan.id, "needle", chat_id=secret.id)
    assert row.chat == secret


@distributed_too
def test_more_than_it_gives_is_found_by_reading(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk.search, "BEGINNING", BEGINNING)
    monkeypatch.setattr(sdk.search, "_HITS", 3)
    sdk.connect(url)
    ivan, olga = make_user("ivan"), make_user("olga")
    chat, other = make_chat(ivan), make_chat(olga)
    for number in range(12):
        make_message(olga, other, f"needle {number}")
        make_message(ivan, chat, f"needle {number}")
    make_message(ivan, chat, "last")
    first = sdk.search_messages(ivan.id, "needle", limit=5)
    second = sdk.search_messages(ivan.id, "needle", cursor=first.next_cursor)
    numbers = [row.content for row in (*first, *second)]
    assert numbers == [f"needle {number}" for number in reversed(range(12))]


@distributed_too
def test_a_text_that_it_cannot_know_is_found_by_reading(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk.search, "BEGINNING", BEGINNING)
    sdk.connect(url)
    ivan = make_user("ivan")
    chat = make_chat(ivan)
    for content in ("ab", "?!", "ß", "newest"):
        make_message(ivan, chat, content)
    for text in ("ab", "?!", "SS"):
        assert len(found(ivan, text)) == 1


def test_it_can_be_dropped_and_made_again(url: str, ivan: sdk.User, chat: sdk.Chat) -> None:
    make_message(ivan, chat, "a needle")
    assert not make_search_index(url)
    assert drop_search_index(url)
    assert not drop_search_index(url)
    assert found(ivan, "needle") == []  # the fixture has searches read nothing
    assert stogram(url, "search-index").stdout == "the search index was made\n"
    assert stogram(url, "search-index").stdout == "the search index is there already\n"
    assert found(ivan, "needle") == ["a needle"]
    assert stogram(url, "search-index", "--drop").stdout == "the search index was dropped\n"
    assert stogram(url, "search-index", "--drop").stdout == "the search index is not there\n"


@pytest.mark.parametrize("url", ["postgres"], indirect=True)  # SQLite makes it at once.
def test_a_build_that_was_broken_off_is_begun_again(
    url: str, ivan: sdk.User, chat: sdk.Chat
) -> None:
    make_message(ivan, chat, "a needle")
    of_it = f"""WHERE indexrelid = '"{SEARCH_INDEXES[0]}"'::regclass"""
    execute(f"UPDATE pg_index SET indisvalid = false {of_it}")
    assert found(ivan, "needle") == []
    assert make_search_index(url)
    assert found(ivan, "needle") == ["a needle"]
    assert execute(f"SELECT indisvalid FROM pg_index {of_it}") == [(True,)]


BROKEN_OFF = {
    "postgres": f"""UPDATE pg_index SET indisvalid = false
        WHERE indexrelid = '"{SEARCH_INDEXES[0]}"'::regclass""",
    "sqlite": 'DROP TRIGGER "Message_search_update"',
}
HALF = {
    "postgres": f'DROP INDEX "{SEARCH_INDEXES[1]}"',
    "sqlite": 'DROP TRIGGER "Message_search_insert"',
}


@pytest.mark.parametrize("damage", [BROKEN_OFF, HALF])
def test_half_an_index_is_found_and_mended(url: str, damage: dict[str, str]) -> None:
    assert check(url).search_index == "there"
    sql = damage["sqlite" if url.startswith("sqlite") else "postgres"]
    execute(sql)
    report = check(url)
    assert report.search_index == "incomplete"
    (finding,) = report.wrong
    assert (finding.area, finding.remedy) == ("search index", "Run `stogram search-index`")
    assert finding.name in sql
    assert make_search_index(url)
    assert check(url).is_right
    assert drop_search_index(url)
    assert check(url).search_index == "absent"
    assert check(url).is_right
    assert "search index: absent" in stogram(url, "check").stdout


def test_nobody_minds_it(url: str, tmp_path: Path) -> None:
    assert check(url).is_right
    done = automatic_migration(url, "stogram_sdk.models", tmp_path)
    assert "No changes found" in done.stdout + done.stderr
    done = pw_migrate(url, "rollback", "--count", "2")
    assert done.returncode == 0, done.stderr
    sdk.migrate()
    assert check(url).is_right


def test_what_a_server_lacks_is_said(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sdk.connect(postgres_url)
    sdk.migrate()
    sdk.close()
    monkeypatch.setattr(search_index, "_EXTENSION", "SELECT NULL, false")
    with pytest.raises(sdk.MigrationError, match="does not have the extension pg_trgm: install it"):
        make_search_index(postgres_url)
    assert not drop_search_index(postgres_url)


def test_tables_come_first(database_url: str) -> None:
    with pytest.raises(sdk.StogramError, match="run `stogram migrate` first"):
        make_search_index(database_url)

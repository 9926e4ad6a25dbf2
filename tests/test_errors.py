"""What goes wrong leaves as one tree of errors, which say what to do and give nothing away."""

from __future__ import annotations

import copy
import inspect
import logging
import pickle
import re
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from tests.support.factories import make_chat, make_user

# --- The tree ---


def test_the_tree_is_as_it_is_drawn() -> None:
    drawn = re.findall(r"^    (├── |└── |)(\w+)", inspect.getdoc(sdk.errors) or "", re.M)
    assert drawn[0] == ("", "StogramError")
    children = {name: kind for name, kind in vars(sdk.errors).items() if inspect.isclass(kind)}
    del children["Any"]
    assert [name for _, name in drawn] == list(children)
    assert all(kind.__base__ in (sdk.StogramError, Exception) for kind in children.values())
    assert all(getattr(sdk, name) is kind for name, kind in children.items())
    assert all(kind.__doc__ for kind in children.values())


def test_bad_input_is_also_a_value_error() -> None:
    assert issubclass(sdk.InvalidInput, ValueError)


ERRORS = [
    sdk.AlreadyExists("message", "id", "m1"),
    sdk.Blocked("blocked", entity="chat", id="c1"),
    sdk.DatabaseError("refused", sqlstate="23505"),
    sdk.InvalidInput("limit must be right", field="limit"),
    sdk.MigrationError("stopped"),
    sdk.NotAllowed("no", entity="chat", id="c1"),
    sdk.NotFound("chat", "c1"),
    sdk.NotLoaded("user", "u1", "email", "get_user()"),
    sdk.StogramError("text"),
    sdk.Unavailable("away", safe_to_retry=False, sqlstate="57P01"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_whole_in_another_process(error: sdk.StogramError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))


def test_an_error_says_what_it_is_about() -> None:
    error = sdk.NotFound("chat", "c1")
    assert (error.entity, error.id, error.field, error.sqlstate) == ("chat", "c1", None, None)
    assert str(error) == "no such chat for this user: 'c1'"


def test_a_user_who_is_not_there_is_hidden_from_nobody(engine: str) -> None:
    """An account is there or not, whoever asks: only other rows are one user's to see."""
    owner = make_user()
    for call in (
        lambda: sdk.get_user("nobody"),
        lambda: sdk.create_chat(owner.id, sdk.ChatType.GROUP, member_ids=["nobody"]),
        lambda: sdk.block_user(owner.id, "nobody"),
    ):
        with pytest.raises(sdk.NotFound) as error:
            call()
        assert str(error.value) == "no such user: 'nobody'"
        assert (error.value.entity, error.value.id) == ("user", "nobody")


@pytest.mark.parametrize("value", ["on", "a value that is longer than an error should ever be"])
def test_a_value_that_an_error_cuts_off_shows_it(engine: str, value: str) -> None:
    with pytest.raises(sdk.InvalidInput) as error:
        sdk.set_status("u1", value)  # type: ignore[arg-type]
    shown = str(error.value).rpartition(", not ")[2]
    assert shown in (repr(value), repr(value)[:39] + "…")
    assert len(shown) <= 40


# --- What the database says ---


def test_a_table_that_is_missing_names_both_ways_to_make_it(database_url: str) -> None:
    """The command may mean another database than connect() did. The table may be anybody's."""
    sdk.connect(database_url)
    for ask in (lambda: sdk.find_user("anna"), lambda: sdk.db.execute_sql("SELECT 1 FROM note")):
        with (
            pytest.raises(sdk.DatabaseError, match=r"^a table is missing: ") as error,
            sdk.session(),
        ):
            ask()
        assert "migrate()" in str(error.value) and "`stogram migrate`" in str(error.value)
    sdk.close()


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("40001", sdk.Unavailable),  # serialization failure
        ("40P01", sdk.Unavailable),  # deadlock
        ("55P03", sdk.Unavailable),  # lock timeout
        ("57014", sdk.Unavailable),  # canceled, or too slow
        ("57P01", sdk.Unavailable),  # shut down
        ("57P03", sdk.Unavailable),  # starting up
        ("08006", sdk.Unavailable),  # connection failure
        ("08007", sdk.Unavailable),  # whether the transaction was written is not known
        ("25006", sdk.Unavailable),  # read-only
        ("53100", sdk.Unavailable),  # disk full
        ("53200", sdk.Unavailable),  # out of memory
        ("53300", sdk.Unavailable),  # too many connections
        ("57P02", sdk.Unavailable),  # crash
        ("58030", sdk.Unavailable),  # the server cannot read or write
        ("22P02", sdk.DatabaseError),  # no such enum label
        ("23505", sdk.DatabaseError),  # unique violation
        ("42703", sdk.DatabaseError),  # no such column
        ("42501", sdk.DatabaseError),  # no right to it
        ("XX000", sdk.DatabaseError),  # internal error
    ],
)
def test_a_sqlstate_becomes_an_error_with_its_cause(
    on_postgres: None, sqlstate: str, kind: type[sdk.StogramError]
) -> None:
    fail = f"DO $$ BEGIN RAISE EXCEPTION 'a secret value' USING ERRCODE = '{sqlstate}'; END $$"
    with pytest.raises(kind) as error, sdk.session():
        sdk.db.execute_sql(fail)
    assert type(error.value) is kind
    assert error.value.sqlstate == sqlstate and sqlstate in str(error.value)
    assert "secret" not in str(error.value) + repr(error.value)
    assert error.value.__cause__ is not None
    assert ("docs/guide.md" in str(error.value)) == (sqlstate == "42501")
    assert getattr(error.value, "safe_to_retry", False) == (
        kind is sdk.Unavailable and sqlstate != "08007"
    )
    assert make_user(), "the connection can be used"


def test_a_constraint_is_named_and_its_values_are_not(on_postgres: None) -> None:
    user = make_user("ivan")
    with pytest.raises(sdk.DatabaseError, match="User_email_key") as error, sdk.transaction():
        sdk.User.create(email=user.email, username="other", password="hash")
    assert error.value.sqlstate == "23505"
    assert user.email not in str(error.value) + repr(error.value)


def test_a_database_that_is_not_migrated_says_what_to_do(database_url: str) -> None:
    sdk.connect(database_url)
    with pytest.raises(sdk.DatabaseError, match="run `stogram migrate`"):
        make_user()
    sdk.close()


def test_without_a_database_the_first_call_says_what_to_do() -> None:
    sdk.close()
    for call in (make_user, lambda: sdk.session().__enter__()):
        with pytest.raises(sdk.StogramError, match=r"call stogram_sdk\.connect\(\) first"):
            call()


def test_a_locked_file_is_unavailable_and_another_trouble_of_sqlite_is_not(tmp_path: Path) -> None:
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db", statement_timeout=0.05)
    sdk.migrate()
    other = sqlite3.connect(tmp_path / "stogram.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sdk.Unavailable) as error:
        make_user()
    assert error.value.safe_to_retry
    other.rollback()
    other.execute('ALTER TABLE "User" RENAME COLUMN bio TO biography')
    other.close()
    with pytest.raises(sdk.DatabaseError, match="refused"):
        make_user()
    sdk.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A migrated SQLite file, to which this thread is connected."""
    path = tmp_path / "stogram.db"
    sdk.connect(f"sqlite:///{path}")
    sdk.migrate()
    yield path
    sdk.close()


def refused() -> sdk.Unavailable:
    with pytest.raises(sdk.Unavailable) as error:
        make_user()
    assert error.value.safe_to_retry
    return error.value


def test_a_half_read_query_of_ones_own_is_not_another_writer(file: Path) -> None:
    for _ in range(200):
        make_user()
    with sdk.session():
        half_read = sdk.db.execute_sql('SELECT * FROM "User"')
        half_read.fetchone()
        other = sqlite3.connect(file)
        with other:
            other.execute("""UPDATE "User" SET bio = 'new'""")
        other.close()
        assert "is half read" in str(refused())
        half_read.fetchall()
        assert make_user()


def test_a_disk_that_is_full_is_named_and_the_callers_transaction_goes_on(file: Path) -> None:
    with sdk.transaction():
        first = make_user()
        (pages,) = sdk.db.execute_sql("PRAGMA page_count").fetchone()
        sdk.db.execute_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sdk.Unavailable, match="disk is full"):
            for _ in range(1000):
                make_user()
        sdk.db.execute_sql(f"PRAGMA max_page_count = {pages + 1000}")
        last = make_user()
    assert sdk.get_user(first.id) and sdk.get_user(last.id)


def test_a_file_that_cannot_be_written_or_opened_is_named(file: Path) -> None:
    with sdk.session():
        sdk.db.execute_sql("PRAGMA query_only = 1")
        assert "read-only" in str(refused())
        sdk.db.execute_sql("PRAGMA query_only = 0")
    with pytest.raises(sdk.Unavailable, match="cannot be opened"):
        sdk.connect("sqlite:////no/such/directory/stogram.db")


def test_a_search_in_a_locked_file_says_that_it_is_unavailable(tmp_path: Path) -> None:
    """It asks for the search index before the statement, by way of the driver."""
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db", statement_timeout=0.05)
    sdk.migrate()
    other = sqlite3.connect(tmp_path / "stogram.db")
    with sdk.session():
        # Beside a write-ahead log, a lock would not stop who reads.
        current_database().execute_sql("PRAGMA journal_mode = delete")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sdk.Unavailable, match="another writer holds"):
            sdk.search_messages("nobody", "needle")
    other.close()
    sdk.close()


# --- What is given away: nothing ---

SECRET = "pässword@/:?#"
URL = f"postgresql://alice:{quote(SECRET, safe='')}@127.0.0.1:1/secret_db"


@pytest.mark.parametrize(
    "connect",
    [
        lambda: sdk.connect(URL, connect_timeout=1),
        lambda: sdk.connect(f"{URL}?surprise=secret_db"),
        lambda: sdk.connect(f"{URL}?connection_limit={quote(SECRET)}"),
        lambda: sdk.connect(f"{URL}?sslmode={quote(SECRET)}"),
        lambda: sdk.connect(f"{URL}?sslidentity=secret_db"),
        lambda: sdk.connect(f"{URL}?schema=%22secret_db"),
        lambda: sdk.connect(f"postgresql://alice:{SECRET}@127.0.0.1/secret_db"),
        lambda: sdk.connect(f"postgresql://alice:{SECRET}@[/secret_db"),
        lambda: sdk.connect("mysql://alice:pässword@127.0.0.1/secret_db"),
    ],
)
def test_no_error_shows_where_the_database_is_or_a_password(
    connect: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(sdk.StogramError) as error:
        connect()
    for text in (str(error.value), repr(error.value), str(vars(error.value)), caplog.text):
        for secret in ("pässword", "p%C3%A4ssword", "alice", "127.0.0.1", "secret_db"):
            assert secret not in text


def test_what_keeps_the_password_does_not_show_it() -> None:
    database, settings = sdk.database.open_database(URL)
    assert SECRET in database.connect_params.values()
    for shown in (settings, database, sdk.db):
        assert "pässword" not in repr(shown) + str(shown)


def _is_over(looks: Iterator[int], most: int) -> bool:
    return next(looks) >= most


def test_an_error_while_rows_are_fetched_has_its_name(tmp_path: Path) -> None:
    # SQLite finds the first row when a statement is sent, and the others later.
    sdk.connect(f"sqlite:///{tmp_path}/stogram.db")
    sdk.migrate()
    ivan = make_user("ivan")
    chat = make_chat(ivan)
    for _ in range(20):
        sdk.send_message(ivan.id, chat.id, "text")
    outcomes: set[int | str] = set()
    with sdk.session():
        connection = current_database().connection()
        # How many steps it takes, and whether those of earlier runs count, depends on the version.
        for most in range(5, 2_000, 5):
            looks = count()
            connection.set_progress_handler(partial(_is_over, looks, most), 10)
            try:
                outcomes.add(len(sdk.list_messages(ivan.id, chat.id)))
                break
            except sdk.Unavailable as error:
                outcomes.add(str(error))
        connection.set_progress_handler(None, 0)
    sdk.close()
    assert outcomes == {
        20,
        "the statement was canceled, or took too long (statement_timeout); nothing was written",
    }


def test_a_connection_that_ends_before_its_answer_is_read(
    on_postgres: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write asks for the default isolation; it runs again, since nothing was sent yet."""
    ann, ben = make_user(), make_user()
    sdk.block_user(ann.id, ben.id)
    database = current_database()
    send = database._send
    ended: list[str] = []

    def end_once(sql: str) -> Any:
        cursor = send(sql)
        if not ended:
            ended.append(sql)
            cursor.connection.close()
        return cursor

    monkeypatch.setattr(database, "_before_write", None)
    monkeypatch.setattr(database, "_send", end_once)
    assert sdk.unblock_user(ann.id, ben.id)
    assert ended == ["SHOW default_transaction_isolation"]


@pytest.mark.parametrize(
    "change",
    [
        "ADD CONSTRAINT short CHECK (length(password) < 9) NOT VALID",
        'RENAME COLUMN password TO "another"',
    ],
)
def test_what_was_refused_is_not_in_the_errors_that_are_chained(
    change: str, on_postgres: None
) -> None:
    ivan = make_user()
    secret = "x" * 40
    with sdk.session(), current_database().atomic() as undone:
        sdk.db.execute_sql(f'ALTER TABLE "User" {change}')
        with pytest.raises(sdk.DatabaseError) as caught:
            sdk.set_password_hash(ivan.id, password_hash=secret)
        undone.rollback()
    told = "".join(traceback.format_exception(caught.value))
    assert "psycopg2" in told
    assert secret not in told
    assert ivan.email not in told

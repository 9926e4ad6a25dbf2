"""What the contract says of every function: the same tests for all of `contract.CALLS`."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

import peewee
import psycopg2
import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.models import PublishedMessage
from stogram_sdk.paging import write_cursor
from tests.conftest import connected
from tests.support.contract import (
    CALLS,
    NOT_CALLS,
    World,
    arguments_of,
    build_world,
    function_of,
    is_read,
    kind_of,
    make_call,
    more_in_further_chats,
    outcome,
    stored_rows,
    undone,
)
from tests.support.factories import LONG_AGO, sent_statements
from tests.support.strangers import DOCUMENT, document, observe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "distributed"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """PostgreSQL once more, with the statements that a distributed database is sent."""
    with connected(request, tmp_path_factory.mktemp("world")):
        yield build_world()


every_call = pytest.mark.parametrize("label", CALLS)
every_function = pytest.mark.parametrize(
    "name", sorted({label.partition("(")[0] for label in CALLS})
)

every_write = pytest.mark.parametrize("label", [label for label in CALLS if not is_read(label)])


def test_there_is_a_call_of_every_public_function() -> None:
    public = (name for name in sdk.__all__ if name.islower())
    functions = {name for name in public if inspect.isfunction(getattr(sdk, name))}
    assert {label.partition("(")[0] for label in CALLS} == functions - NOT_CALLS


@every_call
def test_a_call_sends_as_many_statements_in_a_large_world_as_in_a_small_one(
    label: str, world: World, large_world: World
) -> None:
    for further, scene in enumerate((world.scene, large_world.scene)):
        with undone(), sent_statements() as sent:
            assert outcome(label, scene) == CALLS[label].gives
        expected = CALLS[label].sends + more_in_further_chats(label, further)
        assert len(sent) == expected, "\n".join(sent)


@every_call
def test_a_call_can_be_made_twice(label: str, world: World) -> None:
    call = CALLS[label]
    with undone():
        assert outcome(label, world.scene) == call.gives
        once = stored_rows()
        assert outcome(label, world.scene) == call.again
        assert (stored_rows() == once) == call.repeats


@every_call
def test_a_call_is_undone_with_the_transaction_of_the_caller(label: str, world: World) -> None:
    before = stored_rows()
    with undone():
        outcome(label, world.scene)
        assert (stored_rows() == before) == is_read(label), "what reads never writes"
    assert stored_rows() == before


MODELS: tuple[Any, ...] = (*sdk.MODELS, PublishedMessage)
TABLES = sorted({model._meta.table_name for model in MODELS})


def refuse_writes(table: str) -> None:
    """Let this transaction's statements that write the table end with an error."""
    if current_database().dialect.name == "sqlite":
        for event in ("INSERT", "UPDATE", "DELETE"):
            sdk.db.execute_sql(
                f'CREATE TEMP TRIGGER "refuse_{event}" AFTER {event} ON "{table}"'
                " BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        return
    sdk.db.execute_sql(
        "CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END $$;"
        f'CREATE TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON "{table}"'
        " FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()"
    )


def goes_on(
    label: str,
    world: World,
    before: dict[str, Any],
    around: AbstractContextManager[None],
) -> type[Exception] | None:
    """What a call raises in a transaction of the caller, which has written and writes again."""
    raised = None
    sdk.db.execute_sql("CREATE TEMP TABLE own (n INT)")
    sdk.db.execute_sql("INSERT INTO own VALUES (1)")
    try:
        with around:
            make_call(label, world.scene)
    except sdk.StogramError as error:
        raised = type(error)
        assert stored_rows() == before, "a part of the call has stayed"
    sdk.db.execute_sql("INSERT INTO own VALUES (2)")
    assert sdk.db.execute_sql("SELECT sum(n) FROM own").fetchall() == [(3,)]
    return raised


@every_write
def test_the_callers_transaction_goes_on_after_a_statement_was_refused(
    label: str, world: World
) -> None:
    before, raised = stored_rows(), []
    for table in TABLES:
        with undone():
            refuse_writes(table)
            raised.append(goes_on(label, world, before, nullcontext()))
    # It does not write every table, but at least one.
    assert set(raised) == {None, sdk.DatabaseError}


@pytest.fixture
def locked_tables(migrated_postgres: str) -> Iterator[None]:
    """Somebody else holds all tables, so that nobody writes."""
    connection = psycopg2.connect(migrated_postgres)
    try:
        names = ", ".join(f'"{table}"' for table in TABLES)
        connection.cursor().execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
        yield
    finally:
        connection.close()


@contextmanager
def limited(limit: str, milliseconds: int) -> Iterator[None]:
    """The limit of time inside; what the test does besides may take as long as it needs."""
    sdk.db.execute_sql(f"SET LOCAL {limit} = {milliseconds}")
    try:
        yield
    finally:
        sdk.db.execute_sql(f"SET LOCAL {limit} = 0")


# On SQLite a transaction that has begun is the only one that writes, and waits for nobody.
@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
@every_write
def test_the_callers_transaction_goes_on_after_it_waited_too_long(
    label: str, world: World, locked_tables: None
) -> None:
    before = stored_rows()
    for limit in ("lock_timeout", "statement_timeout"):
        with undone():
            assert goes_on(label, world, before, limited(limit, 20)) is sdk.Unavailable


class Built(Exception):
    pass


@every_call
def test_a_second_call_builds_no_query(
    label: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_calls() -> None:
        for scene in (world.scene, world.strangers["not a member"]):
            with undone():
                outcome(label, scene)

    def build(*args: Any, **options: Any) -> None:
        raise Built

    make_calls()
    monkeypatch.setattr(peewee.Context, "__init__", build)
    for kind in (peewee.Select, peewee.ModelAlias):
        monkeypatch.setattr(kind, "__init__", build)
    make_calls()


# From `around` on, a page is reached in both directions: see test_history.
paged = [
    label
    for label in CALLS
    if "cursor" in inspect.signature(function_of(label)).parameters and "around" not in label
]


@pytest.mark.parametrize("label", paged)
def test_pages_of_any_size_make_up_the_whole_list(label: str, large_world: World) -> None:
    positional, keywords = CALLS[label].arguments(large_world.scene)

    def page(size: int, cursor: str | None = None) -> sdk.Page[Any]:
        found = function_of(label)(*positional, **keywords, limit=size, cursor=cursor)
        assert isinstance(found, sdk.Page)
        return found

    whole = page(100)
    assert whole.next_cursor is None
    for size in range(1, len(whole) + 1):
        pages = [page(size)]
        while pages[-1].next_cursor is not None:
            pages.append(page(size, pages[-1].next_cursor))
        assert [len(rows) for rows in pages[:-1]] == [size] * (len(pages) - 1)
        assert [id_of(row) for rows in pages for row in rows] == [id_of(row) for row in whole]
        assert 1 <= len(pages[-1]) <= size


def id_of(row: Any) -> Any:
    match row:
        case sdk.ChatSummary():
            return row.chat.id
        case sdk.Member():
            return row.profile.id
        case str() | tuple():
            return row
    return row.id


# --- Strangers ---


def test_the_table_of_strangers_is_what_is_observed(world: World) -> None:
    assert document(observe(world)) == DOCUMENT.read_text("utf-8")


#: What may come of a call that names something of somebody else's.
NOTHING = {"NotFound", "InvalidInput", "False", "0", "nothing"}


@every_call
def test_outsiders_see_and_change_nothing_of_a_chat_or_folder(label: str, world: World) -> None:
    named = {*CALLS[label].positional.split(), *CALLS[label].keywords.values()}
    if "actor" not in named or not named & {"chat", "other_chat", "folder", "folders"}:
        return
    outsiders = ("not a member", "former member", "unknown user")
    for kind in (*outsiders, "author who has left", "author who was removed"):
        with undone():
            before = stored_rows()
            assert outcome(label, world.strangers[kind]) in NOTHING
            assert stored_rows() == before


@every_call
def test_an_error_is_named_in_the_docstring_and_takes_few_statements_more(
    label: str, world: World
) -> None:
    for scene in world.strangers.values():
        with undone():
            with sent_statements() as sent:
                error = outcome(label, scene)
            if hasattr(sdk, error):
                assert f"`{error}`" in function_of(label).__doc__
                allowed = CALLS[label].sends + CALLS[label].second_looks
                assert len(sent) <= allowed, "\n".join(sent)
            assert sdk.find_user("nobody") is None, "the transaction can be used"


def test_errors_and_logs_hold_no_values(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What they show is what the caller has given; never a text, a name or an e-mail."""
    caplog.set_level(logging.DEBUG, "stogram_sdk")
    values = {"привет", "тег", "the chat", "hash", "example.com", "user_"}
    for scene in (world.scene, *world.strangers.values()):
        for label in CALLS:
            with undone():
                try:
                    make_call(label, scene)
                except sdk.StogramError as error:
                    assert not [value for value in values if value in str(error)]
    assert not [value for value in values if value in caplog.text]


# --- Bad input ---

NOT_TEXTS: list[Any] = [5, 1.5, True, b"bytes", object(), ["a"], {"a": 1}, datetime]
NOT_STORABLE = ["a\x00b", "\ud800", "a\udfff"]
BAD_IDS = ["", "x" * 129, "x" * 1_000_000, *NOT_STORABLE, *NOT_TEXTS]
BAD: dict[str, list[Any]] = {
    "id": BAD_IDS,
    "ids": ["", "abc", b"abc", 5, object(), *([bad] for bad in [None, *BAD_IDS])],
    "limit": [
        0,
        -1,
        101,
        1_001,
        2**40,
        10**5000,
        True,
        1.5,
        float("nan"),
        "5",
        b"5",
        [5],
        object(),
    ],
    "flag": [0, 1, 10**5000, "True", "", b"", [], object()],
    "enum": ["", "text", "NONSENSE", 5, 10**5000, b"TEXT", [], {}, object(), StrEnum],
    "time": [
        datetime(2024, 1, 1),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        date(2024, 1, 1),
        "2024-01-01T00:00:00Z",
        5,
        object(),
    ],
    "cursor": [
        "",
        "x",
        "!",
        "é",
        "\ud800",
        "a\x00b",
        "x" * 5000,
        *NOT_TEXTS,
        *(
            write_cursor(name, place)
            for name in ("other", "text", "messages", "chats")
            for place in [(), ("a", "b"), (1, 2), ("9999-12-31 00:00:00.000",), (None, None)]
        ),
    ],
    "text": ["x" * 100_000, *NOT_STORABLE, *NOT_TEXTS],
    "messages": [
        *("", "abc", b"abc", 5, object(), ["ab"], [5], [None]),
        *([pair] for pair in [(), ("a",), ("a", "b", "c"), *((bad, "b") for bad in BAD_IDS)]),
    ],
    "file_size": [-1, 2**31, 2**40, 10**5000, True, 1.5, "5"],
}
#: What is bad for one parameter only.
BAD_FOR: dict[str, list[Any]] = {
    "color": ["", "red", "#12345", "#12345g", "#1234567", "＃123456", "#١٢٣٤٥٦"],
    "content": [""],
    "create_chat.name": [""],
    "create_chat.description": [""],
    "create_chat.member_ids": [[str(number) for number in range(10_001)]],
    **{f"update_chat.{field}": [""] for field in ("name", "description", "avatar")},
    "create_folder.name": ["", " ", "a\nb", "a\r", "a\u2028b", "x" * 65],
    "update_folder.name": ["", " ", "a\nb", "a\r", "a\u2028b", "x" * 65],
    "create_user.email": ["", "no at", "@", "a@", "a@b c", "a@b@c", "\n@b"],
    **{key: ["", "#", "##a", "a b", "123", "!"] for key in ("hashtag", "tag")},
    "icon": ["", "x" * 65],
    "emoji": ["", "x" * 33],
    "theme": ["", "DARK", "blue"],
    "search_users.text": ["", " ", "!!", "x" * 1_025],
    **{key: [""] for key in ("file_name", "thumbnail_url", "waveform")},
    "find_by_mention.username": ["", "@", "x" * 1_025],
    "create_user.username": ["", "ab", "a b", "имя", "@ivan", "abc\n", "x" * 31],
    "role": ["OWNER"],
    "import_messages.messages": [
        [("chat", "message")],
        [sdk.ImportedMessage("m", "sender", LONG_AGO, "text")] * 1_001,
        [sdk.ImportedMessage("m", "sender", LONG_AGO, "")],
    ],
    "forward_messages.message_ids": [[], [str(number) for number in range(101)]],
    "users_to_notify_each.messages": [[("chat", str(number)) for number in range(101)]],
}


def bad_values(name: str, parameter: inspect.Parameter) -> list[Any]:
    values = [*BAD[kind_of(parameter.name)]]
    if name.startswith("extract_"):  # any text is one that tags are looked for in
        values = [*NOT_TEXTS]
    if parameter.name in ("hashtag", "tag"):  # the key of a long one is cut off, as in a message
        values = [*NOT_STORABLE, *NOT_TEXTS]
    if name.startswith("users_to_notify"):  # whose pages are larger
        values = [value for value in values if value != 101]
    values += BAD_FOR.get(parameter.name, []) + BAD_FOR.get(f"{name}.{parameter.name}", [])
    if "None" not in str(parameter.annotation):
        values.append(None)
    return values


@every_function
def test_bad_input_is_refused_by_its_name_and_harms_no_transaction(name: str, world: World) -> None:
    right = arguments_of(name, world.scene)
    with undone():
        for parameter in inspect.signature(function_of(name)).parameters.values():
            for bad in bad_values(name, parameter):
                with pytest.raises(sdk.InvalidInput) as error:
                    function_of(name)(**right | {parameter.name: bad})
                assert error.value.field == parameter.name, (bad, str(error.value))
                assert parameter.name in str(error.value)
        assert sdk.get_user(world.scene.actor)
        function_of(name)(**right)


#: How many characters a text may have, as docs/rows.md says it.
LIMITS = {
    **dict.fromkeys(("content", "subscription"), 65_536),
    "waveform": 8_192,
    **dict.fromkeys(("file_url", "thumbnail_url"), 4_096),
    "create_user.email": 254,
    **{f"{verb}_folder.{text}": 64 for verb in ("create", "update") for text in ("name", "icon")},
    "token": 512,
    "emoji": 32,
    "create_user.username": 30,
    "color": 7,
}
#: A text of any length does no harm there: nothing is stored, or only a key that is cut off.
ANY_LENGTH = ("extract_hashtags", "extract_mentions", "tag_key", "find_by_hashtag")


def require_limit(call: Callable[[], Any], *, of: str, function: str) -> None:
    with pytest.raises(sdk.InvalidInput) as error:
        call()
    limit = LIMITS.get(f"{function}.{of}", LIMITS.get(of, 1_024))
    assert f"{of} must have 1 to {limit} characters, not 100000" in str(error.value)


@every_function
def test_every_text_has_a_limit_of_which_the_error_tells(name: str, world: World) -> None:
    right = arguments_of(name, world.scene)
    for parameter in inspect.signature(function_of(name)).parameters:
        if kind_of(parameter) == "text" and name not in ANY_LENGTH:
            long = right | {parameter: "x" * 100_000}
            require_limit(partial(function_of(name), **long), of=parameter, function=name)


def test_every_text_to_import_has_the_same_limit(world: World) -> None:
    actor, chat = world.scene.actor, world.scene.chat
    right = sdk.ImportedMessage("new", actor, LONG_AGO, "text")
    for name, kind in get_type_hints(sdk.ImportedMessage).items():
        if str in (kind, *get_args(kind)) and not name.endswith("id"):
            change: dict[str, Any] = {name: "x" * 100_000}
            long = right._replace(**change)
            call = partial(sdk.import_messages, actor, chat, [long])
            require_limit(call, of=name, function="import_messages")


def test_the_limits_are_those_of_the_documents() -> None:
    text = (ROOT / "docs" / "rows.md").read_text("utf-8")
    for name, limit in LIMITS.items():
        *_, parameter = name.split(".")
        if parameter != "color":
            assert re.search(rf"^\|.*`{parameter}`.*\| (3 to )?{limit:,} \|$", text, re.M), name


#: What the id of the one who acts may be called.
ACTORS = {"user_id", "owner_id", "sender_id", "viewer_id"}


def test_what_acts_for_no_user_is_named_as_the_services_own() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    _, table = text.split("Functions without an acting user", 1)
    named = set(re.findall(r"`(\w+)`", table.split("## The studio")[0].replace("|", " |")))
    for name in {label.partition("(")[0] for label in CALLS}:
        first = next(iter(inspect.signature(function_of(name)).parameters))
        assert first in ACTORS or name in named, name


# --- The shape of the functions ---

#: What is not an id and is given by position all the same: what the function is about.
ABOUT = {
    *("emoji", "status", "theme", "token"),
    *("content", "email", "hashtag", "is_favorite", "messages", "name", "role", "scheduled_for"),
    *("tag", "text", "type", "username"),
}


@every_function
def test_ids_are_positional_the_rest_is_not_and_all_is_annotated(name: str) -> None:
    signature = inspect.signature(function_of(name))
    assert signature.return_annotation is not signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not parameter.empty
        is_id = kind_of(parameter.name) in ("id", "ids")
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert not is_id or parameter.default is not parameter.empty
        else:
            assert is_id or parameter.name in ABOUT


@every_function
def test_a_docstring_says_that_bad_input_is_refused(name: str) -> None:
    assert "`InvalidInput`" in function_of(name).__doc__


def test_what_is_exported_is_sorted_and_all_there_is() -> None:
    exported = sdk.__all__
    assert exported == sorted(exported, key=lambda name: (not name.isupper(), name))
    there = {name: value for name, value in vars(sdk).items() if not name.startswith("_")}
    modules = {name for name, value in there.items() if inspect.ismodule(value)}
    assert set(exported) == there.keys() - modules, "a module has the name of an export"

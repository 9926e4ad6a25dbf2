"""What the statements for a distributed database keep to, so that it can carry them out.

It is read off their text, since the tests have no such database: see `stogram_sdk/shards.py` for
what the rules are for, and docs/citus.md for a server that has one.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database
from stogram_sdk.engine.prepared import Placeholder
from stogram_sdk.schema.chat_keys import OF_A_CHAT, OF_ALL_CHATS
from stogram_sdk.statements import Statement
from tests.citus.calls import EVERYWHERE

_TABLE = rf'"({"|".join(OF_A_CHAT)})"'
_EVERYWHERE = rf'"({"|".join(OF_ALL_CHATS)})"'
_A_CHAT = r":(?:from_)?chat_id\b"


#: What a distributed database is not sent: there it is a statement for each chat, or SQLite's.
_ON_ONE_SERVER = {
    "messages.move_chats_up": {"in_chat": False},
    "notifications._users_to_notify_each": {},
    "scheduled._delete_refused": {"in_chat": False},
    "scheduled._send": {"in_chat": False},
    "scheduled._take_due": {"in_chat": False},
}
#: Variants by names that a signature does not have.
_FURTHER = {
    "accounts._update_user": [{"bio": True}],
    "chat_list._list_chats": [
        {"unread_only": True, "in_folder": True, "is_favorite": True, "is_secret": True},
        {"in_folder": False},
    ],
}
_ARGUMENTS = {
    "bool": (False, True),
    "bool | None": (None, False, True),
    "int": (2,),
    "str": ("OWNER", "MEMBER"),
}


def declared() -> Iterator[tuple[str, Statement]]:
    """All statements of the package, by module and name."""
    for module in pkgutil.iter_modules(sdk.__path__, "stogram_sdk."):
        if module.name not in ("stogram_sdk.__main__", "stogram_sdk.testing"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, Statement) and value._build.__module__ == module.name:
                    yield f"{module.name.removeprefix('stogram_sdk.')}.{name}", value


STATEMENTS = dict(declared())


def variants_of(name: str, statement: Statement) -> Iterator[dict[str, Any]]:
    """The arguments of each form in which a distributed database may be sent it."""
    parameters = inspect.signature(statement._build).parameters
    named = {
        key: _ARGUMENTS[each.annotation]
        for key, each in parameters.items()
        if each.kind is not each.VAR_KEYWORD
    }
    for values in product(*named.values()):
        variant = dict(zip(named, values, strict=True))
        if variant != _ON_ONE_SERVER.get(name):
            yield variant
    yield from _FURTHER.get(name, [])


def texts_of(statement: Statement) -> list[str]:
    """What is sent: the values by their names, and of statements sent together each by itself."""
    plain = statement._compiled(current_database()).plain
    names = iter(f":{slot}" if type(slot) is Placeholder else repr(slot) for slot in plain.slots)
    return re.sub("%s", lambda _: next(names), plain.sql).split("; ")


def faults_of(text: str) -> Iterator[str]:
    """What a distributed database would not carry out, or only by asking every server."""
    read = [
        (match["table"], match["alias"] or match["table"])
        for match in re.finditer(
            rf'(?<!INTO )"(?P<table>{"|".join(OF_A_CHAT)})"(?! ?\.)(?: AS "(?P<alias>\w+)")?', text
        )
    ]
    is_of_a_chat = re.search(_A_CHAT, text) is not None
    unbound = []
    for table, alias in read:
        chat = f'"{alias}"."{OF_A_CHAT[table]}"'
        if not re.search(rf"{chat} = {_A_CHAT}", text):
            if is_of_a_chat:
                yield f"{chat} is not the chat as a value"
            elif not re.search(rf"{chat} (= {_COLUMN}|IN \(SELECT)|{_COLUMN} = {chat}", text):
                unbound.append(chat)
    if len(unbound) > 1 + text.count(" AS MATERIALIZED"):
        yield f"more than one of {', '.join(unbound)} in a query that are of no other's chat"
    if "FOR NO KEY UPDATE" in text and read and not is_of_a_chat:
        yield "rows of several servers are locked by a query"
    for target in re.findall(rf"INSERT INTO {_TABLE} [^;]*?ON CONFLICT \(([^)]*)\)", text):
        if '"chatId"' not in target[1]:
            yield f"ON CONFLICT ({target[1]}) is no key with the chat"
    if re.search(r"DO UPDATE SET (?:(?! RETURNING ).)*SELECT", text):
        yield "a subquery in DO UPDATE"
    if re.search(r"INSERT INTO (?:(?! UPDATE ).)* RETURNING [^()]*\(", text):
        yield "an expression in RETURNING of what is inserted"
    for _, inserted in re.findall(rf"INSERT INTO {_TABLE} \([^)]*\) (.*?)(?: ON CONFLICT|$)", text):
        reads_both = re.search(rf"{_TABLE} AS", inserted) and re.search(_EVERYWHERE, inserted)
        if reads_both and 'FROM "read"' not in inserted:
            yield "what every server has is read while rows are inserted"


def times_asked(text: str) -> int:
    """How often every server is asked: for each table that is made first, and for the rest."""
    made = [_in_parentheses(text[match.end() :]) for match in re.finditer(" MATERIALIZED ", text)]
    rest = text
    for table in made:
        rest = rest.replace(table, "")
    return sum(re.search(rf"{_TABLE} AS", part) is not None for part in (*made, rest))


def _in_parentheses(text: str) -> str:
    """What the text begins with, up to the parenthesis that closes the first one."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return text[: place + 1]
    raise AssertionError(text)


#: A column of a table, not of what a statement has made.
_COLUMN = r'"(?:t\d+|[A-Z]\w+)"\."\w+"'


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_finds_its_rows_by_the_chat(name: str, on_distributed_postgres: None) -> None:
    statement = STATEMENTS[name]
    with sdk.session():
        faults = {
            f"{fault}\n{text}"
            for variant in variants_of(name, statement)
            for text in texts_of(statement.variant(**variant))
            for fault in faults_of(text)
        }
    assert not faults, "\n\n".join(sorted(faults))


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_server_is_asked_more_often_than_is_said(
    name: str, on_distributed_postgres: None
) -> None:
    """Twice at most; once more for the search index, which has messages of everybody."""
    statement = STATEMENTS[name]
    _, times = EVERYWHERE.get(name.partition("._")[2], (None, 2))
    with sdk.session():
        for variant in variants_of(name, statement):
            most = times + bool(variant.get("by_index"))
            for text in texts_of(statement.variant(**variant)):
                assert re.search(_A_CHAT, text) or times_asked(text) <= most, text


def test_a_third_time_is_found() -> None:
    asked = '(SELECT 1 FROM "Message" AS "t1" WHERE (true))'
    text = f'WITH "a" AS MATERIALIZED {asked}, "b" AS MATERIALIZED (SELECT 1 FROM "a") {asked[1:]}'
    assert times_asked(text) == 2
    assert times_asked(text.replace('(SELECT 1 FROM "a")', asked)) == 3


@pytest.mark.parametrize(
    "text",
    [
        'SELECT 1 FROM "Message" AS "t1" WHERE "t1"."id" = :message_id AND 1 = :chat_id',
        'SELECT 1 FROM "Chat" AS "t1", "Message" AS "t2" WHERE "t1"."name" = "t2"."content"',
        'SELECT 1 FROM "Chat" AS "t1" FOR NO KEY UPDATE',
        'INSERT INTO "Call" ("id") SELECT 1 ON CONFLICT ("id") DO NOTHING',
        'INSERT INTO "Call" ("id") SELECT 1 ON CONFLICT ("chatId", "id") DO UPDATE SET "id" = '
        "(SELECT 1)",
        'INSERT INTO "Call" ("id") SELECT 1 RETURNING "Call"."id", (SELECT 1)',
        'INSERT INTO "Call" ("id") SELECT "t1"."id" FROM "Call" AS "t1", "User" AS "t2"',
    ],
)
def test_a_mistake_is_found(text: str) -> None:
    assert len(list(faults_of(text))) == 1

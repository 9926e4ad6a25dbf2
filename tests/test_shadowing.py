"""Whoever may create in a schema gains nothing by it: no name that the owner calls is theirs.

For every function and operator that the owner's commands, blocks and functions name, others of that
name are made in the schema of the tables and in public, which fit the arguments better. Each of
them raises a flag in the server's log when it is called. Then all run again, and the triggers.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice, product
from pathlib import Path

import pytest

from stogram_sdk.command.backfill import backfill
from stogram_sdk.command.check import check
from stogram_sdk.command.migrate import migrate, rollback, status
from stogram_sdk.command.search_index import drop_search_index, make_search_index
from stogram_sdk.schema.message_tags import FillMessageTags, KeepMessageTags
from stogram_sdk.schema.migration import shipped_migrations
from stogram_sdk.schema.postgres import PostgresSchema
from tests.support.postgres import PostgresServer, server_binaries, started_server
from tests.support.states import Databases, migrate_here, pw_migrate

pytestmark = pytest.mark.slow

#: The oldest server at hand; the newest is that of the other tests.
OLDEST = Path("/usr/lib/postgresql/15/bin")

#: The types of arguments that fit better than a type of the catalog.
NEARER = {
    "anyarray": ["text[]", "int2[]"],
    "anycompatiblearray": ["text[]"],
    "anyelement": ["text"],
    "anycompatible": ["text", "int4"],
    "anynonarray": ["text", "int4"],
    "anyenum": [],
    "any": ["text"],
    "int8": ["int8", "int4"],
    "int2vector": ["int2vector", "int2[]"],
    "name": ["name", "text"],
    "text": ["text", "varchar", "name"],
    "oid": ["oid", "regclass", "regtype", "regnamespace"],
    "numeric": ["numeric", "float8"],
    "float8": ["float8", "numeric", "int4"],
    "record": [],
}
_CALLED = re.compile(r"\b([a-z_][a-z_0-9]*)\"?\s*\(")
_OPERATOR = re.compile(r"[+\-*/<>=~!@#%^&|`?]+")


@pytest.fixture(scope="module", params=["newest", *(["oldest"] if OLDEST.is_dir() else [])])
def logged(request: pytest.FixtureRequest) -> Iterator[tuple[PostgresServer, Path]]:
    """A server, and the file in which it writes every statement."""
    directory = Path(tempfile.mkdtemp(prefix="stogram-shadowed-"))
    try:
        binaries = OLDEST if request.param == "oldest" else server_binaries(directory)
        with started_server(directory, binaries, "log_statement=all") as url:
            yield PostgresServer(url, binaries), directory / "log"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def owned(server: PostgresServer) -> Iterator[str]:
    """A database of the server, whose tables are in the schema app and found by the path."""
    with server.database() as name:
        server.execute("CREATE SCHEMA app", name)
        server.execute(f'ALTER DATABASE "{name}" SET search_path = app, public')
        Databases(server).filled(name)
        migrate_here(server.url_of(name))
        yield name


def work(server: PostgresServer, name: str) -> None:
    """The blocks that the owner runs, and all that sets off a trigger."""
    schema = PostgresSchema("app")
    server.execute('DELETE FROM "MessageTag"', name)
    for step in (KeepMessageTags(), FillMessageTags()):
        for sql in step.at_once(schema):
            server.execute(sql, name)
    server.execute(_WRITES, name)
    database = Databases(server)
    block = [*KeepMessageTags().in_transaction(schema), *FillMessageTags().in_transaction(schema)]
    database.strictly(name, "BEGIN;" + ";\n".join(block) + "; COMMIT")


def unheard(name: str) -> None:
    """What a command would be told of each migration."""


def command(server: PostgresServer, name: str) -> None:
    """Every command that the owner runs, and what a program calls."""
    url = server.url_of(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STOGRAM_DATABASE_URL", url)
        patch.setenv("STOGRAM_ALLOW_DATA_LOSS", "1")
        assert check().wrong == []
        assert rollback(unheard, count=2) == list(shipped_migrations())[:0:-1]
        assert status().pending == migrate(unheard)[0] != []
        assert migrate_here(url) == []
        server.execute("""UPDATE "Message" SET content = '#b', hashtags = '{}'""", name)
        assert backfill(dry_run=True).changed == backfill().changed > 0
        assert backfill(since=timedelta(days=1)).changed == 0
        assert make_search_index()
        assert check().wrong == []
        assert drop_search_index()


_WRITES = """
INSERT INTO "Message"
    (id, "senderId", "chatId", content, hashtags, mentions, "updatedAt", "isSent")
    SELECT 'new', "senderId", "chatId", '#a @ivan', '{a}', '{ivan}', 'epoch', true
    FROM "Message" LIMIT 1;
UPDATE "Message" SET hashtags = '{b}', content = '#b' WHERE id = 'new';
DELETE FROM "Message" WHERE id = 'new';
BEGIN; TRUNCATE "Message" CASCADE; ROLLBACK;
"""


def called(server: PostgresServer, name: str, log: str) -> tuple[list[str], list[str]]:
    """The functions and the operators of the catalog that the statements and functions name."""
    bodies = server.execute(
        "SELECT prosrc FROM pg_proc WHERE pronamespace = 'app'::regnamespace", name
    )
    text = "\n".join([log, *(body for (body,) in bodies)])
    functions = server.execute("SELECT DISTINCT proname::text FROM pg_proc", name)
    operators = server.execute("SELECT DISTINCT oprname::text FROM pg_operator", name)
    words, signs = set(_CALLED.findall(text.lower())), set(_OPERATOR.findall(text))
    return (
        sorted({each for (each,) in functions} & words),
        sorted({each for (each,) in operators} & signs),
    )


def shadow(server: PostgresServer, name: str, functions: list[str], operators: list[str]) -> int:
    """Make others of these names, with nearer arguments; returns how many there are."""
    enums = [row[0] for row in server.execute(_ENUMS, name)]
    nearer = NEARER | {"anyenum": enums}
    commands: list[str] = []
    for schema in ("app", "public"):
        for function, kinds, result, is_set in server.execute(_FUNCTIONS, name, (functions,)):
            for given in variants(kinds, nearer):
                commands.append(made(f'{schema}."{function}"', given, result, is_set, function))
        for number, (sign, left, right, result) in enumerate(
            server.execute(_OPERATORS, name, (operators,))
        ):
            for place, given in enumerate(variants([left, right], nearer)):
                made_function = f'{schema}."shadow_{number}_{place}"'
                commands.append(made(made_function, given, result, False, sign))
                commands.append(
                    f"CREATE OPERATOR {schema}.{sign} (LEFTARG = {given[0]}, "
                    f"RIGHTARG = {given[1]}, FUNCTION = {made_function})"
                )
    server.execute(_TRY_EACH, name, (commands,))
    ((count,),) = server.execute(
        "SELECT count(*) FROM pg_proc WHERE prosrc LIKE '%shadowed%'", name
    )
    return int(count)


def variants(kinds: list[str], nearer: dict[str, list[str]]) -> list[tuple[str, ...]]:
    """The lists of types for arguments of these kinds, at most so many."""
    return list(islice(product(*(nearer.get(kind, [kind]) for kind in kinds)), 64))


def made(function: str, given: tuple[str, ...], result: str, is_set: bool, what: str) -> str:
    """One that raises its flag in the log, and then does what the right one does."""
    places = [f"${number}" for number in range(1, len(given) + 1)]
    right = f'pg_catalog."{what}"({", ".join(places)})'
    if _OPERATOR.fullmatch(what):
        right = f"{places[0]} OPERATOR(pg_catalog.{what}) {places[1]}"
    element = next((each for each in given if each.endswith("[]")), given[0] if given else "text")
    element = element.removesuffix("[]")
    poly = f"{element}[]" if result.endswith("array") else element
    returned = poly if result.startswith("any") else result
    answer = f"RETURN QUERY SELECT {right}" if is_set else f"RETURN {right}"
    return (
        f"CREATE FUNCTION {function}({', '.join(given)}) "
        f"RETURNS {'SETOF ' if is_set else ''}{returned} LANGUAGE plpgsql IMMUTABLE "
        f"AS $body$BEGIN RAISE WARNING 'shadowed {what}'; {answer}; END$body$"
    )


_ENUMS = """
SELECT 'app.' || quote_ident(typname) FROM pg_type
WHERE typnamespace = 'app'::regnamespace AND typtype = 'e'
"""
_FUNCTIONS = """
SELECT proname::text, ARRAY(SELECT typname::text FROM unnest(proargtypes) WITH ORDINALITY AS given
    JOIN pg_type AS t ON t.oid = given.given ORDER BY given.ordinality),
    format_type(prorettype, NULL), proretset
FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY(%s)
    AND pronargs <= 4
"""
_OPERATORS = """
SELECT oprname::text, l.typname::text, r.typname::text, format_type(oprresult, NULL)
FROM pg_operator JOIN pg_type AS l ON l.oid = oprleft JOIN pg_type AS r ON r.oid = oprright
WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprname = ANY(%s)
"""
_TRY_EACH = """
CREATE PROCEDURE pg_temp.try_each(commands text[]) LANGUAGE plpgsql AS $try$
DECLARE command text;
BEGIN
    FOREACH command IN ARRAY commands LOOP
        BEGIN
            EXECUTE command;
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- there is no such type, or it is there in another variant
        END;
    END LOOP;
END $try$;
CALL pg_temp.try_each(%s)
"""


def test_nothing_that_others_have_made_runs_with_the_rights_of_the_owner(
    logged: tuple[PostgresServer, Path],
) -> None:
    server, log = logged
    with owned(server) as name:
        begun = len(log.read_text())
        work(server, name)
        command(server, name)
        functions, operators = called(server, name, log.read_text()[begun:])
    assert {"unnest", "quote_ident", "to_regclass"} <= set(functions)
    assert {"=", "<>", "||"} <= set(operators)
    with owned(server) as name:
        assert shadow(server, name, functions, operators) > 500
        begun = len(log.read_text())
        work(server, name)
        command(server, name)
        for stock in ("rollback", "migrate"):
            assert pw_migrate(server.url_of(name), stock).returncode == 0
        flags = re.findall("WARNING:.*shadowed.*", log.read_text()[begun:])
    assert flags == []

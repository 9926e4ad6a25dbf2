"""`stogram distribute` on one server: everything but the shards. tests/citus has those."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from stogram_sdk.__main__ import main
from stogram_sdk.command import distribute as command
from stogram_sdk.command import progress
from stogram_sdk.command.check import check
from stogram_sdk.command.distribute import distribute, distribution_script
from stogram_sdk.errors import MigrationError
from stogram_sdk.schema.chat_keys import OF_A_CHAT, OF_ALL_CHATS
from tests.support.distributed import Writers, connected, fill, rows_of, tags_of
from tests.support.postgres import PostgresServer
from tests.support.states import Databases, migrate_here

#: Whole databases, made and changed.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def templates(postgres_server: PostgresServer) -> Iterator[dict[str, str]]:
    """Databases to be copied: migrated, with some of everything, and with the keys of chats."""
    with ExitStack() as stack:
        names = {
            state: stack.enter_context(postgres_server.database())
            for state in ("migrated", "loaded", "with chat keys")
        }
        for name in names.values():
            migrate_here(postgres_server.url_of(name))
        fill(postgres_server.url_of(names["loaded"]), 5000)
        distribute(postgres_server.url_of(names["with chat keys"]), shards=False)
        yield names


def _copy_of(state: str) -> Any:
    @pytest.fixture
    def copied(postgres_server: PostgresServer, templates: dict[str, str]) -> Iterator[str]:
        with postgres_server.database(templates[state]) as name:
            yield postgres_server.url_of(name)

    return copied


migrated = _copy_of("migrated")
loaded = _copy_of("loaded")
with_chat_keys = _copy_of("with chat keys")


def stogram(url: str, *arguments: str) -> tuple[int, str, str]:
    """The command, in this process: its exit status, what it prints, and its error."""
    said = CliRunner().invoke(main, arguments, env={"STOGRAM_DATABASE_URL": url})
    return said.exit_code, said.stdout, said.stderr


def name_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def execute(url: str, sql: str) -> None:
    with connected(url) as cursor:
        cursor.execute(sql)


# --- What is refused, in one line ---


def test_sqlite_is_refused(sqlite_url: str) -> None:
    migrate_here(sqlite_url)
    said = (
        "Error: this is SQLite, which is one file: chats are distributed over servers of "
        "PostgreSQL, with Citus\n"
    )
    for arguments in ((), ("--dry-run",), ("--prepare",)):
        assert stogram(sqlite_url, "distribute", *arguments) == (1, "", said)


def test_a_database_that_is_not_migrated_is_refused(postgres_url: str) -> None:
    said = (
        "Error: the database is not migrated: run `stogram migrate` first (001_server_tables, "
        "002_guide_features, 003_searches_and_lists)\n"
    )
    for arguments in ((), ("--dry-run",), ("--prepare",)):
        assert stogram(postgres_url, "distribute", *arguments) == (1, "", said)


def test_a_server_without_citus_is_refused(
    databases: Databases, migrated: str, target: str
) -> None:
    said = (
        "Error: this database does not have the extension citus: install it on every server, and "
        "CREATE EXTENSION citus in this database on each (docs/distribute.md)\n"
    )
    assert stogram(migrated, "distribute") == (1, "", said)
    assert databases.dump(name_of(migrated)) == target


OF_OTHERS = {
    'CREATE TABLE other (id TEXT REFERENCES "User")': "foreign key other_id_fkey: belongs to",
    'CREATE VIEW seen AS SELECT id FROM "Message"': "view public.seen: belongs to",
    """CREATE TRIGGER theirs AFTER INSERT ON "Chat" FOR EACH ROW
       EXECUTE FUNCTION suppress_redundant_updates_trigger()""": "trigger theirs: belongs to",
    'CREATE POLICY own ON "Message"': "policy own: belongs to",
    'CREATE PUBLICATION all_of_it FOR TABLE "Message"': "publication all_of_it: belongs to",
    "CREATE SCHEMA public_before": "schema public_before: is there, and was not made by this",
    'ALTER TABLE "Message" DROP CONSTRAINT "Message_chatId_fkey"': (
        "foreign key Message_chatId_fkey: is not as it should be"
    ),
}


@pytest.mark.parametrize("sql", OF_OTHERS, ids=lambda sql: " ".join(sql.split()[:3]))
def test_what_others_have_made_is_not_lost(migrated: str, sql: str) -> None:
    execute(migrated, sql)
    with pytest.raises(MigrationError, match=r"the migration has not begun") as refused:
        distribute(migrated, shards=False)
    assert OF_OTHERS[sql] in str(refused.value)


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ('ALTER TABLE "User" ADD COLUMN nick TEXT', 'column nick of public."User"'),
        (
            'CREATE TABLE badge (u TEXT REFERENCES "User")',
            "foreign key badge_u_fkey of public.*User",
        ),
        ('CREATE INDEX own_idx ON "Chat" (name)', 'index own_idx of public."Chat"'),
    ],
)
def test_what_others_make_meanwhile_is_not_lost(
    migrated: str, monkeypatch: pytest.MonkeyPatch, sql: str, what: str
) -> None:
    carry_out = command._carry_out

    def after_the_copies(database: Any, part: Any, table: str) -> None:
        if "SET SCHEMA" in part.statements[-1]:
            execute(migrated, sql)
        carry_out(database, part, table)

    monkeypatch.setattr(command, "_carry_out", after_the_copies)
    with pytest.raises(MigrationError, match=f"would be lost.*{what}.*begin anew"):
        distribute(migrated, shards=False)


def test_a_table_that_has_changed_since_it_was_copied(
    loaded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(_BrokenOffError):
        _broken_off_in_part(60, loaded, monkeypatch)
    execute(loaded, 'ALTER TABLE "Message" ADD COLUMN later TEXT')
    with pytest.raises(MigrationError, match=r"other columns than its copy.*begin anew"):
        distribute(loaded, shards=False)
    execute(loaded, 'DROP SCHEMA "public_distributed" CASCADE')
    before = rows_of(loaded)
    distribute(loaded, shards=False)
    assert rows_of(loaded) == before


# --- What it would do ---


def test_a_dry_run_prints_all_of_it_and_changes_nothing(
    databases: Databases, migrated: str, target: str
) -> None:
    code, script, error = stogram(migrated, "distribute", "--dry-run")
    assert (code, error) == (0, "")
    # As for the command: no name is found in a schema in which others may create.
    assert script.startswith("SET search_path = pg_catalog, pg_temp;\n")
    for table in OF_ALL_CHATS:
        assert f"""create_reference_table('"public_distributed"."{table}"')""" in script
    for table, chat in OF_A_CHAT.items():
        call = f"""create_distributed_table('"public_distributed"."{table}"', '{chat}'"""
        assert call in script
    assert 'CONSTRAINT "Message_pkey" PRIMARY KEY ("chatId", "id")' in script
    assert 'ALTER TABLE "public_distributed"."Message" SET SCHEMA "public"' in script
    assert databases.dump(name_of(migrated)) == target
    _, script, _ = stogram(migrated, "distribute", "--dry-run", "--prepare")
    assert 'ADD COLUMN IF NOT EXISTS "chatId" TEXT' in script
    assert "SCHEMA" not in script


def test_the_columns_for_the_server_come_first(migrated: str) -> None:
    step = "    columns Reaction.chatId and CallParticipant.chatId\n"
    assert stogram(migrated, "distribute", "--prepare") == (0, f"{step}1 step done\n", "")
    nothing = "nothing to do: it is done already\n"
    assert stogram(migrated, "distribute", "--prepare") == (0, nothing, "")
    assert check(migrated).is_right
    assert "ADD COLUMN" not in distribution_script(migrated, prepare=True)


# --- The conversion ---


def test_beside_those_who_write(loaded: str) -> None:
    """No row is lost, no statement fails, and nobody waits for long."""
    distribute(loaded, prepare=True)
    before, writers = rows_of(loaded), Writers(loaded)
    assert before["MessageTag"] == tags_of(before)
    with writers.at_work():
        distribute(loaded, shards=False)
    assert rows_of(loaded) == writers.expected(before)
    assert writers.failed == []
    assert max(writers.waits) < 2
    assert [each.name for each in check(loaded).wrong] == []
    assert distribute(loaded, shards=False) == []
    execute(loaded, "CREATE SCHEMA public_before")  # somebody else's
    assert distribute(loaded, shards=False) == []
    execute(loaded, "DROP SCHEMA public_before")  # it is there


class _BrokenOffError(Exception):
    pass


def _broken_off_in_part(number: int, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run it until that part of a step, which is not committed."""
    parts = 0

    def carry_out(database: Any, part: Any, table: str) -> None:
        nonlocal parts
        parts += 1
        if parts < number:
            carried_out(database, part, table)
        elif part.brief:
            with database.atomic():
                carried_out(database, part, table)
                raise _BrokenOffError
        else:
            raise _BrokenOffError

    carried_out = command._carry_out
    with monkeypatch.context() as patched:
        patched.setattr(command, "_carry_out", carry_out)
        distribute(url, shards=False)


def test_broken_off_after_every_few_parts(loaded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on where it was; what is written between two runs is not lost."""
    distribute(loaded, prepare=True)
    execute(loaded, 'ALTER TABLE "Chat" SET (autovacuum_enabled = false)')
    before, writers = rows_of(loaded), Writers(loaded)
    with writers.at_work(pause=0.02):
        for _ in range(100):
            try:
                _broken_off_in_part(9, loaded, monkeypatch)
            except _BrokenOffError:
                continue
            break
    assert rows_of(loaded) == writers.expected(before)
    assert writers.failed == []
    assert check(loaded).is_right
    assert distribute(loaded, shards=False) == []
    with connected(loaded) as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE 'autovacuum_enabled=false' = ANY (reloptions)"
        )
        assert cursor.fetchall() == [("Chat",)]


def test_a_bar_shows_how_far_the_rows_are(loaded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOGRAM_DATABASE_URL", loaded)
    with pytest.raises(_BrokenOffError):
        _broken_off_in_part(60, loaded, monkeypatch)
    reached = "UPDATE {} SET place = 'm3', is_complete = false WHERE name = 'Message'"
    execute(loaded, reached.format('public_distributed."Copied"'))
    with progress._looking() as look:
        found = look()
    assert found is not None
    phase, done, total = found
    assert (phase, total) == ("copying", 101)
    assert 40 < done < 60


def test_rows_whose_chat_changes_follow_it(loaded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a table that is emptied is so in both places."""
    with pytest.raises(_BrokenOffError):
        _broken_off_in_part(80, loaded, monkeypatch)
    execute(loaded, """UPDATE "Message" SET "chatId" = 'c1' WHERE id = 'm4000'""")
    execute(loaded, "UPDATE \"User\" SET id = 'v' || substr(id, 2) WHERE id < 'u12'")
    execute(loaded, 'TRUNCATE "Contact"')
    execute(loaded, """DELETE FROM "User" WHERE id = 'u13'""")
    before = rows_of(loaded)
    assert before["Contact"] == []
    distribute(loaded, shards=False)
    assert rows_of(loaded) == before


def test_rights_and_options_are_those_of_before(migrated: str) -> None:
    url, name = migrated, name_of(migrated)
    owner, reader = f"owner_{name}", f"reader_{name}"
    execute(url, f'CREATE ROLE "{owner}"; CREATE ROLE "{reader}"')
    try:
        execute(
            url,
            f'ALTER TABLE "Contact" OWNER TO "{owner}"; GRANT SELECT ON "Message" TO "{reader}";'
            f'GRANT UPDATE (theme, bio) ON "User" TO "{reader}" WITH GRANT OPTION;'
            'GRANT SELECT ON "Chat" TO PUBLIC; ALTER TABLE "Message" SET (fillfactor = 80);'
            'ALTER TABLE "Chat" SET (autovacuum_enabled = false)',
        )
        rights = """SELECT c.relname, a.attname, pg_get_userbyid(c.relowner), c.relacl, a.attacl,
                c.reloptions
            FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN ('Contact', 'Message',
                'User', 'Chat') AND a.attnum > 0 ORDER BY 1, 2"""
        with connected(url) as cursor:
            cursor.execute(rights)
            before = cursor.fetchall()
            distribute(url, shards=False)
            cursor.execute(rights)
            assert cursor.fetchall() == before
    finally:
        execute(url, f'DROP OWNED BY "{owner}", "{reader}"; DROP ROLE "{owner}", "{reader}"')


# --- What the others say of such a database ---


def test_migrate_has_nothing_to_do_and_rollback_refuses(
    with_chat_keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, done, error = stogram(with_chat_keys, "migrate")
    assert (code, error) == (0, "") and done.startswith("nothing to do: no migration is pending")
    _, done, _ = stogram(with_chat_keys, "status")
    assert "\n3 migrations done, 0 pending" in done
    for allowed in ("0", "1"):
        monkeypatch.setenv("STOGRAM_ALLOW_DATA_LOSS", allowed)
        code, _, error = stogram(with_chat_keys, "rollback")
        assert code == 1
        assert "the keys of this database begin with the chat (`stogram distribute`)" in error
    execute(with_chat_keys, 'DROP TRIGGER "Message_tags_insert" ON "Message"')
    _, said, _ = stogram(with_chat_keys, "migrate")
    assert "2 steps of earlier ones were done anew" in said
    assert check(with_chat_keys).is_right


def test_the_script_of_a_rollback_refuses(databases: Databases, with_chat_keys: str) -> None:
    _, script, _ = stogram(with_chat_keys, "sql", "003", "--rollback")
    refused = databases.psql(name_of(with_chat_keys), script, "-v", "ON_ERROR_STOP=1")
    assert "the keys begin with the chat" in refused.stderr


WRONG = {
    'DROP INDEX "Message_id_idx"': "index Message_id_idx",
    'DROP INDEX "Reaction_messageId_userId_emoji_key"': "index Reaction_messageId_userId_emoji_key",
    'ALTER TABLE "Call" DROP CONSTRAINT "Call_pkey" CASCADE': "primary key Call_pkey",
    'ALTER TABLE "ChatSettings" DROP CONSTRAINT "ChatSettings_userId_chatId_key"': (
        "unique constraint ChatSettings_userId_chatId_key"
    ),
    'ALTER TABLE "Reaction" DROP CONSTRAINT "Reaction_messageId_fkey"': (
        "foreign key Reaction_messageId_fkey"
    ),
}


@pytest.mark.parametrize("sql", WRONG, ids=lambda sql: WRONG[sql])
def test_a_wrong_key_is_named_and_what_is_said_puts_it_right(with_chat_keys: str, sql: str) -> None:
    execute(with_chat_keys, sql)
    wrong = check(with_chat_keys).wrong
    assert WRONG[sql] in [finding.name for finding in wrong]
    for finding in wrong:
        execute(with_chat_keys, finding.remedy)
    assert check(with_chat_keys).is_right

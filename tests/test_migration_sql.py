"""`stogram sql`: the same schema as `pw_migrate`, by hand with psql."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from functools import cache
from pathlib import Path

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.check import check
from tests.support.states import Databases, migrate_here, pw_migrate, stogram

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow


@cache
def script(*arguments: str, url: str = "postgresql://stogram@/stogram_db") -> str:
    done = stogram(url, "sql", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("state", ["empty", "before", "filled", "half", "prisma", "ours"])
def test_it_gives_the_same_schema_also_twice(
    databases: Databases, name: str, target: str, state: str
) -> None:
    databases.make(state, name)
    for _ in range(2):
        done = databases.psql(name, script(), "-v", "ON_ERROR_STOP=1")
        assert (done.returncode, done.stderr) == (0, ""), "nor a NOTICE"
        assert databases.dump(name) == target
    # Only the history does not know of it.
    wrong = check(databases.server.url_of(name)).wrong
    assert {finding.area for finding in wrong} <= {"migration"}


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("orphans", 'foreign key BlockedUser_userId_fkey: rows of "BlockedUser" whose'),
        ("later", "Message.mentions is not TEXT[]"),
    ],
)
def test_it_stops_before_anything_is_touched(
    databases: Databases, name: str, state: str, says: str
) -> None:
    databases.make(state, name)
    before = databases.dump(name)
    done = databases.psql(name, script(), "-v", "ON_ERROR_STOP=1")
    assert done.returncode != 0
    assert says in done.stderr
    assert databases.dump(name) == before


def test_broken_off_after_any_statement_it_can_be_run_again(
    databases: Databases, name: str, target: str
) -> None:
    databases.half(name)
    text = script()
    ends = [match.end() for match in re.finditer(r";\n\n", text)]
    for end in ends[:: len(ends) // 12]:
        databases.psql(name, text[:end])
    # An index of which the build was broken off.
    databases.strictly(
        name,
        """UPDATE pg_index SET indisvalid = false
        WHERE indexrelid = '"Folder_order_idx"'::regclass""",
    )
    databases.strictly(name, text)
    assert databases.dump(name) == target


def test_it_says_how_to_mark_it_as_done() -> None:
    assert "stogram migrate --fake --name 001_server_tables" in script("001")
    assert "stogram migrate --fake --name 002_guide_features" in script("002_guide_features")
    both = script()
    assert both.index("001_server_tables") < both.index("002_guide_features")


def test_no_such_migration() -> None:
    done = stogram("postgresql://stogram@/stogram_db", "sql", "007")
    assert done.returncode == 2
    assert "no migration '007'; there are 001_server_tables" in done.stderr


def test_rollback(databases: Databases, name: str) -> None:
    databases.filled(name)
    before = databases.dump(name)
    url = databases.server.url_of(name)
    migrate_here(url)
    for migration in ("003", "002"):
        databases.strictly(name, script(migration, "--rollback"))
    assert databases.dump(name) == before
    assert "Done: 1, Pending: 2" in pw_migrate(url, "list").stdout
    refused = databases.psql(name, script("001", "--rollback"), "-v", "ON_ERROR_STOP=1")
    assert "does not drop what the server made" in refused.stderr
    assert databases.dump(name) == before


def test_rollback_of_what_we_made(databases: Databases, name: str) -> None:
    migrate_here(databases.server.url_of(name))
    insert = """INSERT INTO "Chat" (id, type, "updatedAt") VALUES ('c', 'GROUP', '2024-01-01')"""
    databases.strictly(name, insert)
    for migration in ("003", "002"):
        databases.strictly(name, script(migration, "--rollback"))
    refused = databases.psql(name, script("001", "--rollback"), "-v", "ON_ERROR_STOP=1")
    assert "this would lose 1 rows of Chat" in refused.stderr
    databases.strictly(name, 'DELETE FROM "Chat"')
    databases.strictly(name, script("--rollback"))
    assert "CREATE" not in databases.dump(name)


def test_rollback_that_would_lose_data(databases: Databases, name: str) -> None:
    databases.filled(name)
    migrate_here(databases.server.url_of(name))
    databases.strictly(
        name,
        """UPDATE "Message" SET hashtags = '{tag}' WHERE id = (SELECT min(id) FROM "Message")""",
    )
    refused = databases.psql(name, script("002", "--rollback"), "-v", "ON_ERROR_STOP=1")
    assert "first take back 003_searches_and_lists, which came later" in refused.stderr
    assert '"Folder"' in databases.dump(name)
    databases.strictly(name, script("003", "--rollback"))  # can be made again, so loses nothing
    migrated = databases.dump(name)
    text = script("002", "--rollback")
    refused = databases.psql(name, text, "-v", "ON_ERROR_STOP=1")
    assert "this would lose Message.hashtags of 1 rows" in refused.stderr
    assert databases.dump(name) == migrated
    databases.strictly(name, "SET stogram.allow_data_loss = 1;\n" + text)
    assert "BlockedUser" not in databases.dump(name)


# --- squawk ---

SQL_FILES = sorted((Path(sdk.__file__).parent / "schema" / "sql").glob("*.sql"))

# Rules of squawk that are broken on purpose, each with the reason.
EXCEPTIONS = {
    # The server's own columns are of these types, and rows must be readable by both.
    "prefer-timestamp-tz",
    "prefer-bigint-over-int",
    # squawk takes VALIDATE CONSTRAINT and SET DEFAULT for statements that cannot be repeated; that
    # the whole script can be is tested above.
    "prefer-robust-stmts",
}
ROLLBACK_EXCEPTIONS = EXCEPTIONS | {
    # Taking columns, tables and types away is what a rollback is for.
    "ban-drop-column",
    "ban-drop-table",
    "ban-drop-type",
    "ban-drop-function",
    # Dropping an index is done in a moment; the wait for it is limited.
    "require-concurrent-index-deletion",
}


def squawk(sql: str, exceptions: set[str], tmp_path: Path) -> list[str]:
    """The rules that the SQL breaks, without the exceptions."""
    file = tmp_path / "migration.sql"
    file.write_text(sql)
    done = subprocess.run(
        [
            Path(sysconfig.get_path("scripts")) / "squawk",
            "--pg-version=13.0",
            "--reporter=json",
            f"--exclude={','.join(sorted(exceptions))}",
            str(file),
        ],
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    return [
        f"{found['rule_name']} in line {found['line'] + 1}" for found in json.loads(done.stdout)
    ]


@pytest.mark.parametrize("migration", ["001", "002", "003"])
def test_squawk_passes(migration: str, tmp_path: Path) -> None:
    assert squawk(script(migration), EXCEPTIONS, tmp_path) == []
    assert squawk(script(migration, "--rollback"), ROLLBACK_EXCEPTIONS, tmp_path) == []


@pytest.mark.parametrize("file", SQL_FILES, ids=lambda file: file.stem)
def test_squawk_passes_on_the_files(file: Path, tmp_path: Path) -> None:
    sql = file.read_text("utf-8").replace("@prefix", "")
    limits = "SET lock_timeout = '200ms'; SET statement_timeout = 0;"
    assert squawk(f"{limits}\n{sql}", EXCEPTIONS, tmp_path) == []
    functions = re.findall(r"^    (CREATE OR REPLACE .*?\$body\$;)", sql, flags=re.DOTALL | re.M)
    assert len(functions) == sql.count(" $body$;")
    assert squawk("\n".join([limits, *functions]), EXCEPTIONS, tmp_path) == []
    assert "%" not in sql  # the driver would take it for a parameter


def unguarded(sql: str) -> str:
    """The script with the statements inside `DO ... IF ...` blocks as if they stood alone."""
    return re.sub(
        r"DO \$\$ BEGIN IF .*? THEN\n    (.*?;)\nEND IF; END \$\$;", r"\1", sql, flags=re.DOTALL
    )


def test_squawk_passes_on_what_is_inside_the_blocks(tmp_path: Path) -> None:
    sql = unguarded(script("002"))
    assert sql.count("NOT VALID") == 9
    assert sql.count("DO $$") == 1  # what looks for obstacles
    # What is renamed is an index that nobody calls by its name.
    assert squawk(sql, EXCEPTIONS | {"renaming-object"}, tmp_path) == []


def test_squawk_would_notice(tmp_path: Path) -> None:
    sql = unguarded(script("002"))
    assert any(
        "require-concurrent-index-creation" in rule
        for rule in squawk(sql.replace(" CONCURRENTLY", ""), EXCEPTIONS, tmp_path)
    )
    assert any(
        "constraint-missing-not-valid" in rule
        for rule in squawk(sql.replace(" NOT VALID", ""), EXCEPTIONS, tmp_path)
    )

"""`stogram prisma`: its SQL makes what the migrations make, its lines name all that Prisma sees.

What Prisma itself says of them is in `tests/prisma`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.check import check
from stogram_sdk.command.prisma import amended_schema, migration_sql, schema_lines, write
from stogram_sdk.schema.expected import expected_catalog
from stogram_sdk.schema.postgres import PostgresSchema
from tests.support.states import Databases, migrate_here, stogram
from tests.test_migrations import lines

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

# As a server before the guide has it; the models that nothing is added to do not matter here.
SERVER = """datasource db {
  provider = "postgresql"
}

model User {
  id       String       @id
  members  ChatMember[]
}

model Chat {
  id      String       @id
}

model ChatMember {
  id       String   @id
  chatId   String
  joinedAt DateTime @default(now())

  @@index([chatId])
}

model Call {
  id          String @id
  initiatorId String
}

model Contact {
  id        String @id
  contactId String
}

model Message {
  id       String   @id
  mentions String[] @default([])

  @@index([ mentions ])
}
"""


@pytest.mark.parametrize("state", ["before", "filled", "half", "prisma", "ours"])
def test_its_migration_makes_the_same_also_twice(
    databases: Databases, name: str, target: str, state: str
) -> None:
    databases.make(state, name)
    if state == "filled":
        databases.strictly(name, "ALTER TABLE \"Message\" ADD COLUMN hashtags TEXT[] DEFAULT '{}'")
        databases.strictly(name, "UPDATE \"Message\" SET hashtags = '{Plan,release}'")
    for _ in range(2):
        databases.strictly(name, f"BEGIN;\n{migration_sql()}\nCOMMIT;")
        assert lines(databases.dump(name)) == lines(target)
    assert check(databases.server.url_of(name)).is_right
    assert migrate_here(databases.server.url_of(name)) == []
    if state == "filled":
        filled = databases.server.execute(
            """SELECT (SELECT count(*) FROM "MessageTag" WHERE tag <> ''),
            (SELECT 2 * count(*) FROM "Message" WHERE NOT "isDeleted" AND
                ("isSent" OR "scheduledFor" IS NULL))""",
            name,
        )
        assert filled[0][0] == filled[0][1] > 0


def test_a_later_server_keeps_its_json(databases: Databases, name: str) -> None:
    databases.later(name)
    with databases.server.database() as other:
        databases.later(other)
        migrate_here(databases.server.url_of(other))
        for _ in range(2):
            databases.strictly(name, f"BEGIN;\n{migration_sql(json_tags=True)}\nCOMMIT;")
            assert databases.dump(name) == databases.dump(other)
    assert check(databases.server.url_of(name)).is_right
    theirs = SERVER.replace("String[] @default([])", "String?\n  hashtags String?")
    body = model(amended_schema(theirs), "Message")
    assert "@@index([ mentions ])" in body
    assert "Gin" not in body


def test_its_lines_name_all_that_prisma_sees() -> None:
    amended = amended_schema(SERVER)
    catalog = expected_catalog(PostgresSchema())
    ours = [table for table in catalog.tables if table in schema_lines()]
    assert len(ours) == 13
    for table in ours:
        body = model(amended, table)
        if table not in SERVER:
            assert all(re.search(rf"^  {name} ", body, re.M) for name in catalog.tables[table])
        for key in catalog.foreign_keys.values():
            if key.table == table and table not in SERVER:
                assert f"fields: [{key.column}], references: [id]" in body
    assert "@@index([mentions], type: Gin)" in model(amended, "Message")
    assert "[ mentions ]" not in amended
    assert "@@index([chatId, joinedAt, id])" in model(amended, "ChatMember")
    assert "Message_visible_idx" not in amended  # partial
    assert "@@ignore" in model(amended, "migratehistory")


def model(schema: str, name: str) -> str:
    found = re.search(rf"^model {name} \{{\n(.*?)^\}}", schema, re.M | re.S)
    assert found is not None, name
    return found[1]


def test_what_is_there_stays_as_it_is() -> None:
    amended = amended_schema(SERVER)
    assert amended_schema(amended) == amended
    theirs = SERVER + '\nmodel Folder {\n  id String @id\n  owner User @relation(name: "x")\n}\n'
    body = model(amended_schema(theirs), "Folder")
    assert "owner User" in body
    assert "user " not in body
    assert "folders" not in model(amended_schema(theirs), "User")
    assert "@@index([order])" in body
    searched = amended_schema(SERVER, search_index=True)
    assert 'map: "Message_search_idx"' in model(searched, "Message")
    assert amended_schema(searched, search_index=True) == searched


def test_it_writes_once(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text(SERVER)
    first = write(tmp_path)
    assert re.fullmatch(r"\d{14}_stogram_sdk", first.migration.name)
    assert write(tmp_path) == first
    assert (first.migration / "migration.sql").read_text() == migration_sql()
    (first.migration / "migration.sql").write_text("-- of an older version")
    (tmp_path / "migrations" / "20000101000000_stogram_sdk").mkdir()
    first.migration.rename(tmp_path / "migrations" / "20010101000000_stogram_sdk")
    assert write(tmp_path).migration.name > "2001"


def test_another_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sdk.MigrationError, match=r"there is no .*schema\.prisma"):
        write(tmp_path)
    (tmp_path / "schema.prisma").write_text("model Post {\n  id Int @id\n}\n")
    with pytest.raises(sdk.MigrationError, match="has no model User"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["schema.prisma"]


def test_the_command(tmp_path: Path) -> None:
    printed = stogram("", "prisma").stdout
    assert schema_lines() in printed
    assert printed.endswith(migration_sql())
    (tmp_path / "schema.prisma").write_text(SERVER)
    written = stogram("", "prisma", "--write", str(tmp_path), "--search-index").stdout
    (made,) = (tmp_path / "migrations").iterdir()
    assert f"npx prisma migrate resolve --applied {made.name}" in written
    assert "CREATE EXTENSION IF NOT EXISTS pg_trgm;" in (made / "migration.sql").read_text()

"""The migrations and the models say the same, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

import stogram_sdk as sdk
from stogram_sdk.command.existing import read_only
from stogram_sdk.database import db, open_database, session
from stogram_sdk.migrating import migrate
from stogram_sdk.schema.estimates import EstimateMessages
from stogram_sdk.schema.expected import expected_catalog
from stogram_sdk.schema.message_tags import FillMessageTags, KeepMessageTags
from stogram_sdk.schema.migration import schema_of
from stogram_sdk.schema.objects import Catalog
from stogram_sdk.schema.obstacles import Schema
from stogram_sdk.schema.sqlite import SqliteSchema
from stogram_sdk.schema.steps import Step
from stogram_sdk.schema.unread_since import KeepMoment
from stogram_sdk.schema.user_words import KeepUserWords
from tests.support.postgres import PostgresServer
from tests.support.states import (
    Databases,
    automatic_migration,
    copy_migrations,
    migrate_here,
    pw_migrate,
)

#: Whole databases, made and changed.
pytestmark = pytest.mark.slow


def catalog_of(url: str) -> Catalog:
    """Everything in the database but the history of migrations."""
    with read_only(url) as (database, schema):
        catalog = schema.catalog(database)
    catalog.tables.pop("migratehistory", None)
    catalog.primary_keys.pop("migratehistory_pkey", None)
    return catalog


def create_from_models(url: str) -> None:
    """What the models alone make of an empty database, referenced tables first."""
    sdk.connect(url)
    on_postgres = isinstance(db.obj, peewee.PostgresqlDatabase)
    with session():
        if on_postgres:
            for enum in (
                sdk.models.UserStatus,
                sdk.models.ChatType,
                sdk.models.MemberRole,
                sdk.models.MessageType,
                sdk.models.CallType,
                sdk.models.CallStatus,
            ):
                labels = ", ".join(f"'{label.value}'" for label in enum)
                db.execute_sql(f'CREATE TYPE "{enum.__name__}" AS ENUM ({labels})')
        for model in (*sdk.models.MODELS, *sdk.models.SIDE_TABLES):
            maker: Any = model._schema  # type: ignore[attr-defined]  # not in Peewee's stubs
            maker.create_table(safe=False)
        schema = schema_of(db.obj, "public")
        made = KeepMoment(), KeepMessageTags(), FillMessageTags(), KeepUserWords()
        for step in (*made, *([EstimateMessages()] if on_postgres else [])):
            for sql in _sql_of(step, schema):
                db.execute_sql(sql)
        for model in (*sdk.models.MODELS, *sdk.models.SIDE_TABLES):
            for index in model._meta.fields_to_index():
                if _has_index(index, on_postgres):
                    db.execute(index)
    sdk.close()


def _has_index(index: Any, on_postgres: bool) -> bool:
    if on_postgres:
        return not isinstance(index, sdk.models.SqliteIndex)
    # SQLite has no GIN.
    return index._using is None and not isinstance(index, sdk.models.WordIndex)


def _sql_of(step: Step, schema: Schema) -> list[str]:
    """Triggers and what they keep, which Peewee has no words for."""
    if isinstance(schema, SqliteSchema):
        return step.on_sqlite(schema, ())
    return step.at_once(schema)


@pytest.fixture
def second_url(database_url: str, postgres_server: PostgresServer, tmp_path: Path) -> Iterator[str]:
    """Another empty database on the same engine."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/second.db"
    else:
        with postgres_server.database() as name:
            yield postgres_server.url_of(name)


def migrated(url: str) -> Catalog:
    sdk.connect(url)
    migrate()
    sdk.close()
    return catalog_of(url)


def test_migrations_make_what_the_models_say(database_url: str, second_url: str) -> None:
    ours = migrated(database_url)
    create_from_models(second_url)
    assert ours == catalog_of(second_url)
    # It is not vacuous: both hold everything.
    engine = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    assert len(ours.tables) == 12 + 3
    assert len(ours.enums) == (6 if engine == "postgresql" else 0)
    assert len(ours.indexes) == 23 + (14 + 19 if engine == "postgresql" else 12 + 17)
    assert len(ours.uniques) == 3
    assert len(ours.foreign_keys) == 13 + 9


def test_expected_catalog_is_that_of_a_migrated_database(database_url: str) -> None:
    ours = migrated(database_url)
    database, _ = open_database(database_url)
    assert expected_catalog(schema_of(database, "public")) == ours


def test_first_migration_makes_what_the_server_makes(postgres_server: PostgresServer) -> None:
    databases = Databases(postgres_server)
    with postgres_server.database() as server, postgres_server.database() as empty:
        databases.before(server)
        url = postgres_server.url_of(empty)
        assert pw_migrate(url, "migrate", "--name", "001_server_tables").returncode == 0
        assert catalog_of(url) == catalog_of(postgres_server.url_of(server))
        assert databases.dump(empty) == databases.dump(server)


@pytest.mark.parametrize("when", ["before", "after"])
def test_no_automatic_migration_is_wanted(database_url: str, tmp_path: Path, when: str) -> None:
    if when == "after":
        migrate_here(database_url)
    done = automatic_migration(database_url, "stogram_sdk.models", tmp_path)
    assert done.returncode == 0
    assert "No changes found" in done.stderr
    assert not list(tmp_path.glob("004*"))


CHANGES = {
    "a new column": (
        "User.nickname = None; User._meta.add_field('nickname', peewee.TextField(null=True))",
        "nickname",
    ),
    "a column gone": ("User._meta.remove_field('theme')", "theme"),
    "another type": ("Folder._meta.add_field('order', peewee.TextField())", "order"),
    "nullable": ("Folder.name.null = True", "name"),
    "a new index": (
        "User.add_index(peewee.ModelIndex(User, [User.theme], name='User_theme_idx'))",
        "add_index('User', 'theme'",
    ),
    "a foreign key to another table": (
        "Call._meta.add_field('chat', Reference(User, 'chatId', backref='x'))",
        "chat",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_noticed(database_url: str, tmp_path: Path, change: str) -> None:
    code, expected = CHANGES[change]
    (tmp_path / "changed.py").write_text(
        "import peewee\n"
        "from stogram_sdk.fields import Reference\n"
        "from stogram_sdk.models import *\n"
        "from stogram_sdk.models import BaseModel\n" + code
    )
    directory = tmp_path / "migrations"
    done = automatic_migration(
        database_url, "changed", directory, PYTHONPATH=f"{tmp_path}:{Path.cwd()}"
    )
    assert done.returncode == 0, done.stderr
    assert expected in (directory / "004_probe.py").read_text()


def test_the_next_migration_finds_the_models_of_those_before(
    database_url: str, tmp_path: Path
) -> None:
    copy_migrations(tmp_path)
    table = '"Folder"' if database_url.startswith("sqlite") else 'public."Folder"'
    (tmp_path / "004_more.py").write_text(
        "def migrate(migrator, database, *, fake=False):\n"
        "    assert migrator.orm['Message']._meta.fields['sender'].rel_model.__name__ == 'User'\n"
        f"    migrator.sql('ALTER TABLE {table} ADD COLUMN note TEXT')\n"
    )
    where = ("--directory", str(tmp_path))
    assert pw_migrate(database_url, "migrate", *where).returncode == 0
    assert "note" in catalog_of(database_url).tables["Folder"]


def test_a_time_default_of_sqlite_has_the_format_that_the_sdk_writes(sqlite_url: str) -> None:
    migrated(sqlite_url)
    database, _ = open_database(sqlite_url)
    with database.connection_context():
        database.execute_sql(
            """INSERT INTO "Chat" (id, type, "updatedAt") VALUES ('c', 'GROUP', '2024-01-01')"""
        )
        database.execute_sql(
            'INSERT INTO "User" (id, email, username, password, "updatedAt") '
            "VALUES ('u', 'e', 'n', 'p', '2024-01-01')"
        )
        database.execute_sql(
            """INSERT INTO "Message" (id, "senderId", "chatId", "updatedAt")
            VALUES ('m', 'u', 'c', '2024-01-01')"""
        )
        created, mentions = database.execute_sql(
            'SELECT "createdAt", mentions FROM "Message"'
        ).fetchone()
    database.close_all()
    assert len(created) == len("2024-01-01 00:00:00.000")
    assert created[10] == " "
    assert mentions == "[]"

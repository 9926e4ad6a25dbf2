"""With how few rights it goes: a role that owns the tables, one that reads, one that serves."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database, session
from tests.support.contract import CALLS, build_world, outcome, undone
from tests.support.postgres import PostgresServer
from tests.support.states import Databases, migrate_here, pw_migrate, stogram

#: Commands, in processes of their own.
pytestmark = pytest.mark.slow

# Roles belong to the whole server, which others may be using.
_RUN = uuid.uuid4().hex[:8]
OWNER, READER, SERVICE = f"owner_{_RUN}", f"reader_{_RUN}", f"service_{_RUN}"

#: What docs/guide.md tells an operator to grant to the role of a service.
SERVICE_RIGHTS = f"""
GRANT USAGE ON SCHEMA public TO {SERVICE};
GRANT SELECT, INSERT, UPDATE ON "Message" TO {SERVICE};
GRANT SELECT, INSERT, UPDATE, DELETE ON "User", "Contact", "BlockedUser", "Chat", "ChatMember",
    "ChatSettings", "Folder", "PinnedMessage", "PublishedMessage", "Reaction", "Call",
    "CallParticipant" TO {SERVICE};
GRANT SELECT ON "MessageTag", "UnreadSince" TO {SERVICE};
"""


@pytest.fixture(scope="module")
def databases(postgres_server: PostgresServer) -> Iterator[Databases]:
    for role in (OWNER, READER, SERVICE):
        postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    yield Databases(postgres_server)
    for role in (OWNER, READER, SERVICE):
        postgres_server.execute(f"DROP ROLE {role}")


@pytest.fixture
def name(databases: Databases) -> Iterator[str]:
    """A server's database whose tables belong to the owner."""
    with databases.server.database() as new:
        databases.server.execute(f'ALTER DATABASE "{new}" OWNER TO {OWNER}')
        databases.server.execute(f"ALTER SCHEMA public OWNER TO {OWNER}", new)
        databases.server.execute(f'ALTER DATABASE "{new}" SET role = {OWNER}')
        databases.filled(new)
        databases.server.execute(f'ALTER DATABASE "{new}" RESET role')
        databases.strictly(new, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
        yield new


def url_as(databases: Databases, name: str, role: str) -> str:
    parts = urlsplit(databases.server.url_of(name))
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.split('@')[-1]}"))


def test_the_owner_of_the_tables_can_migrate_and_go_back(databases: Databases, name: str) -> None:
    url = url_as(databases, name, OWNER)
    for command in (["migrate"], ["rollback"], ["migrate"]):
        done = pw_migrate(url, *command)
        assert done.returncode == 0, done.stderr
    assert stogram(url, "check").returncode == 0
    assert stogram(url, "backfill").returncode == 0


def test_the_role_of_a_service_finds_the_tags_of_late(databases: Databases, name: str) -> None:
    assert pw_migrate(url_as(databases, name, OWNER), "migrate").returncode == 0
    databases.strictly(name, SERVICE_RIGHTS)
    found = stogram(url_as(databases, name, SERVICE), "backfill", "--since", "9999d")
    assert found.returncode == 0, found.stderr


def test_another_role_is_told_whom_the_tables_belong_to(databases: Databases, name: str) -> None:
    databases.strictly(name, f"GRANT CREATE ON SCHEMA public TO {SERVICE}")
    before = databases.dump(name)
    done = pw_migrate(url_as(databases, name, SERVICE), "migrate")
    assert done.returncode == 1
    assert (
        f"table Message: does not belong to {SERVICE}. Migrate as its owner, {OWNER}" in done.stderr
    )
    assert databases.dump(name) == before


def test_a_role_that_may_not_create_is_told_so(databases: Databases, name: str) -> None:
    found = stogram(url_as(databases, name, READER), "check")
    assert f"role {READER}: may not create in the schema (this stops the migration)" in found.stdout
    for command in (pw_migrate, stogram):
        done = command(url_as(databases, name, READER), "migrate")
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: role {READER} may not create in the schema public: ")


def test_who_may_only_read_can_check_and_try(databases: Databases, name: str) -> None:
    url = url_as(databases, name, READER)
    found = stogram(url, "check")
    assert found.returncode == 1
    assert f"table Message: does not belong to {READER} (this stops the migration)" in found.stdout
    migrate_here(url_as(databases, name, OWNER))
    unreadable = stogram(url, "check")
    assert unreadable.returncode == 1
    grant = f'GRANT SELECT ON "public"."Folder" TO {READER}'
    assert f"table Folder: may not be read\n    {grant}\n" in unreadable.stdout
    databases.strictly(name, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
    assert stogram(url, "check").returncode == 0
    tried = stogram(url, "backfill", "--dry-run")
    assert "messages looked at" in tried.stdout


@pytest.fixture
def as_service(databases: Databases, name: str) -> Iterator[None]:
    """Connected to a migrated database as a role with what docs/guide.md names, and no more."""
    migrate_here(url_as(databases, name, OWNER))
    databases.strictly(name, SERVICE_RIGHTS)
    sdk.connect(url_as(databases, name, SERVICE))
    yield
    sdk.close()
    databases.server.execute(f"DROP OWNED BY {SERVICE}", name)


def test_the_backfill_is_for_the_owner(as_service: None, databases: Databases, name: str) -> None:
    url = url_as(databases, name, SERVICE)
    assert "messages looked at" in stogram(url, "backfill", "--dry-run").stdout
    done = stogram(url, "backfill")
    assert done.returncode == 1
    assert "run it as the owner of the tables" in done.stderr


def test_nobody_else_can_use_what_runs_with_the_rights_of_the_owner(
    as_service: None, databases: Databases, name: str
) -> None:
    """The owner's trigger function on a table of one's own would be a way to become the owner."""
    script = """
        CREATE TEMP TABLE mine (tag text);
        CREATE TRIGGER mine AFTER TRUNCATE ON mine
            EXECUTE FUNCTION public.stogram_keep_message_tags();
    """
    databases.server.execute(f'GRANT TEMP ON DATABASE "{name}" TO {SERVICE}')
    with pytest.raises(sdk.StogramError, match="42501"), session():
        current_database().execute_sql(script)


def test_the_service_needs_no_more_than_the_readme_says(as_service: None) -> None:
    scene = build_world(extra=1).scene
    for label, call in CALLS.items():
        with undone():
            assert outcome(label, scene) == call.gives, label

"""With how few rights it goes on a cluster: a role that owns the tables, and one that serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.check import check
from stogram_sdk.command.distribute import distribute
from stogram_sdk.errors import MigrationError
from tests.citus.cluster import CitusCluster, execute
from tests.support.contract import CALLS, build_world, outcome, undone
from tests.support.distributed import connected
from tests.support.states import PROJECT, migrate_here, stogram
from tests.test_rights import OWNER, SERVICE, SERVICE_RIGHTS


@pytest.fixture(scope="module")
def roles(cluster: CitusCluster) -> Iterator[None]:
    """On all servers: Citus makes them there too."""
    for role in (OWNER, SERVICE):
        execute(cluster.url, f"CREATE ROLE {role} LOGIN")
    yield
    for role in (OWNER, SERVICE):
        execute(cluster.url, f"DROP ROLE {role}")


@pytest.fixture
def url(cluster: CitusCluster, roles: None) -> Iterator[str]:
    with cluster.database() as url:
        yield url


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


def test_the_owner_of_the_database_distributes_it(cluster: CitusCluster, url: str) -> None:
    cluster.on_each(url, f'ALTER DATABASE "{url.rpartition("/")[2]}" OWNER TO {OWNER}')
    owner = as_role(url, OWNER)
    migrate_here(owner)
    distribute(owner)
    assert check(owner).is_right
    with connected(owner) as cursor:
        cursor.execute('DROP TRIGGER "Message_tags_insert" ON "Message"')
        cursor.execute(SERVICE_RIGHTS)
    assert stogram(owner, "migrate").returncode == 0
    assert check(owner).is_right
    sdk.connect(as_role(url, SERVICE))
    scene = build_world(extra=1).scene
    for label, call in CALLS.items():
        with undone():
            assert outcome(label, scene) == call.gives, label
    sdk.close()


def test_a_role_is_told_what_it_lacks(cluster: CitusCluster, url: str) -> None:
    """And with what docs/distribute.md grants, it needs not own the database."""
    name, owner = url.rpartition("/")[2], as_role(url, OWNER)
    page = (PROJECT / "docs/distribute.md").read_text().replace("stogram_owner", OWNER)
    page = page.replace(" messenger ", f' "{name}" ')
    on_database, in_schema = re.findall("GRANT CREATE [^;]*", page)
    of_workers, *settings = re.findall(f'ALTER DATABASE "{name}" SET [^;]*', page)
    cluster.on_each(url, in_schema)
    migrate_here(owner)
    server = ":".join(map(str, cluster.coordinator))
    lacks = f"lacks rights on the server {server}: CREATE on the database, to own the database"
    with pytest.raises(MigrationError, match=lacks):
        distribute(owner)
    cluster.on_each(url, on_database)
    for setting in settings:
        execute(url, setting)
    with pytest.raises(MigrationError, match=f"lacks rights on the server {server}: to own the"):
        distribute(owner)
    for worker in cluster.workers:
        there = cluster.url_of(name, worker)
        execute(there, f"SET citus.enable_ddl_propagation = off; {of_workers}")
    distribute(owner)
    assert check(owner).is_right

"""Databases on the cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stogram_sdk.command.distribute import distribute
from tests.citus.cluster import CitusCluster, cluster_of_the_environment
from tests.support.distributed import fill
from tests.support.states import migrate_here


@pytest.fixture(scope="session")
def cluster() -> CitusCluster:
    return cluster_of_the_environment()


@pytest.fixture(scope="module")
def distributed(cluster: CitusCluster) -> Iterator[str]:
    """A database that is distributed, for tests that leave it right."""
    with cluster.database() as url:
        migrate_here(url)
        fill(url, 5000)
        distribute(url)
        yield url

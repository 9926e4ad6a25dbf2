"""peewee-migrate's router for the shipped migrations: it applies them and keeps the history."""

from __future__ import annotations

import logging
from typing import Any

from peewee_migrate import Router

from stogram_sdk.schema.migration import migrations_directory


def router_of(database: Any, schema_name: str | None) -> Router:
    """A router that logs nothing: its errors leave it as exceptions too."""
    silent = logging.Logger("stogram_sdk.schema.router", logging.CRITICAL + 1)
    return Router(database, migrate_dir=migrations_directory(), schema=schema_name, logger=silent)

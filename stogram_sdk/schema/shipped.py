"""The migrations that are shipped with this package."""

from __future__ import annotations

import runpy

from stogram_sdk.migrating import migrations_directory
from stogram_sdk.schema.migration import Migration


def shipped_migrations() -> dict[str, Migration]:
    """Each migration by its name, in the order in which they are applied."""
    files = sorted(migrations_directory().glob("[0-9][0-9][0-9]_*.py"))
    return {file.stem: runpy.run_path(str(file))["MIGRATION"] for file in files}

"""The database of `pw_migrate`: the one that `stogram_sdk.connect()` would open."""

from stogram_sdk.errors import StogramError
from stogram_sdk.schema.pw_migrate import database_to_migrate

try:
    DATABASE, SCHEMA = database_to_migrate()
except StogramError as error:
    raise SystemExit(f"{error}") from None

IGNORE = ("basemodel",)  # the base class of the models has no table

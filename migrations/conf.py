"""Where `pw_migrate` finds the database: where `stogram_sdk.connect()` would."""

from stogram_sdk.errors import StogramError
from stogram_sdk.schema.pw_migrate import database_to_migrate

try:
    DATABASE, SCHEMA = database_to_migrate()
except StogramError as error:
    raise SystemExit(f"{error}") from None

IGNORE = ("basemodel",)  # what the models inherit from is no table

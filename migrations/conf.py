"""The database of `pw_migrate`: the one that `stogram_sdk.connect()` would open."""

from stogram_sdk.schema.pw_migrate import database_of_pw_migrate

DATABASE, SCHEMA = database_of_pw_migrate(is_ours=True)

IGNORE = ("basemodel",)  # the base class of the models has no table

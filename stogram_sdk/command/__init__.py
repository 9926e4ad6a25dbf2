"""The subcommands of `stogram`.

============ ===================================================================
check        whether the database agrees with the models
script       the steps of a migration as one SQL script
backfill     mentions and hashtags of messages that were sent before the migration
search_index the index for searches by text, which the operator makes
tables       the report and the progress bar of the command line
============ ===================================================================
"""

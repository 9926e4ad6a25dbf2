"""What the command `stogram` does.

============ ===================================================================
check        is the database what the models say?
script       the steps of a migration as one SQL script
backfill     mentions and hashtags of messages that were sent before the migration
search_index the index for searches by text, which the operator makes
tables       what the command line shows
============ ===================================================================
"""

"""The schema of the database: what it is, what it should be, and the way from one to the other.

============ ===================================================================
objects      what a database is made of, as data: columns, indexes, foreign keys
postgres     reads a PostgreSQL catalog into such objects, and writes them as SQL
sqlite       the same for SQLite
expected     what the models say, as such objects
obstacles    what can stand in the way, and what to do about it
steps        what a migration is made of: each step sees whether it is done
writing      the words in which a migration file writes its steps
script       the steps of a migration as one SQL script
online       statements beside a live server: short locks, tried again
turns        one run at a time
migration    the steps of a migration, carried out or undone
snapshot     the models as of a migration, for `pw_migrate create --auto`
check        is the database what the models say?
shipped      the migrations of this package
tables       what the command line shows
backfill     mentions and hashtags of messages that were sent before the migration
search_index the index for searches by text, which the operator makes
============ ===================================================================
"""

"""The schema of the database: what it is, what it should be, and the way from one to the other.

============ ===================================================================
objects      what a database is made of, as data: columns, indexes, foreign keys
postgres     reads a PostgreSQL catalog into such objects, and writes them as SQL
sqlite       the same for SQLite
expected     what the models say, as such objects
obstacles    what can stand in the way, and what to do about it
steps        what a migration is made of: each step sees whether it is done
message_tags the steps that make the database keep "MessageTag" by itself
writing      the words in which a migration file writes its steps
online       statements beside a live server: short locks, tried again
turns        one run at a time
migration    the steps of a migration, carried out or undone; those that are shipped
snapshot     the models as of a migration, for `pw_migrate create --auto`
pw_migrate   the database that the stock `pw_migrate` works on
============ ===================================================================
"""

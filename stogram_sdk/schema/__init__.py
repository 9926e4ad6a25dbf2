"""The schema of the database: as it is, as the models want it, and the steps in between.

============= ===================================================================
objects       the parts of a database as data: columns, indexes, foreign keys
postgres      reads a PostgreSQL catalog into such objects, and writes them as SQL
sqlite        the same for SQLite
expected      the models as such objects
obstacles     the things that can stop a migration, each with its remedy
steps         the steps of a migration: each sees whether it is done
message_tags  the steps that make the database keep "MessageTag" by itself
user_words    the step that lets SQLite find people by a word
unread_since  the step that keeps the moment of the migration
estimates     the step that tells PostgreSQL how many messages a chat has
chat_keys     keys that begin with the chat
distribution  the steps to them, on several servers
writing       the words in which a migration file writes its steps
online        statements beside a live server: short locks, tried again
turns         one run at a time
migration     the steps of a migration, carried out or undone; those that are shipped
snapshot      the models as of a migration, for `pw_migrate create --auto`
router        peewee-migrate's router for them
pw_migrate    the database that is migrated, also by the stock `pw_migrate`
============= ===================================================================
"""

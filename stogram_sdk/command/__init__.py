"""The subcommands of `stogram`.

============ ===================================================================
migrate      applies migrations, takes them back, says which are done
check        whether the database agrees with the models
existing     a database that is there: to look at, or to change at its turn
script       the steps of a migration as one SQL script
backfill     mentions and hashtags of messages that were sent before the migration
distribute   the chats on several servers, with Citus
search_index the index for searches by text, which the operator makes
prisma       what the server's Prisma is told, so that it finds no drift
failing      errors in one line, with what to do
signals      Ctrl-C ends a command soon
report       what `check` has found, as a table
progress     the steps and the progress bars, on a terminal
============ ===================================================================
"""

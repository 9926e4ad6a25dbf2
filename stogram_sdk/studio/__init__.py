"""`stogram studio`: the database in a browser, by Flask-Admin.

======== ==================================================================
tables   what a person looks for: the columns, searches and links of a table
rows     which rows a page shows: one statement each, of a bounded cost
filters  what a list can be narrowed down by
cells    how a value is shown
views    a table as Flask-Admin has it: its list, one row, its form
guard    who may come in, and from where
app      all of it as one Flask application
serving  the web server of one machine, and the address that is printed
======== ==================================================================
"""

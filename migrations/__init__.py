"""The migrations of a Stogram database; `pw_migrate` runs them, `conf.py` tells it where."""

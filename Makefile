# Everything runs in an environment of its own, .venv, made at the first use.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
SQLITE := sqlite:///demo.db

.PHONY: demo test check soak bench bench-large clean

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $@

# An embedded database, migrated, and a first look around.
demo: $(VENV)/installed
	rm -f demo.db*
	DATABASE_URL=$(SQLITE) STOGRAM_DATABASE_URL= $(VENV)/bin/pw_migrate migrate
	DATABASE_URL=$(SQLITE) STOGRAM_DATABASE_URL= $(RUN) examples/quickstart.py

# The whole suite, on SQLite and on a PostgreSQL server that the tests start.
test: $(VENV)/installed
	$(RUN) -m pytest -n 2 --cov --cov-report=term --cov-fail-under=95

check: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	rm -f demo.db* .coverage .coverage.*

# Everything runs in an environment of its own, .venv, made at the first use.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
SQLITE := sqlite:///demo.db
# What `bench` and `bench-large` measure: numbers of messages, and seconds for each contestant.
SIZES := 10000 100000 1000000
LARGE := 10000000
SECONDS := 0.4

.PHONY: demo test coverage quick test-browser test-citus test-prisma test-pgbouncer test-settings test-strict test-sdist check \
	check-package docs soak service bench bench-large clean

# The package alone, which is all that the demo needs: the tools of the others are half a gigabyte.
$(VENV)/package-alone: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable .
	touch $@

$(VENV)/installed: $(VENV)/package-alone
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $@

# An embedded database, migrated, and a first look around.
demo: $(VENV)/package-alone
	rm -f demo.db*
	DATABASE_URL=$(SQLITE) STOGRAM_DATABASE_URL= $(VENV)/bin/stogram migrate
	DATABASE_URL=$(SQLITE) STOGRAM_DATABASE_URL= $(RUN) examples/quickstart.py

# The whole suite, on SQLite and on a PostgreSQL server that the tests start.
test: $(VENV)/installed
	$(RUN) -m pytest -n 2 --dist worksteal

# What only Citus can show, on a cluster of which STOGRAM_TEST_CITUS_URL names the coordinator, as a
# superuser. How long others wait beside a million messages: python -m tests.citus
test-citus: $(VENV)/installed
	$(RUN) -m pytest $(addprefix tests/citus/,distribution.py calls.py roles.py)

# A look at which lines the tests run, which makes them slower. It leaves out what repeats calls many
# times, or kills servers: that takes half of the time, and runs hardly a line that is its alone.
coverage: $(VENV)/installed
	$(RUN) -m pytest -n 2 --dist worksteal --cov --cov-report=term --cov-fail-under=95 \
		$(patsubst %,--ignore tests/test_%.py,clean_thread faults fastapi fuzz interleaving load \
		long_texts races service shadowing signals sizes soak standbys units unread_model)

# Without what starts or kills processes, waits, or repeats many times: between two changes.
quick: $(VENV)/installed
	$(RUN) -m pytest -n 2 --dist worksteal -m "not slow"

# The whole suite through PgBouncer in transaction mode; what the faults need stands by itself.
test-pgbouncer: $(VENV)/installed
	STOGRAM_TEST_PGBOUNCER=pgbouncer $(RUN) -m pytest -n 2 --dist worksteal --ignore tests/test_faults.py \
		--ignore tests/test_soak.py --ignore tests/test_standbys.py

# The same on a server whose sessions have another time zone and another isolation level.
test-settings: $(VENV)/installed
	STOGRAM_TEST_PG_OPTIONS="timezone=Europe/Moscow default_transaction_isolation=serializable" \
		$(RUN) -m pytest -n 2 --dist worksteal --ignore tests/test_faults.py --ignore tests/test_soak.py --ignore tests/test_standbys.py

# Prisma's own tools beside the migrations: they must find no drift. Needs Node.js and npm, and a
# PostgreSQL before 18: STOGRAM_TEST_PG_BIN=/usr/lib/postgresql/15/bin make test-prisma
test-prisma: $(VENV)/prisma/node_modules
	$(RUN) -m tests.prisma $(VENV)/prisma

# The binaries that its scripts would download are not needed.
$(VENV)/prisma/node_modules: $(VENV)/installed tests/prisma/package.json
	mkdir -p $(VENV)/prisma
	cp tests/prisma/package.json $(VENV)/prisma
	cd $(VENV)/prisma && npm install --ignore-scripts --no-audit --no-fund --no-package-lock
	touch $@

# The studio in a real browser: Chromium and its driver, as Debian has them.
# With STOGRAM_PICTURES=1 the pictures in docs/studio are made anew.
test-browser: $(VENV)/installed
	$(RUN) -m pytest tests/browser/studio.py

# The same with every warning an error: none of ours, no connection or file left open.
test-strict: $(VENV)/installed
	PYTHONWARNINGS=error PYTHONDEVMODE=1 $(RUN) -m pytest -n 2 --dist worksteal -W error

# 1,000 faults in a row under load, some ten minutes: see tests/support/soak.py.
soak: $(VENV)/installed
	$(RUN) -m tests.support.soak --faults 1000

# A web service of two workers under load for a minute; the database server is restarted once.
service: $(VENV)/installed
	$(RUN) -m tests.support.service --seconds 60

# The quick tests as somebody has them who has only the source distribution: unpacked with nothing
# beside it, and installed in an environment of its own.
test-sdist: $(VENV)/package
	directory=$$(mktemp -d) && trap 'rm -rf "$$directory"' EXIT INT TERM && \
	$(RUN) -m build --sdist --outdir "$$directory" && \
	mkdir "$$directory/unpacked" && \
	tar -xf "$$directory"/*.tar.gz -C "$$directory/unpacked" --strip-components 1 && \
	$(MAKE) -C "$$directory/unpacked" quick

check: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell
	$(RUN) -m tests.typing

# The site, in docs/_build: no warning, and nothing from elsewhere. What was there goes first, for a
# warning shows only where a page is made anew.
docs: $(VENV)/docs
	rm -rf docs/_build
	$(RUN) -m sphinx -W --keep-going --quiet docs docs/_build

$(VENV)/docs: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[dev,docs]'
	touch $@

# What would be published: it builds, its metadata and its description can be shown, and the wheel
# holds nothing that does not belong into it.
check-package: $(VENV)/package
	rm -rf dist
	$(RUN) -m build
	$(VENV)/bin/twine check --strict dist/*
	$(VENV)/bin/check-wheel-contents dist

$(VENV)/package: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[dev,package]'
	touch $@

# Every call beside the same by hand and the ORMs; the figures go into docs/performance.md. Of the
# smaller sizes its picture alone has something.
bench: $(VENV)/benchmarks
	for size in $(filter-out $(lastword $(SIZES)), $(SIZES)); do \
		$(RUN) -m benchmarks --picture --messages $$size --seconds $(SECONDS) || exit 1; done
	$(call measure,postgresql,$(lastword $(SIZES)))
	$(call measure,sqlite,$(lastword $(SIZES)))
	$(RUN) -m benchmarks.import_time
	$(RUN) -m benchmarks.report

bench-large: $(VENV)/benchmarks
	$(call measure,postgresql,$(LARGE))
	$(RUN) -m benchmarks.report

# Calls and unread counts, in one database; PostgreSQL may run as another user.
measure = directory=$$(mktemp -d) && trap 'rm -rf "$$directory"' EXIT INT TERM && chmod 755 "$$directory" && \
	for module in benchmarks benchmarks.unread; do $(RUN) -m $$module --engine $(1) --messages $(2) \
		--seconds $(SECONDS) --keep "$$directory/$(1)" || exit 1; done

$(VENV)/benchmarks: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[dev,bench]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist docs/_build *.egg-info
	rm -f demo.db* .coverage .coverage.*

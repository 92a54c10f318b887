# What developers run. Everything is installed into .venv; Python and make are all a machine needs.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

# Images of containers like to set it: each process that a test starts would compile all of the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo play screenshots test long coverage model chaos backfill-kills servers temporal bench bench-quick check format docs dist lock audit catalog clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev --constraint constraints.txt
	touch $(READY)

demo: $(READY)  ## a day at a simulated Okta org, and an app that is killed in the middle
	$(BIN)/python examples/demo.py

play: $(READY)  ## an Okta org, an app and its console to click on, until Ctrl-C
	$(BIN)/python -m examples.play

screenshots: $(READY)  ## the pictures of pages in docs/pictures/, made in the playground by a Chromium
	$(BIN)/python -m tests.browser.screenshots

# Many tests wait for other processes: three of them keep two cores at work.
PROCESSES := $(shell $(PYTHON) -c "import os; print(os.cpu_count() * 3 // 2)")
SUITE := pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

test: $(READY)  ## the whole suite, on all cores
	$(BIN)/$(SUITE)

long: $(READY)  ## what the suite runs briefly, at length: more examples, histories, kills and kinds of database
	LONG=1 $(BIN)/$(SUITE) -m long

coverage: $(READY)  ## the whole suite with branch coverage, also of the processes that it starts; half as long again
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(SUITE)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

model: $(READY)  ## histories by chance on each database: make model STEPS=1000000, or SEED=... DATABASE=PostgreSQL
	$(BIN)/python -m tests.model --steps $(or $(STEPS),100000) $(if $(SEED),--seed $(SEED)) $(if $(DATABASE),--database $(DATABASE))

chaos: $(READY)  ## 100,000 events on each database while processes are killed: make chaos EVENTS=20000 ENGINE=celery
	$(BIN)/python -m tests.acceptance.chaos --events $(or $(EVENTS),100000) \
		$(if $(ENGINE),--engine $(ENGINE)) $(if $(BROKER),--broker $(BROKER)) $(if $(SEED),--seed $(SEED))

backfill-kills: $(READY)  ## a backfill of 30,000 events that is killed 20 times, on each database
	LONG=1 BACKFILL_KILLS=20 $(BIN)/pytest tests/acceptance/test_backfill.py -k killed -rP

SERVERS := .venv/servers

$(SERVERS): $(READY)
	$(BIN)/python -m pip install --quiet --group servers
	$(BIN)/python -m pip install --quiet "uwsgi>=2.0.28" || echo "uWSGI cannot be installed here: it needs a C compiler."
	touch $(SERVERS)

servers: $(SERVERS)  ## a matrix of web servers, stopped and killed, in 5 minutes: make servers NAMES="waitress 'flask run'"
	$(BIN)/python -m tests.servers $(NAMES)

TEMPORAL := .venv/temporal

$(TEMPORAL): $(READY)
	$(BIN)/python -m pip install --quiet --group temporal
	touch $(TEMPORAL)

temporal: $(TEMPORAL)  ## the recipe for Temporal, by its own client
	$(BIN)/pytest tests/queues/test_jobs.py -k temporal

BENCH := .venv/bench

$(BENCH): $(READY)
	$(BIN)/python -m pip install --quiet --group bench
	touch $(BENCH)

bench: $(BENCH)  ## about 40 minutes and 10 GB of disk, best on a machine that does nothing else; needs wrk: apt-get install wrk
	$(BIN)/python -m benchmarks

bench-quick: $(BENCH)  ## about four minutes: whether it runs, not how fast
	$(BIN)/python -m benchmarks --quick

check: $(READY)  ## everything but the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/sphinx-build --quiet --fail-on-warning --fresh-env docs docs/_build/html

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/sphinx-build --fail-on-warning docs docs/_build/html

dist: $(READY)  ## wheel and sdist in dist/, checked; the wheel plays the quickstart; what it installs, as an SBOM in build/
	rm -rf dist build
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install --quiet dist/*.whl
	build/empty/bin/python scripts/play_quickstart.py docs/quickstart.md
	build/empty/bin/python -m pip uninstall --quiet --yes setuptools pip  # of the environment, not of the library
	$(BIN)/cyclonedx-py environment --mc-type library --pyproject pyproject.toml --output-reproducible \
		--output-file build/okta_hooks.cdx.json build/empty
	$(BIN)/python scripts/check_sbom.py build/okta_hooks.cdx.json

lock:  ## the newest versions of what developing needs, into constraints.txt
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	build/lock/bin/python -m pip install --quiet --editable . --group dev
	echo "# What developing installs: made by make lock, for the lowest Python that is supported." > constraints.txt
	build/lock/bin/python -m pip freeze --exclude-editable >> constraints.txt

audit: $(READY)  ## whether anything that is known makes a version in constraints.txt vulnerable; asks PyPI
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

catalog: $(READY)  ## regenerate the event types: make catalog JSON=event-types.json, or CSV=new.csv RELEASE=2026.41.0
	$(BIN)/python scripts/update_catalog.py "$(or $(JSON),$(CSV))" "$(RELEASE)"

clean:
	rm -rf .venv .nox build dist docs/_build .coverage .coverage.* htmlcov

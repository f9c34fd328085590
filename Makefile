# The two commands that matter: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?= .countermand
NODE   := tests/node
CLIENTS := tests/clients
TESTERS ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN)) # processes: many tests wait for others
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes --only-binary :all:
PYTEST := $(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder
CHECK  := $(BIN)/python -m pytest --numprocesses $(shell getconf _NPROCESSORS_ONLN) --dist loadfile # tests that wait for nobody

# Python keeps what it has compiled, even where the machine's environment says otherwise: the tests start hundreds of
# processes, each of which would compile all of the source again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run setup browser check test-file test test-slow lint bench bench-loop bench-deliveries lock docs site examples vendor clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

run: $(VENV)/.ready-to-run ## set up what is missing, then start the demo (PORT=8080, DATA=.countermand)
	@$(BIN)/countermand demo --data-dir $(DATA) $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

setup: $(VENV)/.ready-to-run ## only make the environment

browser: ## say which browser the tests drive, or what to install
	@$(PYTHON) tests/support/browser_choice.py

check: lint ## while you work: lint, the tests of the domain, and those of the actions on SQLite
	$(CHECK) -m "not postgres and not slow and not long" tests/domain tests/actions

test-file: $(VENV)/.ready-to-test $(VENV)/.node-packages $(VENV)/.client-packages ## one file, several, or one test, slow or not: F=tests/domain/test_money.py
	$(BIN)/python -m pytest $(or $(F),$(error no test was run; name a file or a test: make test-file F=tests/domain/test_money.py))

test: lint $(VENV)/.node-packages ## check the project, except for what is slow: lint, then pytest
	$(PYTEST) -m "not slow"

test-slow: browser $(VENV)/.ready-to-test $(VENV)/.node-packages $(VENV)/.client-packages ## the tests that take minutes, drive a browser, or need a program of the machine
	$(PYTEST) -m slow

lint: $(VENV)/.ready-to-test ## format, rules, types and layers: ruff, mypy, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready-to-test ## measure the cancellation path; results go to bench/results/ (BENCH=--quick for a look)
	$(BIN)/python bench/run.py $(BENCH)

bench-loop: $(VENV)/.ready-to-test ## list how long each route holds the event loop with its largest input (BENCH=--write keeps it)
	$(BIN)/python bench/loop.py $(BENCH)

bench-deliveries: $(VENV)/.ready-to-test ## measure the delivery of events, and what it costs cancellations (BENCH=--quick for a look)
	$(BIN)/python bench/deliveries.py $(BENCH)

docs: $(VENV)/.ready-to-run ## draw again the pages that are made from the code
	$(BIN)/python docs/draw_states.py
	$(BIN)/python docs/draw_errors.py
	$(BIN)/python docs/draw_settings.py
	$(BIN)/python docs/link_guides.py

site: $(VENV)/.ready-to-run ## make a site of all pages of the documentation in build/site; a broken link is an error
	$(BIN)/python docs/build_site.py build/site

examples: $(VENV)/.ready-to-test ## record again the examples of the OpenAPI documents and the events as each dialect says them
	$(BIN)/python tests/support/record_examples.py

lock: $(VENV)/.ready-to-test ## pin the requirements again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command 'make lock' requirements/run.in -o requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command 'make lock' requirements/test.in -o requirements/test.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command 'make lock' requirements/clients.in -o requirements/clients.txt
	for folder in $(NODE) $(CLIENTS); do \
	  (cd $$folder && PATH="$(CURDIR)/$(BIN):$$PATH" npm install --package-lock-only --omit-lockfile-registry-resolved \
	    --ignore-scripts --no-audit --no-fund --loglevel=error) || exit 1; done

vendor: $(VENV)/.node-packages ## copy the files of others that the pages need from their npm packages
	$(BIN)/python tests/support/vendor.py

clean: ## remove the environment and the caches; the demo's data stays
	rm -rf $(VENV) .old-versions $(NODE)/node_modules $(CLIENTS)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# A stamp file a set-up: a second run finds it newer than what it was made from and installs nothing.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Countermand needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Python's venv module is missing here; on Debian and Ubuntu: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/.ready-to-run: requirements/run.txt pyproject.toml $(VENV)/.made
	@echo "Installing what Countermand runs on ..."
	@$(PIP) -r requirements/run.txt
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-to-test: requirements/test.txt $(VENV)/.ready-to-run
	@echo "Installing what checks it ..."
	@$(PIP) -r requirements/test.txt
	@touch $@

# A browser, and what is not ours: a token server, a client, a checker of pages. The Node of the wheel runs them.
$(VENV)/.node-packages: $(NODE)/package-lock.json $(NODE)/unpack_browser.js $(VENV)/.ready-to-test
	@echo "Installing what the tests run on Node ..."
	@cd $(NODE) && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(BIN)/node $(NODE)/unpack_browser.js
	@touch $@

# Clients that nobody here wrote, for the slow tests alone: what makes them and what they import, in an environment that
# has nothing of Countermand, and a proxy that compares requests and answers with a document.
$(VENV)/.client-packages: requirements/clients.txt $(CLIENTS)/package-lock.json $(VENV)/.node-packages
	@echo "Installing the clients that the slow tests run ..."
	@$(PYTHON) -m venv --without-pip $(VENV)/clients
	@$(subst install,--python $(VENV)/clients/bin/python install,$(PIP)) -r requirements/clients.txt
	@cd $(CLIENTS) && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

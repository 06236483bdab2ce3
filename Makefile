# make up        everything, on your machine, with nothing but Python (>= 3.11)
# make test      the tests
# make check     style, types, imports, migrations, schema: what a change must pass besides the tests
# make peers     the engine's results against those of its peers
# make bench     the engine's speed against theirs, that of searches and of stored runs: some minutes, on a machine
#                that does nothing else
#
# The environment is made by uv where there is uv, else by venv and pip.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
UP ?=

.PHONY: up test check peers peer-packages bench clean

up: $(VENV)/.runtime
	$(BIN)/gql-trader up $(UP)

test: $(VENV)/.dev
	$(BIN)/pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	directory=$$(mktemp -d) && trap 'rm -rf "$$directory"' EXIT && \
		DATABASE_URL= REDIS_URL= $(BIN)/gql-trader migrate --check --data-dir "$$directory"
	$(BIN)/gql-trader schema export --check

peers: peer-packages
	$(BIN)/pytest -n 0 tests/engine/test_agreement_with_peers.py tests/engine/test_metrics_against_empyrical.py

bench: peer-packages
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.engine --scaling --fresh --rounds 9
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.search --memory 20000
	$(BIN)/python -m benchmarks.queued_search
	$(BIN)/python -m benchmarks.stored_runs
	$(BIN)/python -m benchmarks.candles

$(VENV)/.runtime: pyproject.toml
	@if command -v uv >/dev/null; then UV_PROJECT_ENVIRONMENT=$(VENV) uv sync --inexact --no-dev; \
	else test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV); $(BIN)/pip install --quiet --editable .; fi
	@touch $@

$(VENV)/.dev: pyproject.toml
	@if command -v uv >/dev/null; then UV_PROJECT_ENVIRONMENT=$(VENV) uv sync --inexact; \
	else test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV); \
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1' && $(BIN)/pip install --quiet --editable . --group dev; fi
	@touch $@ $(VENV)/.runtime

# Asked for each time: whoever syncs without the group removes them. Most of their bytecode is never needed.
peer-packages: $(VENV)/.dev
	@if command -v uv >/dev/null; then UV_COMPILE_BYTECODE=0 UV_PROJECT_ENVIRONMENT=$(VENV) uv sync --inexact --group benchmark; \
	else $(BIN)/pip install --quiet --group benchmark; fi

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

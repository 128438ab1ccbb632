# `make demo` shows what this is; `make test` runs everything. Both install what they need.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test

.PHONY: demo lab test check py js bench format clean

demo: $(STAMP)  ## run the quickstart with the embedded demo model: no key, no network
	$(BIN)/python notebooks/run_quickstart.py

lab: $(STAMP)  ## open the quickstart in JupyterLab
	$(BIN)/jupyter lab notebooks/quickstart.ipynb

test: $(TEST_STAMP)  ## everything: lint, types, TypeScript, Python, browser
	PATH="$(CURDIR)/$(BIN):$$PATH" ./.ci/test

check: $(TEST_STAMP)  ## lint and types only
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(TEST_STAMP)  ## the figures, as ratios taken in one run
	$(BIN)/python -m benchmarks

format: $(TEST_STAMP)
	$(BIN)/ruff format . && $(BIN)/ruff check --fix . ; cd js && npx biome check --write .

clean:
	rm -rf $(VENV) .venvs js/node_modules rlm_runs dist

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rlm_jupyter needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[lab]' nbclient
	touch $@

$(TEST_STAMP): $(STAMP) pyproject.toml .ci/install
	./.ci/install $(BIN)
	touch $@

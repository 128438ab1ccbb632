# `make demo` shows what this is; `make test` runs everything. Both install what they need into .venv.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
STAMP := $(VENV)/.installed
LAB_STAMP := $(VENV)/.installed-lab
TEST_STAMP := $(VENV)/.installed-test
DOCS_STAMP := $(VENV)/.installed-docs

# The bundle is committed; `npm run build` in js/ makes it anew.
export SKIP_JUPYTER_BUILDER := 1

.PHONY: help demo lab test check bench docs docs-site protocol notebook format clean

demo: $(STAMP)  ## run the quickstart with the embedded demo model: no key, no network
	@$(BIN)/python notebooks/run_quickstart.py

lab: $(LAB_STAMP)  ## open the quickstart in JupyterLab
	$(BIN)/jupyter lab notebooks/quickstart.ipynb

test: $(TEST_STAMP)  ## everything: lint, types, TypeScript, Python, browser
	@PATH="$(CURDIR)/$(BIN):$$PATH" ./.ci/test

check: $(TEST_STAMP)  ## lint and types of Python only
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(TEST_STAMP)  ## the figures, as ratios taken in one run
	$(BIN)/python -m benchmarks

docs: $(STAMP)  ## write docs/reference.md and docs/frames.md anew, from the code
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_frames.py

docs-site: $(DOCS_STAMP)  ## write the documentation site, with the notebooks and runs to open, to site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

protocol: $(STAMP)  ## write the widget's protocol in TypeScript anew, from its declaration in Python
	$(BIN)/python js/dev/make_protocol.py

notebook: $(TEST_STAMP)  ## write the quickstart and the lessons anew, with their outputs
	$(BIN)/python notebooks/run_quickstart.py --save
	$(BIN)/python notebooks/run_lessons.py --save

format: $(TEST_STAMP)  ## format all code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .
	cd js && PATH="$(CURDIR)/$(BIN):$$PATH" npx biome check --write .

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1@\2/p' $(MAKEFILE_LIST) | \
		while IFS=@ read -r name purpose; do printf 'make %-9s %s\n' "$$name" "$$purpose"; done

clean:  ## remove what was installed and made
	rm -rf $(VENV) .venvs js/node_modules rlm_runs dist site

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rlm_jupyter needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip

$(STAMP): pyproject.toml | $(BIN)/python
	@echo "Installing rlm_jupyter into $(VENV) (about a minute, once) ..."
	@$(PIP) --editable . nbclient
	@touch $@

$(LAB_STAMP): $(STAMP)
	@echo "Installing JupyterLab into $(VENV) ..."
	@$(PIP) --editable '.[lab]'
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@$(PIP) --group docs
	@touch $@

$(TEST_STAMP): $(STAMP) pyproject.toml js/package-lock.json .ci/install .ci/install-programs tests/programs.txt
	@echo "Installing what the tests need (a few minutes, once) ..."
	@./.ci/install $(BIN)
	@touch $@

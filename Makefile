# Every target sets up .venv by itself, from the hash-pinned requirements, once.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help .venv demo test check bench crash attack soak lock

BIN := .venv/bin
READY := .venv/.ready
UV ?= uv
COMPILE = $(UV) pip compile --quiet --generate-hashes --universal --python-version 3.11 \
  --no-emit-index-url --no-emit-find-links --no-header
KEEP ?=
BIND ?=
ARGS ?=

help:
	@echo "make demo [KEEP=1] [BIND=1] | test [ARGS=...] | check | bench | crash | attack | soak | lock | .venv"

.venv: $(READY)

$(READY): requirements/dev.txt pyproject.toml
	@set -euo pipefail; \
	for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	  python=; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Amends needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python" >&2; \
	  exit 2; \
	fi; \
	echo "setting up .venv with $$("$$python" --version) (once)"; \
	"$$python" -m venv --clear .venv; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --requirement requirements/dev.txt; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable .; \
	touch $(READY)

demo: $(READY)
	@KEEP="$(KEEP)" BIND="$(BIND)" $(BIN)/python -m starter.demo

# Two processes, each with servers of its own; a file's tests stay together, and the files in the
# order of tests/conftest.py.
test: $(READY)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(READY)
	@$(BIN)/python -m benchmarks $(ARGS)

# Stops workers at every place of every saga; the last line is `N points, M laws broken`.
crash: $(READY)
	@$(BIN)/python -m tests.crash $(ARGS)

# 5,000 payments in trouble, with workers killed; within 10 minutes.
soak: $(READY)
	@$(BIN)/python -m tests.soak $(ARGS)

# Kills, races and attacks in SQL, and laws that SQL alone checks; the last line is
# `N rounds, N attacks, M laws broken`. About 10 minutes. ARGS=--mutations: workers without a rule.
attack: $(READY)
	@$(BIN)/python -m tests.attack $(ARGS)

# Needs uv (https://docs.astral.sh/uv/). The files carry hashes and no download address.
lock:
	@$(COMPILE) pyproject.toml --output-file requirements/run.txt
	@$(COMPILE) --group build --output-file requirements/build.txt
	@$(COMPILE) --group dbos --output-file requirements/dbos.txt
	@$(COMPILE) pyproject.toml --group dev --constraints requirements/run.txt \
	  --output-file requirements/dev.txt

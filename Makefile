# `make run` starts everything; `make test` tests everything. Both install what they need.
PYTHON ?= python3
SEEDS ?= 200
BIN := .venv/bin
INSTALLED := .venv/installed

ifdef FEED
export SIDECAR_PAPER_FEED := $(FEED)
endif
ifdef SPEED
export SIDECAR_PAPER_SPEED := $(SPEED)
endif

.PHONY: help run setup test check format simulate bench clean

help:
	@echo "make run        start everything (FEED=capture SPEED=200 to play a recording)"
	@echo "make setup      install, and make keys and tokens"
	@echo "make test       all tests"
	@echo "make check      formatting, lint, types"
	@echo "make simulate   the whole system through SEEDS bad days (SEEDS=$(SEEDS))"
	@echo "make bench      measure, and write run/bench.json"
	@echo "make clean      remove what was installed; run/ and var/ stay"

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(INSTALLED)

setup: $(INSTALLED)
	@$(BIN)/sidecar setup

run: setup
	@$(BIN)/sidecar preflight
	@echo "status   http://127.0.0.1:7600/"
	@echo "api      http://127.0.0.1:7601/v1/status   Authorization: Bearer \$$(cat var/paper/token.read)"
	@echo "page     $$($(BIN)/sidecar page)   (signs in once, for 10 minutes)"
	@echo "topics   $(BIN)/sidecar tap 'book.'"
	@exec $(BIN)/honcho start

test: setup
	$(BIN)/python -m tests.parts

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

simulate: $(INSTALLED)
	$(BIN)/python -m pytest -q tests/simulation --seeds $(SEEDS)

bench: setup
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis *.egg-info

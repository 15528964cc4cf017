# Thin on purpose: each target is a command or two that you could type yourself. `make` alone prints help.

PYTHON ?= python3
UV ?= uv
BIN := .venv/bin
# Test files at once, also on two cores: half of their time they wait for a server.
JOBS ?= 4
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-input --quiet
COMPILE := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check bench bench-peers soak client docs dist schema locks clean

help: ## print this help
	@echo "Headrace: money-movement workflows on one machine. Paying twice and losing a run never happen."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/stamp-run ## make .venv with what Headrace needs to run; then .venv/bin/headrace works
	@echo ".venv is ready: .venv/bin/headrace --help"

demo: .venv/stamp-run ## watch workflows move money through a kill and a restart (EXIT=1: stop at the end)
	$(BIN)/headrace demo $(if $(EXIT),--exit)

test: .venv/stamp-dev ## run every test this machine can run, and name those it cannot
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/stamp-dev ## lint, format, types, the direction of imports, the Dockerfile
	@status=0; export PYRIGHT_PYTHON_IGNORE_WARNINGS=1; \
	for command in "ruff check ." "ruff format --check ." pyright "lint-imports --no-cache" \
	  "mypy --strict packages/client/src" "hadolint Dockerfile"; do \
	  echo "$$command"; $(BIN)/$$command || status=1; \
	done; exit $$status

bench: .venv/stamp-run ## measure throughput against its floors (QUICK=1: under a minute)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS)

bench-peers: .venv/stamp-run ## measure it beside DBOS, procrastinate, Restate and Temporal (needs npm and PostgreSQL)
	$(BIN)/python -m bench.peers --setup
	$(BIN)/python -m bench.peers $(ARGS)

soak: .venv/stamp-dev ## the crash tests at full size: 200 instances of each example under each fault
	$(BIN)/python -m tests.crash.soak $(ARGS)

dist: .venv/stamp-run ## build both packages, install them into an empty environment and run the demo there
	.ci/dist

client: .venv/stamp-dev ## write the client's sync side anew from its async one, after a change of the latter
	$(BIN)/python packages/client/tools/sync_side.py

schema: .venv/stamp-run ## write the JSON Schema and the client's types, after a change of a stage or an activity
	$(BIN)/python -m tests.support.schema_file
	$(BIN)/python -m tests.support.stage_types
	$(BIN)/python -m tests.support.activity_types

docs: .venv/stamp-dev ## write the generated pages and build the site in docs/out; a dead link fails it
	$(BIN)/python -m docs.generator
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/out
	@echo "The documentation is in docs/out/index.html"

locks: ## compile requirements/*.in into hashed locks (by hand only; needs uv)
	@$(UV) --version >/dev/null 2>&1 || { echo "make locks needs uv: python3 -m pip install uv" >&2; exit 1; }
	$(COMPILE) requirements/run.in -o requirements/run.txt
	$(COMPILE) requirements/dev.in -o requirements/dev.txt

clean: ## remove .venv, caches and build output
	rm -rf .venv build dist docs/out .pytest_cache .ruff_cache .hypothesis .import_linter_cache .mypy_cache
	find src packages tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Hashed locks first, then our two packages with nothing resolved and nothing fetched (docs/decisions/0004).
.venv/stamp-run: requirements/run.txt pyproject.toml packages/client/pyproject.toml
	@command -v git >/dev/null || { echo "git is missing. On Debian: apt-get install git" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing. On Debian: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), Headrace needs 3.11 or later: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/pip || { echo "Making .venv"; $(PYTHON) -m venv .venv; }
	@echo "Installing what Headrace needs to run"
	@$(PIP_INSTALL) --require-hashes -r requirements/run.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e packages/client -e .
	@touch $@

.venv/stamp-dev: .venv/stamp-run requirements/dev.txt
	@echo "Installing what the tests and checks need"
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

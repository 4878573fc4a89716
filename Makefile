# One command each. Every target sets up what it needs in .venv by itself, from requirements/*.txt (pinned, with hashes).
# PYTHON=/path/to/python chooses the interpreter (3.11 or newer); ARGS="..." is passed on to pytest or to the benchmark.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
# Two pips in one .venv would trip over each other.
.NOTPARALLEL:
.PHONY: help demo test check format bench soak lock clean

PYTHON ?=
ARGS ?=
SETUP = .venv/setup
BIN = .venv/bin
# Each file of tests is one worker's. With more workers than this the tests that kill processes would starve each other.
WORKERS = --numprocesses=auto --maxprocesses=4 --dist=loadfile
INSTALL = $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check

help:  ## Show the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: $(SETUP)/runtime  ## Run the demo: a workflow survives the death of its server
	@$(BIN)/python -m sidestep.cli.demo

test: $(SETUP)/dev  ## Run all tests that need no editor (ARGS="-k journal" picks some)
	@$(BIN)/python -m pytest --no-header $(WORKERS) $(ARGS)

check: $(SETUP)/dev  ## Check format, lint, types and the direction of imports
	@$(BIN)/python -m ruff format --check --quiet .
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m basedpyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports --no-logo --no-cache

format: $(SETUP)/dev  ## Format the code and mend what ruff can mend
	@$(BIN)/python -m ruff check --fix --quiet . || true
	@$(BIN)/python -m ruff format --quiet .

bench: $(SETUP)/dev  ## Run the benchmarks (ratios, measured side by side)
	@$(BIN)/python -m tests.bench $(ARGS)

soak: $(SETUP)/dev  ## Run the long tests (minutes)
	@$(BIN)/python -m pytest --no-header -m soak --timeout=1800 $(ARGS) || [ $$? -eq 5 ]

# The hashes must be the public registry's: a mirror or a folder of wheels set up on this machine is left out.
PIP_COMPILE = env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/python -m piptools compile --quiet --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options $(ARGS)

lock: $(SETUP)/dev  ## Write requirements/*.txt again (ARGS=--upgrade takes new releases; use Python 3.11)
	@$(PIP_COMPILE) --output-file requirements/runtime.txt pyproject.toml requirements/build.in
	@$(PIP_COMPILE) --output-file requirements/dev.txt --constraint requirements/runtime.txt \
		pyproject.toml requirements/build.in requirements/dev.in

clean:  ## Remove .venv and every cache
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find server protocol tests -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- Set-up. The files in .venv/setup are stamps: what they stand for is done when they exist.

$(SETUP)/runtime: $(SETUP)/venv requirements/runtime.txt pyproject.toml
	@echo 'Installing the pinned requirements into .venv ...' >&2
	@$(INSTALL) --require-hashes -r requirements/runtime.txt
	@$(INSTALL) --no-build-isolation --no-deps -e .
	@touch $@

# dev.txt holds all of runtime.txt at the same versions (tests/unit/test_project.py), so it stands for both stamps.
$(SETUP)/dev: $(SETUP)/venv requirements/dev.txt pyproject.toml
	@echo 'Installing the pinned requirements for development into .venv ...' >&2
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL) --no-build-isolation --no-deps -e .
	@touch $(SETUP)/runtime $@

# A python3 that is new enough is taken; else a newer one beside it. Debian keeps venv's pip in a package of its own.
$(SETUP)/venv:
	@fits() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
	python='$(PYTHON)'; \
	if [ -n "$$python" ]; then \
		fits "$$python" || { echo "PYTHON=$$python is not a Python 3.11 or newer." >&2; exit 1; }; \
	else \
		for candidate in python3 python3.13 python3.12 python3.11; do \
			if fits "$$candidate"; then python=$$candidate; break; fi; \
		done; \
	fi; \
	if [ -z "$$python" ]; then \
		echo 'Sidestep needs Python 3.11 or newer, and there is none on PATH.' >&2; \
		echo 'On Debian 12 or newer: apt install python3 python3-venv' >&2; \
		echo 'If it is somewhere else: make PYTHON=/path/to/python3.11 ...' >&2; \
		exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		case "$$python" in \
			python3 | */python3) package=python3-venv ;; \
			*) package=$$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])') ;; \
		esac; \
		echo "$$python cannot make a virtual environment: its venv module is missing or has no pip." >&2; \
		echo "On Debian: apt install $$package" >&2; \
		exit 1; \
	fi; \
	rm -rf .venv && "$$python" -m venv .venv && mkdir -p $(SETUP) && touch $@

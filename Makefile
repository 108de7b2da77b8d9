# Two commands on a fresh machine: `make edit`, which edits a photograph with the embedded model, and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := PIP_USER=0 $(BIN)/python -m pip --disable-pip-version-check -qq

# from the oldest that the code runs on to the newest that the PyTorch of constraints.txt was built for
RIGHT_PYTHON := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))

PHOTO ?= examples/photos/roman-colosseum.jpg
INSTRUCTION ?= make it night
export PHOTO INSTRUCTION # the shell reads them from its environment, so that quotes and spaces in them stay as they are

# threads that wait asleep: on a busy machine the others get on the sooner
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help install system edit test check docs clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv with everything that editing, training, measuring and testing need

# the commands of an environment name its folder; where the clone was moved or copied, they would run nothing or the old clone
AT_HOME := grep -qsF "$$(cd $(VENV) && pwd -P)/bin/" $(BIN)/pip
ifneq ($(shell test ! -e $(INSTALLED) || $(AT_HOME) || echo moved),)
.PHONY: $(INSTALLED)
endif

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c '$(RIGHT_PYTHON)' \
		|| { echo "Python 3.11, 3.12, 3.13 or 3.14 is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@{ $(AT_HOME) && $(BIN)/python -c 'import pip; $(RIGHT_PYTHON)'; } 2>/dev/null \
		|| { echo "Making $(VENV)"; $(PYTHON) -m venv --clear $(VENV) \
		|| { rm -rf $(VENV); echo "Python cannot make environments here; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }; }
	@echo "Installing PyTorch, then the rest; this takes some minutes once"
	@$(PIP) install "$$(grep '^torch==' constraints.txt)"
	@$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

system: ## install the browser that a few tests use, where that is possible without asking
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing Chromium for the browser tests"; \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium chromium-driver; } >/dev/null \
			|| echo "Chromium could not be installed: the browser tests are skipped"; \
	else \
		echo "No Chromium here: the browser tests are skipped (Debian and Ubuntu: apt-get install chromium chromium-driver)"; \
	fi

edit: $(INSTALLED) ## edit an example: make edit PHOTO=picture.jpg INSTRUCTION="make it night"
	@mkdir -p out/edit
	@name="$${PHOTO##*/}"; name="out/edit/$${name%.*}"; \
	$(BIN)/step1x edit "$$PHOTO" "$$INSTRUCTION" --overwrite --out "$$name-edited.png" --compare "$$name-before-after.png" \
		&& echo "The edited picture is $$name-edited.png; $$name-before-after.png shows both."

test: $(INSTALLED) system ## run all tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(INSTALLED) ## style, types, layers, and whether the generated pages are up to date
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_architecture.py tests/cli/test_docs.py

docs: $(INSTALLED) ## write the generated pages anew
	@$(BIN)/typer step1x_edit.cli.main utils docs --name step1x --title "The command step1x" --output docs/cli.md

clean: ## remove what was made, but not what was trained or edited
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Everything runs in .venv, which each target makes and fills as needed: only Python 3.10 to 3.13 and make must be there.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint types sync clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: sync  ## Train, export, predict and bench on MNIST; everything lands in demo/
	$(BIN)/liteport demo --out demo --force

test: sync  ## Run the tests
	$(BIN)/python -m pytest

lint: sync  ## Check style, formatting and which package may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache

types: sync  ## Check types, strictly
	$(BIN)/mypy

sync: $(INSTALLED)  ## Make new source files known to the editable installation
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
		--config-settings editable_mode=strict -e .

# Strict editable mode gives the checkers a real liteport/ folder of links, which is why new files need a sync.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --upgrade pip setuptools
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation \
		--config-settings editable_mode=strict -e ".[dev]"
	touch $(INSTALLED)

clean:  ## Remove the environment, caches and what was built
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

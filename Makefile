# Everything runs in .venv, which each target makes and fills as needed: only Python 3.10 to 3.13 and make must be there.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed
WORKERS ?= 2
BUNDLE ?= demo/bundle
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help demo test docs tutorial readme release examples tools test-arm test-arm-quick measure measure-bench measure-web lint types sync clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: sync  ## Train, export, predict and bench on MNIST; everything lands in demo/
	$(BIN)/liteport demo --out demo --force

test: sync  ## Run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Without --quiet: with it MkDocs counts no warnings, and so no build is strict.
docs: sync  ## Build the documentation's pages, strictly: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

tutorial: sync  ## Run the notebook docs/tutorial.md, and keep its outputs for the documentation: some five minutes
	$(BIN)/python docs/site/tutorial.py

readme: demo  ## Measure the demo, and write its figures, plot and report's picture into README.md
	$(BIN)/python docs/site/readme.py

release: lint types docs test  ## Check all that a release needs, and say what is left to do by hand
	rm -rf build/dist build/try
	$(BIN)/python -m build --quiet --outdir build/dist
	rm -rf liteport.egg-info # Python would take it for an installation, in this folder
	$(BIN)/python -m twine check --strict build/dist/*
	grep -q "^## $(VERSION) " CHANGELOG.md || { echo "CHANGELOG.md has no section '## $(VERSION) - DATE'"; exit 1; }
	grep -q "^version: $(VERSION)$$" CITATION.cff || { echo "CITATION.cff is not of version $(VERSION)"; exit 1; }
	$(PYTHON) -m venv build/try
	build/try/bin/pip install -q --disable-pip-version-check "$$(ls build/dist/*.whl)[image]"
	test "$$(build/try/bin/liteport --version)" = $(VERSION)
	build/try/bin/liteport predict examples/tiny examples/digits/7.png
	@git diff --quiet HEAD || { echo "the checkout has changes that are not committed"; exit 1; }
	@echo "left: git tag v$(VERSION) && git push --tags; $(BIN)/python -m twine upload build/dist/*"

examples: sync  ## Train and export the bundles in examples/ anew: some ten minutes
	for design in fast tiny; do \
		$(BIN)/liteport train --data mnist --design $$design --out build/examples/$$design --force && \
		$(BIN)/liteport export build/examples/$$design --out examples/$$design --force \
			--format tflite-float32 --format tflite-int8 --format onnx-int8 || exit 1; \
	done

tools:  ## Install what some tests need of Debian and are skipped without: a browser and an SSH server (as root)
	@for program in chromium sshd; do PATH="$$PATH:/usr/sbin" command -v $$program > /dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium openssh-server; fi

test-arm: sync  ## Run the runtime's tests on emulated 64-bit and 32-bit Arm, and compare predictions with this machine's
	$(BIN)/python tests/arm/build.py --for-tests aarch64 armv7l
	$(BIN)/python -m pytest tests/arm --arm aarch64 --arm armv7l

test-arm-quick: sync  ## Compare int8 predictions on emulated 64-bit Arm with this machine's
	$(BIN)/python tests/arm/build.py aarch64
	$(BIN)/python -m pytest tests/arm --arm aarch64 -k "markers or (int8 and not onnx)"

measure: sync  ## Measure the runtime beside bare engines, on the demo's bundle or on BUNDLE=…
	$(BIN)/python tests/measure/runtime.py $(BUNDLE)

measure-bench: sync  ## Measure the benchmark itself: false alarms, planted slowdowns, agreement with bare loops, time
	$(BIN)/python tests/measure/benchmarks.py $(BUNDLE)

measure-web: sync  ## Measure how soon the page in the browser gives its first answer, and what it weighs
	$(BIN)/python tests/measure/web.py $(BUNDLE)

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
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps pnnx
	touch $(INSTALLED)

clean:  ## Remove the environment, caches and what was built
	rm -rf .venv .arm build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

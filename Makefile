# Needs Python 3.11 to 3.14, make and git. Everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
DATA ?=
RECIPE ?= fast
OUT ?=

.DEFAULT_GOAL := help
.PHONY: help setup train test test-fast lint docs lock wheel sbom advisories clean

help:
	@echo "make train       set up, then train a classifier from scratch and evaluate it"
	@echo "                 (DATA=photos.zip or a folder, RECIPE=fast, classic or best, OUT=runs/mine)"
	@echo "make test        set up, then run every check and test"
	@echo "make test-fast   only the tests that are quick and need no browser and no Ray cluster"
	@echo "make setup       prepare .venv with everything a developer needs"
	@echo "make lint        check formatting, lint, types and import rules"
	@echo "make docs        write docs/cli.md and docs/glossary.md again from the code"
	@echo "make lock        write the locked, hashed requirement files again"
	@echo "make sbom        build the wheel, and list what it can bring along, as CycloneDX"
	@echo "make advisories  compare the locked packages with published advisories (needs the network)"
	@echo "make clean       remove .venv and tool caches (never runs or photos)"

setup: .venv/ready

.venv/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) requirements/check_python.py
	@echo "Setting up, only this once. Step 1 of 3: a virtual environment in .venv"
	$(PYTHON) -m venv .venv
	@echo "Step 2 of 3: download and install the $$(grep -c '==' requirements/dev.txt) packages that requirements/dev.txt locks, 3 GB on disk."
	@echo "This takes two minutes or more, and prints nothing until it is done."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements/dev.txt
	@echo "Step 3 of 3: make the command .venv/bin/dogvscat"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

train: setup
	@$(BIN)/dogvscat train --recipe "$(RECIPE)" $(if $(DATA),"$(DATA)") $(if $(OUT),--out "$(OUT)")

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-fast: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not browser and not ray"

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python docs/write_cli.py
	$(BIN)/python docs/write_glossary.py

lock: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/lock.sh

wheel: setup
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build -t wheel -d dist

sbom: wheel
	$(BIN)/python requirements/sbom.py dist/*.whl

advisories: setup
	$(BIN)/uv tool run pip-audit --disable-pip --require-hashes --requirement requirements/dev.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

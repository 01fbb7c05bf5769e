# make demo: set everything up and run the paper on the embedded laboratory.   make test: the whole test suite.
# Needs Python >= 3.11, make and a package registry; everything goes into .venv/.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two workers with one thread each: on two cores, more threads only get in each other's way.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

.PHONY: demo test numerics lint types docs clean
.DEFAULT_GOAL := demo

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "headprint needs Python 3.11, 3.12 or 3.13"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# The whole paper on the embedded laboratory: fine-tuning, patterns, every table and figure, a report. Three to six minutes
# on two cores. After an interruption the same command continues.
demo: $(READY)
	$(BIN)/headprint study --out runs/demo
	@echo 'Next: open runs/demo/report.html. To run headprint yourself: source $(BIN)/activate, then headprint --help'

test: $(READY)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal

# The numeric tests as other processors would compute them: 16 runs of about three minutes.
numerics: $(READY)
	$(BIN)/python tests/numerics.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/record.py --check
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

clean:
	rm -rf $(VENV) docs/_build .pytest_cache .mypy_cache .ruff_cache

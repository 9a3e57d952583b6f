# Two commands matter: make demo, make test. Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench reference chaos year clean
.DEFAULT_GOAL := test

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed
	@$(BIN)/guard demo

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

CORE := guard/errors.py,guard/units.py,guard/finding.py,guard/assess.py,guard/agenda.py,guard/estate/*,guard/mechanics/*,guard/checks/*,guard/outcomes/*,guard/policy/*,guard/decision/*,guard/views/*

# pytest's closing line stays the last one: the coverage gate of the pure core speaks only when it fails
test: lint
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	@$(BIN)/coverage report --include='$(CORE)' >.coverage-core.txt || { cat .coverage-core.txt; exit 1; }

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/plan_10k.py

# what is made from the code: the sample policy and the reference of the codes
reference: $(VENV)/.installed-dev
	$(BIN)/python -m tests.views.reference

# random nights and crash points: make chaos CRASHES=20000 SEED=1
CRASHES ?= 1000
SEED ?= 1
chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos.chaos $(CRASHES) $(SEED)

# simulated years, a week of each at a time: make year YEARS=5 SEED=1
YEARS ?= 1
year: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos.year $(YEARS) $(SEED)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .coverage*

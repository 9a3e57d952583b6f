# Two commands matter: make demo, make test. Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench reference chaos year fuzz audit dist install uninstall clean
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

# one worker for each core; pytest's closing line stays the last one: the coverage gate of the pure core (pyproject.toml says
# what that is) speaks only when it fails
WORKERS ?= auto
test: lint
	@$(BIN)/coverage erase
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder --cov --cov-report= --cov-fail-under=0
	@$(BIN)/coverage report >.coverage-core.txt || { cat .coverage-core.txt; exit 1; }

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/plan_10k.py
	$(BIN)/python benchmarks/coverage_10k.py
	PYTHONPATH=. $(BIN)/python benchmarks/metrics.py

# what is made from the code: the sample policy, the references of policy and codes, man pages, completion
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

# hostile inputs at the four boundaries: make fuzz SECONDS=600 SEED=1
SECONDS ?= 600
fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz.fuzz $(SECONDS) $(SEED)

# known vulnerabilities of what is installed with guard; --strict, or what could not be asked about would pass as fine
audit: $(VENV)/.installed-dev
	$(BIN)/pip check
	$(BIN)/ruff check --select S guard
	@$(BIN)/python -m tests.audit >.audit-requirements.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement .audit-requirements.txt

# a wheel and an sdist in dist/
dist: $(VENV)/.installed-dev
	$(BIN)/python -m build --no-isolation

# guard on this machine, and away again: sudo make install, sudo make uninstall; config/install.sh tells of DESTDIR, PREFIX,
# VENV, UNITDIR, EXTRAS, PURGE and FORCE, which may be given to make
export DESTDIR PREFIX UNITDIR PYTHON EXTRAS PURGE FORCE
install uninstall: export VENV := /opt/guard
install:
	@sh config/install.sh install '$(CURDIR)'
uninstall:
	@sh config/install.sh uninstall

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .coverage* .audit-requirements.txt

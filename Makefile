# Every target works on a bare checkout: it makes its own .venv when there is none, and brings it up to date
# when pyproject.toml has changed. Python 3.11 with pip is enough; uv is used where it is installed.
#   make PYTHON=python3.12 …   the interpreter of a new .venv
#   make UV= …                 do without uv

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_PYTHON_VERSION_WARNING = 1
export PIP_USER = 0
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

BIN = .venv/bin
STAMPS = .venv/stamps
DEMO_FLAGS =
TEST_FLAGS =
BENCH_FLAGS =

# A uv that does not know dependency groups is passed over.
ifeq ($(origin UV),undefined)
UV := $(shell uv pip install --help 2>/dev/null | grep -q -e --group && command -v uv)
endif
ifeq ($(strip $(UV)),)
INSTALL = $(BIN)/python -m pip install -qq
INSTALLER = $(STAMPS)/pip
else
INSTALL = "$(UV)" pip install --quiet --python $(BIN)/python
INSTALLER = $(STAMPS)/python
endif

CANDIDATES = $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3 python)
SUITABLE = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
RECENT_PIP = import sys; from importlib.metadata import version as v; \
  sys.exit([int(n) for n in v("pip").split(".")[:2]] < [25, 1])

.PHONY: help demo test browser lint bench docs clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help: ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1	\2/p' Makefile

demo: $(STAMPS)/package ## run the embedded agent on real bugs; again: shows the stored run (DEMO_FLAGS)
	@$(BIN)/tts demo -o runs/demo $(DEMO_FLAGS)

test: $(STAMPS)/test ## run the tests (TEST_FLAGS)
	@$(BIN)/python -m pytest -q -n auto --dist worksteal $(TEST_FLAGS)

browser: $(STAMPS)/browser ## run the tests of the page in Chromium, which must be installed
	@TTS_THOROUGH=1 $(BIN)/python -m pytest -q -ra tests/test_page.py

lint: $(STAMPS)/test $(STAMPS)/lint ## ruff, mypy, pyright and import-linter
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: $(STAMPS)/test ## run every benchmark in full; results are kept in benchmarks/results (BENCH_FLAGS)
	@$(BIN)/python -m benchmarks $(BENCH_FLAGS)

docs: $(STAMPS)/docs ## build the site into site/; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean: ## remove .venv, builds and caches; runs/ stays
	@rm -rf .venv build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A .venv that is there already is kept if it works.
$(STAMPS)/python:
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Making .venv"; \
	  if [ -n "$(strip $(UV))" ]; then \
	    "$(UV)" venv --quiet --clear --python "$(if $(PYTHON),$(PYTHON),>=3.11)" .venv; \
	  else \
	    for python in $(CANDIDATES) ""; do \
	      if [ -z "$$python" ]; then \
	        echo "No Python of at least 3.11 with venv and ensurepip was found;" \
	          "name one: make PYTHON=/path/to/python3" >&2; exit 1; \
	      fi; \
	      if "$$python" -c '$(SUITABLE)' 2>/dev/null; then break; fi; \
	    done; \
	    "$$python" -m venv --clear .venv; \
	  fi; }
	@mkdir -p $(STAMPS)
	@touch $@

# Dependency groups need pip 25.1; a .venv that uv made has no pip.
$(STAMPS)/pip: $(STAMPS)/python
	@$(BIN)/python -c '$(RECENT_PIP)' 2>/dev/null || { \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
	  $(BIN)/python -m pip install -qq --upgrade 'pip>=25.1'; }
	@touch $@

$(STAMPS)/package: pyproject.toml $(INSTALLER)
	@echo "Installing tts into .venv"
	@$(INSTALL) -e .
	@touch $@

$(STAMPS)/test $(STAMPS)/lint $(STAMPS)/docs $(STAMPS)/browser: $(STAMPS)/%: pyproject.toml $(STAMPS)/package
	@echo "Installing the dependency group $* into .venv"
	@$(INSTALL) --group $*
	@touch $@

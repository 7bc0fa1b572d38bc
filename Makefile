# Every target works from a bare checkout: the environment is built first where it is missing or out of date.
#   make demo       train, evaluate and report a small UniMo (runs/quickstart/report.html)
#   make test       all tests, in two processes (TEST_PROCESSES); PYTEST_ARGS="-m 'not slow'" leaves the slow ones out
#   make fuzz       the fuzzing tests of the readers with FUZZ_EXAMPLES (1000) new examples of each kind of file
#   make quality    ruff, mypy, and workflows and citation file against their schemas
#   make docs       the documentation as a site (site/); a broken link or reference, or an outdated table, is an error
#   make results    write the tables of README.md and docs/ anew from docs/results/*.json
#   make bench      every step timed against the published way and the machine's limits (runs/benchmarks); BENCH_ARGS=--quick
#                   PUBLISHED=dir with checkouts of HumanML3D and T2M-GPT times their own code too
#   make gpu-check  ten minutes on a GPU: training steps, sampling, rewards and benchmarks to one JSON (runs/gpu_check)
# PYTHON=/path/to/python picks the interpreter, VENV=dir the environment.

VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.unimo-installed
DOCS_STAMP := $(VENV)/.unimo-docs-installed
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2
OUTPUT ?= runs/quickstart
QUICKSTART_ARGS ?=
BENCH_ARGS ?=
FUZZ_EXAMPLES ?= 1000
PUBLISHED ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test fuzz quality docs results format bench gpu-check clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

install: $(STAMP)

# The versions in constraints.txt were tested on 3.11, so it comes first; any Python from 3.10 that can make an
# environment will do. Trying the interpreter is the only sure test: a version manager's shim may exist and not run.
$(PY):
	@set -e; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3 python3.12 python3.13 python3.10); do \
	    if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
	        echo "Building $(VENV) with $$("$$candidate" --version) ($$candidate)"; \
	        "$$candidate" -m venv "$(VENV)"; exit 0; \
	    fi; \
	done; \
	echo "No Python >= 3.10 with venv and ensurepip was found; install one or pass PYTHON=/path/to/python" >&2; exit 1

$(STAMP): setup.cfg pyproject.toml constraints.txt | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,quality,video]'
	@touch $@

demo: $(STAMP)
	$(PY) -m train.quickstart --output $(OUTPUT) $(QUICKSTART_ARGS)

# The tests start Python some hundred times: what one process has compiled the next ones find.
test: $(STAMP)
	PYTHONDONTWRITEBYTECODE= $(PY) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

fuzz: $(STAMP)
	UNIMO_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(PY) -m pytest tests/data/test_fuzz.py

quality: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(PY) -m check_jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

$(DOCS_STAMP): $(STAMP)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(DOCS_STAMP)
	$(PY) -m benchmarks.results_tables --check
	$(PY) -m mkdocs build --strict

results: $(STAMP)
	$(PY) -m benchmarks.results_tables

format: $(STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(STAMP)
	$(PY) -m benchmarks.run $(if $(wildcard $(OUTPUT)/unimo),--run $(OUTPUT)) $(if $(PUBLISHED),--published $(PUBLISHED)) $(BENCH_ARGS)

gpu-check: $(STAMP)
	$(PY) -m benchmarks.gpu_check --output runs/gpu_check

clean:
	rm -rf build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

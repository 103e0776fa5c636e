# Each goal first builds .venv from the pins in constraints.txt, when there is none or they changed.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NEWER := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(NEWER)' 2>/dev/null && echo "$$p" && break; done)
WORKSPACE ?= demo
PYTEST_ARGS ?= -n 2 --dist worksteal --durations=40 --durations-min=5
BENCH_ARGS ?=

.PHONY: help venv demo test lint types bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    the whole path in the embedded world, results in $(WORKSPACE)/"
	@echo "make test    the tests          make lint    ruff"
	@echo "make types   mypy, strict       make bench   the benchmark of benchmarks/embedded.py"
	@echo "             (the other benchmarks: $(BIN)/python benchmarks/NAME.py --help)"
	@echo "make clean   remove $(VENV), caches and demo/"

demo: $(READY)
	$(BIN)/invdpo demo --workspace $(WORKSPACE)

# Two workers with a thread each: with more threads than cores torch is slower by far. Each begins
# with half of the files, so that most fixtures are made once.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/embedded.py $(BENCH_ARGS)

venv: $(READY)

# Python compiles each file when it is first imported: all 22,000 at once would take minutes.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(NEWER)' || { \
		echo "invdpo needs Python 3.11 or newer. Name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@echo "Setting up $(VENV): some minutes and about 6 GB, once." >&2
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
	rm -rf demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two commands do everything on a fresh machine with Python 3.11 or later: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SECONDS ?=

.PHONY: help demo test check unit soak fuzz fuzz-install bench interop-install grades clean

help:
	@echo "make demo [SECONDS=20]   two simulated machines, OPC UA and Sparkplug, run by the same app"
	@echo "make test                everything that must hold (make check, then the tests)"
	@echo "make check               format, lint, types and import contracts"
	@echo "make bench               measure, each figure beside a peer's"
	@echo "make soak                the slow tests"
	@echo "make fuzz                search for answers and messages that break an adapter (installs atheris)"
	@echo "make grades              grade the adapters anew, after a change of their sources"
	@echo "make interop-install     node packages for tests/interop (needs node and npm)"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "DTI-OS needs Python 3.11 or later: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

demo: $(READY)
	@$(BIN)/python -m dtios_packml.demo $(if $(SECONDS),--seconds $(SECONDS))

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest -m "not slow" -n 3 --dist loadscope --no-loadscope-reorder

soak: $(READY)
	$(BIN)/pytest -m slow -n 2

fuzz-install: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,fuzz]' -c constraints.txt

fuzz: fuzz-install
	$(BIN)/pytest -rP tests/fuzz

bench: $(READY)
	$(BIN)/python -m benchmarks

grades: $(READY)
	for name in mqtt opcua; do $(BIN)/dtios adapters grade $$name --at-least gold --output adapters/dtios_$$name/grade.json || exit 1; done

interop-install:
	cd tests/interop && npm ci --no-audit --no-fund

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache

# Two commands do everything from a fresh clone: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-clis lint bench soak fuzz package picture format clean

demo: $(VENV)/installed .system-demo
	$(BIN)/agentmesh demo

# Four at a time, even on two cores: most tests wait most of the time. In the order of tests/conftest.py, not by the
# number of each file's tests: those with the fewest take the longest, and would come last.
test: $(VENV)/installed .system-test
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test-clis: $(VENV)/installed .system-test
	$(BIN)/python -m pytest tests/clis -m clis

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed .system-test .system-bench
	$(BIN)/python -m tests.bench

soak: $(VENV)/installed .system-test
	$(BIN)/python -m pytest -m soak tests/faults
	$(BIN)/python -m tests.faults.soak --messages 10000
	$(BIN)/python -m tests.faults.job_soak --jobs 1000

fuzz: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --constraint constraints.txt atheris
	$(BIN)/python -m tests.fuzz

package: $(VENV)/installed .system-test
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/python -m pytest -m 'installs or not installs' tests/e2e/test_package.py tests/e2e/test_installs.py

picture: $(VENV)/installed .system-demo
	$(BIN)/python -m tests.picture

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

.PHONY: .system-demo .system-test .system-bench
.system-demo:
	@.ci/system-packages tmux

.system-test:
	@.ci/system-packages tmux ssh sshd ssh-keygen mosquitto mosquitto_sub zsh fish ip npm systemd-analyze sshfs

.system-bench:
	@.ci/system-packages rsync

$(VENV)/installed: pyproject.toml constraints.txt .ci/make-venv
	.ci/make-venv $(VENV)

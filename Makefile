# Two commands for a newcomer: `make demo` and `make test`. Both set everything up by themselves.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE_SOURCES := $(wildcard indexer/kernel/*.cpp indexer/kernel/*.hpp indexer/kernel/CMakeLists.txt)

.PHONY: demo test check fmt proto bundle sample peers sanitize neon clean

demo: $(VENV)/runtime.stamp  ## index real logs and notes, and ask three questions
	$(BIN)/dejalog demo

test: check  ## everything that continuous integration runs
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

check: $(VENV)/dev.stamp  ## style, types, imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.typings $(BIN)/lint-imports --no-cache

fmt: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: $(VENV)/dev.stamp  ## make the committed stubs anew
	$(BIN)/python proto/generate.py

bundle: $(VENV)/dev.stamp  ## make the default model bundle anew (downloads the weights)
	$(BIN)/python training/make_default_bundle.py

peers:  ## what bench.build and bench.search compare with, in a venv of its own (6 GB)
	$(MAKE) VENV=.venv-peers .venv-peers/peers.stamp

# Reached with VENV=.venv-peers, so that dejalog itself is installed there by the same rules.
.venv-peers/peers.stamp: $(VENV)/runtime.stamp bench/peers-requirements.txt
	$(BIN)/python -m pip install --quiet --requirement bench/peers-requirements.txt
	@touch $@

HARNESS := build/harness
$(HARNESS)/cases: $(VENV)/runtime.stamp tests/parity/cases.py $(wildcard indexer/kernel/*.py)
	@mkdir -p $(@D)
	$(BIN)/python tests/parity/cases.py $@ 4

sanitize: $(HARNESS)/cases  ## the scoring kernels under AddressSanitizer and UBSan
	tests/parity/build_harness.sh $(HARNESS)/sanitized $${CXX:-c++} \
	  -fsanitize=address,undefined -fno-sanitize-recover=all
	$(HARNESS)/sanitized $(HARNESS)/cases

neon: $(HARNESS)/cases  ## the scoring kernels for aarch64, emulated
	@command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null || \
	  { echo "this needs a cross compiler and an emulator (Debian: apt install g++-aarch64-linux-gnu qemu-user)" >&2; exit 1; }
	tests/parity/build_harness.sh $(HARNESS)/aarch64 aarch64-linux-gnu-g++ -static
	qemu-aarch64 $(HARNESS)/aarch64 $(HARNESS)/cases

clean:
	rm -rf $(VENV) .venv-peers build dist demo-data

# The prerequisites are looked for before anything is downloaded, each with its own clear line.
$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "dejalog needs Python 3.11 or newer; '$(PYTHON)' is not (try: make PYTHON=python3.12)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "dejalog needs Python's venv module; install it (Debian: apt install python3-venv)" >&2; exit 1; }
	@command -v $${CXX:-c++} >/dev/null || \
	  { echo "dejalog needs a C++17 compiler for its native kernel; install one (Debian: apt install g++) or set CXX" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/runtime.stamp: $(VENV)/venv.stamp pyproject.toml $(NATIVE_SOURCES)
	$(BIN)/python -m pip install --quiet 'scikit-build-core>=1.0,<2' 'nanobind>=2.4,<4' 'cmake>=3.18' ninja
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp
	# Both in one call: the pinned grpcio-tools decides which protobuf and gRPC versions fit together.
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable . --group dev
	@touch $@

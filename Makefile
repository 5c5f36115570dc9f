# Everything one does with the checkout. Needs cargo, a C linker, make and python3 >= 3.11; the rest goes into .venv.
# `make` alone lists the targets; every target does first what it needs, and nothing that is done already.

PYTHON  ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
             $(if $(shell $(p) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(p))))
# `make PROFILE=quick …` builds faster and runs a little slower.
PROFILE ?= release

VENV    := $(CURDIR)/.venv
PY      := $(VENV)/bin/python
PYRIGHT := $(CURDIR)/.venv-pyright
ZIG     := $(CURDIR)/.venv-cross/.ready
STEP    := $(PY) tools/step.py
export PYO3_PYTHON := $(PY)
export PATH := $(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(VENV)
# A PYTHONPATH or a home from outside would bring other packages into the tests.
unexport PYTHONPATH PYTHONHOME

RUST    := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name 'Cargo.toml')
READY   := $(VENV)/.ready
BUILT   := $(VENV)/.built-$(PROFILE)
PURE    := -p tideloop-core -p tideloop-sys -p tideloop-load
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

# The extension lies beside the Python sources: when somebody took it away, the stamp does not count.
ifeq ($(wildcard python/tideloop/_native.*.so),)
  $(shell rm -f $(VENV)/.built-*)
endif

.PHONY: help
help: ## list what there is to make
	@echo "Tideloop: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: venv
venv: $(READY)
$(READY): tools/venv.py tests/requirements-dev.txt tests/requirements-test.txt tests/requirements-peers.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or later found: set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) tools/venv.py $(VENV) tests/requirements-dev.txt --optional tests/requirements-peers.txt
	@touch $@

.PHONY: build
build: $(BUILT) ## build the extension and install the package, editable, into .venv
$(BUILT): $(READY) $(RUST) pyproject.toml
	maturin develop --quiet --locked --profile $(PROFILE)
	@$(PY) -m compileall -q python
	@rm -f $(VENV)/.built-* && touch $@

.PHONY: demo
demo: build ## the main job: one aiohttp application on asyncio, uvloop and Tideloop, side by side
	$(PY) -m tideloop._demo

.PHONY: test
test: test-rust test-python ## our own tests of both languages (a few minutes, no root, no network)

.PHONY: test-rust
test-rust: $(READY)
ifeq ($(NEXTEST),yes)
	@$(STEP) rust-tests -- cargo nextest run --locked --no-fail-fast --no-tests=pass $(PURE)
	@$(STEP) rust-doctests -- cargo test --quiet --locked --doc $(PURE)
else
	@$(STEP) rust-tests -- cargo test --quiet --locked --no-fail-fast $(PURE)
endif

.PHONY: test-python
test-python: build
	@TIDELOOP_REQUIRED=1 $(STEP) python-tests -- $(PY) -m pytest -q -n auto --dist worksteal --durations=10

.PHONY: integration
integration: build ## real libraries against real servers, which it installs (Debian's packages; network)
	@$(PY) tools/real_libraries.py

.PHONY: test-all
test-all: $(if $(TESTED),build,test) $(ZIG) ## `test`, then foreign suites, other Pythons, wheels, libraries, loom, soak (TESTED=1: not `test`)
	@$(PY) tools/test_all.py

LINTS := rustfmt clippy ruff-check ruff-format mypy stubtest pyright
.PHONY: lint
lint: $(LINTS:%=lint-%) ## rustfmt, clippy, ruff, mypy, stubtest and pyright; nothing is changed (`make -k lint` shows all)

.PHONY: $(LINTS:%=lint-%)
lint-rustfmt: $(READY)
	@$(STEP) rustfmt -- cargo fmt --all --check
lint-clippy: $(READY)
	@$(STEP) clippy -- cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
lint-ruff-check: $(READY)
	@$(STEP) ruff-check -- ruff check
lint-ruff-format: $(READY)
	@$(STEP) ruff-format -- ruff format --check
lint-mypy: $(READY)
	@$(STEP) mypy -- mypy
lint-stubtest: build
	@$(STEP) stubtest -- $(PY) -m mypy.stubtest tideloop --mypy-config-file pyproject.toml --ignore-unused-allowlist \
		--allowlist tests/tidy/stubtest_allowlist.txt
# Each public name has a type that every type checker sees in the same way.
lint-pyright: build $(PYRIGHT)/bin/pyright
	@PYTHONPATH=python $(STEP) pyright -- $(PYRIGHT)/bin/pyright --pythonpath $(PY) --verifytypes tideloop --ignoreexternal
$(PYRIGHT)/bin/pyright: tests/requirements-pyright.txt tools/venv.py
	$(PYTHON) tools/venv.py $(PYRIGHT) tests/requirements-pyright.txt
	@touch $@

.PHONY: format
format: $(READY) ## rewrite the sources as the lints want them
	cargo fmt --all
	ruff format
	ruff check --fix

.PHONY: wheel
wheel: $(READY) ## a release wheel for this Python, in dist/
	maturin build --release --locked --interpreter $(PY) --out dist

.PHONY: wheels cross-check emulate
wheels: $(READY) $(ZIG) ## release wheels for manylinux and musllinux, x86-64 and arm64, Python 3.11 to 3.14, in dist/ (30 minutes)
	@$(PY) tools/cross.py wheels
cross-check: $(READY) ## does everything compile for arm64 Linux and macOS? (cargo check)
	@$(PY) tools/cross.py check
emulate: $(READY) $(ZIG) ## our tests on an arm64 wheel, emulated
	@$(PY) tools/cross.py arm64
# What links for other machines; see docs/decisions/0014-cross-building.md for the rest.
$(ZIG): tests/requirements-cross.txt tools/venv.py
	$(PYTHON) tools/venv.py $(@D) tests/requirements-cross.txt
	@touch $@

.PHONY: bench bench-threads
bench: build ## the table of README.md, by `tideloop bench` on an optimised Python (`tideloop bench --list` has more)
	$(PY) tools/bench.py
bench-threads: build ## the table of README.md about threads and what they share with tasks (benches/locks.py and others)
	$(PY) tools/bench_threads.py

.PHONY: instructions instructions-record
instructions: build ## instructions of micro workloads (valgrind), beside those that were recorded
	@$(STEP) instructions -- $(PY) tests/instructions compare
instructions-record: build ## record them: where one has grown, the commit says why (docs/decisions/0015)
	$(PY) tests/instructions record

.PHONY: flame-graphs
flame-graphs: $(READY) ## the pictures of docs/performance.md (perf, cargo, Python 3.13 or later; GRAPHS=wait_for: some)
	$(PY) tools/flame_graphs.py $(GRAPHS)

.PHONY: conformance
conformance: build ## CPython's own tests on asyncio, the peers and Tideloop; the scores go into README.md
	$(PY) tests/conformance/compare.py

.PHONY: clean
clean: ## remove whatever was built, the virtual environments too
	rm -rf target build dist .venv .venv-* python/tideloop/_native.*.so
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './target/*' -prune -exec rm -rf {} +

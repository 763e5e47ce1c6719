# haltere. `make demo` and `make test` set up what they need; everything else is one line that a person could type.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON      ?= $(shell command -v python3.11 || command -v python3)
BIN         := .venv/bin
NATIVE      := $(shell find sims/native deploy/native deploy/include)
PIP         := $(BIN)/python -m pip --disable-pip-version-check --no-input
# pip says a great deal; this shows what a person waits for.
PROGRESS    := bash .ci/progress

# A folder beside a source of its name, such as x/ and x.cpp, isn't a program to be built.
MAKEFLAGS += --no-builtin-rules

# One environment: two installs into it at once would trip over each other.
.NOTPARALLEL:
.PHONY: help demo test slow lint typing layers bench native wheel clean

help:     ## this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/.train .venv/.native     ## set up, then fly the zoo's swarm: video, export, timings and report.html
	$(BIN)/haltere demo

test: .venv/.dev .venv/.native       ## set up, then pass the tests
	$(BIN)/pytest

slow: .venv/.dev .venv/.native       ## the tests that take minutes
	$(BIN)/pytest -m slow

lint: .venv/.dev                     ## ruff, with the rules of pyproject.toml
	$(BIN)/ruff check .

# mypy can't follow an editable install's import hook, so it gets the package as links.
typing: .venv/.dev                   ## mypy --strict over the package
	mkdir -p build/typing/haltere && ln -sfnr agents configs deploy policies sims build/typing/haltere/
	MYPYPATH=build/typing $(BIN)/mypy -p haltere

layers: .venv/.dev                   ## who may import whom
	$(BIN)/lint-imports

bench: .venv/.train .venv/.native    ## every runtime side by side, then the simulator against bare MuJoCo
	$(BIN)/haltere bench swarm
	$(BIN)/haltere bench swarm --sim

native: .venv/.train .venv/.native   ## compile what changed under sims/native and deploy/native

wheel: .venv/.dev                    ## sdist, and a wheel built from it, in dist/
	$(BIN)/python -m build --outdir dist

clean:                               ## remove everything that was made here
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- set-up: each stamp says that the environment holds what its name promises -------------------------------------

.venv/.created:
	@bash .ci/tools $(PYTHON)
	@echo "haltere: creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@$(PIP) install --quiet --upgrade pip
	@touch $@

# What builds haltere stays in the environment, so that `make native` can build again without a new one each time. A
# library that CMake installs into a new folder is found only after the editable install has been made anew.
.venv/.build: pyproject.toml sims/native/CMakeLists.txt deploy/native/CMakeLists.txt .venv/.created
	@echo "haltere: installing what compiles"
	@$(PIP) install --quiet $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	@touch $@

.venv/.train: .venv/.build
	@echo "haltere: installing into .venv what trains and flies; the first time takes a few minutes"
	@$(PIP) install --no-build-isolation --editable '.[train]' | $(PROGRESS)
	@touch $@

.venv/.dev: .venv/.build
	@echo "haltere: installing into .venv what trains, flies and tests; the first time takes a few minutes"
	@$(PIP) install --no-build-isolation --editable '.[dev]' | $(PROGRESS)
	@touch .venv/.train $@

# The editable install keeps compiled code out of the source tree, in its own corner of site-packages.
.venv/.native: $(NATIVE) | .venv/.train
	@test -d build/editable || $(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@$(BIN)/cmake --build build/editable | sed -u '/Re-checking globbed\|no work to do/d'
	@$(BIN)/cmake --install build/editable --prefix "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')" > /dev/null
	@touch $@

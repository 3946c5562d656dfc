# study · test · check · bench: each sets up what it needs by itself, in .venv.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
ARGS ?=

.PHONY: study test check bench docs venv clean

study: venv
	@$(BIN)/costlayer study $(ARGS)

test: venv
	@$(BIN)/python -m pytest $(ARGS)

check: venv
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/pyright

bench: .venv/.bench
	@$(BIN)/costlayer bench $(ARGS)

docs: venv
	@$(BIN)/python docs/make.py && $(BIN)/python docs/speed_page.py

venv: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "costlayer needs Python 3.11 or newer with venv and pip (on Debian: apt install python3-venv); name one with 'make PYTHON=/path/to/python3'." >&2; exit 2; }
	@echo "Setting up .venv: once, and again when pyproject.toml or constraints.txt change. A few minutes the first time."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# the libraries that costlayer is compared with; without them their columns stay empty. The last two ask for Triton, a
# gigabyte that what is compared does without: so without what they ask for, and not in the extra, which cannot say so.
.venv/.bench: .venv/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]' && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
			cut-cross-entropy liger-kernel && touch $@ \
		|| echo "Going on without some of jax, optax, cut-cross-entropy and liger-kernel." >&2

clean:
	rm -rf .venv .pytest_cache .ruff_cache build src/*.egg-info

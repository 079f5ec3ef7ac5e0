# Amulet Local. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# How llama.cpp is compiled. GCC 12 drops most of the tile configuration of Intel's AMX, and the
# first multiplication then crashes; only server processors have it, so it is left out.
export CMAKE_ARGS ?= -DCMAKE_C_FLAGS=-U__AMX_INT8__ -DCMAKE_CXX_FLAGS=-U__AMX_INT8__

# llama.cpp for a processor without the wide kernels; other machines can be imitated as well, such as
# one with AVX2 and no more: make test-kernels KERNELS=-DGGML_NATIVE=off. Each has an environment of
# its own, and pip's cache is kept out of it, since it does not tell such wheels apart.
KERNELS ?= -DGGML_NATIVE=off -DGGML_AVX2=off -DGGML_FMA=off -DGGML_BMI2=off \
	-DGGML_CPU_REPACK=off -DGGML_LLAMAFILE=off
KERNELS_VENV := $(VENV)/kernels/$(firstword $(shell echo '$(KERNELS)' | cksum))

# The version that the lock file has. What is compiled is the same for those who chat and those who
# develop, so that it is compiled once; everything else is as pyproject.toml allows, or as locked.
LOCK := requirements-dev.lock
LLAMA := $(shell sed -n 's/^\(llama-cpp-python==[^ ]*\).*/\1/p' $(LOCK))

# Programs that use the server; see tests/server/programs.py.
CLIENTS := llm litellm langchain-openai aider-chat open-webui

.DEFAULT_GOAL := help
.NOTPARALLEL: # several targets install into one environment
.PHONY: help chat install dev check test torture fresh test-terminal test-kernels test-families \
	test-clients lint format lock licences audit llama benchmark screenshots snapshots clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

chat: $(VENV)/.model ## Set up what is missing, fetch the default model once, open the chat
	@$(BIN)/amulet

install: $(VENV)/.installed ## Make the environment with Amulet in it

dev: $(VENV)/.dev ## Make the environment with the tools of development, as locked

# What opens the app takes most of the time, and what runs llama.cpp needs a model: make test has both.
check: export PYTHONDONTWRITEBYTECODE =
check: lint ## Lint, and the quick tests; under a minute
	$(BIN)/python -m pytest -m "not model and not app and not slow"

# Bytecode is kept even where the environment says otherwise: tests start many processes.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev $(VENV)/.model ## Set up what is missing, run the whole suite on the real model
	$(BIN)/python -m pytest

# Goes on where it stopped; what it found is in build/torture/report.md.
torture: export PYTHONDONTWRITEBYTECODE =
torture: $(VENV)/.dev ## What no user would do, for hours: make torture PARTS="headers loads" SEED=2
	$(if $(PARTS),,$(BIN)/python -m pytest --torture)
	$(BIN)/python -m tests.torture $(PARTS) --seed $(or $(SEED),0)

fresh: ## README's two commands on a clone in an empty home (PIP_CACHE_DIR=... to compile but once)
	.ci/fresh

test-terminal: $(VENV)/.dev $(VENV)/.model ## A day in the app once more, in tmux
	@command -v tmux >/dev/null || { echo "tmux is missing; install it with the system's package manager"; exit 1; }
	$(BIN)/python -m pytest --numprocesses 0 tests/test_terminal.py --terminal tmux

# As many at once as keep the cores busy with so many threads each.
test-kernels: $(VENV)/.dev $(VENV)/.model $(KERNELS_VENV)/.dev ## Test with llama.cpp's plain kernels, and with 1, 2 and 3 threads
	for python in $(KERNELS_VENV)/bin/python $(BIN)/python; do \
		for threads in 1 2 3; do \
			echo "$$python, $$threads threads"; \
			AMULET_TEST_THREADS=$$threads OMP_THREAD_LIMIT=$$threads PYTHONPATH=$(CURDIR)/tests/threads $$python -m pytest -m model \
				--numprocesses $$($$python -c "import os; print((os.cpu_count() or 1) // $$threads or 1)") \
				|| exit 1; \
		done; \
	done

test-families: $(VENV)/.dev $(VENV)/.families ## Test prompts with llama.cpp's vocabularies and templates
	AMULET_FAMILIES=$(CURDIR)/$(FAMILIES)/vendor/llama.cpp/models $(BIN)/python -m pytest tests/families.py

test-clients: $(VENV)/.dev $(CLIENTS:%=$(VENV)/clients/%/.made) ## Test the server with programs that people use; MODEL=FILE: aider edits with it
	AMULET_CLIENTS=$(CURDIR)/$(VENV)/clients AMULET_CLIENT_MODEL=$(MODEL) \
		$(BIN)/python -m pytest --numprocesses 0 tests/server/programs.py

lock: $(VENV)/lock/bin/uv ## Renew the lock file; UPGRADE=--upgrade takes the newest of everything
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --extra dev $(UPGRADE) \
		pyproject.toml --output-file $(LOCK)

audit: $(VENV)/audit/bin/pip-audit ## Ask OSV which known vulnerabilities the locked packages have
	@$(VENV)/audit/bin/pip-audit --vulnerability-service osv --strict --require-hashes --disable-pip \
		--requirement $(LOCK) 2> $(VENV)/audit/errors || { tail -n 1 $(VENV)/audit/errors; \
		echo "Packages listed above have known vulnerabilities; without a list, OSV could not be asked."; exit 1; }

licences: $(VENV)/.dev ## Write docs/licences.md anew, from the lock file and what is installed
	$(BIN)/python -m docs.licences

llama: $(VENV)/.installed ## Compile llama.cpp anew, for a GPU: make llama CMAKE_ARGS=-DGGML_CUDA=on
	$(BIN)/pip install --force-reinstall --no-cache-dir --no-deps '$(LLAMA)'

lint: $(VENV)/.dev ## Format check, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: $(VENV)/.dev $(VENV)/.model ## Measure what a token costs beside the model
	$(BIN)/python -m benchmarks.per_token

screenshots: $(VENV)/.dev $(VENV)/.model ## Take the pictures in README and docs anew; MODEL=FILE
	$(BIN)/python -m docs.screenshots $(if $(MODEL),-m $(MODEL))

snapshots: $(VENV)/.dev ## Keep what every screen looks like now; look at the diff
	$(BIN)/python -m pytest tests/tui/test_snapshots.py --renew-snapshots

clean: ## Remove the environment and caches; models, presets and chats stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Amulet needs Python 3.11 or newer; choose one with make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.installed: $(BIN)/python pyproject.toml
	@echo "Installing Amulet; the first time, llama.cpp is compiled, which takes a few minutes."
	$(BIN)/pip install --quiet --editable . '$(LLAMA)'
	@touch $@

$(KERNELS_VENV)/bin/python: $(BIN)/python
	$(PYTHON) -m venv $(KERNELS_VENV)
	$(KERNELS_VENV)/bin/pip install --quiet --upgrade pip

$(KERNELS_VENV)/.dev: $(KERNELS_VENV)/bin/python pyproject.toml $(LOCK)
	@echo "Compiling llama.cpp again, which takes a few minutes."
	CMAKE_ARGS='$(CMAKE_ARGS) $(KERNELS)' $(KERNELS_VENV)/bin/pip install --quiet --no-cache-dir \
		--no-binary llama-cpp-python --require-hashes --requirement $(LOCK)
	$(KERNELS_VENV)/bin/pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml $(LOCK)
	@echo "Installing what $(LOCK) has; the first time, llama.cpp is compiled, which takes some minutes."
	$(BIN)/pip install --quiet --require-hashes --requirement $(LOCK)
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@ $(VENV)/.installed

$(VENV)/lock/bin/uv: $(BIN)/python
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet uv

$(VENV)/audit/bin/pip-audit: $(BIN)/python
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install --quiet pip-audit

$(VENV)/.model: $(VENV)/.installed
	@$(BIN)/amulet models pull default
	@touch $@

# Each as its makers release it, whatever the others need. By uv, since pip takes more than an hour to
# find out which versions go together for aider and Open WebUI. Both need a PYTHON below 3.13.
$(VENV)/clients/%/.made: $(VENV)/lock/bin/uv
	$(VENV)/lock/bin/uv venv --quiet --clear --python $(PYTHON) $(@D)
	$(VENV)/lock/bin/uv pip install --quiet --python $(@D) $*
	@touch $@

# The source distribution of the llama-cpp-python that is installed.
FAMILIES := $(VENV)/families
$(VENV)/.families: $(VENV)/.installed
	rm -rf $(FAMILIES) && mkdir -p $(FAMILIES)
	$(BIN)/pip download --quiet --no-deps --no-binary :all: --dest $(FAMILIES) \
		llama-cpp-python==$$($(BIN)/python -c 'from importlib.metadata import version; print(version("llama-cpp-python"))')
	tar -xzf $(FAMILIES)/*.tar.gz -C $(FAMILIES) --strip-components=1
	rm $(FAMILIES)/*.tar.gz
	@touch $@

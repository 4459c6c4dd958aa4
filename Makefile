# Every task of this project. `make` alone lists them.
# One environment, .venv, serves them all; constraints.txt pins what goes into it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# torch comes from PyPI as its CUDA build. For the CPU build, give the address of PyTorch's CPU index
# (it stands on PyTorch's "Get started" page): make demo TORCH_INDEX=<address>
TORCH_INDEX ?=
UV := $(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format kafka lock audit bench kills faults mutants soak clean

help: ## list the tasks
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(STAMP) ## create .venv with starlingd and everything its tests need

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/python -c 'import torch' 2>/dev/null || \
	  echo "Installing torch and what it needs: up to 4.7 GB once on this machine, out of the cache after that."
ifneq ($(TORCH_INDEX),)
	@$(UV) --index-url "$(TORCH_INDEX)" torch
endif
	@$(UV) --group dev --editable .
	@touch $@

demo: $(STAMP) ## watch who carries a simulated storm, live (DEMO_ARGS="--for 60s")
	@$(BIN)/starlingd demo $(DEMO_ARGS)

test: $(STAMP) ## run every test; fetches and starts Kafka and a PDS itself
	@$(BIN)/python -m tests.servers.chromium
	@$(BIN)/pytest $(TEST_ARGS)

check: $(STAMP) ## lint, format check and strict types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: $(STAMP) ## format and mend what can be mended
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

kafka: $(STAMP) ## start a real one-node Kafka on 127.0.0.1:9092 until Ctrl-C
	@$(BIN)/python -m tests.servers.kafka

lock: $(STAMP) ## resolve the newest versions into constraints.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --group dev --group bench --group mutation pyproject.toml --output-file constraints.txt

audit: $(STAMP) ## hold the pinned versions against the published advisories
	@$(BIN)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

KILLS ?= 1000
SEED ?= 1
AT_ONCE ?= 2
kills: $(STAMP) ## kill bridge, worker and broker at random and recount (KILLS=1000 SEED=1)
	@$(BIN)/python -m tests.campaigns.kills --kills $(KILLS) --seed $(SEED) --at-once $(AT_ONCE)

faults: $(STAMP) ## read hosts with every fault we know of and recount (SEED=1)
	@$(BIN)/python -m tests.campaigns.faults --seed $(SEED)

EVENTS ?= 30000000
soak: $(STAMP) ## a day of the network through a real Kafka, watched and recounted (EVENTS=30000000)
	@$(BIN)/python -m tests.campaigns.soak --events $(EVENTS)

ONLY ?=
SAMPLE ?=
mutants: $(STAMP) ## change windows, counting and checkpoints and see a test fail (ONLY=consumers/gaps.py SAMPLE=60)
	@$(UV) --group mutation
	@$(BIN)/python -m tests.campaigns.mutants $(if $(SAMPLE),--sample $(SAMPLE)) --seed $(SEED) $(ONLY)

bench: $(STAMP) ## run the benchmarks and print their tables
	@$(UV) --group bench
	@$(BIN)/python -m tests.benchmarks

clean: ## remove the environment and what the tools left
	@rm -rf $(VENV) build dist *.egg-info mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis

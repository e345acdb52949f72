# `make run` and `make test` set up everything they need in .venv; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT := out
# A request trace in the Mooncake, Azure, BurstGPT or ShareGPT form; empty: the built-in seeded generator.
WORKLOAD ?= $(firstword $(wildcard ../shared/traces/mooncake_conversation_trace.jsonl))
REQUESTS ?= 200
SPEED ?= 100
# Of all lengths: the model of the run is tiny.
SCALE ?= 0.01
# Tests at a time; 0 is one after the other in one process, with less memory (a worker takes up to 0.8 GB).
JOBS ?= 2
# `make bench BENCH=--full`: nine resource managers.
BENCH ?=

.PHONY: run test lint docs bench clean

run: $(VENV)/installed
	$(BIN)/interlock check --all
	mkdir -p $(OUT)
	$(BIN)/interlock diagram early-zero-in-b-async-tp2 -o $(OUT)/forward-signal-b.html
	$(BIN)/interlock diagram early-zero-in-b-prime-prefill-async-tp2 -o $(OUT)/forward-signal-b-prime.html
	$(BIN)/interlock diagram repaired-no-early-zero-async-tp2 -o $(OUT)/forward-signal-repaired.html
	$(BIN)/interlock diagram repaired-no-early-zero-async-tp2 -o $(OUT)/forward-signal-repaired.svg
	$(BIN)/interlock diagram layer0-signal-dropped-in-e1 -o $(OUT)/layer0-signal-e1.html
	$(BIN)/interlock diagram layer0-signal-answered-in-ours -o $(OUT)/layer0-signal-repaired.html
	$(BIN)/interlock check early-zero-in-b-async-tp2 --trace $(OUT)/early-zero.itf.json || test $$? -eq 1
	$(BIN)/interlock explain $(OUT)/early-zero.itf.json -o $(OUT)/early-zero.svg
	$(BIN)/interlock run $(if $(WORKLOAD),--workload $(WORKLOAD)) --limit $(REQUESTS) --speed $(SPEED) --scale $(SCALE) --audit --log $(OUT)/events.ndjson

test: $(VENV)/installed lint
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/python -m protocol.render.pages --rewrite
	$(BIN)/interlock replay --all -o docs/damage.md

bench: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks $(BENCH)

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[svg,test]'
	touch $@

clean:
	rm -rf $(VENV) $(OUT) build *.egg-info

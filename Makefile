# Two commands matter: `make demo` shows the whole product, `make test` proves it.
# Each sets up what it needs first (scripts/setup.sh, quick when nothing changed).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export APE_DATA_FOLDER := $(CURDIR)/build/ape
export HF_HUB_OFFLINE := 1
# A file's tests share their chain and models, so they stay with one worker; slow files come first.
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN)
IN_PARALLEL = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup build up web web-engine test-web demo demo-embeddings test test-python test-forge test-ape check format bench \
        bench-engine bench-engine-avx2 bench-blocks bench-accuracy bench-embeddings bench-commit bench-market bench-dispute bench-audit \
        artefacts test-fast test-postgres bench-trace bench-llama-cpp bench-serving bench-client bench-cli \
        bench-incentives bench-gateway bench-judge bench-distill bench-memory bench-web show-audits demo-chat demo-distill conformance conformance-live fuzz-gateway \
        bench-real-model bench-real-speed fuzz-operators fuzz-programs fuzz-rpc symbolic vectors op-kinds generate benchmarks-page \
        clean

help: ## What can be made
	@grep -hE '^[a-z0-9-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-17s %s\n", $$1, $$2}'

setup: ## Install Python packages and chain tools (idempotent)
	@scripts/setup.sh

build: setup ## Compile the contracts and their tests
	@scripts/forge build

artefacts: setup ## Compile the contracts if they differ from the shipped ones (nexus_chain/chain/artefacts)
	@python -m scripts.contract_artefacts --if-stale

web-engine: setup ## Compile the kernels to WebAssembly if they differ from the shipped module (node/web/src/engine)
	@python -c 'import ziglang' 2>/dev/null || python -m pip install --quiet --constraint constraints.txt --editable '.[web]'
	@python -m scripts.web_engine --if-stale

up: artefacts ## A whole local network that stays up: chain, contracts, a chat model, nodes, gateway (Ctrl-C stops it)
	@nexus up $(if $(MODEL),--model $(MODEL))

demo: artefacts ## The whole product on this machine: stake, serve, pay, prove, settle, certify, audit
	@python -m scripts.runs.demo

demo-chat: artefacts ## A chat model behind OpenAI's, Anthropic's and Ollama's own libraries; an answer checked, a node lost
	@python -m scripts.runs.demo_chat

demo-distill: artefacts ## A chat model learns sums from teachers, one of whom lies: proved, trained, published, audited
	@python -m scripts.runs.demo_distill

demo-embeddings: artefacts ## all-MiniLM-L6-v2 published, served by two nodes, paid, compared bit for bit, verified
	@python -m scripts.runs.demo_embeddings

test: test-forge test-ape check-web test-python ## Every test but those of the page in a browser: make test-web

check-web: setup ## The page: types, format, unit tests, and that what is shipped is what its sources are built to
	scripts/web.sh check

test-web: artefacts check-web ## Every flow of the page in Chromium and Firefox, against a local network
	scripts/web.sh browser

bench-web: artefacts ## What the page costs its reader: Lighthouse, axe, bytes, delays (build/bench/web.json)
	scripts/web.sh setup
	python -m scripts.bench.web

web-pictures: artefacts ## Pictures of every page for the docs (docs/pictures)
	scripts/web.sh pictures

web: setup ## Build the page that gateways serve (node/web/dist)
	scripts/web.sh build

test-python: build ## Unit, property, differential and end-to-end tests, one worker a core
	python -m pytest $(IN_PARALLEL)

test-fast: setup ## The tests without a chain and without node processes: under a minute on two cores
	scripts/forge build contracts
	python -m pytest $(IN_PARALLEL) -m fast

test-postgres: setup ## The gateway's tests on PostgreSQL too: NEXUS_TEST_POSTGRES, or Debian's server started for them
	scripts/test_postgres.sh

test-forge: setup ## Contract unit, fuzz and invariant tests
	scripts/forge test

test-ape: setup ## Contract tests through ape
	scripts/ape_test.sh

check: build ## Formatting, lint, types; warnings are errors
	ruff check .
	ruff format --check .
	mypy
	scripts/forge fmt --check
	scripts/forge lint --deny notes

format: setup ## Rewrite Python and Solidity in the project's format
	ruff check --fix .
	ruff format .
	scripts/forge fmt

bench: bench-engine bench-blocks bench-accuracy bench-embeddings bench-commit bench-market bench-dispute bench-incentives bench-audit bench-trace ## Every benchmark (JSON in build/bench)

bench-engine: build ## Tokens per second against transformers; memory of a node
	python -m scripts.bench.engine

bench-engine-avx2: build ## The same on a processor with more, both sides held to AVX2 (build/bench/engine_avx2.json)
	NEXUS_KERNEL_TARGET=haswell ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
		python -m scripts.bench.engine --rounds 5 --out build/bench/engine_avx2.json

bench-llama-cpp: build ## The same against llama.cpp, built from source the first time
	python -m scripts.bench.llama_cpp

bench-serving: build ## Tokens per second through two node processes against one engine
	python -m scripts.bench.serving

bench-gateway: artefacts ## What the gateway adds to a request, 64 streams at once, memory over 15 minutes
	python -m scripts.bench.gateway

bench-client: build ## What asking costs before the first message: nodes known already against found each time
	python -m scripts.bench.client

bench-cli: build ## How soon each command answers, as a process of its own
	python -m scripts.bench.cli

bench-blocks: build ## Second start, peak memory, and a shard run from disk under a memory limit
	python -m scripts.bench.blocks

bench-accuracy: build ## Perplexity of the integer program against float32
	python -m scripts.bench.accuracy

bench-embeddings: build ## Embeddings of all-MiniLM-L6-v2 against float32
	python -m scripts.bench.embeddings

bench-real-model: build ## A real instruct model, imported with the defaults: what it loses, how fast it is
	python -m scripts.bench.real_model

bench-real-speed: build ## The chat model's speed against transformers in float32 and bfloat16, and llama.cpp in Q8_0
	python -m scripts.bench.real_speed

bench-commit: build ## Share of serving time spent on commitments and signatures
	python -m scripts.bench.commit

bench-market: build ## Gas of each call; settled gas per inference
	python -m scripts.bench.market

bench-dispute: build ## Gas of each step at large widths, and of a whole dispute
	python -m scripts.bench.dispute

bench-incentives: build ## What can be made of one lie: a search over the strategies of a liar and its friends
	python -m scripts.bench.incentives

bench-audit: build ## Time of auditing an answer against generating it
	python -m scripts.bench.audit

bench-trace: build ## Memory beside the weights for defending 2 048 positions
	python -m scripts.bench.trace

conformance: setup ## Foreign clients and checkers against the gateway's interfaces (JSON in build/conformance.json)
	python -m scripts.conformance

conformance-live: artefacts ## The same against a network that nexus up brings up, and lm_eval and Open WebUI in front of it
	python -m scripts.conformance --live --lm-eval --open-webui

fuzz-gateway: setup ## 10 000 requests that schemathesis draws from the gateway's OpenAPI document: no 500, no hang
	python -m scripts.runs.fuzz_gateway

show-audits: build ## Who earned what on Anvil: 200 answers, 5 % lies, audits at 10 %
	python -m scripts.runs.show_audits

fuzz-operators: build ## 10 000 elements per op kind: fast executors, reference and contract (about 20 minutes)
	NEXUS_FUZZ_CASES=$${NEXUS_FUZZ_CASES:-10000} python -m pytest tests/disputes/test_differential.py --timeout 0

fuzz-rpc: build ## 2 000 random scripts of commands over an RPC server that drops, doubles, refuses and forgets
	NEXUS_LOSSY_SCRIPTS=2000 python -m pytest tests/chain/test_lossy_rpc.py -q -s --timeout=0

fuzz-programs: build ## 20 000 random and hostile programs: each refused, or safe to serve honestly (JSON in build/bench)
	python -m scripts.runs.fuzz_programs

bench-judge: setup ## The judge over labelled claims: false proofs, recall, time (JSON in build/bench)
	python -m scripts.bench.judge

bench-distill: setup ## Choices with two liars of four; what a chat model learns judged, poisoned and unjudged (an hour)
	python -m scripts.bench.distiller
	python -m scripts.bench.distill

bench-memory: setup ## The memory at 100 000 examples: inserts, duplicates, search (JSON in build/bench)
	python -m scripts.bench.memory

symbolic: setup ## Symbolic proofs (halmos) and static analysis (slither), each in an environment of its own
	scripts/symbolic.sh

vectors: build ## Regenerate the golden vectors; the diff must be empty
	python scripts/make_vectors.py
	python scripts/make_step_vectors.py
	python scripts/make_web_vectors.py

op-kinds: setup ## Write the kernels', the contracts' and the page's parts of the table of op kinds
	python scripts/generate_op_kinds.py

generate: op-kinds vectors ## Regenerate op kinds, ABIs, wire modules and golden vectors; the diff must be empty
	python -m scripts.contract_artefacts
	python scripts/generate_proto.py
	python -m scripts.page_abis

clean: ## Remove what was built (keeps the environment)
	rm -rf build .build

benchmarks-page: setup ## Write docs/benchmarks.md from build/bench and docs/measurements.jsonl
	python -m scripts.write_benchmarks

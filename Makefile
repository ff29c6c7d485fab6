# Each target calls one script. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help tools demo bench test check unit integration e2e golden faults moves wide compat up down images gen format clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools: ## Fetch and build every tool that the other targets need
	@tools/setup.sh

demo: ## A guided run: a real fleet is resharded under load (DEMO_OBJECTS, DEMO_CHURN, DEMO_SEED, DEMO_PUSHDOWN=off)
	@tools/run.sh e2e/demo.sh

bench: ## Ours against plain kube-state-metrics, as ratios (BENCH_OBJECTS, BENCH_CHURN, BENCH_SEED, BENCH_SECONDS, BENCH_ARMS, BENCH_OUTPUT)
	@tools/run.sh e2e/bench.sh

test: ## Everything: check, unit, integration, e2e
	@tools/test.sh

check: ## Types, lint, format, dead code, generated files
	@tools/run.sh --node-only tools/check.sh

unit: ## Tests that need no other process
	@tools/run.sh --node-only pnpm test:unit

integration: ## Tests against a real API server, NATS and kube-state-metrics
	@tools/run.sh pnpm test:integration

e2e: ## The whole fleet, with faults
	@tools/run.sh e2e/test.sh

golden: ## Every golden case with 1 to 7 workers, both ways to shard (GOLDEN=<case> for one; `make test` runs each once)
	@GOLDEN=$${GOLDEN:-all} tools/run.sh vitest run --project integration e2e/src/golden/golden

faults: ## Runs with seeded faults between workers and API server (SEEDS=200, FIRST, or one SEED; LOGS=folder keeps logs)
	@tools/run.sh e2e/faults.sh

moves: ## Moves in a row between two real exporters, under churn and trouble (MOVES=1000, MOVES_SEED)
	@MOVES=$${MOVES:-1000} tools/run.sh vitest run --project integration e2e/src/worker/moves

compat: ## The product on other Kubernetes versions (VERSIONS="1.32 1.34 1.36"; each is built once, 5 to 10 minutes; COMPAT_STEPS)
	@tools/run.sh tools/compat.sh $(VERSIONS)

wide: ## Hundreds of kinds and namespaces: the exposition and moves of two workers (KINDS=600, NAMESPACES=60)
	@KINDS=$${KINDS:-600} NAMESPACES=$${NAMESPACES:-60} tools/run.sh vitest run --project integration e2e/src/worker/exported-kinds

up: ## Start a playground cluster and print the kubectl settings
	@tools/run.sh e2e/playground.sh up

down: ## End the playground cluster
	@tools/run.sh --node-only e2e/playground.sh down

images: ## The images of manager and worker as OCI archives in dist/images, without a container engine
	@tools/run.sh --node-only tools/images.sh

gen: ## Write the generated files (crds/, parts of helm/ and docs/)
	@tools/run.sh --node-only pnpm gen

format: ## Format all sources
	@tools/run.sh --node-only pnpm format

clean: ## Remove what builds and tests left in this checkout
	@rm -rf node_modules tools/node_modules dist packages/*/dist e2e/dist packages/*/node_modules e2e/node_modules .cache coverage

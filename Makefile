# Every habit of this repository. `make` alone lists them.

CARGO ?= cargo
TARGET = $(or $(CARGO_TARGET_DIR),target)
EXAMPLE ?= examples/wordcount
ARTIFACTS ?= artifacts
IMAGES ?= base docker standard python node java go musl

.DEFAULT_GOAL := help
.PHONY: help engine setup images images-test build run test conformance outage snapshots bench chaos fuzz-api lint fmt ci clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

engine: ## Provide what builds need: a Docker engine and the base image
	@runtime-images/setup-engine.sh
	@runtime-images/build.sh base

setup: engine ## Provide what tests need besides: the image with Docker, clients and servers
	@runtime-images/build.sh docker
	@tests/setup-postgres.sh
	@tests/setup-python.sh
	@tests/setup-aws-cli.sh
	@tests/setup-servers.sh
	@tests/setup-registry.sh

images: setup ## Build the build images, or IMAGES="python go", anew, with today's packages
	@runtime-images/build.sh --force $(IMAGES)

images-test: setup build ## Run the smoke tests of the images, and the conformance suite in those that differ most
	@runtime-images/build.sh $(IMAGES)
	$(TARGET)/release/buildspec-agent images test $(IMAGES)
	$(MAKE) conformance IMAGE=buildspec-agent/standard:latest
	$(MAKE) conformance IMAGE=buildspec-agent/musl:latest

build: ## Compile the program
	$(CARGO) build --release --locked

run: engine build ## Build the example project, list its artifacts
	$(TARGET)/release/buildspec-agent run $(EXAMPLE) --artifacts $(ARTIFACTS)
	@ls -lR $(ARTIFACTS)

# One profile for the program, its tests and the benchmarks: every dependency is compiled once.
test: setup ## Run all tests
	$(CARGO) test --release --locked --workspace

conformance: setup ## Run the conformance suite alone, in IMAGE=... if given
	$(if $(IMAGE),BUILDSPEC_AGENT_TEST_IMAGE=$(IMAGE)) $(CARGO) test --release --locked --package tests --test e2e conformance

outage: setup ## Ship 2 million lines of a log through an outage of a minute and two kills of the agent
	BUILDSPEC_AGENT_TEST_LINES=2000000 BUILDSPEC_AGENT_TEST_OUTAGE_SECS=60 \
		$(CARGO) test --release --locked --package tests --test e2e every_line_arrives

snapshots: setup ## Run all tests and accept what they print as the new expectation; review the diff
	UPDATE_SNAPSHOTS=1 $(CARGO) test --release --locked --workspace

bench: setup build ## Measure the cost of a build against plain Docker, as one table of ratios
	$(CARGO) run --release --locked --package tests --bin bench

chaos: setup build ## Let everything go wrong for a fleet for ten minutes (as root); SEED=... repeats a plan
	$(CARGO) run --release --locked --package tests --bin chaos -- $(SEED)

fuzz-api: build ## Send a million malformed requests to a server, or COUNT=... of them
	$(CARGO) run --release --locked --package tests --bin hammer -- $(COUNT)

lint: ## Check formatting, lints and documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --release --locked --workspace --no-deps --document-private-items

fmt: ## Format the code
	$(CARGO) fmt --all

ci: lint test ## What has to pass before a change is merged

clean: ## Remove what was compiled and collected; images and engine stay
	$(CARGO) clean
	rm -rf artifacts

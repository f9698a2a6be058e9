# Arguments are variables: make run LISTEN=127.0.0.1:9000
DATA_DIR ?= data
LISTEN ?= 127.0.0.1:8080

.PHONY: help build run fmt lint test test-rust test-sdk test-guides test-smtp test-api test-crash test-properties fuzz \
	golden docs bench doc

help: ## This list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## The release binary, target/release/muster.
	cargo build --release --locked -p cli

run: build ## Serve on LISTEN, keeping everything in DATA_DIR.
	target/release/muster serve --data-dir $(DATA_DIR) --listen $(LISTEN)

fmt: ## Format the code.
	cargo fmt --all

lint: ## Formatting, clippy and rustdoc, warnings as errors.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

test: lint test-rust test-sdk test-guides test-smtp test-api ## Everything that CI runs.

test-rust:
	cargo build --locked -p cli
	cargo test --workspace --locked

test-sdk: ## Courier's official Python SDK against the real binary.
	cargo build --locked -p cli
	MUSTER_BIN=target/debug/muster tests/sdk/run

test-guides: ## The guides, run against the real binary.
	cargo build --locked -p cli
	MUSTER_BIN=target/debug/muster docs/guides/run

test-smtp: ## Mail to a real SMTP server, by the real binary.
	cargo build --locked -p cli
	MUSTER_BIN=target/debug/muster tests/smtp/run

test-api: ## The real binary against its own OpenAPI description, by schemathesis.
	cargo build --locked -p cli
	MUSTER_BIN=target/debug/muster tests/api/run

test-crash: build ## The long form of the crash tests.
	MUSTER_BIN=$(CURDIR)/target/release/muster MUSTER_CRASH_KILLS=200 MUSTER_CRASH_CUTS=1000 \
	MUSTER_CRASH_FLIPS=10000 MUSTER_CRASH_RECIPIENTS=1000000 \
	cargo test --locked -p tests --test crash -- --nocapture

test-properties: ## The long form of the property tests of the engine.
	MUSTER_AUDIENCE_WRITES=$${MUSTER_AUDIENCE_WRITES:-300000} \
	MUSTER_PEOPLE_WRITES=$${MUSTER_PEOPLE_WRITES:-300000} \
	cargo test --release --locked -p engine --test properties -- --nocapture

fuzz: ## The long form of the fuzz target for rules.
	MUSTER_FUZZ_RUNS=$${MUSTER_FUZZ_RUNS:-10000000} \
	cargo test --release --locked -p types --test rule_fuzz -- --nocapture

golden: ## Golden files for new event shapes, and docs/events.md.
	UPDATE_GOLDEN=1 cargo test --locked -p events --test golden

docs: ## docs/openapi.json and docs/scopes.md, made of the code.
	UPDATE_DOCS=1 cargo test --locked -p tests --test tidy documentation

bench: ## One table of ratios against baselines of the same run; ONLY=writes|postgres|http|replay|audiences|sending|past.
	cargo run --release --locked -p bench -- $(ONLY)

doc: ## The documentation of the code.
	cargo doc --workspace --no-deps --locked

# The commands of a developer; CI runs `make lint` and `make test`, nothing else.

CARGO ?= cargo
STORY ?=

.PHONY: demo test lint bench fuzz generate peers

## demo: a simulated estate and the real exporter on it; STORY=1 walks through faults by itself
demo:
	$(CARGO) build --bins
	$(CARGO) run --quiet --example demo -- $(if $(STORY),--story)

## test: everything, against the lab and against real servers
test: peers
	@test -n "$$KUBEBUILDER_ASSETS" || echo "NOT RUN: KUBEBUILDER_ASSETS is not set, so no real API server is asked (tests/it/real_cluster.rs)"
	$(CARGO) test --workspace --locked

## lint: format, clippy, documentation, generated files
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	$(CARGO) run --quiet --locked -- generate --check
	@if $(CARGO) tree --locked -e normal -i ring --target all 2>/dev/null | grep -q . ; then echo "ring must not be compiled: two TLS providers in one process panic" >&2; exit 1; fi

## generate: rules, rule tests, dashboards and documentation from the checklists
generate:
	$(CARGO) run --quiet -- generate

## bench: the figures of docs/benchmarks.md
bench: peers
	$(CARGO) build --release
	mkdir -p target/measured && cp target/release/readiness-exporter target/measured/
	$(CARGO) bench --bench exposition
	$(CARGO) bench --bench probes
	$(CARGO) bench --bench footprint
	$(CARGO) bench --bench clusters
	$(CARGO) bench --bench registry
	$(CARGO) bench --bench credentials

## fuzz: every reader of foreign bytes with a million broken inputs each; CASES=n for another number
fuzz:
	PROPTEST_CASES=$(or $(CASES),1000000) $(CARGO) test --release --locked --lib fuzz

## peers: the real servers that the tests need
peers:
	@tests/install-peers.sh

# Build, run and test Gitward. `make` alone lists the targets.
#
# Rust, Node and a C compiler must be there; end2end/tool/tools.sh gets the rest, at pinned versions.
#
# What is built with which profile, so that nothing is built twice:
#
#   site    (WASM, JS, CSS)       wasm-release, by cargo-leptos. One copy in target/site: the journeys test the very
#                                 files that are shipped.
#   gitward, forge                dev for `test`: the same dependencies as `cargo test`, compiled once.
#                                 release for `run` and `bench`.
#   everything for `dev`          target/dev, a world of its own: `cargo leptos watch` sets LEPTOS_WATCH and
#                                 `--cfg erase_components`, both of which compile Leptos anew.
#
# Always the same packages ($(NATIVE)), because cargo unites the features of the packages it is asked for: with another
# choice a dependency gets other features, and is compiled again. The client never is among them: it wants `hydrate`,
# the server `ssr`.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build run test lint rust-test journeys dev bench soak clean-demo tools tools-lint tools-mail tools-api site

NATIVE := --workspace --exclude client --locked
SITE := $(CURDIR)/target/site
# cargo's target folder may lie elsewhere; the site does not move with it.
BUILT := $(abspath $(or $(CARGO_TARGET_DIR),target))

# Ours first: cargo-leptos takes the first wasm-bindgen and wasm-opt on PATH, whatever their version.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
# By default the names of the hashed files lie beside the server binary, and each profile has its own. They belong to
# the site.
export LEPTOS_HASH_FILE_NAME := $(SITE)/hash.txt

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

build: tools site ## Build for release: target/release/gitward and target/site
	cargo build --release --bins $(NATIVE)

run: build ## Build for release and start the demo on http://127.0.0.1:3000
	@end2end/tool/tools.sh mail || echo 'The demo goes without mail.'
	@GITWARD_BIN=$(BUILT)/release/gitward FORGE_BIN=$(BUILT)/release/forge exec node end2end/tool/demo.mjs

test: lint rust-test journeys ## Format, lints, all Rust tests, all journeys in Chromium

lint: tools tools-lint ## Format and lints, warnings denied
	cargo fmt --all --check
	cargo clippy --all-targets $(NATIVE) -- -D warnings
	cargo clippy --package client --target wasm32-unknown-unknown --locked -- -D warnings
	end2end/tool/client-deps.sh

rust-test: tools ## All Rust tests
	@# All targets at once: the two binaries for the journeys get the features that the tests' dependencies bring.
	cargo build --all-targets $(NATIVE)
	@# A thousand connections at once need more files than some shells allow by default.
	ulimit -Sn "$$(ulimit -Hn)" && cargo test --no-fail-fast $(NATIVE)

journeys: tools tools-mail tools-api site end2end/node_modules/.package-lock.json ## All Playwright journeys (ARGS="-g 'no script'" for some)
	cargo build --all-targets $(NATIVE)
	@[[ -x /usr/bin/chromium ]] || (cd end2end && npx playwright install chromium)
	cd end2end && GITWARD_BIN=$(BUILT)/debug/gitward FORGE_BIN=$(BUILT)/debug/forge npx playwright test $(ARGS)

dev: export CARGO_TARGET_DIR := $(CURDIR)/target/dev
dev: export LEPTOS_SITE_ROOT := target/dev/site
dev: export LEPTOS_HASH_FILE_NAME := $(CURDIR)/target/dev/site/hash.txt
dev: export GITWARD_DEV := 1
dev: tools ## The demo, rebuilt and reloaded at every change of a file
	cargo build --package forge --locked
	@FORGE_BIN=$(CURDIR)/target/dev/debug/forge exec node end2end/tool/demo.mjs --watch

bench: tools site end2end/node_modules/.package-lock.json ## Measure the release build
	cargo build --release --bins --examples $(NATIVE)
	GITWARD_BIN=$(BUILT)/release/gitward FORGE_BIN=$(BUILT)/release/forge BARE_BIN=$(BUILT)/release/examples/bare node end2end/bench.mjs $(ARGS)

soak: ## The long forms of the figures that `make test` proves in short: half an hour
	cargo build --all-targets $(NATIVE)
	ulimit -Sn "$$(ulimit -Hn)" && cargo test --no-fail-fast $(NATIVE) -- --ignored --nocapture --test-threads 1 soak_

clean-demo: ## Forget the demo's data
	rm -rf .demo

tools:
	@end2end/tool/tools.sh build

tools-lint:
	@end2end/tool/tools.sh lint

tools-mail:
	@end2end/tool/tools.sh mail

tools-api:
	@end2end/tool/tools.sh api

# The site is complete when its stamp is there: cargo-leptos empties the folder before it builds. Folders are among the
# sources because their time changes when a file goes.
site: $(SITE)/.complete

SITE_SOURCES := $(shell find app/src app/client app/Cargo.toml public style Cargo.toml Cargo.lock .cargo 2>/dev/null) end2end/tool/tools.sh

$(SITE)/.complete: $(SITE_SOURCES) | tools
	cargo leptos build --release --frontend-only --precompress --cargo-locked
	@rm -f $(SITE)/hash.txt.* $(SITE)/pkg/*.ts $(SITE)/pkg/*.ts.* # nobody asks for these
	@touch $@

end2end/node_modules/.package-lock.json: end2end/package.json end2end/package-lock.json
	cd end2end && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund
	@touch $@

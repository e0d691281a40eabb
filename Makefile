# hallpass. Needs Node (any, for npm), npm, Go and make; everything else comes from their registries.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# node_modules holds a Node of the right version for Linux, and the scripts beside it use it, too.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
installed := node_modules/.hallpass-installed
MOCHA := node node_modules/mocha/bin/mocha.js
# Tests start hundreds of processes from the same sources, which are compiled once. Benchmarks compile as hallpass does.
check unit live chaos integration test test-node: export NODE_COMPILE_CACHE := $(CURDIR)/node_modules/.cache/node
# The control plane's programs are started hundreds of times, and collect garbage for a sixth of their time unless they may keep
# more of it. Benchmarks measure them as they are.
live chaos integration test test-node: export GOGC := 400

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Not `npm ci`, which removes first what is installed.
$(installed): package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js" >&2; exit 1; }
	npm install --no-save --no-fund --no-audit --loglevel=error
	@node --eval 'process.exit(Number.parseInt(process.versions.node) >= 24 ? 0 : 1)' || { echo "Node $$(node --version) is too old and npm has no other for this machine: install Node 24 or newer" >&2; exit 1; }
	@touch $@

.PHONY: installed
installed: $(installed) ## Install what all this needs, from npm

.PHONY: check types lint dead-code drift unit
check: types lint dead-code drift unit ## Types, lint, dead code, generated files, unit tests: before each commit (under a minute)
types: $(installed)
	tsc
lint: $(installed)
	biome check --error-on-warnings
dead-code: $(installed)
	knip --no-progress
drift: $(installed)
	node src/api/generate.ts --check
	node src/access/guards/generate.ts --check
unit: $(installed)
	$(MOCHA) --parallel --jobs=2 'test/unit/**/*.test.ts'

.PHONY: test live chaos integration
test: check live ## check, and all tests on a real control plane
# What kills and freezes hallpass comes last: it is measured against leases of seconds. Three files at a time are as many as two cores
# bear where they are slow: with four, an API server let a lease wait until it was lost.
live: $(installed) ## All tests on a real control plane
	test/controlplane/build.sh >/dev/null
	$(MOCHA) --parallel --jobs=3 'test/integration/**/*.test.ts' 'test/chaos/**/*.test.ts'
chaos: $(installed) ## The tests that kill, freeze and cut off hallpass
	test/controlplane/build.sh >/dev/null
	$(MOCHA) --parallel --jobs=3 'test/chaos/**/*.test.ts'
integration: $(installed) ## The integration tests only; SPEC=path/to/one.test.ts runs one
	test/controlplane/build.sh >/dev/null
	$(MOCHA) $(or $(SPEC),--parallel --jobs=3 'test/integration/**/*.test.ts')

.PHONY: mutation
mutation: $(installed) ## Takes each gate of the decision away in turn, and shows which test misses it
	node test/mutation/gates.ts

.PHONY: test-node
test-node: $(installed) ## Tests on a real kubelet, with hallpass deployed from its image (root, Linux)
	bash test/node/run.sh

.PHONY: demo
demo: $(installed) ## The life of a grant, told on a terminal (KUBECONFIG and DEMO_ON_MY_CLUSTER=yes: on your cluster)
	@node test/controlplane/demo.ts

.PHONY: up down run
up: $(installed) ## Start a playground on this machine: control plane and hallpass (REPLICAS=2: two of it)
	@node test/controlplane/playground-command.ts up $(or $(REPLICAS),1)
down: $(installed) ## End the playground
	@node test/controlplane/playground-command.ts down
run: $(installed) ## Run hallpass in the foreground, against KUBECONFIG or the playground
	@node test/controlplane/playground-command.ts run

.PHONY: plugin
plugin: $(installed) ## Put kubectl hallpass on your PATH: a link in ~/.local/bin (PLUGIN_DIR=…: elsewhere)
	mkdir -p "$(or $(PLUGIN_DIR),$(HOME)/.local/bin)"
	ln -sf "$(CURDIR)/bin/kubectl-hallpass" "$(CURDIR)/bin/kubectl_complete-hallpass" "$(or $(PLUGIN_DIR),$(HOME)/.local/bin)/"

.PHONY: generate bench image
generate: $(installed) ## Write what is generated: CRDs, guards, reference
	node src/api/generate.ts
	node src/access/guards/generate.ts
bench: $(installed) ## Measure, and write bench/results (FIGURE=create: one figure)
	node bench/run.ts $(FIGURE)
image: $(installed) ## Assemble hallpass's image as an OCI archive in dist, without a container engine
	node --disable-warning=ExperimentalWarning image/build.ts

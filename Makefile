# The tasks of this repository; `make help` lists them. Longer ones are in scripts/.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS   += --no-print-directory

BIN         := .tools/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

FUZZTIME  ?= 10m # for each target of `make fuzz`
FLAKYRUNS ?= 20  # number of runs of `make flaky`
SOAKTIME  ?= 10m # for each test of `make soak`
TESTFLAGS ?=     # further flags of go test, such as -run TestName
DEMO_ARGS ?=     # arguments of `hauberk demo`
PEERS     ?= $(CURDIR)/.peers# work folder of `make peers`
PEERSFLAGS ?=    # further flags of `make peers`, such as -suite grpc-go -chain empty

.PHONY: all
all: lint test

##@ Every day

.PHONY: test
test: ## vet and test every module, with the race detector (needs gcc, python3 and redis-server; e2e included)
	@scripts/ensure.sh gcc python3 redis-server
	@scripts/test.sh -race -shuffle=1 $(strip $(TESTFLAGS))
	@scripts/test-without-race.sh

.PHONY: test-short
test-short: ## test every module quickly: -short, no race detector
	@scripts/ensure.sh python3 redis-server
	@scripts/test.sh -short $(strip $(TESTFLAGS))

.PHONY: lint
lint: $(BIN)/golangci-lint ## words of all texts, golangci-lint, shellcheck, minimum versions of dependencies
	@scripts/ensure.sh shellcheck
	shellcheck scripts/*.sh .ci/run
	@scripts/check-min-versions.sh
	@scripts/lint.sh

.PHONY: fmt
fmt: $(BIN)/golangci-lint ## format all Go code
	golangci-lint fmt

.PHONY: examples
examples: ## vet, test and run every program in examples/
	@scripts/ensure.sh redis-server
	@scripts/examples.sh

.PHONY: demo
demo: ## run the demo until Ctrl-C; pass arguments in DEMO_ARGS
	go build -o bin/ ./cmd/hauberk ./scripts/foreground
	@bin/foreground bin/hauberk demo $(strip $(DEMO_ARGS))

.PHONY: demo-svg
demo-svg: ## draw docs/demo.svg, the picture in README.md, from the output of the demo
	go build -o bin/ ./cmd/hauberk
	bin/hauberk demo --for 4s 2>&1 | go run ./scripts/demosvg >docs/demo.svg

##@ Long runs

.PHONY: e2e
e2e: ## run black-box tests on the built binary and real peers (needs python3 and redis-server)
	@scripts/ensure.sh python3 redis-server
	go test ./e2e/... -count=1 $(strip $(TESTFLAGS))

.PHONY: fuzz
fuzz: ## run every fuzz target, and the randomized tests with fresh seeds, for FUZZTIME (10m)
	@scripts/random.sh $(strip $(FUZZTIME))
	@scripts/fuzz.sh $(strip $(FUZZTIME))

.PHONY: fuzz-short
fuzz-short: ## run every fuzz target for 3s, as CI does
	@scripts/fuzz.sh 3s

.PHONY: delivery
delivery: ## test what takes minutes to compile: the Helm chart, and that two builds of the binary are equal
	go -C deploy/helm vet ./...
	go -C deploy/helm test ./...
	go -C deploy test -tags delivery -run TestReproducible .

.PHONY: soak
soak: ## run every TestSoak… for SOAKTIME (10m) each
	@scripts/soak.sh $(strip $(SOAKTIME))

.PHONY: flaky
flaky: ## run all tests FLAKYRUNS (20) times while two cores are busy; stop at the first failure
	@scripts/ensure.sh gcc python3 redis-server
	@scripts/flaky.sh $(strip $(FLAKYRUNS))

.PHONY: mutate
mutate: ## break the library in listed ways and check that exploration finds each
	@go run ./internal/streamsim/mutate

.PHONY: peers
peers: ## run other projects' tests behind a chain and compare with bare grpc-go (docs/differences.md)
	@go -C peers run . -work "$(strip $(PEERS))" $(strip $(PEERSFLAGS))
	@$(if $(strip $(PEERSFLAGS)),:,$(MAKE) peers-java peers-sidecar)

.PHONY: peers-java
peers-java: ## run the clients' interceptors against a server of grpc-java, and its interop tests through the sidecar
	go test -count=1 -tags java -timeout 30m -run '^TestJava' ./e2e/composition ./e2e

.PHONY: peers-sidecar
peers-sidecar: ## run the sidecar between etcd and its clients, and between client and server of grpc-js
	@scripts/ensure.sh node npm
	go -C peers/sidecar vet .
	go -C peers/sidecar test -count=1 -timeout 30m $(strip $(TESTFLAGS)) .

.PHONY: peers-short
peers-short: ## the part of make peers that CI runs, in a few minutes
	@go -C peers run . -short -work "$(strip $(PEERS))" $(strip $(PEERSFLAGS))

.PHONY: bench
bench: ## benchmark Hauberk and other libraries in one run, as ratios
	cd bench && go run .

.PHONY: sim
sim: ## simulate limits and retries under load; write CSV and SVG to bench/curves
	go -C bench run ./sim -out curves
	go -C bench test ./sim -run '^TestOverload$$' -count 1 -args -out ../curves

##@ Generated code and modules

.PHONY: generate
generate: $(BIN)/protoc $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc ## generate Go code from every .proto file
	@scripts/generate.sh

.PHONY: checkgenerate
checkgenerate: $(BIN)/protoc $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc ## generate, and fail if a file changes
	@scripts/checkgenerate.sh

.PHONY: manual
manual: ## write the man pages of hauberk and its completions for shells into bin/manual
	@go run ./cmd/hauberk/internal/manual bin/manual

.PHONY: sbom
sbom: ## write bin/sbom.cdx.json, the modules that are linked into hauberk, as CycloneDX
	@CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/hauberk
	@go -C deploy run ./sbom -o ../bin/sbom.cdx.json ../bin/hauberk

.PHONY: image
image: ## build the image of the sidecar with ko, which must be installed; KO_DOCKER_REPO names its repository
	@KO_CONFIG_PATH=deploy/docker SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) ko build --bare --sbom=spdx ./cmd/hauberk

.PHONY: apidiff
apidiff: $(BIN)/apidiff ## print the changes of the public API since the last tag
	@scripts/apidiff.sh

.PHONY: tidy
tidy: ## run go mod tidy in every module
	@for dir in $$(scripts/modules.sh); do echo "go -C $$dir mod tidy"; go -C "$$dir" mod tidy; done

.PHONY: tools
tools: $(addprefix $(BIN)/,golangci-lint protoc protoc-gen-go protoc-gen-go-grpc benchstat apidiff) ## build every tool

.PHONY: clean
clean: ## remove everything that make built or installed in this folder
	rm -rf bin coverage.out .tools .peers e2e/.venv e2e/envoy/.venv e2e/grpcjava/.jars e2e/javainterop/.jars

.PHONY: help
help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# tools/go.mod pins the tools. They are built once, and again if that file or the Go release changes.

.tools/go-version: FORCE
	@mkdir -p $(@D); v=$$(go env GOVERSION); [ "$$(cat $@ 2>/dev/null)" = "$$v" ] || echo "$$v" >$@

$(BIN)/%: tools/go.mod tools/go.sum .tools/go-version
	@echo "building $* (once)"
	@GOBIN=$(CURDIR)/$(BIN) go -C tools install "$$(go -C tools list tool | grep '/$*$$')"
	@touch $@

$(BIN)/protoc: tools/protoc-requirements.txt
	@scripts/ensure-protoc.sh

.PHONY: FORCE
FORCE:

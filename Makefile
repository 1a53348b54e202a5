# What a newcomer runs: `make demo` and `make test`.
SHELL := /bin/bash
GO    ?= go
BIN   := bin
export CGO_ENABLED ?= 1
export GOFLAGS ?= -trimpath
# The header of NVIDIA's library calls functions deprecated that older drivers need.
export CGO_CFLAGS ?= -O2 -Wno-deprecated-declarations
# The tests lay thousands of trees of small files. Where memory is a file system with
# room, from which programs can be started, they lie there: a disk takes ten times as
# long. Set TMPDIR to have them elsewhere.
TESTTMP = $(or $(TMPDIR),$(shell [ "$$(df -Pk /dev/shm 2>/dev/null | awk 'NR==2{print $$4}')" -gt 4194304 ] 2>/dev/null && \
  f=$$(mktemp -p /dev/shm) && echo "echo /dev/shm" > $$f && chmod 700 $$f && $$f; rm -f $$f),/tmp)

.PHONY: all build helpers demo test test-gpu unit e2e e2e-lxc check bench fuzz prerequisites clean

all: build

## helpers: build the static helpers for both architectures, and the GPU probe where there is
## a C compiler for it, and pack them for embedding
helpers:
	@command -v "$${CC:-gcc}" >/dev/null || { [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null; } || true
	$(GO) run ./agentlet/dist/pack

## build: bin/phoenix with the helpers inside
build: helpers
	CGO_ENABLED=0 $(GO) build -ldflags "-s -w" -o $(BIN)/phoenix ./cmd/phoenix

## demo: three simulated Proxmox hosts behind real SSH servers: check, run, check, report
demo: build
	./examples/demo.sh $(BIN)/phoenix

## prerequisites: install what the tests need, or name it
prerequisites:
	./e2e/prerequisites.sh

## test: everything, with the race detector
test: prerequisites build
	TMPDIR=$(TESTTMP) $(GO) test -race -timeout 20m ./...

## unit: all but the end-to-end tests; needs neither root nor sshd
unit: helpers
	TMPDIR=$(TESTTMP) $(GO) test -race ./agentlet/... ./cmd/... ./inventory/... ./schemas/... ./tasks/... ./transport/...

## e2e-lxc: real containers on Debian's LXC, with features inside; part of test
e2e-lxc: prerequisites build
	TMPDIR=$(TESTTMP) $(GO) test -timeout 20m -count=1 -v ./e2e -run 'TestReal(Containers|Features)'

## test-gpu: where there is an NVIDIA card, the GPU probe against nvidia-smi, fact by fact
test-gpu: helpers
	$(GO) run ./e2e/gpucompare

## check: format, vet, staticcheck, known vulnerabilities where the database is reachable
check: helpers
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "make check: run gofmt -w on the files above"; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	$(GO) test ./e2e -run 'TestConventions'
	@$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./... || \
	  { s=$$?; [ $$s -eq 3 ] && exit 1; echo "make check: the vulnerability database could not be reached; not checked"; }

## bench: how far a warm check is from the floor, as ratios within one run
bench: prerequisites build
	$(GO) run ./e2e/bench $(BENCHFLAGS)

## fuzz: every fuzz target for ten seconds
fuzz: helpers
	./e2e/fuzz.sh 10s

clean:
	rm -rf $(BIN) agentlet/dist/bin/*.gz agentlet/dist/bin/*.sha256

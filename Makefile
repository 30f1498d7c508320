# Hullmark: build, check, test and measure. `make help` lists the targets.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
BIN         = bin/hullmark

# Where scripts/tools puts the programs that tests drive.
export HULLMARK_TOOLS = $(CURDIR)/.cache/tools/bin

# SQLite's C, translated to Go: it takes its locks itself, and the race detector would spend five sixths of the tests' time in
# it. Only this package: others of its module instantiate generic code of the standard library, which must stay watched.
UNRACED = -gcflags=modernc.org/sqlite/lib=-race=false

# How often `make crash` kills the server, and how long `make fuzz` stays with each target.
POINTS   ?= 1000
FUZZTIME ?= 5s

.DEFAULT_GOAL := help
.PHONY: help build check test tools e2e cluster crash bench bench-sensor demo fuzz proto bpf kernels clean $(BIN)

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: $(BIN) ## build bin/hullmark, one static binary

$(BIN):
	CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/hullmark

check: ## formatting, vet, staticcheck, architecture and unit tests with the race detector
	@unformatted=$$(gofmt -l cmd internal e2e); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on: $$unformatted" >&2; exit 1; fi
	go vet -tags kernels ./...
	go run $(STATICCHECK) -tags kernels ./...
	go test -race -short -timeout 10m $(UNRACED) ./cmd/... ./internal/...
	go test -run MemoryStaysBounded ./internal/image # not under the race detector, which has a heap of its own

test: tools check e2e ## everything; first installs the clients that the tests drive

tools:
	scripts/tools e2e
	scripts/tools cluster
	scripts/tools bpf

e2e: tools ## the end-to-end tests alone
	go test -count=1 -p 1 -parallel 2 -timeout 40m ./e2e/... # -count=1: go cannot see that the tested program changed

cluster: ## start a Kubernetes to try things on, print its KUBECONFIG, end it on Ctrl-C
	scripts/tools cluster
	@mkdir -p .cache
	@go build -o .cache/cluster ./e2e/cluster/up && exec .cache/cluster # go run would not pass Ctrl-C on in time

crash: ## kill the server POINTS times under load and check that nothing acknowledged is lost
	go test -count=1 -timeout 2h ./e2e/crash -points $(POINTS)

bench: build ## measure side by side with the peers; installs them first
	scripts/tools bench
	go run ./e2e/bench -hullmark $(BIN)
	go run ./e2e/bench/admission
	go run ./e2e/bench/recall
	$(MAKE) bench-sensor

bench-sensor: build ## the part of bench that needs root: what the sensor costs and loses, and the agent on its reference load
	go run ./e2e/bench/sensor
	CGO_ENABLED=0 go run ./e2e/bench/agentmix -hullmark $(BIN)

demo: build ## a release that travels into an image, and a worm that meets the four gates
	$(BIN) demo
	$(BIN) demo worm

fuzz: ## each fuzz target for FUZZTIME
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd internal | sort | \
	while IFS=: read -r file func; do \
		go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "./$$(dirname "$$file")" || exit 1; \
	done

proto: ## generate Go from api/fleet.proto; needs protoc
	GOBIN=$(CURDIR)/.cache/tools/bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	GOBIN=$(CURDIR)/.cache/tools/bin go install connectrpc.com/connect/cmd/protoc-gen-connect-go@v1.21.1
	PATH=$(HULLMARK_TOOLS):$$PATH protoc -I api --go_out=. --go_opt=module=github.com/hullmark/hullmark \
		--connect-go_out=. --connect-go_opt=module=github.com/hullmark/hullmark api/fleet.proto

# The objects are committed: clang is needed only where bpf/ changes. Paths are left out of the debug
# information, so that the bytes do not depend on where the repository lies.
BPF_OUT ?= internal/sensor/kernel

bpf: ## compile the programs of bpf/ into $(BPF_OUT)
	for object in $(basename $(basename $(notdir $(wildcard bpf/*.bpf.c)))); do \
		(cd bpf && clang -target bpf -O2 -g -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-function \
			-ffile-prefix-map=$(CURDIR)/bpf=. -fdebug-compilation-dir=. \
			-c $$object.bpf.c -o $(abspath $(BPF_OUT))/$$object.bpfel.o && \
			llvm-strip -g $(abspath $(BPF_OUT))/$$object.bpfel.o) || exit 1; \
	done

kernels: ## the sensor on Debian's 5.10, 6.1 and 6.12, in QEMU: LSM, fentry and overlay as a module
	scripts/tools kernels
	scripts/kernels

clean: ## remove what was built, but not the installed tools
	rm -rf bin .cache/bench

# Builds, shows and tests minirun. "make" alone lists the targets.
# What a target needs of this machine it installs when run as root on Debian, and else says what to install.

cargo := runtime-tests/cargo-static
# Evaluated only by the targets that use it: it may fetch the target's standard library.
out = $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/$(shell $(cargo) --print-target)/release
minirun = $(out)/minirun
probe = $(out)/probe
fixtures := $(CURDIR)/target/fixtures
# Root is needed to make containers, not to compile.
sudo := $(if $(filter 0,$(shell id -u)),,sudo)
# Arguments for the test programs, as in: make test-vm ARGS=memory
ARGS ?=

.PHONY: help build probe run fixtures vm test test-unit test-host test-vm bless bench lint fmt clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

build: ## compile the static program
	$(cargo) build --release --package minirun
	@ls -l $(minirun)

probe:
	$(cargo) build --release --package runtime-tests --bin probe

run: build probe ## run the showcase bundle, here or else in the VM
	@PROBE=$(probe) MINIRUN_FIXTURES=$(fixtures) rootfs-fixtures/showcase/run $(minirun)

fixtures: probe ## build the test root file systems
	$(sudo) env PROBE=$(probe) rootfs-fixtures/build $(fixtures)

vm: build probe ## a shell in the test VM, with minirun and the fixtures' scripts in it
	runtime-tests/vm/run --add $(minirun)=/usr/local/bin/minirun --add $(probe)=/usr/local/bin/probe \
		--add rootfs-fixtures=/root/rootfs-fixtures --env PROBE=/usr/local/bin/probe --shell

test: test-unit test-host test-vm ## all tests

# libseccomp is what the compiler of seccomp profiles is compared with.
test-unit: ## tests that need no privilege: parsers, the compiler, golden plans
	@runtime-tests/install-packages libseccomp2
	cargo test --workspace --exclude runtime-tests

# MINIRUN_RUNTIME=runc make test-host runs the same suites against another runtime; steps is about minirun's own steps.
test-host: build probe ## containers on this kernel, as root
	@$(sudo) runtime-tests/install-packages busybox-static procps
	@programs=$$(runtime-tests/test-programs host bad_configs torture $(if $(MINIRUN_RUNTIME),,steps)) || exit; \
	for program in $$programs; do \
		$(sudo) env MINIRUN_RUNTIME=$(or $(MINIRUN_RUNTIME),$(minirun)) MINIRUN_PROBE=$(probe) \
			runtime-tests/private-cgroup2 $$program $(ARGS) || exit; \
	done

# SUITES="limits host" adds the host suites, on the VM's kernel: six minutes without KVM.
SUITES ?= limits
test-vm: build probe ## limits in the test VM, which has every controller
	runtime-tests/vm/test $(minirun) $(probe) $(SUITES) -- $(ARGS)

bless: ## rewrite the golden plans, for the review to read
	MINIRUN_BLESS=1 cargo test -p minirun-plan -p minirun-overlay --test golden

bench: build ## measure against the kernel's own work and other runtimes
	runtime-tests/bench $(minirun)

lint: ## what the CI checks besides the tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

fmt: ## format the code
	cargo fmt --all

clean: ## delete everything that was built or fetched
	$(sudo) rm -rf $(fixtures) target/vm
	cargo clean

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
# Where "make install" puts things, below DESTDIR when a package is made.
PREFIX ?= /usr/local
bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man/man8
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
# Podman and Buildah look for what is added to their configuration nowhere else; those of one user in ~/.config.
SYSCONFDIR ?= /etc
podmandir = $(DESTDIR)$(SYSCONFDIR)/containers/containers.conf.d
# For the PATH of engines that call runc by its name.
libdir = $(DESTDIR)$(PREFIX)/lib/minirun
# What --version says; nothing outside of a repository.
commit = $(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null)
# Arguments for the test programs, as in: make test-vm ARGS=memory
ARGS ?=

.PHONY: help build install uninstall probe run fixtures vm test test-unit test-host test-bare test-vm test-sweeps test-selinux \
	test-systemd test-engines bless bench bench-images lint fmt clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

# FEATURES= makes the bare runtime, without image commands and the systemd driver; FEATURES=images adds the former.
features = $(if $(filter undefined,$(origin FEATURES)),,--no-default-features --features "$(FEATURES)")

build: ## compile the static program; FEATURES= without images and systemd
	MINIRUN_COMMIT=$(commit) $(cargo) build --release --package minirun $(features)
	@ls -l $(minirun)

# Nothing is compiled here, because root may have no compiler: minirun=FILE names a program that is elsewhere.
install: ## install what was built, with manual pages, completions and what engines read; see DESTDIR, PREFIX, SYSCONFDIR
	@[ -x $(minirun) ] || { echo "no program at $(minirun) (hint: make build)" >&2; exit 1; }
	install -d $(bindir) $(mandir) $(bashdir) $(zshdir) $(fishdir) $(podmandir) $(libdir)
	install -m 755 $(minirun) $(bindir)/minirun
	$(minirun) man | gzip -9n >$(mandir)/minirun.8.gz
	for command in $$($(minirun) help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do \
		$(minirun) man $$command | gzip -9n >$(mandir)/minirun-$$command.8.gz || exit; \
	done
	$(minirun) completion bash >$(bashdir)/minirun
	$(minirun) completion zsh >$(zshdir)/_minirun
	$(minirun) completion fish >$(fishdir)/minirun.fish
	sed 's,@bindir@,$(PREFIX)/bin,' dropins/containers.conf.d/minirun.conf >$(podmandir)/minirun.conf
	ln -sf ../../bin/minirun $(libdir)/runc

uninstall: ## remove what install has put there
	rm -f $(bindir)/minirun $(mandir)/minirun.8.gz $(mandir)/minirun-*.8.gz \
		$(bashdir)/minirun $(zshdir)/_minirun $(fishdir)/minirun.fish $(podmandir)/minirun.conf $(libdir)/runc
	[ ! -d $(libdir) ] || rmdir $(libdir)

probe:
	$(cargo) build --release --package runtime-tests --bin probe

run: build probe ## run the showcase bundle, here or else in the VM
	@PROBE=$(probe) MINIRUN_FIXTURES=$(fixtures) rootfs-fixtures/showcase/run $(minirun)

fixtures: probe ## build the test root file systems
	$(sudo) env PROBE=$(probe) rootfs-fixtures/build $(fixtures)

vm: build probe ## a shell in the test VM, with minirun and the fixtures' scripts in it
	runtime-tests/vm/run --add $(minirun)=/usr/local/bin/minirun --add $(probe)=/usr/local/bin/probe \
		--add rootfs-fixtures=/root/rootfs-fixtures --env PROBE=/usr/local/bin/probe --shell

test: SCOPE = quick
test: lint test-unit test-host test-bare test-vm test-selinux test-systemd test-engines ## all tests; of the engines those that do not take long

# libseccomp is what the compiler of seccomp profiles is compared with.
test-unit: ## tests that need no privilege: parsers, the compiler, golden plans
	@runtime-tests/install-packages libseccomp2
	cargo test --workspace --exclude runtime-tests
	cargo check --quiet --package minirun --no-default-features

# What the suites about minirun alone look with: shells, manual pages, and writers and readers of images.
witnesses = fish groff man-db mandoc zsh attr curl libarchive-tools libcap2-bin mmdebstrap skopeo time umoci zstd

# MINIRUN_RUNTIME=runc make test-host runs the same suites against another runtime; steps, fields, library, installed, images
# and commits are about minirun alone.
test-host: build probe ## containers on this kernel, as root
	@$(sudo) runtime-tests/install-packages busybox-static procps uidmap $(if $(MINIRUN_RUNTIME),,$(witnesses))
	@programs=$$(runtime-tests/test-programs host bad_configs torture \
		$(if $(MINIRUN_RUNTIME),,steps fields library installed images commits)) || exit; \
	for program in $$programs; do \
		$(sudo) env MINIRUN_RUNTIME=$(or $(MINIRUN_RUNTIME),$(minirun)) MINIRUN_PROBE=$(probe) \
			$(foreach name,MINIRUN_SWEEP MINIRUN_SEED,$(if $($(name)),$(name)=$($(name)))) \
			runtime-tests/private-cgroup2 $$program $(ARGS) || exit; \
	done

# Its own directory: the full program stays.
bare_target = $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/bare
test-bare: probe ## the bare runtime: its size, and the quick part of the host suite, as root
	$(cargo) build --release --package minirun --no-default-features --target-dir $(bare_target)
	$(sudo) runtime-tests/test-bare $(bare_target)/$(shell $(cargo) --print-target)/release/minirun $(probe)

# SUITES="limits host" adds the host suites, on the VM's kernel: six minutes without KVM.
SUITES ?= limits
test-vm: build probe ## limits in the test VM, which has every controller
	runtime-tests/vm/test $(minirun) $(probe) $(SUITES) -- $(ARGS)

# Runs the sweeps in full: errors, renamed directories, attacks. test-host runs a tenth of each.
test-sweeps: ## faults and attacks at every system call: takes hours
	$(MAKE) test-host MINIRUN_SWEEP=full ARGS="sweep swaps attack $(ARGS)"
	$(MAKE) test-vm SUITES=limits ARGS="sweep $(ARGS)" MINIRUN_VM_OPTIONS="--env MINIRUN_SWEEP=full $(MINIRUN_VM_OPTIONS)" \
		MINIRUN_VM_TIMEOUT=$(or $(MINIRUN_VM_TIMEOUT),14400)

test-selinux: build probe ## labels of SELinux, in the test VM, booted with it
	runtime-tests/vm/test $(minirun) $(probe) selinux -- $(ARGS)

# What a VM with systemd holds: the container engines of Debian, and what their tests look with.
engines = docker.io docker-cli docker-buildx docker-compose containerd podman buildah skopeo runc crun conmon netavark \
	aardvark-dns containernetworking-plugins iptables nftables slirp4netns passt fuse-overlayfs catatonit tini \
	btrfs-progs dmsetup e2fsprogs iproute2 procps strace jq curl python3 python3-grpcio

test-systemd: build probe ## the systemd cgroup driver, in a VM with systemd
	image=$$($(sudo) runtime-tests/vm/image $(engines)) && \
	MINIRUN_VM_IMAGE=$$image runtime-tests/vm/test $(minirun) $(probe) systemd -- $(ARGS)

# SCOPE=quick leaves out what takes long; ARGS=docker:: selects by name. MINIRUN_RUNTIME=runc or crun tests that program
# of the VM's system instead. A script of many commands takes minutes where both the guest and the host are slow: patience.
SCOPE ?= full
test-engines: build probe ## Docker, containerd and Podman with minirun, in the same VM; SCOPE=quick for four minutes
	image=$$($(sudo) runtime-tests/vm/image $(engines)) && \
	MINIRUN_VM_IMAGE=$$image MINIRUN_VM_OPTIONS="--memory 3072 $(MINIRUN_VM_OPTIONS)" \
		MINIRUN_VM_TIMEOUT=$(or $(MINIRUN_VM_TIMEOUT),14400) MINIRUN_PATIENCE=$(or $(MINIRUN_PATIENCE),900) \
		runtime-tests/vm/test $(minirun) $(probe) engines -- $(if $(filter quick,$(SCOPE)),,--include-ignored) $(ARGS)

bless: ## rewrite the golden plans, for the review to read
	MINIRUN_BLESS=1 cargo test -p minirun-plan --test golden

bench: build ## measure against the kernel's own work and other runtimes
	runtime-tests/bench $(minirun)

bench-images: build ## measure unpacking of an image of Debian against umoci, and against decompressing and writing alone
	$(sudo) runtime-tests/bench-images $(minirun)

lint: ## the shape of the code, formatting, clippy, and places where an error is dropped
	runtime-tests/lint

fmt: ## format the code
	cargo fmt --all

clean: ## delete everything that was built or fetched
	$(sudo) rm -rf $(fixtures) target/vm
	cargo clean

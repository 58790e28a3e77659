//! Tests of the calls that the profile of `minirun bundle` allows, with its compiled filter.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "libseccomp/interpreter.rs"]
mod interpreter;

use interpreter::{Data, ask};
use minirun_seccomp::{Machine, Profile, compile, container_profile, show};

/// The default capabilities of `minirun bundle`.
const USUAL: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A compiled profile, to evaluate calls by name.
struct Filter(Vec<u64>);

impl Filter {
    fn with(capabilities: &[&str]) -> Self {
        Self::of(&container_profile(capabilities))
    }

    fn of(profile: &Profile) -> Self {
        Self(compile(profile, Machine::native()).unwrap().filter.unwrap().program)
    }

    /// Returns the answer to a call of an architecture of this machine; none if it has no such call.
    fn on(&self, architecture: &str, name: &str, arguments: &[u64]) -> Option<String> {
        let (.., number) = Machine::native().calls().find(|(on, call, _)| (*on, *call) == (architecture, name))?;
        let mut six = [0; 6];
        six[..arguments.len()].copy_from_slice(arguments);
        let architecture = match architecture {
            "SCMP_ARCH_X86_64" | "SCMP_ARCH_X32" => 0xc000_003e,
            "SCMP_ARCH_X86" => 0x4000_0003,
            "SCMP_ARCH_AARCH64" => 0xc000_00b7,
            "SCMP_ARCH_ARM" => 0x4000_0028,
            "SCMP_ARCH_RISCV64" => 0xc000_00f3,
            other => panic!("{other}"),
        };
        Some(show(ask(&self.0, &Data { number, architecture, arguments: six })))
    }

    /// Returns the answer of all architectures that have the call, which must be the same.
    #[track_caller]
    fn ask(&self, name: &str, arguments: &[u64]) -> String {
        let mut architectures: Vec<_> = Machine::native().calls().map(|(on, ..)| on).collect();
        architectures.dedup();
        let mut answers: Vec<_> = architectures.iter().filter_map(|on| self.on(on, name, arguments)).collect();
        answers.dedup();
        assert!(answers.len() <= 1, "{name}: {answers:?}");
        answers.pop().unwrap_or_default()
    }
}

const DENIED: &str = "errno 1";

#[test]
fn calls_that_reach_beyond_the_container_are_denied() {
    let filter = Filter::with(&USUAL);
    let names = "acct add_key bpf clock_settime create_module delete_module fanotify_init finit_module fsconfig fsmount fsopen \
                 fspick get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp \
                 kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages \
                 nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise quotactl \
                 quotactl_fd reboot request_key set_mempolicy setdomainname sethostname setns settimeofday stime swapoff \
                 swapon sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old";
    for name in names.split_whitespace() {
        let answer = filter.ask(name, &[]);
        // A call newer than those of the profile does not exist; one that this machine lacks has no answer.
        assert!([DENIED, "errno 38", ""].contains(&answer.as_str()), "{name}: {answer}");
        if !["", "errno 38"].contains(&answer.as_str()) {
            assert_eq!(answer, DENIED, "{name}");
        }
    }
    for name in ["keyctl", "bpf", "mount", "unshare", "userfaultfd", "io_uring_setup", "open_by_handle_at", "setns"] {
        assert_eq!(filter.ask(name, &[0x1000_0000]), DENIED, "{name}");
    }
}

#[test]
fn new_namespaces_cannot_be_requested() {
    let filter = Filter::with(&USUAL);
    for flag in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000u64] {
        assert_eq!(filter.ask("clone", &[flag | 17]), DENIED, "{flag:#x}");
        assert_eq!(filter.ask("unshare", &[flag]), DENIED, "{flag:#x}");
    }
    // Threads, and children.
    for flags in [0x003d_0f00, 17, 0x0120_0011] {
        assert_eq!(filter.ask("clone", &[flags]), "allow", "{flags:#x}");
    }
    // Only with this answer do C libraries fall back to clone.
    assert_eq!(filter.ask("clone3", &[]), "errno 38");
    for allowed in ["clone3", "unshare", "setns", "mount"] {
        assert_eq!(Filter::with(&["CAP_SYS_ADMIN"]).ask(allowed, &[0x1000_0000]), "allow", "{allowed}");
    }
    assert_eq!(Filter::with(&["CAP_SYS_ADMIN"]).ask("clone", &[0x1000_0000]), "allow");
}

#[test]
fn only_socket_families_separated_by_namespaces_are_allowed() {
    let filter = Filter::with(&USUAL);
    for (family, name) in
        [(1, "unix"), (2, "inet"), (10, "inet6"), (16, "netlink"), (17, "packet"), (29, "can"), (44, "xdp")]
    {
        assert_eq!(filter.ask("socket", &[family, 1]), "allow", "AF_{name}");
    }
    for (family, name) in
        [(38, "alg"), (40, "vsock"), (12, "decnet"), (37, "caif"), (46, "unknown"), (u64::from(u32::MAX), "-1")]
    {
        assert_eq!(filter.ask("socket", &[family, 1]), DENIED, "AF_{name}");
    }
    // The kernel uses only the lower half of a register.
    let native = Machine::native().calls().next().unwrap().0;
    for family in [38, 40] {
        assert_eq!(filter.on(native, "socket", &[family | 1 << 32, 1]).unwrap(), DENIED);
        assert_eq!(filter.on(native, "socket", &[family | u64::from(u32::MAX) << 32, 1]).unwrap(), DENIED);
    }
    // 32-bit programs can also use socketcall: all of it is allowed except the one call whose family cannot be read.
    if cfg!(target_arch = "x86_64") {
        assert_eq!(filter.on("SCMP_ARCH_X86", "socketcall", &[1]).unwrap(), DENIED);
        for call in 2..=20 {
            assert_eq!(filter.on("SCMP_ARCH_X86", "socketcall", &[call]).unwrap(), "allow", "{call}");
        }
    }
}

#[test]
fn only_five_personalities_are_allowed() {
    let filter = Filter::with(&USUAL);
    for persona in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        assert_eq!(filter.ask("personality", &[persona]), "allow", "{persona:#x}");
    }
    // ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC weaken programs with more rights.
    for persona in [0x4_0000, 0x40_0000, 0x10_0000, 1] {
        assert_eq!(filter.ask("personality", &[persona]), DENIED, "{persona:#x}");
    }
}

#[test]
fn a_capability_allows_only_its_calls() {
    for (capability, calls) in [
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
        ("CAP_SYS_TIME", "clock_settime settimeofday"),
        ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
    ] {
        let (filter, none) = (Filter::with(&[capability]), Filter::with(&[]));
        for (on, name, _) in Machine::native().calls() {
            let changed = filter.on(on, name, &[]) != none.on(on, name, &[]);
            let expected = calls.split(' ').any(|call| call == name.trim_end_matches("64"))
                || name == "stime" && capability == "CAP_SYS_TIME";
            assert!(!changed || expected || name == "set_mempolicy_home_node", "{capability} changes {name}");
            assert!(changed || !expected, "{capability} does not change {name}");
        }
    }
}

#[test]
fn calls_of_common_programs_are_allowed() {
    let filter = Filter::with(&USUAL);
    let names = "accept4 brk chmod chown chroot clock_gettime clone close connect dup2 epoll_wait execve exit_group fchmodat2 fcntl \
                 flock fork fstat fsync futex getdents64 getpid getrandom ioctl kill landlock_create_ruleset listen mknod mmap \
                 mprotect nanosleep newfstatat open openat openat2 pipe2 poll prctl ptrace read rename rseq rt_sigaction sched_setaffinity \
                 seccomp sendmsg setgroups setresuid setuid setxattr shmget sigaltstack socketpair statx symlink timerfd_create \
                 unlink utimensat vfork wait4 write";
    for name in names.split_whitespace() {
        let answer = filter.ask(name, &[]);
        assert!(["allow", ""].contains(&answer.as_str()), "{name}: {answer}");
    }
}

/// Checks that this profile allows nothing that an engine's profile (as in config.json, for the capabilities above)
/// refuses.
#[test]
#[ignore = "compares with the file that MINIRUN_ENGINE_PROFILE names"]
fn an_engines_profile_is_not_stricter() {
    let path = std::env::var_os("MINIRUN_ENGINE_PROFILE").expect("MINIRUN_ENGINE_PROFILE=FILE");
    let engine: Profile = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (ours, theirs) = (Filter::with(&USUAL), Filter::of(&engine));
    let values =
        [0, 1, 2, 8, 12, 17, 37, 38, 39, 40, 41, 45, 46, 0x2_0000, 0x1000_0000, 0x7e02_0000, 0xffff_ffff, 38 | 1 << 32];
    for (on, name, _) in Machine::native().calls() {
        for value in values {
            let (own, other) = (ours.on(on, name, &[value]).unwrap(), theirs.on(on, name, &[value]).unwrap());
            assert!(own != "allow" || other == "allow", "{on} {name}({value:#x}) is allowed");
        }
    }
}

//! The default profile of a container: a list of the calls that programs need. All others fail with `EPERM`.
//!
//! Each group states why its calls are allowed. Calls in no group are refused: those that change the host or the kernel
//! (`kexec_load`, `swapon`, `init_module`), that reach resources which namespaces do not separate (`keyctl`, `bpf`,
//! `perf_event_open`), that often led out of containers (`userfaultfd`, `io_uring_setup`, `unshare`), and those that
//! only very old programs use. Calls behind a capability are allowed if the container has it: the kernel checks it
//! again, and the user requested it.

use crate::action::ACTIONS;
use crate::architecture::{Architecture, Machine};
use crate::multiplexed;
use crate::profile::{Argument, Profile, Syscall};
use crate::syscalls::Call;

/// Calls that are allowed for the same reason.
struct Group {
    /// The capabilities of which the container must have at least one; empty for every container.
    needs: &'static [&'static str],
    /// Why they are allowed.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is for readers and checkers of the table"))]
    reason: &'static str,
    /// The names, separated by blanks. Those that this machine does not have are ignored.
    calls: &'static str,
}

const fn all(reason: &'static str, calls: &'static str) -> Group {
    Group { needs: &[], reason, calls }
}

const fn with(needs: &'static [&'static str], reason: &'static str, calls: &'static str) -> Group {
    Group { needs, reason, calls }
}

const GROUPS: &[Group] = &[
    all(
        "files by their paths, which permissions and the mount namespace protect",
        "access chdir chmod chown chown32 creat faccessat faccessat2 fchmodat fchmodat2 fchownat fstatat64 futimesat getcwd \
         lchown lchown32 link linkat lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 \
         readlink readlinkat rename renameat renameat2 rmdir stat stat64 statfs statfs64 statx symlink symlinkat truncate \
         truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes",
    ),
    all(
        "work on open descriptors",
        "_llseek cachestat close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64 fallocate fchdir fchmod fchown \
         fchown32 fcntl fcntl64 fdatasync flock fstat fstat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 getdents getdents64 \
         ioctl lseek pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile sendfile64 splice \
         sync sync_file_range syncfs tee vmsplice write writev",
    ),
    all(
        "extended attributes; the kernel keeps trusted.* to the host's root",
        "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr lremovexattr \
         lsetxattr removexattr removexattrat setxattr setxattrat",
    ),
    all(
        "waiting for descriptors, files, signals and times",
        "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd \
         eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch pause poll ppoll ppoll_time64 \
         pselect6 pselect6_time64 select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime \
         timerfd_settime64",
    ),
    all(
        "the process's own memory; without userfaultfd, which stops the kernel in the middle of its work",
        "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap \
         mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages",
    ),
    all(
        "processes and threads; clone has a rule of its own",
        "execve execveat exit exit_group fork getpgid getpgrp getpid getppid getsid gettid pidfd_open pidfd_send_signal setpgid \
         setsid vfork wait4 waitid waitpid",
    ),
    all(
        "signals",
        "alarm kill restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
         rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn tgkill tkill",
    ),
    all(
        "users, groups and capabilities, which the bounding set and the user namespace limit",
        "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid \
         getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid \
         setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32",
    ),
    all(
        "scheduling and limits, within what the cgroup and CAP_SYS_NICE allow",
        "getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_get_priority_max sched_get_priority_min \
         sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 \
         sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield setpriority setrlimit ugetrlimit",
    ),
    all(
        "clocks and timers; adjtimex reads the clock's state, and the kernel requires CAP_SYS_TIME to change it",
        "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
         clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun \
         timer_gettime timer_gettime64 timer_settime timer_settime64 times",
    ),
    all(
        "locks between threads and processes",
        "futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list rseq set_robust_list",
    ),
    all(
        "messages, semaphores and shared memory, which the IPC namespace separates; x86 makes these calls through ipc",
        "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl \
         msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget",
    ),
    all(
        "open sockets; socket has its own rules, and socketcall is allowed for all but SYS_SOCKET, whose family \
         is in memory that a filter cannot read",
        "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send \
         sendmmsg sendmsg sendto setsockopt shutdown socketpair",
    ),
    all(
        "asynchronous I/O of databases; not io_uring, whose operations bypass filters",
        "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit",
    ),
    all(
        "a program that confines itself further",
        "landlock_add_rule landlock_create_ruleset landlock_restrict_self prctl seccomp",
    ),
    all("information about the kernel and the caller's mounts", "getrandom listmount statmount sysinfo uname"),
    all(
        "the C library and the processor: thread-local storage and available instructions",
        "arch_prctl arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush get_thread_area modify_ldt riscv_flush_icache \
         riscv_hwprobe set_thread_area set_tid_address set_tls sync_file_range2 uretprobe",
    ),
    all(
        "debuggers: since Linux 4.8 a tracer cannot change a call behind the filter, and 5.14 is the oldest that minirun runs on",
        "process_vm_readv process_vm_writev ptrace",
    ),
    with(&["CAP_DAC_READ_SEARCH"], "files by handles, which need no path", "open_by_handle_at"),
    with(
        &["CAP_SYS_ADMIN"],
        "mounts, namespaces and quotas of a container that administers itself",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules \
         lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname \
         setns syslog umount umount2 unshare",
    ),
    with(&["CAP_SYS_BOOT"], "restarting the machine or the pid namespace", "reboot"),
    with(&["CAP_SYS_CHROOT"], "changing the root of a child, as package managers and daemons do", "chroot"),
    with(&["CAP_SYS_MODULE"], "kernel modules", "delete_module finit_module init_module"),
    with(&["CAP_SYS_PACCT"], "process accounting", "acct"),
    with(&["CAP_SYS_PTRACE"], "other users' processes", "kcmp pidfd_getfd process_madvise"),
    with(&["CAP_SYS_RAWIO"], "ports of devices", "ioperm iopl"),
    with(&["CAP_SYS_TIME"], "the host's clock", "clock_settime clock_settime64 settimeofday stime"),
    with(&["CAP_SYS_TTY_CONFIG"], "taking terminals from other programs", "vhangup"),
    with(&["CAP_SYS_NICE"], "memory of chosen nodes", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    with(&["CAP_SYSLOG"], "the kernel's messages", "syslog"),
    with(&["CAP_BPF"], "programs in the kernel", "bpf"),
    with(&["CAP_PERFMON"], "performance counters", "perf_event_open"),
];

/// The bits of clone(2) that create namespaces: cgroup, ipc, mount, network, pid, user and uts. A new time namespace
/// cannot be requested there.
const NEW_NAMESPACES: u64 =
    0x0200_0000 | 0x0800_0000 | 0x0002_0000 | 0x4000_0000 | 0x2000_0000 | 0x1000_0000 | 0x0400_0000;

/// The personalities that programs use (personality(2)): Linux, Linux with 32 bits, each without a random address
/// layout, and the query of the present one.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Socket families up to the highest without a gap, and those above it. Not included: `AF_ALG` (38), the kernel's
/// cryptography, which no namespace separates and whose bugs have given root to containers; `AF_VSOCK` (40), which
/// reaches the virtual machines of the host; and families that current kernels no longer have (12, 19, 20, 23, 25, 34,
/// 37). They are compared one by one, without a lower bound: the kernel uses 32 bits of a number that a filter sees as
/// 64 bits.
const FAMILIES: (u64, [u64; 25]) =
    (11, [13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45]);

const ALLOW: &str = ACTIONS[6].0;
const ERRNO: &str = ACTIONS[4].0;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Returns the profile of a container with these capabilities, for programs of all architectures that this machine runs.
pub fn container_profile(capabilities: &[&str]) -> Profile {
    let machine = Machine::native();
    let has = |name: &str| capabilities.contains(&name);
    let groups = GROUPS.iter().filter(|group| group.needs.is_empty() || group.needs.iter().any(|name| has(name)));
    let mut names: Vec<String> = groups
        .flat_map(|group| group.calls.split_ascii_whitespace())
        .filter(|name| runs_here(machine, name))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut syscalls = vec![rule(names, None)];
    if !has("CAP_SYS_ADMIN") {
        syscalls.push(rule(one("clone"), Some(argument("SCMP_CMP_MASKED_EQ", NEW_NAMESPACES))));
        // Its flags are in memory that a filter cannot read. C libraries fall back to clone.
        let (action, errno_ret) = (ERRNO.to_owned(), Some(ENOSYS));
        syscalls.push(Syscall { names: one("clone3"), action, errno_ret, args: None });
    }
    let (below, others) = FAMILIES;
    syscalls.push(rule(one("socket"), Some(argument("SCMP_CMP_LE", below))));
    syscalls.extend(others.into_iter().map(|family| rule(one("socket"), Some(argument("SCMP_CMP_EQ", family)))));
    let personalities =
        PERSONALITIES.iter().map(|persona| rule(one("personality"), Some(argument("SCMP_CMP_EQ", *persona))));
    syscalls.extend(personalities);
    Profile {
        default_action: Some(ERRNO.to_owned()),
        default_errno_ret: Some(EPERM),
        architectures: Some(machine.architectures.iter().map(|architecture| architecture.name.to_owned()).collect()),
        syscalls: Some(syscalls),
        ..Profile::default()
    }
}

/// Whether a program of this machine can make the call, by its own number or through a multiplexing call.
fn runs_here(machine: Machine, name: &str) -> bool {
    let number = |architecture: &Architecture| match multiplexed::find(name) {
        Some(multiplexed) if architecture.multiplexes => multiplexed.number(architecture.numbers),
        _ => architecture.numbers.of(Call::named(name)?),
    };
    machine.architectures.iter().any(|architecture| number(architecture).is_some())
}

fn one(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

fn rule(names: Vec<String>, argument: Option<Argument>) -> Syscall {
    Syscall { names, action: ALLOW.to_owned(), errno_ret: None, args: argument.map(|argument| vec![argument]) }
}

/// Returns a condition on the first argument.
fn argument(op: &str, value: u64) -> Argument {
    Argument { index: 0, value, value_two: 0, op: op.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_reason_and_known_calls() {
        for group in GROUPS {
            assert!(!group.reason.is_empty());
            for name in group.calls.split_ascii_whitespace() {
                assert!(Call::named(name).is_some(), "{name} is not a system call");
            }
        }
    }

    #[test]
    fn no_call_is_in_two_groups_of_every_container() {
        let mut names: Vec<_> = GROUPS
            .iter()
            .filter(|group| group.needs.is_empty())
            .flat_map(|group| group.calls.split_ascii_whitespace())
            .collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

//! What the process becomes before its program runs.

use nix::errno::Errno;
use serde_json::json;

use crate::Call::{After, Create, Run, Traced};
use crate::prepare::{
    CAP_SETPCAP, SECBIT_NO_CAP_AMBIENT_RAISE, few_ids, link, locked_out, prctl, same, set, sleeping, terminal,
    with_a_hard_limit, without,
};
use crate::{Row, row};

pub const ROWS: &[Row] = &[
    row(
        "Terminal",
        Run,
        |bundle| terminal(bundle).without_mount("/dev/pts"),
        "process.terminal: terminal /dev/console owner 0: openat2: no such file or directory…",
    ),
    row(
        "Terminal",
        Traced("run", Errno::EIO, &[libc::SYS_ioctl]),
        terminal,
        "process.terminal: terminal /dev/console owner 0: ioctl: I/O error",
    ),
    row(
        "Terminal",
        Traced("exec --tty", Errno::EIO, &[libc::SYS_ioctl]),
        sleeping,
        "process.terminal: terminal owner 0: ioctl: I/O error",
    ),
    row(
        "OwnStreams",
        Traced("create", Errno::EIO, &[libc::SYS_fchown, libc::SYS_fchownat]),
        |bundle| set(bundle, "/process/user/uid", json!(1000)),
        "process.user.uid: own-streams user 1000: fchown…: I/O error",
    ),
    row(
        "Limit",
        After(with_a_hard_limit, &[]),
        |bundle| set(bundle, "/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 11}])),
        "process.rlimits[0]: limit RLIMIT_CORE 0 11: prlimit64: operation not permitted (raising a hard limit requires CAP_SYS_RESOURCE)",
    ),
    // More than /proc/sys/fs/nr_open, which nobody may.
    row(
        "Limit",
        Create,
        |bundle| set(bundle, "/process/rlimits/0/hard", json!(1_u64 << 40)),
        "process.rlimits[0]: limit RLIMIT_NOFILE 1024 1099511627776: prlimit64: operation not permitted (raising a \
         hard limit requires CAP_SYS_RESOURCE, and it cannot exceed /proc/sys/fs/nr_open)",
    ),
    row(
        "MakeDirectory",
        Create,
        |bundle| set(bundle, "/process/cwd", json!("/etc/passwd/x")),
        "process.cwd: make-directory /etc/passwd/x: openat2: not a directory",
    ),
    row(
        "EnterDirectory",
        Traced("create", Errno::EIO, &[libc::SYS_chdir]),
        |bundle| set(bundle, "/process/cwd", json!("/tmp")),
        "process.cwd: chdir to cwd (\"/tmp\") set in config.json failed: I/O error",
    ),
    row(
        "EnterDirectoryAsUser",
        Create,
        locked_out,
        "process.cwd: chdir to cwd (\"/locked\") set in config.json failed: permission denied",
    ),
    // The memory of init itself: its first page cannot be read.
    row(
        "FindHome",
        Create,
        |bundle| link(bundle, "etc/passwd", "/proc/self/mem"),
        "default HOME: find-home of user 0 in /etc/passwd: read: I/O error",
    ),
    row(
        "DropBounding",
        After(|| without(CAP_SETPCAP), &[]),
        same,
        "process.capabilities: drop-bounding: prctl: operation not permitted of capability … (it requires CAP_SETPCAP)",
    ),
    row(
        "Groups",
        Create,
        |bundle| set(few_ids(bundle), "/process/user/additionalGids", json!([20])),
        "process.user.additionalGids: groups 20: setgroups: invalid argument (the id is not mapped in the user \
         namespace)",
    ),
    row(
        "User",
        Create,
        |bundle| set(few_ids(bundle), "/process/user/uid", json!(20)),
        "process.user: user 20:0: setresuid: invalid argument (the id is not mapped in the user namespace)",
    ),
    row(
        "User",
        Create,
        |bundle| set(few_ids(bundle), "/process/user/gid", json!(20)),
        "process.user: user 0:20: setresgid: invalid argument (the id is not mapped in the user namespace)",
    ),
    row(
        "Capabilities",
        After(|| prctl(libc::PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE), &[]),
        |bundle| {
            let bundle = set(bundle, "/process/capabilities/inheritable", json!(["CAP_KILL"]));
            set(bundle, "/process/capabilities/ambient", json!(["CAP_KILL"]))
        },
        "process.capabilities: capabilities effective CAP_KILL …; inheritable CAP_KILL; ambient CAP_KILL: prctl: \
         operation not permitted",
    ),
    // No kernel has so many nodes.
    row(
        "MemoryPolicy",
        Create,
        |bundle| set(bundle, "/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0,8000"})),
        "linux.memoryPolicy: memory-policy MPOL_BIND 0,8000: set_mempolicy: invalid argument (its nodes must have \
         memory and be in the cgroup's cpuset, and this kernel must know mode and flags)",
    ),
    row(
        "Personality",
        Traced("create", Errno::EINVAL, &[libc::SYS_personality]),
        |bundle| set(bundle, "/linux/personality", json!({"domain": "LINUX32"})),
        "linux.personality: personality LINUX32: personality: invalid argument",
    ),
    row(
        "NoNewPrivileges",
        Traced("create", Errno::EINVAL, &[libc::SYS_prctl]),
        same,
        "process.noNewPrivileges: no-new-privileges: prctl: invalid argument",
    ),
    row(
        "Umask",
        Traced("create", Errno::EPERM, &[libc::SYS_umask]),
        |bundle| set(bundle, "/process/user/umask", json!(0o77)),
        "process.user.umask: umask 0077: umask(2) was not carried out",
    ),
    // Calls that are answered with success and not carried out.
    row(
        "VerifyCredentials",
        Traced("create", NOT_CARRIED_OUT, &[libc::SYS_setresuid]),
        |bundle| set(bundle, "/process/user/uid", json!(1000)),
        "process: verify credentials: the real user id is 0, expected 1000",
    ),
    row(
        "VerifyCredentials",
        Traced("exec", NOT_CARRIED_OUT, &[libc::SYS_setresgid]),
        |bundle| set(sleeping(bundle), "/process/user/gid", json!(1000)),
        "…process: verify credentials: the real group id is 0, expected 1000",
    ),
    row(
        "VerifyCredentials",
        Traced("create", NOT_CARRIED_OUT, &[libc::SYS_setgroups]),
        |bundle| set(bundle, "/process/user/additionalGids", json!([20, 10])),
        "process: verify credentials: the additional groups differ",
    ),
    row(
        "VerifyCredentials",
        Traced("create", NOT_CARRIED_OUT, &[libc::SYS_capset]),
        same,
        "process: verify credentials: the effective set is …, expected 0000000020000420",
    ),
    row(
        "VerifyCredentials",
        Traced("create", NOT_CARRIED_OUT, &[libc::SYS_prctl]),
        same,
        "process: verify credentials: the bounding set is …, expected 0000000020000420",
    ),
    row(
        "VerifyCredentials",
        Traced("create", NOT_CARRIED_OUT, &[libc::SYS_prctl]),
        |bundle| set(bundle, "/process/capabilities/inheritable", json!(["CAP_KILL"])),
        "process: verify credentials: the ambient set is 0000000000000000, expected 0000000000000020",
    ),
    row(
        "VerifyCredentials",
        Traced("create", NOT_CARRIED_OUT, &[libc::SYS_prctl]),
        same,
        "process: verify credentials: no_new_privs is not set",
    ),
];

/// With this the tracer skips the call, which then answers with 0.
const NOT_CARRIED_OUT: Errno = Errno::UnknownErrno;

//! Namespaces, joined and new, and what belongs to them.

use nix::errno::Errno;
use serde_json::json;

use crate::Call::{Create, Traced};
use crate::prepare::{few_ids, joined, same, set, sleeping};
use crate::{Row, row};

pub const ROWS: &[Row] = &[
    row(
        "Join",
        Create,
        |bundle| joined(few_ids(bundle), "time", "/proc/self/ns/time"),
        "linux.namespaces[6].path: join time /proc/self/ns/time: setns: operation not permitted",
    ),
    row(
        "NewTime",
        Create,
        |bundle| {
            let bundle = few_ids(bundle).namespace("time", Some(json!({"type": "time"})));
            set(bundle, "/linux/timeOffsets", json!({"boottime": {"secs": -4_000_000_000_i64}}))
        },
        "linux.timeOffsets: new-time boottime -4000000000 0: write: value out of range \
         (keep the clocks above zero and below 146 years)",
    ),
    row(
        "NewTime",
        Traced("create", Errno::ENOSPC, &[libc::SYS_unshare]),
        |bundle| few_ids(bundle).namespace("time", Some(json!({"type": "time"}))),
        "linux.namespaces (time): new-time: unshare: no space left on device",
    ),
    row(
        "BecomeRoot",
        Traced("create", Errno::EINVAL, &[libc::SYS_setresgid]),
        few_ids,
        "linux.namespaces (user): become-root: setresgid: invalid argument (the id is not mapped in the user namespace)",
    ),
    row(
        "SessionKeyring",
        Traced("create", Errno::EDQUOT, &[libc::SYS_keyctl]),
        same,
        "default session keyring: keyring _ses.ID: keyctl: quota exceeded",
    ),
    row(
        "Hostname",
        Traced("create", Errno::EPERM, &[libc::SYS_sethostname]),
        same,
        "hostname: runc: sethostname: operation not permitted",
    ),
    row(
        "Domainname",
        Traced("create", Errno::EPERM, &[libc::SYS_setdomainname]),
        |bundle| bundle.with(|config| config["domainname"] = "example.org".into()),
        "domainname: example.org: setdomainname: operation not permitted",
    ),
    row(
        "EnterContainer",
        Traced("exec", Errno::EPERM, &[libc::SYS_setns]),
        sleeping,
        "linux.namespaces: enter-container mount uts ipc pid network: setns: operation not permitted",
    ),
    row(
        "EnterPidNamespace",
        Traced("exec", Errno::EAGAIN, &[libc::SYS_clone]),
        sleeping,
        "linux.namespaces (pid): enter-pid-namespace: clone: try again (a limit on processes is \
         reached: pids.max or RLIMIT_NPROC)",
    ),
    row(
        "EnterPidNamespace",
        Traced("exec --tty", Errno::EIO, &[libc::SYS_ioctl]),
        sleeping,
        "linux.namespaces (pid): enter-pid-namespace: ioctl: I/O error",
    ),
    row(
        "LoopbackUp",
        Traced("create", Errno::EPERM, &[libc::SYS_ioctl]),
        same,
        "default loopback: loopback-up: ioctl: operation not permitted",
    ),
    // In a kernel with AppArmor the profile is not loaded.
    row(
        "LsmAttribute",
        Create,
        |bundle| set(bundle, "/process/apparmorProfile", json!("nosuch")),
        "process.apparmorProfile: lsm-attribute attr/apparmor/exec = exec nosuch: …: no such file or directory (…)",
    ),
    row(
        "LsmAttribute",
        Create,
        |bundle| set(bundle, "/process/selinuxLabel", json!("no:such:label")),
        "process.selinuxLabel: lsm-attribute attr/keycreate = no:such:label: write: invalid argument (selinux is \
         disabled or not supported, or its policy does not know this label)",
    ),
    row(
        "Sysctl",
        Create,
        |bundle| set(bundle, "/linux/sysctl", json!({"net.ipv4.nosuch": "1"})),
        "linux.sysctl[\"net.ipv4.nosuch\"]: sysctl net/ipv4/nosuch = 1: openat2: no such file or directory \
         (this kernel has no such parameter)",
    ),
    row(
        "Sysctl",
        Create,
        |bundle| set(bundle, "/linux/sysctl", json!({"net.ipv4.ip_forward": "many"})),
        "linux.sysctl[\"net.ipv4.ip_forward\"]: sysctl net/ipv4/ip_forward = many: write: invalid argument",
    ),
    row(
        "Sysctl",
        Create,
        |bundle| {
            set(bundle, "/linux/sysctl", json!({"net.ipv4.ping_group_range": "0 5000"})).user_namespace(200_000, 1000)
        },
        "linux.sysctl[\"net.ipv4.ping_group_range\"]: sysctl net/ipv4/ping_group_range = 0 5000: write: invalid argument \
         (the first group must not be above the last; in a user namespace both must be mapped in linux.gidMappings)",
    ),
];

//! What the parent does, what it opens for init, and how init begins: none of these are steps of init.

use nix::errno::Errno;
use runtime_tests::User;
use serde_json::json;

use crate::Call::{After, Create, Traced};
use crate::prepare::{CAP_SYS_NICE, CAP_SYS_RESOURCE, few_ids, joined, same, set, sleeping, without};
use crate::{Row, row};

pub const ROWS: &[Row] = &[
    row(
        "WriteProc",
        After(|| without(CAP_SYS_RESOURCE), &[]),
        |bundle| set(bundle, "/process/oomScoreAdj", json!(-1000)),
        "process.oomScoreAdj: write \"-1000\" to /proc/…/oom_score_adj: write: permission denied (lowering it requires CAP_SYS_RESOURCE)",
    ),
    row(
        "MapIds",
        Create,
        |bundle| {
            let (first, count) = User::granted();
            let map = json!([{"containerID": 0, "hostID": first, "size": count}]);
            set(bundle.of_user(User::with_ids().but_only(1)), "/linux/uidMappings", map)
        },
        "linux.uidMappings: map the ids by newuidmap: uid range [0-65536) -> [5000000-5065536) not allowed \
         (/etc/subuid must grant these users to the caller)",
    ),
    row(
        "RaiseLimit",
        Create,
        |bundle| set(few_ids(bundle), "/process/rlimits/0/hard", json!(1_u64 << 40)),
        "process.rlimits[0]: raise the hard limit to 1099511627776: prlimit64: operation not permitted (raising a \
         hard limit requires CAP_SYS_RESOURCE)",
    ),
    row(
        "Scheduler",
        After(|| without(CAP_SYS_NICE), &[]),
        |bundle| set(bundle, "/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 10})),
        "process.scheduler: set scheduler SCHED_FIFO priority 10: sched_setattr: operation not permitted (it requires CAP_SYS_NICE)",
    ),
    // A policy that the specification has and Linux has not.
    row(
        "Scheduler",
        Create,
        |bundle| set(bundle, "/process/scheduler", json!({"policy": "SCHED_ISO"})),
        "process.scheduler: set scheduler SCHED_ISO: sched_setattr: invalid argument",
    ),
    row(
        "IoPriority",
        Traced("create", Errno::EPERM, &[libc::SYS_ioprio_set]),
        |bundle| set(bundle, "/process/ioPriority", json!({"class": "IOPRIO_CLASS_RT", "priority": 0})),
        "process.ioPriority: set I/O priority IOPRIO_CLASS_RT 0: ioprio_set: operation not permitted \
         (IOPRIO_CLASS_RT requires CAP_SYS_NICE)",
    ),
    row(
        "Affinity",
        Traced("exec", Errno::EPERM, &[libc::SYS_sched_setaffinity]),
        |bundle| set(sleeping(bundle), "/process/execCPUAffinity", json!({"initial": "0", "final": "0-1"})),
        "process.execCPUAffinity.initial: run on CPUs 0: sched_setaffinity: operation not permitted",
    ),
    row(
        "Affinity",
        Traced("exec", Errno::EINVAL, &[libc::SYS_sched_setaffinity]),
        |bundle| set(sleeping(bundle), "/process/execCPUAffinity", json!({"initial": "0", "final": "0-1"})),
        "process.execCPUAffinity.final: run on CPUs 0-1: sched_setaffinity: invalid argument (none of them is online \
         and in the cgroup's cpuset)",
    ),
    row(
        "Affinity",
        Traced("create", Errno::EPERM, &[libc::SYS_sched_setaffinity]),
        |bundle| bundle,
        "default CPU affinity: run on CPUs all: sched_setaffinity: operation not permitted",
    ),
    row(
        "NetDevice",
        Create,
        |bundle| set(bundle, "/linux/netDevices", json!({"nosuch0": {"name": "eth%d"}})),
        "linux.netDevices[\"nosuch0\"]: move network device nosuch0 into the container as eth%d: RTM_GETLINK: no such \
         device",
    ),
    row(
        "session",
        Traced("create", Errno::EPERM, &[libc::SYS_setsid]),
        same,
        "container init: get ready: setsid: operation not permitted",
    ),
    row(
        "namespace",
        Create,
        |bundle| joined(bundle, "network", "/nosuch"),
        "linux.namespaces[4].path: open namespace /nosuch: open: no such file or directory",
    ),
    row(
        "namespace",
        Create,
        |bundle| joined(bundle, "network", "/proc/self/ns/uts"),
        "linux.namespaces[4].path: open namespace /proc/self/ns/uts: it is a namespace of another type",
    ),
    row(
        "namespace",
        Create,
        |bundle| joined(bundle, "network", "/dev/null"),
        "linux.namespaces[4].path: open namespace /dev/null: it is not a namespace",
    ),
    row(
        "namespace",
        Create,
        |bundle| joined(bundle, "mount", "/proc/self/ns/mnt"),
        "linux.namespaces[4].path: join namespace /proc/self/ns/mnt: it is the runtime's own, whose root would be \
         changed",
    ),
    row(
        "handle",
        Create,
        |bundle| few_ids(bundle).mount("/mnt", "bind", "/nosuch", &["bind"]),
        "mounts[7].source: open /nosuch: open_tree: no such file or directory (the source must exist)",
    ),
];

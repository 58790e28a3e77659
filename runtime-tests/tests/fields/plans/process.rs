//! `process`. Seen from inside: host/process.rs, host/users.rs, host/scheduling.rs, host/terminal.rs, host/labels.rs.

use serde_json::json;

use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            &["process.terminal"],
            json!({"/process/terminal": true}),
            &["init terminal /dev/console owner 0 [process.terminal]"],
        ),
        row(
            &["process.consoleSize.height", "process.consoleSize.width"],
            json!({"/process/terminal": true, "/process/consoleSize": {"height": 24, "width": 80}}),
            &["init terminal /dev/console owner 0 24 rows 80 columns [process.terminal]"],
        ),
        row(
            &["process.user.uid"],
            json!({"/process/user/uid": 1000}),
            &["init own-streams user 1000 [process.user.uid]", "init user 1000:0 [process.user]"],
        ),
        row(&["process.user.gid"], json!({"/process/user/gid": 1000}), &["init user 0:1000 [process.user]"]),
        row(&["process.user.umask"], json!({"/process/user/umask": 63}), &["init umask 0077 [process.user.umask]"]),
        row(
            &["process.user.additionalGids[0]"],
            json!({"/process/user/additionalGids": [10, 20]}),
            &["init groups 10 20 [process.user.additionalGids]"],
        ),
        row(
            &["process.args[0]"],
            json!({"/process/args": ["sh", "-c", "true"]}),
            &["init find-program /bin/sh [process.args[0]]", "init execute sh -c true [process.args[0]]"],
        ),
        row(
            &["process.env[0]"],
            json!({"/process/env": ["PATH=/bin"]}),
            &["init find-home of user 0 in /etc/passwd [default HOME]"],
        ),
        row(
            &["process.cwd"],
            json!({"/process/cwd": "/tmp"}),
            &[
                "init make-directory /tmp [process.cwd]",
                "init enter /tmp [process.cwd]",
                "init enter-as-user /tmp [process.cwd]",
            ],
        ),
        row(
            &["process.capabilities.bounding[0]"],
            json!({"/process/capabilities": {"bounding": ["CAP_KILL"]}}),
            &[
                "init drop-bounding CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE [process.capabilities]",
            ],
        ),
        row(
            &["process.capabilities.effective[0]"],
            json!({"/process/capabilities": {"effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}}),
            &[
                "init capabilities effective CAP_KILL; permitted CAP_KILL; inheritable none; ambient none [process.capabilities]",
            ],
        ),
        row(
            &["process.capabilities.inheritable[0]"],
            json!({"/process/capabilities": {"inheritable": ["CAP_KILL"]}}),
            &[
                "init capabilities effective none; permitted none; inheritable CAP_KILL; ambient none [process.capabilities]",
            ],
        ),
        row(
            &["process.capabilities.permitted[0]"],
            json!({"/process/capabilities": {"permitted": ["CAP_KILL"]}}),
            &[
                "init capabilities effective none; permitted CAP_KILL; inheritable none; ambient none [process.capabilities]",
            ],
        ),
        row(
            &["process.capabilities.ambient[0]"],
            json!({"/process/capabilities": {"ambient": ["CAP_KILL"], "permitted": ["CAP_KILL"], "inheritable": ["CAP_KILL"]}}),
            &[
                "init capabilities effective none; permitted CAP_KILL; inheritable CAP_KILL; ambient CAP_KILL [process.capabilities]",
            ],
        ),
        row(
            &["process.rlimits[0].type", "process.rlimits[0].soft", "process.rlimits[0].hard"],
            json!({"/process/rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]}),
            &["init limit RLIMIT_CORE 1 2 [process.rlimits[0]]"],
        ),
        row(
            &["process.noNewPrivileges"],
            json!({"/process/noNewPrivileges": true}),
            &["init no-new-privileges [process.noNewPrivileges]"],
        ),
        row(
            &["process.apparmorProfile"],
            json!({"/process/apparmorProfile": "profile"}),
            &["init lsm-attribute attr/apparmor/exec = exec profile [process.apparmorProfile]"],
        ),
        row(
            &["process.oomScoreAdj"],
            json!({"/process/oomScoreAdj": 100}),
            &["host oom_score_adj 100 [process.oomScoreAdj]"],
        ),
        row(
            &["process.selinuxLabel"],
            json!({"/process/selinuxLabel": "u:r:t:s0"}),
            &[
                "init lsm-attribute attr/keycreate = u:r:t:s0 [process.selinuxLabel]",
                "init lsm-attribute attr/exec = u:r:t:s0 [process.selinuxLabel]",
            ],
        ),
        row(
            &["process.ioPriority.class"],
            json!({"/process/ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3}}),
            &["host io-priority IOPRIO_CLASS_BE 3 [process.ioPriority]"],
        ),
        row(
            &["process.ioPriority.priority"],
            json!({"/process/ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 5}}),
            &["host io-priority IOPRIO_CLASS_RT 5 [process.ioPriority]"],
        ),
        row(
            &["process.scheduler.policy"],
            json!({"/process/scheduler": {"policy": "SCHED_BATCH"}}),
            &["host scheduler SCHED_BATCH [process.scheduler]"],
        ),
        row(
            &["process.scheduler.nice"],
            json!({"/process/scheduler": {"policy": "SCHED_OTHER", "nice": 5}}),
            &["host scheduler SCHED_OTHER nice 5 [process.scheduler]"],
        ),
        row(
            &["process.scheduler.priority"],
            json!({"/process/scheduler": {"policy": "SCHED_FIFO", "priority": 9}}),
            &["host scheduler SCHED_FIFO priority 9 [process.scheduler]"],
        ),
        row(
            &["process.scheduler.flags[0]"],
            json!({"/process/scheduler": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}}),
            &["host scheduler SCHED_OTHER SCHED_FLAG_RESET_ON_FORK [process.scheduler]"],
        ),
        row(
            &["process.scheduler.runtime", "process.scheduler.deadline", "process.scheduler.period"],
            json!({"/process/scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 2000000, "period": 3000000}}),
            &["host scheduler SCHED_DEADLINE runtime 1000000 deadline 2000000 period 3000000 [process.scheduler]"],
        ),
        row(&["process.execCPUAffinity.initial"], json!({"/process/execCPUAffinity": {"initial": "0-1"}}), &[]),
        row(&["process.execCPUAffinity.final"], json!({"/process/execCPUAffinity": {"final": "0"}}), &[]),
    ]
}

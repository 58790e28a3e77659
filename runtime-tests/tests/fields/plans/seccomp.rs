//! `linux.seccomp`. Seen from inside: host/seccomp.rs; what each member does to the filter is asserted against libseccomp.

use serde_json::json;

use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            &["linux.seccomp.defaultAction"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_LOG"}}),
            &[
                "init capabilities effective none; permitted CAP_SYS_ADMIN; inheritable none; ambient none [process.capabilities]",
                "init seccomp else log [linux.seccomp]",
            ],
        ),
        row(
            &["linux.seccomp.defaultErrnoRet"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [{"names": ["execve", "exit_group"], "action": "SCMP_ACT_ALLOW"}]}}),
            &[
                "init capabilities effective none; permitted CAP_SYS_ADMIN; inheritable none; ambient none [process.capabilities]",
                "init seccomp else errno 38 [linux.seccomp]",
            ],
        ),
        row(
            &["linux.seccomp.architectures[0]"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]}}),
            &["refused: linux.seccomp.architectures[0]: unknown architecture \"SCMP_ARCH_PDP11\""],
        ),
        row(
            &["linux.seccomp.flags[0]"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}}),
            &[
                "init capabilities effective none; permitted CAP_SYS_ADMIN; inheritable none; ambient none [process.capabilities]",
                "init seccomp else allow [linux.seccomp]",
            ],
        ),
        row(
            &["linux.seccomp.listenerPath"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}], "listenerPath": "/run/agent.sock"}}),
            &[
                "init capabilities effective none; permitted CAP_SYS_ADMIN; inheritable none; ambient none [process.capabilities]",
                "init seccomp else allow, notifies /run/agent.sock [linux.seccomp]",
            ],
        ),
        row(
            &["linux.seccomp.listenerMetadata"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}}),
            &["refused: linux.seccomp.listenerMetadata: must not be given without a listenerPath"],
        ),
        row(
            &["linux.seccomp.syscalls[0].names[0]"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [""], "action": "SCMP_ACT_ERRNO"}]}}),
            &["refused: linux.seccomp.syscalls[0].names[0]: must not be empty"],
        ),
        row(
            &["linux.seccomp.syscalls[0].action"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_TRAP"}]}}),
            &[
                "init capabilities effective none; permitted CAP_SYS_ADMIN; inheritable none; ambient none [process.capabilities]",
                "init seccomp else allow [linux.seccomp]",
            ],
        ),
        row(
            &["linux.seccomp.syscalls[0].errnoRet"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096}]}}),
            &[
                "refused: linux.seccomp.syscalls[0].errnoRet: 4096 is out of range (expected 0 to 4095) for SCMP_ACT_ERRNO",
            ],
        ),
        row(
            &["linux.seccomp.syscalls[0].args[0].index"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}}),
            &["refused: linux.seccomp.syscalls[0].args[0].index: 6 is out of range (expected 0 to 5)"],
        ),
        row(
            &["linux.seccomp.syscalls[0].args[0].value"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}}),
            &[
                "init capabilities effective none; permitted CAP_SYS_ADMIN; inheritable none; ambient none [process.capabilities]",
                "init seccomp else allow [linux.seccomp]",
            ],
        ),
        row(
            &["linux.seccomp.syscalls[0].args[0].valueTwo"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_MASKED_EQ", "valueTwo": 1}]}]}}),
            &[
                "init capabilities effective none; permitted CAP_SYS_ADMIN; inheritable none; ambient none [process.capabilities]",
                "init seccomp else allow [linux.seccomp]",
            ],
        ),
        row(
            &["linux.seccomp.syscalls[0].args[0].op"],
            json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "LIKE"}]}]}}),
            &["refused: linux.seccomp.syscalls[0].args[0].op: unknown operator \"LIKE\""],
        ),
    ]
}

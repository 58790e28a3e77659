//! `linux.seccomp`.

use serde_json::{Value, json};

use crate::{Bad, NONE, RUNC, bad};

pub fn rows() -> Vec<Bad> {
    let seccomp = |action: &str, rule: Value| json!({"defaultAction": action, "syscalls": [rule]});
    vec![
        bad(
            "linux.seccomp.defaultAction",
            "/linux/seccomp",
            seccomp("SCMP_ACT_NOSUCH", json!({"names": ["mkdir"], "action": "SCMP_ACT_ALLOW"})),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].action",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": ["mkdir"], "action": "DENY"})),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].args[0].op",
            "/linux/seccomp",
            seccomp(
                "SCMP_ACT_ALLOW",
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "LIKE"}]}),
            ),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].args[0].index",
            "/linux/seccomp",
            seccomp(
                "SCMP_ACT_ALLOW",
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}),
            ),
            NONE,
        ),
        bad(
            "linux.seccomp.architectures[0]",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["PDP11"]}),
            NONE,
        ),
        bad(
            "linux.seccomp.defaultAction",
            "/linux/seccomp",
            json!({"syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}),
            NONE,
        ),
        bad(
            "linux.seccomp.defaultAction",
            "/linux/seccomp",
            json!({"defaultAction": "", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}),
            NONE,
        ),
        bad(
            "linux.seccomp.defaultAction",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}),
            NONE,
        ),
        bad(
            "linux.seccomp.defaultErrnoRet",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}),
            NONE,
        ),
        bad(
            "linux.seccomp.defaultErrnoRet",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}),
            RUNC,
        ),
        bad(
            "linux.seccomp.defaultErrnoRet",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1}),
            NONE,
        ),
        bad(
            "linux.seccomp.architectures[1]",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", ""]}),
            NONE,
        ),
        bad(
            "linux.seccomp.flags[0]",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NOSUCH"]}),
            NONE,
        ),
        bad(
            "linux.seccomp.flags[0]",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [""]}),
            NONE,
        ),
        bad(
            "linux.seccomp.listenerMetadata",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
            RUNC,
        ),
        bad(
            "linux.seccomp.listenerPath",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"})),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].action",
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]}),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].names",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"action": "SCMP_ACT_ERRNO"})),
            RUNC,
        ),
        bad(
            "linux.seccomp.syscalls[0].names",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": [], "action": "SCMP_ACT_ERRNO"})),
            RUNC,
        ),
        bad(
            "linux.seccomp.syscalls[0].names[1]",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": ["mkdir", ""], "action": "SCMP_ACT_ERRNO"})),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].names",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": "mkdir", "action": "SCMP_ACT_ERRNO"})),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].action",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": ["mkdir"]})),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].action",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": ["mkdir"], "action": ""})),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].errnoRet",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096})),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].errnoRet",
            "/linux/seccomp",
            seccomp("SCMP_ACT_ALLOW", json!({"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 1})),
            RUNC,
        ),
        bad(
            "linux.seccomp.syscalls[0].args[0].op",
            "/linux/seccomp",
            seccomp(
                "SCMP_ACT_ALLOW",
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1}]}),
            ),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].args[0].index",
            "/linux/seccomp",
            seccomp(
                "SCMP_ACT_ALLOW",
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"value": 1, "op": "SCMP_CMP_EQ"}]}),
            ),
            RUNC,
        ),
        bad(
            "linux.seccomp.syscalls[0].args[0].value",
            "/linux/seccomp",
            seccomp(
                "SCMP_ACT_ALLOW",
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "op": "SCMP_CMP_EQ"}]}),
            ),
            RUNC,
        ),
        bad(
            "linux.seccomp.syscalls[0].args[0].op",
            "/linux/seccomp",
            seccomp(
                "SCMP_ACT_ALLOW",
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": ""}]}),
            ),
            NONE,
        ),
        bad(
            "linux.seccomp.syscalls[0].args[0].value",
            "/linux/seccomp",
            seccomp(
                "SCMP_ACT_ALLOW",
                json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}]}),
            ),
            NONE,
        ),
    ]
}

//! For each list an element that is accepted, different for each number; of a map with its key.

use serde_json::{Value, json};

/// What some lists need around them.
pub const ABOVE: [(&str, &str); 6] = [
    ("linux.memoryPolicy", r#"{"mode": "MPOL_BIND", "nodes": "0"}"#),
    ("linux.personality", r#"{"domain": "LINUX"}"#),
    ("process.scheduler", r#"{"policy": "SCHED_OTHER"}"#),
    ("linux.seccomp.syscalls[0]", r#"{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW"}"#),
    ("mounts[0]", r#"{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}"#),
    ("linux.intelRdt", r#"{"closID": "group"}"#),
];

const CALLS: [&str; 6] = ["mkdir", "read", "write", "openat", "close", "chown"];

/// The element of this number, and its key; the key of a list's element is not used.
pub fn valid(list: &str, i: usize) -> Option<(String, Value)> {
    let map = json!({"containerID": i, "hostID": 100_000 + i, "size": 1});
    let block = json!({"major": 8, "minor": i, "weight": 10 + i % 900, "rate": 1 + i});
    let keyless = |value: Value| Some((String::new(), value));
    match list {
        "mounts" => keyless(json!({"destination": format!("/mnt/{i}"), "type": "tmpfs", "source": "tmpfs"})),
        "mounts[0].options" => keyless(json!(format!("option{i}=1"))),
        "mounts[0].uidMappings" | "mounts[0].gidMappings" | "linux.uidMappings" | "linux.gidMappings" => keyless(map),
        "process.args" => keyless(json!(if i == 0 { "/bin/true".to_owned() } else { format!("word{i}") })),
        "process.env" => keyless(json!(format!("NAME{i}=value"))),
        "process.rlimits" => keyless(json!({"type": "RLIMIT_NOFILE", "soft": i, "hard": i})),
        "process.scheduler.flags" => keyless(json!("SCHED_FLAG_RESET_ON_FORK")),
        "process.user.additionalGids" => keyless(json!(i)),
        "linux.namespaces" => {
            let kind = ["mount", "pid", "uts", "network", "time"][i % 5];
            keyless(json!({"type": kind}))
        }
        "linux.timeOffsets" => Some((["monotonic", "boottime"][i % 2].to_owned(), json!({"secs": i}))),
        "linux.devices" => {
            keyless(json!({"type": "c", "path": format!("/dev/node{i}"), "major": 10, "minor": i, "fileMode": 438}))
        }
        "linux.netDevices" => Some((format!("eth{i}"), json!({"name": format!("net{i}")}))),
        "linux.resources.devices" => {
            keyless(json!({"allow": i.is_multiple_of(2), "type": "c", "major": i / 100, "minor": i, "access": "rw"}))
        }
        "linux.resources.hugepageLimits" => keyless(json!({"pageSize": "2MB", "limit": 1 + i})),
        "linux.resources.rdma" => Some((format!("mlx5_{i}"), json!({"hcaHandles": 1 + i}))),
        "linux.resources.unified" => Some((format!("memory.file{i}"), json!("1"))),
        "linux.resources.network.priorities" => keyless(json!({"name": format!("eth{i}"), "priority": 1})),
        list if list.starts_with("linux.resources.blockIO.") => keyless(block),
        "linux.intelRdt.schemata" => keyless(json!(format!("L3:{i}=ff"))),
        "linux.memoryPolicy.flags" => keyless(json!("MPOL_F_STATIC_NODES")),
        "linux.personality.flags" => keyless(json!("")),
        "linux.sysctl" => Some((format!("net.ipv4.conf.eth{i}.forwarding"), json!("1"))),
        "linux.maskedPaths" | "linux.readonlyPaths" => keyless(json!(format!("/proc/path{i}"))),
        "linux.seccomp.architectures" => keyless(json!("SCMP_ARCH_X86_64")),
        "linux.seccomp.flags" => keyless(json!("SECCOMP_FILTER_FLAG_LOG")),
        "linux.seccomp.syscalls" => {
            let (call, arg) = (CALLS[i % 6], json!({"index": i % 6, "value": i, "op": "SCMP_CMP_EQ"}));
            keyless(json!({"names": [call], "action": "SCMP_ACT_ALLOW", "args": [arg]}))
        }
        "linux.seccomp.syscalls[0].names" => keyless(json!(if i == 0 { "mkdir".into() } else { format!("call{i}") })),
        "linux.seccomp.syscalls[0].args" => keyless(json!({"index": 0, "value": i, "op": "SCMP_CMP_EQ"})),
        "annotations" => Some((format!("org.systemd.property.Property{}", letters(i)), json!("uint64 1"))),
        list if list.starts_with("hooks.") && list.ends_with("[0].args") => keyless(json!(format!("word{i}"))),
        list if list.starts_with("hooks.") && list.ends_with("[0].env") => keyless(json!(format!("NAME{i}=value"))),
        list if list.starts_with("hooks.") => keyless(json!({"path": "/bin/true", "args": ["true", i.to_string()]})),
        list if list.starts_with("process.capabilities.") => keyless(json!(format!("CAP_NEW{i}"))),
        _ => None,
    }
}

/// A number in letters, for names that have no digits.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

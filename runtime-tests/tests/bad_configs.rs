//! Configurations that must be refused: each with a message that names the field, and without leaving anything.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

use runtime_tests::{Bundle, Runtime};
use serde_json::{Value, json};

/// A change that makes the base configuration wrong.
struct Bad {
    /// The place that the message must name.
    field: &'static str,
    /// A JSON pointer to what is changed; its parent exists.
    pointer: &'static str,
    value: Value,
    /// The runtimes that accept it. All of the rows are errors by the specification or can only be a mistake.
    accepted_by: &'static [&'static str],
}

const BOTH: &[&str] = &["runc", "crun"];
const RUNC: &[&str] = &["runc"];
const CRUN: &[&str] = &["crun"];
const NONE: &[&str] = &[];

fn bad(field: &'static str, pointer: &'static str, value: Value, accepted_by: &'static [&'static str]) -> Bad {
    Bad { field, pointer, value, accepted_by }
}

/// Stands for the absence of a value, which JSON has no word for.
fn absent() -> Value {
    json!({"absent": "this property is removed"})
}

fn table() -> Vec<Bad> {
    let rlimit = |kind: &str, soft: Value, hard: Value| json!([{"type": kind, "soft": soft, "hard": hard}]);
    let mount = |destination: &str| json!([{"destination": destination, "type": "tmpfs", "source": "tmpfs"}]);
    let device = |path: &str, kind: &str| json!([{"path": path, "type": kind, "major": 1, "minor": 3}]);
    let map =
        |inside: Value, outside: Value, size: Value| json!([{"containerID": inside, "hostID": outside, "size": size}]);
    let seccomp = |action: &str, rule: Value| json!({"defaultAction": action, "syscalls": [rule]});
    let hook = |path: &str, timeout: i64| json!({"createRuntime": [{"path": path, "timeout": timeout}]});
    vec![
        // The top level.
        bad("ociVersion", "/ociVersion", absent(), RUNC),
        bad("ociVersion", "/ociVersion", json!("99.0.0"), RUNC),
        bad("ociVersion", "/ociVersion", json!("one"), RUNC),
        bad("ociVersion", "/ociVersion", json!(1), NONE),
        bad("root", "/root", absent(), NONE),
        bad("root.path", "/root/path", absent(), NONE),
        bad("root.path", "/root/path", json!(""), NONE),
        bad("root.path", "/root/path", json!(["rootfs"]), NONE),
        bad("root.readonly", "/root/readonly", json!("yes"), CRUN),
        bad("hostname", "/hostname", json!(7), CRUN),
        bad("annotations", "/annotations", json!(["a"]), CRUN),
        bad("annotations", "/annotations", json!({"a": 1}), NONE),
        // The process.
        bad("process", "/process", absent(), NONE),
        bad("process", "/process", json!([]), NONE),
        bad("process.args", "/process/args", absent(), CRUN),
        bad("process.args", "/process/args", json!([]), NONE),
        bad("process.args", "/process/args", json!("/bin/true"), CRUN),
        bad("process.args[1]", "/process/args", json!(["/bin/true", 1]), CRUN),
        bad("process.cwd", "/process/cwd", absent(), NONE),
        bad("process.cwd", "/process/cwd", json!("tmp"), CRUN),
        bad("process.cwd", "/process/cwd", json!(""), NONE),
        bad("process.env[0]", "/process/env", json!(["NOVALUE"]), CRUN),
        bad("process.env[1]", "/process/env", json!(["A=1", "=x"]), CRUN),
        bad("process.env[0]", "/process/env", json!(["A=\0"]), CRUN),
        bad("process.env", "/process/env", json!("A=1"), CRUN),
        bad("process.user.uid", "/process/user/uid", json!("root"), CRUN),
        bad("process.user.uid", "/process/user/uid", json!(-1), NONE),
        bad("process.user.gid", "/process/user/gid", json!(4_294_967_296u64), NONE),
        bad("process.user.uid", "/process/user/uid", json!(4_294_967_295u64), CRUN),
        bad("process.user.additionalGids[1]", "/process/user/additionalGids", json!([1, -1]), NONE),
        bad("process.user.umask", "/process/user/umask", json!("022"), CRUN),
        bad("process.terminal", "/process/terminal", json!("yes"), CRUN),
        bad("process.rlimits[0]", "/process/rlimits", rlimit("RLIMIT_NOSUCH", json!(1), json!(1)), NONE),
        bad("process.rlimits[0]", "/process/rlimits", rlimit("NOFILE", json!(1), json!(1)), NONE),
        bad("process.rlimits[0]", "/process/rlimits", rlimit("RLIMIT_NOFILE", json!(200), json!(100)), NONE),
        bad("process.rlimits[0]", "/process/rlimits", rlimit("RLIMIT_NOFILE", json!(-1), json!(100)), NONE),
        bad("process.rlimits[0]", "/process/rlimits", rlimit("RLIMIT_NOFILE", json!("1"), json!("1")), NONE),
        bad(
            "process.rlimits[1]",
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 9}, {"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]),
            RUNC,
        ),
        bad("process.oomScoreAdj", "/process/oomScoreAdj", json!(1001), NONE),
        bad("process.oomScoreAdj", "/process/oomScoreAdj", json!("high"), CRUN),
        bad("process.scheduler.policy", "/process/scheduler", json!({"policy": "SCHED_NOSUCH"}), BOTH),
        bad("process.scheduler.policy", "/process/scheduler", json!({"nice": 1}), BOTH),
        bad("process.scheduler.nice", "/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": 20}), BOTH),
        bad("process.scheduler.nice", "/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": "low"}), BOTH),
        bad("process.scheduler.priority", "/process/scheduler", json!({"policy": "SCHED_FIFO"}), BOTH),
        bad("process.scheduler.priority", "/process/scheduler", json!({"policy": "SCHED_RR", "priority": 100}), BOTH),
        bad("process.scheduler.priority", "/process/scheduler", json!({"policy": "SCHED_IDLE", "priority": 1}), BOTH),
        bad("process.scheduler.period", "/process/scheduler", json!({"policy": "SCHED_OTHER", "period": 1}), BOTH),
        bad(
            "process.scheduler.flags[1]",
            "/process/scheduler",
            json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_NOSUCH"]}),
            BOTH,
        ),
        bad("process.ioPriority.class", "/process/ioPriority", json!({"class": "BE", "priority": 1}), BOTH),
        bad(
            "process.ioPriority.priority",
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
            BOTH,
        ),
        bad("process.ioPriority.priority", "/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE"}), BOTH),
        bad("process.execCPUAffinity.initial", "/process/execCPUAffinity", json!({"initial": "all"}), BOTH),
        bad("process.execCPUAffinity.final", "/process/execCPUAffinity", json!({"final": "3-1"}), BOTH),
        bad("process.capabilities.bounding", "/process/capabilities/bounding", json!("CAP_KILL"), CRUN),
        // Mounts.
        bad("mounts", "/mounts", json!({}), NONE),
        bad("mounts[0].destination", "/mounts", json!([{"type": "tmpfs", "source": "tmpfs"}]), NONE),
        bad("mounts[0].destination", "/mounts", mount(""), NONE),
        bad("mounts[0].source", "/mounts", json!([{"destination": "/mnt", "type": "bind", "options": ["bind"]}]), NONE),
        bad("mounts[0].options", "/mounts", json!([{"destination": "/mnt", "type": "tmpfs", "options": "ro"}]), CRUN),
        bad(
            "mounts[0]",
            "/mounts",
            json!([{"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["bind"],
                    "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]),
            NONE,
        ),
        // Namespaces and maps.
        bad("linux.namespaces[1]", "/linux/namespaces", json!([{"type": "mount"}, {"type": "mount"}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {"type": "nosuch"}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {"type": "net"}]), NONE),
        bad("linux.namespaces[1].type", "/linux/namespaces", json!([{"type": "mount"}, {"type": "PID"}]), NONE),
        bad(
            "linux.namespaces[1].path",
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "network", "path": "proc/1/ns/net"}]),
            NONE,
        ),
        bad("linux.namespaces", "/linux/namespaces", json!("mount"), NONE),
        bad("linux.uidMappings", "/linux/uidMappings", map(json!(0), json!(0), json!(1)), BOTH),
        bad("linux.uidMappings[0].size", "/linux/uidMappings", map(json!(0), json!(1), json!("all")), CRUN),
        bad("linux.uidMappings[0].hostID", "/linux/uidMappings", map(json!(0), json!(-1), json!(1)), NONE),
        bad("linux.timeOffsets", "/linux/timeOffsets", json!({"monotonic": {"secs": 1}}), BOTH),
        bad("linux.netDevices[\"a/b\"]", "/linux/netDevices", json!({"a/b": {}}), BOTH),
        bad("linux.netDevices[\"a\"].name", "/linux/netDevices", json!({"a": {"name": "x%s"}}), BOTH),
        bad("linux.netDevices[\"b\"].name", "/linux/netDevices", json!({"a": {"name": "x"}, "b": {"name": "x"}}), BOTH),
        bad("linux.netDevices.a.name", "/linux/netDevices", json!({"a": {"name": 1}}), BOTH),
        // Devices, paths, kernel parameters.
        bad("linux.devices[0].path", "/linux/devices", device("dev/x", "c"), RUNC),
        bad("linux.devices[0].type", "/linux/devices", device("/dev/x", "x"), CRUN),
        bad("linux.devices[0].type", "/linux/devices", device("/dev/x", ""), CRUN),
        bad("linux.devices[0].major", "/linux/devices", json!([{"path": "/dev/x", "type": "c", "minor": 1}]), BOTH),
        bad("linux.maskedPaths[0]", "/linux/maskedPaths", json!(["proc/keys"]), BOTH),
        bad("linux.maskedPaths", "/linux/maskedPaths", json!("/proc/keys"), CRUN),
        bad("linux.readonlyPaths[0]", "/linux/readonlyPaths", json!(["proc/sys"]), BOTH),
        bad("linux.readonlyPaths", "/linux/readonlyPaths", json!("/proc/sys"), CRUN),
        bad("linux.rootfsPropagation", "/linux/rootfsPropagation", json!("sometimes"), CRUN),
        bad("linux.sysctl", "/linux/sysctl", json!({"kernel.core_pattern": "x"}), NONE),
        bad("linux.sysctl", "/linux/sysctl", json!({"net.ipv4.ip_forward": 1}), NONE),
        bad("linux.personality.domain", "/linux/personality", json!({"domain": "PDP11"}), RUNC),
        bad("linux.personality.domain", "/linux/personality", json!({}), RUNC),
        bad(
            "linux.personality.flags[0]",
            "/linux/personality",
            json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}),
            BOTH,
        ),
        bad("linux.memoryPolicy.mode", "/linux/memoryPolicy", json!({"mode": "MPOL_NOSUCH"}), BOTH),
        bad("linux.memoryPolicy.mode", "/linux/memoryPolicy", json!({"nodes": "0"}), BOTH),
        bad("linux.memoryPolicy.nodes", "/linux/memoryPolicy", json!({"mode": "MPOL_BIND"}), BOTH),
        bad("linux.memoryPolicy.nodes", "/linux/memoryPolicy", json!({"mode": "MPOL_LOCAL", "nodes": "0"}), BOTH),
        bad("linux.memoryPolicy.nodes", "/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0;1"}), BOTH),
        bad(
            "linux.memoryPolicy.flags[0]",
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NOSUCH"]}),
            BOTH,
        ),
        // Seccomp.
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
        // Resources: wrong on any host, whatever its controllers.
        bad("linux.resources.memory.limit", "/linux/resources", json!({"memory": {"limit": "1G"}}), CRUN),
        bad("linux.resources.memory.swap", "/linux/resources", json!({"memory": {"limit": 1000, "swap": 10}}), NONE),
        bad("linux.resources.cpu.cpus", "/linux/resources", json!({"cpu": {"cpus": 3}}), CRUN),
        bad(
            "linux.resources.devices[0].access",
            "/linux/resources",
            json!({"devices": [{"allow": false, "access": "xyz"}]}),
            RUNC,
        ),
        bad("linux.resources.unified", "/linux/resources", json!({"unified": {"../memory.max": "1"}}), NONE),
        bad("linux.cgroupsPath", "/linux/cgroupsPath", json!(7), CRUN),
        // Hooks.
        bad("hooks.createRuntime[0].path", "/hooks", hook("bin/true", 1), NONE),
        bad("hooks.createRuntime[0].timeout", "/hooks", hook("/bin/true", 0), CRUN),
        bad("hooks.createRuntime[0].timeout", "/hooks", hook("/bin/true", -1), NONE),
        bad("hooks.createRuntime[0].path", "/hooks", json!({"createRuntime": [{"args": ["x"]}]}), NONE),
        bad("hooks.createRuntime", "/hooks", json!({"createRuntime": {"path": "/bin/true"}}), CRUN),
    ]
}

fn apply(config: &mut Value, bad: &Bad) {
    let (parent, key) = bad.pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match bad.value == absent() {
        true => drop(parent.remove(key)),
        false => drop(parent.insert(key.to_owned(), bad.value.clone())),
    }
}

/// What is wrong with how the runtime treats one row, or nothing.
fn verdict(bad: &Bad, runtime: &Runtime) -> Option<String> {
    let bundle = Bundle::base().with(|config| apply(config, bad));
    let output = bundle.try_create();
    let message = output.stderr.trim();
    // runc and crun do not say where; only a few of their messages have the name of a field. What they leave is
    // counted by the suite of faults.
    if !runtime.is_minirun() {
        return (output.status == 0).then(|| "accepted".to_owned());
    }
    let leaks = bundle.leaks();
    if output.status == 0 {
        return Some("accepted".into());
    }
    if !message.contains(bad.field) {
        return Some(format!("the message does not name the field: {message}"));
    }
    if message.contains("panicked") || output.status != 1 {
        return Some(format!("status {}: {message}", output.status));
    }
    (!leaks.is_none()).then(|| format!("left behind: {leaks:?}"))
}

#[test]
fn each_is_refused_by_the_name_of_its_field() {
    let runtime = Runtime::from_env();
    let mut faults = Vec::new();
    for bad in table() {
        let excused = bad.accepted_by.contains(&runtime.name());
        match (verdict(&bad, &runtime), excused) {
            (Some(fault), false) => faults.push(format!("{} = {}: {fault}", bad.field, bad.value)),
            (None, true) => faults.push(format!("{} = {}: refused, the note is out of date", bad.field, bad.value)),
            _ => {}
        }
    }
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), table().len(), faults.join("\n"));
}

#[test]
fn the_message_names_the_value() {
    let runtime = Runtime::from_env();
    let bundle = Bundle::base().with(|config| config["linux"]["namespaces"][1]["type"] = "nosuchtype".into());
    let message = bundle.try_create().failure();
    assert!(!runtime.is_minirun() || message.contains("nosuchtype"), "{message}");
}

#[test]
fn several_problems_are_all_reported() {
    let bundle = Bundle::base().with(|config| {
        config["process"]["cwd"] = "tmp".into();
        config["process"]["rlimits"][0]["type"] = "RLIMIT_NOSUCH".into();
        config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "mount"}]);
        config["linux"]["maskedPaths"] = json!(["relative"]);
    });
    let message = bundle.try_create().failure();
    for field in ["process.cwd", "process.rlimits[0]", "linux.namespaces[1]", "linux.maskedPaths[0]"] {
        // runc and crun stop at the first.
        assert!(!bundle.runtime().is_minirun() || message.contains(field), "{field}: {message}");
    }
}

#[test]
fn a_truncated_file_is_refused_at_any_length() {
    let bundle = Bundle::base();
    bundle.write();
    let file = bundle.path().join("config.json");
    let whole = std::fs::read(&file).unwrap();
    for length in (0..whole.len() - 1).step_by(whole.len() / 40 + 1) {
        std::fs::write(&file, &whole[..length]).unwrap();
        let output = bundle.finish(bundle.command(&["create", "-b"]).arg(bundle.path()).arg(bundle.id()));
        assert!((1..128).contains(&output.status) && !output.stderr.contains("panicked"), "{length}: {output:?}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn what_is_no_configuration_is_refused() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let texts: [&[u8]; 8] = [b"", b"null", b"[]", b"7", b"\"text\"", b"{}", b"\xff\xfe{}", nested.as_bytes()];
    for text in texts {
        let bundle = Bundle::base();
        std::fs::write(bundle.path().join("config.json"), text).unwrap();
        let output = bundle.finish(bundle.command(&["create", "-b"]).arg(bundle.path()).arg(bundle.id()));
        let shown = String::from_utf8_lossy(&text[..text.len().min(20)]).into_owned();
        assert!((1..128).contains(&output.status) && !output.stderr.contains("panicked"), "{shown}: {output:?}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_property_that_is_given_twice_is_refused() {
    // The second would silently win: which of the two was meant is not known.
    let bundle = Bundle::base();
    bundle.write();
    let file = bundle.path().join("config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"cwd\": \"/\"", "\"cwd\": \"/\", \"cwd\": \"/tmp\"", 1)).unwrap();
    let output = bundle.finish(bundle.command(&["create", "-b"]).arg(bundle.path()).arg(bundle.id()));
    // Go's and yajl's decoders take the last.
    assert!(!bundle.runtime().is_minirun() || output.status == 1, "{output:?}");
}

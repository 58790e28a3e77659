//! The configuration as a whole: hooks, refused values, and several problems together.

use minirun_plan::RootPlace;
use serde_json::{Value, json};

use super::{and, check, device, mount, namespaces, plan, refs, refuse, request, root_place, v2};

#[test]
fn unset_values_do_not_change_the_plan() {
    check(json!({}), &v2(), &[]);
    // Values that engines send, and values that mean "unset".
    for patch in [
        json!({"/hostname": "", "/domainname": "", "/process/apparmorProfile": "", "/process/selinuxLabel": ""}),
        json!({"/linux/mountLabel": "", "/linux/cgroupsPath": "", "/linux/rootfsPropagation": "", "/linux/netDevices": {}}),
        json!({"/hooks": {"prestart": [], "createRuntime": []}, "/linux/timeOffsets": {}, "/linux/sysctl": {}}),
        json!({"/linux/devices": [], "/linux/maskedPaths": [], "/linux/uidMappings": [], "/process/rlimits": []}),
        json!({"/linux/devices": null, "/linux/maskedPaths": null, "/linux/uidMappings": null, "/process/rlimits": null}),
        json!({"/process/consoleSize": {"height": 24, "width": 80}, "/process/unknown": {"a": [1]}, "/annotations": {"a": "b"}}),
        json!({"/process/env": ["PATH=/bin:/sbin", "HOME=/root", "A=1"], "/linux/resources": {}}),
    ] {
        check(patch, &v2(), &[]);
    }
}

const HOOK_LISTS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

#[test]
fn hooks() {
    for list in HOOK_LISTS {
        let hooks = |hooks: Value| json!({format!("/hooks/{list}"): hooks});
        let verb = if list == "startContainer" { "hook" } else { list };
        let line = |i: usize, subject: &str| format!("{verb} {subject} [hooks.{list}[{i}]]");
        let (first, second) = (line(0, "/bin/a"), line(1, "/b c"));
        // Hooks that run before the root becomes `/` must find it at its path.
        let waits = ["prestart", "createRuntime", "createContainer"].contains(&list);
        let mut expected = if waits { vec!["await-hooks [hooks]"] } else { Vec::new() };
        expected.extend([first.as_str(), &second]);
        let two = hooks(json!([{"path": "/bin/a", "args": ["x", "y"], "env": ["A=1"]}, {"path": "/b c"}]));
        check(two.clone(), &v2(), &expected);
        let place = root_place(&two, &request()).unwrap();
        assert_eq!(place, if waits { RootPlace::At(c"/bundle/rootfs".to_owned()) } else { RootPlace::OverSlash });

        let origin = format!("hooks.{list}[0]");
        for (hook, problems) in [
            (json!({"path": "bin/x"}), &["path: \"bin/x\" must be an absolute path"][..]),
            (json!({"path": ""}), &["path: \"\" must be an absolute path"]),
            (json!({"path": "/x\0"}), &["path: must not contain a NUL byte"]),
            (json!({"path": "/x", "timeout": 0}), &["timeout: invalid timeout 0 (expected more than 0 seconds)"]),
            (json!({"path": "/x", "timeout": -1}), &["timeout: invalid timeout -1 (expected more than 0 seconds)"]),
            (
                json!({"path": "/x", "args": ["", "\0"], "env": ["A=1", "B=\0"]}),
                &["args[1]: must not contain a NUL byte", "env[1]: must not contain a NUL byte"],
            ),
        ] {
            let expected: Vec<_> = problems.iter().map(|problem| format!("{origin}.{problem}")).collect();
            refuse(hooks(json!([hook])), &refs(&expected));
        }
    }
}

#[test]
fn unsupported_values_are_refused() {
    let absent = "linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor";
    refuse(json!({"/linux/intelRdt": {"closID": "x"}}), &[absent]);
    refuse(json!({"/linux/mountLabel": "label"}), &["linux.mountLabel: selinux is disabled or not supported"]);
    for version in ["2.0.0", "0.9.0", "10.0.0", "2.0.0-rc.1"] {
        let text = format!("ociVersion: version {version:?} is not supported (expected 1.0.0 to 1.3.x)");
        refuse(json!({"/ociVersion": version}), &[&text]);
    }
    for version in ["", "1", "1.0", "1.0.x", "1..0", "v1.0.2", "1.0.2.3"] {
        refuse(
            json!({"/ociVersion": version}),
            &[&format!("ociVersion: invalid version {version:?} (expected a version such as \"1.0.2\")")],
        );
    }
    for version in ["1.0.2-dev", "1.3.0", "1.0.0-rc5+dev"] {
        plan(&json!({"/ociVersion": version}), &v2()).unwrap();
    }
}

#[test]
fn nul_bytes_are_refused_everywhere() {
    const NUL: &str = "must not contain a NUL byte";
    let namespaced = |pointer: &str, value: Value| and(namespaces(&["mount", "uts", "network"]), pointer, value);
    for (patch, place) in [
        (namespaced("/hostname", json!("a\0b")), "hostname"),
        (namespaced("/domainname", json!("a\0b")), "domainname"),
        (namespaced("/linux/sysctl", json!({"net.a": "\0"})), "linux.sysctl[\"net.a\"]"),
        (json!({"/process/cwd": "/a\0b"}), "process.cwd"),
        (json!({"/process/args": ["/bin/true", "\0"]}), "process.args[1]"),
        (json!({"/process/env": ["A=\0"]}), "process.env[0]"),
        (json!({"/linux/maskedPaths": ["/\0"]}), "linux.maskedPaths[0]"),
        (json!({"/linux/readonlyPaths": ["/\0"]}), "linux.readonlyPaths[0]"),
        (mount("/a\0b", "tmpfs", &[]), "mounts[0].destination"),
        (mount("/m", "tmp\0fs", &[]), "mounts[0].type"),
        (mount("/m", "tmpfs", &["ro", "size=\0"]), "mounts[0].options[1]"),
        (mount("/m", "tmpfs", &["a\0"]), "mounts[0].options[0]"),
        (json!({"/mounts/-": {"destination": "/m", "type": "tmpfs", "source": "\0"}}), "mounts[0].source"),
        (json!({"/mounts/-": {"destination": "/m", "type": "bind", "source": "/\0"}}), "mounts[0].source"),
    ] {
        let problems = plan(&patch, &v2()).err().unwrap_or_else(|| panic!("{patch}: accepted"));
        assert!(problems.contains(&format!("{place}: {NUL}")), "{patch}: {problems:?}");
    }
    // These have their own messages.
    for (patch, place) in [
        (device(json!({"type": "p", "path": "/\0"})), "linux.devices[0].path"),
        (json!({"/linux/cgroupsPath": "/\0"}), "linux.cgroupsPath"),
        (json!({"/linux/sysctl": {"net.\0": "1"}}), "linux.sysctl[\"net.\\0\"]"),
        (json!({"/linux/rootfsPropagation": "shared\0"}), "linux.rootfsPropagation"),
        (json!({"/linux/resources": {"unified": {"memory.\0": "1"}}}), "linux.resources.unified[\"memory.\\0\"]"),
        (json!({"/linux/resources": {"cpu": {"cpus": "0\0"}}}), "linux.resources.cpu.cpus"),
    ] {
        let problems = plan(&patch, &v2()).err().unwrap_or_else(|| panic!("{patch}: accepted"));
        assert!(problems.iter().any(|problem| problem.starts_with(place)), "{patch}: {problems:?}");
    }
}

#[test]
fn all_problems_are_reported_together() {
    refuse(
        json!({"/process/cwd": "tmp", "/process/args": [], "/linux/maskedPaths": ["/"], "/linux/intelRdt": {}}),
        &[
            "linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor",
            "linux.maskedPaths[0]: cannot be the root",
            "process.cwd: Cwd must be an absolute path",
            "process.args: args must not be empty",
        ],
    );
}

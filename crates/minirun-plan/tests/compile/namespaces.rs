//! Namespaces, their maps, clocks and network devices.

use serde_json::{Value, json};

use super::{and, check, lines, namespaces, new_namespace, plan, refs, refuse, user_namespace, v2};

#[test]
fn network_devices() {
    let devices = |devices: Value| and(namespaces(&["mount", "pid", "network"]), "/linux/netDevices", devices);
    let own = new_namespace("network");
    let expected = [
        &own[0],
        "net-device a as a [linux.netDevices[\"a\"]]",
        "net-device b as eth%d [linux.netDevices[\"b\"]]",
        "net-device c as eth%d [linux.netDevices[\"c\"]]",
        &own[1],
    ];
    check(devices(json!({"a": {}, "b": {"name": "eth%d"}, "c": {"name": "eth%d"}})), &v2(), &expected);
    let text = "linux.netDevices: unable to move network devices without a private network namespace";
    refuse(json!({"/linux/netDevices": {"a": {}}}), &[text]);
    let text = "linux.netDevices[\"b\"].name: two devices would be named \"a\"";
    refuse(devices(json!({"a": {}, "b": {"name": "a"}})), &[text]);
}

#[test]
fn new_and_joined_namespaces() {
    for kind in ["network", "ipc", "uts", "cgroup", "time"] {
        let new = new_namespace(kind);
        check(json!({"/linux/namespaces/-": {"type": kind}}), &v2(), &refs(&new));
        check(json!({"/linux/namespaces/-": {"type": kind, "path": ""}}), &v2(), &refs(&new));
        let line = format!("join {kind} /ns [linux.namespaces[2].path]");
        // Init enters some namespaces itself.
        let steps = if matches!(kind, "time" | "cgroup") { 2 } else { 1 };
        let expected = vec![line.as_str(); steps];
        check(json!({"/linux/namespaces/-": {"type": kind, "path": "/ns"}}), &v2(), &expected);
        refuse(
            json!({"/linux/namespaces/-": {"type": kind, "path": "ns"}}),
            &["linux.namespaces[2].path: ns must be an absolute path"],
        );
        refuse(
            json!({"/linux/namespaces/-": {"type": kind, "path": "/n\0s"}}),
            &["linux.namespaces[2].path: must not contain a NUL byte"],
        );
    }
    let duplicate = |kind: &str| format!("linux.namespaces[2].type: duplicate namespace type {kind:?}");
    refuse(json!({"/linux/namespaces/-": {"type": "pid"}}), &[&duplicate("pid")]);
    refuse(json!({"/linux/namespaces/-": {"type": "mount", "path": "/ns"}}), &[&duplicate("mount")]);
}

#[test]
fn without_a_mount_namespace_the_root_is_changed_and_mounts_are_refused() {
    let mine = and(namespaces(&["pid"]), "/process/terminal", json!(true));
    let steps = lines(&plan(&mine, &v2()).unwrap());
    let chroot = steps.iter().position(|line| line == "chroot /bundle/rootfs [root.path]");
    assert!(chroot.is_some(), "{steps:#?}");
    for verb in ["propagation", "bind-root", "pivot-root", "device ", "symlink", "mount", "bind"] {
        assert!(!steps.iter().any(|line| line.starts_with(verb)), "{verb}: {steps:#?}");
    }
    assert!(steps.contains(&"terminal owner 0 [process.terminal]".to_owned()), "a console is a mount: {steps:#?}");
    let problem = |place: &str| {
        format!("{place}: requires a mount namespace in linux.namespaces: it would change the caller's mounts")
    };
    for (pointer, value, place) in [
        ("/mounts", json!([{"destination": "/proc", "type": "proc"}]), "mounts[0]"),
        ("/linux/maskedPaths", json!(["/a"]), "linux.maskedPaths"),
        ("/linux/readonlyPaths", json!(["/a"]), "linux.readonlyPaths"),
        ("/linux/rootfsPropagation", json!("slave"), "linux.rootfsPropagation"),
        ("/root/readonly", json!(true), "root.readonly"),
    ] {
        refuse(and(mine.clone(), pointer, value), &[problem(place).as_str()]);
    }
}

#[test]
fn id_maps() {
    let maps = |maps: Value| and(user_namespace(), "/linux/uidMappings", maps);
    let one = |container: u32, host: u32, size: u32| json!({"containerID": container, "hostID": host, "size": size});
    for (list, expected) in [
        (json!([]), "linux.uidMappings: a new user namespace requires at least one mapping"),
        (json!([one(0, 0, 0)]), "linux.uidMappings[0].size: 0 is out of range"),
        (json!([one(u32::MAX, 0, 2)]), "linux.uidMappings[0].size: 2 is out of range"),
        (json!([one(0, u32::MAX, 2)]), "linux.uidMappings[0].size: 2 is out of range"),
        (json!([one(0, 10, 5), one(4, 20, 5)]), "linux.uidMappings[1]: overlaps element 0"),
        (
            (0..341).map(|id| one(id, id, 1)).collect(),
            "linux.uidMappings: has 341 mappings, but the kernel supports at most 340",
        ),
        (
            (0..330).map(|id| one(id, 100_000 + id, 1)).collect(),
            "linux.uidMappings: 330 mappings are 4180 bytes of text, but the kernel supports fewer than 4096 (hint: use \
             fewer mappings of more ids)",
        ),
        (json!([one(0, 10, 5), one(5, 14, 5)]), "linux.uidMappings[1]: overlaps element 0"),
    ] {
        refuse(maps(list), &[expected]);
    }
    let shown = |patch: &Value, verb: &str| {
        let plan = plan(patch, &v2()).unwrap();
        plan.lines().into_iter().find(|line| line.verb == verb).map(|line| line.subject)
    };
    assert_eq!(shown(&maps(json!([one(5, 15, 5), one(0, 10, 5)])), "uid_map").unwrap(), "5 15 5, 0 10 5");
    assert_eq!(shown(&user_namespace(), "setgroups"), None, "root on the host keeps setgroups");
    let needed = "id mappings require a user namespace in linux.namespaces";
    refuse(
        json!({"/linux/uidMappings": [one(0, 1, 1)], "/linux/gidMappings": [one(0, 1, 1)]}),
        &[&format!("linux.uidMappings: {needed}"), &format!("linux.gidMappings: {needed}")],
    );
    // Engines send the maps of a joined namespace, which has them already.
    let joined = and(user_namespace(), "/linux/namespaces/2/path", json!("/ns"));
    assert_eq!(shown(&joined, "uid_map"), None);
}

#[test]
fn clocks() {
    let offsets = |offsets: Value| and(namespaces(&["mount", "pid", "time"]), "/linux/timeOffsets", offsets);
    for (clock, offset, expected) in [
        ("monotonic", json!({"secs": 5}), "clocks monotonic 5 0 [linux.timeOffsets]"),
        ("boottime", json!({"secs": -5, "nanosecs": 999_999_999}), "clocks boottime -5 999999999 [linux.timeOffsets]"),
        ("boottime", json!({}), "clocks boottime 0 0 [linux.timeOffsets]"),
    ] {
        check(offsets(json!({clock: offset})), &v2(), &["new time [linux.namespaces]", expected]);
    }
    for user in [json!({"type": "user"}), json!({"type": "user", "path": "/ns"})] {
        let owned = and(offsets(json!({"monotonic": {"secs": 5}})), "/linux/namespaces/-", user);
        let map = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
        let owned = and(and(owned, "/linux/uidMappings", map.clone()), "/linux/gidMappings", map);
        let plan = plan(&owned, &v2()).unwrap();
        let verbs: Vec<_> = plan.init.iter().take(2).map(|step| step.op.verb()).collect();
        assert_eq!(verbs, ["new-time", "become-root"]);
        assert!(!plan.namespaces.parent_makes_time());
    }
    refuse(
        offsets(json!({"realtime": {"secs": 1}, "monotonic": {"nanosecs": 1_000_000_000}})),
        &[
            "linux.timeOffsets[\"monotonic\"].nanosecs: 1000000000 is out of range (expected 0 to 999999999)",
            "linux.timeOffsets[\"realtime\"]: unknown clock (expected monotonic or boottime)",
        ],
    );
    let needed = "linux.timeOffsets: clock offsets require a new time namespace in linux.namespaces";
    refuse(json!({"/linux/timeOffsets": {"monotonic": {"secs": 1}}}), &[needed]);
    let joined = and(offsets(json!({"monotonic": {"secs": 1}})), "/linux/namespaces/2/path", json!("/ns"));
    refuse(joined, &[needed]);
}

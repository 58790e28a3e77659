//! Tests of the compiler for a runtime that is not root of the host.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "plans/hosts.rs"]
mod hosts;

use std::path::Path;

use minirun_plan::{ExecRequest, HostFacts, Request, RootSource, Spec, compile, compile_exec};
use serde_json::{Value, json};

const DENIED: &str = "additionalGids: cannot set any additional groups in a rootless container: its user namespace denies \
                      setgroups(2)";

/// Returns the host of an ordinary user, 1000, with a delegated cgroup.
fn user() -> HostFacts {
    hosts::host("rootless")
}

/// Returns the same host without a delegated cgroup.
fn undelegated() -> HostFacts {
    let cgroup_denied = Some("/sys/fs/cgroup/mine is not delegated to this user".to_owned());
    HostFacts { cgroup_base: "/mine".into(), cgroup_denied, controllers: Vec::new(), ..user() }
}

/// Returns a host whose root runs the runtime.
fn root() -> HostFacts {
    hosts::host("v2")
}

fn map(lines: &[(u32, u32, u32)]) -> Value {
    lines
        .iter()
        .map(|(inside, outside, size)| json!({"containerID": inside, "hostID": outside, "size": size}))
        .collect()
}

/// A container in a new user namespace with these maps.
fn config(uids: &[(u32, u32, u32)], gids: &[(u32, u32, u32)]) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/", "env": ["HOME=/"]},
        "root": {"path": "rootfs"},
        "mounts": [],
        "linux": {
            "namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "pid"}],
            "uidMappings": map(uids), "gidMappings": map(gids),
        },
    })
}

/// Returns the configuration that every user can run: it maps only the user's own ids.
fn single() -> Value {
    config(&[(0, 1000, 1)], &[(0, 1000, 1)])
}

fn with(mut config: Value, pointer: &str, value: Value) -> Value {
    *config.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    config
}

/// Returns the plan as `verb subject [origin]`, or the problems.
fn plan(config: Value, facts: &HostFacts) -> Result<Vec<String>, Vec<String>> {
    let spec: Spec = serde_json::from_value(config).unwrap();
    let request = Request {
        id: "ID",
        bundle: Path::new("/bundle"),
        root: RootSource::Directory("/bundle/rootfs".to_owned()),
        root_path: "/bundle/rootfs",
        no_pivot: false,
        no_new_keyring: true,
        preserve_fds: 0,
        listen_fds: 0,
        listen_names: None,
        links: Default::default(),
        notify: None,
        systemd: None,
    };
    let plan =
        compile(&spec, facts, &request).map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let lines = plan.lines().into_iter().map(|line| format!("{} {} [{}]", line.verb, line.subject, line.origin));
    let said = plan.warnings.iter().map(|warning| format!("warning: {warning}"));
    Ok(lines.chain(said).chain(plan.notes.iter().map(|note| format!("note: {note}"))).collect())
}

/// Returns the subjects of the lines with these verbs.
fn shown(config: Value, facts: &HostFacts, verbs: &[&str]) -> Vec<String> {
    let lines = plan(config, facts).unwrap_or_else(|problems| panic!("{problems:#?}"));
    lines.into_iter().filter(|line| verbs.iter().any(|verb| line.split(' ').next() == Some(verb))).collect()
}

const MAPS: &[&str] = &["uid_map", "gid_map", "setgroups", "newuidmap", "newgidmap", "groups"];

#[test]
fn own_ids_are_mapped_directly_and_others_by_the_helpers() {
    let own = [
        "uid_map 0 1000 1 [linux.uidMappings]",
        "setgroups deny [linux.gidMappings]",
        "gid_map 0 1000 1 [linux.gidMappings]",
    ];
    assert_eq!(shown(single(), &user(), MAPS), own);
    let ranges = &[(0, 1000, 1), (1, 100_000, 65_535)][..];
    let groups = "groups none [process.user.additionalGids]";
    assert_eq!(
        shown(config(ranges, ranges), &user(), MAPS),
        [
            "newuidmap 0 1000 1, 1 100000 65535 [linux.uidMappings]",
            "newgidmap 0 1000 1, 1 100000 65535 [linux.gidMappings]",
            groups,
        ]
    );
    // Mapping another id, or more than one, requires a grant.
    for other in [&[(0, 1001, 1)][..], &[(0, 1000, 2)]] {
        assert!(shown(config(other, &[(0, 1000, 1)]), &user(), MAPS)[0].starts_with("newuidmap "), "{other:?}");
    }
    assert_eq!(
        shown(config(ranges, ranges), &root(), MAPS),
        [
            "uid_map 0 1000 1, 1 100000 65535 [linux.uidMappings]",
            "gid_map 0 1000 1, 1 100000 65535 [linux.gidMappings]",
            groups,
        ]
    );
}

#[test]
fn groups_require_a_user_namespace_that_allows_them() {
    let wanted = |config: Value| with(config, "/process/user", json!({"uid": 0, "gid": 0, "additionalGids": [7]}));
    let problem = format!("process.user.{DENIED}");
    assert_eq!(plan(wanted(single()), &user()).unwrap_err(), [problem.as_str()]);
    let ranges = &[(0, 1000, 1), (1, 100_000, 65_535)][..];
    assert_eq!(shown(wanted(config(ranges, ranges)), &user(), &["groups"]), ["groups 7 [process.user.additionalGids]"]);
    // If a user namespace is joined, its own setting applies.
    let joined = |config| with(config, "/linux/namespaces/0", json!({"type": "user", "path": "/ns"}));
    let allows = HostFacts { setgroups_denied: true, ..user() };
    assert_eq!(shown(joined(single()), &allows, &["groups"]), ["groups none [process.user.additionalGids]"]);
    for facts in [user(), root()] {
        let denies = HostFacts { joined_setgroups_denied: true, ..facts };
        assert_eq!(shown(joined(single()), &denies, &["groups"]), [""; 0]);
        assert_eq!(plan(wanted(joined(single())), &denies).unwrap_err(), [problem.as_str()]);
    }
}

#[test]
fn root_drops_its_groups_before_a_namespace_that_denies_setgroups() {
    let spec: Spec = serde_json::from_value(single()).unwrap();
    let request = ExecRequest { id: "ID", bundle: Path::new("/bundle"), preserve_fds: 0, no_new_keyring: true };
    let first = |facts: &HostFacts| compile_exec(&spec, facts, &request).unwrap().init[0].op.verb();
    assert_eq!(first(&HostFacts { joined_setgroups_denied: true, ..root() }), "groups");
    assert_eq!(first(&root()), "enter-container");
    assert_eq!(first(&HostFacts { joined_setgroups_denied: true, ..user() }), "enter-container");
}

#[test]
fn a_container_without_limits_needs_no_cgroup() {
    let made = |facts: &HostFacts| shown(single(), facts, &["make", "stay", "note:"]);
    let base = "/user.slice/user-1000.slice/user@1000.service/app.slice";
    assert_eq!(made(&user()), [format!("make {base}/minirun-ID [default cgroup]")]);
    let why = "/sys/fs/cgroup/mine is not delegated to this user";
    assert_eq!(
        made(&undelegated()),
        [
            "stay  [default cgroup]".to_owned(),
            format!("note: default cgroup: the container stays in the runtime's: {why}")
        ]
    );
}

#[test]
fn limits_are_refused_without_a_cgroup() {
    let limited = |resources: Value| {
        let mut config = single();
        config["linux"]["resources"] = resources;
        config
    };
    let why = "/sys/fs/cgroup/mine is not delegated to this user";
    for (resources, problem) in [
        (json!({"memory": {"limit": 1 << 20}}), "linux.resources.memory.limit: the memory controller is not available"),
        (
            json!({"unified": {"cgroup.max.depth": "3"}}),
            "linux.resources.unified[\"cgroup.max.depth\"]: cgroup.max.depth cannot be written without a cgroup",
        ),
    ] {
        assert_eq!(plan(limited(resources), &undelegated()).unwrap_err(), [format!("{problem}: {why}")]);
    }
    // The values that engines always send limit nothing.
    for resources in [
        json!({"memory": {"limit": -1}, "pids": {"limit": -1}}),
        json!({"devices": [{"allow": false, "access": "rwm"}]}),
    ] {
        plan(limited(resources), &undelegated()).unwrap();
    }
    let shared = with(single(), "/linux/namespaces/2", json!({"type": "pid", "path": "/ns"}));
    let warning = "without a cgroup and a new pid namespace only the container's first process can be found later";
    let lines = plan(shared, &undelegated()).unwrap();
    assert!(lines.iter().any(|line| *line == format!("warning: linux.namespaces: {warning}: {why}")), "{lines:#?}");
}

#[test]
fn a_relative_path_starts_at_the_delegated_cgroup() {
    let placed = |path: &str, facts: &HostFacts| {
        let mut config = single();
        config["linux"]["cgroupsPath"] = path.into();
        shown(config, facts, &["make"]).remove(0)
    };
    let base = "/user.slice/user-1000.slice/user@1000.service/app.slice";
    assert_eq!(placed("a/b", &user()), format!("make {base}/a/b [linux.cgroupsPath]"));
    assert_eq!(placed("/a/b", &user()), "make /a/b [linux.cgroupsPath]");
    assert_eq!(placed("a/b", &root()), "make /a/b [linux.cgroupsPath]");
}

#[test]
fn controllers_missing_in_the_delegated_cgroup_are_refused() {
    let mut config = single();
    config["linux"]["resources"] = json!({"cpu": {"shares": 10}});
    let of_user = "user.slice/user@1000.service";
    for (base, hint) in [("a", ""), (of_user, " (hint: as root, set Delegate= in a drop-in of user@.service)")] {
        let facts = HostFacts { controllers: Vec::new(), cgroup_base: Path::new("/").join(base), ..user() };
        let message = format!(
            "linux.resources.cpu.shares: the cpu controller is not available in the cgroup /sys/fs/cgroup/{base}: it is not delegated{hint}"
        );
        assert_eq!(plan(config.clone(), &facts).unwrap_err(), [message]);
    }
}

#[test]
fn sysfs_of_the_hosts_network_is_bound_from_the_host() {
    let sysfs = |options: Value| {
        with(
            single(),
            "/mounts",
            json!([{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": options}]),
        )
    };
    let options = json!(["nosuid", "noexec", "nodev", "ro"]);
    let expected = "bind /sys ro nosuid nodev noexec rro rnosuid rnodev rnoexec from /sys recursive [mounts[0]]";
    assert_eq!(shown(sysfs(options.clone()), &user(), &["bind"]), [expected]);
    let mut own = sysfs(options);
    own["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "network"}));
    assert_eq!(shown(own, &user(), &["bind"]), [""; 0]);
}

/// CVE-2023-25809.
#[test]
fn a_read_only_sys_has_no_writable_cgroups() {
    let bound = |facts: &HostFacts| {
        let mounts = json!([{"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "ro"]}]);
        shown(with(single(), "/mounts", mounts), facts, &["bind"]).remove(0)
    };
    assert_eq!(bound(&user()), "bind /sys ro rro from /sys recursive [mounts[0]]");
    assert_eq!(bound(&root()), "bind /sys ro from /sys recursive (opened by the parent) [mounts[0]]");
}

#[test]
fn operations_that_require_root_are_refused() {
    let mapped = json!([{"destination": "/m", "type": "bind", "source": "/s", "options": ["bind", "idmap"]}]);
    let problem = "mounts[0]: mapping the ids of a mount requires root";
    assert_eq!(plan(with(single(), "/mounts", mapped), &user()).unwrap_err(), [problem]);
    let time = |user: Value| {
        let list = json!([{"type": "mount"}, {"type": "pid"}, {"type": "time"}, user]);
        let mut config = with(single(), "/linux/namespaces", list);
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 5}});
        config
    };
    let new = plan(time(json!({"type": "user"})), &user()).unwrap();
    let place = |word: &str| new.iter().position(|line| line.starts_with(word));
    assert!(place("new-time ").is_some_and(|at| Some(at) < place("become-root ")), "{new:?}");
    let joined = plan(time(json!({"type": "user", "path": "/ns"})), &user()).unwrap_err();
    let problem =
        "linux.timeOffsets: setting the clocks requires root, or a new user namespace instead of a joined one";
    assert!(joined.contains(&problem.to_owned()), "{joined:?}");
}

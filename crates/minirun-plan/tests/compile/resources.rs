//! Cgroups, systemd units, and resctrl groups.

use std::path::Path;

use minirun_plan::{HostFacts, Request, Resctrl, SystemdRequest, compile, compile_resources, compile_schemata};
use serde_json::{Value, json};

use super::{and, check, exec, lines, plan, refuse, refuse_on, request, spec, user_namespace, v2};

#[test]
fn the_owner_of_a_cgroup() {
    let mounted = |options: &[&str]| {
        let mount = json!({"destination": "/sys/fs/cgroup/", "type": "cgroup", "source": "cgroup", "options": options});
        and(user_namespace(), "/mounts/-", mount)
    };
    let owner = |patch: Value| {
        let lines = lines(&plan(&patch, &v2()).unwrap());
        lines.into_iter().find_map(|line| line.strip_prefix("owner ").map(str::to_owned))
    };
    let private = |patch: Value| and(patch, "/linux/namespaces/-", json!({"type": "cgroup"}));
    let first = user_namespace()["/linux/uidMappings"][0]["hostID"].as_u64().unwrap();
    assert_eq!(owner(private(mounted(&[]))), Some(format!("{first} [mounts[0]]")));
    let other = and(private(mounted(&["rw"])), "/process/user/uid", json!(3));
    assert_eq!(owner(other), Some(format!("{} [mounts[0]]", first + 3)));
    for patch in [mounted(&[]), private(mounted(&["nosuid", "ro"])), private(user_namespace())] {
        assert_eq!(owner(patch), None);
    }
}

/// Returns a request for a cgroup of systemd, for a container whose state is below /run/minirun.
fn by_systemd(user: bool, cgroup: &'static str) -> Request<'static> {
    let systemd = SystemdRequest { user, cgroup: Path::new(cgroup), owner: "/run/minirun/ID" };
    Request { systemd: Some(systemd), ..request() }
}

#[test]
fn the_unit_of_the_cgroup() {
    let patch = json!({
        "/linux/cgroupsPath": "a-b.slice:cri:web",
        "/linux/resources": {"pids": {"limit": 7}, "unified": {"memory.oom.group": "1"}},
        "/annotations": {
            "org.systemd.property.TimeoutStopSec": "5",
            "org.systemd.property.DefaultDependencies": "true",
            "other": "['",
        },
    });
    let plan = compile(&spec(&patch), &v2(), &by_systemd(false, "/")).unwrap();
    assert_eq!(plan.cgroup.path, Path::new("/a.slice/a-b.slice/cri-web.scope"));
    let unit = plan.cgroup.unit.as_ref().unwrap();
    assert_eq!(unit.name, "cri-web.scope");
    let properties: Vec<String> = unit
        .properties
        .iter()
        .map(|property| format!("{}={} {}", property.name, property.value, property.origin))
        .collect();
    for wanted in [
        "Description=\"minirun container /run/minirun/ID\" linux.cgroupsPath",
        "Slice=\"a-b.slice\" linux.cgroupsPath",
        "Delegate=true linux.cgroupsPath",
        "TimeoutStopUSec=5000000 annotations[\"org.systemd.property.TimeoutStopSec\"]",
        "OOMPolicy=\"kill\" linux.resources.unified[\"memory.oom.group\"]",
        "TasksMax=7 linux.resources.pids.limit",
        "DevicePolicy=\"strict\" linux.resources.devices",
    ] {
        assert!(properties.iter().any(|line| line == wanted), "no {wanted} in {properties:#?}");
    }
    let overridden: Vec<_> = properties.iter().filter(|line| line.starts_with("DefaultDependencies=")).collect();
    assert_eq!(overridden, ["DefaultDependencies=true annotations[\"org.systemd.property.DefaultDependencies\"]"]);
    let user = HostFacts { euid: 1000, initial_user_namespace: true, ..v2() };
    let plan = compile(&spec(&json!({})), &user, &by_systemd(true, "/user.slice/user@7.service")).unwrap();
    assert_eq!(plan.cgroup.path, Path::new("/user.slice/user@7.service/user.slice/minirun-ID.scope"));
    // Without systemd the annotations have no effect.
    let patch = json!({"/annotations": {"org.systemd.property.TimeoutStopSec": "['"}});
    assert!(compile(&spec(&patch), &v2(), &request()).is_ok());
    for (patch, problem) in [
        (patch, "annotations[\"org.systemd.property.TimeoutStopSec\"]: invalid gvariant text \"['\""),
        (json!({"/linux/cgroupsPath": "/a"}), "linux.cgroupsPath: expected cgroupsPath to be of format"),
        (json!({"/linux/cgroupsPath": "a.slice:b:c.slice"}), "linux.cgroupsPath: \"c.slice\" is a slice"),
    ] {
        let problems = compile(&spec(&patch), &v2(), &by_systemd(false, "/")).unwrap_err().to_string();
        assert!(problems.starts_with(problem), "{problems}");
    }
}

#[test]
fn the_path_of_the_cgroup() {
    let default = "- make /minirun-ID [default cgroup]";
    for (path, expected) in [
        ("/a/b", "/a/b"),
        ("a/b", "/a/b"),
        ("//a/./b/", "/a/b"),
        ("/with space", "/with space"),
        // Without systemd the systemd form is a name like any other.
        ("system.slice:minirun:web", "/system.slice:minirun:web"),
    ] {
        let line = format!("make {expected} [linux.cgroupsPath]");
        check(json!({"/linux/cgroupsPath": path}), &v2(), &[default, &line]);
    }
    let outside = |path: &str, part: &str| {
        format!("linux.cgroupsPath: {path:?} must stay below the cgroup2 mount: {part:?} is not allowed")
    };
    refuse(json!({"/linux/cgroupsPath": "/a/../b"}), &[&outside("/a/../b", "..")]);
    refuse(json!({"/linux/cgroupsPath": "a\nb"}), &[&outside("a\nb", "a\nb")]);
    for path in ["/", "//", "/./"] {
        refuse(json!({"/linux/cgroupsPath": path}), &["linux.cgroupsPath: the root cgroup cannot be a container's"]);
    }
    let none = HostFacts { cgroup_mount: None, controllers: Vec::new(), ..v2() };
    let missing = "linux.resources: no cgroup2 file system is mounted on this host";
    refuse_on(&none, json!({}), &[missing]);
}

#[test]
fn new_limits_are_knobs_and_device_rules() {
    let limits = |resources: Value| compile_resources(&serde_json::from_value(resources).unwrap(), &v2());
    let problems = limits(json!({"cpu": {"cpus": "x"}})).unwrap_err();
    assert_eq!(problems.iter().count(), 1);
    let deny = json!({"allow": false, "access": "rwm"});
    let limits = limits(json!({"pids": {"limit": 7}, "devices": [deny]})).unwrap();
    assert!(limits.cgroup.devices.is_some());
    let knobs = limits.cgroup.knobs.iter().map(|knob| format!("{} {} [{}]", knob.file, knob.value, knob.origin));
    assert_eq!(knobs.collect::<Vec<_>>(), ["pids.max 7 [linux.resources.pids.limit]"]);
}

/// A host with Intel RDT.
fn rdt() -> HostFacts {
    let info = ["L3", "L3_MON", "MB"].map(str::to_owned).to_vec();
    HostFacts { resctrl: Resctrl::Mounted { mount: "/sys/fs/resctrl".into(), info }, ..v2() }
}

#[test]
fn groups_of_the_resctrl_file_system() {
    let rdt_of = |value: Value| json!({"/linux/intelRdt": value});
    // Without a name the group is named after the container.
    let own = [
        "make /sys/fs/resctrl/ID [linux.intelRdt]",
        "schemata L3:0=ff;1=f [linux.intelRdt.l3CacheSchema]",
        "schemata MB:0=20 [linux.intelRdt.memBwSchema]",
        "schemata L3:1=3 [linux.intelRdt.schemata[0]]",
        "monitor /sys/fs/resctrl/ID/mon_groups/ID [linux.intelRdt.enableMonitoring]",
        "resctrl /sys/fs/resctrl/ID/tasks [linux.intelRdt]",
        "resctrl /sys/fs/resctrl/ID/mon_groups/ID/tasks [linux.intelRdt.enableMonitoring]",
    ];
    let all = json!({
        "schemata": ["L3:1=3"], "memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=ff;1=f", "enableMonitoring": true,
    });
    check(rdt_of(all.clone()), &rdt(), &own);
    let further = exec(&rdt_of(all), &rdt()).unwrap();
    assert_eq!(further[..2], own[5..]);
    assert!(!further.iter().any(|line| line.starts_with("make")), "{further:?}");

    let joins = |group: &str, field: &str| format!("resctrl /sys/fs/resctrl{group}/tasks [linux.intelRdt{field}]");
    for (value, first, group) in [
        (json!({}), "make /sys/fs/resctrl/ID [linux.intelRdt]", "/ID"),
        (json!({"closID": ""}), "make /sys/fs/resctrl/ID [linux.intelRdt]", "/ID"),
        (json!({"closID": "g"}), "use /sys/fs/resctrl/g [linux.intelRdt.closID]", "/g"),
        (json!({"closID": "/"}), "use /sys/fs/resctrl [linux.intelRdt.closID]", ""),
    ] {
        let field = if first.starts_with("use") { ".closID" } else { "" };
        check(rdt_of(value), &rdt(), &[first, &joins(group, field)]);
    }
    let shared = rdt_of(json!({"closID": "g", "schemata": ["", "MB:0=20"]}));
    let expected = [
        "make-shared /sys/fs/resctrl/g [linux.intelRdt.closID]",
        "schemata MB:0=20 [linux.intelRdt.schemata[1]]",
        &joins("/g", ".closID"),
    ];
    check(shared, &rdt(), &expected);
    // Older documents can have several lines there.
    let lines = plan(&rdt_of(json!({"l3CacheSchema": "L3:0=f\nMB:0=10\n"})), &rdt()).unwrap().resctrl.unwrap();
    assert_eq!(lines.schemata.iter().map(|schema| schema.line.as_str()).collect::<Vec<_>>(), ["L3:0=f", "MB:0=10"]);
}

#[test]
fn unsupported_resctrl_settings_are_refused() {
    for (value, expected) in [
        (json!({"closID": ".."}), "closID: invalid group name \"..\""),
        (json!({"closID": "a/b"}), "closID: invalid group name \"a/b\""),
        (json!({"closID": "info"}), "closID: invalid group name \"info\""),
        (json!({"memBwSchema": "0=10"}), "memBwSchema: \"0=10\" must start with \"MB:\""),
        (json!({"memBwSchema": "MB:0=1\nMB:1=1"}), "memBwSchema: must not contain a newline"),
        (json!({"schemata": ["L3:0=1\nL3:1=1"]}), "schemata[0]: must not contain a newline"),
        (
            json!({"schemata": ["nothing"]}),
            "schemata[0]: invalid schema \"nothing\" (expected a line such as \"L3:0=ff;1=f\")",
        ),
        (json!({"schemata": ["L2:0=1"]}), "schemata[0]: this host's resctrl does not allocate L2 (available: L3, MB)"),
    ] {
        let problems = plan(&json!({"/linux/intelRdt": value}), &rdt()).unwrap_err();
        assert_eq!(problems[0], format!("linux.intelRdt.{expected}"), "{value}");
    }
    let lacking = HostFacts { resctrl: Resctrl::Mounted { mount: "/r".into(), info: Vec::new() }, ..v2() };
    refuse_on(
        &lacking,
        json!({"/linux/intelRdt": {"l3CacheSchema": "L3:0=1", "enableMonitoring": true}}),
        &[
            "linux.intelRdt.l3CacheSchema: this host's resctrl does not allocate L3 (available: nothing)",
            "linux.intelRdt.enableMonitoring: this host's resctrl does not support monitoring: its info has no L3_MON",
        ],
    );
    let unmounted = HostFacts { resctrl: Resctrl::Unmounted, ..v2() };
    let text = "no resctrl file system is mounted (hint: mount -t resctrl resctrl /sys/fs/resctrl)";
    refuse_on(&unmounted, json!({"/linux/intelRdt": {}}), &[&format!("linux.intelRdt: {text}")]);
    let told = |l3_cache, mem_bw, facts: &HostFacts| {
        let schemata = compile_schemata(l3_cache, mem_bw, &facts.resctrl);
        schemata.map(|list| list.len()).map_err(|problems| problems.to_string())
    };
    assert_eq!(told(Some("L3:0=f"), Some("MB:0=10"), &rdt()), Ok(2));
    assert_eq!(told(Some("L3:0=f"), None, &unmounted), Err(format!("--l3-cache-schema: {text}")));
    assert_eq!(
        told(None, Some("L3:0=f"), &rdt()),
        Err("--mem-bw-schema: \"L3:0=f\" must start with \"MB:\"".to_owned())
    );
}

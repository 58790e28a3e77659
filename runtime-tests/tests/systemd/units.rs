//! Which unit a container has: names, slices, properties from annotations.

use std::process::Command;

use runtime_tests::Bundle;
use serde_json::json;

use super::{cgroup_of, is_loaded, property, read, scope, set_path, started, systemctl, unit_of};

#[test]
fn the_unit_is_where_its_name_says() {
    for (path, unit, slice, cgroup) in [
        ("", "minirun-ID.scope", "system.slice", "/system.slice/minirun-ID.scope"),
        (":cri:ID", "cri-ID.scope", "system.slice", "/system.slice/cri-ID.scope"),
        ("a-bc-d.slice:p:ID", "p-ID.scope", "a-bc-d.slice", "/a.slice/a-bc.slice/a-bc-d.slice/p-ID.scope"),
        ("-.slice:top:ID", "top-ID.scope", "-.slice", "/top-ID.scope"),
        ("machine.slice::ID", "ID.scope", "machine.slice", "/machine.slice/ID.scope"),
    ] {
        let bundle = scope();
        let [path, unit, cgroup] = [path, unit, cgroup].map(|text| text.replace("ID", bundle.id()));
        let container = started(bundle.with(set_path(&path)));
        assert_eq!((property(&unit, "Slice").as_str(), property(&unit, "ControlGroup")), (slice, cgroup));
        assert_eq!(property(&unit, "ActiveState"), "active");
        let pid = container.state()["pid"].to_string();
        assert_eq!(read(&cgroup_of(&unit), "cgroup.procs"), pid, "the container's init and nobody else");
        drop(container);
        assert!(!is_loaded(&unit), "{unit}");
    }
}

#[test]
fn a_unit_says_whose_it_is() {
    let container = scope().create();
    let owner = container.bundle().state_root().join(container.bundle().id());
    let description = property(&unit_of(container.bundle()), "Description");
    // The random number behind it is that of the cgroup's mark.
    assert!(description.starts_with(&format!("minirun container {} (", owner.display())), "{description}");
}

#[test]
fn annotations_are_properties() {
    let container = scope()
        .with(|config| {
            config["annotations"] = json!({
                "org.systemd.property.TimeoutStopSec": "uint64 7",
                "org.systemd.property.After": "['sockets.target', 'paths.target']",
                "org.systemd.property.SendSIGHUP": "true",
                "org.systemd.property.MemoryHigh": "uint64 1073741824",
                "org.systemd.property.Documentation": "@as []",
                // As CRI-O has them.
                "org.systemd.property.DefaultDependencies": "true",
                "org.systemd.property.CollectMode": "'inactive-or-failed'",
            });
        })
        .create();
    let unit = unit_of(container.bundle());
    for (name, expected) in
        [("TimeoutStopUSec", "7s"), ("SendSIGHUP", "yes"), ("MemoryHigh", "1073741824"), ("DefaultDependencies", "yes")]
    {
        assert_eq!(property(&unit, name), expected, "{name}");
    }
    let after = property(&unit, "After");
    assert!(after.contains("sockets.target") && after.contains("paths.target"), "{after}");
    drop(container);
    for (name, value, words) in [
        ("NoSuchThing", "true", "NoSuchThing"),
        ("TimeoutStopUSec", "'soon'", "refuses"),
        ("PIDs", "[uint32 1]", "annotations[\"org.systemd.property.PIDs\"]: the runtime sets this property itself"),
        ("Abc", "[", "invalid gvariant text \"[\""),
    ] {
        let bundle = scope();
        let unit = unit_of(&bundle);
        let key = format!("org.systemd.property.{name}");
        let message = bundle.with(|config| config["annotations"] = json!({ key: value })).refused();
        assert!(message.contains(words), "{name}: {message}");
        assert!(!is_loaded(&unit), "{name}");
    }
}

#[test]
fn what_is_no_unit_is_refused_before_anything_is_made() {
    for (path, words) in [
        ("/a/b", "expected cgroupsPath to be of format \\\"slice:prefix:name\\\""),
        ("x:y:z", "invalid slice name"),
        ("a.slice:b:c.slice", "is a slice"),
    ] {
        let message = scope().with(set_path(path)).refused();
        let words = words.replace('\\', "");
        assert!(message.contains("linux.cgroupsPath: ") && message.contains(&words), "{message}");
    }
}

/// Somebody else's unit is neither used nor removed.
#[test]
fn a_unit_that_is_there_is_left_alone() {
    let bundle = scope();
    let unit = unit_of(&bundle);
    let mut other =
        Command::new("systemd-run").args(["--scope", "--quiet", "--unit", &unit, "sleep", "1000"]).spawn().unwrap();
    runtime_tests::wait_until("the other's scope", || property(&unit, "ActiveState") == "active");
    let message = bundle.try_create().failure();
    assert!(message.contains(&format!("start unit {unit}: systemd refuses")), "{message}");
    bundle.call(&["delete", "-f", bundle.id()]).success();
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert!(other.try_wait().unwrap().is_none(), "the other lives");
    let _ = other.kill();
    let _ = other.wait();
}

/// A failed unit keeps its name until somebody resets it.
#[test]
fn a_unit_that_has_failed_is_forgotten() {
    let bundle = scope();
    let unit = unit_of(&bundle);
    let words = ["--scope", "--quiet", "-p", "RuntimeMaxSec=1", "--unit", &unit, "sleep", "1000"];
    let _ = Command::new("systemd-run").args(words).status().unwrap();
    runtime_tests::wait_until("a failed scope", || property(&unit, "ActiveState") == "failed");
    let container = started(bundle);
    assert_eq!(property(&unit, "ActiveState"), "active");
    drop(container);
    assert!(!is_loaded(&unit));
}

/// Later commands know the driver from the record, whatever they are told.
#[test]
fn the_record_knows_the_driver() {
    let container = scope().create();
    let unit = unit_of(container.bundle());
    let bundle = container.bundle();
    bundle.call(&["start", bundle.id()]).success();
    bundle.call(&["--cgroup-manager", "cgroupfs", "pause", bundle.id()]).success();
    assert_eq!(container.status(), "paused");
    bundle.call(&["--systemd-cgroup", "resume", bundle.id()]).success();
    bundle.call(&["update", "--pids-limit", "33", bundle.id()]).success();
    assert_eq!(property(&unit, "TasksMax"), "33");
    let seen = container.exec(&[], &["/bin/cat", "/proc/self/cgroup"]).success();
    assert_eq!(seen.trim(), format!("0::{}", property(&unit, "ControlGroup")));
    let stats = bundle.call(&["events", "--stats", bundle.id()]).success();
    assert!(stats.contains("\"pids\""), "{stats}");
    bundle.call(&["kill", bundle.id(), "KILL"]).success();
    container.wait_for("stopped");
    bundle.call(&["--cgroup-manager", "cgroupfs", "delete", bundle.id()]).success();
    assert!(!is_loaded(&unit));

    // And the other way round.
    let container = Bundle::base().probe("pause").create();
    let bundle = container.bundle();
    bundle.call(&["--systemd-cgroup", "update", "--pids-limit", "33", bundle.id()]).success();
    bundle.call(&["--systemd-cgroup", "delete", "-f", bundle.id()]).success();
    bundle.assert_nothing_left();
}

#[test]
fn the_plan_shows_the_unit() {
    let bundle = scope();
    bundle.write();
    let path = bundle.path();
    let plan = bundle.call(&["--systemd-cgroup", "plan", path.to_str().unwrap()]).success();
    assert!(plan.contains("minirun-ID.scope") && plan.contains("Delegate"), "{plan}");
    assert!(!systemctl(&["list-units", "--all", "--plain", "--no-legend"]).contains("minirun-ID.scope"));
}

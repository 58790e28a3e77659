//! What cannot be had is refused by the name of its field, and what engines send without meaning it is not.

use std::fs;
use std::path::Path;

use runtime_tests::{Bundle, Runtime, fails_on, may_fail_on, require_controllers};
use serde_json::json;

use super::{MIB, limited};

/// `create` fails and leaves nothing; returns the message.
#[track_caller]
fn refused(bundle: &Bundle) -> String {
    let message = bundle.try_create().failure();
    may_fail_on(&[("crun", "1.8.1 leaves the cgroup")], || bundle.assert_nothing_left());
    message
}

#[test]
fn swap_that_cannot_be_converted_is_refused() {
    for memory in [json!({"limit": 256 * MIB, "swap": 128 * MIB}), json!({"swap": 128 * MIB})] {
        let message = refused(&limited(json!({"memory": memory})));
        assert!(!Runtime::from_env().is_minirun() || message.contains("linux.resources.memory.swap"), "{message}");
    }
}

#[test]
fn a_size_of_huge_pages_that_the_kernel_lacks_is_refused() {
    require_controllers(&["hugetlb"]);
    let message = refused(&limited(json!({"hugepageLimits": [{"pageSize": "3MB", "limit": MIB}]})));
    assert!(message.contains("3MB"), "{message}");
}

#[test]
fn a_controller_that_is_not_available_is_named_with_the_field() {
    // A cgroup with a process of its own gives no controllers to its children.
    let bundle = limited(json!({"memory": {"limit": 256 * MIB}}));
    let parent = Path::new("/sys/fs/cgroup").join(format!("{}-busy", bundle.id()));
    fs::create_dir(&parent).unwrap();
    let mut process = std::process::Command::new("/bin/busybox").args(["sleep", "600"]).spawn().unwrap();
    fs::write(parent.join("cgroup.procs"), process.id().to_string()).unwrap();
    let path = format!("/{}-busy/child", bundle.id());
    let bundle = bundle.with(|config| config["linux"]["cgroupsPath"] = path.into());
    let output = bundle.try_create();
    process.kill().unwrap();
    process.wait().unwrap();
    let message = output.failure();
    fails_on(&[("crun", "1.8.1 tries to make the cgroup a threaded one")], || {
        assert!(message.contains("memory"), "{message}");
    });
    assert!(!bundle.runtime().is_minirun() || message.contains("linux.resources.memory.limit"), "{message}");
}

#[test]
fn properties_of_version_1_that_limit_are_refused() {
    let rows = [
        ("linux.resources.memory.swappiness", json!({"memory": {"swappiness": 10}})),
        ("linux.resources.memory.disableOOMKiller", json!({"memory": {"disableOOMKiller": true}})),
        ("linux.resources.cpu.realtimeRuntime", json!({"cpu": {"realtimeRuntime": 1000}})),
        ("linux.resources.network.classID", json!({"network": {"classID": 7}})),
    ];
    for (field, resources) in rows {
        fails_on(&[("runc", "drops them silently")], || {
            let message = refused(&limited(resources));
            assert!(!Runtime::from_env().is_minirun() || message.contains(field), "{field}: {message}");
        });
    }
}

#[test]
fn what_engines_always_send_is_accepted() {
    let resources = json!({
        "memory": {"disableOOMKiller": false, "limit": 0, "swap": 0, "reservation": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
        "pids": {"limit": -1},
        "blockIO": {"weight": 0},
        "network": {},
        "hugepageLimits": [],
        "devices": [{"allow": true, "access": "rwm"}],
    });
    fails_on(&[("crun", "1.8.1 refuses an empty network section")], || drop(limited(resources).run().success()));
}

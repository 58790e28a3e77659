//! The cgroup inside of a container's that holds its processes where memory is limited.

use std::fs;
use std::path::{Path, PathBuf};

use runtime_tests::{Bundle, Container, fails_on, may_fail_on};
use serde_json::{Value, json};

use super::{MIB, limited};

const PEERS: [(&str, &str); 2] = [("runc", "has no such cgroup"), ("crun", "has it with systemd alone")];

/// A container with this limit of memory, and the cgroup that is configured.
fn placed(resources: Value, change: impl FnOnce(&mut Value)) -> (Container, PathBuf) {
    let bundle = limited(resources).probe("pause").with(change);
    let path = format!("/{}-at/place", bundle.id());
    let configured = Path::new("/sys/fs/cgroup").join(&path[1..]);
    let container = bundle.with(|config| config["linux"]["cgroupsPath"] = path.into()).create();
    container.start();
    (container, configured)
}

fn read(directory: &Path, file: &str) -> String {
    let path = directory.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn memory() -> Value {
    json!({"memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 16 * MIB}, "pids": {"limit": 20},
           "cpu": {"quota": 50_000, "period": 100_000, "cpus": "1"},
           "unified": {"memory.high": "67104768", "cgroup.max.depth": "7"}})
}

#[test]
fn limits_are_those_of_the_container_and_can_be_read_in_the_leaf() {
    may_fail_on(&PEERS, || {
        let (container, configured) = placed(memory(), |_| ());
        let leaf = configured.join("container");
        assert_eq!((container.cgroup(), read(&configured, "cgroup.procs")), (leaf.clone(), String::new()));
        for file in ["memory.max", "memory.swap.max", "memory.low", "memory.high", "pids.max", "cpu.max", "cpuset.cpus"]
        {
            assert_eq!(read(&leaf, file), read(&configured, file), "{file}");
        }
        assert_eq!(
            (read(&configured, "cgroup.max.depth"), read(&leaf, "cgroup.max.depth")),
            ("7".into(), "max".into())
        );
        for options in [["--memory", "80m"], ["--pids-limit", "21"], ["--cpu-quota", "20000"], ["--cpuset-cpus", "0"]] {
            container.call(&["update", options[0], options[1]], &[]).success();
        }
        for (file, value) in
            [("memory.max", "83886080"), ("pids.max", "21"), ("cpu.max", "20000 100000"), ("cpuset.cpus", "0")]
        {
            assert_eq!((read(&configured, file), read(&leaf, file)), (value.into(), value.into()), "{file}");
        }
        container.call(&["pause"], &[]).success();
        assert_eq!((container.status().as_str(), read(&configured, "cgroup.freeze")), ("paused", "1".into()));
        container.call(&["resume"], &[]).success();
        assert_eq!(container.call(&["ps", "--format", "json"], &[]).success().trim(), format!("[{}]", container.pid()));
        container.call(&["delete", "-f"], &[]).success();
        assert!(!configured.parent().unwrap().exists());
        container.bundle().assert_nothing_left();
    });
}

/// The kernel waits for all processors when a controller is enabled above processes. containerd's shim enables all that the
/// root has, down to the cgroup above init's, before it watches for OOM kills.
#[test]
fn every_controller_is_handed_down_to_the_leaf() {
    may_fail_on(&PEERS, || {
        let bundle = limited(memory()).probe("pause");
        let above = Path::new("/sys/fs/cgroup").join(format!("{}-all", bundle.id()));
        fs::create_dir(&above).unwrap();
        for name in read(&above, "cgroup.controllers").split(' ') {
            fs::write(above.join("cgroup.subtree_control"), format!("+{name}")).unwrap();
        }
        let path = format!("/{}-all/place", bundle.id());
        let container = bundle.with(|config| config["linux"]["cgroupsPath"] = path.into()).create();
        container.start();
        let all = read(&above, "cgroup.controllers");
        for name in ["cpu", "cpuset", "io", "memory", "pids", "misc"] {
            assert!(all.split(' ').any(|known| known == name), "{name} is not in {all}");
        }
        let configured = above.join("place");
        assert_eq!(read(&configured, "cgroup.subtree_control"), all);
        assert_eq!(read(&configured.join("container"), "cgroup.controllers"), all);
        container.call(&["delete", "-f"], &[]).success();
        fs::remove_dir(&above).unwrap();
    });
}

/// There the kill is the first change of `memory.events` anyway.
#[test]
fn a_container_without_a_limit_of_memory_has_one_cgroup() {
    for resources in [json!({"pids": {"limit": 20}}), json!({"memory": {"limit": -1}})] {
        let (container, configured) = placed(resources, |_| ());
        assert_eq!(container.cgroup(), configured);
    }
}

/// What lies in a cgroup that is used again has no limits of its own, and no processes.
#[test]
fn a_leaf_that_was_left_is_made_anew() {
    may_fail_on(&PEERS, || {
        let bundle = limited(memory()).probe("pause");
        let path = format!("/{}-left", bundle.id());
        let configured = Path::new("/sys/fs/cgroup").join(&path[1..]);
        fs::create_dir_all(configured.join("container/deeper")).unwrap();
        fs::write(configured.join("container/cgroup.freeze"), "1").unwrap();
        let container = bundle.with(|config| config["linux"]["cgroupsPath"] = path.into()).create();
        container.start();
        assert_eq!(container.cgroup(), configured.join("container"));
        assert!(!configured.join("container/deeper").exists());
        assert_eq!(read(&configured.join("container"), "cgroup.freeze"), "0");
        container.call(&["delete", "-f"], &[]).success();
        assert!(!configured.exists());
    });
}

/// The user of a container that owns its cgroup makes others in it, with controllers, and sees its own as the root.
#[test]
fn the_leaf_is_delegated_and_not_the_limits() {
    let script = "cd /sys/fs/cgroup && stat -c %u . cgroup.procs cgroup.subtree_control memory.max && mkdir init &&
        echo $$ >init/cgroup.procs && echo +memory >cgroup.subtree_control && grep ^0: /proc/self/cgroup &&
        cat memory.max init/memory.max";
    let bundle = Bundle::base().user_namespace(100_000, 65_536).namespace("cgroup", Some(json!({"type": "cgroup"})));
    let bundle = bundle.without_mount("/sys/fs/cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", &[]).sh(script);
    let bundle = bundle.with(|config| config["linux"]["resources"] = memory());
    may_fail_on(&PEERS, || {
        assert_eq!(bundle.run().success(), "0\n0\n0\n65534\n0::/init\n67108864\nmax\n");
        bundle.assert_nothing_left();
    });
}

/// Where a process of `exec` is after init has moved itself to a cgroup of this name and enabled these controllers.
fn exec_beside(resources: Value, name: &str, controllers: &str) -> String {
    let (container, _) = placed(resources, |_| ());
    let own = container.cgroup();
    fs::create_dir(own.join(name)).unwrap();
    fs::write(own.join(name).join("cgroup.procs"), container.pid().to_string()).unwrap();
    fs::write(own.join("cgroup.subtree_control"), controllers).unwrap();
    let file = container.bundle().home().join("exec.pid");
    container.exec(&["-d", "--pid-file", file.to_str().unwrap()], &["/bin/sleep", "1000"]).success();
    let pid = fs::read_to_string(file).unwrap();
    let place = fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).unwrap();
    let place = Path::new("/sys/fs/cgroup").join(place.trim().trim_start_matches("0::/"));
    // Only there: a cgroup can be chosen that exists in what the container sees.
    container.exec(&["--cgroup", name], &["/bin/true"]).success();
    if controllers.is_empty() {
        container.exec(&["--cgroup", "/"], &["/bin/true"]).success();
    }
    container.call(&["delete", "-f"], &[]).success();
    container.bundle().assert_nothing_left();
    place.strip_prefix(own).unwrap().display().to_string()
}

#[test]
fn exec_goes_where_processes_may_be() {
    fails_on(&[("runc", "1.1 wants a controller's name for --cgroup"), ("crun", "1.8.1 takes no such path")], || {
        for resources in [json!({}), memory()] {
            assert_eq!(exec_beside(resources.clone(), "inner", ""), "", "init has only moved");
            assert_eq!(exec_beside(resources.clone(), "inner", "+memory"), "inner", "no process may be above");
            assert_eq!(
                exec_beside(resources, "init.scope", ""),
                "init.scope",
                "a systemd is about to enable controllers"
            );
        }
    });
}

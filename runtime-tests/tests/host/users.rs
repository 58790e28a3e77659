//! User namespaces with id maps.

use std::fs;
use std::os::unix::fs::MetadataExt;

use runtime_tests::{Bundle, Container, fails_on};
use serde_json::json;

const FIRST: u32 = 200_000;

/// Too old for time namespaces.
const NO_TIME: [(&str, &str); 2] = [("runc", "1.1 knows no time namespace"), ("crun", "1.8.1 knows no time namespace")];

fn mapped() -> Bundle {
    Bundle::base().user_namespace(FIRST, 65_536)
}

#[test]
fn the_maps_are_written() {
    let container = mapped().probe("pause").create();
    for file in ["uid_map", "gid_map"] {
        let map = fs::read_to_string(format!("/proc/{}/{file}", container.pid())).unwrap();
        assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "200000", "65536"]);
    }
}

#[test]
fn root_inside_is_a_user_outside() {
    let container = mapped().probe("pause").create();
    container.start();
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).unwrap();
    assert!(status.contains("\nUid:\t200000\t200000\t200000\t200000\n"), "{status}");
    container.kill("KILL");
    container.wait_for("stopped");
}

#[test]
fn the_namespaces_belong_to_the_new_user_namespace() {
    // Only then may root inside set the name.
    let bundle = mapped().with(|config| {
        let all = json!(["CAP_SYS_ADMIN"]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = all.clone();
        }
        config["process"]["capabilities"]["ambient"] = json!([]);
    });
    assert_eq!(bundle.sh("hostname inside && hostname").run().success(), "inside\n");
}

#[test]
fn another_user_inside_is_mapped_as_well() {
    let bundle = mapped().writable().with(|config| config["process"]["user"] = json!({"uid": 1000, "gid": 1000}));
    let bundle = bundle.sh("touch /tmp/made");
    bundle.run().success();
    assert_eq!(fs::metadata(bundle.rootfs().join("tmp/made")).unwrap().uid(), FIRST + 1000);
}

/// The runtime maps ids in the kernel, and never by changing files.
#[test]
fn the_owners_of_the_root_stay() {
    let bundle = mapped().writable().probe("names");
    let owners = || {
        let mut owners = Vec::new();
        let mut directories = vec![bundle.rootfs()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let (path, metadata) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
                if metadata.is_dir() {
                    directories.push(path.clone());
                }
                owners.push((path, metadata.uid(), metadata.gid()));
            }
        }
        owners.sort();
        owners
    };
    let before = owners();
    bundle.run().success();
    let after = owners();
    assert!(before.iter().all(|owner| after.contains(owner)), "{before:?}\n{after:?}");
}

#[test]
fn the_devices_work_in_a_user_namespace() {
    let seen = mapped().probe("open /dev/null /dev/zero /dev/full /dev/random /dev/urandom").run().success();
    assert_eq!(seen.matches("write=ok").count(), 5, "{seen}");
}

#[test]
fn several_ranges_are_mapped() {
    let map = json!([
        {"containerID": 0, "hostID": FIRST, "size": 10},
        {"containerID": 10, "hostID": 300_000, "size": 5},
    ]);
    let bundle = mapped().with(|config| {
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    let seen = bundle.args(&["/bin/cat", "/proc/self/uid_map"]).run().success();
    let words: Vec<_> = seen.split_whitespace().collect();
    assert_eq!(words, ["0", "200000", "10", "10", "300000", "5"]);
}

#[test]
fn maps_without_the_namespace_are_refused() {
    let map = json!([{"containerID": 0, "hostID": FIRST, "size": 1}]);
    fails_on(&[("crun", "1.8.1 ignores them"), ("runc", "1.1 ignores them")], || {
        drop(Bundle::base().with(|config| config["linux"]["uidMappings"] = map).refused());
    });
}

#[test]
fn the_namespace_without_maps_is_refused() {
    let bundle = Bundle::base().namespace("user", Some(json!({"type": "user"})));
    bundle.refused();
}

#[test]
fn a_user_outside_the_map_is_refused() {
    let bundle = mapped().with(|config| config["process"]["user"]["uid"] = 70_000.into());
    bundle.refused();
}

#[test]
fn a_joined_user_namespace_is_the_others() {
    let first = mapped().probe("pause").create();
    let path = format!("/proc/{}/ns/user", first.pid());
    let wanted = fs::read_link(&path).unwrap().display().to_string();
    let entry = json!({"type": "user", "path": path});
    let second = Bundle::base().user_namespace(FIRST, 65_536).namespace("user", Some(entry)).probe("namespaces");
    assert_eq!(second.run().value("user"), wanted);
}

#[test]
fn a_new_time_namespace_can_be_joined_together_with_its_user_namespace() {
    let clocks = |bundle: Bundle| {
        bundle.namespace("time", Some(json!({"type": "time"}))).with(|config| {
            config["linux"]["timeOffsets"] =
                json!({"monotonic": {"secs": 2_000_000}, "boottime": {"secs": 1_000_000, "nanosecs": 5}});
        })
    };
    let of =
        |owner: &Container, kind: &str| Some(json!({"type": kind, "path": format!("/proc/{}/ns/{kind}", owner.pid())}));
    fails_on(&NO_TIME, || {
        let first = clocks(mapped()).probe("pause").create();
        let second = clocks(mapped().namespace("user", of(&first, "user"))).probe("pause").create();
        let third = clocks(mapped().namespace("user", of(&first, "user")).namespace("pid", of(&first, "pid")));
        let third = third.probe("pause").create();
        for owner in [&first, &second, &third] {
            let joining = mapped().namespace("user", of(&first, "user")).namespace("time", of(owner, "time"));
            let seen = joining.args(&["/bin/cat", "/proc/self/timens_offsets"]).run().success();
            let words: Vec<_> = seen.split_whitespace().collect();
            assert_eq!(words, ["monotonic", "2000000", "0", "boottime", "1000000", "5"]);
        }
        let link = |owner: &Container| fs::read_link(format!("/proc/{}/ns/time", owner.pid())).unwrap();
        assert_ne!(link(&first), link(&second));
    });
}

/// A user namespace with one id, which is not 0, in whose files the container is.
fn one_id(inside: u32, outside: u32) -> Bundle {
    let map = json!([{"containerID": inside, "hostID": outside, "size": 1}]);
    Bundle::base().user_namespace(outside, 1).writable().with(|config| {
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["process"]["user"] = json!({"uid": inside, "gid": inside});
        for mount in config["mounts"].as_array_mut().unwrap() {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "gid=5");
            }
        }
    })
}

#[test]
fn a_user_namespace_need_not_map_the_id_0() {
    for (inside, outside) in [(4711, 4711), (1000, 101_000)] {
        fails_on(&[("runc", "becomes 0 first"), ("crun", "becomes 0 first")], || {
            let container = one_id(inside, outside).sh("touch /tmp/made; sleep 1000").create();
            container.start();
            let made = container.bundle().rootfs().join("tmp/made");
            runtime_tests::wait_until("the file", || made.exists());
            let found = fs::metadata(made).unwrap();
            assert_eq!((found.uid(), found.gid()), (outside, outside));
            let seen = container.exec(&[], &["/bin/probe", "status"]).success();
            assert!(seen.contains(&format!("Uid={inside} {inside} {inside} {inside}\n")), "{seen}");
        });
    }
    fails_on(&[("runc", "becomes 0 first"), ("crun", "becomes 0 first")], || {
        let message = one_id(4711, 4711).with(|config| config["process"]["user"]["uid"] = 0.into()).refused();
        assert!(message.contains("process.user"), "{message}");
    });
}

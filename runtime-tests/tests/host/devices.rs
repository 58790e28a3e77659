//! Devices: those that every container has, and those of the configuration.

use std::process::Stdio;

use runtime_tests::{Bundle, Container, Running, fails_on};
use serde_json::{Value, json};

#[test]
fn the_default_devices_are_there() {
    let devices =
        [("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"), ("urandom", "1:9"), ("tty", "5:0")];
    for (name, number) in devices {
        let seen = Bundle::base().probe(&format!("stat /dev/{name}")).run().success();
        for fact in ["type=char\n", "mode=0666\n", &format!("rdev={number}\n"), "uid=0\n"] {
            assert!(seen.contains(fact), "{name} lacks {fact:?}: {seen}");
        }
    }
}

#[test]
fn the_default_devices_work() {
    let seen = Bundle::base().probe("open /dev/null /dev/zero /dev/full /dev/random /dev/urandom").run().success();
    assert_eq!((seen.matches("read=ok").count(), seen.matches("write=ok").count()), (5, 5), "{seen}");
}

#[test]
fn the_default_links_are_there() {
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, target) in links {
        let seen = Bundle::base().args(&["/bin/readlink", &format!("/dev/{name}")]).run().success();
        // crun writes the same with a slash in front.
        assert!(seen.trim() == target || seen.trim() == format!("/dev/{target}"), "{name}: {seen}");
    }
}

#[test]
fn a_new_terminal_can_be_opened() {
    assert_eq!(Bundle::base().probe("open /dev/ptmx").run().value("read"), "ok");
}

fn device(entry: Value) -> Bundle {
    Bundle::base().with(|config| config["linux"]["devices"] = json!([entry]))
}

#[test]
fn configured_devices_are_made() {
    let entry =
        json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 7, "gid": 8});
    let seen = device(entry).probe("stat /dev/fuse").run().success();
    for fact in ["type=char\n", "mode=0640\n", "rdev=10:229\n", "uid=7\n", "gid=8\n"] {
        assert!(seen.contains(fact), "lacks {fact:?}: {seen}");
    }
}

#[test]
fn block_devices_and_pipes_are_made() {
    let seen =
        device(json!({"path": "/dev/loop7", "type": "b", "major": 7, "minor": 7})).probe("stat /dev/loop7").run();
    assert_eq!(seen.clone().value("type"), "block");
    assert_eq!(seen.value("rdev"), "7:7");
    let seen = device(json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o600})).probe("stat /dev/pipe").run();
    assert_eq!(seen.value("type"), "fifo");
}

#[test]
fn an_unbuffered_device_is_a_character_device() {
    let seen = device(json!({"path": "/dev/u", "type": "u", "major": 1, "minor": 3})).probe("stat /dev/u").run();
    assert_eq!(seen.value("type"), "char");
}

#[test]
fn directories_above_a_device_are_made() {
    let seen = device(json!({"path": "/dev/net/deep/tun", "type": "c", "major": 10, "minor": 200}))
        .probe("stat /dev/net/deep/tun");
    assert_eq!(seen.run().value("rdev"), "10:200");
}

#[test]
fn a_default_device_that_is_listed_too_is_made_once() {
    let entry =
        json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0});
    fails_on(&[("runc", "1.1 then forbids its own init to open it")], || {
        assert_eq!(device(entry).probe("stat /dev/null").run().value("rdev"), "1:3");
    });
}

#[test]
fn another_file_in_the_place_of_a_device_is_an_error() {
    // A duty of the specification that runc and crun neglect: they take whatever is there.
    let neglect = [("runc", "takes any file in its place"), ("crun", "takes any file in its place")];
    fails_on(&neglect, || {
        let bundle = device(json!({"path": "/tmp/device", "type": "c", "major": 10, "minor": 229})).writable();
        std::fs::write(bundle.rootfs().join("tmp/device"), "a plain file").unwrap();
        drop(bundle.refused());
    });
}

#[test]
fn a_device_filter_denies_and_allows() {
    // The filter is a program of the cgroup, which needs no controller.
    let fuse = json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229});
    let rows = [("r", "read=ok\nwrite=EPERM\n"), ("w", "read=EPERM\nwrite=ok\n"), ("m", "read=EPERM\nwrite=EPERM\n")];
    fails_on(&[("crun", "1.8.1 wants unlimited locked memory first, which the kernel no longer asks for")], || {
        for (access, expected) in rows {
            let rule = json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": access});
            let rules = json!([{"allow": false, "access": "rwm"}, rule]);
            let bundle = device(fuse.clone()).with(|config| config["linux"]["resources"] = json!({"devices": rules}));
            assert_eq!(bundle.probe("open /dev/fuse").run().success(), expected, "{access}");
        }
    });
}

#[test]
fn a_device_filter_lets_the_default_devices_pass() {
    fails_on(&[("crun", "1.8.1 wants unlimited locked memory first, which the kernel no longer asks for")], || {
        let rules = json!({"devices": [{"allow": false, "access": "rwm"}]});
        let bundle = Bundle::base().with(|config| config["linux"]["resources"] = rules);
        let seen =
            bundle.probe("open /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/ptmx").run().success();
        assert_eq!(seen.matches("read=ok").count(), 6, "{seen}");
    });
}

#[test]
fn a_device_filter_denies_making_what_it_does_not_list() {
    fails_on(&[("crun", "1.8.1 wants unlimited locked memory first, which the kernel no longer asks for")], || {
        let bundle = Bundle::base().writable().with(|config| {
            config["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
            }
            config["process"]["capabilities"]["ambient"] = json!([]);
        });
        // To make a node is harmless and runc's default; to open it is not.
        let seen = bundle.sh("probe mknod /tmp/disk 8 0; probe open /tmp/disk").run().success();
        assert_eq!(seen, "made=1\nread=EPERM\nwrite=EPERM\n");
    });
}

const FIRST: u32 = 200_000;

fn in_user_namespace(entry: &Value) -> Bundle {
    Bundle::base().user_namespace(FIRST, 65_536).with(|config| config["linux"]["devices"] = json!([entry]))
}

/// Both bind the host's node, whatever was asked for.
const AS_THE_HOST_HAS_IT: [(&str, &str); 2] =
    [("runc", "binds the host's node, if there is one"), ("crun", "binds the host's node, if there is one")];

#[test]
fn a_device_in_a_user_namespace_that_is_as_the_hosts_is_the_hosts() {
    // Engines copy mode and owner from the host, where root is 0.
    let host = std::fs::metadata("/dev/full").unwrap();
    let mode = std::os::unix::fs::MetadataExt::mode(&host);
    for entry in [
        json!({"path": "/dev/full", "type": "c", "major": 1, "minor": 7}),
        json!({"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": mode, "uid": 0, "gid": 0}),
    ] {
        let seen = in_user_namespace(&entry).probe("stat /dev/full").run().success();
        // Not mapped.
        assert!(seen.contains("rdev=1:7\n") && seen.contains("uid=65534\n"), "{entry}: {seen}");
    }
}

#[test]
fn a_device_in_a_user_namespace_has_the_attributes_that_are_asked_for() {
    let rows = [
        (json!({"path": "/dev/full", "fileMode": 0o640}), "0640", 0, 0),
        (json!({"path": "/dev/full", "uid": 1000}), "0666", 1000, 0),
        (json!({"path": "/dev/full", "gid": 7, "fileMode": 0o660}), "0660", 0, 7),
        // One that the host has under another name.
        (json!({"path": "/dev/deep/full", "uid": 5, "gid": 6, "fileMode": 0o600}), "0600", 5, 6),
    ];
    fails_on(&AS_THE_HOST_HAS_IT, || {
        for (mut entry, mode, uid, gid) in rows {
            for (key, value) in [("type", json!("c")), ("major", json!(1)), ("minor", json!(7))] {
                entry[key] = value;
            }
            let path = entry["path"].as_str().unwrap().to_owned();
            let seen = in_user_namespace(&entry).probe(&format!("stat {path}")).run().success();
            for fact in [
                "type=char\n",
                "rdev=1:7\n",
                &format!("mode={mode}\n"),
                &format!("uid={uid}\n"),
                &format!("gid={gid}\n"),
            ] {
                assert!(seen.contains(fact), "{entry} lacks {fact:?}: {seen}");
            }
            let works = in_user_namespace(&entry).with(|config| {
                config["process"]["user"] = json!({"uid": uid, "gid": gid});
            });
            assert_eq!(works.probe(&format!("open {path}")).run().value("read"), "ok", "{entry}");
        }
    });
}

#[test]
fn a_device_in_a_user_namespace_whose_owner_is_not_mapped_is_refused() {
    let entry = json!({"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "uid": 70_000});
    fails_on(&AS_THE_HOST_HAS_IT, || {
        let message = in_user_namespace(&entry).refused();
        assert!(message.contains("linux.devices[0].uid: the host's /dev/full belongs to 0 (it cannot be created: 70000 is not in linux.uidMappings)"), "{message}");
    });
}

#[test]
fn another_kind_of_device_is_not_taken_for_it() {
    // Numbers count for character and block devices apart.
    let entry = json!({"path": "/dev/full", "type": "b", "major": 1, "minor": 7});
    fails_on(&AS_THE_HOST_HAS_IT, || {
        assert_eq!(in_user_namespace(&entry).probe("stat /dev/full").run().value("type"), "block");
    });
}
/// Changes the resources of a container.
fn update(container: &Container, resources: &Value) -> runtime_tests::Output {
    let bundle = container.bundle();
    let file = bundle.home().join("resources.json");
    std::fs::write(&file, resources.to_string()).unwrap();
    let mut command = bundle.command(&["update", "-r", file.to_str().unwrap(), bundle.id()]);
    Running::start(command.stdin(Stdio::null()), bundle.home()).finish()
}

/// The rules that `update` is given hold instead of those that held before, and a failure leaves those.
#[test]
fn update_replaces_the_device_rules() {
    fails_on(&[("runc", "drops them"), ("crun", "drops them")], || {
        let none = json!({"path": "/dev/none", "type": "c", "major": 1, "minor": 14, "fileMode": 0o666});
        let container = device(none).probe("pause").create();
        container.start();
        // The kernel has no such device, which it says only where the rules allow one.
        let may_read = || container.exec(&[], &["/bin/probe", "open", "/dev/none"]).value("read") != "EPERM";
        assert!(!may_read());
        let rule = |access: &str| json!([{"allow": true, "type": "c", "major": 1, "minor": 14, "access": access}]);
        update(&container, &json!({"devices": rule("r")})).success();
        assert!(may_read());
        // Nothing is said of them.
        update(&container, &json!({"unified": {"cgroup.max.depth": "9"}})).success();
        assert!(may_read());
        update(&container, &json!({"devices": rule("w")})).success();
        assert!(!may_read());
        // Every device, which takes no filter at all, and back.
        update(&container, &json!({"devices": [{"allow": true, "access": "rwm"}]})).success();
        assert!(may_read());
        update(&container, &json!({"devices": []})).success();
        assert!(!may_read());
        for wrong in [json!({"unified": {"cgroup.nosuch": "9"}}), json!({"devices": [{"allow": true, "type": "x"}]})] {
            let mut resources = wrong;
            if resources.get("devices").is_none() {
                resources["devices"] = rule("r");
            }
            update(&container, &resources).failure();
            assert!(!may_read(), "{resources}");
        }
    });
}

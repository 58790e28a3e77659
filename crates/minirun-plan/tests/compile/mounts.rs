//! Mounts, devices, and masked and read-only paths.

use minirun_plan::{HostFacts, Op, Request, RootPlace, RootSource, Step, is_overlay_root};
use serde_json::{Value, json};

use super::{
    and, check, device, hosts, lines, mount, plan, refs, refuse, request, root_place, spec, user_namespace, v2,
};

#[test]
fn mount_options() {
    for (options, expected) in [
        (&[][..], "mount /m tmpfs [mounts[0]]"),
        (&["defaults"], "mount /m tmpfs [mounts[0]]"),
        (&["nosuid", "", "nodev"], "mount /m nosuid nodev tmpfs [mounts[0]]"),
        (&["nosuid", "nodev", "noexec"], "mount /m nosuid nodev noexec tmpfs [mounts[0]]"),
        (&["nosuid", "suid"], "mount /m suid tmpfs [mounts[0]]"),
        (&["suid", "nosuid"], "mount /m nosuid tmpfs [mounts[0]]"),
        (&["noatime", "relatime"], "mount /m relatime tmpfs [mounts[0]]"),
        (&["relatime", "noatime"], "mount /m noatime tmpfs [mounts[0]]"),
        (&["strictatime", "nodiratime"], "mount /m nodiratime strictatime tmpfs [mounts[0]]"),
        (&["rro", "rnosuid"], "mount /m rro rnosuid tmpfs [mounts[0]]"),
        (&["size=1m", "mode=700", "huge=never"], "mount /m tmpfs size=1m mode=700 huge=never [mounts[0]]"),
        (&["size="], "mount /m tmpfs size= [mounts[0]]"),
        (&["a=b=c"], "mount /m tmpfs a=b=c [mounts[0]]"),
        (&["sync", "lazytime"], "mount /m tmpfs sync lazytime [mounts[0]]"),
        (&["tmpcopyup"], "mount /m tmpfs tmpcopyup [mounts[0]]"),
        (&["silent"], "mount /m tmpfs flags 0x8000 [mounts[0]]"),
        (&["silent", "loud"], "mount /m tmpfs [mounts[0]]"),
        (&["iversion", "nosuid", "size=1m"], "mount /m nosuid tmpfs flags 0x800002 size=1m [mounts[0]]"),
        (&["slave", "rshared"], "mount /m slave rshared tmpfs [mounts[0]]"),
    ] {
        check(mount("/m", "tmpfs", options), &v2(), &[expected]);
    }
}

#[test]
fn options_too_long_for_fsconfig_use_mount() {
    for (length, flags) in [(255, ""), (256, " flags 0x1")] {
        let option = format!("lowerdir={}", "x".repeat(length));
        let expected = format!("mount /m ro overlay{flags} {option} [mounts[0]]");
        check(mount("/m", "overlay", &[&option, "ro"]), &v2(), &[&expected]);
    }
}

#[test]
fn mount_types() {
    let read_only = "remount /m ro bind [mounts[0].options]";
    for (typ, options, expected) in [
        ("ext4", &["ro", "data=journal"][..], &["mount /m ro ext4 data=journal [mounts[0]]"][..]),
        ("tmpfs", &["ro"], &["mount /m tmpfs [mounts[0]]", read_only]),
        ("bind", &[], &["bind /m from /src [mounts[0]]"]),
        ("none", &["bind"], &["bind /m from /src [mounts[0]]"]),
        ("bind", &["rbind", "ro"], &["bind /m ro from /src recursive [mounts[0]]"]),
        ("", &["rbind"], &["bind /m from /src recursive [mounts[0]]"]),
        ("none", &["remount", "ro"], &["remount /m ro [mounts[0]]"]),
        ("none", &["remount", "bind", "ro"], &["remount /m ro bind [mounts[0]]"]),
        ("none", &["remount", "size=2m"], &["remount /m size=2m [mounts[0]]"]),
        ("cgroup2", &["nosuid"], &["bind /m nosuid from /sys/fs/cgroup [mounts[0]]"]),
    ] {
        check(mount("/m", typ, options), &v2(), expected);
    }
    let cgroup = and(mount("/m", "cgroup", &["ro"]), "/linux/namespaces/-", json!({"type": "cgroup"}));
    check(cgroup, &v2(), &["new cgroup [linux.namespaces]", "mount /m ro cgroup2 [mounts[0]]"]);
}

#[test]
fn mount_destinations() {
    for (destination, expected) in [
        ("/a/b", &["mount /a/b tmpfs [mounts[0]]"][..]),
        ("//a/./b/", &["mount /a/b tmpfs [mounts[0]]"]),
        ("/a/../b", &["mount /b tmpfs [mounts[0]]"]),
        ("/../../b", &["mount /b tmpfs [mounts[0]]"]),
        ("/a b\n", &["mount /a b\\n tmpfs [mounts[0]]"]),
        (
            "a/b",
            &[
                "mount /a/b tmpfs [mounts[0]]",
                "warning: mounts[0].destination: \"a/b\" is not an absolute path; it starts at the root",
            ],
        ),
    ] {
        check(mount(destination, "tmpfs", &[]), &v2(), expected);
    }
    let own = |source: &str| json!({"/mounts/-": {"destination": "/m", "type": "bind", "source": source}});
    check(own("vol"), &v2(), &["bind /m from /bundle/vol [mounts[0]]"]);
    check(own("/vol"), &v2(), &["bind /m from /vol [mounts[0]]"]);
}

#[test]
fn mounts_that_are_refused() {
    const ROOT: &str =
        "mounts[0].destination: only a mount of type \"overlay\" can be the root; another one would hide it";
    let bind_data =
        "mounts[0].options[0]: bind mounts cannot have any filesystem-specific options applied: \"size=1m\"";
    let copy_up = "mounts[0].options: tmpcopyup requires a tmpfs without silent and iversion";
    let cgroup = "mounts[0].options: a cgroup mount does not support options of the file system";
    let remount = "mounts[0].options: silent, iversion and tmpcopyup cannot be changed by a remount";
    for (destination, typ, options, expected) in [
        ("/", "tmpfs", &[][..], ROOT),
        ("/a/..", "bind", &["rbind"], ROOT),
        ("/m", "bind", &["size=1m"], bind_data),
        ("/m", "bind", &["tmpcopyup"], &bind_data.replace("size=1m", "tmpcopyup")),
        ("/m", "bind", &["nosuchword"], &bind_data.replace("size=1m", "nosuchword")),
        ("/m", "", &[], "mounts[0].type: a mount that is not a bind mount requires a type"),
        ("/m", "proc", &["tmpcopyup"], copy_up),
        ("/m", "tmpfs", &["tmpcopyup", "silent"], copy_up),
        ("/m", "tmpfs", &["iversion", "tmpcopyup"], copy_up),
        ("/m", "cgroup", &["nsdelegate"], cgroup),
        ("/m", "cgroup2", &["sync"], cgroup),
        ("/m", "cgroup2", &["silent"], cgroup),
        ("/m", "cgroup", &["tmpcopyup"], cgroup),
        ("/m", "", &["remount", "silent"], remount),
        ("/m", "tmpfs", &["remount", "tmpcopyup"], remount),
        ("/m", "tmpfs", &["idmap"], "mounts[0]: only bind mounts can map ids"),
        ("/m", "bind", &["ridmap"], "mounts[0]: idmap without uidMappings and gidMappings requires a user namespace"),
    ] {
        refuse(mount(destination, typ, options), &[expected]);
    }
    let idmap = and(mount("/m", "bind", &["idmap"]), "/linux/namespaces/-", json!({"type": "user", "path": "/ns"}));
    assert!(lines(&plan(&idmap, &v2()).unwrap()).iter().any(|line| line == "idmap /ns [mounts[0]]"));
    let no_source = json!({"/mounts/-": {"destination": "/m", "options": ["bind"]}});
    refuse(no_source, &["mounts[0].source: a bind mount requires a source"]);
    let maps = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let one_map = and(mount("/m", "bind", &[]), "/mounts/0/uidMappings", maps);
    refuse(one_map, &["mounts[0]: uidMappings and gidMappings must be given together"]);
}

#[test]
fn only_known_files_below_proc_can_be_covered() {
    let inside = |path: &str| format!("mounts[0].destination: {path:?} cannot be mounted because it is inside /proc");
    for path in ["/proc/self", "/proc/sys/net", "/proc/sys", "/proc/../proc/1", "/proc/meminfo/x", "/proc"] {
        let shown = path.replace("/proc/..", "");
        refuse(mount(path, "bind", &[]), &[inside(&shown).as_str()]);
    }
    refuse(mount("/proc/meminfo", "tmpfs", &[]), &[inside("/proc/meminfo").as_str()]);
    refuse(mount("/proc", "tmpfs", &[]), &[inside("/proc").as_str()]);
    for path in ["cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"] {
        check(
            mount(&format!("/proc/{path}"), "bind", &[]),
            &v2(),
            &[&format!("bind /proc/{path} from /src [mounts[0]]")],
        );
    }
    let host = json!({"/mounts/-": {"destination": "/proc", "source": "/proc", "options": ["rbind"]}});
    check(host, &v2(), &["bind /proc from /proc recursive [mounts[0]]", "verify /proc [mounts[0]]"]);
    check(mount("/proc", "proc", &[]), &v2(), &["mount /proc proc [mounts[0]]", "verify /proc [mounts[0]]"]);
    check(mount("/process", "tmpfs", &[]), &v2(), &["mount /process tmpfs [mounts[0]]"]);
}

#[test]
fn propagation_of_the_root() {
    for (word, host, own) in [
        ("shared", "private", "shared"),
        ("rshared", "private", "rshared"),
        ("slave", "rslave", "slave"),
        ("rslave", "rslave", "rslave"),
        ("private", "rprivate", "private"),
        ("rprivate", "rprivate", "rprivate"),
        ("unbindable", "rslave", "unbindable"),
        ("runbindable", "rslave", "runbindable"),
    ] {
        check(
            json!({"/linux/rootfsPropagation": word}),
            &v2(),
            &[
                "- propagation / rslave [default propagation]",
                &format!("propagation / {host} [linux.rootfsPropagation]"),
                &format!("root-propagation / {own} [linux.rootfsPropagation]"),
            ],
        );
    }
    for word in ["sometimes", "rrshared", "r", "SHARED"] {
        let text = format!("unknown propagation {word:?} (expected shared, slave, private or unbindable)");
        refuse(json!({"/linux/rootfsPropagation": word}), &[&format!("linux.rootfsPropagation: {text}")]);
    }
}

/// The lines of the default nodes and links, with a leading minus.
const DEV: [&str; 12] = [
    "- device /dev/null c 1:3 mode 0666 owner 0:0 [default devices]",
    "- device /dev/zero c 1:5 mode 0666 owner 0:0 [default devices]",
    "- device /dev/full c 1:7 mode 0666 owner 0:0 [default devices]",
    "- device /dev/random c 1:8 mode 0666 owner 0:0 [default devices]",
    "- device /dev/urandom c 1:9 mode 0666 owner 0:0 [default devices]",
    "- device /dev/tty c 5:0 mode 0666 owner 0:0 [default devices]",
    "- symlink /dev/fd to /proc/self/fd [default links]",
    "- symlink /dev/stdin to /proc/self/fd/0 [default links]",
    "- symlink /dev/stdout to /proc/self/fd/1 [default links]",
    "- symlink /dev/stderr to /proc/self/fd/2 [default links]",
    "- symlink /dev/core to /proc/kcore [default links]",
    "- symlink /dev/ptmx to pts/ptmx [default links]",
];

#[test]
fn a_bound_dev_is_left_as_it_is() {
    let bound = "bind /dev from /src [mounts[0]]";
    let verified = "verify /dev [mounts[0]]";
    check(mount("/dev", "bind", &[]), &v2(), &[&DEV[..], &[bound, verified]].concat());
    check(mount("/dev/", "none", &["bind"]), &v2(), &[&DEV[..], &[bound, verified]].concat());
    check(mount("/dev", "tmpfs", &[]), &v2(), &["mount /dev tmpfs [mounts[0]]", verified]);
    check(mount("/dev/shm", "bind", &[]), &v2(), &["bind /dev/shm from /src [mounts[0]]"]);
    // Listed devices are created whether or not /dev is bind-mounted.
    let listed = and(mount("/dev", "bind", &[]), "/linux/devices", json!([{"type": "p", "path": "/dev/p"}]));
    let pipe = "device /dev/p p 0:0 mode 0666 owner 0:0 [linux.devices[0]]";
    check(listed, &v2(), &[&DEV[..], &[bound, pipe, verified]].concat());
}

#[test]
fn a_missing_kcore_gets_no_link() {
    let facts = HostFacts { kcore: false, ..v2() };
    assert!(!lines(&plan(&json!({}), &facts).unwrap()).iter().any(|line| line.contains("/dev/core")));
}

#[test]
fn devices() {
    for (members, expected) in [
        (
            json!({"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229}),
            "device /dev/fuse c 10:229 mode 0666 owner 0:0 [linux.devices[0]]",
        ),
        (
            json!({"type": "u", "path": "/x", "major": 1, "minor": 2, "fileMode": 0o100_640, "uid": 7, "gid": 8}),
            "device /x c 1:2 mode 0640 owner 7:8 [linux.devices[0]]",
        ),
        (
            json!({"type": "b", "path": "/dev/a/../b", "major": 0, "minor": 1_048_575}),
            "device /dev/b b 0:1048575 mode 0666 owner 0:0 [linux.devices[0]]",
        ),
        (
            json!({"type": "p", "path": "/p", "major": -1, "fileMode": 0}),
            "device /p p 0:0 mode 0000 owner 0:0 [linux.devices[0]]",
        ),
    ] {
        check(device(members), &v2(), &[expected]);
    }
    check(
        device(json!({"type": "c", "path": "/dev/null", "major": 1, "minor": 3, "fileMode": 0o600})),
        &v2(),
        &[DEV[0], "device /dev/null c 1:3 mode 0600 owner 0:0 [linux.devices[0]]"],
    );
    for (members, expected) in [
        (
            json!({"type": "a", "path": "/x"}),
            &["type: invalid type \"a\" (expected c, b, u or p; \"a\" is for device rules)"][..],
        ),
        (json!({"type": "c", "path": "/", "major": 1, "minor": 2}), &["path: invalid device node path \"/\""]),
        (
            json!({"type": "c", "path": "/x", "major": -1, "minor": 2}),
            &["major: -1 is out of range (expected 0 to 4095)"],
        ),
        (
            json!({"type": "c", "path": "/x", "major": 1, "minor": 4_294_967_296u64}),
            &["minor: 4294967296 is out of range (expected 0 to 1048575)"],
        ),
        (
            json!({"type": "b", "path": "/x"}),
            &["major: is required for a device node", "minor: is required for a device node"],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|text| format!("linux.devices[0].{text}")).collect();
        refuse(device(members), &refs(&expected));
    }
    let fuse = |members: Value| {
        let mut device = json!({"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229});
        device.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        and(user_namespace(), "/linux/devices", json!([device]))
    };
    let bound = lines(&plan(&fuse(json!({"fileMode": 0o666, "uid": 0, "gid": 0})), &v2()).unwrap());
    assert!(bound.contains(&"open /dev/fuse [linux.devices[0]]".to_owned()), "{bound:#?}");
    let other = fuse(json!({"fileMode": 0o600}));
    let made = lines(&plan(&other, &v2()).unwrap());
    let node = made.iter().find(|line| line.starts_with("device /dev/fuse c 10:229 mode 0600 owner "));
    assert!(node.is_some() && made.contains(&"bind-device /dev/fuse [linux.devices[0]]".to_owned()), "{made:#?}");
    let hint = "hint: remove it, or create the node on the host: only the host's root can create one";
    let problem = format!("linux.devices[0].fileMode: the host's /dev/fuse has mode 0666 ({hint})");
    assert_eq!(plan(&other, &hosts::host("nested")).unwrap_err(), [problem]);
    let pipe = and(user_namespace(), "/linux/devices", json!([{"type": "p", "path": "/p"}]));
    let made = lines(&plan(&pipe, &v2()).unwrap());
    assert!(made.contains(&"device /p p 0:0 mode 0666 owner 0:0 [linux.devices[0]]".to_owned()), "{made:#?}");
}

#[test]
fn device_rules() {
    let rules = |rules: Value| json!({"/linux/resources": {"devices": rules}});
    let default = "- devices 11 rules, 23 instructions [linux.resources.devices]";
    let deny = rules(json!([{"allow": false, "access": "rwm"}]));
    check(deny.clone(), &v2(), &[default, "devices 12 rules, 23 instructions [linux.resources.devices]"]);
    check(rules(json!([{"allow": true, "access": "rwm"}])), &v2(), &[default]);
    let unenforced = "warning: linux.resources.devices: not enforced, because that requires root on the host";
    check(deny.clone(), &hosts::host("nested"), &[unenforced]);
    refuse(
        rules(json!([{"allow": true, "access": ""}, {"allow": true, "type": "p", "major": -2, "access": "x"}])),
        &[
            "linux.resources.devices[0].access: device access cannot be empty (expected r, w or m)",
            "linux.resources.devices[1].type: invalid cgroup device type \"p\" (expected a, b or c)",
            "linux.resources.devices[1].major: invalid device number -2 (-1 means all)",
            "linux.resources.devices[1].access: invalid device access \"x\" (expected a combination of r, w and m)",
        ],
    );
}

#[test]
fn views() {
    check(json!({"/root/readonly": true}), &v2(), &["read-only-root / [root.readonly]"]);
    check(
        json!({"/linux/maskedPaths": ["/proc/keys", "/a/../b"], "/linux/readonlyPaths": ["/proc/sys"]}),
        &v2(),
        &[
            "read-only /proc/sys [linux.readonlyPaths[0]]",
            "mask /proc/keys [linux.maskedPaths[0]]",
            "mask /b [linux.maskedPaths[1]]",
        ],
    );
    for list in ["linux.maskedPaths", "linux.readonlyPaths"] {
        refuse(
            json!({format!("/{}", list.replace('.', "/")): ["proc/keys", "/", "/a/..", ""]}),
            &[
                &format!("{list}[1]: cannot be the root"),
                &format!("{list}[2]: cannot be the root"),
                &format!("{list}[3]: cannot be the root"),
            ],
        );
    }
}

#[test]
fn relative_paths_inside_the_container_start_at_its_root() {
    let warning =
        |place: &str, path: &str| format!("warning: {place}: {path:?} is not an absolute path; it starts at the root");
    for (patch, place, path, step) in [
        (
            json!({"/linux/readonlyPaths": ["proc/sys"]}),
            "linux.readonlyPaths[0]",
            "proc/sys",
            "read-only /proc/sys [linux.readonlyPaths[0]]",
        ),
        (
            json!({"/linux/maskedPaths": ["../proc/./keys"]}),
            "linux.maskedPaths[0]",
            "../proc/./keys",
            "mask /proc/keys [linux.maskedPaths[0]]",
        ),
        (
            device(json!({"type": "c", "path": "dev/x", "major": 1, "minor": 2})),
            "linux.devices[0].path",
            "dev/x",
            "device /dev/x c 1:2 mode 0666 owner 0:0 [linux.devices[0]]",
        ),
    ] {
        check(patch, &v2(), &refs(&[step.to_owned(), warning(place, path)]));
    }
}

#[test]
fn mapped_mounts() {
    let maps = json!([{"containerID": 0, "hostID": 7, "size": 1}]);
    let mapped = |options: &[&str]| {
        let patch = and(mount("/m", "bind", options), "/mounts/0/uidMappings", maps.clone());
        and(patch, "/mounts/0/gidMappings", maps.clone())
    };
    let idmap = "idmap uids 0 7 1; gids 0 7 1 [mounts[0]]";
    check(mapped(&[]), &v2(), &[idmap, "bind /m from /src idmap [mounts[0]]"]);
    check(mapped(&["rbind", "idmap"]), &v2(), &[idmap, "bind /m from /src recursive idmap [mounts[0]]"]);
    check(mapped(&["rbind", "ridmap"]), &v2(), &[idmap, "bind /m from /src recursive ridmap [mounts[0]]"]);
    let mut overlapping = mapped(&[]);
    overlapping["/mounts/0/gidMappings"] = json!([{"containerID": 0, "hostID": 7, "size": 0}]);
    refuse(overlapping, &["mounts[0].gidMappings[0].size: 0 is out of range"]);
}

#[test]
fn an_overlay_can_be_the_root() {
    let at = |destination: &str| mount(destination, "overlay", &["lowerdir=a"]);
    // The crate that reads layers adds these steps.
    for destination in ["/", "//", "/.", "/x/..", "/.."] {
        check(at(destination), &v2(), &[]);
        assert!(is_overlay_root(&spec(&at(destination)).mounts[0]), "{destination}");
    }
    check(at("/x"), &v2(), &["mount /x overlay lowerdir=a [mounts[0]]"]);
    let twice = json!({"/mounts": [
        {"destination": "/", "type": "overlay"},
        {"destination": "/m", "type": "tmpfs"},
        {"destination": "/x/..", "type": "overlay"},
    ]});
    refuse(twice, &["mounts[2]: the root is already an overlay: mounts[0]"]);
}

#[test]
fn hooks_find_the_root_at_its_path() {
    let hook = json!({"/hooks/createRuntime": [{"path": "/h", "timeout": 5}]});
    check(hook.clone(), &v2(), &["await-hooks [hooks]", "createRuntime /h (at most 5 s) [hooks.createRuntime[0]]"]);
    // A shared mount would also appear on the host.
    for (word, extra) in [
        ("shared", Some("private-parent /bundle/rootfs [linux.rootfsPropagation]")),
        ("rshared", Some("private-parent /bundle/rootfs [linux.rootfsPropagation]")),
        ("slave", None),
        ("rprivate", None),
    ] {
        let plan = plan(&and(hook.clone(), "/linux/rootfsPropagation", json!(word)), &v2()).unwrap();
        assert_eq!(lines(&plan).iter().map(String::as_str).find(|line| line.starts_with("private-parent")), extra);
    }
    let without = Request { root_path: "", ..request() };
    let expected = "root.path: hooks require a directory at which the root file system is mounted";
    assert_eq!(root_place(&hook, &without).unwrap_err(), [expected]);
    let late = json!({"/hooks/startContainer": [{"path": "/h"}]});
    assert_eq!(root_place(&late, &without), Ok(RootPlace::OverSlash));
    // The crate that reads layers does not know the hooks.
    let steps = |place: RootPlace| {
        let overlay = Op::OverlayRoot { place: place.clone(), options: c"".to_owned(), attributes: Default::default() };
        [Op::OverlayStage { place, size: c"".to_owned() }, overlay]
            .map(|op| Step { op, origin: Default::default() })
            .to_vec()
    };
    let layers = Request { root: RootSource::Overlay(steps(RootPlace::OverSlash)), ..request() };
    assert_eq!(root_place(&hook, &layers), Ok(RootPlace::At(c"/bundle/rootfs".to_owned())));
    assert_eq!(root_place(&late, &layers), Ok(RootPlace::OverSlash));
}

/// A bind mount shows earlier mounts if its source lies in the root.
#[test]
fn a_source_in_the_root_is_opened_when_its_step_runs() {
    let facts = HostFacts { inside_root: [("/bundle/rootfs/a".to_owned(), "a".to_owned())].into(), ..v2() };
    let source = json!({"destination": "/b", "type": "bind", "source": "/bundle/rootfs/a"});
    let before = |destination: &str| json!({"/mounts": [{"destination": destination, "type": "tmpfs"}, source]});
    let bind = |text: &str| format!("bind /b from /bundle/rootfs/a{text} [mounts[1]]");
    for destination in ["/a", "/a/inner"] {
        let mount = format!("mount {destination} tmpfs [mounts[0]]");
        check(before(destination), &facts, &[&mount, &bind(" (in the root)")]);
    }
    check(before("/other"), &facts, &["mount /other tmpfs [mounts[0]]", &bind("")]);
}

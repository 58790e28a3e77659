//! The compiler, row by row: what a change of a small configuration changes in its plan, or what it is refused for.
//!
//! The order of steps is not compared here: the golden plans show it.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

#[path = "plans/hosts.rs"]
mod hosts;

use std::path::Path;

use minirun_plan::{
    ExecRequest, HostFacts, Op, Plan, Request, Resctrl, RootPlace, RootSource, Spec, Step, SystemdRequest, compile,
    compile_exec, compile_resources, compile_schemata, is_overlay_root,
};
use serde_json::{Map, Value, json};

/// The configuration that the rows change.
fn base() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "env": ["PATH=/bin:/sbin", "HOME=/root"], "cwd": "/",
            "capabilities": {},
        },
        "root": {"path": "rootfs"},
        "mounts": [],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    })
}

/// Assigns each value at its pointer, where missing objects are made; `/-` appends to a list.
fn apply(config: &mut Value, patch: &Value) {
    for (pointer, value) in patch.as_object().unwrap() {
        let (way, last) = pointer.rsplit_once('/').unwrap();
        let parent = way.split('/').skip(1).fold(&mut *config, |inner, key| match inner {
            Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            other => other.as_object_mut().unwrap().entry(key).or_insert_with(|| Map::new().into()),
        });
        match parent {
            Value::Array(list) if last == "-" => list.push(value.clone()),
            Value::Array(list) => list[last.parse::<usize>().unwrap()] = value.clone(),
            other => drop(other.as_object_mut().unwrap().insert(last.to_owned(), value.clone())),
        }
    }
}

fn request() -> Request<'static> {
    Request {
        id: "ID",
        bundle: Path::new("/bundle"),
        root: RootSource::Directory("/bundle/rootfs".into()),
        root_path: "/bundle/rootfs",
        no_pivot: false,
        no_new_keyring: false,
        preserve_fds: 0,
        listen_fds: 0,
        notify: None,
        systemd: None,
    }
}

/// The changed configuration.
fn spec(patch: &Value) -> Spec {
    let mut config = base();
    apply(&mut config, patch);
    serde_json::from_value(config).unwrap_or_else(|error| panic!("{patch}: {error}"))
}

fn plan(patch: &Value, facts: &HostFacts) -> Result<Plan, Vec<String>> {
    plan_for(&request(), patch, facts)
}

fn plan_for(request: &Request<'_>, patch: &Value, facts: &HostFacts) -> Result<Plan, Vec<String>> {
    compile(&spec(patch), facts, request).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// A plan as `verb subject [origin]`, with its warnings and notes.
fn lines(plan: &Plan) -> Vec<String> {
    let lines = plan.lines().into_iter().map(|line| match line.subject.trim_end() {
        "" => format!("{} [{}]", line.verb, line.origin),
        subject => format!("{} {subject} [{}]", line.verb, line.origin),
    });
    let warnings = plan.warnings.iter().map(|warning| format!("warning: {warning}"));
    lines.chain(warnings).chain(plan.notes.iter().map(|note| format!("note: {note}"))).collect()
}

/// What the patch changes in the plan: the lines that go away with a minus before them, then the lines that come.
#[track_caller]
fn check(patch: Value, facts: &HostFacts, expected: &[&str]) {
    let (mut before, mut after) = (lines(&plan(&json!({}), facts).unwrap()), Vec::new());
    let patched = plan(&patch, facts).unwrap_or_else(|problems| panic!("{patch}: {problems:#?}"));
    for line in lines(&patched) {
        match before.iter().position(|other| *other == line) {
            Some(place) => drop(before.remove(place)),
            None => after.push(line),
        }
    }
    let changes: Vec<_> = before.into_iter().map(|line| format!("- {line}")).chain(after).collect();
    assert_eq!(changes, expected, "{patch}");
}

/// All that the patch is refused for.
#[track_caller]
fn refuse(patch: Value, expected: &[&str]) {
    refuse_on(&v2(), patch, expected);
}

#[track_caller]
fn refuse_on(facts: &HostFacts, patch: Value, expected: &[&str]) {
    let problems = plan(&patch, facts).err().unwrap_or_else(|| panic!("{patch}: accepted"));
    assert_eq!(problems, expected, "{patch}");
}

/// Root on a host with cgroup v2 alone.
fn v2() -> HostFacts {
    hosts::host("v2")
}

/// A patch of the first mount.
fn mount(destination: &str, typ: &str, options: &[&str]) -> Value {
    json!({"/mounts/-": {"destination": destination, "type": typ, "source": "/src", "options": options}})
}

/// A patch of the namespaces.
fn namespaces(kinds: &[&str]) -> Value {
    json!({"/linux/namespaces": kinds.iter().map(|kind| json!({"type": kind})).collect::<Vec<_>>()})
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// The lines of a new namespace.
fn new_namespace(kind: &str) -> Vec<String> {
    let mut lines = vec![format!("new {kind} [linux.namespaces]")];
    lines.extend((kind == "network").then(|| "loopback-up [default loopback]".to_owned()));
    lines
}

/// With another assignment.
fn and(mut patch: Value, pointer: &str, value: Value) -> Value {
    patch[pointer] = value;
    patch
}

/// A new user namespace with maps of 1000 ids.
fn user_namespace() -> Value {
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 1000}]);
    let patch = and(namespaces(&["mount", "pid", "user"]), "/linux/uidMappings", map.clone());
    and(patch, "/linux/gidMappings", map)
}

#[test]
fn nothing_changes_nothing() {
    check(json!({}), &v2(), &[]);
    // What engines send and what means nothing.
    for patch in [
        json!({"/hostname": "", "/domainname": "", "/process/apparmorProfile": "", "/process/selinuxLabel": ""}),
        json!({"/linux/mountLabel": "", "/linux/cgroupsPath": "", "/linux/rootfsPropagation": "", "/linux/netDevices": {}}),
        json!({"/hooks": {"prestart": [], "createRuntime": []}, "/linux/timeOffsets": {}, "/linux/sysctl": {}}),
        json!({"/linux/devices": [], "/linux/maskedPaths": [], "/linux/uidMappings": [], "/process/rlimits": []}),
        json!({"/process/consoleSize": {"height": 24, "width": 80}, "/process/unknown": {"a": [1]}, "/annotations": {"a": "b"}}),
        json!({"/process/env": ["PATH=/bin:/sbin", "HOME=/root", "A=1"], "/linux/resources": {}}),
    ] {
        check(patch, &v2(), &[]);
    }
}

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
fn kinds_of_mounts() {
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
fn places_of_mounts() {
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
                "warning: mounts[0].destination: \"a/b\" is not an absolute path; it counts from the root",
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
    const ROOT: &str = "mounts[0].destination: only a mount of type \"overlay\" can be the root: others would hide it";
    let bind_data = "mounts[0].options: bind mounts cannot have any filesystem-specific options applied";
    let copy_up = "mounts[0].options: tmpcopyup works with tmpfs alone, and not beside silent or iversion";
    let cgroup = "mounts[0].options: a cgroup mount takes no options of the file system";
    let remount = "mounts[0].options: silent, iversion and tmpcopyup cannot be changed by a remount";
    for (destination, typ, options, expected) in [
        ("/", "tmpfs", &[][..], ROOT),
        ("/a/..", "bind", &["rbind"], ROOT),
        ("/m", "bind", &["size=1m"], bind_data),
        ("/m", "bind", &["tmpcopyup"], bind_data),
        ("/m", "bind", &["nosuchword"], bind_data),
        ("/m", "", &[], "mounts[0].type: a mount that is not a bind mount needs a type"),
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
        ("/m", "bind", &["ridmap"], "mounts[0]: idmap without uidMappings and gidMappings needs a new user namespace"),
    ] {
        refuse(mount(destination, typ, options), &[expected]);
    }
    let no_source = json!({"/mounts/-": {"destination": "/m", "options": ["bind"]}});
    refuse(no_source, &["mounts[0].source: a bind mount needs a source"]);
    let maps = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let one_map = and(mount("/m", "bind", &[]), "/mounts/0/uidMappings", maps);
    refuse(one_map, &["mounts[0]: uidMappings and gidMappings must be given together"]);
}

#[test]
fn over_proc_only_what_is_known() {
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
    check(host, &v2(), &["bind /proc from /proc recursive [mounts[0]]"]);
    check(mount("/proc", "proc", &[]), &v2(), &["mount /proc proc [mounts[0]]"]);
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
        let text = format!("unknown propagation {word:?}: shared, slave, private and unbindable are known");
        refuse(json!({"/linux/rootfsPropagation": word}), &[&format!("linux.rootfsPropagation: {text}")]);
    }
}

/// The lines of the default nodes and links, with a minus.
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
    check(mount("/dev", "bind", &[]), &v2(), &[&DEV[..], &[bound]].concat());
    check(mount("/dev/", "none", &["bind"]), &v2(), &[&DEV[..], &[bound]].concat());
    check(mount("/dev", "tmpfs", &[]), &v2(), &["mount /dev tmpfs [mounts[0]]"]);
    check(mount("/dev/shm", "bind", &[]), &v2(), &["bind /dev/shm from /src [mounts[0]]"]);
    // What is listed was asked for, wherever /dev comes from.
    let listed = and(mount("/dev", "bind", &[]), "/linux/devices", json!([{"type": "p", "path": "/dev/p"}]));
    let pipe = "device /dev/p p 0:0 mode 0666 owner 0:0 [linux.devices[0]]";
    check(listed, &v2(), &[&DEV[..], &[bound, pipe]].concat());
}

#[test]
fn no_link_to_a_core_that_is_not_there() {
    let facts = HostFacts { kcore: false, ..v2() };
    assert!(!lines(&plan(&json!({}), &facts).unwrap()).iter().any(|line| line.contains("/dev/core")));
}

fn device(members: Value) -> Value {
    json!({"/linux/devices": [members]})
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
        (json!({"type": "a", "path": "/x"}), &["type: \"a\" is for device rules: a node is c, b, u or p"][..]),
        (json!({"type": "c", "path": "x", "major": 1, "minor": 2}), &["path: \"x\" must be an absolute path"]),
        (json!({"type": "c", "path": "/", "major": 1, "minor": 2}), &["path: \"/\" is not the path of a node"]),
        (json!({"type": "c", "path": "/x", "major": -1, "minor": 2}), &["major: -1 is out of range: 0 to 4095"]),
        (
            json!({"type": "c", "path": "/x", "major": 1, "minor": 4_294_967_296u64}),
            &["minor: 4294967296 is out of range: 0 to 1048575"],
        ),
        (
            json!({"type": "b", "path": "/x"}),
            &["major: is required for a device node", "minor: is required for a device node"],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|text| format!("linux.devices[0].{text}")).collect();
        refuse(device(members), &refs(&expected));
    }
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
    let unenforced = "warning: linux.resources.devices: not enforced, as that takes root on the host";
    check(deny.clone(), &hosts::host("nested"), &[unenforced]);
    refuse(
        rules(json!([{"allow": true, "access": ""}, {"allow": true, "type": "p", "major": -2, "access": "x"}])),
        &[
            "linux.resources.devices[0].access: device access cannot be empty; it is made of r, w and m",
            "linux.resources.devices[1].type: invalid cgroup device type \"p\"; it may be a, b or c",
            "linux.resources.devices[1].major: -2 is not a device number; -1 means every one",
            "linux.resources.devices[1].access: \"x\" has letters other than r, w and m",
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
                &format!("{list}[0]: \"proc/keys\" must be an absolute path"),
                &format!("{list}[1]: cannot be the root"),
                &format!("{list}[2]: cannot be the root"),
                &format!("{list}[3]: \"\" must be an absolute path"),
            ],
        );
    }
}

#[test]
fn kernel_parameters_belong_to_a_namespace() {
    let shared = |name: &str| {
        format!("not allowed: it belongs to the {name} namespace, which the container shares with the host")
    };
    for (key, path, kind) in [
        ("kernel.msgmax", "kernel/msgmax", "ipc"),
        ("kernel.shm_rmid_forced", "kernel/shm_rmid_forced", "ipc"),
        ("kernel/sem", "kernel/sem", "ipc"),
        ("fs.mqueue.msg_max", "fs/mqueue/msg_max", "ipc"),
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward", "network"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding", "network"),
        ("kernel.domainname", "kernel/domainname", "uts"),
        ("kernel.hostname", "kernel/hostname", "uts"),
    ] {
        let set = |kinds: &[&str]| and(namespaces(kinds), "/linux/sysctl", json!({key: "1"}));
        let step = format!("sysctl {path} = 1 [linux.sysctl[{key:?}]]");
        let mut expected = new_namespace(kind);
        expected.push(step);
        check(set(&["mount", "pid", kind]), &v2(), &refs(&expected));
        refuse(set(&["mount", "pid"]), &[&format!("linux.sysctl[{key:?}]: {}", shared(kind))]);
    }
    let all = ["mount", "pid", "ipc", "uts", "network", "cgroup", "time"];
    const HOSTS: &str = "not allowed: it is not in a separate kernel namespace";
    const NAME: &str = "is not the name of a kernel parameter";
    for (key, value, reason) in [
        ("kernel.core_pattern", "x", HOSTS),
        ("vm.overcommit_memory", "1", HOSTS),
        ("fs.file-max", "1", HOSTS),
        ("user.max_user_namespaces", "1", HOSTS),
        ("kernel.msgmaxx", "1", HOSTS),
        ("net", "1", NAME),
        ("", "1", NAME),
        ("net..x", "1", NAME),
        ("net/../kernel/core_pattern", "x", NAME),
        ("net.ipv4.x y", "1", NAME),
        ("net.x", "1\n2", "the value must be one line"),
    ] {
        let patch = and(namespaces(&all), "/linux/sysctl", json!({key: value}));
        refuse(patch, &[&format!("linux.sysctl[{key:?}]: {reason}")]);
    }
    let twice = and(namespaces(&all), "/linux/sysctl", json!({"kernel.hostname": "a"}));
    refuse(and(twice, "/hostname", json!("b")), &["linux.sysctl[\"kernel.hostname\"]: conflicts with hostname"]);
    let user = and(user_namespace(), "/linux/sysctl", json!({"user.max_net_namespaces": "1"}));
    assert!(plan(&user, &v2()).is_ok(), "user.* belongs to a user namespace");
}

#[test]
fn names() {
    let uts = |pointer: &str, name: &str| and(namespaces(&["mount", "pid", "uts"]), pointer, json!(name));
    let new = "new uts [linux.namespaces]";
    check(uts("/hostname", "web"), &v2(), &[new, "hostname web [hostname]"]);
    check(uts("/domainname", "example.org"), &v2(), &[new, "domainname example.org [domainname]"]);
    let longest = "h".repeat(64);
    check(uts("/hostname", &longest), &v2(), &[new, &format!("hostname {longest} [hostname]")]);
    refuse(uts("/hostname", &"h".repeat(65)), &["hostname: 65 bytes are too many: the kernel keeps 64"]);
    for place in ["hostname", "domainname"] {
        refuse(
            json!({format!("/{place}"): "x"}),
            &[&format!("{place}: unable to set {place} without a private UTS namespace")],
        );
    }
}

#[test]
fn limits() {
    let limit =
        |typ: &str, soft: u64, hard: u64| json!({"/process/rlimits": [{"type": typ, "soft": soft, "hard": hard}]});
    for (typ, soft, hard, expected) in [
        ("RLIMIT_NOFILE", 1, 2, "limit RLIMIT_NOFILE 1 2 [process.rlimits[0]]"),
        ("RLIMIT_CORE", 0, 0, "limit RLIMIT_CORE 0 0 [process.rlimits[0]]"),
        ("RLIMIT_AS", 5, u64::MAX, "limit RLIMIT_AS 5 unlimited [process.rlimits[0]]"),
        ("RLIMIT_CPU", u64::MAX, u64::MAX, "limit RLIMIT_CPU unlimited unlimited [process.rlimits[0]]"),
    ] {
        check(limit(typ, soft, hard), &v2(), &[expected]);
    }
    refuse(limit("RLIMIT_AS", 2, 1), &["process.rlimits[0].soft: 2 is more than the hard limit, 1"]);
    let twice = json!({"type": "RLIMIT_AS", "soft": 1, "hard": 1});
    refuse(json!({"/process/rlimits": [twice, twice]}), &["process.rlimits[1].type: duplicate limit RLIMIT_AS"]);
    check(json!({"/process/oomScoreAdj": -1000}), &v2(), &["oom_score_adj -1000 [process.oomScoreAdj]"]);
    refuse(json!({"/process/oomScoreAdj": 1001}), &["process.oomScoreAdj: 1001 is out of range: -1000 to 1000"]);
}

#[test]
fn scheduling() {
    let set = |field: &str, value: Value| json!({format!("/{field}"): value});
    for (field, value, expected) in [
        ("scheduler", json!({"policy": "SCHED_OTHER"}), "scheduler SCHED_OTHER"),
        ("scheduler", json!({"policy": "SCHED_BATCH", "nice": -20}), "scheduler SCHED_BATCH nice -20"),
        (
            "scheduler",
            json!({"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3, "flags": ["SCHED_FLAG_RECLAIM"]}),
            "scheduler SCHED_DEADLINE runtime 1 deadline 2 period 3 SCHED_FLAG_RECLAIM",
        ),
        ("ioPriority", json!({"class": "IOPRIO_CLASS_IDLE", "priority": 7}), "io-priority IOPRIO_CLASS_IDLE 7"),
    ] {
        check(set(&format!("process/{field}"), value), &v2(), &[&format!("{expected} [process.{field}]")]);
    }
    for (field, value, expected) in [
        ("personality", json!({"domain": "LINUX32", "flags": []}), "personality LINUX32"),
        ("memoryPolicy", json!({"mode": "MPOL_PREFERRED", "nodes": ""}), "memory-policy MPOL_PREFERRED"),
        (
            "memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "5,0-3", "flags": ["MPOL_F_STATIC_NODES"]}),
            "memory-policy MPOL_BIND 0-3,5 MPOL_F_STATIC_NODES",
        ),
    ] {
        check(set(&format!("linux/{field}"), value), &v2(), &[&format!("{expected} [linux.{field}]")]);
    }
    let scheduler = json!({"policy": "FIFO", "nice": 30, "priority": 1, "flags": ["RECLAIM"], "period": 1});
    let known = "SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE are";
    let flags = "SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN, SCHED_FLAG_KEEP_POLICY, \
                 SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_UTIL_CLAMP_MIN, SCHED_FLAG_UTIL_CLAMP_MAX are";
    refuse(
        set("process/scheduler", scheduler),
        &[
            &format!("process.scheduler.policy: \"FIFO\" is not known: {known}"),
            &format!("process.scheduler.flags[0]: \"RECLAIM\" is not known: {flags}"),
            "process.scheduler.nice: 30 is out of range: -20 to 19",
            "process.scheduler.priority: can only be given with SCHED_FIFO and SCHED_RR",
            "process.scheduler.period: can only be given with SCHED_DEADLINE",
        ],
    );
    // The first process has no such CPUs, and a further one both before and after its birth.
    let affinity = set("process/execCPUAffinity", json!({"initial": "1", "final": "0-1"}));
    check(affinity.clone(), &v2(), &[]);
    let found = exec(&affinity, &v2()).unwrap();
    let expected = ["own-affinity 1 [process.execCPUAffinity.initial]", "affinity 0-1 [process.execCPUAffinity.final]"];
    assert_eq!(found[..2], expected);
}

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
    let text = "linux.netDevices[\"b\"].name: two devices are to be named \"a\"";
    refuse(devices(json!({"a": {}, "b": {"name": "a"}})), &[text]);
}

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

#[test]
fn security_modules_are_told_before_init_leaves_the_hosts_files() {
    let patch = json!({"/process/apparmorProfile": "docker-default", "/process/selinuxLabel": "u:r:t:s0:c1,c2"});
    let expected = [
        "lsm-attribute attr/keycreate = u:r:t:s0:c1,c2 [process.selinuxLabel]",
        "lsm-attribute attr/apparmor/exec = exec docker-default [process.apparmorProfile]",
        "lsm-attribute attr/exec = u:r:t:s0:c1,c2 [process.selinuxLabel]",
    ];
    check(patch.clone(), &v2(), &expected);
    let further = exec(&patch, &v2()).unwrap();
    assert_eq!(further[..3], expected);
    assert!(further[3].starts_with("enter-container "));
    for pointer in ["/process/apparmorProfile", "/process/selinuxLabel"] {
        assert!(plan(&json!({pointer: "a\0b"}), &v2()).is_err());
    }
}

/// A host with SELinux.
fn selinux() -> HostFacts {
    HostFacts { selinux: true, ..v2() }
}

#[test]
fn what_is_mounted_anew_gets_the_mount_label() {
    let label = |patch: Value| and(patch, "/linux/mountLabel", json!("u:r:t:s0:c1,c2"));
    let and_step = |patch: Value, expected: &str| check(label(patch), &selinux(), &[expected]);
    and_step(mount("/m", "tmpfs", &["size=1k"]), "mount /m tmpfs size=1k context=u:r:t:s0:c1,c2 [mounts[0]]");
    and_step(mount("/m", "devpts", &["ro"]), "mount /m ro devpts context=u:r:t:s0:c1,c2 [mounts[0]]");
    and_step(
        mount("/m", "overlay", &["lowerdir=/a"]),
        "mount /m overlay lowerdir=/a context=u:r:t:s0:c1,c2 [mounts[0]]",
    );
    and_step(mount("/m", "mqueue", &[]), "mount /m mqueue [mounts[0]]");
    let queues = |patch: Value| and(patch, "/linux/namespaces/-", json!({"type": "ipc"}));
    let labelled = "label-queues u:r:t:s0:c1,c2 [linux.mountLabel]";
    let expected = ["new ipc [linux.namespaces]", labelled, "mount /m mqueue [mounts[0]]"];
    check(label(queues(mount("/m", "mqueue", &[]))), &selinux(), &expected);
    // Before init becomes another user than their owner.
    let mapped = and(label(queues(user_namespace())), "/mounts/-", json!({"destination": "/m", "type": "mqueue"}));
    let verbs: Vec<_> = plan(&mapped, &selinux()).unwrap().init.iter().map(|step| step.op.verb()).take(2).collect();
    assert_eq!(verbs, ["label-queues", "become-root"]);
    let quoted = "mount /m tmpfs flags 0x800000 size=1k,context=\\\"u:r:t:s0:c1,c2\\\" [mounts[0]]";
    and_step(mount("/m", "tmpfs", &["iversion", "size=1k"]), quoted);
    and_step(mount("/m", "tmpfs", &["context=own"]), "mount /m tmpfs context=own [mounts[0]]");
    let masked = json!({"/linux/maskedPaths": ["/proc/acpi"]});
    and_step(masked, "mask /proc/acpi labelled u:r:t:s0:c1,c2 [linux.maskedPaths[0]]");
    // One superblock for everybody, or for the whole namespace.
    and_step(mount("/proc", "proc", &[]), "mount /proc proc [mounts[0]]");
    and_step(mount("/sys", "sysfs", &[]), "mount /sys sysfs [mounts[0]]");
    let cgroup = and(mount("/c", "cgroup", &[]), "/linux/namespaces/-", json!({"type": "cgroup"}));
    check(label(cgroup), &selinux(), &["new cgroup [linux.namespaces]", "mount /c cgroup2 [mounts[0]]"]);
    // What is there already keeps its label.
    and_step(mount("/m", "bind", &[]), "bind /m from /src [mounts[0]]");
    and_step(mount("/m", "tmpfs", &["remount", "size=1k"]), "remount /m size=1k [mounts[0]]");
    let overlay = Op::OverlayRoot {
        place: RootPlace::OverSlash,
        options: c"index=off".to_owned(),
        attributes: Default::default(),
    };
    let steps = vec![Step { op: overlay, origin: Default::default() }];
    let layers = Request { root: RootSource::Overlay(steps), ..request() };
    let plan_of_layers = plan_for(&layers, &label(json!({})), &selinux()).unwrap();
    let expected = "overlay / index=off,context=\\\"u:r:t:s0:c1,c2\\\" []";
    assert!(lines(&plan_of_layers).iter().any(|line| line == expected), "{plan_of_layers}");
    for (label, text) in [("a\0b", "must not contain a NUL byte"), ("a\"b", "must not contain a quotation mark")] {
        let problems = plan(&json!({"/linux/mountLabel": label}), &selinux()).unwrap_err();
        assert_eq!(problems, [format!("linux.mountLabel: {text}")]);
    }
}

/// A kernel that knows four capabilities, to keep the lines short.
fn four_capabilities() -> HostFacts {
    HostFacts { last_capability: 3, bounding: 0b1111, ..v2() }
}

#[test]
fn capabilities() {
    const DROP_ALL: &str = "- drop-bounding CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER \
                            [process.capabilities]";
    const NO_SETS: &str =
        "- capabilities effective none; permitted none; inheritable none; ambient none [process.capabilities]";
    let sets = |sets: Value| json!({"/process/capabilities": sets});
    check(
        sets(json!({"bounding": ["CAP_CHOWN", "CAP_FOWNER", "CAP_CHOWN"]})),
        &four_capabilities(),
        &[DROP_ALL, "drop-bounding CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH [process.capabilities]"],
    );
    check(
        sets(json!({"permitted": ["CAP_CHOWN", "CAP_FOWNER"], "effective": ["CAP_CHOWN"]})),
        &four_capabilities(),
        &[
            NO_SETS,
            "capabilities effective CAP_CHOWN; permitted CAP_CHOWN CAP_FOWNER; inheritable none; ambient none \
             [process.capabilities]",
        ],
    );
    check(
        sets(
            json!({"permitted": ["CAP_CHOWN"], "inheritable": ["CAP_CHOWN", "CAP_FOWNER"], "ambient": ["CAP_CHOWN", "CAP_FOWNER"]}),
        ),
        &four_capabilities(),
        &[
            NO_SETS,
            "capabilities effective none; permitted CAP_CHOWN; inheritable CAP_CHOWN CAP_FOWNER; ambient CAP_CHOWN \
             [process.capabilities]",
            "note: process.capabilities.ambient: those that are not both permitted and inheritable are left out",
        ],
    );
    refuse(
        sets(json!({"effective": ["CAP_CHOWN"]})),
        &["process.capabilities.effective: must be among the permitted ones: capset(2) refuses others"],
    );
}

#[test]
fn capabilities_that_cannot_be_had_are_warned_about_once() {
    let asked = ["CAP_FUTURE", "cap_chown", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_FUTURE"];
    let facts = HostFacts { bounding: 0b1101, ..four_capabilities() };
    check(
        json!({"/process/capabilities": {"bounding": asked, "permitted": asked, "effective": asked}}),
        &facts,
        &["warning: process.capabilities: ignoring unknown or unavailable capabilities: \
           CAP_FUTURE cap_chown CAP_SYS_ADMIN CAP_DAC_OVERRIDE"],
    );
}

#[test]
fn users() {
    let user = |user: Value| json!({"/process/user": user});
    let root = "- user 0:0 [process.user]";
    check(
        user(json!({"uid": 7, "gid": 8})),
        &v2(),
        &[root, "own-streams user 7 [process.user.uid]", "user 7:8 [process.user]"],
    );
    check(
        user(json!({"uid": 0, "gid": 8, "additionalGids": [1, 1, 0]})),
        &v2(),
        &[
            "- groups none [process.user.additionalGids]",
            root,
            "groups 1 1 0 [process.user.additionalGids]",
            "user 0:8 [process.user]",
        ],
    );
    let default = "- umask 0022 [default umask]";
    check(user(json!({"uid": 0, "gid": 0, "umask": 0})), &v2(), &[default, "umask 0000 [process.user.umask]"]);
    check(user(json!({"uid": 0, "gid": 0, "umask": 0o777})), &v2(), &[default, "umask 0777 [process.user.umask]"]);
    refuse(
        user(json!({"uid": 0, "gid": 0, "umask": 0o1000})),
        &["process.user.umask: 0o1000 is not a umask: 0 to 0777 are"],
    );
    refuse(
        user(json!({"uid": u32::MAX, "gid": u32::MAX, "additionalGids": [0, u32::MAX]})),
        &[
            "process.user.uid: 4294967295 is not an id",
            "process.user.gid: 4294967295 is not an id",
            "process.user.additionalGids[1]: 4294967295 is not an id",
        ],
    );
    check(json!({"/process/noNewPrivileges": true}), &v2(), &["no-new-privileges [process.noNewPrivileges]"]);
}

#[test]
fn the_environment_has_no_duplicates() {
    for (env, expected) in [
        (&["A=1", "B=2", "A=3"][..], &["A=3", "B=2"][..]),
        (&["A=", "A=1"], &["A=1"]),
        (&["A=1", "A="], &["A="]),
        (&["AB=1", "A=2"], &["AB=1", "A=2"]),
        (&["A=b=c"], &["A=b=c"]),
        (&["HOME=/x", "HOME="], &[]),
        (&["HOME=", "HOME=/x"], &["HOME=/x"]),
    ] {
        let plan = plan(&json!({"/process/env": env}), &v2()).unwrap();
        let found: Vec<_> = plan.payload.env.iter().map(|entry| entry.to_str().unwrap()).collect();
        assert_eq!(found, expected, "{env:?}");
    }
    refuse(
        json!({"/process/env": ["A", "=1", ""]}),
        &[
            "process.env[0]: \"A\" is not of the form NAME=value",
            "process.env[1]: \"=1\" is not of the form NAME=value",
            "process.env[2]: \"\" is not of the form NAME=value",
        ],
    );
}

#[test]
fn home_is_looked_up_when_it_is_not_given() {
    let look_up = "find-home of user 0 in /etc/passwd [default HOME]";
    check(json!({"/process/env": ["HOME=/x"]}), &v2(), &[]);
    check(json!({"/process/env": ["HOME=", "HOME=/x"]}), &v2(), &[]);
    for env in [json!([]), json!(["HOME="]), json!(["HOME=/x", "HOME="]), json!(["HOMER=/x"]), Value::Null] {
        check(json!({"/process/env": env}), &v2(), &[look_up]);
    }
}

#[test]
fn the_program_is_looked_for_along_path() {
    let (find, run) = ("- find-program /bin/true [process.args[0]]", "- execute /bin/true [process.args[0]]");
    for (path, arg, expected) in [
        (json!(["HOME=/", "PATH=/a:/b"]), "x", "find-program /a/x /b/x [process.args[0]]"),
        (json!(["HOME=/", "PATH=:/a::b:"]), "x", "find-program /a/x b/x [process.args[0]]"),
        (json!(["HOME=/", "PATH=/a", "PATH=/b"]), "x", "find-program /b/x [process.args[0]]"),
        (json!(["HOME=/"]), "x", "find-program [process.args[0]]"),
        (json!(["HOME=/", "PATH=/a"]), "./x", "find-program ./x [process.args[0]]"),
        (json!(["HOME=/", "PATH=/a"]), "d/x", "find-program d/x [process.args[0]]"),
    ] {
        let patch = json!({"/process/env": path, "/process/args": [arg]});
        check(patch, &v2(), &[find, run, expected, &format!("execute {arg} [process.args[0]]")]);
    }
    check(
        json!({"/process/args": ["/bin/true", "", "a b"]}),
        &v2(),
        &[run, "execute /bin/true  a b [process.args[0]]"],
    );
    refuse(json!({"/process/args": []}), &["process.args: args must not be empty"]);
    refuse(json!({"/process/args": Value::Null}), &["process.args: args must not be empty"]);
    refuse(json!({"/process/args": [""]}), &["process.args[0]: must not be empty"]);
}

#[test]
fn the_working_directory() {
    for (cwd, path) in
        [("/srv/app", "/srv/app"), ("//srv/./app/", "/srv/app"), ("/a/../srv", "/srv"), ("/../../srv/x/..", "/srv")]
    {
        let line = |verb: &str| format!("{verb} {path} [process.cwd]");
        let (root, as_user) = ("- enter / [process.cwd]", "- enter-as-user / [process.cwd]");
        let expected = [root, as_user, &line("make-directory"), &line("enter"), &line("enter-as-user")];
        check(json!({"/process/cwd": cwd}), &v2(), &expected);
    }
    for root in ["/", "//", "/.", "/..", "/a/.."] {
        check(json!({"/process/cwd": root}), &v2(), &[]);
    }
    refuse(json!({"/process/cwd": ""}), &["process.cwd: Cwd property must not be empty"]);
    refuse(json!({"/process/cwd": "srv"}), &["process.cwd: Cwd must be an absolute path"]);
    refuse(json!({"/process": Value::Null}), &["process: process property must not be empty"]);
}

/// The system's systemd, for a container whose state is below /run/minirun.
fn by_systemd(user: bool, cgroup: &'static str) -> Request<'static> {
    let systemd = SystemdRequest { user, cgroup: Path::new(cgroup), owner: "/run/minirun/ID" };
    Request { systemd: Some(systemd), ..request() }
}

#[test]
fn the_unit_of_the_cgroup() {
    let patch = json!({
        "/linux/cgroupsPath": "a-b.slice:cri:web",
        "/linux/resources": {"pids": {"limit": 7}, "unified": {"memory.oom.group": "1"}},
        "/annotations": {"org.systemd.property.TimeoutStopSec": "5", "other": "['"},
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
    let user = HostFacts { euid: 1000, initial_user_namespace: true, ..v2() };
    let plan = compile(&spec(&json!({})), &user, &by_systemd(true, "/user.slice/user@7.service")).unwrap();
    assert_eq!(plan.cgroup.path, Path::new("/user.slice/user@7.service/user.slice/minirun-ID.scope"));
    // Without systemd the annotations are nobody's.
    let patch = json!({"/annotations": {"org.systemd.property.TimeoutStopSec": "['"}});
    assert!(compile(&spec(&patch), &v2(), &request()).is_ok());
    for (patch, problem) in [
        (patch, "annotations[\"org.systemd.property.TimeoutStopSec\"]: \"['\" is not a value in gvariant's text form"),
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
        // The systemd form is a name like any other while systemd is not asked.
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
fn new_and_joined_namespaces() {
    for kind in ["network", "ipc", "uts", "cgroup", "time"] {
        let new = new_namespace(kind);
        check(json!({"/linux/namespaces/-": {"type": kind}}), &v2(), &refs(&new));
        check(json!({"/linux/namespaces/-": {"type": kind, "path": ""}}), &v2(), &refs(&new));
        let line = format!("join {kind} /ns [linux.namespaces[2].path]");
        // Init enters some of them itself.
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
    const NO_MOUNT: &str = "linux.namespaces: a mount namespace is needed: without one the container would change the \
                            host's mounts";
    refuse(namespaces(&["pid"]), &[NO_MOUNT]);
    refuse(json!({"/linux": Value::Null}), &[NO_MOUNT]);
}

#[test]
fn id_maps() {
    let maps = |maps: Value| and(user_namespace(), "/linux/uidMappings", maps);
    let one = |container: u32, host: u32, size: u32| json!({"containerID": container, "hostID": host, "size": size});
    for (list, expected) in [
        (json!([]), "linux.uidMappings: a new user namespace needs at least one mapping"),
        (json!([one(0, 0, 0)]), "linux.uidMappings[0].size: 0 is out of range"),
        (json!([one(u32::MAX, 0, 2)]), "linux.uidMappings[0].size: 2 is out of range"),
        (json!([one(0, u32::MAX, 2)]), "linux.uidMappings[0].size: 2 is out of range"),
        (json!([one(0, 10, 5), one(4, 20, 5)]), "linux.uidMappings[1]: overlaps element 0"),
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
    let needed = "id mappings need a user namespace in linux.namespaces";
    refuse(
        json!({"/linux/uidMappings": [one(0, 1, 1)], "/linux/gidMappings": [one(0, 1, 1)]}),
        &[&format!("linux.uidMappings: {needed}"), &format!("linux.gidMappings: {needed}")],
    );
    // Engines send the maps of the namespace that is joined; it has them already.
    let joined = and(user_namespace(), "/linux/namespaces/2/path", json!("/ns"));
    assert_eq!(shown(&joined, "uid_map"), None);
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
fn clocks() {
    let offsets = |offsets: Value| and(namespaces(&["mount", "pid", "time"]), "/linux/timeOffsets", offsets);
    for (clock, offset, expected) in [
        ("monotonic", json!({"secs": 5}), "clocks monotonic 5 0 [linux.timeOffsets]"),
        ("boottime", json!({"secs": -5, "nanosecs": 999_999_999}), "clocks boottime -5 999999999 [linux.timeOffsets]"),
        ("boottime", json!({}), "clocks boottime 0 0 [linux.timeOffsets]"),
    ] {
        check(offsets(json!({clock: offset})), &v2(), &["new time [linux.namespaces]", expected]);
    }
    refuse(
        offsets(json!({"realtime": {"secs": 1}, "monotonic": {"nanosecs": 1_000_000_000}})),
        &[
            "linux.timeOffsets[\"monotonic\"].nanosecs: 1000000000 is not below 1000000000",
            "linux.timeOffsets[\"realtime\"]: unknown clock: monotonic and boottime are known",
        ],
    );
    let needed = "linux.timeOffsets: clock offsets need a new time namespace in linux.namespaces";
    refuse(json!({"/linux/timeOffsets": {"monotonic": {"secs": 1}}}), &[needed]);
    let joined = and(offsets(json!({"monotonic": {"secs": 1}})), "/linux/namespaces/2/path", json!("/ns"));
    refuse(joined, &[needed]);
}

#[test]
fn the_root_of_layers() {
    let at = |destination: &str| mount(destination, "overlay", &["lowerdir=a"]);
    // These steps are made by the crate that reads layers.
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
    refuse(twice, &["mounts[2]: the root is an overlay already: mounts[0]"]);
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
        // What looks at the root before it is `/` must find it at its path.
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
            (json!({"path": "/x", "timeout": 0}), &["timeout: 0 is not a number of seconds above 0"]),
            (json!({"path": "/x", "timeout": -1}), &["timeout: -1 is not a number of seconds above 0"]),
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

/// Where the plan mounts the root.
fn root_place(patch: &Value, request: &Request<'_>) -> Result<RootPlace, Vec<String>> {
    let plan = plan_for(request, patch, &v2())?;
    let mut places = plan.init.into_iter().filter_map(|step| match step.op {
        Op::BindRoot(_, place) | Op::OverlayStage { place, .. } | Op::OverlayRoot { place, .. } => Some(place),
        _ => None,
    });
    let first = places.next().unwrap();
    assert!(places.all(|place| place == first), "the root is in two places");
    Ok(first)
}

#[test]
fn hooks_find_the_root_at_its_path() {
    let hook = json!({"/hooks/createRuntime": [{"path": "/h", "timeout": 5}]});
    check(hook.clone(), &v2(), &["await-hooks [hooks]", "createRuntime /h (at most 5 s) [hooks.createRuntime[0]]"]);
    // A shared mount would show it to the host as well.
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
    let expected = "root.path: hooks need a directory where they find the mounted root file system";
    assert_eq!(root_place(&hook, &without).unwrap_err(), [expected]);
    let late = json!({"/hooks/startContainer": [{"path": "/h"}]});
    assert_eq!(root_place(&late, &without), Ok(RootPlace::OverSlash));
    // The crate that reads layers knows nothing of hooks.
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

#[test]
fn terminals() {
    let terminal = |size: Value, user: Value| {
        let patch = json!({"/process/terminal": true, "/process/consoleSize": size});
        and(patch, "/process/user", user)
    };
    let root = json!({"uid": 0, "gid": 0});
    for (size, user, expected) in [
        (Value::Null, root.clone(), &["terminal /dev/console owner 0 [process.terminal]"][..]),
        (
            json!({"height": 24, "width": 80}),
            root,
            &["terminal /dev/console owner 0 24 rows 80 columns [process.terminal]"],
        ),
        (
            Value::Null,
            json!({"uid": 7, "gid": 0}),
            &[
                "- user 0:0 [process.user]",
                "terminal /dev/console owner 7 [process.terminal]",
                "own-streams user 7 [process.user.uid]",
                "user 7:0 [process.user]",
            ],
        ),
    ] {
        check(terminal(size, user), &v2(), expected);
    }
}

#[test]
fn descriptors_that_stay_open() {
    for (preserve_fds, listen_fds, close, env) in [
        (0, 0, "close-descriptors from 3 [default descriptors]", &[][..]),
        (2, 0, "close-descriptors from 5 [--preserve-fds]", &[]),
        (3, 2, "close-descriptors from 6 [--preserve-fds]", &["LISTEN_FDS=2", "LISTEN_PID=1"]),
    ] {
        let plan = plan_for(&Request { preserve_fds, listen_fds, ..request() }, &json!({}), &v2()).unwrap();
        assert!(lines(&plan).iter().any(|line| line == close), "{close}");
        let found: Vec<_> = plan.payload.env.iter().map(|entry| entry.to_str().unwrap()).collect();
        assert_eq!(found, [&["PATH=/bin:/sbin", "HOME=/root"], env].concat());
    }
}

#[test]
fn the_socket_for_readiness_is_a_mount_and_a_variable() {
    let request = Request { notify: Some("/run/minirun/ID/notify"), ..request() };
    let plan = plan_for(&request, &json!({"/process/env/-": "NOTIFY_SOCKET=/of/the/caller"}), &v2()).unwrap();
    let mounts: Vec<String> = lines(&plan).into_iter().filter(|line| line.ends_with("[NOTIFY_SOCKET]")).collect();
    assert_eq!(mounts, ["bind /run/notify ro nosuid nodev noexec from /run/minirun/ID/notify [NOTIFY_SOCKET]"]);
    let found: Vec<_> = plan.payload.env.iter().map(|entry| entry.to_str().unwrap()).collect();
    assert_eq!(found, ["PATH=/bin:/sbin", "HOME=/root", "NOTIFY_SOCKET=/run/notify/notify.sock"]);
}

/// The steps of a further process, with what the parent does for it.
fn exec(patch: &Value, facts: &HostFacts) -> Result<Vec<String>, Vec<String>> {
    let request = ExecRequest { id: "ID", bundle: Path::new("/bundle"), preserve_fds: 0, no_new_keyring: false };
    let plan = compile_exec(&spec(patch), facts, &request);
    let plan = plan.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let all = lines(&plan).into_iter();
    // The cgroup is the container's own.
    Ok(all.filter(|line| !line.starts_with("make ")).collect())
}

#[test]
fn a_further_process_enters_the_container_and_makes_nothing() {
    let patch = json!({
        "/process/cwd": "/srv/./app", "/process/terminal": true, "/process/oomScoreAdj": 5,
        "/hostname": "ignored", "/mounts/-": {"destination": "/m", "type": "tmpfs"}, "/root/readonly": true,
        "/linux/maskedPaths": ["/proc/keys"], "/linux/sysctl": {"kernel.shmmax": "1"},
        "/hooks/startContainer": [{"path": "/h"}],
    });
    let expected = [
        "oom_score_adj 5 [process.oomScoreAdj]",
        "enter-container mount pid [linux.namespaces]",
        "keyring _ses.ID [default session keyring]",
        "terminal owner 0 [process.terminal]",
        "close-descriptors from 3 [default descriptors]",
        "enter /srv/app [process.cwd]",
        "umask 0022 [default umask]",
        "drop-bounding CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER [process.capabilities]",
        "groups none [process.user.additionalGids]",
        "user 0:0 [process.user]",
        "enter-as-user /srv/app [process.cwd]",
        "capabilities effective none; permitted none; inheritable none; ambient none [process.capabilities]",
        "find-program /bin/true [process.args[0]]",
        "await-start [start]",
        "execute /bin/true [process.args[0]]",
    ];
    assert_eq!(exec(&patch, &four_capabilities()).unwrap(), expected);
    let found = exec(&user_namespace(), &v2()).unwrap();
    assert_eq!(found[0], "enter-container mount user pid [linux.namespaces]");
    assert_eq!(found[1], "become-root [linux.namespaces (user)]");
    let problems = exec(&json!({"/process/args": [], "/linux/mountLabel": "x"}), &v2());
    assert_eq!(problems.unwrap_err(), ["process.args: args must not be empty"]);
}

#[test]
fn a_filter_is_loaded_last_and_without_no_new_privileges_takes_a_capability() {
    const SYS_ADMIN: u64 = 1 << 21;
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]});
    let with =
        |no_new_privileges: bool| json!({"/linux/seccomp": profile, "/process/noNewPrivileges": no_new_privileges});
    let facts = HostFacts { bounding: SYS_ADMIN | 1, last_capability: 40, ..v2() };
    for (no_new_privileges, kept) in [(true, 0), (false, SYS_ADMIN)] {
        let plan = plan(&with(no_new_privileges), &facts).unwrap();
        let [.., Step { op: Op::Seccomp { filter, privileges }, .. }, Step { op: Op::Execute, .. }] = &plan.init[..]
        else {
            panic!("{:?}", plan.init.last());
        };
        assert_eq!(*privileges, (kept != 0).then_some((kept, kept, 0)));
        assert_eq!(filter.architectures.len(), 1);
        let permitted = plan.init.iter().find_map(|step| match step.op {
            Op::Capabilities { permitted, .. } => Some(permitted),
            _ => None,
        });
        assert_eq!(permitted, Some(kept));
        let note = "linux.seccomp.architectures[0]: SCMP_ARCH_S390X is ignored: none of its programs runs here";
        assert!(plan.notes.iter().any(|found| found == note), "{:?}", plan.notes);
    }
    let unprivileged = HostFacts { bounding: 1, ..v2() };
    assert!(plan(&with(true), &unprivileged).is_ok());
    let text = "linux.seccomp: without process.noNewPrivileges it takes CAP_SYS_ADMIN, which the runtime does not have";
    assert_eq!(plan(&with(false), &unprivileged).unwrap_err(), [text]);
}

#[test]
fn what_is_wrong_with_a_profile_is_told_with_its_place() {
    let rule = json!({"names": ["read"], "action": "SCMP_ACT_NO"});
    let patch = json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}});
    let text = "linux.seccomp.syscalls[0].action: \"SCMP_ACT_NO\" is not an action";
    assert_eq!(plan(&patch, &v2()).unwrap_err(), [text]);
    assert_eq!(exec(&patch, &v2()).unwrap_err(), [text]);
}

#[test]
fn other_limits_are_knobs_and_no_device_rules() {
    let limits = |resources: Value| compile_resources(&serde_json::from_value(resources).unwrap(), &v2());
    let problems = limits(json!({"cpu": {"cpus": "x"}})).unwrap_err();
    assert_eq!(problems.iter().count(), 1);
    let deny = json!({"allow": false, "access": "rwm"});
    let limits = limits(json!({"pids": {"limit": 7}, "devices": [deny]})).unwrap();
    assert_eq!(limits.cgroup.devices, None);
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
    // Without a name the group has the container's.
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
    // An older document may have several lines there.
    let lines = plan(&rdt_of(json!({"l3CacheSchema": "L3:0=f\nMB:0=10\n"})), &rdt()).unwrap().resctrl.unwrap();
    assert_eq!(lines.schemata.iter().map(|schema| schema.line.as_str()).collect::<Vec<_>>(), ["L3:0=f", "MB:0=10"]);
}

#[test]
fn what_resctrl_cannot_do_is_refused() {
    for (value, expected) in [
        (json!({"closID": ".."}), "closID: \"..\" is not the name of a group"),
        (json!({"closID": "a/b"}), "closID: \"a/b\" is not the name of a group"),
        (json!({"closID": "info"}), "closID: \"info\" is not the name of a group"),
        (json!({"memBwSchema": "0=10"}), "memBwSchema: \"0=10\" must start with \"MB:\""),
        (json!({"memBwSchema": "MB:0=1\nMB:1=1"}), "memBwSchema: must not contain a newline"),
        (json!({"schemata": ["L3:0=1\nL3:1=1"]}), "schemata[0]: must not contain a newline"),
        (json!({"schemata": ["nothing"]}), "schemata[0]: \"nothing\" is not a schema as in \"L3:0=ff;1=f\""),
        (json!({"schemata": ["L2:0=1"]}), "schemata[0]: this host's resctrl does not allocate L2: it has L3, MB"),
    ] {
        let problems = plan(&json!({"/linux/intelRdt": value}), &rdt()).unwrap_err();
        assert_eq!(problems[0], format!("linux.intelRdt.{expected}"), "{value}");
    }
    let lacking = HostFacts { resctrl: Resctrl::Mounted { mount: "/r".into(), info: Vec::new() }, ..v2() };
    refuse_on(
        &lacking,
        json!({"/linux/intelRdt": {"l3CacheSchema": "L3:0=1", "enableMonitoring": true}}),
        &[
            "linux.intelRdt.l3CacheSchema: this host's resctrl does not allocate L3: it has nothing",
            "linux.intelRdt.enableMonitoring: this host's resctrl cannot monitor: its info has no L3_MON",
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

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let absent = "linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor";
    refuse(json!({"/linux/intelRdt": {"closID": "x"}}), &[absent]);
    refuse(json!({"/linux/mountLabel": "label"}), &["linux.mountLabel: selinux is disabled or not supported"]);
    for version in ["2.0.0", "0.9.0", "10.0.0", "2.0.0-rc.1"] {
        let text = format!("ociVersion: version {version:?} is not supported: 1.0.0 to 1.3.x are");
        refuse(json!({"/ociVersion": version}), &[&text]);
    }
    for version in ["", "1", "1.0", "1.0.x", "1..0", "v1.0.2", "1.0.2.3"] {
        refuse(
            json!({"/ociVersion": version}),
            &[&format!("ociVersion: {version:?} is not a version as in \"1.0.2\"")],
        );
    }
    for version in ["1.0.2-dev", "1.3.0", "1.0.0-rc5+dev"] {
        plan(&json!({"/ociVersion": version}), &v2()).unwrap();
    }
}

#[test]
fn a_nul_byte_is_found_everywhere() {
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
    // In words of their own.
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
fn everything_wrong_is_told_at_once() {
    refuse(
        json!({"/process/cwd": "tmp", "/process/args": [], "/linux/maskedPaths": ["x"], "/linux/intelRdt": {}}),
        &[
            "linux.intelRdt: this host has no Intel RDT: the kernel has no resctrl file system for its processor",
            "linux.maskedPaths[0]: \"x\" must be an absolute path",
            "process.cwd: Cwd must be an absolute path",
            "process.args: args must not be empty",
        ],
    );
}

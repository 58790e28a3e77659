//! Kernel parameters, security modules and seccomp.

use minirun_plan::{HostFacts, Op, Request, RootPlace, RootSource, Step};
use serde_json::{Value, json};

use super::{
    and, check, exec, lines, mount, namespaces, new_namespace, plan, plan_for, refs, refuse, refuse_on, request,
    user_namespace, v2,
};

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
    const NAME: &str = "invalid kernel parameter name";
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
fn labels_are_written_before_init_leaves_the_hosts_files() {
    let patch = json!({"/process/apparmorProfile": "docker-default", "/process/selinuxLabel": "u:r:t:s0:c1,c2"});
    let expected = [
        "lsm-attribute attr/keycreate = u:r:t:s0:c1,c2 [process.selinuxLabel]",
        "lsm-attribute attr/apparmor/exec = exec docker-default [process.apparmorProfile]",
        "lsm-attribute attr/exec = u:r:t:s0:c1,c2 [process.selinuxLabel]",
    ];
    check(patch.clone(), &v2(), &expected);
    let further = exec(&patch, &v2()).unwrap();
    let first = further.iter().position(|line| line == expected[0]).unwrap();
    assert_eq!(further[first..first + 3], expected);
    assert!(further[first + 3].starts_with("enter-container "));
    for pointer in ["/process/apparmorProfile", "/process/selinuxLabel"] {
        assert!(plan(&json!({pointer: "a\0b"}), &v2()).is_err());
    }
}

/// Returns a host with SELinux.
fn selinux() -> HostFacts {
    HostFacts { selinux: true, ..v2() }
}

#[test]
fn an_annotation_chooses_the_option_of_the_mount_label() {
    let label = and(mount("/m", "tmpfs", &["size=1k"]), "/linux/mountLabel", json!("u:r:t:s0"));
    let annotated = |kind: &str| and(label.clone(), "/annotations", json!({"run.oci.mount_context_type": kind}));
    check(annotated("rootcontext"), &selinux(), &["mount /m tmpfs size=1k rootcontext=u:r:t:s0 [mounts[0]]"]);
    let refused = "annotations[\"run.oci.mount_context_type\"]: invalid type \"label\" (expected context, fscontext, \
                   defcontext or rootcontext)";
    refuse_on(&selinux(), annotated("label"), &[refused]);
}

#[test]
fn new_file_systems_get_the_mount_label() {
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
    // Before init is no longer their owner.
    let mapped = and(label(queues(user_namespace())), "/mounts/-", json!({"destination": "/m", "type": "mqueue"}));
    let verbs: Vec<_> = plan(&mapped, &selinux()).unwrap().init.iter().map(|step| step.op.verb()).take(2).collect();
    assert_eq!(verbs, ["label-queues", "become-root"]);
    let quoted = "mount /m tmpfs flags 0x800000 size=1k,context=\\\"u:r:t:s0:c1,c2\\\" [mounts[0]]";
    and_step(mount("/m", "tmpfs", &["iversion", "size=1k"]), quoted);
    and_step(mount("/m", "tmpfs", &["context=own"]), "mount /m tmpfs context=own [mounts[0]]");
    let masked = json!({"/linux/maskedPaths": ["/proc/acpi"]});
    and_step(masked, "mask /proc/acpi labelled u:r:t:s0:c1,c2 [linux.maskedPaths[0]]");
    // These have one superblock for all, or for the whole namespace.
    for (name, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        let expected = [format!("mount /{name} {kind} [mounts[0]]"), format!("verify /{name} [mounts[0]]")];
        check(label(mount(&format!("/{name}"), kind, &[])), &selinux(), &refs(&expected));
    }
    let cgroup = and(mount("/c", "cgroup", &[]), "/linux/namespaces/-", json!({"type": "cgroup"}));
    check(label(cgroup), &selinux(), &["new cgroup [linux.namespaces]", "mount /c cgroup2 [mounts[0]]"]);
    // A node that the parent makes, because the host has no such one.
    let device = json!([{"type": "c", "path": "/dev/new", "major": 1, "minor": 3}]);
    let made = plan(&label(and(user_namespace(), "/linux/devices", device)), &selinux()).unwrap();
    let label_of_node = made.handles.iter().find(|handle| handle.node.is_some()).unwrap().label.clone();
    assert_eq!(label_of_node, Some((c"context".to_owned(), c"u:r:t:s0:c1,c2".to_owned())));
    // Existing file systems keep their label.
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

#[test]
fn a_filter_is_loaded_last_and_requires_a_capability_without_no_new_privileges() {
    const SYS_ADMIN: u64 = 1 << 21;
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]});
    let with =
        |no_new_privileges: bool| json!({"/linux/seccomp": profile, "/process/noNewPrivileges": no_new_privileges});
    let facts = HostFacts { bounding: SYS_ADMIN | 1, last_capability: 40, ..v2() };
    for (no_new_privileges, kept) in [(true, 0), (false, SYS_ADMIN)] {
        let plan = plan(&with(no_new_privileges), &facts).unwrap();
        let [.., Step { op: Op::Seccomp { filter, privileges, .. }, .. }, Step { op: Op::Execute, .. }] =
            &plan.init[..]
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
    let text =
        "linux.seccomp: without process.noNewPrivileges it requires CAP_SYS_ADMIN, which the runtime does not have";
    assert_eq!(plan(&with(false), &unprivileged).unwrap_err(), [text]);
}

#[test]
fn a_filter_is_loaded_before_others_see_the_process_if_it_allows_the_rest() {
    const SYS_ADMIN: u64 = 1 << 21;
    let facts = HostFacts { bounding: SYS_ADMIN | 1, last_capability: 40, ..v2() };
    let joined = |profile: serde_json::Value| json!({"/linux/seccomp": profile, "/linux/namespaces/1/path": "/ns/pid"});
    let order = |patch: &serde_json::Value| -> Vec<&'static str> {
        let plan = plan(patch, &facts).unwrap();
        let steps = plan.init.iter().map(|step| step.op.verb());
        steps.filter(|verb| ["seccomp", "enter-pid-namespace", "await-start"].contains(verb)).collect()
    };
    let allow = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    assert_eq!(order(&joined(allow.clone())), ["seccomp", "enter-pid-namespace", "await-start"]);
    let engines = serde_json::to_value(minirun_seccomp::container_profile(&["CAP_KILL"])).unwrap();
    assert_eq!(order(&joined(engines)), ["seccomp", "enter-pid-namespace", "await-start"]);
    let refuses =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["setsid"], "action": "SCMP_ACT_ERRNO"}]});
    assert_eq!(order(&joined(refuses)), ["enter-pid-namespace", "await-start", "seccomp"]);
    // No other process sees it in either case.
    assert_eq!(order(&json!({"/linux/seccomp": allow})), ["await-start", "seccomp"]);
    let plan = plan(&joined(json!({"defaultAction": "SCMP_ACT_ALLOW"})), &facts).unwrap();
    let sets = plan.init.iter().find_map(|step| match &step.op {
        Op::Seccomp { privileges, after, .. } => Some((*privileges, *after)),
        _ => None,
    });
    assert_eq!(sets, Some((Some((SYS_ADMIN, SYS_ADMIN, 0)), Some((0, 0, 0)))));
}

#[test]
fn problems_of_a_profile_name_their_place() {
    let rule = json!({"names": ["read"], "action": "SCMP_ACT_NO"});
    let patch = json!({"/linux/seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}});
    let text = "linux.seccomp.syscalls[0].action: unknown action \"SCMP_ACT_NO\"";
    assert_eq!(plan(&patch, &v2()).unwrap_err(), [text]);
    assert_eq!(exec(&patch, &v2()).unwrap_err(), [text]);
}

//! Pods: containers that join the namespaces of the first one, and share the limits of the pod's cgroup.

use std::fs;
use std::path::Path;

use super::{Caller, ROOT, USER};

#[test]
#[ignore = "long"]
fn of_root() {
    a_pod(ROOT);
}

#[test]
fn of_a_user() {
    a_pod(USER);
}

#[test]
#[ignore = "long"]
fn of_roots_cgroups() {
    a_pod(ROOT.with_cgroupfs());
}

fn a_pod(podman: Caller) {
    let pod = format!("pod-{}", podman.manager);
    let namespaces = |kinds: &str| format!("for kind in {kinds}; do readlink /proc/self/ns/$kind; done");
    let (shared, own) = (namespaces("net ipc uts"), namespaces("mnt pid"));
    let infra = "--infra-image box --infra-command 'sleep 1000'";
    podman.says(&format!(
        "podman pod create --name {pod} {infra} --network none --memory 128m
         podman run --detach --pod {pod} --name {pod}-one box sh -c 'echo heard | nc -l -p 8080; sleep 1000'"
    ));
    let of_one = |what: &str| podman.says(&format!("podman exec {pod}-one sh -c '{what}'"));
    let seen = podman.says(&format!(
        "podman run --rm --pod {pod} box sh -c '{shared}; echo; {own}; echo; hostname; until nc 127.0.0.1 8080; do sleep 0.2; done'"
    ));
    let [found, other, talk] = seen.split("\n\n").collect::<Vec<_>>()[..] else { panic!("{seen}") };
    assert_eq!((found, talk), (&*of_one(&shared), &*format!("{pod}\nheard")));
    assert_ne!(other, of_one(&own));

    let cgroup = podman.says(&format!("podman pod inspect --format '{{{{.CgroupPath}}}}' {pod}"));
    let cgroup = Path::new("/sys/fs/cgroup").join(cgroup.trim_start_matches('/'));
    assert_eq!(fs::read_to_string(cgroup.join("memory.max")).unwrap().trim(), "134217728");

    let state = format!("podman pod inspect --format '{{{{.State}}}}' {pod}");
    let seen = podman.says(&format!(
        "podman pod pause {pod} >/dev/null; {state}; podman pod unpause {pod} >/dev/null; {state}
         podman pod stop --time 0 {pod} >/dev/null; podman pod start {pod} >/dev/null; {state}
         podman pod rm --force --time 0 {pod} >/dev/null"
    ));
    assert_eq!(seen, "Paused\nRunning\nRunning");
    assert!(!cgroup.exists(), "{cgroup:?} is left");
}

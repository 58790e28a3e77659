//! Each monitor reports that the kernel's OOM killer has ended a container: containerd's shim for Docker, and conmon for
//! Podman and CRI-O. Both wait for a change of `memory.events` in the cgroup of the container's first process, and then read
//! `oom_kill`, while systemd can already be removing the scope.

use std::fs;

use runtime_tests::{Bundle, may_fail_on, wait_until};
use serde_json::json;

use crate::docker::docker;
use crate::machine::{program, says};
use crate::podman::{Caller, ROOT, USER};

/// Uses more memory than it may have.
const STARVE: &str = "tail /dev/zero";

/// As many as a script gets through in the time that it has.
const FEW: u32 = 10;
const MANY: u32 = 100;

/// Reads line by line whether the OOM kill of each of so many containers is known.
#[track_caller]
fn each_is_known(number: u32, seen: &str) {
    let known = seen.lines().filter(|line| line.trim() == "true").count();
    eprintln!("{known} of {number} OOM kills are known");
    let peers = [("runc", "loses those that come before the monitor looks"), ("crun", "as runc, without systemd")];
    may_fail_on(&peers, || assert_eq!(known, number as usize, "{seen}"));
}

/// The lives of so many containers of an engine with Docker's command line, one after the other.
fn lives(engine: &str, number: u32) -> String {
    format!(
        "life=0; names=; while [ $life != {number} ]; do name=starves-$life; names=\"$names $name\"
             {engine} run --name $name --network none -m 16m --memory-swap 16m box {STARVE} >/dev/null 2>&1 || true
             life=$((life + 1))
         done
         {engine} inspect --format '{{{{.State.OOMKilled}}}}' $names
         {engine} rm --force $names >/dev/null"
    )
}

fn known_to_docker(number: u32) {
    let _docker = docker();
    let few = || says(&lives("docker", FEW)) + "\n";
    each_is_known(number, &(0..number / FEW).map(|_| few()).collect::<String>());
}

fn known_to_podman(caller: Caller, number: u32) {
    let few = || caller.says(&lives("podman", FEW)) + "\n";
    each_is_known(number, &(0..number / FEW).map(|_| few()).collect::<String>());
}

/// conmon with the words of CRI-O, which then looks for a file `oom`.
fn known_to_conmon(number: u32) {
    let life = || {
        let bundle = Bundle::base().args(&["/bin/busybox", "tail", "/dev/zero"]).with(|config| {
            config["linux"]["resources"] = json!({"memory": {"limit": 16 << 20, "swap": 16 << 20}});
        });
        let (id, root) = (bundle.id().to_owned(), bundle.state_root().display().to_string());
        let bundle = bundle.with(|config| config["linux"]["cgroupsPath"] = format!("system.slice:crio:{id}").into());
        let (home, program) = (bundle.home().display().to_string(), program());
        bundle.write();
        says(&format!(
            "mkdir -p {home}/exits {home}/persist {home}/sockets
             conmon -b {path} -c {id} -u {id} -n name --exit-dir {home}/exits --persist-dir {home}/persist -l {home}/log \
                 --log-level info -P {home}/conmon.pid -p {home}/pidfile -r {program} --runtime-arg --root={root} \
                 --socket-dir-path {home}/sockets -s </dev/null >/dev/null 2>&1",
            path = bundle.path().display(),
        ));
        wait_until("the container", || fs::read_to_string(format!("{home}/pidfile")).is_ok_and(|pid| !pid.is_empty()));
        // conmon begins to watch when it has read that file.
        says(&format!("sleep 0.3; {program} --root {root} start {id}"));
        wait_until("its end", || std::path::Path::new(&format!("{home}/exits/{id}")).exists());
        says(&format!("{program} --root {root} delete --force {id}"));
        // Where it puts the file depends on its version.
        [bundle.path(), bundle.home().join("persist")].iter().any(|place| place.join("oom").exists())
    };
    each_is_known(number, &(0..number).map(|_| format!("{}\n", life())).collect::<String>());
}

#[test]
fn docker_knows_what_was_oom_killed() {
    known_to_docker(FEW);
}

#[test]
fn podman_knows_what_was_oom_killed() {
    known_to_podman(ROOT, FEW);
}

#[test]
fn conmon_of_cri_o_knows_what_was_oom_killed() {
    known_to_conmon(FEW);
}

#[test]
#[ignore = "long"]
fn docker_knows_every_oom_kill() {
    known_to_docker(MANY);
}

#[test]
#[ignore = "long"]
fn podman_knows_every_oom_kill() {
    known_to_podman(ROOT, MANY);
}

#[test]
#[ignore = "long"]
fn podman_with_cgroupfs_knows_every_oom_kill() {
    known_to_podman(ROOT.with_cgroupfs(), MANY);
}

#[test]
#[ignore = "long"]
fn podman_of_a_user_knows_every_oom_kill() {
    known_to_podman(USER, MANY);
}

#[test]
#[ignore = "long"]
fn conmon_of_cri_o_knows_every_oom_kill() {
    known_to_conmon(MANY);
}

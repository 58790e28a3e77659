//! `ctr`: containerd's own containers and tasks.

use runtime_tests::fails_on;

use super::{assert_nothing_left, containerd};
use crate::machine::{program, refuses, says, sh};

const IMAGE: &str = "docker.io/library/box:latest";

/// `ctr run` with the runtime under test.
pub fn run(options: &str, id: &str, words: &str) -> String {
    format!("ctr run --runc-binary {} {options} {IMAGE} {id} {words}", program())
}

#[test]
fn a_container_from_its_start_to_its_removal() {
    let _share = containerd();
    assert_eq!(says(&run("--rm", "one", "sh -c 'hostname; id -u; exit 0'")).lines().last(), Some("0"));
    assert_eq!(sh(&run("--rm", "seven", "sh -c 'exit 7'")).status, 7);

    says(&run("-d --memory-limit 67108864", "two", "/bin/probe pause"));
    assert!(says("ctr task ls").contains("RUNNING"));
    assert_eq!(says("ctr task exec --exec-id e1 two sh -c 'echo in; cat /proc/1/comm'"), "in\nprobe");
    assert_eq!(sh("ctr task exec --exec-id e2 two sh -c 'exit 9'").status, 9);
    says("ctr task pause two");
    assert!(says("ctr task ls").contains("PAUSED"));
    says("ctr task resume two");
    assert!(says("ctr task ps two").contains("PID"));
    assert!(says("ctr task metrics two").contains("memory"));
    let refused = refuses("ctr task checkpoint two");
    let peers = [("crun", "names the library that it misses"), ("runc", "names the program that it misses")];
    fails_on(&peers, || assert!(refused.contains("checkpoint"), "{refused}"));
    says("ctr task kill -s KILL two && sleep 2 && ctr task delete two; ctr container delete two");
    assert_nothing_left();
}

#[test]
#[ignore = "long"]
fn a_terminal_is_the_containers() {
    let _share = containerd();
    let script = run("--rm -t", "term", "sh -c 'tty; stty size 2>/dev/null; echo done'");
    let seen = says(&format!("script -qec \"{}\" /dev/null </dev/null", script.replace('"', "\\\"")));
    assert!(seen.contains("/dev/pts/0") && seen.contains("done"), "{seen}");
    assert_nothing_left();
}

#[test]
#[ignore = "long"]
fn what_cannot_be_executed_is_named() {
    let _share = containerd();
    // crun's first word of the reason has a capital.
    let message = refuses(&run("--rm", "none", "/no/such/program")).to_lowercase();
    assert!(message.contains("/no/such/program") && message.contains("no such file or directory"), "{message}");
    assert_nothing_left();
}

#[test]
#[ignore = "long"]
fn systemd_makes_the_cgroup_where_that_is_asked_for() {
    let _share = containerd();
    let options = "-d --runc-systemd-cgroup --cgroup system.slice:ctr:scoped";
    says(&run(options, "scoped", "/bin/probe pause"));
    assert_eq!(says("systemctl is-active ctr-scoped.scope"), "active");
    says("ctr task kill -s KILL scoped && sleep 2 && ctr task delete scoped; ctr container delete scoped");
    assert_eq!(says("systemctl show --value -p LoadState ctr-scoped.scope"), "not-found");
    assert_nothing_left();
}

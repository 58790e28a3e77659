//! What is left after many lives, and after an engine has died in the middle of one.

use std::thread;

use serde_json::json;

use super::{Share, program, says, sh, start, wait_until};

/// Where the shim has every runtime keep its state.
const STATE: &str = "/run/docker/runtime-runc/moby";

/// What the runtime has made and not removed: state, scopes, cgroups.
fn left() -> String {
    sh(&format!(
        "ls {STATE} 2>/dev/null
         systemctl list-units --all --plain --no-legend 'docker-*.scope'
         find /sys/fs/cgroup -type d -name 'docker-*'"
    ))
    .stdout
}

/// What the engine has: bundles, shims, mounts.
fn left_of_the_engine() -> String {
    sh("ls /run/containerd/io.containerd.runtime.v2.task/moby 2>/dev/null
        pgrep --list-full containerd-shim
        grep -E 'overlay2/.*/merged|/docker/netns/' /proc/self/mountinfo")
    .stdout
}

/// How many lives; MINIRUN_CHURN is for those who have less time.
fn lives() -> u32 {
    std::env::var("MINIRUN_CHURN").ok().and_then(|number| number.parse().ok()).unwrap_or(200)
}

#[test]
#[ignore = "long"]
fn nothing_is_left_of_many_lives_in_four_lanes() {
    let _alone = Share::alone(|| start(&json!({})));
    let lane = |lane: u32| {
        move || {
            for life in 0..lives() / 4 {
                // What it prints is not looked at: dockerd closes a stream that it has not seen open when it hears of
                // the end ("reading from a closed fifo"), which a short life may come to on a machine with much to do.
                let output = sh("docker run --rm box true");
                assert_eq!((output.status, &*output.stderr), (0, ""), "lane {lane}, life {life}");
            }
        }
    };
    let lanes: Vec<_> = (0..4).map(|number| thread::spawn(lane(number))).collect();
    let ended: Vec<_> = lanes.into_iter().map(thread::JoinHandle::join).collect();
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    // What an engine does after its client has gone.
    wait_until("nothing to be left", || left().is_empty() && left_of_the_engine().is_empty());
}

/// What is seen of a container on its way, as a condition of the shell.
const STAGES: [&str; 5] = [
    "pgrep containerd-shim",
    "ls STATE/*",
    "ls -d /sys/fs/cgroup/system.slice/docker-*.scope",
    "pgrep docker-init",
    "docker ps --quiet | grep .",
];

#[test]
#[ignore = "long"]
fn an_engine_that_dies_leaves_nothing_that_cannot_be_deleted() {
    let _alone = Share::alone(|| start(&json!({})));
    assert_eq!(left(), "");
    for round in 0..10 {
        let daemon = ["docker", "containerd"][round % 2];
        let stage = STAGES[round / 2].replace("STATE", STATE);
        says(&format!(
            "docker run --rm --init box sleep 1003 >/dev/null 2>&1 &
             until {stage} >/dev/null 2>&1; do sleep 0.01; done
             systemctl kill --signal KILL --kill-whom main {daemon}"
        ));
        // Debian's units restart by themselves, but not often in a minute.
        wait_until("the engine", || {
            sh("systemctl reset-failed containerd docker; systemctl start containerd docker");
            sh("docker run --rm box true").status == 0
        });
        sh("docker ps --all --quiet | xargs -r docker rm --force");
        // What containerd has forgotten is of no use.
        sh("pkill --signal KILL containerd-shim");
        let deleted = sh(&format!(
            "for path in {STATE}/*; do [ ! -d $path ] || {} --root {STATE} delete --force ${{path##*/}}; done",
            program()
        ));
        assert_eq!((&*deleted.stderr, deleted.status), ("", 0), "round {round}");
        wait_until(&format!("nothing to be left of {daemon} killed at {stage}"), || left().is_empty());
    }
}

//! What is left after many lives, and after Podman and the monitor have died in the middle of one.

use std::thread;

use runtime_tests::wait_until;

use super::{Caller, ROOT, USER};
use crate::machine::{program, sh};

#[test]
#[ignore = "long"]
fn nothing_is_left_of_roots_lives_in_four_lanes() {
    many_lives(ROOT, 10);
}

#[test]
#[ignore = "long"]
fn nothing_is_left_of_a_users_lives_in_four_lanes() {
    many_lives(USER, 5);
}

/// So many lives in each of four lanes.
fn many_lives(podman: Caller, number: u32) {
    // The host's name is the beginning of the container's id.
    let run = "podman run --rm --network none --label lives box sh -c \"echo $life; hostname\"";
    let script = format!("life=0; while [ $life != {number} ]; do {run}; life=$((life + 1)); done");
    let lane = || {
        let seen = podman.says(&script);
        let (lives, ids): (Vec<_>, Vec<_>) = seen.lines().partition(|line| line.len() < 12);
        assert_eq!(lives, (0..number).map(|life| life.to_string()).collect::<Vec<_>>());
        assert_eq!(ids.len(), number as usize, "{seen}");
        // What a monitor does after its client has gone.
        wait_until("nothing to be left", || ids.iter().all(|id| podman.left_of(id).is_empty()));
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..4).map(|_| scope.spawn(lane)).collect();
        let ended: Vec<_> = lanes.into_iter().map(thread::ScopedJoinHandle::join).collect();
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    });
    assert_eq!(podman.says("podman ps --all --quiet --filter label=lives"), "");
}

/// What is seen of a container on its way, as a condition of the shell.
const STAGES: [&str; 5] = [
    "true",
    "pgrep --full \"conmon .*$(cat CIDFILE)\"",
    "ls STATE/$(cat CIDFILE)",
    "find /sys/fs/cgroup -name libpod-$(cat CIDFILE).scope | grep .",
    "pgrep --full 'sleep 1004'",
];

#[test]
#[ignore = "long"]
fn what_dies_with_podman_and_the_monitor_can_be_removed() {
    for podman in [ROOT, USER] {
        for stage in STAGES {
            a_death(podman, stage);
        }
    }
}

fn a_death(podman: Caller, stage: &str) {
    let state = podman.state_of("");
    let cidfile = format!("{}/killed", if podman.user { "/home/user" } else { "/root" });
    let stage = stage.replace("CIDFILE", &cidfile).replace("STATE/", &state);
    // The names of both stand in front, unlike those of the shells that have this script as an argument.
    let kill = "pkill --signal KILL --full '^([^ ]*/)?(podman|conmon) .*/killed'";
    // Podman may remove its file when it dies.
    let kept = format!("{cidfile}-id");
    podman.says(&format!(
        "rm -f {cidfile} {kept}; podman rm --force --time 0 --ignore killed >/dev/null
         podman run --rm --network none --name killed --conmon-pidfile {cidfile}-by --cidfile {cidfile} box sleep 1004 \
            >{cidfile}-said 2>&1 &
         until {{ cp {cidfile} {kept} && test -s {kept} && {stage}; }} >/dev/null 2>&1; do sleep 0.05; done
         {kill}; while {kill}; do sleep 0.1; done; wait"
    ));
    let id = std::fs::read_to_string(&kept).unwrap();
    // Podman gives up once on a container whose monitor has gone.
    let remove = format!("podman rm --force --time 0 --ignore {id} >/dev/null");
    podman.says(&format!("{remove} 2>&1 || {remove}"));
    let deleted = podman.sh(&format!("{} --root {state} delete --force {id}", program()));
    assert_eq!((&*deleted.stderr, deleted.status), ("", 0), "{podman:?} {stage}");
    wait_until(&format!("nothing to be left of {podman:?} killed at {stage}"), || podman.left_of(&id).is_empty());
    assert_eq!(podman.says("podman ps --all --quiet --filter name=killed"), "", "{stage}");
}

impl Caller {
    /// What there is of a container outside of Podman's lists: state, processes, cgroups, mounts.
    fn left_of(self, id: &str) -> String {
        sh(&format!(
            "ls -d {}* 2>/dev/null
             pgrep --list-full --full '^[^ ]*(conmon|sleep) .*{id}'
             find /sys/fs/cgroup -name 'libpod-*{id}*'
             grep {id} /proc/self/mountinfo",
            self.state_of(id)
        ))
        .stdout
    }
}

//! The lives of containers: create to remove, restart policies, and what happens meanwhile.

use super::{Named, docker, inspect, refuses, runtime, says, sh, wait_until};

#[test]
fn a_life_by_every_verb() {
    let _docker = docker();
    let _named = Named(&["life", "renamed"]);
    says(
        "docker create --name life --stop-timeout 60 box sh -c 'trap \"exit 3\" TERM; trap \"echo first\" USR1; while :; do sleep 0.1; done'",
    );
    assert_eq!(inspect("life", ".State.Status"), "created");
    says("docker start life");
    assert_eq!(inspect("life", ".State.Status"), "running");
    assert_eq!(inspect("life", ".HostConfig.Runtime"), runtime());
    says("docker pause life");
    assert_eq!(
        says("docker ps --filter status=paused --format '{{.Names}} {{.Status}}'").split(' ').next(),
        Some("life")
    );
    refuses("docker exec life true");
    says("docker unpause life");
    says("docker kill --signal USR1 life");
    wait_until("the signal", || says("docker logs life") == "first");
    says("docker rename life renamed");
    says("docker stop renamed");
    assert_eq!(inspect("renamed", ".State.ExitCode"), "3");
    says("docker restart renamed");
    assert_eq!(inspect("renamed", ".State.Status"), "running");
    says("docker kill renamed");
    assert_eq!(says("docker wait renamed"), "137");
    assert_eq!(
        says("docker ps --all --filter exited=137 --filter name=renamed --format '{{.Names}}|{{.Image}}'"),
        "renamed|box"
    );
    says("docker rm renamed");
    refuses("docker inspect renamed");
}

#[test]
#[ignore = "long"]
fn restart_policies_are_kept() {
    let _docker = docker();
    let _named = Named(&["tries", "comes-back"]);
    says("docker run -d --name tries --restart on-failure:2 box sh -c 'exit 1'");
    says("docker run -d --name comes-back --restart always box sleep 1000");
    let first = inspect("comes-back", ".State.Pid");
    says(&format!("kill -9 {first}"));
    wait_until("the second life", || {
        let pid = inspect("comes-back", ".State.Pid");
        pid != "0" && pid != first
    });
    wait_until("the last try", || inspect("tries", "printf \"%d %s\" .RestartCount .State.Status") == "2 exited");
}

#[test]
#[ignore = "long"]
fn prune_takes_the_dead_alone() {
    let _docker = docker();
    let _named = Named(&["dead", "alive"]);
    says(
        "docker run --label prune=yes --name dead box true; docker run -d --label prune=yes --name alive box sleep 1000",
    );
    says("docker container prune --force --filter label=prune=yes");
    assert_eq!(says("docker ps --all --filter label=prune=yes --format '{{.Names}}'"), "alive");
}

#[test]
#[ignore = "long"]
fn a_container_that_cannot_start_says_why_and_can_be_removed() {
    let _docker = docker();
    let _named = Named(&["broken"]);
    let output = sh("docker run --name broken -v /etc/passwd:/etc box true");
    assert_eq!(output.status, 125, "{}", output.stderr);
    assert!(output.stderr.contains("Are you trying to mount a directory onto a file"), "{}", output.stderr);
    assert_eq!(inspect("broken", ".State.Status"), "created");
    says("docker rm broken");
}

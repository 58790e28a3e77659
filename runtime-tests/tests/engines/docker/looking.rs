//! Commands that look at a container or reach into it.

use runtime_tests::Running;
use serde_json::Value;

use super::{Named, docker, fs, inspect, program, runtime, says, sh, shell, wait_until};

#[test]
#[ignore = "long"]
fn the_engine_tells_of_itself() {
    let _docker = docker();
    let version = says("docker version --format '{{json .Server.Components}}'");
    let version: Value = serde_json::from_str(&version).unwrap();
    let components = version.as_array().unwrap();
    let ours = components.iter().find(|part| part["Name"] == runtime()).unwrap_or_else(|| panic!("{version}"));
    let own = says(&format!("{} --version", program()));
    let own: Vec<_> = own.lines().map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert_eq!([&ours["Version"], &ours["Details"]["GitCommit"]], [own[0], own[1]], "{version}");
    assert_eq!(says("docker info --format '{{.RuncCommit.ID}}'"), own[1]);
    let runtimes: Value = serde_json::from_str(&says("docker info --format '{{json .Runtimes}}'")).unwrap();
    assert!(runtimes.get(runtime()).is_some(), "{runtimes}");
    assert!(says("docker system df").contains("Containers"));
}

#[test]
fn a_running_container_is_looked_into() {
    let _docker = docker();
    let _named = Named(&["seen"]);
    says(
        "docker run -d --name seen -p 127.0.0.1:8011:80 box sh -c 'echo begun; echo new >/srv/new; sleep 1001 & sleep \
            1002; true'",
    );
    wait_until("the output", || says("docker logs seen") == "begun");
    let top = says("docker top seen -o pid,args");
    assert!(top.contains("sleep 1001") && top.contains("sleep 1002"), "{top}");
    let stats = says("docker stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' seen");
    assert!(stats.starts_with("3 ") && !stats.contains(" 0B /"), "{stats}");
    assert_eq!(says("docker port seen"), "80/tcp -> 127.0.0.1:8011");
    let diff = says("docker diff seen");
    assert!(diff.lines().any(|line| line == "A /srv/new"), "{diff}");
    fs::write("/var/tmp/copied", "copied\n").unwrap();
    says("docker cp /var/tmp/copied seen:/srv/copied && docker cp seen:/srv/new /var/tmp/new");
    assert_eq!(fs::read_to_string("/var/tmp/new").unwrap(), "new\n");
    assert_eq!(
        says("docker exec -w /srv -u 1000 -e WORD=word seen sh -c 'cat copied; echo $WORD $(id -u)'"),
        "copied\nword 1000"
    );
    assert_eq!(says("docker exec -d seen touch /srv/detached && docker exec seen ls /srv"), "copied\ndetached\nnew");
    assert_eq!(inspect("seen", ".State.Running"), "true");
}

#[test]
#[ignore = "long"]
fn logs_are_followed_and_cut() {
    let _docker = docker();
    let _named = Named(&["talks"]);
    says(
        "docker run -d --name talks box sh -c 'echo one; echo two >&2; while ! [ -e /go ]; do sleep 0.1; done; echo \
            three; sleep 1000'",
    );
    let mut follow = Running::start(&mut shell("exec docker logs --follow talks"), "/run/engines".as_ref());
    follow.wait_for("one");
    assert_eq!(sh("docker logs talks").stderr, "two\n");
    says("docker exec talks touch /go");
    follow.wait_for("three");
    assert_eq!(says("docker logs --tail 1 talks"), "three");
    assert_eq!(says("docker logs --since 2030-01-01T00:00:00 talks"), "");
    let stamped = says("docker logs --timestamps talks");
    assert!(stamped.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{stamped}");
    says("docker kill talks");
    assert_eq!(follow.finish().status, 0);
}

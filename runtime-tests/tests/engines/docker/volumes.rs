//! Volumes: of the host, named, anonymous, of other containers.

use super::{Named, directory, docker, fs, says, sh};

#[test]
#[ignore = "long"]
fn directories_and_files_of_the_host() {
    let _docker = docker();
    let path = directory("volume", &[("file", "host\n")]);
    let script = "cat /d/file; echo changed >/f; echo 2>/dev/null >/r/new || echo refused; echo new >/d/new; mount | grep -c \" on /[dfr] \"";
    let seen = says(&format!("docker run --rm -v {path}:/d -v {path}/file:/f -v {path}:/r:ro box sh -c '{script}'"));
    assert_eq!(seen, "host\nrefused\n3");
    assert_eq!(fs::read_to_string(format!("{path}/file")).unwrap(), "changed\n");
    assert_eq!(fs::read_to_string(format!("{path}/new")).unwrap(), "new\n");
    assert_ne!(sh(&format!("docker run --rm --mount type=bind,source={path}/nosuch,target=/x box true")).status, 0);
}

#[test]
#[ignore = "long"]
fn mounts_of_the_host_travel_as_they_are_told_to() {
    let _docker = docker();
    let _named = Named(&["receives"]);
    let path = directory("propagation", &[]);
    says(&format!("mkdir {path}/sub && docker run -d --name receives -v {path}:/d:rslave box sleep 1000"));
    says(&format!("mount -t tmpfs tmpfs {path}/sub && touch {path}/sub/later"));
    assert_eq!(says("docker exec receives ls /d/sub"), "later");
    says(&format!("umount {path}/sub"));
    assert_eq!(says("docker exec receives ls /d/sub"), "");
}

#[test]
#[ignore = "long"]
fn volumes_outlive_containers() {
    let _docker = docker();
    let _named = Named(&["keeps", "borrows"]);
    says("docker volume create kept && docker run --rm -v kept:/v box sh -c 'echo kept >/v/file; echo tmp >/srv/file'");
    says("docker run -d --name keeps -v kept:/v -v /srv box sh -c 'echo anonymous >/srv/file; sleep 1000'");
    says("docker run -d --name borrows --volumes-from keeps box sleep 1000");
    assert_eq!(says("docker exec borrows cat /v/file /srv/file"), "kept\nanonymous");
    assert_eq!(says("docker volume ls --quiet | wc -l"), "2");
    says("docker rm --force --volumes keeps borrows && docker volume prune --force");
    assert_eq!(says("docker volume ls --quiet"), "kept");
    assert_eq!(says("docker run --rm -v kept:/v box cat /v/file"), "kept");
    says("docker volume rm kept");
}

//! What minirun makes of images and with them, whatever runtime the engines have: images that it has committed are loaded
//! and run by each of them, and the limits of its bundles are in force where all controllers are.

use std::sync::OnceLock;

use crate::machine::{Disk, assert_writes_slowly, disk, says, sh};
use crate::podman::{ROOT, USER};
use crate::{boxes, docker};

/// A directory with an image in every form, made of a container's changes.
#[track_caller]
fn committed() -> &'static str {
    static MADE: OnceLock<()> = OnceLock::new();
    const PATH: &str = "/var/tmp/committed";
    MADE.get_or_init(|| {
        let changes =
            "echo made >/srv/made; rm /etc/group; chown user /srv; mkdir -p /srv/a/b; ln /srv/made /srv/a/same";
        says(&format!(
            "set -e; mkdir {PATH}; cd {PATH}; export SOURCE_DATE_EPOCH=1000000000
             minirun bundle --cmd sh --cmd -c --cmd '{changes}' docker-archive:{} changed; minirun run changed/
             commit() {{ minirun commit --change 'USER user' --change 'CMD [\"sh\", \"-c\", \"{LOOK}\"]' changed/ $1; }}
             commit oci:layout:layout; commit oci-archive:archive.tar:archive
             commit docker-archive:docker.tar:localhost/docker:latest
             chmod -R a+rX .",
            boxes::archive()
        ));
    });
    PATH
}

/// The command of the image, and what it prints.
const LOOK: &str =
    "id -un; cat /srv/made /srv/a/same; stat -c %U /srv; stat -c %h /srv/made; test -e /etc/group || echo gone";
const SEEN: &str = "user\nmade\nmade\nuser\n2\ngone";

#[test]
#[ignore = "long"]
fn podman_runs_what_was_committed() {
    let path = committed();
    for podman in [ROOT, USER] {
        for (load, name) in [
            (format!("podman pull --quiet oci:{path}/layout:layout"), "layout"),
            (format!("podman load --quiet --input {path}/archive.tar"), "archive"),
            (format!("podman load --quiet --input {path}/docker.tar"), "localhost/docker"),
        ] {
            let seen = podman.says(&format!("{load} >/dev/null; podman run --rm --network none {name}"));
            assert_eq!(seen, SEEN, "{podman:?} {load}");
        }
    }
    let copied = ROOT.says(&format!(
        "skopeo copy --quiet oci:{path}/layout:layout containers-storage:localhost/copied
         podman run --rm --network none localhost/copied"
    ));
    assert_eq!(copied, SEEN);
}

#[test]
#[ignore = "long"]
fn docker_runs_what_was_committed() {
    let _docker = docker::docker();
    let path = committed();
    says(&format!(
        "docker load --input {path}/docker.tar
         skopeo copy --quiet oci:{path}/layout:layout docker-archive:{path}/copied.tar:localhost/copied:latest
         docker load --input {path}/copied.tar"
    ));
    for name in ["localhost/docker", "localhost/copied"] {
        assert_eq!(says(&format!("docker run --rm --network none {name}")), SEEN, "{name}");
    }
}

#[test]
#[ignore = "long"]
fn limits_of_a_bundle_are_in_force() {
    let Disk { path, number, mounted } = disk();
    says(&format!(
        "cd /var/tmp; minirun bundle --memory 32m --cpus 0.5 --cpu-shares 512 --cpuset-cpus 1 --pids-limit 20 \
            --device-write-bps {path}:1m --device-read-iops {path}:100 --volume {mounted}:/srv \
            --cmd sleep --cmd 1000 docker-archive:{} limited
         minirun run --detach --bundle limited limited",
        boxes::archive()
    ));
    let files = "memory.max cpu.max cpu.weight cpuset.cpus.effective pids.max io.max";
    let outside = says(&format!(
        "pid=$(minirun state limited | jq .pid); cd /sys/fs/cgroup$(cut -d : -f 3 /proc/$pid/cgroup); cat {files}"
    ));
    let inside = says(&format!("minirun exec limited sh -c 'cd /sys/fs/cgroup; cat {files}; nproc'"));
    let wanted = format!("33554432\n50000 100000\n59\n1\n20\n{number} rbps=max wbps=1048576 riops=100 wiops=max");
    assert_eq!((&*outside, inside), (&*wanted, format!("{wanted}\n1")));

    // Each of them bites.
    let limited = |script: &str| sh(&format!("minirun exec limited sh -c '{script}'"));
    let forks = limited("i=0; while [ $i != 30 ]; do sleep 1000 & i=$((i + 1)); done; wait");
    assert!(forks.status != 0 && forks.stderr.contains("fork"), "{forks:?}");
    says("minirun exec limited killall sleep || true");
    assert_writes_slowly("minirun exec limited", "/srv/of-a-bundle");
    assert_eq!(limited("tail -c 100m /dev/zero").status, 137);
    says("minirun delete --force limited");
}

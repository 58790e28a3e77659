//! dockerd with other options: the other cgroup driver, user namespaces, other file systems.

use runtime_tests::fails_on;
use serde_json::{Value, json};

use super::running::CRUNS_WORDS;
use super::{Named, Share, fs, inspect, program, says, sh, start};

/// The part of the suite that every set-up has to pass.
#[track_caller]
fn works(name: &'static str) {
    says(&format!("docker run -d --name {name} -m 64m --pids-limit 50 box sh -c 'echo begun; exec sleep 1000'"));
    assert_eq!(
        says(&format!("docker exec {name} sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; id -u'")),
        "67108864\n50\n0"
    );
    says(&format!(
        "docker pause {name} && docker unpause {name} && docker update --memory 32m --memory-swap 32m {name}"
    ));
    assert!(says(&format!("docker top {name}")).contains("sleep 1000"));
    assert_eq!(sh(&format!("docker exec {name} probe allocate 100")).status, 137);
    says(&format!("docker stop --time 1 {name} && docker rm {name}"));
    // Elsewhere than what Docker keeps in these tests.
    let path = super::directory(
        &format!("{name}-build"),
        &[("Dockerfile", "FROM box\nRUN echo made >/srv/file && chown 1000 /srv/file\n")],
    );
    says(&format!("docker build -t {name} {path}"));
    assert_eq!(says(&format!("docker run --rm {name} sh -c 'cat /srv/file; stat -c %u /srv/file'")), "made\n1000");
    fails_on(&CRUNS_WORDS, || assert_eq!(sh("docker run --rm box nosuch").status, 127));
}

#[test]
#[ignore = "long"]
fn cgroupfs() {
    let _docker = Share::of("docker cgroupfs", || start(&json!({"exec-opts": ["native.cgroupdriver=cgroupfs"]})));
    let _named = Named(&["on-cgroupfs", "parent"]);
    assert_eq!(says("docker info --format '{{.CgroupDriver}}'"), "cgroupfs");
    works("on-cgroupfs");
    let id = says("docker run -d --name parent --cgroup-parent /below/it box sleep 1000");
    assert!(fs::exists(format!("/sys/fs/cgroup/below/it/{id}")).unwrap());
}

#[test]
#[ignore = "long"]
fn cgroups_below_a_slice() {
    let _docker = Share::of("docker slice", || start(&json!({"cgroup-parent": "engines-docker.slice"})));
    let _named = Named(&["in-slice"]);
    let id = says("docker run -d --name in-slice box sleep 1000");
    let path = format!("/sys/fs/cgroup/engines.slice/engines-docker.slice/docker-{id}.scope");
    assert!(fs::exists(&path).unwrap(), "{path}");
}

#[test]
#[ignore = "long"]
fn users_are_remapped() {
    let _docker = Share::of("docker userns", || start(&json!({"userns-remap": "default"})));
    let _named = Named(&["remapped", "runs-remapped"]);
    works("remapped");
    says("docker run -d --name runs-remapped box sleep 1000");
    let map = says("docker exec runs-remapped cat /proc/self/uid_map");
    let map: Vec<_> = map.split_whitespace().collect();
    let owner = says(&format!("stat -c %u /proc/{}", inspect("runs-remapped", ".State.Pid")));
    assert!(map[0] == "0" && map[1] != "0" && map[1] == owner, "{map:?} {owner}");
    assert_ne!(sh("docker exec runs-remapped sh -c 'echo 1 >/proc/sys/kernel/core_uses_pid'").status, 0);
    assert_eq!(
        says("docker run --rm --userns host box cat /proc/self/uid_map").split_whitespace().collect::<Vec<_>>(),
        ["0", "0", "4294967295"]
    );
}

/// `runtimeArgs` stand before Docker's own words, among them that for the log in which it looks for the reason.
#[test]
#[ignore = "long"]
fn a_wrong_option_of_the_runtime_is_told() {
    let runtimes = json!({"odd": {"path": program(), "runtimeArgs": ["--nosuch"]}});
    let silent = "makes no log, so Docker says `unable to retrieve OCI runtime error`";
    let own = [("runc", silent), ("crun", silent)];
    fails_on(&own, || {
        let _alone = Share::alone(|| start(&json!({"runtimes": runtimes, "default-runtime": "odd"})));
        let output = sh("docker run --rm box true");
        assert!(
            output.status == 125 && output.stderr.contains("flag provided but not defined: --nosuch"),
            "{output:?}"
        );
    });
}

/// Makes a file system in a file, and has Docker keep everything on it.
#[track_caller]
fn on(name: &'static str, make: &str, options: Value) {
    let mut more = options;
    more["data-root"] = format!("/var/tmp/{name}/docker").into();
    let _docker = Share::of(&format!("docker {name}"), || {
        says("modprobe loop");
        says(&format!("mkdir -p /var/tmp/{name} && truncate -s 600M /var/tmp/{name}.img && {make}"));
        start(&more);
    });
    let _named = Named(&["on-btrfs", "on-device-mapper", "on-vfs", "on-fuse"]);
    works(name);
}

#[test]
#[ignore = "long"]
fn on_btrfs() {
    let make = "mkfs.btrfs -q /var/tmp/on-btrfs.img && mount -o loop /var/tmp/on-btrfs.img /var/tmp/on-btrfs";
    on("on-btrfs", make, json!({"storage-driver": "btrfs"}));
}

#[test]
#[ignore = "long"]
fn on_a_device_mapper() {
    // Without udev nobody makes the links below /dev/mapper.
    let make = "disk=$(losetup --find --show /var/tmp/on-device-mapper.img) &&
        dmsetup create engines --noudevsync --table \"0 $(blockdev --getsz $disk) linear $disk 0\" &&
        disk=/dev/$(dmsetup info --columns --noheadings -o BlkDevName engines) &&
        mkfs.ext4 -q $disk && mount $disk /var/tmp/on-device-mapper";
    on("on-device-mapper", make, json!({"storage-driver": "overlay2"}));
}

#[test]
#[ignore = "long"]
fn on_vfs() {
    on("on-vfs", "true", json!({"storage-driver": "vfs"}));
}

#[test]
#[ignore = "long"]
fn on_fuse() {
    on("on-fuse", "modprobe fuse", json!({"storage-driver": "fuse-overlayfs"}));
}

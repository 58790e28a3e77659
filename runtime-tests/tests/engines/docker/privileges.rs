//! Capabilities, privileged containers, seccomp profiles, devices.

use runtime_tests::fails_on;

use super::{Named, directory, docker, says, sh};

#[test]
#[ignore = "long"]
fn capabilities_are_added_and_dropped() {
    let _docker = docker();
    let status = "box grep -E 'CapEff|NoNewPrivs' /proc/self/status";
    let seen =
        says(&format!("docker run --rm --cap-drop ALL --cap-add NET_RAW --security-opt no-new-privileges {status}"));
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["CapEff:", "0000000000002000", "NoNewPrivs:", "1"]);
    assert_ne!(sh("docker run --rm box mount -t tmpfs tmpfs /srv").status, 0);
    says("docker run --rm --cap-add SYS_ADMIN --security-opt apparmor=unconfined box mount -t tmpfs tmpfs /srv");
}

#[test]
#[ignore = "long"]
fn a_privileged_container_may_do_everything() {
    let _docker = docker();
    let script = "mount -t tmpfs tmpfs /srv && ls /dev/vda && echo 1 >/proc/sys/net/ipv4/ip_forward && mknod \
        /tmp/disk b 254 0 && head -c 1 /tmp/disk | wc -c && mkdir /sys/fs/cgroup/inner";
    assert_eq!(says(&format!("docker run --rm --privileged box sh -c '{script}'")), "/dev/vda\n1");
}

#[test]
#[ignore = "long"]
fn seccomp_profiles_hold() {
    let _docker = docker();
    assert_ne!(sh("docker run --rm box unshare -U true").status, 0);
    says("docker run --rm --security-opt seccomp=unconfined box unshare -U true");
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let path = directory("seccomp", &[("profile.json", profile)]);
    let output = sh(&format!("docker run --rm --security-opt seccomp={path}/profile.json box mkdir /srv/new"));
    assert!(output.status == 1 && output.stderr.contains("Operation not permitted"), "{output:?}");
}

#[test]
#[ignore = "long"]
fn devices_are_given() {
    let _docker = docker();
    let _named = Named(&["devices"]);
    assert_eq!(
        says(
            "docker run --rm --device /dev/vda:/dev/disk:r box sh -c 'head -c 1 /dev/disk | wc -c; echo 2>/dev/null \
                >/dev/disk || echo refused'"
        ),
        "1\nrefused"
    );
    fails_on(&[("crun", "lets nobody make what a rule lets him read")], || {
        says(
            "docker run --rm --device-cgroup-rule 'b *:* r' box sh -c 'mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk'",
        );
    });
    assert_ne!(sh("docker run --rm box sh -c 'mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk'").status, 0);
}

#[test]
#[ignore = "long"]
fn namespaces_of_the_host_are_joined() {
    let _docker = docker();
    let seen = says(
        "docker run --rm --pid host --uts host --ipc host --cgroupns host --network host box sh -c 'hostname; cat \
            /proc/1/comm; cat /proc/self/cgroup'",
    );
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines[..2], ["vm", "systemd"]);
    assert!(lines[2].contains("/docker-"), "{seen}");
}

//! Options of `podman run` that need something of the runtime, and what a person is told when it fails.

use runtime_tests::{fails_on, may_fail_on};

use super::{Caller, ROOT, USER};

#[test]
#[ignore = "long"]
fn ways_to_have_a_cgroup_of_root() {
    ways_to_have_a_cgroup(ROOT);
}

#[test]
#[ignore = "long"]
fn ways_to_have_a_cgroup_of_a_user() {
    ways_to_have_a_cgroup(USER);
}

fn ways_to_have_a_cgroup(podman: Caller) {
    fails_on(&[("runc", "Podman does not offer it containers without a cgroup")], || {
        let seen = podman.says(
            "podman run --detach --name none --network none --cgroups disabled --cgroupns host box sleep 1000 >/dev/null
             podman exec none cat /proc/1/cgroup; podman kill none >/dev/null; podman wait none; podman rm none",
        );
        let [cgroup, rest @ ..] = &seen.lines().collect::<Vec<_>>()[..] else { panic!("{seen}") };
        assert!(!cgroup.contains("libpod-"), "{cgroup}");
        assert_eq!(rest, ["137", "none"]);
    });
    let look = "podman run --rm --network none --cgroupns host";
    let seen =
        podman.says(&format!("{look} --cgroups split box cat /proc/self/cgroup; {look} box cat /proc/self/cgroup"));
    let [split, enabled] = seen.lines().collect::<Vec<_>>()[..] else { panic!("{seen}") };
    assert!(split.contains("libpod-payload-") && split.contains(".service/"), "{split}");
    fails_on(&[("crun", "makes a cgroup of its own below the scope")], || {
        assert!(enabled.contains("libpod-") && enabled.ends_with(".scope"), "{enabled}");
    });
}

/// Maps of ids below those of the user, who is root of a user namespace already.
#[test]
fn maps_of_a_users_ids() {
    let run = "podman run --rm --network none";
    let look = "cat /proc/self/uid_map; id -u; cat /etc/hostname | wc -l";
    let seen = USER.says(&format!(
        "{run} --userns keep-id box sh -c '{look}'; {run} --uidmap 0:5:100 --hostuser user box sh -c '{look}'"
    ));
    let words: Vec<_> = seen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(words, ["0 1 1000", "1000 0 1", "1001 1001 64536", "1000", "1", "0 5 100", "0", "1"], "{seen}");
}

#[test]
#[ignore = "long"]
fn the_hosts_namespaces() {
    for podman in [ROOT, USER] {
        let seen = podman.says(
            "kinds='net pid ipc uts cgroup'
             for kind in $kinds; do readlink /proc/self/ns/$kind; done
             podman run --rm --network host --pid host --ipc host --uts host --cgroupns host box \
                sh -c \"for kind in $kinds; do readlink /proc/self/ns/\\$kind; done\"",
        );
        let lines: Vec<_> = seen.lines().collect();
        assert_eq!(lines[..5], lines[5..], "{podman:?}");
    }
}

#[test]
#[ignore = "long"]
fn what_a_process_may_do() {
    for podman in [ROOT, USER] {
        let seen = podman.says(
            "touch /tmp/file-$(id -u)
             podman run --rm --network none --security-opt seccomp=unconfined --security-opt no-new-privileges \
                --cap-drop all --cap-add chown --ulimit nofile=100:100 --sysctl net.ipv4.ip_forward=1 --device /dev/fuse \
                --shm-size 1m --volume /tmp/file-$(id -u):/srv/file:ro --mount type=tmpfs,destination=/t,tmpfs-mode=1777 \
                --group-add 5 --env A=b box sh -c '
                    grep -E \"CapEff|NoNewPrivs|Seccomp:\" /proc/self/status | cut -f 2
                    ulimit -n; cat /proc/sys/net/ipv4/ip_forward; test -c /dev/fuse && echo device
                    df -k /dev/shm | tail -n 1 | tr -s \" \" | cut -d \" \" -f 2
                    touch /srv/file 2>/dev/null || echo refused; touch /t/x && echo written; id -G; echo $A'
             podman run --rm --network none --privileged box sh -c '
                grep CapBnd /proc/self/status | cut -f 2; mount -t tmpfs none /srv && echo mounted'",
        );
        let wanted = [
            "0000000000000001",
            "1",
            "0",
            "100",
            "1",
            "device",
            "1024",
            "refused",
            "written",
            "0 5",
            "b",
            "000001ffffffffff",
            "mounted",
        ];
        assert_eq!(seen.lines().collect::<Vec<_>>(), wanted, "{podman:?}");
    }
}

/// Maps that Podman chooses, from the ids that are granted to the name `containers`.
#[test]
#[ignore = "long"]
fn maps_chosen_for_roots_containers() {
    let look = "cat /proc/self/uid_map; touch /file; stat -c %u:%g /file";
    let seen = ROOT.says(&format!(
        "for file in /etc/subuid /etc/subgid; do echo containers:200000:65536 >>$file; done
         run='podman run --network none --userns auto:size=1024'
         $run --detach --name chosen box sleep 1000 >/dev/null
         podman exec chosen sh -c '{look}'; $run --rm box sh -c '{look}'; podman rm --force --time 0 chosen"
    ));
    let words: Vec<_> = seen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(words, ["0 200000 1024", "0:0", "0 201024 1024", "0:0", "chosen"], "{seen}");
}

/// The exit status is taken from words of the message, which Podman reads from the runtime's log.
#[test]
fn a_program_that_cannot_run_has_the_status_of_a_shell() {
    let run = "podman run --rm --network none box";
    for (program, status, words) in [
        ("nosuch", 127, r#"exec: "nosuch": executable file not found in $PATH: OCI runtime attempted to invoke"#),
        ("/etc/passwd", 126, r#"exec: "/etc/passwd": permission denied: OCI permission denied"#),
    ] {
        let output = USER.sh(&format!("{run} {program}"));
        assert_eq!(output.status, status, "{}", output.stderr);
        may_fail_on(&[("crun", "has words of its own"), ("runc", "escapes the quotes at times")], || {
            assert!(output.stderr.contains(words), "{}", output.stderr);
        });
    }
    assert_eq!(USER.sh(&format!("{run} sh -c 'exit 9'")).status, 9);
}

/// What cannot be done is told in one line, which names what to change, by Podman or by the runtime.
#[test]
#[ignore = "long"]
fn what_fails_is_told() {
    for (options, status, words) in [
        ("--workdir /nosuch box true", 126, r#"workdir "/nosuch" does not exist"#),
        ("--workdir /etc/passwd box true", 126, "is not a directory"),
        ("--user nosuch box true", 126, "unable to find user nosuch"),
        ("--device /dev/nosuch box true", 125, "stat /dev/nosuch: no such file"),
        ("--volume /nosuch:/x box true", 125, "statfs /nosuch: no such file"),
        ("--cpuset-cpus 99 box true", 126, "cpuset.cpus"),
        ("--sysctl net.ipv4.nosuch=1 box true", 127, "net/ipv4/nosuch"),
        ("--volume /etc:/bin/probe box true", 126, "not a directory"),
    ] {
        let output = ROOT.sh(&format!("podman run --rm --network none --name told {options}"));
        let told = output.stderr.trim();
        assert!(output.status == status && told.to_lowercase().contains(words), "{options}: {output:?}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    assert_eq!(ROOT.says("podman ps --all --quiet --filter name=told"), "");
    // What systemd does not delegate to a user by itself.
    let output = USER.sh("podman run --rm --network none --cpuset-cpus 0 box true");
    fails_on(&[("crun", "has words of its own"), ("runc", "has words of its own")], || {
        assert!(output.status == 126 && output.stderr.contains("Delegate= in a drop-in"), "{output:?}");
    });
}

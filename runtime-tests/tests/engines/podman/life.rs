//! A container's life, by Podman's commands: the same for every caller.

use std::path::Path;

use super::{Caller, ROOT, USER};
use crate::machine::runtime;

#[test]
fn of_roots_scopes() {
    a_life(ROOT, "life-scope");
}

#[test]
fn of_a_users_scopes() {
    a_life(USER, "life-scope");
}

#[test]
#[ignore = "long"]
fn of_roots_cgroups() {
    a_life(ROOT.with_cgroupfs(), "life-cgroup");
}

#[test]
#[ignore = "long"]
fn of_a_users_cgroups() {
    a_life(USER.with_cgroupfs(), "life-cgroup");
}

fn a_life(podman: Caller, name: &str) {
    let options = "--network none --hostname host --user user --workdir /tmp --env A=b --read-only --init \
                   --memory 64m --pids-limit 50 --cpus 0.5 --volume vol:/home/user:U";
    let id = podman.says(&format!("podman run --detach --name {name} {options} box sleep 1000"));
    let look =
        "hostname; pwd; id -un; echo $A; cd /sys/fs/cgroup; cat memory.max pids.max cpu.max; cat /proc/self/cgroup;
                touch /home/user/mine && echo written; touch /etc/mine || echo refused; exit 7";
    let output = podman.sh(&format!("podman exec {name} sh -c '{look}'"));
    let seen: Vec<_> = output.stdout.lines().collect();
    let wanted = ["host", "/tmp", "user", "b", "67108864", "50", "50000 100000", "0::/", "written", "refused"];
    assert_eq!((&seen[..], output.status), (&wanted[..], 7), "{}", output.stderr);

    let format = "{{.OCIRuntime}} {{.State.Status}} {{.State.ConmonPid}} {{.State.CgroupPath}}";
    let seen = podman.says(&format!("podman inspect --format '{format}' {name}"));
    let [by, status, monitor, cgroup] = seen.split(' ').collect::<Vec<_>>()[..] else { panic!("{seen}") };
    assert_eq!((by, status), (runtime().as_str(), "running"));
    let cgroup = format!("/sys/fs/cgroup{cgroup}");
    assert!(Path::new(&cgroup).is_dir() && cgroup.contains(&id), "{cgroup}");
    assert_eq!(cgroup.ends_with(".scope"), podman.manager == "systemd", "{cgroup}");

    let script = format!(
        "podman pause {name} && podman inspect --format '{{{{.State.Status}}}}' {name} && podman unpause {name}
         podman update --memory 80m --pids-limit 60 {name} >/dev/null && cat {cgroup}/memory.max {cgroup}/pids.max
         podman stats --no-stream --format '{{{{.Name}}}} {{{{.PIDs}}}}' {name}
         podman top {name} comm | tail -n 1
         podman restart --time 0 {name}
         podman exec --detach {name} touch /tmp/detached >/dev/null
         podman exec {name} sh -c 'until test -e /tmp/detached; do sleep 0.1; done; cat /sys/fs/cgroup/memory.max'
         podman kill --signal TERM {name}; podman wait {name}"
    );
    let seen = podman.says(&script);
    let wanted = [name, "paused", name, "83886080", "60", &format!("{name} 2"), "sleep", name, "83886080", name, "143"];
    assert_eq!(seen.lines().collect::<Vec<_>>(), wanted);

    podman.says(&format!("podman rm --force --time 0 --volumes {name}"));
    for path in [cgroup, format!("/proc/{monitor}"), podman.state_of(&id)] {
        assert!(!Path::new(&path).exists(), "{path} is left");
    }
}

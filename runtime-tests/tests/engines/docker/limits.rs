//! Limits, each by what it does.

use serde_json::json;

use super::{Named, docker, inspect, says, sh, wait_until};
use crate::machine::{assert_writes_slowly, disk};

/// A value of the container's own cgroup.
#[track_caller]
fn knob(name: &str, file: &str) -> String {
    says(&format!("docker exec {name} cat /sys/fs/cgroup/{file}"))
}

#[test]
fn memory_pids_and_processors_are_limited() {
    let _docker = docker();
    let _named = Named(&["limited", "starves"]);
    assert_eq!(sh("docker run --name starves -m 32m --memory-swap 32m box probe allocate 100").status, 137);
    assert_eq!(inspect("starves", ".State.OOMKilled"), "true");
    let seen = says(
        "docker run --rm --pids-limit 10 --cpuset-cpus 1 --cpus 0.2 box sh -c 'nproc; probe forks 20; probe spin \
            2000; cat /sys/fs/cgroup/cpu.stat'",
    );
    assert!(seen.starts_with("1\n"), "{seen}");
    assert!(seen.contains("\nerrno=EAGAIN\n"), "{seen}");
    let throttled = seen.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap();
    assert_ne!(throttled, "0", "{seen}");
}

#[test]
#[ignore = "long"]
fn a_running_container_is_limited() {
    let _docker = docker();
    let _named = Named(&["updated"]);
    says("docker run -d --name updated -m 64m --memory-swap 64m box sleep 1000");
    says(
        "docker update --memory 32m --memory-swap 48m --cpus 0.5 --pids-limit 77 --cpu-shares 512 --cpuset-cpus 0 \
            --memory-reservation 16m updated",
    );
    for (file, value) in [
        ("memory.max", "33554432"),
        ("memory.swap.max", "16777216"),
        ("memory.low", "16777216"),
        ("cpu.max", "50000 100000"),
        ("pids.max", "77"),
        ("cpuset.cpus", "0"),
    ] {
        assert_eq!(knob("updated", file), value, "{file}");
    }
    assert_eq!(sh("docker exec updated probe allocate 100").status, 137);
    assert_eq!(inspect("updated", ".State.Running"), "true");
}

#[test]
#[ignore = "long"]
fn shares_of_a_processor_are_in_proportion() {
    let _docker = docker();
    let _named = Named(&["much", "little"]);
    for (name, shares) in [("much", 4096), ("little", 256)] {
        says(&format!(
            "docker run -d --name {name} --cpuset-cpus 1 --cpu-shares {shares} box sh -c 'until [ -e /go ]; do sleep \
                0.1; done; while :; do :; done'"
        ));
    }
    says("docker exec much touch /go & docker exec little touch /go; wait");
    let usage = |name: &str| {
        let stat = knob(name, "cpu.stat");
        stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok()).unwrap()
    };
    let before = [usage("much"), usage("little")];
    wait_until("some work", || usage("much") > before[0] + 5_000_000);
    let [much, little] = [usage("much") - before[0], usage("little") - before[1]];
    assert!(much > 2 * little, "{much} {little}");
}

/// The rates by Docker's API, as Compose gives them: its command line left them out from 25.0 to 27.1.1 of what it sends.
#[test]
#[ignore = "long"]
fn disks_are_limited() {
    let _docker = docker();
    let _named = Named(&["weighed", "slow"]);
    says("docker run -d --name weighed --blkio-weight 100 box sleep 1000");
    assert_eq!(knob("weighed", "io.weight"), "default 910");

    let disk = disk();
    let rate = |rate: u32| json!([{"Path": disk.path, "Rate": rate}]);
    let container = json!({"Image": "box", "Cmd": ["sleep", "1000"], "HostConfig": {
        "Binds": [format!("{}:/srv", disk.mounted)],
        "BlkioDeviceReadBps": rate(2 << 20),
        "BlkioDeviceWriteBps": rate(1 << 20),
        "BlkioDeviceReadIOps": rate(100),
        "BlkioDeviceWriteIOps": rate(200),
    }});
    says(&format!(
        "curl --silent --show-error --fail --unix-socket /run/docker.sock --header 'Content-Type: application/json' \
            --data '{container}' 'http://docker/containers/create?name=slow'
         docker start slow"
    ));
    assert_eq!(knob("slow", "io.max"), format!("{} rbps=2097152 wbps=1048576 riops=100 wiops=200", disk.number));
    assert_writes_slowly("docker exec slow", "/srv/of-docker");
}

//! Each limit is shown to bite. Where time is measured it is compared with another time or with a lower bound: an
//! emulated machine is slow, never fast.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use runtime_tests::{Container, fails_on, may_fail_on, wait_until};
use serde_json::{Value, json};

use super::{MIB, OLD_CRUN, OLD_RUNC, disk, limited, read};

#[test]
fn memory_beyond_the_limit_is_killed_and_said_so() {
    let bundle = limited(json!({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})).probe("allocate 200");
    let output = bundle.run();
    assert_eq!(output.status, 137, "{output:?}");
    let known = [("runc", "says so only when its own init is killed"), ("crun", "as runc")];
    fails_on(&known, || assert!(output.stderr.to_lowercase().contains("oom"), "{output:?}"));
    bundle.assert_nothing_left();
}

#[test]
fn memory_within_the_limit_is_given() {
    let bundle = limited(json!({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})).probe("allocate 32");
    assert_eq!(bundle.run().value("allocated"), "32");
}

/// The measurements of time want the processors for themselves.
static ALONE: Mutex<()> = Mutex::new(());

fn usage(container: &Container) -> u64 {
    let stat = read(container, "cpu.stat");
    let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
    usage.unwrap().parse().unwrap()
}

#[test]
fn shares_divide_a_busy_processor() {
    let _alone = ALONE.lock();
    let busy = |shares: u64| {
        let container = limited(json!({"cpu": {"shares": shares, "cpus": "1"}})).probe("spin 600000").create();
        container.start();
        container
    };
    let (half, whole) = (busy(512), busy(1024));
    wait_until("both to be busy", || usage(&half).min(usage(&whole)) > 200_000);
    let before = (usage(&half), usage(&whole));
    std::thread::sleep(Duration::from_secs(6));
    let (half, whole) = (usage(&half) - before.0, usage(&whole) - before.1);
    let ratio = half as f64 / whole as f64;
    // Their old formula gives 20 : 39, at the edge of what is tolerated.
    may_fail_on(&[OLD_RUNC, OLD_CRUN], || {
        assert!((0.59 * 0.85..0.59 * 1.15).contains(&ratio), "{half} : {whole} = {ratio:.3}, wanted 0.59");
    });
}

#[test]
fn a_quota_bounds_the_time_on_the_processor() {
    let _alone = ALONE.lock();
    let seen = limited(json!({"cpu": {"quota": 20_000, "period": 100_000}})).probe("spin 3000").run();
    let time: u64 = seen.value("cpu_ms").parse().unwrap();
    assert!(time < 1200, "{time} ms of 3000 with a fifth of a processor");
}

#[test]
fn a_cpuset_of_one_runs_there() {
    for cpu in ["0", "1"] {
        let resources = json!({"cpu": {"cpus": cpu}});
        assert_eq!(limited(resources.clone()).probe("cpus").run().value("cpus"), cpu);
        assert_eq!(limited(resources).probe("spin 50").run().value("cpu"), cpu);
    }
}

#[test]
fn a_throttle_slows_writing() {
    let _alone = ALONE.lock();
    let (major, minor) = disk();
    let written = |resources: Value| {
        let bundle = limited(resources);
        let directory = Path::new("/mnt/disk").join(bundle.id());
        fs::create_dir(&directory).unwrap();
        let bundle = bundle.mount("/mnt", "bind", directory.to_str().unwrap(), &["bind", "rw"]);
        let time = bundle.probe("write-direct /mnt/file 4").run().value("write_ms");
        fs::remove_dir_all(directory).unwrap();
        time.parse::<u64>().unwrap()
    };
    let free = written(json!({}));
    let slow = written(json!({"blockIO": {"throttleWriteBpsDevice": [{"major": major, "minor": minor, "rate": MIB}]}}));
    assert!(slow > 2500 && slow > 2 * free, "4 MiB at 1 MiB/s in {slow} ms, without a limit in {free} ms");
}

#[test]
fn forks_stop_at_the_limit() {
    let seen = limited(json!({"pids": {"limit": 20}})).probe("forks 100").run().success();
    let forked = seen.lines().find_map(|line| line.strip_prefix("forked=")).unwrap();
    assert!(forked.parse::<u64>().unwrap() < 20 && seen.contains("errno=EAGAIN"), "{seen}");
}

#[test]
fn the_smallest_limits_suffice_for_the_smallest_program() {
    // A runtime's own memory and threads must not count against the container.
    let bundle = limited(json!({"memory": {"limit": MIB, "swap": MIB}, "pids": {"limit": 1}}));
    let known =
        [("runc", "its init needs more than 1 MiB and several threads"), ("crun", "its init needs more than 1 MiB")];
    may_fail_on(&known, || drop(bundle.args(&["/bin/true"]).run().success()));
}

#[test]
fn a_denied_device_cannot_be_opened() {
    let (major, minor) = disk();
    let node = json!([{"path": "/dev/disk", "type": "b", "major": major, "minor": minor}]);
    let deny = json!({"allow": false, "access": "rwm"});
    let allow = json!({"allow": true, "type": "b", "major": major, "minor": minor, "access": "r"});
    for (rules, expected) in
        [(json!([deny]), "read=EPERM\nwrite=EPERM\n"), (json!([deny, allow]), "read=ok\nwrite=EPERM\n")]
    {
        let bundle = limited(json!({"devices": rules})).with(|config| config["linux"]["devices"] = node.clone());
        assert_eq!(bundle.probe("open /dev/disk").run().success(), expected, "{rules}");
    }
}

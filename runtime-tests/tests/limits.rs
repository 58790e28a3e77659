//! Limits: each is written, read back, and shown to bite. Runs as a static program in a virtual machine whose cgroup v2
//! has all controllers, an ext4 disk at `/mnt/disk` and two processors.
//!
//! What the runtime wrote is read from the files and, independently, through the getters of cgroups-rs. Where time is
//! measured it is compared with another time or with a lower bound: an emulated machine is slow, never fast.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuset::CpuSetController;
use cgroups_rs::fs::hierarchies;
use cgroups_rs::fs::hugetlb::HugeTlbController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, MaxValue};
use runtime_tests::{
    Bundle, Container, Output, Running, Runtime, fails_on, may_fail_on, require_controllers, wait_until,
};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

fn limited(resources: Value) -> Bundle {
    require_controllers(&["cpu", "cpuset", "io", "memory", "pids"]);
    Bundle::base().with(|config| config["linux"]["resources"] = resources)
}

fn created(resources: Value) -> Container {
    limited(resources).probe("pause").create()
}

fn read(container: &Container, file: &str) -> String {
    let path = container.cgroup().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

/// Writes resources and compares one file.
#[track_caller]
fn writes(resources: Value, file: &str, expected: &str) {
    let container = created(resources.clone());
    assert_eq!(read(&container, file), expected, "{resources} in {file}");
}

/// The disk's device number.
fn disk() -> (u64, u64) {
    let device = fs::metadata("/mnt/disk").expect("a disk at /mnt/disk").dev();
    (u64::from(libc::major(device)), u64::from(libc::minor(device)))
}

/// `create` fails and leaves nothing; returns the message.
#[track_caller]
fn refused(bundle: &Bundle) -> String {
    let message = bundle.try_create().failure();
    may_fail_on(&[("crun", "1.8.1 leaves the cgroup")], || bundle.assert_nothing_left());
    message
}

const OLD_RUNC: (&str, &str) = ("runc", "1.1 is older than this property or formula");
const OLD_CRUN: (&str, &str) = ("crun", "1.8.1 is older than this property or formula");

#[test]
fn memory() {
    writes(json!({"memory": {"limit": 256 * MIB}}), "memory.max", "268435456");
    writes(json!({"memory": {"limit": -1}}), "memory.max", "max");
    writes(json!({"memory": {"reservation": 128 * MIB}}), "memory.low", "134217728");
    writes(json!({"memory": {"limit": 256 * MIB, "reservation": 128 * MIB}}), "memory.low", "134217728");
}

#[test]
fn swap_is_what_exceeds_the_memory() {
    let rows = [(256, 384, "134217728"), (256, 256, "0")];
    for (limit, swap, expected) in rows {
        writes(json!({"memory": {"limit": limit * MIB, "swap": swap * MIB}}), "memory.swap.max", expected);
    }
    writes(json!({"memory": {"limit": 256 * MIB, "swap": -1}}), "memory.swap.max", "max");
    writes(json!({"memory": {"limit": 256 * MIB}}), "memory.swap.max", "max");
    writes(json!({"memory": {"limit": -1, "swap": -1}}), "memory.swap.max", "max");
}

#[test]
fn swap_that_cannot_be_converted_is_refused() {
    for memory in [json!({"limit": 256 * MIB, "swap": 128 * MIB}), json!({"swap": 128 * MIB})] {
        let message = refused(&limited(json!({"memory": memory})));
        assert!(!Runtime::from_env().is_minirun() || message.contains("linux.resources.memory.swap"), "{message}");
    }
}

#[test]
fn shares_become_a_weight() {
    fails_on(&[OLD_RUNC, OLD_CRUN], || {
        for (shares, weight) in [(2, "1"), (512, "59"), (1024, "100"), (2048, "174"), (262_144, "10000")] {
            writes(json!({"cpu": {"shares": shares}}), "cpu.weight", weight);
        }
    });
}

#[test]
fn shares_of_0_are_unset() {
    writes(json!({"cpu": {"shares": 0}}), "cpu.weight", "100");
}

#[test]
fn quota_and_period() {
    writes(json!({"cpu": {"quota": 50_000, "period": 200_000}}), "cpu.max", "50000 200000");
    writes(json!({"cpu": {"quota": 50_000}}), "cpu.max", "50000 100000");
    writes(json!({"cpu": {"quota": -1, "period": 50_000}}), "cpu.max", "max 50000");
    writes(json!({"cpu": {"period": 50_000}}), "cpu.max", "max 50000");
}

#[test]
fn burst_and_idle() {
    fails_on(&[OLD_RUNC, OLD_CRUN], || {
        writes(json!({"cpu": {"quota": 50_000, "period": 100_000, "burst": 20_000}}), "cpu.max.burst", "20000");
    });
    fails_on(&[OLD_RUNC], || writes(json!({"cpu": {"idle": 1}}), "cpu.idle", "1"));
}

#[test]
fn cpuset() {
    writes(json!({"cpu": {"cpus": "1"}}), "cpuset.cpus", "1");
    writes(json!({"cpu": {"cpus": "0-1"}}), "cpuset.cpus", "0-1");
    writes(json!({"cpu": {"cpus": "0,1", "mems": "0"}}), "cpuset.mems", "0");
}

#[test]
fn pids() {
    writes(json!({"pids": {"limit": 42}}), "pids.max", "42");
    writes(json!({"pids": {"limit": -1}}), "pids.max", "max");
}

#[test]
fn throttles_of_devices() {
    let (major, minor) = disk();
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let rows = [
        ("throttleReadBpsDevice", "rbps=1048576 wbps=max riops=max wiops=max"),
        ("throttleWriteBpsDevice", "rbps=max wbps=1048576 riops=max wiops=max"),
        ("throttleReadIOPSDevice", "rbps=max wbps=max riops=1048576 wiops=max"),
        ("throttleWriteIOPSDevice", "rbps=max wbps=max riops=max wiops=1048576"),
    ];
    for (property, expected) in rows {
        writes(json!({"blockIO": {property: rate(MIB)}}), "io.max", &format!("{major}:{minor} {expected}"));
    }
    let all: serde_json::Map<_, _> = rows.iter().map(|(property, _)| ((*property).to_owned(), rate(MIB))).collect();
    writes(
        json!({"blockIO": all}),
        "io.max",
        &format!("{major}:{minor} rbps=1048576 wbps=1048576 riops=1048576 wiops=1048576"),
    );
}

#[test]
fn a_weight_of_block_io_is_written_or_refused() {
    let bundle = limited(json!({"blockIO": {"weight": 500}})).probe("pause");
    let output = bundle.try_create();
    let state: Value = serde_json::from_str(&bundle.call(&["state", bundle.id()]).stdout).unwrap_or_default();
    if output.status != 0 {
        // The kernel has no policy of weights.
        assert!(output.stderr.contains("weight"), "{output:?}");
        return bundle.assert_nothing_left();
    }
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", state["pid"])).unwrap();
    let cgroup = Path::new("/sys/fs/cgroup").join(cgroup.trim().trim_start_matches("0::/"));
    let written = [("io.bfq.weight", "default 500"), ("io.weight", "default 4950")];
    let found = written
        .iter()
        .any(|(file, text)| fs::read_to_string(cgroup.join(file)).is_ok_and(|found| found.trim() == *text));
    assert!(found, "accepted, but nothing was written");
}

#[test]
fn huge_pages() {
    require_controllers(&["hugetlb"]);
    let limits = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]});
    writes(limits.clone(), "hugetlb.2MB.max", "4194304");
    fails_on(&[OLD_RUNC, OLD_CRUN], || writes(limits, "hugetlb.2MB.rsvd.max", "4194304"));
}

#[test]
fn a_size_of_huge_pages_that_the_kernel_lacks_is_refused() {
    require_controllers(&["hugetlb"]);
    let message = refused(&limited(json!({"hugepageLimits": [{"pageSize": "3MB", "limit": MIB}]})));
    assert!(message.contains("3MB"), "{message}");
}

#[test]
fn unified_is_written_last() {
    writes(json!({"unified": {"memory.high": "134217728"}}), "memory.high", "134217728");
    writes(json!({"pids": {"limit": 42}, "unified": {"pids.max": "77"}}), "pids.max", "77");
    writes(json!({"memory": {"limit": 256 * MIB}, "unified": {"memory.max": "128M"}}), "memory.max", "134217728");
    writes(json!({"cpu": {"shares": 1024}, "unified": {"cpu.weight": "321"}}), "cpu.weight", "321");
}

#[test]
fn several_lines_of_unified_are_written_each() {
    let (major, minor) = disk();
    let lines = format!("{major}:{minor} rbps=2097152\n{major}:{minor} wiops=77\n");
    let known = [("runc", "1.1 writes them at once, which the kernel refuses"), ("crun", "as runc")];
    fails_on(&known, || {
        writes(
            json!({"unified": {"io.max": lines}}),
            "io.max",
            &format!("{major}:{minor} rbps=2097152 wbps=max riops=max wiops=77"),
        );
    });
}

#[test]
fn a_witness_reads_the_same() {
    let container = created(json!({
        "memory": {"limit": 256 * MIB, "reservation": 128 * MIB, "swap": 256 * MIB},
        "cpu": {"quota": 50_000, "period": 200_000, "cpus": "1", "mems": "0"},
        "pids": {"limit": 42},
    }));
    let path = container.cgroup();
    let path = path.strip_prefix("/sys/fs/cgroup").unwrap();
    let cgroup = Cgroup::load(hierarchies::auto(), path);
    let memory = cgroup.controller_of::<MemController>().unwrap();
    assert_eq!(memory.get_mem().unwrap().max, Some(MaxValue::Value(256 * MIB as i64)));
    assert_eq!(memory.get_mem().unwrap().low, Some(MaxValue::Value(128 * MIB as i64)));
    assert_eq!(memory.memswap().limit_in_bytes, 0);
    let cpu = cgroup.controller_of::<CpuController>().unwrap();
    assert_eq!((cpu.cfs_quota().unwrap(), cpu.cfs_period().unwrap()), (50_000, 200_000));
    assert_eq!(cgroup.controller_of::<CpuSetController>().unwrap().cpuset().cpus, [(1, 1)]);
    assert_eq!(cgroup.controller_of::<PidController>().unwrap().get_pid_max().unwrap(), MaxValue::Value(42));
}

#[test]
fn a_witness_reads_the_same_weight_and_huge_pages() {
    require_controllers(&["hugetlb"]);
    fails_on(&[OLD_RUNC, OLD_CRUN], || {
        let huge = json!([{"pageSize": "2MB", "limit": 4 * MIB}]);
        let container = created(json!({"cpu": {"shares": 512}, "hugepageLimits": huge}));
        let path = container.cgroup();
        let cgroup = Cgroup::load(hierarchies::auto(), path.strip_prefix("/sys/fs/cgroup").unwrap());
        assert_eq!(cgroup.controller_of::<CpuController>().unwrap().shares().unwrap(), 59);
        assert_eq!(cgroup.controller_of::<HugeTlbController>().unwrap().limit_in_bytes("2MB").unwrap(), 4 * MIB);
    });
}

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
fn a_controller_that_is_not_available_is_named_with_the_field() {
    // A cgroup with a process of its own gives no controllers to its children.
    let bundle = limited(json!({"memory": {"limit": 256 * MIB}}));
    let parent = Path::new("/sys/fs/cgroup").join(format!("{}-busy", bundle.id()));
    fs::create_dir(&parent).unwrap();
    let mut process = std::process::Command::new("/bin/busybox").args(["sleep", "600"]).spawn().unwrap();
    fs::write(parent.join("cgroup.procs"), process.id().to_string()).unwrap();
    let path = format!("/{}-busy/child", bundle.id());
    let bundle = bundle.with(|config| config["linux"]["cgroupsPath"] = path.into());
    let output = bundle.try_create();
    process.kill().unwrap();
    process.wait().unwrap();
    let message = output.failure();
    fails_on(&[("crun", "1.8.1 tries to make the cgroup a threaded one")], || {
        assert!(message.contains("memory"), "{message}");
    });
    assert!(!bundle.runtime().is_minirun() || message.contains("linux.resources.memory.limit"), "{message}");
}

#[test]
fn properties_of_version_1_that_limit_are_refused() {
    let rows = [
        ("linux.resources.memory.swappiness", json!({"memory": {"swappiness": 10}})),
        ("linux.resources.memory.disableOOMKiller", json!({"memory": {"disableOOMKiller": true}})),
        ("linux.resources.cpu.realtimeRuntime", json!({"cpu": {"realtimeRuntime": 1000}})),
        ("linux.resources.network.classID", json!({"network": {"classID": 7}})),
    ];
    for (field, resources) in rows {
        fails_on(&[("runc", "drops them silently")], || {
            let message = refused(&limited(resources));
            assert!(!Runtime::from_env().is_minirun() || message.contains(field), "{field}: {message}");
        });
    }
}

#[test]
fn what_engines_always_send_is_accepted() {
    let resources = json!({
        "memory": {"disableOOMKiller": false, "limit": 0, "swap": 0, "reservation": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
        "pids": {"limit": -1},
        "blockIO": {"weight": 0},
        "network": {},
        "hugepageLimits": [],
        "devices": [{"allow": true, "access": "rwm"}],
    });
    fails_on(&[("crun", "1.8.1 refuses an empty network section")], || drop(limited(resources).run().success()));
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

/// `update` with these options, which must succeed.
#[track_caller]
fn update(container: &Container, options: &[&str]) {
    let words: Vec<_> = ["update"].iter().chain(options).copied().collect();
    container.call(&words, &[]).success();
}

/// `update` with resources on standard input.
fn update_with(container: &Container, resources: &Value) -> Output {
    let bundle = container.bundle();
    let file = bundle.home().join("resources.json");
    fs::write(&file, resources.to_string()).unwrap();
    let mut command = bundle.command(&["update", "-r", "-", bundle.id()]);
    command.stdin(fs::File::open(file).unwrap());
    Running::start(&mut command, bundle.home()).finish()
}

/// A running container with a limit of everything, so that every controller is there.
fn updatable() -> Container {
    let container = created(json!({
        "memory": {"limit": 256 * MIB, "swap": 512 * MIB},
        "cpu": {"shares": 1024, "quota": 50_000, "period": 100_000, "cpus": "0-1", "mems": "0"},
        "pids": {"limit": 100},
    }));
    container.start();
    container
}

#[test]
fn each_limit_is_updated() {
    let container = updatable();
    let rows: [(&[&str], &str, &str); 13] = [
        (&["--memory", "134217728", "--memory-swap", "268435456"], "memory.max", "134217728"),
        (&["--memory", "128m"], "memory.max", "134217728"),
        (&["--memory=192M"], "memory.max", "201326592"),
        (&["--memory-reservation", "64m"], "memory.low", "67108864"),
        (&["--cpu-quota", "20000"], "cpu.max", "20000 100000"),
        (&["--cpu-period", "50000"], "cpu.max", "20000 50000"),
        (&["--cpu-quota", "-1"], "cpu.max", "max 50000"),
        (&["--cpu-quota", "30000", "--cpu-period", "60000"], "cpu.max", "30000 60000"),
        (&["--cpuset-cpus", "1"], "cpuset.cpus", "1"),
        (&["--cpuset-mems", "0"], "cpuset.mems", "0"),
        (&["--pids-limit", "42"], "pids.max", "42"),
        (&["--pids-limit", "-1"], "pids.max", "max"),
        (&["--memory", "-1"], "memory.max", "max"),
    ];
    for (options, file, expected) in rows {
        let known = [("runc", "1.1 takes some of them otherwise"), ("crun", "1.8.1 takes some of them otherwise")];
        may_fail_on(&known, || {
            update(&container, options);
            assert_eq!(read(&container, file), expected, "{options:?} in {file}");
        });
    }
    fails_on(&[OLD_RUNC, OLD_CRUN], || {
        update(&container, &["--cpu-share", "512"]);
        assert_eq!(read(&container, "cpu.weight"), "59");
        update(&container, &["--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-burst", "10000"]);
        assert_eq!(read(&container, "cpu.max.burst"), "10000");
        update(&container, &["--cpu-idle", "1"]);
        assert_eq!(read(&container, "cpu.idle"), "1");
    });
}

#[test]
fn swap_is_updated_beside_the_memory() {
    let rows: [(&[&str], &str, &str); 3] = [
        (&["--memory", "128m", "--memory-swap", "192m"], "134217728", "67108864"),
        (&["--memory-swap", "384m"], "268435456", "134217728"),
        (&["--memory-swap", "-1"], "268435456", "max"),
    ];
    for (options, memory, swap) in rows {
        let container = updatable();
        may_fail_on(&[("crun", "takes the parts otherwise"), ("runc", "takes the parts otherwise")], || {
            update(&container, options);
            assert_eq!(
                (read(&container, "memory.max"), read(&container, "memory.swap.max")),
                (memory.into(), swap.into())
            );
        });
    }
}

#[test]
fn what_is_not_named_stays() {
    let container = updatable();
    let files = ["memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "cpuset.cpus", "pids.max"];
    let before = files.map(|file| read(&container, file));
    update(&container, &["--pids-limit", "55"]);
    let after = files.map(|file| read(&container, file));
    assert_eq!((&before[..5], "55"), (&after[..5], after[5].as_str()));
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let container = updatable();
    let files = ["memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpuset.cpus", "pids.max"];
    let before = files.map(|file| read(&container, file));
    let rows: [&[&str]; 3] = [
        &["--memory", "128m", "--pids-limit", "7", "--cpuset-cpus", "0-99999"],
        &["--pids-limit", "7", "--cpu-quota", "10"],
        &["--memory-reservation", "1m", "--cpu-period", "1", "--pids-limit", "7"],
    ];
    for options in rows {
        let words: Vec<_> = ["update"].iter().chain(options).copied().collect();
        container.call(&words, &[]).failure();
        fails_on(&[("runc", "keeps what came before the failure"), ("crun", "as runc")], || {
            assert_eq!(files.map(|file| read(&container, file)), before, "{options:?}");
        });
    }
}

#[test]
fn resources_are_read_from_standard_input_and_from_a_file() {
    let container = updatable();
    update_with(&container, &json!({"pids": {"limit": 33}, "memory": {"limit": 128 * MIB}})).success();
    assert_eq!((read(&container, "pids.max").as_str(), read(&container, "memory.max").as_str()), ("33", "134217728"));
    let file = container.bundle().home().join("resources.json");
    fs::write(&file, json!({"cpu": {"quota": 25_000}, "unified": {"memory.high": "100M"}}).to_string()).unwrap();
    may_fail_on(&[("runc", "1.1 takes no unified"), ("crun", "takes no unified")], || {
        update(&container, &["-r", file.to_str().unwrap()]);
        assert_eq!(read(&container, "cpu.max"), "25000 100000");
        assert_eq!(read(&container, "memory.high"), "104857600");
    });
    // The device rules of a container are not resources that change.
    update_with(&container, &json!({"devices": [{"allow": true, "access": "rwm"}], "pids": {"limit": 34}})).success();
    assert_eq!(read(&container, "pids.max"), "34");
}

#[test]
fn a_limit_below_the_usage_is_refused_when_asked_to_look() {
    let container =
        limited(json!({"memory": {"limit": 256 * MIB}})).sh("/bin/probe allocate 64 & exec /bin/probe pause").create();
    container.start();
    let resources = json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}});
    let output = update_with(&container, &resources);
    fails_on(&[OLD_RUNC, OLD_CRUN], || {
        assert!(output.status != 0 && output.stderr.contains("usage"), "{output:?}");
        assert_eq!(read(&container, "memory.max"), "268435456");
    });
    assert_eq!(container.status(), "running");
}

/// Engines update containers that were made without any limit.
#[test]
fn a_container_without_limits_is_updated() {
    let container = created(json!({}));
    container.start();
    for (options, file, expected) in [
        (["--memory", "128m"], "memory.max", "134217728"),
        (["--pids-limit", "42"], "pids.max", "42"),
        (["--cpu-quota", "20000"], "cpu.max", "20000 100000"),
        (["--cpuset-cpus", "1"], "cpuset.cpus", "1"),
    ] {
        update(&container, &options);
        assert_eq!(read(&container, file), expected, "{options:?}");
    }
}

#[test]
fn a_created_and_a_paused_container_are_updated() {
    let container = created(json!({"pids": {"limit": 100}}));
    update(&container, &["--pids-limit", "42"]);
    assert_eq!(read(&container, "pids.max"), "42");
    container.start();
    container.call(&["pause"], &[]).success();
    update(&container, &["--pids-limit", "43"]);
    assert_eq!(read(&container, "pids.max"), "43");
    assert_eq!(container.status(), "paused");
}

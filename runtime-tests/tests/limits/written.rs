//! Each limit is written, and read back from the files and by a witness.

use std::fs;
use std::path::Path;

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuset::CpuSetController;
use cgroups_rs::fs::hierarchies;
use cgroups_rs::fs::hugetlb::HugeTlbController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, MaxValue};
use runtime_tests::{fails_on, require_controllers};
use serde_json::{Value, json};

use super::{MIB, OLD_CRUN, OLD_RUNC, created, disk, limited, writes};

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

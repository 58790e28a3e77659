//! Limits are in the cgroup's files and in the unit's properties, and a reload of systemd changes neither.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use runtime_tests::Container;
use serde_json::{Value, json};

use super::{cgroup_of, limited, property, read, scope, started, systemctl, unit_of};

const MIB: u64 = 1 << 20;

/// Every file with a limit, as it is now.
fn limits(cgroup: &Path) -> BTreeMap<String, String> {
    let counted = ["current", "stat", "events", "events.local", "peak", "pressure", "procs", "threads", "numa_stat"];
    let names = fs::read_dir(cgroup).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let limits = names.filter(|name| {
        let kind = name.split_once('.').map_or("", |(_, kind)| kind);
        !name.starts_with("cgroup.") && !counted.iter().any(|word| kind == *word || kind.ends_with(&format!(".{word}")))
    });
    limits.filter_map(|name| Some((name.clone(), said(&name, fs::read_to_string(cgroup.join(&name)).ok()?)))).collect()
}

/// The period of no quota is the default one to systemd, which writes it whenever a unit of the same slice comes or goes.
fn said(file: &str, text: String) -> String {
    if file == "cpu.max" && text.starts_with("max ") { "max".to_owned() } else { text }
}

/// Reloads systemd's units; what a test does beside it does not matter.
#[track_caller]
fn stays_over_a_reload(cgroup: &Path) {
    let before = limits(cgroup);
    assert!(before.len() > 10, "{before:?}");
    systemctl(&["daemon-reload"]);
    assert_eq!(limits(cgroup), before);
}

fn disk() -> (u64, u64) {
    let device = fs::metadata("/mnt/disk").expect("a disk at /mnt/disk").dev();
    (u64::from(libc::major(device)), u64::from(libc::minor(device)))
}

fn everything() -> Value {
    let (major, minor) = disk();
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    json!({
        "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 16 * MIB},
        "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0-1", "mems": "0"},
        "pids": {"limit": 50},
        "blockIO": {"throttleReadBpsDevice": rate(4 * MIB), "throttleWriteIOPSDevice": rate(70)},
        "unified": {"memory.high": "48M", "memory.oom.group": "1", "memory.min": "4096"},
    })
}

#[test]
fn limits_are_in_files_and_in_properties() {
    let container = limited(everything()).create();
    let unit = unit_of(container.bundle());
    let cgroup = cgroup_of(&unit);
    let (major, minor) = disk();
    for (file, expected) in [
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "16777216"),
        ("memory.high", "50331648"),
        ("memory.min", "4096"),
        ("memory.oom.group", "1"),
        ("cpu.max", "50000 100000"),
        ("cpu.weight", "59"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("pids.max", "50"),
        ("io.max", &format!("{major}:{minor} rbps=4194304 wbps=max riops=max wiops=70")),
    ] {
        assert_eq!(read(&cgroup, file), expected, "{file}");
    }
    for (name, expected) in [
        ("MemoryMax", "67108864"),
        ("MemorySwapMax", "33554432"),
        ("MemoryLow", "16777216"),
        ("MemoryHigh", "50331648"),
        ("MemoryMin", "4096"),
        ("OOMPolicy", "kill"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("CPUWeight", "59"),
        ("AllowedCPUs", "0-1"),
        ("AllowedMemoryNodes", "0"),
        ("TasksMax", "50"),
        ("IOReadBandwidthMax", &format!("/dev/block/{major}:{minor} 4194304")),
        ("IOWriteIOPSMax", &format!("/dev/block/{major}:{minor} 70")),
        ("DevicePolicy", "strict"),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("CollectMode", "inactive-or-failed"),
    ] {
        assert_eq!(property(&unit, name), expected, "{name}");
    }
    stays_over_a_reload(&cgroup);
    container.start();
    stays_over_a_reload(&cgroup);
    assert_eq!(container.status(), "running");
}

/// systemd counts in whole percents and rounds up, which a reload may make come true; the file has it exactly before, also
/// when another limit is changed.
#[test]
fn fractions_of_a_percent_are_exact_as_long_as_systemd_lets_them() {
    let container = started(limited(json!({"cpu": {"quota": 50_123, "period": 100_000}})));
    let unit = unit_of(container.bundle());
    let cgroup = cgroup_of(&unit);
    assert_eq!((read(&cgroup, "cpu.max").as_str(), &*property(&unit, "CPUQuotaPerSecUSec")), ("50123 100000", "510ms"));
    container.call(&["update", "--cpu-share", "512"], &[]).success();
    assert_eq!((read(&cgroup, "cpu.max").as_str(), read(&cgroup, "cpu.weight").as_str()), ("50123 100000", "59"));
    systemctl(&["daemon-reload"]);
    let after = read(&cgroup, "cpu.max");
    assert!(["50123 100000", "51000 100000"].contains(&after.as_str()), "{after}");
}

#[test]
fn one_process_may_be_all() {
    let container = started(limited(json!({"pids": {"limit": 1}})));
    let cgroup = cgroup_of(&unit_of(container.bundle()));
    assert_eq!((read(&cgroup, "pids.max").as_str(), read(&cgroup, "pids.current").as_str()), ("1", "1"));
}

/// Reading and writing these devices, as words of the probe.
fn opened(container: &Container) -> String {
    container.exec(&[], &["/bin/probe", "open", "/dev/null", "/dev/disk", "/dev/other"]).success()
}

#[test]
fn devices_stay_filtered_over_a_reload() {
    let (major, minor) = disk();
    let node = |path: &str, minor: u64| json!({"path": path, "type": "b", "major": major, "minor": minor});
    let rules = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "b", "major": major, "access": "r"},
        {"allow": false, "type": "b", "major": major, "minor": minor + 16, "access": "r"},
    ]);
    let bundle = limited(json!({"devices": rules})).with(|config| {
        config["linux"]["devices"] = json!([node("/dev/disk", minor), node("/dev/other", minor + 16)]);
    });
    let container = started(bundle);
    let unit = unit_of(container.bundle());
    let before = opened(&container);
    assert_eq!(before.matches("read=ok").count(), 2, "null and the disk: {before}");
    assert_eq!(before.matches("write=ok").count(), 1, "null: {before}");
    // systemd cannot say the exception, so it allows more; both filters are asked.
    let allowed = property(&unit, "DeviceAllow");
    assert!(
        allowed.contains(&format!("block-{major} rm")) || allowed.contains(&format!("block-{major} r")),
        "{allowed}"
    );
    systemctl(&["daemon-reload"]);
    assert_eq!(opened(&container), before);
    container.call(&["update", "--pids-limit", "40"], &[]).success();
    assert_eq!(opened(&container), before);
}

#[test]
fn updates_go_to_both_and_are_taken_back_from_both() {
    let container = started(limited(everything()));
    let unit = unit_of(container.bundle());
    let cgroup = cgroup_of(&unit);
    for (options, file, in_file, name, in_unit) in [
        (["--memory", "128m", "--memory-swap", "192m"], "memory.max", "134217728", "MemoryMax", "134217728"),
        (["--cpu-quota", "25000", "--cpu-period", "50000"], "cpu.max", "25000 50000", "CPUQuotaPerSecUSec", "500ms"),
        (["--cpu-quota", "-1", "--pids-limit", "60"], "cpu.max", "max", "CPUQuotaPerSecUSec", "infinity"),
        (["--pids-limit", "-1", "--cpu-share", "1024"], "pids.max", "max", "TasksMax", "infinity"),
        (["--pids-limit", "42", "--cpuset-cpus", "1"], "cpuset.cpus", "1", "AllowedCPUs", "1"),
        (["--blkio-weight", "500", "--cpu-share", "2048"], "cpu.weight", "174", "CPUWeight", "174"),
    ] {
        container.call(&[&["update"][..], &options].concat(), &[]).success();
        assert_eq!(
            (said(file, read(&cgroup, file)).as_str(), property(&unit, name).as_str()),
            (in_file, in_unit),
            "{options:?}"
        );
        stays_over_a_reload(&cgroup);
    }
    let known = ["MemoryMax", "TasksMax", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs", "CPUWeight"];
    let before = (limits(&cgroup), known.map(|name| property(&unit, name)));
    for options in [["--pids-limit", "7", "--cpuset-cpus", "0-99"], ["--memory", "100m", "--cpuset-mems", "0-63"]] {
        container.call(&[&["update"][..], &options].concat(), &[]).failure();
        let after = (limits(&cgroup), known.map(|name| property(&unit, name)));
        assert_eq!(after, before, "{options:?}");
    }
}

/// systemd's filter is asked beside ours: it must not be stricter.
#[test]
fn updated_device_rules_go_to_both() {
    let none = json!([{"path": "/dev/none", "type": "c", "major": 1, "minor": 14, "fileMode": 0o666}]);
    let container = started(scope().with(|config| config["linux"]["devices"] = none));
    let unit = unit_of(container.bundle());
    // The kernel has no such device, which it says only where the rules allow one.
    let may_read = || container.exec(&[], &["/bin/probe", "open", "/dev/none"]).value("read") != "EPERM";
    let file = container.bundle().home().join("resources.json");
    for access in ["r", "w", "rwm"] {
        assert!(!may_read());
        for access in [access, ""] {
            let rules = json!([{"allow": !access.is_empty(), "type": "c", "major": 1, "minor": 14, "access": access}]);
            let rules = if access.is_empty() { json!([]) } else { rules };
            std::fs::write(&file, json!({"devices": rules}).to_string()).unwrap();
            container.call(&["update", "-r", file.to_str().unwrap()], &[]).success();
            assert_eq!(property(&unit, "DeviceAllow").contains("/dev/char/1:14"), !access.is_empty(), "{access}");
            systemctl(&["daemon-reload"]);
            assert_eq!(may_read(), access.contains('r'), "{access}");
        }
    }
}

#[test]
fn idle_comes_and_goes() {
    let container = started(limited(json!({"cpu": {"shares": 512}})));
    let unit = unit_of(container.bundle());
    let cgroup = cgroup_of(&unit);
    container.call(&["update", "--cpu-idle", "0"], &[]).success();
    assert_eq!((read(&cgroup, "cpu.weight").as_str(), property(&unit, "CPUWeight").as_str()), ("59", "59"));
    container.call(&["update", "--cpu-idle", "1"], &[]).success();
    assert_eq!((read(&cgroup, "cpu.idle").as_str(), property(&unit, "CPUWeight").as_str()), ("1", "idle"));
    stays_over_a_reload(&cgroup);
    container.call(&["update", "--cpu-idle", "0"], &[]).success();
    assert_eq!(read(&cgroup, "cpu.idle"), "0");
    stays_over_a_reload(&cgroup);
}

#[test]
fn a_container_without_limits_is_updated() {
    let container = started(scope());
    let cgroup = cgroup_of(&unit_of(container.bundle()));
    for (options, file, expected) in [
        (["--memory", "128m"], "memory.max", "134217728"),
        (["--pids-limit", "42"], "pids.max", "42"),
        (["--cpu-quota", "20000"], "cpu.max", "20000 100000"),
        (["--cpuset-cpus", "1"], "cpuset.cpus", "1"),
    ] {
        container.call(&[&["update"][..], &options].concat(), &[]).success();
        assert_eq!(read(&cgroup, file), expected, "{options:?}");
    }
    stays_over_a_reload(&cgroup);
}

/// Controllers that systemd does not know are enabled down to the scope, and stay.
#[test]
fn what_systemd_does_not_know_is_limited_as_well() {
    let bundle = limited(json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}));
    let container = bundle.with(super::set_path("huge-pages.slice:test:huge")).create();
    let cgroup = cgroup_of("test-huge.scope");
    assert_eq!(read(&cgroup, "hugetlb.2MB.max"), "4194304");
    stays_over_a_reload(&cgroup);
    drop(container);
}

//! One row per field and value: the knobs, or the problem.

use super::*;

/// Returns a host with every controller.
fn host() -> HostFacts {
    let names = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];
    HostFacts {
        cgroup_mount: Some("/sys/fs/cgroup".into()),
        controllers: names.map(str::to_owned).into(),
        huge_page_sizes: vec!["2MB".to_owned(), "1GB".to_owned()],
        page_size: 4096,
        initial_user_namespace: true,
        ..HostFacts::default()
    }
}

fn compile(json: &str, facts: &HostFacts) -> (CgroupPlan, Vec<String>, Vec<String>) {
    let parsed: Resources = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let (mut cgroup, mut problems, mut warnings) = (CgroupPlan::default(), Problems::new(), Vec::new());
    resources(&parsed, facts, &mut cgroup, &mut problems, &mut warnings);
    (cgroup, problems.iter().map(ToString::to_string).collect(), warnings)
}

/// Compares the knobs, as `file=value` in order.
#[track_caller]
fn check_on(facts: &HostFacts, json: &str, expected: &[&str]) {
    let (cgroup, problems, _) = compile(json, facts);
    assert_eq!(problems, [""; 0], "{json}");
    let knobs: Vec<String> = cgroup.knobs.iter().map(|knob| format!("{}={}", knob.file, knob.value)).collect();
    assert_eq!(knobs, expected, "{json}");
}

#[track_caller]
fn check(json: &str, expected: &[&str]) {
    check_on(&host(), json, expected);
}

/// Compares the only problem, without `linux.resources.`.
#[track_caller]
fn refuse_on(facts: &HostFacts, json: &str, expected: &str) {
    assert_eq!(compile(json, facts).1, [format!("linux.resources.{expected}")], "{json}");
}

#[track_caller]
fn refuse(json: &str, expected: &str) {
    refuse_on(&host(), json, expected);
}

#[test]
fn empty_resources_write_no_knobs() {
    check("{}", &[]);
    check(
        r#"{"memory":{},"cpu":{},"pids":{},"blockIO":{},"hugepageLimits":[],"network":{},"rdma":{},"unified":{}}"#,
        &[],
    );
    // The resources that Docker writes when the user requests none.
    check(
        r#"{"memory":{"disableOOMKiller":false,"checkBeforeUpdate":false,"useHierarchy":true,"kernel":0,"kernelTCP":-1},
            "cpu":{"shares":0,"quota":0,"period":0,"realtimeRuntime":0,"cpus":"","mems":""},
            "blockIO":{"weight":0,"leafWeight":0},"network":{"classID":0,"priorities":[]}}"#,
        &[],
    );
}

#[test]
fn memory() {
    check(r#"{"memory":{"limit":0,"reservation":0,"swap":0}}"#, &[]);
    check(r#"{"memory":{"limit":67108864}}"#, &["memory.max=67108864"]);
    check(r#"{"memory":{"limit":67108864,"swap":100000000}}"#, &["memory.swap.max=32891136", "memory.max=67108864"]);
    check(r#"{"memory":{"limit":67108864,"swap":67108864}}"#, &["memory.swap.max=0", "memory.max=67108864"]);
    check(r#"{"memory":{"limit":67108864,"swap":-1}}"#, &["memory.swap.max=max", "memory.max=67108864"]);
    check(r#"{"memory":{"limit":-1}}"#, &["memory.swap.max=max", "memory.max=max"]);
    check(r#"{"memory":{"limit":-1,"swap":8192}}"#, &["memory.swap.max=8192", "memory.max=max"]);
    check(r#"{"memory":{"swap":-1}}"#, &["memory.swap.max=max"]);
    check(r#"{"memory":{"reservation":4096}}"#, &["memory.low=4096"]);
    check(r#"{"memory":{"reservation":-1}}"#, &["memory.low=max"]);
    // The kernel shows the greatest number as max.
    check(r#"{"memory":{"limit":9223372036854771712}}"#, &["memory.max=max"]);
    check(r#"{"memory":{"limit":9223372036854767615}}"#, &["memory.max=9223372036854767615"]);

    refuse(r#"{"memory":{"limit":-2}}"#, "memory.limit: invalid memory value: -2 (-1 means no limit)");
    refuse(r#"{"memory":{"limit":-2,"swap":9}}"#, "memory.limit: invalid memory value: -2 (-1 means no limit)");
    refuse(r#"{"memory":{"reservation":-9}}"#, "memory.reservation: invalid memory value: -9 (-1 means no limit)");
    refuse(r#"{"memory":{"swap":-9}}"#, "memory.swap: invalid memory+swap value: -9 (-1 means no limit)");
    refuse(r#"{"memory":{"swap":4096}}"#, "memory.swap: unable to set swap limit without memory limit");
    refuse(r#"{"memory":{"limit":8192,"swap":4096}}"#, "memory.swap: memory+swap limit should be >= memory limit");
    refuse(
        r#"{"memory":{"kernel":4096}}"#,
        "memory.kernel: cannot be set with cgroup v2: kernel memory counts towards memory.limit and has no limit of its own",
    );
    refuse(
        r#"{"memory":{"swappiness":60}}"#,
        "memory.swappiness: cannot be set with cgroup v2: it has no swappiness for a single cgroup",
    );
    refuse(
        r#"{"memory":{"disableOOMKiller":true}}"#,
        "memory.disableOOMKiller: cannot be set with cgroup v2: the OOM killer cannot be switched off for a single cgroup",
    );
}

#[test]
fn shares_become_weights() {
    for (shares, weight) in [
        (1, 1),
        (2, 1),
        (3, 2),
        (10, 4),
        (102, 17),
        (512, 59),
        (1024, 100),
        (1025, 101),
        (2048, 174),
        (4096, 303),
        (131_072, 5_478),
        (262_143, 10_000),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ] {
        check(&format!(r#"{{"cpu":{{"shares":{shares}}}}}"#), &[&format!("cpu.weight={weight}")]);
    }
}

#[test]
fn cpu() {
    check(r#"{"cpu":{"quota":50000}}"#, &["cpu.max=50000 100000"]);
    check(r#"{"cpu":{"quota":50000,"period":20000}}"#, &["cpu.max=50000 20000"]);
    check(r#"{"cpu":{"quota":-1}}"#, &["cpu.max=max 100000"]);
    check(r#"{"cpu":{"quota":0,"period":20000}}"#, &["cpu.max=max 20000"]);
    check(r#"{"cpu":{"period":20000}}"#, &["cpu.max=max 20000"]);
    check(r#"{"cpu":{"burst":1000,"quota":50000}}"#, &["cpu.max=50000 100000", "cpu.max.burst=1000"]);
    check(r#"{"cpu":{"burst":0}}"#, &["cpu.max.burst=0"]);
    check(r#"{"cpu":{"idle":0,"shares":1024}}"#, &["cpu.idle=0", "cpu.weight=100"]);
    check(r#"{"cpu":{"idle":1,"shares":0}}"#, &["cpu.idle=1"]);
    check(r#"{"cpu":{"cpus":"0-1,3","mems":"0"}}"#, &["cpuset.cpus=0-1,3", "cpuset.mems=0"]);
    check(r#"{"cpu":{"cpus":" 1\n"}}"#, &["cpuset.cpus=1"]);

    refuse(r#"{"cpu":{"quota":999}}"#, "cpu.quota: 999 is out of range (expected 1000 to 17592186044415)");
    refuse(r#"{"cpu":{"period":999}}"#, "cpu.period: 999 is out of range (expected 1000 to 1000000)");
    refuse(r#"{"cpu":{"period":1000001}}"#, "cpu.period: 1000001 is out of range (expected 1000 to 1000000)");
    refuse(r#"{"cpu":{"burst":5001,"quota":5000}}"#, "cpu.burst: 5001 is more than the quota of 5000");
    refuse(r#"{"cpu":{"idle":2}}"#, "cpu.idle: 2 is out of range (expected 0 or 1)");
    refuse(r#"{"cpu":{"idle":-1}}"#, "cpu.idle: -1 is out of range (expected 0 or 1)");
    let both = r#"{"cpu":{"idle":1,"shares":2}}"#;
    assert_eq!(
        compile(both, &host()).1,
        ["linux.resources.cpu.idle: an idle cgroup cannot have shares (hint: set only one of them)"]
    );
    for field in ["realtimeRuntime", "realtimePeriod"] {
        refuse(
            &format!(r#"{{"cpu":{{"{field}":950000}}}}"#),
            &format!("cpu.{field}: cannot be set with cgroup v2: it does not support real-time scheduling"),
        );
    }
    for list in ["a", "1,", ",", "3-1", "-1", "1-", "0-3:1/2", "0 1", "+1", "4294967296"] {
        refuse(
            &format!(r#"{{"cpu":{{"cpus":"{list}"}}}}"#),
            &format!("cpu.cpus: invalid list {list:?} (expected a list such as \"0-2,7\")"),
        );
    }
}

#[test]
fn block_io() {
    let bfq = HostFacts { bfq: true, ..host() };
    for (weight, converted) in [(10, 1), (16, 61), (17, 71), (100, 910), (500, 4950), (1000, 10_000)] {
        let json = format!(r#"{{"blockIO":{{"weight":{weight}}}}}"#);
        check(&json, &[&format!("io.weight=default {converted}")]);
        check_on(&bfq, &json, &[&format!("io.bfq.weight=default {weight}")]);
    }
    let device = r#"{"blockIO":{"weightDevice":[{"major":8,"minor":16,"weight":20}]}}"#;
    check_on(&bfq, device, &["io.bfq.weight=8:16 20"]);
    refuse(device, "blockIO.weightDevice[0].weight: weights of single devices require the bfq I/O scheduler");
    check(
        r#"{"blockIO":{
            "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1048576},{"major":8,"minor":16,"rate":1}],
            "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":2}],
            "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":3}],
            "throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":4}]}}"#,
        &[
            "io.max=8:0 rbps=1048576",
            "io.max=8:16 rbps=1",
            "io.max=8:0 wbps=2",
            "io.max=8:0 riops=3",
            "io.max=8:0 wiops=4",
        ],
    );
    refuse(r#"{"blockIO":{"weight":9}}"#, "blockIO.weight: 9 is out of range (expected 10 to 1000)");
    refuse(r#"{"blockIO":{"weight":1001}}"#, "blockIO.weight: 1001 is out of range (expected 10 to 1000)");
    refuse(
        r#"{"blockIO":{"leafWeight":10}}"#,
        "blockIO.leafWeight: cannot be set with cgroup v2: only leaf cgroups have processes",
    );
    refuse(
        r#"{"blockIO":{"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":0}]}}"#,
        "blockIO.throttleWriteBpsDevice[0].rate: 0 is out of range (expected 1 to 18446744073709551614)",
    );
    refuse(
        r#"{"blockIO":{"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":4294967295}]}}"#,
        "blockIO.throttleReadIOPSDevice[0].rate: 4294967295 is out of range (expected 1 to 4294967294)",
    );
}

#[test]
fn pids_hugepages_rdma_network() {
    check(r#"{"pids":{"limit":100}}"#, &["pids.max=100"]);
    check(r#"{"pids":{"limit":-1}}"#, &["pids.max=max"]);
    check(r#"{"pids":{"limit":0}}"#, &["pids.max=1"]);
    assert_eq!(compile(r#"{"pids":{"limit":0}}"#, &host()).2.len(), 1);
    let most = "out of range (expected 0 to 4194304, or -1 for no limit)";
    refuse(r#"{"pids":{"limit":4194305}}"#, &format!("pids.limit: 4194305 is {most}"));
    refuse(r#"{"pids":{"limit":-2}}"#, &format!("pids.limit: -2 is {most}"));

    check(
        r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304},{"pageSize":"1GB","limit":18446744073709551615}]}"#,
        &["hugetlb.2MB.max=4194304", "hugetlb.2MB.rsvd.max=4194304", "hugetlb.1GB.max=max", "hugetlb.1GB.rsvd.max=max"],
    );
    refuse(
        r#"{"hugepageLimits":[{"pageSize":"3MB","limit":0}]}"#,
        "hugepageLimits[0].pageSize: huge page size \"3MB\" is not supported by this host (available: 2MB, 1GB)",
    );

    check(
        r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"rxe3":{"hcaObjects":0}}}"#,
        &["rdma.max=mlx5_1 hca_handle=3 hca_object=10000", "rdma.max=rxe3 hca_object=0"],
    );
    refuse(r#"{"rdma":{"rxe3":{}}}"#, "rdma[\"rxe3\"]: at least one of hcaHandles and hcaObjects must be set");
    refuse(
        r#"{"rdma":{"rxe3":{"hcaHandles":2147483647}}}"#,
        "rdma[\"rxe3\"].hcaHandles: 2147483647 is out of range (expected 0 to 2147483646)",
    );
    refuse(r#"{"rdma":{"a b":{"hcaHandles":1}}}"#, "rdma[\"a b\"]: invalid RDMA device name");

    refuse(
        r#"{"network":{"classID":1048577}}"#,
        "network.classID: cannot be set with cgroup v2: it has no net_cls controller",
    );
    refuse(
        r#"{"network":{"priorities":[{"name":"eth0","priority":1}]}}"#,
        "network.priorities: cannot be set with cgroup v2: it has no net_prio controller",
    );
}

#[test]
fn unified() {
    // Fields first, then unified; a partition last.
    check(
        r#"{"memory":{"limit":8192},"unified":{"memory.max":"4096","cpuset.cpus.partition":"root","cpuset.mems":"0"}}"#,
        &["memory.max=8192", "cpuset.mems=0", "memory.max=4096", "cpuset.cpus.partition=root"],
    );
    check(
        r#"{"unified":{"io.max":"8:0 rbps=1\n8:16 wbps=2\n","cpuset.cpus":"","cgroup.max.depth":"3"}}"#,
        &["cgroup.max.depth=3", "cpuset.cpus=", "io.max=8:0 rbps=1", "io.max=8:16 wbps=2"],
    );
    refuse(
        r#"{"unified":{"memory/max":"1"}}"#,
        "unified[\"memory/max\"]: unified resource \"memory/max\" must be a file name (no slashes)",
    );
    for key in ["memory", ".max", "memory."] {
        refuse(
            &format!(r#"{{"unified":{{"{key}":"1"}}}}"#),
            &format!("unified[{key:?}]: unified resource {key:?} must be in the form CONTROLLER.PARAMETER"),
        );
    }
    refuse(
        r#"{"unified":{"cgroup.procs":"1"}}"#,
        "unified[\"cgroup.procs\"]: unified resource \"cgroup.procs\" can't be set: it is not a limit, and the runtime uses it",
    );
    refuse(
        r#"{"unified":{"blkio.weight":"1"}}"#,
        "unified[\"blkio.weight\"]: unified resource \"blkio.weight\" can't be set: controller \"blkio\" not available \
         (it is not available in cgroup2 at /sys/fs/cgroup, and not bound to cgroup v1 either)",
    );
}

#[test]
fn knobs_state_the_content_to_expect() {
    let json = r#"{"memory":{"limit":5000,"swap":5000},"cpu":{"shares":2,"cpus":"1"},
        "hugepageLimits":[{"pageSize":"2MB","limit":1}],
        "unified":{"memory.high":"5000","memory.low":"4M","cpu.max":"5000","io.max":"8:0 rbps=max","misc.max":"max"}}"#;
    let (cgroup, ..) = compile(json, &host());
    let expects: Vec<(&str, Expect)> = cgroup.knobs.iter().map(|knob| (knob.file.as_str(), knob.expect)).collect();
    assert_eq!(
        expects,
        [
            ("memory.swap.max", Expect::SameOrAbsent),
            ("memory.max", Expect::Rounded(4096)),
            ("cpu.weight", Expect::Same),
            ("cpuset.cpus", Expect::Set),
            ("hugetlb.2MB.max", Expect::Rounded(2 << 20)),
            ("hugetlb.2MB.rsvd.max", Expect::Rounded(2 << 20)),
            ("cpu.max", Expect::Readable),
            ("io.max", Expect::Readable),
            ("memory.high", Expect::Rounded(4096)),
            ("memory.low", Expect::Readable),
            ("misc.max", Expect::Same),
        ]
    );
    assert_eq!(cgroup.controllers, ["memory", "cpu", "cpuset", "hugetlb", "io", "misc"]);
    assert_eq!(cgroup.knobs[3].origin.as_str(), "linux.resources.cpu.cpus");
}

#[test]
fn missing_controllers_are_reported() {
    let hybrid = HostFacts {
        cgroup_mount: Some("/sys/fs/cgroup/unified".into()),
        controllers: vec!["hugetlb".to_owned()],
        v1_controllers: ["memory", "blkio"]
            .map(|name| (name.to_owned(), format!("/sys/fs/cgroup/{name}").into()))
            .into(),
        ..host()
    };
    // Once per controller, at the first field.
    refuse_on(
        &hybrid,
        r#"{"memory":{"limit":4096,"reservation":4096}}"#,
        "memory.limit: the memory controller is bound to cgroup v1 at /sys/fs/cgroup/memory, \
         not available in cgroup2 at /sys/fs/cgroup/unified",
    );
    refuse_on(
        &hybrid,
        r#"{"blockIO":{"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":1}]}}"#,
        "blockIO.throttleWriteBpsDevice[0].rate: the io controller is bound to cgroup v1 at /sys/fs/cgroup/blkio, \
         not available in cgroup2 at /sys/fs/cgroup/unified",
    );
    refuse_on(
        &hybrid,
        r#"{"pids":{"limit":1}}"#,
        "pids.limit: the pids controller is not available in cgroup2 at /sys/fs/cgroup/unified, \
         and not bound to cgroup v1 either",
    );
    refuse_on(
        &HostFacts::default(),
        r#"{"cpu":{"shares":1}}"#,
        "cpu.shares: the cpu controller is not available in cgroup2, which is not mounted, \
         and not bound to cgroup v1 either",
    );
    refuse_on(
        &hybrid,
        r#"{"unified":{"memory.high":"1"}}"#,
        "unified[\"memory.high\"]: unified resource \"memory.high\" can't be set: controller \"memory\" not available \
         (it is bound to cgroup v1 at /sys/fs/cgroup/memory, not available in cgroup2 at /sys/fs/cgroup/unified)",
    );
    // "No limit" requires no controller.
    check_on(&hybrid, r#"{"memory":{"limit":-1,"swap":-1},"pids":{"limit":-1},"cpu":{"quota":-1,"burst":0}}"#, &[]);
    check_on(
        &hybrid,
        r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#,
        &["hugetlb.2MB.max=0", "hugetlb.2MB.rsvd.max=0"],
    );
}

#[test]
fn only_privileged_runtimes_filter_devices() {
    let json = r#"{"devices":[{"allow":false,"access":"rwm"}]}"#;
    let (cgroup, _, warnings) = compile(json, &host());
    assert!(cgroup.devices.is_some() && warnings.is_empty());
    assert!(compile("{}", &host()).0.devices.is_some());
    for facts in [HostFacts { euid: 1000, ..host() }, HostFacts { initial_user_namespace: false, ..host() }] {
        let (cgroup, problems, warnings) = compile(json, &facts);
        assert_eq!((cgroup.devices, problems.len(), warnings.len()), (None, 0, 1));
        assert!(compile("{}", &facts).2.is_empty());
    }
    refuse(
        r#"{"devices":[{"allow":true,"access":"q"}]}"#,
        "devices[0].access: invalid device access \"q\" (expected a combination of r, w and m)",
    );
}

//! How the kernel shares itself out to the program: scheduler, I/O priority, CPUs, memory nodes, execution domain.

use runtime_tests::{Bundle, fails_on};
use serde_json::{Value, json};

/// What runc 1.1 and crun 1.8 were too old for.
const NEWER: [(&str, &str); 2] =
    [("runc", "1.1 is older than this property"), ("crun", "1.8.1 is older than this property")];

fn scheduled(scheduler: Value) -> Bundle {
    Bundle::base().with(|config| config["process"]["scheduler"] = scheduler).probe("scheduler")
}

#[test]
fn the_scheduler_is_set() {
    fails_on(&NEWER, || {
        let seen = scheduled(json!({"policy": "SCHED_BATCH", "nice": 5})).run().success();
        assert!(seen.contains("policy=3\nflags=0x0\nnice=5\n"), "{seen}");
    });
}

#[test]
fn a_real_time_policy_has_a_priority_and_flags() {
    let flags = json!(["SCHED_FLAG_RESET_ON_FORK"]);
    for (policy, number) in [("SCHED_FIFO", "1"), ("SCHED_RR", "2")] {
        let bundle = scheduled(json!({"policy": policy, "priority": 7, "flags": flags}));
        fails_on(&NEWER, || {
            let seen = bundle.run().success();
            assert!(seen.contains(&format!("policy={number}\nflags=0x1\nnice=0\npriority=7\n")), "{seen}");
        });
    }
}

#[test]
fn a_deadline_is_set_in_nanoseconds() {
    let times = json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 20_000_000, "period": 30_000_000});
    fails_on(&NEWER, || {
        let seen = scheduled(times).run().success();
        assert!(seen.ends_with("runtime=1000000\ndeadline=20000000\nperiod=30000000\n"), "{seen}");
    });
}

/// The host's capability is what counts, so that the runtime must use its own.
#[test]
fn priorities_can_be_raised_in_a_user_namespace() {
    let bundle = Bundle::base().user_namespace(100_000, 65_536).probe("nice").with(|config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": -3});
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 1});
    });
    fails_on(&NEWER, || {
        let seen = bundle.run().success();
        assert!(seen.contains("nice=-3\npolicy=0\nioprio=0x2001\n"), "{seen}");
    });
}

#[test]
fn the_io_priority_is_set() {
    for (class, level, seen) in [("BE", 6, "0x4006"), ("IDLE", 0, "0x6000"), ("RT", 2, "0x2002")] {
        let priority = json!({"class": format!("IOPRIO_CLASS_{class}"), "priority": level});
        let bundle = Bundle::base().with(|config| config["process"]["ioPriority"] = priority);
        fails_on(&NEWER, || assert_eq!(bundle.probe("nice").run().value("ioprio"), seen));
    }
}

#[test]
fn personality_is_set() {
    for (domain, seen) in [("LINUX32", "0x8"), ("LINUX", "0x0")] {
        let bundle = Bundle::base().with(|config| config["linux"]["personality"] = json!({"domain": domain}));
        let peers = if domain == "LINUX" { &[][..] } else { &[("runc", "1.1 ignores it: added in 1.2")] };
        fails_on(peers, || assert_eq!(bundle.probe("nice").run().value("personality"), seen));
    }
}

#[test]
fn the_memory_policy_is_set() {
    // MPOL_BIND with MPOL_F_STATIC_NODES, and node 0 alone.
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    let bundle = Bundle::base().with(|config| config["linux"]["memoryPolicy"] = policy);
    fails_on(&NEWER, || assert_eq!(bundle.probe("memory-policy").run().success(), "mode=0x8002\nnodes=0x1\n"));
    let bundle = Bundle::base().with(|config| config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_LOCAL"}));
    fails_on(&NEWER, || assert_eq!(bundle.probe("memory-policy").run().value("mode"), "0x4"));
}

/// A container that has these properties of its process, and runs.
fn running(change: impl FnOnce(&mut Value)) -> runtime_tests::Container {
    let container = Bundle::base().with(change).args(&["sleep", "1000"]).create();
    container.start();
    container
}

#[test]
fn a_further_process_gets_them_as_well() {
    let container = running(|config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 4});
        config["linux"]["personality"] = json!({"domain": "LINUX32"});
        config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_LOCAL"});
    });
    fails_on(&NEWER, || {
        let seen = container.exec(&[], &["/bin/probe", "nice"]).success();
        assert!(seen.starts_with("nice=4\npolicy=3\n") && seen.ends_with("personality=0x8\n"), "{seen}");
        assert_eq!(container.exec(&[], &["/bin/probe", "memory-policy"]).value("mode"), "0x4");
    });
}

#[test]
fn the_cpus_of_a_further_process_are_the_final_ones_or_the_initial() {
    let cpus = |affinity: Value| {
        let container = running(|config| config["process"]["execCPUAffinity"] = affinity);
        container.exec(&[], &["/bin/probe", "cpus"]).value("cpus")
    };
    fails_on(&NEWER, || {
        assert_eq!(cpus(json!({"initial": "0", "final": "1"})), "1");
        assert_eq!(cpus(json!({"final": "0,1"})), "0,1");
        // Without final ones the kernel decides: before Linux 6.2 a cpuset gives all of its CPUs to whoever enters it.
        let seen = cpus(json!({"initial": "1"}));
        assert!(seen == "1" || seen == "0,1", "{seen}");
    });
}

#[test]
fn the_cpus_of_a_further_process_are_not_those_of_the_first() {
    let affinity = json!({"initial": "0", "final": "0"});
    let bundle = Bundle::base().with(|config| config["process"]["execCPUAffinity"] = affinity).probe("cpus");
    assert_eq!(bundle.run().value("cpus"), Bundle::base().probe("cpus").run().value("cpus"));
}

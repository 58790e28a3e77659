//! How the kernel shares itself out to the program: scheduler, I/O priority, CPUs, memory nodes, execution domain.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
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

/// The CPUs that this process may run on, as the probe shows them.
fn own_cpus() -> String {
    let own = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let cpus = (0..CpuSet::count()).filter(|cpu| own.is_set(*cpu).unwrap());
    cpus.map(|cpu| cpu.to_string()).collect::<Vec<_>>().join(",")
}

/// Lets the caller of a runtime run on CPU 0 alone, as a service with `CPUAffinity=0` does.
fn on_the_first_cpu(command: &mut Command) -> &mut Command {
    let mut first = CpuSet::new();
    first.set(0).unwrap();
    // SAFETY: between fork and exec the closure makes one system call on memory that it owns.
    unsafe { command.pre_exec(move || sched_setaffinity(Pid::from_raw(0), &first).map_err(Into::into)) }
}

/// What runc before 1.3 left as the caller had it.
const INHERITED: [(&str, &str); 1] = [("runc", "1.1 leaves the caller's CPUs")];

#[test]
fn the_cpus_of_the_caller_are_not_inherited() {
    assert_ne!(own_cpus(), "0", "this test needs two CPUs");
    let bundle = Bundle::base().probe("cpus");
    fails_on(&INHERITED, || {
        let seen = bundle.finish(on_the_first_cpu(&mut bundle.command_for("run", &[])));
        assert_eq!(seen.value("cpus"), own_cpus());
    });
    let bundle = Bundle::base().user_namespace(100_000, 65_536).probe("cpus");
    fails_on(&INHERITED, || {
        let seen = bundle.finish(on_the_first_cpu(&mut bundle.command_for("run", &[])));
        assert_eq!(seen.value("cpus"), own_cpus(), "in a user namespace");
    });
}

#[test]
fn a_further_process_does_not_inherit_the_cpus_of_its_caller() {
    let container = running(|_| {});
    let bundle = container.bundle();
    let mut command = bundle.command(&["exec", bundle.id(), "/bin/probe", "cpus"]);
    fails_on(&INHERITED, || assert_eq!(bundle.finish(on_the_first_cpu(&mut command)).value("cpus"), own_cpus()));
}

/// The scheduling of the caller may have been chosen for the container as well: a unit's `Nice=` is. No runtime resets it.
#[test]
fn the_rest_of_the_scheduling_is_inherited() {
    let bundle = Bundle::base().probe("nice");
    let mut command = bundle.command_for("run", &[]);
    // SAFETY: between fork and exec the closure makes plain system calls.
    unsafe {
        command.pre_exec(|| {
            libc::setpriority(libc::PRIO_PROCESS, 0, 3);
            // SCHED_BATCH, which musl refuses to set, and the best-effort class with level 6.
            let priority: libc::c_int = 0;
            libc::syscall(libc::SYS_sched_setscheduler, 0, 3, &raw const priority);
            libc::syscall(libc::SYS_ioprio_set, 1, 0, 0x4006);
            Ok(())
        })
    };
    assert!(bundle.finish(&mut command).success().starts_with("nice=3\npolicy=3\nioprio=0x4006\n"));
}

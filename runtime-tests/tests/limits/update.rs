//! `update`: all of the limits that are given, or none.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use nix::errno::Errno;
use runtime_tests::{Container, Output, Running, errat, fails_on, may_fail_on};
use serde_json::{Value, json};

use super::{MIB, OLD_CRUN, OLD_RUNC, created, disk, limited, read};

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
        update(&container, &["--cpu-quota", "8000", "--cpu-burst", "5000"]);
        assert_eq!(read(&container, "cpu.max.burst"), "5000");
        update(&container, &["--cpu-quota", "20000", "--cpu-burst", "15000"]);
        assert_eq!(
            (read(&container, "cpu.max"), read(&container, "cpu.max.burst")),
            ("20000 100000".into(), "15000".into())
        );
        update(&container, &["--cpu-idle", "1"]);
        assert_eq!(read(&container, "cpu.idle"), "1");
    });
}

#[test]
fn swap_is_updated_beside_the_memory() {
    let rows: [(&[&str], &str, &str); 5] = [
        (&["--memory", "128m", "--memory-swap", "192m"], "134217728", "67108864"),
        (&["--memory", "128m"], "134217728", "402653184"),
        (&["--memory", "400m"], "419430400", "117440512"),
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

/// Every file of a container's cgroups that can be written, but for those that say what happens to be there.
fn whole(container: &Container) -> BTreeMap<PathBuf, String> {
    let leaf = container.cgroup();
    let mut found = BTreeMap::new();
    for directory in [leaf.parent().unwrap(), &leaf] {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let writable = fs::metadata(&path).unwrap().permissions().mode() & 0o200 != 0;
            let moves = ["cgroup.procs", "cgroup.threads", "memory.reclaim", "memory.peak"].contains(&name.as_str());
            if path.is_file() && writable && !moves && !name.contains("pressure") {
                // Some can only be written.
                found.extend(fs::read_to_string(&path).ok().map(|text| (path, text)));
            }
        }
    }
    found
}

/// Resources of which each is another knob, or two.
fn different() -> Value {
    let (major, minor) = disk();
    json!({
        "memory": {"limit": 128 * MIB, "swap": 192 * MIB, "reservation": 32 * MIB},
        "cpu": {"shares": 512, "quota": 20_000, "period": 50_000, "burst": 5_000, "cpus": "1", "mems": "0", "idle": 0},
        "pids": {"limit": 50},
        "blockIO": {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 1 << 20}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}],
        "unified": {"memory.high": "100M", "memory.min": "1M", "cgroup.max.depth": "5"},
        "devices": [{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm"}],
    })
}

/// A container that is ready for all of them.
fn with_everything() -> Container {
    let container = created(json!({
        "memory": {"limit": 256 * MIB, "swap": 512 * MIB},
        "cpu": {"shares": 1024, "quota": 50_000, "period": 100_000, "burst": 10_000, "cpus": "0-1", "mems": "0"},
        "pids": {"limit": 100},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 8 * MIB}],
    }));
    container.start();
    container
}

/// Whichever call to the kernel fails, all of the limits are the new ones or all are the former ones.
#[test]
fn a_failure_at_any_call_changes_nothing() {
    let container = with_everything();
    if !container.bundle().runtime().is_minirun() {
        return;
    }
    let before = whole(&container);
    let bundle = container.bundle();
    let file = bundle.home().join("different.json");
    fs::write(&file, different().to_string()).unwrap();
    let update = || {
        let mut command = bundle.command(&["update", "-r", file.to_str().unwrap(), bundle.id()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    for (errno, calls) in
        [(Errno::EINVAL, &[libc::SYS_write][..]), (Errno::ENODEV, &[libc::SYS_write, libc::SYS_pread64, libc::SYS_bpf])]
    {
        let whole_run = errat(update(), 0, errno, calls);
        assert_eq!(whole_run.status, 0);
        let after = whole(&container);
        assert!(after.iter().filter(|(path, text)| before[*path] != **text).count() > 15, "{after:?}");
        let mut refused = 0;
        for point in 1..=whole_run.calls {
            // Back to where it was, by writing what was there; twice, for files that bound each other.
            for (path, text) in before.iter().chain(&before) {
                for line in text.lines() {
                    let _bounded = fs::write(path, line);
                }
            }
            let (major, minor) = disk();
            fs::write(container.cgroup().parent().unwrap().join("io.max"), format!("{major}:{minor} rbps=max"))
                .unwrap();
            fs::write(container.cgroup().join("io.max"), format!("{major}:{minor} rbps=max")).unwrap();
            assert_eq!(whole(&container), before);
            let status = errat(update(), point, errno, calls).status;
            let now = whole(&container);
            if status == 0 {
                assert_eq!(now, after, "call {point} fails with {errno} and the update succeeds");
            } else {
                assert_eq!(now, before, "call {point} fails with {errno}");
                refused += 1;
            }
        }
        assert!(refused > 15, "{refused}");
    }
}

/// What the kernel refuses of one knob, beside others that it does not.
#[test]
fn a_refusal_by_the_kernel_changes_nothing() {
    let container = with_everything();
    let rows = [
        json!({"cpu": {"idle": 1}, "unified": {"memory.nosuch": "1"}}),
        json!({"cpu": {"burst": 40_000, "cpus": "0-99"}, "memory": {"limit": 128 * MIB}}),
        json!({"cpu": {"mems": "63"}, "pids": {"limit": 5}, "unified": {"memory.high": "90M"}}),
        json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MIB}], "unified": {"cgroup.max.depth": "-7"}}),
        json!({"blockIO": {"throttleReadBpsDevice": [{"major": 7, "minor": 99, "rate": 5}]}, "pids": {"limit": 5}}),
        json!({"rdma": {"nosuch": {"hcaHandles": 3}}, "memory": {"reservation": 5 * MIB}}),
    ];
    fails_on(&[("runc", "keeps what came before the failure"), ("crun", "as runc")], || {
        let before = whole(&container);
        for resources in rows {
            update_with(&container, &resources).failure();
            assert_eq!(whole(&container), before, "{resources}");
        }
    });
    if !container.bundle().runtime().is_minirun() {
        return;
    }
    // A weight is nothing that an idle cgroup has; it is asked for before anything is written, and said by name.
    update(&container, &["--cpu-idle", "1"]);
    let before = whole(&container);
    let resources = json!({"memory": {"limit": 128 * MIB}, "cpu": {"shares": 512}});
    let message = update_with(&container, &resources).failure();
    assert!(message.contains("linux.resources.cpu.shares"), "{message}");
    assert_eq!(whole(&container), before);
    update_with(&container, &json!({"memory": {"limit": 128 * MIB}, "cpu": {"shares": 512, "idle": 0}})).success();
    assert_eq!((read(&container, "cpu.weight").as_str(), read(&container, "cpu.idle").as_str()), ("59", "0"));
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

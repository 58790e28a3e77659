//! `events`: the numbers are those of a known load.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use runtime_tests::{
    Bundle, Container, Running, fails_on, may_fail_on, read_openmetrics, require_controllers, wait_until,
};
use serde_json::{Value, json};

use super::{MIB, OLD_RUNC, created, disk, limited, read};

const CRUN: (&str, &str) = ("crun", "1.8.1 has no events");

fn stats(container: &Container) -> Value {
    let event: Value = serde_json::from_str(&container.call(&["events", "--stats"], &[]).success()).unwrap();
    event["data"].clone()
}

fn number(data: &Value, pointer: &str) -> u64 {
    data.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {data}"))
}

fn started(bundle: Bundle) -> Container {
    let container = bundle.create();
    container.start();
    container
}

/// Clients decode it strictly: no key that runc does not have, and each that a loaded container has there.
#[test]
fn the_keys_are_those_of_runc() {
    const ENTRY: &str = "limit usage max! failcnt";
    const STALL: &str = "avg10 avg60 avg300 total";
    // Those with a mark may be missing, for being 0 or for the runtime's or the kernel's age.
    let sections = [
        ("", "cpu cpuset memory pids blkio hugetlb intel_rdt network_interfaces"),
        ("/cpu", "usage throttling psi!"),
        ("/cpu/usage", "total kernel user"),
        ("/cpu/throttling", "periods throttledPeriods! throttledTime!"),
        ("/cpu/psi", "some full!"),
        ("/cpu/psi/some", STALL),
        (
            "/cpuset",
            "cpus! cpu_exclusive mems! mem_hardwall mem_exclusive memory_migrate memory_spread_page memory_spread_slab \
             memory_pressure sched_load_balance sched_relax_domain_level",
        ),
        ("/memory", "cache! usage swap kernel! kernelTCP! raw psi!"),
        ("/memory/usage", ENTRY),
        ("/memory/swap", ENTRY),
        ("/memory/psi/full", STALL),
        ("/pids", "current limit"),
        ("/blkio", "ioServiceBytesRecursive ioServicedRecursive psi!"),
        ("/blkio/ioServicedRecursive/0", "major! minor! op value!"),
        ("/intel_rdt", ""),
    ];
    let resources = json!({
        "memory": {"limit": 128 * MIB},
        "cpu": {"quota": 50_000, "period": 100_000},
        "pids": {"limit": 50},
    });
    fails_on(&[CRUN], || {
        let bundle = limited(resources);
        let directory = Path::new("/mnt/disk").join(bundle.id());
        fs::create_dir(&directory).unwrap();
        let bundle = bundle.mount("/mnt", "bind", directory.to_str().unwrap(), &["bind", "rw"]);
        let container = started(bundle.sh("/bin/probe write-direct /mnt/file 1 && exec /bin/probe spin 600000"));
        wait_until("a load", || {
            let data = stats(&container);
            data["blkio"]["ioServicedRecursive"].is_array() && data["cpu"]["throttling"]["periods"].is_u64()
        });
        let data = stats(&container);
        fs::remove_dir_all(directory).unwrap();
        for (pointer, known) in sections {
            let Some(section) = data.pointer(pointer) else {
                assert!(pointer.contains("psi"), "no {pointer} in {data}");
                continue;
            };
            let found: BTreeSet<_> = section.as_object().unwrap().keys().map(String::as_str).collect();
            let all: BTreeSet<_> = known.split(' ').map(|key| key.trim_end_matches('!')).collect();
            let needed = known.split_whitespace().filter(|key| !key.ends_with('!'));
            assert!(found.is_subset(&all), "{pointer}: {found:?}");
            for key in needed {
                assert!(found.contains(key), "no {key} in {pointer}: {section}");
            }
        }
    });
}

/// Engines show statistics of containers that have no limit.
#[test]
fn without_limits_there_are_statistics() {
    fails_on(&[CRUN], || {
        let container = started(limited(json!({})).probe("pause"));
        let data = stats(&container);
        for pointer in ["/memory/usage/usage", "/memory/raw/anon", "/pids/current", "/cpu/usage/total"] {
            assert!(number(&data, pointer) > 0 || pointer.ends_with("anon"), "{pointer}: {data}");
        }
        // No limit: the greatest number for memory, none for processes.
        assert_eq!(number(&data, "/memory/usage/limit"), u64::MAX);
        assert!(data.pointer("/pids/limit").is_none(), "{data}");
    });
}

#[test]
fn usual_controllers_are_handed_down_at_every_depth() {
    let bundle = limited(json!({})).probe("pause");
    let path = format!("/{}-at/deep/er", bundle.id());
    let container = bundle.with(|config| config["linux"]["cgroupsPath"] = path.into()).create();
    let enabled = read(&container, "cgroup.controllers");
    for name in ["cpu", "cpuset", "io", "memory", "pids"] {
        assert!(enabled.split(' ').any(|found| found == name), "{name} in {enabled:?}");
    }
}

/// A cgroup with processes of its own hands nothing down, and what is not needed is not missed.
#[test]
fn usual_controllers_are_not_forced_on_a_cgroup_with_processes() {
    let bundle = Bundle::base().probe("pause");
    require_controllers(&["memory"]);
    let parent = Path::new("/sys/fs/cgroup").join(format!("{}-busy", bundle.id()));
    fs::create_dir(&parent).unwrap();
    let mut process = std::process::Command::new("/bin/busybox").args(["sleep", "600"]).spawn().unwrap();
    fs::write(parent.join("cgroup.procs"), process.id().to_string()).unwrap();
    let path = format!("/{}-busy/child", bundle.id());
    let bundle = bundle.with(|config| config["linux"]["cgroupsPath"] = path.into());
    let output = bundle.try_create();
    let state = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    may_fail_on(&[("runc", "enables the threaded ones"), ("crun", "as runc")], || {
        assert_eq!((output.status, state.trim()), (0, ""), "{output:?}");
    });
}

#[test]
fn numbers_are_those_of_the_load() {
    fails_on(&[CRUN], || {
        let resources = json!({
            "memory": {"limit": 128 * MIB, "swap": 192 * MIB},
            "cpu": {"cpus": "1"},
            "pids": {"limit": 50},
        });
        let script = "/bin/probe allocate 40; sleep 1000 & sleep 1000 & exec /bin/probe spin 600000";
        let container = started(limited(resources).sh(script));
        wait_until("a load", || {
            let data = stats(&container);
            number(&data, "/cpu/usage/total") > 300_000_000 && number(&data, "/pids/current") == 3
        });
        let data = stats(&container);
        assert_eq!(number(&data, "/pids/limit"), 50);
        assert_eq!(number(&data, "/memory/usage/limit"), 128 * MIB);
        assert_eq!(number(&data, "/memory/swap/limit"), 192 * MIB);
        let current: u64 = read(&container, "memory.current").parse().unwrap();
        assert!(number(&data, "/memory/usage/usage").abs_diff(current) < MIB, "{data}");
        if container.cgroup().join("memory.peak").exists() {
            // What was allocated went with its process.
            fails_on(&[OLD_RUNC], || assert!(number(&data, "/memory/usage/max") > 40 * MIB, "{data}"));
        }
        let stat = read(&container, "memory.stat");
        let keys: BTreeSet<_> = stat.lines().filter_map(|line| line.split(' ').next()).collect();
        let raw: BTreeSet<_> = data["memory"]["raw"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(raw, keys);
        fails_on(&[("runc", "shows the flags of v1 alone")], || assert_eq!(data["cpuset"]["cpus"], json!([1])));
    });
}

#[test]
fn memory_in_use_is_counted() {
    fails_on(&[CRUN], || {
        let script = "dd if=/dev/zero of=/dev/shm/file bs=1M count=40 && exec /bin/probe pause";
        let container = limited(json!({})).sh(script).create();
        assert!(number(&stats(&container), "/memory/usage/usage") < 40 * MIB);
        container.start();
        wait_until("the file", || container.output().contains("ready"));
        let data = stats(&container);
        let [usage, shared, cache] =
            ["/usage/usage", "/raw/shmem", "/cache"].map(|pointer| number(&data["memory"], pointer));
        assert!((40 * MIB..60 * MIB).contains(&usage), "{data}");
        assert!((40 * MIB..42 * MIB).contains(&shared) && cache >= shared, "{data}");
    });
}

#[test]
fn throttled_periods_are_counted() {
    fails_on(&[CRUN], || {
        let resources = json!({"cpu": {"quota": 10_000, "period": 100_000}});
        let container = started(limited(resources).probe("spin 600000"));
        wait_until("throttled periods", || {
            stats(&container)["cpu"]["throttling"]["throttledPeriods"].as_u64() > Some(2)
        });
        let data = stats(&container);
        let [periods, throttled, time] = ["periods", "throttledPeriods", "throttledTime"]
            .map(|key| number(&data["cpu"]["throttling"], &format!("/{key}")));
        // In nanoseconds: each throttled period was, for the most part, waited through.
        assert!(throttled <= periods && time > throttled * 10_000_000, "{data}");
    });
}

#[test]
fn bytes_of_devices_are_counted() {
    let (major, minor) = disk();
    fails_on(&[CRUN], || {
        let bundle = limited(json!({}));
        let directory = Path::new("/mnt/disk").join(bundle.id());
        fs::create_dir(&directory).unwrap();
        let bundle = bundle.mount("/mnt", "bind", directory.to_str().unwrap(), &["bind", "rw"]);
        let script = "/bin/probe write-direct /mnt/file 4 && exec /bin/probe pause";
        let container = started(bundle.sh(script));
        wait_until("the write", || container.output().contains("ready"));
        let data = stats(&container);
        let of = |list: &str| {
            let all = data["blkio"][list].as_array().unwrap_or_else(|| panic!("no {list} in {data}"));
            let ours = |entry: &&Value| {
                let number = |key: &str| entry[key].as_u64().unwrap_or_default();
                entry["op"] == "Write" && (number("major"), number("minor")) == (major, minor)
            };
            all.iter().find(ours).and_then(|entry| entry["value"].as_u64()).unwrap_or_default()
        };
        let (bytes, operations) = (of("ioServiceBytesRecursive"), of("ioServicedRecursive"));
        fs::remove_dir_all(directory).unwrap();
        assert!((4 * MIB..8 * MIB).contains(&bytes) && (1..4096).contains(&operations), "{data}");
    });
}

#[test]
fn huge_pages_are_listed_by_size() {
    require_controllers(&["hugetlb"]);
    fails_on(&[CRUN], || {
        let container = created(json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}));
        let data = stats(&container);
        assert_eq!(number(&data, "/hugetlb/2MB/failcnt"), 0);
        may_fail_on(&[OLD_RUNC], || assert!(data.pointer("/hugetlb/2MB/usage").is_none(), "0 is left out: {data}"));
    });
}

fn watched(container: &Container, interval: &str) -> Running {
    let bundle = container.bundle();
    Running::start(&mut bundle.command(&["events", "--interval", interval, bundle.id()]), bundle.home())
}

fn kinds(text: &str) -> Vec<String> {
    let kind = |line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned();
    text.lines().map(kind).collect()
}

/// The kill is told at once, not with the next statistics, and init lives on.
#[test]
fn a_kill_for_want_of_memory_is_an_event() {
    fails_on(&[CRUN], || {
        let script = "read go < /mnt/go; /bin/probe allocate 200; exec /bin/probe pause";
        let bundle = limited(json!({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}}));
        let gate = bundle.home().join("gate");
        fs::create_dir(&gate).unwrap();
        nix::unistd::mkfifo(&gate.join("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let container = started(bundle.mount("/mnt", "bind", gate.to_str().unwrap(), &["bind", "rw"]).sh(script));
        let mut events = watched(&container, "1000h");
        // It watches once it has opened the file; it says nothing before.
        wait_until("the watch", || opened(events.pid(), "memory.events") || !is_minirun(&container));
        fs::write(gate.join("go"), "go\n").unwrap();
        events.wait_for("oom");
        let line: Value = serde_json::from_str(events.stdout().lines().next().unwrap()).unwrap();
        assert_eq!(line, json!({"type": "oom", "id": container.bundle().id()}));
        container.kill("KILL");
        let text = events.finish().success();
        may_fail_on(&[("runc", "tells every change of the file")], || assert_eq!(kinds(&text), ["oom"]));
    });
}

/// Has this process such a file open?
fn opened(pid: i32, name: &str) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.ends_with(name))
}

#[test]
fn the_kill_of_init_is_an_event_too() {
    fails_on(&[CRUN], || {
        let bundle = limited(json!({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})).probe("allocate 200");
        let container = bundle.create();
        let events = watched(&container, "1000h");
        wait_until("the watch", || opened(events.pid(), "memory.events") || !is_minirun(&container));
        container.start();
        let text = events.finish().success();
        may_fail_on(&[("runc", "may see the end first, or tell more")], || assert_eq!(kinds(&text), ["oom"]));
    });
}

fn is_minirun(container: &Container) -> bool {
    container.bundle().runtime().is_minirun()
}

#[test]
fn the_exposition_says_the_same() {
    fails_on(&[CRUN, ("runc", "has JSON alone")], || {
        let resources = json!({"memory": {"limit": 128 * MIB}, "pids": {"limit": 50}, "cpu": {"cpus": "1"}});
        let container = started(limited(resources).sh("sleep 1000 & exec /bin/probe pause"));
        wait_until("two processes", || number(&stats(&container), "/pids/current") == 2);
        let text = container.call(&["events", "--stats", "--format", "openmetrics"], &[]).success();
        let samples = read_openmetrics(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let value = |name: &str| {
            let found = samples.iter().find(|sample| sample.name == name);
            found.unwrap_or_else(|| panic!("no {name} in:\n{text}")).value as u64
        };
        assert_eq!(value("container_pids"), 2);
        assert_eq!(value("container_pids_limit"), 50);
        assert_eq!(value("container_memory_limit_bytes"), 128 * MIB);
        assert_eq!(value("container_cpuset_cpus"), 1);
        let current: u64 = read(&container, "memory.current").parse().unwrap();
        assert!(value("container_memory_usage_bytes").abs_diff(current) < MIB, "{text}");
        let kills = samples.iter().find(|sample| sample.labels.get("event").is_some_and(|event| event == "oom_kill"));
        assert_eq!(kills.unwrap().value, 0.0);
    });
}

/// Monitors wait by inotify for a change of `memory.events` in the cgroup of the container's first process, and at the first
/// one look whether `oom_kill` has grown. conmon does not look again.
#[test]
fn the_first_event_of_a_container_that_is_oom_killed_is_the_kill() {
    let known = [("runc", "the limit is reached before the kill"), ("crun", "as runc, without systemd")];
    for _ in 0..10 {
        let bundle = limited(json!({"memory": {"limit": 16 * MIB, "swap": 16 * MIB}}));
        let container = bundle.args(&["/bin/busybox", "tail", "/dev/zero"]).create();
        let file = container.cgroup().join("memory.events");
        let path = std::ffi::CString::new(file.to_str().unwrap()).unwrap();
        // SAFETY: inotify_init1 takes no pointer, and the path outlives the other call.
        let (inotify, watch) = unsafe {
            let inotify = libc::inotify_init1(libc::IN_CLOEXEC);
            (inotify, libc::inotify_add_watch(inotify, path.as_ptr(), libc::IN_MODIFY))
        };
        assert!(inotify >= 0 && watch >= 0, "{}", std::io::Error::last_os_error());
        container.start();
        let mut buffer = [0u8; 4096];
        // SAFETY: the buffer is as long as is said.
        let length = unsafe { libc::read(inotify, buffer.as_mut_ptr().cast(), buffer.len()) };
        assert!(length > 0, "{}", std::io::Error::last_os_error());
        let events = fs::read_to_string(&file).unwrap();
        // SAFETY: nobody else uses it.
        unsafe { libc::close(inotify) };
        may_fail_on(&known, || {
            for (key, value) in [("low", "0"), ("high", "0"), ("max", "0"), ("oom", "0"), ("oom_kill", "1")] {
                assert!(events.contains(&format!("{key} {value}\n")), "{events}");
            }
        });
    }
}

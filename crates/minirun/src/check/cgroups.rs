//! Cgroups: one is made where containers get theirs, a process is born, frozen and killed in it, and it is removed.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use minirun_cgroup::{Cgroup, CgroupMount, Mark, controllers, locate, v1_controllers};
use minirun_plan::{CgroupPlan, ControllerHome, DeviceFilter, HostFacts};
use minirun_sys as sys;

use super::Row;
use super::trial::{Birth, attempt};

/// The controllers that a field of `linux.resources` may need.
const CONTROLLERS: [(&str, &str); 7] = [
    ("cpu", "linux.resources.cpu: shares, quota, period, burst, idle"),
    ("cpuset", "linux.resources.cpu: cpus, mems"),
    ("io", "linux.resources.blockIO"),
    ("memory", "linux.resources.memory"),
    ("pids", "linux.resources.pids"),
    ("hugetlb", "linux.resources.hugepageLimits"),
    ("rdma", "linux.resources.rdma"),
];

/// Files that a kernel may not have although it has their controller.
const FILES: [(&str, &str, &str, &str); 2] = [
    ("memory.swap.max", "memory", "linux.resources.memory.swap", "boot with swapaccount=1; a kernel with CONFIG_SWAP"),
    ("cpu.idle", "cpu", "linux.resources.cpu.idle", "a kernel of 5.15 or later"),
];

pub fn rows() -> Vec<Row> {
    let matters = "every container has a cgroup; linux.cgroupsPath";
    let mount = match locate() {
        Ok(Some(mount)) => mount,
        Ok(None) => {
            return vec![
                Row::missing("cgroups.mount", "no cgroup2 file system is mounted", matters)
                    .advice("mount -t cgroup2 none /sys/fs/cgroup; or boot with systemd.unified_cgroup_hierarchy=1")
                    .essential(),
            ];
        }
        Err(error) => return vec![Row::missing("cgroups.mount", error.to_string(), matters).essential()],
    };
    let mut rows = vec![Row::ok("cgroups.mount", format!("cgroup2 at {}", mount.path.display()), matters)];
    rows.extend(usable(&mount));
    rows.extend(limits(&mount));
    rows
}

/// What is done with the cgroup of every container, where this user's are made.
fn usable(mount: &CgroupMount) -> Vec<Row> {
    let (name, matters) = ("cgroups.make", "every container with limits has a cgroup; linux.cgroupsPath");
    let own = format!("check-{}", std::process::id());
    let place = match minirun_container::facts::default_cgroup(mount, &own) {
        Ok(Ok(place)) => place,
        Err(error) => return vec![Row::missing(name, error.to_string(), matters).essential()],
        Ok(Err(why)) => {
            let advice = "only containers without limits can run; for others have a part of the hierarchy delegated \
                          (systemd-run --user --scope -p Delegate=yes), or run as root";
            return vec![Row::limited(name, why, matters).advice(advice)];
        }
    };
    match make(&mount.path, place) {
        Ok(cgroup) => {
            let mut rows = vec![Row::ok(name, format!("made {} and removed it", cgroup.path().display()), matters)];
            rows.extend(inside(&cgroup));
            rows.extend(files(mount, &cgroup));
            if let Err(error) = cgroup.remove(None) {
                rows.push(Row::missing("cgroups.remove", error.to_string(), "delete").essential());
            }
            rows
        }
        Err(error) => {
            let advice = "run as root of the host, where cgroup2 is mounted writable";
            vec![Row::missing(name, error, matters).advice(advice).essential()]
        }
    }
}

/// Without controllers: to enable them would change the cgroups above, which stay.
fn make(mount: &Path, path: PathBuf) -> Result<Cgroup, String> {
    Cgroup::create(mount, &CgroupPlan { path, ..CgroupPlan::default() }).map_err(|error| error.to_string())
}

/// Being born, frozen and killed in it, and its filter of devices.
fn inside(cgroup: &Cgroup) -> Vec<Row> {
    let kernel = "use a kernel of 5.14 or later";
    let born = attempt(Birth { cgroup: Some(cgroup.fd()), ..Birth::default() }, || Ok(()));
    let advice =
        "use a kernel of 5.7 or later; CLONE_INTO_CGROUP also requires write access to the cgroups of both sides";
    let mut rows = vec![
        Row::of_trial("cgroups.born-inside", "CLONE_INTO_CGROUP", born, "create, run and exec", advice).essential(),
        Row::ok("cgroups.mark", "user.minirun", "delete removes only marked cgroups").essential(),
    ];
    if let Err(error) = cgroup.claim(&Mark { token: "check".to_owned(), directory: PathBuf::new() }) {
        rows[1] = Row::missing("cgroups.mark", error.to_string(), "delete removes only marked cgroups")
            .advice("use a kernel of 5.7 or later: cgroup2 with user.* attributes")
            .essential();
    }
    let of = |name: &str, seen: &str, done: Result<(), String>, matters: &str, advice: &str| match done {
        Ok(()) => Row::ok(name, seen, matters),
        Err(error) => Row::missing(name, error, matters).advice(advice),
    };
    rows.push(of("cgroups.freeze", "froze and thawed a process", freeze(cgroup), "pause and resume", kernel));
    rows.push(
        of("cgroups.kill", "killed a process", kill(cgroup), "delete -f; an error in create", kernel).essential(),
    );
    let filter = cgroup.attach_devices(&DeviceFilter::default()).map_err(|error| error.to_string());
    let advice = "run as root in the first user namespace, on a kernel with CONFIG_CGROUP_BPF";
    let matters = "linux.resources.devices, which every container has";
    let filter = of("cgroups.device-filter", "loaded and attached a BPF program", filter, matters, advice);
    // Without privilege no device node can be made either.
    rows.push(if nix::unistd::geteuid().is_root() { filter.essential() } else { filter });
    rows
}

/// Does something while a process waits in the cgroup.
fn beside_a_process(cgroup: &Cgroup, act: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let (ours, theirs) = std::io::pipe().map_err(|error| error.to_string())?;
    let cloned = sys::clone3(sys::Clone { flags: 0, cgroup: Some(cgroup.fd()) }, |child| {
        // Its own copy of the other end must go, or it would wait for itself.
        child.abandon(&[theirs.as_raw_fd()]);
        let _end = sys::read(ours.as_fd(), &mut [0u8; 1]);
        0
    });
    let pid = cloned.map_err(|errno| errno.to_string())?.pid;
    let done = act();
    drop(theirs);
    sys::wait(pid).map_err(|errno| errno.to_string())?;
    done
}

fn freeze(cgroup: &Cgroup) -> Result<(), String> {
    beside_a_process(cgroup, || {
        let frozen = cgroup.freeze().map_err(|error| error.to_string());
        // Also after a failure: a process that stays frozen could not be waited for.
        let thawed = cgroup.thaw().map_err(|error| error.to_string());
        frozen.and(thawed)
    })
}

fn kill(cgroup: &Cgroup) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(10);
    beside_a_process(cgroup, || {
        cgroup.kill().map_err(|error| error.to_string())?;
        match cgroup.wait_empty(Instant::now() + PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) => Err("a process was not killed".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
}

/// Files can be looked at only where their controller is enabled already.
fn files(mount: &CgroupMount, cgroup: &Cgroup) -> Vec<Row> {
    let offered = controllers(mount, Path::new("")).unwrap_or_default();
    let enabled = cgroup.read("cgroup.controllers").ok().flatten().unwrap_or_default();
    let has = |controller: &str| enabled.split_whitespace().any(|name| name == controller);
    let mut rows = Vec::new();
    for (file, controller, matters, advice) in FILES {
        let name = format!("cgroups.{file}");
        rows.push(match cgroup.read(file) {
            _ if !offered.iter().any(|name| name == controller) => continue,
            _ if !has(controller) => {
                let seen =
                    format!("not looked at: the {controller} controller is not enabled for the root's children yet");
                Row::limited(name, seen, matters).advice("ask again after the first container with such a limit")
            }
            Ok(Some(_)) => Row::ok(name, "it is there", matters),
            Ok(None) => Row::missing(name, "there is no such file", matters).advice(advice),
            Err(error) => Row::missing(name, error.to_string(), matters).advice(advice),
        });
    }
    rows
}

/// The controllers, each with who holds it.
fn limits(mount: &CgroupMount) -> Vec<Row> {
    // Where no cgroup can be made, the controllers of the root are the ones to tell of.
    let base = minirun_container::facts::cgroup_base(mount).map(|base| base.unwrap_or_default());
    let found = base.and_then(|base| Ok((controllers(mount, &base)?, v1_controllers()?)));
    let (controllers, v1_controllers) = match found {
        Ok(found) => found,
        Err(error) => return vec![Row::missing("cgroups.controllers", error.to_string(), "linux.resources")],
    };
    let facts = HostFacts { controllers, v1_controllers, ..Default::default() };
    CONTROLLERS.iter().map(|(name, matters)| controller(&facts, name, matters)).collect()
}

fn controller(facts: &HostFacts, controller: &str, matters: &str) -> Row {
    let name = format!("cgroups.{controller}");
    match facts.home_of(controller) {
        ControllerHome::V2 => Row::ok(name, "cgroup2 has it", matters),
        ControllerHome::V1(place) => Row::missing(name, format!("bound to cgroup v1 at {}", place.display()), matters)
            .advice("boot with cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1"),
        ControllerHome::Absent => {
            let (seen, advice) = elsewhere(controller);
            Row::missing(name, seen, matters).advice(advice)
        }
    }
}

/// Why no mounted hierarchy has a controller that the kernel knows (`/proc/cgroups`, cgroups(7)).
fn elsewhere(controller: &str) -> (&'static str, &'static str) {
    let table = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let name = if controller == "io" { "blkio" } else { controller };
    let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    match line.into_iter().find(|words| words.first() == Some(&name)).as_deref() {
        None | Some([]) => ("not built into this kernel", "use a kernel with this controller, if a limit needs it"),
        Some([.., "0"]) => ("switched off", "boot without cgroup_disable=; for memory also with cgroup_enable=memory"),
        Some([_, "0", ..]) => ("not delegated to this place", "have it enabled in cgroup.subtree_control above"),
        Some(_) => (
            "bound to a cgroup v1 hierarchy that is not mounted here",
            "boot with cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1",
        ),
    }
}

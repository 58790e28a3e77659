//! Limits: each is written, read back, and shown to bite. Runs as a static program in a virtual machine whose cgroup v2
//! has all controllers, an ext4 disk at `/mnt/disk` and two processors.
//!
//! What the runtime wrote is read from the files and, independently, through the getters of cgroups-rs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt;

use runtime_tests::{Bundle, Container, require_controllers};
use serde_json::Value;

#[path = "limits/bites.rs"]
mod bites;
#[path = "sweep/errors.rs"]
mod errors;
#[path = "limits/events.rs"]
mod events;
#[path = "limits/leaf.rs"]
mod leaf;
#[path = "limits/refused.rs"]
mod refused;
#[path = "limits/rootless.rs"]
mod rootless;
#[path = "limits/sweep_errors.rs"]
mod sweep_errors;
#[path = "limits/update.rs"]
mod update;
#[path = "limits/written.rs"]
mod written;

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

const OLD_RUNC: (&str, &str) = ("runc", "1.1 is older than this property or formula");
const OLD_CRUN: (&str, &str) = ("crun", "1.8.1 is older than this property or formula");

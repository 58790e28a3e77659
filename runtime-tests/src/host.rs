//! The suites' requirements on the host: a test that cannot run fails with a message, it is not skipped.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// Fails unless this is root with a cgroup2 file system on `/sys/fs/cgroup`.
#[track_caller]
pub fn require_cgroup2() {
    static CHECKED: OnceLock<Result<(), String>> = OnceLock::new();
    let check = || {
        if !nix::unistd::geteuid().is_root() {
            return Err("these tests create containers and require root".to_owned());
        }
        match statfs("/sys/fs/cgroup") {
            Ok(found) if found.filesystem_type() == CGROUP2_SUPER_MAGIC => Ok(()),
            _ => Err("no cgroup2 on /sys/fs/cgroup (hint: run this through runtime-tests/private-cgroup2)".to_owned()),
        }
    };
    if let Err(reason) = CHECKED.get_or_init(check) {
        panic!("{reason}");
    }
}

/// Fails unless the root cgroup offers all of the named controllers.
#[track_caller]
pub fn require_controllers(wanted: &[&str]) {
    require_cgroup2();
    let offered = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap();
    let missing: Vec<_> = wanted.iter().filter(|name| !offered.split_whitespace().any(|had| had == **name)).collect();
    assert!(missing.is_empty(), "the root cgroup lacks {missing:?}; the limits are tested in the virtual machine");
}

/// Returns how long a test waits for an event; `MINIRUN_PATIENCE` sets it in seconds for emulated machines.
pub fn patience() -> Duration {
    let seconds = std::env::var("MINIRUN_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// Waits until the condition holds. Fails after the time limit.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + patience();
    while !holds() {
        assert!(Instant::now() < end, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the path of a release build of this workspace.
pub fn built(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    target.join("x86_64-unknown-linux-musl/release").join(name)
}

/// Returns a program for every root file system.
#[track_caller]
pub fn guest_program(variable: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(default, PathBuf::from);
    assert!(path.is_file(), "no program at {}: build it or set {variable}", path.display());
    path
}

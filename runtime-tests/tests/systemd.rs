//! The systemd cgroup driver, on a machine whose first process is systemd. What systemd knows is asked of systemctl.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runtime_tests::{Bundle, Container};
use serde_json::{Value, json};

#[path = "systemd/endings.rs"]
mod endings;
#[path = "systemd/limits.rs"]
mod limits;
#[path = "systemd/reaching.rs"]
mod reaching;
#[path = "systemd/units.rs"]
mod units;
#[path = "systemd/users.rs"]
mod users;

/// A bundle whose container systemd makes the cgroup for. Only `create` and `run` are told so.
fn scope() -> Bundle {
    assert!(Path::new("/run/systemd/system").is_dir(), "systemd is not the first process here: make test-systemd");
    Bundle::base().globals(&["--systemd-cgroup"]).probe("pause")
}

fn limited(resources: Value) -> Bundle {
    scope().with(|config| config["linux"]["resources"] = resources)
}

/// What systemctl prints.
#[track_caller]
fn systemctl(words: &[&str]) -> String {
    let output = Command::new("systemctl").args(words).output().unwrap();
    assert!(output.status.success(), "systemctl {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A property of a unit; of a unit that is not there what systemd takes for granted.
#[track_caller]
fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "-p", name, unit]).trim().to_owned()
}

fn is_loaded(unit: &str) -> bool {
    property(unit, "LoadState") == "loaded"
}

/// The unit that a container has whose configuration does not name one.
fn unit_of(bundle: &Bundle) -> String {
    format!("minirun-{}.scope", bundle.id())
}

/// The cgroup that systemd says the unit has.
#[track_caller]
fn cgroup_of(unit: &str) -> PathBuf {
    let path = property(unit, "ControlGroup");
    assert!(!path.is_empty(), "{unit} has no cgroup");
    Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'))
}

fn read(cgroup: &Path, file: &str) -> String {
    let path = cgroup.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn set_path(path: &str) -> impl FnOnce(&mut Value) {
    let path = json!(path);
    |config| config["linux"]["cgroupsPath"] = path
}

fn started(bundle: Bundle) -> Container {
    let container = bundle.create();
    container.start();
    container
}

//! What makes a step fail: bundles that were changed, and processes that did something to themselves first.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use nix::errno::Errno;
use runtime_tests::Bundle;
use serde_json::{Value, json};

/// As it is.
pub fn same(bundle: Bundle) -> Bundle {
    bundle
}

/// With a value at a pointer whose parent is there.
pub fn set(bundle: Bundle, pointer: &str, value: Value) -> Bundle {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    bundle.with(|config| config.pointer_mut(parent).unwrap()[key] = value)
}

/// Joins a namespace, which becomes the last of the list.
pub fn joined(bundle: Bundle, kind: &str, path: &str) -> Bundle {
    bundle.namespace(kind, Some(json!({"type": kind, "path": path})))
}

/// In a new user namespace of few ids.
pub fn few_ids(bundle: Bundle) -> Bundle {
    bundle.user_namespace(100_000, 10)
}

/// The root is an overlay: a mount at the end of the list.
pub fn layers(bundle: Bundle, options: &[&str]) -> Bundle {
    for name in ["upper", "work"] {
        fs::create_dir(bundle.path().join(name)).unwrap();
    }
    bundle.mount("/", "overlay", "overlay", options)
}

/// With a link in the root file system.
pub fn link(bundle: Bundle, name: &str, target: &str) -> Bundle {
    let _absent = fs::remove_file(bundle.rootfs().join(name));
    symlink(target, bundle.rootfs().join(name)).unwrap();
    bundle
}

/// With one listed device, a character device.
pub fn device(bundle: Bundle, path: &str, minor: u32) -> Bundle {
    set(bundle, "/linux/devices", json!([{"type": "c", "path": path, "major": 1, "minor": minor}]))
}

/// Runs an executable file of this content.
pub fn program(bundle: Bundle, text: &str) -> Bundle {
    let file = bundle.rootfs().join("bin/program");
    fs::write(&file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    bundle.args(&["program"])
}

/// Works in a directory that is nobody's of the user namespace, as an ordinary user.
pub fn locked_out(bundle: Bundle) -> Bundle {
    let bundle = few_ids(bundle);
    let directory = bundle.rootfs().join("locked");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&directory, Some(3000), Some(3000)).unwrap();
    set(set(bundle, "/process/cwd", json!("/locked")), "/process/user/uid", json!(5))
}

/// With hooks of one kind: shell scripts, in the container or on the host.
pub fn hook(bundle: Bundle, list: &str, script: &str) -> Bundle {
    bundle.with(|config| config["hooks"][list] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]))
}

/// With a terminal, for a `run` in the foreground.
pub fn terminal(bundle: Bundle) -> Bundle {
    set(bundle, "/process/terminal", json!(true))
}

/// A container that runs until it is killed.
pub fn sleeping(bundle: Bundle) -> Bundle {
    bundle.args(&["sleep", "1000"])
}

pub fn prctl(option: i32, argument: u64) -> io::Result<()> {
    // SAFETY: takes plain numbers.
    Ok(Errno::result(unsafe { libc::prctl(option, argument, 0, 0, 0) }).map(drop)?)
}

// From linux/capability.h and linux/securebits.h; libc has them not.
pub const CAP_SETPCAP: u64 = 8;
pub const CAP_SYS_CHROOT: u64 = 18;
pub const CAP_SYS_NICE: u64 = 23;
pub const CAP_SYS_RESOURCE: u64 = 24;
pub const SECBIT_NO_CAP_AMBIENT_RAISE: u64 = 1 << 6;

/// The program that this process becomes does not get the capability, as root either.
pub fn without(capability: u64) -> io::Result<()> {
    prctl(libc::PR_CAPBSET_DROP, capability)
}

pub fn with_a_hard_limit() -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: 10, rlim_max: 10 };
    // SAFETY: the kernel reads a structure that outlives the call.
    Errno::result(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) })?;
    without(CAP_SYS_RESOURCE)
}

/// In the caller's mount namespace.
pub fn without_mounts(bundle: Bundle) -> Bundle {
    bundle.in_callers_mounts()
}

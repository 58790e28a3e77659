//! Looks at the user of this process: its rights, its namespace and its directories.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::OnceLock;

use minirun_plan::HostFacts;
use minirun_sys as sys;

use crate::error::{Context, OnPath, Result, ensure};

/// Whether the runtime is an ordinary user, or root of no more than a user namespace.
///
/// # Errors
/// The kernel does not say. Neither answer is safe then: root of the host has more to enforce, others more to ask for.
pub fn rootless() -> Result<bool> {
    Ok(of_user()?.rootless())
}

/// Whether state belongs into the runtime directory of a user: as in runc, also as root of a user namespace that an ordinary
/// user has made, who is still called otherwise then.
pub fn has_runtime_directory() -> Result<bool> {
    let known_otherwise =
        || runtime_directory().is_some() && std::env::var_os("USER").is_none_or(|name| name != "root");
    Ok(!nix::unistd::getresuid()?.effective.is_root() || !in_initial_user_namespace()? && known_otherwise())
}

/// The user's runtime directory. One that is not an absolute path is ignored (XDG Base Directory Specification).
pub fn runtime_directory() -> Option<OsString> {
    std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_absolute())
}

/// Returns the facts about the runtime's user.
fn of_user() -> Result<HostFacts> {
    // Not geteuid(2), whose wrapper takes a refusal (by a seccomp filter) for an id.
    let (user, group) = (nix::unistd::getresuid()?, nix::unistd::getresgid()?);
    Ok(HostFacts {
        euid: user.effective.as_raw(),
        egid: group.effective.as_raw(),
        initial_user_namespace: in_initial_user_namespace()?,
        ..HostFacts::default()
    })
}

/// Returns the facts that the plan of a process depends on.
pub fn of_privileges() -> Result<HostFacts> {
    let (bounding, last_capability) = bounding_set()?;
    let (_, permitted, _) = sys::capget().context("capget")?;
    let user = of_user()?;
    // Copying one is the only way to learn it: the owner of a namespace outside of one's own is not told (ioctl_ns(2)).
    // Other errors than that of who has no right speak of this one mount.
    let copies = || {
        let copy = sys::open_tree(sys::working_directory(), c"/", libc::OPEN_TREE_CLONE);
        !matches!(copy, Err(sys::Errno::EPERM))
    };
    Ok(HostFacts {
        last_capability,
        bounding: bounding & permitted,
        others_mounts: user.euid == 0 && !user.initial_user_namespace && !copies(),
        setgroups_denied: denies_setgroups("self")?,
        ..user
    })
}

/// Whether this process's user namespace denies setgroups(2).
///
/// # Errors
/// The file cannot be read.
pub fn denies_setgroups(pid: &str) -> Result<bool> {
    let file = format!("/proc/{pid}/setgroups");
    match sys::read_file(&file) {
        Ok(text) => Ok(text.starts_with(b"deny")),
        // A kernel without user namespaces has no such file. Where it is hidden, setgroups(2) itself fails.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).on("read", || &file),
    }
}

/// Whether this is the first user namespace.
///
/// # Errors
/// The kernel does not say.
pub fn in_initial_user_namespace() -> Result<bool> {
    // This process stays in its user namespace, whose map cannot be changed.
    static KNOWN: OnceLock<bool> = OnceLock::new();
    match KNOWN.get() {
        Some(known) => Ok(*known),
        None => {
            let answer = sys::in_initial_user_namespace().context("read /proc/self/uid_map")?;
            Ok(*KNOWN.get_or_init(|| answer))
        }
    }
}

/// The bounding set, and the number of the newest capability: the kernel refuses to tell of numbers beyond it.
fn bounding_set() -> Result<(u64, u32)> {
    let mut mask = 0;
    for capability in 0..64 {
        match sys::read_capbset(capability) {
            Ok(present) => mask |= u64::from(present) << capability,
            Err(sys::Errno::EINVAL) if capability > 0 => {
                let last = capability - 1;
                check_last_capability(last)?;
                return Ok((mask, last));
            }
            Err(errno) => {
                return Err(errno).with_context(|| format!("read capability {capability} of the bounding set"));
            }
        }
    }
    Ok((mask, 63))
}

/// A refusal that is not the kernel's own answer must not end the list: what is beyond it would not be dropped.
fn check_last_capability(last: u32) -> Result<()> {
    const FILE: &str = "/proc/sys/kernel/cap_last_cap";
    let text = sys::read_file(FILE).on("read", || FILE)?;
    let text = String::from_utf8_lossy(&text);
    let known: u32 = text.trim().parse().with_context(|| format!("read {FILE}: {text:?}"))?;
    ensure!(known == last, "{FILE} lists capabilities up to {known}, prctl(PR_CAPBSET_READ) up to {last}");
    Ok(())
}

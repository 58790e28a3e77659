//! Which part of the hierarchy somebody may use who is not root of the host (cgroup-v2.rst, "Delegation").

use std::path::{Path, PathBuf};

use minirun_sys::Errno;

use crate::{CgroupMount, files};

/// What its user must be able to write for containers to be made below a cgroup: the directory, and the file by which
/// processes get from one of its cgroups into another.
const WRITTEN: [&str; 2] = ["", "cgroup.procs"];

/// The cgroup of this process, as a path from the root of the mount.
///
/// # Errors
///
/// Why it is not known, in words.
pub fn own() -> Result<PathBuf, String> {
    const FILE: &str = "/proc/self/cgroup";
    let text = std::fs::read_to_string(FILE).map_err(|error| format!("read {FILE}: {error}"))?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    own.map(PathBuf::from).ok_or_else(|| format!("{FILE} names no cgroup of cgroup2"))
}

/// May this process make cgroups below the one at `path`, from the root of the mount, and bring processes there?
///
/// # Errors
///
/// Why not, in words.
pub fn usable(mount: &CgroupMount, path: &Path) -> Result<(), String> {
    let place = mount.path.join(path.strip_prefix("/").unwrap_or(path));
    let may_write = |file| files::c_path(&place.join(file)).and_then(|path| minirun_sys::faccess(&path, libc::W_OK));
    match WRITTEN.into_iter().try_for_each(may_write) {
        Ok(()) => Ok(()),
        Err(Errno::EROFS) => Err(format!("cgroup2 is mounted read-only at {}", mount.path.display())),
        Err(_) => Err(format!("{} is not delegated to this user", place.display())),
    }
}

/// The cgroup below which this process may make others, as a path from the root of the mount: the one that holds its own,
/// because a cgroup with processes hands down no controllers; or else its own.
///
/// # Errors
///
/// Why there is none, in words.
pub fn delegated(mount: &CgroupMount) -> Result<PathBuf, String> {
    let own = own()?;
    if own.starts_with("/..") {
        return Err(format!("{} lies outside of the cgroup namespace", own.display()));
    }
    match own.parent().filter(|above| usable(mount, above).is_ok()) {
        Some(above) => Ok(above.to_owned()),
        None => usable(mount, &own).map(|()| own),
    }
}

//! The part of the hierarchy that a user other than root may use (cgroup-v2.rst, "Delegation").

use std::path::{Path, PathBuf};

use minirun_sys::Errno;

use crate::{CgroupError, CgroupMount, Result, files};

/// The files that a user must be able to write to create containers below a cgroup: the directory, and the file that
/// moves processes between its cgroups.
const WRITTEN: [&str; 2] = ["", "cgroup.procs"];

/// A result, or the reason why there is none. A failed system call is an error instead.
pub type Verdict<T> = std::result::Result<T, String>;

/// Returns the cgroup of this process, as a path from the root of the mount.
///
/// # Errors
///
/// Fails if the kernel's files cannot be read.
pub fn own() -> Result<PathBuf> {
    const FILE: &str = "/proc/self/cgroup";
    let text = std::fs::read_to_string(FILE).map_err(|error| CgroupError::new("read", FILE, error.to_string()))?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    own.map(PathBuf::from).ok_or_else(|| CgroupError::new("read", FILE, "it does not name a cgroup of cgroup2"))
}

/// Returns whether this process may create cgroups below the one at `path`, from the root of the mount, and move
/// processes there.
///
/// # Errors
///
/// Fails if the kernel's files cannot be read.
pub fn usable(mount: &CgroupMount, path: &Path) -> Result<Verdict<()>> {
    let place = mount.path.join(path.strip_prefix("/").unwrap_or(path));
    for file in WRITTEN {
        let file = place.join(file);
        match files::c_path(&file).and_then(|path| minirun_sys::faccess(&path, libc::W_OK)) {
            Ok(()) => {}
            Err(Errno::EROFS) => return Ok(Err(format!("cgroup2 is mounted read-only at {}", mount.path.display()))),
            // A cgroup namespace may not show the process's own cgroup.
            Err(Errno::EACCES | Errno::EPERM | Errno::ENOENT) => {
                return Ok(Err(format!("{} is not delegated to this user", place.display())));
            }
            Err(errno) => return Err(CgroupError::new("look at", file, errno)),
        }
    }
    Ok(Ok(()))
}

/// Returns the cgroup below which this process may create others, as a path from the root of the mount: the parent of
/// its own, because a cgroup with processes cannot delegate controllers; or else its own.
///
/// # Errors
///
/// Fails if the kernel's files cannot be read.
pub fn delegated(mount: &CgroupMount) -> Result<Verdict<PathBuf>> {
    let own = own()?;
    if own.starts_with("/..") {
        return Ok(Err(format!("{} lies outside of the cgroup namespace", own.display())));
    }
    if let Some(above) = own.parent()
        // accepts: a verdict, which is a result.
        && usable(mount, above)?.is_ok()
    {
        return Ok(Ok(above.to_owned()));
    }
    Ok(usable(mount, &own)?.map(|()| own))
}

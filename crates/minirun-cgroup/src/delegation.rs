//! Which part of the hierarchy somebody may use who is not root of the host (cgroup-v2.rst, "Delegation").

use std::path::{Path, PathBuf};

use minirun_sys::Errno;

use crate::{CgroupError, CgroupMount, Result, files};

/// What its user must be able to write for containers to be made below a cgroup: the directory, and the file by which
/// processes get from one of its cgroups into another.
const WRITTEN: [&str; 2] = ["", "cgroup.procs"];

/// An answer, or the reason why there is none. A failed system call is an error instead.
pub type Verdict<T> = std::result::Result<T, String>;

/// The cgroup of this process, as a path from the root of the mount.
///
/// # Errors
///
/// The kernel does not say.
pub fn own() -> Result<PathBuf> {
    const FILE: &str = "/proc/self/cgroup";
    let text = std::fs::read_to_string(FILE).map_err(|error| CgroupError::new("read", FILE, error.to_string()))?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    own.map(PathBuf::from).ok_or_else(|| CgroupError::new("read", FILE, "it names no cgroup of cgroup2"))
}

/// Whether this process may make cgroups below the one at `path`, from the root of the mount, and bring processes there.
///
/// # Errors
///
/// The kernel does not say.
pub fn usable(mount: &CgroupMount, path: &Path) -> Result<Verdict<()>> {
    let place = mount.path.join(path.strip_prefix("/").unwrap_or(path));
    for file in WRITTEN {
        let file = place.join(file);
        match files::c_path(&file).and_then(|path| minirun_sys::faccess(&path, libc::W_OK)) {
            Ok(()) => {}
            Err(Errno::EROFS) => return Ok(Err(format!("cgroup2 is mounted read-only at {}", mount.path.display()))),
            // Below the root of a cgroup namespace there may be nothing of the process's own.
            Err(Errno::EACCES | Errno::EPERM | Errno::ENOENT) => {
                return Ok(Err(format!("{} is not delegated to this user", place.display())));
            }
            Err(errno) => return Err(CgroupError::new("look at", file, errno)),
        }
    }
    Ok(Ok(()))
}

/// The cgroup below which this process may make others, as a path from the root of the mount: the one that holds its own,
/// because a cgroup with processes hands down no controllers; or else its own.
///
/// # Errors
///
/// The kernel does not say.
pub fn delegated(mount: &CgroupMount) -> Result<Verdict<PathBuf>> {
    let own = own()?;
    if own.starts_with("/..") {
        return Ok(Err(format!("{} lies outside of the cgroup namespace", own.display())));
    }
    if let Some(above) = own.parent()
        // accepts: a verdict, which is an answer.
        && usable(mount, above)?.is_ok()
    {
        return Ok(Ok(above.to_owned()));
    }
    Ok(usable(mount, &own)?.map(|()| own))
}

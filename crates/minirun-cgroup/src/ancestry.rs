//! The directories on the path of a container's cgroup: those that are missing, and those that are left unused.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use minirun_sys::Errno;

use crate::{Cgroup, CgroupError, Result, files};

impl Cgroup {
    /// Returns the topmost directory that must be created for the cgroup at `path`, as a path from the mount; none if
    /// all of them exist.
    ///
    /// # Errors
    ///
    /// Fails if `path` has a `..`, or a directory cannot be opened.
    pub fn first_missing(mount: &Path, path: &Path) -> Result<Option<PathBuf>> {
        let root = files::open_mount(mount)?;
        let path = files::inside(mount, path)?;
        let mut missing = None;
        for directory in path.ancestors().take_while(|directory| !directory.as_os_str().is_empty()) {
            match files::open_dir(root.as_fd(), directory) {
                Ok(_) => break,
                Err(Errno::ENOENT) => missing = Some(directory.to_owned()),
                Err(errno) => return Err(CgroupError::new("open", mount.join(directory), errno)),
            }
        }
        Ok(missing)
    }

    /// Whether every process in it is frozen (`cgroup.events`, `frozen`).
    ///
    /// # Errors
    ///
    /// Fails if `cgroup.events` cannot be read.
    pub fn is_frozen(&self) -> Result<bool> {
        let events = self.read("cgroup.events")?.unwrap_or_default();
        Ok(files::value_of(&events, "frozen") == Some("1"))
    }
}

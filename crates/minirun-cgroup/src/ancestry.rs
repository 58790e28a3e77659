//! The directories on the way to a container's cgroup: which of them have to be made, and which are left unused.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use minirun_sys::Errno;

use crate::{Cgroup, CgroupError, Result, files};

impl Cgroup {
    /// The topmost directory that would have to be made for the cgroup at `path`, as a path from the mount; none when all
    /// of them are there.
    ///
    /// # Errors
    ///
    /// `path` has a `..`, or a directory cannot be opened.
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

    /// Does every process in it stand still (`cgroup.events`, `frozen`)?
    ///
    /// # Errors
    ///
    /// `cgroup.events` cannot be read.
    pub fn is_frozen(&self) -> Result<bool> {
        let events = self.read("cgroup.events")?.unwrap_or_default();
        Ok(files::value_of(&events, "frozen") == Some("1"))
    }
}

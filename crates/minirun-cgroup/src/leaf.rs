//! The child of a container's cgroup that holds its processes, when the container's own cgroup must not.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use minirun_sys::Errno;

use crate::remove::{PATIENCE, remove_at, rmdir};
use crate::{Cgroup, CgroupError, Result, files};

impl Cgroup {
    /// Creates a child cgroup with this name, in which processes are created from now on. Its controllers are enabled
    /// later ([`Cgroup::hand_down`]), when no process is left beside it.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be created, or an existing one cannot be removed.
    pub fn make_leaf(&mut self, name: &str) -> Result<()> {
        let path = self.path().join(name);
        let failed = |operation: &'static str| {
            let path = path.clone();
            move |errno| CgroupError::new(operation, path, errno)
        };
        let make = || {
            let name = files::c_path(Path::new(name))?;
            minirun_sys::mkdirat(self.dir.as_fd(), &name, 0o755)
        };
        let made = match make() {
            // An existing cgroup is reused; it has no processes.
            Err(Errno::EEXIST) => {
                let deadline = Instant::now() + PATIENCE;
                remove_at(self.dir.as_fd(), Path::new(name), deadline).map_err(failed("remove"))?;
                make()
            }
            answer => answer,
        };
        made.map_err(failed("make"))?;
        self.leaf = Some(files::open_dir(self.dir.as_fd(), Path::new(name)).map_err(failed("open"))?);
        Ok(())
    }

    /// Opens the child cgroup with this name, so that knobs are written there as well. A missing one is ignored.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened.
    pub fn open_leaf(&mut self, name: &str) -> Result<()> {
        match files::open_dir(self.dir.as_fd(), Path::new(name)) {
            Ok(leaf) => self.leaf = Some(leaf),
            Err(errno) if files::gone(errno) => {}
            Err(errno) => return Err(CgroupError::new("open", self.path().join(name), errno)),
        }
        Ok(())
    }

    /// Removes the child cgroup with this name if it is empty. If it is in use, [`Cgroup::remove`] removes it later.
    ///
    /// # Errors
    ///
    /// Fails if it is not in use and cannot be removed.
    pub fn remove_leaf(&self, name: &str) -> Result<()> {
        match rmdir(self.dir.as_fd(), Path::new(name)) {
            Ok(()) | Err(Errno::EBUSY | Errno::ENOTEMPTY) => Ok(()),
            Err(errno) => Err(CgroupError::new("remove", self.path().join(name), errno)),
        }
    }
}

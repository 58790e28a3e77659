//! The cgroup inside of a container's that holds its processes, where the container's own must not.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use minirun_sys::Errno;

use crate::remove::{PATIENCE, remove_at, rmdir};
use crate::{Cgroup, CgroupError, Result, files};

impl Cgroup {
    /// Makes the cgroup of this name in this one: processes are born there from now on. Its controllers are enabled later
    /// ([`Cgroup::hand_down`]), when no process is left beside it.
    ///
    /// # Errors
    ///
    /// It cannot be made, or one of this name is there and cannot be removed.
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
            // A cgroup that was there is used again, and nothing lives in it.
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

    /// Opens the cgroup of this name in this one, so that what is written here is written there as well. One that is gone is
    /// left out.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn open_leaf(&mut self, name: &str) -> Result<()> {
        match files::open_dir(self.dir.as_fd(), Path::new(name)) {
            Ok(leaf) => self.leaf = Some(leaf),
            Err(errno) if files::gone(errno) => {}
            Err(errno) => return Err(CgroupError::new("open", self.path().join(name), errno)),
        }
        Ok(())
    }

    /// Removes the cgroup of this name in this one if it is empty. If it is in use, [`Cgroup::remove`] removes it later.
    ///
    /// # Errors
    ///
    /// It can neither be removed nor is it in use.
    pub fn remove_leaf(&self, name: &str) -> Result<()> {
        match rmdir(self.dir.as_fd(), Path::new(name)) {
            Ok(()) | Err(Errno::EBUSY | Errno::ENOTEMPTY) => Ok(()),
            Err(errno) => Err(CgroupError::new("remove", self.path().join(name), errno)),
        }
    }
}

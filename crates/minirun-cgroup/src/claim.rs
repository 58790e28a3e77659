//! Whose a cgroup is: a mark on its directory, which goes with it.

use std::os::fd::AsFd;

use minirun_sys::{Errno, create_xattr, get_xattr};

use crate::{Cgroup, CgroupError, Result};

/// The extended attribute; cgroup2 takes `user.*` ones since Linux 5.7.
const NAME: &std::ffi::CStr = c"user.minirun";

impl Cgroup {
    /// Marks the cgroup as this owner's, unless it is another's.
    ///
    /// # Errors
    ///
    /// It is another's, or the attribute cannot be set.
    pub fn claim(&self, owner: &str) -> Result<()> {
        match create_xattr(self.dir.as_fd(), NAME, owner.as_bytes()) {
            Ok(()) => Ok(()),
            Err(Errno::EEXIST) => match self.owner()? {
                Some(other) if other != owner => {
                    let text = format!("it belongs to the container {other:?}");
                    Err(CgroupError::new("use", self.path(), text)
                        .hint("each container needs a linux.cgroupsPath of its own"))
                }
                _ => Ok(()),
            },
            Err(errno) => Err(CgroupError::new("mark", self.path(), errno)),
        }
    }

    /// Whose it is, if it is marked.
    ///
    /// # Errors
    ///
    /// The attribute cannot be read.
    pub fn owner(&self) -> Result<Option<String>> {
        let mut buffer = [0u8; 8192];
        match get_xattr(self.dir.as_fd(), NAME, &mut buffer) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(&buffer[..length]).into_owned())),
            Err(Errno::ENODATA | Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(CgroupError::new("read the mark of", self.path(), errno)),
        }
    }
}

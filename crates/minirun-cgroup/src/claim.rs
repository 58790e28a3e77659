//! Whose a cgroup is: a mark on its directory, which goes with it.

use std::ffi::CStr;
use std::os::fd::AsFd;

use minirun_sys::{Errno, create_xattr, get_xattr};

use crate::{Cgroup, CgroupError, Result};

/// The extended attribute. Of a cgroup that is given to its container, the container could change one that is not
/// trusted, but those take CAP_SYS_ADMIN in the first user namespace (xattr(7)).
const TRUSTED: &CStr = c"trusted.minirun";
/// What others use; cgroup2 takes `user.*` attributes since Linux 5.7.
const NAME: &CStr = c"user.minirun";

impl Cgroup {
    /// Marks the cgroup as this owner's, unless it is another's.
    ///
    /// # Errors
    ///
    /// It is another's, or the attribute cannot be set.
    pub fn claim(&self, owner: &str) -> Result<()> {
        let mark = |name: &CStr| create_xattr(self.dir.as_fd(), name, owner.as_bytes());
        let marked = mark(TRUSTED);
        match if marked == Err(Errno::EPERM) { mark(NAME) } else { marked } {
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
        for name in [TRUSTED, NAME] {
            match get_xattr(self.dir.as_fd(), name, &mut buffer) {
                Ok(length) => return Ok(Some(String::from_utf8_lossy(&buffer[..length]).into_owned())),
                Err(Errno::ENODATA | Errno::ENOENT | Errno::ENODEV) => {}
                Err(errno) => return Err(CgroupError::new("read the mark of", self.path(), errno)),
            }
        }
        Ok(None)
    }
}

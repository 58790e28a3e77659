//! A cgroup whose inner life is its container's: whoever owns it may make cgroups in it and share out what it has.

use std::ffi::CString;
use std::path::Path;

use minirun_plan::CgroupOwner;
use minirun_sys::Errno;

use crate::{Cgroup, CgroupError, Result};

/// The kernel's list of the files that go with a delegated cgroup (cgroups(7)).
const LIST: &str = "/sys/kernel/cgroup/delegate";
/// What the specification has where that list is missing.
const DEFAULT: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Gives the directory that the container sees as its root, and the files that are for its owner, to this user; the
    /// limits stay the runtime's.
    ///
    /// # Errors
    ///
    /// An owner cannot be changed.
    pub fn delegate(&self, owner: &CgroupOwner) -> Result<()> {
        const SAME_GROUP: u32 = u32::MAX;
        let failed = |path: &Path, errno: Errno| {
            CgroupError::new(format!("give to user {}", owner.uid), path, errno).origin(&owner.origin)
        };
        let list = match std::fs::read_to_string(LIST) {
            Ok(list) => list,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => DEFAULT.to_owned(),
            Err(error) => return Err(CgroupError::new("read", LIST, error.to_string()).origin(&owner.origin)),
        };
        for name in list.lines() {
            let file = CString::new(name).unwrap_or_default();
            match minirun_sys::fchownat(self.fd(), &file, owner.uid, SAME_GROUP) {
                // Not every cgroup has all of them.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(failed(&self.path().join(name), errno)),
            }
        }
        minirun_sys::fchown(self.fd(), owner.uid, SAME_GROUP).map_err(|errno| failed(&self.path(), errno))
    }
}

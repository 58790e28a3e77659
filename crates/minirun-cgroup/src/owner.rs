//! Delegates a cgroup to its container, whose user may create cgroups in it and distribute its resources.

use std::ffi::CString;
use std::path::Path;

use minirun_plan::CgroupOwner;
use minirun_sys::Errno;

use crate::{Cgroup, CgroupError, Result};

/// The kernel's list of the files that belong to the owner of a delegated cgroup (cgroups(7)).
const LIST: &str = "/sys/kernel/cgroup/delegate";
/// The files that the specification names if that list is missing.
const DEFAULT: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Changes the owner of the directory that the container sees as its root, and of the files for its owner, to this
    /// user. The limits stay the runtime's.
    ///
    /// # Errors
    ///
    /// Fails if an owner cannot be changed.
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
                // Some cgroups lack some of the files.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(failed(&self.path().join(name), errno)),
            }
        }
        minirun_sys::fchown(self.fd(), owner.uid, SAME_GROUP).map_err(|errno| failed(&self.path(), errno))
    }
}

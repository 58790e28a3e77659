//! Removes a cgroup with everything below it, and the directories created above it.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use minirun_sys::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::files::{self, Answer};
use crate::processes::{children, wait_for};
use crate::{Cgroup, CgroupError, Result};

/// The time limit of a removal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The number of attempts to remove a cgroup that reappears.
const ATTEMPTS: usize = 8;
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_millis(100);

impl Cgroup {
    /// Removes the cgroup and those created in it, depth first, then the empty directories above up to `made_from`
    /// ([`Cgroup::made`] at its creation; none keeps them). A missing cgroup counts as removed.
    ///
    /// It does not kill processes: call [`Cgroup::kill`] first. It waits for their end for at most ten seconds.
    ///
    /// # Errors
    ///
    /// Fails if processes are left after that time, or a directory cannot be removed.
    pub fn remove(&self, made_from: Option<&Path>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        if let Err(errno) = remove_at(self.root.as_fd(), &self.path, deadline) {
            // accepts: any error of listing; the first error is reported.
            let left = if errno == Errno::EBUSY { self.pids().unwrap_or_default() } else { Vec::new() };
            if left.is_empty() {
                return Err(CgroupError::new("remove", self.path(), errno));
            }
            let text = format!("{} process(es) are left in it: {left:?}", left.len());
            return Err(CgroupError::new("remove", self.path(), text));
        }
        if let Some(top) = made_from.filter(|top| !top.as_os_str().is_empty()) {
            for above in self.path.ancestors().skip(1).take_while(|above| above.starts_with(top)) {
                match rmdir(self.root.as_fd(), above) {
                    Ok(()) => {}
                    // If another container uses the directory by now, it stays.
                    Err(Errno::EBUSY | Errno::ENOTEMPTY) => break,
                    Err(errno) => return Err(CgroupError::new("remove", self.mount.join(above), errno)),
                }
            }
        }
        Ok(())
    }
}

/// Removes the cgroup at `path`, relative to `at`, with all cgroups below it.
pub(crate) fn remove_at(at: BorrowedFd<'_>, path: &Path, deadline: Instant) -> Answer<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        match rmdir(at, path) {
            Err(Errno::EBUSY) => {}
            answer => return answer,
        }
        let dir = match files::open_dir(at, path) {
            Err(errno) if files::gone(errno) => return Ok(()),
            answer => answer?,
        };
        for child in children(dir.as_fd())? {
            remove_at(dir.as_fd(), &child, deadline)?;
        }
        // It has processes, or one that is about to end.
        match wait_for(dir.as_fd(), "populated", "0", deadline) {
            Ok(true) => {}
            Ok(false) => return Err(Errno::EBUSY),
            Err(errno) if files::gone(errno) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        match rmdir(at, path) {
            Err(Errno::EBUSY) if Instant::now() < deadline => {}
            answer => return answer,
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Calls rmdir(2); a missing directory counts as removed. Its absence is checked, because a read-only mount returns
/// EROFS for missing directories too.
pub(crate) fn rmdir(at: BorrowedFd<'_>, path: &Path) -> Answer<()> {
    let mut answer = Ok(());
    for _ in 0..ATTEMPTS {
        answer = unlinkat(at, path, UnlinkatFlags::RemoveDir);
        match answer {
            Err(errno) if files::gone(errno) || errno == Errno::EROFS => match files::open_dir(at, path) {
                Err(errno) if files::gone(errno) => return Ok(()),
                Err(errno) => return Err(errno),
                // Another process has created one with this name meanwhile.
                Ok(_) => {}
            },
            answer => return answer,
        }
    }
    answer
}

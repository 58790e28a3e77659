//! Detects OOM kills.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_sys::Errno;

use crate::files::{self, Answer};
use crate::{Cgroup, CgroupError, Result};

const EVENTS: &str = "memory.events";

impl Cgroup {
    /// Returns the number of OOM kills in this cgroup and below (`memory.events`, `oom_kill`); none if the memory
    /// controller is not enabled for it.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read.
    pub fn oom_kills(&self) -> Result<Option<u64>> {
        let events = self.read(EVENTS)?;
        Ok(events.and_then(|events| kills(&events)))
    }

    /// Watches `oom_kill` from now on; none if the memory controller is not enabled for the cgroup.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened or read.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        let open = || -> Answer<OomWatch> {
            let file = files::open_file(self.dir.as_fd(), EVENTS, libc::O_RDONLY)?;
            let seen = kills(&files::read_short(file.as_fd())?).unwrap_or_default();
            Ok(OomWatch { file, seen })
        };
        match open() {
            Ok(watch) => Ok(Some(watch)),
            Err(errno) if files::gone(errno) => Ok(None),
            Err(errno) => Err(CgroupError::new("watch", self.path().join(EVENTS), errno)),
        }
    }
}

/// An open `memory.events`.
#[derive(Debug)]
pub struct OomWatch {
    file: OwnedFd,
    /// The last value of `oom_kill`.
    seen: u64,
}

impl OomWatch {
    /// Returns the descriptor, to be polled for `POLLPRI`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether there was an OOM kill since the last call. The call also arms the next event. Always false if the cgroup
    /// does not exist.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read.
    pub fn struck(&mut self) -> minirun_sys::Result<bool> {
        let now = match files::read_short(self.file.as_fd()) {
            Err(Errno::ENODEV) => return Ok(false),
            answer => kills(&answer?).unwrap_or_default(),
        };
        Ok(now > std::mem::replace(&mut self.seen, now))
    }
}

fn kills(events: &str) -> Option<u64> {
    files::value_of(events, "oom_kill")?.parse().ok()
}

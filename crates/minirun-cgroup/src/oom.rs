//! Noticing that the OOM killer struck.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_sys::Errno;

use crate::files::{self, Answer};
use crate::{Cgroup, CgroupError, Result};

const EVENTS: &str = "memory.events";

impl Cgroup {
    /// How often the OOM killer struck in this cgroup and below (`memory.events`, `oom_kill`); none when the memory
    /// controller is not enabled for it.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn oom_kills(&self) -> Result<Option<u64>> {
        let events = self.read(EVENTS)?;
        Ok(events.and_then(|events| kills(&events)))
    }

    /// Watches `oom_kill` from now on; none when the memory controller is not enabled for the cgroup.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or read.
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
    /// `oom_kill` when it was last read.
    seen: u64,
}

impl OomWatch {
    /// The descriptor, to be polled for `POLLPRI`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Did it strike since this was last asked? Asking also arms the next event. Never in a cgroup that is gone.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
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

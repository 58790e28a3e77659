//! The processes of a cgroup: lists, freezes and kills them, and waits for their end.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use minirun_sys::Errno;
use nix::dir::{Dir, Type};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::files::{self, Answer};
use crate::{Cgroup, CgroupError, Result};

/// The time limit of freezing and thawing: a process that hangs in the kernel does not freeze.
const FREEZING: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Whether there is a process in this cgroup or below. A removed cgroup has none.
    ///
    /// # Errors
    ///
    /// Fails if `cgroup.events` cannot be read.
    pub fn populated(&self) -> Result<bool> {
        let events = self.read("cgroup.events")?;
        Ok(events.is_some_and(|events| files::value_of(&events, "populated") == Some("1")))
    }

    /// Returns the processes of this cgroup and those below, by pid in the caller's pid namespace.
    ///
    /// # Errors
    ///
    /// Fails if a cgroup cannot be read.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        pids_below(self.dir.as_fd(), &mut pids)
            .map_err(|errno| CgroupError::new("list the processes of", self.path(), errno))?;
        Ok(pids)
    }

    /// Kills every process in this cgroup and below, including frozen ones and those that are being forked
    /// (`cgroup.kill`, Linux 5.14). Does not wait.
    ///
    /// # Errors
    ///
    /// Fails if `cgroup.kill` cannot be written.
    pub fn kill(&self) -> Result<()> {
        match files::write_file(self.dir.as_fd(), "cgroup.kill", "1") {
            // The cgroup was removed, or the kernel is too old: then the file is missing in an existing directory.
            Err(errno) if files::gone(errno) && self.read("cgroup.events")?.is_none() => Ok(()),
            answer => {
                answer.map_err(|errno| CgroupError::new("write \"1\" to", self.path().join("cgroup.kill"), errno))
            }
        }
    }

    /// Freezes every process in this cgroup and below, and waits until they are frozen.
    ///
    /// # Errors
    ///
    /// Fails if `cgroup.freeze` cannot be written, or a process does not freeze within ten seconds; then all are
    /// thawed.
    pub fn freeze(&self) -> Result<()> {
        self.set_frozen("1")?;
        let answer = self.wait_for("frozen", "1", Instant::now() + FREEZING);
        match answer {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.set_frozen("0")?;
                Err(CgroupError::new("freeze", self.path(), "a process did not freeze in time; all are thawed"))
            }
            Err(error) => Err(error),
        }
    }

    /// Undoes [`Cgroup::freeze`].
    ///
    /// # Errors
    ///
    /// Fails if `cgroup.freeze` cannot be written, or a cgroup above is frozen too.
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen("0")?;
        match self.wait_for("frozen", "0", Instant::now() + FREEZING)? {
            true => Ok(()),
            false => {
                Err(CgroupError::new("thaw", self.path(), "it is still frozen").hint("a cgroup above might be frozen"))
            }
        }
    }

    fn set_frozen(&self, value: &str) -> Result<()> {
        files::write_file(self.dir.as_fd(), "cgroup.freeze", value)
            .map_err(|errno| CgroupError::new(format!("write {value:?} to"), self.path().join("cgroup.freeze"), errno))
    }

    /// Waits until no process is left in this cgroup and below. Returns false if some are left at the deadline.
    ///
    /// # Errors
    ///
    /// Fails if `cgroup.events` cannot be read or polled.
    pub fn wait_empty(&self, deadline: Instant) -> Result<bool> {
        self.wait_for("populated", "0", deadline)
    }

    fn wait_for(&self, key: &str, value: &str, deadline: Instant) -> Result<bool> {
        match wait_for(self.dir.as_fd(), key, value, deadline) {
            // A removed cgroup has no processes, frozen or not.
            Err(errno) if files::gone(errno) => Ok(value == "0"),
            answer => answer.map_err(|errno| CgroupError::new("wait for", self.path().join("cgroup.events"), errno)),
        }
    }
}

/// Waits until `cgroup.events` of a cgroup shows this value. The kernel wakes the caller (cgroup-v2.rst: "modified
/// event").
pub(crate) fn wait_for(dir: BorrowedFd<'_>, key: &str, value: &str, deadline: Instant) -> Answer<bool> {
    let file = files::open_file(dir, "cgroup.events", libc::O_RDONLY)?;
    loop {
        // Each round reads first, because reading arms the next event.
        if files::value_of(&files::read_short(file.as_fd())?, key) == Some(value) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // The time is rounded up, so that the last round does not spin.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLPRI)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn pids_below(dir: BorrowedFd<'_>, pids: &mut Vec<i32>) -> Answer<()> {
    let text = match files::read_file(dir, "cgroup.procs") {
        // A threaded cgroup lists only threads; its processes are listed in the domain above.
        Err(Errno::EOPNOTSUPP) => String::new(),
        Err(errno) if files::gone(errno) => return Ok(()),
        answer => answer?,
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for child in children(dir)? {
        match files::open_dir(dir, &child) {
            Ok(child) => pids_below(child.as_fd(), pids)?,
            Err(errno) if files::gone(errno) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Returns the names of the cgroups in a cgroup. `dir` itself is not read, so its position stays at the start.
pub(crate) fn children(dir: BorrowedFd<'_>) -> Answer<Vec<PathBuf>> {
    let listed = match files::open_dir(dir, Path::new("")) {
        Err(errno) if files::gone(errno) => return Ok(Vec::new()),
        answer => answer?,
    };
    let mut names = Vec::new();
    for entry in Dir::from_fd(listed)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() == Some(Type::Directory) && name != b"." && name != b".." {
            names.push(PathBuf::from(std::ffi::OsStr::from_bytes(name)));
        }
    }
    Ok(names)
}

//! Processes by more than their number: a pid is reused, a pid with its start time and the boot it belongs to is not.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use minirun_sys as sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

/// A process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub pid: i32,
    /// In clock ticks since boot (proc_pid_stat(5), field 22).
    pub start_time: u64,
}

/// What /proc/PID/stat says that matters here.
struct Stat {
    state: u8,
    start_time: u64,
    name: String,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, parentheses included: the last one closes it.
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(close + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start_time, name: String::from_utf8_lossy(&text[open + 1..close]).into_owned() })
}

impl Identity {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Identity> {
        Some(Identity { pid, start_time: stat(pid)?.start_time })
    }

    /// A descriptor of the process, if it still is that process and has not ended.
    pub fn open(&self) -> Option<Process> {
        let pidfd = sys::pidfd_open(self.pid).ok()?;
        // Looked at after the descriptor was opened: if it is the right one now, the descriptor refers to it.
        let stat = stat(self.pid)?;
        let alive = stat.start_time == self.start_time && stat.state != b'Z' && stat.state != b'X';
        alive.then_some(Process { pidfd, name: stat.name })
    }
}

/// A process that was alive when it was looked at.
#[derive(Debug)]
pub struct Process {
    pidfd: OwnedFd,
    /// The name that `ps` shows.
    pub name: String,
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Process {
    /// The descriptor alone.
    pub fn into_fd(self) -> OwnedFd {
        self.pidfd
    }

    pub fn signal(&self, signal: i32) -> sys::Result<()> {
        sys::pidfd_send_signal(self.pidfd.as_fd(), signal)
    }

    /// Waits until it has ended; false when that takes longer than so many milliseconds.
    pub fn wait(&self, milliseconds: u16) -> Result<bool> {
        loop {
            let mut list = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut list, PollTimeout::from(milliseconds)) {
                Ok(ready) => return Ok(ready > 0),
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// The processes in the pid namespace of this one and in those below it. Others' cannot be looked into, and are not in it.
pub fn in_pid_namespace_of(init: i32) -> Result<Vec<i32>> {
    let namespace = |pid: i32| File::open(format!("/proc/{pid}/ns/pid")).map(OwnedFd::from).ok();
    let inode = |fd: &OwnedFd| sys::fstat(fd.as_fd()).map(|stat| (stat.st_dev, stat.st_ino));
    let own = inode(&namespace(init).context("look into the container's init")?)?;
    let inside = |pid: &i32| {
        let mut next = namespace(*pid);
        while let Some(fd) = next {
            if inode(&fd).is_ok_and(|found| found == own) {
                return true;
            }
            // The one of the caller has no parent that the caller could see.
            next = sys::namespace_parent(fd.as_fd()).ok();
        }
        false
    };
    let entries = std::fs::read_dir("/proc").context("read /proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    Ok(pids.filter(inside).collect())
}

/// What distinguishes this boot from others (random(4)).
pub fn boot_id() -> Result<&'static str> {
    // `list` asks once for each container.
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = BOOT_ID.get() {
        return Ok(id);
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT_ID.get_or_init(|| text.trim_end().to_owned()))
}

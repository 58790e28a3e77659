//! Processes by more than their number: a pid is reused, a pid with its start time and the boot it belongs to is not.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use crate::error::{Context, OnPath, Result, ensure};
use minirun_sys as sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use serde::{Deserialize, Serialize};

/// A process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub pid: i32,
    /// In clock ticks since boot (proc_pid_stat(5), field 22).
    pub start_time: u64,
}

/// The fields of /proc/PID/stat that are used here.
struct Stat {
    state: u8,
    start_time: u64,
    name: String,
}

/// Returns facts about a process; none if there is no process with this pid.
fn stat(pid: i32) -> Result<Option<Stat>> {
    let file = format!("/proc/{pid}/stat");
    let text = match sys::read_file(&file) {
        Ok(text) => text,
        // ESRCH: it ended between open and read.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => return Ok(None),
        Err(error) => return Err(error).on("read", || &file),
    };
    parse_stat(&text).map(Some).with_context(|| format!("read {file}: not of the form that proc_pid_stat(5) describes"))
}

fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The name stands in parentheses and may hold anything, parentheses included: the last one closes it.
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    // accepts: text of another form, which the caller refuses.
    let rest = std::str::from_utf8(text.get(close + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    // accepts: as above.
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start_time, name: String::from_utf8_lossy(&text[open + 1..close]).into_owned() })
}

impl Identity {
    /// The process that has this pid now; none when there is none.
    ///
    /// # Errors
    /// /proc does not show it.
    pub fn of(pid: i32) -> Result<Option<Identity>> {
        Ok(stat(pid)?.map(|stat| Identity { pid, start_time: stat.start_time }))
    }

    /// A descriptor of the process, if it still is that process and has not ended.
    ///
    /// # Errors
    /// It may be alive, and /proc does not show it.
    pub fn open(&self) -> Result<Option<Process>> {
        let pidfd = match sys::pidfd_open(self.pid) {
            Ok(pidfd) => pidfd,
            Err(sys::Errno::ESRCH) => return Ok(None),
            Err(errno) => return Err(errno).with_context(|| format!("open process {}", self.pid)),
        };
        // Looked at after the descriptor was opened: if it is the right one now, the descriptor refers to it.
        let Some(stat) = stat(self.pid)? else {
            // That it is not in /proc is no answer where /proc is hidden or another's.
            let hidden = Process { pidfd, name: String::new() };
            ensure!(hidden.wait(0)?, "process {} is alive and not in /proc (hint: is all of /proc mounted?)", self.pid);
            return Ok(None);
        };
        let alive = stat.start_time == self.start_time && stat.state != b'Z' && stat.state != b'X';
        Ok(alive.then_some(Process { pidfd, name: stat.name }))
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
    /// Takes its status if it has ended and is a child of this process, as the init of a container that was made here.
    pub fn reap(&self) -> Result<()> {
        match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Ok(_) | Err(sys::Errno::ECHILD) => Ok(()),
            Err(errno) => Err(errno).context("wait for container init"),
        }
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
    let own =
        namespace_of(init).and_then(|namespace| identity_of(&namespace)).context("look into the container's init")?;
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").context("read /proc")? {
        // accepts: a name that is not a number, which is that of another file.
        let Ok(pid) = entry.context("read /proc")?.file_name().to_string_lossy().parse::<i32>() else { continue };
        if is_inside(pid, own).with_context(|| format!("look into process {pid}"))? {
            pids.push(pid);
        }
    }
    Ok(pids)
}

fn namespace_of(pid: i32) -> Result<OwnedFd> {
    Ok(File::open(format!("/proc/{pid}/ns/pid"))?.into())
}

/// Device and inode number.
fn identity_of(namespace: &OwnedFd) -> Result<(u64, u64)> {
    let stat = sys::fstat(namespace.as_fd())?;
    Ok((stat.st_dev, stat.st_ino))
}

fn is_inside(pid: i32, own: (u64, u64)) -> Result<bool> {
    let mut next = match namespace_of(pid) {
        Ok(namespace) => namespace,
        Err(error) => match error.errno() {
            // It has ended, or it belongs to another user, whose processes this one cannot look at.
            Some(sys::Errno::ENOENT | sys::Errno::ESRCH | sys::Errno::EACCES | sys::Errno::EPERM) => return Ok(false),
            _ => return Err(error),
        },
    };
    loop {
        if identity_of(&next)? == own {
            return Ok(true);
        }
        next = match sys::namespace_parent(next.as_fd()) {
            Ok(parent) => parent,
            // The one of the caller has no parent that the caller could see (ioctl_ns(2)).
            Err(sys::Errno::EPERM) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
    }
}

/// Returns the random id of this boot (random(4)).
pub fn boot_id() -> Result<&'static str> {
    // `list` asks once for each container.
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = BOOT_ID.get() {
        return Ok(id);
    }
    let text = sys::read_file("/proc/sys/kernel/random/boot_id").context("read the boot id")?;
    let text = String::from_utf8(text).context("read the boot id")?;
    Ok(BOOT_ID.get_or_init(|| text.trim_end().to_owned()))
}

//! The keeper of a hook: its parent, which adopts whatever the hook starts and leaves behind.
//!
//! While the hook runs, its processes are the keeper's descendants, whatever sessions they make: the keeper can end them
//! all, when the runtime asks for it and when the runtime dies. What a hook that has ended leaves running stays; the
//! keeper's own end gives it to the process that adopts the runtime's orphans.

use std::os::fd::{AsFd, BorrowedFd};

use minirun_sys as sys;
use minirun_sys::{Child, Errno};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Gets ready, before the hook is started: nothing but SIGKILL ends a keeper early.
pub(crate) fn prepare() -> sys::Result<()> {
    sys::block_signals()?;
    sys::default_sigchld()?;
    sys::set_child_subreaper(true)
}

/// Waits for the hook and tells its status word, or ends it and all of its descendants when the other side of the
/// lifeline is closed.
pub(crate) fn keep(child: &mut Child, hook: i32, pidfd: BorrowedFd<'_>, lifeline: BorrowedFd<'_>) -> sys::Result<()> {
    // The runtime's descriptors hold its locks, and the other ends of what others wait to be closed.
    child.close_all_but(0, [Some(pidfd), Some(lifeline)])?;
    let mut list = [PollFd::new(pidfd, PollFlags::POLLIN), PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)];
    poll(&mut list, PollTimeout::NONE)?;
    if list[0].any() == Some(true) {
        let status = sys::wait(hook)?;
        // accepts: any error; the runtime has died, and the hook's processes are ended.
        if sys::write(lifeline, &status.to_ne_bytes()).is_ok() {
            return Ok(());
        }
    } else {
        // A hook in another pid namespace leaves its orphans there; they go with that namespace's first process.
        // accepts: ESRCH; nothing of it is left.
        let _gone = sys::kill(-hook, libc::SIGKILL);
    }
    end_all(hook)
}

/// The children of this process; none known on a kernel without that list (CONFIG_PROC_CHILDREN).
pub(crate) fn children() -> sys::Result<Vec<i32>> {
    let list = match std::fs::read_to_string("/proc/thread-self/children") {
        Ok(list) => list,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
    };
    // accepts: no other text than numbers, which the kernel writes.
    Ok(list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Ends what a killed keeper has left to this process: every child that is not among the others, whatever cgroup it is in. A
/// container in the host's pid namespace leaves its orphans here as well; but a hook whose keeper was killed has failed, and
/// the container ends with it.
///
/// # Errors
/// A child that cannot be killed, or does not end (`ETIME`). The others are ended even so.
pub(crate) fn end_orphans(others: &[i32]) -> sys::Result<()> {
    let (mut known, mut answer) = (others.to_vec(), Ok(()));
    loop {
        let mut left = children()?;
        left.retain(|pid| !known.contains(pid));
        if left.is_empty() {
            return answer;
        }
        for pid in left {
            // Not reaped yet, so it is this child, dead or alive.
            let ended = sys::pidfd_open(pid).and_then(|pidfd| {
                sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL)?;
                await_end(pidfd.as_fd(), pid)
            });
            // accepts: no error: it is returned when the others have ended.
            if ended.is_err() {
                known.push(pid);
                answer = answer.and(ended);
            }
        }
    }
}

/// Waits for a child that was killed. Only a kernel that holds it (cgroup v1 can freeze a process so that it does not even die)
/// makes it outlast this.
///
/// # Errors
/// `ETIME` if it does.
pub(crate) fn await_end(pidfd: BorrowedFd<'_>, pid: i32) -> sys::Result<()> {
    const PATIENCE: i32 = 10_000;
    if !ends_within(pidfd, PATIENCE)? {
        return Err(Errno::ETIME);
    }
    sys::wait(pid).map(drop)
}

/// Whether this process ends within this time, in milliseconds.
pub(crate) fn ends_within(pidfd: BorrowedFd<'_>, milliseconds: i32) -> sys::Result<bool> {
    loop {
        match sys::wait_readable(pidfd, Some(milliseconds)) {
            // This process was stopped meanwhile.
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}

/// Kills children until there are none: the children of one that dies are adopted before it can be waited for.
fn end_all(hook: i32) -> sys::Result<()> {
    loop {
        let listed = kill_children();
        // A kernel without that list (CONFIG_PROC_CHILDREN) leaves it at the hook's process group.
        // accepts: any error; then the process group is all that can be reached.
        let whom = if listed.is_ok() { -1 } else { hook };
        match sys::wait(whom) {
            // accepts: as above.
            Ok(_) if listed.is_ok() => {}
            Ok(_) | Err(Errno::ECHILD) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}

/// Kills as many children as one page of their list names; those beyond it have their turn when these are gone.
fn kill_children() -> sys::Result<()> {
    let list = sys::open(c"/proc/thread-self/children", libc::O_RDONLY)?;
    let mut page = [0u8; 4096];
    let length = sys::read(list.as_fd(), &mut page)?;
    let mut pid = 0i32;
    for byte in &page[..length] {
        match byte {
            b'0'..=b'9' => pid = pid.saturating_mul(10).saturating_add(i32::from(byte - b'0')),
            // Each number is followed by a blank, so that one cut off at the end is not taken for another.
            _ if pid > 0 => {
                // accepts: ESRCH; it has ended already.
                let _gone = sys::kill(pid, libc::SIGKILL);
                pid = 0;
            }
            _ => {}
        }
    }
    Ok(())
}

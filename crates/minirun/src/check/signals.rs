//! The signals that end `check`: a trial that is being waited for ends, and no later one is waited for.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The signal by which this process was asked to end; 0 for none.
static INTERRUPTED: AtomicI32 = AtomicI32::new(0);

/// The signal by which this process was asked to end.
pub fn interrupted() -> Option<i32> {
    Some(INTERRUPTED.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}

/// Waits until a trial can be heard. Every signal is blocked.
///
/// # Errors
/// `EINTR` if this process is asked to end.
pub fn await_readable(fd: BorrowedFd<'_>) -> sys::Result<()> {
    let mask = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM].map(|signal| 1u64 << (signal - 1));
    let signals = sys::signal_fd_of(mask.iter().sum())?;
    loop {
        let mut list = [PollFd::new(fd, PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut list, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        let [ready, asked] = list.map(|fd| fd.any() == Some(true));
        if asked && let Some(signal) = sys::read_signal(signals.as_fd())? {
            INTERRUPTED.store(signal, Ordering::Relaxed);
            return Err(Errno::EINTR);
        }
        if ready {
            return Ok(());
        }
    }
}

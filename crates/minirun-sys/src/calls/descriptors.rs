//! Descriptors, whatever is behind them: read, written, waited for, inherited.

use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use super::{check, plain, syscall};
use crate::{Errno, Result};

/// `AT_FDCWD`, for calls that take a descriptor to start from.
pub fn working_directory() -> BorrowedFd<'static> {
    // SAFETY: the value stands for the working directory and is no descriptor that could be closed; only -1 is forbidden.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// A standard stream: a descriptor that a process has under a fixed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// Number 0.
    Input = libc::STDIN_FILENO as isize,
    /// Number 1.
    Output = libc::STDOUT_FILENO as isize,
    /// Number 2.
    Error = libc::STDERR_FILENO as isize,
}

impl Standard {
    /// All three.
    pub const ALL: [Standard; 3] = [Standard::Input, Standard::Output, Standard::Error];

    /// Borrows it. If the caller has closed it, calls on it fail with `EBADF`.
    pub fn fd(self) -> BorrowedFd<'static> {
        // SAFETY: the number is not -1, and belongs to the process as a whole, so that no owner closes it.
        unsafe { BorrowedFd::borrow_raw(self as RawFd) }
    }
}

/// dup3(2): makes a descriptor a standard stream, which stays open at `execve`.
pub fn become_standard(fd: BorrowedFd<'_>, stream: Standard) -> Result<()> {
    if fd.as_raw_fd() == stream as RawFd {
        return keep_on_exec(stream as RawFd);
    }
    // SAFETY: it acts on no memory, and no owner has the number of a standard stream.
    check(unsafe { syscall!(SYS_dup3, fd.as_raw_fd(), stream as RawFd, 0) }).map(drop)
}

/// Whether a descriptor is open under this number: those that were inherited have no owner to ask.
pub fn is_open(number: RawFd) -> Result<bool> {
    // SAFETY: this command reads a flag of the descriptor, whatever the number is.
    match check(unsafe { syscall!(SYS_fcntl, number, libc::F_GETFD) }) {
        Ok(_) => Ok(true),
        Err(Errno::EBADF) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Takes `FD_CLOEXEC` off the descriptor with this number: the next program inherits it. Nothing changes for its owner here.
pub fn keep_on_exec(number: RawFd) -> Result<()> {
    // SAFETY: this command changes a flag of the descriptor, whatever the number is.
    check(unsafe { syscall!(SYS_fcntl, number, libc::F_SETFD, 0) }).map(drop)
}

/// read(2).
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most as many bytes as the slice has.
    check(unsafe { syscall!(SYS_read, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) }).map(|n| n as usize)
}

/// write(2).
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads as many bytes as the slice has.
    check(unsafe { syscall!(SYS_write, fd.as_raw_fd(), bytes.as_ptr(), bytes.len()) }).map(|n| n as usize)
}

/// lseek(2) to the beginning.
pub fn rewind(fd: BorrowedFd<'_>) -> Result<()> {
    check(plain!(SYS_lseek, fd, 0, libc::SEEK_SET)).map(drop)
}

/// ppoll(2) of one descriptor for reading: false after this many milliseconds; without a number it waits for ever.
pub fn wait_readable(fd: BorrowedFd<'_>, milliseconds: Option<i32>) -> Result<bool> {
    let mut list = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout = milliseconds.map(|time| [i64::from(time / 1000), i64::from(time % 1000) * 1_000_000]);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), |timeout| timeout.as_ptr());
    // SAFETY: the list has one element, the timeout two words or none, and there is no mask.
    check(unsafe { syscall!(SYS_ppoll, &raw mut list, 1, timeout, std::ptr::null::<u8>(), 8) }).map(|ready| ready > 0)
}

/// Whether the other end of a socket was closed (`POLLHUP`, ppoll(2)).
pub fn has_hung_up(fd: BorrowedFd<'_>) -> Result<bool> {
    let mut list = libc::pollfd { fd: fd.as_raw_fd(), events: 0, revents: 0 };
    let now = [0i64; 2];
    // SAFETY: the list has one element, the timeout two words, and there is no mask.
    check(unsafe { syscall!(SYS_ppoll, &raw mut list, 1, now.as_ptr(), std::ptr::null::<u8>(), 8) })?;
    Ok(list.revents & libc::POLLHUP != 0)
}

/// close_range(2) with `CLOSE_RANGE_CLOEXEC` (Linux 5.11): every descriptor from `first` on closes at `execve`.
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: it closes nothing now, and acts on no memory.
    check(unsafe { syscall!(SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) }).map(drop)
}

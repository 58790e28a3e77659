//! Descriptors, whatever is behind them: read, written, borrowed, closed.

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use super::{check, syscall};
use crate::Result;

/// `AT_FDCWD`, for calls that take a descriptor to start from.
pub fn working_directory() -> BorrowedFd<'static> {
    // SAFETY: the value stands for the working directory and is no descriptor that could be closed; only -1 is forbidden.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// Takes ownership of a descriptor that arrived as a number, in a control message.
///
/// # Errors
/// Nothing is open under that number.
pub fn own_fd(number: RawFd) -> Result<OwnedFd> {
    check(syscall!(SYS_fcntl, number, libc::F_GETFD))?;
    // SAFETY: it is open, and the kernel made it for this process when the message was received.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Borrows a descriptor that was inherited by number: standard streams, `--preserve-fds`.
pub fn inherited_fd(number: RawFd) -> BorrowedFd<'static> {
    assert!(number >= 0, "descriptor numbers are not negative");
    // SAFETY: the number is not negative; if nothing is open there, calls on it fail with EBADF.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// read(2).
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    check(syscall!(SYS_read, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())).map(|n| n as usize)
}

/// write(2).
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    check(syscall!(SYS_write, fd.as_raw_fd(), bytes.as_ptr(), bytes.len())).map(|n| n as usize)
}

/// lseek(2) to the beginning.
pub fn rewind(fd: BorrowedFd<'_>) -> Result<()> {
    check(syscall!(SYS_lseek, fd.as_raw_fd(), 0, libc::SEEK_SET)).map(drop)
}

/// ppoll(2) of one descriptor for reading: false after this many milliseconds; without a number it waits for ever.
pub fn wait_readable(fd: BorrowedFd<'_>, milliseconds: Option<i32>) -> Result<bool> {
    let mut list = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout = milliseconds.map(|time| [i64::from(time / 1000), i64::from(time % 1000) * 1_000_000]);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), |timeout| timeout.as_ptr());
    check(syscall!(SYS_ppoll, &raw mut list, 1, timeout, std::ptr::null::<u8>(), 8)).map(|ready| ready > 0)
}

/// Whether the other end of a socket was closed (`POLLHUP`, ppoll(2)).
pub fn has_hung_up(fd: BorrowedFd<'_>) -> Result<bool> {
    let mut list = libc::pollfd { fd: fd.as_raw_fd(), events: 0, revents: 0 };
    let now = [0i64; 2];
    check(syscall!(SYS_ppoll, &raw mut list, 1, now.as_ptr(), std::ptr::null::<u8>(), 8))
        .map(|_| list.revents & libc::POLLHUP != 0)
}

/// close_range(2), Linux 5.9: closes these descriptors, both ends included, whoever believes to own them. For a child that
/// never returns to their owners.
pub fn close_range(first: RawFd, last: RawFd) -> Result<()> {
    if first > last {
        return Ok(());
    }
    check(syscall!(SYS_close_range, first, last, 0)).map(drop)
}

/// close_range(2) with `CLOSE_RANGE_CLOEXEC` (Linux 5.11): every descriptor from `first` on closes at `execve`.
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    check(syscall!(SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC)).map(drop)
}

/// Takes `FD_CLOEXEC` off a descriptor.
pub fn keep_on_exec(fd: BorrowedFd<'_>) -> Result<()> {
    check(syscall!(SYS_fcntl, fd.as_raw_fd(), libc::F_SETFD, 0)).map(drop)
}

/// dup3(2): makes `number` another name of a descriptor, one that stays open at `execve`. For the standard streams.
pub fn become_fd(fd: BorrowedFd<'_>, number: RawFd) -> Result<()> {
    if fd.as_raw_fd() == number {
        return keep_on_exec(fd);
    }
    check(syscall!(SYS_dup3, fd.as_raw_fd(), number, 0)).map(drop)
}

/// close(2) in a child that never returns to the owner of the descriptor: what is the parent's alone, such as a lock.
pub fn abandon(fd: BorrowedFd<'_>) {
    // An error would mean that it is closed already.
    // accepts: any error, which would mean that it is closed already.
    let _closed = syscall!(SYS_close, fd.as_raw_fd());
}

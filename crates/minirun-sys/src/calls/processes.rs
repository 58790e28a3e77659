//! Processes: found, signalled, waited for, ended.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use super::{Standard, check, plain, plain_fd, syscall, write};
use crate::{Errno, Result};

/// Whether a process is a child of this one that has not been waited for (waitid(2) with `P_PIDFD`, Linux 5.4).
pub fn is_child(process: BorrowedFd<'_>) -> Result<bool> {
    const P_PIDFD: libc::c_int = 3;
    let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let none = std::ptr::null_mut::<u8>();
    // SAFETY: the kernel writes neither information nor usage through null pointers.
    match check(unsafe { syscall!(SYS_waitid, P_PIDFD, process.as_raw_fd(), none, how, none) }) {
        Ok(_) => Ok(true),
        Err(Errno::ECHILD) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// pidfd_open(2), Linux 5.3.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    plain_fd!(SYS_pidfd_open, pid, 0)
}

/// pidfd_getfd(2), Linux 5.6: a copy of another process's descriptor.
pub fn pidfd_getfd(process: BorrowedFd<'_>, number: RawFd) -> Result<OwnedFd> {
    plain_fd!(SYS_pidfd_getfd, process, number, 0)
}

/// pidfd_send_signal(2), Linux 5.1. Signal 0 asks whether the process is there.
pub fn pidfd_send_signal(process: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let none = std::ptr::null::<u8>();
    // SAFETY: without information there is none to read; the kernel fills in its own.
    check(unsafe { syscall!(SYS_pidfd_send_signal, process.as_raw_fd(), signal, none, 0) }).map(drop)
}

/// kill(2); a negative number stands for a process group.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    check(plain!(SYS_kill, pid, signal)).map(drop)
}

/// wait4(2) for one child: the status word as the wait macros take it.
pub fn wait(pid: i32) -> Result<i32> {
    let mut status: libc::c_int = 0;
    loop {
        // SAFETY: the kernel writes the status, and no usage through a null pointer.
        match check(unsafe { syscall!(SYS_wait4, pid, &raw mut status, 0, std::ptr::null::<u8>()) }) {
            Err(Errno::EINTR) => {}
            answer => return answer.map(|_| status),
        }
    }
}

/// wait4(2) with `WNOHANG` for any child: its pid and status word; none when no child has ended.
pub fn reap_any() -> Result<Option<(i32, i32)>> {
    reap(-1)
}

/// The same for this child.
pub fn reap(pid: i32) -> Result<Option<(i32, i32)>> {
    let mut status: libc::c_int = 0;
    // SAFETY: the kernel writes the status, and no usage through a null pointer.
    let answer = unsafe { syscall!(SYS_wait4, pid, &raw mut status, libc::WNOHANG, std::ptr::null::<u8>()) };
    let pid = check(answer)?;
    Ok((pid != 0).then_some((pid as i32, status)))
}

/// setsid(2).
pub fn setsid() -> Result<()> {
    check(plain!(SYS_setsid)).map(drop)
}

/// exit_group(2): ends the process without running anything else.
pub fn exit(status: i32) -> ! {
    // accepts: any error; the next line ends the process as well.
    let _never = plain!(SYS_exit_group, status);
    // Unless a seccomp filter denies it: a fault ends the process as well, where the C library would ask for ever.
    std::process::abort()
}

/// Writes a line to standard error and exits with status 125. For the allocator, which has no other voice.
pub(crate) fn die(message: &[u8]) -> ! {
    // accepts: any error; the status still says that something failed.
    let _best_effort = write(Standard::Error.fd(), message);
    exit(125)
}

/// Nanoseconds of `CLOCK_REALTIME`: the one clock that a time namespace does not shift, so that the times of two processes
/// can be compared (time_namespaces(7)).
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Anonymous private memory for the allocator, as an address.
pub(crate) fn map_memory(size: usize) -> Option<usize> {
    // SAFETY: a new anonymous mapping touches no existing memory.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    (start != libc::MAP_FAILED).then_some(start as usize)
}

/// Gives back a whole mapping of [`map_memory`].
///
/// # Safety
/// Nothing in it is used any more.
pub(crate) unsafe fn unmap_memory(start: usize, size: usize) {
    // SAFETY: the caller has promised that it is nobody's.
    unsafe { libc::munmap(start as *mut libc::c_void, size) };
}

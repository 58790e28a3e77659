//! Signals as a process meets them: reset, blocked, read from a descriptor.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::{check, check_fd, exit, read, syscall};
use crate::{Errno, Result};

/// Makes every signal deliverable and its action the default, as a program may expect them after `execve`.
pub fn reset_signals() -> Result<()> {
    reset_actions(1..=64)?;
    unblock_signals()
}

/// Makes the action of these signals the default; `execve` would leave ignored ones ignored.
pub fn reset_actions(signals: impl IntoIterator<Item = i32>) -> Result<()> {
    // An all-zero kernel sigaction is SIG_DFL with no flags and no mask.
    let default = [0u8; 64];
    for signal in signals.into_iter().filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: the kernel reads a sigaction, which is shorter, and writes none through a null pointer.
        check(unsafe { syscall!(SYS_rt_sigaction, signal, &raw const default, std::ptr::null::<u8>(), 8) })?;
    }
    Ok(())
}

/// Unblocks these signals, and ends the process when one of them comes, with the status that a shell gives to such an end. For an init, to
/// which a signal without a handler does nothing (pid_namespaces(7)). It lasts until `execve`.
pub fn end_on(signals: &[i32]) -> Result<()> {
    extern "C" fn end(signal: libc::c_int) {
        exit(128 + signal)
    }
    for signal in signals {
        // SAFETY: an all-zero sigaction is a valid one, and the handler does nothing but end the process.
        let answer = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = end as *const () as usize;
            libc::sigaction(*signal, &raw const action, std::ptr::null_mut())
        };
        check(answer.into())?;
    }
    let these = signals.iter().fold(0u64, |mask, signal| mask | 1 << (signal - 1));
    // SAFETY: the kernel reads one mask, and writes none through a null pointer.
    check(unsafe { syscall!(SYS_rt_sigprocmask, libc::SIG_UNBLOCK, &raw const these, std::ptr::null::<u8>(), 8) })
        .map(drop)
}

/// Blocks every signal, those included that a C library keeps for itself and leaves out of its full set.
pub fn block_signals() -> Result<()> {
    let all = u64::MAX;
    // SAFETY: the kernel reads one mask, and writes none through a null pointer.
    check(unsafe { syscall!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, std::ptr::null::<u8>(), 8) })
        .map(drop)
}

/// Makes every signal deliverable; actions stay as they are.
pub fn unblock_signals() -> Result<()> {
    let none = 0u64;
    // SAFETY: the kernel reads one mask, and writes none through a null pointer.
    check(unsafe { syscall!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, std::ptr::null::<u8>(), 8) })
        .map(drop)
}

/// Makes the end of a child leave something to wait for, also where the caller had SIGCHLD ignored (wait(2)).
pub fn default_sigchld() -> Result<()> {
    reset_actions([libc::SIGCHLD])
}

/// signalfd4(2) for every signal; it does not block.
pub fn signal_fd() -> Result<OwnedFd> {
    signal_fd_of(u64::MAX)
}

/// The same for some signals: bit 0 stands for signal 1.
pub fn signal_fd_of(mask: u64) -> Result<OwnedFd> {
    // SAFETY: the kernel reads one mask. The first argument asks for a new descriptor.
    unsafe { check_fd(syscall!(SYS_signalfd4, -1, &raw const mask, 8, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)) }
}

/// The number of the next signal of a [`signal_fd`]; none when there is none now.
pub fn read_signal(fd: BorrowedFd<'_>) -> Result<Option<i32>> {
    // struct signalfd_siginfo: 128 bytes, the number first.
    let mut info = [0u8; 128];
    match read(fd, &mut info) {
        Ok(_) => Ok(Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

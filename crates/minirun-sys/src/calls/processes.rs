//! Processes and threads of execution: made, signalled, waited for, ended.

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use super::{check, check_fd, inherited_fd, syscall, write};
use crate::{Errno, Result};

/// What [`clone3`] is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clone<'fd> {
    /// `CLONE_NEW*` bits, as in clone(2).
    pub flags: u64,
    /// The cgroup the child is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'fd>>,
}

/// Which side of a [`clone3`] this process is.
#[derive(Debug)]
pub enum Forked {
    /// The child.
    Child,
    /// The parent, with the child's pid and a descriptor of it.
    Parent {
        /// The child's pid, in the parent's pid namespace.
        pid: i32,
        /// A descriptor that refers to the child whatever becomes of its pid.
        pidfd: OwnedFd,
    },
}

/// clone3(2) in the manner of fork: the child shares nothing and runs on a copy of the parent's stack.
///
/// The caller must be single-threaded: the child goes on with whatever locks were held.
pub fn clone3(ask: Clone<'_>) -> Result<Forked> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: RawFd = -1;
    let mut args = libc::clone_args {
        flags: ask.flags | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(cgroup) = ask.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    match check(syscall!(SYS_clone3, &raw mut args, size_of::<libc::clone_args>()))? {
        0 => Ok(Forked::Child),
        // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor for the parent.
        pid => Ok(Forked::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// clone3(2) with `CLONE_PARENT` and these `CLONE_NEW*` bits: the child is the caller's sibling. Returns whether this
/// process is the child.
///
/// The caller must be single-threaded, as with [`clone3`].
pub fn clone_sibling(flags: u64) -> Result<bool> {
    // A sibling has its maker's exit signal, and no descriptor is made: a limit on those may be reached.
    let words: [u64; 8] = [flags | libc::CLONE_PARENT as u64, 0, 0, 0, 0, 0, 0, 0];
    check(syscall!(SYS_clone3, words.as_ptr(), size_of_val(&words))).map(|pid| pid == 0)
}

/// As [`clone_sibling`] without new namespaces, by clone(2).
pub fn clone_plain_sibling() -> Result<bool> {
    // No stack of its own: it runs on the copy of this one.
    check(syscall!(SYS_clone, libc::CLONE_PARENT, 0, 0, 0, 0)).map(|pid| pid == 0)
}

/// Whether a process is a child of this one that has not been waited for (waitid(2) with `P_PIDFD`, Linux 5.4).
pub fn is_child(process: BorrowedFd<'_>) -> Result<bool> {
    const P_PIDFD: libc::c_int = 3;
    let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let none = std::ptr::null_mut::<u8>();
    match check(syscall!(SYS_waitid, P_PIDFD, process.as_raw_fd(), none, how, none)) {
        Ok(_) => Ok(true),
        Err(Errno::ECHILD) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// clone(2) in the same manner, for those whom a seccomp filter denies clone3(2). The caller must be single-threaded as well.
pub fn clone_plainly() -> Result<Forked> {
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
    // Without a stack of its own the child goes on with a copy of the parent's; the third argument takes the descriptor.
    match check(syscall!(SYS_clone, flags, 0usize, &raw mut pidfd, 0usize, 0usize))? {
        0 => Ok(Forked::Child),
        // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor for the parent.
        pid => Ok(Forked::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// pidfd_open(2), Linux 5.3.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    check_fd(syscall!(SYS_pidfd_open, pid, 0))
}

/// pidfd_getfd(2), Linux 5.6: a copy of another process's descriptor.
pub fn pidfd_getfd(process: BorrowedFd<'_>, number: RawFd) -> Result<OwnedFd> {
    check_fd(syscall!(SYS_pidfd_getfd, process.as_raw_fd(), number, 0))
}

/// pidfd_send_signal(2), Linux 5.1. Signal 0 asks whether the process is there.
pub fn pidfd_send_signal(process: BorrowedFd<'_>, signal: i32) -> Result<()> {
    check(syscall!(SYS_pidfd_send_signal, process.as_raw_fd(), signal, std::ptr::null::<u8>(), 0)).map(drop)
}

/// kill(2); a negative number stands for a process group.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    check(syscall!(SYS_kill, pid, signal)).map(drop)
}

/// wait4(2) for one child: the status word as the wait macros take it.
pub fn wait(pid: i32) -> Result<i32> {
    let mut status = 0;
    loop {
        match check(syscall!(SYS_wait4, pid, &raw mut status, 0, std::ptr::null::<u8>())) {
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
    let mut status = 0;
    let pid = check(syscall!(SYS_wait4, pid, &raw mut status, libc::WNOHANG, std::ptr::null::<u8>()))?;
    Ok((pid != 0).then_some((pid as i32, status)))
}

/// setsid(2).
pub fn setsid() -> Result<()> {
    check(syscall!(SYS_setsid)).map(drop)
}

/// exit_group(2): ends the process without running anything else.
pub fn exit(status: i32) -> ! {
    // accepts: any error; the next line ends the process as well.
    let _never = syscall!(SYS_exit_group, status);
    // Unless a seccomp filter denies it: a fault ends the process as well, where the C library would ask for ever.
    std::process::abort()
}

/// Overwrites this process's environment, which may hold secrets: for a process that others will be able to read.
pub fn wipe_environment() {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: a list of strings that ends with a null pointer (environ(7)), all of them writable; there is one thread.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            std::ptr::write_bytes(*entry, 0, libc::strlen(*entry));
            entry = entry.add(1);
        }
    }
}

/// Writes a line to standard error and exits with status 125. For the allocator, which has no other voice.
pub(crate) fn die(message: &[u8]) -> ! {
    // accepts: any error; the status still says that something failed.
    let _best_effort = write(inherited_fd(libc::STDERR_FILENO), message);
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

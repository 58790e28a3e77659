//! Processes made by a clone: each runs one function and ends.

use std::fmt::Write as _;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use super::{Standard, check, exit, plain, stat, syscall, write};
use crate::{Errno, Result};

/// What a clone is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clone<'fd> {
    /// `CLONE_NEW*` bits, as in clone(2).
    pub flags: u64,
    /// The cgroup that the child is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'fd>>,
}

/// A process that was cloned, as its parent sees it.
#[derive(Debug)]
pub struct Cloned {
    /// Its pid, in the parent's pid namespace.
    pub pid: i32,
    /// A descriptor that refers to it whatever becomes of its pid.
    pub pidfd: OwnedFd,
}

/// A process that was cloned, as it sees itself: what only such a process can do.
///
/// It is a copy of its parent that runs one function and ends. So the functions that called the clone never go on here, and
/// nothing uses the descriptors that they own. It has one thread, as its parent had: a function that starts another one must
/// not clone afterwards. Where the allocator is [`crate::Bump`], a second thread ends the process.
#[derive(Debug)]
pub struct Child {
    /// It is about this process and thread.
    _here: PhantomData<*mut ()>,
}

/// The bits that leave memory, descriptors and signal handlers to each process alone.
const NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWTIME
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64;

/// clone3(2): makes a process that does `work` on a copy of this one's memory, and exits with the status that it returns.
///
/// # Errors
/// The kernel's, and `EINVAL` for other flags than those of namespaces, or if this process has several threads: the child
/// would have one of them, and whatever the others were about to change.
pub fn clone3(ask: Clone<'_>, work: impl FnOnce(&mut Child) -> i32) -> Result<Cloned> {
    check_one_thread()?;
    // SAFETY: there is one thread.
    unsafe { clone3_unchecked(ask, work) }
}

impl Child {
    /// As the function [`clone3`]: there is one thread, so the kernel is not asked. For a process under a seccomp filter.
    ///
    /// # Errors
    /// As there.
    pub fn clone3(&mut self, ask: Clone<'_>, work: impl FnOnce(&mut Child) -> i32) -> Result<Cloned> {
        // SAFETY: this process was born with one thread.
        unsafe { clone3_unchecked(ask, work) }
    }

    /// clone(2) in the same manner, for a process whose seccomp filter denies clone3(2).
    ///
    /// # Errors
    /// The kernel's.
    pub fn clone(&mut self, work: impl FnOnce(&mut Child) -> i32) -> Result<Cloned> {
        let mut pidfd: RawFd = -1;
        let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
        // Without a stack of its own the child goes on with a copy of the parent's; the third argument takes the descriptor.
        // SAFETY: the kernel writes the descriptor in `pidfd`. No memory is shared, and this process was born with one thread.
        let answer = unsafe { syscall!(SYS_clone, flags, 0usize, &raw mut pidfd, 0usize, 0usize) };
        match check(answer)? {
            0 => run(work),
            // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor for the parent.
            pid => Ok(Cloned { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
        }
    }

    /// clone3(2) with `CLONE_PARENT` and these `CLONE_NEW*` bits: goes on as a sibling of this process, which ends.
    ///
    /// # Errors
    /// The kernel's, and `EINVAL` for other flags than those of namespaces. Then this process goes on.
    pub fn become_sibling(&mut self, flags: u64) -> Result<()> {
        if flags & !NAMESPACES != 0 {
            return Err(Errno::EINVAL);
        }
        // A sibling has its maker's exit signal, and no descriptor is made: a limit on those may be reached.
        let words: [u64; 8] = [flags | libc::CLONE_PARENT as u64, 0, 0, 0, 0, 0, 0, 0];
        // SAFETY: the kernel reads an array of this size. No memory is shared, and this process was born with one thread.
        let answer = unsafe { syscall!(SYS_clone3, words.as_ptr(), size_of_val(&words)) };
        if check(answer)? == 0 { Ok(()) } else { exit(0) }
    }

    /// The same without new namespaces, by clone(2), for a process whose seccomp filter denies clone3(2).
    ///
    /// # Errors
    /// The kernel's. Then this process goes on.
    pub fn become_plain_sibling(&mut self) -> Result<()> {
        // No stack of its own: it runs on the copy of this one.
        // SAFETY: no memory is shared, and this process was born with one thread.
        let answer = unsafe { syscall!(SYS_clone, libc::CLONE_PARENT, 0usize, 0usize, 0usize, 0usize) };
        if check(answer)? == 0 { Ok(()) } else { exit(0) }
    }

    /// Closes this process's copies of descriptors that its maker owns: what is the maker's alone, such as a lock.
    pub fn abandon(&mut self, numbers: &[RawFd]) {
        for number in numbers {
            // SAFETY: the functions of the maker that own it never go on in this process.
            // accepts: any error, which would mean that it is closed already.
            let _closed = unsafe { syscall!(SYS_close, *number) };
        }
    }

    /// close_range(2), Linux 5.9: closes every descriptor from `first` on but those in `kept`. The work that this process does
    /// from here on uses no other.
    ///
    /// # Errors
    /// The kernel's.
    pub fn close_all_but<const N: usize>(&mut self, first: RawFd, kept: [Option<BorrowedFd<'_>>; N]) -> Result<()> {
        let mut kept = kept.map(|fd| fd.map_or(-1, |fd| fd.as_raw_fd()));
        kept.sort_unstable();
        let mut first = first;
        for number in kept.into_iter().filter(|number| *number >= 0) {
            if number >= first {
                // SAFETY: the functions of the maker that own these never go on in this process.
                unsafe { close_range(first, number - 1) }?;
                first = number + 1;
            }
        }
        // SAFETY: as above.
        unsafe { close_range(first, RawFd::MAX) }
    }

    /// Overwrites this process's environment, which may hold secrets: for a process that others will be able to read.
    pub fn wipe_environment(&mut self) {
        unsafe extern "C" {
            static mut environ: *mut *mut libc::c_char;
        }
        // SAFETY: a list of strings that ends with a null pointer (environ(7)), all of them writable; there is one thread, and
        // std hands out copies alone.
        unsafe {
            let mut entry = environ;
            while !entry.is_null() && !(*entry).is_null() {
                std::ptr::write_bytes(*entry, 0, libc::strlen(*entry));
                entry = entry.add(1);
            }
        }
    }
}

/// Closes these descriptors, both ends included.
///
/// # Safety
/// Nothing that goes on in this process uses them.
unsafe fn close_range(first: RawFd, last: RawFd) -> Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: it acts on no memory; for the descriptors the caller answers.
    check(unsafe { syscall!(SYS_close_range, first, last, 0) }).map(drop)
}

/// Fails with `EINVAL` if this process has several threads. unshare(2) refuses `CLONE_VM` to such a process, and does nothing
/// to another.
pub(super) fn check_one_thread() -> Result<()> {
    match check(plain!(SYS_unshare, libc::CLONE_VM)) {
        // A seccomp filter denies it. Each thread counts as a link of this directory, beside the two of every directory.
        Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => {
            if stat(c"/proc/self/task")?.st_nlink == 3 {
                Ok(())
            } else {
                Err(Errno::EINVAL)
            }
        }
        answer => answer.map(drop),
    }
}

/// # Safety
/// This process has one thread.
unsafe fn clone3_unchecked(ask: Clone<'_>, work: impl FnOnce(&mut Child) -> i32) -> Result<Cloned> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    if ask.flags & !NAMESPACES != 0 {
        return Err(Errno::EINVAL);
    }
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
    // SAFETY: the kernel reads a struct of this size, and writes the descriptor in `pidfd`. No memory is shared, and the
    // caller states that there is one thread.
    match check(unsafe { syscall!(SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) })? {
        0 => run(work),
        // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor for the parent.
        pid => Ok(Cloned { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// The life of a child: never returns to the functions of its maker, not even by a panic.
fn run(work: impl FnOnce(&mut Child) -> i32) -> ! {
    // abort(3) would send SIGABRT to the thread id that the C library remembers, which is the maker's. Without captures the
    // box holds nothing, so that nothing is allocated.
    std::panic::set_hook(Box::new(|panic| {
        // accepts: any error; the status still says that something failed.
        let _unheard = writeln!(Unbuffered, "{panic}");
        exit(101)
    }));
    exit(work(&mut Child { _here: PhantomData }))
}

/// Standard error, for text that is written as it is formatted.
struct Unbuffered;

impl std::fmt::Write for Unbuffered {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        write(Standard::Error.fd(), text.as_bytes()).map(drop).map_err(|_| std::fmt::Error)
    }
}

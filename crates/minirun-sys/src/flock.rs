//! Locks on open files (flock(2)).

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd as _};

use crate::{Errno, Result};

/// How a file is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlockArg {
    /// Others can share the lock.
    LockShared,
    /// No other open file can have the lock.
    LockExclusive,
    /// As [`FlockArg::LockExclusive`], and fails with `EWOULDBLOCK` instead of waiting.
    LockExclusiveNonblock,
}

/// A file that is locked until this is dropped. The `Flock` of the `nix` crate ends the program if unlocking fails.
#[derive(Debug)]
pub struct Flock<T: AsFd>(T);

impl<T: AsFd> Flock<T> {
    /// Locks a file.
    ///
    /// # Errors
    /// The file, and why it cannot be locked.
    pub fn lock(file: T, how: FlockArg) -> std::result::Result<Flock<T>, (T, Errno)> {
        let operation = match how {
            FlockArg::LockShared => libc::LOCK_SH,
            FlockArg::LockExclusive => libc::LOCK_EX,
            FlockArg::LockExclusiveNonblock => libc::LOCK_EX | libc::LOCK_NB,
        };
        match flock(&file, operation) {
            Ok(()) => Ok(Flock(file)),
            Err(errno) => Err((file, errno)),
        }
    }
}

impl<T: AsFd> Deref for Flock<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Explicitly, because a child of this process can still have copies of the descriptor.
impl<T: AsFd> Drop for Flock<T> {
    fn drop(&mut self) {
        // accepts: any error; the lock ends when the last copy of the descriptor is closed.
        let _locked_until_closed = flock(&self.0, libc::LOCK_UN);
    }
}

fn flock(file: &impl AsFd, operation: libc::c_int) -> Result<()> {
    // SAFETY: a call without pointers.
    let answer = unsafe { libc::flock(file.as_fd().as_raw_fd(), operation) };
    if answer < 0 { Err(Errno::last()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{Flock, FlockArg};
    use crate::Errno;
    use std::fs::File;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_lock_lasts_until_it_is_dropped() {
        let open = || File::open("/proc/self/exe").unwrap();
        let lock = |file| Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let first = lock(open()).unwrap();
        let copy = first.as_fd().try_clone_to_owned().unwrap();
        assert_eq!(lock(open()).unwrap_err().1, Errno::EWOULDBLOCK);
        drop(first);
        drop(lock(open()).unwrap());
        drop(copy);
    }

    /// A file system's server that does not answer, or an injected error: dropping must neither panic nor abort.
    #[test]
    fn dropping_a_lock_that_cannot_be_unlocked_does_nothing() {
        // An `O_PATH` descriptor takes no flock (EBADF).
        drop(Flock(crate::open(c"/proc/self/exe", libc::O_PATH).unwrap()));
    }
}

//! Freezes a container while its changes are read, and thaws it whatever happens to this process.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use minirun_sys as sys;
use minirun_sys::Clone;
use nix::fcntl::OFlag;

use crate::error::{Doing as _, Result};

/// The cgroup of a container, as far as a commit uses it.
pub trait Freeze {
    /// Stops all processes of the container, and returns when they stand still. Called once.
    ///
    /// # Errors
    /// They cannot be stopped; some can be stopped nevertheless.
    fn freeze(&self) -> Result<()>;

    /// Lets the processes run again. A container that has ended needs nothing.
    ///
    /// # Errors
    /// They cannot be thawed.
    fn thaw(&self) -> Result<()>;
}

/// A frozen container, until this is dropped.
pub(super) struct Frozen<F: Freeze> {
    container: F,
    /// Its end tells the keeper that this process has ended, or has dropped it.
    pipe: Option<OwnedFd>,
    keeper: i32,
}

impl<F: Freeze> Frozen<F> {
    /// Freezes the container. A process of its own session thaws it, which no signal for this process reaches.
    pub(super) fn new(container: F) -> Result<Frozen<F>> {
        let (end, pipe) = nix::unistd::pipe2(OFlag::O_CLOEXEC).doing(|| "pipe2")?;
        let cloned = sys::clone3(Clone { flags: 0, cgroup: None }, |child| {
            // Its own copy must go, or it would wait for itself.
            child.abandon(&[pipe.as_raw_fd()]);
            // accepts: EPERM; it leads a session already.
            let _already = sys::setsid();
            while matches!(sys::read(end.as_fd(), &mut [0]), Err(sys::Errno::EINTR)) {}
            // accepts: no error: the status tells of it.
            i32::from(container.thaw().is_err())
        });
        let keeper = cloned.doing(|| "clone3")?.pid;
        // Only a frozen container may be thawed, so from here on it is dropped in any case.
        let frozen = Frozen { container, pipe: Some(pipe), keeper };
        frozen.container.freeze()?;
        Ok(frozen)
    }
}

impl<F: Freeze> Drop for Frozen<F> {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let thawed = loop {
            match sys::wait(self.keeper) {
                Err(sys::Errno::EINTR) => {}
                answer => break answer == Ok(0),
            }
        };
        if !thawed && let Err(error) = self.container.thaw() {
            log::warn!("{error}");
        }
    }
}

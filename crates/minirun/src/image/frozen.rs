//! A container that stands still for a while, and goes on whatever happens to this process.

use std::os::fd::{AsFd as _, OwnedFd};

use crate::report::describe;
use anyhow::{Context, Result};
use minirun_cgroup::Cgroup;
use minirun_sys as sys;
use minirun_sys::{Clone, Forked};
use nix::fcntl::OFlag;

/// A frozen container, until it is dropped.
pub struct Frozen {
    cgroup: Cgroup,
    /// Its end tells the keeper that this process has ended, or is done.
    pipe: Option<OwnedFd>,
    keeper: i32,
}

impl Frozen {
    /// Freezes it. A process of its own thaws it, which no signal for this one reaches.
    pub fn new(cgroup: Cgroup) -> Result<Frozen> {
        let (end, pipe) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("pipe2")?;
        let keeper = match sys::clone3(Clone { flags: 0, cgroup: None }).context("clone3")? {
            Forked::Child => {
                // Its own copy must go, or it would wait for itself.
                drop(pipe);
                // accepts: EPERM; it leads a session already.
                let _already = sys::setsid();
                while matches!(sys::read(end.as_fd(), &mut [0]), Err(sys::Errno::EINTR)) {}
                // accepts: no error: the status tells of it.
                sys::exit(i32::from(thaw(&cgroup).is_err()))
            }
            Forked::Parent { pid, .. } => pid,
        };
        // Nobody is to be thawed who was not frozen, so from here on it is dropped in any case.
        let frozen = Frozen { cgroup, pipe: Some(pipe), keeper };
        frozen.cgroup.freeze()?;
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let thawed = loop {
            match sys::wait(self.keeper) {
                Err(sys::Errno::EINTR) => {}
                answer => break answer == Ok(0),
            }
        };
        if !thawed && let Err(error) = thaw(&self.cgroup) {
            log::warn!("{}", describe(&error));
        }
    }
}

/// One that is gone needs nothing more.
fn thaw(cgroup: &Cgroup) -> Result<()> {
    // accepts: any error; to thaw says what is wrong.
    if cgroup.populated().is_ok_and(|populated| !populated) {
        return Ok(());
    }
    Ok(cgroup.thaw()?)
}

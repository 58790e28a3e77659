//! The observer of the parts of a plan, as they begin.

use std::os::fd::BorrowedFd;

use minirun_sys as sys;

/// Something that is done for a container, by its number in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// By the parent: [`Plan::idmaps`], [`Plan::handles`], [`Plan::before_birth`], [`Plan::host`], counted through.
    Host(usize),
    /// By init: a step of [`Plan::init`].
    Init(usize),
}

/// Hears of each part of a plan as it begins. Each step of init costs a message then.
pub trait Watcher {
    /// Whether steps are to be reported.
    fn watches(&self) -> bool;

    /// This part of the plan begins. For a step of init: the one before it began and ended at these times
    /// ([`sys::now`]), if there was one.
    fn begins(&mut self, part: Part, former: Option<(u64, u64)>);

    /// Waits until the channel to init can be read, and can do other work meanwhile. Init can be kept waiting: a container
    /// can freeze its cgroup, or a file system's server does not answer. By default the read that follows waits.
    ///
    /// # Errors
    /// `EINTR` if this process was asked to end.
    fn waits(&mut self, _channel: BorrowedFd<'_>) -> sys::Result<()> {
        Ok(())
    }
}

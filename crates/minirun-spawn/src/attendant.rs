//! The observer of the making of init that also acts at certain moments.

use std::os::fd::BorrowedFd;

use minirun_sys as sys;

use crate::init::Init;
use crate::watcher::{Part, Watcher};

/// Acts at certain moments while init is made. An error ends init.
pub trait Attendant: Watcher {
    /// Init is at work; what is done now is done beside it.
    ///
    /// # Errors
    /// In words.
    fn born(&mut self, init: &Init) -> Result<(), String>;

    /// The root is mounted and not yet `/`: the hooks that want to see it so are to run.
    ///
    /// # Errors
    /// In words.
    fn at_hooks(&mut self, init: &Init) -> Result<(), String>;
}

/// For a process without such moments.
pub(crate) struct Unattended<'a>(pub(crate) &'a mut dyn Watcher);

impl Watcher for Unattended<'_> {
    fn watches(&self) -> bool {
        self.0.watches()
    }

    fn begins(&mut self, part: Part, former: Option<(u64, u64)>) {
        self.0.begins(part, former);
    }

    fn waits(&mut self, channel: BorrowedFd<'_>) -> sys::Result<()> {
        self.0.waits(channel)
    }
}

impl Attendant for Unattended<'_> {
    fn born(&mut self, _: &Init) -> Result<(), String> {
        Ok(())
    }

    fn at_hooks(&mut self, _: &Init) -> Result<(), String> {
        Ok(())
    }
}

//! The descriptors and vectors that the parent prepares for init before the clone: init cannot open or allocate them itself.

use std::os::fd::{OwnedFd, RawFd};

use minirun_sys as sys;

use crate::procfs::ProcfsMaker;

/// What the parent opened for init before the clone.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What init must not hold, by number: the container's lock and the parent's end of the channel, which would outlive
    /// the parent with it, and the host's cgroups.
    pub(crate) not_inits: Vec<RawFd>,
    /// The joined namespaces, in the order of the plan.
    pub(crate) namespaces: Vec<OwnedFd>,
    /// Detached copies of the mounts that are sources of bind mounts.
    pub(crate) handles: Vec<OwnedFd>,
    /// The mounts that init makes, by number: a place for each.
    pub(crate) mounts: Vec<Option<Made>>,
    /// User namespaces to map mounts' ids by.
    pub(crate) idmaps: Vec<OwnedFd>,
    /// The running container that init enters, if it does.
    pub(crate) container: Option<Container>,
    /// Makes a procfs of a joined pid namespace where the kernel cannot otherwise.
    pub(crate) procfs: Option<ProcfsMaker>,
    /// Where the terminal's master goes.
    pub(crate) console: Option<OwnedFd>,
    /// Whether the parent is to hear of each step.
    pub(crate) watched: bool,
    /// The startContainer hooks' vectors, of which the second may be the program's, and the file that each of them reads the state from.
    pub(crate) hooks: Vec<(sys::Argv, Option<sys::Argv>)>,
    pub(crate) state: Option<OwnedFd>,
    /// Argument vector of the program.
    pub(crate) argv: sys::Argv,
    /// Its environment, with a place for HOME.
    pub(crate) envp: sys::Argv,
}

/// A container that runs already, by descriptors that were opened on the host.
#[derive(Debug)]
pub struct Container {
    /// Its init.
    pub init: OwnedFd,
    /// Its root directory, where it has no mount namespace whose root that is.
    pub root: Option<OwnedFd>,
}

/// A mount that init has made.
#[derive(Debug)]
pub(crate) struct Made {
    /// Its id.
    pub(crate) id: u64,
    /// Its root, where later steps start from it.
    pub(crate) root: Option<OwnedFd>,
}

//! Where the changes of a container are to be found, and how they are reached.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use minirun_sys as sys;
use minirun_sys::Errno;

use super::difference::Differences;
use super::{Changed, Visitor, Walk};
use crate::error::{Doing as _, ImageError, Result};
use crate::files::c_string;
use crate::marks::Marks;
use crate::stack::Stack;
use crate::workers::Workers;

/// Where a container's own files are.
#[derive(Debug)]
pub enum Source {
    /// In the upper directory of its overlay.
    Upper(PathBuf),
    /// Only in its mount namespace, because the upper directory lies on a tmpfs that is mounted nowhere: this is its init.
    Inside {
        /// A pidfd.
        init: OwnedFd,
        /// Whether it has a user namespace of its own.
        user_namespace: bool,
    },
}

/// A container's root: an overlay.
#[derive(Debug)]
pub struct Root {
    /// The directories of its layers, top first.
    pub lower: Vec<PathBuf>,
    /// Where overlayfs has its marks in them.
    pub marks: Marks,
    /// Where its own files are.
    pub source: Source,
}

impl Root {
    /// Tells what was changed, sorted, a directory before what is in it. It is told in another process.
    ///
    /// # Errors
    /// Something cannot be read, or `tell` fails.
    pub fn changes(&self, workers: &Workers, tell: &mut dyn FnMut(&Changed) -> Result<()>) -> Result<()> {
        let walk = || self.walk(&mut Differences::new(tell));
        match self.source {
            Source::Upper(_) => workers.run(walk),
            // It gets the container's ids there.
            Source::Inside { .. } => Workers::of_root().run(walk),
        }
    }

    /// Goes through the container's files, in a process of its own.
    pub(crate) fn walk(&self, visitor: &mut impl Visitor) -> Result<()> {
        more_descriptors();
        // Before the container's mounts are entered, in which these are not to be found.
        let stack = Stack::of_directories(&self.lower, self.marks)?;
        let (root, whole) = match &self.source {
            Source::Upper(path) => {
                let name = c_string(path.as_os_str().as_encoded_bytes())?;
                (
                    sys::open(&name, libc::O_DIRECTORY).doing(|| format!("open upper directory {}", path.display()))?,
                    false,
                )
            }
            Source::Inside { init, user_namespace } => (enter(init, *user_namespace)?, true),
        };
        Walk { stack: &stack, whole, path: Vec::new(), visitor }.root(root)
    }
}

/// Enters a container's mounts: its root, without what is mounted on it.
fn enter(init: &OwnedFd, user_namespace: bool) -> Result<OwnedFd> {
    let user = if user_namespace { libc::CLONE_NEWUSER } else { 0 };
    let entered = sys::setns(init.as_fd(), libc::CLONE_NEWNS | user);
    entered.map_err(|errno| {
        let error = ImageError::of("enter the container's mount namespace", errno);
        match errno {
            Errno::EPERM => error.hint("an ordinary user can enter it once the container's program runs"),
            _ => error,
        }
    })?;
    sys::open_tree(sys::working_directory(), c"/", libc::OPEN_TREE_CLONE)
        .doing(|| "clone the mount of the container's root")
}

/// A directory of each layer is open for each directory on the way to a file.
fn more_descriptors() {
    const NUMBER: u32 = libc::RLIMIT_NOFILE as u32;
    // accepts: any error; with fewer descriptors a later step can fail, with its own message.
    if let Ok((_, most)) = sys::prlimit(0, NUMBER, None) {
        // accepts: as above.
        let _fewer = sys::prlimit(0, NUMBER, Some((most, most)));
    }
}

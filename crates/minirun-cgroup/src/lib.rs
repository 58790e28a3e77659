//! Manages the cgroups of containers through the cgroup v2 file system: creates a container's cgroup, writes and
//! verifies its knobs, filters its devices, and finally kills its processes, waits for them and removes it.
//!
//! All operations are relative to a descriptor of the cgroup2 mount, so that no path leaves it. The kernel's
//! `Documentation/admin-guide/cgroup-v2.rst` describes the files.

#![forbid(unsafe_code)]

mod ancestry;
mod claim;
mod create;
mod delegation;
mod devices;
mod error;
mod files;
mod former;
mod hierarchy;
mod knobs;
mod leaf;
mod mount;
mod oom;
mod owner;
mod processes;
mod remove;
pub mod stats;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub use claim::{Mark, random_token};
pub use delegation::{Verdict, delegated, own, usable};
pub use devices::FormerDevices;
pub use error::{Cause, CgroupError};
pub use former::Former;
pub use hierarchy::{Hierarchy, Place};
pub use mount::{CgroupMount, controllers, locate, mount_of, v1_controllers, whole_mounts_of};
pub use oom::OomWatch;
pub use stats::Stats;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, CgroupError>;

/// A cgroup of a container, held open.
#[derive(Debug)]
pub struct Cgroup {
    /// The cgroup2 mount.
    root: OwnedFd,
    /// The cgroup's directory.
    dir: OwnedFd,
    /// The directory of its child that holds the processes, if there is one.
    leaf: Option<OwnedFd>,
    /// The path of the mount, for messages.
    mount: PathBuf,
    /// The path of the cgroup from the mount, without a leading slash.
    path: PathBuf,
    /// The path of the topmost directory that was created for it; none if it existed.
    made: Option<PathBuf>,
}

impl Cgroup {
    /// Opens the cgroup at `path`, from the root of the cgroup2 mount. Returns none if it does not exist.
    ///
    /// A cgroup inside the container's (`exec --cgroup`) is opened in the same way, with its full path.
    ///
    /// # Errors
    ///
    /// Fails if `path` has a `..`, or the directory cannot be opened.
    pub fn open(mount: &Path, path: &Path) -> Result<Option<Cgroup>> {
        let root = files::open_mount(mount)?;
        let path = files::inside(mount, path)?;
        match files::open_dir(root.as_fd(), &path) {
            Ok(dir) => Ok(Some(Cgroup { root, dir, leaf: None, mount: mount.to_owned(), path, made: None })),
            Err(errno) if files::gone(errno) => Ok(None),
            Err(errno) => Err(CgroupError::new("open", mount.join(path), errno)),
        }
    }

    /// Opens another cgroup of the same mount. Returns none if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails as [`Cgroup::open`].
    pub fn other(&self, path: &Path) -> Result<Option<Cgroup>> {
        Self::open_below(self.root.as_fd(), &self.mount, path)
    }

    /// Opens the cgroup at `path`, from the root of this mount. Returns none if it does not exist.
    fn open_below(root: BorrowedFd<'_>, mount: &Path, path: &Path) -> Result<Option<Cgroup>> {
        let path = files::inside(mount, path)?;
        let failed = |errno| CgroupError::new("open", mount.join(&path), errno);
        match files::open_dir(root, &path) {
            Ok(dir) => {
                let root = files::duplicate(root).map_err(failed)?;
                Ok(Some(Cgroup { root, dir, mount: mount.to_owned(), path, made: None, leaf: None }))
            }
            Err(errno) if files::gone(errno) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Returns the descriptor of the cgroup for new processes (`CLONE_INTO_CGROUP`).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.leaf.as_ref().unwrap_or(&self.dir).as_fd()
    }

    /// Returns all open descriptors: of the mount, the cgroup and its leaf. A container's init must not have them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.root, &self.dir].into_iter().chain(&self.leaf).map(AsFd::as_fd)
    }

    /// Returns the topmost directory that [`Cgroup::create`] created, as a path from the mount. [`Cgroup::remove`]
    /// requires it to remove everything. None if the cgroup existed.
    pub fn made(&self) -> Option<&Path> {
        self.made.as_deref()
    }

    /// Returns the path of the cgroup.
    pub fn path(&self) -> PathBuf {
        self.mount.join(&self.path)
    }

    /// Reads an interface file. Returns none if the file or the cgroup does not exist.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened or read.
    pub fn read(&self, file: &str) -> Result<Option<String>> {
        match files::read_file(self.dir.as_fd(), file) {
            Ok(text) => Ok(Some(text)),
            Err(errno) if files::gone(errno) => Ok(None),
            Err(errno) => Err(CgroupError::new("read", self.path().join(file), errno)),
        }
    }

    /// Writes an interface file without verifying the result.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn write(&self, file: &str, value: &str) -> Result<()> {
        files::write_file(self.dir.as_fd(), file, value)
            .map_err(|errno| CgroupError::new(format!("write {value:?} to"), self.path().join(file), errno))
    }
}

#[cfg(test)]
#[allow(dead_code, missing_docs, reason = "each crate's tests use a part of it")]
#[path = "../../../runtime-tests/src/sweep.rs"]
mod sweep;
#[cfg(test)]
mod tests;

//! The limiter on cgroup v2, through its file system: makes the cgroup of a container, writes its knobs and sees that
//! they hold, filters its devices, and in the end kills, waits and removes.
//!
//! Everything is done relative to a descriptor of the cgroup2 mount, so that no path leaves it. What the files mean is
//! in the kernel's `Documentation/admin-guide/cgroup-v2.rst`.

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

/// What every function here answers with.
pub type Result<T> = std::result::Result<T, CgroupError>;

/// A cgroup of a container, held open.
#[derive(Debug)]
pub struct Cgroup {
    /// The cgroup2 mount.
    root: OwnedFd,
    /// The cgroup's directory.
    dir: OwnedFd,
    /// The directory of the cgroup in it that holds the processes, if there is one.
    leaf: Option<OwnedFd>,
    /// Where the mount is, for messages.
    mount: PathBuf,
    /// The cgroup as a path from the mount, without a slash at its start.
    path: PathBuf,
    /// The topmost directory that was made for it, likewise; none for one that was there.
    made: Option<PathBuf>,
}

impl Cgroup {
    /// Opens the cgroup at `path`, from the root of the cgroup2 mount; none when it is gone.
    ///
    /// A cgroup inside the container's (`exec --cgroup`) is opened in the same way, with its whole path.
    ///
    /// # Errors
    ///
    /// `path` has a `..`, or the directory cannot be opened.
    pub fn open(mount: &Path, path: &Path) -> Result<Option<Cgroup>> {
        let root = files::open_mount(mount)?;
        let path = files::inside(mount, path)?;
        match files::open_dir(root.as_fd(), &path) {
            Ok(dir) => Ok(Some(Cgroup { root, dir, leaf: None, mount: mount.to_owned(), path, made: None })),
            Err(errno) if files::gone(errno) => Ok(None),
            Err(errno) => Err(CgroupError::new("open", mount.join(path), errno)),
        }
    }

    /// Opens another cgroup of the same mount; none when it is gone.
    ///
    /// # Errors
    ///
    /// As [`Cgroup::open`].
    pub fn other(&self, path: &Path) -> Result<Option<Cgroup>> {
        Self::open_below(self.root.as_fd(), &self.mount, path)
    }

    /// Opens the cgroup at `path`, from the root of this mount; none when it is gone.
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

    /// The descriptor to be born in (`CLONE_INTO_CGROUP`).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.leaf.as_ref().unwrap_or(&self.dir).as_fd()
    }

    /// Every descriptor that is held: of the mount, the cgroup and its leaf. A container's init must not have them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.root, &self.dir].into_iter().chain(&self.leaf).map(AsFd::as_fd)
    }

    /// The topmost directory that [`Cgroup::create`] made, as a path from the mount: what [`Cgroup::remove`] wants to
    /// hear to leave nothing behind. None when the cgroup was there.
    pub fn made(&self) -> Option<&Path> {
        self.made.as_deref()
    }

    /// Where the cgroup is.
    pub fn path(&self) -> PathBuf {
        self.mount.join(&self.path)
    }

    /// Reads an interface file; none when the cgroup has no such file, or is gone.
    ///
    /// # Errors
    ///
    /// The file can be opened or read not at all.
    pub fn read(&self, file: &str) -> Result<Option<String>> {
        match files::read_file(self.dir.as_fd(), file) {
            Ok(text) => Ok(Some(text)),
            Err(errno) if files::gone(errno) => Ok(None),
            Err(errno) => Err(CgroupError::new("read", self.path().join(file), errno)),
        }
    }

    /// Writes an interface file, without looking at what it holds then.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, file: &str, value: &str) -> Result<()> {
        files::write_file(self.dir.as_fd(), file, value)
            .map_err(|errno| CgroupError::new(format!("write {value:?} to"), self.path().join(file), errno))
    }
}

#[cfg(test)]
mod tests;

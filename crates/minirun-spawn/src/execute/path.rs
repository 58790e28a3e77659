//! Paths inside the container's root, resolved when they are used and never as strings of the host.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use minirun_plan::{InRoot, PointKind};
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use super::way::Way;
use crate::wire::{Call, Fault, In};

/// Every link counts from the root, and no magic link of procfs leads out of it.
const IN_ROOT: u64 = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;

/// A mount point, and whether it was made for the purpose.
pub(crate) struct Point {
    pub(crate) fd: OwnedFd,
    pub(crate) made: bool,
}

/// Opens a path below `root` as `O_PATH`.
pub(super) fn resolve(root: BorrowedFd<'_>, path: &CStr, flags: libc::c_int, resolve: u64) -> Result<OwnedFd, Fault> {
    let path = if path.is_empty() { c"." } else { path };
    sys::openat2(root, path, flags | libc::O_PATH, 0, resolve).in_call(Call::Openat2)
}

impl Executor<'_> {
    /// What a path inside the root refers to.
    pub(crate) fn open_in_root(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        resolve(self.root()?, path.path(), 0, IN_ROOT)
    }

    /// As [`Executor::open_in_root`], for reading or writing.
    pub(crate) fn open_file_in_root(&self, path: &CStr, flags: libc::c_int) -> Result<OwnedFd, Fault> {
        sys::openat2(self.root()?, path, flags, 0, IN_ROOT).in_call(Call::Openat2)
    }

    /// The last component itself, even where it is a link.
    pub(crate) fn open_entry(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        resolve(self.root()?, path.path(), libc::O_NOFOLLOW, IN_ROOT)
    }

    /// A place to mount on, made with its parents where it is missing.
    pub(crate) fn mount_point(
        &self,
        path: &InRoot,
        kind: PointKind,
        source_is_directory: bool,
    ) -> Result<Point, Fault> {
        let directory = kind != PointKind::LikeSource || source_is_directory;
        let (flags, how) = match kind {
            PointKind::RealDirectory => (libc::O_DIRECTORY | libc::O_NOFOLLOW, IN_ROOT | libc::RESOLVE_NO_SYMLINKS),
            _ => (if directory { libc::O_DIRECTORY } else { 0 }, IN_ROOT),
        };
        match resolve(self.root()?, path.path(), flags, how) {
            Ok(fd) => return Ok(Point { fd, made: false }),
            Err(fault) if !fault.is(Errno::ENOENT) => return Err(fault),
            Err(_) => {}
        }
        let mut way = Way::new(self.root()?, how, path.path())?;
        let fd = if directory { way.make_directory()? } else { way.make_file()? };
        Ok(Point { fd, made: true })
    }

    /// The directory that holds the last component, made where it is missing.
    pub(crate) fn make_parent(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        Way::new(self.root()?, IN_ROOT, path.path())?.make_parent()
    }

    /// The directory itself, made with its parents where they are missing.
    pub(crate) fn make_directory(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        Way::new(self.root()?, IN_ROOT, path.path())?.make_directory()
    }
}

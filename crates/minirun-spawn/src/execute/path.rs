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

/// Every path stays below the mount that it starts from: a link may lead out of it, and then counts from the root.
const BELOW_MOUNT: u64 = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;

/// Where the resolution of a path starts, and how far it may lead.
#[derive(Clone, Copy)]
pub(super) struct Start<'e> {
    pub(super) directory: BorrowedFd<'e>,
    /// The path from there.
    pub(super) path: &'e CStr,
    /// `RESOLVE_*` bits.
    pub(super) how: u64,
}

impl Executor<'_> {
    /// The mount that a path lies on with the rest of the path, or the root with all of it.
    pub(super) fn start_of<'e>(&'e self, path: &'e InRoot) -> Result<Start<'e>, Fault> {
        match path.mount() {
            Some(number) => {
                Ok(Start { directory: self.mount_root(number)?, path: path.below_mount(), how: BELOW_MOUNT })
            }
            None => self.start_at_root(path),
        }
    }

    fn start_at_root<'e>(&'e self, path: &'e InRoot) -> Result<Start<'e>, Fault> {
        Ok(Start { directory: self.root()?, path: path.path(), how: IN_ROOT })
    }

    /// Opens what a path inside the root refers to.
    pub(crate) fn open_in_root(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        self.open_with(path, 0)
    }

    /// As [`Executor::open_in_root`], with these flags. A link that leads out of a mount is followed from the root: what it
    /// leads to is the file's own business, so the path must be there then.
    fn open_with(&self, path: &InRoot, flags: libc::c_int) -> Result<OwnedFd, Fault> {
        let start = self.start_of(path)?;
        match resolve(start.directory, start.path, flags, start.how) {
            Err(fault) if fault.is(Errno::EXDEV) => {
                resolve(self.root()?, path.path(), flags, IN_ROOT).map_err(|fault| match fault.is(Errno::ENOENT) {
                    true => Fault::check("a link leads from its mount to something that is missing"),
                    false => fault,
                })
            }
            answer => answer,
        }
    }

    /// Opens what a path refers to when it is followed from the root, by its name alone.
    pub(crate) fn open_by_name(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        resolve(self.root()?, path.path(), 0, IN_ROOT)
    }

    /// Opens a file of the root for reading or writing.
    pub(crate) fn open_file_in_root(&self, path: &CStr, flags: libc::c_int) -> Result<OwnedFd, Fault> {
        sys::openat2(self.root()?, path, flags, 0, IN_ROOT).in_call(Call::Openat2)
    }

    /// As [`Executor::open_file_in_root`], starting from the mount that the path lies on.
    pub(crate) fn open_file(&self, path: &InRoot, flags: libc::c_int) -> Result<OwnedFd, Fault> {
        let start = self.start_of(path)?;
        match sys::openat2(start.directory, start.path, flags, 0, start.how) {
            Err(Errno::EXDEV) => self.open_file_in_root(path.path(), flags),
            answer => answer.in_call(Call::Openat2),
        }
    }

    /// Opens the directory that holds the last component, with no link on the way.
    pub(crate) fn open_parent(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        let start = self.start_of(path)?;
        let how = start.how | libc::RESOLVE_NO_SYMLINKS;
        resolve(start.directory, path.parent_below_mount(), libc::O_DIRECTORY, how)
    }

    /// A place to mount on, made with its parents where it is missing.
    pub(crate) fn mount_point(
        &self,
        path: &InRoot,
        kind: PointKind,
        source_is_directory: bool,
    ) -> Result<Point, Fault> {
        let directory = kind != PointKind::LikeSource || source_is_directory;
        let (flags, no_links) = match kind {
            PointKind::RealDirectory => (libc::O_DIRECTORY | libc::O_NOFOLLOW, libc::RESOLVE_NO_SYMLINKS),
            _ => (if directory { libc::O_DIRECTORY } else { 0 }, 0),
        };
        let find = |start: Start<'_>| {
            let how = start.how | no_links;
            match resolve(start.directory, start.path, flags, how) {
                Ok(fd) => return Ok(Point { fd, made: false }),
                Err(fault) if !fault.is(Errno::ENOENT) => return Err(fault),
                // accepts: ENOENT, by the arm above: it is made.
                Err(_) => {}
            }
            let mut way = Way::new(start.directory, how, start.path)?;
            let fd = if directory { way.make_directory()? } else { way.make_file()? };
            Ok(Point { fd, made: true })
        };
        self.look_below(path, find)
    }

    /// The directory that holds the last component, made where it is missing.
    pub(crate) fn make_parent(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        self.look_below(path, |start| Way::new(start.directory, start.how, start.path)?.make_parent())
    }

    /// The directory itself, made with its parents where they are missing.
    pub(crate) fn make_directory(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        self.look_below(path, |start| Way::new(start.directory, start.how, start.path)?.make_directory())
    }

    /// Looks below the path's mount, and from the root where a link leads out of that.
    fn look_below<T>(&self, path: &InRoot, look: impl Fn(Start<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        match look(self.start_of(path)?) {
            Err(fault) if fault.is(Errno::EXDEV) => look(self.start_at_root(path)?),
            answer => answer,
        }
    }
}

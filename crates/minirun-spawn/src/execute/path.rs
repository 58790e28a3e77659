//! Paths inside the container's root, resolved when they are used and never as strings of the host.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use minirun_plan::{InRoot, PointKind};
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Executor;
use crate::wire::{Call, Fault, In};

/// Every link counts from the root, and no magic link of procfs leads out of it.
const IN_ROOT: u64 = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;

/// The last component of a path.
fn last(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    CStr::from_bytes_with_nul(&bytes[start..]).unwrap_or(c"")
}

/// A mount point, and whether it was made for the purpose.
pub(crate) struct Point {
    pub(crate) fd: OwnedFd,
    pub(crate) made: bool,
}

/// Opens a path below `root` as `O_PATH`.
fn resolve(root: BorrowedFd<'_>, path: &CStr, flags: libc::c_int, resolve: u64) -> Result<OwnedFd, Fault> {
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
        if directory {
            let parent = self.make_parent(path)?;
            return Ok(Point { fd: make_one(parent.as_fd(), path.name())?, made: true });
        }
        let parent = self.make_parent(path)?;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW;
        match sys::openat2(parent.as_fd(), path.name(), flags, 0o644, libc::RESOLVE_BENEATH) {
            Ok(_) => {}
            Err(Errno::EEXIST) => return Err(Fault::check("a dangling symbolic link is in the way")),
            Err(errno) => return Err(errno).in_call(Call::Openat2),
        }
        let fd = sys::openat2(
            parent.as_fd(),
            path.name(),
            libc::O_PATH | libc::O_NOFOLLOW,
            0,
            libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS,
        );
        Ok(Point { fd: fd.in_call(Call::Openat2)?, made: true })
    }

    /// The directory that holds the last component, made where it is missing.
    pub(crate) fn make_parent(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        let parents = path.prefixes().len().saturating_sub(1);
        self.make_prefixes(path, parents)
    }

    /// The directory itself, made with its parents where they are missing.
    pub(crate) fn make_directory(&self, path: &InRoot) -> Result<OwnedFd, Fault> {
        self.make_prefixes(path, path.prefixes().len())
    }

    /// Makes the first `count` components of a path, each relative to the descriptor of the one before, so that nothing
    /// that is exchanged meanwhile can lead out of the root.
    fn make_prefixes(&self, path: &InRoot, count: usize) -> Result<OwnedFd, Fault> {
        let root = self.root()?;
        // The longest way that is there already; most often the parent is.
        let mut there = count;
        while there > 0 {
            match resolve(root, &path.prefixes()[there - 1], libc::O_DIRECTORY, IN_ROOT) {
                Ok(fd) if there == count => return Ok(fd),
                Ok(fd) => return self.make_below(fd, &path.prefixes()[there..count]),
                Err(fault) if fault.is(Errno::ENOENT) => there -= 1,
                Err(fault) => return Err(fault),
            }
        }
        let top = resolve(root, c".", libc::O_DIRECTORY, IN_ROOT)?;
        self.make_below(top, &path.prefixes()[..count])
    }

    /// Makes these components one below the other, starting in a directory that is there.
    fn make_below(&self, mut parent: OwnedFd, prefixes: &[std::ffi::CString]) -> Result<OwnedFd, Fault> {
        for prefix in prefixes {
            parent = make_one(parent.as_fd(), last(prefix))?;
        }
        Ok(parent)
    }
}

fn make_one(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Fault> {
    match sys::mkdirat(parent, name, 0o755) {
        // Somebody else may have made it meanwhile; a link that leads nowhere does not count.
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno).in_call(Call::Mkdir),
    }
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
    match resolve(parent, name, libc::O_DIRECTORY | libc::O_NOFOLLOW, how) {
        Err(fault) if fault.is(Errno::ELOOP) || fault.is(Errno::ENOTDIR) => {
            Err(Fault::check("a dangling symbolic link is in the way"))
        }
        answer => answer,
    }
}

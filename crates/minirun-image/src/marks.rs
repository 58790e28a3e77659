//! The marks that overlayfs reads in a layer: opaque directories and absent files (overlayfs.rst, "whiteouts and opaque
//! directories").

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use minirun_sys as sys;
use minirun_sys::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag};

use crate::error::{Doing as _, Result};
use crate::files::{is_whiteout, kind_of};

/// In which attributes overlayfs keeps its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// `trusted.overlay.*`, which root of the host alone may set and see.
    Trusted,
    /// `user.overlay.*`, for overlays with `userxattr`: those of user namespaces.
    User,
}

impl Marks {
    fn opaque(self) -> &'static CStr {
        match self {
            Marks::Trusted => c"trusted.overlay.opaque",
            Marks::User => c"user.overlay.opaque",
        }
    }

    fn whiteout(self) -> &'static CStr {
        match self {
            Marks::Trusted => c"trusted.overlay.whiteout",
            Marks::User => c"user.overlay.whiteout",
        }
    }

    /// The mark of a directory: `y` if it hides those beneath it, `x` if there may be absences by attribute in it.
    pub(crate) fn of(self, directory: &OwnedFd) -> sys::Result<Option<u8>> {
        let mut mark = [0];
        match sys::get_xattr(directory.as_fd(), self.opaque(), &mut mark) {
            Ok(length) => Ok((length == 1).then_some(mark[0])),
            // None, one of another form, or a file system without attributes.
            Err(Errno::ENODATA | Errno::ERANGE | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Is it what overlayfs takes for the absence of a file: a device 0:0, or an empty file with an attribute?
    pub(crate) fn is_absence(self, directory: &OwnedFd, name: &CStr, found: &FileStat) -> sys::Result<bool> {
        if kind_of(found) != SFlag::S_IFREG || found.st_size != 0 || self.of(directory)? != Some(b'x') {
            return Ok(is_whiteout(found));
        }
        let opened = openat(directory, name, OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty());
        match sys::get_xattr(opened?.as_fd(), self.whiteout(), &mut [0]) {
            // Whatever its value is.
            Ok(_) | Err(Errno::ERANGE) => Ok(true),
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Marks a directory as one that hides those beneath it.
    pub(crate) fn set_opaque(self, directory: BorrowedFd<'_>) -> Result<()> {
        sys::set_xattr(directory, self.opaque(), b"y")
            .doing(|| format!("set the attribute {}", self.opaque().to_string_lossy()))
    }
}

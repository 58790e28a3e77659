//! The marks that overlayfs reads in a layer: opaque directories and absent files (overlayfs.rst, "whiteouts and opaque
//! directories").

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use minirun_sys as sys;
use minirun_sys::{Errno, Result};

/// The extended attributes in which overlayfs keeps its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// `trusted.overlay.*`, which only root of the host can set and see.
    Trusted,
    /// `user.overlay.*`, for overlays with `userxattr`: those of user namespaces.
    User,
}

/// The mark of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It hides the directories beneath it.
    Opaque,
    /// Files in it can be absent by an attribute.
    Whiteouts,
}

impl Marks {
    /// The attribute that marks a directory.
    pub fn opaque(self) -> &'static CStr {
        match self {
            Marks::Trusted => c"trusted.overlay.opaque",
            Marks::User => c"user.overlay.opaque",
        }
    }

    /// The attribute of an empty file that stands for the absence of a file.
    fn whiteout(self) -> &'static CStr {
        match self {
            Marks::Trusted => c"trusted.overlay.whiteout",
            Marks::User => c"user.overlay.whiteout",
        }
    }

    /// The mark of an open directory.
    ///
    /// # Errors
    /// The attribute cannot be read.
    pub fn of(self, directory: BorrowedFd<'_>) -> Result<Option<Mark>> {
        let mut mark = [0];
        match sys::get_xattr(directory, self.opaque(), &mut mark) {
            Ok(1) if mark[0] == b'y' => Ok(Some(Mark::Opaque)),
            Ok(1) if mark[0] == b'x' => Ok(Some(Mark::Whiteouts)),
            // None, one of another form, or a file system without attributes.
            Ok(_) | Err(Errno::ENODATA | Errno::ERANGE | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether an open, empty file in a directory that is marked with [`Mark::Whiteouts`] stands for the absence of a file.
    ///
    /// # Errors
    /// The attribute cannot be read.
    pub fn is_whiteout(self, file: BorrowedFd<'_>) -> Result<bool> {
        match sys::get_xattr(file, self.whiteout(), &mut [0]) {
            // Whatever its value is.
            Ok(_) | Err(Errno::ERANGE) => Ok(true),
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Marks an open directory as one that hides those beneath it.
    ///
    /// # Errors
    /// The attribute cannot be set.
    pub fn set_opaque(self, directory: BorrowedFd<'_>) -> Result<()> {
        sys::set_xattr(directory, self.opaque(), b"y")
    }
}

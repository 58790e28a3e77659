//! The marks of overlayfs in layers (see [`Marks`]).

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use minirun_overlay::Mark;
pub use minirun_overlay::Marks;
use minirun_sys as sys;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag};

use crate::error::{Doing as _, Result};
use crate::files::{is_whiteout, kind_of};

/// Whether a directory hides those beneath it.
pub(crate) fn is_opaque(marks: Marks, directory: impl AsFd) -> Result<bool> {
    Ok(marks.of(directory.as_fd()).doing(|| "getxattr")? == Some(Mark::Opaque))
}

/// Whether overlayfs takes this for the absence of a file: a device 0:0, or an empty file with an attribute.
pub(crate) fn is_absence(marks: Marks, directory: impl AsFd, name: &CStr, found: &FileStat) -> Result<bool> {
    let absence = || -> sys::Result<bool> {
        let plain = kind_of(found) == SFlag::S_IFREG && found.st_size == 0;
        if !plain || marks.of(directory.as_fd())? != Some(Mark::Whiteouts) {
            return Ok(is_whiteout(found));
        }
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        marks.is_whiteout(openat(&directory, name, flags, Mode::empty())?.as_fd())
    };
    absence().doing(|| "getxattr")
}

/// Marks a directory as one that hides those beneath it.
pub(crate) fn set_opaque(marks: Marks, directory: BorrowedFd<'_>) -> Result<()> {
    marks.set_opaque(directory).doing(|| format!("set the attribute {}", marks.opaque().to_string_lossy()))
}
